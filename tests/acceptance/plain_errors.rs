//! What a person reads when something is wrong: what, where, why, and what to type.

use std::net::TcpListener;

use crate::support::daemon::Lab;
use crate::support::terminal::Terminal;

#[test]
fn a_refused_connection_names_its_host_and_the_command_that_finds_the_cause() {
    let url = nothing_listens();
    let host = url.trim_start_matches("http://");
    let mut lab = Lab::bare(&url, Vec::new);
    lab.secret("client-secret", "a-secret-of-the-client");
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_state("crm", "recovering");
    let shown = lab.succeeds(&["status"]);
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(&format!("cannot connect to {host}: Connection refused")),
        "{shown}"
    );
    assert!(words.contains("run `keepfresh check --live`"), "{shown}");
}

#[test]
fn a_command_at_a_terminal_says_that_it_waits_for_a_daemon_that_is_not_there() {
    let lab = Lab::bare("http://127.0.0.1:9", Vec::new);
    let mut screen = Terminal::start(lab.command(&["token", "crm", "--wait", "4s"]), 200, 24);
    screen.until("the daemon is not running");
    screen.until("waiting for it, ");
    screen.until(" at most");
    assert_eq!(screen.ended().code(), Some(69));
    let piped = lab.run(&["token", "crm", "--wait", "3s"]);
    let said = String::from_utf8_lossy(&piped.stderr);
    assert!(!said.contains("waiting for it"), "a job's log: {said}");
}

/// The address of a port that was free a moment ago.
fn nothing_listens() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
