//! Records on their way to the disk: some at a time, so that a thousand sessions that begin together are not all held in
//! memory a second time. What waits is put into bytes when its turn comes.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Supervisor;
use crate::driver::{self, Ticket};

/// More than there are threads for files: none of them waits for work.
const AT_A_TIME: usize = 64;

/// Writes that have begun, for all that their savers know.
#[derive(Debug)]
pub(super) struct Writes {
    due: VecDeque<Due>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
enum Due {
    Session(Ticket),
    Account(Arc<str>),
}

impl Default for Writes {
    fn default() -> Self {
        Self {
            due: VecDeque::new(),
            room: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }
}

impl Writes {
    pub(super) fn session(&mut self, of: Ticket) {
        self.due.push_back(Due::Session(of));
    }

    pub(super) fn account(&mut self, key: impl Into<Arc<str>>) {
        self.due.push_back(Due::Account(key.into()));
    }

    fn next(&mut self) -> Option<(Due, OwnedSemaphorePermit)> {
        if self.due.is_empty() {
            self.due.shrink_to_fit();
            return None;
        }
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some((self.due.pop_front()?, room))
    }
}

impl Supervisor {
    /// Sends on its way what there is room for.
    pub(super) fn write(&mut self) {
        let now = self.now;
        while let Some((due, room)) = self.writes.next() {
            match due {
                Due::Session(of) => {
                    let slot = self
                        .slots
                        .get(&of.name)
                        .filter(|slot| slot.epoch == of.epoch);
                    if let Some(slot) = slot {
                        driver::save_session(
                            &mut self.work,
                            &self.store,
                            of,
                            slot.stored(now),
                            room,
                        );
                    }
                }
                Due::Account(key) => {
                    if let Some(account) = self.accounts.get(&key) {
                        driver::save_account(
                            &mut self.work,
                            &self.store,
                            &key,
                            account.stored(now),
                            room,
                        );
                    }
                }
            }
        }
    }
}
