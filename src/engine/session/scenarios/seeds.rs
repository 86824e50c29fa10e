//! Refresh tokens that are in the config.

use super::check;

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
fn a_login_ordered_while_the_only_refresh_token_is_presented_is_that_one() {
    check(
        "
        policy login=seed
        seed r1
        order login
        +1s: good refresh=r2
        +1s: status
    ",
        "
        0:00:00 seeded
        0:00:00 renew r1
        0:00:01 renewed 1
        0:00:01 publish 1
        0:00:02 Alive; ping at 1:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_login_ordered_during_a_renewal_follows_it_where_the_daemon_can_log_in() {
    check(
        "
        tick
        +1s: good refresh=r1
        10m: order renew
        order login
        +1s: good refresh=r2
        +1s: good refresh=r3
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 renew r1
        0:10:01 renewed 2
        0:10:01 login
        0:10:01 publish 2
        0:10:02 logged_in 3
        0:10:02 publish 3
    ",
    );
}
