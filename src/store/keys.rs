//! The keys of the state, and what they make of a record's file.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::reseal::{CROSSING, files};
use super::seal::{self, Seal, SealError, Sealed};
use super::{Record, StoreError, VERSION, read_plain};
use crate::secret::Secret;

/// Those of one state directory.
pub(super) struct Keys {
    /// Seals; without it records are plain.
    pub(super) today: Option<Seal>,
    /// Opens what an earlier key sealed; seals nothing.
    pub(super) earlier: Option<Seal>,
}

/// The document around a record.
#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) record: String,
    data: Option<Value>,
    pub(super) sealed: Option<Sealed>,
}

/// Read before all else: a later version may look different otherwise.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// What a file turned out to be, when it did not stop the start.
pub(super) enum Opened {
    /// Written by a daemon of this state.
    Bytes(Vec<u8>),
    /// Sealed by such a daemon, which had found it plain.
    Unproven(Vec<u8>),
    /// Not sealed, though there is a key.
    Plain(Vec<u8>),
    Damaged,
}

/// Whether the records that lie below `dir` now open with these keys, as a start will demand; gives those that the start will
/// put aside, since they are plain among sealed ones. Takes no lock and changes nothing; a directory that is not there, or not
/// for this user to see, holds no record.
///
/// # Errors
/// Of the first record that would stop the start.
pub fn opens(
    dir: &Path,
    key: Option<&Secret>,
    earlier: Option<&Secret>,
) -> Result<Vec<PathBuf>, StoreError> {
    let keys = Keys::new(dir, key, earlier)?;
    let mut plain = Vec::new();
    let mut some_are_sealed = false;
    for path in files(dir).unwrap_or_default() {
        let bytes = match read_plain(&path) {
            // Removed meanwhile by the daemon that runs, or too large for a record.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge
                ) =>
            {
                continue;
            }
            read => read.map_err(|error| StoreError::Read {
                path: path.clone(),
                error,
            })?,
        };
        let named = serde_json::from_slice::<Envelope>(&bytes)
            .ok()
            .and_then(|envelope| Record::named(&envelope.record));
        let Some(record) = named else { continue };
        match keys.unwrap(&record, &path, &bytes)? {
            Opened::Plain(_) => plain.push(path),
            // Without a key of today the plain ones are what is wanted.
            Opened::Bytes(_) | Opened::Unproven(_) => some_are_sealed |= keys.today.is_some(),
            Opened::Damaged => {}
        }
    }
    if !some_are_sealed || keys.are_changing(dir) {
        plain.clear();
    }
    plain.sort();
    Ok(plain)
}

/// Whether the state can be sealed with `key`, which the config calls `name`.
///
/// # Errors
/// When it could be guessed.
pub fn usable_key(name: &'static str, key: &Secret) -> Result<(), StoreError> {
    if key.expose().chars().count() < seal::SHORTEST_KEY {
        Err(StoreError::ShortKey(name))
    } else {
        Ok(())
    }
}

impl Keys {
    /// Ready to seal and open.
    ///
    /// # Errors
    /// When one of them could be guessed.
    pub(super) fn new(
        dir: &Path,
        key: Option<&Secret>,
        earlier: Option<&Secret>,
    ) -> Result<Self, StoreError> {
        let today = key.map(|key| new_seal(dir, "state_key", key)).transpose()?;
        let earlier = earlier
            .map(|key| new_seal(dir, "state_key_old", key))
            .transpose()?;
        Ok(Self { today, earlier })
    }

    /// Whether a start with one of these keys began to seal or to unseal what lies in `dir`, and did not come to its end.
    pub(super) fn are_changing(&self, dir: &Path) -> bool {
        let Ok(bytes) = read_plain(&dir.join(CROSSING)) else {
            return false;
        };
        let sealed = serde_json::from_slice::<Envelope>(&bytes)
            .ok()
            .and_then(|envelope| envelope.sealed);
        sealed.is_some_and(|sealed| {
            let mut keys = self.today.iter().chain(&self.earlier);
            keys.any(|seal| seal.made(&sealed) && seal.open(CROSSING, &sealed).is_ok())
        })
    }

