//! Brings every record under the key of today: a new key, the first one, or none any more.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::keys::{Envelope, Opened};
use super::{ACCOUNTS, PRIVATE_FILE, Record, SESSIONS, Store, StoreError, read_plain, sealed};
use crate::atomic_file;

/// Sealed itself, and there only while records go from plain to sealed or back: whatever ends a start in between, the
/// next one knows that plain records may lie beside sealed ones.
pub(super) const CROSSING: &str = "sealing.json";

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
    path: PathBuf,
    bytes: Zeroizing<Vec<u8>>,
    was_sealed: bool,
    proven: bool,
}

/// What lies in a record's place.
enum Found {
    /// Nothing to do here.
    Other,
    /// Sealed by the key of today.
    Sealed,
    Stale(Stale),
}

impl Store {
    /// Seals all records with the key of today, or opens them for good where there is none.
    ///
    /// Plain records are sealed as unproven, and only while none is sealed, or where an earlier start was ended in between;
    /// else [`Store::read`] puts them aside.
    ///
    /// All are read before the first is written: one that opens with neither key leaves the directory as it was. What is
    /// damaged is left to whoever reads it. Blocks on the disk.
    ///
    /// # Errors
    /// When a record cannot be read or opened.
    pub fn reseal(&self) -> Result<Resealed, StoreError> {
        let keys = &self.shared.keys;
        let mut resealed = Resealed::default();
        if keys.today.is_none() && keys.earlier.is_none() {
            return Ok(resealed);
        }
        let mut stale = Vec::new();
        let mut some_are_sealed = false;
        for path in files(&self.shared.dir)? {
            match self.look(&path)? {
                Found::Other => {}
                Found::Sealed => some_are_sealed = true,
                Found::Stale(found) => {
                    some_are_sealed |= found.was_sealed;
                    stale.push(found);
                }
            }
        }
        if some_are_sealed && !keys.are_changing(&self.shared.dir) {
            stale.retain(|found| found.was_sealed);
        }
        let crosses = stale
            .iter()
            .any(|found| found.was_sealed != keys.today.is_some());
        let mut plain: BTreeSet<_> = stale
            .iter()
            .filter(|found| !found.was_sealed)
            .map(|found| found.path.clone())
            .collect();
        if crosses && let Err(error) = self.begin_crossing() {
            resealed.failed.push(error);
            stale.clear();
        }
        for Stale {
            record,
            path,
            bytes,
            proven,
            ..
        } in stale
        {
            match self.write_as(&record, &bytes, proven) {
                Ok(_) => {
                    resealed.written += 1;
                    plain.remove(&path);
                }
                Err(error) => resealed.failed.push(error),
            }
        }
        if resealed.failed.is_empty() {
            resealed.failed.extend(self.end_crossing().err());
        }
        // Another call finds what this one judged.
        let _ = self.shared.plain.set(plain);
        Ok(resealed)
    }

    fn begin_crossing(&self) -> Result<(), StoreError> {
        let path = self.shared.dir.join(CROSSING);
        let keys = &self.shared.keys;
        if let Some(seal) = keys.today.as_ref().or(keys.earlier.as_ref()) {
            let document = sealed(seal, CROSSING, CROSSING, &path, b"{}")?;
            atomic_file::replace(&path, &document, PRIVATE_FILE)?;
        }
        Ok(())
    }

    /// On a disk that is read-only even the removal of nothing fails.
    fn end_crossing(&self) -> Result<(), StoreError> {
        let path = self.shared.dir.join(CROSSING);
        if path.symlink_metadata().is_ok() {
            atomic_file::remove(&path)?;
        }
        Ok(())
    }

