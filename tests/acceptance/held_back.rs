//! What a refusal holds back: what would be refused again, and nothing else; and what ends it.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, RefreshTokens, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::{SOON, within};

const USER: &str = "job@acme.example";

#[test]
fn a_wrong_password_of_one_session_leaves_another_of_its_user_its_renewals() {
    let (server, mut lab) = lab(RefreshTokens::Rotated);
    lab.secret("wrong", "not-the-password");
    lab.configure(&[lab.by_password("lives", USER)]);
    lab.start();
    let first = lab.await_token("lives");
    lab.configure(&[
        lab.by_password("lives", USER),
        lab.by_password("typed", USER)
            .with_secret("password", "wrong"),
    ]);
    lab.reload();
    lab.await_state("typed", "needs_attention");
    server.revoke_sessions();
    lab.succeeds(&["rejected", "lives"]);
    let second = lab.await_another_token("lives", &first);
    assert!(server.lives(&second));
    assert_eq!(
        (server.logins(), server.refreshes()),
        (2, 1),
        "each password once, and a renewal"
    );
    assert_eq!(lab.status("lives")["state"], "alive");
    assert_eq!(lab.status("typed")["state"], "needs_attention");
}

#[test]
fn a_refused_client_of_one_session_stops_no_other_client_of_its_user() {
    let (server, mut lab) = lab(RefreshTokens::None);
    let refusal = oauth_error("invalid_client", "invalid client credentials");
    server.always_for("gone", Endpoint::Token, Instead::Say(refusal));
    lab.configure(&["gone", "sound"].map(|name| lab.by_password(name, USER)));
    lab.start();
    let refused = lab.await_state("gone", "needs_attention");
    assert!(server.lives(&lab.await_token("sound")));
    let remedy = refused["attention"]["remedy"].as_str().unwrap_or_default();
    for word in [
        "client_id",
        "secret",
        "client_auth",
        "scope",
        "keepfresh reload",
        "keepfresh login gone",
    ] {
        assert!(remedy.contains(word), "{word}: {remedy}");
    }
    assert!(lab.status("sound")["attention"].is_null());
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_locked_user_is_not_logged_in_by_another_client_and_the_other_says_whose_refusal_it_was() {
    let (server, mut lab) = lab(RefreshTokens::None);
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_grant", "inactive user")),
    );
    lab.configure(&["first", "second"].map(|name| lab.by_password(name, USER)));
    lab.start();
    let reasons = ["first", "second"].map(|name| {
        let status = lab.await_state(name, "needs_attention");
        status["reason"].as_str().unwrap_or_default().to_owned()
    });
    assert_eq!(server.logins(), 1, "one user, one attempt");
    assert_eq!(
        reasons
            .iter()
            .filter(|reason| reason.starts_with("its user was refused"))
            .count(),
        1,
        "{reasons:?}"
    );
}

#[test]
fn the_same_wrong_password_under_another_client_and_another_name_is_not_sent_again() {
    let (server, mut lab) = lab(RefreshTokens::None);
    for file in ["one", "other"] {
        lab.secret(file, "not-the-password");
    }
    let session =
        |name: &str, file: &str| lab.by_password(name, USER).with_secret("password", file);
    lab.configure(&[session("first", "one"), session("second", "other")]);
    lab.start();
    for name in ["first", "second"] {
        lab.await_state(name, "needs_attention");
    }
    assert_eq!(server.logins(), 1);
    lab.secret("other", &server.password());
    lab.reload();
    assert!(server.lives(&lab.await_token("second")));
    assert_eq!(lab.status("first")["state"], "needs_attention");
    assert_eq!(server.logins(), 2, "and its own, once it is another");
}

#[test]
fn a_mended_config_ends_the_stop_that_it_caused_by_a_reload_or_a_restart_and_the_same_one_does_not()
{
    let (server, mut lab) = lab(RefreshTokens::None);
    let refusal = || Instead::Say(oauth_error("invalid_client", "this client must use Basic"));
    server.always(Endpoint::Token, refusal());
    let session = |auth: &str| lab.by_password("crm", USER).login_key("client_auth", auth);
    let (by_form, by_header) = (session("post"), session("basic"));
    let scoped = by_header.clone().login_key("scope", "api");
    lab.configure(std::slice::from_ref(&by_form));
    lab.start();
    lab.await_state("crm", "needs_attention");
    unchanged(&mut lab, &server, 1);
    lab.configure(&[by_header]);
    lab.reload();
    within(SOON, "a try with the mended config", || {
        (server.logins() == 2).then_some(())
    });
    lab.await_state("crm", "needs_attention");
    lab.stop();
    server.behave();
    lab.configure(&[scoped]);
    lab.start();
    assert!(server.lives(&lab.await_token("crm")));
    assert_eq!(server.logins(), 3);
}

