//! Orders: what each brings about, and what it must not.

use super::check;

#[test]
fn an_ordered_login_waits_for_the_one_under_way_and_is_not_displaced() {
    check(
        "
        session a
        serve login good
        session b
        serve login good
        serve ping alive
        tick
        session a
        1m: serve login nothing
        2m: order login
        session b
        order login
        3m: order verify
        session a
        4m: good
        session b
        5m: status
    ",
        "
        0:00:00 b login
        0:00:01 b logged_in 1
        0:00:01 b publish 1
        0:00:01 a login
        0:00:02 a logged_in 1
        0:00:02 a publish 1
        0:02:00 a login
        0:04:00 a logged_in 2
        0:04:00 a publish 2
        0:04:00 b login
        0:04:01 b logged_in 2
        0:04:01 b publish 2
        0:05:00 b Alive; ping at 1:51:09 for IdleTimeout
    ",
    );
}

#[test]
fn an_order_that_the_answer_made_pointless_is_forgotten() {
    check(
        "
        serve login good
        tick
        5m: serve login nothing
        order verify
        +1s: order verify
        dead
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 ping
        0:05:01 died unexplained
        0:05:01 login
        0:05:01 hold
        0:05:02 Recovering
    ",
    );
}

#[test]
fn an_order_to_verify_is_nothing_where_there_is_no_ping() {
    check(
        "
        policy ping=false idle=none
        serve login good
        tick
        5m: order verify
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 Alive
    ",
    );
}

#[test]
fn an_order_to_renew_does_not_displace_a_persons_login() {
    check(
        "
        serve login good refresh=R
        tick
        5m: order verify
        order login
        order renew
        +1s: alive
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 ping
        0:05:01 login
    ",
    );
}

#[test]
fn a_calendars_renewal_that_cannot_be_is_not_kept_for_later() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=2h refresh=R
        tick
        1m: serve login nothing
        serve renew in_doubt
        serve ping alive
        order renew
        2m: held 1h
        3m: order renew_when_free
        4m: seed S
        serve renew good life=2h refresh=T
        5m: status
        1h10m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 renew R
        0:01:01 in_doubt
        0:01:01 ping
        0:01:02 proven
        0:04:00 seeded
        0:05:00 Alive; renew at 1:48:00 for Expiry
        1:10:00 Alive; renew at 1:48:00 for Expiry
    ",
    );
}

#[test]
fn the_calendars_renewal_of_a_free_token_does_not_wait_for_a_back_off() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=10h refresh=R
        serve renew unavailable
        tick
        1m: order renew
        +2s: order renew_when_free
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 renew R
        0:01:01 failing 1
        0:01:02 renew R
        0:01:02 Renewing
    ",
    );
}

#[test]
fn the_calendars_renewal_of_a_dead_token_does_not_wait_for_jobs() {
    check(
        "
        policy model=fixed idle=none login=person
        person good life=10h refresh=R
        serve renew unavailable
        serve ping dead
        1m: held 1h
        2m: rejected 1
        2m3s: status
        2m3s: order renew_when_free
        status
    ",
        "
        0:00:00 logged_in 1
        0:00:00 publish 1
        0:02:00 doubtful Report
        0:02:00 ping
        0:02:01 died
        0:02:01 renew R
        0:02:01 hold
        0:02:02 failing 2
        0:02:02 withdraw
        0:02:03 Recovering; renew at 0:02:09 for Dead
        0:02:03 renew R
        0:02:03 Recovering
    ",
    );
}

#[test]
fn an_order_outside_the_active_hours_wakes_a_session_that_lapsed() {
    check(
        "
        policy model=sliding idle=1h
        serve login good
        serve ping dead
        tick
        +1s: active false
        2h: status
        order verify
        2h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 dormant
        1:00:00 withdraw
        2:00:00 Dormant
        2:00:00 ping
        2:00:00 hold
        2:00:01 died
        2:00:01 login
        2:00:02 logged_in 2
        2:00:02 publish 2
        2:01:00 Alive
    ",
    );
}