    /// The record in `path`, if the key of today did not seal it.
    fn look(&self, path: &Path) -> Result<Found, StoreError> {
        let failed = |error| StoreError::Read {
            path: path.to_owned(),
            error,
        };
        let bytes = match read_plain(path) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Ok(Found::Other),
            read => read.map_err(failed)?,
        };
        let Ok(envelope) = serde_json::from_slice::<Envelope>(&bytes) else {
            return Ok(Found::Other);
        };
        let Some(record) = Record::named(&envelope.record) else {
            return Ok(Found::Other);
        };
        if self.path(&record)? != path {
            return Ok(Found::Other);
        }
        match (&envelope.sealed, &self.shared.keys.today) {
            (Some(sealed), Some(seal)) if seal.made(sealed) => return Ok(Found::Sealed),
            (None, None) => return Ok(Found::Other),
            (Some(_), _) | (None, Some(_)) => {}
        }
        let (bytes, was_sealed, proven) = match self.shared.keys.unwrap(&record, path, &bytes)? {
            Opened::Bytes(bytes) => (bytes, true, true),
            Opened::Unproven(bytes) => (bytes, true, false),
            Opened::Plain(bytes) => (bytes, false, false),
            Opened::Damaged => return Ok(Found::Other),
        };
        Ok(Found::Stale(Stale {
            record,
            path: path.to_owned(),
            bytes: Zeroizing::new(bytes),
            was_sealed,
            proven,
        }))
    }
}

