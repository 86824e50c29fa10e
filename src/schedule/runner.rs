//! Fires the duties: one one-shot job per session, at the instant that the calendar computed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::{Calendar, Duty};
use crate::clock;

/// The scheduler's default of 200 loses firings when many fall on one moment.
const CHANNEL_SLOTS: usize = 4096;

/// The scheduler refuses only when its own tasks are gone; how long until it is tried anew.
const RETRY: Duration = Duration::from_secs(30);

/// Tells when duties fall due. Its scheduler, which wakes twice a second, runs only while some session has duties.
pub struct Runner {
    calendars: BTreeMap<String, Calendar>,
    armed: BTreeMap<String, Armed>,
    /// Sessions whose next duty must be computed and armed, with the moment after which it lies.
    unarmed: BTreeMap<String, Timestamp>,
    /// Jobs that are no longer wanted.
    stale: Vec<Job>,
    ready: VecDeque<(String, Duty)>,
    scheduler: Option<JobScheduler>,
    firing: mpsc::UnboundedSender<(String, Timestamp)>,
    fired: mpsc::UnboundedReceiver<(String, Timestamp)>,
}

struct Armed {
    at: Timestamp,
    duties: Vec<Duty>,
    job: Job,
}

impl Default for Runner {
    fn default() -> Self {
        let (firing, fired) = mpsc::unbounded_channel();
        Self {
            calendars: BTreeMap::new(),
            armed: BTreeMap::new(),
            unarmed: BTreeMap::new(),
            stale: Vec::new(),
            ready: VecDeque::new(),
            scheduler: None,
            firing,
            fired,
        }
    }
}

impl Runner {
    /// Takes the calendars of a new config; sessions whose calendar is the same keep what is armed.
    pub fn set(&mut self, calendars: BTreeMap<String, Calendar>, now: Timestamp) {
        let wanted: BTreeMap<_, _> = calendars
            .into_iter()
            .filter(|(_, calendar)| !calendar.is_empty())
            .collect();
        let names: BTreeSet<&String> = self.calendars.keys().chain(wanted.keys()).collect();
        let changed = names
            .into_iter()
            .filter(|name| self.calendars.get(*name) != wanted.get(*name));
        for name in changed.cloned().collect::<Vec<String>>() {
            self.disarm(&name);
            self.unarmed.remove(&name);
            if wanted.contains_key(&name) {
                self.unarmed.insert(name, now);
            }
        }
        self.ready.retain(|(name, _)| wanted.contains_key(name));
        self.calendars = wanted;
    }

    /// Computes everything anew after the wall clock jumped; what it jumped over is due now, once.
    pub fn rearm(&mut self, now: Timestamp) {
        let names: Vec<String> = self.armed.keys().cloned().collect();
        for name in names {
            let Some(armed) = self.disarm(&name) else {
                continue;
            };
            if armed.at <= now {
                self.ready
                    .extend(armed.duties.into_iter().map(|duty| (name.clone(), duty)));
            }
            self.unarmed.insert(name, now);
        }
    }

    /// The next duty, when it is due; never returns while there is none. May be dropped and called again at any time.
    pub async fn next(&mut self) -> (String, Duty) {
        loop {
            if let Some(due) = self.ready.pop_front() {
                return due;
            }
            if let Err(error) = self.arm().await {
                tracing::error!(event = "duties_failed", %error, "cannot schedule calendar duties; trying again");
                tokio::time::sleep(RETRY).await;
                continue;
            }
            // The sender lives as long as this: there is always a next message to wait for.
            if let Some((name, at)) = self.fired.recv().await {
                self.take_fired(&name, at);
            }
        }
    }

    /// Ends the scheduler.
    pub async fn shutdown(mut self) {
        self.stop_scheduler().await;
    }

    /// What fired becomes ready, unless it was disarmed while its message was under way.
    fn take_fired(&mut self, name: &str, at: Timestamp) {
        if self.armed.get(name).is_none_or(|armed| armed.at != at) {
            return;
        }
        if let Some(armed) = self.armed.remove(name) {
            self.ready
                .extend(armed.duties.into_iter().map(|duty| (name.to_owned(), duty)));
            // Not from now: a scheduler that fires a little early must not fire the same duty twice.
            self.unarmed
                .insert(name.to_owned(), at.max(clock::now().wall));
        }
    }

    fn disarm(&mut self, name: &str) -> Option<Armed> {
        let armed = self.armed.remove(name)?;
        self.stale.push(armed.job.clone());
        Some(armed)
    }

