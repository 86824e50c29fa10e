//! `keepfresh demo`: the sandbox and the real daemon together, told live, and checked while it is told.

mod daemon;
mod narrator;
mod stage;
mod story;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;
use thiserror::Error;
use tokio::time::timeout;

use crate::sandbox::{Sandbox, Settings};
use daemon::{Daemon, Home};
use narrator::Narrator;
use stage::Stage;

/// Longest idle timeout that keeps the whole story under [`LIMIT`], and the shortest that a busy machine keeps up with.
const IDLE_TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(3)..=Duration::from_secs(10);
/// However it goes, the story ends by then.
const LIMIT: Duration = Duration::from_secs(36);
/// What a shell reports for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Watch keepfresh keep, lose and recover a session: needs no account and no config, and ends by itself
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's idle timeout, 3s to 10s
    #[arg(long, value_name = "DURATION", default_value = "6s", value_parser = idle_timeout)]
    idle_timeout: Duration,
    /// No colour
    #[arg(long)]
    plain: bool,
}

/// Why the demo ended early.
#[derive(Debug, Error)]
enum DemoError {
    /// Nobody reads on.
    #[error("write to the output: {0}")]
    Output(#[source] io::Error),
    /// Something at the start did not work.
    #[error("{doing}: {source}")]
    Setup {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The daemon ended on its own.
    #[error("keep the daemon running: it ended with {0}")]
    DaemonEnded(std::process::ExitStatus),
    /// What should have happened did not.
    #[error("see what was expected: {0}")]
    Unexpected(String),
    /// A signal.
    #[error("go on: interrupted")]
    Interrupted,
}

impl DemoError {
    fn setup(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Setup { doing, source }
    }

    /// A closed pipe is no failure of the demo.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Interrupted => ExitCode::from(INTERRUPTED),
            Self::Output(_) | Self::Setup { .. } | Self::DaemonEnded(_) | Self::Unexpected(_) => {
                ExitCode::FAILURE
            }
        }
    }

    /// Whether the daemon's own words help to understand it.
    fn is_the_daemons(&self) -> bool {
        match self {
            Self::DaemonEnded(_) | Self::Unexpected(_) => true,
            Self::Output(_) | Self::Setup { .. } | Self::Interrupted => false,
        }
    }
}

fn idle_timeout(text: &str) -> Result<Duration, String> {
    let duration = super::sandbox::positive_duration(text)?;
    if IDLE_TIMEOUTS.contains(&duration) {
        Ok(duration)
    } else {
        Err("choose 3s to 10s".to_owned())
    }
}

/// Tells the story; 0 when all of it was seen to happen.
pub fn run(
    Args {
        idle_timeout,
        plain,
    }: Args,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let told = runtime
        .map_err(DemoError::setup("start"))
        .and_then(|runtime| runtime.block_on(demonstrate(idle_timeout, Narrator::new(plain))));
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            if code == ExitCode::FAILURE {
                let _ = writeln!(io::stderr(), "keepfresh demo: failed to {error}");
            }
            code
        }
    }
}

async fn demonstrate(idle_timeout: Duration, narrator: Narrator) -> Result<(), DemoError> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(DemoError::setup("watch for Ctrl-C"))?;
    let settings = Settings {
        idle_timeout,
        ..Settings::default()
    };
    let sandbox = Sandbox::start(settings)
        .await
        .map_err(DemoError::setup("start the sandbox"))?;
    let home = Home::make(&sandbox, idle_timeout)
        .map_err(DemoError::setup("make a directory for the daemon"))?;
    let daemon = Daemon::spawn(&home).map_err(DemoError::setup("start the daemon"))?;
    let mut stage = Stage::new(sandbox, daemon, home, narrator, idle_timeout);
    let told = tokio::select! {
        told = timeout(LIMIT, story::tell(&mut stage)) => {
            told.unwrap_or_else(|_| Err(DemoError::Unexpected(format!("the end of the story within {LIMIT:?}"))))
        }
        _ = signals.next() => Err(DemoError::Interrupted),
    };
    stage.daemon.stop().await;
    if told.as_ref().is_err_and(DemoError::is_the_daemons) {
        let _ = io::stderr().write_all(stage.home.last_words().as_bytes());
    }
    stage.sandbox.stop().await;
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_timeout_must_fit_the_story() {
        for (text, fits) in [
            ("6s", true),
            ("3s", true),
            ("10s", true),
            ("2s", false),
            ("2h", false),
            ("soon", false),
        ] {
            assert_eq!(idle_timeout(text).is_ok(), fits, "{text}");
        }
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let code = |kind: io::ErrorKind| DemoError::Output(kind.into()).exit_code();
        assert_eq!(code(io::ErrorKind::BrokenPipe), ExitCode::SUCCESS);
        assert_eq!(code(io::ErrorKind::StorageFull), ExitCode::FAILURE);
    }
}