/// The files that may be records, not those put aside.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = Vec::new();
    for directory in [SESSIONS, ACCOUNTS] {
        let path = dir.join(directory);
        let failed = |error| StoreError::Directory {
            path: path.clone(),
            error,
        };
        for entry in std::fs::read_dir(&path).map_err(failed)? {
            files.push(entry.map_err(failed)?.path());
        }
    }
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "json")
    });
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
        let keys = [
            None,
            Some("the first key of it"),
            Some("the second key, newer"),
        ];
        for earlier in keys {
            for today in keys {
                let dir = TempDir::new().unwrap();
                for record in records() {
                    open(&dir, earlier, None).write(&record, DATA).unwrap();
                }
                let written = open(&dir, today, earlier).reseal().unwrap().written;
                assert_eq!(
                    written,
                    if today == earlier { 0 } else { 2 },
                    "{earlier:?} {today:?}"
                );
                let store = open(&dir, today, None);
                for record in records() {
                    let taken = earlier.is_none() && today.is_some();
                    match store.read(&record).unwrap() {
                        Loaded::Bytes(bytes, _) => {
                            assert!(!taken && bytes == DATA, "{earlier:?} {today:?}");
                        }
                        Loaded::Unproven(bytes) => {
                            assert!(taken && bytes == DATA, "{earlier:?} {today:?}");
                        }
                        Loaded::Absent | Loaded::SetAside(_) | Loaded::Unsealed(_) => {
                            panic!("{earlier:?} {today:?}")
                        }
                    }
                    let text = fs::read_to_string(store.path(&record).unwrap()).unwrap();
                    assert_eq!(
                        text.contains("5Aep-secret"),
                        today.is_none(),
                        "{earlier:?} {today:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_record_that_opens_with_neither_key_leaves_all_as_they_were() {
        let dir = TempDir::new().unwrap();
        let [session, account] = records();
        open(&dir, Some("the first key of it"), None)
            .write(&session, DATA)
            .unwrap();
        open(&dir, Some("a key that was lost"), None)
            .write(&account, DATA)
            .unwrap();
        let before = content(&dir);
        let error = open(
            &dir,
            Some("the second key, newer"),
            Some("the first key of it"),
        )
        .reseal()
        .unwrap_err();
        assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
        assert_eq!(content(&dir), before);
    }

    #[test]
    fn a_plain_record_beside_sealed_ones_is_put_aside_and_never_sealed() {
        let dir = TempDir::new().unwrap();
        let [session, account] = records();
        open(&dir, None, None).write(&session, DATA).unwrap();
        let plain = content(&dir);
        open(&dir, Some("the first key of it"), None)
            .write(&account, DATA)
            .unwrap();
        for (today, earlier) in [
            ("the first key of it", None),
            ("the second key, newer", Some("the first key of it")),
            ("the second key, newer", None),
        ] {
            let store = open(&dir, Some(today), earlier);
            store.reseal().unwrap();
            assert!(
                matches!(store.read(&session).unwrap(), Loaded::Unsealed(_)),
                "{today}"
            );
            assert!(
                matches!(store.read(&account).unwrap(), Loaded::Bytes(bytes, _) if bytes == DATA),
                "{today}"
            );
            put(&plain[0]);
            assert!(
                matches!(store.read(&session).unwrap(), Loaded::Unsealed(_)),
                "{today}: while the daemon runs"
            );
            put(&plain[0]);
        }
    }

    #[test]
    fn a_first_sealing_that_was_ended_in_between_goes_on_and_so_does_an_unsealing() {
        for (today, earlier) in [
            (Some("the first key of it"), None),
            (None, Some("the first key of it")),
        ] {
            let dir = TempDir::new().unwrap();
            let [session, account] = records();
            open(&dir, None, None).write(&session, DATA).unwrap();
            let store = open(&dir, today, earlier);
            store.begin_crossing().unwrap();
            drop(store);
            open(&dir, Some("the first key of it"), None)
                .write(&account, DATA)
                .unwrap();
            // Back to the key, whichever way it went.
            let store = open(
                &dir,
                Some("the second key, newer"),
                Some("the first key of it"),
            );
            assert_eq!(store.reseal().unwrap().written, 2);
            assert!(
                matches!(store.read(&session).unwrap(), Loaded::Unproven(bytes) if bytes == DATA)
            );
            assert!(
                matches!(store.read(&account).unwrap(), Loaded::Bytes(bytes, _) if bytes == DATA)
            );
            assert!(!dir.path().join(CROSSING).exists());
        }
    }

    #[test]
    fn what_was_found_plain_stays_unproven_under_another_key_until_it_is_written_again() {
        let dir = TempDir::new().unwrap();
        let [session, _] = records();
        open(&dir, None, None).write(&session, DATA).unwrap();
        let mut earlier = None;
        for today in [
            "the first key of it",
            "the second key, newer",
            "the third key, newest",
        ] {
            open(&dir, Some(today), earlier).reseal().unwrap();
            let store = open(&dir, Some(today), None);
            assert!(
                matches!(store.read(&session).unwrap(), Loaded::Unproven(bytes) if bytes == DATA),
                "{today}"
            );
            earlier = Some(today);
        }
        open(&dir, earlier, None).write(&session, DATA).unwrap();
        assert!(matches!(
            open(&dir, earlier, None).read(&session).unwrap(),
            Loaded::Bytes(..)
        ));
    }

    #[test]
    fn what_is_no_record_is_left_to_whoever_reads_it() {
        let dir = TempDir::new().unwrap();
        let store = open(&dir, Some("the first key of it"), None);
        for (name, text) in [
            ("torn.json", r#"{"version":1,"record":"session/torn","#),
            (
                "other.json",
                r#"{"version":1,"record":"session/crm","data":{}}"#,
            ),
            (
                "odd.json",
                r#"{"version":1,"record":"session/../odd","data":{}}"#,
            ),
            (
                "kind.json",
                r#"{"version":1,"record":"thing/kind","data":{}}"#,
            ),
            (
                "old.json.damaged-1",
                r#"{"version":1,"record":"session/old","data":{}}"#,
            ),
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
        [
            Record::Session("crm".into()),
            Record::Account("https://login.example|alice".into()),
        ]
    }

    fn open(dir: &TempDir, key: Option<&str>, earlier: Option<&str>) -> Store {
        let secret = |text: &str| Secret::new(text);
        Store::open_with_earlier(
            dir.path(),
            key.map(secret).as_ref(),
            earlier.map(secret).as_ref(),
            None,
        )
        .unwrap()
    }

    fn put((path, bytes): &(PathBuf, Vec<u8>)) {
        fs::File::create(path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
            .unwrap();
    }

    fn content(dir: &TempDir) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for part in [SESSIONS, ACCOUNTS] {
            let entries = fs::read_dir(dir.path().join(part)).unwrap();
            found.extend(
                entries
                    .map(|entry| entry.unwrap().path())
                    .map(|path| (path.clone(), fs::read(path).unwrap())),
            );
        }
        found.sort();
        found
    }
}
