//! How sessions come and go: at the start from stored state, at a reload as a diff, at the end without losing a renewal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinSet;

use super::lanes::Lanes;
use super::saver::Saver;
use super::slot::{AccountSlot, Slot, StoredAccount, StoredSession};
use super::tell::Told;
use super::watch::Watch;
use super::{Ears, Supervisor};
use crate::clock;
use crate::config::{self, Config, SessionConfig};
use crate::provider::{Clients, Remote, RemoteError};
use crate::publish::{self, Publisher, Wanted};
use crate::schedule::Runner;
use crate::session::account::Account;
use crate::session::answer::Request;
use crate::session::view::{Phase, Publication};
use crate::session::{Input, Order, Session};
use crate::signals::Signal;
use crate::store::{Loaded, Record, Store, StoreError};
use crate::systemd::Notifier;
use crate::time::Now;

/// Beyond its time-out a renewal is waited for no longer at the end.
const DRAIN_GRACE: Duration = Duration::from_secs(3);
/// Token files get so long to settle at the end.
const SETTLE: Duration = Duration::from_secs(5);

/// Why the daemon cannot begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// State that must not be overwritten.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A session's server cannot be called.
    #[error("set up the session {name}: {error}")]
    Remote {
        /// The session.
        name: String,
        /// What is wrong.
        error: RemoteError,
    },
}

/// What the state directory holds of a session.
struct Found {
    stored: Option<StoredSession>,
    now: Now,
    boot_id: String,
}

impl Supervisor {
    /// Takes up every session of the config, with what the state directory holds of it.
    ///
    /// # Errors
    /// When stored state is there but cannot be read, so that going on would lose it.
    pub fn new(config: Config, store: Store, notifier: Notifier) -> Result<Self, StartError> {
        let lanes = Lanes::new(config.per_host_rate);
        let mut supervisor = Self {
            slots: BTreeMap::new(),
            accounts: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            timers: BTreeSet::new(),
            stirred: VecDeque::new(),
            lanes,
            work: JoinSet::new(),
            retiring: JoinSet::new(),
            store,
            clients: Clients::default(),
            calendar: Runner::default(),
            notifier,
            watch: Watch::begin(clock::now()),
            uid: rustix::process::geteuid().as_raw(),
            ready: false,
            config,
        };
        supervisor.sweep_files();
        supervisor.forget_unconfigured()?;
        for session in supervisor.config.sessions.clone().into_values() {
            supervisor.add(session)?;
        }
        Ok(supervisor)
    }

    /// Leftovers of a killed run, in every directory that holds a published file.
    fn sweep_files(&self) {
        let sinks = self.config.sessions.values().flat_map(|session| &session.publish);
        let directories: BTreeSet<PathBuf> = sinks.filter_map(|sink| sink.path.parent()).map(PathBuf::from).collect();
        publish::sweep(&directories.into_iter().collect::<Vec<_>>());
    }

    /// Withdraws what an earlier config published under a session that is gone.
    fn forget_unconfigured(&mut self) -> Result<(), StartError> {
        for name in self.store.sessions()? {
            if self.config.sessions.contains_key(&name) {
                continue;
            }
            if let Some(stored) = self.find(&name)?.stored {
                self.remove_unshared(&stored.paths);
            }
            self.store.remove(&Self::record_of(&name))?;
            tracing::info!(session = name, event = "removed", "no longer configured: its token is withdrawn");
        }
        Ok(())
    }

    /// Removes published files, except those that a session of the config publishes now.
    fn remove_unshared(&self, paths: &[PathBuf]) {
        let kept: BTreeSet<&PathBuf> =
            self.config.sessions.values().flat_map(|session| &session.publish).map(|sink| &sink.path).collect();
        paths.iter().filter(|path| !kept.contains(path)).for_each(|path| publish::remove_stale(path));
    }

