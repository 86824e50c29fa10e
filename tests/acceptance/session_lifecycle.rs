//! A session lives on through its window, and comes back however it ended.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, RefreshTokens, Settings, Window, session_expired};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::{SOON, within};

#[test]
fn every_grant_logs_in_once_and_publishes_its_token() {
    let (server, mut lab) = lab(Settings::default());
    let refresh_token = server.approve("refreshed");
    lab.configure(&[
        lab.by_key("keyed"),
        lab.by_client("client"),
        lab.by_password("typed", "typed@acme.example"),
        lab.by_refresh_token("refreshed", &refresh_token),
    ]);
    lab.start();
    for session in ["keyed", "client", "typed", "refreshed"] {
        let token = lab.await_token(session);
        assert!(server.lives(&token), "{session}");
        assert_eq!(server.count_of(session, Endpoint::Token), 1, "{session}");
    }
    assert_eq!(server.issued().len(), 4);
}

#[test]
fn formats_carry_the_token_and_its_instance() {
    let (server, mut lab) = lab(Settings::default());
    let formats = ["token", "json", "env", "header"];
    let session = formats
        .iter()
        .fold(lab.by_client("crm"), |session, format| {
            session.publish(&format!(
                "file = \"crm.{format}\"\nformat = \"{format}\"\nmode = \"0600\""
            ))
        });
    lab.configure(&[session]);
    lab.start();
    let read = |format: &str| {
        within(SOON, format, || {
            std::fs::read_to_string(lab.path(&format!("run/tokens/crm.{format}"))).ok()
        })
    };
    let token = read("token");
    assert_eq!(
        server.issued(),
        std::slice::from_ref(&token),
        "the bare token, no newline"
    );

    let json: Value = serde_json::from_str(&read("json")).unwrap();
    assert_eq!(json["session"], "crm");
    assert_eq!(json["access_token"], *token);
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["instance_url"], server.url());
    assert_eq!(json["headers"]["Authorization"], format!("Bearer {token}"));
    assert!(json["expires_at"].is_null(), "Salesforce says no expiry");
    assert!(json["issued_at"].is_string());
    let generation = json["generation"].as_u64().expect("a number");

    let env = read("env");
    let mut lines: Vec<&str> = env.lines().collect();
    lines.sort_unstable();
    let expected = [
        format!("CRM_GENERATION={generation}"),
        format!("CRM_INSTANCE_URL={}", server.url()),
        format!("CRM_TOKEN={token}"),
    ];
    for line in &expected {
        assert!(lines.contains(&line.as_str()), "{line} is missing in {env}");
    }
    assert_eq!(read("header"), format!("Authorization: Bearer {token}\n"));
    for format in formats {
        let mode = std::fs::metadata(lab.path(&format!("run/tokens/crm.{format}")))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600, "{format}");
    }
}

#[test]
fn the_env_file_is_safe_to_source() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab
        .by_client("crm")
        .key("env_prefix = \"SF\"")
        .publish("file = \"crm.env\"\nformat = \"env\"")]);
    lab.start();
    let file = lab.path("run/tokens/crm.env");
    within(SOON, "the file", || file.exists().then_some(()));
    let script = format!(". {} && printf %s \"$SF_TOKEN\"", file.display());
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        server.issued()[0]
    );
}

#[test]
fn without_a_publish_table_there_is_one_file_for_owner_and_group() {
    let (_server, mut lab) = lab(Settings::default());
    lab.configure(&[
        lab.by_client("crm"),
        lab.by_client("quiet").key("publish = []"),
    ]);
    lab.start();
    lab.await_token("crm");
    lab.await_state("quiet", "alive");
    let mode = std::fs::metadata(lab.path("run/tokens/crm"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o640);
    let files: Vec<_> = std::fs::read_dir(lab.path("run/tokens"))
        .unwrap()
        .flatten()
        .map(|it| it.file_name())
        .collect();
    assert_eq!(files, ["crm"], "one file in all, no temporaries");
}

#[test]
fn a_half_window_is_kept_open_by_few_pings() {
    let (server, mut lab) = lab(seconds(4));
    lab.configure(&[lab.by_client("crm").idle_timeout("4s")]);
    lab.start();
    let token = lab.await_token("crm");
    sleep(Duration::from_secs(9));
    assert_eq!(lab.token("crm").as_deref(), Some(&*token));
    assert!(server.lives(&token));
    assert_eq!(server.count(Endpoint::Token), 1);
    // 0.4 T apart: five or six in nine seconds; the first may come early by its jitter.
    let pings = server.pings();
    assert!((4..=8).contains(&pings), "{pings} pings");
    assert_eq!(server.max_in_flight(), 1);
    let moments: Vec<_> = server
        .calls()
        .iter()
        .filter(|call| call.endpoint == Endpoint::Data)
        .map(|call| call.at)
        .collect();
    for pair in moments.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(
            apart < Duration::from_secs(2),
            "{apart:?} between two pings is no longer under half of the window"
        );
        assert!(
            apart > Duration::from_secs(1),
            "{apart:?} between two pings is oftener than it need be"
        );
    }
}

