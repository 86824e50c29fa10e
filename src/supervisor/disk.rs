//! What is asked of the disk while sessions are loaded, on a thread that may block.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};

use crate::atomic_file::Stamp;
use crate::clock;
use crate::publish::{self, SinkConfig};
use crate::secret::Secret;
use crate::store::{Loaded, Record, Store, StoreError};
use crate::time::Now;
use crate::token::Published;

/// The state directory, the token files, and what else a load reads of the machine; a simulation has one of its own.
pub(super) trait Disk {
    /// A disk may take its time: this is when it answered.
    fn now(&self) -> Now;
    /// Names this boot of the machine.
    fn boot_id(&self) -> String;
    /// A seed for jitter, or a salt.
    fn random(&self) -> u64;
    /// See [`Store::read`].
    fn read(&self, record: &Record) -> Result<Loaded, StoreError>;
    /// See [`Store::set_aside`].
    fn set_aside(&self, record: &Record) -> Result<PathBuf, StoreError>;
    /// See [`Store::stamp`].
    fn stamp(&self, record: &Record) -> Option<Stamp>;
    /// See [`Store::sessions`].
    fn sessions(&self) -> Result<Vec<String>, StoreError>;
    /// See [`Store::remove`].
    fn remove(&self, record: &Record) -> Result<(), StoreError>;
    /// See [`publish::is_overtaken`].
    fn is_overtaken(&self, shown: &Published, files: &[SinkConfig]) -> bool;
    /// See [`publish::is_shown`].
    fn is_shown(&self, shown: &Published, files: &[SinkConfig]) -> bool;
    /// See [`publish::remove_recorded`].
    fn remove_recorded(&self, path: &Path, token: Option<&Secret>);
    /// See [`publish::remove_stale`].
    fn remove_stale(&self, path: &Path);
}

/// The disk of this machine.
pub(super) struct LocalDisk {
    pub(super) store: Store,
    /// Where token files lie if the config names no other place.
    pub(super) tokens: PathBuf,
}

impl Disk for LocalDisk {
    fn now(&self) -> Now {
        clock::now()
    }

    fn boot_id(&self) -> String {
        clock::boot_id().unwrap_or_default()
    }

    /// What the system gives every table of hashes, whose quality is good enough here.
    fn random(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }

    fn read(&self, record: &Record) -> Result<Loaded, StoreError> {
        self.store.read(record)
    }

    fn set_aside(&self, record: &Record) -> Result<PathBuf, StoreError> {
        self.store.set_aside(record)
    }

    fn stamp(&self, record: &Record) -> Option<Stamp> {
        self.store.stamp(record)
    }

    fn sessions(&self) -> Result<Vec<String>, StoreError> {
        self.store.sessions()
    }

    fn remove(&self, record: &Record) -> Result<(), StoreError> {
        self.store.remove(record)
    }

    fn is_overtaken(&self, shown: &Published, files: &[SinkConfig]) -> bool {
        publish::is_overtaken(shown, files)
    }

    fn is_shown(&self, shown: &Published, files: &[SinkConfig]) -> bool {
        publish::is_shown(shown, files)
    }

    fn remove_recorded(&self, path: &Path, token: Option<&Secret>) {
        publish::remove_recorded(path, &self.tokens, token);
    }

    fn remove_stale(&self, path: &Path) {
        publish::remove_stale(path);
    }
}
