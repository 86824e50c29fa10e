//! The one binary; everything is in the library, so that benches and fuzzers reach it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    keepfresh::cli::main()
}
