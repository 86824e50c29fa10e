//! A reload: the config is read again, and only what differs is touched; a broken one changes nothing.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use super::effect::{Effect, Notice};
use super::health::out_of_place_in_words;
use super::load::Loaded;
use super::slot::Slot;
use super::{Supervisor, found};
use crate::api::{Refusal, Reloaded, Reply};
use crate::config::{Config, MetricsListen, SessionConfig};
use crate::driver::LONGEST_LANDING;
use crate::publish::SinkConfig;
use crate::session::Input;
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

/// A session whose place another identity takes.
pub(super) struct Replaced {
    /// The latest that it may have shown.
    pub(super) generation: u64,
    /// A file of it may lie where the new one publishes.
    pub(super) shares_a_file: bool,
    /// Its files that are being removed: until they are gone, the record of the new one names them.
    pub(super) files: Vec<PathBuf>,
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

impl Replaced {
    fn by(slot: &Slot, new: &SessionConfig, kept: &BTreeSet<PathBuf>) -> Self {
        let sinks = slot.config().publish.iter().map(|sink| &sink.path);
        let files = sinks.chain(slot.record().former_files());
        let is_new = |old: &SinkConfig| new.publish.iter().any(|sink| sink.path == old.path);
        Self {
            generation: slot.session().state().generation,
            shares_a_file: slot.config().publish.iter().any(is_new),
            files: files
                .filter(|path| !kept.contains(*path))
                .cloned()
                .collect(),
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
                // Before READY the start is not over, whatever is reloaded in the midst of it.
                if self.ready {
                    self.effects.notify(Notice::Reloading);
                }
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

    /// A reload that waits for a removal goes on if that was the last one.
    pub(super) fn try_waiting_reload(&mut self) {
        match std::mem::take(&mut self.reloading.stage) {
            Stage::Waiting(config) => self.load(config),
            other @ (Stage::Idle | Stage::Reading | Stage::Loading) => self.reloading.stage = other,
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
        let first = self.removals.next_number();
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
                    removals: first..self.removals.next_number(),
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
        self.say_reload_is_over();
        for asker in askers {
            // Whoever has hung up gets no answer.
            let _ = asker.send(Err(Refusal::BadConfig {
                errors: errors.to_owned(),
            }));
        }
    }

    /// Unless the start is not over: then READY is said when it is.
    fn say_reload_is_over(&mut self) {
        if self.ready {
            let line = self.one_line();
            self.effects.notify(Notice::Ready(line));
        }
    }

    fn awaited_by_reload(&self) -> BTreeSet<Arc<str>> {
        let awaited = self
            .slots
            .values()
            .filter(|slot| slot.awaits_files_of_reload());
        awaited.map(|slot| slot.name().clone()).collect()
    }

    /// Says that a reload is over once its files are as it wants them, or were waited for long enough.
    pub(super) fn finish_reload(&mut self, now: Instant) {
        let Some(taken_over) = &mut self.reloading.taken_over else {
            return;
        };
        let awaits = |name: &Arc<str>| {
            let slot = self.slots.get(name);
            slot.is_some_and(|slot| slot.awaits_files_of_reload())
        };
        while taken_over.sessions.first().is_some_and(|it| !awaits(it)) {
            taken_over.sessions.pop_first();
        }
        let removes = self.removals.is_any_under_way(taken_over.removals.clone());
        let is_done = taken_over.sessions.is_empty() && !removes && !self.reloading.scrapers_move;
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
        self.say_reload_is_over();
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
        self.queues.set_rate(config.per_host_rate);
        self.config.per_host_rate = config.per_host_rate;
        self.config.socket.admins = config.socket.admins;
        self.config.subordinates = config.subordinates;
        self.take_over_sessions(config.sessions, loaded);
        self.tell_guests();
        self.open_gateways();
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
            .filter_map(|slot| Some((slot, slot.publication().lacking()?)));
        let files =
            files.map(|(slot, file)| format!("{}: {}", slot.name(), out_of_place_in_words(&file)));
        outcome.problems.extend(files);
        outcome
    }

    /// What a server would not do may have been mended there: whoever reloads wants to see it tried.
    fn try_again(&mut self, names: &[Arc<str>]) {
        for name in names {
            let Some(slot) = self
                .slots
                .get(name)
                .filter(|slot| slot.session().state().fruitless.is_some())
            else {
                continue;
            };
            let policy = Arc::new(slot.session().policy().clone());
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
                Some(slot) if slot.config() == config && !slot.is_leaving() => {
                    *config = slot.config().clone();
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
        let is_leaving = slot.is_some_and(|slot| slot.is_leaving());
        let same_identity =
            slot.is_some_and(|slot| slot.config().remote.identity() == new.remote.identity());
        if same_identity && !is_leaving {
            self.reconfigure(name, &new, loaded, kept);
            return;
        }
        let (account, now) = (new.remote.account(), self.now.boot);
        let replaced = slot.map(|slot| Replaced::by(slot, &new, kept));
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
            slot.await_files_of_reload(now);
        }
        if let Some(account) = self.accounts.get_mut(&*account) {
            if replaced.is_some() {
                account.account.reconfigured();
            }
            // The more sessions share an account, the more logins it has: the others may log in sooner.
            self.stirred.extend(account.members.iter().cloned());
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
        let remote = match loaded.take_remote(name) {
            Some(Ok(remote)) => remote,
            Some(Err(error)) => {
                tracing::error!(session = name, event = "session_not_changed", %error, "the session keeps its old settings");
                return;
            }
            // It was as the config has it when its sessions were loaded.
            None => return,
        };
        let old = slot.config().clone();
        if let Some(files) = slot.reconfigure(new, remote, kept, &self.tokens, now) {
            self.removals
                .clear_away(files, &old, kept, &mut self.effects);
        }
        if old.hooks != new.hooks {
            self.effects.push(slot.restart_hooks());
        }
        let asks_otherwise = old.remote.values != new.remote.values
            || old.remote.url != new.remote.url
            || old.remote.http != new.remote.http;
        if let Some(account) = self
            .accounts
            .get_mut(slot.account())
            .filter(|_| asks_otherwise)
        {
            account.account.reconfigured();
            // What held back the logins of one held back those of all.
            self.stirred.extend(account.members.iter().cloned());
        }
        let policy = new.policy.clone();
        self.step(name, Input::Reconfigured(policy));
        self.consult_calendar(name);
    }
}
