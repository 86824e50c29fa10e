//! The engine of one session: inputs and time go in, actions come out; it touches nothing itself.
//!
//! [`Session::step`] takes whatever happened and gives what is to be done, in order. [`Session::wake`] tells when time
//! alone will matter next. Deadlines, the next call and what is published are derived from [`state::State`] each time
//! they are asked for, so that none of them can be forgotten.

pub mod account;
pub mod answer;
mod answers;
pub mod backoff;
mod departure;
pub mod event;
mod held_back;
mod hold;
mod inputs;
mod learn;
pub mod plan;
pub mod policy;
pub mod presented;
pub mod recent;
mod restore;
pub mod state;
pub mod view;
pub mod window;

#[cfg(test)]
mod scenarios;
#[cfg(test)]
pub mod simulation;
// Twice, since what the lints let pass in tests they know by that attribute alone.
#[cfg(all(feature = "simulation", not(test)))]
#[expect(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "others take the lives that it makes up, and not the tests beside them"
)]
pub mod simulation;

use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;
use crate::time::Instant;
use account::{Account, Withheld};
use answer::{Answer, Request};
use event::Event;
use policy::Policy;
use presented::Presented;
use state::{Doubt, Health, State};

/// All that can happen to a session.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The call under way is answered.
    Answered {
        /// The answer.
        answer: Answer,
        /// What a login or renewal presented, as far as it was read.
        presented: Option<Presented>,
    },
    /// A call was not made, because its intent could not be stored.
    Unwritten {
        /// Which.
        call: u64,
    },
    /// An admin or the calendar wants something done now.
    Order(Order),
    /// A job used the token of `generation` with success, `age` ago where known.
    Used {
        /// The token's generation.
        generation: u64,
        /// How long ago.
        age: Option<Duration>,
    },
    /// A job saw the token of `generation` fail.
    Rejected {
        /// The token's generation.
        generation: u64,
    },
    /// A reader needs a token that is good for so long.
    Wanted {
        /// For how long.
        validity: Duration,
    },
    /// Jobs hold the token for so long at most, from now; none: no job does any more.
    Held {
        /// For how long.
        lasting: Option<Duration>,
    },
    /// The configured refresh token, read anew, or why it cannot be read.
    Seed(Result<Secret, String>),
    /// A person logged in: what the server gave for what the login brought, always [`answer::Verdict::Good`].
    PersonLoggedIn(Answer),
    /// What the login presents, its secrets read anew.
    SecretsAre(Presented),
    /// The wall clock moved against ours: the machine may have stood still.
    ClockJumped,
    /// The active hours begin or end.
    Active(bool),
    /// The config changed in what it says of a session that stays the same.
    Reconfigured(Arc<Policy>),
    /// No further call may begin.
    Drain,
}

/// What may be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ping now.
    Verify,
    /// Ask the authorization server about the token now.
    Introspect,
    /// Renew now.
    Renew,
    /// Renew, once no job holds the token.
    RenewWhenFree,
    /// Log in now, whatever stopped the account.
    Login,
    /// Withdraw the token and end the session at the server.
    Logout,
    /// As `Logout`, but only until the next start.
    LogoutUntilStart,
    /// Make no more calls.
    Pause,
    /// Go on after a pause.
    Resume,
}

/// All that a session can ask of the world, to be done in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Store the session's state.
    Save,
    /// Store the account's state.
    SaveAccount,
    /// Make this call, and answer with [`Input::Answered`].
    Call(Call),
    /// Tell people.
    Tell(Event),
}

/// One call to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Names the call in its answer.
    pub id: u64,
    /// What to ask.
    pub request: Request,
    /// The longest that it may take.
    pub timeout: Duration,
    /// By when the answer matters: the nearer goes first where calls must queue.
    pub urgent_by: Instant,
    /// What the disk must hold before it leaves.
    pub footing: Footing,
    /// What was refused to other sessions: if the call presents any of it, it must not leave.
    pub withheld: Vec<Withheld>,
}