    fn find(&self, name: &str) -> Result<Found, StoreError> {
        let now = clock::now();
        let boot_id = clock::boot_id().unwrap_or_default();
        let stored = match self.store.read(&Self::record_of(name))? {
            Loaded::Absent => None,
            Loaded::SetAside(path) => {
                tracing::error!(session = name, event = "state_damaged", path = %path.display(), "the state was damaged and is set aside; starting afresh");
                None
            }
            Loaded::Bytes(bytes) => match serde_json::from_slice(&bytes) {
                Ok(stored) => Some(stored),
                Err(error) => {
                    let path = self.store.set_aside(&Self::record_of(name))?;
                    tracing::error!(session = name, event = "state_damaged", path = %path.display(), %error, "the state makes no sense and is set aside; starting afresh");
                    None
                }
            },
        };
        Ok(Found { stored, now, boot_id })
    }

    pub(super) fn add(&mut self, config: Arc<SessionConfig>) -> Result<(), StartError> {
        let name: Arc<str> = config.name.as_str().into();
        let remote = Remote::new(config.remote.clone(), &mut self.clients)
            .map_err(|error| StartError::Remote { name: config.name.clone(), error })?;
        let found = self.find(&config.name)?;
        let account = config.remote.account();
        self.join_account(&account, &name)?;
        let session = self.restore(&config, found);
        let slot = Slot {
            publisher: Publisher::start(&config.publish, &self.config.daemon.runtime_dir.join("tokens")),
            name: name.clone(),
            session,
            account,
            remote: Arc::new(remote),
            served: None,
            saver: Saver::default(),
            pending: None,
            in_flight: None,
            waiters: Vec::new(),
            timer: None,
            told: Told::default(),
            leaving: false,
            config,
        };
        self.slots.insert(name, slot);
        Ok(())
    }

    fn restore(&self, config: &SessionConfig, found: Found) -> Session {
        let Found { stored, now, boot_id } = found;
        let floor = u64::try_from(now.wall.as_second()).unwrap_or(0);
        let mut paths = Vec::new();
        let mut fresh_floor = floor;
        if let Some(mut stored) = stored {
            if stored.identity == config.remote.identity() {
                self.remove_unshared(&stored.paths);
                let shift = stored.clock.shift(now, &boot_id);
                stored.state.shift(shift.millis);
                return Session::restore(
                    &config.name,
                    config.policy.clone(),
                    stored.state,
                    now.boot,
                    floor,
                    shift.certain,
                );
            }
            tracing::info!(
                session = config.name,
                event = "identity_changed",
                "another login than before: the old token is discarded"
            );
            fresh_floor = floor.max(stored.state.generation + 1);
            paths = stored.paths;
        }
        paths.iter().for_each(|path| publish::remove_stale(path));
        Session::new(&config.name, config.policy.clone(), now.boot, fresh_floor, random())
    }

