//! What a test cannot try on this machine: it says so, past the capture of a test's output; where `CI` is set in the
//! environment, it fails.

use std::io::Write as _;

/// Whether this is root, who alone can do what the test does: `can_as_root("become another user")`.
///
/// Where it is not, what the test leaves out is said, or is a failure.
#[track_caller]
pub(crate) fn can_as_root(what: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        say_untried(&format!("only root can {what}"));
    }
    is_root
}

/// Says why something is left out.
///
/// # Panics
/// Where `CI` is set: there nothing may be left out in silence.
#[track_caller]
pub(crate) fn say_untried(why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(
        std::env::var_os("CI").is_none(),
        "{test} cannot be tried here: {why}. Where CI is set, that is a failure"
    );
    let _ = writeln!(std::io::stderr(), "\nUNTRIED {test}: {why}");
}
