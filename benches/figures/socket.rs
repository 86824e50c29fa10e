//! Jobs at the daemon's socket, and a bare server of the same libraries as the limit of what it can do.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Requests of one measurement.
const ASKS: usize = 20_000;
/// Callers at once.
pub(crate) const CROWD: usize = 50;

pub(crate) const KEPT: &str =
    "GET /v1/sessions/s0/token HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n";
pub(crate) const CLOSED: &str = "GET /v1/sessions/s0/token HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\nconnection: close\r\n\r\n";

/// Whether a request is answered by 200; tokens fit into one read.
pub(crate) fn asked(stream: &mut UnixStream, request: &str) -> bool {
    replied(stream, request).starts_with("HTTP/1.1 200")
}

/// The answer to a request, which fits into one read; empty when there is none.
pub(crate) fn replied(stream: &mut UnixStream, request: &str) -> String {
    let mut buffer = [0; 4096];
    let length = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read(&mut buffer))
        .unwrap_or(0);
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

pub(crate) fn kept(path: &Path) -> Vec<Duration> {
    let mut stream = UnixStream::connect(path).unwrap();
    (0..ASKS)
        .map(|_| timed(|| assert!(asked(&mut stream, KEPT))))
        .collect()
}

pub(crate) fn fresh(path: &Path) -> Vec<Duration> {
    let once = || assert!(asked(&mut UnixStream::connect(path).unwrap(), CLOSED));
    (0..ASKS / 4).map(|_| timed(once)).collect()
}

/// Their waits, and how many were served in a second.
pub(crate) fn crowd(path: &Path) -> (Vec<Duration>, f64) {
    let began = Instant::now();
    let took: Vec<Duration> = thread::scope(|scope| {
        let one = || {
            let mut stream = UnixStream::connect(path).unwrap();
            (0..ASKS / CROWD)
                .map(|_| timed(|| assert!(asked(&mut stream, KEPT))))
                .collect::<Vec<_>>()
        };
        let callers: Vec<_> = (0..CROWD).map(|_| scope.spawn(one)).collect();
        callers
            .into_iter()
            .flat_map(|caller| caller.join().unwrap())
            .collect()
    });
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    (took, rate)
}

pub(crate) fn timed(mut once: impl FnMut()) -> Duration {
    let began = Instant::now();
    once();
    began.elapsed()
}

/// A server that does nothing but answer, in a runtime like the daemon's.
pub(crate) struct Bare {
    pub(crate) path: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Bare {
    pub(crate) fn start(path: PathBuf) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(async { tokio::net::UnixListener::bind(&path).unwrap() });
        let answer = || async { "x".repeat(82) };
        let router =
            axum::Router::new().route("/v1/sessions/{session}/token", axum::routing::get(answer));
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            path,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(thread::JoinHandle::join);
    }
}