    fn join_account(&mut self, key: &str, name: &Arc<str>) -> Result<(), StoreError> {
        if !self.accounts.contains_key(key) {
            let account = self.find_account(key)?;
            self.accounts
                .insert(key.to_owned(), AccountSlot { account, saver: Saver::default(), members: BTreeSet::new() });
        }
        if let Some(slot) = self.accounts.get_mut(key) {
            slot.members.insert(name.clone());
            slot.account.sessions = u32::try_from(slot.members.len()).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    fn find_account(&self, key: &str) -> Result<Account, StoreError> {
        let now = clock::now();
        let record = Record::Account(key.to_owned());
        let fresh = || Account::new(now.boot, random());
        let Loaded::Bytes(bytes) = self.store.read(&record)? else { return Ok(fresh()) };
        let Ok(mut stored) = serde_json::from_slice::<StoredAccount>(&bytes) else {
            self.store.set_aside(&record)?;
            return Ok(fresh());
        };
        let shift = stored.clock.shift(now, &clock::boot_id().unwrap_or_default());
        stored.account.shift(shift.millis);
        Ok(stored.account)
    }

    /// The first step of every session.
    pub(super) fn begin(&mut self) {
        let now = clock::now();
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in &names {
            let active = self.slots.get(name).is_none_or(|slot| slot.config.schedule.is_active(now.wall));
            self.step(name, Input::Active(active));
        }
        self.set_calendar();
        self.read_secrets(names, true);
    }

    fn set_calendar(&mut self) {
        let calendars = self.config.sessions.iter().map(|(name, session)| (name.clone(), session.schedule.clone()));
        self.calendar.set(calendars.collect(), clock::now().wall);
    }

    /// Says READY once every session has been published, or has said why not.
    pub(super) fn announce(&mut self) {
        if self.ready || !self.slots.values().all(|slot| self.is_reported(slot)) {
            return;
        }
        self.ready = true;
        let status = self.one_line();
        tracing::info!(event = "ready", status, "ready");
        self.notifier.ready(&status);
    }

    fn is_reported(&self, slot: &Slot) -> bool {
        let now = clock::boottime();
        let Some(account) = self.accounts.get(&slot.account) else { return true };
        if let Some(served) = &slot.served {
            let files = slot.publisher.status();
            return files.iter().all(|file| file.generation == Some(served.generation) || file.error.is_some());
        }
        let held = slot.session.publication(now) == Publication::Hold && slot.session.record().last_error.is_some();
        let quiet =
            matches!(slot.session.phase(now, &account.account), Phase::NeedsAttention | Phase::Paused | Phase::Dormant);
        held || quiet || slot.session.record().last_error.is_some()
    }

    /// Reads the config again and carries over what differs; a broken one changes nothing.
    pub(super) async fn reload(&mut self) {
        self.notifier.reloading();
        let file = self.config.file.clone();
        match tokio::task::spawn_blocking(move || config::load(&file)).await {
            Ok(Ok(config)) => self.take_over(config),
            Ok(Err(errors)) => {
                for error in errors.to_string().split("\n\n") {
                    tracing::error!(event = "reload_failed", error, "the config is broken; nothing has changed");
                }
            }
            Err(error) => {
                tracing::error!(event = "reload_failed", %error, "the config could not be read; nothing has changed")
            }
        }
        self.notifier.ready(&self.one_line());
    }

    fn take_over(&mut self, config: Config) {
        if config.daemon != self.config.daemon || config.socket != self.config.socket {
            tracing::warn!(
                event = "restart_needed",
                "changes under [daemon] and [socket] take effect at the next start"
            );
        }
        for warning in &config.warnings {
            tracing::warn!(event = "config", "{warning}");
        }
        let new = config.sessions.clone();
        self.config.sessions = config.sessions;
        let gone: Vec<_> = self.slots.keys().filter(|name| !new.contains_key(&***name)).cloned().collect();
        gone.iter().for_each(|name| self.retire(name));
        for (name, session) in new {
            self.take_over_session(&name, session);
        }
        self.set_calendar();
        let names: Vec<_> = self.slots.keys().cloned().collect();
        self.read_secrets(names, true);
        tracing::info!(event = "reloaded", sessions = self.slots.len(), "the config is taken over");
    }

    fn take_over_session(&mut self, name: &str, new: Arc<SessionConfig>) {
        let same_identity = match self.slots.get(name) {
            Some(slot) if slot.config == new && !slot.leaving => return,
            Some(slot) => slot.config.remote.identity() == new.remote.identity() && !slot.leaving,
            None => false,
        };
        if same_identity {
            self.reconfigure(name, new);
            return;
        }
        if self.slots.contains_key(name) {
            self.remove(name);
        }
        let now = clock::now();
        let active = new.schedule.is_active(now.wall);
        if let Err(error) = self.add(new) {
            tracing::error!(session = name, %error, "the session cannot begin");
            return;
        }
        self.step(name, Input::Active(active));
    }

    fn reconfigure(&mut self, name: &str, new: Arc<SessionConfig>) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        match Remote::new(new.remote.clone(), &mut self.clients) {
            Ok(remote) => slot.remote = Arc::new(remote),
            Err(error) => {
                tracing::error!(session = name, %error, "the session goes on as before");
                return;
            }
        }
        let old = std::mem::replace(&mut slot.config, new.clone());
        if old.publish != new.publish {
            let publisher = Publisher::start(&new.publish, &self.config.daemon.runtime_dir.join("tokens"));
            let old_publisher = std::mem::replace(&mut slot.publisher, publisher);
            let dropped: Vec<PathBuf> = old.publish.iter().map(|sink| sink.path.clone()).collect();
            let kept: BTreeSet<PathBuf> = new.publish.iter().map(|sink| sink.path.clone()).collect();
            self.retiring.spawn(async move {
                old_publisher.stop().await;
                dropped.iter().filter(|path| !kept.contains(*path)).for_each(|path| publish::remove_stale(path));
            });
            slot.told.forget_published();
        }
        slot.saver.want();
        let policy = Box::new(new.policy.clone());
        let active = new.schedule.is_active(clock::now().wall);
        self.step(name, Input::Reconfigured(policy));
        self.step(name, Input::Active(active));
    }

    /// The session is gone from the config: withdraw, log out where that is asked for, forget.
    fn retire(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name) else { return };
        tracing::info!(session = name, event = "removed", "no longer configured: its token is withdrawn");
        slot.served = None;
        slot.publisher.set(Wanted::Remove);
        if slot.config.logout_on_removal && slot.session.state().token.is_some() {
            slot.leaving = true;
            self.step(name, Input::Order(Order::Logout));
        } else {
            self.remove(name);
        }
    }

