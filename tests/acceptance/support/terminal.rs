//! A terminal for a command: what it shows is taken down, keys can be pressed, and it can be resized.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::{SOON, poll, within};

/// A command that believes somebody sits in front of it.
pub(crate) struct Terminal {
    keyboard: File,
    /// Kept open: a terminal that nobody holds forgets its settings.
    line: OwnedFd,
    before: String,
    child: Child,
    shown: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    pub(crate) fn start(command: Command, columns: u16, rows: u16) -> Self {
        Self::start_in(command, "C.UTF-8", columns, rows)
    }

    /// With another locale.
    pub(crate) fn start_in(mut command: Command, locale: &str, columns: u16, rows: u16) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let line = open(
            ptsname(&master, Vec::new()).unwrap(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        tcsetwinsize(&line, size(columns, rows)).unwrap();
        let end = || Stdio::from(line.try_clone().unwrap());
        let before = settings(&tcgetattr(&line).unwrap());
        let child = command
            .env("TERM", "xterm-256color")
            .env("LC_ALL", locale)
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        drop(command);
        let keyboard = File::from(master);
        let shown = Arc::default();
        let reader = take_down(keyboard.try_clone().unwrap(), Arc::clone(&shown));
        Self {
            keyboard,
            line,
            before,
            child,
            shown,
            reader: Some(reader),
        }
    }

    /// All that was sent to the screen, with its control sequences.
    pub(crate) fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until `text` is sent after all that was sent before; forgets what came before it.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) {
        within(SOON, &format!("{text:?} on the screen"), || {
            let mut shown = self.shown.lock().unwrap();
            let end = shown.find(text)? + text.len();
            shown.drain(..end);
            Some(())
        });
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.line, size(columns, rows)).unwrap();
        self.signal(Signal::WINCH);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(
            Pid::from_raw(self.child.id().cast_signed()).unwrap(),
            signal,
        )
        .unwrap();
    }

    /// How the command ended, within bounds.
    #[track_caller]
    pub(crate) fn ended(&mut self) -> ExitStatus {
        poll(SOON, || self.child.try_wait().unwrap()).expect("the command ends")
    }

    /// Whether the terminal is set as it was before.
    pub(crate) fn is_as_before(&self) -> bool {
        settings(&tcgetattr(&self.line).unwrap()) == self.before
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The reader ends with the process that the test is; nothing waits for a terminal that stays open.
        drop(self.reader.take());
    }
}

fn take_down(mut screen: File, shown: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        let mut rest = Vec::new();
        while let Ok(read @ 1..) = screen.read(&mut buffer) {
            rest.extend_from_slice(&buffer[..read]);
            // A character may come in two parts.
            let whole =
                std::str::from_utf8(&rest).map_or_else(|error| error.valid_up_to(), str::len);
            let text: Vec<u8> = rest.drain(..whole).collect();
            shown
                .lock()
                .unwrap()
                .push_str(&String::from_utf8(text).unwrap());
        }
    })
}

/// Without what only a terminal understands.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after
            .split_once(|end: char| end.is_ascii_alphabetic())
            .map_or("", |(_, rest)| rest);
    }
    plain + rest
}

fn settings(termios: &Termios) -> String {
    format!("{termios:?}")
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_col: columns,
        ws_row: rows,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
