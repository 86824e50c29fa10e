//! `keepfresh reload`: the config is read again, and the outcome comes back to who asked.

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
    let call = Call { post: true, path: "/v1/reload".to_owned(), wait: args.wait, repeatable: true, ..Call::default() };
    let reloaded: Reloaded = client.json(&call)?;
    if args.json { output::print_json(&reloaded) } else { output::print(&words(&reloaded)) }
}

fn words(reloaded: &Reloaded) -> String {
    let sessions = match reloaded.sessions {
        1 => "1 session".to_owned(),
        several => format!("{several} sessions"),
    };
    let restart = if reloaded.restart_needed { "; changes under [daemon] and [socket] need a restart" } else { "" };
    format!("reloaded: {sessions}{restart}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_says_how_many_sessions_there_are_and_what_a_reload_cannot_do() {
        for (sessions, restart_needed, expected) in [
            (1, false, "reloaded: 1 session\n"),
            (2, true, "reloaded: 2 sessions; changes under [daemon] and [socket] need a restart\n"),
        ] {
            assert_eq!(words(&Reloaded { sessions, restart_needed }), expected);
        }
    }
}
