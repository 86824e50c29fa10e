//! What must not change with time: memory over thousands of renewals, reads and reloads; the state over half a year; a
//! file that is read without pause while it is replaced.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keepfresh::session::policy::WindowModel;

use crate::fleet::{self, all_fresh, mib, name, renewable, resident};
use crate::issuer::Issuer;
use crate::life::policy;
use crate::socket::kept;
use crate::support::daemon::Lab;
use crate::support::unix::request;
use crate::support::within;
use crate::table::{Row, Table, grouped};
use keepfresh::session::simulation::mishaps::Faults;
use keepfresh::session::simulation::model::Rules;
use keepfresh::session::simulation::world::World;

const SESSIONS: usize = 20;
const RENEWALS: usize = 4000;
/// The daemon keeps the latest 1,024 events, of which a renewal makes three: memory grows until there are so many.
const FIRST_RENEWALS: usize = 600;
const LONGEST: Duration = Duration::from_secs(75);
const READS: usize = 1_000_000;
const DAY: Duration = Duration::from_hours(24);

pub(crate) fn measure(table: &mut Table) {
    simulated(table);
    let issuer = Issuer::start(1);
    let mut lab = fleet::lab(&issuer);
    lab.configure(
        &(0..SESSIONS)
            .map(|number| renewable(&lab, number))
            .collect::<Vec<_>>(),
    );
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replace("[http]\n", "[http]\nper_host_rate = \"5000/s\"\n"));
    lab.start();
    all_fresh(&lab, &issuer, SESSIONS, Duration::from_mins(1));
    grown(table, &issuer, &lab);
    reader(table, &issuer, &lab);
}

/// The engine: what it keeps in a first year and in a second, with failures and use by others all the time. A timeout that
/// it learned, or a death that it remembers, takes some bytes whenever it comes.
fn simulated(table: &mut Table) {
    let timeout = Duration::from_hours(2);
    let faults = Faults {
        refused_calls: 20,
        hidden_uses: Some(timeout / 3),
        revocations: Some(Duration::from_hours(48)),
        ..Faults::default()
    };
    let mut world = World::new(
        &policy(timeout, true),
        1,
        Rules::new(WindowModel::HalfWindow, timeout),
        faults,
        1,
    );
    let mut largest = || {
        let days = (0..365).map(|_| {
            world.run(DAY);
            serde_json::to_vec(world.session(0).state()).unwrap().len()
        });
        days.max().unwrap()
    };
    let (first, last) = (largest(), largest());
    let row = Row::of(
        "stored state in the second of two simulated years, at most",
        format!("{last} bytes"),
    );
    let row = row.beside(format!("in the first: {first} bytes"));
    table.add(row.budget("no growth: within 5 %", last * 100 <= first * 105));
}

fn grown(table: &mut Table, issuer: &Issuer, lab: &Lab) {
    renew(issuer, lab, 0..FIRST_RENEWALS);
    kept(&lab.socket());
    reload(lab, 10);
    let before = resident(lab.pid());
    let began = Instant::now();
    let (mut renewals, mut reloads) = (FIRST_RENEWALS, 10);
    while renewals < RENEWALS && began.elapsed() < LONGEST {
        renew(issuer, lab, renewals..renewals + 200);
        kept(&lab.socket());
        reload(lab, 10);
        (renewals, reloads) = (renewals + 200, reloads + 10);
    }
    let after = resident(lab.pid());
    let reads = ((renewals - FIRST_RENEWALS) / 200 + 1) * 20_000;
    let what = format!(
        "resident memory after {} renewals, {} reads and {reloads} reloads",
        grouped(renewals as u64),
        grouped(reads as u64),
    );
    let row = Row::of(&what, mib(after))
        .beside(format!("after {FIRST_RENEWALS} renewals: {}", mib(before)));
    table.add(row.budget("no growth: within 5 %", after <= before * 1.05));
}

/// An admin's order, since deaths that soon after one another would have to wait.
fn renew(issuer: &Issuer, lab: &Lab, rounds: std::ops::Range<usize>) {
    for round in rounds {
        let name = name(round % SESSIONS);
        let old = lab.token(&name).unwrap();
        let path = format!("/v1/sessions/{name}/renew?wait=10s");
        let answer =
            request(&lab.socket(), "POST", &path, "application/json", "").expect("an answer");
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        let renewed = || {
            lab.token(&name)
                .is_some_and(|token| token != old && issuer.lives(&token))
                .then_some(())
        };
        within(Duration::from_secs(10), "the file", renewed);
    }
}

fn reload(lab: &Lab, times: usize) {
    for _ in 0..times {
        assert!(lab.run(&["reload"]).status.success());
    }
}

fn reader(table: &mut Table, issuer: &Issuer, lab: &Lab) {
    let stop = Arc::new(AtomicBool::new(false));
    let (path, stopped, socket) = (lab.path("run/tokens/s0"), Arc::clone(&stop), lab.socket());
    let renewals = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            request(
                &socket,
                "POST",
                "/v1/sessions/s0/renew?wait=5s",
                "application/json",
                "",
            );
        }
    });
    let mut seen: Vec<String> = Vec::new();
    let mut missing = 0;
    for _ in 0..READS {
        match fs::read_to_string(&path) {
            Ok(token) if seen.last() != Some(&token) => seen.push(token),
            Ok(_) => {}
            Err(_) => missing += 1,
        }
    }
    stop.store(true, Ordering::Relaxed);
    renewals.join().unwrap();
    let places: BTreeMap<String, usize> = issuer.issued().into_iter().zip(0..).collect();
    let torn = seen
        .iter()
        .filter(|token| !places.contains_key(*token))
        .count();
    let older = seen
        .windows(2)
        .filter(|pair| places.get(&pair[0]) > places.get(&pair[1]))
        .count();
    let figure = format!(
        "{missing} missing, {torn} torn, {older} older, in {} replacements",
        seen.len() - 1
    );
    let row = Row::of(
        "10^6 reads of a token file while it is replaced without pause",
        figure,
    );
    let row = row.beside("k5start, rewriting in place: 498 of 711,072");
    table.add(row.budget("0", missing + torn + older == 0));
}
