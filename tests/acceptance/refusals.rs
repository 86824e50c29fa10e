//! A no to a login ends the attempts of the whole account, so that nobody is locked out.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::{SOON, within};

#[test]
fn a_wrong_password_is_tried_once_whatever_happens_after() {
    let (server, mut lab) = lab();
    lab.secret("password", "not-the-password");
    lab.configure(&[lab.by_password("crm", "job@acme.example")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    assert_eq!(server.logins(), 1);
    assert_eq!(lab.code(&["token", "crm", "--wait", "1s"]), 79);
    assert_eq!(lab.code(&["wait", "crm", "--wait", "1s"]), 79);
    lab.reload();
    sleep(Duration::from_millis(500));
    for _ in 0..2 {
        lab.stop();
        lab.start();
        lab.await_state("crm", "needs_attention");
        lab.run(&["token", "crm", "--wait", "1s"]);
        lab.run(&["rejected", "crm"]);
    }
    lab.kill();
    lab.start();
    lab.await_state("crm", "needs_attention");
    sleep(Duration::from_secs(1));
    assert_eq!(
        server.logins(),
        1,
        "a stop survives reads, reports, reloads, restarts and kills"
    );
    assert!(!server.locked());
    assert_eq!(lab.token("crm"), None);
}

#[test]
fn a_no_under_status_200_is_quoted_to_a_person_and_its_password_sent_once_whatever_it_is_called() {
    for (body, quoted) in [
        (
            r#"{"errcode":40001,"errmsg":"invalid credential"}"#,
            "“40001”, “invalid credential”",
        ),
        (
            r#"{"success":false,"message":"Wrong password. Please try again."}"#,
            "“Wrong password. Please try again.”",
        ),
        (
            r#"{"Result":"failure","Reason":"unknown user"}"#,
            "“unknown user”",
        ),
    ] {
        let (server, mut lab) = lab();
        server.always(
            Endpoint::Token,
            Instead::Say(crate::support::wire::Response::json(200, body)),
        );
        lab.configure(&[lab.by_password("crm", "job@acme.example")]);
        lab.start();
        let status = lab.await_state("crm", "needs_attention");
        assert!(
            status["attention"]["reason"]
                .as_str()
                .unwrap()
                .contains(quoted),
            "{status}"
        );
        sleep(Duration::from_secs(1));
        assert_eq!(server.logins(), 1, "{body}");
    }
}

#[test]
fn kills_while_a_wrong_password_is_under_way_never_lock_the_account() {
    let (server, mut lab) = lab();
    lab.secret("password", "not-the-password");
    lab.configure(&[lab.by_password("crm", "job@acme.example")]);
    for round in 0..6 {
        let before = server.logins();
        lab.start();
        // As soon as the password has arrived, or when the daemon has decided not to send it now.
        within(SOON, "the daemon's mind", || {
            (server.logins() > before || puts_off(&lab)).then_some(())
        });
        lab.kill();
        assert!(
            !server.locked(),
            "round {round}: {} logins",
            server.logins()
        );
    }
    assert!(
        (1..=2).contains(&server.logins()),
        "{} logins",
        server.logins()
    );
}

/// Whether the next call is a person's matter, or minutes away.
fn puts_off(lab: &Lab) -> bool {
    let Some(status) = lab.get("/v1/sessions/crm").map(|answer| answer.json()) else {
        return false;
    };
    let next = status["next"]["at"].as_str().and_then(|at| at.parse().ok());
    status["state"] == "needs_attention"
        || next.is_some_and(|next: jiff::Timestamp| {
            next > jiff::Timestamp::now() + jiff::SignedDuration::from_mins(1)
        })
}

#[test]
fn a_mended_password_reopens_the_session_on_reload() {
    let (server, mut lab) = lab();
    lab.secret("password", "not-the-password");
    lab.configure(&[lab.by_password("crm", "job@acme.example")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    lab.secret("password", &server.password());
    lab.reload();
    let token = lab.await_token("crm");
    assert!(server.lives(&token));
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_mended_password_reopens_the_session_across_a_restart() {
    let (server, mut lab) = lab();
    lab.secret("password", "not-the-password");
    lab.configure(&[lab.by_password("crm", "job@acme.example")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    lab.stop();
    lab.secret("password", &server.password());
    lab.start();
    lab.await_token("crm");
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_person_may_try_again_by_hand() {
    let (server, mut lab) = lab();
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_grant", "authentication failure")),
    );
    lab.configure(&[lab.by_password("crm", "job@acme.example")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    assert_ne!(lab.code(&["login", "crm"]), 0);
    assert_eq!(server.logins(), 2);
    server.behave();
    lab.succeeds(&["login", "crm"]);
    lab.await_token("crm");
    assert_eq!(server.logins(), 3);
}

#[test]
fn sessions_of_one_account_share_the_stop() {
    let (server, mut lab) = lab();
    lab.secret("password", "not-the-password");
    let names = ["first", "second", "third", "fourth"];
    lab.configure(&names.map(|name| lab.by_password(name, "job@acme.example")));
    lab.start();
    for name in names {
        lab.await_state(name, "needs_attention");
    }
    assert_eq!(server.logins(), 1, "four sessions, one user, one attempt");
    assert!(!server.locked());
}

#[test]
fn a_wrong_client_secret_is_confirmed_at_most_once() {
    let (server, mut lab) = lab();
    lab.secret("client-secret", "not-the-secret");
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    lab.stop();
    lab.start();
    lab.await_state("crm", "needs_attention");
    sleep(Duration::from_secs(2));
    assert!(
        (1..=2).contains(&server.logins()),
        "{} logins",
        server.logins()
    );
}

#[test]
fn every_documented_refusal_stops_with_a_remedy() {
    let refusals = [
        ("inactive-user", "invalid_grant", "inactive user"),
        ("inactive-org", "invalid_grant", "inactive organization"),
        ("ip", "invalid_grant", "ip restricted"),
        (
            "unapproved",
            "invalid_grant",
            "user hasn't approved this consumer",
        ),
        ("audience", "invalid_grant", "audience is invalid"),
        ("assertion", "invalid_grant", "invalid assertion"),
        (
            "domain",
            "invalid_grant",
            "request not supported on this domain",
        ),
        (
            "run-as",
            "invalid_grant",
            "no client credentials user enabled",
        ),
        (
            "app-access",
            "invalid_app_access",
            "user is not admin approved to access this app",
        ),
        (
            "client-id",
            "invalid_client_id",
            "client identifier invalid",
        ),
        (
            "install",
            "invalid_client",
            "app must be installed into org",
        ),
        (
            "grant-type",
            "unsupported_grant_type",
            "grant type not supported",
        ),
        ("unknown", "something_new", "nobody has seen this before"),
    ];
    let (server, mut lab) = lab();
    for (name, error, description) in refusals {
        server.always_for(
            name,
            Endpoint::Token,
            Instead::Say(oauth_error(error, description)),
        );
    }
    lab.configure(&refusals.map(|(name, ..)| lab.by_client(name)));
    lab.start();
    for (name, ..) in refusals {
        let status = lab.await_state(name, "needs_attention");
        let remedy = status["attention"]["remedy"].as_str().unwrap_or_default();
        assert!(!remedy.is_empty(), "{name}: {status}");
    }
    sleep(Duration::from_secs(2));
    for (name, ..) in refusals {
        let logins = server.count_of(name, Endpoint::Token);
        assert!((1..=2).contains(&logins), "{name}: {logins} logins");
    }
}

#[test]
fn a_refused_login_leaves_a_living_token_published_and_pinged() {
    let (server, mut lab) = lab();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "invalid client credentials")),
    );
    assert_ne!(lab.code(&["login", "crm"]), 0);
    assert_eq!(lab.token("crm"), Some(token.clone()));
    assert_eq!(
        lab.run(&["token", "crm"]).stdout.trim_ascii(),
        token.as_bytes()
    );
    lab.succeeds(&["verify", "crm"]);
    assert!(server.logins() <= 3);
}

#[test]
fn an_outage_that_claims_a_refusal_is_an_outage() {
    let (server, mut lab) = lab();
    let mut response = oauth_error("invalid_grant", "authentication failure");
    response.status = 503;
    server.once(Endpoint::Token, Instead::Say(response));
    lab.configure(&[lab.by_password("crm", "job@acme.example")]);
    lab.start();
    lab.await_token("crm");
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_password_that_an_error_of_the_server_speaks_of_is_sent_twice_and_a_person_reads_the_servers_words()
 {
    for (status, body) in [
        (500, r#"{"message":"Invalid username or password"}"#),
        (
            503,
            r#"{"error":"invalid_grant","error_description":"bad login"}"#,
        ),
    ] {
        let (server, mut lab) = lab();
        let answer = crate::support::wire::Response::json(status, body);
        server.always(Endpoint::Token, Instead::Say(answer));
        lab.configure(&[lab.by_password("crm", "job@acme.example")]);
        lab.start();
        let status = lab.await_state("crm", "needs_attention");
        assert_eq!(server.logins(), 2, "{body}");
        let reason = status["attention"]["reason"].as_str().unwrap_or_default();
        assert!(
            reason.contains("speaks of the login") || reason.contains("may have counted"),
            "{status}"
        );
        lab.stop();
        lab.start();
        sleep(Duration::from_secs(6));
        assert_eq!(server.logins(), 2, "{body}: it waits, also after a restart");
        server.behave();
        lab.succeeds(&["login", "crm"]);
        lab.await_token("crm");
    }
}

#[test]
fn a_password_outlives_plain_errors_of_the_server_within_seconds() {
    let (server, mut lab) = lab();
    let wire =
        |status, body: &str| Instead::Say(crate::support::wire::Response::json(status, body));
    server.once(Endpoint::Token, wire(500, r#"{"error":"server_error"}"#));
    server.once(Endpoint::Token, wire(503, r#"{"message":"try later"}"#));
    let page = "<html>Bad Gateway. Forgot your password?</html>";
    let page = crate::support::wire::Response::html(502, page);
    server.once(Endpoint::Token, Instead::Say(page));
    lab.configure(&[lab.by_password("crm", "job@acme.example")]);
    lab.start();
    lab.await_token("crm");
    assert_eq!(server.logins(), 4);
}

#[test]
fn a_secret_that_cannot_be_read_costs_no_attempt_and_heals() {
    let (server, mut lab) = lab();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    std::fs::remove_file(lab.path("client-secret")).unwrap();
    server.revoke_sessions();
    lab.post(
        "/v1/sessions/crm/rejected?wait=1s",
        &format!("{{\"generation\":{}}}", lab.status("crm")["generation"]),
    );
    assert_eq!(server.logins(), 1, "nothing was sent");
    lab.await_no_token("crm");
    lab.secret("client-secret", &server.client_secret());
    lab.reload();
    lab.await_token("crm");
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_session_with_unusable_answers_does_not_keep_its_account_from_others() {
    let (server, mut lab) = lab();
    let nonsense = Instead::Say(crate::support::wire::Response::json(200, "{}"));
    server.always_for("broken", Endpoint::Token, nonsense);
    lab.configure(&["broken", "sound"].map(|name| lab.by_password(name, "job@acme.example")));
    lab.start();
    let token = lab.await_token("sound");
    assert!(server.lives(&token));
    assert!(server.logins() <= 6, "{} logins", server.logins());
}

fn lab() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    (server, lab)
}
