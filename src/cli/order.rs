//! `keepfresh verify | renew | logout | pause | resume`: an admin's orders. `login` has a file of its own.

use std::time::Duration;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, parse_duration, session_path, status};
use crate::api::client::{Call, Client};
use crate::api::{Order, SessionStatus};

/// What each order takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "NAME", add = complete::sessions())]
    name: String,
    /// How long to wait until it is done
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    wait: Duration,
    /// Print the session's status afterwards as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(client: &Client, args: &Args, order: Order) -> Result<Exit, Failure> {
    let (word, repeatable) = match order {
        Order::Verify => ("verify", true),
        Order::Introspect => ("introspect", true),
        Order::Renew => ("renew", false),
        Order::Login => ("login", false),
        Order::Logout => ("logout", false),
        Order::Pause => ("pause", true),
        Order::Resume => ("resume", true),
    };
    let path = session_path(&args.name, &format!("/{word}"));
    let call = Call {
        post: true,
        path,
        wait: args.wait,
        repeatable,
        status: Some(session_path(&args.name, "")),
        ..Call::default()
    };
    let outcome: SessionStatus = client.json(&call)?;
    if args.json {
        output::print_json(&outcome)
    } else {
        status::print_row(&outcome)
    }
}
