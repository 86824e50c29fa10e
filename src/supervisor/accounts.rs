//! Accounts, each shared by its sessions: who belongs to one, and its record on its way to the disk.

use std::sync::Arc;

use super::Supervisor;
use super::slot::AccountSlot;
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
        if account.members.is_empty() {
            self.forget_unused_accounts();
            return;
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

    /// No session may be left that would have the account's record written.
    pub(super) fn save_account_soon(&mut self, key: &str) {
        let now = self.now.boot;
        let account = self.accounts.get(key);
        if account.is_some_and(|account| !account.saver.is_level(now)) {
            self.unsaved.insert(key.to_owned());
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

    /// Lets accounts go that have no session any more, and of which the disk knows all.
    pub(super) fn forget_unused_accounts(&mut self) {
        let now = self.now.boot;
        self.accounts.retain(|_, account| {
            !account.members.is_empty()
                || !account.account.stops.is_empty()
                || !account.saver.is_level(now)
        });
    }
}

impl AccountSlot {
    pub(super) fn join(&mut self, name: &Arc<str>) {
        if let Err(place) = self.members.binary_search(name) {
            self.members.insert(place, name.clone());
        }
        self.account.sessions = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
    }

    /// `stays` where a successor of the same name takes its place: what it presents tells what becomes of its stops.
    pub(super) fn leave(&mut self, name: &Arc<str>, stays: bool) {
        if let Ok(place) = self.members.binary_search(name) {
            self.members.remove(place);
        }
        self.account.sessions = u32::try_from(self.members.len()).unwrap_or(u32::MAX).max(1);
        self.account.release(name);
        if !stays {
            self.forget_strangers();
        }
    }

    /// Stops of sessions that are gone, which nobody could mend any more.
    pub(super) fn forget_strangers(&mut self) {
        let before = self.account.stops.clone();
        let members = &self.members;
        let is_member = |session: &str| members.iter().any(|member| **member == *session);
        self.account.belongs_to(&is_member, !members.is_empty());
        if self.account.stops != before {
            self.saver.want();
        }
    }
}
