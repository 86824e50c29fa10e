//! Answers to a ping that may or may not mean that the token is dead: one other token is got, while this one is kept.
//!
//! A page with a 401 may be a captive portal's, a 403 or 404 may forbid just the ping. Where another token can be had without
//! a person it tells: it is proven, or meets the same, which then is no death.

use crate::session::account::Account;
use crate::session::answer::{Answer, Request};
use crate::session::plan::Why;
use crate::session::state::{Doubt, Health, Suspicion};
use crate::session::{Action, Session};
use crate::time::Instant;

impl Session {
    /// A job saw the token fail, and the ping is no proof that it lives.
    pub(super) fn is_reported(&self) -> bool {
        matches!(
            self.state.health,
            Health::Doubtful {
                why: Doubt::Report,
                ..
            }
        )
    }

    /// Whether another token is on its way now.
    pub(super) fn replaces_suspect(&mut self, now: Instant, account: &Account) -> bool {
        if self.state.suspicion == Suspicion::Replaced || self.state.in_doubt && !self.can_login() {
            return false;
        }
        let why = Why::Doubt(Doubt::Ambiguous);
        let Some(next) = self
            .recovery(now, account, why)
            .filter(|next| next.at <= now)
        else {
            return false;
        };
        self.ordered = self.ordered.or(Some(next.request));
        self.wanted = None;
        self.state.suspicion = Suspicion::Replacing;
        // Should that come to nothing, this one is looked at again.
        self.state
            .ping_backoff
            .failed(now, self.ceiling(), &mut self.state.seed);
        true
    }

    /// A 401 that a proxy may have written: a second look confirms it, and another token tells for sure.
    pub(super) fn ping_said_dead_oddly(
        &mut self,
        answer: Answer,
        now: Instant,
        account: &Account,
        actions: &mut Vec<Action>,
    ) {
        self.state.odd_deaths = self.state.odd_deaths.saturating_add(1);
        if self.state.odd_deaths == 1 {
            self.doubt_ambiguous(now, actions);
        } else if self.state.suspicion == Suspicion::Replaced {
            self.ping_forbidden(true, answer, now, actions);
        } else if !self.replaces_suspect(now, account) {
            if !self.is_replaceable(account) {
                self.was_fruitless(&answer.detail, now);
            }
            self.ping_failed(answer, now, actions);
        }
    }

    /// Another token can be had without a person, if not now.
    fn is_replaceable(&self, account: &Account) -> bool {
        let by_refresh_token = self.can_renew() && !self.state.in_doubt;
        by_refresh_token && !self.is_stopped(Request::Renew, account) || self.may_login(account)
    }
}
