//! A disk in memory: what is written lies in a cache first, and only what was flushed outlives a loss of power.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::atomic_file::Stamp;
use crate::publish::SinkConfig;
use crate::secret::Secret;
use crate::session::backoff::Seed;
use crate::store::{Age, Loaded, Record, StoreError};
use crate::supervisor::disk::Disk;
use crate::time::Now;
use crate::token::Published;

/// All that the machine's disks hold, shared with whoever loads from them.
#[derive(Clone, Default)]
pub(super) struct SimulatedDisk(Rc<RefCell<Content>>);

#[derive(Default)]
struct Content {
    records: BTreeMap<String, Copies>,
    /// Token files, which lie in memory.
    files: BTreeMap<PathBuf, Arc<Published>>,
    /// Token files that somebody else has removed, and that were not written again.
    tampered: BTreeSet<PathBuf>,
    /// Digests of what was written last, or is being written: beside the token files.
    latest: BTreeMap<String, Vec<Bytes>>,
}

type Bytes = Rc<Vec<u8>>;

/// A record as the system shows it, and as it would be after a loss of power.
#[derive(Clone, Default)]
struct Copies {
    cached: Option<Bytes>,
    flushed: Option<Bytes>,
}

/// What a load sees of the machine.
pub(super) struct Reader {
    pub(super) disk: SimulatedDisk,
    pub(super) now: Now,
    pub(super) boot_id: String,
    pub(super) seed: RefCell<Seed>,
}

impl SimulatedDisk {
    /// A write is about to begin.
    pub(super) fn begin(&self, record: &Record, bytes: &[u8]) {
        if let Record::Session(name) = record {
            let mut content = self.0.borrow_mut();
            let known = content.latest.entry(name.clone()).or_default();
            let before = known.pop();
            *known = before
                .into_iter()
                .chain([Rc::new(bytes.to_vec())])
                .collect();
        }
    }

    /// The new copy has taken the place of the old one, for all that look.
    pub(super) fn replace(&self, record: &Record, bytes: &[u8]) {
        let mut content = self.0.borrow_mut();
        content.records.entry(key(record)).or_default().cached = Some(Rc::new(bytes.to_vec()));
    }

    /// It outlives a loss of power.
    pub(super) fn flush(&self, record: &Record) {
        let mut content = self.0.borrow_mut();
        let copies = content.records.entry(key(record)).or_default();
        copies.flushed = copies.cached.clone();
    }

    /// The write is over, with success or without.
    pub(super) fn end(&self, record: &Record, bytes: &[u8]) {
        if let Record::Session(name) = record {
            let mut content = self.0.borrow_mut();
            content
                .latest
                .insert(name.clone(), vec![Rc::new(bytes.to_vec())]);
        }
    }

    /// The power is gone: what was not flushed, and what lay in memory, is lost.
    pub(super) fn lose_power(&self) {
        let mut content = self.0.borrow_mut();
        content.files.clear();
        content.latest.clear();
        for copies in content.records.values_mut() {
            copies.cached = copies.flushed.clone();
        }
    }

    pub(super) fn publish(&self, path: PathBuf, published: Arc<Published>) {
        let mut content = self.0.borrow_mut();
        content.tampered.remove(&path);
        content.files.insert(path, published);
    }

    /// Somebody else removes a token file.
    pub(super) fn tamper(&self, path: &Path) {
        let mut content = self.0.borrow_mut();
        content.files.remove(path);
        content.tampered.insert(path.to_owned());
    }

    pub(super) fn was_tampered(&self, path: &Path) -> bool {
        self.0.borrow().tampered.contains(path)
    }

    pub(super) fn withdraw(&self, path: &Path) {
        self.0.borrow_mut().files.remove(path);
    }

    pub(super) fn published(&self, path: &Path) -> Option<Arc<Published>> {
        self.0.borrow().files.get(path).cloned()
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0.borrow().files.keys().cloned().collect()
    }

    /// Whether the record is there, and would be after a loss of power.
    pub(super) fn keeps(&self, record: &Record) -> bool {
        let content = self.0.borrow();
        let copies = content.records.get(&key(record));
        copies.is_some_and(|copies| copies.cached.is_some() && copies.cached == copies.flushed)
    }

    /// What a record holds for all that look.
    pub(super) fn bytes(&self, record: &Record) -> Option<Vec<u8>> {
        let content = self.0.borrow();
        let bytes = content.records.get(&key(record))?.cached.as_ref()?;
        Some(bytes.to_vec())
    }

    /// The sessions of which there is a record.
    pub(super) fn sessions(&self) -> Vec<String> {
        let content = self.0.borrow();
        let names = content.records.iter().filter_map(|(key, copies)| {
            copies.cached.as_ref()?;
            key.strip_prefix("session/").map(str::to_owned)
        });
        names.collect()
    }

    pub(super) fn has(&self, record: &Record) -> bool {
        let content = self.0.borrow();
        let copies = content.records.get(&key(record));
        copies.is_some_and(|copies| copies.cached.is_some())
    }

    pub(super) fn forget(&self, record: &Record) {
        let mut content = self.0.borrow_mut();
        content.records.remove(&key(record));
        if let Record::Session(name) = record {
            content.latest.remove(name);
        }
    }

    fn age(&self, record: &Record, bytes: &Bytes) -> Age {
        let content = self.0.borrow();
        let Record::Session(name) = record else {
            return Age::Unknown;
        };
        match content.latest.get(name) {
            None => Age::Unknown,
            Some(known) if known.contains(bytes) => Age::Latest,
            Some(_) => Age::Superseded,
        }
    }
}

impl Disk for Reader {
    fn now(&self) -> Now {
        self.now
    }

    fn boot_id(&self) -> String {
        self.boot_id.clone()
    }

    fn random(&self) -> u64 {
        self.seed.borrow_mut().draw()
    }

    fn read(&self, record: &Record) -> Result<Loaded, StoreError> {
        let copies = self.disk.0.borrow().records.get(&key(record)).cloned();
        Ok(match copies.and_then(|copies| copies.cached) {
            None => Loaded::Absent,
            Some(bytes) => Loaded::Bytes(bytes.to_vec(), self.disk.age(record, &bytes)),
        })
    }

    fn set_aside(&self, record: &Record) -> Result<PathBuf, StoreError> {
        panic!("a damaged record: {record:?}");
    }

    fn stamp(&self, _: &Record) -> Option<Stamp> {
        None
    }

    fn sessions(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.disk.sessions())
    }

    fn remove(&self, record: &Record) -> Result<(), StoreError> {
        self.disk.forget(record);
        Ok(())
    }

    fn is_overtaken(&self, shown: &Published, files: &[SinkConfig]) -> bool {
        files.iter().any(|sink| {
            let held = self.disk.published(&sink.path);
            held.is_some_and(|held| held.token.access_token != shown.token.access_token)
        })
    }

    fn is_shown(&self, shown: &Published, files: &[SinkConfig]) -> bool {
        let mut files = files.iter().filter(|sink| !sink.keep_on_loss);
        files.any(|sink| {
            let held = self.disk.published(&sink.path);
            held.is_some_and(|held| held.token.access_token == shown.token.access_token)
        })
    }

    fn remove_recorded(&self, path: &Path, _: Option<&Secret>) {
        self.disk.withdraw(path);
    }

    fn remove_stale(&self, path: &Path) {
        self.disk.withdraw(path);
    }
}

fn key(record: &Record) -> String {
    match record {
        Record::Session(name) => format!("session/{name}"),
        Record::Account(key) => format!("account/{key}"),
    }
}
