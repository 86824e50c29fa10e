//! Answers under unknown names, and answers that a proxy between may have written.

use super::check;
use super::script::Stage;

#[test]
fn a_no_to_a_renewal_under_any_name_calls_a_person_after_two_tries_and_keeps_the_refresh_token() {
    check(
        "
        policy login=seed
        tick
        seed r1
        +1s: good
        serve renew declined
        1h: order verify
        +1s: dead
        1h1m: status
        +0s: restart
        5h: status
        order renew
        seed r1
        +1m: order login
        +1m: status
        +0s: serve renew good
        +0s: order login
        +1m: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 renew r1
        1:00:01 hold
        1:00:02 refused
        1:00:02 withdraw
        1:00:07 renew r1
        1:00:08 refused, stopped
        1:01:00 NeedsAttention: declined
        1:01:00 restart
        5:00:00 NeedsAttention: declined
        5:01:00 renew r1
        5:01:01 refused
        5:01:06 renew r1
        5:01:07 refused, stopped
        5:02:00 NeedsAttention: declined
        5:02:00 renew r1
        5:02:01 renewed 17
        5:02:01 publish 17
        5:03:00 Alive; ping at 6:44:29 for IdleTimeout
    ",
    );
}

#[test]
fn a_declined_renewal_is_tried_again_after_a_reload_and_with_another_refresh_token() {
    check(
        "
        policy login=seed model=fixed idle=none
        serve ping alive
        tick
        seed r1
        +1s: good life=1h
        serve renew declined
        1h1m: status
        reconfigure shared=true
        1h2m: status
        serve renew good
        seed r2
        +5s: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:48:00 renew r1
        0:48:01 refused
        0:48:01 ping
        0:48:02 proven
        0:48:06 renew r1
        0:48:07 refused, stopped
        0:48:07 ping
        0:48:08 proven
        1:00:00 expired 1
        1:00:00 withdraw
        1:01:00 NeedsAttention: declined
        1:01:00 renew r1
        1:01:01 refused
        1:01:06 renew r1
        1:01:07 refused, stopped
        1:02:00 NeedsAttention: declined
        1:02:00 seeded
        1:02:00 renew r2
        1:02:01 renewed 2
        1:02:01 publish 2
        1:02:05 Alive
    ",
    );
}

#[test]
fn a_declined_renewal_leads_to_the_login_where_there_is_one() {
    check(
        "
        policy model=fixed idle=none
        serve ping alive
        serve login good life=1h refresh=r1
        serve renew declined
        tick
        1h: status
        serve login good life=1h
        2h: status
        3h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:48:00 renew r1
        0:48:01 refused
        0:48:01 ping
        0:48:02 proven
        0:48:02 login
        0:48:03 logged_in 2
        0:48:03 publish 2
        1:00:00 Alive; renew at 1:36:02 for Expiry
        1:36:02 renew r1
        1:36:03 refused
        1:36:03 ping
        1:36:04 proven
        1:36:04 login
        1:36:05 logged_in 3
        1:36:05 publish 3
        2:00:00 Alive; login at 2:24:04 for Expiry
        2:24:04 login
        2:24:05 logged_in 4
        2:24:05 publish 4
        3:00:00 Alive; login at 3:12:04 for Expiry
    ",
    );
}

#[test]
fn a_person_is_called_after_three_odd_answers_to_renewals_and_the_session_heals_by_itself() {
    check(
        "
        policy login=seed model=fixed idle=none
        serve ping alive
        tick
        seed r1
        +1s: good life=1m
        serve renew in_doubt odd
        2m: status
        serve renew good
        10m: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:00:30 renew r1
        0:00:31 in_doubt
        0:00:31 ping
        0:00:32 proven
        0:01:00 expired 1
        0:01:00 renew r1
        0:01:00 hold
        0:01:01 in_doubt
        0:01:01 withdraw
        0:01:04 renew r1
        0:01:05 in_doubt
        0:01:10 renew r1
        0:01:11 in_doubt
        0:01:14 renew r1
        0:01:15 in_doubt
        0:01:24 renew r1
        0:01:25 in_doubt
        0:01:41 renew r1
        0:01:42 in_doubt
        0:02:00 NeedsAttention: in_doubt; renew at 0:02:07 for Dead
        0:02:07 renew r1
        0:02:08 renewed 2
        0:02:08 publish 2
        0:10:00 Alive
    ",
    );
}

