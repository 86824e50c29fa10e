//! What the programs of systemd say of the service and of the machine.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::program::{self, Inherits, Program};
use crate::systemd::properties;

/// Systemd answers within milliseconds, or hangs.
const LIMIT: Duration = Duration::from_secs(5);
/// So much of an answer is read; some 2 KiB are usual.
const LARGEST: usize = 256 * 1024;

/// What a program of systemd's prints; none where it is not there, or gives no answer in time.
pub(super) fn printed(argv: &[&str]) -> Option<String> {
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let program = Program {
        argv: &argv,
        inherits: Inherits::All,
        env: &[("LC_ALL", "C.UTF-8")],
        directory: None,
        limit: LIMIT,
        largest: LARGEST,
    };
    let outcome = program::run_blocking(&program).ok()?;
    Some(String::from_utf8_lossy(&outcome.printed).into_owned())
}

/// The properties that a program of systemd's prints; none where it prints nothing.
pub(super) fn shown(argv: &[&str]) -> BTreeMap<String, String> {
    properties(&printed(argv).unwrap_or_default())
}
