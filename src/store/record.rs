//! Carries stored moments over a restart, be it of the daemon or of the machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::time::{Instant, Now};

/// Both clocks at the moment of storing, and the boot to which `boot` belongs; stored beside all moments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockStamp {
    /// As [`crate::clock::boot_id`] gives it.
    pub boot_id: String,
    /// On the axis of the stored moments.
    pub boot: Instant,
    /// What the wall clock said then.
    pub wall: Timestamp,
}

/// What to add to stored moments so that they lie on this boot's axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// For [`Instant::shifted`].
    pub millis: i64,
    /// Whether the clocks agree with each other; else the moments are guesses, and only a ping tells what is true.
    pub certain: bool,
    /// Whether the boot's own clock counted the time between; else the wall clock did, which may be set right only later.
    pub counted: bool,
}

impl ClockStamp {
    /// How to move the moments stored with this stamp, read at `now` in the boot `boot_id`.
    ///
    /// Within one boot its clock decides, and nothing moves. Between boots the wall clock says how much time has passed;
    /// if it went backwards, none is taken to have passed. A boot that was set back (a machine's snapshot) is a guess too.
    pub fn shift(&self, now: Now, boot_id: &str) -> Shift {
        let known = !boot_id.is_empty() && !self.boot_id.is_empty();
        let same_boot = known && self.boot_id == boot_id;
        if same_boot && self.boot <= now.boot {
            return Shift {
                millis: 0,
                certain: true,
                counted: true,
            };
        }
        let elapsed = now
            .wall
            .as_millisecond()
            .saturating_sub(self.wall.as_millisecond());
        let millis = now
            .boot
            .as_millis()
            .saturating_sub(elapsed.max(0))
            .saturating_sub(self.boot.as_millis());
        Shift {
            millis,
            certain: known && !same_boot && elapsed >= 0,
            counted: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_move_by_what_the_clocks_say_and_are_certain_only_if_they_agree() {
        // Stored at 10,000 s of boot "a"; each row: boot, its clock and the wall's advance in seconds, where the stored
        // moment must lie then, and whether that is certain.
        for (boot_id, boot, advance, expected, certain) in [
            ("a", 10_000, 0, 10_000, true),
            ("a", 10_600, 600, 10_000, true),
            ("a", 10_600, -90_000, 10_000, true),
            ("a", 10_600, 90_000, 10_000, true),
            ("b", 30, 300, -270, true),
            ("b", 30, 0, 30, true),
            ("b", 30, -300, 30, false),
            ("b", 50_000, 100, 49_900, true),
            ("a", 9_000, 100, 8_900, false),
            ("a", 9_000, -100, 9_000, false),
        ] {
            let shift = stored().shift(now(boot, advance), boot_id);
            let moved = stored().boot.shifted(shift.millis);
            let said = (moved.as_millis() / 1000, shift.certain);
            assert_eq!(said, (expected, certain), "{boot_id} {boot} {advance}");
            assert_eq!(
                shift.counted,
                boot_id == "a" && boot >= 10_000,
                "{boot_id} {boot} {advance}"
            );
        }
    }

    #[test]
    fn absurd_clocks_do_not_overflow() {
        for wall in [Timestamp::MIN, Timestamp::MAX] {
            for boot in [i64::MIN, 0, i64::MAX] {
                let stamp = ClockStamp {
                    wall,
                    boot: Instant::from_millis(boot),
                    ..stored()
                };
                for boot_id in ["a", "b"] {
                    let _ = stamp.shift(now(-5, 5), boot_id);
                }
            }
        }
    }

    fn stored() -> ClockStamp {
        ClockStamp {
            boot_id: "a".into(),
            boot: Instant::from_millis(10_000_000),
            wall: wall(0),
        }
    }

    fn now(boot: i64, advance: i64) -> Now {
        Now {
            boot: Instant::from_millis(boot * 1000),
            wall: wall(advance),
        }
    }

    fn wall(advance: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + advance).unwrap()
    }
}
