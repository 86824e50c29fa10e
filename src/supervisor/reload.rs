//! A reload: the config is read again, and only what differs is touched; a broken one changes nothing.

mod changes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use super::asks::{Waiter, Want};
use super::health::out_of_place_in_words;
use super::load::Loaded;
use super::slot::{AccountSlot, Slot};
use super::{Supervisor, found, record_of};
use crate::api::{Refusal, Reloaded, Reply};
use crate::config::{self, Config, MetricsListen, SessionConfig};
use crate::driver::LONGEST_LANDING;
use crate::hooks::Hooks;
use crate::program;
use crate::provider::Remote;
use crate::publish::{self, Publisher, SinkConfig};
use crate::scrape::MoveScrapers;
use crate::session::{Input, Order};
use crate::time::Instant;

/// A config that is being read, with what the disk holds of its new sessions, on a thread that may block; and who wants
/// to know what comes of it.
#[derive(Default)]
pub(super) struct Reloading {
    reading: Option<JoinHandle<Result<NewConfig, String>>>,
    askers: Vec<Reply<Reloaded>>,
    /// Somebody asked after the reading had begun: the file may have changed since.
    again: bool,
    next_askers: Vec<Reply<Reloaded>>,
    /// Held by whatever still writes or removes files for the config that is being taken over.
    landing: Option<mpsc::Sender<()>>,
    taken_over: Option<TakenOver>,
    /// Whether scrapers are served where the config wants it, or why not.
    scrapers_moved: Option<oneshot::Receiver<Result<Option<MetricsListen>, String>>>,
}

/// A config in force whose files are on their way, and who is told once they are there.
struct TakenOver {
    outcome: Reloaded,
    askers: Vec<Reply<Reloaded>>,
    landed: mpsc::Receiver<()>,
    late: Pin<Box<Sleep>>,
}

/// A config with all that is needed to take it over without a look at the disk.
pub(super) struct NewConfig {
    config: Config,
    loaded: Loaded,
}

/// A session whose place another identity takes.
pub(super) struct Replaced {
    /// The latest that it may have shown.
    pub(super) generation: u64,
    /// A file of it may lie where the new one publishes.
    pub(super) shares_a_file: bool,
}

/// How a reload comes further.
pub(super) enum Step {
    /// The config was read, and its new sessions were loaded.
    Loaded(Box<Result<NewConfig, String>>),
    /// The files are as it wants them, or were waited for long enough.
    Landed,
}

impl Reloading {
    /// What comes next; never resolves while no reload is under way.
    pub(super) async fn next(&mut self) -> Step {
        tokio::select! {
            new = read(&mut self.reading) => Step::Loaded(Box::new(new)),
            () = landed(&mut self.taken_over) => Step::Landed,
        }
    }
}

async fn read(
    reading: &mut Option<JoinHandle<Result<NewConfig, String>>>,
) -> Result<NewConfig, String> {
    match reading {
        Some(reading) => reading
            .await
            .unwrap_or_else(|error| Err(format!("read the config: {error}"))),
        None => std::future::pending().await,
    }
}

