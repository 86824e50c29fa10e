//! Durable state: one file per session, one per account, each replaced atomically, sealed when a key is given.
//!
//! A file is one JSON document: `{"version":1,"record":"session/crm","data":{…}}`, or with `"sealed"` in the place of
//! `"data"`. What is damaged is put aside, never deleted; what may be whole but cannot be read here is not touched.

mod error;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod keys;
mod latest;
mod lock;
pub mod record;
mod reseal;
mod seal;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest;
use rustix::fs::OFlags;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::atomic_file::{self, Attributes, Stamp, StatCache, Step};
use crate::secret::{Secret, hex};
pub use error::StoreError;
#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;
use keys::{Keys, Opened, bound_to};
pub use keys::{opens, usable_key};
pub use latest::Age;
use latest::Latest;
pub use reseal::Resealed;
use seal::{Seal, Sealed};

/// The version of the envelope and of what is in it.
const VERSION: u64 = 1;
const SESSIONS: &str = "sessions";
const ACCOUNTS: &str = "accounts";
/// No record is larger; what is, somebody else has put there.
const LARGEST_RECORD: u64 = 16 << 20;
const PRIVATE_DIRECTORY: u32 = 0o700;
const PRIVATE_FILE: Attributes = Attributes {
    mode: 0o600,
    owner: None,
    group: None,
};

/// Which file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// By the session's name.
    Session(String),
    /// By the account's name, which is hashed for the file's.
    Account(String),
}

/// The state directory, locked for this process. `Clone` shares the lock, which goes with the last of them.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    dir: PathBuf,
    keys: Keys,
    /// None in tests of the rest.
    latest: Option<Latest>,
    /// Which records may be plain beside a key; without it, all.
    plain: OnceLock<BTreeSet<PathBuf>>,
    /// Held, not read: the lock goes when it is closed.
    lock: Mutex<File>,
}

/// What a record held.
pub enum Loaded {
    /// There is none.
    Absent,
    /// Its bytes, opened: its writer had the key, where there is one.
    Bytes(Vec<u8>, Age),
    /// Its bytes, found plain when there was a key already: its writer need not have had the key.
    Unproven(Vec<u8>),
    /// It was damaged and has been renamed to this path; the session starts without it.
    SetAside(PathBuf),
    /// It was renamed to this path, since it is plain among sealed ones.
    Unsealed(PathBuf),
}

#[derive(Serialize)]
struct SealedEnvelope<'a> {
    version: u64,
    record: &'a str,
    sealed: Sealed,
}

impl Store {
    /// As [`Store::open_with_earlier`], without an earlier key and without what tells the latest copy of a record.
    #[cfg(test)]
    pub(crate) fn open(dir: &Path, key: Option<&Secret>) -> Result<Self, StoreError> {
        Self::open_with_earlier(dir, key, None, None)
    }

