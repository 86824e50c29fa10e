//! When to try again: decorrelated jitter that forgets its failures only after a success has lasted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Instant;

/// The first retry comes no sooner.
pub const FLOOR: Duration = Duration::from_secs(1);
/// No retry waits longer, unless the server says so.
pub const CEILING: Duration = Duration::from_mins(5);
/// No server is waited for longer, whatever it says: its word may be a mistake.
const LONGEST_WAIT: Duration = Duration::from_hours(24);
/// A success that holds for so long ends the memory of failures before it.
const LASTING: Duration = Duration::from_secs(30);

/// A source of jitter that is part of the state, so that a run can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The next number (splitmix64, Steele, Lea and Flood 2014).
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A duration from `from` up to `to`.
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let spread = u64::try_from(to.saturating_sub(from).as_millis()).unwrap_or(u64::MAX);
        from + Duration::from_millis(self.draw() % spread.saturating_add(1))
    }
}

/// The failures of one kind of call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// In a row, as far as no success between them lasted.
    pub failures: u32,
    delay: Duration,
    /// No call before this moment.
    pub until: Option<Instant>,
    good_since: Option<Instant>,
    /// The server itself asked for the present wait: only it, a person or a success ends that.
    asked: bool,
}

impl Backoff {
    /// The call failed: wait a while, at most `ceiling`.
    pub fn failed(&mut self, now: Instant, ceiling: Duration, seed: &mut Seed) {
        self.forget_if_success_lasted(now);
        self.failures = self.failures.saturating_add(1);
        self.delay = seed
            .between(FLOOR, self.delay.max(FLOOR) * 3)
            .min(ceiling.max(FLOOR));
        self.until = Some(now.after(self.delay));
        self.asked = false;
    }

    /// The call failed and may have been counted by the server: each pause is longer than the one before.
    pub fn failed_dearly(&mut self, now: Instant, seed: &mut Seed) {
        self.forget_if_success_lasted(now);
        self.failures = self.failures.saturating_add(1);
        let least = FLOOR.saturating_mul(1 << self.failures.min(8)).min(CEILING);
        self.delay = seed.between(least, least * 3 / 2);
        self.until = Some(now.after(self.delay));
        self.asked = false;
    }

    /// The server asked to wait. A server that goes on asking for too little is called less and less all the same.
    pub fn throttled(&mut self, now: Instant, wait: Duration, seed: &mut Seed) {
        self.failed(now, CEILING, seed);
        self.until = Some(now.after(self.delay.max(wait.min(LONGEST_WAIT))));
        self.asked = true;
    }

    /// The next call is made after this pause.
    pub fn pause(&mut self, now: Instant, wait: Duration) {
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now.after(wait));
        self.asked = false;
    }

    /// No call before `until`, though none has failed.
    pub fn told_to_spread(&mut self, until: Instant) {
        self.until = Some(self.until.map_or(until, |held| held.max(until)));
    }

    /// Brings the next try forward, never before `now`.
    pub fn no_later_than(&mut self, latest: Instant) {
        self.until = self.until.map(|until| until.min(latest));
    }

    /// The call succeeded: nothing holds back the next, but the failures are remembered for a while.
    pub fn succeeded(&mut self, now: Instant) {
        self.lift();
        self.good_since.get_or_insert(now);
    }

    /// The earliest moment of the next call, from `now` on.
    pub fn ready(&self, now: Instant) -> Instant {
        self.until.map_or(now, |until| until.max(now))
    }

    /// Lets the next call go at once; what happened before stays remembered.
    pub fn lift(&mut self) {
        self.until = None;
        self.asked = false;
    }

    /// Lets the next call go at once, unless the server itself asked for the wait.
    pub fn lift_unless_asked(&mut self) {
        if !self.asked {
            self.until = None;
        }
    }

    /// Moves every moment by `millis`, to another boot's axis.
    pub fn shift(&mut self, millis: i64) {
        self.until = self.until.map(|moment| moment.shifted(millis));
        self.good_since = self.good_since.map(|moment| moment.shifted(millis));
    }

    fn forget_if_success_lasted(&mut self, now: Instant) {
        let lasted = self
            .good_since
            .take()
            .is_some_and(|since| now.since(since) >= LASTING.max(self.delay * 2));
        if lasted {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_from_one_second_to_the_ceiling() {
        let (mut backoff, mut seed) = (Backoff::default(), Seed(7));
        let mut now = Instant::from_millis(0);
        let mut longest = Duration::ZERO;
        for _ in 0..40 {
            backoff.failed(now, CEILING, &mut seed);
            let wait = backoff.ready(now).since(now);
            assert!((FLOOR..=CEILING).contains(&wait));
            longest = longest.max(wait);
            now = now.after(wait);
        }
        assert!(longest > CEILING / 2);
    }

    #[test]
    fn a_success_counts_only_when_it_lasts_longer_than_the_pauses_before_it() {
        let (mut backoff, mut seed) = (Backoff::default(), Seed(7));
        let now = Instant::from_millis(0);
        while backoff.ready(now).since(now) < CEILING / 2 {
            backoff.failed(now, CEILING, &mut seed);
        }
        let (failures, pause) = (backoff.failures, backoff.ready(now).since(now));
        backoff.succeeded(now);
        backoff.failed(now.after(pause), CEILING, &mut seed);
        assert_eq!(backoff.failures, failures + 1);
    }

    #[test]
    fn every_moment_moves_to_another_boots_axis() {
        let (mut backoff, mut seed) = (Backoff::default(), Seed(7));
        let now = Instant::from_millis(0);
        backoff.succeeded(now);
        backoff.failed(now, CEILING, &mut seed);
        backoff.succeeded(now);
        backoff.pause(now, FLOOR);
        backoff.shift(5_000);
        assert_eq!(
            (backoff.until, backoff.good_since),
            (
                Some(Instant::from_millis(6_000)),
                Some(Instant::from_millis(5_000))
            )
        );
    }

    #[test]
    fn a_success_that_does_not_last_forgives_nothing() {
        let (mut backoff, mut seed) = (Backoff::default(), Seed(7));
        let now = Instant::from_millis(0);
        for _ in 0..5 {
            backoff.failed(now, CEILING, &mut seed);
            backoff.succeeded(now);
        }
        assert_eq!(backoff.failures, 5);
        backoff.failed(now.after(Duration::from_hours(1)), CEILING, &mut seed);
        assert_eq!(backoff.failures, 1);
    }
}
