//! Which call leaves next: at most 8 in flight per host and 64 in all, a rate per host, the nearest deadline first.
//!
//! A call that takes longer than any sound server needs keeps its place of the host's 8, but no longer one of the 64: a
//! hundred hosts that hang must not hold up the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::time::Instant;

/// Calls in flight to one host.
pub(super) const PER_HOST: usize = 8;
/// Calls in flight to all hosts, those that hang left aside.
pub(super) const IN_ALL: usize = 64;
/// Calls in flight to all hosts, whatever they wait for: each may take a descriptor and some memory.
const IN_ALL_WITH_HANGING: usize = 256;
/// After so long a call counts as hanging.
const SOUND: Duration = Duration::from_secs(1);

/// Whose call waits: its session's engine's, or a person's who logs in to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum QueuedCall {
    /// The engine's.
    Engine(String),
    /// A person's.
    Person(String),
}

impl QueuedCall {
    fn session(&self) -> &str {
        match self {
            Self::Engine(session) | Self::Person(session) => session,
        }
    }
}

/// The queue of calls, by host. It holds names; the calls themselves stay with their sessions.
#[derive(Debug)]
pub(super) struct CallQueues {
    hosts: BTreeMap<String, HostQueue>,
    /// Calls that have left and have not come back: when, and to which host, the earliest first.
    in_flight: VecDeque<(Instant, String)>,
    most: usize,
    spacing: Duration,
}

#[derive(Debug, Default)]
struct HostQueue {
    waiting: BTreeSet<(Instant, QueuedCall)>,
    in_flight: usize,
    /// When the rate allows a further call, were all of its burst spent.
    paid_until: Option<Instant>,
}

impl CallQueues {
    /// Queues from which at most `rate` calls a second leave for one host, after a burst of [`PER_HOST`].
    ///
    /// A quarter of the `descriptors` is for calls: as many may be needed by callers, files and programs.
    pub(super) fn new(rate: f64, descriptors: usize) -> Self {
        Self {
            hosts: BTreeMap::new(),
            in_flight: VecDeque::new(),
            most: (descriptors / 4).clamp(1, IN_ALL_WITH_HANGING),
            spacing: spacing(rate),
        }
    }

    /// From now on at most so many calls a second leave for one host.
    pub(super) fn set_rate(&mut self, rate: f64) {
        self.spacing = spacing(rate);
    }

    /// There is a call for `host` that matters by `urgent_by`.
    pub(super) fn enqueue(&mut self, host: &str, urgent_by: Instant, call: QueuedCall) {
        let queue = self.hosts.entry(host.to_owned()).or_default();
        queue.waiting.insert((urgent_by, call));
    }

    /// Nothing of the session's need leave any more.
    pub(super) fn forget(&mut self, session: &str) {
        for queue in self.hosts.values_mut() {
            queue.waiting.retain(|(_, call)| call.session() != session);
        }
    }

    /// Calls that have left and have not come back.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The next call that may leave now; counts it as in flight.
    pub(super) fn dispatch(&mut self, now: Instant) -> Option<QueuedCall> {
        if self.room_at(now).is_none_or(|room| room > now) {
            return None;
        }
        let spacing = self.spacing;
        let open = self
            .hosts
            .iter_mut()
            .filter(|(_, queue)| queue.may_dispatch(now, spacing));
        let (host, queue) =
            open.min_by_key(|(_, queue)| queue.waiting.first().map(|(urgent_by, _)| *urgent_by))?;
        let (_, call) = queue.waiting.pop_first()?;
        queue.in_flight += 1;
        queue.paid_until = Some(
            queue
                .paid_until
                .map_or(now, |paid| paid.max(now))
                .after(spacing),
        );
        self.in_flight.push_back((now, host.clone()));
        Some(call)
    }

    /// A call to `host` came to its end.
    pub(super) fn completed(&mut self, host: &str) {
        // Which of the host's calls it was matters little: the others are no younger for it.
        if let Some(call) = self.in_flight.iter().position(|(_, to)| to == host) {
            self.in_flight.remove(call);
        }
        let Some(queue) = self.hosts.get_mut(host) else {
            return;
        };
        queue.in_flight = queue.in_flight.saturating_sub(1);
    }

    /// Forgets hosts that nothing is waited for from, and whose rate is paid off.
    pub(super) fn sweep(&mut self, now: Instant) {
        let idle = |queue: &HostQueue| queue.in_flight == 0 && queue.waiting.is_empty();
        self.hosts
            .retain(|_, queue| !idle(queue) || queue.paid_until.is_some_and(|paid| paid > now));
    }

    /// When the rate, or the number of calls in flight, lets a waiting call leave; none when only a call's end can.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let room = self.room_at(now)?;
        let waiting = self
            .hosts
            .values()
            .filter(|queue| !queue.waiting.is_empty() && queue.in_flight < PER_HOST);
        waiting
            .map(|queue| queue.open_at(now, self.spacing).max(room))
            .min()
    }

    /// When there is room among the calls to all hosts; none when only a call's end can make some.
    fn room_at(&self, now: Instant) -> Option<Instant> {
        let count = self.in_flight.len();
        if count >= self.most {
            return None;
        }
        let must_hang = count
            .checked_sub(IN_ALL.min(self.most))
            .and_then(|first| self.in_flight.get(first));
        Some(must_hang.map_or(now, |(left, _)| left.after(SOUND).max(now)))
    }
}

