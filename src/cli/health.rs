//! `keepfresh health`: for monitoring and for container probes.

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output};
use crate::api::client::{Call, Client};
use crate::api::{Health, SessionList, SessionStatus, State};

/// What `health` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The sessions to look at [default: all]
    #[arg(value_name = "NAME", add = complete::sessions())]
    names: Vec<String>,
    /// Fail unless every session has a good token, in its files too: exit code 75, or 79 if a person is needed
    #[arg(long)]
    ready: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let query = args
        .names
        .iter()
        .map(|name| ("session", name.clone()))
        .collect();
    let call = Call {
        path: "/v1/health".to_owned(),
        query,
        repeatable: true,
        ..Call::default()
    };
    let health: Health = client.json(&call)?;
    if args.json {
        output::print_json(&health)?
    } else {
        output::print_prose(&words(&health))?
    };
    match (health.live, args.ready, health.ready) {
        (false, _, _) => Ok(Exit::Failed),
        (true, true, false) => not_ready(client, &health),
        (true, false, _) | (true, true, true) => Ok(Exit::Done),
    }
}

fn words(health: &Health) -> String {
    let mut lines = Vec::new();
    if !health.live {
        lines.push("the daemon makes no progress\n".to_owned());
    }
    lines.extend(
        health
            .not_ready
            .iter()
            .map(|(name, reason)| format!("{name}: {reason}\n")),
    );
    if lines.is_empty() {
        "ok\n".to_owned()
    } else {
        lines.concat()
    }
}

/// Whether waiting helps, or only a person.
fn not_ready(client: &Client, health: &Health) -> Result<Exit, Failure> {
    let call = Call {
        path: "/v1/sessions".to_owned(),
        repeatable: true,
        ..Call::default()
    };
    let list: SessionList = client.json(&call)?;
    let is_stuck = |session: &SessionStatus| {
        let file = session.published && session.files.iter().any(|file| file.error.is_some());
        session.state == State::NeedsAttention || file
    };
    let stuck = |name: &String| {
        list.sessions
            .iter()
            .any(|session| session.session == *name && is_stuck(session))
    };
    Ok(if health.not_ready.keys().any(stuck) {
        Exit::NeedsPerson
    } else {
        Exit::TryAgain
    })
}
