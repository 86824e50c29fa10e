//! Loads sessions: what the disk holds of them, read on a thread that may block, before any of them is taken up.
//!
//! The start and every reload do it alike. A disk that hangs holds up the sessions that are to come, and none that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::Disk;
use super::found::Found;
use super::start::StartError;
use super::{Supervisor, record_of};
use crate::atomic_file::Stamp;
use crate::config::{Config, SessionConfig};
use crate::provider::{Clients, Remote, RemoteError};
use crate::publish;
use crate::session::Session;
use crate::session::account::Account;
use crate::store::StoreError;

/// Reads what sessions of one config go on from.
pub(super) struct Loader<D> {
    pub(super) disk: D,
    clients: Clients,
}

/// A session that runs while others are loaded.
pub(super) struct Running {
    config: Arc<SessionConfig>,
    /// It is gone from the config already, and its logout is under way.
    leaving: bool,
}

/// Sessions that run, by name.
pub(super) type AllRunning = BTreeMap<Arc<str>, Running>;

/// What was loaded for the sessions of a config that do not run yet, or run with another identity.
#[derive(Default)]
pub(super) struct Loaded {
    sessions: BTreeMap<Arc<str>, Result<LoadedSession, StartError>>,
    /// Their accounts, as they were stored.
    accounts: BTreeMap<Arc<str>, Account>,
    /// The servers of sessions that go on with other settings.
    remotes: BTreeMap<Arc<str>, Result<Remote, RemoteError>>,
}

/// One session, ready to be taken up.
pub(super) struct LoadedSession {
    pub(super) remote: Remote,
    /// None where it takes the place of a session that runs: then nothing on the disk is later than what that one knows.
    pub(super) session: Option<Session>,
    /// For what must be drawn at random, if it begins anew.
    pub(super) seed: u64,
    /// Its state's file.
    pub(super) written: Option<Stamp>,
}

impl Running {
    /// Whether this session goes on under the new config, with the token that it has.
    fn goes_on_as(&self, new: &SessionConfig) -> bool {
        !self.leaving && self.config.remote.identity() == new.remote.identity()
    }
}

impl Loaded {
    /// What was loaded for this session, or why it cannot start; none for one that goes on as it runs.
    pub(super) fn take(&mut self, name: &str) -> Option<Result<LoadedSession, StartError>> {
        self.sessions.remove(name)
    }

    /// The server of a session that goes on with other settings.
    pub(super) fn take_remote(&mut self, name: &str) -> Option<Result<Remote, RemoteError>> {
        self.remotes.remove(name)
    }

    /// The account as it was stored.
    pub(super) fn take_account(&mut self, key: &str) -> Option<Account> {
        self.accounts.remove(key)
    }
}

impl<D: Disk> Loader<D> {
    pub(super) fn new(disk: D, clients: &Clients) -> Self {
        Self {
            disk,
            clients: clients.clone(),
        }
    }

    /// Loads every session of the config that does not go on as it runs, and the server of each that is changed. Blocks on
    /// the disk.
    pub(super) fn load(mut self, config: &Config, running: &AllRunning) -> Loaded {
        let kept = published_paths(&config.sessions);
        let mut loaded = Loaded::default();
        for (name, session) in &config.sessions {
            let runs = running.get(name);
            if let Some(running) = runs.filter(|running| running.goes_on_as(session)) {
                if running.config != *session {
                    loaded.remotes.insert(name.clone(), self.remote(session));
                }
                continue;
            }
            let ready = self.load_session(session, runs.is_some(), &kept, &mut loaded.accounts);
            loaded.sessions.insert(name.clone(), ready);
        }
        loaded
    }

    fn load_session(
        &mut self,
        config: &SessionConfig,
        is_running: bool,
        kept: &BTreeSet<PathBuf>,
        accounts: &mut BTreeMap<Arc<str>, Account>,
    ) -> Result<LoadedSession, StartError> {
        let name = &config.name;
        let remote = self.remote(config).map_err(|error| StartError::Remote {
            name: name.to_string(),
            error,
        })?;
        let found = (!is_running).then(|| self.find(name)).transpose()?;
        let account = config.remote.account();
        if !accounts.contains_key(&*account) {
            let stored = self.find_account(&account)?;
            accounts.insert(account.into(), stored);
        }
        let session = found.map(|found| self.restore(config, &remote, found, kept));
        let written = session
            .as_ref()
            .and_then(|_| self.disk.stamp(&record_of(name)));
        Ok(LoadedSession {
            remote,
            session,
            seed: self.disk.random(),
            written,
        })
    }

    fn remote(&mut self, config: &SessionConfig) -> Result<Remote, RemoteError> {
        Remote::new(config.remote.clone(), &mut self.clients)
    }

    /// Withdraws what an earlier config published under a session that is gone. Blocks on the disk.
    pub(super) fn forget_unconfigured(&self, config: &Config) -> Result<(), StoreError> {
        let unconfigured = |name: &String| !config.sessions.contains_key(name.as_str());
        let names: Vec<String> = self
            .disk
            .sessions()?
            .into_iter()
            .filter(unconfigured)
            .collect();
        let kept = published_paths(&config.sessions);
        for name in names {
            let Found { stored, origin } = self.find(&name)?;
            if let Some(stored) = stored {
                self.remove_recorded(&stored.paths, &stored.state, origin.proven, &kept);
            }
            self.disk.remove(&record_of(&name))?;
            tracing::info!(
                session = name,
                event = "removed",
                "removed from the config: withdrawing its token"
            );
        }
        Ok(())
    }
}

/// Removes what killed runs left half-written, in every directory that holds a published file. Blocks on the disk.
pub(super) fn sweep_files(config: &Config) {
    let sinks = config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter());
    let directories: BTreeSet<PathBuf> = sinks
        .filter_map(|sink| sink.path.parent())
        .map(PathBuf::from)
        .collect();
    publish::sweep(&directories.into_iter().collect::<Vec<_>>());
}

impl Supervisor {
    /// Which sessions run now.
    pub(super) fn running(&self) -> AllRunning {
        let running = self.slots.values().map(|slot| {
            let running = Running {
                config: slot.config().clone(),
                leaving: slot.is_leaving(),
            };
            (slot.name().clone(), running)
        });
        running.collect()
    }

    /// Every file of the present config.
    pub(super) fn published_paths(&self) -> BTreeSet<PathBuf> {
        published_paths(&self.config.sessions)
    }
}

fn published_paths(sessions: &BTreeMap<Arc<str>, Arc<SessionConfig>>) -> BTreeSet<PathBuf> {
    sessions
        .values()
        .flat_map(|session| session.publish.iter())
        .map(|sink| sink.path.clone())
        .collect()
}
