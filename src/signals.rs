//! Signals that the daemon obeys, as a closed set; a closed pipe is an error of the write, not a signal (Rust ignores `SIGPIPE`).

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures_util::StreamExt as _;
use nix::sys::signal::{SigSet, Signal as Known};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Origin;
use signal_hook_tokio::SignalsInfo;

/// Left as they are: what is obeyed, what cannot be taken over, by which the kernel tells of a programming error, and what ends
/// no process. All others would end this one in the midst of a call (signal(7)).
const LEFT: [Known; 20] = [
    Known::SIGHUP,
    Known::SIGTERM,
    Known::SIGINT,
    Known::SIGQUIT,
    Known::SIGKILL,
    Known::SIGSTOP,
    Known::SIGILL,
    Known::SIGTRAP,
    Known::SIGABRT,
    Known::SIGBUS,
    Known::SIGFPE,
    Known::SIGSEGV,
    Known::SIGSYS,
    Known::SIGPIPE,
    Known::SIGCHLD,
    Known::SIGCONT,
    Known::SIGTSTP,
    Known::SIGTTIN,
    Known::SIGTTOU,
    Known::SIGURG,
];

/// The real-time signals; the C library keeps some of the first for itself, and says no to those.
const REAL_TIME: RangeInclusive<i32> = 34..=64;

/// What somebody asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGHUP`: read the config again.
    Reload,
    /// `SIGTERM`, `SIGINT` or `SIGQUIT`: drain and end.
    Stop {
        /// The process that sent it; none when it was the kernel (a terminal's Ctrl-C).
        by: Option<i32>,
    },
}

/// The signals as they come; those that come before they are awaited are not lost.
pub struct Signals {
    stream: SignalsInfo<WithOrigin>,
}

impl Signals {
    /// Takes the signals over from their default actions; must be called within the runtime.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn new() -> io::Result<Self> {
        // Taken over and never looked at: a write beyond the limit of a file's size is an error of the write, and what other
        // daemons take for an order must not end this one. Ignored outright, hooks and commands would ignore them too.
        let unread = Arc::default();
        for stray in Known::iterator().filter(|signal| !LEFT.contains(signal)) {
            signal_hook::flag::register(stray as i32, Arc::clone(&unread))?;
        }
        for stray in REAL_TIME {
            let _ = signal_hook::flag::register(stray, Arc::clone(&unread));
        }
        let obeyed = [SIGHUP, SIGTERM, SIGINT, SIGQUIT];
        let signals = Self { stream: SignalsInfo::with_exfiltrator(obeyed, WithOrigin::default())? };
        // A careless parent may have left signals blocked; threads inherit that, so this comes before there are any.
        SigSet::all().thread_unblock()?;
        Ok(signals)
    }

    /// The next one; safe to drop and call again. None only after the handlers were closed.
    pub async fn next(&mut self) -> Option<Signal> {
        self.stream.next().await.map(|origin| meaning(&origin))
    }
}

fn meaning(origin: &Origin) -> Signal {
    if origin.signal == SIGHUP {
        Signal::Reload
    } else {
        Signal::Stop { by: origin.process.map(|process| process.pid).filter(|&pid| pid != 0) }
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Sent, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn each_signal_arrives_with_its_meaning_and_its_sender() {
        let mut signals = Signals::new().unwrap();
        let stop = Signal::Stop { by: Some(getpid().as_raw_nonzero().get()) };
        for (sent, meant) in [(Sent::HUP, Signal::Reload), (Sent::TERM, stop), (Sent::INT, stop), (Sent::QUIT, stop)] {
            kill_process(getpid(), sent).unwrap();
            assert_eq!(signals.next().await, Some(meant));
        }
    }
}