    /// Creates the directory (0700) if needed, locks it and clears it of what a killed process left half-written. Records may
    /// still be sealed with an `earlier` key; [`Store::reseal`] ends that. Below `latest`, which is made when it is needed,
    /// lies what tells the latest copy of a record from an older one.
    ///
    /// # Errors
    /// When another daemon holds it (with its process id), anybody may write there, or the key is too short.
    pub fn open_with_earlier(
        dir: &Path,
        key: Option<&Secret>,
        earlier: Option<&Secret>,
        latest: Option<&Path>,
    ) -> Result<Self, StoreError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| StoreError::Directory { path, error }
        };
        let keys = Keys::new(dir, key, earlier)?;
        atomic_file::create_directory(dir, PRIVATE_DIRECTORY).map_err(failed(dir))?;
        if std::fs::metadata(dir).map_err(failed(dir))?.mode() & 0o002 != 0 {
            return Err(StoreError::Open {
                path: dir.to_owned(),
            });
        }
        let lock = lock::take(dir)?;
        for path in [dir.join(SESSIONS), dir.join(ACCOUNTS)] {
            atomic_file::create_directory(&path, PRIVATE_DIRECTORY).map_err(failed(&path))?;
            atomic_file::sweep(&path).map_err(failed(&path))?;
        }
        Ok(Self {
            shared: Arc::new(Shared {
                dir: dir.to_owned(),
                keys,
                latest: latest.map(Latest::in_directory),
                plain: OnceLock::new(),
                lock: Mutex::new(lock),
            }),
        })
    }

    /// Reads a record; a damaged one is put aside.
    ///
    /// # Errors
    /// Those that stop the start: wrong key, newer version, I/O.
    pub fn read(&self, record: &Record) -> Result<Loaded, StoreError> {
        let path = self.path(record)?;
        let bytes = match read_plain(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Loaded::Absent),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return self.set_aside(record).map(Loaded::SetAside);
            }
            read => read.map_err(|error| StoreError::Read {
                path: path.clone(),
                error,
            })?,
        };
        match self.shared.keys.unwrap(record, &path, &bytes)? {
            Opened::Bytes(opened) => Ok(Loaded::Bytes(opened, self.age(record, &bytes))),
            Opened::Unproven(bytes) => Ok(Loaded::Unproven(bytes)),
            Opened::Plain(bytes)
                if self
                    .shared
                    .plain
                    .get()
                    .is_none_or(|plain| plain.contains(&path)) =>
            {
                Ok(Loaded::Unproven(bytes))
            }
            Opened::Plain(_) => self.set_aside(record).map(Loaded::Unsealed),
            Opened::Damaged => self.set_aside(record).map(Loaded::SetAside),
        }
    }

    /// Puts a record aside that the caller could not make sense of; says where it is now.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn set_aside(&self, record: &Record) -> Result<PathBuf, StoreError> {
        let path = self.path(record)?;
        let failed = |error| StoreError::SetAside {
            path: path.clone(),
            error,
        };
        // Nobody else renames anything here: the directory is locked.
        for number in 1_u32.. {
            let mut aside = path.clone().into_os_string();
            aside.push(format!(".damaged-{number}"));
            let aside = PathBuf::from(aside);
            if aside.symlink_metadata().is_err() {
                std::fs::rename(&path, &aside).map_err(failed)?;
                return Ok(aside);
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }

    /// Replaces the record by `bytes`, one JSON document, durably. Blocks on the disk. Directories that somebody removed
    /// meanwhile, or that another disk mounted there lacks, are made anew.
    ///
    /// # Errors
    /// When it is not on the disk now; the record before it may still be.
    pub fn write(&self, record: &Record, bytes: &[u8]) -> Result<Stamp, StoreError> {
        self.write_as(record, bytes, true)
    }

    fn write_as(&self, record: &Record, bytes: &[u8], proven: bool) -> Result<Stamp, StoreError> {
        let path = self.path(record)?;
        let document = match &self.shared.keys.today {
            Some(seal) => sealed(
                seal,
                &record.name(),
                &bound_to(record, proven),
                &path,
                bytes,
            )?,
            None => plain(record, &path, bytes)?,
        };
        let Some(latest) = &self.shared.latest else {
            return self.replace(&path, &document);
        };
        latest.begin(record, &document);
        let replaced = self.replace(&path, &document);
        latest.end(record, &document);
        replaced
    }

    fn replace(&self, path: &Path, document: &[u8]) -> Result<Stamp, StoreError> {
        match atomic_file::replace(path, document, PRIVATE_FILE) {
            Err(error)
                if error.step == Step::OpenDirectory
                    && error.error.kind() == io::ErrorKind::NotFound =>
            {
                self.make_directories()?;
                Ok(atomic_file::replace(path, document, PRIVATE_FILE)?)
            }
            replaced => Ok(replaced?),
        }
    }

    fn age(&self, record: &Record, document: &[u8]) -> Age {
        self.shared
            .latest
            .as_ref()
            .map_or(Age::Unknown, |latest| latest.age(record, document))
    }

    /// The record's file as it is, to see later whether it is still the same; none when there is none.
    pub fn stamp(&self, record: &Record) -> Option<Stamp> {
        atomic_file::stamp(&self.path(record).ok()?)
    }

    /// As [`Self::stamp`], for many records.
    pub fn stamp_by(&self, record: &Record, cache: &mut StatCache) -> Option<Stamp> {
        cache.stamp(&self.path(record).ok()?)
    }

    /// Where the records of sessions lie.
    pub fn sessions_directory(&self) -> PathBuf {
        self.shared.dir.join(SESSIONS)
    }

    /// The lock went with the directory: it is taken again, or another daemon would take it.
    fn make_directories(&self) -> Result<(), StoreError> {
        let dir = &self.shared.dir;
        let mut lock = self
            .shared
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        make_private(dir)?;
        if !lock::is_held(&lock, dir) {
            *lock = lock::take(dir)?;
        }
        drop(lock);
        make_private(&dir.join(SESSIONS))?;
        make_private(&dir.join(ACCOUNTS))
    }

    /// Removes the record, durably; that there is none is no error.
    ///
    /// # Errors
    /// When it is still there.
    pub fn remove(&self, record: &Record) -> Result<(), StoreError> {
        atomic_file::remove(&self.path(record)?)?;
        if let Some(latest) = &self.shared.latest {
            latest.forget(record);
        }
        Ok(())
    }

    /// Names of the sessions that have a record, sorted.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn sessions(&self) -> Result<Vec<String>, StoreError> {
        let path = self.shared.dir.join(SESSIONS);
        let entries = std::fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| StoreError::Directory { path, error })?;
        let names = entries.into_iter().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json")
                .filter(|name| is_file_name(name))
                .map(str::to_owned)
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    fn path(&self, record: &Record) -> Result<PathBuf, StoreError> {
        match record {
            Record::Session(name) if is_file_name(name) => {
                Ok(self.shared.dir.join(SESSIONS).join(format!("{name}.json")))
            }
            Record::Session(name) => Err(StoreError::Name { name: name.clone() }),
            Record::Account(name) => {
                let digest = digest::digest(&digest::SHA256, name.as_bytes());
                let prefix: String = hex(digest.as_ref()).chars().take(32).collect();
                Ok(self
                    .shared
                    .dir
                    .join(ACCOUNTS)
                    .join(format!("{prefix}.json")))
            }
        }
    }
}

