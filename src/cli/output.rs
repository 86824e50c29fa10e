//! The one place that writes to standard output and standard error; a reader that has gone is no failure.

use std::io::{self, Write};

use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::fold;
use super::status::Paper;

/// Prints `text` as it is; colours are left out where they would not be seen.
pub(super) fn print(text: &str) -> Result<Exit, Failure> {
    let mut stdout = anstream::stdout().lock();
    quiet(
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush()),
    )
}

/// Prints prose; at a terminal in lines that end where it ends.
pub(super) fn print_prose(text: &str) -> Result<Exit, Failure> {
    print(&fold::folded(text, &Paper::of_stdout()))
}

/// Prints bytes untouched: tokens and what holds them.
pub(super) fn print_raw(bytes: &[u8]) -> Result<Exit, Failure> {
    let mut stdout = io::stdout().lock();
    quiet(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// Prints a line at once, its colours left out as in [`print()`]; false when it is no longer read.
pub(super) fn line(text: &str) -> Result<bool, Failure> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Output(error)),
        Ok(()) => Ok(true),
    }
}

/// Prints `value` as JSON that people can read too.
pub(super) fn print_json(value: &impl Serialize) -> Result<Exit, Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::Output(error.into()))?;
    print_raw(format!("{text}\n").as_bytes())
}

/// Says `text` on standard error; at a terminal in lines that end where it ends.
pub(super) fn complain(text: &str) {
    let text = fold::folded(text, &Paper::of_stderr());
    // Nobody is left to tell when even this fails.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Shows a question on standard error, without the end of a line.
pub(super) fn ask(text: &str) {
    let text = fold::folded(text, &Paper::of_stderr());
    let mut stderr = anstream::stderr().lock();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// `head` has read enough: that is how pipes end.
fn quiet(written: io::Result<()>) -> Result<Exit, Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        Ok(()) | Err(_) => Ok(Exit::Done),
    }
}
