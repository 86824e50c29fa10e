//! `keepfresh wait NAME…`: returns once all of them have a good token.

use std::time::Duration;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, parse_duration, token};
use crate::api::Ready;
use crate::api::client::Client;
use crate::clock;

/// What `wait` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The sessions
    #[arg(value_name = "NAME", required = true, add = complete::sessions())]
    pub(super) names: Vec<String>,
    /// For how long each token must be good (capped at what one ping can guarantee)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) min_validity: Option<Duration>,
    /// How long to wait for all of them together, also while the daemon starts
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub(super) wait: Duration,
    /// Print JSON: an object with the list `sessions`, without the tokens
    #[arg(long)]
    pub(super) json: bool,
}

/// One after the other: the daemon makes them fresh at the same time anyway.
pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let until = clock::boottime().after(args.wait);
    let mut ready = Vec::new();
    for name in &args.names {
        let left = until.since(clock::boottime());
        ready.push(client.json::<Ready>(&token::ready(name, args.min_validity, left))?);
    }
    if args.json {
        output::print_json(&serde_json::json!({ "sessions": ready }))
    } else {
        Ok(Exit::Done)
    }
}