impl HostQueue {
    fn may_dispatch(&self, now: Instant, spacing: Duration) -> bool {
        !self.waiting.is_empty() && self.in_flight < PER_HOST && self.open_at(now, spacing) <= now
    }

    fn open_at(&self, now: Instant, spacing: Duration) -> Instant {
        let burst = spacing.saturating_mul(u32::try_from(PER_HOST - 1).unwrap_or(1));
        self.paid_until
            .map_or(now, |paid| paid.before(burst).max(now))
    }
}

fn spacing(rate: f64) -> Duration {
    Duration::from_secs_f64(1.0 / rate.max(0.001))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_eight_calls_are_in_flight_to_one_host_and_the_nearest_deadline_goes_first() {
        let mut queues = CallQueues::new(1000.0, 1024);
        for deadline in (0..20).rev() {
            queues.enqueue("a", at(deadline), engine(&format!("s{deadline:02}")));
        }
        let first: Vec<_> = std::iter::from_fn(|| queues.dispatch(at(0))).collect();
        assert_eq!(
            first,
            ["s00", "s01", "s02", "s03", "s04", "s05", "s06", "s07"].map(engine)
        );
        queues.completed("a");
        assert_eq!(queues.dispatch(at(10_000)), Some(engine("s08")));
        assert_eq!(queues.dispatch(at(10_000)), None);
    }

    #[test]
    fn a_host_that_hangs_holds_up_nobody_else() {
        let mut queues = CallQueues::new(1000.0, 1024);
        for call in 0..20 {
            queues.enqueue("hangs", at(0), engine(&format!("h{call}")));
        }
        while queues.dispatch(at(0)).is_some() {}
        queues.enqueue("well", at(1), engine("w"));
        assert_eq!(queues.dispatch(at(1)), Some(engine("w")));
    }

    #[test]
    fn a_hundred_hosts_that_hang_hold_up_a_sound_one_for_a_second_at_most() {
        let mut queues = CallQueues::new(1000.0, 65_536);
        for host in 0..100 {
            queues.enqueue(&format!("hangs {host}"), at(0), engine(&format!("h{host}")));
        }
        assert_eq!(
            std::iter::from_fn(|| queues.dispatch(at(0))).count(),
            IN_ALL
        );
        queues.enqueue("well", at(0), engine("a"));
        assert_eq!(
            (queues.dispatch(at(999)), queues.wake(at(500))),
            (None, Some(at(1000)))
        );
        let left: Vec<_> = std::iter::from_fn(|| queues.dispatch(at(1000))).collect();
        assert!(left.contains(&engine("a")) && left.len() == 37, "{left:?}");
        queues.completed("well");
        assert_eq!(queues.in_flight(), 100);
    }

    #[test]
    fn calls_that_hang_have_a_bound_of_their_own_and_leave_descriptors_for_others() {
        for (descriptors, most) in [(65_536, 256), (1024, 256), (256, 64), (20, 5), (2, 1)] {
            let mut queues = CallQueues::new(1000.0, descriptors);
            for host in 0..400 {
                queues.enqueue(&format!("hangs {host}"), at(0), engine(&format!("h{host}")));
            }
            let left: usize = (0..10)
                .map(|s| std::iter::from_fn(|| queues.dispatch(at(s * 1000))).count())
                .sum();
            assert_eq!(
                (left, queues.wake(at(10_000))),
                (most, None),
                "{descriptors} descriptors"
            );
            queues.completed("hangs 0");
            assert_eq!(queues.wake(at(10_000)), Some(at(10_000)));
        }
    }

    #[test]
    fn the_rate_spaces_calls_after_a_burst_and_says_when_the_next_may_leave() {
        let mut queues = CallQueues::new(50.0, 1024);
        let mut now = at(0);
        for call in 0..58 {
            queues.enqueue("a", now, engine(&format!("s{call:02}")));
        }
        let mut left = 0;
        while left < 58 {
            match queues.dispatch(now) {
                Some(_) => left += 1,
                None => now = queues.wake(now).unwrap(),
            }
            queues.completed("a");
        }
        assert_eq!(now.as_millis(), 1000);
    }

    #[test]
    fn a_thousand_sessions_that_die_at_once_are_pinged_and_logged_in_again_within_half_a_minute_by_the_default_rate()
     {
        let mut queues = CallQueues::new(100.0, 1024);
        for session in 0..1000 {
            queues.enqueue("a", at(0), engine(&format!("ping {session}")));
        }
        let (mut now, mut fresh, mut most) = (at(0), 0, 0);
        let mut under_way = std::collections::VecDeque::new();
        while fresh < 1000 {
            while let Some(call) = queues.dispatch(now) {
                under_way.push_back((now.after(Duration::from_millis(60)), call));
            }
            most = most.max(under_way.len());
            let back = under_way.front().map(|(back, _)| *back);
            now = [back, queues.wake(now)]
                .into_iter()
                .flatten()
                .min()
                .unwrap();
            while under_way.front().is_some_and(|(back, _)| *back <= now) {
                queues.completed("a");
                match under_way.pop_front().unwrap().1.session().split_once(' ') {
                    Some(("ping", session)) => {
                        queues.enqueue("a", at(0), engine(&format!("login {session}")));
                    }
                    _ => fresh += 1,
                }
            }
        }
        assert!(now < at(30_000), "{now:?}");
        assert!(most <= PER_HOST, "{most}");
    }

    fn engine(session: &str) -> QueuedCall {
        QueuedCall::Engine(session.to_owned())
    }

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }
}
