//! How long a job waits for its token: over the socket, by the command, beside a server that hangs and clients that stall.
//!
//! Two limits are measured in turns with it, so that whatever else the machine does hits both: `true` for a process, and a
//! bare server of the same libraries for the socket.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::{self, all_fresh, sessions};
use crate::issuer::Issuer;
use crate::socket::{Bare, CROWD, crowd, fresh, kept};
use crate::support::daemon::Lab;
use crate::support::unix::request;
use crate::table::{Row, Table, percentiles, shown};

/// Runs of each command.
const RUNS: usize = 500;
const SESSIONS: usize = 1000;

pub(crate) fn measure(table: &mut Table) {
    let issuer = Issuer::start(8);
    let mut lab = fleet::lab(&issuer);
    lab.configure(&sessions(&lab, &issuer, SESSIONS, "2h"));
    lab.start();
    all_fresh(&lab, &issuer, SESSIONS, Duration::from_mins(2));
    issuer.settled();
    let bare = Bare::start(lab.path("bare.sock"));
    sockets(table, &lab, &bare);
    disturbed(table, &issuer, &lab);
    commands(table, &lab);
}

pub(crate) fn pair(took: &mut [Duration]) -> String {
    let (half, most) = percentiles(took);
    format!("{} / {}", shown(half), shown(most))
}

/// Two measurements in turns: each at its quietest round.
fn in_turns(
    rounds: usize,
    mut one: impl FnMut() -> Vec<Duration>,
    mut other: impl FnMut() -> Vec<Duration>,
) -> [Vec<Duration>; 2] {
    let (ones, others): (Vec<_>, Vec<_>) = (0..rounds).map(|_| (one(), other())).unzip();
    [ones, others].map(|rounds| {
        rounds
            .into_iter()
            .min_by_key(|took| took.iter().sum::<Duration>())
            .unwrap()
    })
}

fn sockets(table: &mut Table, lab: &Lab, bare: &Bare) {
    let ours = lab.socket();
    for (what, how) in [
        (
            "token over the socket, kept connection, p50 / p99",
            kept as fn(&Path) -> Vec<Duration>,
        ),
        ("the same, a new connection each", fresh),
        ("the same, 50 callers in parallel", |path| crowd(path).0),
    ] {
        let [mut took, mut limit] = in_turns(4, || how(&ours), || how(&bare.path));
        let row =
            Row::of(what, pair(&mut took)).beside(format!("bare server: {}", pair(&mut limit)));
        let (half, most) = percentiles(&mut took);
        let met = half <= Duration::from_micros(60) && most <= Duration::from_micros(300);
        table.add(if what.contains("kept") {
            row.budget("60 / 300 µs", met)
        } else {
            row
        });
    }
    let best = |path: &Path| (0..4).map(|_| crowd(path).1).fold(0.0, f64::max);
    let (ours, limit) = (best(&ours), best(&bare.path));
    let row = Row::of("requests per second over the socket", format!("{ours:.0}"));
    table.add(row.beside(format!(
        "bare server: {limit:.0}; {:.0} % of it",
        ours / limit * 100.0
    )));
}

/// What waits when another session's server hangs, and when clients stall in the middle of a request.
fn disturbed(table: &mut Table, issuer: &Issuer, lab: &Lab) {
    issuer.hang("s1");
    let hung = || {
        let (socket, verify) = (lab.socket(), "/v1/sessions/s1/verify?wait=1s");
        let waiting =
            thread::spawn(move || request(&socket, "POST", verify, "application/json", ""));
        let took = kept(&lab.socket());
        waiting.join().unwrap().expect("an answer");
        took
    };
    compare(
        table,
        "token of another session while a server hangs, p50 / p99",
        lab,
        hung,
    );
    let stalled = || {
        let streams: Vec<UnixStream> = (0..CROWD).map(|_| stalling(&lab.socket())).collect();
        let took = kept(&lab.socket());
        drop(streams);
        took
    };
    compare(
        table,
        "token while 50 clients stall, p50 / p99",
        lab,
        stalled,
    );
}

/// A client that stops in the middle of its request.
fn stalling(socket: &Path) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .write_all(b"GET /v1/sessions HTTP/1.1\r\nhost:")
        .unwrap();
    stream
}

fn compare(table: &mut Table, what: &str, lab: &Lab, how: impl FnMut() -> Vec<Duration>) {
    let [mut took, mut usual] = in_turns(4, how, || kept(&lab.socket()));
    let ((half, most), (usual_half, usual_most)) =
        (percentiles(&mut took), percentiles(&mut usual));
    let met = half <= usual_half.mul_f64(1.15) && most <= usual_most.mul_f64(1.5);
    let row = Row::of(what, pair(&mut took)).beside(format!("undisturbed: {}", pair(&mut usual)));
    table.add(row.budget("unchanged: p50 within 15 %, p99 within 50 %", met));
}

/// The command beside `true`, in turns.
fn commands(table: &mut Table, lab: &Lab) {
    let (mut ours, mut nothing) = processes(
        RUNS,
        || lab.command(&["token", "s7"]),
        || Command::new("/usr/bin/true"),
    );
    let (half, most) = percentiles(&mut ours);
    let met = half <= Duration::from_micros(1100) && most <= Duration::from_millis(2);
    let row = Row::of(
        "`keepfresh token` as a process, 1,000 sessions, p50 / p99",
        pair(&mut ours),
    );
    table.add(
        row.beside(format!("`true`: {}", pair(&mut nothing)))
            .budget("1.1 / 2 ms", met),
    );
    let (quickest, limit) = (ours[0], nothing[0]);
    let ratio = quickest.as_secs_f64() / limit.as_secs_f64();
    let row = Row::of(
        "the same, the quickest of 500",
        format!("{}: {ratio:.2} times", shown(quickest)),
    );
    table.add(
        row.beside(format!("`true`: {}", shown(limit)))
            .budget("2 times", ratio <= 2.0),
    );
}

/// Runs two commands in turns; how long each took.
pub(crate) fn processes(
    runs: usize,
    one: impl Fn() -> Command,
    other: impl Fn() -> Command,
) -> (Vec<Duration>, Vec<Duration>) {
    let run = |mut command: Command| {
        let began = Instant::now();
        assert!(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
        began.elapsed()
    };
    (0..runs).map(|_| (run(one()), run(other()))).unzip()
}
