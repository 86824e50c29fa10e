//! What the state directory holds of sessions and accounts, how far it is believed, and how sessions go on from it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::load::Loader;
use super::record_of;
use super::shown;
use super::slot::{StoredAccount, StoredSession};
use crate::config::SessionConfig;
use crate::provider::Remote;
use crate::publish::SinkConfig;
use crate::session::Session;
use crate::session::account::Account;
use crate::session::state::State;
use crate::store::{Age, Loaded, Record, StoreError};
use crate::time::Now;
use crate::token::Published;

/// What the state directory holds of a session.
pub(super) struct Found {
    pub(super) stored: Option<StoredSession>,
    pub(super) origin: Origin,
}

/// How far a record may be believed.
pub(super) struct Origin {
    /// Nobody but a daemon of this state can have written it, as far as its key can tell.
    pub(super) proven: bool,
    age: Age,
    /// When it was read, and in which boot.
    now: Now,
    boot_id: String,
}

/// Where a state stands among all that was written of its session.
enum Standing {
    /// Nothing speaks against it; `dated` where something tells that it is the latest.
    Current { dated: bool },
    /// A later state was written, or was to be.
    Superseded,
    /// A file holds a later token.
    Overtaken,
    /// Whoever wrote it need not have had the key.
    Unproven,
}

impl<D: Disk> Loader<D> {
    pub(super) fn find(&self, name: &str) -> Result<Found, StoreError> {
        let now = self.disk.now();
        let boot_id = self.disk.boot_id();
        let loaded = self.disk.read(&record_of(name))?;
        let proven = !matches!(loaded, Loaded::Unproven(_));
        let age = if let Loaded::Bytes(_, age) = &loaded {
            *age
        } else {
            Age::Unknown
        };
        let stored = match loaded {
            Loaded::Absent => None,
            Loaded::Unsealed(path) => {
                tracing::error!(session = name, event = "state_damaged", path = %path.display(), "the state is not sealed although others are: set aside and not trusted, starting afresh");
                None
            }
            Loaded::SetAside(path) => {
                tracing::error!(session = name, event = "state_damaged", path = %path.display(), "the state was damaged; set aside, starting afresh");
                None
            }
            Loaded::Bytes(bytes, _) | Loaded::Unproven(bytes) => {
                match serde_json::from_slice(&bytes) {
                    Ok(stored) => Some(stored),
                    Err(error) => {
                        let path = self.disk.set_aside(&record_of(name))?;
                        tracing::error!(session = name, event = "state_damaged", path = %path.display(), %error, "the state is inconsistent; set aside, starting afresh");
                        None
                    }
                }
            }
        };
        Ok(Found {
            stored,
            origin: Origin {
                proven,
                age,
                now,
                boot_id,
            },
        })
    }

    /// Removes what a record says was published, except what a session of the config publishes now (`kept`).
    pub(super) fn remove_recorded(
        &self,
        paths: &[PathBuf],
        state: &State,
        proven: bool,
        kept: &BTreeSet<PathBuf>,
    ) {
        let token = state
            .token
            .as_ref()
            .filter(|_| proven)
            .map(|token| &token.access_token);
        let gone = paths.iter().filter(|path| !kept.contains(*path));
        gone.for_each(|path| self.disk.remove_recorded(path, token));
    }

    /// The session as it goes on from what was found.
    pub(super) fn restore(
        &self,
        config: &SessionConfig,
        remote: &Remote,
        found: Found,
        kept: &BTreeSet<PathBuf>,
    ) -> Session {
        let Found { stored, origin } = found;
        let mut floor = 0;
        if let Some(stored) = stored {
            if stored.identity == config.remote.identity() {
                return self.go_on(config, remote, stored, &origin, kept);
            }
            say_identity_changed(&config.name);
            floor = stored.state.generation.saturating_add(1);
            for sink in config
                .publish
                .iter()
                .filter(|sink| stored.paths.contains(&sink.path))
            {
                self.disk.remove_stale(&sink.path);
            }
            self.remove_recorded(&stored.paths, &stored.state, origin.proven, kept);
        }
        fresh(config, origin.now, floor, self.disk.random())
    }

