//! A daemon, a server and the network between them, in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::mishaps::{Faults, Happening, MISHAPS, Outage};
use super::model::{Rules, Server};
use crate::secret::Secret;
use crate::session::account::Account;
use crate::session::answer::{Answer, Request, Verdict};
use crate::session::backoff::Seed;
use crate::session::policy::Policy;
use crate::session::presented::Presented;
use crate::session::state::{Health, State};
use crate::session::view::Publication;
use crate::session::{Action, Call, Footing, Input, Session};
use crate::time::Instant;

/// More calls in one hour than any session may make, whatever it is told.
pub const MOST_CALLS_PER_HOUR: u64 = 8_000;

/// The world of one account.
pub struct World {
    /// The time.
    pub now: Instant,
    /// The server.
    pub server: Server,
    /// The account.
    pub account: Account,
    /// How many steps the engine took.
    pub steps: u64,
    /// How many calls were made.
    pub calls: u64,
    /// How long a token was published that worked, and how long in all.
    pub good: Duration,
    /// For how long the world has run.
    pub run: Duration,
    pub(super) daemons: Vec<Daemon>,
    pub(super) faults: Faults,
    pub(super) outage: Outage,
    pub(super) healthy_since: Instant,
    pub(super) seed: Seed,
    pub(super) happenings: BinaryHeap<Reverse<(Instant, u64, Happening)>>,
    pub(super) sequence: u64,
}

pub(super) struct Daemon {
    session: Session,
    stored: State,
    call: Option<(Call, Answer)>,
    crash_at_answer: bool,
    bad_since: Option<Instant>,
    hour: (i64, u64),
}

impl World {
    /// So many sessions of one policy.
    pub fn new(policy: &Policy, sessions: u32, rules: Rules, faults: Faults, seed: u64) -> Self {
        let now = Instant::from_millis(0);
        let mut account = Account::new(now, seed);
        account.sessions = sessions;
        let daemons = (0..sessions)
            .map(|index| Daemon::new(index, policy.clone(), now, seed))
            .collect();
        let mut world = Self {
            now,
            server: Server::new(rules),
            account,
            steps: 0,
            calls: 0,
            good: Duration::ZERO,
            run: Duration::ZERO,
            daemons,
            faults,
            outage: Outage::None,
            healthy_since: now,
            seed: Seed(seed),
            happenings: BinaryHeap::new(),
            sequence: 0,
        };
        for happening in MISHAPS {
            world.schedule_next(happening);
        }
        world.plan(now.after(LOOK_EVERY), Happening::Look);
        world
    }

    /// One of the sessions.
    pub fn session(&self, index: usize) -> &Session {
        &self.daemons[index].session
    }

    /// A person logs in and puts the refresh token into its secret.
    pub fn give_refresh_token(&mut self, index: usize) {
        let refresh = self.server.consent();
        self.step(index, Input::Seed(Ok(Secret::new(refresh))));
    }

