//! Orders, readers, pauses and changes of the config: what each brings about, and what it must not.

use super::check;

#[test]
fn an_ordered_login_waits_for_the_one_under_way_and_is_not_displaced() {
    check(
        "
        session a
        serve login good
        session b
        serve login good
        serve ping alive
        tick
        session a
        1m: serve login nothing
        2m: order login
        session b
        order login
        3m: order verify
        session a
        4m: good
        session b
        5m: status
    ",
        "
        0:00:00 b login
        0:00:01 b logged_in 1
        0:00:01 b publish 1
        0:00:01 a login
        0:00:02 a logged_in 1
        0:00:02 a publish 1
        0:02:00 a login
        0:04:00 a logged_in 2
        0:04:00 a publish 2
        0:04:00 b login
        0:04:01 b logged_in 2
        0:04:01 b publish 2
        0:05:00 b Alive; ping at 1:51:09 for IdleTimeout
    ",
    );
}

#[test]
fn an_order_that_the_answer_made_pointless_is_forgotten() {
    check(
        "
        serve login good
        tick
        5m: serve login nothing
        order verify
        +1s: order verify
        dead
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 ping
        0:05:01 died unexplained
        0:05:01 login
        0:05:01 hold
        0:05:02 Recovering
    ",
    );
}

#[test]
fn an_order_to_verify_is_nothing_where_there_is_no_ping() {
    check(
        "
        policy ping=false idle=none
        serve login good
        tick
        5m: order verify
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 Alive
    ",
    );
}

#[test]
fn an_order_to_renew_does_not_displace_a_persons_login() {
    check(
        "
        serve login good refresh=R
        tick
        5m: order verify
        order login
        order renew
        +1s: alive
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 ping
        0:05:01 login
    ",
    );
}

#[test]
fn a_calendars_renewal_that_cannot_be_is_not_kept_for_later() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=2h refresh=R
        tick
        1m: serve login nothing
        serve renew in_doubt
        serve ping alive
        order renew
        2m: held 1h
        3m: order renew_when_free
        4m: seed S
        serve renew good life=2h refresh=T
        5m: status
        1h10m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 renew R
        0:01:01 in_doubt
        0:01:01 ping
        0:01:02 proven
        0:04:00 seeded
        0:05:00 Alive; renew at 1:48:00 for Expiry
        1:10:00 Alive; renew at 1:48:00 for Expiry
    ",
    );
}

#[test]
fn the_calendars_renewal_of_a_free_token_does_not_wait_for_a_back_off() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=10h refresh=R
        serve renew unavailable
        tick
        1m: order renew
        +2s: order renew_when_free
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 renew R
        0:01:01 failing 1
        0:01:02 renew R
        0:01:02 Renewing
    ",
    );
}

#[test]
fn the_calendars_renewal_of_a_dead_token_does_not_wait_for_jobs() {
    check(
        "
        policy model=fixed idle=none login=person
        person good life=10h refresh=R
        serve renew unavailable
        serve ping dead
        1m: held 1h
        2m: rejected 1
        2m3s: status
        2m3s: order renew_when_free
        status
    ",
        "
        0:00:00 logged_in 1
        0:00:00 publish 1
        0:02:00 doubtful Report
        0:02:00 ping
        0:02:01 died
        0:02:01 renew R
        0:02:01 hold
        0:02:02 failing 2
        0:02:02 withdraw
        0:02:03 Recovering; renew at 0:02:09 for Dead
        0:02:03 renew R
        0:02:03 Recovering
    ",
    );
}

#[test]
fn a_reader_who_wants_more_never_spends_a_refresh_token_in_doubt() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=2h refresh=R
        serve ping alive
        serve renew in_doubt
        tick
        1h: order renew
        1h1m: wanted 100m
        1h2m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew R
        1:00:01 in_doubt
        1:00:01 ping
        1:00:02 proven
        1:02:00 Alive; login at 1:48:00 for Expiry
    ",
    );
}

#[test]
fn a_reader_outside_the_active_hours_wakes_a_good_session_for_its_ping() {
    check(
        "
        policy model=sliding idle=1h
        serve login good
        serve ping alive
        tick
        +1s: active false
        30m: wanted 50m
        31m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 dormant
        0:30:00 ping
        0:31:00 Alive
    ",
    );
}

#[test]
fn a_reader_of_a_dead_token_wakes_nobody_who_is_awake() {
    check(
        "
        serve login good
        serve ping dead
        tick
        1m: serve login unavailable
        rejected 1
        +2s: wanted 10m
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 doubtful Report
        0:01:00 ping
        0:01:01 died unexplained
        0:01:01 login
        0:01:01 hold
        0:01:02 failing 2
        0:01:02 withdraw
        0:01:03 Recovering; login at 0:01:07 for Dead
    ",
    );
}

