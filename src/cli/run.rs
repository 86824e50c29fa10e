//! `keepfresh run`: its arguments; the daemon does the rest.

use std::path::PathBuf;

/// What `run` takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// The configuration [default: /etc/keepfresh/config.toml as root, else keepfresh/config.toml in $XDG_CONFIG_HOME]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to log: error, warn, info, debug or trace, also per module (keepfresh::driver=debug)
    #[arg(long, value_name = "FILTER", env = "KEEPFRESH_LOG", default_value = "info")]
    pub log: String,
}
