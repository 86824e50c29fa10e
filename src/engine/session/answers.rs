//! What an answer changes: one function for each request, exhaustive over the verdicts.

pub(super) mod death;
mod fruitless;
mod grant;
mod introspection;
mod login;
mod person;
mod ping;
mod renewal;
mod suspicion;

use std::time::Duration;

use crate::blotted::Blotted;
use crate::session::account::{Account, Refusal};
use crate::session::answer::{Answer, Refused, Request, Verdict};
use crate::session::backoff::{CEILING, FLOOR};
use crate::session::event::Event;
use crate::session::presented::Presented;
use crate::session::state::Health;
use crate::session::window::Success;
use crate::session::{Action, Session};
use crate::time::Instant;

/// What a throttled call waits at most when the server does not say.
const THROTTLED: Duration = Duration::from_secs(30);
/// No back-off ceiling is lower, however short the session's window.
const LOWEST_CEILING: Duration = Duration::from_secs(5);

impl Session {
    pub(super) fn answered(
        &mut self,
        answer: Answer,
        presented: Option<Presented>,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let Some(call) = self.in_flight.take_if(|call| call.id == answer.call) else {
            return;
        };
        self.record.answered(call.request, &answer, now);
        self.learn_skew(&answer, actions);
        if self.is_outrun(&answer) {
            if call.request == Request::Login {
                account.login_came_back();
            }
            actions.extend([Action::Save, Action::SaveAccount]);
            return;
        }
        match call.request {
            Request::Ping => self.ping_answered(answer, now, account, actions),
            Request::Introspect => self.introspect_answered(&answer, now),
            Request::Renew => self.renew_answered(&call, answer, presented, now, account, actions),
            Request::Login => self.login_answered(&call, answer, presented, now, account, actions),
            Request::Logout => self.logout_answered(answer, actions),
        }
        actions.push(Action::Save);
        if matches!(call.request, Request::Login | Request::Renew) {
            actions.push(Action::SaveAccount);
        }
    }

    fn learn_skew(&mut self, answer: &Answer, actions: &mut Vec<Action>) {
        let Some(millis) = answer
            .skew_millis
            .filter(|_| answer.verdict != Verdict::Unavailable)
        else {
            return;
        };
        if (millis - self.state.skew_millis).abs() >= 5_000 {
            actions.push(Action::Tell(Event::Skewed { millis }));
        }
        self.state.skew_millis = millis;
    }

    /// Moves the bounds by a success; nothing happens to a token that activity cannot extend.
    pub(super) fn extend(&mut self, success: Success) {
        if let Some(window) = self.window() {
            self.state.bounds = window.after(self.state.bounds, success);
        }
    }

    /// A session with a short window is one that jobs need soon.
    fn ceiling(&self) -> Duration {
        self.idle_timeout().map_or(CEILING, |timeout| {
            (timeout / 4).clamp(LOWEST_CEILING, CEILING)
        })
    }

    /// What a throttled call waits when the server does not say: no longer than a short window allows.
    fn unsaid_wait(&self) -> Duration {
        self.idle_timeout()
            .map_or(THROTTLED, |timeout| (timeout / 4).clamp(FLOOR, THROTTLED))
    }

    fn tell_failing(
        &mut self,
        request: Request,
        detail: Blotted,
        failures: u32,
        actions: &mut Vec<Action>,
    ) {
        self.record.failing = true;
        actions.push(Action::Tell(Event::Failing {
            request,
            detail,
            failures,
        }));
    }

    fn tell_answering(&mut self, failures: u32, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.record.failing) {
            actions.push(Action::Tell(Event::Answering { failures }));
        }
    }

    fn refusal(
        &self,
        request: Request,
        what: Refused,
        confirm: bool,
        reason: Blotted,
        presented: Option<Presented>,
    ) -> Refusal {
        Refusal {
            of: self.name.to_string(),
            request,
            what,
            reason,
            remedy: None,
            confirm,
            presented,
        }
    }

    fn refused(
        &mut self,
        refusal: Refusal,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let (request, detail) = (refusal.request, refusal.reason.clone());
        let stopped = account.refused(now, refusal, &mut self.state.seed);
        if request == Request::Renew {
            self.state.renew_backoff.until = account.backoff.until;
        }
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
        if self.state.until_start {
            self.stand_by_for_start();
        }
        actions.push(Action::Tell(Event::LoggedOut {
            problem: (!ended).then_some(answer.detail),
        }));
    }
}