    fn go_on(
        &self,
        config: &SessionConfig,
        remote: &Remote,
        mut stored: StoredSession,
        origin: &Origin,
        kept: &BTreeSet<PathBuf>,
    ) -> Session {
        let configured = |path: &PathBuf| config.publish.iter().any(|sink| sink.path == *path);
        let dropped: Vec<PathBuf> = stored
            .paths
            .iter()
            .filter(|path| !configured(path))
            .cloned()
            .collect();
        self.remove_recorded(&dropped, &stored.state, origin.proven, kept);
        if stored
            .state
            .token
            .as_ref()
            .is_some_and(|token| !remote.admits(token))
        {
            tracing::error!(
                session = &*config.name,
                event = "state_damaged",
                "not using the stored token: this session's server cannot have issued it, or its instance_url belongs to another host"
            );
            stored.state.token = None;
        }
        let now = origin.now;
        let shift = stored.clock.shift(now, &origin.boot_id);
        stored.state.shift(shift.millis);
        let shown = shown::published(config, remote, &stored.state, now);
        let (name, policy, state, floor) = (
            config.name.clone(),
            config.policy.clone(),
            stored.state,
            origin.floor(),
        );
        match origin.judge(&self.disk, shown.as_ref(), &config.publish) {
            Standing::Current { dated } => {
                let certain = shift.certain && dated;
                let mut session = Session::restore(name, policy, state, now.boot, floor, certain);
                if !shift.counted {
                    session.rest_on_the_wall_clock(now.boot, shift.certain);
                }
                session
            }
            Standing::Superseded => {
                warn_of_later(&name, "another state was written after it");
                Session::restore_superseded(name, policy, state, now.boot, floor)
            }
            Standing::Overtaken => {
                warn_of_later(&name, "a file holds another token");
                Session::restore_overtaken(name, policy, state, now.boot, floor)
            }
            Standing::Unproven => Session::restore_unproven(name, policy, state, now.boot, floor),
        }
    }

    pub(super) fn find_account(&self, key: &str) -> Result<Account, StoreError> {
        let now = self.disk.now();
        let record = Record::Account(key.to_owned());
        let fresh = || Account::new(now.boot, self.disk.random());
        let bytes = match self.disk.read(&record)? {
            Loaded::Absent => return Ok(fresh()),
            Loaded::SetAside(path) | Loaded::Unsealed(path) => {
                account_damaged(key, &path);
                return Ok(fresh());
            }
            Loaded::Bytes(bytes, _) | Loaded::Unproven(bytes) => bytes,
        };
        let Ok(mut stored) = serde_json::from_slice::<StoredAccount>(&bytes) else {
            account_damaged(key, &self.disk.set_aside(&record)?);
            return Ok(fresh());
        };
        let shift = stored.clock.shift(now, &self.disk.boot_id());
        stored.account.shift(shift.millis);
        stored.account.resumed();
        Ok(stored.account)
    }
}

impl Origin {
    /// No generation begins below it.
    fn floor(&self) -> u64 {
        floor_at(self.now)
    }

    /// What becomes of the state, by what the files of the session hold.
    fn judge(&self, disk: &impl Disk, shown: Option<&Published>, files: &[SinkConfig]) -> Standing {
        if self.proven && self.age == Age::Superseded {
            return Standing::Superseded;
        }
        if shown.is_some_and(|shown| disk.is_overtaken(shown, files)) {
            return Standing::Overtaken;
        }
        // What a file shows, a daemon has written: who could only write the state has not been there.
        let is_shown = shown.is_some_and(|shown| disk.is_shown(shown, files));
        if self.proven || is_shown {
            Standing::Current {
                dated: is_shown || self.age == Age::Latest,
            }
        } else {
            Standing::Unproven
        }
    }
}

fn warn_of_later(session: &str, seen: &str) {
    tracing::warn!(
        session,
        event = "state_overtaken",
        seen,
        "the state is not the latest: checking its token first"
    );
}

fn account_damaged(key: &str, path: &Path) {
    tracing::error!(event = "state_damaged", account = key, path = %path.display(), "the account's state was damaged; set aside, its login budget begins anew");
}

/// A session that goes on from nothing, and whose generations begin at `floor` at the earliest; its jitter comes from
/// `seed`.
pub(super) fn fresh(config: &SessionConfig, now: Now, floor: u64, seed: u64) -> Session {
    let floor = floor.max(floor_at(now));
    Session::new(
        config.name.clone(),
        config.policy.clone(),
        now.boot,
        floor,
        seed,
    )
}

/// No generation begins below it.
fn floor_at(now: Now) -> u64 {
    u64::try_from(now.wall.as_second()).unwrap_or(0)
}

pub(super) fn say_identity_changed(session: &str) {
    tracing::info!(
        session,
        event = "identity_changed",
        "the session's identity changed: discarding the old token"
    );
}