#[test]
fn hidden_consumers_cannot_make_a_shared_session_idle_out() {
    let (server, mut lab) = lab(seconds(3));
    let sessions: Vec<_> = (0..8)
        .map(|number| lab.by_client(&format!("crm{number}")).idle_timeout("3s"))
        .collect();
    lab.configure(&sessions);
    lab.start();
    for number in 0..8 {
        lab.await_token(&format!("crm{number}"));
    }
    let consumers = [7, 77, 777].map(|seed| server.hidden_consumers(seed, Duration::from_secs(9)));
    for consumer in consumers {
        consumer.join().unwrap();
    }
    assert_eq!(server.idle_deaths(), 0);
    assert_eq!(server.count(Endpoint::Token), 8, "one login each");
    let pings = server.pings();
    assert!(pings <= 8 * 14, "{pings} pings");
}

#[test]
fn an_unshared_session_needs_fewer_pings() {
    let (server, mut lab) = lab(seconds(4));
    lab.configure(&[lab
        .by_client("crm")
        .idle_timeout("4s")
        .table("keepalive", "shared = false")]);
    lab.start();
    lab.await_token("crm");
    sleep(Duration::from_secs(8));
    assert_eq!(server.idle_deaths(), 0);
    assert_eq!(server.logins(), 1);
    let pings = server.pings();
    assert!((1..=4).contains(&pings), "{pings} pings");
}

#[test]
fn a_revoked_session_is_noticed_by_the_next_ping_and_replaced() {
    let (server, mut lab) = lab(seconds(3));
    lab.configure(&[lab.by_client("crm").idle_timeout("3s")]);
    lab.start();
    let first = lab.await_token("crm");
    server.revoke_sessions();
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    assert_eq!(server.logins(), 2);
    assert!(server.pings() <= 6, "{} pings", server.pings());
}

#[test]
fn a_report_recovers_at_once_with_two_round_trips() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let first = lab.await_token("crm");
    server.revoke_sessions();
    let before = server.calls().len();
    lab.succeeds(&["rejected", "crm"]);
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    assert!(
        server.calls().len() - before <= 3,
        "a ping, a login, at most a ping to prove it"
    );
    assert_eq!(server.logins(), 2);
}

#[test]
fn the_ladder_renews_before_it_logs_in() {
    let (server, mut lab) = lab(Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    });
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let first = lab.await_token("crm");
    server.revoke_sessions();
    lab.succeeds(&["rejected", "crm"]);
    let second = lab.await_another_token("crm", &first);
    assert_eq!(
        (server.logins(), server.refreshes()),
        (1, 1),
        "by the refresh token"
    );

    server.revoke_refresh_tokens();
    server.revoke_sessions();
    lab.succeeds(&["rejected", "crm"]);
    let third = lab.await_another_token("crm", &second);
    assert!(server.lives(&third));
    assert_eq!(
        (server.logins(), server.refreshes()),
        (2, 2),
        "the refresh token was dead: by a login"
    );
    assert_eq!(server.reuse_detected(), 0);
}

#[test]
fn without_any_way_back_a_person_is_called_and_the_file_withdrawn() {
    let (server, mut lab) = lab(Settings::default());
    let refresh_token = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &refresh_token)]);
    lab.start();
    lab.await_token("crm");
    server.revoke_refresh_tokens();
    lab.run(&["rejected", "crm"]);
    lab.await_no_token("crm");
    let status = lab.await_state("crm", "needs_attention");
    assert!(
        status["attention"]["remedy"]
            .as_str()
            .is_some_and(|remedy| !remedy.is_empty()),
        "{status}"
    );
    let calls = server.count(Endpoint::Token);
    assert!(calls <= 3, "{calls} calls of the token endpoint");
    assert_eq!(lab.code(&["token", "crm", "--wait", "1s"]), 79);
    sleep(Duration::from_secs(2));
    assert_eq!(server.count(Endpoint::Token), calls, "and nobody tries on");
}

