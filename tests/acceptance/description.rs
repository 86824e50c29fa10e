//! `docs/openapi.json` is what the socket does: every answer that is described can be had, and what commands print is
//! described too. That nothing else is answered is seen to wherever a test asks the socket.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

use crate::support::daemon::Lab;
use crate::support::description;
use crate::support::namespaces::is_root;
use crate::support::org::{Endpoint, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::unix::{self, Answer};
use crate::support::untried::can_as_root;
use crate::support::wire::Response;

/// Needs a token with a fixed end, or a login by a person: seen with the provider of `oidc_provider` and in the logins'
/// own tests, where what is answered is held against the description too.
fn is_seen_elsewhere(method: &str, path: &str, status: u16) -> bool {
    let by_person =
        path.ends_with("{login}") || path.ends_with("/login") && [202, 408, 413].contains(&status);
    let asks_server = path.ends_with("/introspect") && [200, 202, 502, 503].contains(&status);
    by_person
        || asks_server
        || (method, status) == ("get", 422)
            && (path.ends_with("/token") || path.ends_with("/ready"))
}

#[test]
fn every_answer_that_is_described_can_be_had() {
    let (server, lab) = running();
    let mut seen = Seen {
        lab: &lab,
        answers: BTreeSet::new(),
    };
    let stalled = half_a_body(&lab);
    seen.successes();
    seen.bad_requests();
    seen.strangers();
    seen.orders_that_make_no_sense();
    seen.what_the_server_does_not_grant(&server);
    seen.too_slow(stalled);
    let missing: Vec<_> = description::all()
        .into_iter()
        .filter(|(method, path, status)| {
            let elsewhere = is_seen_elsewhere(method, path, *status);
            // A daemon that stops or does not decide, and a full house, look alike for every call.
            let not_now = *status == 503 && !path.contains("{session}");
            !elsewhere
                && !not_now
                && !seen
                    .answers
                    .contains(&(method.clone(), path.clone(), *status))
        })
        .filter(|(_, _, status)| *status != 403 || is_root())
        .filter(|(_, path, status)| *status != 503 || waits(path))
        .collect();
    assert!(
        missing.is_empty(),
        "described and never seen:\n{missing:#?}"
    );
    assert!(server.calls().len() < 60, "{} calls", server.calls().len());
}

#[test]
fn what_commands_print_as_json_is_described() {
    let (_server, lab) = running();
    let json = |args: &[&str]| serde_json::from_slice(&lab.run(args).stdout).unwrap();
    for (args, schema) in [
        (&["status", "--json"][..], "SessionList"),
        (&["status", "crm", "--json"], "SessionList"),
        (&["token", "crm", "--format", "json"], "Token"),
        (&["health", "--json"], "Health"),
        (&["health", "crm", "--ready", "--json"], "Health"),
        (&["verify", "crm", "--json"], "Session"),
        (&["pause", "crm", "--json"], "Session"),
        (&["resume", "crm", "--json"], "Session"),
        (&["login", "crm", "--json"], "Session"),
    ] {
        description::assert_is(schema, &json(args));
    }
}

/// What was answered so far.
struct Seen<'a> {
    lab: &'a Lab,
    answers: BTreeSet<(String, String, u16)>,
}

