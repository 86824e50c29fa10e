//! Logins by a person: what they replace, and what a session without a refresh token comes to.

use super::check;

#[test]
fn nobody_has_logged_in_until_somebody_does() {
    check(
        "
        policy login=person
        serve ping alive
        serve renew good refresh=r2
        tick
        1h: status
        +0s: person good refresh=r1
        +0s: status
        +0s: restart
        +1s: order renew
        +2s: status
    ",
        "
        1:00:00 NeedsAttention: no person has logged in yet
        1:00:00 logged_in 1
        1:00:00 publish 1
        1:00:00 Alive; ping at 2:44:57 for IdleTimeout
        1:00:00 restart
        1:00:01 renew r1
        1:00:02 renewed 17
        1:00:02 publish 17
        1:00:03 Alive; ping at 2:47:10 for IdleTimeout
    ",
    );
}

#[test]
fn without_a_refresh_token_the_end_of_the_token_needs_a_person_again() {
    check(
        "
        policy login=person model=fixed idle=none ping=false
        person good life=1h
        +0s: status
        59m: status
        1h1m: status
        2h: person good life=1h refresh=r1
        +0s: status
    ",
        "
        0:00:00 logged_in 1
        0:00:00 publish 1
        0:00:00 Alive
        0:59:00 Alive
        1:00:00 expired 1
        1:00:00 withdraw
        1:01:00 NeedsAttention: the login has ended, and there is no refresh token to renew it by
        2:00:00 logged_in 2
        2:00:00 publish 2
        2:00:00 Alive; renew at 2:48:00 for Expiry
    ",
    );
}

#[test]
fn a_dead_refresh_token_needs_a_person_and_the_old_one_is_never_presented_again() {
    check(
        "
        policy login=person
        serve ping dead
        serve renew grant_dead
        person good refresh=r1
        +1s: order verify
        +1m: status
        +0s: serve ping alive
        +0s: person good
        +0s: status
        +0s: serve ping dead
        +1m: order verify
        +1m: status
    ",
        "
        0:00:00 logged_in 1
        0:00:00 publish 1
        0:00:01 ping
        0:00:02 died unexplained
        0:00:02 renew r1
        0:00:02 hold
        0:00:03 grant_dead
        0:00:03 withdraw
        0:01:01 NeedsAttention: the login has ended, and there is no refresh token to renew it by: grant_dead
        0:01:01 logged_in 2
        0:01:01 publish 2
        0:01:01 Alive; ping at 1:39:30 for IdleTimeout
        0:02:01 ping
        0:02:02 died unexplained
        0:02:02 withdraw
        0:03:01 NeedsAttention: the login has ended, and there is no refresh token to renew it by
    ",
    );
}

#[test]
fn an_answer_about_what_a_person_has_replaced_changes_nothing() {
    for (order, late, counted) in [
        ("verify", "dead", "ping"),
        ("verify", "alive", "ping"),
        ("renew", "good old refresh=spent", "renew r1"),
        ("renew", "grant_dead", "renew r1"),
        ("renew", "in_doubt", "renew r1"),
        ("logout", "logged_out", "logout"),
    ] {
        check(
            &format!(
                "
                policy login=person
                person good refresh=r1
                +1m: order {order}
                +1s: person good refresh=r9
                +1s: {late}
                +0s: crash
                +0s: serve renew good refresh=r10
                +0s: order renew
                +2s: tick
            "
            ),
            &format!(
                "
                0:00:00 logged_in 1
                0:00:00 publish 1
                0:01:00 {counted}
                {}0:01:01 logged_in 2
                0:01:01 publish 2
                0:01:02 restart
                0:01:02 renew r9
                0:01:03 renewed 18
                0:01:03 publish 18
            ",
                if order == "logout" {
                    "0:01:00 withdraw\n                "
                } else {
                    ""
                }
            ),
        );
    }
}

#[test]
fn a_persons_login_ends_stop_and_logout() {
    check(
        "
        policy login=person
        person good refresh=r1
        +1m: serve renew refused
        +0s: order renew
        +2s: status
        +0s: person good refresh=r2
        +0s: status
        +0s: serve logout logged_out
        +0s: order logout
        +2s: status
        +0s: person good refresh=r3
        +0s: status
    ",
        "
        0:00:00 logged_in 1
        0:00:00 publish 1
        0:01:00 renew r1
        0:01:01 refused, stopped
        0:01:02 NeedsAttention: refused; ping at 1:44:57 for IdleTimeout
        0:01:02 logged_in 2
        0:01:02 publish 2
        0:01:02 Alive; ping at 1:45:52 for IdleTimeout
        0:01:02 logout
        0:01:02 withdraw
        0:01:03 logged_out
        0:01:04 NeedsAttention: logged out
        0:01:04 logged_in 3
        0:01:04 publish 3
        0:01:04 Alive; ping at 1:48:39 for IdleTimeout
    ",
    );
}

#[test]
fn a_login_that_a_person_outran_holds_up_no_other() {
    check(
        "
        tick
        +1s: person good
        +1s: good
        order login
        +1s: good
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:02 login
        0:00:03 logged_in 2
        0:00:03 publish 2
    ",
    );
}