    /// Lets `time` pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now.after(time);
        (0..self.daemons.len()).for_each(|index| self.step(index, Input::Tick));
        loop {
            let wake = self.soonest_wake();
            let happening = self.happenings.peek().map(|Reverse((at, _, _))| *at);
            let next = wake
                .map(|(at, _)| at)
                .into_iter()
                .chain(happening)
                .min()
                .filter(|at| *at <= end);
            let Some(at) = next else { break };
            self.pass(at);
            match wake.filter(|(wake, _)| happening.is_none_or(|happening| *wake < happening)) {
                Some((_, index)) => self.step(index, Input::Tick),
                None => self.happen(),
            }
        }
        self.pass(end);
    }

    pub(super) fn pass(&mut self, to: Instant) {
        let passed = to.since(self.now);
        self.run += passed;
        let token = self.daemons[0]
            .session
            .state()
            .token
            .as_ref()
            .map(|token| token.access_token.expose().to_owned());
        let shown = self.daemons[0].session.publication(self.now) != Publication::Withdraw;
        if shown && token.is_some_and(|token| self.server.lives(&token, self.now)) {
            self.good += passed;
        }
        self.now = self.now.max(to);
    }

    fn soonest_wake(&self) -> Option<(Instant, usize)> {
        let wakes = self.daemons.iter().enumerate();
        wakes
            .filter_map(|(index, daemon)| {
                Some((daemon.session.wake(self.now, &self.account)?, index))
            })
            .min()
    }

    pub(super) fn chance(&mut self, of: u64) -> bool {
        of > 0 && self.seed.draw().is_multiple_of(of)
    }

    pub(super) fn step(&mut self, index: usize, input: Input) {
        self.steps += 1;
        let actions = self.daemons[index]
            .session
            .step(input, self.now, &mut self.account);
        for action in actions {
            match action {
                Action::Save => self.daemons[index].store(),
                Action::Call(call) => {
                    if self.chance(self.faults.crashes) {
                        self.crash(index, &call);
                        return;
                    }
                    self.call(index, call);
                }
                Action::SaveAccount | Action::Tell(_) => {}
            }
        }
        let wake = self.daemons[index].session.wake(self.now, &self.account);
        assert!(
            wake.is_none_or(|wake| wake > self.now),
            "a wake that changes nothing: {}",
            self.describe(index)
        );
        self.look(index);
    }

    /// The process dies around a call: before it leaves, before its answer, or before the answer is stored.
    fn crash(&mut self, index: usize, call: &Call) {
        match self.seed.draw() % 3 {
            0 => self.restart(index),
            1 => {
                self.travel(index, call);
                self.restart(index);
            }
            _ => {
                self.call(index, call.clone());
                self.daemons[index].crash_at_answer = true;
            }
        }
    }

    pub(super) fn restart(&mut self, index: usize) {
        let daemon = &mut self.daemons[index];
        let state: State =
            serde_json::from_str(&serde_json::to_string(&daemon.stored).unwrap()).unwrap();
        let name = daemon.session.name().to_owned();
        self.account.release(&name);
        daemon.session = Session::restore(
            name.as_str(),
            daemon.session.policy().clone(),
            state,
            self.now,
            1,
            true,
        );
        daemon.call = None;
        daemon.crash_at_answer = false;
        self.step(index, Input::Tick);
    }

    fn call(&mut self, index: usize, call: Call) {
        self.calls += 1;
        let daemon = &mut self.daemons[index];
        assert!(daemon.call.is_none(), "two calls under way");
        assert!(
            call.footing != Footing::Stored || daemon.stored.intent,
            "a durable call without its intent"
        );
        let hour = self.now.as_millis() / 3_600_000;
        daemon.hour = if daemon.hour.0 == hour {
            (hour, daemon.hour.1 + 1)
        } else {
            (hour, 1)
        };
        assert!(
            daemon.hour.1 < MOST_CALLS_PER_HOUR,
            "a hot loop of {:?} at {:?}",
            call.request,
            self.now
        );
        let answer = self.travel(index, &call);
        self.plan(answer.received, Happening::Answer(index));
        self.daemons[index].call = Some((call, answer));
    }

    /// The server answers, or the network does not let it.
    fn travel(&mut self, index: usize, call: &Call) -> Answer {
        let latency = self
            .seed
            .between(Duration::from_millis(20), Duration::from_millis(900));
        let refused = self.chance(self.faults.refused_calls);
        let throttled = self.chance(self.faults.throttling);
        let presented = presented();
        if let Some(withheld) = call
            .withheld
            .iter()
            .find(|withheld| withheld.is_in(&presented))
        {
            let verdict = Verdict::Refused {
                confirm: false,
                what: withheld.what,
            };
            let (sent, received, detail) = (self.now, self.now, "withheld".into());
            return Answer {
                call: call.id,
                sent,
                received,
                verdict,
                detail,
                remedy: None,
                counted: false,
                skew_millis: None,
                odd: false,
                quotas: Vec::new(),
            };
        }
        let lost = self.chance(self.faults.lost_answers);
        let (verdict, took, counted) = match self.outage {
            Outage::Refusing => (Verdict::Unavailable, latency, false),
            Outage::Hanging => (unanswered(call.request), call.timeout, true),
            Outage::None if refused => (Verdict::Unavailable, latency, false),
            Outage::None if throttled => {
                let wait = self.seed.between(Duration::ZERO, Duration::from_mins(2));
                (
                    Verdict::Throttled {
                        retry_after: Some(wait),
                    },
                    latency,
                    true,
                )
            }
            Outage::None if lost => {
                self.ask(index, call);
                (unanswered(call.request), call.timeout, true)
            }
            Outage::None => (self.ask(index, call), latency.min(call.timeout), true),
        };
        let (sent, received) = (self.now, self.now.after(took));
        let detail = verdict.word().into();
        Answer {
            call: call.id,
            sent,
            received,
            verdict,
            detail,
            remedy: None,
            counted,
            skew_millis: None,
            odd: false,
            quotas: Vec::new(),
        }
    }

    fn ask(&mut self, index: usize, call: &Call) -> Verdict {
        let session = &self.daemons[index].session;
        let token = session
            .state()
            .token
            .as_ref()
            .map_or("", |token| token.access_token.expose())
            .to_owned();
        let refresh = session
            .state()
            .refresh
            .as_ref()
            .map_or("", |refresh| refresh.token.expose())
            .to_owned();
        match call.request {
            Request::Ping => self.server.ping(&token, self.now),
            Request::Login => self.server.login(self.now),
            Request::Renew => {
                let other_way = session.can_login() || self.server.lives(&token, self.now);
                assert!(
                    !(other_way && self.server.is_spent(&refresh)),
                    "a spent refresh token: {}",
                    self.describe(index)
                );
                self.server.renew(&refresh, self.now)
            }
            Request::Introspect => Verdict::Introspected {
                active: self.server.lives(&token, self.now),
                remaining: None,
            },
            Request::Logout => Verdict::LoggedOut,
        }
    }

    pub(super) fn answer(&mut self, index: usize) {
        let daemon = &mut self.daemons[index];
        // The call may have gone down with its process.
        let Some((_, answer)) = daemon
            .call
            .take_if(|(_, answer)| answer.received <= self.now)
        else {
            return;
        };
        if daemon.crash_at_answer {
            self.restart(index);
            return;
        }
        self.step(
            index,
            Input::Answered {
                answer,
                presented: Some(presented()),
            },
        );
    }

    fn describe(&self, index: usize) -> String {
        let session = &self.daemons[index].session;
        let next = session.next(self.now, &self.account);
        format!(
            "{:?} {:?} {next:?}\n{:?}\n{:?}",
            self.now,
            session.under_way(),
            session.state(),
            self.account
        )
    }

    /// What must hold at any moment.
    pub(super) fn look(&mut self, index: usize) {
        let session = &self.daemons[index].session;
        let wake = session.wake(self.now, &self.account);
        if let Health::Dead { since, .. } = session.state().health {
            let late = self.now.since(since) > Duration::from_secs(5);
            assert!(
                !late || session.publication(self.now) == Publication::Withdraw,
                "a dead token is shown: {}",
                self.describe(index)
            );
        }
        let stuck =
            wake.is_none() && session.under_way().is_none() && self.account.in_flight.is_none();
        assert!(
            !stuck || session.attention(&self.account).is_some() || session.state().paused,
            "stuck: {}",
            self.describe(index)
        );
        let well =
            session.state().health == Health::Good || session.attention(&self.account).is_some();
        let daemon = &mut self.daemons[index];
        daemon.bad_since = if well {
            None
        } else {
            daemon.bad_since.or(Some(self.now))
        };
        let bad_since = daemon.bad_since.map(|since| since.max(self.healthy_since));
        let healthy = self.outage == Outage::None;
        let slow =
            healthy && bad_since.is_some_and(|since| self.now.since(since) > LONGEST_RECOVERY);
        assert!(!slow, "no recovery: {}", self.describe(index));
    }
}

impl Daemon {
    fn new(index: u32, policy: Policy, now: Instant, seed: u64) -> Self {
        let session = Session::new(format!("s{index}"), policy, now, 1, seed + u64::from(index));
        let stored = session.state().clone();
        Self {
            session,
            stored,
            call: None,
            crash_at_answer: false,
            bad_since: None,
            hour: (0, 0),
        }
    }

    fn store(&mut self) {
        self.stored = self.session.state().clone();
    }
}

/// All sessions of the account have one secret.
fn presented() -> Presented {
    let one = || "secret".to_owned();
    Presented {
        secrets: Some(one()),
        credential: Some(one()),
        client: Some(one()),
        config: one(),
    }
}

/// What an answer that never came is for the provider.
fn unanswered(request: Request) -> Verdict {
    if request == Request::Renew {
        Verdict::InDoubt
    } else {
        Verdict::Unavailable
    }
}

pub(super) const LOOK_EVERY: Duration = Duration::from_mins(30);
/// Once the server answers again: the longest back-off, some logins of the budget, some lost answers.
const LONGEST_RECOVERY: Duration = Duration::from_mins(40);
