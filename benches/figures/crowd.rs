//! A thousand sessions of one host that end at the same moment, and all of whose jobs say so at once.

use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::{self, all_fresh, mib, name, resident, sessions};
use crate::issuer::{Issuer, Kind};
use crate::recovery::reporting;
use crate::socket::replied;
use crate::support::daemon::Lab;
use crate::table::{Row, Table, shown};

const SESSIONS: usize = 1000;
/// What the server takes for an answer.
const DELAY: Duration = Duration::from_millis(20);

pub(crate) fn measure(table: &mut Table) {
    let issuer = Issuer::start(1);
    let mut lab = fleet::lab(&issuer);
    lab.configure(&sessions(&lab, &issuer, SESSIONS, "2h"));
    let began = Instant::now();
    lab.start();
    all_fresh(&lab, &issuer, SESSIONS, Duration::from_mins(2));
    let row = Row::of("1,000 sessions of one host: from a cold start to the last token", shown(began.elapsed()));
    table.add(row.budget("30 s", began.elapsed() <= Duration::from_secs(30)));
    issuer.settled();
    issuer.delay(DELAY);
    revoked(table, &issuer, &lab);
}

fn revoked(table: &mut Table, issuer: &Issuer, lab: &Lab) {
    let before = resident(lab.pid());
    let dead: Vec<String> = (0..SESSIONS).map(|number| lab.token(&name(number)).unwrap()).collect();
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
        (watched.join().unwrap(), reported.unwrap_or_else(|panic| resume_unwind(panic)))
    });
    let took = began.elapsed();
    let row = Row::of(
        "1,000 sessions revoked at once, all reported, a server that takes 20 ms: until all are fresh",
        shown(took),
    );
    table.add(row.beside("pizauth: 0.34 s, with 298 MB").budget("30 s", took <= Duration::from_secs(30)));
    let in_flight = issuer.most_in_flight();
    table.add(Row::of("the same: calls in flight at most", in_flight.to_string()).budget("8", in_flight <= 8));
    let row = Row::of("the same: resident memory at most", mib(most)).beside(format!("before: {}", mib(before)));
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
        let status = replied(&mut stream, &format!("{head}content-length: {}\r\n\r\n{body}", body.len()));
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

fn spread(table: &mut Table, issuer: &Issuer, began: Instant, reported: Duration) {
    let seen = issuer.take_seen();
    let mut seconds = vec![0_usize; 121];
    for call in &seen {
        let second = usize::try_from(call.at.saturating_duration_since(began).as_secs()).unwrap().min(120);
        seconds[second] += 1;
    }
    let busiest = seconds.iter().max().copied().unwrap_or_default();
    let logins = seen.iter().filter(|call| call.kind == Kind::Token).count();
    let figure = format!("{busiest} in the busiest second, {logins} logins, {} pings", seen.len() - logins);
    table.add(Row::of("the same: calls", figure).beside(format!("reported within {}", shown(reported))));
}
