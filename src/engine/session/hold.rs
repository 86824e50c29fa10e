//! Jobs that hold the token: what the daemon would do of its own accord, and what could kill the token, waits for them;
//! never so long that it would cost the session.

use std::time::Duration;

use super::Session;
use super::account::Account;
use super::answer::Request;
use super::plan::{Next, Why};
use crate::time::Instant;

impl Session {
    /// Jobs hold the token for so long at most; none: no job does any more.
    pub(super) fn hold(&mut self, lasting: Option<Duration>, now: Instant) {
        self.held = lasting.map(|lasting| now.after(lasting));
    }

    /// Until when the token is held.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        self.held.filter(|until| *until > now)
    }

    /// A call that is due at `due` waits for jobs, until `last` at most.
    pub(super) fn put_off(&self, due: Instant, last: Instant) -> Instant {
        self.held.map_or(due, |held| due.max(held.min(last)))
    }

    /// How long a call may wait that is due `margin` before `end`: a third of that is left for what may go wrong.
    pub(super) fn last_chance(&self, end: Instant, margin: Duration) -> Instant {
        end.before(
            (margin / 3)
                .max(self.policy.request_timeout * 2)
                .min(margin),
        )
    }

    /// The calendar's renewal: at once, or when no job holds the token any more.
    pub(super) fn renew_when_free(&mut self, now: Instant, account: &Account) {
        if self.held_until(now).is_some() && self.token_may_live() {
            self.renewal_waits = self.may_renew(account) && !self.state.logged_out;
        } else {
            self.order_duty(Request::Renew, self.may_renew(account));
        }
    }

    /// The calendar's renewal that had to wait.
    pub(super) fn waiting_renewal(&self, now: Instant, account: &Account) -> Option<Next> {
        let may = self.renewal_waits && self.may_renew(account);
        let how = self.renewal(now, account, Why::Ordered).filter(|_| may)?;
        Some(Next {
            at: how.at.max(self.held.unwrap_or(now)),
            ..how
        })
    }

    /// What a reader asks for; it waits only for jobs whose token a renewal would kill.
    pub(super) fn wanted_call(&self, now: Instant, account: &Account) -> Option<Next> {
        self.wanted?;
        if self.state.expires.is_none() {
            return Some(self.ping_at(now, now, Why::Ordered));
        }
        // A reader never causes a login over a living token.
        let renewable = self.can_renew() && !self.state.in_doubt;
        let how = renewable
            .then(|| self.renewal(now, account, Why::Ordered))
            .flatten()?;
        let last = self.state.expires.filter(|_| self.policy.renewal_kills);
        let at = last.map_or(how.at, |end| {
            self.put_off(how.at, self.last_chance(end, self.margin(end)))
        });
        Some(Next { at, ..how })
    }
}
