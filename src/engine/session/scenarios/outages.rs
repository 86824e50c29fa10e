//! A server that answers nothing, or asks to wait.

use super::check;

#[test]
fn an_outage_costs_three_tries_and_one_last_before_the_deadline() {
    check(
        "
        policy idle=20m survive=2m
        serve login good
        serve ping alive
        tick
        20m: serve ping unavailable
        27m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:17:45 ping
        0:25:45 ping
        0:25:46 failing 1
        0:25:49 ping
        0:25:50 failing 2
        0:25:53 ping
        0:25:54 failing 3
        0:25:59 ping
        0:26:00 failing 4
        0:26:03 ping
        0:26:04 failing 5
        0:26:13 ping
        0:26:14 failing 6
        0:26:31 ping
        0:26:32 failing 7
        0:26:56 ping
        0:26:57 failing 8
        0:27:00 Alive; ping at 0:27:01 for IdleTimeout
    ",
    );
}

#[test]
fn a_hanging_server_costs_three_tries_as_well() {
    check(
        "
        policy idle=10m survive=1m
        serve login good
        serve ping unavailable hang
        tick
        10m: status
        12m: tick
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:08:36 ping
        0:08:51 failing 1
        0:08:54 ping
        0:09:09 failing 2
        0:09:12 ping
        0:09:27 failing 3
        0:09:32 ping
        0:09:47 failing 4
        0:09:50 ping
        0:10:00 failing 5
        0:10:00 Recovering; ping at 0:10:08 for IdleTimeout
        0:10:08 ping
        0:10:28 failing 6
        0:10:45 ping
        0:11:05 failing 7
        0:11:29 ping
        0:11:49 failing 8
        0:11:53 ping
    ",
    );
}

#[test]
fn throttled_calls_wait_as_told() {
    check(
        "
        serve login good
        tick
        10m: order verify
        +1s: throttled 30m
        +1s: rejected 1
        +1m: status
        41m: tick
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 throttled 30m
        0:10:02 doubtful Report
        0:11:02 Recovering; ping at 0:40:01 for Doubt(Report)
        0:40:01 ping
    ",
    );
}

#[test]
fn a_server_that_throttles_for_no_time_is_asked_less_and_less() {
    check(
        "
        policy reuse=true
        serve login good
        serve ping throttled 0s
        tick
        4m: tick
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:08 ping
        0:00:09 throttled 0s
        0:00:12 ping
        0:00:13 throttled 0s
        0:00:16 ping
        0:00:17 throttled 0s
        0:00:22 ping
        0:00:23 throttled 0s
        0:00:26 ping
        0:00:27 throttled 0s
        0:00:36 ping
        0:00:37 throttled 0s
        0:00:53 ping
        0:00:54 throttled 0s
        0:01:19 ping
        0:01:20 throttled 0s
        0:01:23 ping
        0:01:24 throttled 0s
        0:01:29 ping
        0:01:30 throttled 0s
        0:01:39 ping
        0:01:40 throttled 0s
        0:01:52 ping
        0:01:53 throttled 0s
        0:02:26 ping
        0:02:27 throttled 0s
    ",
    );
}

#[test]
fn pings_that_failed_and_go_well_again_are_told_once_with_their_number() {
    check(
        "
        serve login good
        serve ping unavailable
        tick
        10m: order verify
        +40s: serve ping alive
        +5m: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 failing 1
        0:15:40 ping
        0:15:41 answering 1
        0:15:45 Alive; ping at 1:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_short_window_waits_no_longer_than_its_quarter_for_a_login_that_fails_or_a_server_that_asks_to_wait()
 {
    check(
        "
        policy idle=40s survive=4s
        serve login unavailable uncounted
        tick
        2m: status
        serve login nothing
        +10s: throttled
        +1ms: status
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
        0:00:49 login
        0:00:50 failing 8
        0:01:00 login
        0:01:01 failing 9
        0:01:03 login
        0:01:04 failing 10
        0:01:06 login
        0:01:07 failing 11
        0:01:12 login
        0:01:13 failing 12
        0:01:23 login
        0:01:24 failing 13
        0:01:34 login
        0:01:35 failing 14
        0:01:45 login
        0:01:46 failing 15
        0:01:56 login
        0:01:57 failing 16
        0:02:00 Recovering; login at 0:02:00 for NoToken
        0:02:00 login
        0:02:10 throttled 10s
        0:02:10 Recovering; login at 0:02:20 for NoToken
    ",
    );
}

#[test]
fn a_server_that_does_not_say_how_long_to_wait_is_left_alone_for_half_a_minute() {
    check(
        "
        tick
        +1s: throttled
        status
    ",
        "
        0:00:00 login
        0:00:01 throttled 30s
        0:00:01 Recovering; login at 0:00:31 for NoToken
    ",
    );
}

#[test]
fn a_ping_that_succeeds_ends_no_failure_of_the_renewal() {
    check(
        "
        serve login good refresh=r1
        serve ping alive
        tick
        10m: order renew
        +1s: unavailable
        +1s: order verify
        +5s: order renew
        +1s: good
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 renew r1
        0:10:01 failing 1
        0:10:02 ping
        0:10:07 renew r1
        0:10:08 answering 1
        0:10:08 renewed 2
        0:10:08 publish 2
    ",
    );
}
