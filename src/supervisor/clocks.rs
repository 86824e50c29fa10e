//! The wall clock against ours: when what is seen of it is worth a ping of every session.
//!
//! One step may mean that the machine stood still. A clock that is off again and again runs fast or slow, or somebody
//! plays with it: that says less each time, and is acted upon less and less often.

use std::time::Duration;

use crate::time::{Instant, Now};

/// The clocks may drift apart so far between two looks before it counts as a jump.
const JUMP_MILLIS: i64 = 5_000;
/// After a jump that was acted upon, only a larger one is for so long; twice as long after each further.
const FIRST_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Both clocks at the last look, and what came of earlier ones.
#[derive(Debug)]
pub(super) struct Clocks {
    last: Now,
    /// How far they moved against each other since a jump was last acted upon, steady drift aside.
    untold: i64,
    /// The largest jump of those that came one after the other.
    largest: i64,
    acted: Option<Instant>,
    pause: Duration,
}

/// What a look at both clocks shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// They go alike.
    Steady,
    /// They do not, as they did not just before.
    Off,
    /// The wall clock jumped by so many milliseconds: the machine may have stood still.
    Jumped(i64),
}

impl Clocks {
    pub(super) fn begin(now: Now) -> Self {
        Self {
            last: now,
            untold: 0,
            largest: 0,
            acted: None,
            pause: Duration::ZERO,
        }
    }

    /// How the wall clock moved against ours since the last look.
    pub(super) fn look(&mut self, now: Now) -> Look {
        let boot = now
            .boot
            .as_millis()
            .saturating_sub(self.last.boot.as_millis());
        let wall = now
            .wall
            .as_millisecond()
            .saturating_sub(self.last.wall.as_millisecond());
        self.last = now;
        let jump = wall.saturating_sub(boot);
        let is_jump = jump.abs() >= JUMP_MILLIS;
        if is_jump {
            self.untold = self.untold.saturating_add(jump);
        }
        let held = self
            .acted
            .is_some_and(|acted| now.boot.since(acted) < self.pause);
        let is_larger = jump.saturating_abs() > self.largest;
        if (held && !is_larger) || self.untold.abs() < JUMP_MILLIS {
            return if is_jump { Look::Off } else { Look::Steady };
        }
        Look::Jumped(self.act(jump, now.boot))
    }

    fn act(&mut self, jump: i64, now: Instant) -> i64 {
        let rested = self
            .acted
            .is_none_or(|acted| now.since(acted) >= LONGEST_PAUSE * 2);
        self.pause = if rested {
            FIRST_PAUSE
        } else {
            (self.pause * 2).min(LONGEST_PAUSE)
        };
        self.largest = if rested {
            jump.saturating_abs()
        } else {
            self.largest.max(jump.saturating_abs())
        };
        self.acted = Some(now);
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    #[test]
    fn clocks_that_go_alike_or_nearly_so_are_steady() {
        for drift in [-4_999, -1, 0, 1, 4_999] {
            let mut clocks = Clocks::begin(at(0, 0));
            let looks: Vec<Look> = (1..100)
                .map(|look| clocks.look(at(look * 30_000, look * drift)))
                .collect();
            assert!(looks.iter().all(|look| *look == Look::Steady), "{drift}");
        }
    }

    #[test]
    fn a_step_of_the_wall_clock_is_a_jump_once() {
        for step in [5_000, -5_000, 7_200_000, -7_200_000, 50 * 365 * 86_400_000] {
            let mut clocks = Clocks::begin(at(0, 0));
            assert_eq!(clocks.look(at(30_000, 0)), Look::Steady);
            assert_eq!(clocks.look(at(60_000, step)), Look::Jumped(step));
            assert_eq!(clocks.look(at(90_000, step)), Look::Steady);
        }
    }

    #[test]
    fn a_larger_step_is_acted_upon_at_once_and_a_smaller_one_within_the_pause() {
        let mut clocks = Clocks::begin(at(0, 0));
        assert_eq!(clocks.look(at(1_000, 10_000)), Look::Jumped(10_000));
        assert_eq!(clocks.look(at(2_000, 28_810_000)), Look::Jumped(28_800_000));
        assert_eq!(clocks.look(at(3_000, 28_820_000)), Look::Off);
        assert_eq!(clocks.look(at(121_000, 28_820_000)), Look::Steady);
        assert_eq!(clocks.look(at(122_000, 28_820_000)), Look::Jumped(10_000));
    }

    #[test]
    fn steps_far_apart_are_all_acted_upon() {
        let mut clocks = Clocks::begin(at(0, 0));
        for step in 1..10 {
            assert_eq!(
                clocks.look(at(step * 7_200_000, step * 60_000)),
                Look::Jumped(60_000),
                "{step}"
            );
        }
    }

    #[test]
    fn what_comes_to_nothing_within_the_pause_is_forgotten() {
        let mut clocks = Clocks::begin(at(0, 0));
        assert_eq!(clocks.look(at(1_000, 60_000)), Look::Jumped(60_000));
        assert_eq!(clocks.look(at(2_000, 0)), Look::Off);
        assert_eq!(clocks.look(at(3_000, 60_000)), Look::Off);
        assert_eq!(clocks.look(at(100_000, 60_000)), Look::Steady);
    }

    #[test]
    fn a_clock_that_runs_fast_or_slow_for_a_day_is_acted_upon_some_thirty_times() {
        for percent in [-100, -50, -20, 20, 100, 900, 5_900] {
            let mut clocks = Clocks::begin(at(0, 0));
            let looks = (1..2880).map(|look| clocks.look(at(look * 30_000, look * 300 * percent)));
            let jumps = looks.filter(|look| matches!(look, Look::Jumped(_))).count();
            assert!((20..=40).contains(&jumps), "{jumps} at {percent} %");
        }
    }

    #[test]
    fn absurd_clocks_do_not_overflow() {
        let mut clocks = Clocks::begin(at(0, 0));
        for wall in [
            Timestamp::MIN,
            Timestamp::MAX,
            Timestamp::UNIX_EPOCH,
            Timestamp::MAX,
        ] {
            for boot in [i64::MIN, 0, i64::MAX] {
                let _ = clocks.look(Now {
                    boot: Instant::from_millis(boot),
                    wall,
                });
            }
        }
    }

    /// Ours says `boot`, the wall clock is `off` by so much; both in milliseconds.
    fn at(boot: i64, off: i64) -> Now {
        let began: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        Now {
            boot: Instant::from_millis(boot),
            wall: began + SignedDuration::from_millis(boot + off),
        }
    }
}
