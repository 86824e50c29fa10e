//! Everything that happens by itself: expiry, the refresh token, the absolute limit, outages, jumps, sleep.

use super::check;

#[test]
fn a_token_with_an_end_is_replaced_before_it() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=1h
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:48:00 login
        0:48:01 logged_in 2
        0:48:01 publish 2
        1:36:00 login
        1:36:01 logged_in 3
        1:36:01 publish 3
        2:00:00 Alive; login at 2:24:00 for Expiry
    ",
    );
}

#[test]
fn a_token_with_an_end_is_renewed_where_that_is_possible() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=1h refresh=r1
        serve renew good life=1h refresh=r2
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:48:00 renew r1
        0:48:01 renewed 2
        0:48:01 publish 2
        1:36:00 renew r2
        1:36:01 renewed 3
        1:36:01 publish 3
        2:00:00 Alive; renew at 2:24:00 for Expiry
    ",
    );
}

#[test]
fn a_token_that_cannot_be_replaced_expires_and_is_withdrawn() {
    check(
        "
        policy model=fixed idle=none survive=1m
        serve login good life=10m
        tick
        5m: serve login unavailable
        10m10s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:09:00 login
        0:09:01 failing 1
        0:09:03 login
        0:09:04 failing 2
        0:09:09 login
        0:09:10 failing 3
        0:09:18 login
        0:09:19 failing 4
        0:09:36 login
        0:09:37 failing 5
        0:10:00 expired 1
        0:10:00 hold
        0:10:05 withdraw
        0:10:10 Recovering; login at 0:10:11 for Dead
    ",
    );
}

#[test]
fn a_login_before_the_end_that_brings_the_same_token_is_not_repeated_at_once() {
    check(
        "
        policy model=fixed idle=none renew_before=20m
        tick
        +1s: good t1 life=1h
        serve login good same life=15m
        50m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:40:00 login
        0:40:01 same_token
        0:47:30 login
        0:47:31 logged_in 1
        0:50:00 Alive; login at 0:55:01 for Expiry
    ",
    );
}

#[test]
fn a_refresh_token_is_exercised_at_a_third_of_its_idle_limit() {
    check(
        "
        policy refresh_idle=30d idle=none
        serve login good refresh=r1
        serve renew good refresh=r2
        tick
        25d: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        240:00:00 renew r1
        240:00:01 renewed 2
        240:00:01 publish 2
        480:00:00 renew r2
        480:00:01 renewed 3
        480:00:01 publish 3
        600:00:00 Alive; renew at 720:00:00 for RefreshTokenIdle
    ",
    );
}

#[test]
fn the_server_s_word_on_the_refresh_token_wins() {
    check(
        "
        policy refresh_idle=30d idle=none
        serve login good refresh=r1 refresh_life=3d
        serve renew good same
        tick
        2d12h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        24:00:00 renew r1
        24:00:01 same_token
        48:00:00 renew r1
        48:00:01 same_token
        60:00:00 Alive; renew at 72:00:00 for RefreshTokenIdle
    ",
    );
}

#[test]
fn before_the_absolute_limit_a_login_brings_the_next_life() {
    check(
        "
        policy max=24h idle=none
        serve login good
        tick
        3d: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        23:30:01 login
        23:30:02 logged_in 2
        23:30:02 publish 2
        47:00:02 login
        47:00:03 logged_in 3
        47:00:03 publish 3
        70:30:03 login
        70:30:04 logged_in 4
        70:30:04 publish 4
        72:00:00 Alive; login at 94:00:04 for MaxLifetime
    ",
    );
}

