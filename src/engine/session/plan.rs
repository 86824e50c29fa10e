//! What happens next by itself, and why: derived from the state whenever it is asked for.

mod why;

use std::time::Duration;

use super::Session;
use super::account::Account;
use super::answer::Request;
use super::backoff::FLOOR;
use super::policy::{LoginBy, WindowModel};
use super::state::{Doubt, Health};
use super::window::Window;
use crate::time::Instant;
pub use why::Why;

/// A login may have handed out a session that was about to idle out, and need not count as its use: the first ping tells.
const PROVE_AFTER: Duration = Duration::from_secs(10);
/// What another session of the account needs to begin its login.
const WAY: Duration = Duration::from_millis(100);
const MOST_WAYS: u32 = 50;
/// A dead token stays readable for so long while its recovery is under way.
const WITHDRAW_AFTER: Duration = Duration::from_secs(5);
/// A token that lives shorter than this by the server's word draws on the login budget.
const SHORTEST_PLANNED_LIFE: Duration = Duration::from_secs(2);

/// The next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// When.
    pub at: Instant,
    /// What.
    pub request: Request,
    /// What for.
    pub why: Why,
}

impl Session {
    /// The next call that will be made if nothing else happens; none while one is under way, or where a person must act.
    pub fn next(&self, now: Instant, account: &Account) -> Option<Next> {
        if self.in_flight.is_some() || self.draining {
            return None;
        }
        if let Some(next) = self.ordered_call(now, account) {
            return Some(next);
        }
        if self.state.paused || self.state.logged_out {
            return None;
        }
        if self.is_dormant() {
            return self.exercise(now, account);
        }
        match self.state.health {
            Health::Missing => self.recovery(now, account, Why::NoToken),
            Health::Dead { .. } => self.recovery(now, account, Why::Dead),
            Health::Doubtful { why, .. } => self.proof_by_ping(now, account, Why::Doubt(why)),
            Health::Good => self.upkeep(now, account),
        }
    }

    /// When the session idles out, as far as is known.
    pub fn idle_deadline(&self) -> Option<Instant> {
        let timeout = self.window()?.timeout;
        self.state.bounds.map(|bounds| bounds.lo.after(timeout))
    }

    /// The idle window, for a token that pings extend.
    pub(super) fn window(&self) -> Option<Window> {
        if self.state.fixed || self.policy.model == WindowModel::Fixed {
            return None;
        }
        let timeout = self.idle_timeout()?;
        Some(Window {
            model: self.policy.model,
            timeout,
            shared: self.policy.shared,
        })
    }

    /// The idle timeout as believed now.
    pub fn idle_timeout(&self) -> Option<Duration> {
        let configured = self.policy.idle_timeout?;
        Some(
            self.state
                .learned
                .map_or(configured, |learned| learned.min(configured)),
        )
    }

    /// When the refresh token dies if it is not used.
    pub fn refresh_deadline(&self) -> Option<Instant> {
        let refresh = self.state.refresh.as_ref()?;
        // Servers say zero where there is no limit.
        let limit = refresh
            .lifetime
            .or(self.policy.refresh_idle_timeout)
            .filter(|limit| !limit.is_zero())?;
        Some(refresh.exercised.after(limit))
    }

    /// When the login reaches its absolute limit.
    pub fn login_deadline(&self) -> Option<Instant> {
        Some(self.state.logged_in_at?.after(self.login_limit()?))
    }

    /// The nearer of what the config or the profile says and what the login's answer told.
    fn login_limit(&self) -> Option<Duration> {
        [self.policy.max_lifetime, self.state.login_lifetime]
            .into_iter()
            .flatten()
            .min()
    }

    /// The longest outage that must cost nothing, scaled down with a learned timeout.
    pub(super) fn survive_outage(&self) -> Duration {
        match (self.policy.idle_timeout, self.idle_timeout()) {
            (Some(configured), Some(believed)) if believed < configured => self
                .policy
                .survive_outage
                .mul_f64(believed.as_secs_f64() / configured.as_secs_f64()),
            _ => self.policy.survive_outage,
        }
    }

