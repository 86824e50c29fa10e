//! Keeps one record's copy on disk up with the one in memory: the latest wins, one write at a time, failures are retried.

use std::time::Duration;

use crate::time::Instant;

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(30);
/// A write that takes longer holds nothing up any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// How far the disk has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Saver {
    wanted: u64,
    attempted: u64,
    written: u64,
    running: Option<(u64, Instant)>,
    retry: Option<(Instant, Duration)>,
    /// Why the last attempt failed, until one succeeds.
    pub(super) problem: Option<String>,
}

impl Saver {
    /// The record changed; gives the version that must be written.
    pub(super) fn want(&mut self) -> u64 {
        self.wanted += 1;
        self.wanted
    }

    /// The version in memory.
    pub(super) fn latest(&self) -> u64 {
        self.wanted
    }

    /// The version to write now, if any; counts it as under way.
    pub(super) fn begin(&mut self, now: Instant) -> Option<u64> {
        let fresh = self.attempted < self.wanted;
        let again = self.retry.is_some_and(|(at, _)| at <= now);
        if self.running.is_some() || !(fresh || again) {
            return None;
        }
        self.running = Some((self.wanted, now));
        Some(self.wanted)
    }

    /// The write under way came to its end.
    pub(super) fn finished(&mut self, now: Instant, problem: Option<String>) {
        let Some((version, _)) = self.running.take() else {
            return;
        };
        self.attempted = self.attempted.max(version);
        if problem.is_none() {
            self.written = self.written.max(version);
            self.retry = None;
        } else {
            let pause = self
                .retry
                .map_or(FIRST_RETRY, |(_, pause)| (pause * 2).min(LAST_RETRY));
            self.retry = Some((now.after(pause), pause));
        }
        self.problem = problem;
    }

    /// A write of `version` or later was tried, or the disk hangs.
    pub(super) fn has_tried(&self, version: u64, now: Instant) -> bool {
        self.attempted >= version || self.hangs_since().is_some_and(|since| since <= now)
    }

    /// All versions before `version` are on disk, the latest of them written by this run.
    pub(super) fn has_written_all_before(&self, version: u64) -> bool {
        self.written > 0 && self.written + 1 >= version
    }

    /// `version` or a later one is on disk.
    pub(super) fn has_written(&self, version: u64) -> bool {
        self.written >= version
    }

    /// The latest version was tried, or the disk hangs: what is in memory must be served all the same.
    pub(super) fn is_level(&self, now: Instant) -> bool {
        self.has_tried(self.wanted, now)
    }

    /// Nothing is under way and nothing is wanted.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.written == self.wanted
    }

    /// When a failed write is tried again.
    pub(super) fn wake(&self) -> Option<Instant> {
        if self.running.is_some() {
            return None;
        }
        self.retry.map(|(at, _)| at)
    }

    /// From this moment on the write under way counts as one that does not end.
    pub(super) fn hangs_since(&self) -> Option<Instant> {
        self.running.map(|(_, begun)| begun.after(PATIENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_during_a_write_is_written_by_the_next() {
        let now = Instant::from_millis(0);
        let mut saver = Saver::default();
        let first = saver.want();
        assert_eq!(saver.begin(now), Some(first));
        let second = saver.want();
        assert_eq!(saver.begin(now), None);
        saver.finished(now, None);
        assert!(saver.has_written(first) && !saver.has_tried(second, now));
        assert_eq!(saver.begin(now), Some(second));
        saver.finished(now, None);
        assert!(saver.has_written(second));
        assert_eq!(saver.begin(now), None);
    }

    #[test]
    fn only_the_latest_version_of_a_run_that_has_written_may_lag_behind() {
        let now = Instant::from_millis(0);
        let mut saver = Saver::default();
        let first = saver.want();
        saver.begin(now);
        assert!(
            !saver.has_written_all_before(first),
            "this run has written nothing"
        );
        saver.finished(now, None);
        let second = saver.want();
        assert!(saver.has_written_all_before(second));
        let third = saver.want();
        assert!(!saver.has_written_all_before(third));
        saver.begin(now);
        saver.finished(now, Some("the disk is full".into()));
        assert!(!saver.has_written_all_before(third));
    }

    #[test]
    fn a_failed_write_counts_as_tried_and_is_repeated_more_and_more_slowly() {
        let mut now = Instant::from_millis(0);
        let mut saver = Saver::default();
        let version = saver.want();
        for _ in 0..10 {
            assert!(saver.begin(now).is_some());
            saver.finished(now, Some("the disk is full".into()));
            assert!(saver.has_tried(version, now) && !saver.has_written(version));
            assert_eq!(saver.begin(now), None);
            now = saver.wake().unwrap();
        }
        saver.begin(now);
        saver.finished(now, None);
        assert!(saver.has_written(version) && saver.wake().is_none() && saver.problem.is_none());
    }

    #[test]
    fn a_disk_that_hangs_holds_nothing_up_for_longer_than_five_seconds() {
        let now = Instant::from_millis(0);
        let mut saver = Saver::default();
        let version = saver.want();
        saver.begin(now);
        assert!(!saver.is_level(now.after(Duration::from_secs(4))));
        assert_eq!(saver.hangs_since(), Some(now.after(PATIENCE)));
        assert!(saver.is_level(now.after(PATIENCE)) && !saver.has_written(version));
    }
}
