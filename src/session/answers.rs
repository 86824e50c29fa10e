//! What an answer changes: one function for each request, exhaustive over the verdicts.

use std::time::Duration;

use super::account::{Account, Refusal};
use super::answer::{Answer, Grant, Request, Verdict};
use super::backoff::{CEILING, FLOOR};
use super::event::Event;
use super::policy::LoginBy;
use super::state::{Doubt, Forbidden, Health, Introspected, Refresh};
use super::window::{Bounds, Success};
use super::{Action, InFlight, Session};
use crate::time::Instant;

/// What a throttled call waits when the server does not say.
const THROTTLED: Duration = Duration::from_secs(30);
/// Before the ping that confirms an ambiguous no.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// A forbidden ping is repeated no sooner.
const FORBIDDEN_FLOOR: Duration = Duration::from_secs(5);
/// A renewal that meets another one under way is tried so often again.
const CONCURRENT_TRIES: u32 = 3;
const CONCURRENT_PAUSE: Duration = Duration::from_secs(1);
/// An introspected end that leaves less than this share of the timeout is some other clock, not the session's.
const SHORTEST_SHARE: u32 = 128;
/// However near a deadline is.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// No back-off ceiling is lower, however short the session's window.
const LOWEST_CEILING: Duration = Duration::from_secs(5);

/// How a token came to its end.
#[derive(Clone, Debug)]
pub(super) enum Death {
    /// It reached its fixed end.
    Expired,
    /// The server no longer knows it, as a request sent then was told.
    Told { sent: Instant, detail: String },
}

impl Session {
    pub(super) fn answered(
        &mut self,
        answer: Answer,
        secrets: Option<String>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let Some(call) = self.in_flight.take_if(|call| call.id == answer.call) else { return };
        self.record.answered(call.request, &answer, now);
        self.learn_skew(&answer, actions);
        match call.request {
            Request::Ping => self.ping_answered(answer, now, account, actions),
            Request::Introspect => self.introspect_answered(&answer, now),
            Request::Renew => self.renew_answered(&call, answer, secrets, now, account, actions),
            Request::Login => self.login_answered(&call, answer, secrets, now, account, actions),
            Request::Logout => self.logout_answered(answer, actions),
        }
        actions.push(Action::Save);
        if matches!(call.request, Request::Login | Request::Renew) {
            actions.push(Action::SaveAccount);
        }
    }

    fn learn_skew(&mut self, answer: &Answer, actions: &mut Vec<Action>) {
        let Some(millis) = answer.skew_millis.filter(|_| answer.verdict != Verdict::Unavailable) else { return };
        if (millis - self.state.skew_millis).abs() >= 5_000 {
            actions.push(Action::Tell(Event::Skewed { millis }));
        }
        self.state.skew_millis = millis;
    }

    fn ping_answered(&mut self, answer: Answer, now: Instant, account: &mut Account, actions: &mut Vec<Action>) {
        // It reached its fixed end, or an admin logged out, while the ping was under way.
        if !self.token_may_live() {
            return;
        }
        match answer.verdict {
            Verdict::Alive => self.alive(&answer, now, actions),
            Verdict::Dead { certain } => self.ping_said_dead(certain, answer, now, account, actions),
            Verdict::Forbidden { certain } => self.ping_forbidden(certain, answer.detail, now, actions),
            Verdict::Throttled { retry_after } => {
                let wait = retry_after.unwrap_or(THROTTLED);
                self.state.ping_backoff.throttled(now, wait, &mut self.state.seed);
                self.wanted = None;
                actions.push(Action::Tell(Event::Throttled { wait, detail: answer.detail }));
            }
            Verdict::Unavailable
            | Verdict::Good(_)
            | Verdict::Refused { .. }
            | Verdict::GrantDead
            | Verdict::InDoubt
            | Verdict::Concurrent
            | Verdict::Skewed
            | Verdict::LoggedOut
            | Verdict::Introspected { .. } => self.ping_failed(answer.detail, now, actions),
        }
    }

