//! What files look like from outside, to see later whether they are still the same.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Stat};

use super::{directory, split};

/// One file at one moment: any later change to its content or metadata, or its replacement, gives another stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    /// Beside the time of change, which ticks coarsely on older kernels.
    size: i64,
    mode: u32,
    changed: (i64, i64),
}

impl Stamp {
    /// One like no other's with another number.
    #[cfg(test)]
    pub(crate) fn simulated(number: u64) -> Self {
        Self {
            device: 0,
            inode: number,
            size: 0,
            mode: 0,
            changed: (0, 0),
        }
    }

    /// Whether its time of change lies before this second of the wall clock.
    pub fn changed_before(&self, second: i64) -> bool {
        self.changed.0 < second
    }

    pub(super) fn of(found: &Stat) -> Self {
        Self {
            device: found.st_dev,
            inode: found.st_ino,
            size: found.st_size,
            mode: found.st_mode,
            changed: (
                found.st_ctime,
                i64::try_from(found.st_ctime_nsec).unwrap_or(i64::MAX),
            ),
        }
    }
}

/// The stamp of what is at `path` now, without reading it; none when nothing can be seen there.
pub fn stamp(path: &Path) -> Option<Stamp> {
    StatCache::default().stamp(path)
}

/// The stamp of the directory `path`: another one after any file in it was created, removed or replaced.
pub fn directory_stamp(path: &Path) -> Option<Stamp> {
    let directory = directory::open(path).ok()?;
    rustix::fs::fstat(&directory).ok().as_ref().map(Stamp::of)
}

/// Stamps of many files, which lie in few directories.
#[derive(Default)]
pub struct StatCache {
    open: Option<(PathBuf, OwnedFd)>,
}

impl StatCache {
    /// As [`stamp`].
    pub fn stamp(&mut self, path: &Path) -> Option<Stamp> {
        let (parent, name) = split(path).ok()?;
        if self.open.as_ref().is_none_or(|(open, _)| open != parent) {
            self.open = directory::open(parent)
                .ok()
                .map(|directory| (parent.to_owned(), directory));
        }
        let (_, directory) = self.open.as_ref()?;
        rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .ok()
            .as_ref()
            .map(Stamp::of)
    }
}