impl Seen<'_> {
    fn ask(&mut self, method: &str, path: &str, accept: &str, body: &str, status: u16) {
        let method = method.to_uppercase();
        let answer = unix::request(&self.lab.socket(), &method, path, accept, body).unwrap();
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        self.note(&method, path, status);
    }

    fn get(&mut self, path: &str, status: u16) {
        self.ask("GET", path, "application/json", "", status);
    }

    fn post(&mut self, path: &str, body: &str, status: u16) {
        self.ask("POST", path, "application/json", body, status);
    }

    fn note(&mut self, method: &str, path: &str, status: u16) {
        let template = description::template(path.split('?').next().unwrap()).unwrap();
        self.answers
            .insert((method.to_lowercase(), template, status));
    }

    /// Done at once, or still going on.
    fn order_without_wait(&mut self, path: &str) {
        let answer = unix::request(&self.lab.socket(), "POST", path, "*/*", "").unwrap();
        assert!([200, 202].contains(&answer.status), "{path}: {answer:?}");
        self.note("POST", path, answer.status);
    }

    fn successes(&mut self) {
        for path in [
            "/v1/sessions",
            "/v1/sessions/crm",
            "/v1/sessions/crm/token",
            "/v1/sessions/crm/ready",
            "/v1/health",
            "/metrics",
        ] {
            self.get(path, 200);
        }
        self.ask("GET", "/v1/sessions/crm/token", "text/plain", "", 200);
        let generation = self.lab.status("crm")["generation"].clone();
        self.post(
            "/v1/sessions/crm/used",
            &format!("{{\"generation\":{generation},\"age\":\"1s\"}}"),
            200,
        );
        self.post("/v1/sessions/crm/rejected", "{\"generation\":1}", 200);
        for (path, body) in [
            ("/v1/sessions/crm/token", ""),
            ("/v1/sessions/crm/rejected", "{\"generation\":1}"),
        ] {
            self.unchanged(path, body, &generation.to_string());
        }
        for order in ["verify", "pause", "resume", "login"] {
            self.post(&format!("/v1/sessions/crm/{order}?wait=5s"), "", 200);
        }
        self.post("/v1/sessions/job/renew?wait=5s", "", 200);
        self.post("/v1/sessions/spare/logout?wait=5s", "", 200);
        self.post("/v1/reload?wait=5s", "", 200);
        self.post("/v1/sessions/crm/hold?for=1s&wait=5s", "", 200);
        self.endless("/v1/events");
    }

    /// Only the beginning of an answer that has no end.
    fn endless(&mut self, path: &str) {
        let mut stream = UnixStream::connect(self.lab.socket()).unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
            .unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let answer = unix::parsed(&head).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        description::check("GET", path, &answer);
        self.note("GET", path, 200);
    }

    /// 304, by the generation as entity tag.
    fn unchanged(&mut self, path: &str, body: &str, generation: &str) {
        let (method, length) = (if body.is_empty() { "GET" } else { "POST" }, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nif-none-match: \"{generation}\"\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        );
        let answer = unix::exchange(&self.lab.socket(), request.as_bytes()).unwrap();
        assert_eq!(answer.status, 304, "{answer:?}");
        assert_eq!(answer.header("etag"), format!("\"{generation}\""));
        description::check(method, path, &answer);
        self.note(method, path, 304);
    }

    /// What is wrong with the request itself, or with the name in it.
    fn bad_requests(&mut self) {
        for (method, path, _) in description::all()
            .into_iter()
            .filter(|(_, path, status)| *status == 400 && !path.contains("{login}"))
        {
            let body = if path.ends_with("rejected") || path.ends_with("used") {
                "{\"generation\":1}"
            } else {
                ""
            };
            let here = path.replace("{session}", "crm");
            self.ask(&method, &format!("{here}?colour=red"), "*/*", body, 400);
            if path.contains("{session}") {
                let query = if path.ends_with("hold") {
                    "?for=1s"
                } else {
                    ""
                };
                let nowhere = path.replace("{session}", "nobody");
                self.ask(&method, &format!("{nowhere}{query}"), "*/*", body, 404);
            }
        }
        self.get("/v1/health?session=nobody", 404);
        self.get("/v1/events?session=nobody", 404);
        let large = format!("{{\"token\":\"{}\"}}", "x".repeat(70_000));
        self.post("/v1/sessions/crm/rejected", &large, 413);
        self.post("/v1/sessions/crm/used", &large, 413);
    }

    /// Only root can ask as somebody else.
    fn strangers(&mut self) {
        if !can_as_root("become another user") {
            return;
        }
        for (method, path, _) in description::all()
            .into_iter()
            .filter(|(_, path, status)| *status == 403 && !path.contains("{login}"))
        {
            let here = match path.as_str() {
                "/v1/health" | "/v1/events" => format!("{path}?session=crm"),
                path if path.ends_with("hold") => "/v1/sessions/crm/hold?for=1s".to_owned(),
                path => path.replace("{session}", "crm"),
            };
            let answer = as_nobody(self.lab, &method, &here);
            assert_eq!(answer.status, 403, "{method} {here}: {answer:?}");
            description::check(&method, &here, &answer);
            self.note(&method, &here, 403);
        }
    }

    fn orders_that_make_no_sense(&mut self) {
        self.post("/v1/sessions/crm/renew", "", 409);
        self.post("/v1/sessions/spare/introspect", "", 409);
        self.post("/v1/sessions/spare/verify", "", 409);
        self.post("/v1/sessions/stranded/login", "", 409);
        self.get("/v1/sessions/spare/token", 409);
        self.get("/v1/sessions/spare/ready", 409);
        self.post("/v1/sessions/spare/rejected", "{\"generation\":1}", 409);
    }

    fn what_the_server_does_not_grant(&mut self, server: &Salesforce) {
        for order in ["verify", "login"] {
            self.order_without_wait(&format!("/v1/sessions/crm/{order}"));
            server.settled();
        }
        server.always(Endpoint::Token, Instead::Say(Response::text(503, "")));
        server.always(Endpoint::Revoke, Instead::Say(Response::text(503, "")));
        server.always(Endpoint::Data, Instead::Say(Response::text(503, "")));
        for (session, order) in [
            ("crm", "verify"),
            ("crm", "login"),
            ("job", "renew"),
            ("job", "logout"),
        ] {
            self.post(&format!("/v1/sessions/{session}/{order}?wait=5s"), "", 502);
        }
        self.order_without_wait("/v1/sessions/crm/logout");
        self.order_without_wait("/v1/sessions/third/renew");
        server.always(Endpoint::Data, Instead::Hang);
        let generation = self.lab.status("third")["generation"].clone();
        self.post(
            "/v1/sessions/third/rejected",
            &format!("{{\"generation\":{generation}}}"),
            503,
        );
        self.get("/v1/sessions/third/token?min_validity=1h", 503);
        self.get("/v1/sessions/third/ready?min_validity=1h", 503);
        self.lab.write_config("nonsense");
        self.post("/v1/reload?wait=5s", "", 422);
    }

    fn too_slow(&mut self, stalled: Vec<(&'static str, UnixStream)>) {
        for (path, stream) in stalled {
            let answer = unix::answer_on(stream).unwrap();
            assert_eq!(answer.status, 408, "{answer:?}");
            description::check("POST", path, &answer);
            self.note("POST", path, 408);
        }
    }
}

/// Whether the caller can bound how long the answer takes.
fn waits(path: &str) -> bool {
    ["token", "ready", "rejected"]
        .iter()
        .any(|call| path.ends_with(call))
}

/// Requests whose bodies do not come.
fn half_a_body(lab: &Lab) -> Vec<(&'static str, UnixStream)> {
    let begin = |path| {
        let mut stream = UnixStream::connect(lab.socket()).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\nconnection: close\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).unwrap();
        (path, stream)
    };
    ["/v1/sessions/crm/used", "/v1/sessions/crm/rejected"]
        .map(begin)
        .into()
}

