//! Where a browser's return and a pasted address arrive, whichever comes first, without a thread for either.
//!
//! Browsers open connections that they may never use, so that none may hold up another.

use std::fs::File;
use std::future::pending;
use std::io::{self, ErrorKind, Read as _};
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::fd::AsFd as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Method, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::serve::{self, Asked, Entrance, Limits, Peer, Stream, Terms, serve_crowd};

/// Of each listener. Those who ask wait for the person's turn at the most.
const LIMITS: Limits = Limits {
    silent: 16,
    asking: 256,
};

const TERMS: Terms = Terms {
    // A browser opens a connection before it has anything to ask.
    header_timeout: Duration::from_secs(30),
    write_timeout: ANSWER_TIMEOUT,
    // A browser's request line and headers fit, with the cookies of whatever else was served on this machine.
    header_limit: 32 * 1024,
    may_ask_again: false,
};

/// A browser that does not take its answer is not waited for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A terminal, a pipe and a file can all be asked whether they have something; only some can wake the runtime.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// All ways in.
pub(super) struct Desk {
    /// Runs only while an arrival or an answer is waited for.
    runtime: Runtime,
    _listening: JoinSet<()>,
    requests: mpsc::Receiver<Browser>,
    /// Standard input, until it ends.
    input: Option<File>,
    typed: Vec<u8>,
}

/// What came in.
pub(super) enum Arrival {
    /// A browser asks for something.
    Request(Browser),
    /// A person typed or pasted this line.
    Line(String),
}

/// A browser that waits for its answer.
#[derive(Debug)]
pub(super) struct Browser {
    /// What it asks for, as its request has it.
    pub(super) target: String,
    /// By which name it came here; none where it gave none, or several.
    pub(super) host: Option<String>,
    /// Its end of the connection, and ours.
    ends: Option<(SocketAddr, SocketAddr)>,
    answer: oneshot::Sender<Response<Body>>,
    /// Closed when the connection has ended.
    connection: watch::Receiver<()>,
}

impl Browser {
    /// Whose browser it is.
    pub(super) fn peer(&self) -> Peer {
        self.ends
            .map_or(Peer::Unlisted, |(theirs, ours)| Peer::of(theirs, ours))
    }
}

impl Desk {
    /// Opens it.
    pub(super) fn new(listeners: Vec<StdTcpListener>) -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned().ok();
        Self::with_input(listeners, input.map(File::from))
    }

    fn with_input(listeners: Vec<StdTcpListener>, input: Option<File>) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (arrived, requests) = mpsc::channel(LIMITS.asking);
        let mut listening = JoinSet::new();
        let entered = runtime.enter();
        for listener in listeners {
            listener.set_nonblocking(true)?;
            let port = Entrance::Tcp(TcpListener::from_std(listener)?);
            let arrived = arrived.clone();
            listening.spawn(serve_crowd(port, LIMITS, move |stream, asked| {
                serve_connection(stream, asked, arrived.clone())
            }));
        }
        drop(entered);
        Ok(Self {
            runtime,
            _listening: listening,
            requests,
            input,
            typed: Vec::new(),
        })
    }

    /// The next arrival within `patience`.
    pub(super) fn next(&mut self, patience: Duration) -> Option<Arrival> {
        let Self {
            runtime,
            requests,
            input,
            typed,
            ..
        } = self;
        runtime.block_on(async {
            tokio::select! {
                biased;
                Some(browser) = requests.recv() => Some(Arrival::Request(browser)),
                line = next_line(input, typed) => Some(Arrival::Line(line)),
                () = sleep(patience) => None,
            }
        })
    }

    /// Gives a browser its answer, if it still wants it.
    pub(super) fn answer(&self, browser: Browser, answer: Response<Body>) {
        let Browser {
            answer: answering,
            mut connection,
            ..
        } = browser;
        if answering.send(answer).is_ok() {
            let _ = self
                .runtime
                .block_on(async { timeout(ANSWER_TIMEOUT, connection.changed()).await });
        }
    }
}

/// One request, and the connection ends.
async fn serve_connection(stream: Stream, asked: Asked, arrived: mpsc::Sender<Browser>) {
    let ends = stream.tcp_ends();
    let (_open, connection) = watch::channel(());
    let service = service_fn(|request: Request<Incoming>| {
        asked.set();
        let (answer, answered) = oneshot::channel();
        let browser = Browser {
            target: request.uri().to_string(),
            host: only_host(request.headers()),
            ends,
            answer,
            connection: connection.clone(),
        };
        let arrived = arrived.clone();
        async move {
            // A browser comes back with a GET; another client gets no answer.
            if request.method() != Method::GET || arrived.send(browser).await.is_err() {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            answered
                .await
                .map_err(|_| io::Error::from(ErrorKind::ConnectionAborted))
        }
    });
    serve::connection(&stream, service, &TERMS, pending(), pending()).await;
}

fn only_host(headers: &HeaderMap) -> Option<String> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next().filter(|_| hosts.next().is_none())?;
    host.to_str().ok().map(|host| host.trim().to_owned())
}

/// Never waits: the descriptor is shared with others, and so is not made non-blocking.
fn read_at_once(file: &mut File, chunk: &mut [u8]) -> io::Result<usize> {
    let mut polled = [PollFd::new(&*file, PollFlags::IN)];
    if poll(&mut polled, Some(&Timespec::default()))? == 0 {
        return Err(ErrorKind::WouldBlock.into());
    }
    file.read(chunk)
}

