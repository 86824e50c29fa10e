//! Readers who want more than the token has: whom they wake, and what they never cost.

use super::check;

#[test]
fn a_reader_gets_what_a_ping_proves_and_no_more_calls() {
    check(
        "
        serve login good
        serve ping alive
        tick
        1h30m: wanted 40m
        +5s: wanted 40m
        +5s: wanted 10h
        +5s: wanted 10h
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:30:00 ping
    ",
    );
}

#[test]
fn a_reader_never_logs_in_over_a_living_token() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=1h
        tick
        1m: wanted 59m
        2m: wanted 10h
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:02:01 Alive; login at 0:48:00 for Expiry
    ",
    );
}

#[test]
fn a_reader_of_a_fixed_token_has_it_renewed_ten_times_a_life_at_most() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=1h refresh=r1
        serve renew good life=1h refresh=r2
        tick
        1m: wanted 10h
        5m: wanted 10h
        7m: wanted 10h
        +1m: wanted 10h
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:07:00 renew r1
        0:07:01 renewed 2
        0:07:01 publish 2
    ",
    );
}

#[test]
fn a_reader_overrides_neither_backoff_nor_stop() {
    check(
        "
        serve login good
        serve ping throttled 10m
        tick
        1h30m: wanted 40m
        +3s: wanted 40m
        +1m: wanted 40m
        +0s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:30:00 ping
        1:30:01 throttled 10m
        1:31:03 Alive; ping at 1:40:01 for Ordered
    ",
    );
}

#[test]
fn a_reader_who_wants_more_never_spends_a_refresh_token_in_doubt() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=2h refresh=R
        serve ping alive
        serve renew in_doubt
        tick
        1h: order renew
        1h1m: wanted 100m
        1h2m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew R
        1:00:01 in_doubt
        1:00:01 ping
        1:00:02 proven
        1:02:00 Alive; login at 1:48:00 for Expiry
    ",
    );
}

#[test]
fn a_reader_outside_the_active_hours_wakes_a_good_session_for_its_ping() {
    check(
        "
        policy model=sliding idle=1h
        serve login good
        serve ping alive
        tick
        +1s: active false
        30m: wanted 50m
        31m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 dormant
        0:30:00 ping
        0:31:00 Alive
    ",
    );
}

#[test]
fn a_reader_of_a_dead_token_wakes_nobody_who_is_awake() {
    check(
        "
        serve login good
        serve ping dead
        tick
        1m: serve login unavailable
        rejected 1
        +2s: wanted 10m
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 doubtful Report
        0:01:00 ping
        0:01:01 died unexplained
        0:01:01 login
        0:01:01 hold
        0:01:02 failing 2
        0:01:02 withdraw
        0:01:03 Recovering; login at 0:01:07 for Dead
    ",
    );
}

#[test]
fn a_promise_that_a_ping_has_just_given_costs_no_other_ping() {
    check(
        "
        policy model=sliding idle=1h survive=10m request_timeout=1s
        serve login good
        tick
        11m: wanted 50m
        +0s: alive
        wanted 50m
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:11:00 ping
        0:11:00 Alive; ping at 1:01:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_reader_who_wants_exactly_what_the_token_has_costs_no_call() {
    check(
        "
        policy model=fixed idle=none
        tick
        +1s: good life=1h refresh=r1
        10m: wanted 50m
        +0s: status
        +1ms: wanted 50m
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 Alive; renew at 0:48:00 for Expiry
        0:10:00 renew r1
    ",
    );
}