#[test]
fn a_moved_instance_is_followed_and_published_with_its_token() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab
        .by_client("crm")
        .publish("file = \"crm.json\"\nformat = \"json\"")]);
    lab.start();
    let read = || std::fs::read(lab.path("run/tokens/crm.json")).ok();
    let published =
        || read().map(|bytes| serde_json::from_slice::<Value>(&bytes).expect("never torn"));
    let first = within(SOON, "the file", published);
    let moved = server.move_instance();
    server.revoke_sessions();
    lab.succeeds(&["rejected", "crm"]);
    let second = within(SOON, "the new instance", || {
        published().filter(|json| json["instance_url"] == *moved)
    });
    assert_ne!(second["access_token"], first["access_token"]);
    assert!(second["generation"].as_u64() > first["generation"].as_u64());
    lab.succeeds(&["verify", "crm"]);
    let host = moved.trim_start_matches("http://");
    assert_eq!(
        server.calls().last().unwrap().request.header("host"),
        host,
        "pings go there too"
    );
}

#[test]
fn a_login_that_returns_the_same_token_is_no_proof_but_a_ping_is() {
    let (server, mut lab) = lab(Settings {
        reuses_sessions: true,
        ..Settings::default()
    });
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    lab.succeeds(&["login", "crm"]);
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.issued().len(), 1);
    assert_eq!(server.logins(), 2);
    assert!(server.pings() <= 2, "{} pings", server.pings());
    assert_eq!(
        server.count(Endpoint::Revoke),
        0,
        "nothing is ever revoked unasked"
    );
}

#[test]
fn a_login_after_a_logout_that_the_server_did_not_hear_shows_no_token_but_its_own() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let first = lab.await_token("crm");
    server.always(Endpoint::Revoke, Instead::Lose);
    lab.run(&["logout", "crm"]);
    lab.await_no_token("crm");
    server.always(Endpoint::Token, Instead::Late(Duration::from_millis(700)));
    lab.post("/v1/sessions/crm/login?wait=0s", "");
    let second = within(SOON, "a token", || lab.token("crm"));
    assert_ne!(second, first);
    assert!(server.lives(&second));
    assert!(server.logins() <= 2, "{} logins", server.logins());
}

#[test]
fn a_token_that_is_not_known_everywhere_for_some_seconds_causes_no_storm_of_logins() {
    let (server, mut lab) = lab(Settings::default());
    server.always(Endpoint::Data, Instead::Say(session_expired()));
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    let born = Instant::now();
    while born.elapsed() < Duration::from_secs(4) {
        lab.run(&["rejected", "crm", "--wait", "500ms"]);
    }
    assert!(server.logins() <= 2, "{} logins", server.logins());
    assert!(server.pings() <= 6, "{} pings", server.pings());
    server.behave();
    lab.succeeds(&["rejected", "crm", "--wait", "8s"]);
    assert_eq!(lab.status("crm")["state"], "alive");
    assert!(server.lives(&lab.await_token("crm")));
    assert!(server.logins() <= 2, "{} logins", server.logins());
}

#[test]
fn logout_withdraws_then_revokes() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    lab.succeeds(&["logout", "crm"]);
    assert_eq!(lab.token("crm"), None);
    assert!(!server.lives(&token));
    assert_eq!(server.count(Endpoint::Revoke), 1);
    sleep(Duration::from_secs(1));
    assert_eq!(server.logins(), 1, "a person ended it: it stays ended");
}

#[test]
fn sliding_servers_may_be_pinged_more_rarely_than_half_window_ones() {
    let (server, mut lab) = lab(Settings {
        window: Window::Sliding,
        ..seconds(4)
    });
    lab.configure(&[lab.by_client("crm").idle_timeout("4s")]);
    lab.start();
    let token = lab.await_token("crm");
    sleep(Duration::from_secs(5));
    assert!(
        server.lives(&token),
        "a half-window client is right on a sliding server too"
    );
    assert_eq!(server.logins(), 1);
    assert!(server.pings() <= 5);
}

#[test]
fn the_quota_header_is_shown() {
    let (_server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    lab.succeeds(&["verify", "crm"]);
    let quotas = lab.status("crm")["quotas"].clone();
    assert_eq!(quotas[0]["used"], 18, "{quotas}");
    assert_eq!(quotas[0]["limit"], 15000, "{quotas}");
}

fn seconds(idle: u64) -> Settings {
    Settings {
        idle: Duration::from_secs(idle),
        ..Settings::default()
    }
}

fn lab(settings: Settings) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(settings));
    let lab = Lab::new(&server);
    (server, lab)
}
