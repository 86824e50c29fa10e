//! A reload: the config is read again, and only what differs is touched; a broken one changes nothing.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::asks::{Waiter, Want};
use super::effect::{Effect, Notice, Retirement};
use super::health::out_of_place_in_words;
use super::load::Loaded;
use super::slot::{AccountSlot, Slot};
use super::{Supervisor, found};
use crate::api::{Refusal, Reloaded, Reply};
use crate::config::{Config, MetricsListen, SessionConfig};
use crate::driver::LONGEST_LANDING;
use crate::hooks::RunCount;
use crate::publish::{Publisher, SinkConfig};
use crate::session::{Input, Order};
use crate::time::Instant;

/// How far a reload is, and who wants to know what comes of it.
#[derive(Default)]
pub(super) struct Reloading {
    stage: Stage,
    askers: Vec<Reply<Reloaded>>,
    /// Somebody asked after the reading had begun: the file may have changed since.
    again: bool,
    next_askers: Vec<Reply<Reloaded>>,
    taken_over: Option<TakenOver>,
    /// The listener for scrapers moves.
    scrapers_move: bool,
    /// Why it could not.
    scrapers_problem: Option<String>,
}

#[derive(Default)]
enum Stage {
    /// None is under way, but for files of the last one.
    #[default]
    Idle,
    /// The config is being read.
    Reading,
    /// What an earlier reload removed must be gone first: it would take a new session's record or file along.
    Waiting(Box<Config>),
    /// The disk is asked what it holds of the new sessions.
    Loading,
}

/// A config in force whose files are on their way, and who is told once they are there.
struct TakenOver {
    outcome: Reloaded,
    askers: Vec<Reply<Reloaded>>,
    /// Sessions whose files are on their way.
    sessions: BTreeSet<Arc<str>>,
    /// The removals that it began.
    removals: Range<u64>,
    until: Instant,
}

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

/// A session whose place another identity takes.
pub(super) struct Replaced {
    /// The latest that it may have shown.
    pub(super) generation: u64,
    /// A file of it may lie where the new one publishes.
    pub(super) shares_a_file: bool,
}

impl Reloading {
    #[cfg(test)]
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    #[cfg(test)]
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting(_))
    }

    /// When the files of a config in force are waited for no longer.
    pub(super) fn wake(&self) -> Option<Instant> {
        Some(self.taken_over.as_ref()?.until)
    }
}

impl Removals {
    fn begin(&mut self, removal: Removal) -> u64 {
        let number = self.begun;
        self.begun += 1;
        self.under_way.insert(number, removal);
        number
    }

    /// The latest generation that a session of this name had, if it was removed.
    pub(super) fn generation_of(&self, name: &str) -> Option<u64> {
        self.generations.get(name).copied()
    }

