//! What is made for a session: all of it, or nothing that stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Uid, chown};

use crate::atomic_file::{self, Attributes};

/// Files made so far; removed again unless they are kept.
#[derive(Default)]
pub(super) struct Made {
    files: Vec<PathBuf>,
}

impl Made {
    /// Makes a file that every user may read.
    pub(super) fn public(&mut self, path: &Path, text: &str) -> Result<(), String> {
        directory(path, 0o755, None)?;
        self.create(
            path,
            text,
            Attributes {
                mode: 0o644,
                owner: None,
                group: None,
            },
        )
    }

    /// Makes a file that `owner` alone may read, in a directory that is that user's too.
    pub(super) fn secret(&mut self, path: &Path, text: &str, owner: u32) -> Result<(), String> {
        directory(path, 0o700, Some(owner))?;
        self.create(
            path,
            text,
            Attributes {
                mode: 0o400,
                owner: Some(owner),
                group: None,
            },
        )
    }

    fn create(&mut self, path: &Path, text: &str, attributes: Attributes) -> Result<(), String> {
        atomic_file::create(path, text.as_bytes(), attributes).map_err(|error| {
            let taken = error.error.kind() == io::ErrorKind::AlreadyExists;
            if taken {
                already_there(path)
            } else {
                format!("failed to {error}")
            }
        })?;
        self.files.push(path.to_owned());
        Ok(())
    }

    /// The session is whole: nothing is removed any more.
    pub(super) fn keep(&mut self) {
        self.files.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in self.files.iter().rev() {
            if let Err(error) = atomic_file::remove(path) {
                crate::cli::output::complain(&format!("keepfresh: failed to {error}"));
            }
        }
    }
}

/// Why nothing is written there.
pub(super) fn already_there(path: &Path) -> String {
    format!(
        "{} is there already, and nothing is overwritten; move it away, or choose another name",
        path.display()
    )
}

/// The directory that `path` lies in, made where it is missing.
fn directory(path: &Path, mode: u32, owner: Option<u32>) -> Result<(), String> {
    let Some(parent) = path.parent().filter(|parent| !parent.is_dir()) else {
        return Ok(());
    };
    if let Some(around) = parent.parent().filter(|around| !around.is_dir()) {
        fs::create_dir_all(around)
            .map_err(|error| format!("failed to create {}: {error}", around.display()))?;
    }
    let failed = |error: io::Error| format!("failed to create {}: {error}", parent.display());
    atomic_file::create_directory(parent, mode).map_err(failed)?;
    if let Some(owner) = owner.filter(|owner| *owner != rustix::process::geteuid().as_raw()) {
        chown(parent, Some(Uid::from_raw(owner)), None).map_err(|errno| failed(errno.into()))?;
    }
    Ok(())
}
