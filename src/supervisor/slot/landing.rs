//! Files follow the token by some milliseconds: who was told to read them is answered once they are there.

use super::Slot;
use super::waiters::Want;
use crate::driver::Ticket;
use crate::publish::Settling;
use crate::supervisor::Supervisor;
use crate::supervisor::effect::Effect;

impl Slot {
    /// Whether a caller finds what it was told where it looks: in the files, if it said so.
    pub(in crate::supervisor) fn is_read_from(&self, files: bool, late: bool) -> bool {
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
    pub(in crate::supervisor) fn await_landing(&mut self, name: &str) {
        if self
            .slots
            .get(name)
            .is_some_and(|slot| slot.is_read_from_files())
        {
            self.look_for_files(name);
        }
    }

    /// Comes back to the session once its files are there, or were waited for long enough.
    pub(in crate::supervisor) fn look_for_files(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        if let Some(files) = slot.publication.await_files() {
            let of = slot.ticket();
            self.effects.push(Effect::AwaitFiles { of, files });
        }
    }

    pub(in crate::supervisor) fn landed(&mut self, of: &Ticket, files: &Settling) {
        let Some(slot) = self.current(of) else { return };
        slot.publication.files_landed(files);
        self.pump(&of.name);
    }
}
