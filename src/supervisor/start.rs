//! The start: every session of the config, with what the state directory holds of it, up to the word READY.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Supervisor;
use super::alarm::Alarm;
use super::feed::Feed;
use super::figures::{Gauges, Tally};
use super::found;
use super::lanes::Lanes;
use super::load::{AllRunning, Loaded, LoadedSession, Loader};
use super::person::PersonLogins;
use super::publication::Publication;
use super::reload::{Reloading, Replaced};
use super::saver::Saver;
use super::slot::{AccountSlot, Slot};
use super::tell::Told;
use super::warnings::Logins;
use super::watch::Watch;
use super::writes::Writes;
use crate::config::{Config, SessionConfig};
use crate::descriptors::allowed_descriptors;
use crate::driver::Work;
use crate::hooks::Hooks;
use crate::provider::{Clients, RemoteError};
use crate::publish::{Press, Publisher};
use crate::schedule::Runner;
use crate::scrape::MoveScrapers;
use crate::session::view::Phase;
use crate::store::{Store, StoreError};
use crate::systemd::Notifier;
use crate::time::Now;

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
        now: Now,
    ) -> Result<Self, StartError> {
        let clients = Clients::default();
        let lanes = Lanes::new(config.per_host_rate, allowed_descriptors());
        let mut supervisor = Self {
            now,
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
            feed: Feed::beginning(now),
            press: Press::start(&config.daemon.runtime_dir.join("tokens")),
            alerts: Hooks::start_alerts(&config.alerts, &config.socket.path, &clients),
            clients,
            calendar: Runner::default(),
            notifier,
            scrapers,
            watch: Watch::begin(now),
            gauges: Gauges::begin(now),
            uid: rustix::process::geteuid().as_raw(),
            guests: watch::Sender::default(),
            reloading: Reloading::default(),
            unreported: BTreeSet::new(),
            ready: false,
            epochs: 0,
            config,
        };
        // Nobody is served yet: here alone the disk may be waited for.
        Loader::sweep_files(&supervisor.config);
        let disk = supervisor.loader();
        disk.forget_unconfigured(&supervisor.config)?;
        let mut loaded = disk.load(&supervisor.config, &AllRunning::new());
        for session in supervisor.config.sessions.clone().into_values() {
            supervisor.add(session, &mut loaded, None)?;
        }
        supervisor
            .accounts
            .values_mut()
            .for_each(|account| account.forget_strangers());
        supervisor.tell_guests();
        Ok(supervisor)
    }

    /// Takes a session up as it was loaded.
    ///
    /// # Errors
    /// Why it cannot start.
    pub(super) fn add(
        &mut self,
        config: Arc<SessionConfig>,
        loaded: &mut Loaded,
        replaces: Option<&Replaced>,
    ) -> Result<(), StartError> {
        let name: Arc<str> = config.name.clone();
        let Some(ready) = loaded.take(&name) else {
            return Ok(());
        };
        let LoadedSession {
            remote,
            session,
            written,
        } = ready?;
        let account: Arc<str> = config.remote.account().into();
        self.join_account(&account, &name, loaded);
        let floor = replaces.map_or(0, |replaced| replaced.generation.saturating_add(1));
        let session = session.unwrap_or_else(|| found::fresh(&config, self.now, floor));
        let known = session
            .state()
            .token
            .as_ref()
            .map(|_| session.state().generation);
        let alarm = Alarm::beginning(known);
        let publisher = Publisher::new(&name, &config.publish, &self.press);
        let publication = if replaces.is_some_and(|replaced| replaced.shares_a_file) {
            Publication::replacing(publisher)
        } else {
            Publication::beginning(publisher)
        };
        let slot = Slot {
            publication,
            name: name.clone(),
            epoch: self.next_epoch(),
            session,
            account,
            account_is_stored: true,
            remote: Arc::new(remote),
            saver: Saver::default(),
            written,
            pending: None,
            in_flight: None,
            person: PersonLogins::default(),
            waiters: Vec::new(),
            upcoming: Vec::new(),
            holds: BTreeMap::new(),
            happened: Vec::new(),
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

    /// An account that is in memory is later than its record.
    fn join_account(&mut self, key: &Arc<str>, name: &Arc<str>, loaded: &mut Loaded) {
        if !self.accounts.contains_key(key)
            && let Some(account) = loaded.take_account(key)
        {
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
        let now = self.now.boot;
        let Some(account) = self.accounts.get(&slot.account) else {
            return true;
        };
        if let Some(served) = slot.publication.served() {
            let files = slot.publication.files();
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
