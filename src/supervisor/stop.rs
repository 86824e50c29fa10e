//! The end: nothing new begins, renewals and logins finish, what they bring is stored; sessions and files stay.

use std::time::Duration;

use tokio::task::JoinSet;

use super::slot::Slot;
use super::{Ears, Supervisor};
use crate::clock;
use crate::session::answer::Request;
use crate::session::{Input, Order};
use crate::signals::Signal;
use crate::time::Instant;

/// Beyond its time-out a renewal is waited for no longer at the end.
const DRAIN_GRACE: Duration = Duration::from_secs(3);
/// Hooks and alerts get so long to end after that.
const LAST_HOOKS: Duration = Duration::from_secs(3);
/// Token files get so long to settle at the end.
const SETTLE: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Begins nothing more, lets renewals and logins finish, stores what they bring; the files stay.
    pub(super) async fn stop(mut self, ears: &mut Ears) {
        self.notifier.stopping();
        tracing::info!(
            event = "stopping",
            "stopping; the sessions and their files stay"
        );
        let leavers: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.config.logout_on_stop)
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
        let longest = self
            .slots
            .values()
            .map(|slot| slot.session.policy().request_timeout)
            .max()
            .unwrap_or_default();
        let drained = tokio::time::timeout(longest + DRAIN_GRACE, self.drain(ears)).await;
        if drained.is_err() {
            tracing::warn!(
                event = "undrained",
                "a call had no answer before the stop; its result is lost"
            );
        }
        let slots = std::mem::take(&mut self.slots);
        let mut hooks = JoinSet::from_iter([self.alerts.finish()]);
        let settle = async {
            for (_, slot) in slots {
                hooks.spawn(slot.hooks.finish());
                slot.publication.stop().await;
            }
            while self.retiring.join_next().await.is_some() {}
        };
        let _ = tokio::time::timeout(SETTLE, settle).await;
        let told = async { while hooks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_HOOKS, told).await.is_err() {
            tracing::warn!(
                event = "hooks_cut",
                "killed hook and alert programs that were still running"
            );
            hooks.shutdown().await;
        }
        self.calendar.shutdown().await;
    }

    /// A call that waits for a write or a lane never leaves; its intent is ended, so that the next start need not doubt it.
    fn take_back_what_has_not_left(&mut self) {
        let held = self
            .slots
            .values_mut()
            .filter_map(|slot| Some((slot.name.clone(), slot.take_back_pending()?)));
        let held: Vec<_> = held.collect();
        for (name, call) in held {
            self.lanes.forget(&name);
            self.step(&name, Input::Unwritten { call });
        }
    }

    /// Not where a logout is to follow: it waits for the answer to the call that is under way.
    fn abort_what_may_be_lost(&mut self) {
        for slot in self
            .slots
            .values_mut()
            .filter(|slot| !slot.config.logout_on_stop)
        {
            let harmless = |flight: &mut Box<crate::driver::Flight>| {
                matches!(flight.request, Request::Ping | Request::Introspect)
            };
            if let Some(flight) = slot.in_flight.take_if(harmless) {
                flight.abort.abort();
                self.lanes.came_back(&flight.host);
            }
        }
    }

    /// Told to stop once more, it cuts off whatever costs no session: all but renewals, a person's login and their writes.
    async fn drain(&mut self, ears: &mut Ears) {
        let mut hurried = false;
        loop {
            self.now = clock::now();
            let now = self.now.boot;
            while let Some(passenger) = self.lanes.leave(now) {
                self.launch(&passenger);
            }
            self.save_accounts(now);
            self.write();
            if self.slots.values().all(|slot| slot.is_at_rest(now))
                && self
                    .accounts
                    .values()
                    .all(|account| account.saver.is_level(now))
            {
                return;
            }
            if hurried
                && !self
                    .slots
                    .values()
                    .any(|slot| slot.would_lose_a_session(now))
            {
                return;
            }
            tokio::select! {
                Some(done) = self.work.join_next() => if let Ok(done) = done {
                    self.now = clock::now();
                    self.done(done);
                },
                Some(Signal::Stop { .. }) = ears.signals.next() => hurried = true,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }
}

impl Slot {
    /// What is under way may spend a refresh token, or what a person did.
    fn would_lose_a_session(&self, now: Instant) -> bool {
        let renews = self
            .in_flight
            .as_ref()
            .is_some_and(|flight| flight.request == Request::Renew);
        renews || self.person.is_redeeming() || !self.saver.is_level(now)
    }
}
