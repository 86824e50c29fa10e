//! The start: every session of the config, with what the state directory holds of it, up to the word READY.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Supervisor;
use super::alarm::Alarm;
use super::feed::Feed;
use super::figures::{Gauges, Tally};
use super::found::Found;
use super::landing::Landing;
use super::lanes::Lanes;
use super::person::PersonLogins;
use super::reload::Reloading;
use super::saver::Saver;
use super::slot::{AccountSlot, Slot};
use super::tell::Told;
use super::warnings::Logins;
use super::watch::Watch;
use super::writes::Writes;
use crate::clock;
use crate::config::{Config, SessionConfig};
use crate::descriptors::allowed_descriptors;
use crate::driver::Work;
use crate::hooks::Hooks;
use crate::metrics::scrape::MoveScrapers;
use crate::provider::{Clients, Remote, RemoteError};
use crate::publish::{self, Press, Publisher};
use crate::schedule::Runner;
use crate::session::view::Phase;
use crate::store::{Store, StoreError};
use crate::systemd::Notifier;

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

/// READY waits for no call that lies further ahead.
const SOON: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Takes up every session of the config, with what the state directory holds of it.
    ///
    /// # Errors
    /// When stored state is there but cannot be read, so that going on would lose it.
    pub fn new(
        config: Config,
        store: Store,
        notifier: Notifier,
        scrapers: mpsc::UnboundedSender<MoveScrapers>,
    ) -> Result<Self, StartError> {
        let clients = Clients::default();
        let lanes = Lanes::new(config.per_host_rate, allowed_descriptors());
        let mut supervisor = Self {
            slots: BTreeMap::new(),
            accounts: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            timers: BTreeSet::new(),
            stirred: BTreeSet::new(),
            lanes,
            work: Work::begin(allowed_descriptors()),
            writes: Writes::default(),
            retiring: JoinSet::new(),
            store,
            feed: Feed::beginning(clock::now()),
            press: Press::start(&config.daemon.runtime_dir.join("tokens")),
            alerts: Hooks::start_alerts(&config.alerts, &config.socket.path, &clients),
            clients,
            calendar: Runner::default(),
            notifier,
            scrapers,
            watch: Watch::begin(clock::now()),
            gauges: Gauges::begin(clock::now()),
            uid: rustix::process::geteuid().as_raw(),
            guests: watch::Sender::default(),
            reloading: Reloading::default(),
            unreported: BTreeSet::new(),
            ready: false,
            epochs: 0,
            config,
        };
        supervisor.sweep_files();
        supervisor.forget_unconfigured()?;
        for session in supervisor.config.sessions.clone().into_values() {
            supervisor.add(session)?;
        }
        supervisor
            .accounts
            .values_mut()
            .for_each(|account| account.forget_strangers());
        supervisor.tell_guests();
        Ok(supervisor)
    }

    /// Leftovers of a killed run, in every directory that holds a published file.
    fn sweep_files(&self) {
        let sinks = self
            .config
            .sessions
            .values()
            .flat_map(|session| session.publish.iter());
        let directories: BTreeSet<PathBuf> = sinks
            .filter_map(|sink| sink.path.parent())
            .map(PathBuf::from)
            .collect();
        publish::sweep(&directories.into_iter().collect::<Vec<_>>());
    }

    /// Withdraws what an earlier config published under a session that is gone.
    fn forget_unconfigured(&mut self) -> Result<(), StartError> {
        let unconfigured = |name: &String| !self.config.sessions.contains_key(name.as_str());
        let names: Vec<String> = self
            .store
            .sessions()?
            .into_iter()
            .filter(unconfigured)
            .collect();
        for name in names {
            let Found { stored, origin } = self.find(&name)?;
            if let Some(stored) = stored {
                self.remove_recorded(&stored.paths, &stored.state, origin.proven);
            }
            self.store.remove(&Self::record_of(&name))?;
            tracing::info!(
                session = name,
                event = "removed",
                "removed from the config: withdrawing its token"
            );
        }
        Ok(())
    }

    /// Every file of the present config.
    pub(super) fn published_paths(&self) -> BTreeSet<PathBuf> {
        self.config
            .sessions
            .values()
            .flat_map(|session| session.publish.iter())
            .map(|sink| sink.path.clone())
            .collect()
    }

    pub(super) fn add(&mut self, config: Arc<SessionConfig>) -> Result<(), StartError> {
        let name: Arc<str> = config.name.clone();
        let remote = Remote::new(config.remote.clone(), &mut self.clients).map_err(|error| {
            StartError::Remote {
                name: config.name.to_string(),
                error,
            }
        })?;
        let found = self.find(&config.name)?;
        let account: Arc<str> = config.remote.account().into();
        self.join_account(&account, &name)?;
        let session = self.restore(&config, &remote, found);
        let known = session
            .state()
            .token
            .as_ref()
            .map(|_| session.state().generation);
        let alarm = Alarm::beginning(known);
        let slot = Slot {
            publisher: Publisher::new(&name, &config.publish, &self.press),
            name: name.clone(),
            epoch: self.next_epoch(),
            session,
            account,
            account_is_stored: true,
            remote: Arc::new(remote),
            landing: Landing::default(),
            served: None,
            saver: Saver::default(),
            written: self.store.stamp(&Self::record_of(&config.name)),
            pending: None,
            in_flight: None,
            person: PersonLogins::default(),
            waiters: Vec::new(),
            upcoming: Vec::new(),
            holds: BTreeMap::new(),
            happened: Vec::new(),
            once_landed: Vec::new(),
            outcomes: Vec::new(),
            timer: None,
            told: Told::default(),
            tally: Tally::default(),
            logins: Logins::default(),
            hooks: self.start_hooks(&config),
            alarm,
            leaving: false,
            broken: false,
            config,
        };
        self.slots.insert(name, Box::new(slot));
        Ok(())
    }

    pub(super) fn next_epoch(&mut self) -> u64 {
        self.epochs += 1;
        self.epochs
    }

    fn join_account(&mut self, key: &Arc<str>, name: &Arc<str>) -> Result<(), StoreError> {
        if !self.accounts.contains_key(key) {
            let account = self.find_account(key)?;
            let slot = AccountSlot {
                account,
                saver: Saver::default(),
                members: Vec::with_capacity(1),
            };
            self.accounts.insert(key.clone(), Box::new(slot));
        }
        if let Some(slot) = self.accounts.get_mut(key) {
            slot.join(name);
        }
        Ok(())
    }

    /// The first step of every session.
    pub(super) fn begin(&mut self) {
        let names: Vec<_> = self.slots.keys().cloned().collect();
        self.unreported.extend(names.iter().cloned());
        for name in &names {
            self.consult_calendar(name);
        }
        self.set_calendar();
        self.read_secrets(names, true);
    }

    /// Says READY once every session has been published, or has said why not.
    pub(super) fn announce(&mut self) {
        if self.ready {
            return;
        }
        while let Some(name) = self.unreported.first() {
            if self
                .slots
                .get(name)
                .is_some_and(|slot| !self.is_reported(slot))
            {
                return;
            }
            self.unreported.pop_first();
        }
        self.ready = true;
        let status = self.one_line();
        tracing::info!(event = "ready", status, "ready");
        self.notifier.ready(&status);
    }

    fn is_reported(&self, slot: &Slot) -> bool {
        let now = clock::boottime();
        let Some(account) = self.accounts.get(&slot.account) else {
            return true;
        };
        if let Some(served) = &slot.served {
            let files = slot.publisher.status();
            return files
                .iter()
                .all(|file| file.generation == Some(served.generation) || file.error.is_some());
        }
        let quiet = matches!(
            slot.session.phase(now, &account.account),
            Phase::NeedsAttention | Phase::Paused | Phase::Dormant
        );
        // Nothing will come of it soon: a wait that the server asked for, a budget that is spent.
        let waits = slot.saver.is_level(now)
            && slot.pending.is_none()
            && slot.in_flight.is_none()
            && slot
                .session
                .next(now, &account.account)
                .is_none_or(|next| next.at > now.after(SOON));
        quiet || slot.broken || waits || slot.session.record().last_error.is_some()
    }
}
