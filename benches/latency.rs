//! How long a job waits for its token: over the socket, by the command, beside a server that hangs and a client that
//! stalls; and how long the daemon takes to start.
//!
//! `cargo bench --bench latency` prints one table for docs/benchmarks.md; it runs the optimised binary. Two limits are
//! measured in the same loop: `true` for a process, and a bare server of the same libraries for the socket.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench fails by panicking")]
#![expect(clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(clippy::cast_precision_loss, reason = "counts below a billion")]
#![expect(dead_code, reason = "the tests use more of the harness")]

#[path = "../tests/acceptance/support/all.rs"]
mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use support::daemon::Lab;
use support::org::{Endpoint, RefreshTokens, Settings};
use support::salesforce::{Instead, Salesforce};
use support::within;

/// Requests of one measurement of the socket.
const ASKS: usize = 20_000;
/// Runs of each command.
const RUNS: usize = 500;
/// Callers at once.
const CROWD: usize = 50;

const KEPT: &str = "GET /v1/sessions/s0/token HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\n\r\n";
const CLOSED: &str = "GET /v1/sessions/s0/token HTTP/1.1\r\nhost: x\r\naccept: text/plain\r\nconnection: close\r\n\r\n";

fn main() {
    println!("| what | figure |\n|---|---|");
    for sessions in [1, 100, 1000] {
        measure(sessions);
    }
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

/// Starts a daemon without state, then again with state; measures the socket with the smallest, commands with the largest.
fn measure(sessions: usize) {
    let server = Arc::new(Salesforce::start(Settings { refresh_tokens: RefreshTokens::None, ..Settings::default() }));
    let mut lab = Lab::new(&server);
    lab.log_level = "info";
    lab.configure(&(0..sessions).map(|number| lab.by_client(&format!("s{number}"))).collect::<Vec<_>>());
    let cold = started(&mut lab);
    assert!(lab.stop().success());
    let warm = started(&mut lab);
    row(&format!("start with {sessions} sessions, without state: socket / READY"), &shown(cold));
    row(&format!("start with {sessions} sessions, with state: socket / READY"), &shown(warm));
    if sessions == 1 {
        sockets(&lab);
    } else if sessions == 100 {
        disturbed(&server, &lab);
    } else {
        commands(&lab);
        threads(&lab);
    }
}

fn shown((socket, ready): (Duration, Duration)) -> String {
    format!("{socket:.1?} / {ready:.1?}")
}

/// How long until the socket answers, and until systemd would be told.
fn started(lab: &mut Lab) -> (Duration, Duration) {
    let path = lab.path("notify.sock");
    let _ = fs::remove_file(&path);
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
    let mut daemon = lab.daemon();
    daemon.env("NOTIFY_SOCKET", &path).stderr(Stdio::null());
    let began = Instant::now();
    lab.start_by(daemon);
    let health = "GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    while !UnixStream::connect(lab.socket()).is_ok_and(|mut stream| asked(&mut stream, health)) {
        thread::sleep(Duration::from_micros(200));
    }
    let socket = began.elapsed();
    let mut message = [0; 4096];
    while !told
        .recv(&mut message)
        .map(|length| String::from_utf8_lossy(&message[..length]).contains("READY=1"))
        .unwrap()
    {}
    (socket, began.elapsed())
}

/// Whether a request is answered by 200; tokens fit into one read.
fn asked(stream: &mut UnixStream, request: &str) -> bool {
    let mut buffer = [0; 4096];
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read(&mut buffer).is_ok_and(|length| buffer[..length].starts_with(b"HTTP/1.1 200"))
}

