//! What passes through a session's gateway, counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::metrics::GatewayFigures;
use crate::time::Instant;

/// How a request ended, as far as the gateway is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server's answer went to the job.
    Passed,
    /// It met a dead session, was sent once more, and the server's answer went to the job.
    SentAgain,
    /// It went no further.
    Refused,
    /// There was no token for it.
    WithoutSession,
    /// The server gave no answer.
    Failed,
}

/// The counts of one session's gateway.
#[derive(Debug, Default)]
pub struct Traffic {
    passed: AtomicU64,
    sent_again: AtomicU64,
    refused: AtomicU64,
    without_session: AtomicU64,
    failed: AtomicU64,
    in_flight: AtomicU64,
    /// From jobs.
    sent: AtomicU64,
    /// To jobs.
    received: AtomicU64,
    /// When a use was reported last.
    reported: Mutex<Option<Instant>>,
    /// When a request left last whose answer shows that the token lives.
    proved: Mutex<Option<Instant>>,
}

impl Traffic {
    pub(super) fn ended(&self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Passed => &self.passed,
            Outcome::SentAgain => &self.sent_again,
            Outcome::Refused => &self.refused,
            Outcome::WithoutSession => &self.without_session,
            Outcome::Failed => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a request as under way until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self.clone())
    }

    /// Takes note of a proof, and says whether the use is to be reported: not more often than `every`.
    pub(super) fn is_to_be_reported(&self, sent: Instant, now: Instant, every: Duration) -> bool {
        *self.proved.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let due = reported.is_none_or(|at| now.since(at) >= every);
        if due {
            *reported = Some(now);
        }
        due
    }

    /// Whether an answer showed that the token lives, so lately.
    pub(super) fn was_proved_within(&self, limit: Duration, now: Instant) -> bool {
        let proved = *self.proved.lock().unwrap_or_else(PoisonError::into_inner);
        proved.is_some_and(|at| now.since(at) < limit)
    }

    /// The counts so far.
    pub fn figures(&self) -> GatewayFigures {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        GatewayFigures {
            passed: read(&self.passed),
            sent_again: read(&self.sent_again),
            refused: read(&self.refused),
            without_session: read(&self.without_session),
            failed: read(&self.failed),
            in_flight: read(&self.in_flight),
            bytes_sent: read(&self.sent),
            bytes_received: read(&self.received),
        }
    }
}

/// A request that is under way.
pub(super) struct InFlight(Arc<Traffic>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_reported_once_in_a_while_and_a_proof_is_remembered_for_a_while() {
        let traffic = Traffic::default();
        let at = Instant::from_millis;
        let every = Duration::from_secs(1);
        assert!(!traffic.was_proved_within(every, at(0)));
        for (sent, now, expected) in [(0, 10, true), (500, 900, false), (1000, 1010, true)] {
            assert_eq!(
                traffic.is_to_be_reported(at(sent), at(now), every),
                expected,
                "{now}"
            );
        }
        assert!(traffic.was_proved_within(every, at(1999)));
        assert!(!traffic.was_proved_within(every, at(2000)));
    }

    #[test]
    fn what_is_under_way_is_counted_until_it_ends() {
        let traffic = Arc::<Traffic>::default();
        let one = traffic.begin();
        assert_eq!(traffic.figures().in_flight, 1);
        drop(one);
        traffic.ended(Outcome::SentAgain);
        let figures = traffic.figures();
        assert_eq!(
            (figures.in_flight, figures.sent_again, figures.passed),
            (0, 1, 0)
        );
    }
}
