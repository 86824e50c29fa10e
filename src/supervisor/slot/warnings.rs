//! Early warnings: what will need a person one day unless somebody looks now.

use std::collections::VecDeque;
use std::time::Duration;

use super::Slot;
use crate::session::policy::Policy;
use crate::session::state::State;
use crate::time::Instant;

/// What can be seen coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::supervisor) enum Warning {
    /// The refresh token was idle for two thirds of its limit: it is exercised at one third, so two chances were missed.
    RefreshTokenAging,
    /// More logins than the session's own deadlines explain: something ends it.
    LoginsFrequent,
    /// A tenth or less of an allocation is left.
    QuotaLow,
}

const ALL: [Warning; 3] = [
    Warning::RefreshTokenAging,
    Warning::LoginsFrequent,
    Warning::QuotaLow,
];

/// Logins are counted over so long.
const LOGINS_WITHIN: Duration = Duration::from_hours(6);
/// So many logins within that time are nothing unusual: a restart at the server, a person at work.
const LOGINS_UNREMARKABLE: usize = 3;
/// More are not remembered: enough for every session whose deadlines explain its logins.
const LOGINS_REMEMBERED: usize = 64;

/// A warning that holds is said again after this time.
pub(in crate::supervisor) const WARN_AGAIN_AFTER: Duration = Duration::from_hours(24);

/// When a session logged in, lately.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Logins(VecDeque<Instant>);

impl Logins {
    /// A login succeeded.
    pub(in crate::supervisor) fn count(&mut self, now: Instant) {
        if self.0.len() == LOGINS_REMEMBERED {
            self.0.pop_front();
        }
        self.0.reserve_exact(1);
        self.0.push_back(now);
    }

    fn lately(&self, now: Instant) -> usize {
        self.0
            .iter()
            .filter(|at| now.since(**at) < LOGINS_WITHIN)
            .count()
    }
}

impl Warning {
    /// The fixed word for it in log and metrics.
    pub(in crate::supervisor) fn word(self) -> &'static str {
        match self {
            Self::RefreshTokenAging => "refresh_token_aging",
            Self::LoginsFrequent => "logins_frequent",
            Self::QuotaLow => "quota_low",
        }
    }
}

impl Slot {
    /// Every warning's word, with whether it holds.
    pub(in crate::supervisor) fn warnings(&self, now: Instant) -> Vec<(&'static str, bool)> {
        ALL.into_iter()
            .map(|warning| (warning.word(), self.warns(warning, now)))
            .collect()
    }

    /// Says which warnings hold, once a day each, and takes note of those that hold no more.
    pub(in crate::supervisor) fn warn(&mut self, now: Instant) {
        for warning in ALL {
            let holds = self.warns(warning, now);
            if self.told.may_warn(warning, holds, now) {
                self.say(warning, now);
            }
        }
    }

    fn warns(&self, warning: Warning, now: Instant) -> bool {
        match warning {
            Warning::RefreshTokenAging => self.refresh_token_is_aging(now),
            Warning::LoginsFrequent => {
                let explained = explained_logins(
                    self.session.policy(),
                    self.session.state(),
                    self.session.can_renew(),
                );
                self.logins.lately(now) > LOGINS_UNREMARKABLE + 2 * explained
            }
            Warning::QuotaLow => self
                .session
                .record()
                .quotas
                .iter()
                .any(|quota| is_low(quota.used, quota.limit)),
        }
    }

    fn refresh_token_is_aging(&self, now: Instant) -> bool {
        let Some(refresh) = &self.session.state().refresh else {
            return false;
        };
        let Some(end) = self.session.refresh_deadline() else {
            return false;
        };
        now.since(refresh.exercised) >= end.since(refresh.exercised).mul_f64(2.0 / 3.0)
    }

    fn say(&self, warning: Warning, now: Instant) {
        let (session, word) = (&*self.name, warning.word());
        match warning {
            Warning::RefreshTokenAging => {
                let left = self
                    .session
                    .refresh_deadline()
                    .map_or(0, |end| end.since(now).as_secs());
                tracing::warn!(
                    session,
                    event = word,
                    left_seconds = left,
                    "the refresh token will soon expire, unused"
                );
            }
            Warning::LoginsFrequent => {
                let logins = self.logins.lately(now);
                tracing::warn!(
                    session,
                    event = word,
                    logins,
                    hours = LOGINS_WITHIN.as_secs() / 3600,
                    "more logins than usual"
                );
            }
            Warning::QuotaLow => {
                for quota in self
                    .session
                    .record()
                    .quotas
                    .iter()
                    .filter(|quota| is_low(quota.used, quota.limit))
                {
                    let (name, used, limit) = (&*quota.name, quota.used, quota.limit);
                    tracing::warn!(
                        session,
                        event = word,
                        quota = name,
                        used,
                        limit,
                        "an API allowance of the server runs low"
                    );
                }
            }
        }
    }
}

/// How many logins a session's own deadlines explain within [`LOGINS_WITHIN`].
fn explained_logins(policy: &Policy, state: &State, can_renew: bool) -> usize {
    let token = state
        .expires
        .filter(|_| !can_renew)
        .map(|end| end.since(state.granted_at));
    let life = [policy.max_lifetime, token]
        .into_iter()
        .flatten()
        .filter(|life| !life.is_zero())
        .min();
    life.map_or(0, |life| {
        usize::try_from(LOGINS_WITHIN.as_millis() / life.as_millis().max(1))
            .unwrap_or(usize::MAX / 4)
    })
}

fn is_low(used: u64, limit: u64) -> bool {
    limit > 0 && limit.saturating_sub(used) <= limit / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_that_is_left_is_little() {
        for (used, limit, low) in [
            (0, 0, false),
            (89, 100, false),
            (90, 100, true),
            (200, 100, true),
            (0, 5, false),
            (5, 5, true),
        ] {
            assert_eq!(is_low(used, limit), low, "{used} of {limit}");
        }
    }

    #[test]
    fn logins_are_forgotten_after_six_hours_and_never_fill_memory() {
        let mut logins = Logins::default();
        for minute in 0..1000 {
            logins.count(Instant::from_millis(minute * 60_000));
        }
        assert_eq!(logins.0.len(), LOGINS_REMEMBERED);
        assert_eq!(
            logins.lately(Instant::from_millis(999 * 60_000)),
            LOGINS_REMEMBERED
        );
        assert_eq!(logins.lately(Instant::from_millis((999 + 359) * 60_000)), 1);
        assert_eq!(logins.lately(Instant::from_millis((999 + 360) * 60_000)), 0);
    }
}
