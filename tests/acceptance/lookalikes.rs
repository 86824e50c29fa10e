//! Answers that look like a dead session and are none, and those that are one.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::wire::Response;

/// What the session must be while the answer lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    /// A person must act; the session lives.
    Forbidden,
    /// The server is busy or away; the session lives.
    Patient,
}

use Meanwhile::{Forbidden, Patient};

/// Name, what it calls for, and the answer; from the list of look-alikes that Salesforce's clients and users met.
fn lookalikes() -> Vec<(&'static str, Meanwhile, Response)> {
    let error = |status, code: &str, message: &str| {
        Response::json(
            status,
            format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#),
        )
    };
    vec![
        (
            "not-for-rest",
            Forbidden,
            error(
                401,
                "INVALID_SESSION_ID",
                "This session is not valid for use with the REST API",
            ),
        ),
        (
            "agent-only",
            Forbidden,
            error(
                401,
                "UNAUTHORIZED",
                "Connected app is not attached to Agent",
            ),
        ),
        (
            "expired-password",
            Forbidden,
            error(
                401,
                "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
                "The users password has expired",
            ),
        ),
        (
            "auth-header",
            Forbidden,
            error(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE"),
        ),
        (
            "quota-day",
            Patient,
            error(
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "TotalRequests Limit exceeded.",
            ),
        ),
        (
            "quota-long",
            Patient,
            error(
                403,
                "REQUEST_LIMIT_EXCEEDED",
                "ConcurrentPerOrgLongTxn Limit exceeded.",
            ),
        ),
        (
            "api-off-user",
            Forbidden,
            error(
                403,
                "API_CURRENTLY_DISABLED",
                "API is currently disabled for this User",
            ),
        ),
        (
            "api-off-org",
            Forbidden,
            error(
                403,
                "API_DISABLED_FOR_ORG",
                "API is not enabled for this Organization",
            ),
        ),
        (
            "no-access",
            Forbidden,
            error(403, "INSUFFICIENT_ACCESS", "insufficient access rights"),
        ),
        (
            "client-barred",
            Forbidden,
            error(
                403,
                "CLIENT_NOT_ACCESSIBLE_FOR_USER",
                "Client is not accessible",
            ),
        ),
        (
            "policy",
            Forbidden,
            error(
                403,
                "TXN_SECURITY_NO_ACCESS",
                "The operation is not allowed",
            ),
        ),
        (
            "metering",
            Patient,
            error(403, "TXN_SECURITY_METERING_ERROR", "policy took too long"),
        ),
        (
            "not-found",
            Forbidden,
            error(404, "NOT_FOUND", "The requested resource does not exist"),
        ),
        (
            "edge-406",
            Patient,
            Response {
                status: 406,
                ..Response::default()
            },
        ),
        (
            "retired",
            Forbidden,
            error(410, "UNSUPPORTED_API_VERSION", "API version is retired"),
        ),
        (
            "edge-420",
            Patient,
            Response::html(420, "<html>We are setting things up…</html>"),
        ),
        (
            "throttled",
            Patient,
            error(429, "REQUEST_LIMIT_EXCEEDED", "slow down").with("Retry-After", "1"),
        ),
        (
            "error-500",
            Patient,
            error(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred"),
        ),
        // The status of an outage wins over whatever its body claims.
        (
            "outage-502",
            Patient,
            error(502, "INVALID_SESSION_ID", "Session expired or invalid"),
        ),
        (
            "busy-503",
            Patient,
            error(503, "SERVER_UNAVAILABLE", "server too busy"),
        ),
        (
            "maintenance",
            Patient,
            error(503, "ORG_IN_MAINTENANCE", "maintenance"),
        ),
        (
            "html-200",
            Patient,
            Response::html(200, "<html><body>Log in</body></html>"),
        ),
        (
            "redirect",
            Patient,
            Response {
                status: 302,
                ..Response::default()
            }
            .with("Location", "https://login.salesforce.com/"),
        ),
        ("empty-200", Patient, Response::json(200, "")),
        ("odd-200", Patient, Response::json(200, "[1, 2")),
    ]
}

#[test]
fn look_alikes_never_cost_a_session() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    server.allow_calls(200);
    let mut lab = Lab::new(&server);
    let cases = lookalikes();
    lab.configure(
        &cases
            .iter()
            .map(|(name, ..)| lab.by_client(name))
            .collect::<Vec<_>>(),
    );
    lab.start();
    let tokens: Vec<String> = cases
        .iter()
        .map(|(name, ..)| lab.await_token(name))
        .collect();
    for (name, _, response) in &cases {
        server.always_for(name, Endpoint::Data, Instead::SayAlive(response.clone()));
    }
    for (name, ..) in &cases {
        lab.post(&format!("/v1/sessions/{name}/verify?wait=1s"), "");
    }
    for (name, meanwhile, _) in &cases {
        let wanted = if *meanwhile == Forbidden {
            "needs_attention"
        } else {
            "alive"
        };
        lab.await_state(name, wanted);
    }
    sleep(Duration::from_secs(2));
    for ((name, ..), token) in cases.iter().zip(&tokens) {
        assert_eq!(
            lab.token(name).as_ref(),
            Some(token),
            "{name}: the token stays published"
        );
        assert_eq!(
            server.count_of(name, Endpoint::Token),
            1,
            "{name}: no login"
        );
        let pings = server.count_of(name, Endpoint::Data);
        assert!((1..=6).contains(&pings), "{name}: {pings} pings");
        assert_eq!(lab.code(&["token", name]), 0, "{name}: and is served");
    }
    server.behave();
    for ((name, ..), token) in cases.iter().zip(&tokens) {
        lab.succeeds(&["verify", name]);
        lab.await_state(name, "alive");
        assert_eq!(lab.token(name).as_ref(), Some(token), "{name}");
    }
    assert_eq!(server.count(Endpoint::Token), cases.len());
}

#[test]
fn every_documented_sign_of_death_brings_a_new_token() {
    let dead = [
        (
            "array",
            Response::json(
                401,
                r#"[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]"#,
            ),
        ),
        (
            "object",
            Response::json(
                401,
                r#"{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}"#,
            ),
        ),
        (
            "bare",
            Response {
                status: 401,
                ..Response::default()
            },
        ),
        (
            "page",
            Response::html(
                401,
                "<html>Session expired or invalid INVALID_SESSION_ID</html>",
            ),
        ),
        ("oauth-text", Response::text(403, "Bad_OAuth_Token")),
        (
            "policy-end",
            Response::json(
                403,
                r#"[{"message":"ended","errorCode":"TXN_SECURITY_END_A_SESSION"}]"#,
            ),
        ),
    ];
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(
        &dead
            .iter()
            .map(|(name, _)| lab.by_client(name))
            .collect::<Vec<_>>(),
    );
    lab.start();
    let tokens: Vec<String> = dead.iter().map(|(name, _)| lab.await_token(name)).collect();
    for ((name, response), token) in dead.iter().zip(&tokens) {
        server.always_for(name, Endpoint::Data, Instead::Say(response.clone()));
        lab.post(&format!("/v1/sessions/{name}/verify?wait=1s"), "");
        lab.await_another_token(name, token);
        server.behave();
        assert!(server.count_of(name, Endpoint::Token) <= 3, "{name}");
        assert!(server.count_of(name, Endpoint::Data) <= 4, "{name}");
    }
}

#[test]
fn a_server_that_calls_every_token_dead_is_not_stormed() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    server.always(
        Endpoint::Data,
        Instead::Say(crate::support::org::session_expired()),
    );
    for _ in 0..20 {
        lab.post(
            "/v1/sessions/crm/rejected?wait=1s",
            &format!("{{\"generation\":{}}}", lab.status("crm")["generation"]),
        );
        sleep(Duration::from_millis(100));
    }
    let (logins, pings) = (server.logins(), server.pings());
    assert!(
        logins <= 7,
        "{logins} logins: more than the budget of an hour"
    );
    assert!(pings <= 30, "{pings} pings");
}

#[test]
fn the_userinfo_ping_reads_its_own_sign_of_death() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab
        .by_client("crm")
        .table("keepalive", "ping = \"userinfo\"")]);
    lab.start();
    let first = lab.await_token("crm");
    server.settled();
    let before = server.count(Endpoint::Userinfo);
    lab.succeeds(&["verify", "crm"]);
    assert_eq!(
        (server.pings(), server.count(Endpoint::Userinfo)),
        (0, before + 1)
    );
    server.revoke_sessions();
    lab.run(&["verify", "crm"]);
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    assert_eq!(server.logins(), 2);
}
