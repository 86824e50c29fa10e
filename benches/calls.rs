//! How many calls it takes to keep a session alive, and how much time to decide upon them.
//!
//! Prints calls a day and the share of time in which the published token works, over 180 simulated days, beside what
//! others do. `cargo bench --bench calls`.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a program that prints"
)]

use std::time::Duration;

use keepfresh::session::policy::{LoginBy, Policy, WindowModel};
use keepfresh::time::Instant;
use keepfresh::{clock, secret, session, time, token};

#[path = "../src/session/simulation/model.rs"]
mod model;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../src/session/simulation/world.rs"]
mod world;

use model::{Rules, Server};
use world::{Faults, World};

const HALF_A_YEAR: Duration = Duration::from_hours(180 * 24);
const DAYS: f64 = 180.0;

fn main() {
    println!("{:>8} {:<28} {:>9} {:>10} {:>12} {:>10}", "T", "who", "calls/day", "logins", "available", "wall");
    for minutes in [15, 120, 1440] {
        let timeout = Duration::from_mins(minutes);
        for failing in [0, 20] {
            compare(timeout, failing);
        }
    }
}

fn compare(timeout: Duration, failing: u64) {
    let ideal = 86_400.0 / timeout.as_secs_f64() * 2.0;
    println!(
        "--- T = {timeout:?}, {} of calls fail; a half window at best: {ideal:.0} a day",
        if failing == 0 { "none" } else { "5 %" }
    );
    keepfresh(timeout, failing, true, "keepfresh, shared, in use");
    keepfresh(timeout, failing, false, "keepfresh, nobody else");
    simple(timeout, failing, Duration::from_mins(2), Simple::Ping, "a ping every two minutes");
    simple(timeout, failing, Duration::from_mins(15), Simple::Login, "a login every 15 minutes");
    simple(timeout, failing, timeout / 5 * 4, Simple::Ping, "a ping at 80 % of T");
}

fn keepfresh(timeout: Duration, failing: u64, shared: bool, who: &str) {
    let hidden_uses = shared.then_some(timeout / 3);
    let faults = Faults { refused_calls: failing, hidden_uses, ..Faults::default() };
    let rules = Rules::new(WindowModel::HalfWindow, timeout);
    let mut world = World::new(&policy(timeout, shared), 1, rules, faults, 1);
    let begun = clock::boottime();
    world.run(HALF_A_YEAR);
    let wall = clock::boottime().since(begun);
    row(timeout, who, world.calls, world.server.tally.logins, world.good, Some(wall));
    if failing == 0 {
        let each = wall.as_nanos() / u128::from(world.steps.max(1));
        println!("{:>8} {:<28} {} steps, {each} ns each", "", "", world.steps);
    }
}

#[derive(Clone, Copy)]
enum Simple {
    Ping,
    Login,
}

/// What scripts do: one thing at a fixed pace, and a login when the token turns out dead.
fn simple(timeout: Duration, failing: u64, pace: Duration, what: Simple, who: &str) {
    let mut server = Server::new(Rules::new(WindowModel::HalfWindow, timeout));
    let mut seed = session::backoff::Seed(1);
    let (mut now, mut calls, mut good, mut next_use) =
        (Instant::from_millis(0), 0, Duration::ZERO, Instant::from_millis(0));
    let end = now.after(HALF_A_YEAR);
    let mut token = String::new();
    while now < end {
        let fails = failing > 0 && seed.draw().is_multiple_of(failing);
        let wants_login = matches!(what, Simple::Login) || token.is_empty();
        calls += 1;
        if !fails && (wants_login || server.ping(&token, now) != session::answer::Verdict::Alive) {
            calls += u64::from(!wants_login);
            if let session::answer::Verdict::Good(grant) = server.login(now) {
                grant.token.access_token.expose().clone_into(&mut token);
            }
        }
        let until = now.after(pace);
        while now < until {
            let to = until.min(next_use.max(now.after(Duration::from_millis(1))));
            if server.lives(&token, to.before(Duration::from_millis(1))) {
                good += to.since(now);
            }
            now = to;
            if now >= next_use {
                server.hidden_use(now);
                next_use = now.after(seed.between(Duration::ZERO, timeout / 3 * 2));
            }
        }
    }
    row(timeout, who, calls, server.tally.logins, good, None);
}

fn row(timeout: Duration, who: &str, calls: u64, logins: u64, good: Duration, wall: Option<Duration>) {
    let share = good.as_secs_f64() / HALF_A_YEAR.as_secs_f64() * 100.0;
    let wall = wall.map_or(String::new(), |wall| format!("{} ms", wall.as_millis()));
    let per_day = as_float(calls) / DAYS;
    println!("{:>7}m {who:<28} {per_day:>9.1} {logins:>10} {share:>10.4} % {wall:>10}", timeout.as_secs() / 60);
}

fn as_float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn policy(timeout: Duration, shared: bool) -> Policy {
    Policy {
        origin: "https://acme.example".into(),
        model: WindowModel::HalfWindow,
        idle_timeout: Some(timeout),
        idle_timeouts: [15, 30, 60, 120, 240, 480, 720, 1440].map(Duration::from_mins).into(),
        max_lifetime: None,
        token_lifetime: None,
        refresh_idle_timeout: None,
        renew_before: None,
        survive_outage: timeout / 10,
        request_timeout: Duration::from_secs(20),
        shared,
        has_ping: true,
        login_may_reuse: false,
        renew_by_profile: false,
        renewal_needs_life: false,
        renewal_kills: false,
        login: LoginBy::Daemon { confirm: true },
        introspect: false,
    }
}