    /// Whether something of what is being removed would belong to a session of this config.
    fn touch(&self, config: &Config) -> bool {
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

impl Replaced {
    fn by(slot: &Slot, new: &SessionConfig) -> Self {
        let is_new = |old: &SinkConfig| new.publish.iter().any(|sink| sink.path == old.path);
        Self {
            generation: slot.session.state().generation,
            shares_a_file: slot.config.publish.iter().any(is_new),
        }
    }
}

impl Supervisor {
    /// Begins to read the config again; everything else goes on meanwhile.
    pub(super) fn reload(&mut self, asker: Option<Reply<Reloaded>>) {
        match self.reloading.stage {
            Stage::Reading | Stage::Loading => {
                self.reloading.again = true;
                self.reloading.next_askers.extend(asker);
            }
            // What waits for a removal is read anew: it may be about the very session whose disk hangs.
            Stage::Idle | Stage::Waiting(_) => {
                self.reloading.askers.extend(asker);
                self.reloading.stage = Stage::Reading;
                self.effects.notify(Notice::Reloading);
                let file = self.config.file.clone();
                self.effects.push(Effect::ReadConfig(file));
            }
        }
    }

    /// The config was read, or is broken.
    pub(super) fn config_read(&mut self, config: Result<Box<Config>, String>) {
        match config {
            _ if self.is_stopping() => {}
            Ok(config) => self.load(config),
            Err(errors) => self.conclude(Err(errors)),
        }
    }

    /// Has the new sessions loaded, once nothing is being removed that would be theirs.
    fn load(&mut self, config: Box<Config>) {
        if self.removals.touch(&config) {
            tracing::info!(
                event = "reload_waits",
                "the reload waits until the disk has removed what an earlier one took out of the config"
            );
            self.reloading.stage = Stage::Waiting(config);
            return;
        }
        self.reloading.stage = Stage::Loading;
        let running = self.running();
        self.effects.push(Effect::Load { config, running });
    }

    /// What a session left, or files that moved, is cleared away.
    pub(super) fn retired(&mut self, number: u64) {
        if let Some(Removal::Files { shared, stale }) = self.removals.under_way.remove(&number) {
            for slot in self.slots.values_mut() {
                slot.former_files.retain(|path| !stale.contains(path));
            }
            self.show_again(&shared);
        }
        self.remove_records();
        match std::mem::take(&mut self.reloading.stage) {
            Stage::Waiting(config) => self.load(config),
            other @ (Stage::Idle | Stage::Reading | Stage::Loading) => self.reloading.stage = other,
        }
    }

    /// A write of those that had these files before may have come last.
    fn show_again(&mut self, paths: &[PathBuf]) {
        if paths.is_empty() {
            return;
        }
        for slot in self.slots.values() {
            let mut sinks = slot.config.publish.iter();
            if sinks.any(|sink| paths.contains(&sink.path)) {
                slot.publication.heal(&mut self.effects);
            }
        }
    }

    /// Carries over what differs; a config that cannot be in force changes nothing.
    pub(super) fn loaded(&mut self, config: Config, loaded: Loaded) {
        if self.is_stopping() {
            return;
        }
        // A logout may have ended meanwhile, and the session's removal begun.
        if self.removals.touch(&config) {
            self.load(Box::new(config));
            return;
        }
        self.reloaded();
        let first = self.removals.begun;
        let outcome = self.take_over(config, loaded);
        self.conclude(outcome.map(|outcome| (outcome, first)));
    }

    /// A reload is in force, with the removals from that number on; or the errors of a config that is not.
    fn conclude(&mut self, outcome: Result<(Reloaded, u64), String>) {
        self.reloading.stage = Stage::Idle;
        self.reloaded();
        self.gauges.config_good = outcome.is_ok();
        let askers = std::mem::take(&mut self.reloading.askers);
        match outcome {
            Ok((outcome, first)) => {
                self.reloading.taken_over = Some(TakenOver {
                    outcome,
                    askers,
                    sessions: self.awaited_by_reload(),
                    removals: first..self.removals.begun,
                    until: self.now.boot.after(LONGEST_LANDING),
                });
            }
            Err(errors) => self.refuse(&errors, askers),
        }
        if std::mem::take(&mut self.reloading.again) {
            self.reloading.askers = std::mem::take(&mut self.reloading.next_askers);
            self.reload(None);
        }
    }

    fn refuse(&mut self, errors: &str, askers: Vec<Reply<Reloaded>>) {
        for error in errors.split("\n\n") {
            tracing::error!(
                event = "reload_failed",
                error,
                "the config is broken; the daemon goes on with the old one"
            );
        }
        let line = self.one_line();
        self.effects.notify(Notice::Ready(line));
        for asker in askers {
            // Whoever has hung up gets no answer.
            let _ = asker.send(Err(Refusal::BadConfig {
                errors: errors.to_owned(),
            }));
        }
    }

    fn awaited_by_reload(&self) -> BTreeSet<Arc<str>> {
        let awaited = self.slots.values().filter(|slot| slot.awaits_files());
        awaited.map(|slot| slot.name.clone()).collect()
    }

    /// Says that a reload is over once its files are as it wants them, or were waited for long enough.
    pub(super) fn finish_reload(&mut self, now: Instant) {
        let Some(taken_over) = &mut self.reloading.taken_over else {
            return;
        };
        let awaits = |name: &Arc<str>| {
            let slot = self.slots.get(name);
            slot.is_some_and(|slot| slot.awaits_files())
        };
        while taken_over.sessions.first().is_some_and(|it| !awaits(it)) {
            taken_over.sessions.pop_first();
        }
        let mut removals = self.removals.under_way.range(taken_over.removals.clone());
        let is_done = taken_over.sessions.is_empty()
            && removals.next().is_none()
            && !self.reloading.scrapers_move;
        if is_done || taken_over.until <= now {
            self.reloaded();
        }
    }

    /// The config is in force, and files are where it wants them, for all who look.
    fn reloaded(&mut self) {
        let Some(TakenOver {
            outcome, askers, ..
        }) = self.reloading.taken_over.take()
        else {
            return;
        };
        let outcome = self.outcome_of(outcome);
        let line = self.one_line();
        self.effects.notify(Notice::Ready(line));
        for asker in askers {
            let _ = asker.send(Ok(outcome.clone()));
        }
    }

    fn take_over(&mut self, config: Config, loaded: Loaded) -> Result<Reloaded, String> {
        // A file that is just being written looks like this, and every token would be withdrawn.
        if config.sessions.is_empty() && !self.slots.is_empty() {
            return Err(
                "it names no session any more; to withdraw the last one, stop the daemon"
                    .to_owned(),
            );
        }
        let outcome = changes::between(
            &self.slots,
            &self.config,
            &config,
            self.restart_command.as_deref(),
        );
        if outcome.restart_needed {
            let keys = outcome.restart_for.join(", ");
            tracing::warn!(
                event = "restart_needed",
                keys,
                "some changes take effect at the next start only"
            );
        }
        for warning in &config.warnings {
            tracing::warn!(event = "config_warning", "{warning}");
        }
        self.effects.push(Effect::WithholdVariables(
            config.secret_variables().collect(),
        ));
        self.gauges.config_read = self.now.wall;
        self.watch.reloaded(self.now.boot);
        self.take_over_alerts(&config);
        self.take_over_metrics(config.metrics);
        self.lanes.set_rate(config.per_host_rate);
        self.config.per_host_rate = config.per_host_rate;
        self.config.socket.admins = config.socket.admins;
        self.config.subordinates = config.subordinates;
        self.take_over_sessions(config.sessions, loaded);
        self.tell_guests();
        self.set_calendar();
        let names: Vec<_> = self.slots.keys().cloned().collect();
        self.try_again(&names);
        self.read_secrets(names, true);
        let (sessions, diff) = (self.slots.len(), outcome.diff());
        tracing::info!(event = "reloaded", sessions, diff, "config reloaded");
        Ok(outcome)
    }

    /// The old address is given up first, since the new one may be a part of it.
    fn take_over_metrics(&mut self, new: Option<MetricsListen>) {
        if self.config.metrics == new {
            return;
        }
        self.reloading.scrapers_move = true;
        self.effects.push(Effect::MoveScrapers(new));
    }

    /// Scrapers are served where the config wants it, or why not.
    pub(super) fn scrapers_moved(&mut self, moved: Option<Result<Option<MetricsListen>, String>>) {
        self.reloading.scrapers_move = false;
        match moved {
            Some(Ok(metrics)) => self.config.metrics = metrics,
            Some(Err(problem)) => self.reloading.scrapers_problem = Some(problem),
            None => {}
        }
    }

    /// What became of the listener, and of files, for those who reloaded.
    fn outcome_of(&mut self, mut outcome: Reloaded) -> Reloaded {
        if let Some(problem) = self.reloading.scrapers_problem.take() {
            outcome.changed_tables.retain(|table| table != "metrics");
            outcome.problems.push(problem);
        }
        let files = self
            .slots
            .values()
            .filter_map(|slot| Some((slot, slot.publication.lacking()?)));
        let files =
            files.map(|(slot, file)| format!("{}: {}", slot.name, out_of_place_in_words(&file)));
        outcome.problems.extend(files);
        outcome
    }

    /// What a server would not do may have been mended there: whoever reloads wants to see it tried.
    fn try_again(&mut self, names: &[Arc<str>]) {
        for name in names {
            let Some(slot) = self
                .slots
                .get(name)
                .filter(|slot| slot.session.state().fruitless.is_some())
            else {
                continue;
            };
            let policy = Arc::new(slot.session.policy().clone());
            self.step(name, Input::Reconfigured(policy));
        }
    }

    /// What has not changed is not touched, and held once: the session's own is the config's.
    fn take_over_sessions(
        &mut self,
        mut new: BTreeMap<Arc<str>, Arc<SessionConfig>>,
        mut loaded: Loaded,
    ) {
        let gone: Vec<_> = self
            .slots
            .keys()
            .filter(|name| !new.contains_key(&***name))
            .cloned()
            .collect();
        let mut changed = Vec::new();
        for (name, config) in &mut new {
            match self.slots.get(&**name) {
                Some(slot) if slot.config == *config && !slot.leaving => {
                    *config = slot.config.clone();
                }
                Some(_) | None => changed.push((name.clone(), config.clone())),
            }
        }
        self.config.sessions = new;
        // Once for all: with thousands of sessions the list is long, and a change of `[http]` comes to all of them.
        let kept = if gone.is_empty() && changed.is_empty() {
            BTreeSet::new()
        } else {
            self.published_paths()
        };
        for name in gone {
            self.retire(&name, &kept);
        }
        for (name, session) in changed {
            self.take_over_session(&name, session, &mut loaded, &kept);
        }
        self.forget_unused_accounts();
    }

    fn take_over_session(
        &mut self,
        name: &str,
        new: Arc<SessionConfig>,
        loaded: &mut Loaded,
        kept: &BTreeSet<PathBuf>,
    ) {
        let slot = self.slots.get(name);
        let is_leaving = slot.is_some_and(|slot| slot.leaving);
        let same_identity =
            slot.is_some_and(|slot| slot.config.remote.identity() == new.remote.identity());
        if same_identity && !is_leaving {
            self.reconfigure(name, &new, loaded, kept);
            return;
        }
        let (account, now) = (new.remote.account(), self.now.boot);
        let replaced = slot.map(|slot| Replaced::by(slot, &new));
        if replaced.is_some() {
            if !is_leaving {
                found::say_identity_changed(name);
            }
            self.remove(name, kept);
        }
        if let Err(error) = self.add(new, loaded, replaced.as_ref()) {
            tracing::error!(session = name, event = "session_not_started", %error, "the session cannot start");
            return;
        }
        if let Some(slot) = self.slots.get_mut(name)
            && replaced.as_ref().is_some_and(|old| old.shares_a_file)
        {
            slot.waiters.push(until_in_files(now));
        }
        if let Some(account) = self
            .accounts
            .get_mut(&*account)
            .filter(|_| replaced.is_some())
        {
            account.account.reconfigured();
        }
        self.consult_calendar(name);
    }

    fn reconfigure(
        &mut self,
        name: &str,
        new: &Arc<SessionConfig>,
        loaded: &mut Loaded,
        kept: &BTreeSet<PathBuf>,
    ) {
        let now = self.now.boot;
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        match loaded.take_remote(name) {
            Some(Ok(remote)) => {
                slot.remote = Arc::new(remote);
                if slot.config.remote.values != new.remote.values {
                    slot.person.forget();
                }
            }
            Some(Err(error)) => {
                tracing::error!(session = name, event = "session_not_changed", %error, "the session keeps its old settings");
                return;
            }
            // It was as the config has it when its sessions were loaded.
            None => return,
        }
        let old = std::mem::replace(&mut slot.config, new.clone());
        if old.publish != new.publish {
            let publisher = Publisher::new(&slot.name, &new.publish, &self.tokens);
            let old_publisher = slot.publication.move_to(publisher);
            old_publisher.show_no_more();
            let stale = unshared(&old, kept);
            slot.waiters.push(until_in_files(now));
            slot.former_files.extend(stale.iter().cloned());
            let files = Removal::Files {
                shared: shared(&old, kept),
                stale: stale.clone(),
            };
            let number = self.removals.begin(files);
            self.effects.push(Effect::Retire(Box::new(Retirement {
                number,
                files: old_publisher,
                stale,
            })));
        }
        slot.saver.want();
        if old.hooks != new.hooks {
            slot.hook_runs = RunCount::default();
            self.effects.push(slot.start_hooks());
        }
        let asks_otherwise = old.remote.values != new.remote.values
            || old.remote.url != new.remote.url
            || old.remote.http != new.remote.http;
        if let Some(account) = self
            .accounts
            .get_mut(&slot.account)
            .filter(|_| asks_otherwise)
        {
            account.account.reconfigured();
        }
        let policy = new.policy.clone();
        self.step(name, Input::Reconfigured(policy));
        self.consult_calendar(name);
    }

    /// The session is gone from the config: withdraw all but what others publish now, log out where that is asked for,
    /// forget.
    fn retire(&mut self, name: &str, kept: &BTreeSet<PathBuf>) {
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
        if slot.config.publish.iter().any(shares) {
            slot.publication.remove_but_for_files();
        } else {
            slot.publication.remove(&mut self.effects);
        }
        if slot.config.logout_on_removal && slot.session.state().token.is_some() {
            slot.leaving = true;
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
        self.lanes.forget(&name);
        self.watch.forget(&name);
        let generation = slot.session.state().generation;
        self.removals.generations.insert(name.clone(), generation);
        if let Some(at) = slot.timer.take() {
            self.timers.remove(&(at, name.clone()));
        }
        if let Some(flight) = slot.in_flight.take() {
            self.effects.push(Effect::Abort(slot.epoch));
            self.lanes.came_back(&flight.host);
        }
        if let Some(account) = self.accounts.get_mut(&slot.account) {
            let stays = self
                .config
                .sessions
                .get(&*name)
                .is_some_and(|new| *new.remote.account() == *slot.account);
            account.leave(&name, stays);
            self.stirred.extend(account.members.iter().cloned());
        }
        let stale = unshared(&slot.config, kept);
        let files = Removal::Files {
            shared: shared(&slot.config, kept),
            stale: stale.clone(),
        };
        let number = self.removals.begin(files);
        if !slot.config.hooks.is_empty() {
            self.effects.push(Effect::EndHooks(slot.epoch));
        }
        let files = slot.publication.into_files();
        files.show_no_more();
        self.effects.push(Effect::Retire(Box::new(Retirement {
            number,
            files,
            stale,
        })));
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

impl Supervisor {
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

/// Keeps a reload's answer until the session's files are as it wants them.
fn until_in_files(now: Instant) -> Waiter {
    Waiter {
        until: now.after(LONGEST_LANDING),
        want: Want::Files,
    }
}

impl Slot {
    /// Whether a reload waits for its files.
    fn awaits_files(&self) -> bool {
        self.waiters
            .iter()
            .any(|waiter| matches!(waiter.want, Want::Files))
    }
}

/// The session's files, except those that others publish now.
fn unshared(config: &SessionConfig, kept: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    paths(config, |path| !kept.contains(path))
}

/// The session's files that others, or the same one, publish now.
fn shared(config: &SessionConfig, kept: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    paths(config, |path| kept.contains(path))
}

fn paths(config: &SessionConfig, which: impl Fn(&PathBuf) -> bool) -> Vec<PathBuf> {
    let sinks = config.publish.iter();
    sinks.map(|sink| sink.path.clone()).filter(which).collect()
}

impl AccountSlot {
    pub(super) fn join(&mut self, name: &Arc<str>) {
        if let Err(place) = self.members.binary_search(name) {
            self.members.insert(place, name.clone());
        }
        self.account.sessions = u32::try_from(self.members.len()).unwrap_or(u32::MAX);
    }

    /// `stays` where a successor of the same name takes its place: what it presents tells what becomes of its stops.
    fn leave(&mut self, name: &Arc<str>, stays: bool) {
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
