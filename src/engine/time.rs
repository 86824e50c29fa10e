//! Moments on the clock that counts suspend and ignores the wall, and the pair of clocks an input carries.

use std::fmt;
use std::num::NonZero;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A reading of `CLOCK_BOOTTIME` in milliseconds.
///
/// Signed, so that a moment stored before a reboot may lie before this boot's zero. Held with the sign turned round, which
/// keeps the order and leaves zero free: a moment that may be missing takes no more room than one that is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Instant(NonZero<u64>);

const SIGN: u64 = 1 << 63;

impl Instant {
    /// The moment `millis` milliseconds after the boot; the very first is the one after.
    pub const fn from_millis(millis: i64) -> Self {
        match NonZero::new(millis.cast_unsigned() ^ SIGN) {
            Some(turned) => Self(turned),
            None => Self(NonZero::<u64>::MIN),
        }
    }

    /// Milliseconds since the boot.
    pub const fn as_millis(self) -> i64 {
        (self.0.get() ^ SIGN).cast_signed()
    }

    /// How long after `earlier` this is; zero when it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(
            u64::try_from(self.as_millis().saturating_sub(earlier.as_millis())).unwrap_or(0),
        )
    }

    /// This moment, `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self::from_millis(self.as_millis().saturating_add(millis(by)))
    }

    /// This moment, `by` earlier.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self::from_millis(self.as_millis().saturating_sub(millis(by)))
    }

    /// This moment, moved by a signed number of milliseconds.
    #[must_use]
    pub fn shifted(self, by_millis: i64) -> Self {
        Self::from_millis(self.as_millis().saturating_add(by_millis))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instant").field(&self.as_millis()).finish()
    }
}

impl From<i64> for Instant {
    fn from(millis: i64) -> Self {
        Self::from_millis(millis)
    }
}

impl From<Instant> for i64 {
    fn from(moment: Instant) -> Self {
        moment.as_millis()
    }
}

/// What both clocks said when an input arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The clock that all durations run on.
    pub boot: Instant,
    /// The wall clock: for calendars, servers' times and the store only.
    pub wall: Timestamp,
}

impl Now {
    /// The wall time that corresponds to `moment`, as far as the calendar reaches.
    pub fn wall_at(&self, moment: Instant) -> Timestamp {
        let ahead = moment.as_millis().saturating_sub(self.boot.as_millis());
        let bound = if ahead < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        Timestamp::from_millisecond(self.wall.as_millisecond().saturating_add(ahead))
            .unwrap_or(bound)
    }
}

/// `duration` in whole milliseconds, as much as fits.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_shown_in_milliseconds() {
        assert_eq!(format!("{:?}", Instant::from_millis(1234)), "Instant(1234)");
    }

    #[test]
    fn moments_are_told_apart_and_never_overflow() {
        let (early, late) = (Instant::from_millis(1_000), Instant::from_millis(3_500));
        let gap = Duration::from_millis(2_500);
        assert_eq!(
            (late.since(early), early.since(late)),
            (gap, Duration::ZERO)
        );
        assert_eq!(
            (early.after(gap), late.before(gap), early.shifted(2_500)),
            (late, early, late)
        );
        assert_eq!(late.after(Duration::MAX), Instant::from_millis(i64::MAX));
        assert_eq!(
            Instant::from_millis(-2).before(Duration::MAX),
            Instant::from_millis(i64::MIN)
        );
        assert_eq!(
            Instant::from_millis(i64::MIN).shifted(-1),
            Instant::from_millis(i64::MIN)
        );
    }

    #[test]
    fn each_moment_has_its_wall_time_as_far_as_the_calendar_reaches() {
        let wall: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let now = Now {
            boot: Instant::from_millis(60_000),
            wall,
        };
        for (moment, expected) in [
            (60_000, "2026-11-21T10:00:00Z"),
            (0, "2026-11-21T09:59:00Z"),
            (-60_000, "2026-11-21T09:58:00Z"),
            (3_660_000, "2026-11-21T11:00:00Z"),
        ] {
            assert_eq!(
                now.wall_at(Instant::from_millis(moment)).to_string(),
                expected
            );
        }
        assert_eq!(now.wall_at(Instant::from_millis(i64::MAX)), Timestamp::MAX);
        assert_eq!(now.wall_at(Instant::from_millis(i64::MIN)), Timestamp::MIN);
    }
}
