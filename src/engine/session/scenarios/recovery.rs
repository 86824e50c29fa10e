//! Verdicts, and the ladder: ping, renew, log in, a person.

use super::check;

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
        1:01:00 NeedsAttention: the refresh token is expired, revoked or spent: grant_dead
        1:02:00 NeedsAttention: the refresh token is expired, revoked or spent: grant_dead
        1:03:00 seeded
        1:03:00 renew r9
        1:03:01 renewed 2
        1:03:01 publish 2
        1:04:00 Alive; ping at 2:45:29 for IdleTimeout
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
fn a_dead_refresh_token_makes_a_living_token_doubtful_only_where_a_ping_can_tell() {
    check(
        "
        policy idle=none survive=1m
        serve login good refresh=r1 life=1h
        serve renew grant_dead
        serve ping alive
        tick
        10m: order renew
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 renew r1
        0:10:01 grant_dead
        0:10:01 ping
        0:10:02 proven
        0:10:05 Alive; login at 0:54:00 for Expiry
    ",
    );
    check(
        "
        policy ping=false idle=none survive=1m
        serve login good refresh=r1 life=1h
        serve renew grant_dead
        tick
        10m: order renew
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 renew r1
        0:10:01 grant_dead
        0:10:05 Alive; login at 0:54:00 for Expiry
    ",
    );
}

#[test]
fn a_death_that_a_ping_finds_at_the_very_idle_deadline_is_explained_by_it() {
    check(
        "
        serve login good
        tick
        +1s: order pause
        2h: restart
        order resume
        +1s: dead
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 paused
        2:00:00 restart
        2:00:00 hold
        2:00:00 resumed
        2:00:00 ping
        2:00:01 died
        2:00:01 login
    ",
    );
}

#[test]
fn a_login_that_hands_out_the_doubtful_token_again_settles_no_doubt() {
    check(
        "
        tick
        +1s: good
        10m: jump
        order login
        +1s: good same
        status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 login
        0:10:01 same_token
        0:10:01 Recovering; ping at 0:10:08 for Doubt(ClockJump)
    ",
    );
}
