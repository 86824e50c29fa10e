//! Jobs that hold the token while they run.

use super::check;

#[test]
fn a_renewal_waits_for_the_job_and_follows_at_once_when_it_ends() {
    check(
        "
        policy model=fixed idle=none renew_before=20m
        serve login good life=2h refresh=R
        serve renew good B life=2h refresh=R
        tick
        1h30m: held 40m
        1h35m: status
        1h45m: status
        1h46m: held
        1h47m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:35:00 Alive; renew at 1:53:20 for Expiry
        1:45:00 Alive; renew at 1:53:20 for Expiry
        1:46:00 renew R
        1:46:01 renewed 2
        1:46:01 publish 2
        1:47:00 Alive; renew at 3:26:00 for Expiry
    ",
    );
}

#[test]
fn a_hold_gives_way_while_there_is_still_time_to_fail_twice() {
    check(
        "
        policy model=fixed idle=none renew_before=20m
        serve login good life=2h refresh=R
        serve renew unavailable
        tick
        1h30m: held 10h
        1h54m: status
        serve renew good B life=2h refresh=R
        1h56m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:53:20 renew R
        1:53:21 failing 1
        1:53:23 renew R
        1:53:24 failing 2
        1:53:28 renew R
        1:53:29 failing 3
        1:53:34 renew R
        1:53:35 failing 4
        1:53:38 renew R
        1:53:39 failing 5
        1:53:48 renew R
        1:53:49 failing 6
        1:54:00 Alive; renew at 1:54:05 for Expiry
        1:54:05 renew R
        1:54:06 answering 6
        1:54:06 renewed 2
        1:54:06 publish 2
        1:56:00 Alive; renew at 3:47:25 for Expiry
    ",
    );
}

#[test]
fn what_is_no_choice_waits_for_nobody() {
    check(
        "
        serve login good refresh=R
        serve renew good B refresh=R
        serve ping dead
        tick
        10m: held 10h
        20m: rejected 1
        21m: order renew
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:20:00 doubtful Report
        0:20:00 ping
        0:20:01 died unexplained
        0:20:01 renew R
        0:20:01 hold
        0:20:02 renewed 2
        0:20:02 publish 2
        0:21:00 renew R
    ",
    );
}

#[test]
fn the_calendars_renewal_waits_and_an_admins_does_not() {
    check(
        "
        serve login good refresh=R
        serve renew good B refresh=R
        serve ping alive
        tick
        10m: held 20m
        15m: order renew_when_free
        16m: status
        17m: order verify
        31m: serve renew good C refresh=R
        32m: held 20m
        33m: order renew
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:16:00 Alive; renew at 0:30:00 for Ordered
        0:17:00 ping
        0:30:00 renew R
        0:30:01 renewed 2
        0:30:01 publish 2
        0:33:00 renew R
    ",
    );
}

#[test]
fn a_reader_who_wants_more_waits_only_where_a_renewal_kills() {
    let script = |kills: &str| {
        format!(
            "
        policy model=fixed idle=none renew_before=5m renewal_kills={kills}
        serve login good life=2h refresh=R
        serve renew good B life=2h refresh=R
        tick
        1h: held 10m
        1h1m: wanted 90m
        1h2m: status
        1h11m: status
    "
        )
    };
    check(
        &script("true"),
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:02:00 Alive; renew at 1:10:00 for Ordered
        1:10:00 renew R
        1:10:01 renewed 2
        1:10:01 publish 2
        1:11:00 Alive; renew at 3:05:00 for Expiry
    ",
    );
    check(
        &script("false"),
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:01:00 renew R
        1:01:01 renewed 2
        1:01:01 publish 2
        1:02:00 Alive; renew at 2:56:00 for Expiry
        1:11:00 Alive; renew at 2:56:00 for Expiry
    ",
    );
}
