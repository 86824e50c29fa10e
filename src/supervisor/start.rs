//! The start: every session of the config, with what the state directory holds of it, up to the word READY.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::Supervisor;
use super::call_queues::CallQueues;
use super::effect::{Effects, Notice};
use super::feed::Feed;
use super::figures::Gauges;
use super::found;
use super::load::{Loaded, LoadedSession};
use super::publication::Publication;
use super::reload::{Reloading, Replaced};
use super::removals::Removals;
use super::saver::Saver;
use super::slot::{AccountSlot, LoginIds, SessionRecord, Slot};
use super::stop::Life;
use super::timers::Timers;
use super::watch::Watch;
use super::writes::Writes;
use crate::config::{Config, SessionConfig};
use crate::hooks::RunCount;
use crate::provider::RemoteError;
use crate::publish::Publisher;
use crate::session::view::Phase;
use crate::store::StoreError;
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

/// What the supervisor is told of the machine and the process that it runs in.
pub(super) struct Surroundings {
    /// The daemon's user.
    pub(super) uid: u32,
    /// Names this boot of the machine.
    pub(super) boot_id: String,
    /// How many descriptors may be open at once.
    pub(super) descriptors: usize,
    /// How often systemd wants to hear from the watchdog.
    pub(super) watchdog: Option<Duration>,
    /// The command that restarts the service, where systemd runs it.
    pub(super) restart_command: Option<String>,
    /// What names of logins are drawn from; none where the system gives no random bytes.
    pub(super) login_key: Option<[u8; 32]>,
}

impl Supervisor {
    /// Takes up every session of the config as it was loaded.
    ///
    /// # Errors
    /// When stored state is there but cannot be read, so that going on would lose it.
    pub(super) fn new(
        config: Config,
        mut loaded: Loaded,
        surroundings: Surroundings,
        now: Now,
    ) -> Result<Self, StartError> {
        let Surroundings {
            uid,
            boot_id,
            descriptors,
            watchdog,
            restart_command,
            login_key,
        } = surroundings;
        let mut supervisor = Self {
            now,
            effects: Effects::default(),
            life: Life::Runs,
            slots: BTreeMap::new(),
            accounts: BTreeMap::new(),
            unsaved: BTreeSet::new(),
            timers: Timers::default(),
            stirred: BTreeSet::new(),
            queues: CallQueues::new(config.per_host_rate, descriptors),
            writes: Writes::default(),
            removals: Removals::default(),
            alert_runs: RunCount::default(),
            feed: Feed::beginning(now),
            watch: Watch::begin(now, watchdog),
            gauges: Gauges::begin(now),
            uid,
            boot_id,
            restart_command,
            tokens: config.daemon.runtime_dir.join("tokens").into(),
            login_ids: LoginIds::of(login_key),
            reloading: Reloading::default(),
            unreported: BTreeSet::new(),
            ready: false,
            epochs: 0,
            traffic: BTreeMap::new(),
            config,
        };
        supervisor.start_alerts();
        for session in supervisor.config.sessions.clone().into_values() {
            supervisor.add(session, &mut loaded, None)?;
        }
        supervisor
            .accounts
            .values_mut()
            .for_each(|account| account.forget_strangers());
        supervisor.tell_guests();
        supervisor.open_gateways();
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
            seed,
            written,
        } = ready?;
        let account: Arc<str> = config.remote.account().into();
        self.join_account(&account, &name, loaded);
        let before = replaces.map(|replaced| replaced.generation);
        let before = before.max(self.removals.generation_of(&name));
        let floor = before.map_or(0, |before| before.saturating_add(1));
        let session = session
            .filter(|found| found.state().token.is_some() || before.is_none())
            .unwrap_or_else(|| found::fresh(&config, self.now, floor, seed));
        let publisher = Publisher::new(&name, &config.publish, &self.tokens);
        let publication = if replaces.is_some_and(|replaced| replaced.shares_a_file) {
            Publication::replacing(publisher, &mut self.effects)
        } else {
            Publication::beginning(publisher)
        };
        let files = replaces.map_or_else(Vec::new, |replaced| replaced.files.clone());
        let record = SessionRecord::found(written, files);
        let epoch = self.next_epoch();
        let slot = Slot::beginning(config, epoch, account, remote, session, publication, record);
        if !slot.config().hooks.is_empty() {
            self.effects.push(slot.start_hooks());
        }
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
        self.effects.notify(Notice::Ready(status));
    }

    fn is_reported(&self, slot: &Slot) -> bool {
        let now = self.now.boot;
        let Some(account) = self.accounts.get(slot.account()) else {
            return true;
        };
        if let Some(served) = slot.publication().served() {
            let files = slot.publication().files();
            return files
                .iter()
                .all(|file| file.generation == Some(served.generation) || file.error.is_some());
        }
        let quiet = matches!(
            slot.session().phase(now, &account.account),
            Phase::NeedsAttention | Phase::Paused | Phase::Dormant
        );
        // Nothing will come of it soon: a wait that the server asked for, a budget that is spent.
        let waits = slot.record().is_level(now)
            && slot.has_no_call()
            && slot
                .session()
                .next(now, &account.account)
                .is_none_or(|next| next.at > now.after(SOON));
        quiet || slot.is_broken() || waits || slot.session().record().last_error.is_some()
    }
}
