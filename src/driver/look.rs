//! Looks whether the files are still there that only the daemon should touch.
//!
//! As long as none of their directories has changed, none of them was removed or replaced: with thousands of sessions
//! most looks read a directory or two.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Done, Ticket, Work};
use crate::atomic_file::{self, Stamp, StatCache};
use crate::clock;
use crate::config::SessionConfig;
use crate::publish;
use crate::store::{Record, Store};
use crate::time::{Instant, Now};

/// What is written into a file where it lies does not show in its directory, and a directory that other machines write to
/// may show late what they did.
const EACH_FILE_EVERY: Duration = Duration::from_mins(10);
/// File systems count time in ticks, the coarsest in two seconds: what a directory went through in its last tick does not
/// show.
const TICK_SECONDS: i64 = 3;

/// What is known of one session's files.
pub struct ExpectedFiles {
    /// The session.
    pub of: Ticket,
    /// Its state as it was written last.
    pub state: Option<Stamp>,
    /// Where its token is published.
    pub config: Arc<SessionConfig>,
    /// It is published now.
    pub published: bool,
}

/// The directories as they were when every file was found in its place.
#[derive(Clone, Debug)]
pub struct DirectorySnapshot {
    directories: Vec<(PathBuf, Stamp)>,
    /// When the sessions were asked what files they have.
    pub since: Instant,
}

/// Looks whether the directories are as they were, on a thread that may block.
pub fn look_at_directories(work: &mut Work, snapshot: DirectorySnapshot) {
    work.write(move || {
        let still_holds = snapshot.still_holds(clock::boottime());
        Done::LookedAtDirectories {
            snapshot: Some(snapshot).filter(|_| still_holds),
        }
    });
}

/// Looks whether states and published files are still there, on a thread that may block: one `lstat` each. `sights` are
/// of `now`.
pub fn look_at_files(work: &mut Work, store: &Store, expected: Vec<ExpectedFiles>, now: Now) {
    let store = store.clone();
    work.write(move || {
        // Before the files: a change from here on makes the snapshot stale.
        let snapshot = snapshot(&store, &expected, now);
        let (mut states, mut files, mut cache) = (Vec::new(), Vec::new(), StatCache::default());
        for ExpectedFiles {
            of,
            state,
            config,
            published,
        } in expected
        {
            if published
                && config
                    .publish
                    .iter()
                    .any(|sink| !publish::is_there(&sink.path))
            {
                files.push(of.clone());
            }
            let record = Record::Session(of.name.as_ref().to_owned());
            if state.is_some_and(|state| store.stamp_by(&record, &mut cache) != Some(state)) {
                states.push(of);
            }
        }
        let snapshot = snapshot.filter(|_| states.is_empty() && files.is_empty());
        Done::LookedAtFiles {
            states,
            files,
            snapshot,
        }
    });
}

impl DirectorySnapshot {
    fn still_holds(&self, now: Instant) -> bool {
        let same = |(path, stamp): &(PathBuf, Stamp)| {
            atomic_file::directory_stamp(path).as_ref() == Some(stamp)
        };
        now.since(self.since) < EACH_FILE_EVERY && self.directories.iter().all(same)
    }
}

/// None while one of the directories is missing, or changed too lately to tell by its time whether it does so again.
fn snapshot(store: &Store, expected: &[ExpectedFiles], now: Now) -> Option<DirectorySnapshot> {
    let published = expected
        .iter()
        .flat_map(|expected| expected.config.publish.iter());
    let mut directories: BTreeSet<&Path> =
        published.filter_map(|sink| sink.path.parent()).collect();
    let states = store.sessions_directory();
    directories.insert(&states);
    let settled = |path: &Path| {
        let stamp = atomic_file::directory_stamp(path)?;
        stamp
            .changed_before(now.wall.as_second() - TICK_SECONDS)
            .then(|| (path.to_owned(), stamp))
    };
    let directories = directories
        .into_iter()
        .map(settled)
        .collect::<Option<_>>()?;
    Some(DirectorySnapshot {
        directories,
        since: now.boot,
    })
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn a_snapshot_ends_with_any_change_of_a_directory_and_after_a_while() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("state"), None).unwrap();
        let record = Record::Session("crm".into());
        store.write(&record, b"{}").unwrap();
        let now = clock::now();
        assert!(
            snapshot(&store, &[], now).is_none(),
            "it changed this very moment"
        );
        let later = Now {
            wall: now.wall + 10.seconds(),
            ..now
        };
        let snapshot = || super::snapshot(&store, &[], later).unwrap();
        let known = snapshot();
        assert!(known.still_holds(now.boot));
        assert!(!known.still_holds(now.boot.after(EACH_FILE_EVERY)));
        std::fs::remove_file(store.sessions_directory().join("crm.json")).unwrap();
        assert!(!known.still_holds(now.boot));
        let known = snapshot();
        store.write(&record, b"{}").unwrap();
        assert!(!known.still_holds(now.boot));
        let known = snapshot();
        std::fs::rename(home.path().join("state"), home.path().join("moved")).unwrap();
        assert!(!known.still_holds(now.boot));
        assert!(
            super::snapshot(&store, &[], later).is_none(),
            "a directory that is not there"
        );
    }
}
