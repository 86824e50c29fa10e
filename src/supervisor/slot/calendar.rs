//! What the calendar asks of sessions.

use jiff::Timestamp;

use super::Slot;
use crate::api::{DutyKind, Scheduled};
use crate::schedule::{Calendar, Duty};
use crate::session::{Input, Order};
use crate::supervisor::Supervisor;
use crate::supervisor::effect::Effect;

impl Supervisor {
    /// Arms what falls due next, for all sessions of the config.
    pub(in crate::supervisor) fn set_calendar(&mut self) {
        let busy = self
            .config
            .sessions
            .iter()
            .filter(|(_, session)| !session.schedule.is_empty());
        let calendars =
            busy.map(|(name, session)| (name.to_string(), Calendar::clone(&session.schedule)));
        let calendars = calendars.collect();
        self.effects.push(Effect::SetCalendars(calendars));
    }

    /// Tells a session whether it must live now, as its calendar has it.
    pub(in crate::supervisor) fn consult_calendar(&mut self, name: &str) {
        let now = self.now.wall;
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        slot.look_ahead(now);
        let active = slot.config.schedule.is_active(now);
        self.step(name, Input::Active(active));
    }

    /// A duty falls due.
    pub(in crate::supervisor) fn duty(&mut self, name: &str, duty: Duty) {
        let now = self.now.wall;
        if let Some(slot) = self.slots.get_mut(name) {
            slot.look_ahead(now);
        }
        let input = match duty {
            Duty::Verify => Input::Order(Order::Verify),
            Duty::Renew => Input::Order(Order::RenewWhenFree),
            Duty::ActiveStarts => Input::Active(true),
            Duty::ActiveEnds => Input::Active(false),
        };
        self.step(name, input);
    }

    /// The wall clock has jumped.
    pub(in crate::supervisor) fn look_ahead_anew(&mut self) {
        let now = self.now.wall;
        self.slots
            .values_mut()
            .for_each(|slot| slot.look_ahead(now));
    }
}

impl Slot {
    fn look_ahead(&mut self, now: Timestamp) {
        self.upcoming = self.config.schedule.upcoming(now);
    }

    /// What is to come, for people; what is due stands there until it is begun.
    pub(in crate::supervisor) fn scheduled(&self) -> Vec<Scheduled> {
        let told = |(at, duty): &(Timestamp, Duty)| Scheduled {
            duty: kind(*duty),
            at: *at,
            local: self.config.schedule.local(*at),
        };
        self.upcoming.iter().map(told).collect()
    }
}

fn kind(duty: Duty) -> DutyKind {
    match duty {
        Duty::Verify => DutyKind::Verify,
        Duty::Renew => DutyKind::Renew,
        Duty::ActiveStarts => DutyKind::ActiveStarts,
        Duty::ActiveEnds => DutyKind::ActiveEnds,
    }
}
