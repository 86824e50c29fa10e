//! The socket as `curl` sees it, and the commands as a script sees them.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::unix::{Answer, exchange, request};
use crate::support::untried::can_as_root;
use crate::support::{SOON, within};

#[test]
fn sessions_are_shown_without_their_tokens() {
    let (server, lab) = running(Settings::default());
    let calls = server.settled();
    let list = lab.get("/v1/sessions").unwrap();
    assert_eq!(list.status, 200);
    assert!(
        list.header("content-type").starts_with("application/json"),
        "{list:?}"
    );
    let one = lab.status("crm");
    assert_eq!(one["session"], "crm");
    assert_eq!(one["provider"], "salesforce");
    assert_eq!(one["state"], "alive");
    assert_eq!(one["published"], true);
    assert_eq!(one["next"]["action"], "ping");
    assert!(one["idle_deadline"].is_string());
    for text in [
        list.body,
        one.to_string(),
        lab.succeeds(&["status"]),
        lab.succeeds(&["status", "--json"]),
    ] {
        assert!(text.contains("crm"), "{text}");
        for needle in server.needles() {
            assert!(!text.contains(&needle), "{text}");
        }
    }
    assert_eq!(server.calls().len(), calls, "asking costs no call");
}

#[test]
fn a_token_comes_as_json_or_bare() {
    let (server, lab) = running(Settings::default());
    let calls = server.settled();
    let token = server.issued()[0].clone();
    let json = lab.get("/v1/sessions/crm/token").unwrap().json();
    assert_eq!(json["access_token"], *token);
    assert_eq!(json["instance_url"], server.url());
    assert_eq!(json["headers"]["Authorization"], format!("Bearer {token}"));
    assert!(json["generation"].is_u64());
    let promised = json["valid_for_seconds"]
        .as_f64()
        .expect("a half window ends");
    assert!(promised <= 7200.0, "{promised}");
    let bare = request(
        &lab.socket(),
        "GET",
        "/v1/sessions/crm/token",
        "text/plain",
        "",
    )
    .unwrap();
    assert_eq!(bare.body.trim_end(), token);
    assert!(
        bare.header("content-type").starts_with("text/plain"),
        "{bare:?}"
    );
    assert_eq!(
        lab.run(&["token", "crm"]).stdout.trim_ascii(),
        token.as_bytes()
    );
    assert_eq!(server.calls().len(), calls, "reading costs no call");
}