#[test]
fn a_stop_of_the_last_version_is_read_and_ended_by_another_secret_only() {
    let (server, mut lab) = lab(RefreshTokens::None);
    lab.secret("password", "not-the-password");
    lab.configure(&[lab.by_password("crm", USER)]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    lab.stop();
    as_the_last_version_wrote_it(&lab);
    lab.start();
    lab.await_state("crm", "needs_attention");
    unchanged(&mut lab, &server, 1);
    lab.secret("password", &server.password());
    lab.reload();
    lab.await_token("crm");
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_password_that_a_server_hangs_up_on_is_sent_twice_and_a_person_is_told_why_it_waits() {
    let (server, mut lab) = lab(RefreshTokens::None);
    lab.secret("password", "not-the-password");
    server.always(Endpoint::Token, Instead::Lose);
    lab.configure(&[lab.by_password("crm", USER)]);
    lab.start();
    within(SOON, "two tries", || (server.logins() == 2).then_some(()));
    sleep(Duration::from_secs(8));
    assert_eq!(server.logins(), 2);
    assert!(!server.locked());
    let status = lab.status("crm");
    for place in ["reason", "notice"] {
        let said = status[place].as_str().unwrap_or_default();
        assert!(
            said.contains("had no answer") && said.contains("keepfresh login crm"),
            "{place}: {said}"
        );
    }
    server.behave();
    lab.secret("password", &server.password());
    lab.reload();
    assert!(
        server.lives(&lab.await_token("crm")),
        "another password is in no doubt"
    );
    assert_eq!(server.logins(), 3);
}

#[test]
fn false_reports_of_a_session_without_a_ping_do_not_spend_its_login_budget() {
    let (server, mut lab) = lab(RefreshTokens::None);
    let token_url = format!("{}/services/oauth2/token", server.url());
    lab.configure(&[lab
        .by_client("bare")
        .provider("oauth2")
        .login_key("token_url", &token_url)]);
    lab.start();
    lab.await_token("bare");
    for _ in 0..8 {
        lab.run(&["rejected", "bare", "--wait", "1s"]);
    }
    assert!(server.logins() <= 4, "{} logins", server.logins());
    assert!(
        server.lives(&lab.await_token("bare")),
        "what may well live stays to be read"
    );
    let before = server.logins();
    lab.succeeds(&["login", "bare"]);
    assert_eq!(server.logins(), before + 1);
    assert!(
        !lab.status("bare")["reason"]
            .as_str()
            .unwrap()
            .contains("the login budget of the hour is spent")
    );
}

#[test]
fn sessions_that_share_a_stop_are_withdrawn_together() {
    let (server, mut lab) = lab(RefreshTokens::None);
    let names = ["one", "two", "three", "four", "five"];
    lab.configure(&names.map(|name| lab.by_password(name, USER)));
    lab.start();
    let tokens = names.map(|name| lab.await_token(name));
    server.settled();
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_grant", "ip restricted")),
    );
    server.revoke_sessions();
    for (name, token) in names.iter().zip(&tokens) {
        lab.post(
            &format!("/v1/sessions/{name}/rejected"),
            &format!("{{\"token\":\"{token}\"}}"),
        );
    }
    within(SOON, "the first file to go", || {
        names
            .iter()
            .any(|name| lab.token(name).is_none())
            .then_some(())
    });
    let first = Instant::now();
    within(SOON, "all files to go", || {
        names
            .iter()
            .all(|name| lab.token(name).is_none())
            .then_some(())
    });
    assert!(
        first.elapsed() < Duration::from_secs(2),
        "{:?} after the first",
        first.elapsed()
    );
    assert!(
        server.logins() <= names.len() + 1,
        "{} logins",
        server.logins()
    );
}

#[test]
fn a_spent_budget_is_told_at_once_in_numbers_with_the_time_of_the_next_login_and_what_overrides_it()
{
    let (server, mut lab) = lab(RefreshTokens::None);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    let mut refused = None;
    for _ in 0..8 {
        server.revoke_sessions();
        let asked = Instant::now();
        let output = lab.run(&["rejected", "crm", "--wait", "30s"]);
        if !output.status.success() {
            refused = Some((output, asked.elapsed()));
            break;
        }
    }
    let (output, took) = refused.expect("the budget is spent at last");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{said}");
    // A token that died young was asked again for some seconds first.
    assert!(took < Duration::from_secs(15), "{took:?}: {said}");
    for part in [
        "all 6 logins",
        "the next login leaves at ",
        "`keepfresh login crm` logs in at once",
    ] {
        assert!(said.contains(part), "no {part:?}: {said}");
        assert!(
            lab.status("crm")["reason"].as_str().unwrap().contains(part),
            "{part}"
        );
    }
    assert_eq!(lab.code(&["wait", "crm", "--wait", "30s"]), 75);
    assert_eq!(server.logins(), 6);
    lab.succeeds(&["login", "crm"]);
    assert!(server.lives(&lab.await_token("crm")));
    assert_eq!(server.logins(), 7);
}

/// Neither a reload nor a restart nor a kill sends again what was refused.
fn unchanged(lab: &mut Lab, server: &Salesforce, logins: usize) {
    lab.reload();
    sleep(Duration::from_millis(500));
    lab.stop();
    lab.start();
    lab.await_state("crm", "needs_attention");
    lab.kill();
    lab.start();
    lab.await_state("crm", "needs_attention");
    sleep(Duration::from_millis(500));
    assert_eq!(server.logins(), logins);
}

/// One stop, of whatever was refused, known by the secrets alone.
fn as_the_last_version_wrote_it(lab: &Lab) {
    let accounts = lab.path("state").join("accounts");
    let file = std::fs::read_dir(accounts)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let account = record["data"]["account"].as_object_mut().unwrap();
    let mut stop = account.remove("stops").unwrap()[0].take();
    for newer in ["what", "request", "shared", "config", "confirmed"] {
        stop.as_object_mut().unwrap().remove(newer);
    }
    account.insert("stop".into(), stop);
    account.insert("refusals".into(), 1.into());
    std::fs::write(file, record.to_string()).unwrap();
}

fn lab(refresh_tokens: RefreshTokens) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings {
        refresh_tokens,
        ..Settings::default()
    }));
    let lab = Lab::new(&server);
    (server, lab)
}
