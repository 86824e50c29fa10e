//! What a change of one sign in the engine would break, and nobody else would notice.

use super::check;

#[test]
fn pings_that_failed_and_go_well_again_are_told_once_with_their_number() {
    check(
        "
        serve login good
        serve ping unavailable
        tick
        10m: order verify
        +40s: serve ping alive
        +5m: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 failing 1
        0:15:40 ping
        0:15:41 answering 1
        0:15:45 Alive; ping at 1:48:00 for IdleTimeout
    ",
    );
}

#[test]
fn a_ping_that_repeats_the_token_and_says_nothing_of_its_end_leaves_that_end() {
    check(
        "
        policy model=explicit idle=4h survive=20m
        serve login good t1 life=1h
        serve ping good t1
        tick
        10m: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:05 Alive; login at 0:40:00 for Expiry
    ",
    );
}

#[test]
fn a_certain_no_to_a_ping_calls_a_person_at_once() {
    check(
        "
        serve login good
        serve ping forbidden
        tick
        10m: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 forbidden
        0:10:05 NeedsAttention: forbidden; ping at 1:46:01 for UnknownAge
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
fn the_death_of_a_refresh_token_says_nothing_of_one_that_came_meanwhile() {
    check(
        "
        policy login=seed
        serve ping alive
        seed r1
        good refresh=r2
        10m: order renew
        seed r9
        grant_dead
        serve renew good
        +5m: order renew
        +5s: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:00 renewed 1
        0:00:00 publish 1
        0:10:00 renew r2
        0:10:00 seeded
        0:15:00 renew r9
        0:15:01 renewed 2
        0:15:01 publish 2
        0:15:05 Alive; ping at 2:02:09 for IdleTimeout
    ",
    );
}

#[test]
fn a_login_that_prolongs_the_token_that_had_run_out_is_no_failure() {
    check(
        "
        policy model=fixed idle=none survive=1m ping=false
        serve login good t1 life=10m
        tick
        8m: serve login unavailable
        11m: serve login good t1 life=10m
        +6m: status
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
        0:10:11 login
        0:10:12 failing 6
        0:11:38 login
        0:11:39 logged_in 1
        0:11:39 publish 1
        0:17:00 Alive; login at 0:20:38 for Expiry
    ",
    );
}

#[test]
fn a_login_that_hands_out_a_token_that_was_told_dead_has_failed_whatever_life_it_names() {
    check(
        "
        serve login good t1 life=1h
        serve ping dead
        tick
        10m: order verify
        +10s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 died unexplained
        0:10:01 login
        0:10:01 hold
        0:10:02 same_dead_token
        0:10:02 ping
        0:10:02 withdraw
        0:10:07 login
        0:10:08 same_dead_token
        0:10:08 ping
        0:10:10 Recovering; login at 0:10:20 for Dead
    ",
    );
}

#[test]
fn a_life_of_nothing_is_not_believed() {
    check(
        "
        policy model=fixed idle=none survive=1m life=20m
        serve login good t1 life=0s
        tick
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:05 Alive; login at 0:18:00 for Expiry
    ",
    );
}

#[test]
fn an_end_that_introspection_sees_move_takes_the_place_of_the_estimate() {
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
