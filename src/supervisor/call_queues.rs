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
pub(super) enum Passenger {
    /// The engine's.
    Engine(String),
    /// A person's.
    Person(String),
}

impl Passenger {
    fn session(&self) -> &str {
        match self {
            Self::Engine(session) | Self::Person(session) => session,
        }
    }
}

/// The queue of calls, by host. It holds names; the calls themselves stay with their sessions.
#[derive(Debug)]
pub(super) struct Lanes {
    hosts: BTreeMap<String, Lane>,
    /// Calls that have left and have not come back: when, and to which host, the earliest first.
    in_flight: VecDeque<(Instant, String)>,
    most: usize,
    spacing: Duration,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: BTreeSet<(Instant, Passenger)>,
    in_flight: usize,
    /// When the rate allows a further call, were all of its burst spent.
    paid_until: Option<Instant>,
}

impl Lanes {
    /// Lanes in which at most `rate` calls a second leave for one host, after a burst of [`PER_HOST`].
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
    pub(super) fn enqueue(&mut self, host: &str, urgent_by: Instant, passenger: Passenger) {
        let lane = self.hosts.entry(host.to_owned()).or_default();
        lane.waiting.insert((urgent_by, passenger));
    }

    /// Nothing of the session's need leave any more.
    pub(super) fn forget(&mut self, session: &str) {
        for lane in self.hosts.values_mut() {
            lane.waiting
                .retain(|(_, passenger)| passenger.session() != session);
        }
    }

    /// Calls that have left and have not come back.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The next call that may leave now; counts it as in flight.
    pub(super) fn leave(&mut self, now: Instant) -> Option<Passenger> {
        if self.room_at(now).is_none_or(|room| room > now) {
            return None;
        }
        let spacing = self.spacing;
        let open = self
            .hosts
            .iter_mut()
            .filter(|(_, lane)| lane.may_leave(now, spacing));
        let (host, lane) =
            open.min_by_key(|(_, lane)| lane.waiting.first().map(|(urgent_by, _)| *urgent_by))?;
        let (_, passenger) = lane.waiting.pop_first()?;
        lane.in_flight += 1;
        lane.paid_until = Some(
            lane.paid_until
                .map_or(now, |paid| paid.max(now))
                .after(spacing),
        );
        self.in_flight.push_back((now, host.clone()));
        Some(passenger)
    }

    /// A call to `host` came to its end.
    pub(super) fn came_back(&mut self, host: &str) {
        // Which of the host's calls it was matters little: the others are no younger for it.
        if let Some(call) = self.in_flight.iter().position(|(_, to)| to == host) {
            self.in_flight.remove(call);
        }
        let Some(lane) = self.hosts.get_mut(host) else {
            return;
        };
        lane.in_flight = lane.in_flight.saturating_sub(1);
    }

    /// Forgets hosts that nothing is waited for from, and whose rate is paid off.
    pub(super) fn sweep(&mut self, now: Instant) {
        let idle = |lane: &Lane| lane.in_flight == 0 && lane.waiting.is_empty();
        self.hosts
            .retain(|_, lane| !idle(lane) || lane.paid_until.is_some_and(|paid| paid > now));
    }

    /// When the rate, or the number of calls in flight, lets a waiting call leave; none when only a call's end can.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        let room = self.room_at(now)?;
        let waiting = self
            .hosts
            .values()
            .filter(|lane| !lane.waiting.is_empty() && lane.in_flight < PER_HOST);
        waiting
            .map(|lane| lane.open_at(now, self.spacing).max(room))
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

impl Lane {
    fn may_leave(&self, now: Instant, spacing: Duration) -> bool {
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
        let mut lanes = Lanes::new(1000.0, 1024);
        for deadline in (0..20).rev() {
            lanes.enqueue("a", at(deadline), engine(&format!("s{deadline:02}")));
        }
        let first: Vec<_> = std::iter::from_fn(|| lanes.leave(at(0))).collect();
        assert_eq!(
            first,
            ["s00", "s01", "s02", "s03", "s04", "s05", "s06", "s07"].map(engine)
        );
        lanes.came_back("a");
        assert_eq!(lanes.leave(at(10_000)), Some(engine("s08")));
        assert_eq!(lanes.leave(at(10_000)), None);
    }

