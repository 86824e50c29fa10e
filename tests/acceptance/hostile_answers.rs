//! Token answers that are wrong, too long or meant to harm: nothing but a token is ever published, and nobody storms.

use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::wire::Response;
use crate::support::{SOON, within};

type Hostility = fn(Value) -> Response;

fn with(mut genuine: Value, field: &str, value: Value) -> Response {
    genuine[field] = value;
    Response::json(200, genuine.to_string())
}

fn hostilities() -> Vec<(&'static str, Hostility)> {
    vec![
        ("control", |it| {
            with(it, "access_token", json!("00D!bell\u{7}"))
        }),
        ("newline", |it| {
            with(it, "access_token", json!("00D!a\r\nX-Injected: yes"))
        }),
        ("space", |it| {
            with(it, "access_token", json!("00D!two words"))
        }),
        ("nul", |it| with(it, "access_token", json!("00D!nul\u{0}"))),
        ("foreign-letters", |it| {
            with(it, "access_token", json!("00D!schlüssel"))
        }),
        ("too-long", |it| {
            with(it, "access_token", json!("x".repeat(64 * 1024 + 1)))
        }),
        ("empty", |it| with(it, "access_token", json!(""))),
        ("number", |it| with(it, "access_token", json!(1234))),
        ("null", |it| with(it, "access_token", Value::Null)),
        ("array", |it| with(it, "access_token", json!(["00D!x"]))),
        ("missing", |mut it| {
            it.as_object_mut().unwrap().remove("access_token");
            Response::json(200, it.to_string())
        }),
        ("not-an-object", |_| {
            Response::json(200, r#"["access_token"]"#)
        }),
        ("wrong-json", |it| {
            Response::json(200, it.to_string().replace('}', ""))
        }),
        ("deep", |_| Response::json(200, "[".repeat(500_000))),
        ("not-utf8", |_| {
            Response::json(200, b"{\"access_token\":\"\xff\xfe\"}".to_vec())
        }),
        ("empty-body", |_| Response::json(200, "")),
        ("instance-foreign", |it| {
            with(it, "instance_url", json!("https://evil.example"))
        }),
        ("instance-lookalike", |it| {
            with(
                it,
                "instance_url",
                json!("https://my.salesforce.com.evil.example"),
            )
        }),
        ("instance-plain", |it| {
            with(it, "instance_url", json!("http://acme.my.salesforce.com"))
        }),
        ("instance-userinfo", |it| {
            with(
                it,
                "instance_url",
                json!("https://acme.my.salesforce.com@evil.example"),
            )
        }),
        ("instance-loopback-userinfo", |it| {
            let url = it["instance_url"]
                .as_str()
                .unwrap()
                .replace("http://", "http://user:pass@");
            with(it, "instance_url", json!(url))
        }),
        ("instance-file", |it| {
            with(it, "instance_url", json!("file:///etc/passwd"))
        }),
        ("instance-newline", |it| {
            with(it, "instance_url", json!("http://127.0.0.1\r\nhost: evil"))
        }),
        ("instance-number", |it| with(it, "instance_url", json!(7))),
    ]
}

#[test]
fn no_hostile_login_answer_is_published() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    for (name, hostility) in hostilities() {
        server.always_for(name, Endpoint::Token, Instead::Alter(Arc::new(hostility)));
    }
    let sessions: Vec<_> = hostilities()
        .iter()
        .map(|(name, _)| {
            ["token", "json", "env", "header"]
                .iter()
                .fold(lab.by_key(name), |session, format| {
                    session.publish(&format!(
                        "file = \"{name}.{format}\"\nformat = \"{format}\""
                    ))
                })
        })
        .collect();
    lab.configure(&sessions);
    lab.start();
    for (name, _) in hostilities() {
        within(SOON, name, || {
            (server.count_of(name, Endpoint::Token) >= 1).then_some(())
        });
    }
    sleep(Duration::from_secs(3));
    assert!(lab.runs(), "{}", lab.tail());
    let published: Vec<_> = std::fs::read_dir(lab.path("run/tokens"))
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    assert!(published.is_empty(), "{published:?}");
    for (name, _) in hostilities() {
        let logins = server.count_of(name, Endpoint::Token);
        assert!((1..=5).contains(&logins), "{name}: {logins} logins");
        assert_ne!(lab.status(name)["state"], "alive", "{name}");
        assert!(!lab.status(name)["last_error"].is_null(), "{name}");
    }
    server.behave();
    for (name, _) in hostilities() {
        lab.succeeds(&["login", name]);
        let token = within(SOON, name, || {
            std::fs::read_to_string(lab.path(&format!("run/tokens/{name}.token"))).ok()
        });
        assert!(server.lives(&token), "{name}");
    }
}

