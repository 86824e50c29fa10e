//! Where a browser's return and a pasted address arrive, whichever comes first, without a thread for either.
//!
//! Browsers open connections that they may never use, so that none may hold up another.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::peer::Peer;
use crate::clock;
use crate::time::Instant;

/// A browser's request line and headers fit; whoever sends more is let go.
const LONGEST_HEAD: usize = 64 * 1024;
/// Open connections; the oldest gives way.
const MOST_VISITORS: usize = 16;
/// A visitor that says nothing for so long is let go.
const SILENCE: Duration = Duration::from_secs(30);
/// A browser that does not take its answer is not waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// All ways in.
pub(super) struct Desk {
    ears: Vec<TcpListener>,
    visitors: Vec<Visitor>,
    /// Standard input, until it ends.
    input: Option<File>,
    typed: Vec<u8>,
}

/// A connection that has not said everything yet.
struct Visitor {
    stream: TcpStream,
    said: Vec<u8>,
    came: Instant,
}

/// What came in.
pub(super) enum Arrival {
    /// A browser asks for this.
    Request(Answerer, Asked),
    /// Somebody typed or pasted this line.
    Line(String),
}

/// What a browser asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) target: String,
    /// By which name it came here; none where it gave none, or several.
    pub(super) host: Option<String>,
}

/// A browser that waits for its answer.
pub(super) struct Answerer(TcpStream);

impl Answerer {
    /// Whose browser it is.
    pub(super) fn peer(&self) -> Peer {
        Peer::of(&self.0)
    }

    /// Gives the answer, if it is still wanted.
    pub(super) fn answer(mut self, answer: &str) {
        let _ = self.0.set_nonblocking(false);
        let _ = self.0.set_write_timeout(Some(ANSWER_TIMEOUT));
        let _ = self.0.write_all(answer.as_bytes());
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}

impl Desk {
    /// Opens it.
    pub(super) fn new(ears: Vec<TcpListener>) -> Self {
        let ears: Vec<TcpListener> = ears
            .into_iter()
            .filter(|ear| ear.set_nonblocking(true).is_ok())
            .collect();
        let input = io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .ok()
            .map(File::from);
        Self {
            ears,
            visitors: Vec::new(),
            input,
            typed: Vec::new(),
        }
    }

    /// The next arrival within `patience`.
    pub(super) fn next(&mut self, patience: Duration) -> Option<Arrival> {
        let until = clock::boottime().after(patience);
        loop {
            let now = clock::boottime();
            let ready = self.ready(until.since(now));
            if let Some(arrival) = self.take(&ready) {
                return Some(arrival);
            }
            if until <= clock::boottime() {
                return None;
            }
        }
    }

    /// Which of input, ears and visitors, in this order, have something to say.
    fn ready(&self, patience: Duration) -> Vec<bool> {
        let input = self.input.iter().map(|input| input.as_fd());
        let ears = self.ears.iter().map(|ear| ear.as_fd());
        let visitors = self.visitors.iter().map(|visitor| visitor.stream.as_fd());
        let all: Vec<BorrowedFd<'_>> = input.chain(ears).chain(visitors).collect();
        let mut polled: Vec<PollFd<'_>> = all
            .iter()
            .map(|fd| PollFd::new(fd, PollFlags::IN))
            .collect();
        let patience = Timespec::try_from(patience).ok();
        // An interruption is as good as nothing new.
        let _ = poll(&mut polled, patience.as_ref());
        polled
            .iter()
            .map(|polled| !polled.revents().is_empty())
            .collect()
    }

    fn take(&mut self, ready: &[bool]) -> Option<Arrival> {
        let mut ready = ready.iter().copied();
        let typed = self.input.is_some() && ready.next().unwrap_or_default();
        let ears: Vec<bool> = ready.by_ref().take(self.ears.len()).collect();
        let visitors: Vec<bool> = ready.collect();
        let request = self.listen(&visitors);
        // Who has asked is heard before anybody new can take a place: else a crowd could push the person's browser out.
        if request.is_none() {
            self.welcome(&ears);
        }
        if typed {
            self.read_input();
        }
        request.or_else(|| self.line())
    }

    fn welcome(&mut self, ready: &[bool]) {
        let came = clock::boottime();
        for (ear, _) in self.ears.iter().zip(ready).filter(|(_, ready)| **ready) {
            if let Ok((stream, _)) = ear.accept()
                && stream.set_nonblocking(true).is_ok()
            {
                self.visitors.push(Visitor {
                    stream,
                    said: Vec::new(),
                    came,
                });
            }
        }
        let surplus = self.visitors.len().saturating_sub(MOST_VISITORS);
        self.visitors.drain(..surplus);
        self.visitors
            .retain(|visitor| came.since(visitor.came) < SILENCE);
    }

    fn listen(&mut self, ready: &[bool]) -> Option<Arrival> {
        let mut heard = None;
        let mut ready = ready.iter();
        let visitors = std::mem::take(&mut self.visitors);
        for mut visitor in visitors {
            // A second request waits for the next turn.
            if heard.is_some() || !ready.next().copied().unwrap_or_default() {
                self.visitors.push(visitor);
                continue;
            }
            match visitor.hear() {
                Heard::Part => self.visitors.push(visitor),
                Heard::Asked(asked) => {
                    heard = Some(Arrival::Request(Answerer(visitor.stream), asked));
                }
                Heard::Nonsense => {}
            }
        }
        heard
    }

