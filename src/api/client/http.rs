//! One HTTP/1.1 exchange over a blocking stream, as far as our own server goes.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

use zeroize::Zeroizing;

use super::SHORTEST;
use crate::clock;
use crate::time::Instant;

/// More than all sessions of a large machine; a stranger's endless answer ends here.
const LONGEST_REPLY: usize = 64 * 1024 * 1024;

pub(super) const MOST_HEADERS: usize = 32;

/// A whole answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum WireError {
    /// The connection ended first.
    Ended,
    /// Nothing came in time.
    Silent,
    /// It is no HTTP, or HTTP of a kind that our server does not speak.
    Malformed(&'static str),
    /// The system said no.
    System(io::Error),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        if matches!(
            kind,
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
        ) {
            Self::Ended
        } else if matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            Self::Silent
        } else {
            Self::System(error)
        }
    }
}

/// Sends `head` and `body`, and reads the answer, all before `until`.
pub(super) fn exchange(
    stream: &UnixStream,
    head: &str,
    body: &str,
    until: Instant,
) -> Result<Reply, WireError> {
    let request = Zeroizing::new(format!("{head}{body}"));
    stream.set_write_timeout(Some(until.since(clock::boottime()).max(SHORTEST)))?;
    let written = { stream }.write_all(request.as_bytes());
    // A server that refuses early has answered even where it did not read to the end.
    match read_reply(stream, until) {
        Err(WireError::Ended) => written.map_err(WireError::from).and(Err(WireError::Ended)),
        outcome => outcome,
    }
}

fn read_reply(mut stream: &UnixStream, until: Instant) -> Result<Reply, WireError> {
    let mut received = Zeroizing::new(Vec::with_capacity(4096));
    let mut chunk = Zeroizing::new([0; 4096]);
    loop {
        stream.set_read_timeout(Some(until.since(clock::boottime()).max(SHORTEST)))?;
        let count = match stream.read(chunk.as_mut_slice()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        };
        received.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if let Some(reply) = parse(&received)? {
            return Ok(reply);
        }
        if count == 0 {
            return Err(WireError::Ended);
        }
        if received.len() > LONGEST_REPLY {
            return Err(WireError::Malformed("its answer has no end"));
        }
    }
}

/// The answer, once `received` holds all of it.
pub(super) fn parse(received: &[u8]) -> Result<Option<Reply>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(parsed) = response.parse(received) else {
        return Err(WireError::Malformed("it does not speak HTTP"));
    };
    let httparse::Status::Complete(start) = parsed else {
        return Ok(None);
    };
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|length| {
        std::str::from_utf8(length.value)
            .ok()?
            .trim()
            .parse::<usize>()
            .ok()
    });
    let Some(length) = length else {
        return Err(WireError::Malformed("its answer has no length"));
    };
    let Some(body) = received.get(start..start.saturating_add(length)) else {
        return Ok(None);
    };
    Ok(Some(Reply {
        status: response.code.unwrap_or_default(),
        body: Zeroizing::new(body.to_vec()),
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_is_taken_only_when_it_is_whole() {
        let whole = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).unwrap().is_none(), "{end}");
        }
        let reply = parse(whole).unwrap().unwrap();
        assert_eq!(
            (reply.status, reply.body.as_slice()),
            (503, b"hello".as_slice())
        );
    }

    #[test]
    fn what_our_server_never_sends_is_malformed() {
        for bytes in [
            b"SSH-2.0-OpenSSH_9.9\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"\xff\xfe\x00",
        ] {
            assert!(
                matches!(parse(bytes), Err(WireError::Malformed(_))),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn an_answer_that_breaks_off_is_told_from_one_that_does_not_come() {
        let soon = || clock::boottime().after(Duration::from_secs(5));
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(matches!(
            exchange(&ours, "x", "", clock::boottime()),
            Err(WireError::Silent)
        ));
        { &theirs }
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-len")
            .unwrap();
        drop(theirs);
        assert!(matches!(
            exchange(&ours, "x", "", soon()),
            Err(WireError::Ended)
        ));
    }
}
