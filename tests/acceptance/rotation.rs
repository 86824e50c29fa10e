//! Refresh tokens that rotate: none is lost by a kill or a lost answer, none is presented twice while another way exists.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::{SOON, within};

#[test]
fn a_kill_after_a_rotation_loses_nothing() {
    let (server, mut lab) = lab();
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    let mut token = lab.await_token("crm");
    for round in 1..=12 {
        // Not done where the disk does not take the intent within five seconds: then it is ordered again.
        within(SOON * 3, "a renewal", || {
            (lab.post("/v1/sessions/crm/renew?wait=20s", "").status == 200).then_some(())
        });
        token = lab.await_another_token("crm", &token);
        lab.kill();
        assert_eq!(
            lab.token("crm").as_ref(),
            Some(&token),
            "round {round}: the file outlives the daemon"
        );
        lab.start();
        lab.await_state("crm", "alive");
        assert_eq!(lab.token("crm").as_ref(), Some(&token), "round {round}");
        assert_eq!(server.reuse_detected(), 0, "round {round}");
    }
    assert_eq!(server.refreshes(), 13, "one per order, and the first");
}

#[test]
fn kills_at_any_moment_of_a_renewal_never_spend_a_refresh_token_twice() {
    let (server, mut lab) = lab();
    // A login is possible, so an answer lost in the kill is no reason to present a spent refresh token.
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    for round in 0..12_u64 {
        let socket = lab.socket();
        let order = std::thread::spawn(move || {
            crate::support::unix::request(
                &socket,
                "POST",
                "/v1/sessions/crm/renew?wait=1s",
                "application/json",
                "",
            )
        });
        sleep(Duration::from_millis(round));
        lab.kill();
        let _ = order.join();
        lab.start();
        lab.await_state("crm", "alive");
        assert!(server.lives(&lab.await_token("crm")), "round {round}");
        assert_eq!(server.reuse_detected(), 0, "round {round}");
    }
    assert!(server.count(Endpoint::Token) <= 40);
}

#[test]
fn a_lost_answer_keeps_the_living_token_and_asks_no_more() {
    let (server, mut lab) = lab();
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    let token = lab.await_token("crm");
    server.once(Endpoint::Token, Instead::Lose);
    lab.post("/v1/sessions/crm/renew?wait=1s", "");
    lab.await_state("crm", "alive");
    sleep(Duration::from_secs(2));
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(
        server.refreshes(),
        2,
        "the refresh token is not presented again while its access token lives"
    );
    assert_eq!(server.reuse_detected(), 0);
    assert!(server.pings() >= 1, "the token was proved good");
}

#[test]
fn a_lost_answer_stays_in_doubt_across_a_kill() {
    let (server, mut lab) = lab();
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    let token = lab.await_token("crm");
    server.once(Endpoint::Token, Instead::Hang);
    let socket = lab.socket();
    let order = std::thread::spawn(move || {
        crate::support::unix::request(
            &socket,
            "POST",
            "/v1/sessions/crm/renew?wait=1s",
            "application/json",
            "",
        )
    });
    within(SOON, "the renewal to arrive", || {
        (server.refreshes() == 2).then_some(())
    });
    lab.kill();
    let _ = order.join();
    let pings = server.pings();
    lab.start();
    within(SOON, "the ping that settles it", || {
        (server.pings() > pings).then_some(())
    });
    lab.await_state("crm", "alive");
    sleep(Duration::from_secs(1));
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.refreshes(), 2);
    assert_eq!(server.logins(), 0);
}

#[test]
fn a_lost_answer_whose_token_then_dies_is_settled_by_one_presentation() {
    let (server, mut lab) = lab();
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    lab.await_token("crm");
    server.once(Endpoint::Token, Instead::Lose);
    lab.post("/v1/sessions/crm/renew?wait=1s", "");
    server.revoke_sessions();
    lab.run(&["rejected", "crm"]);
    lab.await_state("crm", "needs_attention");
    assert_eq!(
        server.reuse_detected(),
        1,
        "no other way was left, and it was tried once"
    );
    sleep(Duration::from_secs(2));
    assert_eq!(server.refreshes(), 3);
    lab.await_no_token("crm");
    lab.kill();
    lab.start();
    lab.await_state("crm", "needs_attention");
    assert_eq!(server.refreshes(), 3, "nor after a restart");
}

#[test]
fn an_unprocessed_renewal_is_recovered_by_the_same_refresh_token() {
    let (server, mut lab) = lab();
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    let first = lab.await_token("crm");
    server.once(Endpoint::Token, Instead::Reset);
    lab.post("/v1/sessions/crm/renew?wait=1s", "");
    server.revoke_sessions();
    lab.run(&["rejected", "crm"]);
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    assert_eq!(server.reuse_detected(), 0);
    assert!(server.refreshes() <= 4);
}

#[test]
fn a_lost_answer_with_a_login_at_hand_is_settled_by_the_login() {
    let (server, mut lab) = lab();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let first = lab.await_token("crm");
    server.revoke_sessions();
    server.once(Endpoint::Token, Instead::Lose);
    lab.run(&["rejected", "crm"]);
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    assert_eq!((server.refreshes(), server.logins()), (1, 2));
    assert_eq!(server.reuse_detected(), 0);
}

#[test]
fn the_stored_refresh_token_wins_over_the_configured_one() {
    let (server, mut lab) = lab();
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    let first = lab.await_token("crm");
    lab.stop();
    server.revoke_sessions();
    lab.start();
    lab.await_state("crm", "alive");
    lab.post("/v1/sessions/crm/verify?wait=5s", "");
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    assert_eq!(server.reuse_detected(), 0);
    assert_eq!(server.refreshes(), 2);
}

#[test]
fn a_new_refresh_token_in_the_file_brings_a_stopped_session_back() {
    let (server, mut lab) = lab();
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    lab.await_token("crm");
    server.revoke_refresh_tokens();
    lab.run(&["rejected", "crm"]);
    lab.await_state("crm", "needs_attention");
    lab.await_no_token("crm");
    lab.secret("refresh-token", &server.approve("crm"));
    lab.reload();
    let token = lab.await_token("crm");
    assert!(server.lives(&token));
    assert!(server.refreshes() <= 4);
}

fn lab() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    }));
    let lab = Lab::new(&server);
    (server, lab)
}