    /// Tells what is damaged from what this daemon must not touch.
    pub(super) fn unwrap(
        &self,
        record: &Record,
        path: &Path,
        bytes: &[u8],
    ) -> Result<Opened, StoreError> {
        match serde_json::from_slice::<Versioned>(bytes) {
            Ok(Versioned { version: VERSION }) => {}
            Ok(Versioned { version }) if version > VERSION => {
                return Err(StoreError::Newer {
                    path: path.to_owned(),
                    version,
                });
            }
            Ok(_) | Err(_) => return Ok(Opened::Damaged),
        }
        match serde_json::from_slice(bytes) {
            Ok(Envelope {
                record: name,
                data,
                sealed,
            }) if name == record.name() => match (data, sealed) {
                (Some(data), None) => {
                    let bytes = data.to_string().into_bytes();
                    Ok(if self.today.is_some() {
                        Opened::Plain(bytes)
                    } else {
                        Opened::Bytes(bytes)
                    })
                }
                (None, Some(sealed)) => self.unseal(record, path, &sealed),
                (None, None) | (Some(_), Some(_)) => Ok(Opened::Damaged),
            },
            Ok(_) | Err(_) => Ok(Opened::Damaged),
        }
    }

    fn unseal(&self, record: &Record, path: &Path, sealed: &Sealed) -> Result<Opened, StoreError> {
        let path = path.to_owned();
        let mut keys = self.today.iter().chain(&self.earlier).peekable();
        if keys.peek().is_none() {
            return Err(StoreError::Sealed { path });
        }
        let Some(seal) = keys.find(|seal| seal.made(sealed)) else {
            return Err(StoreError::WrongKey { path });
        };
        let open = |proven| match seal.open(&bound_to(record, proven), sealed) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(SealError::Damaged) => Ok(None),
            Err(error @ SealError::Library) => Err(StoreError::Seal {
                path: path.clone(),
                error: error.to_string(),
            }),
        };
        if let Some(bytes) = open(true)? {
            return Ok(Opened::Bytes(bytes));
        }
        Ok(open(false)?.map_or(Opened::Damaged, Opened::Unproven))
    }
}

/// What the seal of a record holds besides its bytes: nobody without the key makes it another session's, or proven.
pub(super) fn bound_to(record: &Record, proven: bool) -> String {
    let name = record.name();
    if proven {
        name
    } else {
        format!("unproven {name}")
    }
}

fn new_seal(dir: &Path, name: &'static str, key: &Secret) -> Result<Seal, StoreError> {
    usable_key(name, key)?;
    Seal::new(key).map_err(|error| StoreError::Seal {
        path: dir.to_owned(),
        error: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use tempfile::TempDir;

    use super::*;
    use crate::store::Store;

    #[test]
    fn keys_are_tried_on_what_is_there_without_touching_it() {
        let dir = TempDir::new().unwrap();
        assert!(opens(&dir.path().join("none"), None, None).is_ok_and(|plain| plain.is_empty()));
        let [first, second] = ["the first key of it", "the second key, newer"].map(Secret::new);
        let store = Store::open(dir.path(), Some(&first)).unwrap();
        store
            .write(&Record::Session("crm".to_owned()), b"{}")
            .unwrap();
        let path = dir.path().join("sessions/crm.json");
        let before = fs::read(&path).unwrap();
        let tried =
            |key: Option<&Secret>, earlier: Option<&Secret>| opens(dir.path(), key, earlier);
        assert!(
            tried(Some(&first), None).is_ok(),
            "although a daemon holds the lock"
        );
        assert!(tried(Some(&second), Some(&first)).is_ok());
        assert!(tried(None, Some(&first)).is_ok());
        let plain = dir.path().join("sessions/erp.json");
        fs::File::create(&plain)
            .and_then(|mut file| {
                file.write_all(br#"{"version":1,"record":"session/erp","data":{}}"#)
            })
            .unwrap();
        assert_eq!(
            tried(Some(&first), None).unwrap(),
            std::slice::from_ref(&plain)
        );
        assert_eq!(
            tried(Some(&second), Some(&first)).unwrap(),
            std::slice::from_ref(&plain)
        );
        assert_eq!(
            tried(None, Some(&first)).unwrap(),
            [] as [PathBuf; 0],
            "there is no key of today to miss"
        );
        fs::remove_file(&plain).unwrap();
        assert!(matches!(
            tried(Some(&second), None),
            Err(StoreError::WrongKey { .. })
        ));
        assert!(matches!(tried(None, None), Err(StoreError::Sealed { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
        fs::rename(&path, dir.path().join("sessions/crm.json.damaged-1")).unwrap();
        assert!(
            tried(None, None).is_ok(),
            "what was put aside stops no start"
        );
    }
}
