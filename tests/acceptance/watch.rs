//! `status --watch` in front of a person, and into a pipe.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::SOON;
use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::terminal::{Terminal, plain};
use crate::support::within;

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

#[test]
fn the_screen_follows_the_session_and_a_daemon_that_goes_and_comes_back() {
    let (server, mut lab) = running(2);
    let mut screen = Terminal::start(lab.command(&["status", "--watch"]), 80, 24);
    screen.until(ENTER);
    screen.until("2 sessions");
    screen.until("ping in ");
    lab.succeeds(&["pause", "crm"]);
    screen.until("until it is resumed");
    lab.stop();
    screen.until("the daemon is not running");
    screen.until("below is how it was");
    lab.start();
    screen.until("\x1b[2;1H\x1b[K");
    screen.until("2 sessions");
    screen.press("q");
    assert!(screen.ended().success());
    assert!(screen.is_as_before());
    assert_eq!(server.logins(), 2, "looking on costs no login");
}

#[test]
fn enter_opens_the_page_of_a_session_and_escape_leads_back() {
    let (server, lab) = running(2);
    let mut screen = Terminal::start(lab.command(&["status", "--watch"]), 100, 30);
    screen.until("Enter details");
    screen.press("\x1b[B\r");
    screen.until("salesforce at http://");
    screen.until("automatic logins left");
    screen.until("Esc back");
    screen.press("\x1b");
    screen.until("Enter details");
    screen.press("/er");
    screen.until("/er_");
    screen.press("\r");
    screen.until("/er  ");
    screen.press("\x1b");
    screen.until("Enter details");
    screen.press("\x1b");
    assert!(
        screen.ended().success(),
        "escape quits where there is nothing to go back from"
    );
    assert!(screen.is_as_before());
    assert_eq!(server.logins(), 2, "looking on costs no login");
}

#[test]
fn without_unicode_and_colour_all_that_is_shown_is_ascii() {
    let (server, lab) = running(2);
    needs_a_person(&server, &lab);
    for arguments in [
        &["status", "--watch"][..],
        &["status"],
        &["status", "crm"],
        &["status", "--wide"],
    ] {
        let mut command = lab.command(arguments);
        command.env("NO_COLOR", "1");
        let mut screen = Terminal::start_in(command, "C", 80, 24);
        within(SOON, "the remedy", || {
            screen.shown().contains("to do: ").then_some(())
        });
        let shown = screen.shown();
        assert!(shown.is_ascii(), "{shown:?}");
        let is_style = |sequence: &str| {
            sequence
                .find(char::is_alphabetic)
                .is_some_and(|at| sequence[at..].starts_with('m'))
        };
        assert!(!shown.split("\x1b[").skip(1).any(is_style), "{shown:?}");
        screen.press("q");
    }
}

#[test]
fn the_table_fits_every_terminal_and_no_word_is_broken() {
    let (server, lab) = running(2);
    needs_a_person(&server, &lab);
    for columns in [40, 80, 100, 200] {
        let mut screen = Terminal::start(lab.command(&["status"]), columns, 24);
        assert!(screen.ended().success());
        let text = within(SOON, "the table", || {
            Some(screen.shown()).filter(|text| text.contains("erp"))
        });
        for line in plain(&text).lines() {
            assert!(
                line.chars().count() <= usize::from(columns),
                "{columns}: {line}"
            );
        }
    }
    let piped = lab.succeeds(&["status"]);
    assert!(
        piped.starts_with("2 sessions: 1 needs attention, 1 alive\n\nNAME"),
        "{piped}"
    );
    assert!(
        !piped.contains('\x1b') && piped.matches("to do: ").count() == 1,
        "{piped}"
    );
    assert!(
        lab.succeeds(&["status", "erp"])
            .contains("next      ping in "),
        "a page of one session"
    );
    assert!(lab.succeeds(&["status", "--wide"]).contains("GENERATION"));
}

/// The server lets nobody in any more: `crm` finds out, `erp` not yet.
fn needs_a_person(server: &Salesforce, lab: &Lab) {
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("inactive_user", "“user” is frozen")),
    );
    server.revoke_sessions();
    assert_eq!(lab.code(&["rejected", "crm"]), 79);
}