/// The daemon's socket beside a bare server's, in turns, so that whatever else the machine does hits both.
fn sockets(lab: &Lab) {
    let bare = Bare::start(lab.path("bare.sock"));
    for (what, how) in [
        ("on a kept connection", kept as fn(&Path) -> Vec<Duration>),
        ("on a new connection", fresh),
        ("50 in parallel", |path| crowd(path).0),
    ] {
        let (mut ours, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..4 {
            ours.extend(how(&lab.socket()));
            limit.extend(how(&bare.path));
        }
        row(&format!("token over the socket, {what}, p50 / p99"), &percentiles(&mut ours));
        row(&format!("a bare server, {what}, p50 / p99"), &percentiles(&mut limit));
    }
    let best = |path: &Path| (0..4).map(|_| crowd(path).1).fold(0.0, f64::max);
    let (ours, limit) = (best(&lab.socket()), best(&bare.path));
    row("requests per second, the daemon / a bare server", &format!("{ours:.0} / {limit:.0}"));
}

/// What waits when another session's server hangs, and when clients stall in the middle of a request.
fn disturbed(server: &Salesforce, lab: &Lab) {
    server.always_for("s1", Endpoint::Data, Instead::Hang);
    let (socket, verify) = (lab.socket(), "/v1/sessions/s1/verify?wait=1s");
    let waiting = thread::spawn(move || support::unix::request(&socket, "POST", verify, "application/json", ""));
    let hanging = percentiles(&mut kept(&lab.socket()));
    waiting.join().unwrap().expect("an answer");
    row("token of another session while a server hangs, p50 / p99", &hanging);
    let stalled: Vec<UnixStream> = (0..CROWD)
        .map(|_| {
            let mut stream = UnixStream::connect(lab.socket()).unwrap();
            stream.write_all(b"GET /v1/sessions HTTP/1.1\r\nhost:").unwrap();
            stream
        })
        .collect();
    row("token while 50 clients stall, p50 / p99", &percentiles(&mut kept(&lab.socket())));
    drop(stalled);
}

/// The command beside `true`, in turns.
fn commands(lab: &Lab) {
    let run = |mut command: Command| {
        let began = Instant::now();
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        began.elapsed()
    };
    let (mut nothing, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        nothing.push(run(Command::new("/usr/bin/true")));
        ours.push(run(lab.command(&["token", "s7"])));
    }
    row("`true` as a process, p50 / p99", &percentiles(&mut nothing));
    row("`keepfresh token` as a process, 1,000 sessions, p50 / p99", &percentiles(&mut ours));
    let ratio = ours[0].as_secs_f64() / nothing[0].as_secs_f64();
    row("the quickest of each", &format!("{:.2?} / {:.2?}: {ratio:.1} times", ours[0], nothing[0]));
}

fn threads(lab: &Lab) {
    let count = || fs::read_dir(format!("/proc/{}/task", lab.pid())).unwrap().count();
    let now = count();
    within(Duration::from_mins(1), "threads for files to end", || (count() <= 2).then_some(()));
    row("threads, after 1,000 sessions were read and at rest", &format!("{now} and {}", count()));
    let size = fs::metadata(env!("CARGO_BIN_EXE_keepfresh")).unwrap().len();
    row("binary, stripped", &format!("{:.2} MiB", size as f64 / 1_048_576.0));
}

fn kept(path: &Path) -> Vec<Duration> {
    let mut stream = UnixStream::connect(path).unwrap();
    (0..ASKS).map(|_| timed(|| assert!(asked(&mut stream, KEPT)))).collect()
}

fn fresh(path: &Path) -> Vec<Duration> {
    let once = || assert!(asked(&mut UnixStream::connect(path).unwrap(), CLOSED));
    (0..ASKS / 4).map(|_| timed(once)).collect()
}

/// Their waits, and how many were served in a second.
fn crowd(path: &Path) -> (Vec<Duration>, f64) {
    let began = Instant::now();
    let took: Vec<Duration> = thread::scope(|scope| {
        let one = || {
            let mut stream = UnixStream::connect(path).unwrap();
            (0..ASKS / CROWD).map(|_| timed(|| assert!(asked(&mut stream, KEPT)))).collect::<Vec<_>>()
        };
        let callers: Vec<_> = (0..CROWD).map(|_| scope.spawn(one)).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    (took, rate)
}

fn timed(mut once: impl FnMut()) -> Duration {
    let began = Instant::now();
    once();
    began.elapsed()
}

fn percentiles(took: &mut [Duration]) -> String {
    took.sort_unstable();
    format!("{:.1?} / {:.1?}", took[took.len() / 2], took[took.len() * 99 / 100])
}

/// A server that does nothing but answer, in a runtime like the daemon's.
struct Bare {
    path: PathBuf,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Bare {
    fn start(path: PathBuf) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async { tokio::net::UnixListener::bind(&path).unwrap() });
        let answer = || async { "x".repeat(82) };
        let router = axum::Router::new().route("/v1/sessions/{session}/token", axum::routing::get(answer));
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { path, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(thread::JoinHandle::join);
    }
}
