//! What a running daemon costs: memory, idle processor time, recovery after a report, and a file that is read without
//! pause while it is replaced.
//!
//! `cargo bench --bench footprint` prints one table for docs/benchmarks.md; it runs the optimised binary against the
//! server of the acceptance tests. `KEEPFRESH_BENCH_IDLE_SECONDS` says how long the daemon is watched doing nothing.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench fails by panicking")]
#![expect(clippy::indexing_slicing, clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]
#![expect(clippy::disallowed_methods, reason = "it measures real time")]
#![expect(dead_code, reason = "the tests use more of the harness")]

#[path = "../tests/acceptance/support/all.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use support::daemon::Lab;
use support::org::{RefreshTokens, Settings};
use support::salesforce::Salesforce;
use support::within;

const READS: usize = 1_000_000;

fn main() {
    println!("| what | figure |\n|---|---|");
    row("machine and date", &machine());
    let one = resident(1);
    let thousand = resident(1000);
    row("resident memory, one session", &format!("{:.1} MiB", one / 1024.0));
    row("each further of 1,000", &format!("{:.1} KiB", (thousand - one) / 999.0));
    idle();
    recovery();
    reader();
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map_or("", |it| it.1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let date = Command::new("date").args(["-u", "+%F"]).output().unwrap().stdout;
    format!("{},{model}, {cores} cores", String::from_utf8_lossy(&date).trim())
}

fn start(sessions: usize, refresh_tokens: RefreshTokens) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings { refresh_tokens, ..Settings::default() }));
    let mut lab = Lab::new(&server);
    lab.log_level = "info";
    lab.configure(&(0..sessions).map(|number| lab.by_client(&name(number))).collect::<Vec<_>>());
    lab.start();
    within(Duration::from_mins(3), "every token", || {
        (0..sessions).all(|number| lab.token(&name(number)).is_some()).then_some(())
    });
    (server, lab)
}

fn name(number: usize) -> String {
    format!("s{number}")
}

/// Kibibytes, once all is quiet.
fn resident(sessions: usize) -> f64 {
    let began = Instant::now();
    let (server, lab) = start(sessions, RefreshTokens::None);
    if sessions > 1 {
        row(&format!("{sessions} sessions, from start to the last token"), &format!("{:.1?}", began.elapsed()));
    }
    server.settled();
    let status = fs::read_to_string(format!("/proc/{}/status", lab.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn idle() {
    let seconds = std::env::var("KEEPFRESH_BENCH_IDLE_SECONDS").ok().and_then(|it| it.parse().ok()).unwrap_or(60);
    let (server, lab) = start(100, RefreshTokens::None);
    // The tokens of unknown age are proven some time after their login.
    server.settled();
    let before = ticks(lab.pid());
    std::thread::sleep(Duration::from_secs(seconds));
    let spent = ticks(lab.pid()) - before;
    row(&format!("idle processor time, 100 sessions, {seconds} s"), &format!("{spent} ticks of 10 ms"));
}

/// User and system time so far.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn recovery() {
    let (server, lab) = start(100, RefreshTokens::None);
    server.settled();
    let mut took = Vec::new();
    let mut calls = Vec::new();
    for number in 0..100 {
        let name = name(number);
        let token = lab.token(&name).unwrap();
        server.revoke_sessions();
        let before = server.calls().len();
        let began = Instant::now();
        let answer = lab.post(&format!("/v1/sessions/{name}/rejected?wait=10s"), &format!("{{\"token\":\"{token}\"}}"));
        took.push(began.elapsed());
        calls.push(server.calls().len() - before);
        assert!(server.lives(answer.json()["access_token"].as_str().expect("a token")), "{answer:?}");
    }
    calls.sort_unstable();
    let (p50, p99) = percentiles(&mut took);
    let trips = calls[calls.len() / 2];
    row(
        "recovery after a report, one after the other, p50 / p99",
        &format!("{p50:.1?} / {p99:.1?}, {trips} calls of the server"),
    );
}

fn reader() {
    let (server, lab) = start(1, RefreshTokens::Rotated);
    let stop = Arc::new(AtomicBool::new(false));
    let (renewing, stopped) = (lab.socket(), Arc::clone(&stop));
    let renewals = std::thread::spawn(move || {
        let path = "/v1/sessions/s0/renew?wait=5s";
        while !stopped.load(Ordering::Relaxed) {
            support::unix::request(&renewing, "POST", path, "application/json", "");
        }
    });
    let file = lab.path("run/tokens/s0");
    let mut seen: Vec<String> = Vec::new();
    let mut missing = 0;
    for _ in 0..READS {
        match fs::read_to_string(&file) {
            Ok(token) if seen.last() != Some(&token) => seen.push(token),
            Ok(_) => {}
            Err(_) => missing += 1,
        }
    }
    stop.store(true, Ordering::Relaxed);
    renewals.join().unwrap();
    let issued: BTreeMap<String, usize> = server.issued().into_iter().zip(0..).collect();
    let torn = seen.iter().filter(|token| !issued.contains_key(*token)).count();
    let older = seen.windows(2).filter(|pair| issued.get(&pair[0]) > issued.get(&pair[1])).count();
    let changes = seen.len();
    let figure = format!("{missing} missing, {torn} torn, {older} older, in {changes} replacements");
    row("10^6 reads of a token file", &figure);
}

fn percentiles(took: &mut [Duration]) -> (Duration, Duration) {
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}
