//! Jobs that hold a token: each hold lasts as long as its connection, and at most as long as was asked for.

use std::time::Duration;

use tokio::sync::oneshot;

use super::Slot;
use super::waiters::{Waiter, Want};
use crate::api::{About, Held, Reply};
use crate::driver::Ticket;
use crate::session::Input;
use crate::session::answer::Request;
use crate::supervisor::Supervisor;
use crate::supervisor::effect::Effect;
use crate::time::Instant;

impl Supervisor {
    /// Places a hold; answered once no call is under way that could still replace the token.
    pub(in crate::supervisor) fn hold(
        &mut self,
        about: &About,
        lasting: Duration,
        wait: Duration,
        reply: Reply<Held>,
    ) {
        if let Err(refusal) = self.readable(about) {
            let _ = reply.send(Err(refusal));
            return;
        }
        let until = self.now.boot.after(lasting);
        let number = self.next_epoch();
        let (guard, released) = oneshot::channel();
        if let Some(slot) = self.slots.get_mut(&*about.name) {
            slot.holds.insert(number, until);
            self.effects.push(Effect::AwaitRelease {
                of: slot.ticket(),
                hold: number,
                lasting,
                released,
            });
        }
        self.feed_holds(&about.name);
        let held = Held {
            session: about.name.clone(),
            until: self.now.wall_at(until),
            token: None,
            guard,
        };
        self.wait(
            &about.name,
            wait,
            Want::Hold {
                held: Some(held),
                reply: Some(reply),
            },
        );
    }

    /// A job has let go, or its time is over.
    pub(in crate::supervisor) fn released(&mut self, of: &Ticket, hold: u64) {
        if let Some(slot) = self.current(of) {
            slot.holds.remove(&hold);
            self.feed_holds(&of.name);
            self.pump(&of.name);
        }
    }

    /// The engine knows the longest hold only.
    fn feed_holds(&mut self, name: &str) {
        let now = self.now.boot;
        let longest = self
            .slots
            .get(name)
            .and_then(|slot| slot.holds.values().max().copied());
        self.feed_engine(
            name,
            Input::Held {
                lasting: longest.map(|until: Instant| until.since(now)),
            },
        );
    }
}

impl Slot {
    /// Whether a call is on its way, or about to be, that replaces the token.
    pub(in crate::supervisor) fn is_being_replaced(&self) -> bool {
        matches!(
            self.session.under_way(),
            Some(Request::Renew | Request::Login)
        )
    }

    /// Everybody who has hung up is forgotten, and so is what they held.
    pub(in crate::supervisor) fn forget_the_gone(&mut self) {
        self.waiters.retain(|waiter: &Waiter| !waiter.is_gone());
    }
}
