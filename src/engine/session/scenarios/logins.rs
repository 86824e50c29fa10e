//! What a login brings, the same token among it, and what logins cost.

use super::{Stage, check};

#[test]
fn a_skewed_clock_is_corrected_once() {
    check(
        "
        policy idle=none
        tick
        +1s: skewed skew=300
        +1s: good
        1h: order login
        +1s: skewed skew=600
        +1s: unavailable
        2h: order login
        +1s: skewed skew=900
        +1s: skewed skew=900
        status
    ",
        "
        0:00:00 login
        0:00:01 skewed 300s
        0:00:01 login
        0:00:02 logged_in 1
        0:00:02 publish 1
        1:00:00 login
        1:00:01 skewed 600s
        1:00:01 login
        1:00:02 failing 1
        2:00:00 login
        2:00:01 skewed 900s
        2:00:01 login
        2:00:02 refused, stopped
        2:00:02 NeedsAttention: skewed
    ",
    );
}

#[test]
fn a_login_that_brings_the_same_dead_token_has_failed() {
    check(
        "
        serve login good t1
        serve ping dead
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 login
        1:00:01 hold
        1:00:02 same_dead_token
        1:00:02 ping
        1:00:02 withdraw
        1:00:07 login
        1:00:08 same_dead_token
        1:00:08 ping
        1:00:20 login
        1:00:21 same_dead_token
        1:00:21 ping
        1:00:39 login
        1:00:40 same_dead_token
        1:00:40 ping
        1:01:00 Recovering; login at 1:01:19 for Dead
    ",
    );
}

#[test]
fn a_login_that_hands_out_a_token_that_was_told_dead_has_failed_whatever_life_it_names() {
    check(
        "
        serve login good t1 life=1h
        serve ping dead
        tick
        10m: order verify
        +10s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 died unexplained
        0:10:01 login
        0:10:01 hold
        0:10:02 same_dead_token
        0:10:02 ping
        0:10:02 withdraw
        0:10:07 login
        0:10:08 same_dead_token
        0:10:08 ping
        0:10:10 Recovering; login at 0:10:20 for Dead
    ",
    );
}

#[test]
fn a_living_token_that_was_called_dead_by_mistake_is_back_after_one_login() {
    check(
        "
        tick
        +1s: good t1
        1h: order verify
        +1s: dead
        +1s: good t1
        +1s: alive
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 login
        1:00:01 hold
        1:00:02 same_dead_token
        1:00:02 ping
        1:00:02 withdraw
        1:00:03 proven
        1:00:03 publish 1
        1:01:00 Alive; ping at 1:48:02 for IdleTimeout
    ",
    );
}

