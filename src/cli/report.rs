//! `keepfresh used` and `keepfresh rejected`: what jobs report.

use std::io::Read as _;
use std::time::Duration;

use serde_json::json;
use zeroize::Zeroizing;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, parse_duration, session_path, token};
use crate::api::client::{Call, Client};
use crate::api::{Ready, SessionStatus, TokenAnswer};

/// The longest token, and a newline.
const LONGEST_INPUT: u64 = crate::token::MAX_TOKEN_BYTES as u64 + 2;

/// What `used` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct UsedArgs {
    /// The session
    #[arg(value_name = "NAME", add = complete::sessions())]
    pub(super) name: String,
    /// Which generation was used [default: the current one]
    #[arg(long, value_name = "NUMBER")]
    pub(super) generation: Option<u64>,
    /// How long ago the request was sent
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) age: Option<Duration>,
    /// Print the session's status afterwards as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What `rejected` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RejectedArgs {
    /// The session
    #[arg(value_name = "NAME", add = complete::sessions())]
    pub(super) name: String,
    /// Which generation was rejected [default: the current one]
    #[arg(long, value_name = "NUMBER", conflicts_with = "token_stdin")]
    pub(super) generation: Option<u64>,
    /// Read the rejected token from standard input
    #[arg(long)]
    pub(super) token_stdin: bool,
    /// Print the token to use instead
    #[arg(long)]
    pub(super) print: bool,
    /// How long to wait for the outcome
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub(super) wait: Duration,
    /// Print the outcome as JSON; the token is in it with --print only
    #[arg(long)]
    pub(super) json: bool,
}

/// Reports success.
pub(super) fn used(client: &Client, args: &UsedArgs) -> Result<Exit, Failure> {
    let current = or_current(client, &args.name, args.generation, Duration::ZERO)?;
    let generation = current.ok_or_else(|| Failure::NoToken(args.name.clone()))?;
    let status = use_of(client, &args.name, generation, args.age)?;
    if args.json {
        output::print_json(&status)
    } else {
        Ok(Exit::Done)
    }
}

/// Reports that the token of this generation was used with success, so long ago.
pub(super) fn use_of(
    client: &Client,
    name: &str,
    generation: u64,
    age: Option<Duration>,
) -> Result<SessionStatus, Failure> {
    let body = match age {
        Some(age) => json!({ "generation": generation, "age": age.as_secs_f64() }),
        None => json!({ "generation": generation }),
    };
    Ok(client.json(&report(name, "/used", body.to_string(), Duration::ZERO))?)
}

/// Reports "session expired", and waits for what comes of it.
pub(super) fn rejected(client: &Client, args: &RejectedArgs) -> Result<Exit, Failure> {
    let body = if args.token_stdin {
        json!({ "token": stdin()?.trim_end_matches(['\r', '\n']) })
    } else {
        // Without a token there is nothing to confirm, but still a better one to wait for: an old generation does that.
        json!({ "generation": or_current(client, &args.name, args.generation, args.wait)?.unwrap_or(0) })
    };
    let mut call = report(&args.name, "/rejected", body.to_string(), args.wait);
    // Who is told of a token may read a file next, or have another program do so.
    call.query.push(token::in_files());
    let answer: TokenAnswer = match client.json::<TokenAnswer>(&call).map_err(Failure::from) {
        // The report was heard, and whoever reads the token here needs no file.
        Err(failure) if args.print && failure.is_of_a_file() => {
            failure.warn();
            client.json(&Call {
                path: session_path(&args.name, "/token"),
                repeatable: true,
                ..Call::default()
            })?
        }
        answer => answer?,
    };
    match (args.print, args.json) {
        (true, true) => output::print_json(&answer),
        (true, false) => token::print_bare(answer.access_token.expose()),
        (false, true) => output::print_json(&Ready::from(answer)),
        (false, false) => Ok(Exit::Done),
    }
}

fn report(name: &str, tail: &str, body: String, wait: Duration) -> Call<'static> {
    Call {
        post: true,
        path: session_path(name, tail),
        wait,
        body: Zeroizing::new(body),
        repeatable: true,
        status: Some(session_path(name, "")),
        ..Call::default()
    }
}

/// The generation given, or the one that the daemon has now, if it has any.
fn or_current(
    client: &Client,
    name: &str,
    given: Option<u64>,
    wait: Duration,
) -> Result<Option<u64>, Failure> {
    if given.is_some() {
        return Ok(given);
    }
    let call = Call {
        path: session_path(name, ""),
        repeatable: true,
        ..Call::default()
    };
    let status: SessionStatus = client.patient_json(&call, wait)?;
    Ok(status.generation)
}

fn stdin() -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .take(LONGEST_INPUT)
        .read_to_string(&mut text)
        .map_err(Failure::Input)?;
    Ok(text)
}