/// What must be on the disk before a call leaves, so that a daemon killed in its midst does no harm when it starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    /// Nothing: the call may be made twice.
    Free,
    /// Every earlier draw on the account's budget; its own may be written meanwhile, which at worst forgets one login.
    Counted,
    /// All that the actions before it want stored, as far as the disk allows.
    Tried,
    /// The session's state, without fail.
    Stored,
}

/// The engine.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own that any other may accompany"
)]
pub struct Session {
    name: Arc<str>,
    policy: Arc<Policy>,
    state: State,
    in_flight: Option<InFlight>,
    ordered: Option<Request>,
    wanted: Option<Duration>,
    /// Until when jobs hold the token.
    held: Option<Instant>,
    /// A renewal of the calendar's waits for them.
    renewal_waits: bool,
    seed_problem: Option<String>,
    /// What the login presents, as it was read last.
    presented: Option<Box<Presented>>,
    /// Inside the active hours.
    active: bool,
    /// Outside them, but the token is read.
    woken: bool,
    draining: bool,
    /// In a row: a session that failed more often lets the other sessions of the account go first.
    failed_logins: u32,
    /// One more signature with a corrected clock has been tried.
    resigned: bool,
    next_call: u64,
    /// No generation begins below it: the Unix time at the start, and some more than was stored, so that none repeats even
    /// if state was not written.
    generation_floor: u64,
    /// The generation whose loss would cost one login and nothing else.
    replaceable: Option<u64>,
    /// What is older was carried over a reboot by the wall clock, at this moment.
    carried: Option<Instant>,
    record: view::Record,
}

#[derive(Clone, Debug)]
struct InFlight {
    id: u64,
    request: Request,
    /// The login drew on the account's budget.
    counted: bool,
    /// A reader wanted it.
    ordered: bool,
    /// The fingerprint of the refresh token that a renewal presents.
    presents: Option<String>,
}

impl Session {
    /// A session that has no state yet. `floor` is the Unix time in seconds, `seed` any random number.
    pub fn new(
        name: impl Into<Arc<str>>,
        policy: impl Into<Arc<Policy>>,
        now: Instant,
        floor: u64,
        seed: u64,
    ) -> Self {
        Self::with_state(name.into(), policy.into(), State::new(now, seed), floor)
    }

    fn with_state(
        name: Arc<str>,
        policy: Arc<Policy>,
        state: State,
        generation_floor: u64,
    ) -> Self {
        Self {
            name,
            policy,
            state,
            in_flight: None,
            ordered: None,
            wanted: None,
            held: None,
            renewal_waits: false,
            seed_problem: None,
            presented: None,
            active: true,
            woken: false,
            draining: false,
            failed_logins: 0,
            resigned: false,
            next_call: 1,
            generation_floor,
            replaceable: None,
            carried: None,
            record: view::Record::default(),
        }
    }

    /// The number of the latest call that was begun.
    pub fn last_call(&self) -> u64 {
        self.next_call - 1
    }

    /// The session's name in the config.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is to be stored.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the config says.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes what happened at `now`; gives what is to be done, in order.
    ///
    /// At most one call is under way at any time: a further one is given only after the last was answered.
    pub fn step(&mut self, input: Input, now: Instant, account: &mut Account) -> Vec<Action> {
        let mut actions = Vec::new();
        self.let_time_pass(now, account, &mut actions);
        self.take(input, now, account, &mut actions);
        self.let_time_pass(now, account, &mut actions);
        self.forget_pointless_order();
        self.begin_due_call(now, account, &mut actions);
        self.tell_of_spent_budget(now, account, &mut actions);
        actions
    }