#[test]
fn a_dead_token_is_withdrawn_after_five_seconds() {
    check(
        "
        tick
        +1s: good
        +1s: order verify
        +1s: dead
        +10s: good
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:02 ping
        0:00:03 died unexplained
        0:00:03 login
        0:00:03 hold
        0:00:08 withdraw
        0:00:13 logged_in 2
        0:00:13 publish 2
    ",
    );
}

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
fn a_jump_of_the_clock_is_put_to_a_ping() {
    check(
        "
        serve login good
        serve ping alive
        tick
        10m: jump
        11m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:08 ping
        0:10:09 proven
        0:11:00 Alive; ping at 1:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_jump_without_a_ping_changes_nothing() {
    check(
        "
        policy ping=false idle=none
        serve login good life=8h
        tick
        10m: jump
        11m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:11:00 Alive; login at 7:12:00 for Expiry
    ",
    );
}

#[test]
fn outside_the_active_hours_a_session_may_lapse() {
    check(
        "
        serve login good
        serve ping alive
        tick
        10m: active false
        3h: status
        4h: serve ping dead
        +0s: active true
        5h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 dormant
        2:00:00 withdraw
        3:00:00 Dormant
        4:00:00 woken
        4:00:00 ping
        4:00:00 hold
        4:00:01 died
        4:00:01 login
        4:00:02 logged_in 2
        4:00:02 publish 2
        5:00:00 Alive; ping at 5:42:30 for IdleTimeout
    ",
    );
}

#[test]
fn a_read_wakes_a_dormant_session_for_one_window() {
    check(
        "
        serve login good
        serve ping alive
        tick
        10m: active false
        3h: wanted 1m
        3h1m: status
        8h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 dormant
        2:00:00 withdraw
        3:00:00 woken
        3:00:00 ping
        3:00:00 hold
        3:00:01 proven
        3:00:01 publish 1
        3:01:00 Alive
        4:00:00 withdraw
        8:00:00 Dormant
    ",
    );
}

#[test]
fn a_report_wakes_a_dormant_session() {
    check(
        "
        serve login good
        serve ping dead
        tick
        10m: active false
        20m: rejected 1
        30m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 dormant
        0:20:00 doubtful Report
        0:20:00 ping
        0:20:01 died unexplained
        0:20:01 login
        0:20:01 hold
        0:20:02 logged_in 2
        0:20:02 publish 2
        0:30:00 Alive
    ",
    );
}

#[test]
fn a_jump_at_night_shows_no_lapsed_token() {
    check(
        "
        serve login good
        serve ping alive
        tick
        10m: active false
        3h: jump
        4h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 dormant
        2:00:00 withdraw
        4:00:00 Dormant
    ",
    );
}

#[test]
fn a_dormant_session_still_exercises_its_refresh_token() {
    check(
        "
        policy refresh_idle=3d
        serve login good refresh=r1
        serve renew good refresh=r2
        serve ping alive
        tick
        10m: active false
        30h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 dormant
        2:00:00 withdraw
        24:00:00 renew r1
        24:00:01 renewed 2
        24:00:01 publish 2
        26:00:00 withdraw
        30:00:00 Dormant; renew at 48:00:00 for RefreshTokenIdle
    ",
    );
}

#[test]
fn a_pause_stops_everything_and_a_late_resume_proves_the_token_first() {
    check(
        "
        serve login good
        serve ping alive
        tick
        10m: order pause
        5h: status
        order resume
        5h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 paused
        5:00:00 Paused
        5:00:00 resumed
        5:00:00 ping
        5:00:00 hold
        5:00:01 proven
        5:00:01 publish 1
        5:01:00 Alive; ping at 5:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn drained_nothing_begins() {
    check(
        "
        serve login good
        tick
        1m: drain
        5h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        5:00:00 Recovering
    ",
    );
}

#[test]
fn a_life_of_a_second_is_not_renewed_more_than_once_a_second() {
    check(
        "
        policy model=fixed idle=none
        tick
        +1s: good life=1200ms refresh=r1
        serve renew good life=1200ms
        6s: tick
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 expired 1
        0:00:01 hold
        0:00:02 renew r1
        0:00:03 renewed 2
        0:00:03 publish 2
        0:00:03 expired 2
        0:00:03 hold
        0:00:04 renew r1
        0:00:05 renewed 3
        0:00:05 publish 3
        0:00:05 expired 3
        0:00:05 hold
        0:00:06 renew r1
    ",
    );
}
