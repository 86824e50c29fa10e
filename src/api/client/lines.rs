//! An answer that comes line by line, for as long as the server has something to say.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::SHORTEST;
use super::error::{ClientError, wire_error};
use super::http::{MOST_HEADERS, WireError};
use crate::clock;
use crate::time::Instant;

/// No line of ours is longer; a stranger's endless one ends here.
const LONGEST_LINE: usize = 1024 * 1024;

/// A lasting answer, after its head.
pub struct Lines {
    path: PathBuf,
    stream: UnixStream,
    received: Vec<u8>,
}

/// The answer's status, and its lines; those of a problem are the whole of it.
pub(super) fn open(
    stream: UnixStream,
    path: &Path,
    head: &str,
    until: Instant,
) -> Result<(u16, Lines), ClientError> {
    let lines = Lines {
        path: path.to_owned(),
        stream,
        received: Vec::new(),
    };
    begin(lines, head, until).map_err(|error| wire_error(error, path))
}

fn begin(mut lines: Lines, head: &str, until: Instant) -> Result<(u16, Lines), WireError> {
    lines
        .stream
        .set_write_timeout(Some(until.since(clock::boottime()).max(SHORTEST)))?;
    lines.stream.write_all(head.as_bytes())?;
    loop {
        if let Some((status, end)) = status(&lines.received)? {
            lines.received.drain(..end);
            return Ok((status, lines));
        }
        lines.fill(until)?;
    }
}

/// The status and where the head ends, once it is there.
pub(super) fn status(received: &[u8]) -> Result<Option<(u16, usize)>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(received) {
        Ok(httparse::Status::Complete(end)) => Ok(Some((response.code.unwrap_or_default(), end))),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(WireError::Malformed("it does not speak HTTP")),
    }
}

impl Lines {
    /// The next line without its end.
    ///
    /// # Errors
    /// When none comes within `patience`, or the answer is over.
    pub fn next(&mut self, patience: Duration) -> Result<String, ClientError> {
        let line = self.line(clock::boottime().after(patience));
        line.map_err(|error| wire_error(error, &self.path))
    }

    fn line(&mut self, until: Instant) -> Result<String, WireError> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let line = String::from_utf8(line)
                    .map_err(|_| WireError::Malformed("its answer is not text"))?;
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            self.fill(until)?;
        }
    }

    /// Waits until there is something to read, or `patience` is over; true when what is written to `output` no longer
    /// has a reader.
    pub fn is_unread(&self, output: impl AsFd, patience: Duration) -> bool {
        let until = clock::boottime().after(patience);
        while !self.received.contains(&b'\n') {
            let left = Timespec::try_from(until.since(clock::boottime())).ok();
            let mut waiting = [
                PollFd::new(&self.stream, PollFlags::IN),
                PollFd::new(&output, PollFlags::empty()),
            ];
            match poll(&mut waiting, left.as_ref()) {
                Err(Errno::INTR) => {}
                Err(_) => return false,
                Ok(_) => {
                    return waiting[1]
                        .revents()
                        .intersects(PollFlags::ERR | PollFlags::HUP);
                }
            }
        }
        false
    }

    /// All that is left.
    pub(super) fn rest(mut self, patience: Duration) -> Vec<u8> {
        let until = clock::boottime().after(patience);
        while self.fill(until).is_ok() {}
        self.received
    }

    fn fill(&mut self, until: Instant) -> Result<(), WireError> {
        if self.received.len() > LONGEST_LINE {
            return Err(WireError::Malformed("its answer has no end"));
        }
        let mut chunk = [0; 4096];
        let left = until.since(clock::boottime()).max(SHORTEST);
        self.stream.set_read_timeout(Some(left))?;
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(WireError::Ended),
            Ok(count) => {
                self.received
                    .extend_from_slice(chunk.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
