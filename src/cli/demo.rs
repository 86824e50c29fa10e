//! `keepfresh demo`.

use std::process::ExitCode;

/// What `demo` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {}

/// Carries it out.
pub fn run(_args: Args) -> ExitCode {
    ExitCode::FAILURE
}