#[test]
fn a_resize_draws_the_screen_afresh() {
    let (_server, lab) = running(1);
    let screen = Terminal::start(lab.command(&["status", "--watch"]), 80, 24);
    screen.until("ping in ");
    screen.until("\x1b[24;1H");
    screen.resize(40, 10);
    screen.until("\x1b[2J");
    screen.until("\x1b[10;1H");
    assert!(!screen.shown().contains("\x1b[11;1H"), "{}", screen.shown());
}

#[test]
fn ctrl_c_and_signals_leave_the_terminal_as_it_was() {
    let (_server, lab) = running(1);
    for signal in [
        None,
        Some(Signal::INT),
        Some(Signal::TERM),
        Some(Signal::HUP),
    ] {
        let mut screen = Terminal::start(lab.command(&["status", "--watch"]), 80, 24);
        screen.until(ENTER);
        screen.until("ping in ");
        match signal {
            None => screen.press("\x03"),
            Some(signal) => screen.signal(signal),
        }
        let status = screen.ended();
        screen.until(LEAVE);
        assert!(screen.is_as_before(), "{signal:?}");
        let by = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(by, signal.map(Signal::as_raw), "{signal:?}: {status}");
    }
}

#[test]
fn colour_is_left_out_where_nobody_wants_it() {
    let (_server, lab) = running(1);
    for (no_color, coloured) in [("", true), ("1", false)] {
        let mut command = lab.command(&["status", "--watch"]);
        command.env("NO_COLOR", no_color);
        let screen = Terminal::start(command, 80, 24);
        screen.until("crm");
        within(SOON, "the state", || {
            screen.shown().contains("alive").then_some(())
        });
        assert_eq!(
            screen.shown().contains("\x1b[32m"),
            coloured,
            "{:?}",
            screen.shown()
        );
    }
}

#[test]
fn into_a_pipe_each_change_is_a_line() {
    let (_server, mut lab) = running(1);
    let mut child = lab
        .command(&["status", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut next = || lines.next().unwrap();
    let first = next();
    assert!(first.contains("  crm  alive  #"), "{first}");
    assert!(!first.contains('\x1b'), "{first:?}");
    lab.succeeds(&["pause", "crm"]);
    assert!(next().ends_with("paused by an admin"));
    lab.stop();
    assert!(next().contains("the daemon is not running"));
    lab.start();
    assert!(next().contains("the daemon answers again"));
    drop(lines);
    let ended = within(SOON, "the end, once nobody reads", || {
        child.try_wait().unwrap()
    });
    assert!(ended.success(), "{ended}");
}

#[test]
fn as_json_each_change_is_a_line() {
    let (_server, lab) = running(1);
    let mut child = lab
        .command(&["status", "crm", "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let mut next =
        || serde_json::from_str::<Value>(&lines.next().unwrap()).unwrap()["sessions"][0].clone();
    assert_eq!(next()["state"], "alive");
    lab.succeeds(&["verify", "crm"]);
    let now = within(SOON, "the ping", || {
        Some(next()).filter(|session| session["counts"]["pings"] == 1)
    });
    let last = now["recent"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["what"], &last["outcome"]),
        (&"ping".into(), &"alive".into())
    );
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_name_that_nobody_has_ends_it_at_once() {
    let (_server, lab) = running(1);
    assert_eq!(lab.code(&["status", "nobody", "--watch"]), 80);
}

#[test]
fn what_happened_is_told_with_the_status() {
    let (server, lab) = running(1);
    lab.succeeds(&["verify", "crm"]);
    server.revoke_sessions();
    lab.succeeds(&["rejected", "crm"]);
    let status = lab.status("crm");
    let recent: Vec<(&str, &str, bool)> = status["recent"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["what"].as_str().unwrap(),
                it["outcome"].as_str().unwrap(),
                it["success"].as_bool().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("login", "good", true),
        ("ping", "alive", true),
        ("ping", "dead", false),
        ("loss", "died", false),
        ("login", "good", true),
    ];
    assert_eq!(recent, expected);
    assert_eq!((server.logins(), server.pings()), (2, 2));
}

fn running(sessions: usize) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let names = ["crm", "erp"];
    lab.configure(
        &names[..sessions]
            .iter()
            .map(|name| lab.by_client(name))
            .collect::<Vec<_>>(),
    );
    lab.start();
    for name in &names[..sessions] {
        lab.await_token(name);
        lab.await_state(name, "alive");
    }
    (server, lab)
}
