//! Renewals whose outcome is unknown, and what is presented after them.

use super::check;
use super::script::Stage;

#[test]
fn a_lost_renewal_keeps_the_token_that_lives_and_the_refresh_token_unused() {
    check(
        "
        policy refresh_idle=3d idle=none
        serve login good refresh=r1
        serve ping alive
        tick
        1h: order renew
        +20s: in_doubt
        30h: order renew
        +1m: serve ping dead
        +0s: order verify
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:00:20 in_doubt
        1:00:20 ping
        1:00:21 proven
        30:01:00 ping
        30:01:01 died
        30:01:01 login
        30:01:01 hold
        30:01:02 logged_in 2
        30:01:02 publish 2
        30:02:00 Alive; renew at 54:01:01 for RefreshTokenIdle
    ",
    );
}

#[test]
fn a_lost_renewal_without_a_login_is_presented_again_when_the_token_is_dead() {
    check(
        "
        policy login=seed
        tick
        seed r1
        +1s: good refresh=r2
        1m: order renew
        +20s: in_doubt
        +1s: dead
        +10s: in_doubt
        +10s: grant_dead
        +1s: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:01:00 renew r2
        0:01:20 in_doubt
        0:01:20 ping
        0:01:21 died unexplained
        0:01:21 renew r2
        0:01:21 hold
        0:01:26 withdraw
        0:01:31 in_doubt
        0:01:37 renew r2
        0:01:41 grant_dead
        0:01:42 NeedsAttention: the refresh token is expired, revoked or spent: grant_dead
    ",
    );
}

#[test]
fn kills_in_the_renewals_of_a_token_of_three_seconds_leave_no_long_pause_behind() {
    let kills = "+4s: crash\n".repeat(12);
    let script = format!(
        "
        policy life=3s model=fixed idle=none
        serve login good refresh=r1
        serve ping alive
        tick
        {kills}
        serve renew good
        +8s: status
    "
    );
    let happened = Stage::play(&script);
    let logins = happened
        .iter()
        .filter(|line| line.contains("logged_in"))
        .count();
    assert_eq!(
        logins, 13,
        "one at the start, and one right after each kill: {happened:#?}"
    );
    assert!(
        happened
            .last()
            .is_some_and(|last| last.contains("Alive") || last.contains("Renewing")),
        "{happened:#?}"
    );
    let is_call = |line: &&String| {
        ["login", "renew", "ping"]
            .iter()
            .any(|word| line.contains(&format!(" {word}")))
    };
    assert!(
        happened.iter().filter(is_call).count() <= 60,
        "{happened:#?}"
    );
}

#[test]
fn a_renewal_ordered_during_another_is_that_one_and_presents_no_refresh_token_again() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order renew
        +1s: order renew
        +1s: in_doubt
        +1s: alive
        +1m: order renew_when_free
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:00:02 in_doubt
        1:00:02 ping
        1:00:03 proven
        1:02:03 Alive; ping at 1:48:02 for IdleTimeout
    ",
    );
}

#[test]
fn an_intent_found_at_restart_is_a_doubt() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order renew
        +1s: crash
        +1s: alive
        +1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:00:01 restart
        1:00:01 ping
        1:00:02 proven
        1:48:01 ping
        2:00:02 Recovering
    ",
    );
}

#[test]
fn after_a_login_in_doubt_the_old_refresh_token_is_never_presented() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order renew
        +1s: crash
        +1s: serve login good
        +0s: dead
        +1m: order verify
        +1s: dead
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:00:01 restart
        1:00:01 ping
        1:00:02 died unexplained
        1:00:02 login
        1:00:02 hold
        1:00:03 logged_in 17
        1:00:03 publish 17
        1:01:02 ping
        1:01:03 died unexplained
        1:01:03 login
        1:01:03 hold
        1:01:04 logged_in 18
        1:01:04 publish 18
        1:02:03 Alive; ping at 2:41:58 for IdleTimeout
    ",
    );
}

#[test]
fn a_renewal_whose_intent_cannot_be_stored_is_not_made() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order renew
        +0s: unwritten
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:01:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn concurrent_renewals_are_tried_three_times_again() {
    check(
        "
        serve login good refresh=r1
        serve ping dead
        serve renew concurrent
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
        1:00:01 renew r1
        1:00:01 hold
        1:00:03 renew r1
        1:00:05 renew r1
        1:00:06 withdraw
        1:00:07 renew r1
        1:00:08 grant_dead
        1:00:08 login
        1:00:09 logged_in 2
        1:00:09 publish 2
        1:01:00 Alive; ping at 2:42:37 for IdleTimeout
    ",
    );
}

