//! Arguments, and what people see.

pub mod demo;
pub mod sandbox;

use std::process::ExitCode;

pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
