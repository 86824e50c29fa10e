//! As much of HTTP/1.1 as a test server needs, and all the ways in which an answer can go wrong.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One request as it came over the wire; header names in lower case.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The fields of an `application/x-www-form-urlencoded` body.
    pub(crate) fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body)
            .into_owned()
            .collect()
    }

    /// The token after `Bearer`.
    pub(crate) fn bearer(&self) -> &str {
        self.header("authorization")
            .strip_prefix("Bearer ")
            .unwrap_or("")
    }
}

/// Reads one request; `None` when the peer closed or sent something else.
pub(crate) fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        ..Request::default()
    };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(':') else {
            break;
        };
        request
            .headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body.resize(length, 0);
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// A whole answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "application/json;charset=UTF-8".into(),
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "text/html;charset=UTF-8".into(),
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "text/plain".into(),
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn head(&self, length: Option<usize>) -> String {
        let mut lines = vec![format!("HTTP/1.1 {} Test", self.status)];
        if !self.content_type.is_empty() {
            lines.push(format!("content-type: {}", self.content_type));
        }
        lines.extend(
            self.headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}")),
        );
        lines.push(length.map_or("connection: close".to_owned(), |length| {
            format!("content-length: {length}")
        }));
        lines.join("\r\n") + "\r\n\r\n"
    }

    /// Sends it whole; false when the peer is gone.
    pub(crate) fn send(&self, stream: &mut TcpStream) -> bool {
        let mut bytes = self.head(Some(self.body.len())).into_bytes();
        bytes.extend_from_slice(&self.body);
        stream.write_all(&bytes).is_ok()
    }

    /// Promises the whole body and closes after the first half.
    pub(crate) fn send_truncated(&self, stream: &mut TcpStream) {
        let mut bytes = self.head(Some(self.body.len())).into_bytes();
        bytes.extend_from_slice(&self.body[..self.body.len() / 2]);
        let _ = stream.write_all(&bytes);
    }

    /// A byte every tenth of a second until the peer or the test loses patience.
    pub(crate) fn send_dripping(&self, stream: &mut TcpStream, stopped: impl Fn() -> bool) {
        let mut bytes = self.head(Some(self.body.len())).into_bytes();
        bytes.extend_from_slice(&self.body);
        for byte in bytes {
            if stopped() || stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The body, then spaces without end; says how many bytes the peer took.
    pub(crate) fn send_endless(&self, stream: &mut TcpStream, stopped: impl Fn() -> bool) -> u64 {
        let mut taken = 0;
        let _ = stream.write_all(self.head(None).as_bytes());
        let _ = stream.write_all(&self.body[..self.body.len().saturating_sub(1)]);
        let _ = stream.set_write_timeout(Some(Duration::from_millis(200)));
        while !stopped() {
            match stream.write(&[b' '; 16 * 1024]) {
                Ok(0) => break,
                Ok(written) => taken += u64::try_from(written).unwrap_or(u64::MAX),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        taken
    }
}

/// A plain client: status and body of one request to `url`, whose body is a form.
pub(crate) fn ask(method: &str, url: &str, headers: &str, body: &str) -> Option<(u16, String)> {
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let (status, _, body) = exchange(method, url, &format!("{headers}{form}"), body)?;
    Some((status, body))
}

/// The same with all its headers given: status, head and body of the answer.
pub(crate) fn exchange(
    method: &str,
    url: &str,
    headers: &str,
    body: &str,
) -> Option<(u16, String, String)> {
    let (host, path) = url.strip_prefix("http://")?.split_once('/')?;
    let mut stream = TcpStream::connect(host).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let length = body.len();
    let head =
        format!("{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}");
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").ok()?;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_chunked = head
        .to_ascii_lowercase()
        .contains("\r\ntransfer-encoding: chunked");
    let body = if is_chunked {
        whole(body)?
    } else {
        body.to_owned()
    };
    Some((status, head.to_owned(), body))
}

/// A body that came in chunks (RFC 9112, section 7.1).
fn whole(mut chunks: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(rest.get(..size)?);
        chunks = rest.get(size..)?.strip_prefix("\r\n")?;
    }
}
