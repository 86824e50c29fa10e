//! Why the state cannot be used.

use std::io;
use std::path::PathBuf;

use super::VERSION;
use crate::atomic_file::{self, FileError};

/// Why the state cannot be used; what is on the disk is untouched.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be created, opened or listed.
    #[error("use the state directory {}: {error}; {}, or set state_dir", .path.display(), atomic_file::directory_remedy(.error))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Anybody could replace the state.
    #[error("use the state directory {}: everybody may write there; chmod 0700 it or set another state_dir", .path.display())]
    Open {
        /// The directory.
        path: PathBuf,
    },
    /// Another daemon has the directory.
    #[error(
        "lock the state directory {}: another keepfresh{} uses it; stop that one or set another state_dir",
        .path.display(), .holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Its process id, where it is known.
        holder: Option<u32>,
    },
    /// A key that could be guessed.
    #[error("use {0}: it is shorter than 16 characters; make one with `openssl rand -base64 32`")]
    ShortKey(&'static str),
    /// The cryptographic library refused to work.
    #[error("seal {path}: {error}; nothing was written", path = .path.display())]
    Seal {
        /// The record, or the directory.
        path: PathBuf,
        /// What it said.
        error: String,
    },
    /// The record is sealed with another key.
    #[error("open {}: it was sealed with another key than state_key; name that one as state_key_old, or move the file away to log in anew", .path.display())]
    WrongKey {
        /// The record.
        path: PathBuf,
    },
    /// The record is sealed, and there is no key.
    #[error("open {}: it is sealed; set state_key to the key it was sealed with, or move the file away to log in anew", .path.display())]
    Sealed {
        /// The record.
        path: PathBuf,
    },
    /// A later keepfresh wrote it.
    #[error("read {}: its version is {version}, this keepfresh knows {VERSION}; install the newer keepfresh again, or move the file away", .path.display())]
    Newer {
        /// The record.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
    /// The disk did not give it.
    #[error("read {}: {error}; check that disk before you start again", .path.display())]
    Read {
        /// The record.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It cannot be put aside.
    #[error("put aside the damaged {}: {error}; move it away by hand", .path.display())]
    SetAside {
        /// The record.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It cannot be written or removed.
    #[error(transparent)]
    File(#[from] FileError),
    /// What was to be stored is not JSON.
    #[error("write {}: what was to be stored is not JSON: {error}", .path.display())]
    NotJson {
        /// The record.
        path: PathBuf,
        /// Where it is wrong.
        error: String,
    },
    /// A session of this name has no file.
    #[error(
        "find a file name for the session {name:?}: rename the session to lower-case letters, digits, - and _"
    )]
    Name {
        /// The session's name.
        name: String,
    },
}
