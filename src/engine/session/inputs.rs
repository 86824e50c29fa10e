//! What each input changes, answers aside.

use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::answer::Request;
use super::event::Event;
use super::policy::Policy;
use super::presented::Presented;
use super::state::{Doubt, Health, Refresh};
use super::window::Success;
use super::{Action, Input, Order, Session};
use crate::secret::Secret;
use crate::time::Instant;

/// After a jump of the clock the pings of many sessions are spread over so much, or less before a deadline.
const SPREAD_AFTER_JUMP: Duration = Duration::from_secs(10);

/// After false reports the next costs a call only after 1 s, 2 s, 4 s … up to this.
const LONGEST_REPORT_PAUSE: Duration = Duration::from_mins(5);

impl Session {
    pub(super) fn take(
        &mut self,
        input: Input,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        match input {
            Input::Tick => {}
            Input::Answered { answer, presented } => {
                self.answered(answer, presented, now, account, actions);
            }
            Input::Unwritten { call } => self.unwritten(call, now, account, actions),
            Input::Order(order) => self.order(order, now, account, actions),
            Input::Used { generation, age } => self.used(generation, age, now),
            Input::Rejected { generation } => self.rejected(generation, now, actions),
            Input::Wanted { validity } => self.want(validity, now, actions),
            Input::Held { lasting } => self.hold(lasting, now),
            Input::Seed(seed) => self.seed(seed, now, account, actions),
            Input::PersonLoggedIn(answer) => self.person_logged_in(&answer, now, account, actions),
            Input::SecretsAre(presented) => self.secrets_are(presented, now, account, actions),
            Input::ClockJumped => self.clock_jumped(now),
            Input::Active(active) => self.set_active(active, actions),
            Input::Reconfigured(policy) => self.reconfigured(policy),
            Input::Drain => self.draining = true,
        }
    }

    fn unwritten(
        &mut self,
        call: u64,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let Some(call) = self.in_flight.take_if(|in_flight| in_flight.id == call) else {
            return;
        };
        match call.request {
            Request::Renew => {
                self.state.intent = false;
                self.state
                    .renew_backoff
                    .failed(now, super::backoff::CEILING, &mut self.state.seed);
                actions.push(Action::Save);
            }
            Request::Login => {
                account.login_came_back();
                actions.push(Action::SaveAccount);
            }
            Request::Ping | Request::Introspect | Request::Logout => {}
        }
    }

    fn order(
        &mut self,
        order: Order,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        match order {
            Order::Verify => {
                self.order_duty(Request::Ping, self.token_may_live() && self.policy.has_ping);
            }
            Order::Introspect => self.order_duty(Request::Introspect, self.token_may_live()),
            Order::Renew => self.order_duty(Request::Renew, self.may_renew(account)),
            Order::RenewWhenFree => self.renew_when_free(now, account),
            Order::Login => self.order_login(account),
            Order::Logout => self.order_logout(),
            Order::LogoutUntilStart => self.order_logout_until_start(),
            Order::Pause => self.set_paused(true, now, actions),
            Order::Resume => self.set_paused(false, now, actions),
        }
        actions.push(Action::Save);
    }

    /// A duty of the calendar, too, may order these: neither overrides a logout, nor anything ordered before.
    pub(super) fn order_duty(&mut self, request: Request, possible: bool) {
        if self.state.logged_out || self.ordered.is_some() || self.is_under_way(request) {
            return;
        }
        self.woken |= self.is_dormant();
        self.ordered = possible.then_some(request);
    }

    /// What is stopped is not sent, and a refresh token that may be spent is not presented on an order.
    pub(super) fn may_renew(&self, account: &Account) -> bool {
        self.can_renew() && !self.is_stopped(Request::Renew, account) && !self.state.in_doubt
    }

    /// A person's login is not held back by a stop or the budget; where only a refresh token can log in, it is presented.
    fn order_login(&mut self, account: &mut Account) {
        if std::mem::take(&mut self.state.logged_out) {
            self.have_no_use_for_the_token();
        }
        self.state.learned = None;
        self.state.spent_seed = None;
        self.try_again();
        if self.can_login() {
            self.ordered = Some(Request::Login);
        } else if self.can_renew() {
            account.reopen(self.attempt(Request::Renew));
            self.ordered = Some(Request::Renew);
        }
        self.ordered = self.ordered.filter(|_| !self.is_under_way(Request::Login));
    }

    /// Whether the call under way is what an order would bring about. A second renewal would present the same refresh
    /// token again if the first one's answer were lost; a second ping proves more than one that is half done.
    pub fn is_under_way(&self, ordered: Request) -> bool {
        let way = if ordered == Request::Login && !self.can_login() {
            Request::Renew
        } else {
            ordered
        };
        matches!(way, Request::Login | Request::Renew) && self.under_way() == Some(way)
    }

    /// Whether an order to verify or renew is not held back by another one.
    pub fn takes_duties(&self) -> bool {
        !matches!(
            self.ordered,
            Some(Request::Login | Request::Logout | Request::Introspect)
        )
    }

    fn order_logout(&mut self) {
        self.state.logged_out = true;
        self.state.deaths.forget();
        let coming = matches!(self.under_way(), Some(Request::Login | Request::Renew));
        self.ordered = (coming || self.state.token.is_some()).then_some(Request::Logout);
        if self.ordered.is_none() {
            self.state.health = Health::Missing;
        }
    }

    fn order_logout_until_start(&mut self) {
        self.state.until_start = true;
        self.order_logout();
        if self.ordered.is_none() {
            self.stand_by_for_start();
        }
    }