#[test]
fn a_person_is_called_after_three_odd_answers_to_logins_and_the_account_is_not_stopped() {
    check(
        "
        serve login unavailable odd
        tick
        30s: status
        serve login good
        2m: status
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
        0:00:30 NeedsAttention: unavailable; login at 0:00:38 for NoToken
        0:00:38 login
        0:00:39 answering 4
        0:00:39 logged_in 1
        0:00:39 publish 1
        0:02:00 Alive; ping at 1:44:37 for IdleTimeout
    ",
    );
}

#[test]
fn a_captive_portal_that_answers_everything_with_a_401_costs_no_token() {
    check(
        "
        serve login good
        tick
        +1s: serve ping dead? odd
        serve login unavailable odd
        1h: order verify
        +1m: status
        serve ping alive
        serve login good
        +10m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 doubtful Ambiguous
        1:00:02 ping
        1:00:03 login
        1:00:04 failing 1
        1:00:05 ping
        1:00:06 login
        1:00:07 failing 2
        1:00:14 ping
        1:00:15 login
        1:00:16 failing 3
        1:00:21 ping
        1:00:22 failing 5
        1:00:25 ping
        1:00:26 failing 6
        1:00:28 ping
        1:00:29 login
        1:00:30 failing 4
        1:00:32 ping
        1:00:33 failing 8
        1:00:40 ping
        1:00:41 failing 9
        1:00:56 ping
        1:00:57 login
        1:00:58 failing 5
        1:01:00 NeedsAttention: unavailable; ping at 1:01:13 for Doubt(Ambiguous)
        1:01:13 ping
        1:01:14 answering 10
        1:01:14 proven
        1:11:00 Alive; ping at 1:49:13 for IdleTimeout
    ",
    );
}

#[test]
fn a_401_that_is_confirmed_leads_to_another_token_whatever_its_body_looks_like() {
    check(
        "
        serve login good
        tick
        +1s: serve ping dead? odd
        1h: order verify
        +10s: serve ping alive
        +0s: order verify
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 doubtful Ambiguous
        1:00:02 ping
        1:00:03 login
        1:00:04 logged_in 2
        1:00:04 publish 2
        1:00:10 ping
        1:01:10 Alive; ping at 2:48:03 for IdleTimeout
    ",
    );
}

#[test]
fn a_401_that_a_job_has_seen_too_needs_no_confirmation_whatever_its_body_looks_like() {
    check(
        "
        serve login good
        serve ping dead? odd
        tick
        1h: rejected 1
        +10s: status
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
        1:00:10 Alive; ping at 2:42:30 for IdleTimeout
    ",
    );
}

#[test]
fn a_page_that_every_token_meets_calls_a_person_after_one_more_login() {
    let script = "
        serve login good
        serve ping dead? odd
        tick
        1h: order verify
        8h: status
    ";
    let happened = Stage::play(script);
    let count = |word: &str| happened.iter().filter(|line| line.ends_with(word)).count();
    assert_eq!(count(" login"), 2, "{happened:#?}");
    assert!(count(" ping") <= 12, "{happened:#?}");
    assert!(
        happened.last().unwrap().contains("NeedsAttention: dead?"),
        "{happened:#?}"
    );
}

#[test]
fn a_page_without_another_way_to_a_token_calls_a_person_and_keeps_the_token() {
    check(
        "
        policy login=person
        serve ping dead? odd
        person good
        1h: order verify
        +30s: status
        serve ping alive
        4h: status
    ",
        "
        0:00:00 logged_in 1
        0:00:00 publish 1
        1:00:00 ping
        1:00:01 doubtful Ambiguous
        1:00:02 ping
        1:00:03 failing 2
        1:00:05 ping
        1:00:06 failing 3
        1:00:10 ping
        1:00:11 failing 4
        1:00:16 ping
        1:00:17 failing 5
        1:00:20 ping
        1:00:21 failing 6
        1:00:30 NeedsAttention: dead?; ping at 1:00:30 for Doubt(Ambiguous)
        1:00:30 ping
        1:00:31 answering 6
        1:00:31 proven
        1:48:30 ping
        2:36:30 ping
        3:24:30 ping
        4:00:00 Alive; ping at 4:12:30 for IdleTimeout
    ",
    );
}

