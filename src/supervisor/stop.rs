//! The end: nothing new begins, renewals and logins finish, what they bring is stored; sessions and files stay.

use std::time::Duration;

use super::Supervisor;
use super::effect::{Effect, Notice};
use crate::publish::Publisher;
use crate::session::{Input, Order};
use crate::time::Instant;

/// Beyond its time-out a renewal is waited for no longer at the end.
const DRAIN_GRACE: Duration = Duration::from_secs(3);

/// Whether the daemon goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It serves.
    Runs,
    /// It was told to stop.
    Stops {
        /// What is under way is waited for no longer.
        until: Instant,
        /// It was told so once more.
        hurried: bool,
    },
    /// Nothing is left to do but to leave.
    Over,
}

impl Supervisor {
    /// Begins nothing more, lets renewals and logins finish, stores what they bring; the files stay. Told so once more, it
    /// cuts off whatever costs no session: all but renewals, a person's login and their writes.
    pub(super) fn stop(&mut self) {
        if let Life::Stops { hurried, .. } = &mut self.life {
            *hurried = true;
            return;
        }
        self.effects.notify(Notice::Stopping);
        tracing::info!(
            event = "stopping",
            "stopping; the sessions and their files stay"
        );
        let longest = self
            .slots
            .values()
            .map(|slot| slot.session().policy().request_timeout)
            .max()
            .unwrap_or_default();
        self.life = Life::Stops {
            until: self.now.boot.after(longest + DRAIN_GRACE),
            hurried: false,
        };
        let leavers: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.config().logout_on_stop)
            .map(|(name, _)| name.clone())
            .collect();
        for name in &leavers {
            self.step(name, Input::Order(Order::LogoutUntilStart));
        }
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names.iter().filter(|name| !leavers.contains(name)) {
            self.step(name, Input::Drain);
        }
        self.take_back_what_has_not_left();
        self.abort_what_may_be_lost();
    }

    /// Whether nothing new begins.
    pub(super) fn is_stopping(&self) -> bool {
        self.life != Life::Runs
    }

    /// Whether all is done, or was waited for long enough.
    pub(super) fn is_over(&self) -> bool {
        self.life == Life::Over
    }

    /// The files of all sessions, to be left as they are wanted.
    pub(super) fn into_files(self) -> impl Iterator<Item = Publisher> {
        let slots = self.slots.into_values();
        slots.map(|slot| slot.into_files())
    }

    /// A call that waits for a write or in a queue never leaves; its intent is ended, so that the next start need not doubt it.
    fn take_back_what_has_not_left(&mut self) {
        let held = self
            .slots
            .values_mut()
            .filter_map(|slot| Some((slot.name().clone(), slot.take_back_pending()?)));
        let held: Vec<_> = held.collect();
        for (name, call) in held {
            self.queues.forget(&name);
            self.step(&name, Input::Unwritten { call });
        }
    }

    /// Not where a logout is to follow: it waits for the answer to the call that is under way.
    fn abort_what_may_be_lost(&mut self) {
        for slot in self
            .slots
            .values_mut()
            .filter(|slot| !slot.config().logout_on_stop)
        {
            if let Some(flight) = slot.take_harmless_flight() {
                self.effects.push(Effect::Abort(slot.epoch()));
                self.queues.completed(&flight.host);
            }
        }
    }

    /// Lets end what is under way.
    pub(super) fn drain(&mut self) {
        let now = self.now.boot;
        while let Some(call) = self.queues.dispatch(now) {
            self.launch(&call);
        }
        self.save_accounts(now);
        self.write();
        let Life::Stops { until, hurried } = self.life else {
            return;
        };
        let mut slots = self.slots.values();
        let is_done = if hurried {
            !slots.any(|slot| slot.would_lose_a_session(now))
        } else {
            slots.all(|slot| slot.is_at_rest(now))
                && self
                    .accounts
                    .values()
                    .all(|account| account.saver.is_level(now))
        };
        if is_done {
            self.life = Life::Over;
        } else if until <= now {
            tracing::warn!(
                event = "undrained",
                "a call had no answer before the stop; its result is lost"
            );
            self.life = Life::Over;
        }
    }
}
