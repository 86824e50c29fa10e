//! The figures of all sessions at one moment, for who measures.

use std::time::Duration;

use jiff::Timestamp;

use super::Supervisor;
use super::shown;
use super::slot::Slot;
use crate::api::PageEnd;
use crate::api::access::Caller;
use crate::metrics::{DaemonFigures, Moments, SessionFigures, Snapshot};
use crate::session::account::Account;
use crate::session::answer::Request;
use crate::session::state::Health;
use crate::time::{Instant, Now};

/// The worst lag is remembered for one to two of these.
const LAG_WINDOW: Duration = Duration::from_mins(1);

/// What is measured of the daemon, beside its sessions.
#[derive(Debug)]
pub(super) struct Gauges {
    pub(super) started: Timestamp,
    pub(super) config_good: bool,
    pub(super) config_read: Timestamp,
    pub(super) clock_jumps: u64,
    lag: Lag,
}

/// How late the loop was, in this window and in the one before.
#[derive(Debug)]
struct Lag {
    since: Instant,
    now: Duration,
    before: Duration,
}

/// Answers of one session by request and verdict.
#[derive(Debug, Default)]
pub(super) struct Tally(Vec<(Request, &'static str, u64)>);

impl Gauges {
    pub(super) fn begin(now: Now) -> Self {
        Self {
            started: now.wall,
            config_good: true,
            config_read: now.wall,
            clock_jumps: 0,
            lag: Lag {
                since: now.boot,
                now: Duration::ZERO,
                before: Duration::ZERO,
            },
        }
    }

    /// The loop wanted to be back by `planned`.
    pub(super) fn back(&mut self, planned: Instant, now: Instant) {
        self.lag.turn(now);
        self.lag.now = self.lag.now.max(now.since(planned));
    }
}

impl Lag {
    fn turn(&mut self, now: Instant) {
        let past = now.since(self.since);
        if past >= LAG_WINDOW {
            self.before = if past < 2 * LAG_WINDOW {
                self.now
            } else {
                Duration::ZERO
            };
            self.now = Duration::ZERO;
            self.since = now;
        }
    }
}

impl Tally {
    pub(super) fn count(&mut self, request: Request, verdict: &'static str) {
        if let Some((_, _, count)) = self
            .0
            .iter_mut()
            .find(|(of, word, _)| (*of, *word) == (request, verdict))
        {
            *count += 1;
            return;
        }
        // A few, which come one by one and stay.
        self.0.reserve_exact(1);
        self.0.push((request, verdict, 1));
    }

    /// What was counted, and zero for successes that have not come yet: a first one is an increase, too.
    fn figures(&self) -> Vec<(Request, &'static str, u64)> {
        let mut figures = self.0.clone();
        for (request, verdict) in [
            (Request::Ping, "alive"),
            (Request::Renew, "good"),
            (Request::Login, "good"),
        ] {
            if !figures
                .iter()
                .any(|(of, word, _)| (*of, *word) == (request, verdict))
            {
                figures.push((request, verdict, 0));
            }
        }
        figures
    }
}

impl Supervisor {
    /// A page of what `caller` may see; without one, of everything.
    pub(super) fn figures(&self, caller: Option<&Caller>, after: Option<PageEnd>) -> Snapshot {
        let now = self.now;
        let (slots, end) = self.some_of(after);
        let seen = slots
            .into_iter()
            .filter(|slot| caller.is_none_or(|caller| self.may_read(caller, slot)));
        let sessions = seen.filter_map(|slot| {
            let account = self.accounts.get(&slot.account)?;
            Some(SessionFigures {
                gateway: self
                    .traffic
                    .get(&slot.name)
                    .map(|traffic| traffic.figures()),
                ..slot.figures(now, &account.account)
            })
        });
        Snapshot {
            daemon: DaemonFigures {
                started: self.gauges.started,
                scheduler_lag_seconds: self
                    .gauges
                    .lag
                    .now
                    .max(self.gauges.lag.before)
                    .as_secs_f64(),
                calls_in_flight: self.queues.in_flight(),
                config_good: self.gauges.config_good,
                config_read: self.gauges.config_read,
                clock_jumps: self.gauges.clock_jumps,
                alert_runs: (self.config.alerts.tells_somebody()).then(|| self.alert_runs.runs()),
            },
            sessions: sessions.collect(),
            end,
        }
    }
}

impl Slot {
    fn figures(&self, now: Now, account: &Account) -> SessionFigures {
        let state = self.session.state();
        let lifetime = state.refresh.as_ref().zip(self.session.refresh_deadline());
        #[expect(
            clippy::cast_precision_loss,
            reason = "clocks that differ by millennia may lose a millisecond"
        )]
        let skew = state.skew_millis as f64 / 1000.0;
        SessionFigures {
            name: self.name.clone(),
            phase: self.phase(now.boot, account),
            ready: self.is_ready(),
            generation: state.token.as_ref().map(|_| state.generation),
            moments: self.moments(now, account),
            idle_timeout_seconds: self
                .session
                .idle_timeout()
                .map(|timeout| timeout.as_secs_f64()),
            refresh_token_lifetime_seconds: lifetime
                .map(|(it, end)| end.since(it.exercised).as_secs_f64()),
            persisted: self.saver.problem.is_none(),
            files_failing: self.publication.failing().len(),
            clock_skew_seconds: skew,
            calls: self.tally.figures(),
            publications: self.publication.count(),
            gateway: None,
            hook_runs: (!self.config.hooks.is_empty()).then(|| self.hook_runs.runs()),
            quotas: self.session.record().quotas.clone(),
            warnings: self.warnings(now.boot),
            broken: self.broken,
            owner: self.config.owner.clone(),
            runbook: self.config.runbook.clone(),
        }
    }

    fn moments(&self, now: Now, account: &Account) -> Moments {
        let state = self.session.state();
        let at = |moment: Option<Instant>| moment.map(|moment| now.wall_at(moment));
        Moments {
            idle_deadline: at(self
                .session
                .idle_deadline()
                .filter(|_| state.health == Health::Good)),
            token_expiry: at(state.expires),
            refresh_token_expiry: at(self.session.refresh_deadline()),
            login_expiry: at(self.session.login_deadline()),
            next_action: at(self.session.next(now.boot, account).map(|next| next.at)),
            token_issued: shown::issued_at(state, now),
            login: at(state.logged_in_at),
            activity: at(state.bounds.map(|bounds| bounds.hi)),
        }
    }

    /// Whether a token is out that a job can use; one that may not even ping is of no use.
    pub(super) fn is_ready(&self) -> bool {
        let forbidden = self
            .session
            .state()
            .forbidden
            .as_ref()
            .is_some_and(|forbidden| !forbidden.tentative);
        self.publication.is_shown() && !forbidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_lag_is_remembered_for_a_minute_and_forgotten_after_two() {
        let at = |seconds: i64| Instant::from_millis(1000 * seconds);
        let mut gauges = Gauges::begin(Now {
            boot: at(0),
            wall: Timestamp::UNIX_EPOCH,
        });
        let worst = |gauges: &Gauges| gauges.lag.now.max(gauges.lag.before).as_secs();
        gauges.back(at(3), at(10));
        gauges.back(at(11), at(11));
        assert_eq!(worst(&gauges), 7);
        gauges.back(at(61), at(62));
        assert_eq!(worst(&gauges), 7, "of the window before");
        gauges.back(at(125), at(125));
        assert_eq!(worst(&gauges), 1);
        gauges.back(at(600), at(600));
        assert_eq!(worst(&gauges), 0);
    }
}
