//! A proxy before a server that others wrote: it passes everything on, and takes down what was asked.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::poll;
use super::wire::{Request, read_request};

/// One request, and the status that answered it.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    pub(crate) request: Request,
    pub(crate) status: u16,
}

pub(crate) struct Recorder {
    address: SocketAddr,
    passed: Arc<Mutex<Vec<Passed>>>,
    /// The end of a path, the next answer from which never arrives.
    lost: Arc<Mutex<Option<String>>>,
}

impl Recorder {
    /// Listens on a port of its own, before the server at `upstream`. Its threads end with the test program.
    pub(crate) fn before(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (passed, lost) = (
            Arc::<Mutex<Vec<Passed>>>::default(),
            Arc::<Mutex<Option<String>>>::default(),
        );
        let (record, losing) = (Arc::clone(&passed), Arc::clone(&lost));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (record, losing) = (Arc::clone(&record), Arc::clone(&losing));
                std::thread::spawn(move || relay(stream, upstream, &record, &losing));
            }
        });
        Self {
            address,
            passed,
            lost,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn passed(&self) -> Vec<Passed> {
        self.passed.lock().unwrap().clone()
    }

    /// The server does what the next request to such a path wants, and nobody hears of it.
    pub(crate) fn lose_the_next_answer_of(&self, path: &str) {
        *self.lost.lock().unwrap() = Some(path.to_owned());
    }

    pub(crate) fn count(&self, matches: impl Fn(&Passed) -> bool) -> usize {
        self.passed()
            .iter()
            .filter(|passed| matches(passed))
            .count()
    }
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// Waits until somebody listens there.
pub(crate) fn await_listener(address: SocketAddr) {
    poll(Duration::from_secs(90), || TcpStream::connect(address).ok())
        .unwrap_or_else(|| panic!("nobody listens on {address}"));
}

/// One request on each connection: the answer says that it closes.
fn relay(
    mut client: TcpStream,
    upstream: SocketAddr,
    record: &Mutex<Vec<Passed>>,
    lost: &Mutex<Option<String>>,
) {
    let Ok(copy) = client.try_clone() else { return };
    let Some(request) = read_request(&mut BufReader::new(copy)) else {
        return;
    };
    let Ok(server) = TcpStream::connect(upstream) else {
        // As a proxy says it whose server is down.
        let _ = client.write_all(
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
        return;
    };
    let Some((status, answer)) = forward(&request, server, upstream) else {
        return;
    };
    let is_lost = lost
        .lock()
        .unwrap()
        .take_if(|path| request.path.ends_with(path.as_str()))
        .is_some();
    record.lock().unwrap().push(Passed { request, status });
    if !is_lost {
        let _ = client.write_all(&answer);
    }
}

/// The status and the bytes of the answer.
fn forward(
    request: &Request,
    mut stream: TcpStream,
    upstream: SocketAddr,
) -> Option<(u16, Vec<u8>)> {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    let mut head = format!(
        "{} {} HTTP/1.1\r\nhost: {upstream}\r\nconnection: close\r\n",
        request.method, request.path
    );
    for (name, value) in request
        .headers
        .iter()
        .filter(|(name, _)| !["host", "connection"].contains(&name.as_str()))
    {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    stream.write_all(&request.body).ok()?;
    read_answer(&mut BufReader::new(stream))
}

/// Ends where its content-length says, or with the connection.
fn read_answer(reader: &mut BufReader<TcpStream>) -> Option<(u16, Vec<u8>)> {
    let mut head = String::new();
    let mut length = None;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse::<usize>().ok();
        }
        if lower.starts_with("connection:") {
            continue;
        }
        if line.trim_end().is_empty() {
            break;
        }
        head.push_str(&line);
    }
    let mut body = Vec::new();
    match length {
        Some(length) => {
            body.resize(length, 0);
            reader.read_exact(&mut body).ok()?;
        }
        None => drop(reader.read_to_end(&mut body).ok()?),
    }
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = format!("{head}connection: close\r\n\r\n").into_bytes();
    answer.extend_from_slice(&body);
    Some((status, answer))
}
