//! Arguments, and what people see.

pub mod sandbox;

use std::process::ExitCode;

pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