    fn read_input(&mut self) {
        let mut chunk = [0; 4096];
        let read = self.input.as_mut().map(|input| input.read(&mut chunk));
        match read {
            Some(Ok(count @ 1..)) => self
                .typed
                .extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Some(Err(error)) if error.kind() == ErrorKind::Interrupted => {}
            Some(Ok(_) | Err(_)) | None => {
                self.input = None;
                // What was not ended by a newline is ended now.
                self.typed.push(b'\n');
            }
        }
    }

    fn line(&mut self) -> Option<Arrival> {
        loop {
            let end = self.typed.iter().position(|byte| *byte == b'\n')?;
            let line: Vec<u8> = self.typed.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            if !line.is_empty() {
                return Some(Arrival::Line(line));
            }
        }
    }
}

enum Heard {
    /// Not all of it yet.
    Part,
    /// A GET of this.
    Asked(Asked),
    /// Something else, or the end.
    Nonsense,
}

impl Visitor {
    fn hear(&mut self) -> Heard {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Heard::Nonsense,
            Ok(count) => self
                .said
                .extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Heard::Part;
            }
            Err(_) => return Heard::Nonsense,
        }
        heard(&self.said)
    }
}

fn heard(said: &[u8]) -> Heard {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(said) {
        Ok(httparse::Status::Partial) if said.len() < LONGEST_HEAD => Heard::Part,
        Ok(httparse::Status::Complete(_)) if request.method == Some("GET") => {
            let host = host(request.headers);
            request.path.map_or(Heard::Nonsense, |target| {
                Heard::Asked(Asked {
                    target: target.to_owned(),
                    host,
                })
            })
        }
        Ok(_) | Err(_) => Heard::Nonsense,
    }
}

fn host(headers: &[httparse::Header<'_>]) -> Option<String> {
    let mut hosts = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    std::str::from_utf8(host.value)
        .ok()
        .map(|host| host.trim().to_owned())
}

/// What a browser asks for that says this, for `crate::fuzz`.
#[cfg(any(test, fuzzing))]
pub(super) fn target(said: &[u8]) -> Option<String> {
    match heard(said) {
        Heard::Asked(asked) => Some(asked.target),
        Heard::Part | Heard::Nonsense => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_get_is_heard() {
        let whole = b"GET /callback?code=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        for end in 0..whole.len() {
            assert!(matches!(heard(&whole[..end]), Heard::Part), "{end}");
        }
        let asked = Asked {
            target: "/callback?code=1".to_owned(),
            host: Some("127.0.0.1".to_owned()),
        };
        assert!(matches!(heard(whole), Heard::Asked(heard) if heard == asked));
        let twice = b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n";
        assert!(matches!(
            heard(twice),
            Heard::Asked(Asked { host: None, .. })
        ));
        for nonsense in [
            &b"POST / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01\x02\x00",
            b"SSH-2.0\r\n",
        ] {
            assert!(matches!(heard(nonsense), Heard::Nonsense), "{nonsense:?}");
        }
    }

    #[test]
    fn a_crowd_that_asks_at_every_ear_pushes_no_browser_out() {
        let ears: Vec<TcpListener> = (0..2)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses: Vec<_> = ears.iter().map(|ear| ear.local_addr().unwrap()).collect();
        let mut desk = Desk {
            input: None,
            ..Desk::new(ears)
        };
        let ask = |index: usize| {
            let mut browser = TcpStream::connect(addresses[index % 2]).unwrap();
            browser
                .write_all(format!("GET /{index} HTTP/1.1\r\n\r\n").as_bytes())
                .unwrap();
            browser
        };
        let _crowd: Vec<TcpStream> = (0..80).map(ask).collect();
        let mut heard = Vec::new();
        while let Some(Arrival::Request(_, asked)) = desk.next(Duration::from_millis(200)) {
            heard.push(asked.target);
        }
        assert_eq!(heard.len(), 80, "{heard:?}");
    }

    #[test]
    fn a_browser_that_says_nothing_holds_up_no_other() {
        let ear = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = ear.local_addr().unwrap();
        let mut desk = Desk {
            input: None,
            ..Desk::new(vec![ear])
        };
        let _silent: Vec<TcpStream> = (0..40)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut browser = TcpStream::connect(address).unwrap();
        browser
            .write_all(b"GET /callback?code=1 HTTP/1.1\r\n")
            .unwrap();
        assert!(desk.next(Duration::from_millis(50)).is_none());
        browser.write_all(b"\r\n").unwrap();
        let Some(Arrival::Request(answerer, asked)) = desk.next(Duration::from_secs(5)) else {
            panic!("no request")
        };
        assert_eq!(asked.target, "/callback?code=1");
        assert!(desk.visitors.len() < MOST_VISITORS);
        answerer.answer("done");
        let mut answer = String::new();
        browser.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "done");
    }
}
