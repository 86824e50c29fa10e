//! Sessions of one account: one login at a time, one budget, one stop.

use super::check;
use super::script::Stage;

#[test]
fn logins_of_one_account_go_one_after_the_other() {
    check(
        "
        session a
        tick
        session b
        tick
        session a
        +1s: good
        session b
        tick
        +1s: good
    ",
        "
        0:00:00 login
        0:00:01 a logged_in 1
        0:00:01 a publish 1
        0:00:01 b login
        0:00:02 b logged_in 1
        0:00:02 b publish 1
    ",
    );
}

#[test]
fn what_fails_for_one_session_alone_holds_no_other_back() {
    let happened = Stage::play(
        "
        session a
        serve login unavailable
        session b
        serve login good
        session a
        tick
        session b
        tick
        +8s: status
    ",
    );
    assert!(
        happened.iter().any(|line| line == "0:00:02 b logged_in 1"),
        "{happened:#?}"
    );
}

#[test]
fn a_refused_password_is_withheld_from_every_session_that_would_send_it_until_its_own_is_another() {
    check(
        "
        policy login=password
        session a
        tick
        session b
        tick
        session a
        +1s: refused
        session b
        1h: status
        session a
        serve login good a1
        session b
        serve login good b1
        secrets another
        1h1m: status
        session a
        secrets another
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 a refused, stopped
        0:00:01 b refused, stopped
        1:00:00 b NeedsAttention: withheld: refused to a
        1:00:00 b reopened
        1:00:00 b login
        1:00:01 b logged_in 1
        1:00:01 b publish 1
        1:01:00 b Alive; ping at 2:47:14 for IdleTimeout
        1:01:00 a reopened
        1:01:00 a login
        1:01:01 a logged_in 1
        1:01:01 a publish 1
        2:00:00 a Alive; ping at 2:48:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_session_whose_account_another_one_stopped_is_withdrawn_with_it_and_not_seconds_later() {
    check(
        "
        policy login=password
        session a
        serve login good a1
        serve ping dead
        tick
        session b
        serve login good b1
        serve ping dead
        tick
        +5s: status
        session a
        serve login refused user
        order verify
        session b
        serve login refused user
        order verify
        +4s: status
        session a
        status
    ",
        "
        0:00:00 login
        0:00:01 a logged_in 1
        0:00:01 a publish 1
        0:00:01 b login
        0:00:02 b logged_in 1
        0:00:02 b publish 1
        0:00:05 b Alive; ping at 1:47:15 for IdleTimeout
        0:00:05 a ping
        0:00:05 b ping
        0:00:06 a died unexplained
        0:00:06 a login
        0:00:06 a hold
        0:00:06 b died unexplained
        0:00:06 b hold
        0:00:07 a refused, stopped
        0:00:07 a withdraw
        0:00:07 b withdraw
        0:00:09 b NeedsAttention: its user was refused at the login of session a: refused
        0:00:09 a NeedsAttention: refused
    ",
    );
}

#[test]
fn the_budget_is_shared() {
    check(
        "
        session a
        serve login unavailable
        session b
        serve login unavailable
        tick
        session a
        tick
        3m: status
        session b
        status
    ",
        "
        0:00:00 b login
        0:00:01 b failing 1
        0:00:01 a login
        0:00:02 a failing 2
        0:00:07 a login
        0:00:08 a failing 3
        0:00:17 b login
        0:00:18 b failing 4
        0:00:41 a login
        0:00:42 a failing 5
        0:01:20 b login
        0:01:21 b failing 6
        0:02:34 a login
        0:02:35 a failing 7
        0:03:00 a Recovering; login at 0:05:14 for NoToken
        0:03:00 b Recovering; login at 0:05:14 for NoToken
    ",
    );
}

#[test]
fn a_renewal_s_success_does_not_end_a_stop_that_came_meanwhile() {
    check(
        "
        session a
        serve login good a1 refresh=r1
        tick
        +2s: order renew
        session b
        tick
        +1s: refused
        session a
        +1s: good a2
        +1s: status
        session b
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:02 renew r1
        0:00:02 b login
        0:00:03 b refused, stopped
        0:00:04 a renewed 2
        0:00:04 a publish 2
        0:00:05 a Alive; ping at 1:42:58 for IdleTimeout
        0:00:05 b NeedsAttention: refused
    ",
    );
}

#[test]
fn broken_sessions_let_a_sound_one_go_first() {
    check(
        "
        session a
        serve login unavailable
        session b
        serve login unavailable
        session c
        serve login good
        session a
        tick
        5m: status
        session c
        status
    ",
        "
        0:00:00 a login
        0:00:01 a failing 1
        0:00:01 b login
        0:00:02 b failing 2
        0:00:07 c login
        0:00:08 c logged_in 1
        0:00:08 c publish 1
        0:00:08 a login
        0:00:09 a failing 3
        0:00:18 b login
        0:00:19 b failing 4
        0:00:42 a login
        0:00:43 a failing 5
        0:01:21 b login
        0:01:22 b failing 6
        0:02:35 a login
        0:02:36 a failing 7
        0:05:00 a Recovering; login at 0:05:15 for NoToken
        0:05:00 c Alive; ping at 1:47:22 for IdleTimeout
    ",
    );
}

#[test]
fn a_refused_password_of_one_session_leaves_another_its_renewals() {
    check(
        "
        policy login=password model=fixed idle=none survive=1m
        session a
        serve login refused
        session b
        presents secret client=other
        serve renew good life=10m
        serve ping alive
        tick
        +1s: good b1 refresh=r1 life=10m
        session a
        tick
        session b
        15m: status
        notice
        session a
        status
    ",
        "
        0:00:00 b login
        0:00:01 b logged_in 1
        0:00:01 b publish 1
        0:00:01 a login
        0:00:02 a refused, stopped
        0:09:00 b renew r1
        0:09:01 b renewed 2
        0:09:01 b publish 2
        0:15:00 b Alive; renew at 0:18:00 for Expiry
        0:15:00 b no notice
        0:15:00 a NeedsAttention: refused
    ",
    );
}

#[test]
fn a_refused_client_of_one_session_stops_no_other_client_of_its_user() {
    check(
        "
        session a
        serve login refused? client
        session b
        presents secret client=other
        serve login good
        session c
        session a
        tick
        session b
        1m: status
        session c
        status
        session a
        status
    ",
        "
        0:00:00 a login
        0:00:01 a refused
        0:00:06 a login
        0:00:07 a refused, stopped
        0:00:07 b login
        0:00:08 b logged_in 1
        0:00:08 b publish 1
        0:00:08 c refused, stopped
        0:01:00 b Alive; ping at 1:47:21 for IdleTimeout
        0:01:00 c NeedsAttention: withheld: refused to a
        0:01:00 a NeedsAttention: refused?
    ",
    );
}

#[test]
fn a_refused_client_stops_the_renewals_that_present_it() {
    check(
        "
        policy model=fixed idle=none survive=1m
        session a
        session b
        tick
        +1s: good b1 refresh=r1 life=10m
        session a
        tick
        +1s: refused client
        session b
        9m30s: status
    ",
        "
        0:00:00 b login
        0:00:01 b logged_in 1
        0:00:01 b publish 1
        0:00:01 a login
        0:00:02 a refused, stopped
        0:09:00 b refused, stopped
        0:09:30 b NeedsAttention: withheld: refused to a
    ",
    );
}

#[test]
fn a_refused_user_is_not_logged_in_by_another_client_and_whose_refusal_it_was_is_said() {
    check(
        "
        policy login=password
        session a
        serve login refused user
        session b
        presents secret client=other
        session a
        tick
        session b
        1m: status
        session a
        serve login good
        order login
        session b
        serve login good
        2m: status
    ",
        "
        0:00:00 a login
        0:00:01 a refused, stopped
        0:01:00 b NeedsAttention: its user was refused at the login of session a: refused
        0:01:00 a login
        0:01:01 a logged_in 1
        0:01:01 a publish 1
        0:01:01 b login
        0:01:02 b logged_in 1
        0:01:02 b publish 1
        0:02:00 b Alive; ping at 1:48:15 for IdleTimeout
    ",
    );
}
