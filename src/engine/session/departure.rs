//! How the next call begins: what is remembered of it, what must be stored first, and how long it may take.

use std::time::Duration;

use super::account::Account;
use super::answer::Request;
use super::plan::{Next, Why};
use super::policy::LoginBy;
use super::{Action, Call, Footing, InFlight, Session};
use crate::time::Instant;

/// No ping is cut off sooner than this, however near its deadline.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);

impl Session {
    /// Begins the next call when its time has come.
    pub(super) fn begin_due_call(
        &mut self,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let Some(next) = self.next(now, account).filter(|next| next.at <= now) else {
            return;
        };
        let id = self.next_call;
        self.next_call += 1;
        let counted = next.request == Request::Login && !self.is_planned(next.why, now);
        self.ordered = None;
        self.renewal_waits &= !matches!(next.request, Request::Renew | Request::Login);
        let presents = self
            .state
            .refresh
            .as_ref()
            .map(|refresh| refresh.token.fingerprint());
        let ordered = next.why == Why::Ordered;
        self.in_flight = Some(InFlight {
            id,
            request: next.request,
            counted,
            ordered,
            presents,
        });
        match next.request {
            Request::Renew => {
                self.state.intent = true;
                actions.push(Action::Save);
            }
            Request::Login => {
                account.login_leaves(&self.name, now);
                if counted {
                    account.count_login(now);
                }
                actions.push(Action::SaveAccount);
            }
            Request::Ping | Request::Introspect | Request::Logout => {}
        }
        actions.push(Action::Call(self.call(id, next, now, account)));
    }

    fn call(&self, id: u64, next: Next, now: Instant, account: &Account) -> Call {
        let urgent_by = self
            .idle_deadline()
            .or(self.state.expires)
            .unwrap_or(now)
            .max(now);
        let footing = self.footing(next.request);
        let timeout = if next.request == Request::Ping {
            self.ping_timeout(now)
        } else {
            self.policy.request_timeout
        };
        // A person may try again what was refused to another session.
        let withheld = match next.request {
            Request::Login | Request::Renew if next.why != Why::Ordered => {
                account.stops.withheld_from(self.attempt(next.request))
            }
            Request::Login
            | Request::Renew
            | Request::Ping
            | Request::Introspect
            | Request::Logout => Vec::new(),
        };
        Call {
            id,
            request: next.request,
            timeout,
            urgent_by,
            footing,
            withheld,
        }
    }

    /// A renewal may spend what it presents, and a password may lock its user: what left must be known after a crash.
    fn footing(&self, request: Request) -> Footing {
        match request {
            Request::Ping | Request::Introspect => Footing::Free,
            Request::Login if self.policy.login == (LoginBy::Daemon { confirm: true }) => {
                Footing::Counted
            }
            Request::Renew if self.token_may_live() => Footing::Stored,
            Request::Login | Request::Renew | Request::Logout => Footing::Tried,
        }
    }

    /// Before the idle deadline a ping takes three quarters of its share, so that a hanging server costs three tries, and
    /// the last one what is left; after it, a server that is slow gets twice as long each time.
    fn ping_timeout(&self, now: Instant) -> Duration {
        let share = self.outage_share();
        let left = self
            .idle_deadline()
            .map_or(Duration::ZERO, |deadline| deadline.since(now));
        let wanted = match left {
            Duration::ZERO => share.saturating_mul(1 << self.state.ping_backoff.failures.min(16)),
            left if left <= share => left,
            _ => share / 4 * 3,
        };
        wanted
            .max(SHORTEST_TIMEOUT)
            .min(self.policy.request_timeout)
    }
}
