//! How many calls it takes to keep a session alive, and how well it is kept, over 180 simulated days beside what scripts do.
//!
//! *Available* is the share of time in which the published token worked. *Busy* is a session that others use unseen every
//! T/3 on average, which under Salesforce's half window moves its end without anybody's knowledge.

use std::time::Duration;

use keepfresh::clock;
use keepfresh::session::answer::Verdict;
use keepfresh::session::backoff::Seed;
use keepfresh::session::policy::WindowModel;
use keepfresh::session::simulation::mishaps::Faults;
use keepfresh::session::simulation::model::{Rules, Server};
use keepfresh::session::simulation::world::World;
use keepfresh::time::Instant;

use crate::life::policy;
use crate::table::{Row, Table, grouped, shown};

pub(crate) const HALF_A_YEAR: Duration = Duration::from_hours(180 * 24);
const DAYS: f64 = 180.0;

pub(crate) fn measure(table: &mut Table) {
    for (minutes, word) in [(15, "15 min"), (120, "2 h"), (1440, "24 h")] {
        for failing in [0, 20] {
            for busy in [false, true] {
                compare(table, Duration::from_mins(minutes), word, failing, busy);
            }
        }
    }
    let lives = (0..5).map(|_| keepfresh(Duration::from_hours(2), 0, true, true));
    let quickest = lives.map(|kept| kept.spent).min().unwrap();
    let row = Row::of(
        "180 simulated days at T = 2 h with their model server, processor time",
        shown(quickest),
    );
    table.add(row.budget("50 ms", quickest < Duration::from_millis(50)));
}

/// What half a year took.
struct Kept {
    calls: u64,
    logins: u64,
    good: Duration,
    spent: Duration,
}

impl Kept {
    fn shown(&self) -> String {
        format!(
            "{:.1}, {}, {:.2} %",
            self.calls as f64 / DAYS,
            grouped(self.logins),
            self.share()
        )
    }

    /// Without what went well.
    fn in_short(&self) -> String {
        let logins = if self.logins == 1 {
            String::new()
        } else {
            format!(", {} logins", grouped(self.logins))
        };
        let share = if self.share() >= 99.995 {
            String::new()
        } else {
            format!(", {:.2} %", self.share())
        };
        format!("{:.1}{logins}{share}", self.calls as f64 / DAYS)
    }

    fn share(&self) -> f64 {
        self.good.as_secs_f64() / HALF_A_YEAR.as_secs_f64() * 100.0
    }
}

fn compare(table: &mut Table, timeout: Duration, word: &str, failing: u64, busy: bool) {
    let ideal = 86_400.0 / timeout.as_secs_f64() * 2.0;
    let kept = keepfresh(timeout, failing, busy, true);
    let [often, logins, late] = [
        (Duration::from_mins(2), Simple::Ping),
        (Duration::from_mins(15), Simple::Login),
        (timeout / 5 * 4, Simple::Ping),
    ]
    .map(|(pace, what)| simple(timeout, failing, pace, what, busy).in_short());
    let use_of_it = if busy { "busy" } else { "quiet" };
    let failures = if failing == 0 {
        ""
    } else {
        ", 5 % of calls fail"
    };
    let what =
        format!("T = {word}, {use_of_it}{failures}: calls a day, logins in 180 days, available");
    let alone = if busy {
        String::new()
    } else {
        keepfresh(timeout, failing, false, false).in_short()
    };
    let alone = if busy {
        alone
    } else {
        format!("; {alone} with `shared = false`")
    };
    let row = Row::of(&what, format!("{}{alone}", kept.shown())).beside(format!(
        "at best {ideal:.0}; a ping every 2 min {often}; a login every 15 min {logins}; a ping at 80 % of T {late}"
    ));
    let kept_well = kept.logins == 1 && kept.good + Duration::from_secs(10) > HALF_A_YEAR;
    table.add(match (failing, word) {
        (0, "2 h") => row.budget(
            "30 a day, 1 login",
            kept_well && kept.calls as f64 <= 30.0 * DAYS + 1.0,
        ),
        (0, _) => row.budget("1 login", kept_well),
        _ => row,
    });
}

fn keepfresh(timeout: Duration, failing: u64, busy: bool, shared: bool) -> Kept {
    let hidden_uses = busy.then_some(timeout / 3);
    let faults = Faults {
        refused_calls: failing,
        hidden_uses,
        ..Faults::default()
    };
    let rules = Rules::new(WindowModel::HalfWindow, timeout);
    let mut world = World::new(&policy(timeout, shared), 1, rules, faults, 1);
    let begun = clock::processor_time();
    world.run(HALF_A_YEAR);
    let spent = clock::processor_time().saturating_sub(begun);
    Kept {
        calls: world.calls,
        logins: world.server.tally.logins,
        good: world.good,
        spent,
    }
}

#[derive(Clone, Copy)]
enum Simple {
    Ping,
    Login,
}

/// What scripts do: one thing at a fixed pace, and a login when the token turns out dead.
fn simple(timeout: Duration, failing: u64, pace: Duration, what: Simple, busy: bool) -> Kept {
    let mut server = Server::new(Rules::new(WindowModel::HalfWindow, timeout));
    let mut seed = Seed(1);
    let begin = Instant::from_millis(0);
    let (mut now, mut calls, mut good) = (begin, 0, Duration::ZERO);
    let end = now.after(HALF_A_YEAR);
    let mut next_use = if busy { begin } else { end.after(timeout) };
    let mut token = String::new();
    while now < end {
        let fails = failing > 0 && seed.draw().is_multiple_of(failing);
        let wants_login = matches!(what, Simple::Login) || token.is_empty();
        calls += 1;
        if !fails && (wants_login || server.ping(&token, now) != Verdict::Alive) {
            calls += u64::from(!wants_login);
            if let Verdict::Good(grant) = server.login(now) {
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
    Kept {
        calls,
        logins: server.tally.logins,
        good,
        spent: Duration::ZERO,
    }
}
