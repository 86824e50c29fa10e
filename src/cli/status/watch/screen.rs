//! The terminal while `status --watch` has it: its other screen, keys without a line's end, and all given back at the end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::{flag, low_level};

use super::frame::Size;
use super::line::Line;

/// The other screen, no cursor, no wrapping at the right end.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Terminals that know them show all of a change at once.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// Where a terminal does not say how large it is.
const USUAL: Size = Size { columns: 80, rows: 24 };

/// What the person in front of it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    /// Ctrl-Z.
    Suspend,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
}

/// The terminal, as long as it is ours.
pub(super) struct Screen {
    /// How it was, where keys are read.
    before: Option<Termios>,
    shown: Vec<String>,
    size: Size,
    colour: bool,
    signals: Signals,
}

/// What the system told us meanwhile.
struct Signals {
    end: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
}

impl Screen {
    /// Takes the terminal over.
    pub(super) fn enter(colour: bool) -> io::Result<Self> {
        let signals = Signals::watch()?;
        let stdin = io::stdin();
        let before = if stdin.is_terminal() { Some(tcgetattr(&stdin)?) } else { None };
        let mut screen = Self { before, shown: Vec::new(), size: USUAL, colour, signals };
        screen.take()?;
        Ok(screen)
    }

    /// Whether somebody can press keys.
    pub(super) fn has_keys(&self) -> bool {
        self.before.is_some()
    }

    /// As it is now; a resized one is drawn afresh.
    pub(super) fn size(&mut self) -> Size {
        let size = match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: size.ws_col.into(), rows: size.ws_row.into() }
            }
            Ok(_) | Err(_) => USUAL,
        };
        if size != self.size {
            self.size = size;
            self.shown.clear();
        }
        size
    }

    /// Shows these lines; only those that changed are sent.
    pub(super) fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| line.render(self.size.columns, self.colour)).collect();
        let mut bytes = String::from(BEGIN);
        if self.shown.is_empty() {
            bytes.push_str("\x1b[2J");
        }
        for (row, line) in (1..).zip(&lines) {
            if self.shown.get(row - 1) != Some(line) {
                let _ = write!(bytes, "\x1b[{row};1H\x1b[K{line}");
            }
        }
        bytes.push_str(END);
        self.shown = lines;
        send(&bytes)
    }

    /// Waits for a key, a signal or the time.
    pub(super) fn wait(&mut self, pause: Duration) -> io::Result<Option<Key>> {
        if self.has_keys() && !self.signals.pending() {
            let stdin = io::stdin();
            let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
            return match poll(&mut ready, Timespec::try_from(pause).ok().as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => Ok(None),
                Ok(_) => read_key(),
                Err(error) => Err(error.into()),
            };
        }
        if !self.signals.pending() {
            poll_nothing(pause);
        }
        Ok(None)
    }

    /// Does what signals ask: ends as they would have ended us, with the terminal given back; or stops for a while.
    pub(super) fn obey(&mut self) -> io::Result<()> {
        self.signals.resized.store(false, Ordering::Relaxed);
        let end = self.signals.end.swap(0, Ordering::Relaxed);
        if end != 0 {
            self.give_back();
            low_level::emulate_default_handler(i32::try_from(end).unwrap_or(SIGTERM))?;
        }
        if self.signals.stop.swap(false, Ordering::Relaxed) {
            self.suspend()?;
        }
        Ok(())
    }

    /// Gives the terminal to the shell until we are continued.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        self.give_back();
        low_level::emulate_default_handler(SIGTSTP)?;
        self.take()
    }

    fn take(&mut self) -> io::Result<()> {
        if let Some(before) = &self.before {
            tcsetattr(io::stdin(), OptionalActions::Flush, &keys_at_once(before))?;
        }
        self.shown.clear();
        send(ENTER)
    }

    fn give_back(&mut self) {
        // Nobody is left to tell when even this fails.
        let _ = send(LEAVE);
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Signals {
    fn watch() -> io::Result<Self> {
        let signals = Self { end: Arc::default(), stop: Arc::default(), resized: Arc::default() };
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&signals.end), number)?;
        }
        flag::register(SIGTSTP, Arc::clone(&signals.stop))?;
        flag::register(SIGWINCH, Arc::clone(&signals.resized))?;
        // Continued after a stop that nobody announced: the screen may show anything.
        flag::register(SIGCONT, Arc::clone(&signals.resized))?;
        Ok(signals)
    }

    fn pending(&self) -> bool {
        self.end.load(Ordering::Relaxed) != 0
            || self.stop.load(Ordering::Relaxed)
            || self.resized.load(Ordering::Relaxed)
    }
}

/// Each key as it is pressed, unseen; Ctrl-C and Ctrl-Z are keys too, so that the terminal is given back first.
fn keys_at_once(before: &Termios) -> Termios {
    let mut raw = before.clone();
    raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    raw
}

fn read_key() -> io::Result<Option<Key>> {
    let mut bytes = [0; 16];
    // A key sends all of its bytes at once.
    match rustix::io::read(io::stdin(), &mut bytes) {
        // The terminal is gone.
        Ok(0) => Ok(Some(Key::Quit)),
        Ok(count) => Ok(pressed(bytes.get(..count).unwrap_or_default())),
        Err(rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Keys that were pressed faster than they were read come together: of plain ones, one that quits counts, or the last.
fn pressed(bytes: &[u8]) -> Option<Key> {
    if bytes.len() < 2 || bytes.contains(&b'\x1b') {
        return key(bytes);
    }
    let keys = || bytes.chunks(1).filter_map(key);
    keys().find(|key| *key == Key::Quit).or_else(|| keys().next_back())
}

fn key(bytes: &[u8]) -> Option<Key> {
    match bytes {
        // Ctrl-C, Ctrl-D, Ctrl-\, Escape alone.
        b"q" | b"Q" | b"\x03" | b"\x04" | b"\x1c" | b"\x1b" => Some(Key::Quit),
        b"\x1a" => Some(Key::Suspend),
        b"k" | b"\x1b[A" | b"\x1bOA" => Some(Key::Up),
        b"j" | b"\r" | b"\n" | b"\x1b[B" | b"\x1bOB" => Some(Key::Down),
        b"b" | b"\x1b[5~" => Some(Key::PageUp),
        b" " | b"f" | b"\x1b[6~" => Some(Key::PageDown),
        b"g" | b"\x1b[H" | b"\x1bOH" | b"\x1b[1~" => Some(Key::Top),
        b"G" | b"\x1b[F" | b"\x1bOF" | b"\x1b[4~" => Some(Key::Bottom),
        _ => None,
    }
}

/// Sleeps; a signal ends it.
fn poll_nothing(pause: Duration) {
    let _ = poll(&mut [], Timespec::try_from(pause).ok().as_ref());
}

fn send(bytes: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_pagers() {
        for (bytes, expected) in [
            (b"q".as_slice(), Some(Key::Quit)),
            (b"\x03", Some(Key::Quit)),
            (b"\x1a", Some(Key::Suspend)),
            (b"\x1b[A", Some(Key::Up)),
            (b"\x1b[6~", Some(Key::PageDown)),
            (b"G", Some(Key::Bottom)),
            (b"x", None),
            (b"jjj", Some(Key::Down)),
            (b"jqx", Some(Key::Quit)),
            (b"\x1b[200~paste q", None),
            (b"", None),
        ] {
            assert_eq!(pressed(bytes), expected, "{bytes:?}");
        }
    }
}
