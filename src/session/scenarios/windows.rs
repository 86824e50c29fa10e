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

#[test]
fn a_timeout_that_the_login_tells_is_believed() {
    check(
        "
        policy model=sliding
        serve login good idle=1h
        serve ping alive
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:53:12 ping
        1:47:12 ping
        2:00:00 Alive; ping at 2:41:12 for IdleTimeout
    ",
    );
}

#[test]
fn a_told_timeout_of_zero_is_no_timeout_and_makes_no_loop_of_pings() {
    check(
        "
        policy model=sliding
        serve login good idle=0s
        serve ping alive
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        2:00:00 Alive; ping at 3:35:14 for IdleTimeout
    ",
    );
}

#[test]
fn two_unexplained_deaths_teach_the_next_shorter_timeout() {
    check(
        "
        policy model=sliding
        serve login good
        serve ping dead
        tick
        5h: serve ping alive
        6h: status
        order login
        +2s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 died unexplained
        1:47:15 login
        1:47:15 hold
        1:47:16 logged_in 2
        1:47:16 publish 2
        3:29:45 ping
        3:29:46 died unexplained
        3:29:46 learned 1h, not 2h
        3:29:46 login
        3:29:46 hold
        3:29:47 logged_in 3
        3:29:47 publish 3
        4:20:47 ping
        4:20:48 died unexplained
        4:20:48 login
        4:20:48 hold
        4:20:49 logged_in 4
        4:20:49 publish 4
        5:14:35 ping
        6:00:00 Alive; ping at 6:08:35 for IdleTimeout
        6:00:00 login
        6:00:01 logged_in 5
        6:00:01 publish 5
        6:00:02 Alive; ping at 7:44:20 for IdleTimeout
    ",
    );
}

#[test]
fn a_death_that_follows_a_success_after_the_same_pause_teaches_nothing() {
    check(
        "
        policy model=sliding
        serve login good
        serve ping dead
        tick
        3h: serve ping alive
        5h: serve ping dead
        6h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 died unexplained
        1:47:15 login
        1:47:15 hold
        1:47:16 logged_in 2
        1:47:16 publish 2
        3:29:45 ping
        5:17:45 ping
        5:17:46 died unexplained
        5:17:46 login
        5:17:46 hold
        5:17:47 logged_in 3
        5:17:47 publish 3
        6:00:00 Alive; ping at 7:01:46 for IdleTimeout
    ",
    );
}

#[test]
fn an_introspected_end_that_stands_still_brings_one_ping_forward() {
    check(
        "
        policy introspect=true model=sliding
        serve login good
        serve ping alive
        serve introspect introspected 1h
        tick
        10m: serve introspect nothing
        +0s: status
        49m: introspected 11m
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:10:00 Alive; ping at 0:47:16 for IdleTimeout
        0:47:16 ping
        0:47:17 introspect
        2:00:00 Alive; ping at 2:35:16 for IdleTimeout
    ",
    );
}

#[test]
fn an_introspected_end_that_moves_replaces_the_estimate() {
    check(
        "
        policy introspect=true model=sliding
        serve login good
        serve ping alive
        serve introspect introspected 1h
        tick
        3h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:47:16 ping
        0:47:17 introspect
        1:35:18 ping
        1:35:19 introspect
        2:23:20 ping
        2:23:21 introspect
        3:00:00 Alive; ping at 3:11:22 for IdleTimeout
    ",
    );
}

#[test]
fn an_introspected_end_that_moves_replaces_the_estimate_of_a_half_window_as_well() {
    check(
        "
        policy introspect=true
        serve login good
        serve ping alive
        serve introspect introspected 2h
        tick
        30m: order verify
        +5s: status
        +10m: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:30:00 ping
        0:30:01 introspect
        0:30:05 Alive; ping at 2:18:02 for IdleTimeout
        0:40:05 ping
        0:40:06 introspect
        0:40:10 Alive; ping at 2:28:07 for IdleTimeout
    ",
    );
}

#[test]
fn an_end_that_only_introspection_tells_is_the_end_of_a_fixed_token() {
    check(
        "
        policy introspect=true model=fixed idle=none
        serve login good
        serve introspect introspected 1h
        tick
        1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:48:02 login
        0:48:03 logged_in 2
        0:48:03 introspect
        0:48:03 publish 2
        1:00:00 Alive; login at 1:36:04 for Expiry
    ",
    );
}

#[test]
fn an_end_nearer_than_the_outage_to_survive_makes_no_hot_loop() {
    check(
        "
        policy introspect=true model=sliding
        serve login good
        serve ping alive
        serve introspect introspected 2m
        tick
        5m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:00:16 ping
        0:00:17 introspect
        0:01:18 ping
        0:01:19 introspect
        0:02:20 ping
        0:02:21 introspect
        0:03:22 ping
        0:03:23 introspect
        0:04:24 ping
        0:04:25 introspect
        0:05:00 Alive; ping at 0:05:26 for IdleTimeout
    ",
    );
}

#[test]
fn inactive_proves_nothing_unless_it_was_seen_active() {
    check(
        "
        policy introspect=true
        serve login good
        serve ping alive
        serve introspect inactive
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 introspect
        2:00:00 Alive; ping at 2:35:14 for IdleTimeout
    ",
    );
}

#[test]
fn inactive_after_active_is_put_to_a_ping_once() {
    check(
        "
        policy introspect=true
        serve login good
        serve ping alive
        serve introspect introspected 2h
        tick
        1h: serve introspect inactive
        3h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 introspect
        1:47:16 ping
        1:47:17 proven
        1:47:17 introspect
        2:35:16 ping
        2:35:17 introspect
        3:00:00 Alive; ping at 3:23:16 for IdleTimeout
    ",
    );
}

#[test]
fn an_introspected_end_that_cannot_be_the_session_s_is_ignored() {
    check(
        "
        policy introspect=true model=sliding
        serve login good
        serve ping alive
        serve introspect introspected 3s
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        1:47:14 ping
        1:47:15 introspect
        2:00:00 Alive; ping at 3:35:14 for IdleTimeout
    ",
    );
}