#[test]
fn a_person_is_told_of_a_refresh_token_that_may_be_spent_before_the_token_ends() {
    check(
        "
        policy login=seed model=fixed idle=none
        serve ping alive
        seed r1
        +1s: good life=1h
        notice
        10m: order renew
        +1s: crash
        notice
        +1m: status
        1h5s: good refresh=r2
        notice
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:00:01 no notice
        0:10:00 renew r1
        0:10:01 restart
        0:10:01 ping
        0:10:01 a renewal had no usable answer, and its refresh token may be spent: the daemon presents it once more when the token has ended; if the server refuses it, a person must run `keepfresh login a`
        0:10:02 proven
        0:11:01 Alive
        1:00:00 expired 1
        1:00:00 renew r1
        1:00:00 hold
        1:00:05 withdraw
        1:00:05 renewed 17
        1:00:05 publish 17
        1:00:05 no notice
    ",
    );
}

#[test]
fn a_renewal_that_presents_a_refresh_token_is_not_made_without_one() {
    check(
        "
        policy renew_by_profile=true renewal_needs_refresh_token=true model=fixed idle=none
        serve ping alive
        serve login good life=1h refresh=r1
        serve renew grant_dead
        tick
        55m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:48:00 renew r1
        0:48:01 grant_dead
        0:48:01 ping
        0:48:02 proven
        0:48:02 login
        0:48:03 logged_in 2
        0:48:03 publish 2
        0:55:00 Alive; renew at 1:36:02 for Expiry
    ",
    );
}

#[test]
fn a_renewal_that_brings_an_ended_token_is_followed_by_a_login_and_not_presented_again() {
    check(
        "
        policy model=fixed idle=none
        serve login good refresh=r1 life=1h
        tick
        serve renew expired
        3h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:48:00 renew r1
        0:48:01 failing 1
        0:48:01 login
        0:48:02 answering 0
        0:48:02 logged_in 2
        0:48:02 publish 2
        1:36:01 renew r1
        1:36:02 failing 2
        1:36:02 login
        1:36:03 answering 0
        1:36:03 logged_in 3
        1:36:03 publish 3
        2:24:02 renew r1
        2:24:03 failing 3
        2:24:03 login
        2:24:04 answering 0
        2:24:04 logged_in 4
        2:24:04 publish 4
        3:00:00 Alive; renew at 3:12:03 for Expiry
    ",
    );
}

#[test]
fn a_renewal_that_brings_an_ended_token_keeps_the_refresh_token_beside_it() {
    check(
        "
        policy login=seed model=fixed idle=none
        tick
        seed r1
        +1s: good refresh=r2 life=1h
        30m: order renew
        +1s: expired refresh=r3
        +1m: status
        48m: status
        +1s: grant_dead
        2h: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:30:00 renew r2
        0:30:01 failing 1
        0:31:01 Alive; renew at 0:48:00 for Expiry
        0:48:00 renew r3
        0:48:00 Renewing
        0:48:01 grant_dead
        0:48:01 ping
        1:00:00 expired 1
        1:00:00 hold
        1:00:05 withdraw
        2:00:00 NeedsAttention: the refresh token is expired, revoked or spent: grant_dead
    ",
    );
}

#[test]
fn a_refresh_token_that_cannot_be_kept_leaves_the_one_before_it_for_when_the_token_has_ended() {
    check(
        "
        policy login=seed model=fixed idle=none
        tick
        seed r1
        +1s: good refresh=r2 life=1h
        30m: order renew
        +1s: good odd_refresh life=1h
        +1m: status
        90m: status
        +1s: grant_dead
        2h: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:30:00 renew r2
        0:30:01 refresh_token_odd
        0:30:01 renewed 2
        0:30:01 publish 2
        0:31:01 Alive
        1:30:00 expired 2
        1:30:00 renew r2
        1:30:00 hold
        1:30:00 Recovering
        1:30:01 grant_dead
        1:30:01 withdraw
        2:00:00 NeedsAttention: the refresh token is expired, revoked or spent: grant_dead
    ",
    );
}