#[test]
fn a_login_that_brings_the_same_living_token_publishes_nothing_new() {
    check(
        "
        tick
        +1s: good t1
        serve login good same
        1h: order login
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 login
        1:00:01 same_token
        1:01:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_new_instance_url_is_a_new_generation() {
    check(
        "
        tick
        +1s: good t1 url=https://a.example
        serve login good same url=https://b.example
        1h: order login
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 login
        1:00:01 logged_in 2
        1:00:01 publish 2
        1:01:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn tokens_that_never_work_exhaust_the_budget() {
    let happened =
        Stage::play("policy reuse=true\nserve login good\nserve ping dead\ntick\n9m: status");
    let logins: Vec<&str> = happened
        .iter()
        .filter_map(|line| line.strip_suffix(" login"))
        .collect();
    // From the third on each is asked again for some seconds before it is given up.
    assert_eq!(
        logins,
        [
            "0:00:00", "0:00:09", "0:00:19", "0:00:33", "0:00:48", "0:01:02"
        ]
    );
    let end = [
        "0:01:17 budget_spent",
        "0:01:17 hold",
        "0:01:22 withdraw",
        "0:09:00 Recovering; login at 0:10:00 for Dead",
    ];
    assert_eq!(happened[happened.len() - end.len()..], end, "{happened:#?}");
}

#[test]
fn refused_connections_cost_no_budget() {
    check(
        "
        serve login unavailable uncounted
        tick
        20m: serve login good
        26m: status
    ",
        "
        0:00:00 login
        0:00:01 failing 1
        0:00:03 login
        0:00:04 failing 2
        0:00:11 login
        0:00:12 failing 3
        0:00:18 login
        0:00:19 failing 4
        0:00:22 login
        0:00:23 failing 5
        0:00:29 login
        0:00:30 failing 6
        0:00:38 login
        0:00:39 failing 7
        0:00:57 login
        0:00:58 failing 8
        0:01:35 login
        0:01:36 failing 9
        0:02:46 login
        0:02:47 failing 10
        0:03:34 login
        0:03:35 failing 11
        0:05:03 login
        0:05:04 failing 12
        0:07:37 login
        0:07:38 failing 13
        0:10:31 login
        0:10:32 failing 14
        0:15:32 login
        0:15:33 failing 15
        0:20:33 login
        0:20:34 answering 15
        0:20:34 logged_in 1
        0:20:34 publish 1
        0:26:00 Alive; ping at 2:03:42 for IdleTimeout
    ",
    );
}

#[test]
fn passwords_cut_off_by_kills_are_said_to_wait_for_the_lock_to_end_and_a_person_need_not() {
    check(
        "
        policy login=password
        tick
        +1s: crash
        waits
        +1s: crash
        waits
        +1m: status
        order login
        +1s: good
        waits
    ",
        "
        0:00:00 login
        0:00:01 restart
        0:00:01 login
        0:00:01 no wait
        0:00:02 restart
        0:00:02 waits: Unanswered
        0:01:02 Starting; login at 0:15:01 for NoToken
        0:01:02 login
        0:01:03 logged_in 16
        0:01:03 publish 16
        0:01:03 no wait
    ",
    );
}

#[test]
fn a_login_that_waits_says_whether_for_the_budget_or_for_failures() {
    let kills = "+1s: crash\n".repeat(5);
    check(
        &format!(
            "
        tick
        waits
        {kills}
        waits
        +1s: crash
        waits
        status
        serve login unavailable uncounted
        10m5s: waits
    "
        ),
        "
        0:00:00 login
        0:00:00 no wait
        0:00:01 restart
        0:00:01 login
        0:00:02 restart
        0:00:02 login
        0:00:03 restart
        0:00:03 login
        0:00:04 restart
        0:00:04 login
        0:00:05 restart
        0:00:05 login
        0:00:05 no wait
        0:00:06 restart
        0:00:06 budget_spent
        0:00:06 waits: Budget
        0:00:06 Starting; login at 0:10:00 for NoToken
        0:10:00 login
        0:10:01 failing 1
        0:10:03 login
        0:10:04 failing 2
        0:10:05 waits: Failures
    ",
    );
}

#[test]
fn a_login_does_not_wait_where_a_renewal_is_due_or_the_token_lives() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: waits
        order verify
        +1s: dead
        +1s: unavailable
        waits
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 no wait
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 renew r1
        1:00:01 hold
        1:00:02 failing 2
        1:00:02 withdraw
        1:00:02 no wait
    ",
    );
}

#[test]
fn a_login_that_brings_an_ended_token_publishes_nothing_and_is_tried_more_and_more_rarely() {
    check(
        "
        policy model=fixed idle=none
        serve login expired
        tick
        10m: status
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
        0:01:16 login
        0:01:17 failing 6
        0:01:17 budget_spent
        0:10:00 login
        0:10:00 Recovering
    ",
    );
}

#[test]
fn a_password_that_gets_no_answer_is_sent_twice_and_then_waits_for_a_lock_to_end() {
    check(
        "
        policy login=password
        serve login unavailable
        tick
        10m: status
        waits
        notice
        16m: serve login good
        31m: status
        notice
    ",
        "
        0:00:00 login
        0:00:01 failing 1
        0:00:03 login
        0:00:04 failing 2
        0:10:00 Recovering; login at 0:15:03 for NoToken
        0:10:00 waits: Unanswered
        0:10:00 two logins in a row had no answer, and one more wrong password may lock the user: the daemon sends the next one only when a lock would have ended; if the password is right, run `keepfresh login a`, else correct it
        0:15:03 login
        0:15:04 failing 3
        0:30:03 login
        0:30:04 answering 3
        0:30:04 logged_in 1
        0:30:04 publish 1
        0:31:00 Alive; ping at 2:12:33 for IdleTimeout
        0:31:00 no notice
    ",
    );
}

#[test]
fn a_password_that_never_left_is_in_no_doubt_and_another_one_is_sent_at_once() {
    check(
        "
        policy login=password
        serve login unavailable uncounted
        tick
        10s: waits
        serve login unavailable
        30s: waits
        1m: secrets secret
        waits
        serve login good
        2m: secrets another
        +2s: status
    ",
        "
        0:00:00 login
        0:00:01 failing 1
        0:00:03 login
        0:00:04 failing 2
        0:00:10 waits: Failures
        0:00:11 login
        0:00:12 failing 3
        0:00:21 login
        0:00:22 failing 4
        0:00:30 waits: Unanswered
        0:01:00 waits: Unanswered
        0:02:00 reopened
        0:02:00 login
        0:02:01 answering 4
        0:02:01 logged_in 1
        0:02:01 publish 1
        0:02:02 Alive; ping at 1:45:59 for IdleTimeout
    ",
    );
}
