//! From a revoked token to the next one in the file: by a job's report, by a ping when its time has come, by the calendar.
//!
//! The limit is two round trips to the server, one that proves the token dead and one for the next, as a plain client has
//! them with the same server in the same run.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::fleet::{self, all_fresh, name, sessions};
use crate::issuer::{Issuer, Kind};
use crate::support::daemon::Lab;
use crate::support::unix::request;
use crate::table::{Row, Table, percentiles, shown};

/// What the server takes for an answer.
const DELAY: Duration = Duration::from_millis(20);
/// Sessions that are reported, one after the other.
const REPORTS: usize = 40;
/// The session that a crowd reads.
const CROWDED: usize = REPORTS;
const READERS: usize = 20;
/// Sessions that nobody reports: of each, one death is measured, since a second soon after it would have to wait.
const UNREPORTED: usize = 7;

pub(crate) fn measure(table: &mut Table) {
    let issuer = Issuer::start(1);
    let mut lab = fleet::lab(&issuer);
    lab.configure(&sessions(&lab, &issuer, REPORTS + 1, "2h"));
    lab.start();
    all_fresh(&lab, &issuer, REPORTS + 1, Duration::from_mins(1));
    issuer.settled();
    issuer.delay(DELAY);
    let trips = 2 * round_trip(&issuer);
    table.add(Row::of(
        "one round trip to a server that takes 20 ms, twice",
        shown(trips),
    ));
    reported(table, &issuer, &lab, trips);
    readers(table, &issuer, &lab);
    drop(lab);
    unreported(table, trips);
}

/// What a plain client waits for an answer, at the median.
fn round_trip(issuer: &Issuer) -> Duration {
    let host = issuer.urls[0].trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let ask = format!(
        "GET /services/data/v62.0/ HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer none\r\n\r\n"
    );
    let mut once = || {
        let began = Instant::now();
        stream.write_all(ask.as_bytes()).unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
        began.elapsed()
    };
    let mut took: Vec<Duration> = (0..41).map(|_| once()).collect();
    percentiles(&mut took).0
}

/// When the file holds another token than `old`, looking every 100 µs.
fn replaced(file: &Path, old: &str, limit: Duration) -> Instant {
    let began = Instant::now();
    while fs::read_to_string(file)
        .ok()
        .is_none_or(|token| token == old)
    {
        assert!(
            began.elapsed() < limit,
            "no other token in {} within {limit:?}",
            file.display()
        );
        thread::sleep(Duration::from_micros(100));
    }
    Instant::now()
}

fn file(lab: &Lab, name: &str) -> PathBuf {
    lab.path(&format!("run/tokens/{name}"))
}

fn reported(table: &mut Table, issuer: &Issuer, lab: &Lab, trips: Duration) {
    let (mut answers, mut publications, mut calls) = (Vec::new(), Vec::new(), 0);
    for number in 0..REPORTS {
        thread::sleep(Duration::from_millis(250));
        issuer.take_seen();
        let (answer, publication) = one_report(issuer, lab, &name(number));
        answers.push(answer);
        publications.push(publication);
        calls += issuer.take_seen().len();
    }
    let calls = calls as f64 / REPORTS as f64;
    for (what, took) in [
        ("the answer", &mut answers),
        ("the file", &mut publications),
    ] {
        let what = format!("recovery by a job's report: until {what}, p50 / worst of {REPORTS}");
        table.add(judged(
            &what,
            took,
            trips,
            &format!(", {calls:.1} calls each"),
        ));
    }
}

/// Revokes a token and reports it; until the answer, and until the file.
fn one_report(issuer: &Issuer, lab: &Lab, name: &str) -> (Duration, Duration) {
    let (file, token) = (file(lab, name), lab.token(name).unwrap());
    issuer.revoke(&token);
    let body = reporting(&token);
    let began = Instant::now();
    thread::scope(|scope| {
        let filed = scope.spawn(|| replaced(&file, &token, Duration::from_secs(20)));
        let answer = lab.post(&format!("/v1/sessions/{name}/rejected?wait=10s"), &body);
        let answered = began.elapsed();
        assert!(
            issuer.lives(answer.json()["access_token"].as_str().expect("a token")),
            "{}",
            answer.status
        );
        (answered, filed.join().unwrap() - began)
    })
}

/// A job's report of a token.
pub(crate) fn reporting(token: &str) -> String {
    format!("{{\"token\":\"{token}\"}}")
}

/// A row against two round trips and 5 ms.
fn judged(what: &str, took: &mut [Duration], trips: Duration, more: &str) -> Row {
    let (half, most) = percentiles(took);
    let limit = trips + Duration::from_millis(5);
    Row::of(what, format!("{} / {}{more}", shown(half), shown(most)))
        .beside(format!("two round trips: {}", shown(trips)))
        .budget(
            format!("two round trips + 5 ms: {}", shown(limit)),
            half <= limit,
        )
}

