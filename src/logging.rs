//! Where events go and how they look there: to journald with their fields, or to stderr as text or JSON.
//!
//! A `Recorder` takes each event apart once. `line` and `entry` say what is written of it, and nothing else; an `Outlet` writes
//! that, and never holds the daemon up for long: a journal or a reader that takes nothing costs lines, not time.

mod entry;
mod journal;
mod line;
pub mod message_id;
mod outlet;
mod recorder;

use std::io::{self, IsTerminal as _};

use rustix::fs::{FileType, fstat};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use journal::Journal;
use line::Style;
#[cfg(any(test, fuzzing))]
pub(crate) use line::fuzz;
use outlet::{Outlet, Stderr};
use recorder::Recorder;

/// `daemon.log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The journal when systemd connected standard error to it, else text.
    Auto,
    /// The journal, natively.
    Journald,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Not the syntax of filters.
    #[error(
        "understand the log filter {filter:?}: {error}; write a level (info, debug) or target=level, comma between"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        error: String,
    },
    /// Something else in this process receives events already.
    #[error("set up logging twice in one process")]
    Twice,
}

/// Sends the process's events of `filter` (`--log`, `$KEEPFRESH_LOG`) to `target`.
///
/// Libraries never say more than WARN, whatever the filter: their news are not the operator's, and at DEBUG they show what
/// they send.
///
/// # Errors
/// When the filter cannot be understood, or logging was set up before.
pub fn init(target: LogTarget, filter: &str) -> Result<(), LoggingError> {
    let parsed = filter
        .parse::<Targets>()
        .map_err(|error| LoggingError::Filter {
            filter: filter.to_owned(),
            error: error.to_string(),
        })?;
    let (outlet, problem) = outlet(target);
    let recorder = Recorder::new(outlet).with_filter(parsed.and(filter_fn(may_be_said)));
    tracing_subscriber::registry()
        .with(recorder)
        .try_init()
        .map_err(|_| LoggingError::Twice)?;
    if let Some(error) = problem {
        tracing::warn!(event = "journal_missing", %error, "journald does not take events: logging to stderr");
    }
    Ok(())
}

/// Libraries print headers and bodies at DEBUG and TRACE, and with them tokens; at INFO they tell of their own insides.
fn may_be_said(metadata: &Metadata<'_>) -> bool {
    recorder::is_ours(metadata.target()) || *metadata.level() <= Level::WARN
}

fn outlet(target: LogTarget) -> (Outlet, Option<io::Error>) {
    let stderr = |style| Outlet::Stderr(Stderr::new(), style);
    let text = if takes_priorities() {
        Style::Priority
    } else {
        Style::Time
    };
    let native = match target {
        LogTarget::Json => return (stderr(Style::Json), None),
        LogTarget::Text => return (stderr(text), None),
        LogTarget::Auto => stderr_is_the_journal(),
        LogTarget::Journald => true,
    };
    if !native {
        return (stderr(text), None);
    }
    match Journal::reach() {
        Ok(journal) => (Outlet::Journal(journal, Stderr::new(), text), None),
        Err(error) => (stderr(text), Some(error)),
    }
}

/// `JOURNAL_STREAM` names the device and inode of the pipe to journald (systemd.exec(5)); stderr may have been redirected since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    fstat(io::stderr()).is_ok_and(|found| stream == format!("{}:{}", found.st_dev, found.st_ino))
}

/// Whether the reader of stderr takes `<N>` off a line and knows the time itself: the journal, or what else the service
/// manager that started this very process (`SYSTEMD_EXEC_PID`) connected, except for a terminal or a file.
fn takes_priorities() -> bool {
    let started_us =
        std::env::var("SYSTEMD_EXEC_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    let is_file = fstat(io::stderr())
        .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::RegularFile);
    stderr_is_the_journal() || (started_us && !is_file && !io::stderr().is_terminal())
}

#[cfg(test)]
mod tests;