    fn alive(&mut self, answer: &Answer, now: Instant, actions: &mut Vec<Action>) {
        let success = Success { sent: answer.sent, received: answer.received, ping: true };
        self.count_pause_as_proof(answer.sent);
        self.state.spread |= self.state.bounds.is_some();
        self.extend(success);
        self.state.proven = true;
        self.wanted = None;
        self.state.introspected.hinted = true;
        self.state.introspected.due = self.policy.introspect;
        if self.state.ping_backoff.failures > 0 && self.record.failing {
            actions.push(Action::Tell(Event::Answering { failures: self.state.ping_backoff.failures }));
        }
        self.record.failing = false;
        self.state.ping_backoff.succeeded(now);
        if self.state.forbidden.take().is_some_and(|forbidden| !forbidden.tentative) {
            actions.push(Action::Tell(Event::Allowed));
        }
        self.settle_doubt(answer.sent, actions);
    }

    /// A success ends a doubt only when it was sent after the doubt arose.
    fn settle_doubt(&mut self, sent: Instant, actions: &mut Vec<Action>) {
        let Health::Doubtful { since, why } = self.state.health else { return };
        if sent < since {
            return;
        }
        self.state.health = Health::Good;
        // Its "inactive" meant only that we may not look: taken at its word, it would raise this doubt after each ping.
        if why == Doubt::Introspection {
            self.state.introspected.seen_active = false;
        }
        actions.push(Action::Tell(Event::Proven));
    }

    /// Moves the bounds by a success; nothing happens to a token that activity cannot extend.
    pub(super) fn extend(&mut self, success: Success) {
        if let Some(window) = self.window() {
            self.state.bounds = window.after(self.state.bounds, success);
        }
    }

    fn count_pause_as_proof(&mut self, sent: Instant) {
        if let (Some(window), Some(bounds)) = (self.window(), self.state.bounds) {
            self.state.deaths.lived(window.bound_from_death(sent.since(bounds.hi)));
        }
    }

    fn ping_said_dead(
        &mut self,
        certain: bool,
        answer: Answer,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let confirmed = matches!(self.state.health, Health::Doubtful { why: Doubt::Ambiguous, .. });
        if certain || confirmed {
            let death = Death::Told { sent: answer.sent, detail: answer.detail };
            self.token_died(now, death, account, actions);
            return;
        }
        self.doubt(now, Doubt::Ambiguous);
        self.state.ping_backoff.pause(now, CONFIRM_AFTER);
        actions.push(Action::Tell(Event::Doubtful { why: Doubt::Ambiguous }));
    }

    fn ping_forbidden(&mut self, certain: bool, detail: String, now: Instant, actions: &mut Vec<Action>) {
        let known = self.state.forbidden.take();
        let tentative = known.is_none() && !certain;
        let wait = if tentative { CONFIRM_AFTER } else { self.forbidden_pause() };
        let fresh = !tentative && known.as_ref().is_none_or(|forbidden| forbidden.tentative);
        let since = known.map_or(now, |forbidden| forbidden.since);
        self.state.ping_backoff.pause(now, wait);
        self.wanted = None;
        if !tentative && matches!(self.state.health, Health::Doubtful { .. }) {
            self.state.health = Health::Good;
        }
        if fresh {
            actions.push(Action::Tell(Event::Forbidden { detail: detail.clone() }));
        }
        self.state.forbidden = Some(Forbidden { since, detail, tentative });
    }

    /// Half the pace of ordinary pings.
    fn forbidden_pause(&self) -> Duration {
        let pace = self.window().map_or(CEILING, |window| window.proof().saturating_sub(self.survive_outage()));
        (pace * 2).max(FORBIDDEN_FLOOR)
    }

    pub(super) fn ping_failed(&mut self, detail: String, now: Instant, actions: &mut Vec<Action>) {
        self.state.ping_backoff.failed(now, self.ceiling(), &mut self.state.seed);
        self.hurry_before_deadline(now);
        self.wanted = None;
        self.tell_failing(Request::Ping, detail, self.state.ping_backoff.failures, actions);
    }

