//! What introspection tells: ends that move, ends that stand still, and `active: false`.

use super::check;

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

#[test]
fn an_introspected_end_further_off_than_the_timeout_puts_no_ping_off() {
    check(
        "
        policy introspect=true model=sliding
        serve login good
        serve ping alive
        serve introspect introspected 7h
        tick
        30m: order verify
        +5s: status
        3h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:30:00 ping
        0:30:01 introspect
        0:30:05 Alive; ping at 2:18:02 for IdleTimeout
        2:18:02 ping
        2:18:03 introspect
        3:00:00 Alive; ping at 4:06:04 for IdleTimeout
    ",
    );
}

#[test]
fn an_introspected_end_that_moves_by_a_second_stands_still() {
    check(
        "
        policy introspect=true model=sliding
        serve login good
        serve ping alive
        tick
        +2s: introspected 1h
        10m: order verify
        +3s: introspected 50m
        +0s: status
        20m: order verify
        +3s: introspected 40m
        +0s: status
        30m: order verify
        +3s: introspected 30m2s
        +0s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 introspect
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 introspect
        0:10:03 Alive; ping at 1:58:00 for IdleTimeout
        0:20:00 ping
        0:20:01 introspect
        0:20:03 Alive; ping at 2:08:00 for IdleTimeout
        0:30:00 ping
        0:30:01 introspect
        0:30:03 Alive; ping at 0:48:05 for IdleTimeout
    ",
    );
}
