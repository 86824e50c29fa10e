//! `keepfresh run`: its arguments; the daemon does the rest.

use std::path::PathBuf;

use super::exit::Exit;
use super::output;
use crate::daemon::{self, RunError};

/// What `run` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct RunArgs {
    /// The configuration file; without it `$KEEPFRESH_CONFIG`, else the system's for root and the user's own for others
    #[arg(long, short, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// What to log: error, warn, info, debug or trace, or a list such as `info,keepfresh::driver=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "KEEPFRESH_LOG",
        default_value = "info"
    )]
    pub(super) log: String,
}

/// Runs the daemon until a signal ends it, and says why it could not begin where its log does not.
pub(super) fn run(args: RunArgs) -> Exit {
    let Err(error) = daemon::run(args.config, &args.log) else {
        return Exit::Done;
    };
    match error {
        RunError::Config(errors) => {
            output::complain(&errors);
            Exit::Config
        }
        RunError::Logging(error) => {
            output::complain(&format!("keepfresh: failed to {error}"));
            Exit::Usage
        }
        RunError::Unlogged(error) => {
            output::complain(&format!("keepfresh: failed to {error}"));
            Exit::Failed
        }
        RunError::Logged(_) => Exit::Failed,
    }
}