    /// At least three tries fall inside the outage that must be survived, and one just before its end.
    fn hurry_before_deadline(&mut self, now: Instant) {
        let Some(deadline) = self.idle_deadline().filter(|deadline| *deadline > now) else { return };
        let soon = now.after((self.outage_share() / 4).max(SHORTEST_PAUSE));
        self.state.ping_backoff.no_later_than(soon.max(deadline.before(self.survive_outage())));
        let last = deadline.before(self.policy.request_timeout);
        if last > now {
            self.state.ping_backoff.no_later_than(last);
        }
    }

    /// A session with a short window is one that jobs need soon.
    fn ceiling(&self) -> Duration {
        self.idle_timeout().map_or(CEILING, |timeout| (timeout / 4).clamp(LOWEST_CEILING, CEILING))
    }

    fn tell_failing(&mut self, request: Request, detail: String, failures: u32, actions: &mut Vec<Action>) {
        self.record.failing = true;
        actions.push(Action::Tell(Event::Failing { request, detail, failures }));
    }

    fn introspect_answered(&mut self, answer: &Answer, now: Instant) {
        self.state.introspected.due = false;
        let Verdict::Introspected { active, remaining } = answer.verdict else { return };
        if !active {
            if self.state.introspected.seen_active {
                self.doubt(now, Doubt::Introspection);
            }
            return;
        }
        self.state.introspected.seen_active = true;
        let shortest = self.idle_timeout().map_or(FLOOR, |timeout| (timeout / SHORTEST_SHARE).max(FLOOR));
        if let Some(remaining) = remaining.filter(|remaining| *remaining >= shortest) {
            self.introspected_end(answer.received.after(remaining), answer.received);
        }
    }

    /// An end that pings were seen to move replaces the estimate; any other may only bring one ping forward.
    fn introspected_end(&mut self, end: Instant, at: Instant) {
        const ROUNDING: Duration = Duration::from_secs(1);
        let seen = &mut self.state.introspected;
        let moved = seen.end.is_some_and(|before| end > before.after(ROUNDING));
        seen.moves |= moved;
        // An end that stands still brings one ping forward, not every ping.
        seen.hinted &= seen.end.is_some() && !moved;
        seen.end = Some(end);
        seen.at = Some(at);
        if let Some(window) = self.window().filter(|_| moved) {
            self.state.introspected.hinted = true;
            let restarted = end.before(window.timeout);
            self.state.bounds = Some(Bounds { lo: restarted, hi: restarted });
        }
    }

    fn renew_answered(
        &mut self,
        call: &InFlight,
        answer: Answer,
        secrets: Option<String>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        self.state.intent = false;
        if answer.verdict != Verdict::Concurrent {
            self.state.concurrent = 0;
        }
        match answer.verdict {
            Verdict::Good(ref grant) => self.renewed(call, grant, &answer, now, account, actions),
            Verdict::Refused { confirm } => self.refused(answer.detail, confirm, secrets, now, account, actions),
            // It says nothing of a refresh token that was given meanwhile.
            Verdict::GrantDead | Verdict::Concurrent | Verdict::InDoubt if !self.still_holds(call) => {}
            Verdict::GrantDead => self.grant_died(answer.detail, now, actions),
            Verdict::Concurrent => self.renewal_met_another(answer.detail, now, actions),
            Verdict::Throttled { retry_after } => {
                let wait = retry_after.unwrap_or(THROTTLED);
                self.state.renew_backoff.throttled(now, wait, &mut self.state.seed);
                self.recovery_failed();
                actions.push(Action::Tell(Event::Throttled { wait, detail: answer.detail }));
            }
            Verdict::Unavailable => {
                self.renewal_failed(now);
                self.tell_failing(Request::Renew, answer.detail, self.state.renew_backoff.failures, actions);
            }
            Verdict::InDoubt
            | Verdict::Alive
            | Verdict::Dead { .. }
            | Verdict::Forbidden { .. }
            | Verdict::Skewed
            | Verdict::LoggedOut
            | Verdict::Introspected { .. } => self.renewal_in_doubt(answer.detail, now, actions),
        }
    }