    /// When time alone will change something; none while only an input can.
    ///
    /// Changes with every step of this session, and with every step of another session of the same account.
    pub fn wake(&self, now: Instant, account: &Account) -> Option<Instant> {
        let call = self.next(now, account).map(|next| next.at);
        let end = self.state.expires.filter(|_| self.token_may_live());
        let lost = self.is_past_recovery(account).then_some(now);
        [call, self.withdraw_at(), lost, end, self.lapse()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Says once that only the hour's budget holds a login back.
    fn tell_of_spent_budget(&mut self, now: Instant, account: &Account, actions: &mut Vec<Action>) {
        let held = self
            .next(now, account)
            .filter(|next| next.request == Request::Login && account.is_spent(now));
        let due = held.is_some_and(|next| matches!(next.why, plan::Why::Dead | plan::Why::NoToken));
        if due && !self.record.budget_spent {
            let wait = account.login_ready(now).since(now);
            let logins_an_hour = account.logins_an_hour();
            actions.push(Action::Tell(Event::BudgetSpent {
                wait,
                logins_an_hour,
            }));
        }
        self.record.budget_spent = due;
    }

    fn token_may_live(&self) -> bool {
        matches!(self.state.health, Health::Good | Health::Doubtful { .. })
    }

    fn is_dormant(&self) -> bool {
        !self.active && !self.woken
    }

    /// When a session that may lapse does so.
    fn lapse(&self) -> Option<Instant> {
        let lapsed = matches!(
            self.state.health,
            Health::Doubtful {
                why: Doubt::Dormancy,
                ..
            }
        );
        self.idle_deadline().filter(|_| {
            self.is_dormant() && self.token_may_live() && !lapsed && self.acts_on(Doubt::Dormancy)
        })
    }

    /// What the passing of time alone has brought about.
    fn let_time_pass(&mut self, now: Instant, account: &mut Account, actions: &mut Vec<Action>) {
        let ended = self.state.expires.is_some_and(|end| end <= now);
        if ended && self.token_may_live() {
            self.token_died(now, answers::death::Death::Expired, account, actions);
        }
        self.drop_doubt_that_nothing_settles();
        // The reader who woke it has what was wanted: outside the active hours nothing more is done for it.
        if self.state.health == Health::Good && self.wanted.is_none() {
            self.woken = false;
        }
        if self.lapse().is_some_and(|at| at <= now) {
            self.doubt(now, Doubt::Dormancy);
        }
        if self.withdraw_at().is_some_and(|at| at <= now) || self.is_past_recovery(account) {
            self.withdraw();
            actions.push(Action::Save);
        }
    }

    /// The token is dead, still readable, and nothing that the daemon could do brings another: an account that another
    /// session stopped, say.
    fn is_past_recovery(&self, account: &Account) -> bool {
        let readable = matches!(
            self.state.health,
            Health::Dead {
                withdrawn: false,
                ..
            }
        );
        readable && self.in_flight.is_none() && self.attention(account).is_some()
    }

    /// Only a ping sent from now on decides whether the token lives.
    fn doubt(&mut self, now: Instant, why: Doubt) {
        let why = match self.state.health {
            Health::Missing | Health::Dead { .. } => return,
            // A graver doubt, under which the token may not be read, is not eased by another.
            Health::Doubtful {
                why: graver @ (Doubt::Absence | Doubt::Dormancy | Doubt::Reissue),
                ..
            } if why != Doubt::Dormancy => graver,
            Health::Good | Health::Doubtful { .. } => why,
        };
        if self.acts_on(why) {
            self.state.health = Health::Doubtful { since: now, why };
        }
    }

    /// The ping, or the last way to another token, may be gone since the doubt arose.
    fn drop_doubt_that_nothing_settles(&mut self) {
        if matches!(self.state.health, Health::Doubtful { why, .. } if !self.acts_on(why)) {
            self.state.health = Health::Good;
        }
    }

    /// Without a ping nothing can be found out: then a token is replaced where the server or a job spoke against it, it
    /// lapsed, or its end was reckoned by a wall clock that proved wrong; but not because an answer was lost.
    fn acts_on(&self, why: Doubt) -> bool {
        let replaceable = self.can_renew() || self.can_login();
        let replaces = match why {
            Doubt::Absence | Doubt::Renewal => false,
            Doubt::ClockJump => replaceable && self.rests_on_the_wall_clock(),
            Doubt::Report
            | Doubt::Ambiguous
            | Doubt::Introspection
            | Doubt::Dormancy
            | Doubt::Reissue
            | Doubt::Youth => replaceable,
        };
        self.policy.has_ping || replaces
    }
}
