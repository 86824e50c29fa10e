//! What others are told of a session: counts, the latest failure, promises, notices, and from when on a token is shown.

use super::{Stage, check};

#[test]
fn every_kind_of_call_is_counted_and_a_ping_settles_failures_of_pings_and_introspection() {
    check(
        "
        policy introspect=true
        tick
        +1s: good
        +1s: introspected 2h
        record
        order verify
        +1s: unavailable quota=api
        record
        +1m: order verify
        +1s: alive
        +1s: unavailable
        record
        +1m: order verify
        +1s: alive
        record
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:00:02 0 pings 0 renewals 1 logins 1 introspections 0 failed; all well; 0 quotas
        0:00:02 ping
        0:00:03 failing 1
        0:00:03 1 pings 0 renewals 1 logins 1 introspections 1 failed; ping unavailable; 1 quotas
        0:01:03 ping
        0:01:04 answering 1
        0:01:04 introspect
        0:01:05 2 pings 0 renewals 1 logins 2 introspections 2 failed; introspect unavailable; 1 quotas
        0:02:05 ping
        0:02:06 introspect
        0:02:06 3 pings 0 renewals 1 logins 2 introspections 2 failed; all well; 1 quotas
    ",
    );
}

#[test]
fn the_failure_of_a_renewal_is_settled_by_a_token_and_by_nothing_less() {
    check(
        "
        policy introspect=true
        tick
        +1s: good refresh=r1
        +1s: introspected 2h
        order renew
        +1s: throttled 1s
        record
        order verify
        +1s: alive
        +1s: introspected 2h
        record
        +1m: order renew
        +1s: good
        record
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:00:02 renew r1
        0:00:03 throttled 1s
        0:00:03 0 pings 1 renewals 1 logins 1 introspections 1 failed; renew throttled; 0 quotas
        0:00:03 ping
        0:00:04 introspect
        0:00:05 1 pings 1 renewals 1 logins 2 introspections 1 failed; renew throttled; 0 quotas
        0:01:05 renew r1
        0:01:06 renewed 2
        0:01:06 introspect
        0:01:06 publish 2
        0:01:06 1 pings 2 renewals 1 logins 2 introspections 1 failed; all well; 0 quotas
    ",
    );
}

#[test]
fn a_token_is_shown_before_the_disk_has_it_only_where_a_kill_costs_one_login() {
    for (first, before, second, expected) in [
        ("good", "dead", "good", "shown at once"),
        ("good", "dead", "good refresh=r1", "shown once written"),
        (
            "good refresh=r1",
            "dead\n+1s: in_doubt",
            "good",
            "shown once written",
        ),
        ("good", "alive\norder login", "good", "shown once written"),
    ] {
        let script = format!(
            "tick\n+1s: {first}\nshows\n1h: order verify\n+1s: {before}\n+1s: {second}\nshows"
        );
        let said: Vec<String> = Stage::play(&script)
            .into_iter()
            .filter(|line| line.contains("shown"))
            .collect();
        let said: Vec<&str> = said
            .iter()
            .filter_map(|line| line.split_once(' '))
            .map(|(_, said)| said)
            .collect();
        assert_eq!(
            said,
            ["shown once written", expected],
            "{first} {before} {second}"
        );
    }
}

#[test]
fn a_token_that_no_ping_can_prove_is_shown_once_written() {
    check(
        "
        policy ping=false model=fixed idle=none
        tick
        +1s: good life=1m
        serve login unavailable uncounted
        1m20s: serve login good life=1m
        +15s: shows
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:30 login
        0:00:31 failing 1
        0:00:34 login
        0:00:35 failing 2
        0:00:38 login
        0:00:39 failing 3
        0:00:44 login
        0:00:45 failing 4
        0:00:48 login
        0:00:49 failing 5
        0:00:58 login
        0:00:59 failing 6
        0:01:00 expired 1
        0:01:00 hold
        0:01:05 withdraw
        0:01:15 login
        0:01:16 failing 7
        0:01:35 shown once written
    ",
    );
}

#[test]
fn nothing_is_promised_of_a_token_in_doubt() {
    check(
        "
        policy model=fixed idle=none
        serve ping alive
        tick
        +1s: good
        promise
        reconfigure model=sliding idle=2h
        promise
        +2s: promise
        1h: order pause
        jump
        promise
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 None of None, by ping: true
        0:00:01 Some(7199s) of Some(6480s), by ping: true
        0:00:03 Some(7197s) of Some(6480s), by ping: true
        1:00:00 paused
        1:00:00 Some(0ns) of Some(6480s), by ping: true
    ",
    );
}

#[test]
fn a_person_is_told_beforehand_of_a_login_that_nothing_but_a_person_can_replace() {
    check(
        "
        policy login=person idle=none
        tick
        notice
        person good
        notice
        order verify
        +1s: dead?
        notice
        +2s: alive
        person good life=1h
        notice
        person good refresh=r1
        notice
        person good
        order logout
        notice
    ",
        "
        0:00:00 no notice
        0:00:00 logged_in 1
        0:00:00 publish 1
        0:00:00 the server gave no refresh token: when the server ends it, a person must run `keepfresh login a`
        0:00:00 ping
        0:00:01 doubtful Ambiguous
        0:00:01 the server gave no refresh token: when the server ends it, a person must run `keepfresh login a`
        0:00:02 ping
        0:00:03 proven
        0:00:03 logged_in 2
        0:00:03 publish 2
        0:00:03 the server gave no refresh token: when its token ends, a person must run `keepfresh login a`
        0:00:03 logged_in 3
        0:00:03 publish 3
        0:00:03 no notice
        0:00:03 logged_in 4
        0:00:03 publish 4
        0:00:03 logout
        0:00:03 withdraw
        0:00:03 no notice
    ",
    );
}

#[test]
fn a_daemon_that_logs_in_by_itself_gives_no_notice() {
    check(
        "
        tick
        +1s: good
        notice
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 no notice
    ",
    );
}

#[test]
fn a_refresh_token_that_a_login_did_not_bring_again_is_missed_once_the_token_is_dead() {
    check(
        "
        policy login=seed
        seed r1
        +1s: good
        person good
        order verify
        +1s: dead
        status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:00:01 logged_in 2
        0:00:01 publish 2
        0:00:01 ping
        0:00:02 died unexplained
        0:00:02 withdraw
        0:00:02 NeedsAttention: there is no refresh token
    ",
    );
}

#[test]
fn a_dead_token_is_read_for_five_seconds_at_most_even_if_nobody_looks_at_its_session() {
    check(
        "
        tick
        +1s: good
        10m: rejected 1
        +1s: dead
        unseen 4s
        unseen 4999ms
        unseen 5s
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 doubtful Report
        0:10:00 ping
        0:10:01 died unexplained
        0:10:01 login
        0:10:01 hold
        0:10:01 unseen: Hold
        0:10:01 unseen: Hold
        0:10:01 unseen: Withdraw
    ",
    );
}
