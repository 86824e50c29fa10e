//! A thousand sessions of one host that end at the same moment, all of whose jobs say so at once, or none; and five hundred
//! that the calendar wakes together.

use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::{self, all_fresh, mib, name, resident, sessions};
use crate::issuer::{Issuer, Kind, Seen};
use crate::recovery::{reporting, until_the_minute};
use crate::socket::replied;
use crate::support::daemon::Lab;
use crate::table::{Row, Table, shown};

const SESSIONS: usize = 1000;
const WOKEN: usize = 500;
/// The longest that all may take to be fresh again, and what passes before the last of their pings is due.
const LIMIT: Duration = Duration::from_secs(30);
const PACE: Duration = Duration::from_secs(48);
/// What the server takes for an answer.
const DELAY: Duration = Duration::from_millis(20);

pub(crate) fn measure(table: &mut Table) {
    let issuer = Issuer::start(1);
    let mut lab = fleet::lab(&issuer);
    lab.configure(&sessions(&lab, &issuer, SESSIONS, "2h"));
    let began = Instant::now();
    lab.start();
    all_fresh(&lab, &issuer, SESSIONS, Duration::from_mins(2));
    let row = Row::of(
        "1,000 sessions of one host: from a cold start to the last token",
        shown(began.elapsed()),
    );
    table.add(row.budget("30 s", began.elapsed() <= Duration::from_secs(30)));
    issuer.settled();
    issuer.delay(DELAY);
    revoked(table, &issuer, &lab);
    drop(lab);
    unreported(table);
    woken(table);
}

fn revoked(table: &mut Table, issuer: &Issuer, lab: &Lab) {
    let before = resident(lab.pid());
    let dead: Vec<String> = (0..SESSIONS)
        .map(|number| lab.token(&name(number)).unwrap())
        .collect();
    issuer.take_seen();
    issuer.revoke_all();
    let began = Instant::now();
    let (pid, done) = (lab.pid(), AtomicBool::new(false));
    let (most, reported) = thread::scope(|scope| {
        let watched = scope.spawn(|| peak(pid, &done));
        let reported = catch_unwind(AssertUnwindSafe(|| {
            let reported = report_all(lab, &dead, began);
            all_fresh(lab, issuer, SESSIONS, Duration::from_mins(2));
            reported
        }));
        done.store(true, Ordering::Relaxed);
        (
            watched.join().unwrap(),
            reported.unwrap_or_else(|panic| resume_unwind(panic)),
        )
    });
    let took = began.elapsed();
    let row = Row::of(
        "1,000 sessions revoked at once, all reported, a server that takes 20 ms: until all are fresh",
        shown(took),
    );
    table.add(
        row.beside("pizauth: 0.34 s, with 298 MB")
            .budget("30 s", took <= Duration::from_secs(30)),
    );
    let in_flight = issuer.most_in_flight();
    table.add(
        Row::of("the same: calls in flight at most", in_flight.to_string())
            .budget("8", in_flight <= 8),
    );
    let row = Row::of("the same: resident memory at most", mib(most))
        .beside(format!("before: {}", mib(before)));
    table.add(row.budget("twice as much", most <= before * 2.0));
    spread(table, issuer, began, reported);
}