    /// It was logged out: should the server not have heard of that, readers still do not get it again.
    fn have_no_use_for_the_token(&mut self) {
        if self.token_may_live() {
            self.state.health = Health::Missing;
        }
    }

    /// Nothing more happens in this run, and the next one logs in.
    pub(super) fn stand_by_for_start(&mut self) {
        self.have_no_use_for_the_token();
        self.state.logged_out = false;
        self.state.until_start = false;
        self.draining = true;
    }

    fn set_paused(&mut self, paused: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.state.paused == paused {
            return;
        }
        self.state.paused = paused;
        if !paused && self.idle_deadline().is_some_and(|deadline| deadline <= now) {
            self.doubt(now, Doubt::Absence);
        }
        actions.push(Action::Tell(if paused {
            Event::Paused
        } else {
            Event::Resumed
        }));
    }

    fn used(&mut self, generation: u64, age: Option<Duration>, now: Instant) {
        if generation != self.state.generation || !self.token_may_live() {
            return;
        }
        match (age, &mut self.state.bounds) {
            (Some(age), _) => {
                let at = now.before(age).max(self.state.token_since);
                self.extend(Success {
                    sent: at,
                    received: at,
                    ping: false,
                });
            }
            (None, Some(bounds)) => bounds.hi = bounds.hi.max(now),
            (None, None) => {}
        }
    }

    fn rejected(&mut self, generation: u64, now: Instant, actions: &mut Vec<Action>) {
        let current = generation == self.state.generation && self.state.health == Health::Good;
        let too_soon = self.state.next_report.is_some_and(|next| now < next);
        if !current || too_soon {
            return;
        }
        self.doubt(now, Doubt::Report);
        self.woken |= self.is_dormant();
        self.count_report(now);
        // The server has just been reached by a job: a back-off from earlier failures would only delay the truth.
        self.state.ping_backoff.lift_unless_asked();
        actions.push(Action::Tell(Event::Doubtful { why: Doubt::Report }));
    }

    /// Until the report proves true by a new token, the next ones cost calls more and more rarely.
    fn count_report(&mut self, now: Instant) {
        self.state.next_report = Some(now.after(report_pause(self.state.false_reports)));
        self.state.false_reports = self.state.false_reports.saturating_add(1);
    }

    fn want(&mut self, validity: Duration, now: Instant, actions: &mut Vec<Action>) {
        if self.is_dormant() && self.state.health != Health::Good {
            self.woken = true;
            actions.push(Action::Tell(Event::Woken));
        }
        let promise = self.promise(now);
        let wanted = promise
            .longest
            .map_or(validity, |longest| validity.min(longest));
        if self.state.health == Health::Good
            && promise.valid_for.is_some_and(|valid| valid < wanted)
        {
            self.wanted = Some(wanted);
            self.woken |= self.is_dormant();
        }
    }

    fn seed(
        &mut self,
        seed: Result<Secret, String>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let token = match seed {
            Ok(token) => token,
            Err(problem) => {
                self.seed_problem = Some(problem);
                return;
            }
        };
        self.seed_problem = None;
        let fingerprint = token.fingerprint();
        let descends = self
            .state
            .refresh
            .as_ref()
            .and_then(|refresh| refresh.seed.as_ref())
            == Some(&fingerprint);
        if descends || self.state.spent_seed.as_ref() == Some(&fingerprint) {
            return;
        }
        let seed = Some(fingerprint);
        self.state.refresh = Some(Box::new(Refresh {
            token,
            exercised: now,
            lifetime: None,
            seed,
        }));
        self.state.spent_seed = None;
        self.state.grant_died = None;
        self.state.in_doubt = false;
        self.try_again();
        self.state.renew_backoff.lift();
        account.reopen(self.attempt(Request::Renew));
        actions.extend([
            Action::Tell(Event::Seeded),
            Action::Save,
            Action::SaveAccount,
        ]);
    }

    fn secrets_are(
        &mut self,
        presented: Presented,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let reopened = account.presents(&self.name, &presented, now);
        let changed = self
            .presented
            .as_ref()
            .is_some_and(|before| **before != presented);
        if changed && self.record.budget_spent {
            account.ease(now);
        }
        if reopened {
            actions.push(Action::Tell(Event::Reopened));
        }
        if reopened || changed {
            actions.push(Action::SaveAccount);
        }
        self.presented = Some(Box::new(presented));
    }

    fn clock_jumped(&mut self, now: Instant) {
        // Its ping is under way or has its moment: a clock that jumps on and on must not put it off for ever.
        if matches!(
            self.state.health,
            Health::Doubtful {
                why: Doubt::ClockJump,
                ..
            }
        ) {
            return;
        }
        // An older doubt goes deeper, and says more about what may be shown.
        if self.state.health == Health::Good {
            self.doubt(now, Doubt::ClockJump);
        }
        let room = self
            .idle_deadline()
            .map_or(SPREAD_AFTER_JUMP, |deadline| deadline.since(now) / 4);
        let wait = self
            .state
            .seed
            .between(Duration::ZERO, room.min(SPREAD_AFTER_JUMP));
        self.state.ping_backoff.told_to_spread(now.after(wait));
    }

    fn set_active(&mut self, active: bool, actions: &mut Vec<Action>) {
        if self.active == active {
            return;
        }
        self.active = active;
        self.woken = false;
        actions.push(Action::Tell(if active {
            Event::Woken
        } else {
            Event::Dormant
        }));
    }

    fn reconfigured(&mut self, policy: Arc<Policy>) {
        self.policy = policy;
        self.try_again();
        self.forget_what_the_config_overrules();
    }
}

fn report_pause(false_reports: u32) -> Duration {
    Duration::from_secs(1 << false_reports.min(9)).min(LONGEST_REPORT_PAUSE)
}
