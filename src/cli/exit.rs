//! The exit codes, as scripts rely on them.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    /// `EX_UNAVAILABLE` of sysexits.h.
    NotRunning = 69,
    /// `EX_TEMPFAIL`.
    TryAgain = 75,
    /// `EX_NOPERM`.
    NotAllowed = 77,
    /// `EX_CONFIG`.
    Config = 78,
    /// A person must do something.
    NeedsPerson = 79,
    NoSuchSession = 80,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