/// Many readers of one token that is dead, and how many requests they cost.
fn readers(table: &mut Table, issuer: &Issuer, lab: &Lab) {
    let name = name(CROWDED);
    let token = lab.token(&name).unwrap();
    issuer.revoke(&token);
    issuer.take_seen();
    let socket = lab.socket();
    let (report, body) = (
        format!("/v1/sessions/{name}/rejected?wait=10s"),
        reporting(&token),
    );
    thread::scope(|scope| {
        let one = || request(&socket, "POST", &report, "application/json", &body);
        let crowd: Vec<_> = (0..READERS).map(|_| scope.spawn(one)).collect();
        for caller in crowd {
            let answer = caller.join().unwrap().expect("an answer");
            assert!(
                issuer.lives(answer.json()["access_token"].as_str().expect("a token")),
                "{}",
                answer.status
            );
        }
    });
    let seen = issuer.take_seen();
    let count = |kind: Kind| {
        seen.iter()
            .filter(|seen| seen.kind == kind && seen.client == name)
            .count()
    };
    let (logins, pings) = (
        count(Kind::Token),
        seen.iter().filter(|seen| seen.kind == Kind::Ping).count(),
    );
    let what = format!("{READERS} jobs at once that saw one token fail: requests for a new one");
    let row = Row::of(
        &what,
        format!("{logins}, and {pings} that asked whether it is dead"),
    );
    table.add(row.budget("1", logins == 1));
}

/// Nobody reports: the next ping finds it, whose time is set by the idle timeout, or the next minute of the calendar.
fn unreported(table: &mut Table, trips: Duration) {
    let issuer = Issuer::start(1);
    let mut lab = fleet::lab(&issuer);
    let mut all = sessions(&lab, &issuer, UNREPORTED, "10s");
    let duty = "verify_at = [\"* * * * *\"]";
    all.extend((0..UNREPORTED).map(|number| {
        lab.by_client(&name(UNREPORTED + number))
            .table("keepalive", duty)
    }));
    lab.configure(&all);
    lab.start();
    all_fresh(&lab, &issuer, all.len(), Duration::from_mins(1));
    issuer.delay(DELAY);
    thread::sleep(Duration::from_secs(5));
    pinged(table, &issuer, &lab, trips);
    proven(table, &issuer, &lab, trips);
}

fn pinged(table: &mut Table, issuer: &Issuer, lab: &Lab, trips: Duration) {
    let (mut whole, mut after) = (Vec::new(), Vec::new());
    for name in (0..UNREPORTED).map(name) {
        let token = lab.token(&name).unwrap();
        issuer.take_seen();
        let began = Instant::now();
        issuer.revoke(&token);
        let fresh = replaced(&file(lab, &name), &token, Duration::from_secs(20));
        // Whose token is dead, the server does not know any more.
        let ping = issuer
            .take_seen()
            .iter()
            .find(|seen| seen.client.is_empty())
            .expect("a ping")
            .at;
        whole.push(fresh - began);
        after.push(fresh - ping);
    }
    let (half, most) = percentiles(&mut whole);
    let what =
        format!("recovery by a ping, T = 10 s: from the revocation, p50 / worst of {UNREPORTED}");
    table.add(Row::of(&what, pair(half, most)).beside("the ping's own pace: every 4 s"));
    table.add(judged(
        "the same, from the ping's arrival at the server",
        &mut after,
        trips,
        "",
    ));
}

fn proven(table: &mut Table, issuer: &Issuer, lab: &Lab, trips: Duration) {
    thread::sleep(until_the_minute().saturating_sub(Duration::from_secs(1)));
    let names: Vec<String> = (UNREPORTED..UNREPORTED * 2).map(name).collect();
    let tokens: Vec<String> = names.iter().map(|name| lab.token(name).unwrap()).collect();
    let minute = Instant::now() + until_the_minute();
    for token in &tokens {
        issuer.revoke(token);
    }
    let one = |(name, token): (&String, &String)| {
        replaced(&file(lab, name), token, Duration::from_secs(20)).saturating_duration_since(minute)
    };
    let last = names.iter().zip(&tokens).map(one).max().unwrap();
    let what = format!(
        "recovery by `verify_at`, {UNREPORTED} sessions: from the full minute until all are fresh"
    );
    let row = Row::of(&what, shown(last)).beside(format!("two round trips: {}", shown(trips)));
    table.add(row.budget("1 s", last <= Duration::from_secs(1)));
}

fn pair(half: Duration, most: Duration) -> String {
    format!("{} / {}", shown(half), shown(most))
}

pub(crate) fn until_the_minute() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Duration::from_mins(1).saturating_sub(Duration::from_millis(
        u64::try_from(since.as_millis() % 60_000).unwrap(),
    ))
}
