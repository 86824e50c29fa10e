//! The figures of all sessions at one moment, for who measures.

use std::time::Duration;

use jiff::Timestamp;

use super::Supervisor;
use crate::api::PageEnd;
use crate::api::access::Caller;
use crate::metrics::{DaemonFigures, SessionFigures, Snapshot};
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

impl Supervisor {
    /// A page of what `caller` may see; without one, of everything.
    pub(super) fn figures(&self, caller: Option<&Caller>, after: Option<PageEnd>) -> Snapshot {
        let now = self.now;
        let (slots, end) = self.some_of(after);
        let seen = slots
            .into_iter()
            .filter(|slot| caller.is_none_or(|caller| self.may_read(caller, slot)));
        let sessions = seen.filter_map(|slot| {
            let account = self.accounts.get(slot.account())?;
            Some(SessionFigures {
                gateway: self
                    .traffic
                    .get(slot.name())
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
