//! Asks a person at the terminal: one line at a time, and what is secret without showing it.

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use zeroize::Zeroizing;

use crate::cli::output;

/// How long a signal may go unnoticed.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// No line that a person types or pastes is longer.
const LONGEST: usize = 64 * 1024;

/// The person has had enough: a signal, or the end of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Where questions are asked.
pub(super) struct Terminal {
    stopped: Arc<AtomicBool>,
}

impl Terminal {
    /// None where nobody sits: standard input or standard error is no terminal.
    pub(super) fn find() -> Option<Self> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let stopped = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&stopped)).ok()?;
        }
        Some(Self { stopped })
    }

    /// A line that is not empty; empty only where there is a `default`, which it then is.
    pub(super) fn ask(&self, question: &str, default: Option<&str>) -> Result<String, Stopped> {
        loop {
            let shown = default
                .map(|default| format!(" [{default}]"))
                .unwrap_or_default();
            prompt(&format!("{question}{shown}: "));
            let line = self.line()?;
            match (line.trim(), default) {
                ("", Some(default)) => return Ok(default.to_owned()),
                ("", None) => {}
                (text, _) => return Ok(text.to_owned()),
            }
        }
    }

    /// The same, not shown; empty where it `may_be_none`.
    pub(super) fn ask_secret(
        &self,
        question: &str,
        may_be_none: bool,
    ) -> Result<Zeroizing<String>, Stopped> {
        let _hidden = Hidden::begin();
        loop {
            prompt(&format!("{question} (not shown): "));
            let line = self.line();
            // The terminal did not show the end of the line either.
            prompt("\n");
            let line = line?;
            if may_be_none || !line.trim().is_empty() {
                return Ok(line);
            }
        }
    }

    fn line(&self) -> Result<Zeroizing<String>, Stopped> {
        let stdin = io::stdin();
        let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST));
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(Stopped);
            }
            let mut ready = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
            if !matches!(poll(&mut ready, Some(&LOOK_EVERY)), Ok(1..)) {
                continue;
            }
            let mut byte = Zeroizing::new([0; 1]);
            match rustix::io::read(stdin.as_fd(), &mut *byte) {
                Ok(1..) if *byte == [b'\n'] => break,
                Ok(1..) if bytes.len() < LONGEST => bytes.extend_from_slice(&*byte),
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => return Err(Stopped),
            }
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| Stopped)?;
        Ok(Zeroizing::new(text.trim_end_matches('\r').to_owned()))
    }
}

fn prompt(text: &str) {
    output::ask(text);
}

/// While it lives, the terminal does not show what is typed.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let Ok(before) = tcgetattr(io::stdin()) else {
            return Self(None);
        };
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let set = tcsetattr(io::stdin(), OptionalActions::Now, &silent);
        Self(set.is_ok().then_some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}
