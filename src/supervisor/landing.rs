//! Files follow the token by some milliseconds: who was told to read them is answered once they are there.

use super::Supervisor;
use super::asks::Want;
use super::effect::Effect;
use super::slot::Slot;
use crate::driver::Ticket;
use crate::publish::Settling;

impl Slot {
    /// Whether a caller finds what it was told where it looks: in the files, if it said so.
    pub(super) fn is_read_from(&self, files: bool, late: bool) -> bool {
        !files || late || self.publication.has_landed()
    }

    fn is_read_from_files(&self) -> bool {
        let told = self.publication.is_untold();
        told || self.waiters.iter().any(|waiter| match waiter.want {
            Want::Outcome { .. } | Want::LoginOver { .. } | Want::Files => true,
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
        if let Some(files) = slot.publication.await_files() {
            let of = slot.ticket();
            self.effects.push(Effect::AwaitFiles { of, files });
        }
    }

    pub(super) fn landed(&mut self, of: &Ticket, files: &Settling) {
        let Some(slot) = self.current(of) else { return };
        slot.publication.files_landed(files);
        self.pump(&of.name);
    }
}
