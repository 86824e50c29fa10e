//! `keepfresh sandbox`.

use std::process::ExitCode;

/// What `sandbox` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
