//! Records of accounts on their way to the disk, each shared by the sessions of its account.

use super::Supervisor;
use crate::time::Instant;

impl Supervisor {
    pub(super) fn account_saved(&mut self, key: &str, now: Instant, problem: Option<String>) {
        let Some(account) = self.accounts.get_mut(key) else {
            return;
        };
        match (&problem, &account.saver.problem) {
            (Some(problem), None) => {
                tracing::error!(event = "account_unpersisted", account = key, %problem, "cannot write the account's state; keeping the login budget in memory");
            }
            (None, Some(_)) => {
                tracing::info!(
                    event = "persisted",
                    account = key,
                    "the account's state is written again"
                );
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        account.saver.finished(now, problem);
        // What another session of the account wanted meanwhile is not written yet.
        if account.saver.wake().is_some() || !account.saver.is_level(now) {
            self.unsaved.insert(key.to_owned());
        } else {
            self.unsaved.remove(key);
        }
        let members = account.members.clone();
        for name in members {
            if self
                .slots
                .get(&name)
                .is_some_and(|slot| slot.awaits_account())
            {
                self.pump(&name);
            }
        }
    }

    /// When the next write that failed is tried again.
    pub(super) fn unsaved_wake(&self) -> Option<Instant> {
        let unsaved = self.unsaved.iter();
        let accounts = unsaved.filter_map(|key| self.accounts.get(key.as_str()));
        accounts.filter_map(|account| account.saver.wake()).min()
    }

    pub(super) fn save_accounts(&mut self, now: Instant) {
        for key in &self.unsaved {
            let Some(account) = self.accounts.get_mut(key.as_str()) else {
                continue;
            };
            if account.saver.begin(now).is_some() {
                self.writes.account(key.as_str());
            }
        }
    }
}