    #[test]
    fn a_host_that_hangs_holds_up_nobody_else() {
        let mut lanes = Lanes::new(1000.0, 1024);
        for call in 0..20 {
            lanes.enqueue("hangs", at(0), engine(&format!("h{call}")));
        }
        while lanes.leave(at(0)).is_some() {}
        lanes.enqueue("well", at(1), engine("w"));
        assert_eq!(lanes.leave(at(1)), Some(engine("w")));
    }

    #[test]
    fn a_hundred_hosts_that_hang_hold_up_a_sound_one_for_a_second_at_most() {
        let mut lanes = Lanes::new(1000.0, 65_536);
        for host in 0..100 {
            lanes.enqueue(&format!("hangs {host}"), at(0), engine(&format!("h{host}")));
        }
        assert_eq!(std::iter::from_fn(|| lanes.leave(at(0))).count(), IN_ALL);
        lanes.enqueue("well", at(0), engine("a"));
        assert_eq!(
            (lanes.leave(at(999)), lanes.wake(at(500))),
            (None, Some(at(1000)))
        );
        let left: Vec<_> = std::iter::from_fn(|| lanes.leave(at(1000))).collect();
        assert!(left.contains(&engine("a")) && left.len() == 37, "{left:?}");
        lanes.came_back("well");
        assert_eq!(lanes.in_flight(), 100);
    }

    #[test]
    fn calls_that_hang_have_a_bound_of_their_own_and_leave_descriptors_for_others() {
        for (descriptors, most) in [(65_536, 256), (1024, 256), (256, 64), (20, 5), (2, 1)] {
            let mut lanes = Lanes::new(1000.0, descriptors);
            for host in 0..400 {
                lanes.enqueue(&format!("hangs {host}"), at(0), engine(&format!("h{host}")));
            }
            let left: usize = (0..10)
                .map(|s| std::iter::from_fn(|| lanes.leave(at(s * 1000))).count())
                .sum();
            assert_eq!(
                (left, lanes.wake(at(10_000))),
                (most, None),
                "{descriptors} descriptors"
            );
            lanes.came_back("hangs 0");
            assert_eq!(lanes.wake(at(10_000)), Some(at(10_000)));
        }
    }

    #[test]
    fn the_rate_spaces_calls_after_a_burst_and_says_when_the_next_may_leave() {
        let mut lanes = Lanes::new(50.0, 1024);
        let mut now = at(0);
        for call in 0..58 {
            lanes.enqueue("a", now, engine(&format!("s{call:02}")));
        }
        let mut left = 0;
        while left < 58 {
            match lanes.leave(now) {
                Some(_) => left += 1,
                None => now = lanes.wake(now).unwrap(),
            }
            lanes.came_back("a");
        }
        assert_eq!(now.as_millis(), 1000);
    }

    #[test]
    fn a_thousand_sessions_that_die_at_once_are_pinged_and_logged_in_again_within_half_a_minute_by_the_default_rate()
     {
        let mut lanes = Lanes::new(100.0, 1024);
        for session in 0..1000 {
            lanes.enqueue("a", at(0), engine(&format!("ping {session}")));
        }
        let (mut now, mut fresh, mut most) = (at(0), 0, 0);
        let mut under_way = std::collections::VecDeque::new();
        while fresh < 1000 {
            while let Some(call) = lanes.leave(now) {
                under_way.push_back((now.after(Duration::from_millis(60)), call));
            }
            most = most.max(under_way.len());
            let back = under_way.front().map(|(back, _)| *back);
            now = [back, lanes.wake(now)].into_iter().flatten().min().unwrap();
            while under_way.front().is_some_and(|(back, _)| *back <= now) {
                lanes.came_back("a");
                match under_way.pop_front().unwrap().1.session().split_once(' ') {
                    Some(("ping", session)) => {
                        lanes.enqueue("a", at(0), engine(&format!("login {session}")));
                    }
                    _ => fresh += 1,
                }
            }
        }
        assert!(now < at(30_000), "{now:?}");
        assert!(most <= PER_HOST, "{most}");
    }

    fn engine(session: &str) -> Passenger {
        Passenger::Engine(session.to_owned())
    }

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }
}
