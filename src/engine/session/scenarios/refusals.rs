//! A server's no: to a login, a renewal or a ping.

use super::check;
use super::script::Stage;

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
        1:48:00 ping
        4:12:04 ping
        5:00:00 NeedsAttention: forbidden?; ping at 5:48:05 for Forbidden
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
fn a_ping_that_is_allowed_again_before_the_session_would_idle_out_keeps_it_and_costs_no_further_call()
 {
    let script = |from: &str| {
        format!(
            "
            serve login good
            serve ping forbidden
            tick
            1h: order verify
            {from}: serve ping alive
            2h: status
            9h: status
            "
        )
    };
    let kept = Stage::play(&script("1h30m"));
    assert!(kept.contains(&"1:48:01 allowed".to_owned()), "{kept:#?}");
    assert!(
        kept.iter().any(|line| line.starts_with("2:00:00 Alive")),
        "{kept:#?}"
    );
    // Without the chance it took pings at 1:00, 2:36, 4:12, 5:48 and 7:24 to learn as much.
    let forbidden = Stage::play(&script("8h50m"));
    assert_eq!(
        forbidden
            .iter()
            .filter(|line| line.ends_with(" ping"))
            .count(),
        5,
        "{forbidden:#?}"
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
        1:01:00 NeedsAttention: forbidden; ping at 1:48:00 for Forbidden
    ",
    );
}

#[test]
fn a_forbidden_ping_settles_a_doubt_only_once_it_is_confirmed() {
    check(
        "
        policy login=person
        person good
        10m: rejected 1
        +1s: forbidden?
        +0s: status
        +2s: forbidden?
        +0s: status
    ",
        "
        0:00:00 logged_in 1
        0:00:00 publish 1
        0:10:00 doubtful Report
        0:10:00 ping
        0:10:01 Recovering; ping at 0:10:02 for Doubt(Report)
        0:10:02 ping
        0:10:03 forbidden
        0:10:03 NeedsAttention: forbidden?; ping at 1:46:03 for Forbidden
    ",
    );
}

#[test]
fn a_mended_config_ends_the_stop_that_it_caused_and_the_same_one_does_not() {
    check(
        "
        policy login=password
        serve login refused client
        tick
        1h: restart
        secrets secret
        +1s: status
        serve login good
        2h: restart
        secrets secret config=mended
        +2s: status
    ",
        "
        0:00:00 login
        0:00:01 refused, stopped
        1:00:00 restart
        1:00:01 NeedsAttention: refused
        2:00:00 restart
        2:00:00 reopened
        2:00:00 login
        2:00:01 logged_in 16
        2:00:01 publish 16
        2:00:02 Alive; ping at 3:47:14 for IdleTimeout
    ",
    );
}

#[test]
fn a_renewal_that_is_refused_for_what_it_asks_for_leaves_the_login() {
    check(
        "
        policy model=fixed idle=none survive=1m
        serve login good refresh=r1 life=10m
        serve renew refused request
        tick
        20m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:09:00 renew r1
        0:09:01 refused, stopped
        0:09:01 login
        0:09:02 logged_in 2
        0:09:02 publish 2
        0:18:01 login
        0:18:02 logged_in 3
        0:18:02 publish 3
        0:20:00 NeedsAttention: refused; login at 0:27:01 for Expiry
    ",
    );
}

#[test]
fn a_refused_login_leaves_renewals_that_present_something_else() {
    check(
        "
        policy login=password model=fixed idle=none survive=1m
        serve login good refresh=r1 life=10m
        serve renew good life=10m
        tick
        1m: serve login refused
        order login
        15m: status
    ",
        "
        0:00:00 login
        0:00:01 logged_in 1
        0:00:01 publish 1
        0:01:00 login
        0:01:01 refused, stopped
        0:09:00 renew r1
        0:09:01 renewed 2
        0:09:01 publish 2
        0:15:00 NeedsAttention: refused; renew at 0:18:00 for Expiry
    ",
    );
}
