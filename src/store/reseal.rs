//! Brings every record under the key of today: a new key, the first one, or none any more.

use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keys::{Envelope, Opened};
use super::{ACCOUNTS, Record, SESSIONS, Store, StoreError, read_plain};

/// What [`Store::reseal`] did.
#[derive(Debug, Default)]
pub struct Resealed {
    /// Records that were written anew.
    pub written: usize,
    /// What could not be written; such a record stays as it was, and opens with the key that it has.
    pub failed: Vec<StoreError>,
}

/// A record that another key, or none, sealed.
struct Stale {
    record: Record,
    bytes: Zeroizing<Vec<u8>>,
}

impl Store {
    /// Seals all records with the key of today, or opens them for good where there is none.
    ///
    /// All are read before the first is written: one that opens with neither key leaves the directory as it was. What is
    /// damaged is left to whoever reads it. Blocks on the disk.
    ///
    /// # Errors
    /// When a record cannot be read or opened.
    pub fn reseal(&self) -> Result<Resealed, StoreError> {
        let mut stale = Vec::new();
        if self.shared.keys.today.is_some() || self.shared.keys.earlier.is_some() {
            for path in files(&self.shared.dir)? {
                stale.extend(self.stale(&path)?);
            }
        }
        let mut resealed = Resealed::default();
        for Stale { record, bytes } in stale {
            match self.write(&record, &bytes) {
                Ok(_) => resealed.written += 1,
                Err(error) => resealed.failed.push(error),
            }
        }
        Ok(resealed)
    }

    /// The record in `path`, if the key of today did not seal it.
    fn stale(&self, path: &Path) -> Result<Option<Stale>, StoreError> {
        let failed = |error| StoreError::Read { path: path.to_owned(), error };
        let bytes = match read_plain(path) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(None),
            read => read.map_err(failed)?,
        };
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&bytes) else { return Ok(None) };
        let Some(record) = Record::named(&envelope.record) else { return Ok(None) };
        let fresh = match (&envelope.sealed, &self.shared.keys.today) {
            (Some(sealed), Some(seal)) => seal.made(sealed),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if fresh || self.path(&record)? != path {
            return Ok(None);
        }
        match self.shared.keys.unwrap(&record, path, &bytes)? {
            Opened::Bytes(bytes) => Ok(Some(Stale { record, bytes: Zeroizing::new(bytes) })),
            Opened::Damaged => Ok(None),
        }
    }
}

/// The files that may be records, not those put aside.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for directory in [SESSIONS, ACCOUNTS] {
        let path = dir.join(directory);
        let failed = |error| StoreError::Directory { path: path.clone(), error };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            files.push(entry.map_err(failed)?.path());
        }
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::secret::Secret;
    use crate::store::Loaded;

    const DATA: &[u8] = br#"{"refresh_token":"5Aep-secret"}"#;

    #[test]
    fn every_record_comes_under_the_key_of_today_whatever_it_was_under() {
        let keys = [None, Some("the first key of it"), Some("the second key, newer")];
        for earlier in keys {
            for today in keys {
                let dir = TempDir::new().unwrap();
                for record in records() {
                    open(&dir, earlier, None).write(&record, DATA).unwrap();
                }
                let written = open(&dir, today, earlier).reseal().unwrap().written;
                assert_eq!(written, if today == earlier { 0 } else { 2 }, "{earlier:?} {today:?}");
                let store = open(&dir, today, None);
                for record in records() {
                    assert!(matches!(store.read(&record).unwrap(), Loaded::Bytes(bytes) if bytes == DATA));
                    let text = fs::read_to_string(store.path(&record).unwrap()).unwrap();
                    assert_eq!(text.contains("5Aep-secret"), today.is_none(), "{earlier:?} {today:?}");
                }
            }
        }
    }

    #[test]
    fn one_record_that_opens_with_neither_key_leaves_all_as_they_were() {
        let dir = TempDir::new().unwrap();
        let [session, account] = records();
        open(&dir, Some("the first key of it"), None).write(&session, DATA).unwrap();
        open(&dir, Some("a key that was lost"), None).write(&account, DATA).unwrap();
        let before = content(&dir);
        let error = open(&dir, Some("the second key, newer"), Some("the first key of it")).reseal().unwrap_err();
        assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
        assert_eq!(content(&dir), before);
    }

    #[test]
    fn what_is_no_record_is_left_to_whoever_reads_it() {
        let dir = TempDir::new().unwrap();
        let store = open(&dir, Some("the first key of it"), None);
        for (name, text) in [
            ("torn.json", r#"{"version":1,"record":"session/torn","#),
            ("other.json", r#"{"version":1,"record":"session/crm","data":{}}"#),
            ("odd.json", r#"{"version":1,"record":"session/../odd","data":{}}"#),
            ("kind.json", r#"{"version":1,"record":"thing/kind","data":{}}"#),
            ("old.json.damaged-1", r#"{"version":1,"record":"session/old","data":{}}"#),
        ] {
            fs::File::create(dir.path().join("sessions").join(name))
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                .unwrap();
        }
        let before = content(&dir);
        assert_eq!(store.reseal().unwrap().written, 0);
        assert_eq!(content(&dir), before);
    }

    fn records() -> [Record; 2] {
        [Record::Session("crm".into()), Record::Account("https://login.example|alice".into())]
    }

    fn open(dir: &TempDir, key: Option<&str>, earlier: Option<&str>) -> Store {
        let secret = |text: &str| Secret::new(text);
        Store::open_with_earlier(dir.path(), key.map(secret).as_ref(), earlier.map(secret).as_ref()).unwrap()
    }

    fn content(dir: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for part in [SESSIONS, ACCOUNTS] {
            let entries = fs::read_dir(dir.path().join(part)).unwrap();
            found
                .extend(entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())));
        }
        found.sort();
        found
    }
}
