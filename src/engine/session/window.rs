//! What is known of the server's idle timer: bounds on when it last restarted, moved only by what a success proves.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::policy::WindowModel;
use crate::time::Instant;

/// The server last restarted the idle timer no earlier than `lo` and no later than `hi`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The session certainly lives until `lo` + T.
    pub lo: Instant,
    /// The latest activity we know of.
    pub hi: Instant,
}

/// The idle timer's rule, for one session.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// What restarts the timer.
    pub model: WindowModel,
    /// T, as believed now.
    pub timeout: Duration,
    /// Whether others use the token unseen: then activity may be as late as now.
    pub shared: bool,
}

/// A request that succeeded: sent at `sent`, answered at `received`.
#[derive(Clone, Copy, Debug)]
pub struct Success {
    /// When it left.
    pub sent: Instant,
    /// When its answer was there.
    pub received: Instant,
    /// Whether it was the profile's ping (only that counts under `explicit`).
    pub ping: bool,
}

impl Window {
    /// What is known after `success`; nothing was known before when `known` is none.
    pub fn after(&self, known: Option<Bounds>, success: Success) -> Option<Bounds> {
        match self.model {
            WindowModel::Fixed => known,
            WindowModel::Explicit if !success.ping => known,
            WindowModel::Sliding | WindowModel::Explicit => Some(Self::restarted(known, success)),
            WindowModel::HalfWindow => Some(self.after_in_half_window(known, success)),
        }
    }

    /// How long one successful ping proves that the session lives on.
    pub fn proof(&self) -> Duration {
        match self.model {
            WindowModel::HalfWindow if self.shared => self.timeout / 2,
            WindowModel::HalfWindow
            | WindowModel::Sliding
            | WindowModel::Explicit
            | WindowModel::Fixed => self.timeout,
        }
    }

    /// How long any successful ping proves that the session lives on, even one that restarted nothing.
    pub fn least_proof(&self) -> Duration {
        match self.model {
            WindowModel::HalfWindow => self.timeout / 2,
            WindowModel::Sliding | WindowModel::Explicit | WindowModel::Fixed => self.timeout,
        }
    }

    /// The idle timeout is at most this when a session died of idleness `gap` after its last activity.
    pub fn bound_from_death(&self, gap: Duration) -> Duration {
        match self.model {
            // The last activity may have fallen into a first half and not have counted.
            WindowModel::HalfWindow => gap * 2,
            WindowModel::Sliding | WindowModel::Explicit | WindowModel::Fixed => gap,
        }
    }

    /// Reports may arrive out of order: an older success never takes back what a newer one proved.
    fn restarted(known: Option<Bounds>, success: Success) -> Bounds {
        match known {
            Some(known) => Bounds {
                lo: known.lo.max(success.sent),
                hi: known.hi.max(success.received),
            },
            None => Bounds {
                lo: success.sent,
                hi: success.received,
            },
        }
    }

    fn after_in_half_window(&self, known: Option<Bounds>, success: Success) -> Bounds {
        let half = self.timeout / 2;
        let proven = success.sent.before(half);
        let Some(known) = known else {
            return Bounds {
                lo: proven,
                hi: success.received,
            };
        };
        if !self.shared && success.sent >= known.hi.after(half) {
            return Bounds {
                lo: success.sent,
                hi: success.received,
            };
        }
        if success.received < known.lo.after(half) {
            return known;
        }
        Bounds {
            lo: known.lo.max(proven),
            hi: known.hi.max(success.received),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Duration = Duration::from_hours(2);

    #[test]
    fn a_success_in_the_first_half_changes_nothing() {
        assert_eq!(after(true, Some((0, 0)), 59), (0, 0));
        assert_eq!(after(false, Some((0, 0)), 59), (0, 0));
    }

    #[test]
    fn a_success_in_the_second_half_restarts_the_timer_when_nobody_else_uses_the_token() {
        assert_eq!(after(false, Some((0, 0)), 60), (60, 60));
    }

    #[test]
    fn a_success_proves_only_half_a_window_when_others_use_the_token_unseen() {
        assert_eq!(after(true, Some((0, 0)), 100), (40, 100));
        assert_eq!(after(true, Some((40, 100)), 148), (88, 148));
    }

    #[test]
    fn a_success_on_a_session_of_unknown_age_proves_half_a_window() {
        assert_eq!(after(false, None, 10), (-50, 10));
    }

    #[test]
    fn a_success_at_the_very_middle_may_have_restarted_the_timer() {
        assert_eq!(after(true, Some((0, 0)), 60), (0, 60));
    }

    #[test]
    fn a_ping_and_a_death_prove_less_where_only_the_second_half_counts() {
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        for (model, shared, proof, least, bound) in [
            (WindowModel::HalfWindow, true, 60, 60, 20),
            (WindowModel::HalfWindow, false, 120, 60, 20),
            (WindowModel::Sliding, true, 120, 120, 10),
            (WindowModel::Explicit, false, 120, 120, 10),
        ] {
            let window = Window {
                model,
                timeout: T,
                shared,
            };
            let told = (
                window.proof(),
                window.least_proof(),
                window.bound_from_death(minutes(10)),
            );
            assert_eq!(
                told,
                (minutes(proof), minutes(least), minutes(bound)),
                "{model:?} {shared}"
            );
        }
    }

    #[test]
    fn an_older_report_takes_nothing_back() {
        let sliding = Window {
            model: WindowModel::Sliding,
            timeout: T,
            shared: true,
        };
        let known = Some(Bounds {
            lo: at(50),
            hi: at(50),
        });
        assert_eq!(sliding.after(known, success(20)), known);
    }

    #[test]
    fn only_the_ping_counts_under_explicit_and_nothing_under_fixed() {
        let known = Some(Bounds {
            lo: at(0),
            hi: at(0),
        });
        let explicit = Window {
            model: WindowModel::Explicit,
            timeout: T,
            shared: true,
        };
        assert_eq!(
            explicit.after(
                known,
                Success {
                    ping: false,
                    ..success(30)
                }
            ),
            known
        );
        assert_eq!(
            explicit.after(known, success(30)),
            Some(Bounds {
                lo: at(30),
                hi: at(30)
            })
        );
        let fixed = Window {
            model: WindowModel::Fixed,
            timeout: T,
            shared: true,
        };
        assert_eq!(fixed.after(known, success(30)), known);
    }

    fn after(shared: bool, known: Option<(i64, i64)>, minute: i64) -> (i64, i64) {
        let window = Window {
            model: WindowModel::HalfWindow,
            timeout: T,
            shared,
        };
        let known = known.map(|(lo, hi)| Bounds {
            lo: at(lo),
            hi: at(hi),
        });
        let bounds = window.after(known, success(minute)).unwrap();
        (
            bounds.lo.as_millis() / 60_000,
            bounds.hi.as_millis() / 60_000,
        )
    }

    fn success(minute: i64) -> Success {
        Success {
            sent: at(minute),
            received: at(minute),
            ping: true,
        }
    }

    fn at(minute: i64) -> Instant {
        Instant::from_millis(minute * 60_000)
    }
}
