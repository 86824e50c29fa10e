//! What a call needs on the disk before it leaves, and what draws on the budget.

use super::check;
use super::script::Stage;

/// Five tokens that live for a minute.
const DEATHS: &str = "
    serve ping dead
    tick
    1m: rejected 1
    2m: rejected 2
    3m: rejected 3
    4m: rejected 4
    5m: rejected 5
";

#[test]
fn what_a_call_may_spend_is_known_to_the_disk_before_it_leaves() {
    check(
        "
        policy model=fixed idle=none
        tick
        call
        +1s: good life=1h refresh=R
        48m: call
        +1s: good life=1h refresh=S
        1h: rejected 2
        call
        +1s: dead
        call
        +1s: good life=1h
    ",
        "
        0:00:00 login
        0:00:00 call 1, Counted
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:48:00 renew R
        0:48:00 call 2, Stored
        0:48:01 renewed 2
        0:48:01 publish 2
        1:00:00 doubtful Report
        1:00:00 ping
        1:00:00 call 3, Free
        1:00:01 died
        1:00:01 renew S
        1:00:01 hold
        1:00:01 call 4, Tried
        1:00:02 renewed 3
        1:00:02 publish 3
    ",
    );
}

#[test]
fn a_password_is_counted_before_it_leaves() {
    check(
        "
        policy login=password
        tick
        call
    ",
        "
        0:00:00 login
        0:00:00 call 1, Tried
    ",
    );
}

#[test]
fn a_login_over_a_dead_token_may_overtake_its_own_count() {
    check(
        "
        serve login good
        tick
        1h: rejected 1
        +1s: dead
        call
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        1:00:00 doubtful Report
        1:00:00 ping
        1:00:01 died unexplained
        1:00:01 login
        1:00:01 hold
        1:00:01 call 3, Counted
    ",
    );
}

#[test]
fn a_token_with_an_end_of_its_own_is_not_pinged_whatever_the_window() {
    check(
        "
        policy model=sliding idle=10m
        serve login good fixed life=1h
        tick
        20m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:20:00 Alive; login at 0:48:00 for Expiry
    ",
    );
}

#[test]
fn replacements_that_the_server_announced_go_on_when_the_budget_is_spent() {
    let happened = Stage::play(&format!(
        "policy model=fixed idle=none\nserve login good life=12m\n{DEATHS}\n40m: status"
    ));
    assert_eq!(
        happened.last().unwrap(),
        "0:40:00 Alive; login at 0:41:04 for Expiry"
    );
    assert_eq!(
        happened
            .iter()
            .filter(|line| line.ends_with(" login"))
            .count(),
        11,
        "{happened:#?}"
    );
}

#[test]
fn tokens_that_die_young_draw_on_the_budget_whatever_end_they_announced() {
    let more = "6m: rejected 6\n7m: status";
    let happened = Stage::play(&format!(
        "policy model=fixed idle=none\nserve login good life=1h\n{DEATHS}\n{more}"
    ));
    assert_eq!(
        happened.last().unwrap(),
        "0:07:00 Recovering; login at 0:10:00 for Dead"
    );
    assert_eq!(
        happened
            .iter()
            .filter(|line| line.ends_with(" login"))
            .count(),
        6,
        "{happened:#?}"
    );
}

#[test]
fn a_held_token_puts_the_exercise_of_its_refresh_token_off_to_two_thirds() {
    check(
        "
        policy refresh_idle=30d idle=none
        serve login good refresh=R
        serve renew good same
        tick
        1d: held 40d
        21d: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        480:00:00 renew R
        480:00:01 same_token
        504:00:00 Alive; renew at 960:00:00 for RefreshTokenIdle
    ",
    );
}

#[test]
fn the_last_chance_leaves_room_for_two_time_outs() {
    check(
        "
        policy model=fixed idle=none survive=90s request_timeout=30s
        serve login good life=15m refresh=R
        serve renew good life=15m refresh=S
        tick
        1m: held 1h
        14m30s: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:14:00 renew R
        0:14:01 renewed 2
        0:14:01 publish 2
        0:14:30 Alive; renew at 0:28:00 for Expiry
    ",
    );
}

#[test]
fn a_replacement_before_the_announced_end_does_not_wait_for_a_budget_that_deaths_have_spent() {
    let script = format!(
        "policy model=fixed idle=none\nserve login good life=8m\n{DEATHS}\n7m: status\n10m: status"
    );
    let happened = Stage::play(&script);
    assert!(
        happened.contains(&"0:07:00 Alive; login at 0:09:01 for Expiry".to_owned()),
        "{happened:#?}"
    );
    assert!(
        happened.contains(&"0:09:02 logged_in 7".to_owned()),
        "{happened:#?}"
    );
    assert!(
        !happened.iter().any(|line| line.contains("expired")),
        "{happened:#?}"
    );
}
