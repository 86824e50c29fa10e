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

#[test]
fn false_reports_without_a_ping_leave_half_of_the_budget_for_what_is_known() {
    check(
        "
        policy ping=false model=fixed idle=none survive=10s
        serve login good life=1h
        tick
        20m: rejected 1
        +5s: rejected 2
        +5s: rejected 3
        +5s: rejected 4
        +5s: rejected 5
        +5s: rejected 5
        +1s: status
        shows
        +20s: order login
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:20:00 doubtful Report
        0:20:00 login
        0:20:01 logged_in 2
        0:20:01 publish 2
        0:20:05 doubtful Report
        0:20:05 login
        0:20:06 logged_in 3
        0:20:06 publish 3
        0:20:10 doubtful Report
        0:20:10 login
        0:20:11 logged_in 4
        0:20:11 publish 4
        0:20:15 doubtful Report
        0:20:26 Recovering; login at 0:30:00 for Doubt(Report)
        0:20:26 shown once written
        0:20:46 login
        0:20:47 logged_in 5
        0:20:47 publish 5
        0:20:47 Alive; login at 1:14:46 for Expiry
    ",
    );
}

#[test]
fn a_new_token_that_is_not_known_everywhere_yet_costs_one_login_however_often_it_is_reported() {
    check(
        "
        serve login good
        serve ping dead
        tick
        1s: rejected 1
        +3s: rejected 2
        +1s: rejected 2
        +1s: serve ping alive
        rejected 2
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 doubtful Report
        0:00:01 ping
        0:00:02 died unexplained
        0:00:02 login
        0:00:02 hold
        0:00:03 logged_in 2
        0:00:03 publish 2
        0:00:04 doubtful Report
        0:00:04 ping
        0:00:05 doubtful Youth
        0:00:07 ping
        0:00:08 proven
        0:00:11 Alive; ping at 1:48:02 for IdleTimeout
    ",
    );
}

#[test]
fn tokens_that_are_dead_at_birth_are_given_up_after_some_seconds_each() {
    check(
        "
        serve login good
        serve ping dead
        tick
        1s: rejected 1
        +3s: rejected 2
        30s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 doubtful Report
        0:00:01 ping
        0:00:02 died unexplained
        0:00:02 login
        0:00:02 hold
        0:00:03 logged_in 2
        0:00:03 publish 2
        0:00:04 doubtful Report
        0:00:04 ping
        0:00:05 doubtful Youth
        0:00:07 ping
        0:00:08 died unexplained
        0:00:08 login
        0:00:08 hold
        0:00:09 logged_in 3
        0:00:09 publish 3
        0:00:30 Alive; ping at 1:41:03 for IdleTimeout
    ",
    );
}

#[test]
fn a_new_token_that_is_forbidden_for_some_seconds_calls_nobody() {
    check(
        "
        tick
        +1s: good
        serve ping forbidden?
        order verify
        +3s: serve ping alive
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 ping
        0:00:03 ping
        0:00:07 ping
        0:00:09 Alive; ping at 1:48:00 for IdleTimeout
    ",
    );
}