    /// When a dead token is withdrawn even though its recovery has not failed yet.
    pub(super) fn withdraw_at(&self) -> Option<Instant> {
        match self.state.health {
            Health::Dead {
                since,
                withdrawn: false,
            } => Some(since.after(WITHDRAW_AFTER)),
            Health::Dead {
                withdrawn: true, ..
            }
            | Health::Missing
            | Health::Good
            | Health::Doubtful { .. } => None,
        }
    }

    /// Whether a renewal is possible at all.
    pub fn can_renew(&self) -> bool {
        self.has_renewal() && !self.renewal_is_declined()
    }

    /// Whether there is something to renew by, be it refused for now.
    pub fn has_renewal(&self) -> bool {
        let lives_enough = self.token_may_live() || !self.policy.renewal_needs_life;
        let by_profile = self.policy.renew_by_profile && !self.policy.renewal_needs_refresh_token;
        let by_profile = by_profile && self.state.token.is_some() && lives_enough;
        !self.state.unrenewable && (self.state.refresh.is_some() || by_profile)
    }

    /// A renewal is possible, and no refusal holds it back.
    fn may_present(&self, account: &Account) -> bool {
        self.can_renew() && !self.is_stopped(Request::Renew, account)
    }

    /// Whether the daemon can log in by itself.
    pub fn can_login(&self) -> bool {
        matches!(self.policy.login, LoginBy::Daemon { .. })
    }

    fn ordered_call(&self, now: Instant, account: &Account) -> Option<Next> {
        let request = self.ordered?;
        let waits = request == Request::Login && account.in_flight.is_some();
        (!waits).then_some(Next {
            at: now,
            request,
            why: Why::Ordered,
        })
    }

    /// What was ordered during a call may have become pointless by its answer.
    pub(super) fn forget_pointless_order(&mut self) {
        let Some(request) = self.ordered.filter(|_| self.in_flight.is_none()) else {
            return;
        };
        let pointless = match request {
            Request::Ping | Request::Introspect => !self.token_may_live(),
            Request::Renew => !self.can_renew(),
            Request::Login => !self.can_login(),
            Request::Logout => self.state.token.is_none(),
        };
        if pointless {
            self.ordered = None;
        }
    }

    /// The ladder: renew, else log in, else a person.
    pub(super) fn recovery(&self, now: Instant, account: &Account, why: Why) -> Option<Next> {
        // A spent refresh token may bring the whole family down: with a doubt on it, any login is the better way.
        if self.may_present(account) && !(self.state.in_doubt && self.may_login(account)) {
            return self.renewal(now, account, why);
        }
        self.login(now, now, account, why)
    }

    pub(super) fn renewal(&self, now: Instant, account: &Account, why: Why) -> Option<Next> {
        let open = !self.is_stopped(Request::Renew, account) && !self.renewal_is_declined();
        open.then(|| Next {
            at: self.state.renew_backoff.ready(now),
            request: Request::Renew,
            why,
        })
    }

    /// A login at `due` at the earliest; whether the budget holds it back is a matter of what it is for by then.
    fn login(&self, due: Instant, now: Instant, account: &Account, why: Why) -> Option<Next> {
        if account.in_flight.is_some() || !self.may_login(account) {
            return None;
        }
        let ready = self.after_failures(now, account).max(due);
        let ready = match why {
            _ if self.is_planned(why, ready) => ready,
            // Without a ping nothing can confirm a report.
            Why::Doubt(Doubt::Report) => account.within_half_budget(ready, now),
            Why::Ordered
            | Why::IdleTimeout
            | Why::UnknownAge
            | Why::Expiry
            | Why::MaxLifetime
            | Why::RefreshTokenIdle
            | Why::NoToken
            | Why::Dead
            | Why::Doubt(_)
            | Why::Introspection
            | Why::Forbidden
            | Why::HostGone => account.within_budget(ready, now),
        };
        let at = if self.sends_password() {
            account.password_ready(ready)
        } else {
            ready
        };
        Some(Next {
            at,
            request: Request::Login,
            why,
        })
    }

    /// A login may lock its user if what it sends is wrong.
    pub(in crate::session) fn sends_password(&self) -> bool {
        self.policy.login == LoginBy::Daemon { confirm: false }
    }

