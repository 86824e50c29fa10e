//! Records on their way to the disk: some at a time, so that a thousand sessions that begin together are not all held in
//! memory a second time. What waits is put into bytes when its turn comes.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::Supervisor;
use super::effect::Effect;
use crate::driver::Ticket;

/// More than there are threads for files: none of them waits for work.
const AT_A_TIME: usize = 64;

/// Writes that have begun, for all that their savers know. One record is written once at a time, also where one session
/// follows another under the same name: a late write must not replace a later one.
#[derive(Debug, Default)]
pub(super) struct Writes {
    due: VecDeque<Due>,
    sessions: BTreeSet<Arc<str>>,
    accounts: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
enum Due {
    Session(Ticket),
    Account(Arc<str>),
}

impl Writes {
    pub(super) fn session(&mut self, of: Ticket) {
        self.due.push_back(Due::Session(of));
    }

    pub(super) fn account(&mut self, key: impl Into<Arc<str>>) {
        self.due.push_back(Due::Account(key.into()));
    }

    /// The write of a session's record came to its end.
    pub(super) fn session_ended(&mut self, name: &str) {
        self.sessions.remove(name);
    }

    /// The write of an account's record came to its end.
    pub(super) fn account_ended(&mut self, key: &str) {
        self.accounts.remove(key);
    }

    /// Whether a session's record is being written.
    pub(super) fn is_writing(&self, name: &str) -> bool {
        self.sessions.contains(name)
    }

    fn next(&mut self) -> Option<Due> {
        if self.due.is_empty() {
            self.due.shrink_to_fit();
            return None;
        }
        if self.sessions.len() + self.accounts.len() >= AT_A_TIME {
            return None;
        }
        let is_free = |due: &Due| match due {
            Due::Session(of) => !self.sessions.contains(&of.name),
            Due::Account(key) => !self.accounts.contains(key),
        };
        let first = self.due.iter().position(is_free)?;
        self.due.remove(first)
    }
}

impl Supervisor {
    /// Sends on its way what there is room for.
    pub(super) fn write(&mut self) {
        let now = self.now;
        while let Some(due) = self.writes.next() {
            match due {
                Due::Session(of) => {
                    let slot = self.slots.get(&of.name);
                    if let Some(slot) = slot.filter(|slot| slot.epoch() == of.epoch) {
                        let bytes = slot.stored(now, &self.boot_id);
                        self.writes.sessions.insert(of.name.clone());
                        self.effects.push(Effect::SaveSession { of, bytes });
                    }
                }
                Due::Account(key) => {
                    if let Some(account) = self.accounts.get(&key) {
                        let bytes = account.stored(now, &self.boot_id);
                        self.writes.accounts.insert(key.clone());
                        self.effects.push(Effect::SaveAccount { key, bytes });
                    }
                }
            }
        }
    }
}
