//! Restarts, jumps of the clock and pauses: what may have happened meanwhile.

use super::{Stage, check};

#[test]
fn a_restart_with_a_living_token_makes_no_call() {
    check(
        "
        serve login good
        serve ping alive
        tick
        1h: restart
        1h30m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 restart
        1:30:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_restart_past_the_deadline_pings_before_it_publishes() {
    check(
        "
        serve login good
        tick
        +1m: order pause
        3h: order resume
        restart
        +1s: alive
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 paused
        3:00:00 resumed
        3:00:00 ping
        3:00:00 hold
        3:00:00 restart
        3:00:00 ping
        3:00:01 proven
        3:00:01 publish 1
        3:00:02 Alive; ping at 3:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_restart_after_an_unknown_time_asks_first() {
    check(
        "
        serve login good
        serve ping alive
        tick
        10m: restart uncertain
        11m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 restart
        0:10:00 ping
        0:10:00 hold
        0:10:01 proven
        0:10:01 publish 1
        0:11:00 Alive; ping at 1:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_restart_of_unknown_age_does_not_wait_for_the_back_off_of_before_it() {
    let happened = Stage::play(
        "
        serve login good
        tick
        serve ping unavailable
        10m: jump
        25m: status
        restart uncertain
    ",
    );
    let said = |line: &str| happened.iter().any(|happened| happened.starts_with(line));
    assert!(
        said("0:25:00 Recovering; ping at 0:29:") && said("0:25:00 ping"),
        "{happened:#?}"
    );
}

#[test]
fn a_superseded_state_is_proven_under_a_later_generation_and_spends_no_refresh_token_that_may_be_rotated()
 {
    check(
        "
        serve login good refresh=r1
        tick
        10m: restart superseded
        +1s: dead
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 restart
        0:10:00 ping
        0:10:00 hold
        0:10:01 died unexplained
        0:10:01 login
        0:10:02 logged_in 18
        0:10:02 publish 18
        0:10:02 Alive; ping at 1:52:30 for IdleTimeout
    ",
    );
    check(
        "
        policy login=person
        seed r0
        serve renew good refresh=r1
        tick
        10m: restart superseded
        +1s: alive
        +1s: status
        notice
    ",
        "
        0:00:00 seeded
        0:00:00 renew r0
        0:00:01 renewed 1
        0:00:01 publish 1
        0:10:00 restart
        0:10:00 ping
        0:10:00 hold
        0:10:01 proven
        0:10:01 publish 17
        0:10:02 Alive; ping at 1:48:00 for IdleTimeout
        0:10:02 a renewal had no usable answer, and its refresh token may be spent: the daemon presents it once more when the token has ended; if the server refuses it, a person must run `keepfresh login a`
    ",
    );
}

#[test]
fn a_superseded_token_without_a_ping_is_replaced_by_a_login_where_there_is_one_and_else_kept() {
    check(
        "
        policy ping=false model=fixed idle=none
        serve login good life=8h refresh=r1
        tick
        10m: restart superseded
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 restart
        0:10:00 login
        0:10:00 withdraw
        0:10:01 logged_in 18
        0:10:01 publish 18
        0:10:01 Alive; renew at 7:22:00 for Expiry
    ",
    );
    check(
        "
        policy ping=false model=fixed idle=none login=person
        seed r0
        serve renew good life=8h refresh=r1
        tick
        10m: restart superseded
        +1s: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r0
        0:00:01 renewed 1
        0:00:01 publish 1
        0:10:00 restart
        0:10:00 publish 17
        0:10:01 Alive
    ",
    );
}

#[test]
fn an_unclear_no_settles_a_doubt_that_an_absence_raised() {
    check(
        "
        policy model=sliding idle=10m survive=1m
        serve login good
        serve ping dead?
        tick
        +1s: order pause
        3h: restart
        order resume
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 paused
        3:00:00 restart
        3:00:00 hold
        3:00:00 resumed
        3:00:00 ping
        3:00:01 died
        3:00:01 login
        3:00:02 logged_in 17
        3:00:02 publish 17
        3:00:05 Alive; ping at 3:08:29 for IdleTimeout
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
fn a_clock_that_jumps_on_and_on_does_not_put_off_the_ping() {
    check(
        "
        serve login good
        serve ping alive
        tick
        10m: jump
        +4s: jump
        +3s: jump
        +3s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:08 ping
        0:10:09 proven
        0:10:10 Alive; ping at 1:48:00 for IdleTimeout
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
fn a_jump_of_the_clock_shows_nothing_that_an_absence_put_in_doubt() {
    check(
        "
        serve login good
        serve ping unavailable
        tick
        +1s: order pause
        3h: restart
        order resume
        +1s: jump
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 paused
        3:00:00 restart
        3:00:00 hold
        3:00:00 resumed
        3:00:00 ping
        3:00:01 failing 1
        3:00:02 Recovering; ping at 3:00:03 for Doubt(Absence)
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
fn what_an_absence_put_in_doubt_is_not_shown_for_a_lesser_doubt_and_withdrawn_for_a_graver() {
    check(
        "
        serve login good refresh=r1
        tick
        10m: restart uncertain
        order renew
        +1s: unavailable
        +1s: in_doubt
        +1s: status
        active false
        3h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 restart
        0:10:00 ping
        0:10:00 hold
        0:10:01 failing 1
        0:10:01 renew r1
        0:10:02 in_doubt
        0:10:03 Recovering; ping at 0:10:03 for Doubt(Absence)
        0:10:03 dormant
        2:00:00 withdraw
        3:00:00 Dormant
    ",
    );
}

#[test]
fn a_doubt_that_no_ping_settles_any_more_is_dropped() {
    check(
        "
        serve login good
        tick
        10m: jump
        status
        reconfigure ping=false
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 Recovering; ping at 0:10:08 for Doubt(ClockJump)
        0:10:00 Alive
    ",
    );
}

#[test]
fn a_token_without_a_ping_is_replaced_where_the_wall_clock_went_back_over_a_reboot() {
    check(
        "
        policy ping=false model=fixed idle=none
        serve login good life=8h
        tick
        10m: reboot uncertain
        +1m: jump
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 restart
        0:10:00 login
        0:10:01 logged_in 17
        0:10:01 publish 17
        0:11:01 Alive; login at 7:22:00 for Expiry
    ",
    );
}

#[test]
fn a_token_without_a_ping_is_replaced_once_a_reboots_clock_is_set_right_and_not_again() {
    check(
        "
        policy ping=false model=fixed idle=none
        serve login good life=8h refresh=r1
        serve renew good life=8h
        tick
        10m: reboot
        +1m: status
        +1m: jump
        +1m: jump
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 restart
        0:11:00 Alive; renew at 7:12:00 for Expiry
        0:12:00 renew r1
        0:12:01 renewed 17
        0:12:01 publish 17
        0:13:01 Alive; renew at 7:24:00 for Expiry
    ",
    );
}

#[test]
fn a_reboot_changes_nothing_where_a_token_has_no_end_or_a_person_would_be_needed() {
    for (policy, begin) in [
        ("login=jwt", "tick\n+1s: good"),
        ("login=person", "person good life=8h"),
    ] {
        let script = format!(
            "policy ping=false model=fixed idle=none {policy}\n{begin}\n10m: reboot uncertain\njump\nstatus"
        );
        let happened = Stage::play(&script);
        assert!(
            happened.last().is_some_and(|last| last.contains("Alive")),
            "{policy}: {happened:#?}"
        );
    }
}
