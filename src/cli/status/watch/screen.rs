//! The terminal while `status --watch` has it: its other screen, keys without a line's end, and all given back at the end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::{flag, low_level};

use super::frame::Size;
use crate::cli::status::line::{Line, Look};

/// The other screen, no cursor, no wrapping at the right end.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// Terminals that know them show all of a change at once.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";

/// Where a terminal does not say how large it is.
const USUAL: Size = Size {
    columns: 80,
    rows: 24,
};

/// A key that somebody pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C, Ctrl-D, Ctrl-\, or the terminal is gone.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
}

/// The terminal, as long as it is ours.
pub(super) struct Screen {
    /// How it was, where keys are read.
    before: Option<Termios>,
    shown: Vec<String>,
    size: Size,
    look: Look,
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
    pub(super) fn enter(look: Look) -> io::Result<Self> {
        let signals = Signals::watch()?;
        let stdin = io::stdin();
        let before = if stdin.is_terminal() {
            Some(tcgetattr(&stdin)?)
        } else {
            None
        };
        let mut screen = Self {
            before,
            shown: Vec::new(),
            size: USUAL,
            look,
            signals,
        };
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
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size {
                columns: size.ws_col.into(),
                rows: size.ws_row.into(),
            },
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
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.render(self.size.columns, self.look))
            .collect();
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

    /// Waits for keys, a signal or the time.
    pub(super) fn wait(&mut self, pause: Duration) -> io::Result<Vec<Key>> {
        if self.has_keys() && !self.signals.pending() {
            let stdin = io::stdin();
            let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
            return match poll(&mut ready, Timespec::try_from(pause).ok().as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
                Ok(_) => read_keys(),
                Err(error) => Err(error.into()),
            };
        }
        if !self.signals.pending() {
            poll_nothing(pause);
        }
        Ok(Vec::new())
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
        let signals = Self {
            end: Arc::default(),
            stop: Arc::default(),
            resized: Arc::default(),
        };
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
    raw.local_modes
        .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
    raw.special_codes[SpecialCodeIndex::VMIN] = 1;
    raw.special_codes[SpecialCodeIndex::VTIME] = 0;
    raw
}

fn read_keys() -> io::Result<Vec<Key>> {
    let mut bytes = [0; 64];
    // A key sends all of its bytes at once.
    match rustix::io::read(io::stdin(), &mut bytes) {
        Ok(0) => Ok(vec![Key::Interrupt]),
        Ok(count) => Ok(pressed(bytes.get(..count).unwrap_or_default())),
        Err(rustix::io::Errno::INTR) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The keys that send more than a character.
const SEQUENCES: [(&[u8], Key); 14] = [
    (b"\x1b[A", Key::Up),
    (b"\x1bOA", Key::Up),
    (b"\x1b[B", Key::Down),
    (b"\x1bOB", Key::Down),
    (b"\x1b[5~", Key::PageUp),
    (b"\x1b[6~", Key::PageDown),
    (b"\x1b[H", Key::Home),
    (b"\x1bOH", Key::Home),
    (b"\x1b[1~", Key::Home),
    (b"\x1b[F", Key::End),
    (b"\x1bOF", Key::End),
    (b"\x1b[4~", Key::End),
    (b"\r", Key::Enter),
    (b"\n", Key::Enter),
];

/// Keys that were pressed faster than they were read come together. From an escape on that is no key of ours, as before what
/// is pasted, there is none.
fn pressed(mut bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    while let Some(first) = bytes.first() {
        let sequence = SEQUENCES
            .iter()
            .find_map(|(sequence, key)| Some((bytes.strip_prefix(*sequence)?, *key)));
        if let Some((rest, key)) = sequence {
            keys.push(key);
            bytes = rest;
        } else if *first == b'\x1b' {
            match bytes.get(1..) {
                Some([] | [b'\x1b', ..]) => keys.push(Key::Escape),
                Some(_) | None => break,
            }
            bytes = bytes.get(1..).unwrap_or_default();
        } else {
            let text = bytes
                .split(|byte| matches!(byte, b'\x1b' | b'\r' | b'\n'))
                .next()
                .unwrap_or_default();
            keys.extend(String::from_utf8_lossy(text).chars().filter_map(key));
            bytes = bytes.get(text.len()..).unwrap_or_default();
        }
    }
    keys
}

fn key(character: char) -> Option<Key> {
    match character {
        '\x03' | '\x04' | '\x1c' => Some(Key::Interrupt),
        '\x1a' => Some(Key::Suspend),
        '\x7f' | '\x08' => Some(Key::Backspace),
        _ => (!character.is_control()).then_some(Key::Char(character)),
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
    fn each_key_is_told_and_nothing_that_is_pasted_is_one() {
        for (bytes, expected) in [
            (b"q".as_slice(), vec![Key::Char('q')]),
            (b"\x03", vec![Key::Interrupt]),
            (b"\x1a", vec![Key::Suspend]),
            (b"\x1b", vec![Key::Escape]),
            (b"\x1b[A", vec![Key::Up]),
            (b"\x1b[6~", vec![Key::PageDown]),
            (
                b"/cr\r",
                vec![Key::Char('/'), Key::Char('c'), Key::Char('r'), Key::Enter],
            ),
            ("ü\x7f".as_bytes(), vec![Key::Char('ü'), Key::Backspace]),
            (b"\x1b[200~paste q", Vec::new()),
            (b"j\x1b[200~q", vec![Key::Char('j')]),
            (b"\x1b[B\x1b[B\r", vec![Key::Down, Key::Down, Key::Enter]),
            (b"\x1b\x1b", vec![Key::Escape, Key::Escape]),
            (b"", Vec::new()),
        ] {
            assert_eq!(pressed(bytes), expected, "{bytes:?}");
        }
    }
}
