//! The log in a real journal: fields, numbers, the catalogue, and a journald that hangs or restarts.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keepfresh::message_id;
use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::Lab;
use crate::support::journald::Journald;
use crate::support::namespaces::with_own_mounts;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::wire::Response;
use crate::support::{SOON, within};

#[test]
fn an_entry_has_session_event_generation_priority_and_number() {
    let (server, mut lab, journald) = scene();
    journald.start_daemon(&mut lab);
    lab.await_token("crm");
    let generation = lab.status("crm")["generation"].to_string();
    for event in ["logged_in", "published"] {
        let entry = journald.await_entry(&[&format!("EVENT={event}"), "SESSION=crm"]);
        assert_eq!(entry["GENERATION"], generation.as_str(), "{entry:?}");
        assert_eq!(entry["PRIORITY"], "6");
        assert_eq!(entry["SYSLOG_IDENTIFIER"], "keepfresh");
        assert_eq!(entry["MESSAGE_ID"], message_id::of(event).unwrap());
        assert!(
            entry["MESSAGE"].as_str().unwrap().starts_with("crm: "),
            "{entry:?}"
        );
    }
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    server.revoke_sessions();
    lab.run(&["rejected", "crm", "--wait", "1s"]);
    let needed = journald.await_entry(&["EVENT=needs_attention"]);
    assert_eq!(needed["PRIORITY"], "4", "a person must act");
    let by_number = journald.await_entry(&[&format!(
        "MESSAGE_ID={}",
        message_id::of("needs_attention").unwrap()
    )]);
    assert_eq!(by_number["__CURSOR"], needed["__CURSOR"]);
    heard(&lab, &journald);
    assert!(server.logins() <= 4, "{} logins", server.logins());
}

#[test]
fn the_catalogue_explains_each_entry_with_cause_and_remedy() {
    let (server, mut lab, journald) = scene();
    journald.start_daemon(&mut lab);
    lab.await_token("crm");
    server.revoke_sessions();
    lab.run(&["rejected", "crm"]);
    journald.await_entry(&["EVENT=died"]);
    let explained = journald.journalctl(&["-x", "EVENT=died"]);
    for part in [
        "░░ Subject: crm: the server no longer knows the token",
        "░░ To do: If it happens again",
        "Session expired",
    ] {
        assert!(explained.contains(part), "{part:?} is not in\n{explained}");
    }
    assert!(server.logins() <= 3);
}

