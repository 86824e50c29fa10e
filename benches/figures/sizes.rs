//! What a daemon costs with 1 to 10,000 sessions: memory, threads, processor time while nothing is due and while all is
//! pinged; how long it takes to start; how big the program is.

use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::{
    self, all_fresh, mib, proportional, resident, sessions, switches, threads, ticks,
};
use crate::issuer::Issuer;
use crate::support::daemon::{BINARY, Lab};
use crate::table::{Row, Table, grouped, shown};

const SIZES: [usize; 4] = [1, 100, 1000, 10_000];
/// Spread over so many servers, since a host is spared by a rate.
const HOSTS: u8 = 8;
const MINUTE: Duration = Duration::from_mins(1);
/// Short enough to pass twice while it is watched, with 7.5 times the pings that 15 minutes take.
const BUSY: Duration = Duration::from_mins(2);

struct Fleet {
    count: usize,
    issuer: Arc<Issuer>,
    lab: Lab,
    resident: f64,
}

pub(crate) fn measure(table: &mut Table) {
    let size = fs::metadata(BINARY).unwrap().len() as f64 / 1024.0;
    table.add(Row::of("the program, stripped", mib(size)).budget("12 MiB", size < 12.0 * 1024.0));
    let mut fleets: Vec<Fleet> = SIZES.iter().map(|count| begun(table, *count)).collect();
    memory(table, &fleets);
    idle(table, &fleets);
    for fleet in &mut fleets {
        again(table, fleet);
    }
    busy(table, &fleets);
}

/// A daemon without state, until every session has a token and all is quiet.
fn begun(table: &mut Table, count: usize) -> Fleet {
    let issuer = Issuer::start(HOSTS);
    let mut lab = fleet::lab(&issuer);
    lab.configure(&sessions(&lab, &issuer, count, "2h"));
    let began = Instant::now();
    let (socket, ready) = fleet::start(&mut lab);
    all_fresh(&lab, &issuer, count, Duration::from_mins(2));
    let took = began.elapsed();
    let spent = ticks(lab.pid()) * 10;
    let what = format!(
        "cold start, {} sessions of {HOSTS} hosts: socket / READY / last token",
        grouped(count as u64)
    );
    let figure = format!(
        "{} / {} / {}, {spent} ms of processor time",
        shown(socket),
        shown(ready),
        shown(took)
    );
    let row = Row::of(&what, figure);
    table.add(if count == 10_000 {
        row.budget("60 s", took <= MINUTE)
    } else {
        row
    });
    issuer.settled();
    // Files are read and written by threads that end after ten idle seconds.
    thread::sleep(Duration::from_secs(if count == 10_000 { 12 } else { 0 }));
    Fleet {
        count,
        issuer,
        resident: resident(lab.pid()),
        lab,
    }
}

fn memory(table: &mut Table, fleets: &[Fleet]) {
    let first = &fleets[0];
    for fleet in fleets {
        let pid = fleet.lab.pid();
        let what = format!("resident memory, {} sessions", grouped(fleet.count as u64));
        let peak = fleet::kib(pid, "status", "VmHWM:");
        let own = fleet::kib(pid, "status", "RssAnon:");
        let figure = format!(
            "{}, of which {} are its own, {} at most",
            mib(fleet.resident),
            mib(own),
            mib(peak)
        );
        let row = Row::of(&what, figure).beside(format!(
            "Pss {}, {} threads",
            mib(proportional(pid)),
            threads(pid)
        ));
        if fleet.count == 1 {
            table.add(row.budget("8 MiB", fleet.resident <= 8192.0));
            continue;
        }
        table.add(row);
        let each = (fleet.resident - first.resident) / (fleet.count - 1) as f64;
        if fleet.count >= 1000 {
            let row = Row::of(
                &format!("each further of {}", grouped(fleet.count as u64)),
                format!("{each:.1} KiB"),
            );
            table.add(row.beside("pizauth 0.8 KB").budget("4 KiB", each <= 4.0));
        }
    }
}

/// Ticks and wake-ups of all at once, over the same time.
fn watched(fleets: &[Fleet], time: Duration) -> Vec<(u64, u64)> {
    let now = || {
        fleets
            .iter()
            .map(|it| (ticks(it.lab.pid()), switches(it.lab.pid())))
            .collect::<Vec<_>>()
    };
    let before = now();
    thread::sleep(time);
    let after = now();
    before
        .into_iter()
        .zip(after)
        .map(|(was, is)| (is.0 - was.0, is.1.saturating_sub(was.1)))
        .collect()
}

fn idle(table: &mut Table, fleets: &[Fleet]) {
    for (fleet, (spent, woken)) in fleets.iter().zip(watched(fleets, MINUTE)) {
        let what = format!(
            "an idle minute, {} sessions at T = 2 h",
            grouped(fleet.count as u64)
        );
        let asked = fleet.issuer.take_seen().len();
        let row = Row::of(
            &what,
            format!("{spent} ticks of 10 ms, {woken} times awake"),
        );
        let threads = threads(fleet.lab.pid());
        let row = row.beside(format!("{threads} threads; {asked} calls since the start"));
        table.add(if fleet.count <= 100 {
            row.budget("0 ticks", spent == 0)
        } else {
            row
        });
    }
}

/// Stops, and starts again with the state that there is and a short window.
fn again(table: &mut Table, fleet: &mut Fleet) {
    assert!(fleet.lab.stop().success());
    let timeout = format!("{}s", BUSY.as_secs());
    fleet
        .lab
        .configure(&sessions(&fleet.lab, &fleet.issuer, fleet.count, &timeout));
    fleet.issuer.idle(BUSY);
    fleet.issuer.take_seen();
    let (socket, ready) = fleet::start(&mut fleet.lab);
    let what = format!(
        "start with the state of {} sessions: socket / READY",
        grouped(fleet.count as u64)
    );
    table.add(Row::of(
        &what,
        format!("{} / {}", shown(socket), shown(ready)),
    ));
}

fn busy(table: &mut Table, fleets: &[Fleet]) {
    // What was due at the start is behind.
    thread::sleep(MINUTE / 2);
    for fleet in fleets {
        fleet.issuer.take_seen();
    }
    let time = MINUTE * 2;
    for (fleet, (spent, _)) in fleets.iter().zip(watched(fleets, time)) {
        let share = spent as f64 / time.as_secs_f64();
        let pings = fleet.issuer.take_seen().len() as f64 / time.as_secs_f64();
        let count = grouped(fleet.count as u64);
        let what = format!(
            "{count} sessions at T = 2 min, 7.5 times the pings of 15 min, for two minutes"
        );
        let lost = fleet.issuer.idle_deaths();
        let figure =
            format!("{share:.1} % of one core, {pings:.1} calls a second, {lost} sessions lost");
        let row = Row::of(&what, figure).beside(mib(resident(fleet.lab.pid())));
        table.add(row.budget("one core, none lost", share <= 100.0 && lost == 0));
    }
}