#[test]
fn a_token_is_printed_in_every_format() {
    let (server, lab) = running(Settings::default());
    let calls = server.settled();
    let token = server.issued()[0].clone();
    let printed = |format: &str| {
        let output = lab.run(&["token", "crm", "--format", format]);
        assert!(output.status.success(), "{format}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let json: Value = serde_json::from_str(&printed("json")).unwrap();
    assert_eq!(json["access_token"], *token);
    assert!(printed("env").contains(&format!("CRM_TOKEN={token}\n")));
    assert_eq!(
        printed("header").trim_end(),
        format!("Authorization: Bearer {token}")
    );
    assert_eq!(server.calls().len(), calls);
}

#[test]
fn errors_are_problem_documents() {
    let (server, lab) = running(Settings::default());
    let cases = [
        (lab.get("/v1/sessions/nobody").unwrap(), 404),
        (lab.get("/v1/sessions/nobody/token").unwrap(), 404),
        (
            lab.get("/v1/sessions/crm/token?min_validity=soon").unwrap(),
            400,
        ),
        (lab.get("/v1/sessions/crm/token?wait=-1").unwrap(), 400),
        (lab.get("/nothing/here").unwrap(), 404),
        (lab.post("/v1/sessions/crm/renew?wait=1s", ""), 409),
    ];
    for (answer, status) in cases {
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(
            answer
                .header("content-type")
                .starts_with("application/problem+json"),
            "{answer:?}"
        );
        let problem = answer.json();
        assert!(
            problem["title"].is_string() && problem["type"].is_string(),
            "{problem}"
        );
        assert_eq!(problem["status"], status, "{problem}");
    }
    assert_eq!(server.logins(), 1);
    assert_eq!(server.refreshes(), 0);
}

#[test]
fn malformed_requests_are_refused_and_harm_nobody() {
    let (server, mut lab) = running(Settings::default());
    let socket = lab.socket();
    let long = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000));
    let huge = "POST /v1/sessions/crm/used HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\nconnection: close\r\n\r\n";
    let is_error =
        |answer: Option<Answer>| answer.is_none_or(|answer| (400..500).contains(&answer.status));
    for bytes in [
        &b"\0\x01\x02\r\n\r\n"[..],
        b"GARBAGE\r\n\r\n",
        long.as_bytes(),
    ] {
        assert!(is_error(exchange(&socket, bytes)));
    }
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(huge.as_bytes()).unwrap();
    for body in [
        "{",
        "[]",
        "{\"generation\":\"one\"}",
        "{\"generation\":-1}",
        "{\"generation\":1,\"age\":\"soon\"}",
    ] {
        let answer = lab.post("/v1/sessions/crm/used", body);
        assert!((400..500).contains(&answer.status), "{body}: {answer:?}");
    }
    for (method, path) in [
        ("DELETE", "/v1/sessions/crm"),
        ("GET", "/v1/sessions/crm/login"),
        ("POST", "/v1/health"),
    ] {
        let answer = request(&socket, method, path, "*/*", "").unwrap();
        assert_eq!(answer.status, 405, "{method} {path}: {answer:?}");
    }
    assert!(lab.runs());
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_client_that_stalls_delays_no_other() {
    let (_server, lab) = running(Settings::default());
    let stalled: Vec<UnixStream> = (0..50)
        .map(|_| {
            let mut stream = UnixStream::connect(lab.socket()).unwrap();
            stream
                .write_all(b"GET /v1/sessions HTTP/1.1\r\nhos")
                .unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(lab.get("/v1/sessions/crm/token").unwrap().status, 200);
    }
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    drop(stalled);
}

#[test]
fn one_connection_serves_many_requests() {
    let (server, lab) = running(Settings::default());
    let mut stream = UnixStream::connect(lab.socket()).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    for _ in 0..3 {
        stream
            .write_all(
                b"GET /v1/sessions/crm/token HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n",
            )
            .unwrap();
        let mut answer = String::new();
        let mut buffer = [0; 4096];
        while !answer.contains(&server.issued()[0]) {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "closed after {answer:?}");
            answer.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn an_old_generations_report_costs_no_call() {
    let (server, lab) = running(Settings::default());
    let old = lab.status("crm")["generation"].as_u64().unwrap();
    let first = lab.token("crm").unwrap();
    lab.succeeds(&["login", "crm"]);
    let token = lab.await_another_token("crm", &first);
    let calls = server.settled();
    let answer = lab.post(
        "/v1/sessions/crm/rejected",
        &format!("{{\"generation\":{old}}}"),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["access_token"], *token);
    assert_eq!(server.calls().len(), calls);
}

#[test]
fn false_reports_cost_fewer_and_fewer_pings() {
    let (server, lab) = running(Settings::default());
    let generation = lab.status("crm")["generation"].clone();
    let token = lab.token("crm");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(5) {
        lab.post(
            "/v1/sessions/crm/rejected?wait=1s",
            &format!("{{\"generation\":{generation}}}"),
        );
        sleep(Duration::from_millis(20));
    }
    let pings = server.pings();
    assert!(
        (1..=5).contains(&pings),
        "{pings} pings for reports throughout five seconds"
    );
    assert_eq!(server.logins(), 1, "a false report renews nothing");
    assert_eq!(lab.token("crm"), token);
}

#[test]
fn a_report_by_token_value_works_from_stdin() {
    let (server, lab) = running(Settings::default());
    let first = lab.token("crm").unwrap();
    server.revoke_sessions();
    let mut command = lab.command(&["rejected", "crm", "--token-stdin", "--print"]);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(first.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        server.lives(printed.trim_end()),
        "the answer carries the new token"
    );
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_report_of_use_spares_a_ping_of_an_unshared_session() {
    let server = Arc::new(Salesforce::start(Settings {
        idle: Duration::from_secs(4),
        ..Settings::default()
    }));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab
        .by_client("crm")
        .idle_timeout("4s")
        .table("keepalive", "shared = false")]);
    lab.start();
    let token = lab.await_token("crm");
    let generation = lab.status("crm")["generation"].clone();
    for _ in 0..16 {
        sleep(Duration::from_millis(500));
        server.use_unseen();
        let answer = lab.post(
            "/v1/sessions/crm/used",
            &format!("{{\"generation\":{generation},\"age\":\"0s\"}}"),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert!(server.lives(&token));
    assert!(
        server.pings() <= 1,
        "{} pings although jobs told of their use",
        server.pings()
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn exit_codes_say_what_is_the_matter() {
    let (server, mut lab) = running(Settings::default());
    assert_eq!(lab.code(&["token", "crm"]), 0);
    assert_eq!(lab.code(&["wait", "crm"]), 0);
    assert_eq!(lab.code(&["health"]), 0);
    assert_eq!(lab.code(&["health", "--ready", "crm"]), 0);
    assert_eq!(lab.code(&["used", "crm"]), 0);
    assert_eq!(lab.code(&["token", "nobody"]), 80);
    assert_eq!(lab.code(&["token"]), 2);
    assert_eq!(lab.code(&["no-such-command"]), 2);
    assert_eq!(lab.code(&["token", "crm", "--wait", "soon"]), 2);
    server.always(Endpoint::Token, Instead::Hang);
    server.revoke_sessions();
    lab.post(
        "/v1/sessions/crm/rejected?wait=1s",
        &format!("{{\"generation\":{}}}", lab.status("crm")["generation"]),
    );
    lab.await_no_token("crm");
    let started = Instant::now();
    assert_eq!(lab.code(&["token", "crm", "--wait", "1s"]), 75);
    assert_eq!(lab.code(&["health", "--ready", "crm"]), 75);
    assert_eq!(
        lab.code(&["health"]),
        0,
        "the daemon is well, its session is not"
    );
    assert!(started.elapsed() < Duration::from_secs(4));
    lab.stop();
    for command in [
        &["token", "crm", "--wait", "1s"][..],
        &["status"],
        &["health"],
        &["verify", "crm"],
    ] {
        assert_eq!(lab.code(command), 69, "{command:?}");
    }
    assert!(server.logins() <= 5, "{} logins", server.logins());
}

#[test]
fn waiting_spans_a_restart_of_the_daemon() {
    let (server, mut lab) = running(Settings::default());
    lab.stop();
    let mut waiting = lab.command(&["token", "crm", "--wait", "10s"]);
    let child = waiting
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    sleep(Duration::from_millis(500));
    lab.start();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout.trim_ascii(), server.issued()[0].as_bytes());
    assert_eq!(server.logins(), 1);
}

#[test]
fn strangers_are_kept_from_tokens_and_orders() {
    if !can_as_root("become another user") {
        return;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    // Nobody else uses its token, so it needs no ping of its own for an hour.
    lab.configure(&[lab.by_client("crm").table("keepalive", "shared = false")]);
    lab.start();
    lab.await_token("crm");
    let calls = server.settled();
    for command in [
        &["token", "crm"][..],
        &["login", "crm"],
        &["logout", "crm"],
        &["verify", "crm"],
        &["renew", "crm"],
        &["rejected", "crm"],
        &["used", "crm"],
    ] {
        let output = lab.run_as_nobody(command);
        assert_eq!(output.status.code(), Some(77), "{command:?}: {output:?}");
    }
    for order in ["token", "status", "login", "wait", "used", "rejected"] {
        let [there, absent] = ["crm", "abc"].map(|name| lab.run_as_nobody(&[order, name]));
        let said = |output: &std::process::Output| {
            String::from_utf8_lossy(&output.stderr).replace("abc", "crm")
        };
        assert_eq!(
            (there.status, said(&there)),
            (absent.status, said(&absent)),
            "{order} tells a session from none"
        );
    }
    let output = lab.run_as_nobody(&["status"]);
    assert!(
        !String::from_utf8_lossy(&output.stdout).contains("crm"),
        "only what a caller may see: {output:?}"
    );
    assert_eq!(server.calls().len(), calls);
}

#[test]
fn those_whom_access_names_may_read_and_not_order() {
    if !can_as_root("become another user") {
        return;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab
        .by_client("crm")
        .table("access", "allow = [\"user:nobody\"]")]);
    lab.start();
    let token = lab.await_token("crm");
    let output = lab.run_as_nobody(&["token", "crm"]);
    assert_eq!(output.stdout.trim_ascii(), token.as_bytes(), "{output:?}");
    assert_eq!(lab.run_as_nobody(&["login", "crm"]).status.code(), Some(77));
    assert_eq!(server.logins(), 1);
}

#[test]
fn health_tells_live_from_ready() {
    let (_server, lab) = running(Settings::default());
    let health = || lab.get("/v1/health").unwrap().json();
    assert_eq!(health()["live"], true);
    // The file can be seen a moment before the daemon has heard of it.
    within(SOON, "readiness", || {
        (health()["ready"] == true).then_some(())
    });
}

#[test]
fn a_promise_is_never_longer_than_one_ping_proves() {
    let (server, lab) = running(Settings {
        idle: Duration::from_secs(6),
        ..Settings::default()
    });
    for _ in 0..4 {
        let answer = lab.get("/v1/sessions/crm/token").unwrap().json();
        let promised = Duration::from_secs_f64(answer["valid_for_seconds"].as_f64().unwrap());
        assert!(promised <= Duration::from_secs(6), "{promised:?}");
        // Nobody pings from here on: what was promised must hold without.
        server.always(
            Endpoint::Data,
            Instead::Say(crate::support::wire::Response::text(503, "")),
        );
        sleep(promised.saturating_sub(Duration::from_millis(150)));
        assert!(
            server.lives(answer["access_token"].as_str().unwrap()),
            "promised for {promised:?}"
        );
        server.behave();
        lab.run(&["login", "crm"]);
    }
    assert!(server.logins() <= 9);
}

#[test]
fn an_order_without_a_wait_is_accepted_and_carried_out() {
    let (server, lab) = running(Settings::default());
    let pings = server.pings();
    let answer = lab.post("/v1/sessions/crm/verify", "");
    assert_eq!(answer.status, 202, "{answer:?}");
    within(SOON, "the ping", || (server.pings() > pings).then_some(()));
    assert_eq!(lab.post("/v1/sessions/crm/login", "").status, 200);
    within(SOON, "the login", || (server.logins() == 2).then_some(()));
    assert_eq!(
        lab.post("/v1/sessions/crm/pause", "").status,
        200,
        "done at once"
    );
}

#[test]
fn orders_to_log_in_during_a_login_are_one_login() {
    let (server, lab) = running(Settings::default());
    server.once(Endpoint::Token, Instead::Hang);
    let orders: Vec<_> = (0..5)
        .map(|_| {
            lab.command(&["login", "crm"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut order in orders {
        // The login that all of them joined is given up after its time-out.
        assert_eq!(order.wait().unwrap().code(), Some(1));
    }
    assert!(
        (2..=3).contains(&server.logins()),
        "{} logins for five orders at once",
        server.logins()
    );
}

#[test]
fn what_went_wrong_is_forgotten_when_it_goes_well_again() {
    let (server, lab) = running(Settings::default());
    server.once(
        Endpoint::Token,
        Instead::Say(crate::support::wire::Response::text(503, "")),
    );
    assert_eq!(lab.code(&["login", "crm"]), 1);
    assert_eq!(lab.status("crm")["last_error"]["verdict"], "unavailable");
    lab.succeeds(&["login", "crm"]);
    assert!(
        lab.status("crm")["last_error"].is_null(),
        "{}",
        lab.status("crm")
    );
    assert!(server.logins() <= 4);
}

#[test]
fn an_order_that_cannot_be_carried_out_says_why() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let login = format!(
        "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = {}\ntoken_url = \"/services/oauth2/token\"\n\
         revocation_url = \"/services/oauth2/revoke\"\n",
        lab.source("client-secret")
    );
    lab.configure(&[lab
        .session("crm", &login)
        .provider("oauth2")
        .key("token_lifetime = \"1h\"")]);
    lab.start();
    lab.await_state("crm", "alive");
    for (order, reason) in [("verify", "no ping"), ("renew", "no refresh token")] {
        let answer = lab.post(&format!("/v1/sessions/crm/{order}?wait=1s"), "");
        assert_eq!(answer.status, 409, "{answer:?}");
        assert!(answer.body.contains(reason), "{answer:?}");
    }
    lab.succeeds(&["logout", "crm"]);
    let answer = lab.post("/v1/sessions/crm/verify?wait=1s", "");
    assert!(
        answer.status == 409 && answer.body.contains("logged out"),
        "{answer:?}"
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn clients_that_flood_half_send_or_vanish_harm_nobody() {
    let (server, lab) = running(Settings::default());
    let calls = server.settled();
    let socket = lab.socket();
    let rude: Vec<_> = (0..8)
        .map(|number: usize| {
            let socket = socket.clone();
            std::thread::spawn(move || {
                for _ in 0..100 {
                    let Ok(mut stream) = UnixStream::connect(&socket) else { continue };
                    let _ = match number % 4 {
                        // Gone before the answer, gone in the middle of a body, never reads, sends nonsense.
                        0 => stream.write_all(
                            b"GET /v1/sessions/crm/token?wait=30s&min_validity=1h HTTP/1.1\r\nhost: x\r\n\r\n",
                        ),
                        1 => stream.write_all(
                            b"POST /v1/sessions/crm/used HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{",
                        ),
                        2 => stream.write_all(&b"GET /v1/sessions HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20)),
                        _ => stream.write_all(&[b'x'; 5000]),
                    };
                }
            })
        })
        .collect();
    let mut slowest = Duration::ZERO;
    while rude.iter().any(|thread| !thread.is_finished()) {
        let begun = Instant::now();
        assert_eq!(
            lab.get("/v1/sessions/crm/token")
                .map(|answer| answer.status),
            Some(200)
        );
        slowest = slowest.max(begun.elapsed());
    }
    for thread in rude {
        thread.join().unwrap();
    }
    assert!(
        slowest < Duration::from_secs(4),
        "none waited for another to be turned out: {slowest:?}"
    );
    assert!(
        server.calls().len() <= calls + 2,
        "at most a ping for all of them"
    );
}

fn running(settings: Settings) -> (Arc<Salesforce>, Lab) {
    let idle = settings.idle;
    let server = Arc::new(Salesforce::start(settings));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab
        .by_client("crm")
        .idle_timeout(&format!("{}s", idle.as_secs()))]);
    lab.start();
    lab.await_token("crm");
    lab.await_state("crm", "alive");
    (server, lab)
}
