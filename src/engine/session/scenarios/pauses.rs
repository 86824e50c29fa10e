//! Pauses that a person orders, and those that a jump of the clock tells of.

use super::check;

#[test]
fn a_short_pause_puts_nothing_in_doubt() {
    check(
        "
        serve login good
        tick
        1m: order pause
        10m: order resume
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 paused
        0:10:00 resumed
        0:10:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_pause_past_the_deadline_puts_the_token_in_doubt_when_it_ends_and_not_before() {
    check(
        "
        policy model=sliding idle=10m survive=1m
        serve login good
        tick
        8m: order pause
        30m: status
        order resume
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:08:00 paused
        0:30:00 Paused
        0:30:00 resumed
        0:30:00 ping
        0:30:00 hold
        0:30:00 Recovering
    ",
    );
}

#[test]
fn after_a_jump_a_ping_takes_no_more_than_a_quarter_of_what_is_left() {
    check(
        "
        policy model=sliding idle=1m survive=2s
        serve login good
        serve ping alive
        tick
        40s: jump
        55s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:42 ping
        0:00:43 proven
        0:00:55 Alive; ping at 0:01:40 for IdleTimeout
    ",
    );
}
