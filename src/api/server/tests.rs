use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::*;
use crate::api::fake::{self, Fake};

#[test]
fn sessions_are_listed_and_shown_one_by_one() {
    let daemon = Daemon::start();
    let list = daemon.get("/v1/sessions");
    assert!(
        list.starts_with("HTTP/1.1 200 OK") && list.contains(r#"{"sessions":[{"session":"crm""#),
        "{list}"
    );
    assert!(
        daemon
            .get("/v1/sessions/crm")
            .contains(r#""state":"alive""#)
    );
    assert!(
        daemon
            .get("/v1/health?session=crm&session=erp")
            .contains(r#""not_ready":{"crm":"asked","erp":"asked"}"#)
    );
}

#[test]
fn a_token_comes_as_json_or_bare_with_its_generation_as_tag() {
    let daemon = Daemon::start();
    let json = daemon.get("/v1/sessions/crm/token?min_validity=10m&wait=1s");
    assert!(
        json.contains(r#""access_token":"00Dtoken""#) && json.contains("etag: \"7\""),
        "{json}"
    );
    let bare =
        daemon.say("GET /v1/sessions/crm/token HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\nconnection: close\r\n\r\n");
    assert!(
        bare.contains("content-type: text/plain") && bare.ends_with("\r\n\r\n00Dtoken"),
        "{bare}"
    );
    assert!(bare.contains("cache-control: no-store"), "{bare}");
    let same = daemon
        .say("GET /v1/sessions/crm/token HTTP/1.1\r\nhost: x\r\nif-none-match: \"7\"\r\nconnection: close\r\n\r\n");
    assert!(
        same.starts_with("HTTP/1.1 304") && !same.contains("00Dtoken"),
        "{same}"
    );
}

#[test]
fn reports_and_orders_reach_the_supervisor() {
    let daemon = Daemon::start();
    for (path, body) in [
        ("/v1/sessions/crm/used", r#"{"generation":7,"age":"5s"}"#),
        (
            "/v1/sessions/crm/rejected?wait=1s",
            r#"{"token":"00Dtoken"}"#,
        ),
        ("/v1/sessions/crm/verify?wait=1s", ""),
        ("/v1/sessions/crm/pause", ""),
    ] {
        let answer = daemon.post(path, body);
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{path}: {answer}");
    }
}

#[test]
fn every_no_is_a_problem_document() {
    let daemon = Daemon::start();
    for (method, path, body, status, kind) in [
        ("GET", "/", "", 404, "no-such-path"),
        ("GET", "/v1/sessions/nope", "", 404, "no-such-session"),
        ("GET", "/v1/sessions/locked/token", "", 403, "not-allowed"),
        ("GET", "/v1/sessions/stale/token", "", 503, "not-fresh"),
        (
            "GET",
            "/v1/sessions/stuck/token",
            "",
            409,
            "needs-attention",
        ),
        (
            "GET",
            "/v1/sessions/crm/token?min_validity=soon",
            "",
            400,
            "bad-request",
        ),
        (
            "GET",
            "/v1/sessions/crm/token?colour=red",
            "",
            400,
            "bad-request",
        ),
        ("GET", "/v1/sessions?x", "", 400, "bad-request"),
        ("POST", "/v1/sessions/crm/used", "{", 400, "bad-request"),
        (
            "POST",
            "/v1/sessions/crm/rejected",
            "{}",
            400,
            "bad-request",
        ),
        ("POST", "/v1/sessions", "", 405, "wrong-method"),
        ("GET", "/v1/sessions/crm/renew", "", 405, "wrong-method"),
    ] {
        let answer = daemon.ask(method, path, body);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
        assert!(
            answer.contains("content-type: application/problem+json"),
            "{path}: {answer}"
        );
        assert!(
            answer.contains(&format!(r#""type":"{kind}""#)),
            "{path}: {answer}"
        );
    }
    assert!(
        daemon
            .get("/v1/sessions/crm/renew")
            .contains("allow: POST\r\n")
    );
    assert!(
        daemon
            .get("/v1/sessions/stale/token")
            .contains("retry-after: 3\r\n")
    );
}

#[test]
fn what_is_too_large_is_refused() {
    let daemon = Daemon::start();
    let answer = daemon.post("/v1/sessions/crm/rejected", &"x".repeat(65 * 1024));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let header = format!(
        "GET /v1/sessions HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(20_000)
    );
    assert!(daemon.say(&header).starts_with("HTTP/1.1 431 "));
}

#[test]
fn garbage_ends_its_connection_and_nothing_else() {
    let daemon = Daemon::start();
    for garbage in [
        "\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "\u{16}\u{3}\u{1}hello tls\r\n\r\n",
    ] {
        assert!(
            daemon.say(garbage).starts_with("HTTP/1.1 400 "),
            "{garbage:?}"
        );
    }
    assert!(daemon.get("/v1/sessions").starts_with("HTTP/1.1 200"));
}

#[test]
fn half_requests_and_idle_connections_are_closed_after_five_seconds_and_delay_nobody() {
    let daemon = Daemon::start();
    let started = crate::clock::boottime();
    let half = daemon.open("GET /v1/sess");
    let half_body =
        daemon.open("POST /v1/sessions/crm/used HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{");
    let idle: Vec<_> = (0..100).map(|_| daemon.open("")).collect();
    let quick = crate::clock::boottime();
    assert!(daemon.get("/v1/sessions").starts_with("HTTP/1.1 200"));
    assert!(crate::clock::boottime().since(quick) < Duration::from_secs(1));
    assert!(read(half_body).starts_with("HTTP/1.1 408 "));
    assert_eq!(read(half), "");
    assert!(idle.into_iter().all(|stream| read(stream).is_empty()));
    let took = crate::clock::boottime().since(started);
    assert!(
        (Duration::from_secs(4)..Duration::from_secs(9)).contains(&took),
        "{took:?}"
    );
}

#[test]
fn one_user_cannot_take_all_the_connections_and_one_whose_callers_all_wait_still_gets_short_answers()
 {
    // Both ends of each connection are this process's.
    crate::descriptors::raise_descriptors();
    let daemon = Daemon::start();
    let waiting = "GET /v1/sessions/slow/token?wait=1h HTTP/1.1\r\nhost: x\r\n\r\n";
    let held: Vec<_> = (0..2000).map(|_| daemon.open(waiting)).collect();
    let refused = (0..30).find_map(|_| {
        let late = daemon.open(waiting);
        late.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut said = [0; 1024];
        let count = { &late }.read(&mut said).ok()?;
        Some(String::from_utf8_lossy(&said[..count]).into_owned())
    });
    let refused = refused.expect("none was refused");
    assert!(
        refused.contains("too-many-connections") && refused.contains("connection: close"),
        "{refused}"
    );
    let answer = daemon.get("/v1/sessions");
    assert!(
        answer.starts_with("HTTP/1.1 200"),
        "short questions have seats of their own: {answer}"
    );
    drop(held);
}

#[test]
fn the_supervisor_learns_that_a_waiting_caller_has_gone() {
    let daemon = Daemon::start();
    let waiting = daemon.open("GET /v1/sessions/slow/token?wait=1h HTTP/1.1\r\nhost: x\r\n\r\n");
    daemon.fake.until("waiting slow");
    drop(waiting);
    daemon.fake.until("gone slow");
    assert!(daemon.get("/v1/sessions").starts_with("HTTP/1.1 200"));
}

#[test]
fn who_sends_no_more_still_gets_the_answer_and_is_missed_when_gone() {
    let daemon = Daemon::start();
    let listed = daemon.open("GET /v1/sessions HTTP/1.1\r\nhost: x\r\n\r\n");
    let waiting = daemon.open("GET /v1/sessions/slow/token?wait=1h HTTP/1.1\r\nhost: x\r\n\r\n");
    for client in [&listed, &waiting] {
        client.shutdown(Shutdown::Write).unwrap();
    }
    let started = crate::clock::boottime();
    assert!(read(listed).contains("HTTP/1.1 200 OK"));
    assert!(
        crate::clock::boottime().since(started) < TERMS.header_timeout / 2,
        "nothing more is waited for"
    );
    daemon.fake.until("waiting slow");
    assert_eq!(daemon.fake.next_within(Duration::from_millis(600)), None);
    drop(waiting);
    daemon.fake.until("gone slow");
}

#[test]
fn a_client_that_does_not_read_its_answer_harms_nobody() {
    let daemon = Daemon::start();
    let request = "GET /v1/sessions/huge HTTP/1.1\r\nhost: x\r\n\r\n";
    let stalled: Vec<_> = (0..8).map(|_| daemon.open(request)).collect();
    let started = crate::clock::boottime();
    assert!(daemon.get("/v1/sessions").starts_with("HTTP/1.1 200"));
    assert!(crate::clock::boottime().since(started) < TERMS.write_timeout / 2);
    drop(stalled);
}

#[test]
fn at_the_end_the_answers_under_way_go_out_and_the_file_goes() {
    let daemon = Daemon::start();
    let waiting = daemon.open("GET /v1/sessions/slow/token?wait=1h HTTP/1.1\r\nhost: x\r\n\r\n");
    let idle = daemon.open("");
    daemon.fake.until("waiting slow");
    let path = daemon.path.clone();
    daemon.fake.leave();
    assert!(read(waiting).contains(r#""type":"stopping""#));
    daemon.stop();
    assert_eq!(read(idle), "");
    assert!(!path.exists());
}

#[test]
fn without_a_supervisor_the_answer_is_that_the_daemon_stops() {
    let daemon = Daemon::start();
    daemon.fake.leave();
    let answer = daemon.get("/v1/sessions");
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains(r#""type":"stopping""#),
        "{answer}"
    );
}

/// A server in a thread of its own, with a supervisor that knows a few sessions.
struct Daemon {
    path: PathBuf,
    fake: Fake,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.sock");
        let (stop, stopped) = oneshot::channel();
        let (fake, thread) = fake::daemon(&path, stopped);
        Self {
            path,
            fake,
            stop: Some(stop),
            thread: Some(thread),
            _directory: directory,
        }
    }

    fn open(&self, bytes: &str) -> StdUnixStream {
        let mut stream = StdUnixStream::connect(&self.path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(15)))
            .unwrap();
        let _ = stream.write_all(bytes.as_bytes());
        stream
    }

    fn say(&self, bytes: &str) -> String {
        read(self.open(bytes))
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let length = body.len();
        self.say(&format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path, "")
    }

    fn post(&self, path: &str, body: &str) -> String {
        self.ask("POST", path, body)
    }

    fn stop(mut self) {
        drop(self.stop.take());
        self.thread.take().map(JoinHandle::join).unwrap().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && !thread::panicking()
        {
            thread.join().unwrap();
        }
    }
}

/// Everything until the server closes.
fn read(mut stream: StdUnixStream) -> String {
    let mut received = Vec::new();
    match stream.read_to_end(&mut received) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the server holds the connection open")
        }
        Ok(_) | Err(_) => String::from_utf8_lossy(&received).into_owned(),
    }
}