#[test]
fn a_promise_that_a_ping_has_just_given_costs_no_other_ping() {
    check(
        "
        policy model=sliding idle=1h survive=10m request_timeout=1s
        serve login good
        tick
        11m: wanted 50m
        +0s: alive
        wanted 50m
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:11:00 ping
        0:11:00 Alive; ping at 1:01:00 for IdleTimeout
    ",
    );
}

#[test]
fn an_order_outside_the_active_hours_wakes_a_session_that_lapsed() {
    check(
        "
        policy model=sliding idle=1h
        serve login good
        serve ping dead
        tick
        +1s: active false
        2h: status
        order verify
        2h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 dormant
        1:00:00 withdraw
        2:00:00 Dormant
        2:00:00 ping
        2:00:00 hold
        2:00:01 died
        2:00:01 login
        2:00:02 logged_in 2
        2:00:02 publish 2
        2:01:00 Alive
    ",
    );
}

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

#[test]
fn another_idle_timeout_in_the_config_holds_at_once() {
    check(
        "
        policy model=sliding idle=1h
        serve login good
        tick
        10m: status
        reconfigure idle=30m survive=3m
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 Alive; ping at 0:44:46 for IdleTimeout
        0:10:00 Alive; ping at 0:25:20 for IdleTimeout
    ",
    );
}

#[test]
fn what_was_learned_of_one_idle_timeout_is_forgotten_with_it() {
    check(
        "
        policy model=sliding idle=2h
        serve login good
        serve ping dead
        tick
        4h: status
        restart
        status
        4h1m: reconfigure idle=4h survive=24m
        status
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
        4:00:00 Alive; ping at 4:20:47 for IdleTimeout
        4:00:00 restart
        4:00:00 Alive; ping at 4:20:47 for IdleTimeout
        4:01:00 Alive; ping at 7:04:53 for IdleTimeout
    ",
    );
}

#[test]
fn a_logout_until_the_start_is_one_that_the_next_start_forgets() {
    check(
        "
        serve login good
        serve logout logged_out
        tick
        5m: order logout_until_start
        6m: status
        7m: restart
        8m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 logout
        0:05:00 withdraw
        0:05:01 logged_out
        0:06:00 Recovering
        0:07:00 restart
        0:07:00 login
        0:07:01 logged_in 17
        0:07:01 publish 17
        0:08:00 Alive; ping at 1:54:09 for IdleTimeout
    ",
    );
}

#[test]
fn without_a_token_a_logout_until_the_start_calls_nobody() {
    check(
        "
        serve login unavailable
        1m: order logout_until_start
        +1s: status
        2m: restart
    ",
        "
        0:00:00 login
        0:00:01 failing 1
        0:00:03 login
        0:00:04 failing 2
        0:00:10 login
        0:00:11 failing 3
        0:00:20 login
        0:00:21 failing 4
        0:00:38 login
        0:00:39 failing 5
        0:01:01 Recovering
        0:02:00 restart
        0:02:00 login
    ",
    );
}

#[test]
fn a_kill_over_a_logout_until_the_start_leaves_a_session_that_goes_on() {
    check(
        "
        serve login good
        serve ping alive
        tick
        5m: order logout_until_start
        5m1s: status
        5m2s: crash
        6m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 logout
        0:05:00 withdraw
        0:05:01 NeedsAttention: logged out
        0:05:02 restart
        0:05:02 ping
        0:05:02 hold
        0:05:03 proven
        0:05:03 publish 1
        0:06:00 Alive; ping at 1:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_kill_over_a_logout_that_the_server_carried_out_costs_one_login() {
    check(
        "
        serve login good
        serve ping dead
        tick
        5m: order logout_until_start
        5m2s: crash
        6m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:05:00 logout
        0:05:00 withdraw
        0:05:02 restart
        0:05:02 ping
        0:05:02 hold
        0:05:03 died unexplained
        0:05:03 login
        0:05:04 logged_in 17
        0:05:04 publish 17
        0:06:00 Alive; ping at 1:47:32 for IdleTimeout
    ",
    );
}

#[test]
fn deaths_before_a_logout_teach_nothing_after_it() {
    check(
        "
        policy model=sliding idle=2h
        serve login good
        serve ping dead
        tick
        2h: serve logout logged_out
        order logout
        +1m: order login
        5h: status
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
        2:00:00 logout
        2:00:00 withdraw
        2:00:01 logged_out
        2:01:00 login
        2:01:01 logged_in 3
        2:01:01 publish 3
        3:44:59 ping
        3:45:00 died unexplained
        3:45:00 login
        3:45:00 hold
        3:45:01 logged_in 4
        3:45:01 publish 4
        5:00:00 Alive; ping at 5:28:07 for IdleTimeout
    ",
    );
}