    /// The refresh token that the renewal presented is the one held.
    fn still_holds(&self, call: &InFlight) -> bool {
        self.state.refresh.as_ref().map(|refresh| refresh.token.fingerprint()) == call.presents
    }

    fn renewed(
        &mut self,
        call: &InFlight,
        grant: &Grant,
        answer: &Answer,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        // A stop that came meanwhile is about the login's secrets, which this says nothing of.
        if account.stop.is_none() {
            account.accepted(now);
        }
        if self.still_holds(call) {
            self.state.in_doubt = false;
            self.exercised(grant, answer.sent);
        }
        if self.holds_dead(grant, now) {
            self.renewal_failed(now);
            // The renewal works, but not what it gives: a login is the better way, where there is one.
            self.state.in_doubt = self.can_login();
            actions.push(Action::Tell(Event::SameDeadToken));
            return;
        }
        self.state.renew_backoff.succeeded(now);
        let fresh = self.adopt(grant, answer, now);
        let generation = self.state.generation;
        actions.push(Action::Tell(if fresh { Event::Renewed { generation } } else { Event::SameToken }));
        self.slow_down_unless_extended(fresh, now);
    }

    fn renewal_failed(&mut self, now: Instant) {
        self.state.renew_backoff.failed(now, self.ceiling(), &mut self.state.seed);
        self.wanted = None;
        self.recovery_failed();
    }

    fn exercised(&mut self, grant: &Grant, sent: Instant) {
        let seed = self.state.refresh.as_ref().and_then(|refresh| refresh.seed.clone());
        if let Some(token) = grant.refresh_token.clone() {
            self.state.refresh = Some(Refresh { token, exercised: sent, lifetime: grant.refresh_lifetime, seed });
        } else if let Some(refresh) = &mut self.state.refresh {
            refresh.exercised = sent;
            refresh.lifetime = grant.refresh_lifetime.or(refresh.lifetime);
        }
    }

    fn grant_died(&mut self, detail: String, now: Instant, actions: &mut Vec<Action>) {
        self.state.in_doubt = false;
        match self.state.refresh.take() {
            Some(refresh) => self.state.spent_seed = refresh.seed,
            None => self.state.unrenewable = true,
        }
        // What ends a refresh token often ends the tokens that came of it (facts.md 1.4): one ping tells.
        if self.policy.has_ping && self.state.health == Health::Good {
            self.doubt(now, Doubt::Renewal);
        }
        if !self.can_login() {
            self.recovery_failed();
        }
        self.state.renew_backoff.succeeded(now);
        actions.push(Action::Tell(Event::GrantDead { detail }));
    }

    fn renewal_met_another(&mut self, detail: String, now: Instant, actions: &mut Vec<Action>) {
        self.state.concurrent += 1;
        if self.state.concurrent > CONCURRENT_TRIES {
            self.state.concurrent = 0;
            self.grant_died(detail, now, actions);
            return;
        }
        self.state.renew_backoff.pause(now, CONCURRENT_PAUSE);
    }

    fn renewal_in_doubt(&mut self, detail: String, now: Instant, actions: &mut Vec<Action>) {
        self.state.in_doubt = true;
        self.renewal_failed(now);
        self.doubt(now, Doubt::Renewal);
        actions.push(Action::Tell(Event::InDoubt { detail }));
    }

    fn login_answered(
        &mut self,
        call: &InFlight,
        answer: Answer,
        secrets: Option<String>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        account.in_flight = None;
        if call.counted && !answer.counted {
            account.give_back();
        }
        match answer.verdict {
            Verdict::Good(ref grant) => self.logged_in(grant, &answer, now, account, actions),
            Verdict::Refused { confirm } => {
                let confirm = confirm && self.policy.login == LoginBy::Daemon { confirm: true };
                self.refused(answer.detail, confirm, secrets, now, account, actions);
            }
            Verdict::Skewed if !self.resigned => {
                self.resigned = true;
                account.backoff.lift();
            }
            Verdict::Skewed => {
                self.resigned = false;
                self.refused(answer.detail, false, secrets, now, account, actions);
            }
            Verdict::Throttled { retry_after } => {
                let wait = retry_after.unwrap_or(THROTTLED);
                account.backoff.throttled(now, wait, &mut self.state.seed);
                self.recovery_failed();
                actions.push(Action::Tell(Event::Throttled { wait, detail: answer.detail }));
            }
            Verdict::Unavailable
            | Verdict::Alive
            | Verdict::Dead { .. }
            | Verdict::GrantDead
            | Verdict::Forbidden { .. }
            | Verdict::InDoubt
            | Verdict::Concurrent
            | Verdict::LoggedOut
            | Verdict::Introspected { .. } => {
                self.login_failed(now, account);
                self.tell_failing(Request::Login, answer.detail, account.backoff.failures, actions);
            }
        }
    }

