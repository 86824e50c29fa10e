//! Following what happens: from now, from where one was, and over a restart.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::support::SOON;
use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;

#[test]
fn a_follower_hears_of_everything_in_order_and_reads_no_secret() {
    let (server, lab) = running();
    let mut stream = Stream::open(&lab, "/v1/events?session=crm", None);
    lab.succeeds(&["login", "crm"]);
    let (events, raw) = stream.until("published");
    let words: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(words, ["call", "logged_in", "published"]);
    assert_eq!(
        (&events[0]["request"], &events[0]["verdict"]),
        (&"login".into(), &"good".into())
    );
    let ids: Vec<u64> = events
        .iter()
        .map(|event| event["id"].as_u64().unwrap())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(events[2]["generation"], lab.status("crm")["generation"]);
    for needle in server.needles() {
        assert!(!raw.contains(&needle), "{raw}");
    }
    assert_eq!(server.logins(), 2);
}

#[test]
fn whoever_hears_of_a_token_finds_it_in_the_files() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    // Each write takes a while, as on a disk that has much to do.
    lab.start_tampered(&["fsync:delay_exit=30000".to_owned()]);
    lab.succeeds(&["wait", "crm"]);
    let mut stream = Stream::open(&lab, "/v1/events", None);
    let before = lab.await_token("crm");
    lab.post("/v1/sessions/crm/login", "");
    stream.until("published");
    assert_ne!(
        std::fs::read_to_string(lab.path("run/tokens/crm")).unwrap(),
        before
    );
    lab.post("/v1/sessions/crm/logout", "");
    stream.until("withdrawn");
    assert!(!lab.path("run/tokens/crm").exists());
    assert_eq!(server.logins(), 2);
}

#[test]
fn who_was_away_hears_exactly_what_was_missed() {
    let (server, lab) = running();
    let mut stream = Stream::open(&lab, "/v1/events", None);
    lab.succeeds(&["pause", "crm"]);
    let (events, _) = stream.until("paused");
    let last = events.last().unwrap()["id"].to_string();
    drop(stream);
    lab.succeeds(&["resume", "crm"]);
    lab.succeeds(&["pause", "crm"]);
    for mut stream in [
        Stream::open(&lab, "/v1/events", Some(&last)),
        Stream::open(&lab, &format!("/v1/events?from={last}"), None),
        Stream::open(&lab, "/v1/events?from=0", Some(&last)),
    ] {
        let words: Vec<String> = stream
            .until("paused")
            .0
            .iter()
            .map(|event| event["event"].to_string())
            .collect();
        assert_eq!(words, ["\"resumed\"", "\"paused\""]);
    }
    for (path, status) in [
        ("/v1/events?from=soon", 400),
        ("/v1/events?session=nobody", 404),
        ("/v1/events?colour=red", 400),
    ] {
        assert_eq!(lab.get(path).unwrap().status, status, "{path}");
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn the_command_follows_over_a_restart_and_says_that_something_may_be_missing() {
    let (_server, mut lab) = running();
    let mut following = Following::start(&lab, &["events", "--json", "crm"]);
    lab.succeeds(&["pause", "crm"]);
    assert_eq!(following.next()["event"], "paused");
    let stopping = Instant::now();
    assert!(lab.stop().success());
    assert!(
        stopping.elapsed().as_secs() < 2,
        "a follower delays no stop: {:?}",
        stopping.elapsed()
    );
    lab.start();
    let mut words = Vec::new();
    while words.last().is_none_or(|word| word != "resumed") {
        if words.len() == 1 {
            lab.succeeds(&["resume", "crm"]);
        }
        words.push(following.next()["event"].as_str().unwrap().to_owned());
    }
    assert_eq!(words[0], "missed", "{words:?}");
}

#[test]
fn the_command_ends_when_nobody_reads_it_any_more_though_nothing_happens() {
    let (_server, lab) = running();
    let mut following = Following::start(&lab, &["events", "--json", "crm"]);
    following.lines = None;
    let ended = crate::support::within(SOON, "the command's end", || {
        following.child.try_wait().unwrap()
    });
    assert!(ended.success(), "{ended}");
}

#[test]
fn strangers_hear_nothing_of_sessions_that_they_may_not_see() {
    if !can_as_root("become another user") {
        return;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[
        lab.by_client("crm"),
        lab.by_client("open")
            .table("access", "allow = [\"user:nobody\"]"),
    ]);
    lab.start();
    lab.await_state("crm", "alive");
    lab.await_state("open", "alive");
    assert_eq!(
        lab.run_as_nobody(&["events", "crm"]).status.code(),
        Some(77)
    );
    let mut following = Following::as_nobody(&lab, &["events", "--json", "--from", "0"]);
    assert_eq!(following.next()["session"], "open");
    lab.succeeds(&["pause", "crm"]);
    lab.succeeds(&["pause", "open"]);
    loop {
        let event = following.next();
        assert_eq!(event["session"], "open", "{event}");
        if event["event"] == "paused" {
            break;
        }
    }
}

/// A raw connection to the stream of events.
struct Stream {
    lines: Lines<BufReader<UnixStream>>,
}

impl Stream {
    fn open(lab: &Lab, path: &str, last: Option<&str>) -> Self {
        let mut stream = UnixStream::connect(lab.socket()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let last = last
            .map(|id| format!("last-event-id: {id}\r\n"))
            .unwrap_or_default();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n{last}\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        let head: Vec<String> = lines
            .by_ref()
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .collect();
        assert!(head[0].contains(" 200 "), "{head:?}");
        assert!(
            head.iter()
                .any(|line| line.starts_with("content-type: text/event-stream")),
            "{head:?}"
        );
        Self { lines }
    }

    /// The events up to the first one of this name, and all that was sent.
    fn until(&mut self, word: &str) -> (Vec<Value>, String) {
        let (mut events, mut raw, mut name) = (Vec::new(), String::new(), String::new());
        for line in self.lines.by_ref().map(Result::unwrap) {
            raw = raw + &line + "\n";
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            } else if let Some(data) = line.strip_prefix("data: ") {
                let event: Value = serde_json::from_str(data).unwrap();
                assert_eq!(event["event"], *name, "{raw}");
                assert!(raw.contains(&format!("id: {}\n", event["id"])), "{raw}");
                events.push(event);
                if name == word {
                    return (events, raw);
                }
            }
        }
        panic!("no {word} in {raw}");
    }
}

/// `keepfresh events --json`, as a script reads it.
struct Following {
    child: Child,
    /// None once nobody reads any more.
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Following {
    fn start(lab: &Lab, args: &[&str]) -> Self {
        Self::spawn(lab.command(args), lab)
    }

    fn as_nobody(lab: &Lab, args: &[&str]) -> Self {
        use std::os::unix::process::CommandExt as _;
        let mut command = lab.command(args);
        command.uid(65534).gid(65534).current_dir("/");
        Self::spawn(command, lab)
    }

    fn spawn(mut command: std::process::Command, lab: &Lab) -> Self {
        let seen = lab.said().matches("follows").count();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The daemon says when somebody follows: from then on nothing is missed.
        crate::support::within(SOON, "the follower", || {
            (lab.said().matches("follows").count() > seen).then_some(())
        });
        Self {
            child,
            lines: Some(lines),
        }
    }

    fn next(&mut self) -> Value {
        let line = self
            .lines
            .as_mut()
            .and_then(Iterator::next)
            .expect("another event");
        serde_json::from_str(&line.unwrap()).unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn running() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_state("crm", "alive");
    server.settled();
    (server, lab)
}
