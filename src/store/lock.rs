//! The lock by which one daemon owns a state directory.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::StoreError;

/// So often the lock is tried again, and so long after each time: half a second in all, once at the start.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Takes the lock, waiting a moment at most, and writes this process's id into it, for whoever comes second.
pub(super) fn take(dir: &Path) -> Result<File, StoreError> {
    let failed = |error| StoreError::Directory {
        path: dir.to_owned(),
        error,
    };
    let options = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .clone();
    let mut file = options.open(dir.join("lock")).map_err(failed)?;
    for attempt in 0..=LOCK_ATTEMPTS {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            // A killed daemon's child may hold it for a moment longer, until it has become another program.
            Err(Errno::WOULDBLOCK) if attempt < LOCK_ATTEMPTS => std::thread::sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => {
                return Err(StoreError::Locked {
                    path: dir.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    // On a full disk the number must do without: the lock itself takes no room.
    if let Err(error) = file
        .set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
    {
        tracing::debug!(%error, "the lock file does not name this process");
    }
    Ok(file)
}

/// Whether the lock file of `dir` is still this one.
pub(super) fn is_held(lock: &File, dir: &Path) -> bool {
    let there = std::fs::symlink_metadata(dir.join("lock"));
    lock.metadata().is_ok_and(|ours| {
        there.is_ok_and(|there| (ours.dev(), ours.ino()) == (there.dev(), there.ino()))
    })
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
