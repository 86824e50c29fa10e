//! `keepfresh exec NAME… -- COMMAND`: runs a command with fresh tokens in its environment.

mod child;
mod hold;
mod relay;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::time::Duration;

use super::failure::Failure;
use super::{asked, output, parse_duration, report, session_path, token};
use crate::api::client::{Call, Client};
use crate::api::{SessionStatus, TokenAnswer};
use crate::clock;
use crate::time::Instant;

/// What stops `exec` before there is a command whose status could be returned, as env(1) and timeout(1) have it.
const FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

const AFTER_HELP: &str = "\
The command finds NAME_TOKEN, NAME_INSTANCE_URL (where the server names one) and NAME_GENERATION of each
session; the prefix is the session's name in capitals, or its env_prefix. With --gateway it finds NAME_URL
and NAME_SOCKET in their place, to call the server by, and no token. Its exit status is returned, 128
and the signal's number when a signal ended it. Signals are passed on to it, and where a shell stops it, exec
stops as well.

Exit codes of exec itself:
 125  it failed: no fresh token within --wait, not allowed, the daemon is not running
 126  the command cannot be executed
 127  there is no such command";

/// What `exec` takes.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The sessions
    #[arg(value_name = "NAME", required = true, add = super::complete::sessions())]
    pub(super) names: Vec<String>,
    /// For how long each token must be good (capped at what one ping can guarantee)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) min_validity: Option<Duration>,
    /// How long to wait until all are fresh, also while the daemon starts
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub(super) wait: Duration,
    /// Put off renewals that would end the tokens while the command runs, for at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_hold)]
    pub(super) hold: Option<Duration>,
    /// When the command succeeds, report that it used the tokens; that saves a ping
    #[arg(long)]
    pub(super) used: bool,
    /// Give the command no token, but a port of its own on which it calls each session's gateway
    #[arg(long, conflicts_with_all = ["min_validity", "hold", "used"])]
    pub(super) gateway: bool,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub(super) command: Vec<OsString>,
}

pub(super) fn parse_hold(text: &str) -> Result<Duration, String> {
    let longest = parse_duration(text).map_err(|error| error.to_string())?;
    if longest.is_zero() {
        return Err(
            "a hold must be longer than zero, such as 1h; leave it out if you want none".to_owned(),
        );
    }
    Ok(longest)
}

/// Runs the command to its end.
pub(super) fn run(client: &Client, socket: Option<&Path>, args: &Args) -> ExitCode {
    match attempt(client, socket, args) {
        Ok(status) => ExitCode::from(child::code(status)),
        Err(Stopped::Failed(failure)) => {
            asked::meant(client, failure).report();
            ExitCode::from(FAILED)
        }
        Err(Stopped::Command(name, error)) => {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            output::complain(&format!("keepfresh: run {}: {error}", name.display()));
            ExitCode::from(if missing { NOT_FOUND } else { NOT_EXECUTABLE })
        }
        Err(Stopped::System(error)) => {
            output::complain(&format!("keepfresh: watch over the command: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

/// Why there is no status of the command's.
enum Stopped {
    Failed(Failure),
    Command(OsString, std::io::Error),
    System(std::io::Error),
}

impl<E: Into<Failure>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn attempt(client: &Client, socket: Option<&Path>, args: &Args) -> Result<ExitStatus, Stopped> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Stopped::System(std::io::ErrorKind::InvalidInput.into()));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(socket) = socket {
        command.env("KEEPFRESH_SOCKET", socket);
    }
    if args.gateway {
        for name in &args.names {
            lend(&mut command, &client.json(&status(name))?)?;
        }
        return child::run(&mut command, program);
    }
    let tokens = fresh(client, args)?;
    for token in &tokens {
        give(&mut command, token);
    }
    let started = clock::boottime();
    let status = child::run(&mut command, program)?;
    if args.used && status.success() {
        for token in &tokens {
            report_use(client, token, clock::boottime().since(started));
        }
    }
    Ok(status)
}

fn status(name: &str) -> Call<'static> {
    Call {
        path: session_path(name, ""),
        repeatable: true,
        ..Call::default()
    }
}

/// A port on which the command calls the session's gateway. What an older environment says must not stay beside it.
fn lend(command: &mut Command, session: &SessionStatus) -> Result<(), Stopped> {
    let Some(gateway) = &session.gateway else {
        return Err(Failure::NoGateway(session.session.clone()).into());
    };
    let port = relay::open(gateway.socket.clone()).map_err(Stopped::System)?;
    let name = |what: &str| format!("{}_{what}", gateway.env_prefix);
    command.env(name("URL"), format!("http://{port}"));
    command.env(name("SOCKET"), &gateway.socket);
    for of_the_token in ["TOKEN", "GENERATION", "INSTANCE_URL"] {
        command.env_remove(name(of_the_token));
    }
    Ok(())
}

/// The tokens, held where that is wanted.
fn fresh(client: &Client, args: &Args) -> Result<Vec<TokenAnswer>, Failure> {
    let until = clock::boottime().after(args.wait);
    let tokens = fetch(client, args, until)?;
    let Some(longest) = args.hold else {
        return Ok(tokens);
    };
    for name in &args.names {
        hold::begin(client, name, longest, left(until))?;
    }
    // From here on none of them is replaced without need, but one may have been a moment ago.
    let args = Args {
        min_validity: None,
        ..args.clone()
    };
    fetch(client, &args, until)
}

fn fetch(client: &Client, args: &Args, until: Instant) -> Result<Vec<TokenAnswer>, Failure> {
    let one =
        |name: &String| client.json(&token::call(name, args.min_validity, left(until), false));
    Ok(args.names.iter().map(one).collect::<Result<_, _>>()?)
}

fn left(until: Instant) -> Duration {
    until.since(clock::boottime())
}

/// What an older environment says of a session must not stay beside what is true now.
fn give(command: &mut Command, token: &TokenAnswer) {
    let name = |what: &str| format!("{}_{what}", token.env_prefix);
    command.env(name("TOKEN"), token.access_token.expose());
    command.env(name("GENERATION"), token.generation.to_string());
    match &token.instance_url {
        Some(url) => command.env(name("INSTANCE_URL"), url),
        None => command.env_remove(name("INSTANCE_URL")),
    };
}

/// When within its run the command used the token last is not known: at its beginning for sure, at its end perhaps.
fn report_use(client: &Client, token: &TokenAnswer, ran: Duration) {
    for age in [Some(ran), None] {
        if let Err(failure) = report::use_of(client, &token.session, token.generation, age) {
            failure.report();
            return;
        }
    }
}
