//! What commands show a person at a terminal, narrow ones included.

use std::fs;
use std::sync::Arc;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::terminal::{Terminal, plain};
use crate::support::{SOON, within};

#[test]
fn what_is_said_at_a_terminal_breaks_no_word_however_narrow_it_is() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let refusal = oauth_error(
        "inactive_user",
        "the integration user of this org is frozen",
    );
    server.always(Endpoint::Token, Instead::Say(refusal));
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_state("crm", "needs_attention");
    let logins = server.logins();
    assert!(logins <= 2, "{logins} logins");
    let config = lab.config().display().to_string();
    let url = server.url();
    fs::write(
        lab.path("broken.toml"),
        "[sessions.crm]\nprovider = \"salesforc\"\nidel_timeout = \"2h\"\n",
    )
    .unwrap();
    let broken = lab.path("broken.toml").display().to_string();
    for columns in [40, 80, 100] {
        // A command that is killed at its question leaves the key that it made.
        let name = format!("erp{columns}");
        let add = [
            "add",
            &name,
            "--config",
            &config,
            "--provider",
            "salesforce",
            "--url",
            &url,
            "--grant",
            "jwt_bearer",
        ];
        for (command, last) in [
            (&["events", "--from", "0"][..], "login crm`"),
            (&["token", "crm"][..], "login crm`"),
            (&["status", "nobody"][..], "nobody"),
            (&add[..], "client_id,"),
            (&["status"], "login crm`"),
            (&["status", "crm"], "budget"),
            (&["health"], "frozen"),
            (&["doctor", "--config", &config], "holds no secret"),
            (&["check", "--config", &config], "is good"),
            (&["check", "--config", &broken], "errors in the"),
            (&["run", "--config", &broken], "known here"),
            (&["providers"], "zabbix"),
            (&["providers", "salesforce"], "second half"),
            (&["exec", "crm", "sh", "-c", "x"], "the command:"),
            (&["events", "--event", "nothing"], "known are"),
            (&["demo"][..], "help` says more"),
        ] {
            let screen = Terminal::start(lab.command(command), columns, 24);
            let text = within(SOON, &format!("{last:?} of {command:?}"), || {
                let text = plain(&screen.shown());
                let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                words.contains(last).then_some(text)
            });
            for line in text.lines() {
                let fits = line.chars().count() <= usize::from(columns);
                let text = line.trim();
                // A path beside its label goes over the end: who copies it gets it whole.
                let behind_label = text.rsplit("  ").next().unwrap_or_default();
                let is_one_word = !behind_label.trim().contains(' ');
                let is_quoted_or_usage = text.contains(" | ") || text.starts_with("Usage: ");
                assert!(
                    fits || is_one_word || is_quoted_or_usage,
                    "{command:?} at {columns} columns: {line:?}\n{text}"
                );
            }
        }
    }
    assert_eq!(server.logins(), logins, "looking on costs no login");
}

#[test]
fn events_say_at_once_that_they_wait_for_something_to_happen() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_state("crm", "alive");
    let screen = Terminal::start(lab.command(&["events"]), 80, 24);
    screen.until("What happens from now on is shown here");
    lab.succeeds(&["pause", "crm"]);
    screen.until("paused");
    let earlier = Terminal::start(lab.command(&["events", "--from", "0"]), 80, 24);
    let shown = within(SOON, "what has happened", || {
        Some(earlier.shown()).filter(|shown| shown.contains("logged in"))
    });
    assert!(!shown.contains("from now on"), "{shown}");
}
