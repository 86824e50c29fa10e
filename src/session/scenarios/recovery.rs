//! Verdicts, and the ladder: ping, renew, log in, a person.

use super::check;
use super::script::Stage;

#[test]
fn a_dead_token_is_renewed_where_that_is_possible() {
    check(
        "
        serve login good refresh=r1
        serve renew good
        serve ping dead
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 renew r1
        1:00:01 hold
        1:00:02 renewed 2
        1:00:02 publish 2
        1:01:00 Alive; ping at 2:42:30 for IdleTimeout
    ",
    );
}

#[test]
fn a_dead_token_leads_to_a_login() {
    check(
        "
        serve login good
        serve ping dead
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 login
        1:00:01 hold
        1:00:02 logged_in 2
        1:00:02 publish 2
        1:01:00 Alive; ping at 2:42:30 for IdleTimeout
    ",
    );
}

#[test]
fn an_ambiguous_no_is_confirmed_by_a_second_ping() {
    check(
        "
        serve login good
        tick
        1h: order verify
        +1s: dead?
        +2s: alive
        2h: order verify
        +1s: dead?
        +2s: dead?
        +1s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 doubtful Ambiguous
        1:00:02 ping
        1:00:03 proven
        1:48:02 ping
        2:00:01 doubtful Ambiguous
        2:00:01 ping
        2:00:03 died unexplained
        2:00:03 login
        2:00:03 hold
        2:00:04 logged_in 2
        2:00:04 publish 2
        2:00:04 Alive; ping at 3:47:12 for IdleTimeout
    ",
    );
}

#[test]
fn a_dead_refresh_token_leads_to_a_login() {
    check(
        "
        serve login good refresh=r1
        serve renew grant_dead
        serve ping dead
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 renew r1
        1:00:01 hold
        1:00:02 grant_dead
        1:00:02 login
        1:00:03 logged_in 2
        1:00:03 publish 2
        1:01:00 Alive; ping at 2:42:31 for IdleTimeout
    ",
    );
}

#[test]
fn a_dead_refresh_token_without_another_way_needs_a_person() {
    check(
        "
        policy login=seed
        serve ping alive
        serve renew good refresh=r2
        tick
        status
        seed r1
        1h: serve renew grant_dead
        +0s: serve ping dead
        +0s: order verify
        1h1m: status
        1h2m: seed r1
        +0s: status
        1h3m: serve renew good
        +0s: seed r9
        1h4m: status
    ",
        "
        0:00:00 Starting
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 renew r2
        1:00:01 hold
        1:00:02 grant_dead
        1:00:02 withdraw
        1:01:00 NeedsAttention: the refresh token is expired, revoked or spent
        1:02:00 NeedsAttention: the refresh token is expired, revoked or spent
        1:03:00 seeded
        1:03:00 renew r9
        1:03:01 renewed 2
        1:03:01 publish 2
        1:04:00 Alive; ping at 2:45:29 for IdleTimeout
    ",
    );
}

