//! `keepfresh reload`: the config is read again, and the outcome comes back to who asked.

use std::fmt::Write as _;
use std::time::Duration;

use super::exit::Exit;
use super::failure::Failure;
use super::{output, parse_duration};
use crate::api::Reloaded;
use crate::api::client::{Call, Client};

/// What `reload` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// How long to wait until it is done
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    wait: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let call = Call {
        post: true,
        path: "/v1/reload".to_owned(),
        wait: args.wait,
        repeatable: true,
        ..Call::default()
    };
    let reloaded: Reloaded = client.json(&call)?;
    if args.json {
        output::print_json(&reloaded)?
    } else {
        output::print_prose(&words(&reloaded))?
    };
    Ok(if reloaded.problems.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn words(reloaded: &Reloaded) -> String {
    let sessions = match reloaded.sessions {
        1 => "1 session".to_owned(),
        several => format!("{several} sessions"),
    };
    let diff = match reloaded.diff() {
        diff if diff.is_empty() => "nothing changed".to_owned(),
        diff => diff,
    };
    let mut words = format!("reloaded: {sessions}; {diff}\n");
    if reloaded.restart_needed {
        let keys = match &*reloaded.restart_for {
            [] => "changes under [daemon] and [socket]".to_owned(),
            keys => keys.join(", "),
        };
        let how = match &reloaded.restart_command {
            Some(command) => format!("run `{command}`"),
            None => "stop the daemon and start it again".to_owned(),
        };
        let _ = writeln!(
            words,
            "only a restart takes over {keys}: {how}; no session is lost by that"
        );
    }
    for problem in &reloaded.problems {
        let _ = writeln!(words, "not done: {problem}");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_says_what_differs_what_a_reload_cannot_do_and_what_to_type() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let reloaded = Reloaded {
            sessions: 1,
            ..Reloaded::default()
        };
        assert_eq!(words(&reloaded), "reloaded: 1 session; nothing changed\n");
        let reloaded = Reloaded {
            sessions: 2,
            restart_needed: true,
            added: names(&["billing2"]),
            removed: names(&["billing"]),
            changed: names(&["crm"]),
            changed_tables: names(&["metrics"]),
            restart_for: names(&["daemon.log", "socket.mode"]),
            restart_command: Some("systemctl restart keepfresh.service".to_owned()),
            problems: names(&["listen for scrapers: in use"]),
        };
        assert_eq!(
            words(&reloaded),
            "reloaded: 2 sessions; +billing2 \u{2212}billing ~crm ~[metrics]\n\
             only a restart takes over daemon.log, socket.mode: run `systemctl restart keepfresh.service`; no session is lost by that\n\
             not done: listen for scrapers: in use\n"
        );
        let many = (0..25).map(|number| format!("s{number}")).collect();
        let reloaded = Reloaded {
            sessions: 25,
            changed: many,
            ..Reloaded::default()
        };
        assert!(
            words(&reloaded).ends_with("~s19 ~(5 more)\n"),
            "{}",
            words(&reloaded)
        );
    }
}
