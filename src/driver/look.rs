//! Looks whether files are still there that nobody but the daemon should touch.
//!
//! As long as no directory of theirs has changed, nobody has removed or replaced any of them: with thousands of sessions
//! most looks are at a directory or two.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Done, Ticket, Work};
use crate::atomic_file::{self, Glance, Stamp};
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
pub struct Sight {
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
pub struct Calm {
    directories: Vec<(PathBuf, Stamp)>,
    /// When the sessions were asked what files they have.
    pub since: Instant,
}

/// Looks whether the directories are as they were, on a thread that may block.
pub fn look_at_directories(work: &mut Work, calm: Calm) {
    work.write(move || {
        let lasts = calm.lasts(clock::boottime());
        Done::LookedAtDirectories {
            calm: Some(calm).filter(|_| lasts),
        }
    });
}

/// Looks whether states and published files are still there, on a thread that may block: one `lstat` each. `sights` are
/// of `now`.
pub fn look_at_files(work: &mut Work, store: &Store, sights: Vec<Sight>, now: Now) {
    let store = store.clone();
    work.write(move || {
        // Before the files: what happens meanwhile is not taken for calm.
        let calm = calm(&store, &sights, now);
        let (mut states, mut files, mut glance) = (Vec::new(), Vec::new(), Glance::default());
        for Sight {
            of,
            state,
            config,
            published,
        } in sights
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
            if state.is_some_and(|state| store.glance(&record, &mut glance) != Some(state)) {
                states.push(of);
            }
        }
        let calm = calm.filter(|_| states.is_empty() && files.is_empty());
        Done::LookedAtFiles {
            states,
            files,
            calm,
        }
    });
}

impl Calm {
    fn lasts(&self, now: Instant) -> bool {
        let same = |(path, stamp): &(PathBuf, Stamp)| {
            atomic_file::directory_stamp(path).as_ref() == Some(stamp)
        };
        now.since(self.since) < EACH_FILE_EVERY && self.directories.iter().all(same)
    }
}

/// None while one of the directories is missing, or changed too lately to tell by its time whether it does so again.
fn calm(store: &Store, sights: &[Sight], now: Now) -> Option<Calm> {
    let published = sights.iter().flat_map(|sight| sight.config.publish.iter());
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
    Some(Calm {
        directories,
        since: now.boot,
    })
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn the_calm_ends_with_any_change_of_a_directory_and_after_a_while() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("state"), None).unwrap();
        let record = Record::Session("crm".into());
        store.write(&record, b"{}").unwrap();
        let now = clock::now();
        assert!(
            calm(&store, &[], now).is_none(),
            "it changed this very moment"
        );
        let later = Now {
            wall: now.wall + 10.seconds(),
            ..now
        };
        let calm = || super::calm(&store, &[], later).unwrap();
        let known = calm();
        assert!(known.lasts(now.boot));
        assert!(!known.lasts(now.boot.after(EACH_FILE_EVERY)));
        std::fs::remove_file(store.sessions_directory().join("crm.json")).unwrap();
        assert!(!known.lasts(now.boot));
        let known = calm();
        store.write(&record, b"{}").unwrap();
        assert!(!known.lasts(now.boot));
        let known = calm();
        std::fs::rename(home.path().join("state"), home.path().join("moved")).unwrap();
        assert!(!known.lasts(now.boot));
        assert!(
            super::calm(&store, &[], later).is_none(),
            "a directory that is not there"
        );
    }
}
