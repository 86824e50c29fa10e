//! Learning that the server's idle timeout is shorter than configured: from two unexplained deaths in a row, never by trial.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The gaps between last activity and death, of unexplained deaths in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Deaths(Vec<Duration>);

impl Deaths {
    /// A session died that should have lived; `bound` is the longest timeout under which idleness explains it.
    ///
    /// Gives the timeout to believe from now on, when this was the second death in a row that idleness explains.
    /// A death that came sooner than any timeout of `known` has another cause and does not count.
    pub fn died(
        &mut self,
        bound: Duration,
        believed: Duration,
        known: &[Duration],
    ) -> Option<Duration> {
        shorter(bound, believed, known)?;
        self.0.push(bound);
        let worst = self.0.iter().copied().max()?;
        if self.0.len() < 2 {
            return None;
        }
        self.0.clear();
        shorter(worst, believed, known)
    }

    /// A ping succeeded after a pause that no timeout up to `bound` explains: a death that only such a one explains
    /// had another cause.
    pub fn lived(&mut self, bound: Duration, believed: Duration, known: &[Duration]) {
        self.0.retain(|death| {
            shorter(*death, believed, known).is_some_and(|timeout| timeout > bound)
        });
    }

    /// Whatever happened is explained.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// The largest timeout that a server can be set to, below `bound` and below what is believed.
fn shorter(bound: Duration, believed: Duration, known: &[Duration]) -> Option<Duration> {
    known
        .iter()
        .copied()
        .filter(|timeout| *timeout < bound && *timeout < believed)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_deaths_in_a_row_teach_the_next_shorter_timeout() {
        let mut deaths = Deaths::default();
        assert_eq!(deaths.died(minutes(96), minutes(120), &known()), None);
        assert_eq!(
            deaths.died(minutes(96), minutes(120), &known()),
            Some(minutes(60))
        );
    }

    #[test]
    fn a_death_is_explained_by_a_timeout_below_its_gap_and_below_what_is_believed() {
        for (bound, believed, expected) in
            [(60, 120, 30), (61, 120, 60), (120, 60, 30), (120, 61, 60)]
        {
            let learned = shorter(minutes(bound), minutes(believed), &known());
            assert_eq!(learned, Some(minutes(expected)), "{bound} {believed}");
        }
    }

    #[test]
    fn a_pause_as_long_as_the_timeout_that_a_death_points_to_takes_the_death_back() {
        let mut deaths = Deaths::default();
        deaths.died(minutes(96), minutes(120), &known());
        deaths.lived(minutes(60), minutes(120), &known());
        assert_eq!(deaths, Deaths::default());
    }

    #[test]
    fn what_is_forgotten_teaches_nothing() {
        let mut deaths = Deaths::default();
        deaths.died(minutes(96), minutes(120), &known());
        deaths.forget();
        assert_eq!(deaths, Deaths::default());
    }

    #[test]
    fn a_ping_that_succeeds_after_as_long_a_pause_breaks_the_row() {
        let mut deaths = Deaths::default();
        deaths.died(minutes(96), minutes(120), &known());
        deaths.lived(minutes(95), minutes(120), &known());
        assert_eq!(deaths.died(minutes(96), minutes(120), &known()), None);
    }

    #[test]
    fn a_ping_that_succeeds_after_a_short_pause_breaks_no_row() {
        let mut deaths = Deaths::default();
        deaths.died(minutes(96), minutes(120), &known());
        deaths.lived(minutes(48), minutes(120), &known());
        assert_eq!(
            deaths.died(minutes(96), minutes(120), &known()),
            Some(minutes(60))
        );
    }

    #[test]
    fn a_death_too_soon_for_any_timeout_is_somebodys_doing() {
        let mut deaths = Deaths::default();
        for _ in 0..5 {
            assert_eq!(deaths.died(minutes(10), minutes(120), &known()), None);
        }
    }

    #[test]
    fn nothing_is_learned_where_the_possible_timeouts_are_unknown() {
        let mut deaths = Deaths::default();
        for _ in 0..5 {
            assert_eq!(deaths.died(minutes(96), minutes(120), &[]), None);
        }
    }

    fn known() -> Vec<Duration> {
        [15, 30, 60, 120, 240].map(minutes).to_vec()
    }

    fn minutes(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }
}