/// The next line that is not empty. Dropped before it is there, it loses nothing that was typed.
async fn next_line(input: &mut Option<File>, typed: &mut Vec<u8>) -> String {
    loop {
        if let Some(line) = line(typed) {
            return line;
        }
        let mut chunk = [0; 4096];
        let read = match input {
            Some(input) => read_at_once(input, &mut chunk),
            None => pending().await,
        };
        match read {
            Ok(count @ 1..) => typed.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(LOOK_EVERY).await,
            Ok(_) | Err(_) => {
                *input = None;
                // What was not ended by a newline is ended now.
                typed.push(b'\n');
            }
        }
    }
}

fn line(typed: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = typed.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = typed.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if !line.is_empty() {
            return Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write as _, pipe};
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    fn only_a_whole_get_is_heard() {
        let (mut desk, addresses) = desk(1, None);
        let whole = b"GET /callback?code=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        let mut slow = TcpStream::connect(addresses[0]).unwrap();
        for part in whole.chunks(9) {
            assert!(desk.next(Duration::from_millis(20)).is_none());
            slow.write_all(part).unwrap();
        }
        let browser = asks(&mut desk).unwrap();
        assert_eq!(browser.target, "/callback?code=1");
        assert_eq!(browser.host.as_deref(), Some("127.0.0.1"));
        for (request, expected) in [
            (
                "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
                Some(("/", None)),
            ),
            (
                "GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n",
                Some(("http://a/b", Some("a"))),
            ),
            ("POST / HTTP/1.1\r\n\r\n", None),
            ("\x16\x03\x01\x02\x00\r\n\r\n", None),
            ("SSH-2.0\r\n\r\n", None),
        ] {
            let mut client = TcpStream::connect(addresses[0]).unwrap();
            client.write_all(request.as_bytes()).unwrap();
            let heard = asks(&mut desk).map(|browser| (browser.target, browser.host));
            let expected =
                expected.map(|(target, host)| (target.to_owned(), host.map(str::to_owned)));
            assert_eq!(heard, expected, "{request:?}");
        }
    }

    #[test]
    fn a_crowd_that_asks_at_every_ear_pushes_no_browser_out() {
        let (mut desk, addresses) = desk(2, None);
        let ask = |index: usize| {
            let mut browser = TcpStream::connect(addresses[index % 2]).unwrap();
            browser
                .write_all(format!("GET /{index} HTTP/1.1\r\n\r\n").as_bytes())
                .unwrap();
            browser
        };
        let _crowd: Vec<TcpStream> = (0..80).map(ask).collect();
        let mut heard = Vec::new();
        while let Some(browser) = asks(&mut desk) {
            heard.push(browser.target);
        }
        assert_eq!(heard.len(), 80, "{heard:?}");
    }

    #[test]
    fn a_browser_that_says_nothing_holds_up_no_other() {
        let (mut desk, addresses) = desk(1, None);
        let address = addresses[0];
        let _silent: Vec<TcpStream> = (0..40)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let mut browser = TcpStream::connect(address).unwrap();
        browser
            .write_all(b"GET /callback?code=1 HTTP/1.1\r\n")
            .unwrap();
        assert!(desk.next(Duration::from_millis(50)).is_none());
        browser.write_all(b"\r\n").unwrap();
        let asking = asks(&mut desk).unwrap();
        assert_eq!(asking.target, "/callback?code=1");
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(asking.peer(), Peer::User(own));
        desk.answer(asking, Response::new(Body::from("done")));
        let mut answer = String::new();
        browser.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\ndone"), "{answer}");
    }

    #[test]
    fn what_is_pasted_is_read_line_by_line_from_a_pipe_as_from_a_file() {
        let long = "x".repeat(10_000);
        let pasted = format!("first\n\n  {long}  \nlast");
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(pasted.as_bytes()).unwrap();
        drop(writer);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(pasted.as_bytes()).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        for input in [File::from(OwnedFd::from(reader)), file] {
            let (mut desk, _) = desk(0, Some(input));
            let mut lines = Vec::new();
            while let Some(Arrival::Line(line)) = desk.next(Duration::from_millis(200)) {
                lines.push(line);
            }
            assert_eq!(lines, ["first", long.as_str(), "last"]);
        }
    }

    #[test]
    fn a_line_that_is_still_typed_is_waited_for() {
        let (reader, mut writer) = pipe().unwrap();
        let (mut desk, _) = desk(0, Some(File::from(OwnedFd::from(reader))));
        for part in ["http://127", ".0.0.1/"] {
            writer.write_all(part.as_bytes()).unwrap();
            assert!(desk.next(Duration::from_millis(20)).is_none());
        }
        writer.write_all(b"\n").unwrap();
        let Some(Arrival::Line(line)) = desk.next(Duration::from_secs(5)) else {
            panic!("no line")
        };
        assert_eq!(line, "http://127.0.0.1/");
    }

    fn desk(listeners: usize, input: Option<File>) -> (Desk, Vec<SocketAddr>) {
        let listeners: Vec<StdTcpListener> = (0..listeners)
            .map(|_| StdTcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap())
            .collect();
        (Desk::with_input(listeners, input).unwrap(), addresses)
    }

    fn asks(desk: &mut Desk) -> Option<Browser> {
        match desk.next(Duration::from_millis(300))? {
            Arrival::Request(browser) => Some(browser),
            Arrival::Line(line) => panic!("a line: {line}"),
        }
    }
}
