//! Logouts, for good or until the next start, and what a kill over one leaves.

use super::{Stage, check};

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

#[test]
fn a_logout_until_the_start_is_one_that_the_next_start_forgets() {
    check(
        "
        serve login good
        serve logout logged_out
        tick
        5m: order logout_until_start
        6m: status
        7m: restart
        8m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 logout
        0:05:00 withdraw
        0:05:01 logged_out
        0:06:00 Recovering
        0:07:00 restart
        0:07:00 login
        0:07:01 logged_in 17
        0:07:01 publish 17
        0:08:00 Alive; ping at 1:54:09 for IdleTimeout
    ",
    );
}

#[test]
fn without_a_token_a_logout_until_the_start_calls_nobody() {
    check(
        "
        serve login unavailable
        1m: order logout_until_start
        +1s: status
        2m: restart
    ",
        "
        0:00:00 login
        0:00:01 failing 1
        0:00:03 login
        0:00:04 failing 2
        0:00:10 login
        0:00:11 failing 3
        0:00:20 login
        0:00:21 failing 4
        0:00:38 login
        0:00:39 failing 5
        0:01:01 Recovering
        0:02:00 restart
        0:02:00 login
    ",
    );
}

#[test]
fn a_kill_over_a_logout_until_the_start_leaves_a_session_that_goes_on() {
    check(
        "
        serve login good
        serve ping alive
        tick
        5m: order logout_until_start
        5m1s: status
        5m2s: crash
        6m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 logout
        0:05:00 withdraw
        0:05:01 NeedsAttention: logged out
        0:05:02 restart
        0:05:02 ping
        0:05:02 hold
        0:05:03 proven
        0:05:03 publish 1
        0:06:00 Alive; ping at 1:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_kill_over_a_logout_that_the_server_carried_out_costs_one_login() {
    check(
        "
        serve login good
        serve ping dead
        tick
        5m: order logout_until_start
        5m2s: crash
        6m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 logout
        0:05:00 withdraw
        0:05:02 restart
        0:05:02 ping
        0:05:02 hold
        0:05:03 died unexplained
        0:05:03 login
        0:05:04 logged_in 17
        0:05:04 publish 17
        0:06:00 Alive; ping at 1:47:32 for IdleTimeout
    ",
    );
}

#[test]
fn deaths_before_a_logout_teach_nothing_after_it() {
    check(
        "
        policy model=sliding idle=2h
        serve login good
        serve ping dead
        tick
        2h: serve logout logged_out
        order logout
        +1m: order login
        5h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 died unexplained
        1:47:15 login
        1:47:15 hold
        1:47:16 logged_in 2
        1:47:16 publish 2
        2:00:00 logout
        2:00:00 withdraw
        2:00:01 logged_out
        2:01:00 login
        2:01:01 logged_in 3
        2:01:01 publish 3
        3:44:59 ping
        3:45:00 died unexplained
        3:45:00 login
        3:45:00 hold
        3:45:01 logged_in 4
        3:45:01 publish 4
        5:00:00 Alive; ping at 5:28:07 for IdleTimeout
    ",
    );
}

#[test]
fn only_orders_that_end_or_replace_the_token_hold_back_the_calendar() {
    for (order, expected) in [
        ("verify", "takes duties"),
        ("renew", "takes duties"),
        ("login", "takes no duties"),
        ("logout", "takes no duties"),
    ] {
        let happened = Stage::play(&format!(
            "tick\n+1s: good refresh=r1\nduties\norder verify\norder {order}\nduties\n+1s: alive"
        ));
        let told: Vec<&String> = happened
            .iter()
            .filter(|line| line.contains("duties"))
            .collect();
        assert_eq!(
            told,
            ["0:00:01 takes duties", &format!("0:00:01 {expected}")],
            "{order}"
        );
    }
}

#[test]
fn a_token_whose_logout_the_server_did_not_hear_is_not_shown_again_by_the_next_login() {
    check(
        "
        serve login good
        tick
        1h: order logout
        +1s: unavailable
        serve login unavailable
        2h: order login
        +2s: status
        serve login good
        2h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 logout
        1:00:00 withdraw
        1:00:01 logged_out: unavailable
        2:00:00 login
        2:00:01 failing 1
        2:00:02 Recovering; login at 2:00:03 for NoToken
        2:00:03 login
        2:00:04 answering 1
        2:00:04 logged_in 2
        2:00:04 publish 2
        2:01:00 Alive; ping at 3:43:30 for IdleTimeout
    ",
    );
}

#[test]
fn a_token_whose_logout_until_the_start_was_not_heard_is_not_shown_again_either() {
    check(
        "
        serve login good
        serve logout unavailable
        tick
        5m: order logout_until_start
        6m: status
        7m: restart
        8m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 logout
        0:05:00 withdraw
        0:05:01 logged_out: unavailable
        0:06:00 Recovering
        0:07:00 restart
        0:07:00 login
        0:07:01 logged_in 17
        0:07:01 publish 17
        0:08:00 Alive; ping at 1:54:09 for IdleTimeout
    ",
    );
}