#[test]
fn a_captive_portal_over_a_renewal_in_doubt_spends_no_refresh_token() {
    check(
        "
        policy login=seed model=fixed idle=none
        serve ping alive
        tick
        seed r1
        +1s: good life=1h
        serve renew in_doubt odd
        serve ping dead? odd
        48m30s: status
        serve ping alive
        serve renew good
        +10s: order verify
        +2s: status
        2h: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:48:00 renew r1
        0:48:01 in_doubt
        0:48:01 ping
        0:48:02 doubtful Ambiguous
        0:48:03 ping
        0:48:04 failing 2
        0:48:05 ping
        0:48:06 failing 3
        0:48:09 ping
        0:48:10 failing 4
        0:48:16 ping
        0:48:17 failing 5
        0:48:23 ping
        0:48:24 failing 6
        0:48:30 NeedsAttention: dead?; ping at 0:48:33 for Doubt(Ambiguous)
        0:48:33 ping
        0:48:34 answering 6
        0:48:34 proven
        0:48:40 ping
        0:48:42 Alive
        1:00:00 expired 1
        1:00:00 renew r1
        1:00:00 hold
        1:00:01 renewed 2
        1:00:01 publish 2
        2:00:00 Alive
    ",
    );
}

#[test]
fn a_forbidden_ping_that_a_job_reported_leads_to_one_other_token_and_not_again() {
    check(
        "
        serve login good
        serve ping forbidden?
        tick
        1h: rejected 1
        +10s: rejected 2
        +10s: status
        +1m: rejected 2
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 doubtful Report
        1:00:00 ping
        1:00:01 login
        1:00:02 logged_in 2
        1:00:02 publish 2
        1:00:10 doubtful Report
        1:00:10 ping
        1:00:12 ping
        1:00:13 forbidden
        1:00:20 NeedsAttention: forbidden?; ping at 2:36:13 for Forbidden
        1:01:20 doubtful Report
        1:01:20 ping
        1:02:20 NeedsAttention: forbidden?; ping at 2:37:21 for Forbidden
    ",
    );
}

#[test]
fn a_forbidden_ping_that_stood_for_an_expired_token_is_taken_for_that_each_time() {
    check(
        "
        serve login good refresh=r1
        serve renew good
        serve ping forbidden?
        tick
        1h: rejected 1
        +2s: serve ping alive
        +0s: order verify
        +2s: serve ping forbidden?
        +0s: rejected 2
        +10s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 doubtful Report
        1:00:00 ping
        1:00:01 renew r1
        1:00:02 renewed 2
        1:00:02 publish 2
        1:00:02 ping
        1:00:04 doubtful Report
        1:00:04 ping
        1:00:05 renew r1
        1:00:06 renewed 3
        1:00:06 publish 3
        1:00:14 Alive; ping at 2:44:04 for IdleTimeout
    ",
    );
}

#[test]
fn a_reported_token_whose_pings_tell_of_an_error_under_a_good_status_is_replaced_once() {
    let script = "
        serve login good
        serve ping alive odd
        tick
        1h: rejected 1
        +1m: rejected 2
        +10m: rejected 2
        +1h: order verify
        +10s: status
    ";
    let happened = Stage::play(script);
    let count = |word: &str| happened.iter().filter(|line| line.ends_with(word)).count();
    assert_eq!(count(" login"), 2, "{happened:#?}");
    assert!(count(" ping") <= 6, "{happened:#?}");
    assert!(happened.last().unwrap().contains("Alive"), "{happened:#?}");
}

#[test]
fn a_renewal_whose_token_cannot_be_used_presents_the_refresh_token_that_came_with_it_and_calls_a_person()
 {
    let script = "
        policy login=seed model=fixed idle=none
        tick
        seed r1
        +1s: good life=1h refresh=r2
        serve renew expired refresh=r3 odd
        3h: status
    ";
    let happened = Stage::play(script);
    let count = |word: &str| happened.iter().filter(|line| line.ends_with(word)).count();
    assert_eq!(count(" renew r2"), 1, "{happened:#?}");
    assert!((2..=60).contains(&count(" renew r3")), "{happened:#?}");
    assert!(
        happened.last().unwrap().contains("NeedsAttention: expired"),
        "{happened:#?}"
    );
}
