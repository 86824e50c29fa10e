//! What goes wrong in the world, how often, and what it then does.

use std::cmp::Reverse;
use std::time::Duration;

use super::world::{LOOK_EVERY, World};
use crate::session::Input;
use crate::time::Instant;

/// What goes wrong, as odds of one in so many; zero is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Calls that reach the server, but not their answers back.
    pub lost_answers: u64,
    /// Calls that are refused.
    pub refused_calls: u64,
    /// Calls at which the process dies: before they leave, before their answer, or before it is stored.
    pub crashes: u64,
    /// The mean time between outages of up to two hours, sometimes hanging.
    pub outages: Option<Duration>,
    /// The mean time between revocations of every session.
    pub revocations: Option<Duration>,
    /// The mean time between restarts of the daemon.
    pub restarts: Option<Duration>,
    /// The mean time between jumps of the wall clock.
    pub jumps: Option<Duration>,
    /// The mean time between uses of the token by others.
    pub hidden_uses: Option<Duration>,
    /// The mean time between suspends of up to five hours.
    pub suspends: Option<Duration>,
    /// The mean time between jobs that hold the token, or let go of it.
    pub holds: Option<Duration>,
    /// One answer in so many asks to wait.
    pub throttling: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Happening {
    Answer(usize),
    OutageBegins,
    OutageEnds,
    Revocation,
    Restart,
    Jump,
    HiddenUse,
    Suspend,
    Hold,
    Look,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    None,
    Refusing,
    Hanging,
}

impl World {
    pub(super) fn happen(&mut self) {
        let Some(Reverse((_, _, happening))) = self.happenings.pop() else {
            return;
        };
        match happening {
            Happening::Answer(index) => self.answer(index),
            Happening::OutageBegins => self.begin_outage(),
            Happening::OutageEnds => {
                self.outage = Outage::None;
                self.healthy_since = self.now;
            }
            Happening::Revocation => self.server.revoke_sessions(),
            Happening::Restart => (0..self.daemons.len()).for_each(|index| self.restart(index)),
            Happening::Jump => {
                (0..self.daemons.len()).for_each(|index| self.step(index, Input::ClockJumped));
            }
            Happening::HiddenUse => self.server.hidden_use(self.now),
            Happening::Suspend => self.suspend(),
            Happening::Hold => self.hold(),
            Happening::Look => {
                self.plan(self.now.after(LOOK_EVERY), Happening::Look);
                (0..self.daemons.len()).for_each(|index| self.look(index));
            }
        }
        self.schedule_next(happening);
    }

    pub(super) fn schedule_next(&mut self, happening: Happening) {
        let mean = match happening {
            Happening::OutageBegins => self.faults.outages,
            Happening::Revocation => self.faults.revocations,
            Happening::Restart => self.faults.restarts,
            Happening::Jump => self.faults.jumps,
            Happening::HiddenUse => self.faults.hidden_uses,
            Happening::Suspend => self.faults.suspends,
            Happening::Hold => self.faults.holds,
            Happening::Answer(_) | Happening::OutageEnds | Happening::Look => None,
        };
        if let Some(mean) = mean {
            let wait = self.seed.between(Duration::ZERO, mean * 2);
            self.plan(self.now.after(wait), happening);
        }
    }

    pub(super) fn plan(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.happenings
            .push(Reverse((at, self.sequence, happening)));
    }

    fn begin_outage(&mut self) {
        self.outage = if self.chance(2) {
            Outage::Hanging
        } else {
            Outage::Refusing
        };
        let length = self
            .seed
            .between(Duration::from_secs(1), Duration::from_hours(2));
        self.plan(self.now.after(length), Happening::OutageEnds);
    }

    /// A job holds the token for longer than any token lives, or for a moment, or its hold ends.
    fn hold(&mut self) {
        let lasting = self
            .seed
            .between(Duration::ZERO, self.faults.holds.unwrap_or_default() * 3);
        let lasting = (lasting > self.faults.holds.unwrap_or_default() / 2).then_some(lasting);
        (0..self.daemons.len()).for_each(|index| self.step(index, Input::Held { lasting }));
    }

    /// Everything of this machine stands still; what was under way is lost.
    fn suspend(&mut self) {
        let length = self
            .seed
            .between(Duration::from_secs(1), Duration::from_hours(5));
        self.pass(self.now.after(length));
        self.healthy_since = self.healthy_since.max(self.now);
    }
}

pub(super) const MISHAPS: [Happening; 7] = [
    Happening::OutageBegins,
    Happening::Revocation,
    Happening::Restart,
    Happening::Jump,
    Happening::HiddenUse,
    Happening::Suspend,
    Happening::Hold,
];
