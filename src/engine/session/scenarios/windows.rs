//! What restarts the idle timer, and when the next ping is due for it.

use super::check;

#[test]
fn a_shared_half_window_is_pinged_every_48_minutes() {
    check(
        "
        serve login good
        serve ping alive
        tick
        5h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        2:35:14 ping
        3:23:14 ping
        4:11:14 ping
        4:59:14 ping
        5:00:00 Alive; ping at 5:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_half_window_that_nobody_else_uses_is_pinged_when_nine_tenths_are_over() {
    check(
        "
        policy shared=false
        serve login good
        serve ping alive
        tick
        6h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        3:35:14 ping
        5:23:14 ping
        6:00:00 Alive; ping at 7:11:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_sliding_window_counts_from_the_last_ping() {
    check(
        "
        policy model=sliding
        serve login good
        serve ping alive
        tick
        6h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        3:35:14 ping
        5:23:14 ping
        6:00:00 Alive; ping at 7:11:14 for IdleTimeout
    ",
    );
}

#[test]
fn an_explicit_window_is_not_moved_by_use() {
    check(
        "
        policy model=explicit
        serve login good
        serve ping alive
        tick
        1h: used 1 0s
        4h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        3:35:14 ping
        4:00:00 Alive; ping at 5:23:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_fixed_window_is_never_pinged() {
    check(
        "
        policy model=fixed
        serve login good life=1h
        serve ping alive
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
fn without_an_idle_timeout_nothing_is_done() {
    check(
        "
        policy idle=none
        serve login good
        tick
        100d: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        2400:00:00 Alive
    ",
    );
}

#[test]
fn a_login_that_may_reuse_a_session_is_followed_by_a_ping() {
    check(
        "
        policy reuse=true
        serve login good
        serve ping alive
        tick
        1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:08 ping
        0:47:23 ping
        1:00:00 Alive; ping at 1:35:23 for IdleTimeout
    ",
    );
}

#[test]
fn use_with_an_age_counts_like_a_ping_and_without_one_it_does_not() {
    check(
        "
        policy model=sliding
        serve login good
        serve ping alive
        tick
        1h: used 1
        +0s: status
        1h30m: used 1 10m
        +0s: status
        1h35m: used 7 0s
        +0s: status
        1h40m: used 1 1h30m
        +0s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 Alive; ping at 1:47:14 for IdleTimeout
        1:30:00 Alive; ping at 2:51:19 for IdleTimeout
        1:35:00 Alive; ping at 2:51:19 for IdleTimeout
        1:40:00 Alive; ping at 2:51:19 for IdleTimeout
    ",
    );
}
