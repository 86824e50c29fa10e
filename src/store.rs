//! Durable state: one file per session, one per account, each replaced atomically, sealed when a key is given.

use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// Which file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// By the session's name.
    Session(String),
    /// By the account's name, which is hashed for the file's.
    Account(String),
}

/// The state directory, locked for this process. `Clone` shares the lock.
#[derive(Clone)]
pub struct Store {}

/// What a record held.
pub enum Loaded {
    /// There is none.
    Absent,
    /// Its bytes, opened.
    Bytes(Vec<u8>),
    /// It was damaged and has been renamed to this path; the session starts without it.
    SetAside(PathBuf),
}

impl Store {
    /// Creates the directory (0700) if needed and locks it.
    pub fn open(_dir: &Path, _key: Option<&Secret>) -> Result<Self, StoreError> {
        todo!()
    }
    /// # Errors that stop the start: wrong key, newer version, I/O.
    pub fn read(&self, _record: &Record) -> Result<Loaded, StoreError> {
        todo!()
    }
    /// Puts a record aside that the caller could not make sense of.
    pub fn set_aside(&self, _record: &Record) -> Result<PathBuf, StoreError> {
        todo!()
    }
    /// Replaces the record, durably. Blocks on the disk.
    pub fn write(&self, _record: &Record, _bytes: &[u8]) -> Result<(), StoreError> {
        todo!()
    }
    pub fn remove(&self, _record: &Record) -> Result<(), StoreError> {
        todo!()
    }
    /// Names of the sessions that have a record.
    pub fn sessions(&self) -> Result<Vec<String>, StoreError> {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {}
