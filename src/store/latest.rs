//! Which copy of a session's record was written last: its digest, in the runtime directory.
//!
//! A seal shows who wrote a record, not when. An older copy bears a seal that is as good; but whoever can put it into the
//! state directory cannot write here.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use rustix::fs::OFlags;

use super::{PRIVATE_DIRECTORY, Record};
use crate::atomic_file;
use crate::secret::hex;

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;
/// Two lines are the most that is written.
const LARGEST: u64 = 4096;

/// What is known of the age of a record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It is the copy that was written last.
    Latest,
    /// Nothing tells: the machine was started anew since it was written, or it comes from another one.
    Unknown,
    /// Another copy was written after it, or was to be.
    Superseded,
}

/// The digests of all sessions' records, a file for each. They need not outlive the machine's next start: without one, the
/// record is of unknown age.
pub(super) struct Latest {
    directory: PathBuf,
}

impl Latest {
    pub(super) fn in_directory(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// What is known of the record that lies there as `document`.
    pub(super) fn age(&self, record: &Record, document: &[u8]) -> Age {
        let known = self.known(record);
        if known.is_empty() {
            return Age::Unknown;
        }
        let digest = digest_of(document);
        if !known.contains(&digest) {
            return Age::Superseded;
        }
        if known.len() > 1 {
            // A run was killed over the write, and this is how far it came.
            self.set(record, &[digest]);
        }
        Age::Latest
    }

    /// `document` is about to be written: until that is over, it or the copy before it is the latest.
    pub(super) fn begin(&self, record: &Record, document: &[u8]) {
        let before = self.known(record).pop();
        self.set(
            record,
            &before
                .into_iter()
                .chain([digest_of(document)])
                .collect::<Vec<_>>(),
        );
    }

    /// `document` was written, or could not be: then readers may have been shown what it holds all the same.
    pub(super) fn end(&self, record: &Record, document: &[u8]) {
        self.set(record, &[digest_of(document)]);
    }

    /// There is no record any more.
    pub(super) fn forget(&self, record: &Record) {
        if let Some(path) = self.path(record) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Accounts have none: what they hold is never shown.
    fn path(&self, record: &Record) -> Option<PathBuf> {
        match record {
            Record::Session(name) => Some(self.directory.join(name)),
            Record::Account(_) => None,
        }
    }

    fn known(&self, record: &Record) -> Vec<String> {
        let text = self
            .path(record)
            .and_then(|path| read(&path).ok())
            .unwrap_or_default();
        text.lines()
            .filter(|line| line.len() == DIGITS)
            .map(str::to_owned)
            .collect()
    }

    /// What cannot be written here leaves an older digest or none: either way the record is proven before it is shown.
    fn set(&self, record: &Record, digests: &[String]) {
        let Some(path) = self.path(record) else {
            return;
        };
        let text: String = digests.iter().flat_map(|digest| [digest, "\n"]).collect();
        let written = match write(&path, &text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                atomic_file::create_directory(&self.directory, PRIVATE_DIRECTORY)
                    .and_then(|()| write(&path, &text))
            }
            written => written,
        };
        if let Err(error) = written {
            tracing::debug!(path = %path.display(), %error, "the next start will prove this session first");
        }
    }
}

fn digest_of(document: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, document).as_ref())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(OpenOptions::new().read(true), path)?
        .take(LARGEST)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// In place: a half of it is no digest, and a rename would have to be waited for.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = open(
        OpenOptions::new().write(true).create(true).truncate(false),
        path,
    )?;
    file.write_all(text.as_bytes())?;
    let length = file.stream_position()?;
    file.set_len(length)
}

/// Only what this user alone could have written: no link, no pipe, nobody else's file.
fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = options
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let found = file.metadata()?;
    let ours = found.uid() == rustix::process::geteuid().as_raw() && found.mode() & 0o022 == 0;
    if found.is_file() && ours {
        Ok(file)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_copy_that_was_written_last_is_known_and_no_earlier_one() {
        let dir = TempDir::new().unwrap();
        let latest = Latest::in_directory(&dir.path().join("latest"));
        assert_eq!(latest.age(&crm(), b"one"), Age::Unknown);
        for document in [b"one", b"two", b"six"] {
            latest.begin(&crm(), document);
            latest.end(&crm(), document);
        }
        assert_eq!(latest.age(&crm(), b"six"), Age::Latest);
        for earlier in [b"one", b"two"] {
            assert_eq!(latest.age(&crm(), earlier), Age::Superseded);
        }
        assert_eq!(
            latest.age(&Record::Session("erp".into()), b"six"),
            Age::Unknown
        );
        latest.forget(&crm());
        assert_eq!(latest.age(&crm(), b"six"), Age::Unknown);
    }

    #[test]
    fn a_write_that_was_ended_in_between_leaves_what_it_came_to_and_one_that_failed_makes_what_is_there_old()
     {
        for found in [b"old", b"new"] {
            let dir = TempDir::new().unwrap();
            let latest = Latest::in_directory(dir.path());
            latest.end(&crm(), b"old");
            latest.begin(&crm(), b"new");
            assert_eq!(latest.age(&crm(), found), Age::Latest);
            let other = if found == b"old" { b"new" } else { b"old" };
            assert_eq!(
                latest.age(&crm(), other),
                Age::Superseded,
                "it was seen how far the write came"
            );
        }
        let dir = TempDir::new().unwrap();
        let latest = Latest::in_directory(dir.path());
        latest.end(&crm(), b"old");
        latest.begin(&crm(), b"new");
        latest.end(&crm(), b"new");
        assert_eq!(latest.age(&crm(), b"old"), Age::Superseded);
    }

    #[test]
    fn what_others_could_have_written_or_what_is_half_there_says_nothing() {
        let dir = TempDir::new().unwrap();
        let latest = Latest::in_directory(dir.path());
        let path = dir.path().join("crm");
        latest.end(&crm(), b"one");
        let whole = fs::read(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        for length in 0..DIGITS {
            put(&path, &whole[..length]);
            assert_eq!(latest.age(&crm(), b"one"), Age::Unknown, "{length}");
        }
        put(&path, &[0xff; 200]);
        assert_eq!(latest.age(&crm(), b"one"), Age::Unknown);
        put(&path, &whole);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(latest.age(&crm(), b"one"), Age::Unknown);
        fs::rename(&path, dir.path().join("elsewhere")).unwrap();
        symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert_eq!(latest.age(&crm(), b"one"), Age::Unknown);
        latest.end(&crm(), b"two");
        assert_eq!(
            fs::read(dir.path().join("elsewhere")).unwrap(),
            whole,
            "no link is written through"
        );
    }

    fn crm() -> Record {
        Record::Session("crm".into())
    }

    fn put(path: &Path, bytes: &[u8]) {
        File::create(path)
            .and_then(|mut file| file.write_all(bytes))
            .unwrap();
    }
}
