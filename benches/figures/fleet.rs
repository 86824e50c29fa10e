//! Daemons with many sessions, and what a process costs.

use std::fs;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::issuer::{Issuer, SECRET};
use crate::socket::asked;
use crate::support::daemon::{Lab, Session};

/// A directory whose sessions are at `issuer`.
pub(crate) fn lab(issuer: &Arc<Issuer>) -> Lab {
    let mut lab = Lab::bare(&issuer.urls[0], || vec![SECRET.to_owned()]);
    lab.secret("client-secret", SECRET);
    lab.log_level = "info";
    lab.request_timeout = "5s";
    lab
}

pub(crate) fn name(number: usize) -> String {
    format!("s{number}")
}

/// So many sessions, over all hosts of `issuer`.
pub(crate) fn sessions(
    lab: &Lab,
    issuer: &Issuer,
    count: usize,
    idle_timeout: &str,
) -> Vec<Session> {
    let one = |number: usize| {
        let url = &issuer.urls[number % issuer.urls.len()];
        lab.by_client(&name(number))
            .url(url)
            .idle_timeout(idle_timeout)
    };
    (0..count).map(one).collect()
}

/// A session that is renewed by a refresh token.
pub(crate) fn renewable(lab: &Lab, number: usize) -> Session {
    lab.by_refresh_token(&name(number), "5Aep861-first")
}

/// How long until the socket answers, and until systemd would be told.
pub(crate) fn start(lab: &mut Lab) -> (Duration, Duration) {
    let path = lab.path("notify.sock");
    let _ = fs::remove_file(&path);
    let told = UnixDatagram::bind(&path).unwrap();
    told.set_read_timeout(Some(Duration::from_mins(3))).unwrap();
    let mut daemon = lab.daemon();
    daemon.env("NOTIFY_SOCKET", &path).stderr(Stdio::null());
    let began = Instant::now();
    lab.start_by(daemon);
    let health = "GET /v1/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    while !UnixStream::connect(lab.socket()).is_ok_and(|mut stream| asked(&mut stream, health)) {
        assert!(
            began.elapsed() < Duration::from_mins(2),
            "the socket does not answer"
        );
        thread::sleep(Duration::from_micros(200));
    }
    let socket = began.elapsed();
    let mut message = [0; 4096];
    loop {
        let length = told.recv(&mut message).expect("READY=1");
        if String::from_utf8_lossy(&message[..length]).contains("READY=1") {
            return (socket, began.elapsed());
        }
    }
}

/// Waits until the file of every session holds a token that lives.
pub(crate) fn all_fresh(lab: &Lab, issuer: &Issuer, count: usize, limit: Duration) {
    let began = Instant::now();
    for number in 0..count {
        while !lab
            .token(&name(number))
            .is_some_and(|token| issuer.lives(&token))
        {
            assert!(
                began.elapsed() < limit,
                "no living token of {} within {limit:?}",
                name(number)
            );
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Kibibytes by a line of `/proc/PID/FILE`: `VmRSS:` of `status`, `Pss:` of `smaps_rollup`.
pub(crate) fn kib(pid: u32, file: &str, line: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let value = text
        .lines()
        .find_map(|it| it.strip_prefix(line))
        .unwrap_or_else(|| panic!("no {line} in {file}"));
    value.trim().trim_end_matches(" kB").parse().unwrap()
}

pub(crate) fn resident(pid: u32) -> f64 {
    kib(pid, "status", "VmRSS:")
}

pub(crate) fn proportional(pid: u32) -> f64 {
    kib(pid, "smaps_rollup", "Pss:")
}

pub(crate) fn mib(kib: f64) -> String {
    format!("{:.1} MiB", kib / 1024.0)
}

pub(crate) fn threads(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).unwrap().count()
}

/// User and system time so far, in ticks of 10 ms.
pub(crate) fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// How often its threads went to sleep, so woke up, so far; of those that still are.
pub(crate) fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks
        .filter_map(|task| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            status.lines().find_map(|line| {
                line.strip_prefix("voluntary_ctxt_switches:")?
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
        })
        .sum()
}
