//! Logouts by an admin.

use super::check;

#[test]
fn a_logout_withdraws_first_and_nothing_follows_until_a_login() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order logout
        +1s: logged_out
        5h: status
        order verify
        order renew
        order login
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 logout
        1:00:00 withdraw
        1:00:01 logged_out
        5:00:00 NeedsAttention: logged out
        5:00:00 login
        5:00:01 logged_in 2
        5:00:01 publish 2
        5:01:00 Alive; ping at 6:47:09 for IdleTimeout
    ",
    );
}

#[test]
fn a_logout_during_a_login_wins() {
    check(
        "
        tick
        order logout
        +1s: good
        +1s: logged_out
        1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 logout
        0:00:02 logged_out
        1:00:00 NeedsAttention: logged out
    ",
    );
}

#[test]
fn a_logout_that_the_server_does_not_hear_is_said() {
    check(
        "
        serve login good
        tick
        1h: order logout
        +1s: unavailable
        +1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 logout
        1:00:00 withdraw
        1:00:01 logged_out: unavailable
        2:00:01 NeedsAttention: logged out
    ",
    );
}
