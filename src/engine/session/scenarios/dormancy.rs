//! Outside the active hours.

use super::check;

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
