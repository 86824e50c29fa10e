//! Ends that are known beforehand: the token's, the refresh token's, the login's.

use super::check;

#[test]
fn a_token_with_an_end_is_replaced_before_it() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=1h
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
fn a_token_with_an_end_is_renewed_where_that_is_possible() {
    check(
        "
        policy model=fixed idle=none
        serve login good life=1h refresh=r1
        serve renew good life=1h refresh=r2
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:48:00 renew r1
        0:48:01 renewed 2
        0:48:01 publish 2
        1:36:00 renew r2
        1:36:01 renewed 3
        1:36:01 publish 3
        2:00:00 Alive; renew at 2:24:00 for Expiry
    ",
    );
}

#[test]
fn a_token_that_cannot_be_replaced_expires_and_is_withdrawn() {
    check(
        "
        policy model=fixed idle=none survive=1m
        serve login good life=10m
        tick
        5m: serve login unavailable
        10m10s: status
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
        0:10:10 Recovering; login at 0:10:11 for Dead
    ",
    );
}

#[test]
fn a_login_before_the_end_that_brings_the_same_token_is_not_repeated_at_once() {
    check(
        "
        policy model=fixed idle=none renew_before=20m
        tick
        +1s: good t1 life=1h
        serve login good same life=15m
        50m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:40:00 login
        0:40:01 same_token
        0:47:30 login
        0:47:31 logged_in 1
        0:50:00 Alive; login at 0:55:01 for Expiry
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
fn a_life_of_a_second_is_not_renewed_more_than_once_a_second() {
    check(
        "
        policy model=fixed idle=none
        tick
        +1s: good life=1200ms refresh=r1
        serve renew good life=1200ms
        6s: tick
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:00:01 expired 1
        0:00:01 hold
        0:00:02 renew r1
        0:00:03 renewed 2
        0:00:03 publish 2
        0:00:03 expired 2
        0:00:03 hold
        0:00:04 renew r1
        0:00:05 renewed 3
        0:00:05 publish 3
        0:00:05 expired 3
        0:00:05 hold
        0:00:06 renew r1
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
fn a_refresh_token_is_exercised_at_a_third_of_its_idle_limit() {
    check(
        "
        policy refresh_idle=30d idle=none
        serve login good refresh=r1
        serve renew good refresh=r2
        tick
        25d: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        240:00:00 renew r1
        240:00:01 renewed 2
        240:00:01 publish 2
        480:00:00 renew r2
        480:00:01 renewed 3
        480:00:01 publish 3
        600:00:00 Alive; renew at 720:00:00 for RefreshTokenIdle
    ",
    );
}

#[test]
fn the_server_s_word_on_the_refresh_token_wins() {
    check(
        "
        policy refresh_idle=30d idle=none
        serve login good refresh=r1 refresh_life=3d
        serve renew good same
        tick
        2d12h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        24:00:00 renew r1
        24:00:01 same_token
        48:00:00 renew r1
        48:00:01 same_token
        60:00:00 Alive; renew at 72:00:00 for RefreshTokenIdle
    ",
    );
}

#[test]
fn before_the_absolute_limit_a_login_brings_the_next_life() {
    check(
        "
        policy max=24h idle=none
        serve login good
        tick
        3d: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        23:30:01 login
        23:30:02 logged_in 2
        23:30:02 publish 2
        47:00:02 login
        47:00:03 logged_in 3
        47:00:03 publish 3
        70:30:03 login
        70:30:04 logged_in 4
        70:30:04 publish 4
        72:00:00 Alive; login at 94:00:04 for MaxLifetime
    ",
    );
}