    /// What failed for another session alone may not fail for this one.
    fn after_failures(&self, now: Instant, account: &Account) -> Instant {
        if self.failed_logins == 0 && account.is_open_to(&self.name) {
            return now;
        }
        let ready = account.backoff.ready(now);
        self.way_given(account)
            .map_or(ready, |until| ready.max(until))
    }

    /// After a failure, other sessions of the account that failed less often begin their logins first.
    fn way_given(&self, account: &Account) -> Option<Instant> {
        let until = account.backoff.until.filter(|_| account.sessions > 1)?;
        Some(until.after(WAY * self.failed_logins.min(MOST_WAYS)))
    }

    /// It was known that the token, or the login, would end about now: replacing it is no sign of trouble, and no draw on
    /// the budget.
    pub(super) fn is_planned(&self, why: Why, now: Instant) -> bool {
        match why {
            Why::Expiry | Why::Dead => self.state.expires.is_some_and(|end| {
                let announced = end.since(self.state.granted_at);
                self.has_announced_end() && now.since(self.state.granted_at) >= announced / 2
            }),
            Why::MaxLifetime => {
                self.state
                    .logged_in_at
                    .zip(self.login_limit())
                    .is_some_and(|(since, limit)| {
                        limit >= SHORTEST_PLANNED_LIFE && now.since(since) >= limit / 2
                    })
            }
            Why::Ordered
            | Why::IdleTimeout
            | Why::UnknownAge
            | Why::RefreshTokenIdle
            | Why::NoToken
            | Why::Doubt(_)
            | Why::Introspection
            | Why::Forbidden
            | Why::HostGone => false,
        }
    }

    /// The token was given with an end that left it time to be used.
    pub(super) fn has_announced_end(&self) -> bool {
        self.state
            .expires
            .is_some_and(|end| end.since(self.state.granted_at) >= SHORTEST_PLANNED_LIFE)
    }

    fn proof_by_ping(&self, now: Instant, account: &Account, why: Why) -> Option<Next> {
        if let Some(next) = self.search_for_host(now, account) {
            return Some(next);
        }
        if !self.policy.has_ping {
            return self.recovery(now, account, why);
        }
        Some(Next {
            at: self.state.ping_backoff.ready(now),
            request: Request::Ping,
            why,
        })
    }

    /// All that keeps a good session good; the earliest wins.
    fn upkeep(&self, now: Instant, account: &Account) -> Option<Next> {
        let candidates = [
            self.search_for_host(now, account),
            self.idle_ping(now),
            self.wanted_call(now, account),
            self.confirming_ping(now),
            self.replacement(now, account),
            self.exercise(now, account),
            self.next_life(now, account),
            self.introspection(now),
            self.waiting_renewal(now, account),
        ];
        candidates.into_iter().flatten().min_by_key(|next| next.at)
    }

    fn idle_ping(&self, now: Instant) -> Option<Next> {
        // While the server forbids pings, its own pace counts.
        let window = self
            .window()
            .filter(|_| self.policy.has_ping && self.state.forbidden.is_none())?;
        let Some(bounds) = self.state.bounds else {
            return Some(self.ping_at(now, now, Why::UnknownAge));
        };
        let deadline = bounds.lo.after(window.timeout);
        let due = deadline.before(self.idle_margin(deadline));
        let early = if self.state.spread {
            Duration::ZERO
        } else {
            self.jitter(due)
        };
        let hint = self
            .state
            .introspected
            .end
            .filter(|_| !self.state.introspected.hinted);
        let due = hint.map_or(due, |end| due.min(end.before(self.idle_margin(end))));
        if self.may_hold_anothers_session() && !self.state.proven {
            let first = due.min(self.state.token_since.after(PROVE_AFTER));
            return Some(self.ping_at(
                first.before(early.min(PROVE_AFTER / 4)),
                now,
                Why::UnknownAge,
            ));
        }
        Some(self.ping_at(due.before(early), now, Why::IdleTimeout))
    }