impl Record {
    /// As the envelope says it.
    fn name(&self) -> String {
        match self {
            Self::Session(name) => format!("session/{name}"),
            Self::Account(name) => format!("account/{name}"),
        }
    }

    /// The record that the envelope calls so; none where this daemon would give it no file.
    fn named(name: &str) -> Option<Self> {
        match name.split_once('/')? {
            ("session", name) => is_file_name(name).then(|| Self::Session(name.to_owned())),
            ("account", name) => Some(Self::Account(name.to_owned())),
            (_, _) => None,
        }
    }
}

fn make_private(path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::Directory {
        path: path.to_owned(),
        error,
    };
    atomic_file::create_directory(path, PRIVATE_DIRECTORY).map_err(failed)
}

/// Never waits for a pipe that is in a record's place.
fn read_plain(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this is not a plain file",
        ));
    }
    if found.len() > LARGEST_RECORD {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(found.len()).unwrap_or_default() + 1,
    ));
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn plain(record: &Record, path: &Path, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let not_json = |error: serde_json::Error| StoreError::NotJson {
        path: path.to_owned(),
        error: error.to_string(),
    };
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(not_json)?;
    let name = serde_json::to_string(&record.name()).map_err(not_json)?;
    let head = format!(r#"{{"version":{VERSION},"record":{name},"data":"#);
    let mut document = Zeroizing::new(Vec::with_capacity(head.len() + bytes.len() + 2));
    for part in [head.as_bytes(), bytes, b"}\n"] {
        document.extend_from_slice(part);
    }
    Ok(document)
}

fn sealed(
    seal: &Seal,
    name: &str,
    bound_to: &str,
    path: &Path,
    bytes: &[u8],
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let failed = |error: String| StoreError::Seal {
        path: path.to_owned(),
        error,
    };
    let sealed = seal
        .seal(bound_to, bytes)
        .map_err(|error| failed(error.to_string()))?;
    let envelope = SealedEnvelope {
        version: VERSION,
        record: name,
        sealed,
    };
    let mut document =
        Zeroizing::new(serde_json::to_vec(&envelope).map_err(|error| failed(error.to_string()))?);
    document.push(b'\n');
    Ok(document)
}

/// No more than the config allows as a session's name: nothing that leaves the directory.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const DATA: &[u8] = br#"{"generation":7,"refresh_token":"5Aep-secret"}"#;

    #[test]
    fn what_is_written_is_read_back_with_a_key_and_without() {
        for key in [None, Some(key("0123456789abcdef"))] {
            let dir = TempDir::new().unwrap();
            for record in [
                session("crm"),
                Record::Account("https://login.example|alice".into()),
            ] {
                let store = Store::open(dir.path(), key.as_ref()).unwrap();
                assert!(matches!(store.read(&record).unwrap(), Loaded::Absent));
                store.write(&record, b"{}").unwrap();
                store.write(&record, DATA).unwrap();
                drop(store);
                let store = Store::open(dir.path(), key.as_ref()).unwrap();
                assert_eq!(bytes(&store, &record), DATA);
                let path = store.path(&record).unwrap();
                assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
                assert_eq!(contains(&path, "5Aep-secret"), key.is_none());
                store.remove(&record).unwrap();
                store.remove(&record).unwrap();
                assert!(matches!(store.read(&record).unwrap(), Loaded::Absent));
            }
        }
    }

    #[test]
    fn directories_that_were_removed_are_made_anew_and_locked_again() {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("state");
        let store = Store::open(&dir, None).unwrap();
        store.write(&session("crm"), DATA).unwrap();
        for removed in ["sessions", "accounts", ""] {
            fs::remove_dir_all(dir.join(removed)).unwrap();
            for record in [session("crm"), Record::Account("a".into())] {
                let stamp = store.write(&record, DATA).unwrap();
                assert_eq!(store.stamp(&record), Some(stamp), "{removed}");
                assert_eq!(bytes(&store, &record), DATA, "{removed}");
            }
            assert_eq!(
                fs::metadata(dir.join("sessions")).unwrap().mode() & 0o7777,
                0o700,
                "{removed}"
            );
            assert!(
                matches!(Store::open(&dir, None), Err(StoreError::Locked { .. })),
                "{removed}"
            );
        }
    }

    #[test]
    fn a_pipe_or_a_device_in_the_place_of_a_record_stops_the_start_and_what_is_huge_is_put_aside() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        let path = dir.path().join("sessions/crm.json");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        assert!(matches!(
            store.read(&session("crm")),
            Err(StoreError::Read { .. })
        ));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(matches!(
            store.read(&session("crm")),
            Err(StoreError::Read { .. })
        ));
        fs::remove_file(&path).unwrap();
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(matches!(
            store.read(&session("crm")).unwrap(),
            Loaded::SetAside(_)
        ));
        assert!(matches!(
            store.read(&session("crm")).unwrap(),
            Loaded::Absent
        ));
    }

    #[test]
    fn the_directories_are_private_and_listed_by_session() {
        let root = TempDir::new().unwrap();
        let dir = root.path().join("var/lib/keepfresh");
        let store = Store::open(&dir, None).unwrap();
        for path in [
            "var",
            "var/lib/keepfresh",
            "var/lib/keepfresh/sessions",
            "var/lib/keepfresh/accounts",
        ] {
            assert_eq!(
                fs::metadata(root.path().join(path)).unwrap().mode() & 0o7777,
                0o700,
                "{path}"
            );
        }
        for name in ["crm", "a-b_2"] {
            store.write(&session(name), b"{}").unwrap();
        }
        put(&dir.join("sessions/crm.json.damaged-1"), b"");
        put(&dir.join("sessions/notes.txt"), b"");
        assert_eq!(store.sessions().unwrap(), ["a-b_2", "crm"]);
    }

    #[test]
    fn a_second_daemon_is_told_who_holds_the_directory() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        let shared = store.clone();
        drop(store);
        let Err(error) = Store::open(dir.path(), None) else {
            panic!("two daemons own the same state")
        };
        assert!(
            error
                .to_string()
                .contains(&format!("(process {})", std::process::id())),
            "{error}"
        );
        drop(shared);
        Store::open(dir.path(), None).unwrap();
    }

    #[test]
    fn a_directory_where_everybody_may_write_is_refused() {
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        assert!(matches!(
            Store::open(dir.path(), None),
            Err(StoreError::Open { .. })
        ));
    }

    #[test]
    fn a_key_that_could_be_guessed_is_refused() {
        let dir = TempDir::new().unwrap();
        assert!(matches!(
            Store::open(dir.path(), Some(&key("fifteen letters"))),
            Err(StoreError::ShortKey(_))
        ));
    }

    #[test]
    fn every_torn_prefix_is_put_aside_and_kept() {
        for key in [None, Some(key("0123456789abcdef"))] {
            let dir = TempDir::new().unwrap();
            let store = Store::open(dir.path(), key.as_ref()).unwrap();
            store.write(&session("crm"), DATA).unwrap();
            let path = dir.path().join("sessions/crm.json");
            let whole = fs::read(&path).unwrap();
            for length in 0..whole.len() - 1 {
                put(&path, &whole[..length]);
                let Loaded::SetAside(aside) = store.read(&session("crm")).unwrap() else {
                    panic!("{length} passed")
                };
                assert_eq!(
                    aside,
                    dir.path()
                        .join(format!("sessions/crm.json.damaged-{}", length + 1))
                );
                assert_eq!(fs::read(aside).unwrap(), whole[..length]);
                assert!(matches!(
                    store.read(&session("crm")).unwrap(),
                    Loaded::Absent
                ));
            }
        }
    }

    #[test]
    fn what_is_not_a_record_of_this_name_is_put_aside() {
        for hostile in [
            r#"{"version":1,"record":"session/erp","data":{}}"#,
            r#"{"version":1,"record":"account/crm","data":{}}"#,
            r#"{"version":1,"record":"session/crm"}"#,
            r#"{"version":1,"record":"session/crm","data":{},"sealed":{"key_id":"","nonce":"","ciphertext":""}}"#,
            r#"{"version":0,"record":"session/crm","data":{}}"#,
            r#"{"version":"1","record":"session/crm","data":{}}"#,
            r#"{"record":"session/crm","data":{}}"#,
            r#"{"version":1,"record":"session/crm","data":{}} trailing"#,
            "[]",
            "\u{0}",
        ] {
            let dir = TempDir::new().unwrap();
            let store = Store::open(dir.path(), None).unwrap();
            put(&dir.path().join("sessions/crm.json"), hostile.as_bytes());
            assert!(
                matches!(store.read(&session("crm")).unwrap(), Loaded::SetAside(_)),
                "{hostile}"
            );
        }
    }

    #[test]
    fn what_may_be_whole_but_cannot_be_read_here_stops_the_start_untouched() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("sessions/crm.json");
        Store::open(dir.path(), Some(&key("the first key of it")))
            .unwrap()
            .write(&session("crm"), DATA)
            .unwrap();
        let before = fs::read(&path).unwrap();
        let error = refused(dir.path(), Some(&key("another, wrong key")));
        assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
        let error = refused(dir.path(), None);
        assert!(matches!(error, StoreError::Sealed { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
        put(&path, br#"{"version":2,"new":"things"}"#);
        let error = refused(dir.path(), None);
        assert!(
            matches!(error, StoreError::Newer { version: 2, .. }),
            "{error}"
        );
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = refused(dir.path(), None);
        assert!(matches!(error, StoreError::Read { .. }), "{error}");
        assert!(path.is_dir());
    }

    #[test]
    fn a_sealed_record_is_bound_to_its_name() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), Some(&key("0123456789abcdef"))).unwrap();
        store.write(&session("crm"), DATA).unwrap();
        let forged = fs::read_to_string(dir.path().join("sessions/crm.json"))
            .unwrap()
            .replace("/crm", "/erp");
        put(&dir.path().join("sessions/erp.json"), forged.as_bytes());
        assert!(matches!(
            store.read(&session("erp")).unwrap(),
            Loaded::SetAside(_)
        ));
        assert_eq!(bytes(&store, &session("crm")), DATA);
    }

    #[test]
    fn a_plain_record_is_sealed_at_its_next_write_once_there_is_a_key() {
        let dir = TempDir::new().unwrap();
        Store::open(dir.path(), None)
            .unwrap()
            .write(&session("crm"), DATA)
            .unwrap();
        let store = Store::open(dir.path(), Some(&key("0123456789abcdef"))).unwrap();
        assert_eq!(bytes(&store, &session("crm")), DATA);
        store.write(&session("crm"), DATA).unwrap();
        assert!(!contains(
            &dir.path().join("sessions/crm.json"),
            "5Aep-secret"
        ));
        assert_eq!(bytes(&store, &session("crm")), DATA);
    }

    #[test]
    fn the_same_record_never_looks_the_same_twice_when_sealed() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), Some(&key("0123456789abcdef"))).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..20 {
            store.write(&session("crm"), DATA).unwrap();
            assert!(seen.insert(fs::read(dir.path().join("sessions/crm.json")).unwrap()));
        }
    }

    #[test]
    fn names_that_leave_the_directory_and_data_that_is_not_json_are_refused() {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path(), None).unwrap();
        for name in ["", "..", "../crm", "a/b", "a.b", "a\0"] {
            assert!(
                matches!(
                    store.write(&session(name), b"{}"),
                    Err(StoreError::Name { .. })
                ),
                "{name:?}"
            );
        }
        for data in [&b""[..], b"{", b"{} {}", b"\"a"] {
            assert!(matches!(
                store.write(&session("crm"), data),
                Err(StoreError::NotJson { .. })
            ));
        }
        assert!(store.sessions().unwrap().is_empty());
    }

    #[test]
    fn opening_sweeps_what_a_killed_process_left_half_written() {
        let dir = TempDir::new().unwrap();
        drop(Store::open(dir.path(), None).unwrap());
        let leftover = dir.path().join("sessions/.keepfresh-0123456789abcdef");
        put(&leftover, b"half");
        Store::open(dir.path(), None).unwrap();
        assert!(!leftover.exists());
    }

    proptest! {
        #[test]
        fn any_bytes_in_the_place_of_a_record_are_kept_and_felled_nothing(content: Vec<u8>, seal: bool) {
            let dir = TempDir::new().unwrap();
            let key = key("0123456789abcdef");
            let store = Store::open(dir.path(), seal.then_some(&key)).unwrap();
            put(&dir.path().join("sessions/crm.json"), &content);
            let Loaded::SetAside(aside) = store.read(&session("crm")).unwrap() else { panic!("passed") };
            prop_assert_eq!(fs::read(aside).unwrap(), content);
        }

        #[test]
        fn one_changed_byte_of_a_sealed_record_never_yields_other_data(place: prop::sample::Index, byte: u8) {
            let dir = TempDir::new().unwrap();
            let store = Store::open(dir.path(), Some(&key("0123456789abcdef"))).unwrap();
            store.write(&session("crm"), DATA).unwrap();
            let path = dir.path().join("sessions/crm.json");
            let mut content = fs::read(&path).unwrap();
            *place.get_mut(&mut content) = byte;
            put(&path, &content);
            if let Ok(Loaded::Bytes(bytes, _)) = store.read(&session("crm")) {
                prop_assert_eq!(bytes, DATA);
            }
        }
    }

    fn refused(dir: &Path, key: Option<&Secret>) -> StoreError {
        match Store::open(dir, key).unwrap().read(&session("crm")) {
            Err(error) => error,
            Ok(_) => panic!("read what it must not"),
        }
    }

    fn session(name: &str) -> Record {
        Record::Session(name.into())
    }

    fn key(text: &str) -> Secret {
        Secret::new(text)
    }

    fn bytes(store: &Store, record: &Record) -> Vec<u8> {
        match store.read(record).unwrap() {
            Loaded::Bytes(bytes, _) | Loaded::Unproven(bytes) => bytes,
            Loaded::Absent => panic!("absent"),
            Loaded::SetAside(path) | Loaded::Unsealed(path) => {
                panic!("put aside to {}", path.display())
            }
        }
    }

    fn put(path: &Path, content: &[u8]) {
        File::create(path).unwrap().write_all(content).unwrap();
    }

    fn contains(path: &Path, text: &str) -> bool {
        String::from_utf8_lossy(&fs::read(path).unwrap()).contains(text)
    }
}