#[test]
fn no_hostile_renewal_answer_replaces_a_living_token() {
    let server = Arc::new(Salesforce::start(Settings {
        refresh_tokens: RefreshTokens::Kept,
        ..Settings::default()
    }));
    let mut lab = Lab::new(&server);
    let sessions: Vec<_> = hostilities()
        .iter()
        .map(|(name, _)| lab.by_client(name))
        .collect();
    lab.configure(&sessions);
    lab.start();
    let tokens: Vec<String> = hostilities()
        .iter()
        .map(|(name, _)| lab.await_token(name))
        .collect();
    for (name, hostility) in hostilities() {
        server.always_for(name, Endpoint::Token, Instead::Alter(Arc::new(hostility)));
        lab.post(&format!("/v1/sessions/{name}/renew?wait=2s"), "");
    }
    sleep(Duration::from_secs(1));
    for ((name, _), token) in hostilities().iter().zip(&tokens) {
        assert_eq!(lab.token(name).as_ref(), Some(token), "{name}");
        let calls = server.count_of(name, Endpoint::Token);
        assert!((2..=4).contains(&calls), "{name}: {calls} calls");
    }
    assert!(lab.runs());
}

#[test]
fn an_error_text_cannot_forge_log_lines_or_colour_the_terminal() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let body = json!({"error": "invalid_grant", "error_description": "x\n2026-01-01 ERROR forged line\u{1b}[31mred"});
    server.always(
        Endpoint::Token,
        Instead::Say(Response::json(400, body.to_string())),
    );
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    let shown = lab.succeeds(&["status"]);
    for text in [&lab.said(), &shown] {
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(
            !text
                .lines()
                .any(|line| line.starts_with("2026-01-01 ERROR forged")),
            "{text}"
        );
    }
    assert!(server.logins() <= 2);
}

#[test]
fn an_error_text_that_echoes_secrets_is_scrubbed() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let echo = format!("client secret {} is wrong", server.client_secret());
    server.always(
        Endpoint::Token,
        Instead::Say(crate::support::org::oauth_error("invalid_client", &echo)),
    );
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    let status = lab.get("/v1/sessions/crm").unwrap().body;
    assert!(!status.contains(&server.client_secret()), "{status}");
    // The log and the output of `status` are searched when the lab goes.
    lab.run(&["status", "--json"]);
    assert!(server.logins() <= 2);
}

#[test]
fn a_redirect_is_never_followed_with_credentials() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let trap = Salesforce::start(Settings::default());
    let mut lab = Lab::new(&server);
    for (endpoint, path) in [
        (Endpoint::Token, "/services/oauth2/token"),
        (Endpoint::Data, "/services/data/v65.0/"),
    ] {
        for status in [301, 307] {
            let to = format!("{}{path}", trap.url());
            let redirect = Response {
                status,
                ..Response::default()
            }
            .with("Location", &to);
            server.once(endpoint, Instead::Say(redirect));
        }
    }
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    lab.run(&["verify", "crm"]);
    lab.run(&["verify", "crm"]);
    assert!(trap.calls().is_empty(), "{:?}", trap.calls());
    assert!(server.logins() <= 4);
}

#[test]
fn endless_and_dripping_answers_cost_no_memory() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    for number in 0..8 {
        let answer = if number % 2 == 0 {
            Instead::Endless
        } else {
            Instead::Drip
        };
        server.always_for(&format!("crm{number}"), Endpoint::Token, answer);
    }
    lab.configure(
        &(0..8)
            .map(|number| lab.by_key(&format!("crm{number}")))
            .collect::<Vec<_>>(),
    );
    lab.start();
    within(SOON, "all to have tried", || {
        (server.logins() >= 8).then_some(())
    });
    sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", lab.pid())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes < 128 * 1024, "a peak of {kibibytes} KiB");
    assert!(server.logins() <= 8 * 5, "{} logins", server.logins());
}
