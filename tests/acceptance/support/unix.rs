//! A raw HTTP client for the daemon's socket: bytes in, bytes out, as `curl --unix-socket` would.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::description;

/// An answer over the socket; header names in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// Sends `bytes` as they are and reads until the daemon closes; `None` when it says nothing.
pub(crate) fn exchange(socket: &Path, bytes: &[u8]) -> Option<Answer> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let _ = stream.write_all(bytes);
    answer_on(stream)
}

/// The same for a second at most.
pub(crate) fn hasty_exchange(socket: &Path, bytes: &[u8]) -> Option<Answer> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(bytes).ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parsed(&answer)
}

/// Reads until the daemon closes; `None` when it says nothing.
pub(crate) fn answer_on(mut stream: UnixStream) -> Option<Answer> {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parsed(&answer)
}

/// One request with a JSON body, or none when it is empty; its answer must be as `docs/openapi.json` describes it.
pub(crate) fn request(
    socket: &Path,
    method: &str,
    path: &str,
    accept: &str,
    body: &str,
) -> Option<Answer> {
    let kind = if body.is_empty() {
        ""
    } else {
        "content-type: application/json\r\n"
    };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: keepfresh\r\naccept: {accept}\r\n{kind}");
    let request = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let answer = exchange(socket, request.as_bytes())?;
    // The figures may have a socket of their own.
    if !socket.ends_with("metrics.sock") {
        description::check(method, path, &answer);
    }
    Some(answer)
}

pub(crate) fn parsed(answer: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked = headers
        .iter()
        .any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked {
        unchunked(body)
    } else {
        body.to_owned()
    };
    Some(Answer {
        status,
        headers,
        body,
    })
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            break;
        };
        let Some(chunk) = rest.get(..size) else { break };
        if size == 0 {
            break;
        }
        whole += chunk;
        body = rest.get(size + 2..).unwrap_or("");
    }
    whole
}