fn as_nobody(lab: &Lab, method: &str, path: &str) -> Answer {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "-i", "-X", &method.to_uppercase(), "--unix-socket"])
        .arg(lab.socket());
    if method.eq_ignore_ascii_case("post") {
        let reports = path.ends_with("used") || path.ends_with("rejected");
        curl.args(["-d", if reports { "{\"generation\":1}" } else { "" }]);
    }
    let output = curl
        .arg(format!("http://x{path}"))
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()
        .unwrap();
    unix::parsed(&output.stdout).unwrap_or_else(|| panic!("{output:?}"))
}

/// `crm` by client credentials, `spare` another; `job` and `third` by refresh tokens; `stranded` by one that is spent.
fn running() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let by_refresh = |name: &str| {
        let session = lab.by_refresh_token(name, &server.approve(name));
        // Each has a file of its own.
        std::fs::rename(
            lab.path("refresh-token"),
            lab.path(&format!("refresh-{name}")),
        )
        .unwrap();
        session.with_secret("refresh-token", &format!("refresh-{name}"))
    };
    let (job, third) = (by_refresh("job"), by_refresh("third"));
    let stranded = by_refresh("stranded");
    lab.secret("refresh-stranded", "spent");
    lab.configure(&[
        lab.by_client("crm"),
        lab.by_client("spare"),
        job,
        third,
        stranded,
    ]);
    lab.start();
    for name in ["crm", "spare", "job", "third"] {
        lab.await_state(name, "alive");
    }
    lab.await_state("stranded", "needs_attention");
    (server, lab)
}