    fn login_failed(&mut self, now: Instant, account: &mut Account) {
        account.backoff.failed(now, self.ceiling(), &mut self.state.seed);
        self.wanted = None;
        self.recovery_failed();
    }

    fn logged_in(
        &mut self,
        grant: &Grant,
        answer: &Answer,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        self.resigned = false;
        account.accepted(now);
        if self.holds_dead(grant, now) {
            self.login_failed(now, account);
            actions.push(Action::Tell(Event::SameDeadToken));
            return;
        }
        // The login was chosen because the refresh token may be spent: it is never presented again.
        if std::mem::take(&mut self.state.in_doubt) {
            self.state.refresh = None;
        }
        self.state.logged_in_at = Some(answer.received);
        self.exercised(grant, answer.sent);
        let fresh = self.adopt(grant, answer, now);
        if self.record.failing {
            self.record.failing = false;
            actions.push(Action::Tell(Event::Answering { failures: account.backoff.failures }));
        }
        let generation = self.state.generation;
        actions.push(Action::Tell(if fresh { Event::LoggedIn { generation } } else { Event::SameToken }));
        self.slow_down_unless_extended(fresh, now);
        if !fresh && self.state.expires.is_some() {
            account.backoff.failed(now, self.ceiling(), &mut self.state.seed);
        }
    }

    /// A replacement that changed nothing must not be asked for again at once.
    fn slow_down_unless_extended(&mut self, fresh: bool, now: Instant) {
        self.wanted = None;
        if !fresh && self.state.expires.is_some() {
            self.state.renew_backoff.failed(now, self.ceiling(), &mut self.state.seed);
        }
    }

    fn holds_dead(&self, grant: &Grant, now: Instant) -> bool {
        let same = self.state.token.as_ref().is_some_and(|held| held.access_token == grant.token.access_token);
        let by_its_end = self.state.expires.is_some_and(|end| end <= now);
        let extended = by_its_end && grant.lifetime.is_some_and(|lifetime| !lifetime.is_zero());
        same && !extended && matches!(self.state.health, Health::Dead { .. })
    }

    /// Takes a token over. True when it differs from the one held.
    fn adopt(&mut self, grant: &Grant, answer: &Answer, now: Instant) -> bool {
        let held = self.state.token.as_ref();
        let same_token = held.is_some_and(|held| held.access_token == grant.token.access_token);
        let same = same_token && held.is_some_and(|held| held.instance_url == grant.token.instance_url);
        self.state.expires = grant.lifetime.or(self.policy.token_lifetime).map(|life| answer.sent.after(life));
        self.state.granted_at = now;
        self.state.fixed = grant.fixed;
        if !same_token {
            self.begin_life(grant, answer, now);
        } else if !self.token_may_live() || !self.policy.has_ping {
            self.state.health = Health::Good;
        }
        if !same {
            self.state.generation = self.state.generation.saturating_add(1).max(self.generation_floor);
        }
        self.state.token = Some(grant.token.clone());
        !same
    }

