//! What sessions that are gone, and files that moved, leave behind: cleared away in an order in which a kill at any moment
//! leaves nothing that no start would find.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::Supervisor;
use super::effect::{Effect, Effects, Retirement};
use crate::config::{Config, SessionConfig};
use crate::publish::{Publisher, SinkConfig};
use crate::session::{Input, Order};

/// What removed sessions, and files that moved, have left behind and is not cleared away yet.
#[derive(Default)]
pub(super) struct Removals {
    begun: u64,
    under_way: BTreeMap<u64, Removal>,
    /// The latest generation of each session that is gone: one of the same name may come back within the second.
    generations: BTreeMap<Arc<str>, u64>,
    /// Records that are to be removed last of all: after the session's files, which nothing else names any more, and after
    /// a write of the record that is under way.
    records: BTreeMap<Arc<str>, LastRecord>,
}

struct LastRecord {
    number: u64,
    /// The removal of the session's files.
    files: u64,
}

enum Removal {
    /// The record of the session of this name.
    Record(Arc<str>),
    /// The files of a session: those that a session has now, and those that none has.
    Files {
        shared: Vec<PathBuf>,
        stale: Vec<PathBuf>,
    },
}

impl Removals {
    /// What was begun later has a number that is no lower.
    pub(super) fn next_number(&self) -> u64 {
        self.begun
    }

    /// Whether any with one of these numbers is under way.
    pub(super) fn is_any_under_way(&self, numbers: Range<u64>) -> bool {
        self.under_way.range(numbers).next().is_some()
    }

    fn begin(&mut self, removal: Removal) -> u64 {
        let number = self.begun;
        self.begun += 1;
        self.under_way.insert(number, removal);
        number
    }

    /// Has the files of a session cleared away that it does not write any more, once what is under way to them is over;
    /// what others publish now (`kept`) stays.
    pub(super) fn clear_away(
        &mut self,
        files: Publisher,
        config: &SessionConfig,
        kept: &BTreeSet<PathBuf>,
        effects: &mut Effects,
    ) -> u64 {
        files.show_no_more();
        let sinks = config.publish.iter().map(|sink| sink.path.clone());
        let (shared, stale): (Vec<PathBuf>, Vec<PathBuf>) =
            sinks.partition(|path| kept.contains(path));
        let number = self.begin(Removal::Files {
            shared,
            stale: stale.clone(),
        });
        effects.push(Effect::Retire(Box::new(Retirement {
            number,
            files,
            stale,
        })));
        number
    }

    /// The latest generation that a session of this name had, if it was removed.
    pub(super) fn generation_of(&self, name: &str) -> Option<u64> {
        self.generations.get(name).copied()
    }

    /// Whether something of what is being removed would belong to a session of this config.
    pub(super) fn touch(&self, config: &Config) -> bool {
        self.under_way.values().any(|removal| match removal {
            Removal::Record(name) => config.sessions.contains_key(name),
            Removal::Files { stale, .. } => {
                let sinks = config.sessions.values().flat_map(|it| it.publish.iter());
                stale
                    .iter()
                    .any(|path| sinks.clone().any(|sink| sink.path == *path))
            }
        })
    }
}

impl Supervisor {
    /// What a session left, or files that moved, is cleared away.
    pub(super) fn retired(&mut self, number: u64) {
        if let Some(Removal::Files { shared, stale }) = self.removals.under_way.remove(&number) {
            for slot in self.slots.values_mut() {
                slot.record_mut().forget_files(&stale);
            }
            self.show_again(&shared);
        }
        self.remove_records();
        self.try_waiting_reload();
    }

    /// A write of those that had these files before may have come last.
    fn show_again(&mut self, paths: &[PathBuf]) {
        if paths.is_empty() {
            return;
        }
        for slot in self.slots.values() {
            let mut sinks = slot.config().publish.iter();
            if sinks.any(|sink| paths.contains(&sink.path)) {
                slot.publication().set_again(&mut self.effects);
            }
        }
    }

    /// The session is gone from the config: withdraw all but what others publish now, log out where that is asked for,
    /// forget.
    pub(super) fn retire(&mut self, name: &str, kept: &BTreeSet<PathBuf>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        tracing::info!(
            session = name,
            event = "removed",
            "removed from the config: withdrawing its token"
        );
        slot.call_off(
            &self.config.alerts,
            self.now,
            "the session is no longer configured",
            &mut self.effects,
        );
        // A path that another session publishes now is that session's to write.
        let shares = |sink: &SinkConfig| kept.contains(&sink.path);
        if slot.config().publish.iter().any(shares) {
            slot.publication_mut().remove_but_for_files();
        } else {
            slot.publication_mut().remove(&mut self.effects);
        }
        if slot.config().logout_on_removal && slot.session().state().token.is_some() {
            slot.leaves();
            self.step(name, Input::Order(Order::Logout));
        } else {
            self.remove(name, kept);
        }
    }

    /// Forgets a session altogether, and removes its files except `kept`. A call under way is dropped with it.
    pub(super) fn remove(&mut self, name: &str, kept: &BTreeSet<PathBuf>) {
        let Some((name, mut slot)) = self.slots.remove_entry(name) else {
            return;
        };
        self.queues.forget(&name);
        self.watch.forget(&name);
        let generation = slot.session().state().generation;
        self.removals.generations.insert(name.clone(), generation);
        self.timers.set(&name, None);
        if let Some(flight) = slot.take_flight() {
            self.effects.push(Effect::Abort(slot.epoch()));
            self.queues.completed(&flight.host);
        }
        if let Some(account) = self.accounts.get_mut(slot.account()) {
            let stays = self
                .config
                .sessions
                .get(&*name)
                .is_some_and(|new| *new.remote.account() == **slot.account());
            account.leave(&name, stays);
            self.stirred.extend(account.members.iter().cloned());
        }
        self.save_account_soon(slot.account());
        if !slot.config().hooks.is_empty() {
            self.effects.push(Effect::EndHooks(slot.epoch()));
        }
        let config = slot.config().clone();
        let files = slot.into_files();
        let number = self
            .removals
            .clear_away(files, &config, kept, &mut self.effects);
        // A successor of the same name writes its own record over this one.
        if !self.config.sessions.contains_key(&*name) {
            let last = LastRecord {
                number: self.removals.begin(Removal::Record(name.clone())),
                files: number,
            };
            self.removals.records.insert(name, last);
        }
    }

    /// Removes the records whose time has come. A write that is under way would bring one back, and a daemon that is killed
    /// before the files are gone must find in it what to remove.
    pub(super) fn remove_records(&mut self) {
        let Removals {
            records, under_way, ..
        } = &mut self.removals;
        let due = records.extract_if(.., |name, last| {
            !under_way.contains_key(&last.files) && !self.writes.is_writing(name)
        });
        for (of, LastRecord { number, .. }) in due {
            self.effects.push(Effect::RemoveRecord { number, of });
        }
    }
}
