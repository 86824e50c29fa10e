//! What jobs and readers say, and what it costs.

use super::check;

#[test]
fn a_true_report_is_recovered_at_once() {
    check(
        "
        serve login good
        serve ping dead
        tick
        1h: rejected 1
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 doubtful Report
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 login
        1:00:01 hold
        1:00:02 logged_in 2
        1:00:02 publish 2
        1:01:00 Alive; ping at 2:42:30 for IdleTimeout
    ",
    );
}

#[test]
fn false_reports_cost_calls_more_and_more_rarely() {
    check(
        "
        serve login good
        serve ping alive
        tick
        1h: rejected 1
        +2s: rejected 1
        +1s: rejected 1
        +1s: rejected 1
        +2s: rejected 1
        +2s: rejected 1
        +1s: rejected 1
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 doubtful Report
        1:00:00 ping
        1:00:01 proven
        1:00:02 doubtful Report
        1:00:02 ping
        1:00:03 proven
        1:00:04 doubtful Report
        1:00:04 ping
        1:00:05 proven
        1:00:08 doubtful Report
        1:00:08 ping
        1:00:09 proven
        1:01:09 Alive; ping at 1:48:08 for IdleTimeout
    ",
    );
}

#[test]
fn a_report_of_an_old_generation_costs_nothing() {
    check(
        "
        serve login good
        tick
        1h: rejected 0
        +1s: rejected 7
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
    ",
    );
}

#[test]
fn reports_while_the_ping_is_forbidden_count_as_false() {
    check(
        "
        serve login good
        serve ping forbidden
        tick
        1h: rejected 1
        +2s: rejected 1
        +2s: rejected 1
        +1s: rejected 1
        +1s: rejected 1
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 doubtful Report
        1:00:00 ping
        1:00:01 forbidden
        1:00:02 doubtful Report
        1:00:02 ping
        1:00:04 doubtful Report
        1:00:04 ping
    ",
    );
}

#[test]
fn a_report_without_a_ping_leads_to_a_login_within_the_budget() {
    check(
        "
        policy ping=false
        tick
        +1s: good t1
        serve login good same
        1h: rejected 1
        +2s: rejected 1
        +2s: rejected 1
        +2s: rejected 1
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 doubtful Report
        1:00:00 login
        1:00:01 same_token
        1:00:02 doubtful Report
        1:00:02 login
        1:00:03 same_token
        1:00:04 doubtful Report
        1:00:04 login
        1:00:05 same_token
        1:01:06 Alive
    ",
    );
}

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
