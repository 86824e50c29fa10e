//! What the answer to a full login changes.

use crate::session::account::{Account, Refusal};
use crate::session::answer::{Answer, Grant, Refused, Request, Verdict};
use crate::session::answers::grant::Change;
use crate::session::event::Event;
use crate::session::presented::Presented;
use crate::session::state::Health;
use crate::session::{Action, InFlight, Session};
use crate::time::Instant;

impl Session {
    pub(in crate::session) fn login_answered(
        &mut self,
        call: &InFlight,
        answer: Answer,
        presented: Option<Presented>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        account.login_came_back();
        if call.counted && !answer.counted {
            account.give_back();
        }
        self.presented = presented
            .clone()
            .map(Box::new)
            .or_else(|| self.presented.take());
        let resigned = std::mem::take(&mut self.resigned);
        match answer.verdict {
            Verdict::Good(ref grant) => {
                let replaceable = self.costs_one_login(grant);
                self.logged_in(grant, &answer, presented.as_ref(), now, account, actions);
                if call.ordered && self.state.health == Health::Good {
                    account.succeeded_by_hand(now);
                }
                self.replaceable = replaceable.then_some(self.state.generation);
            }
            Verdict::Refused { confirm, what } => {
                let confirm = confirm && !self.sends_password();
                let refusal = Refusal {
                    remedy: answer.remedy,
                    ..self.refusal(Request::Login, what, confirm, answer.detail, presented)
                };
                self.refused(refusal, now, account, actions);
            }
            // With the skew learned it is the same login once more, whatever it was made for.
            Verdict::Skewed if !resigned => {
                self.resigned = true;
                self.ordered = self.ordered.or(Some(Request::Login));
            }
            Verdict::Skewed => {
                let refusal = self.refusal(
                    Request::Login,
                    Refused::Credential,
                    false,
                    answer.detail,
                    presented,
                );
                self.refused(refusal, now, account, actions);
            }
            Verdict::Throttled { retry_after } => {
                let wait = retry_after.unwrap_or_else(|| self.unsaid_wait());
                account.backoff.throttled(now, wait, &mut self.state.seed);
                account.failed_for_all();
                self.recovery_failed();
                actions.push(Action::Tell(Event::Throttled {
                    wait,
                    detail: answer.detail,
                }));
            }
            Verdict::Unavailable
            | Verdict::Expired { .. }
            | Verdict::Alive
            | Verdict::Dead { .. }
            | Verdict::GrantDead
            | Verdict::Declined
            | Verdict::Forbidden { .. }
            | Verdict::InDoubt
            | Verdict::Concurrent
            | Verdict::LoggedOut
            | Verdict::Introspected { .. } => {
                self.login_unanswered(call, answer, presented.as_ref(), now, account, actions);
            }
        }
    }

    /// It is unknown what the server thinks of what was presented.
    fn login_unanswered(
        &mut self,
        call: &InFlight,
        answer: Answer,
        presented: Option<&Presented>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        // A login that brings a token, be it one that has ended, presented what is right.
        if matches!(answer.verdict, Verdict::Expired { .. }) {
            account.login_answered();
        } else if answer.counted {
            account.login_unanswered(presented);
        }
        if call.counted && answer.counted {
            account.was_in_vain();
        }
        self.login_failed(answer.counted, now, account);
        if answer.odd {
            self.was_fruitless(&answer.detail, now);
        }
        self.tell_failing(
            Request::Login,
            answer.detail,
            account.backoff.failures,
            actions,
        );
    }

    /// Should a kill lose what this login brought: the state on disk leads to a ping, that to another login, and to nothing
    /// else. A refresh token, and a first token, are worth waiting for the disk.
    fn costs_one_login(&self, grant: &Grant) -> bool {
        let renews = self.state.refresh.is_some() || grant.refresh_token.is_some();
        let known_dead = matches!(self.state.health, Health::Dead { .. });
        known_dead && !renews && self.policy.has_ping && self.can_login()
    }

    /// What the server may have counted comes at growing intervals, so that a short outage cannot use up the budget.
    fn login_failed(&mut self, counted: bool, now: Instant, account: &mut Account) {
        if counted {
            account.backoff.failed_dearly(now, &mut self.state.seed);
        } else {
            account
                .backoff
                .failed(now, self.ceiling(), &mut self.state.seed);
        }
        account.failed_for(&self.name);
        self.failed_logins = self.failed_logins.saturating_add(1);
        self.wanted = None;
        self.recovery_failed();
    }

    pub(super) fn logged_in(
        &mut self,
        grant: &Grant,
        answer: &Answer,
        presented: Option<&Presented>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        account.accepted(self.attempted(Request::Login, presented), answer.sent, now);
        if self.holds_dead(grant, now) {
            self.login_failed(true, now, account);
            self.doubt_reissued(now);
            actions.push(Action::Tell(Event::SameDeadToken));
            return;
        }
        self.failed_logins = 0;
        // The login was chosen because the refresh token may be spent: it is never presented again.
        if std::mem::take(&mut self.state.in_doubt) {
            self.state.refresh = None;
        }
        self.state.logged_in_at = Some(answer.received);
        self.exercised(grant, answer.sent);
        self.tell_odd_refresh_token(grant, actions);
        self.state.login_lifetime = grant.max_lifetime;
        let change = self.adopt(grant, answer, now);
        if change == Change::Fresh {
            self.tell_answering(
                account
                    .backoff
                    .failures
                    .max(self.state.ping_backoff.failures),
                actions,
            );
        }
        let generation = self.state.generation;
        actions.push(Action::Tell(if change == Change::Nothing {
            Event::SameToken
        } else {
            Event::LoggedIn { generation }
        }));
        self.slow_down_unless_changed(change, now);
        if self.in_vain(change) {
            account
                .backoff
                .failed(now, self.ceiling(), &mut self.state.seed);
            account.failed_for(&self.name);
        }
    }
}
