//! Where lines leave the process. Neither a journal that hangs nor a reader that stalls holds the daemon up.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use jiff::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::Level;

use super::journal::Journal;
use super::line::{Style, render};
use super::recorder::{Record, Value};

/// How long a reader of stderr may take nothing before lines are dropped.
const PATIENCE: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
const AT_ONCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// What a pipe takes whole once it is writable (pipe(7)); a socket that is writable takes more.
const PIECE: usize = 4096;

/// One of the two ways out.
pub(super) enum Outlet {
    /// Lines on stderr.
    Stderr(Stderr, Style),
    /// journald, and stderr for what it does not take.
    Journal(Journal, Stderr, Style),
}

impl Outlet {
    /// Writes the record, or takes note that it is lost.
    pub(super) fn write(&mut self, record: &Record) {
        match self {
            Self::Stderr(stderr, style) => stderr.write(record, *style),
            Self::Journal(journal, stderr, style) => {
                if journal.write(record).is_err() {
                    stderr.write(record, *style);
                }
            }
        }
    }
}

/// Standard error, with an end to every wait.
#[derive(Debug)]
pub(super) struct Stderr {
    /// None when the process was started without one.
    to: Option<OwnedFd>,
    /// The reader took nothing in time: until it does, lines are dropped at once.
    stuck: bool,
    /// A line broke off in its middle.
    torn: bool,
    lost: u64,
}

impl Stderr {
    pub(super) fn new() -> Self {
        Self::of(io::stderr().as_fd().try_clone_to_owned().ok())
    }

    pub(super) fn of(to: Option<OwnedFd>) -> Self {
        Self {
            to,
            stuck: false,
            torn: false,
            lost: 0,
        }
    }

    fn write(&mut self, record: &Record, style: Style) {
        let mut text = if self.torn {
            "\n".to_owned()
        } else {
            String::new()
        };
        if self.lost > 0 {
            text.push_str(&render(&gap(self.lost, record.at), style));
        }
        text.push_str(&render(record, style));
        if self.write_all(text.as_bytes()) {
            (self.torn, self.lost) = (false, 0);
        } else {
            self.lost += 1;
        }
    }

    fn write_all(&mut self, bytes: &[u8]) -> bool {
        let Some(to) = &self.to else { return false };
        let mut written = 0;
        while let Some(piece) = bytes
            .get(written..bytes.len().min(written + PIECE))
            .filter(|piece| !piece.is_empty())
        {
            self.stuck = !is_writable(to, if self.stuck { AT_ONCE } else { PATIENCE });
            let Some(count) = (!self.stuck).then(|| write_some(to, piece)).flatten() else {
                self.torn |= written > 0;
                return false;
            };
            written += count;
        }
        true
    }
}

/// True at once for a file; for a pipe when it has room, or has no reader any more, which writing then tells.
fn is_writable(to: &OwnedFd, patience: Timespec) -> bool {
    let mut watched = [PollFd::new(to, PollFlags::OUT)];
    poll(&mut watched, Some(&patience)).is_ok_and(|ready| ready > 0)
}

fn write_some(to: &OwnedFd, piece: &[u8]) -> Option<usize> {
    rustix::io::retry_on_intr(|| rustix::io::write(to, piece))
        .ok()
        .filter(|count| *count > 0)
}

/// What is in the log instead of lines that were dropped.
fn gap(lost: u64, at: Timestamp) -> Record {
    let fields = vec![
        ("event", Value::Text("log_gap".to_owned())),
        ("lost", Value::Number(lost.to_string())),
    ];
    let message = "lines are missing here: the log's reader was too slow".to_owned();
    Record {
        at,
        level: Level::INFO,
        library: None,
        message,
        fields,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read as _, pipe};

    use super::*;

    #[test]
    fn a_reader_that_stalls_costs_lines_and_not_time_and_is_told_how_many() {
        let (mut reader, writer) = pipe().unwrap();
        let mut stderr = Stderr::of(Some(writer.into()));
        let mut said = 0;
        while stderr.lost == 0 {
            stderr.write(&numbered(said), Style::Priority);
            said += 1;
        }
        let before = crate::clock::boottime();
        for number in said..said + 100 {
            stderr.write(&numbered(number), Style::Priority);
        }
        assert!(crate::clock::boottime().since(before) < std::time::Duration::from_millis(500));
        let lost = stderr.lost;
        let taken = drained(&mut reader, 32 * 1024);
        stderr.write(&numbered(said + 100), Style::Priority);
        drop(stderr);
        let mut rest = taken;
        reader.read_to_string(&mut rest).unwrap();
        let lines: Vec<&str> = rest
            .lines()
            .filter(|line| line.starts_with("<6>"))
            .collect();
        let numbers: Vec<u64> = lines
            .iter()
            .filter_map(|line| line.split_once("number ")?.1.trim().parse().ok())
            .collect();
        assert_eq!(
            numbers.len() as u64 + lost,
            said + 101,
            "every line is there or counted"
        );
        assert!(rest.contains(&format!(
            "lines are missing here: the log's reader was too slow event=\"log_gap\" lost={lost}\n"
        )));
    }

    #[test]
    fn without_stderr_nothing_is_said_and_nothing_fails() {
        let mut stderr = Stderr::of(None);
        stderr.write(&numbered(0), Style::Time);
        assert_eq!(stderr.lost, 1);
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut stderr = Stderr::of(Some(writer.into()));
        stderr.write(&numbered(0), Style::Time);
        assert_eq!(stderr.lost, 1);
    }

    /// Long enough that a pipe breaks one off in its middle.
    fn numbered(number: u64) -> Record {
        let message = format!("{} number {number}", "x".repeat(5000));
        Record {
            at: Timestamp::UNIX_EPOCH,
            level: Level::INFO,
            library: None,
            message,
            fields: Vec::new(),
        }
    }

    fn drained(reader: &mut PipeReader, count: usize) -> String {
        let mut bytes = vec![0; count];
        reader.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }
}
