//! What the answer to a renewal changes: above all, whether its refresh token may ever be presented again.

use std::time::Duration;

use crate::blotted::Blotted;
use crate::secret::Secret;
use crate::session::account::{Account, Refusal};
use crate::session::answer::{Answer, Grant, Request, Verdict};
use crate::session::answers::grant::Change;
use crate::session::event::Event;
use crate::session::presented::Presented;
use crate::session::state::{Doubt, Health};
use crate::session::{Action, InFlight, Session};
use crate::time::Instant;

/// A renewal that meets another one under way is tried so often again.
const CONCURRENT_TRIES: u32 = 3;
const CONCURRENT_PAUSE: Duration = Duration::from_secs(1);

impl Session {
    pub(in crate::session) fn renew_answered(
        &mut self,
        call: &InFlight,
        answer: Answer,
        presented: Option<Presented>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        self.state.intent = false;
        if answer.verdict != Verdict::Concurrent {
            self.state.concurrent = 0;
        }
        match answer.verdict {
            Verdict::Good(ref grant) => {
                account.accepted(
                    self.attempted(Request::Renew, presented.as_ref()),
                    answer.sent,
                    now,
                );
                self.renewed(call, grant, &answer, now, actions);
            }
            Verdict::Expired { refresh_token } => {
                let odd = answer.odd.then_some(&answer.detail);
                self.renewed_in_vain(call, refresh_token, odd, answer.sent, now);
                self.tell_failing(
                    Request::Renew,
                    answer.detail,
                    self.state.renew_backoff.failures,
                    actions,
                );
            }
            Verdict::Refused { confirm, what } => {
                let refusal = Refusal {
                    remedy: answer.remedy,
                    ..self.refusal(Request::Renew, what, confirm, answer.detail, presented)
                };
                self.refused(refusal, now, account, actions);
            }
            // It says nothing of a refresh token that was given meanwhile.
            Verdict::GrantDead | Verdict::Declined | Verdict::Concurrent | Verdict::InDoubt
                if !self.still_holds(call) => {}
            Verdict::GrantDead => self.grant_died(answer.detail, now, actions),
            Verdict::Declined => self.renewal_declined(answer.detail, now, actions),
            Verdict::Concurrent => self.renewal_met_another(answer.detail, now, actions),
            Verdict::Throttled { retry_after } => {
                let wait = retry_after.unwrap_or_else(|| self.unsaid_wait());
                self.state
                    .renew_backoff
                    .throttled(now, wait, &mut self.state.seed);
                self.recovery_failed();
                actions.push(Action::Tell(Event::Throttled {
                    wait,
                    detail: answer.detail,
                }));
            }
            Verdict::Unavailable => {
                self.renewal_failed(now);
                self.tell_failing(
                    Request::Renew,
                    answer.detail,
                    self.state.renew_backoff.failures,
                    actions,
                );
            }
            Verdict::InDoubt
            | Verdict::Alive
            | Verdict::Dead { .. }
            | Verdict::Forbidden { .. }
            | Verdict::Skewed
            | Verdict::LoggedOut
            | Verdict::Introspected { .. } => {
                if answer.odd {
                    self.was_fruitless(&answer.detail, now);
                }
                self.renewal_in_doubt(answer.detail, now, actions);
            }
        }
    }

    /// The refresh token that the renewal presented is the one held.
    fn still_holds(&self, call: &InFlight) -> bool {
        self.state
            .refresh
            .as_ref()
            .map(|refresh| refresh.token.fingerprint())
            == call.presents
    }

    fn renewed(
        &mut self,
        call: &InFlight,
        grant: &Grant,
        answer: &Answer,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        if self.still_holds(call) {
            self.state.fruitless = None;
            // In the place of one that cannot be kept, the one before it is presented again, but it may be spent.
            self.state.in_doubt = grant.odd_refresh_token.is_some();
            self.exercised(grant, answer.sent);
        }
        self.tell_odd_refresh_token(grant, actions);
        if self.holds_dead(grant, now) {
            self.renewal_failed(now);
            // The renewal works, but not what it gives: a login is the better way, where there is one.
            self.state.in_doubt = self.can_login();
            self.doubt_reissued(now);
            actions.push(Action::Tell(Event::SameDeadToken));
            return;
        }
        let change = self.adopt(grant, answer, now);
        if change == Change::Fresh {
            self.tell_answering(self.state.renew_backoff.failures, actions);
        }
        self.state.renew_backoff.succeeded(now);
        let generation = self.state.generation;
        actions.push(Action::Tell(if change == Change::Nothing {
            Event::SameToken
        } else {
            Event::Renewed { generation }
        }));
        self.slow_down_unless_changed(change, now);
    }

    /// What came had ended already, as it does near the end of the server's own session, or cannot be used: a login is the
    /// better way, where there is one.
    fn renewed_in_vain(
        &mut self,
        call: &InFlight,
        refresh_token: Option<Secret>,
        odd: Option<&Blotted>,
        sent: Instant,
        now: Instant,
    ) {
        if self.still_holds(call) {
            self.state.in_doubt = self.can_login();
            let earlier = odd.and_then(|_| self.state.fruitless.take());
            self.presented(refresh_token, None, sent);
            if let Some(detail) = odd {
                self.state.fruitless = earlier;
                self.was_fruitless(detail, now);
            }
        }
        self.renewal_failed(now);
    }

    fn renewal_failed(&mut self, now: Instant) {
        self.state
            .renew_backoff
            .failed(now, self.ceiling(), &mut self.state.seed);
        self.wanted = None;
        self.recovery_failed();
    }

    fn grant_died(&mut self, detail: Blotted, now: Instant, actions: &mut Vec<Action>) {
        self.state.in_doubt = false;
        self.state.fruitless = None;
        self.state.grant_died = Some(detail.as_str().into());
        match self.state.refresh.take() {
            Some(refresh) => self.state.spent_seed = refresh.seed,
            None => self.state.unrenewable = true,
        }
        // What ends a refresh token often ends the tokens that came of it (docs/servers.md, "Refresh tokens"): one ping tells.
        if self.state.health == Health::Good {
            self.doubt(now, Doubt::Renewal);
        }
        if !self.can_login() {
            self.recovery_failed();
        }
        self.state.renew_backoff.succeeded(now);
        actions.push(Action::Tell(Event::GrantDead { detail }));
    }

    /// Said once more, it is believed: then a login is the next way, or a person's help. Nothing is thrown away, since it may
    /// be put right at the server.
    fn renewal_declined(&mut self, detail: Blotted, now: Instant, actions: &mut Vec<Action>) {
        self.was_declined(&detail, now);
        self.wanted = None;
        self.doubt(now, Doubt::Renewal);
        let stopped = self.renewal_is_declined() && !self.can_login();
        if stopped || !self.renewal_is_declined() {
            self.recovery_failed();
        }
        actions.push(Action::Tell(Event::Refused { detail, stopped }));
    }

    fn renewal_met_another(&mut self, detail: Blotted, now: Instant, actions: &mut Vec<Action>) {
        self.state.concurrent += 1;
        if self.state.concurrent > CONCURRENT_TRIES {
            self.state.concurrent = 0;
            self.grant_died(detail, now, actions);
            return;
        }
        self.state.renew_backoff.pause(now, CONCURRENT_PAUSE);
    }

    fn renewal_in_doubt(&mut self, detail: Blotted, now: Instant, actions: &mut Vec<Action>) {
        self.state.in_doubt = true;
        self.renewal_failed(now);
        self.doubt(now, Doubt::Renewal);
        actions.push(Action::Tell(Event::InDoubt { detail }));
    }
}