#[test]
fn what_lies_in_the_place_of_the_journals_socket_costs_the_log_its_journal_and_nobody_a_token() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.log_target = "journald";
    lab.configure(&[lab.by_client("crm")]);
    for (what, made) in [
        ("nothing", ""),
        ("a directory", "mkdir $at"),
        ("a file", "touch $at"),
        ("a link to nothing", "ln -s /nowhere $at"),
        ("a link to a device", "ln -s /dev/null $at"),
        ("a pipe", "mkfifo $at"),
    ] {
        let script = format!(
            "mount -t tmpfs none /run\nmkdir -p /run/systemd/journal\nat=/run/systemd/journal/socket\n{made}\nexec \"$@\""
        );
        let mut shell = with_own_mounts();
        shell.args(["sh", "-ec", &script, "sh"]);
        let said = lab.said().len();
        lab.start_through(shell);
        lab.await_token("crm");
        lab.await_state("crm", "alive");
        assert!(lab.stop().success(), "{what}");
        assert!(
            lab.said()[said..].contains("stopped"),
            "{what}: {}",
            lab.tail()
        );
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn the_queries_of_the_operations_page_find_what_they_promise() {
    let (server, mut lab, journald) = scene();
    let told = Response::json(200, r#"{"sobjects":"/services/data/v65.0/sobjects"}"#);
    server.once(
        Endpoint::Data,
        Instead::SayAlive(told.with("Sforce-Limit-Info", "api-usage=14900/15000")),
    );
    journald.start_daemon(&mut lab);
    lab.await_token("crm");
    lab.succeeds(&["verify", "crm"]);
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    server.revoke_sessions();
    lab.run(&["rejected", "crm", "--wait", "1s"]);
    journald.await_entry(&["EVENT=needs_attention"]);
    let page =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let queries: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("journalctl -u keepfresh "))
        .collect();
    assert!(queries.len() >= 5, "{queries:?}");
    for query in queries {
        // What follows for ever, or goes on to another program, is asked once.
        let query = query.split(['#', '|']).next().unwrap_or_default();
        let args: Vec<&str> = query
            .split_whitespace()
            .filter(|arg| *arg != "-f")
            .map(|arg| arg.trim_matches('"'))
            .collect();
        let found = journald.journalctl(&args);
        assert!(!found.trim().is_empty(), "journalctl {query}: nothing");
    }
    heard(&lab, &journald);
}

#[test]
fn early_warnings_are_said_once_with_what_they_are_about() {
    let (server, mut lab, journald) = scene();
    let refresh = server.approve("refreshed");
    let aging = lab
        .by_refresh_token("refreshed", &refresh)
        .key("refresh_idle_timeout = \"6s\"");
    lab.configure(&[lab.by_client("crm"), aging]);
    let told = Response::json(200, r#"{"sobjects":"/services/data/v65.0/sobjects"}"#);
    let low = told.with("Sforce-Limit-Info", "api-usage=14900/15000");
    server.always_for("crm", Endpoint::Data, Instead::SayAlive(low));
    journald.start_daemon(&mut lab);
    let mut token = lab.await_token("crm");
    lab.await_token("refreshed");
    lab.succeeds(&["verify", "crm"]);
    server.always_for(
        "refreshed",
        Endpoint::Token,
        Instead::Say(Response::text(503, "down")),
    );
    for _ in 0..4 {
        lab.succeeds(&["login", "crm"]);
        token = lab.await_another_token("crm", &token);
        lab.succeeds(&["verify", "crm"]);
    }
    for (event, session, field, value) in [
        ("quota_low", "crm", "USED", "14900"),
        ("logins_frequent", "crm", "LOGINS", "4"),
        ("refresh_token_aging", "refreshed", "LEFT_SECONDS", ""),
    ] {
        // What only time shows is looked at twice a minute.
        let matches = [format!("EVENT={event}"), format!("SESSION={session}")];
        let entry = within(Duration::from_secs(40), event, || {
            journald.entries(&[&matches[0], &matches[1]]).pop()
        });
        assert_eq!(entry["PRIORITY"], "4", "{entry:?}");
        assert_eq!(entry["MESSAGE_ID"], message_id::of(event).unwrap());
        assert!(
            entry[field].as_str().unwrap().starts_with(value),
            "{entry:?}"
        );
        assert!(
            journald
                .journalctl(&["-x", &format!("EVENT={event}")])
                .contains("░░ To do: ")
        );
        assert_eq!(
            journald.entries(&[&format!("EVENT={event}")]).len(),
            1,
            "{event}"
        );
    }
    heard(&lab, &journald);
    assert!(server.logins() <= 6, "{}", server.logins());
}

#[test]
fn a_text_of_the_server_makes_no_entries_and_no_fields() {
    let (server, mut lab, journald) = scene();
    let text = "x\nPRIORITY=0\nMESSAGE=forged\n\u{1b}[2J\u{9b}31m";
    let body = json!({"error": "invalid_grant", "error_description": text});
    server.always(
        Endpoint::Token,
        Instead::Say(Response::json(400, body.to_string())),
    );
    lab.configure(&[lab.by_client("crm")]);
    journald.start_daemon(&mut lab);
    let entry = journald.await_entry(&["EVENT=needs_attention"]);
    assert_eq!(entry["PRIORITY"], "4");
    assert!(
        entry["MESSAGE"].as_str().unwrap().contains("PRIORITY=0"),
        "as text: {entry:?}"
    );
    assert!(journald.entries(&["PRIORITY=0"]).is_empty());
    for entry in journald.entries(&[]) {
        // journalctl shows what is no text as an array of bytes.
        let odd = entry.values().find(|value| {
            value
                .as_str()
                .is_none_or(|text| text.contains(['\n', '\u{1b}', '\u{9b}']))
        });
        assert_eq!(odd, None, "{entry:?}");
    }
    assert!(server.logins() <= 2);
}

#[test]
fn a_journald_that_hangs_or_dies_costs_log_lines_and_nothing_else() {
    let (server, mut lab, mut journald) = scene();
    server.allow_calls(200);
    journald.start_daemon(&mut lab);
    let token = lab.await_token("crm");
    journald.signal(Signal::STOP);
    let started = Instant::now();
    for _ in 0..150 {
        // Each says a line; some hundred fill every queue.
        lab.run(&["verify", "crm", "--wait", "1s"]);
    }
    // A daemon that waited for its log would keep each of them for its whole second.
    assert!(
        started.elapsed() < Duration::from_secs(100),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(lab.token("crm").as_deref(), Some(token.as_str()));
    journald.signal(Signal::CONT);
    journald.kill();
    lab.succeeds(&["pause", "crm"]);
    assert!(lab.runs(), "without any journald");
    journald.start_again();
    lab.succeeds(&["resume", "crm"]);
    journald.await_entry(&["EVENT=resumed", "SESSION=crm"]);
    heard(&lab, &journald);
    assert_eq!(server.logins(), 1);
}

#[test]
fn without_journald_an_order_to_log_there_falls_back_to_text() {
    let (_server, mut lab, _) = scene();
    lab.log_target = "journald";
    lab.configure(&[lab.by_client("crm")]);
    lab.log_level = "info";
    let mut hidden = with_own_mounts();
    hidden.args(["sh", "-c", "mount -t tmpfs none /run && exec \"$@\"", "sh"]);
    lab.start_through(hidden);
    lab.await_token("crm");
    within(SOON, "the warning", || {
        lab.said()
            .contains("event=\"journal_missing\"")
            .then_some(())
    });
    assert!(lab.said().contains("event=\"logged_in\""), "{}", lab.said());
}

/// A server, a directory with the session `crm` whose daemon logs where it finds itself, and a journald.
fn scene() -> (Arc<Salesforce>, Lab, Journald) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.log_target = "auto";
    lab.configure(&[lab.by_client("crm")]);
    (server, lab, Journald::start())
}

/// What the journal holds is searched for secrets like everything else that the daemon said.
fn heard(lab: &Lab, journald: &Journald) {
    lab.also_said(&journald.journalctl(&["-o", "export"]));
}
