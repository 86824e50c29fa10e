//! What jobs report, and what it costs.

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
