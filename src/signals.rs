//! Signals that the daemon obeys, as a closed set; a closed pipe is an error of the write, not a signal (Rust ignores `SIGPIPE`).

use std::io;
use std::sync::Arc;

use futures_util::StreamExt as _;
use nix::sys::signal::SigSet;
use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Origin;
use signal_hook_tokio::SignalsInfo;

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
        // daemons take for an order to open their logs again must not end this one.
        for ignored in [SIGXFSZ, SIGUSR1, SIGUSR2, SIGALRM] {
            signal_hook::flag::register(ignored, Arc::default())?;
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
        for without_meaning in [Sent::USR1, Sent::USR2, Sent::ALARM, Sent::XFSZ] {
            kill_process(getpid(), without_meaning).unwrap();
        }
        for (sent, meant) in [(Sent::HUP, Signal::Reload), (Sent::TERM, stop), (Sent::INT, stop), (Sent::QUIT, stop)] {
            kill_process(getpid(), sent).unwrap();
            assert_eq!(signals.next().await, Some(meant));
        }
    }
}
