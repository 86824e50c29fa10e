//! `keepfresh login NAME`: an order where the daemon logs in by itself, else the lead through a person's login.
//!
//! The daemon holds every secret of it; here are only the address to open, the listener for the browser's return, and a
//! place to paste it.

mod browser;
mod desk;
mod device;
mod page;
mod person;

#[cfg(any(test, fuzzing))]
pub(crate) use browser::fuzz;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, parse_duration, session_path, status};
use crate::api::client::{Call, Client, ClientError};
use crate::api::problem::Kind;
use crate::api::{LoginBegun, LoginDone, LoginHow, SessionStatus};

/// What `login` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "NAME", add = complete::sessions())]
    name: String,
    /// How long to wait until the login is done, or until a person can go on with it
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    wait: Duration,
    /// Print the address instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// Print the session's status afterwards as JSON
    #[arg(long)]
    json: bool,
}

/// What beginning a login is answered with.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answered {
    Begun(LoginBegun),
    Done(Box<LoginDone>),
}

pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    // Where the daemon logs in by itself it is closed again unheard.
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok();
    let port = ear
        .as_ref()
        .and_then(|ear| ear.local_addr().ok())
        .map(|address| address.port());
    let body = port.map_or_else(String::new, |port| {
        json!({ "redirect_port": port }).to_string()
    });
    let path = session_path(&args.name, "/login");
    let call = Call {
        post: true,
        path,
        wait: args.wait,
        body: Zeroizing::new(body),
        status: Some(session_path(&args.name, "")),
        ..Call::default()
    };
    let answered = client.json(&call)?;
    let by_person = matches!(answered, Answered::Begun(_));
    let outcome = match answered {
        Answered::Done(done) => *done,
        Answered::Begun(begun) => {
            let login = Login {
                client,
                begun: &begun,
            };
            if let Some(host) = &begun.foreign_host {
                output::complain(&format!(
                    "The server sends you to {host}, which is neither the host that is configured nor one of its \
                     provider's: go on only if you know it.\n"
                ));
            }
            match &begun.how {
                LoginHow::AuthorizationCode { url, redirect_uri } => {
                    browser::lead(&login, url, redirect_uri, ear, !args.no_browser)?
                }
                LoginHow::DeviceCode {
                    user_code,
                    verification_uri,
                    verification_uri_complete,
                } => device::lead(
                    &login,
                    user_code,
                    verification_uri,
                    verification_uri_complete.as_deref(),
                )?,
            }
        }
    };
    if args.json {
        return output::print_json(&outcome);
    }
    if by_person {
        output::print_prose(&welcome(&outcome))?;
    }
    status::print_row(&outcome.status)
}

fn welcome(done: &LoginDone) -> String {
    let LoginDone {
        status: SessionStatus { session, url, .. },
        logged_in_as,
    } = done;
    match logged_in_as {
        Some(who) => format!("logged in to {session} at {url} as {who}\n\n"),
        None => format!("logged in to {session} at {url}; the server does not tell as whom\n\n"),
    }
}

/// A person's login that the daemon has begun.
struct Login<'a> {
    client: &'a Client,
    begun: &'a LoginBegun,
}

impl Login<'_> {
    /// What came of it within `wait`; none while the person is not done, or the daemon is not there.
    fn outcome(&self, wait: Duration) -> Result<Option<LoginDone>, ClientError> {
        let call = Call {
            path: self.path(),
            wait,
            repeatable: true,
            ..Call::default()
        };
        match self.client.json(&call) {
            Ok(status) => Ok(Some(status)),
            Err(ClientError::Problem(problem)) if problem.kind != Kind::NotFresh => {
                Err(ClientError::Problem(problem))
            }
            Err(
                ClientError::Problem(_) | ClientError::NotRunning { .. } | ClientError::Lost(_),
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Hands in where the browser was sent.
    fn hand_in(&self, address: &str, wait: Duration) -> Result<LoginDone, ClientError> {
        let body = Zeroizing::new(json!({ "redirected": address }).to_string());
        self.client.json(&Call {
            post: true,
            path: self.path(),
            wait,
            body,
            ..Call::default()
        })
    }

    fn path(&self) -> String {
        session_path(&self.begun.session, &format!("/login/{}", self.begun.login))
    }

    fn lifetime(&self) -> Duration {
        Duration::from_secs(self.begun.expires_in)
    }
}
