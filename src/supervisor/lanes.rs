//! Which call leaves next: at most 8 in flight per host and 64 in all, a rate per host, the nearest deadline first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::time::Instant;

/// Calls in flight to one host.
pub(super) const PER_HOST: usize = 8;
/// Calls in flight to all hosts.
pub(super) const IN_ALL: usize = 64;

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
    in_flight: usize,
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
    pub(super) fn new(rate: f64) -> Self {
        Self { hosts: BTreeMap::new(), in_flight: 0, spacing: Duration::from_secs_f64(1.0 / rate.max(0.001)) }
    }

    /// There is a call for `host` that matters by `urgent_by`.
    pub(super) fn enqueue(&mut self, host: &str, urgent_by: Instant, passenger: Passenger) {
        let lane = self.hosts.entry(host.to_owned()).or_default();
        lane.waiting.insert((urgent_by, passenger));
    }

    /// Nothing of the session's need leave any more.
    pub(super) fn forget(&mut self, session: &str) {
        for lane in self.hosts.values_mut() {
            lane.waiting.retain(|(_, passenger)| passenger.session() != session);
        }
    }

    /// Calls that have left and have not come back.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The next call that may leave now; counts it as in flight.
    pub(super) fn leave(&mut self, now: Instant) -> Option<Passenger> {
        if self.in_flight >= IN_ALL {
            return None;
        }
        let spacing = self.spacing;
        let open = self.hosts.values_mut().filter(|lane| lane.may_leave(now, spacing));
        let lane = open.min_by_key(|lane| lane.waiting.first().map(|(urgent_by, _)| *urgent_by))?;
        let (_, passenger) = lane.waiting.pop_first()?;
        lane.in_flight += 1;
        lane.paid_until = Some(lane.paid_until.map_or(now, |paid| paid.max(now)).after(spacing));
        self.in_flight += 1;
        Some(passenger)
    }

    /// A call to `host` came to its end.
    pub(super) fn came_back(&mut self, host: &str) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(lane) = self.hosts.get_mut(host) else { return };
        lane.in_flight = lane.in_flight.saturating_sub(1);
    }

    /// Forgets hosts that nothing is waited for from, and whose rate is paid off.
    pub(super) fn sweep(&mut self, now: Instant) {
        let idle = |lane: &Lane| lane.in_flight == 0 && lane.waiting.is_empty();
        self.hosts.retain(|_, lane| !idle(lane) || lane.paid_until.is_some_and(|paid| paid > now));
    }

    /// When the rate lets a waiting call leave; none when only a call's end can.
    pub(super) fn wake(&self, now: Instant) -> Option<Instant> {
        if self.in_flight >= IN_ALL {
            return None;
        }
        let waiting = self.hosts.values().filter(|lane| !lane.waiting.is_empty() && lane.in_flight < PER_HOST);
        waiting.map(|lane| lane.open_at(now, self.spacing)).min()
    }
}

impl Lane {
    fn may_leave(&self, now: Instant, spacing: Duration) -> bool {
        !self.waiting.is_empty() && self.in_flight < PER_HOST && self.open_at(now, spacing) <= now
    }

    fn open_at(&self, now: Instant, spacing: Duration) -> Instant {
        let burst = spacing.saturating_mul(u32::try_from(PER_HOST - 1).unwrap_or(1));
        self.paid_until.map_or(now, |paid| paid.before(burst).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_eight_calls_are_in_flight_to_one_host_and_the_nearest_deadline_goes_first() {
        let mut lanes = Lanes::new(1000.0);
        for deadline in (0..20).rev() {
            lanes.enqueue("a", at(deadline), engine(&format!("s{deadline:02}")));
        }
        let first: Vec<_> = std::iter::from_fn(|| lanes.leave(at(0))).collect();
        assert_eq!(first, ["s00", "s01", "s02", "s03", "s04", "s05", "s06", "s07"].map(engine));
        lanes.came_back("a");
        assert_eq!(lanes.leave(at(10_000)), Some(engine("s08")));
        assert_eq!(lanes.leave(at(10_000)), None);
    }

    #[test]
    fn a_host_that_hangs_holds_up_nobody_else() {
        let mut lanes = Lanes::new(1000.0);
        for call in 0..20 {
            lanes.enqueue("hangs", at(0), engine(&format!("h{call}")));
        }
        while lanes.leave(at(0)).is_some() {}
        lanes.enqueue("well", at(1), engine("w"));
        assert_eq!(lanes.leave(at(1)), Some(engine("w")));
    }

    #[test]
    fn the_rate_spaces_calls_after_a_burst_and_says_when_the_next_may_leave() {
        let mut lanes = Lanes::new(50.0);
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
    fn a_thousand_sessions_that_die_at_once_are_pinged_and_logged_in_again_within_half_a_minute_by_the_default_rate() {
        let mut lanes = Lanes::new(100.0);
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
                    Some(("ping", session)) => lanes.enqueue("a", at(0), engine(&format!("login {session}"))),
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
