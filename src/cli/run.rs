//! `keepfresh run`: its arguments; the daemon does the rest.

use std::path::PathBuf;

/// What `run` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// The configuration file; without it `$KEEPFRESH_CONFIG`, else the system's for root and the user's own for others
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log: error, warn, info, debug or trace, or a list such as `info,keepfresh::driver=debug`
    #[arg(
        long,
        value_name = "FILTER",
        env = "KEEPFRESH_LOG",
        default_value = "info"
    )]
    pub log: String,
}
