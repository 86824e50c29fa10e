//! How a token that a login or renewal brought is taken over.

use std::sync::Arc;
use std::time::Duration;

use crate::secret::Secret;
use crate::session::answer::{Answer, Grant};
use crate::session::backoff::Seed;
use crate::session::event::Event;
use crate::session::state::{Health, Introspected, Refresh, Suspicion};
use crate::session::window::{Bounds, Success};
use crate::session::{Action, Session};
use crate::time::Instant;

/// A fixed end that moves by less than this share of the token's life has not moved: both are known to a second at best.
const LEAST_GAIN: u32 = 10;

/// No server's idle timeout is shorter: one that says so counts in other units, or not at all.
const SHORTEST_IDLE: Duration = Duration::from_secs(2);

/// What an answer with a token brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Change {
    /// Another token, or the same with other values to go with it.
    Fresh,
    /// The same token, with a later end.
    Longer,
    /// The same token, as it was.
    Nothing,
}

impl Session {
    pub(in crate::session) fn exercised(&mut self, grant: &Grant, sent: Instant) {
        self.presented(grant.refresh_token.clone(), grant.refresh_lifetime, sent);
    }

    /// The refresh token was used at `sent`, and `next` was given for it, if one was.
    pub(in crate::session) fn presented(
        &mut self,
        next: Option<Secret>,
        lifetime: Option<Duration>,
        sent: Instant,
    ) {
        let seed = self
            .state
            .refresh
            .as_ref()
            .and_then(|refresh| refresh.seed.clone());
        if let Some(token) = next {
            self.state.fruitless = None;
            self.state.grant_died = None;
            self.state.refresh = Some(Box::new(Refresh {
                token,
                exercised: sent,
                lifetime,
                seed,
            }));
        } else if let Some(refresh) = &mut self.state.refresh {
            refresh.exercised = sent;
            refresh.lifetime = lifetime.or(refresh.lifetime);
        }
    }

    pub(in crate::session) fn tell_odd_refresh_token(
        &self,
        grant: &Grant,
        actions: &mut Vec<Action>,
    ) {
        if let Some(why) = grant.odd_refresh_token {
            let kept = if self.state.refresh.is_some() {
                "the one before it is presented once more when the token has ended, and may be spent by then"
            } else {
                "there is none to renew the token by"
            };
            actions.push(Action::Tell(Event::RefreshTokenOdd {
                detail: format!("{why}: {kept}"),
            }));
        }
    }

    /// The same token neither lives longer by our own reckoning, nor on another host than the one that is silent.
    pub(in crate::session) fn in_vain(&self, change: Change) -> bool {
        match change {
            Change::Fresh | Change::Longer => false,
            Change::Nothing => self.state.expires.is_some() || self.state.ping_backoff.failures > 0,
        }
    }

    /// A replacement that changed nothing must not be asked for again at once.
    pub(in crate::session) fn slow_down_unless_changed(&mut self, change: Change, now: Instant) {
        self.wanted = None;
        if self.in_vain(change) {
            self.state
                .renew_backoff
                .failed(now, self.ceiling(), &mut self.state.seed);
        }
    }

    pub(in crate::session) fn holds_dead(&self, grant: &Grant, now: Instant) -> bool {
        let same = self
            .state
            .token
            .as_ref()
            .is_some_and(|held| held.access_token == grant.token.access_token);
        let by_its_end = self.state.expires.is_some_and(|end| end <= now);
        let extended = by_its_end && grant.lifetime.is_some_and(|lifetime| !lifetime.is_zero());
        same && !extended && matches!(self.state.health, Health::Dead { .. })
    }

    /// Takes a token over.
    pub(in crate::session) fn adopt(
        &mut self,
        grant: &Grant,
        answer: &Answer,
        now: Instant,
    ) -> Change {
        let held = self.state.token.as_ref();
        let same_token = held.is_some_and(|held| held.access_token == grant.token.access_token);
        let same = held.is_some_and(|held| held.serves_like(&grant.token));
        let former_end = self.state.expires;
        // A life of nothing is not said by a server that means it: whether the token works, a ping tells.
        let life = grant
            .lifetime
            .filter(|life| !life.is_zero())
            .or(self.policy.token_lifetime);
        self.state.expires = life.map(|life| answer.sent.after(life));
        self.state.granted_at = now;
        self.state.fixed = grant.fixed;
        if !same_token {
            self.begin_life(grant, answer, now);
        } else if !self.token_may_live() || !self.policy.has_ping {
            self.state.health = Health::Good;
        }
        if !same {
            self.state.generation = self
                .state
                .generation
                .saturating_add(1)
                .max(self.generation_floor);
        }
        self.state.token = Some(Arc::new(grant.token.clone()));
        match (same, former_end.zip(self.state.expires)) {
            (false, _) => Change::Fresh,
            (true, Some((former, end)))
                if end.since(former) >= end.since(answer.sent) / LEAST_GAIN =>
            {
                Change::Longer
            }
            (true, _) => Change::Nothing,
        }
    }

    fn begin_life(&mut self, grant: &Grant, answer: &Answer, now: Instant) {
        self.state.health = Health::Good;
        self.state.token_since = now;
        self.state.proven = false;
        self.state.unrenewable = false;
        self.state.spread = false;
        self.state.odd_deaths = 0;
        if self.state.suspicion == Suspicion::Replacing {
            self.state.suspicion = Suspicion::Replaced;
        }
        self.bore_fruit();
        self.state.forbidden = None;
        self.state.false_reports = 0;
        self.state.next_report = None;
        self.state.ping_backoff.lift();
        self.state.introspected = Introspected {
            due: self.policy.introspect,
            ..Introspected::default()
        };
        self.state.bounds = self.bounds_after_login(answer);
        // Servers say zero where there is no limit.
        if let Some(timeout) = grant.idle_timeout.filter(|timeout| !timeout.is_zero()) {
            self.state.learned = Some(timeout.max(SHORTEST_IDLE));
            self.state.learned_under = self.policy.idle_timeout;
        }
        self.state.jitter = Seed(self.state.seed.draw());
    }

    /// Where no other program uses the token, no other can have opened its session.
    pub(in crate::session) fn may_hold_anothers_session(&self) -> bool {
        self.policy.login_may_reuse && self.policy.shared
    }

    /// A session that others may have opened before us is of unknown age: the login proves no more than a ping would.
    fn bounds_after_login(&self, answer: &Answer) -> Option<Bounds> {
        let success = Success {
            sent: answer.sent,
            received: answer.received,
            ping: true,
        };
        match self.window() {
            Some(window) if self.may_hold_anothers_session() => window.after(None, success),
            Some(_) | None => Some(Bounds {
                lo: answer.sent,
                hi: answer.received,
            }),
        }
    }
}
