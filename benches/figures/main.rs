//! All figures of docs/benchmarks.md, in one run and one table.
//!
//! `make bench` prints it and leaves it in `target/bench.md`; `make bench PARTS="recovery crowd"` measures some
//! parts only. It runs the released program against a server on loopback, and beside it what sets the limit or what others
//! wrote. A part that fails says so in the table and does not hold up the rest.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a part fails by panicking"
)]
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that prints"
)]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::cast_precision_loss, reason = "counts below a billion")]

mod calls;
mod crowd;
mod engine;
mod fleet;
mod issuer;
mod lasting;
mod latency;
mod life;
mod oidc_agent;
mod recovery;
mod sizes;
mod socket;
mod table;

#[expect(dead_code, reason = "the tests use more of the harness")]
#[path = "../../tests/acceptance/support/all.rs"]
mod support;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use table::Table;

type Part = fn(&mut Table);

const PARTS: [(&str, Part); 8] = [
    ("calls", calls::measure),
    ("engine", engine::measure),
    ("sizes", sizes::measure),
    ("latency", latency::measure),
    ("recovery", recovery::measure),
    ("crowd", crowd::measure),
    ("lasting", lasting::measure),
    ("oidc-agent", oidc_agent::measure),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [word, situation, rounds] = arguments.as_slice()
        && word == engine::WORK
    {
        engine::work(situation, rounds.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let mut table = Table::begin();
    for (name, part) in PARTS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            table.part(name);
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| part(&mut table))) {
                table.not_measured(name, &reason(panic.as_ref()));
            }
        }
    }
    table.end()
}

/// What a part said when it failed, on one line.
fn reason(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_else(|| "no reason given".into())
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
