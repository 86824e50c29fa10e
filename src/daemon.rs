//! (skeleton)

/// Runs the daemon.
pub fn run(_args: crate::cli::run::RunArgs) -> std::process::ExitCode {
    todo!()
}
