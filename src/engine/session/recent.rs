//! What happened to a session lately, for people who look; nothing is decided by it.

use std::collections::VecDeque;

use super::answer::{Outcome, Request};
use crate::time::Instant;

/// Half a day of pings at an idle timeout of two hours, for 400 bytes a session.
const MOST: usize = 16;

/// The latest happenings, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Recent(VecDeque<Happening>);

/// A call that was answered, or the loss of a token; failures alike in a row are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When the first of them was.
    pub since: Instant,
    /// When the last of them was.
    pub at: Instant,
    /// How many they are.
    pub times: u32,
    /// What it was.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A call was answered, or given up.
    Call {
        /// Which.
        request: Request,
        /// What came of it.
        outcome: Outcome,
    },
    /// The server no longer knew the token.
    Died,
    /// The token reached its fixed end before it was replaced.
    Expired,
}

impl What {
    /// An outage is one happening, however many calls it fails.
    fn adds_up(self) -> bool {
        match self {
            Self::Call { outcome, .. } => !outcome.is_success(),
            Self::Died | Self::Expired => false,
        }
    }
}

impl Recent {
    /// When a call succeeded last.
    pub(super) fn last_success(&self) -> Option<Instant> {
        let succeeded = |one: &&Happening| matches!(one.what, What::Call { outcome, .. } if outcome.is_success());
        self.0.iter().rev().find(succeeded).map(|one| one.at)
    }

    /// Takes note; the oldest goes where there is no room.
    pub(super) fn add(&mut self, at: Instant, what: What) {
        if let Some(last) = self
            .0
            .back_mut()
            .filter(|last| last.what == what && what.adds_up())
        {
            last.at = at;
            last.times = last.times.saturating_add(1);
            return;
        }
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        // Most sessions have a few for hours.
        self.0.reserve_exact(1);
        self.0.push_back(Happening {
            since: at,
            at,
            times: 1,
            what,
        });
    }

    /// The oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Happening> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_for_the_latest() {
        let mut recent = Recent::default();
        for second in 0..40 {
            recent.add(at(second), ping(Outcome::Alive));
        }
        let kept: Vec<Instant> = recent.iter().map(|happening| happening.at).collect();
        assert_eq!(kept, (24..40).map(at).collect::<Vec<_>>());
    }

    #[test]
    fn failures_alike_in_a_row_are_one_happening_and_nothing_else_is() {
        let mut recent = Recent::default();
        let script = [
            Outcome::Alive,
            Outcome::Alive,
            Outcome::Unavailable,
            Outcome::Unavailable,
            Outcome::Dead,
            Outcome::Dead,
        ];
        for (second, outcome) in (0..).zip(script) {
            recent.add(at(second), ping(outcome));
        }
        recent.add(at(6), What::Died);
        recent.add(at(7), What::Died);
        let told: Vec<_> = recent
            .iter()
            .map(|it| {
                (
                    it.since.as_millis() / 1000,
                    it.at.as_millis() / 1000,
                    it.times,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (0, 0, 1),
                (1, 1, 1),
                (2, 3, 2),
                (4, 5, 2),
                (6, 6, 1),
                (7, 7, 1)
            ]
        );
    }

    #[test]
    fn a_session_pays_a_few_hundred_bytes_for_it() {
        assert!(
            MOST * size_of::<Happening>() <= 400,
            "{}",
            size_of::<Happening>()
        );
    }

    fn ping(outcome: Outcome) -> What {
        What::Call {
            request: Request::Ping,
            outcome,
        }
    }

    fn at(second: i64) -> Instant {
        Instant::from_millis(second * 1000)
    }
}