#[test]
fn a_refused_password_is_sent_once() {
    check(
        "
        policy login=password
        serve login refused
        tick
        1h: status
        secrets secret
        2h: serve login good
        +0s: secrets another
        2h1m: status
    ",
        "
        0:00:00 login
        0:00:01 refused, stopped
        1:00:00 NeedsAttention: refused
        2:00:00 reopened
        2:00:00 login
        2:00:01 logged_in 1
        2:00:01 publish 1
        2:01:00 Alive; ping at 3:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_refused_assertion_is_tried_once_more() {
    check(
        "
        serve login refused?
        tick
        1h: status
        restart
        2h: serve login good
        +0s: order login
        2h1m: status
    ",
        "
        0:00:00 login
        0:00:01 refused
        0:00:06 login
        0:00:07 refused, stopped
        1:00:00 NeedsAttention: refused?
        1:00:00 restart
        2:00:00 login
        2:00:01 logged_in 16
        2:00:01 publish 16
        2:01:00 Alive; ping at 3:47:09 for IdleTimeout
    ",
    );
}

#[test]
fn a_stopped_account_still_keeps_a_living_token() {
    check(
        "
        serve login good
        serve ping alive
        tick
        1m: serve login refused
        +0s: order login
        1h50m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 login
        0:01:01 refused, stopped
        1:47:14 ping
        1:50:00 NeedsAttention: refused; ping at 2:35:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_refused_renewal_stops_the_account_but_not_the_token() {
    check(
        "
        serve login good refresh=r1
        serve ping alive
        serve renew refused
        tick
        1m: order renew
        1h50m: status
        order renew
        +1m: tick
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 renew r1
        0:01:01 refused, stopped
        1:47:14 ping
        1:50:00 NeedsAttention: refused; ping at 2:35:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_lost_renewal_keeps_the_token_that_lives_and_the_refresh_token_unused() {
    check(
        "
        policy refresh_idle=3d idle=none
        serve login good refresh=r1
        serve ping alive
        tick
        1h: order renew
        +20s: in_doubt
        30h: order renew
        +1m: serve ping dead
        +0s: order verify
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:00:20 in_doubt
        1:00:20 ping
        1:00:21 proven
        30:01:00 ping
        30:01:01 died
        30:01:01 login
        30:01:01 hold
        30:01:02 logged_in 2
        30:01:02 publish 2
        30:02:00 Alive; renew at 54:01:01 for RefreshTokenIdle
    ",
    );
}

#[test]
fn a_lost_renewal_without_a_login_is_presented_again_when_the_token_is_dead() {
    check(
        "
        policy login=seed
        tick
        seed r1
        +1s: good refresh=r2
        1m: order renew
        +20s: in_doubt
        +1s: dead
        +10s: in_doubt
        +10s: grant_dead
        +1s: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:01:00 renew r2
        0:01:20 in_doubt
        0:01:20 ping
        0:01:21 died unexplained
        0:01:21 renew r2
        0:01:21 hold
        0:01:26 withdraw
        0:01:31 in_doubt
        0:01:37 renew r2
        0:01:41 grant_dead
        0:01:42 NeedsAttention: the refresh token is expired, revoked or spent
    ",
    );
}

#[test]
fn kills_in_the_renewals_of_a_token_of_three_seconds_leave_no_long_pause_behind() {
    let kills = "+4s: crash\n".repeat(12);
    let script = format!(
        "
        policy life=3s model=fixed idle=none
        serve login good refresh=r1
        serve ping alive
        tick
        {kills}
        serve renew good
        +8s: status
    "
    );
    let happened = Stage::play(&script);
    let logins = happened.iter().filter(|line| line.contains("logged_in")).count();
    assert_eq!(logins, 13, "one at the start, and one right after each kill: {happened:#?}");
    assert!(happened.last().is_some_and(|last| last.contains("Alive") || last.contains("Renewing")), "{happened:#?}");
    let is_call = |line: &&String| ["login", "renew", "ping"].iter().any(|word| line.contains(&format!(" {word}")));
    assert!(happened.iter().filter(is_call).count() <= 60, "{happened:#?}");
}

#[test]
fn an_intent_found_at_restart_is_a_doubt() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order renew
        +1s: crash
        +1s: alive
        +1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:00:01 restart
        1:00:01 ping
        1:00:02 proven
        1:48:01 ping
        2:00:02 Recovering
    ",
    );
}

#[test]
fn after_a_login_in_doubt_the_old_refresh_token_is_never_presented() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order renew
        +1s: crash
        +1s: serve login good
        +0s: dead
        +1m: order verify
        +1s: dead
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:00:01 restart
        1:00:01 ping
        1:00:02 died unexplained
        1:00:02 login
        1:00:02 hold
        1:00:03 logged_in 17
        1:00:03 publish 17
        1:01:02 ping
        1:01:03 died unexplained
        1:01:03 login
        1:01:03 hold
        1:01:04 logged_in 18
        1:01:04 publish 18
        1:02:03 Alive; ping at 2:41:58 for IdleTimeout
    ",
    );
}

#[test]
fn a_renewal_whose_intent_cannot_be_stored_is_not_made() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order renew
        +0s: unwritten
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 renew r1
        1:01:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn concurrent_renewals_are_tried_three_times_again() {
    check(
        "
        serve login good refresh=r1
        serve ping dead
        serve renew concurrent
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 renew r1
        1:00:01 hold
        1:00:03 renew r1
        1:00:05 renew r1
        1:00:06 withdraw
        1:00:07 renew r1
        1:00:08 grant_dead
        1:00:08 login
        1:00:09 logged_in 2
        1:00:09 publish 2
        1:01:00 Alive; ping at 2:42:37 for IdleTimeout
    ",
    );
}

#[test]
fn a_skewed_clock_is_corrected_once() {
    check(
        "
        policy idle=none
        tick
        +1s: skewed skew=300
        +1s: good
        1h: order login
        +1s: skewed skew=600
        +1s: unavailable
        2h: order login
        +1s: skewed skew=900
        +1s: skewed skew=900
        status
    ",
        "
        0:00:00 login
        0:00:01 skewed 300s
        0:00:01 login
        0:00:02 logged_in 1
        0:00:02 publish 1
        1:00:00 login
        1:00:01 skewed 600s
        1:00:01 login
        1:00:02 failing 1
        2:00:00 login
        2:00:01 skewed 900s
        2:00:01 login
        2:00:02 refused, stopped
        2:00:02 NeedsAttention: skewed
    ",
    );
}

#[test]
fn a_login_that_brings_the_same_dead_token_has_failed() {
    check(
        "
        serve login good t1
        serve ping dead
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 login
        1:00:01 hold
        1:00:02 same_dead_token
        1:00:02 ping
        1:00:02 withdraw
        1:00:07 login
        1:00:08 same_dead_token
        1:00:08 ping
        1:00:20 login
        1:00:21 same_dead_token
        1:00:21 ping
        1:00:39 login
        1:00:40 same_dead_token
        1:00:40 ping
        1:01:00 Recovering; login at 1:01:19 for Dead
    ",
    );
}

#[test]
fn a_living_token_that_was_called_dead_by_mistake_is_back_after_one_login() {
    check(
        "
        tick
        +1s: good t1
        1h: order verify
        +1s: dead
        +1s: good t1
        +1s: alive
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 login
        1:00:01 hold
        1:00:02 same_dead_token
        1:00:02 ping
        1:00:02 withdraw
        1:00:03 proven
        1:00:03 publish 1
        1:01:00 Alive; ping at 1:48:02 for IdleTimeout
    ",
    );
}

#[test]
fn a_login_that_brings_the_same_living_token_publishes_nothing_new() {
    check(
        "
        tick
        +1s: good t1
        serve login good same
        1h: order login
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 login
        1:00:01 same_token
        1:01:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_new_instance_url_is_a_new_generation() {
    check(
        "
        tick
        +1s: good t1 url=https://a.example
        serve login good same url=https://b.example
        1h: order login
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 login
        1:00:01 logged_in 2
        1:00:01 publish 2
        1:01:00 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn tokens_that_never_work_exhaust_the_budget() {
    check(
        "
        policy reuse=true
        serve login good
        serve ping dead
        tick
        9m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:08 ping
        0:00:09 died unexplained
        0:00:09 login
        0:00:09 hold
        0:00:10 logged_in 2
        0:00:10 publish 2
        0:00:18 ping
        0:00:19 died unexplained
        0:00:19 login
        0:00:19 hold
        0:00:20 logged_in 3
        0:00:20 publish 3
        0:00:27 ping
        0:00:28 died unexplained
        0:00:28 login
        0:00:28 hold
        0:00:29 logged_in 4
        0:00:29 publish 4
        0:00:37 ping
        0:00:38 died unexplained
        0:00:38 login
        0:00:38 hold
        0:00:39 logged_in 5
        0:00:39 publish 5
        0:00:46 ping
        0:00:47 died unexplained
        0:00:47 login
        0:00:47 hold
        0:00:48 logged_in 6
        0:00:48 publish 6
        0:00:56 ping
        0:00:57 died unexplained
        0:00:57 budget_spent
        0:00:57 hold
        0:01:02 withdraw
        0:09:00 Recovering; login at 0:10:00 for Dead
    ",
    );
}

#[test]
fn refused_connections_cost_no_budget() {
    check(
        "
        serve login unavailable uncounted
        tick
        20m: serve login good
        26m: status
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
        0:00:57 login
        0:00:58 failing 8
        0:01:35 login
        0:01:36 failing 9
        0:02:46 login
        0:02:47 failing 10
        0:03:34 login
        0:03:35 failing 11
        0:05:03 login
        0:05:04 failing 12
        0:07:37 login
        0:07:38 failing 13
        0:10:31 login
        0:10:32 failing 14
        0:15:32 login
        0:15:33 failing 15
        0:20:33 login
        0:20:34 answering 15
        0:20:34 logged_in 1
        0:20:34 publish 1
        0:26:00 Alive; ping at 2:03:42 for IdleTimeout
    ",
    );
}

#[test]
fn a_forbidden_ping_is_confirmed_then_slowed_down_and_cleared_by_success() {
    check(
        "
        serve login good
        serve ping forbidden?
        tick
        1h: order verify
        5h: status
        serve ping alive
        9h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:02 ping
        1:00:03 forbidden
        2:36:03 ping
        4:12:04 ping
        5:00:00 NeedsAttention: forbidden?; ping at 5:48:05 for IdleTimeout
        5:48:05 ping
        5:48:06 allowed
        6:36:05 ping
        7:24:05 ping
        8:12:05 ping
        9:00:00 Alive; ping at 9:00:05 for IdleTimeout
    ",
    );
}

#[test]
fn a_forbidden_ping_that_is_certain_needs_no_confirmation() {
    check(
        "
        serve login good
        serve ping forbidden
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 forbidden
        1:01:00 NeedsAttention: forbidden; ping at 2:36:01 for IdleTimeout
    ",
    );
}

#[test]
fn a_logout_withdraws_first_and_nothing_follows_until_a_login() {
    check(
        "
        serve login good refresh=r1
        tick
        1h: order logout
        +1s: logged_out
        5h: status
        order verify
        order renew
        order login
        +1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 logout
        1:00:00 withdraw
        1:00:01 logged_out
        5:00:00 NeedsAttention: logged out
        5:00:00 login
        5:00:01 logged_in 2
        5:00:01 publish 2
        5:01:00 Alive; ping at 6:47:09 for IdleTimeout
    ",
    );
}

#[test]
fn a_logout_during_a_login_wins() {
    check(
        "
        tick
        order logout
        +1s: good
        +1s: logged_out
        1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 logout
        0:00:02 logged_out
        1:00:00 NeedsAttention: logged out
    ",
    );
}

#[test]
fn a_logout_that_the_server_does_not_hear_is_said() {
    check(
        "
        serve login good
        tick
        1h: order logout
        +1s: unavailable
        +1h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 logout
        1:00:00 withdraw
        1:00:01 logged_out: unavailable
        2:00:01 NeedsAttention: logged out
    ",
    );
}

#[test]
fn a_seed_that_is_stored_in_a_newer_form_wins_over_the_configured_one() {
    check(
        "
        policy login=seed
        serve renew good refresh=r2
        serve ping alive
        tick
        seed r1
        1h: restart
        seed r1
        +0s: order renew
        +5s: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        1:00:00 restart
        1:00:00 renew r2
        1:00:01 renewed 17
        1:00:01 publish 17
        1:00:05 Alive; ping at 2:47:09 for IdleTimeout
    ",
    );
}

#[test]
fn a_changed_seed_replaces_what_is_stored_even_during_a_renewal() {
    check(
        "
        policy login=seed
        tick
        seed r1
        +1s: seed r9
        +1s: good refresh=r2
        1m: restart
        seed r9
        +1s: order renew
        +1s: good refresh=r10
        1h: order renew
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 seeded
        0:00:02 renewed 1
        0:00:02 publish 1
        0:01:00 restart
        0:01:01 renew r9
        0:01:02 renewed 17
        0:01:02 publish 17
        1:00:00 renew r10
    ",
    );
}

#[test]
fn a_seed_that_cannot_be_read_is_said() {
    check(
        "
        policy login=seed
        tick
        unread no such file
        status
    ",
        "
        0:00:00 NeedsAttention: no such file
    ",
    );
}

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
fn a_host_that_is_gone_is_searched_by_a_login() {
    check(
        "
        policy idle=20m survive=2m
        serve login good url=https://moved.example
        serve ping unavailable
        tick
        25m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:17:45 ping
        0:17:46 failing 1
        0:17:49 ping
        0:17:50 failing 2
        0:17:53 ping
        0:17:54 failing 3
        0:17:59 ping
        0:18:00 failing 4
        0:18:03 ping
        0:18:04 failing 5
        0:18:13 ping
        0:18:14 failing 6
        0:18:31 ping
        0:18:32 failing 7
        0:18:56 ping
        0:18:57 failing 8
        0:19:01 ping
        0:19:02 failing 9
        0:19:06 ping
        0:19:07 failing 10
        0:19:16 ping
        0:19:17 failing 11
        0:19:29 ping
        0:19:30 failing 12
        0:19:40 ping
        0:19:41 failing 13
        0:20:20 ping
        0:20:21 failing 14
        0:20:21 login
        0:20:22 answering 14
        0:20:22 logged_in 2
        0:20:22 publish 2
        0:25:00 Alive; ping at 0:38:20 for IdleTimeout
    ",
    );
}

#[test]
fn a_host_that_is_gone_for_the_same_token_too_is_not_asked_in_a_loop() {
    check(
        "
        policy idle=1m survive=6s
        tick
        +1s: good t1 url=https://moved.example refresh=r1
        serve renew good same url=https://moved.example
        serve ping unavailable
        1m20s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:53 ping
        0:00:54 failing 1
        0:00:55 ping
        0:00:56 failing 2
        0:00:57 ping
        0:00:58 failing 3
        0:00:59 ping
        0:01:00 failing 4
        0:01:00 renew r1
        0:01:01 same_token
        0:01:03 renew r1
        0:01:04 same_token
        0:01:04 ping
        0:01:05 failing 5
        0:01:07 renew r1
        0:01:08 same_token
        0:01:11 ping
        0:01:12 failing 6
        0:01:17 renew r1
        0:01:18 same_token
        0:01:20 Recovering; ping at 0:01:23 for IdleTimeout
    ",
    );
}

#[test]
fn a_renewal_of_the_profile_that_is_refused_for_good_leads_to_a_login() {
    check(
        "
        policy renew_by_profile=true
        serve login good
        serve renew grant_dead
        serve ping dead
        tick
        1h: order verify
        1h1m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 renew
        1:00:01 hold
        1:00:02 grant_dead
        1:00:02 login
        1:00:03 logged_in 2
        1:00:03 publish 2
        1:01:00 Alive; ping at 2:42:31 for IdleTimeout
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
