//! What a decision costs: time, and instructions as callgrind counts them, which a busy machine does not change.
//!
//! Each situation runs in a process of its own under valgrind, twice, with more rounds the second time: the difference is
//! what the rounds cost. The reference beside it is what they cost when somebody last looked; more than 5 % above it fails
//! the run. After a new compiler, or for a good reason, the new figure goes into [`SITUATIONS`].

use std::process::Command;
use std::time::{Duration, Instant};

use keepfresh::session::answer::{Request, Verdict};
use keepfresh::session::policy::WindowModel;
use keepfresh::session::{Input, Order};

use crate::calls::HALF_A_YEAR;
use crate::life::{Life, policy};
use crate::table::{Row, Table, grouped, shown};
use keepfresh::session::simulation::mishaps::Faults;
use keepfresh::session::simulation::model::Rules;
use keepfresh::session::simulation::world::World;

/// The word by which this program is asked to do nothing but work.
pub(crate) const WORK: &str = "work";

/// How much more than the reference is a regression.
const TOLERATED: f64 = 1.05;

/// Rounds of the first and of the second run; half a year is one round.
const FEW: u32 = 100;
const MANY: u32 = 600;

struct Situation {
    name: &'static str,
    what: &'static str,
    /// Instructions of one round on 2026-11-30, x86-64, rustc 1.95, as released.
    reference: u64,
    run: fn(u32),
}

const SITUATIONS: [Situation; 7] = [
    Situation {
        name: "idle",
        what: "a look at an idle session",
        reference: 3_205,
        run: idle,
    },
    Situation {
        name: "ping",
        what: "a ping: due, answered",
        reference: 6_764,
        run: ping,
    },
    Situation {
        name: "renewal",
        what: "a renewal: ordered, answered",
        reference: 42_342,
        run: renewal,
    },
    Situation {
        name: "report",
        what: "a job's wrong report: ping, answered",
        reference: 5_544,
        run: report,
    },
    Situation {
        name: "recovery",
        what: "recovery: report, ping, 401, login, token",
        reference: 16_680,
        run: recovery,
    },
    Situation {
        name: "record",
        what: "the state written out as it is stored",
        reference: 33_994,
        run: record,
    },
    Situation {
        name: "half_year",
        what: "180 days at T = 2 h, in use, model server included",
        reference: 108_237_581,
        run: half_year,
    },
];

pub(crate) fn measure(table: &mut Table) {
    let valgrind = Command::new("valgrind").arg("--version").output();
    if !valgrind.is_ok_and(|output| output.status.success()) {
        table.not_measured("instructions of the engine", "valgrind is not installed");
        return;
    }
    for situation in &SITUATIONS {
        let Situation {
            name,
            what,
            reference,
            ..
        } = *situation;
        let (few, many) = if name == "half_year" {
            (0, 1)
        } else {
            (FEW, MANY)
        };
        let instructions = (collected(name, many) - collected(name, few)) / u64::from(many - few);
        let change = (instructions as f64 / reference as f64 - 1.0) * 100.0;
        let met = instructions as f64 <= reference as f64 * TOLERATED;
        if !met {
            table.regressed();
        }
        let figure = format!(
            "{} instructions, {}",
            grouped(instructions),
            shown(time(situation, many))
        );
        let row = Row::of(what, figure).beside(format!("{change:+.1} % of {}", grouped(reference)));
        table.add(row.budget("+5 %", met));
    }
}

/// What one round takes, at its quickest.
fn time(situation: &Situation, rounds: u32) -> Duration {
    let once = || {
        let began = Instant::now();
        (situation.run)(rounds);
        began.elapsed() / rounds
    };
    (0..20).map(|_| once()).min().unwrap()
}

/// How many instructions a process takes that does so many rounds.
fn collected(name: &str, rounds: u32) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args([WORK, name, &rounds.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "valgrind: {}", said.trim());
    let line = said
        .lines()
        .find_map(|line| line.split_once("Collected : "))
        .expect("a count")
        .1;
    line.trim().parse().unwrap()
}

/// Does the rounds of one situation.
pub(crate) fn work(name: &str, rounds: u32) {
    let situation = SITUATIONS
        .iter()
        .find(|situation| situation.name == name)
        .expect("a situation");
    (situation.run)(rounds);
}

fn idle(rounds: u32) {
    let mut life = Life::begun(false);
    life.pass(Duration::from_mins(1));
    for _ in 0..rounds {
        assert!(life.feed(Input::Tick).is_none());
    }
}

fn ping(rounds: u32) {
    let mut life = Life::begun(false);
    for _ in 0..rounds {
        life.wake();
        let call = life.feed(Input::Tick);
        life.answer(call, Request::Ping, Verdict::Alive);
    }
}

fn renewal(rounds: u32) {
    let mut life = Life::begun(true);
    for _ in 0..rounds {
        life.pass(Duration::from_mins(1));
        let call = life.feed(Input::Order(Order::Renew));
        life.granted(call, Request::Renew);
    }
}

fn report(rounds: u32) {
    let mut life = Life::begun(false);
    for _ in 0..rounds {
        life.pass(Duration::from_mins(10));
        let call = life.feed(Input::Rejected {
            generation: life.session.state().generation,
        });
        life.answer(call, Request::Ping, Verdict::Alive);
    }
}

fn recovery(rounds: u32) {
    let mut life = Life::begun(false);
    for _ in 0..rounds {
        life.pass(Duration::from_mins(30));
        let ping = life.feed(Input::Rejected {
            generation: life.session.state().generation,
        });
        let login = life.answer(
            ping,
            Request::Ping,
            Verdict::Dead {
                certain: true,
                for_good: false,
            },
        );
        life.granted(login, Request::Login);
    }
}

fn record(rounds: u32) {
    let life = Life::begun(true);
    for _ in 0..rounds {
        std::hint::black_box(serde_json::to_vec(life.session.state()).unwrap());
    }
}

fn half_year(rounds: u32) {
    let timeout = Duration::from_hours(2);
    for _ in 0..rounds {
        let faults = Faults {
            hidden_uses: Some(timeout / 3),
            ..Faults::default()
        };
        let rules = Rules::new(WindowModel::HalfWindow, timeout);
        World::new(&policy(timeout, true), 1, rules, faults, 1).run(HALF_A_YEAR);
    }
}