    fn begin_life(&mut self, grant: &Grant, answer: &Answer, now: Instant) {
        self.state.health = Health::Good;
        self.state.token_since = now;
        self.state.proven = false;
        self.state.unrenewable = false;
        self.state.spread = false;
        self.state.forbidden = None;
        self.state.false_reports = 0;
        self.state.next_report = None;
        self.state.ping_backoff.lift();
        self.state.introspected = Introspected { due: self.policy.introspect, ..Introspected::default() };
        self.state.bounds = self.bounds_after_login(answer);
        if let Some(timeout) = grant.idle_timeout {
            self.state.learned = Some(timeout);
            self.state.learned_under = self.policy.idle_timeout;
        }
        self.state.seed.draw();
    }

    /// A session that others may have opened before us is of unknown age: the login proves no more than a ping would.
    fn bounds_after_login(&self, answer: &Answer) -> Option<Bounds> {
        let success = Success { sent: answer.sent, received: answer.received, ping: true };
        match self.window() {
            Some(window) if self.policy.login_may_reuse => window.after(None, success),
            Some(_) | None => Some(Bounds { lo: answer.sent, hi: answer.received }),
        }
    }

    fn refused(
        &mut self,
        detail: String,
        confirm: bool,
        secrets: Option<String>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let refusal = Refusal { reason: detail.clone(), confirm, secrets };
        let stopped = account.refused(now, refusal, &mut self.state.seed);
        self.state.renew_backoff.until = account.backoff.until;
        self.recovery_failed();
        actions.push(Action::Tell(Event::Refused { detail, stopped }));
    }

    fn logout_answered(&mut self, answer: Answer, actions: &mut Vec<Action>) {
        let ended = answer.verdict == Verdict::LoggedOut;
        if ended {
            self.state.token = None;
            self.state.refresh = None;
            self.state.health = Health::Missing;
        }
        if self.until_start {
            self.stand_by_for_start();
        }
        actions.push(Action::Tell(Event::LoggedOut { problem: (!ended).then_some(answer.detail) }));
    }

    /// A dead token that could not be replaced at once must not be read any longer.
    fn recovery_failed(&mut self) {
        if matches!(self.state.health, Health::Dead { .. }) {
            self.withdraw();
        }
    }

    pub(super) fn withdraw(&mut self) {
        if let Health::Dead { withdrawn, .. } = &mut self.state.health {
            *withdrawn = true;
        }
    }

    pub(super) fn token_died(&mut self, now: Instant, death: Death, account: &mut Account, actions: &mut Vec<Action>) {
        let generation = self.state.generation;
        self.state.health = Health::Dead { since: now, withdrawn: false };
        self.state.forbidden = None;
        self.wanted = None;
        match death {
            Death::Expired => {
                self.hold_back_if_never_alive(now, account);
                self.state.deaths.forget();
                actions.push(Action::Tell(Event::Expired { generation }));
            }
            Death::Told { sent, detail } => {
                self.hold_back_if_never_alive(now, account);
                let unexplained = self.idle_deadline().is_some_and(|deadline| sent < deadline);
                actions.push(Action::Tell(Event::Died { generation, unexplained, detail }));
                self.learn_from(sent, unexplained, actions);
            }
        }
        actions.push(Action::Save);
    }

    /// A login whose token never worked has failed, whatever its answer said; the first such is excused.
    fn hold_back_if_never_alive(&mut self, now: Instant, account: &mut Account) {
        if self.state.proven {
            return;
        }
        let ceiling = self.ceiling();
        for backoff in [&mut self.state.renew_backoff, &mut account.backoff] {
            backoff.failed(now, ceiling, &mut self.state.seed);
            if backoff.failures == 1 {
                backoff.lift();
            }
        }
    }

    fn learn_from(&mut self, sent: Instant, unexplained: bool, actions: &mut Vec<Action>) {
        let (Some(window), Some(bounds)) = (self.window(), self.state.bounds) else { return };
        if !unexplained {
            self.state.deaths.forget();
            return;
        }
        let bound = window.bound_from_death(sent.since(bounds.hi));
        let shorter = self.state.deaths.died(bound, window.timeout, &self.policy.idle_timeouts);
        if let Some(to) = shorter {
            self.state.learned = Some(to);
            self.state.learned_under = self.policy.idle_timeout;
            actions.push(Action::Tell(Event::Learned { from: window.timeout, to }));
        }
    }
}
