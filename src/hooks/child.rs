//! Runs the program of a hook, with nothing of the daemon's but what is named here.

use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use crate::program::{self, Inherits, Program, ProgramError};

/// A program that needs longer should start a unit and end.
const LIMIT: Duration = Duration::from_secs(10);

/// How much of its output is kept.
const MOST_OUTPUT: usize = 4096;

/// What a program may need of the daemon's environment. The rest may hold secrets, and would let it speak to systemd in
/// the daemon's name.
const INHERITED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// How it went.
pub(super) struct Ended {
    /// What it printed, the beginning of it, without control characters but line ends.
    pub(super) output: String,
    /// Why it counts as failed, if it does.
    pub(super) problem: Option<Problem>,
}

/// Why a run counts as failed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Problem {
    /// It could not be started, or it said so itself.
    #[error("{0}")]
    Failed(String),
    #[error("it took longer than {} s, so keepfresh killed it", LIMIT.as_secs())]
    TooSlow,
}

/// Runs `argv` to its end, or for ten seconds; dropped before, it kills what runs.
pub(super) async fn run(argv: &[String], variables: &[(&str, String)]) -> Ended {
    let env: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let program = Program {
        argv,
        inherits: Inherits::Only(&INHERITED),
        env: &env,
        directory: Some(Path::new("/")),
        limit: LIMIT,
        largest: MOST_OUTPUT,
    };
    let (ended, heard) = program::run_and_show(&program).await;
    let problem = match ended {
        Ok(status) if status.success() => None,
        Ok(status) => Some(Problem::Failed(format!("it ended with {status}"))),
        Err(ProgramError::TookTooLong(_)) => Some(Problem::TooSlow),
        Err(
            error @ (ProgramError::NotStarted(_)
            | ProgramError::WithinReach(_)
            | ProgramError::Broken(_)),
        ) => Some(Problem::Failed(error.to_string())),
    };
    Ended {
        output: told(&heard),
        problem,
    }
}

/// Where it was cut, the last line goes too: it could be the beginning of a token.
fn told(heard: &[u8]) -> String {
    let text = String::from_utf8_lossy(heard);
    let whole = match text.rfind('\n') {
        _ if heard.len() < MOST_OUTPUT => &text,
        Some(end) => text.get(..end).unwrap_or_default(),
        None => "",
    };
    whole
        .trim_end()
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect()
}