    /// Brings the scheduler in line with the calendars. Each step leaves things so that it can be begun again.
    async fn arm(&mut self) -> Result<(), JobSchedulerError> {
        if self.calendars.is_empty() {
            self.stop_scheduler().await;
            return Ok(());
        }
        while let Some(job) = self.stale.last() {
            if let Some(scheduler) = &self.scheduler {
                scheduler.remove(&job.guid()).await?;
            }
            self.stale.pop();
        }
        while let Some((name, after)) = self.unarmed.first_key_value() {
            let (name, after) = (name.clone(), *after);
            self.arm_one(&name, after).await?;
            self.unarmed.remove(&name);
        }
        Ok(())
    }

    async fn arm_one(&mut self, name: &str, after: Timestamp) -> Result<(), JobSchedulerError> {
        let Some((at, duties)) = self
            .calendars
            .get(name)
            .and_then(|calendar| calendar.next_after(after))
        else {
            return Ok(());
        };
        let firing = self.firing.clone();
        let owner = name.to_owned();
        let job = Job::new_one_shot(until(at), move |_, _| {
            // Nobody listens any more only when the runner is gone.
            let _ = firing.send((owner.clone(), at));
        })?;
        self.running_scheduler().await?.add(job.clone()).await?;
        self.armed
            .insert(name.to_owned(), Armed { at, duties, job });
        Ok(())
    }

    async fn running_scheduler(&mut self) -> Result<JobScheduler, JobSchedulerError> {
        if let Some(scheduler) = &self.scheduler {
            return Ok(scheduler.clone());
        }
        let scheduler = JobScheduler::new_with_channel_size(CHANNEL_SLOTS).await?;
        scheduler.start().await?;
        self.scheduler = Some(scheduler.clone());
        Ok(scheduler)
    }

    async fn stop_scheduler(&mut self) {
        self.stale.clear();
        if let Some(mut scheduler) = self.scheduler.take() {
            // It only sets a flag, which its loop sees within half a second.
            let _ = scheduler.shutdown().await;
        }
    }
}

/// The time until `at` in whole seconds, rounded up: the scheduler cuts its sum with the wall clock down to seconds.
fn until(at: Timestamp) -> Duration {
    let left = at.duration_since(clock::now().wall);
    let seconds = left.as_secs() + i64::from(left.subsec_nanos() > 0);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::schedule::Line;

    #[tokio::test]
    async fn without_duties_no_scheduler_runs() {
        let mut runner = Runner::default();
        let none = BTreeMap::from([("crm".to_owned(), Calendar::empty(TimeZone::UTC))]);
        runner.set(none, Timestamp::UNIX_EPOCH);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), runner.next())
                .await
                .is_err()
        );
        assert!(runner.scheduler.is_none());
    }

    #[tokio::test]
    async fn an_armed_duty_survives_a_dropped_wait_and_is_disarmed_with_its_session() {
        let mut runner = Runner::default();
        runner.set(hourly(), clock::now().wall);
        for _ in 0..3 {
            assert!(
                tokio::time::timeout(Duration::from_millis(20), runner.next())
                    .await
                    .is_err()
            );
        }
        assert_eq!(runner.armed.len(), 1);
        runner.set(BTreeMap::new(), clock::now().wall);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), runner.next())
                .await
                .is_err()
        );
        assert!(runner.armed.is_empty() && runner.scheduler.is_none());
    }

    #[tokio::test]
    async fn what_the_wall_clock_jumped_over_is_due_once() {
        let mut runner = Runner::default();
        runner.set(hourly(), clock::now().wall);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), runner.next())
                .await
                .is_err()
        );
        let later = clock::now().wall + jiff::SignedDuration::from_hours(5);
        runner.rearm(later);
        assert_eq!(runner.next().await, ("crm".to_owned(), Duty::Verify));
        assert!(
            tokio::time::timeout(Duration::from_millis(20), runner.next())
                .await
                .is_err()
        );
        assert!(runner.armed["crm"].at > later);
        runner.shutdown().await;
    }

    #[tokio::test]
    async fn a_message_of_a_job_that_was_disarmed_is_nothing() {
        let mut runner = Runner::default();
        runner.set(hourly(), clock::now().wall);
        assert!(
            tokio::time::timeout(Duration::from_millis(20), runner.next())
                .await
                .is_err()
        );
        runner.take_fired("crm", Timestamp::UNIX_EPOCH);
        runner.take_fired("other", Timestamp::UNIX_EPOCH);
        assert!(runner.ready.is_empty());
        let at = runner.armed["crm"].at;
        runner.take_fired("crm", at);
        runner.take_fired("crm", at);
        assert_eq!(runner.ready.len(), 1);
        assert_eq!(runner.unarmed["crm"], at);
    }

    fn hourly() -> BTreeMap<String, Calendar> {
        let line = Line::parse("55 * * * *").unwrap();
        BTreeMap::from([(
            "crm".to_owned(),
            Calendar {
                verify: vec![line],
                ..Calendar::empty(TimeZone::UTC)
            },
        )])
    }
}
