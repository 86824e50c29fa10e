//! Servers whose renewal needs the token itself, or whose keep-alive hands out another one.

use super::check;

#[test]
fn a_renewal_that_needs_a_living_token_is_not_tried_on_a_dead_one() {
    check(
        "
        policy model=fixed idle=none survive=1m renew_by_profile=true renewal_needs_life=true
        serve login good life=10m
        serve renew good life=10m
        serve ping dead
        tick
        9m: status
        9m30s: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:09:00 renew
        0:09:00 Renewing
        0:09:01 renewed 2
        0:09:01 publish 2
        0:09:30 ping
        0:09:31 died
        0:09:31 login
        0:09:31 hold
        0:09:32 logged_in 3
        0:09:32 publish 3
        0:09:35 Alive; renew at 0:18:31 for Expiry
    ",
    );
}

#[test]
fn a_renewal_by_another_credential_brings_a_dead_token_back() {
    check(
        "
        policy model=explicit idle=4h survive=20m renew_by_profile=true
        serve login good life=1h
        serve renew good life=1h
        serve ping dead
        tick
        10m: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 died unexplained
        0:10:01 renew
        0:10:01 hold
        0:10:02 renewed 2
        0:10:02 publish 2
        0:10:05 Alive; renew at 0:50:01 for Expiry
    ",
    );
}

#[test]
fn a_token_that_is_gone_for_good_is_not_renewed_but_replaced_by_a_login() {
    check(
        "
        policy model=explicit idle=4h survive=20m renew_by_profile=true
        serve login good refresh=r1
        serve renew good
        serve ping gone
        tick
        10m: order verify
        +5s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:10:00 ping
        0:10:01 died unexplained
        0:10:01 login
        0:10:01 hold
        0:10:02 logged_in 2
        0:10:02 publish 2
        0:10:05 Alive; ping at 3:31:20 for IdleTimeout
    ",
    );
}

#[test]
fn a_keepalive_that_answers_with_a_new_token_publishes_it_at_once() {
    check(
        "
        policy model=explicit idle=10m survive=1m
        serve login good
        serve ping good
        tick
        30m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:08:36 ping
        0:08:37 renewed 2
        0:08:37 publish 2
        0:17:12 ping
        0:17:13 renewed 3
        0:17:13 publish 3
        0:25:44 ping
        0:25:45 renewed 4
        0:25:45 publish 4
        0:30:00 Alive; ping at 0:34:13 for IdleTimeout
    ",
    );
}

#[test]
fn a_keepalive_that_repeats_the_token_and_names_a_later_end_keeps_it_without_another_call() {
    check(
        "
        policy model=explicit idle=10m survive=1m
        serve login good life=10m
        serve ping good same life=10m
        tick
        30m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:08:36 ping
        0:17:36 ping
        0:26:36 ping
        0:30:00 Alive; ping at 0:35:36 for IdleTimeout
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
fn a_renewal_that_only_makes_the_token_live_longer_is_no_failure() {
    check(
        "
        policy model=fixed idle=none survive=1m renew_by_profile=true renewal_needs_life=true
        serve login good life=20m
        serve renew good same life=20m
        tick
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:18:00 renew
        0:18:01 renewed 1
        0:36:00 renew
        0:36:01 renewed 1
        0:54:00 renew
        0:54:01 renewed 1
        1:12:00 renew
        1:12:01 renewed 1
        1:30:00 renew
        1:30:01 renewed 1
        1:48:00 renew
        1:48:01 renewed 1
        2:00:00 Alive; renew at 2:06:00 for Expiry
    ",
    );
}

#[test]
fn a_login_whose_answer_names_its_absolute_limit_is_repeated_before_it() {
    check(
        "
        policy model=sliding idle=30m survive=3m
        serve login good max=2h
        serve ping alive
        tick
        1h45m: status
        2h: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:25:20 ping
        0:52:20 ping
        1:19:20 ping
        1:45:00 Alive; ping at 1:46:20 for IdleTimeout
        1:46:20 ping
        1:57:01 login
        1:57:02 logged_in 2
        1:57:02 publish 2
        2:00:00 Alive; ping at 2:22:51 for IdleTimeout
    ",
    );
}