/// Reports every token without waiting for the next; how long that took.
fn report_all(lab: &Lab, dead: &[String], began: Instant) -> Duration {
    let mut stream = UnixStream::connect(lab.socket()).unwrap();
    for (number, token) in dead.iter().enumerate() {
        let (name, body) = (name(number), reporting(token));
        let head = format!(
            "POST /v1/sessions/{name}/rejected?wait=0s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        );
        let status = replied(
            &mut stream,
            &format!("{head}content-length: {}\r\n\r\n{body}", body.len()),
        );
        assert!(status.starts_with("HTTP/1.1 "), "{status}");
    }
    began.elapsed()
}

/// The most memory that the process had, looking every 20 ms.
fn peak(pid: u32, done: &AtomicBool) -> f64 {
    let mut most = 0.0;
    while !done.load(Ordering::Relaxed) {
        most = resident(pid).max(most);
        thread::sleep(Duration::from_millis(20));
    }
    most
}

/// Nobody says anything: each session's own ping finds it, 40 to 48 seconds after the one before.
fn unreported(table: &mut Table) {
    let issuer = Issuer::start(1);
    let mut lab = fleet::lab(&issuer);
    lab.configure(&sessions(&lab, &issuer, SESSIONS, "2m"));
    lab.start();
    all_fresh(&lab, &issuer, SESSIONS, Duration::from_mins(2));
    issuer.delay(DELAY);
    let before = resident(lab.pid());
    issuer.take_seen();
    issuer.revoke_all();
    let began = Instant::now();
    all_fresh(&lab, &issuer, SESSIONS, Duration::from_mins(3));
    let row = Row::of(
        "1,000 sessions ended at once, T = 2 min, nobody reports: until all are fresh",
        shown(began.elapsed()),
    );
    table.add(
        row.beside("the pings' own pace: every 40 to 48 s")
            .budget("78 s", began.elapsed() <= PACE + LIMIT),
    );
    let (in_flight, after) = (issuer.most_in_flight(), resident(lab.pid()));
    let figure = format!(
        "{in_flight}, {} in the busiest second",
        busiest(&issuer.take_seen(), began)
    );
    table.add(Row::of("the same: calls in flight at most", figure).budget("8", in_flight <= 8));
    let row =
        Row::of("the same: resident memory", mib(after)).beside(format!("before: {}", mib(before)));
    table.add(row.budget("twice as much", after <= before * 2.0));
}

/// The calendar wants all of them proven in the same minute.
fn woken(table: &mut Table) {
    let issuer = Issuer::start(1);
    let mut lab = fleet::lab(&issuer);
    let duty = "verify_at = [\"* * * * *\"]";
    let all: Vec<_> = (0..WOKEN)
        .map(|number| lab.by_client(&name(number)).table("keepalive", duty))
        .collect();
    lab.configure(&all);
    lab.start();
    all_fresh(&lab, &issuer, WOKEN, Duration::from_mins(2));
    issuer.delay(DELAY);
    issuer.settled();
    thread::sleep(until_the_minute().saturating_sub(Duration::from_secs(1)));
    issuer.take_seen();
    let minute = Instant::now() + until_the_minute();
    thread::sleep(Duration::from_secs(2));
    issuer.settled();
    let in_flight = issuer.most_in_flight();
    let seen = issuer.take_seen();
    let took = seen
        .iter()
        .map(|call| call.at)
        .max()
        .map_or(Duration::ZERO, |last| last - minute);
    let row = Row::of(
        "500 sessions of one host proven by `verify_at` in the same minute: from the minute to the last call",
        shown(took),
    );
    table.add(
        row.beside(format!("{} calls", seen.len()))
            .budget("30 s", took <= LIMIT && seen.len() == WOKEN),
    );
    let figure = format!(
        "{in_flight}, {} in the busiest second",
        busiest(&seen, minute)
    );
    table.add(Row::of("the same: calls in flight at most", figure).budget("8", in_flight <= 8));
}

/// The most calls of one second.
fn busiest(seen: &[Seen], began: Instant) -> usize {
    let mut seconds = vec![0_usize; 200];
    for call in seen {
        let second = usize::try_from(call.at.saturating_duration_since(began).as_secs())
            .unwrap()
            .min(199);
        seconds[second] += 1;
    }
    seconds.into_iter().max().unwrap_or_default()
}

fn spread(table: &mut Table, issuer: &Issuer, began: Instant, reported: Duration) {
    let seen = issuer.take_seen();
    let busiest = busiest(&seen, began);
    let logins = seen.iter().filter(|call| call.kind == Kind::Token).count();
    let figure = format!(
        "{busiest} in the busiest second, {logins} logins, {} pings",
        seen.len() - logins
    );
    table.add(
        Row::of("the same: calls", figure).beside(format!("reported within {}", shown(reported))),
    );
}