async fn landed(taken_over: &mut Option<TakenOver>) {
    let Some(TakenOver { landed, late, .. }) = taken_over else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = landed.recv() => {}
        () = late => {}
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
        if self.reloading.reading.is_some() {
            self.reloading.again = true;
            self.reloading.next_askers.extend(asker);
            return;
        }
        self.reloading.askers.extend(asker);
        self.notifier.reloading();
        let file = self.config.file.clone();
        let (disk, running) = (self.loader(), self.running());
        self.reloading.reading = Some(tokio::task::spawn_blocking(move || {
            let config = config::load_to_run(&file, false)?;
            let loaded = disk.load(&config, &running);
            Ok(NewConfig { config, loaded })
        }));
    }

    /// Carries over what differs; a broken config changes nothing.
    pub(super) fn loaded(&mut self, new: Result<NewConfig, String>) {
        self.reloading.reading = None;
        self.reloaded();
        let (landing, landed) = mpsc::channel(1);
        self.reloading.landing = Some(landing);
        let outcome = new.and_then(|new| self.take_over(new));
        self.reloading.landing = None;
        self.gauges.config_good = outcome.is_ok();
        let askers = std::mem::take(&mut self.reloading.askers);
        match outcome {
            Ok(outcome) => {
                let late = Box::pin(tokio::time::sleep(LONGEST_LANDING));
                self.reloading.taken_over = Some(TakenOver {
                    outcome,
                    askers,
                    landed,
                    late,
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
        self.notifier.ready(&self.one_line());
        for asker in askers {
            // Whoever has hung up gets no answer.
            let _ = asker.send(Err(Refusal::BadConfig {
                errors: errors.to_owned(),
            }));
        }
    }

    /// The config is in force, and files are where it wants them, for all who look.
    pub(super) fn reloaded(&mut self) {
        let Some(TakenOver {
            outcome, askers, ..
        }) = self.reloading.taken_over.take()
        else {
            return;
        };
        let outcome = self.outcome_of(outcome);
        // Before the answers: systemd has heard of the end when the command that asked for it ends.
        self.notifier.ready(&self.one_line());
        for asker in askers {
            let _ = asker.send(Ok(outcome.clone()));
        }
    }

    fn take_over(&mut self, new: NewConfig) -> Result<Reloaded, String> {
        let NewConfig { config, loaded } = new;
        // A file that is just being written looks like this, and every token would be withdrawn.
        if config.sessions.is_empty() && !self.slots.is_empty() {
            return Err(
                "it names no session any more; to withdraw the last one, stop the daemon"
                    .to_owned(),
            );
        }
        let outcome = changes::between(&self.slots, &self.config, &config);
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
        program::withhold_from_children(config.secret_variables());
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
        let (told, moved) = oneshot::channel();
        let move_to = MoveScrapers {
            to: new,
            told,
            landing: self.reloading.landing.clone(),
        };
        // Without an owner of the listener the daemon is about to end.
        let _ = self.scrapers.send(move_to);
        self.reloading.scrapers_moved = Some(moved);
    }

    /// What became of the listener, and of files, for those who reloaded.
    fn outcome_of(&mut self, mut outcome: Reloaded) -> Reloaded {
        if let Some(Ok(moved)) = self
            .reloading
            .scrapers_moved
            .take()
            .map(|mut moved| moved.try_recv())
        {
            match moved {
                Ok(metrics) => self.config.metrics = metrics,
                Err(problem) => {
                    outcome.changed_tables.retain(|table| table != "metrics");
                    outcome.problems.push(problem);
                }
            }
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
            self.reconfigure(name, &new, kept);
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
            let landing = self.reloading.landing.clone();
            slot.waiters
                .extend(landing.map(|told| until_in_files(told, now)));
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

    fn reconfigure(&mut self, name: &str, new: &Arc<SessionConfig>, kept: &BTreeSet<PathBuf>) {
        let now = self.now.boot;
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        match Remote::new(new.remote.clone(), &mut self.clients) {
            Ok(remote) => {
                slot.remote = Arc::new(remote);
                if slot.config.remote.values != new.remote.values {
                    slot.person.forget();
                }
            }
            Err(error) => {
                tracing::error!(session = name, event = "session_not_changed", %error, "the session keeps its old settings");
                return;
            }
        }
        let old = std::mem::replace(&mut slot.config, new.clone());
        if old.publish != new.publish {
            let publisher = Publisher::new(&slot.name, &new.publish, &self.press);
            let old_publisher = slot.publication.move_to(publisher);
            let stale = unshared(&old, kept);
            let landing = self.reloading.landing.clone();
            slot.waiters
                .extend(landing.clone().map(|told| until_in_files(told, now)));
            self.retiring.spawn(async move {
                old_publisher.stop().await;
                remove_files(stale).await;
                drop(landing);
            });
        }
        if old.hooks != new.hooks {
            let hooks = Hooks::start(&new.hooks, &self.config.socket.path);
            self.retiring
                .spawn(std::mem::replace(&mut slot.hooks, hooks).finish());
        }
        slot.saver.want();
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
            &self.alerts,
            self.now,
            "the session is no longer configured",
        );
        // A path that another session publishes now is that session's to write.
        let shares = |sink: &SinkConfig| kept.contains(&sink.path);
        if slot.config.publish.iter().any(shares) {
            slot.publication.remove_but_for_files();
        } else {
            slot.publication.remove();
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
        if let Some(at) = slot.timer.take() {
            self.timers.remove(&(at, name.clone()));
        }
        if let Some(flight) = slot.in_flight.take() {
            flight.abort.abort();
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
        // A successor of the same name writes its own record over this one.
        let has_successor = self.config.sessions.contains_key(&*name);
        let (store, record) = (self.store.clone(), record_of(&name));
        let landing = self.reloading.landing.clone();
        self.retiring.spawn(async move {
            slot.publication.stop().await;
            remove_files(stale).await;
            drop(landing);
            slot.hooks.finish().await;
            if has_successor {
                return;
            }
            let removed = tokio::task::spawn_blocking(move || store.remove(&record)).await;
            if let Ok(Err(error)) = removed {
                tracing::error!(session = &*name, event = "state_not_removed", %error, "cannot remove the state of a removed session");
            }
        });
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
fn until_in_files(told: mpsc::Sender<()>, now: Instant) -> Waiter {
    Waiter {
        until: now.after(LONGEST_LANDING),
        want: Want::Files { _told: told },
    }
}

/// The session's files, except those that others publish now.
fn unshared(config: &SessionConfig, kept: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    config
        .publish
        .iter()
        .map(|sink| sink.path.clone())
        .filter(|path| !kept.contains(path))
        .collect()
}

/// Removes files on a thread that may block.
async fn remove_files(paths: Vec<PathBuf>) {
    let removing = tokio::task::spawn_blocking(move || {
        for path in &paths {
            publish::remove_stale(path);
        }
    });
    if let Err(error) = removing.await {
        tracing::error!(event = "remove_failed", %error, "cannot remove files of a removed session");
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
