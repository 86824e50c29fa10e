//! `keepfresh token NAME`: the token, once it is fresh, and a newline.

use std::time::Duration;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, parse_duration, session_path};
use crate::api::TokenAnswer;
use crate::api::client::{Call, Client};
use crate::api::duration;
use crate::publish::{Format, format};
use crate::secret::Secret;
use crate::token::{Capture, Published, Token};

/// The parameter that asks for the token in the session's files as well.
const IN_FILES: &str = "files";

/// What `token` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "NAME", add = complete::sessions())]
    pub(super) name: String,
    /// For how long the token must be good (capped at what one ping can guarantee)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) min_validity: Option<Duration>,
    /// How long to wait for a good token, also while the daemon restarts
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    pub(super) wait: Duration,
    /// The form to print it in
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Printed,
}

/// The formats that `token` prints; those of published files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Printed {
    /// The bare token and a newline
    #[default]
    Token,
    /// The token with its URL, generation, expiry and ready-made headers
    Json,
    /// Assignments such as `CRM_TOKEN=…`, for a shell
    Env,
    /// One line per header, for curl -H @-
    Header,
    /// A cookie jar, for curl -b -, if the token is a cookie
    Cookies,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let mut call = call(
        &args.name,
        args.min_validity,
        args.wait,
        args.format == Printed::Token,
    );
    match print(client, &call, args.format) {
        // Whoever reads it here needs no file.
        Err(failure) if failure.is_of_a_file() => {
            failure.warn();
            call.query.retain(|(key, _)| *key != IN_FILES);
            print(client, &call, args.format)
        }
        printed => printed,
    }
}

fn print(client: &Client, call: &Call<'_>, format: Printed) -> Result<Exit, Failure> {
    match format {
        Printed::Token => print_bare(&client.text(call)?),
        Printed::Json => output::print_json(&client.json::<TokenAnswer>(call)?),
        Printed::Env => {
            let answer: TokenAnswer = client.json(call)?;
            let prefix = answer.env_prefix.as_str().into();
            print_as(answer, &Format::Env { prefix })
        }
        Printed::Header => print_as(client.json(call)?, &Format::Header),
        Printed::Cookies => print_as(client.json(call)?, &Format::Cookies),
    }
}

/// Asks for a session's token, once its files hold it too: who is told of it may read it there.
pub(super) fn call(
    name: &str,
    min_validity: Option<Duration>,
    wait: Duration,
    plain: bool,
) -> Call<'static> {
    Call {
        path: session_path(name, "/token"),
        plain,
        ..ready(name, min_validity, wait)
    }
}

/// The same, to be told of the token only.
pub(super) fn ready(name: &str, min_validity: Option<Duration>, wait: Duration) -> Call<'static> {
    let validity = min_validity.map(|validity| ("min_validity", duration::format(validity)));
    Call {
        path: session_path(name, "/ready"),
        query: validity.into_iter().chain([in_files()]).collect(),
        wait,
        repeatable: true,
        status: Some(session_path(name, "")),
        ..Call::default()
    }
}

/// Files follow the socket by some milliseconds.
pub(super) fn in_files() -> (&'static str, String) {
    (IN_FILES, "true".to_owned())
}

/// A token and a newline, as `$(…)` and `read` like it.
pub(super) fn print_bare(token: &str) -> Result<Exit, Failure> {
    output::print_raw(zeroize::Zeroizing::new(format!("{token}\n")).as_bytes())
}

fn print_as(answer: TokenAnswer, format: &Format) -> Result<Exit, Failure> {
    output::print_raw(&format::render(&published(answer), format)?)
}

fn published(answer: TokenAnswer) -> Published {
    let capture = |value: String| Capture {
        value: Secret::new(value),
        public: true,
    };
    let token = Token {
        access_token: answer.access_token,
        token_type: answer.token_type,
        instance_url: answer.instance_url,
        captures: answer
            .captures
            .into_iter()
            .map(|(name, value)| (name, capture(value)))
            .collect(),
        issued_at: answer.issued_at,
        expires_at: answer.expires_at,
    };
    let headers = answer
        .headers
        .into_iter()
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    Published {
        session: answer.session.into(),
        generation: answer.generation,
        token: token.into(),
        headers,
        base: answer.base_url,
    }
}