    /// How long before an idle deadline the ping is due. When introspection named an end that is nearer than the outage
    /// to survive, half of what is left must do: each ping would make the next one due at once.
    fn idle_margin(&self, deadline: Instant) -> Duration {
        let introspected = &self.state.introspected;
        let named = introspected
            .at
            .filter(|_| introspected.end == Some(deadline));
        let left = named.map_or(Duration::MAX, |at| deadline.since(at));
        self.survive_outage().min(left / 2)
    }

    /// Spreads the first pings of sessions that began together over a tenth of their wait.
    fn jitter(&self, due: Instant) -> Duration {
        let mut jitter = self.state.jitter;
        jitter.between(Duration::ZERO, due.since(self.state.token_since) / 10)
    }

    pub(super) fn ping_at(&self, due: Instant, now: Instant, why: Why) -> Next {
        let at = if due <= now {
            self.state.ping_backoff.ready(now)
        } else {
            due.max(self.state.ping_backoff.ready(due))
        };
        Next {
            at,
            request: Request::Ping,
            why,
        }
    }

    fn confirming_ping(&self, now: Instant) -> Option<Next> {
        self.state
            .forbidden
            .as_ref()
            .map(|_| self.ping_at(now, now, Why::Forbidden))
    }

    fn replacement(&self, now: Instant, account: &Account) -> Option<Next> {
        let end = self.state.expires?;
        let margin = self.margin(end);
        let due = end.before(margin).max(self.state.granted_at.after(FLOOR));
        self.replace_at(
            self.put_off(due, self.last_chance(end, margin)),
            now,
            account,
        )
    }

    fn replace_at(&self, due: Instant, now: Instant, account: &Account) -> Option<Next> {
        let how = if self.may_present(account) && !self.state.in_doubt {
            self.renewal(now, account, Why::Expiry)
        } else {
            self.login(due, now, account, Why::Expiry)
        }?;
        Some(Next {
            at: how.at.max(due),
            ..how
        })
    }

    /// How long before its fixed end a token is replaced.
    pub(super) fn margin(&self, end: Instant) -> Duration {
        let life = end.since(self.state.granted_at);
        self.policy
            .renew_before
            .unwrap_or_else(|| self.survive_outage().max(life / 10))
            .min(life / 2)
    }

    /// A third of the way to the refresh token's own end: two chances remain when this one is missed.
    fn exercise(&self, now: Instant, account: &Account) -> Option<Next> {
        let refresh = self
            .state
            .refresh
            .as_ref()
            .filter(|_| !self.state.in_doubt)?;
        let limit = self.refresh_deadline()?.since(refresh.exercised);
        let due = refresh.exercised.after((limit / 3).max(FLOOR));
        let due = self.put_off(due, refresh.exercised.after(limit / 3 * 2));
        let how = self.renewal(now, account, Why::RefreshTokenIdle)?;
        Some(Next {
            at: how.at.max(due),
            ..how
        })
    }

    fn next_life(&self, now: Instant, account: &Account) -> Option<Next> {
        let (limit, end) = (self.login_limit()?, self.login_deadline()?);
        let margin = self.survive_outage().max(limit / 48);
        let due = self.put_off(end.before(margin), self.last_chance(end, margin));
        self.login(due, now, account, Why::MaxLifetime)
    }

    fn introspection(&self, now: Instant) -> Option<Next> {
        let due = self.policy.introspect && self.state.introspected.due;
        due.then_some(Next {
            at: now,
            request: Request::Introspect,
            why: Why::Introspection,
        })
    }

    /// A session that has run out on a host of its own that answers nothing: the login host may know where it moved.
    fn search_for_host(&self, now: Instant, account: &Account) -> Option<Next> {
        let elsewhere = self
            .state
            .token
            .as_ref()?
            .instance_url
            .as_ref()
            .is_some_and(|url| *url != self.policy.origin);
        let run_out = self.idle_deadline().is_some_and(|deadline| deadline <= now);
        let silent = self.state.ping_backoff.failures >= 3;
        let next = (elsewhere && run_out && silent)
            .then(|| self.recovery(now, account, Why::HostGone))
            .flatten()?;
        (next.at < self.state.ping_backoff.ready(now)).then_some(next)
    }

    /// A third of the outage to survive: in each falls one try.
    pub(super) fn outage_share(&self) -> Duration {
        self.survive_outage() / 3
    }
}
