//! Files follow the token by some milliseconds: who was told to read them is answered once they are there.

use super::Supervisor;
use super::asks::Want;
use super::slot::Slot;
use crate::driver::{self, Ticket};

/// How far the files of a session are, for those who wait for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Landing {
    /// Nobody has waited since readers found something else.
    #[default]
    Unwatched,
    /// An errand comes back once they are there.
    Awaited,
    /// It came back: they are as wanted, or cannot be, or their disk hangs.
    Over,
}

impl Slot {
    /// Whether the files are as wanted, or were tried, or were waited for long enough.
    pub(super) fn has_landed(&self) -> bool {
        self.landing == Landing::Over || self.publisher.is_settled()
    }

    /// Whether a caller finds what it was told where it looks: in the files, if it said so.
    pub(super) fn is_read_from(&self, files: bool, late: bool) -> bool {
        !files || late || self.has_landed()
    }

    fn is_read_from_files(&self) -> bool {
        let told = !self.once_landed.is_empty();
        told || self.waiters.iter().any(|waiter| match waiter.want {
            Want::Outcome { .. } | Want::LoginOver { .. } | Want::Files { .. } => true,
            Want::Token { files, .. } | Want::Verdict { files, .. } => files,
            Want::Hold { .. } | Want::LoginBegun { .. } => false,
        })
    }
}

impl Supervisor {
    /// Comes back to the session once its files are there, if somebody waits for that.
    pub(super) fn await_landing(&mut self, name: &str) {
        if self
            .slots
            .get(name)
            .is_some_and(|slot| slot.is_read_from_files())
        {
            self.look_for_files(name);
        }
    }

    /// Comes back to the session once its files are there, or were waited for long enough.
    pub(super) fn look_for_files(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        if slot.landing == Landing::Unwatched && !slot.has_landed() {
            slot.landing = Landing::Awaited;
            driver::land(&mut self.work, slot.ticket(), slot.publisher.settling());
        }
    }

    pub(super) fn landed(&mut self, of: &Ticket) {
        let Some(slot) = self.current(of) else { return };
        slot.landing = Landing::Over;
        self.pump(&of.name);
    }
}
