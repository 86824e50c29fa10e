//! Signals that the daemon obeys, as a closed set; a closed pipe is an error of the write, not a signal (Rust ignores `SIGPIPE`).

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures_util::StreamExt as _;
use nix::sys::signal::{SigSet, Signal as Known};
use nix::unistd::{Pid, getppid, getsid};
use rustix::fs::{Mode, OFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
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

/// What a signal asks of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGHUP`: read the config again.
    Reload,
    /// `SIGTERM`, `SIGINT` or `SIGQUIT`, or `SIGHUP` when the terminal that the daemon was started in is gone: drain and end.
    Stop {
        /// The process that sent it; none when it was the kernel (a terminal's Ctrl-C).
        by: Option<i32>,
    },
}

/// The signals as they come; those that come before they are awaited are not lost.
pub struct Signals {
    stream: SignalsInfo<WithOrigin>,
    /// None for a service, and for whom `nohup` told to outlive it.
    terminal: Option<Terminal>,
}

/// The terminal that the process was started in.
#[derive(Debug)]
struct Terminal {
    /// The shells that tell their jobs of its end: the parent, and the leader of the session.
    shells: [i32; 2],
}

impl Signals {
    /// Takes the signals over from their default actions; must be called within the runtime.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn new() -> io::Result<Self> {
        // Before the handlers: they hide what the process was started with.
        let terminal = Terminal::of_this_process();
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
        let signals = Self {
            stream: SignalsInfo::with_exfiltrator(obeyed, WithOrigin::default())?,
            terminal,
        };
        // A careless parent may have left signals blocked; threads inherit that, so this comes before there are any.
        SigSet::all().thread_unblock()?;
        Ok(signals)
    }

    /// The next one; safe to drop and call again. None only after the handlers were closed.
    pub async fn next(&mut self) -> Option<Signal> {
        let origin = self.stream.next().await?;
        Some(meaning(&origin, self.terminal.as_ref()))
    }
}

fn meaning(origin: &Origin, terminal: Option<&Terminal>) -> Signal {
    let by = origin
        .process
        .as_ref()
        .map(|process| process.pid)
        .filter(|&pid| pid != 0);
    let stays = origin.signal == SIGHUP
        && !terminal.is_some_and(|terminal| terminal.has_ended(origin.cause, by));
    if stays {
        Signal::Reload
    } else {
        Signal::Stop { by }
    }
}

impl Terminal {
    fn of_this_process() -> Option<Self> {
        (is_open() && !outlives_terminals()).then(|| Self {
            shells: parent_and_leader(),
        })
    }

    /// The kernel tells of nothing else by this signal, and a shell passes it on.
    fn has_ended(&self, cause: Cause, by: Option<i32>) -> bool {
        let by_shell = by.is_some_and(|pid| self.shells.contains(&pid));
        matches!(cause, Cause::Kernel) || (by_shell && !is_open())
    }
}

/// By nix: either is 0 where it is in a process namespace outside of this one, which rustix takes for impossible.
fn parent_and_leader() -> [i32; 2] {
    let leader = getsid(None).map_or(0, Pid::as_raw);
    [getppid().as_raw(), leader]
}

/// Whether the process has a terminal (tty(4)).
fn is_open() -> bool {
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open("/dev/tty", flags, Mode::empty()).is_ok()
}

/// Whether the process was started so that it ignores the end of its terminal, as `nohup` does.
fn outlives_terminals() -> bool {
    is_ignored(SIGHUP)
}

/// Whether the process was started so that it ignores this signal; to be asked before there is a handler.
pub fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status) & (1 << (signal - 1)) != 0
}

/// The mask `SigIgn` of a `/proc/PID/status` (proc(5)).
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Sent, getpid, kill_process};

    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_kernels_mask() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\n"), 0x1001);
        assert_eq!(ignored(""), 0);
    }

    #[tokio::test]
    async fn each_signal_arrives_with_its_meaning_and_its_sender() {
        let mut signals = Signals::new().unwrap();
        let stop = Signal::Stop {
            by: Some(getpid().as_raw_nonzero().get()),
        };
        for (sent, meant) in [
            (Sent::HUP, Signal::Reload),
            (Sent::TERM, stop),
            (Sent::INT, stop),
            (Sent::QUIT, stop),
        ] {
            kill_process(getpid(), sent).unwrap();
            assert_eq!(signals.next().await, Some(meant));
        }
    }
}