    /// Forgets a session altogether. A call under way is dropped with it.
    pub(super) fn remove(&mut self, name: &str) {
        let Some((name, mut slot)) = self.slots.remove_entry(name) else { return };
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
            account.leave(&name);
            self.stirred.extend(account.members.iter().cloned());
            if account.members.is_empty() && account.account.stop.is_none() && account.saver.is_level() {
                self.accounts.remove(&slot.account);
            }
        }
        slot.publisher.set(Wanted::Remove);
        let (store, record) = (self.store.clone(), Self::record_of(&name));
        self.retiring.spawn(async move {
            slot.publisher.stop().await;
            let removed = tokio::task::spawn_blocking(move || store.remove(&record)).await;
            if let Ok(Err(error)) = removed {
                tracing::error!(session = &*name, %error, "the state of a removed session is still there");
            }
        });
    }

    /// Begins nothing more, lets renewals and logins finish, stores what they bring; the files stay.
    pub(super) async fn stop(mut self, ears: &mut Ears) {
        self.notifier.stopping();
        tracing::info!(event = "stopping", "stopping; the sessions and their files stay");
        let leavers: Vec<_> =
            self.slots.iter().filter(|(_, slot)| slot.config.logout_on_stop).map(|(name, _)| name.clone()).collect();
        for name in &leavers {
            self.step(name, Input::Order(Order::Logout));
        }
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names.iter().filter(|name| !leavers.contains(name)) {
            self.step(name, Input::Drain);
        }
        self.abort_what_may_be_lost();
        let longest = self.slots.values().map(|slot| slot.session.policy().request_timeout).max().unwrap_or_default();
        let drained = tokio::time::timeout(longest + DRAIN_GRACE, self.drain(ears)).await;
        if drained.is_err() {
            tracing::warn!(event = "undrained", "a call did not come to its end; what it brought is not stored");
        }
        let slots = std::mem::take(&mut self.slots);
        let settle = async {
            for (_, slot) in slots {
                slot.publisher.stop().await;
            }
            while self.retiring.join_next().await.is_some() {}
        };
        let _ = tokio::time::timeout(SETTLE, settle).await;
        self.calendar.shutdown().await;
    }

    fn abort_what_may_be_lost(&mut self) {
        for slot in self.slots.values_mut() {
            let harmless =
                |flight: &mut crate::driver::Flight| matches!(flight.request, Request::Ping | Request::Introspect);
            if let Some(flight) = slot.in_flight.take_if(harmless) {
                flight.abort.abort();
            }
        }
    }

    async fn drain(&mut self, ears: &mut Ears) {
        loop {
            let now = clock::boottime();
            while let Some(name) = self.lanes.leave(now) {
                self.launch(&name);
            }
            if self.slots.values().all(Slot::is_at_rest) {
                return;
            }
            tokio::select! {
                Some(done) = self.work.join_next() => if let Ok(done) = done {
                    self.done(done);
                },
                Some(Signal::Stop { .. }) = ears.signals.next() => return,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }
}

impl AccountSlot {
    fn leave(&mut self, name: &Arc<str>) {
        self.members.remove(name);
        self.account.sessions = u32::try_from(self.members.len()).unwrap_or(u32::MAX).max(1);
        if self.account.in_flight.as_deref() == Some(&**name) {
            self.account.in_flight = None;
        }
    }
}

/// A seed for jitter, or a salt; quality matters little, difference does.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => u64::try_from(clock::now().wall.as_nanosecond()).unwrap_or(0),
    }
}
