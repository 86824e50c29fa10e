//! `keepfresh check`.

use std::process::ExitCode;

/// What `check` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
