//! Published files: what a job reads is absent or whole, with the right owner and mode from its first visible instant.
//!
//! Each file that is not as wanted has a worker of its own, which carries out the latest wish and tries again by itself
//! until it is true, so that a full, read-only or hanging disk delays no other file. A file that is right costs no task.

pub mod format;
mod removal;
#[cfg(test)]
pub(crate) mod simulated;
mod sink;
mod sink_pool;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::atomic_file;
use crate::token::Published;
pub use format::template::Template;
pub use removal::{remove_recorded, remove_stale};
use sink::{Shown, Sink, Target};
pub use sink_pool::{PendingSinks, SinkPool};

/// No published file is larger: a token and what goes with it are under 64 KiB each.
const LARGEST_FILE: u64 = 1 << 20;

/// One `[[sessions.NAME.publish]]`, checked and resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkConfig {
    /// Absolute.
    pub path: PathBuf,
    /// What the file says.
    pub format: Format,
    /// Permission bits, set exactly.
    pub mode: u32,
    /// User id; none for the daemon's own.
    pub owner: Option<u32>,
    /// Group id; none for what a new file gets there.
    pub group: Option<u32>,
    /// `on_loss = "keep"`: the file stays when the token is known dead.
    pub keep_on_loss: bool,
    /// `required = false`: the session counts as good without this file.
    pub required: bool,
}

/// What a published file says; [`format::render`] writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// The access token alone, without a newline.
    Token,
    /// One JSON object: the token, what goes with it, and headers ready to send.
    Json,
    /// Assignments for shells and `EnvironmentFile=`.
    Env {
        /// Before `_TOKEN` and the others.
        prefix: Arc<str>,
    },
    /// One header a line, for `curl -H @file`.
    Header,
    /// A jar as Netscape's browser wrote it, for `curl -b file`.
    Cookies,
    /// `machine HOST login LOGIN password TOKEN`, for curl, git and Python.
    Netrc {
        /// Without spaces, quotes and backslashes.
        login: String,
    },
    /// The config's own text.
    Template(Template),
}

impl Format {
    /// Its name in the config.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Json => "json",
            Self::Env { .. } => "env",
            Self::Header => "header",
            Self::Cookies => "cookies",
            Self::Netrc { .. } => "netrc",
            Self::Template(_) => "template",
        }
    }
}

/// What a session's files should hold now; follows from the engine's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This generation.
    Show(Arc<Published>),
    /// Nothing: remove files, except sinks with `keep_on_loss`.
    Withdraw,
    /// The session is gone from the config, or its identity changed: remove every file.
    Remove,
}

/// What one sink last did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStatus {
    /// The file.
    pub path: PathBuf,
    /// The generation the file holds; none when it is absent.
    pub generation: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
    /// Whether the session counts as good only with this file.
    pub required: bool,
}

/// What became of a session's files, since the start or since they were last configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Publications {
    /// Files that came to hold another token.
    pub published: u64,
    /// Files that were removed.
    pub withdrawn: u64,
    /// Attempts that failed.
    pub failed: u64,
}

/// The sinks of one session. A sink has a worker only while its file is not as wanted.
pub struct Publisher {
    states: Arc<SinkStates>,
}

/// A session's files at one moment, on their way to what was wanted then.
#[derive(Clone)]
pub struct Settling {
    states: Arc<SinkStates>,
    /// Of what was desired then.
    number: u64,
}

/// The desired state of all files. Only the latest is kept, so a slow sink never works through a queue of the past.
#[derive(Clone)]
struct Desired {
    number: u64,
    wanted: Wanted,
    /// The highest generation ever shown: nothing older is shown after it.
    newest: u64,
}

/// What is wanted of a session's files, and how far the workers are.
struct SinkStates {
    session: Arc<str>,
    configs: Arc<[SinkConfig]>,
    /// Missing directories are created below it, and only there.
    tokens: Arc<Path>,
    inner: Mutex<Inner>,
    /// Something else is desired, or the publisher is closed.
    desired_changed: Notify,
    /// A worker has reported, or ended.
    progressed: Notify,
}

struct Inner {
    desired: Desired,
    closed: bool,
    sinks: Box<[Progress]>,
    publications: Publications,
}

#[derive(Default)]
struct Progress {
    shown: Option<Shown>,
    error: Option<String>,
    /// The number of what was tried last.
    tried: u64,
    /// It has a worker.
    busy: bool,
}

impl Publisher {
    /// Takes charge of `session`'s files. Below `tokens`, and only there, missing directories are created.
    pub fn new(session: &Arc<str>, sinks: &Arc<[SinkConfig]>, tokens: &Arc<Path>) -> Self {
        let states = SinkStates::new(Arc::clone(session), Arc::clone(sinks), Arc::clone(tokens));
        Self {
            states: Arc::new(states),
        }
    }

    /// Says what the files should hold; returns the sinks that need a worker for it.
    ///
    /// The same again makes the workers look whether their file was removed or changed. A generation older than
    /// one shown before is ignored.
    pub fn set(&self, wanted: Wanted) -> PendingSinks {
        let idle = self.states.set_desired(wanted);
        self.pending(idle)
    }

    /// Has every file compared once more with what is wanted of it.
    pub fn set_again(&self) -> PendingSinks {
        let wanted = self.states.lock().desired.wanted.clone();
        self.set(wanted)
    }

    fn pending(&self, idle: Vec<usize>) -> PendingSinks {
        self.states.desired_changed.notify_waiters();
        PendingSinks(
            idle.into_iter()
                .map(|index| Sink::new(Arc::clone(&self.states), index))
                .collect(),
        )
    }

    /// Whether every sink has tried the latest `set`.
    pub fn is_settled(&self) -> bool {
        let inner = self.states.lock();
        inner
            .sinks
            .iter()
            .all(|sink| sink.tried >= inner.desired.number)
    }

    /// The first required file that is not known to hold this generation.
    pub fn out_of_place(&self, generation: u64) -> Option<SinkStatus> {
        let in_place =
            |sink: &Progress| sink.error.is_none() && sink.generation() == Some(generation);
        self.states
            .status(|sink| !in_place(sink))
            .into_iter()
            .find(|sink| sink.required)
    }

    /// Waits, by its `done`, until every sink has tried the latest `set` at least once (done or failed). A disk that hangs
    /// holds it up.
    pub fn settling(&self) -> Settling {
        Settling {
            states: Arc::clone(&self.states),
            number: self.states.lock().desired.number,
        }
    }

    /// What each sink last did, in the order of the config.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.states.status(|_| true)
    }

    /// The sinks whose last attempt failed.
    pub fn failing(&self) -> Vec<SinkStatus> {
        self.states.status(|sink| sink.error.is_some())
    }

    /// What became of the files so far.
    pub fn publications(&self) -> Publications {
        self.states.lock().publications
    }

    /// Shows nothing more: another session, or the same with other settings, writes these files. What is to be removed still
    /// is.
    pub fn show_no_more(&self) {
        self.states.show_no_more();
    }

    /// Lets the workers finish what is wanted (once each) and ends them. A disk that hangs holds it up.
    pub async fn stop(self) {
        self.states.close();
        self.states
            .until(|inner| inner.sinks.iter().all(|sink| !sink.busy))
            .await;
    }
}

/// What fails is not tried again once there is no publisher.
impl Drop for Publisher {
    fn drop(&mut self) {
        self.states.close();
    }
}

impl Settling {
    /// Whether this is the same wait.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.states, &other.states) && self.number == other.number
    }

    /// Whether nothing else is wanted of the files since.
    pub fn is_latest(&self) -> bool {
        self.states.lock().desired.number == self.number
    }

    /// Resolves when every sink has tried what was wanted then, or something later.
    pub async fn done(&self) {
        self.states
            .until(|inner| inner.sinks.iter().all(|sink| sink.tried >= self.number))
            .await;
    }
}

impl fmt::Debug for Settling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settling(number {})", self.number)
    }
}

impl Progress {
    fn generation(&self) -> Option<u64> {
        self.shown.as_ref().map(|shown| shown.published.generation)
    }
}

impl SinkStates {
    fn new(session: Arc<str>, configs: Arc<[SinkConfig]>, tokens: Arc<Path>) -> Self {
        let desired = Desired {
            number: 0,
            wanted: Wanted::Withdraw,
            newest: 0,
        };
        let sinks = configs.iter().map(|_| Progress::default()).collect();
        let inner = Inner {
            desired,
            closed: false,
            sinks,
            publications: Publications::default(),
        };
        Self {
            session,
            configs,
            tokens,
            inner: Mutex::new(inner),
            desired_changed: Notify::new(),
            progressed: Notify::new(),
        }
    }

    fn target(&self, index: usize) -> Option<Target<'_>> {
        let config = self.configs.get(index)?;
        Some(Target {
            session: &self.session,
            config,
            tokens: &self.tokens,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets what is desired; returns the sinks that need a worker for it.
    fn set_desired(&self, wanted: Wanted) -> Vec<usize> {
        let mut inner = self.lock();
        if let Wanted::Show(published) = &wanted {
            if published.generation < inner.desired.newest {
                return Vec::new();
            }
            inner.desired.newest = published.generation;
        }
        inner.desired.wanted = wanted;
        inner.desired.number += 1;
        let idle = |sink: &mut Progress| !std::mem::replace(&mut sink.busy, true);
        inner
            .sinks
            .iter_mut()
            .enumerate()
            .filter_map(|(index, sink)| idle(sink).then_some(index))
            .collect()
    }

    fn status(&self, which: impl Fn(&Progress) -> bool) -> Vec<SinkStatus> {
        let inner = self.lock();
        let status = |(config, sink): (&SinkConfig, &Progress)| SinkStatus {
            path: config.path.clone(),
            generation: sink.generation(),
            error: sink.error.clone(),
            required: config.required,
        };
        self.configs
            .iter()
            .zip(&inner.sinks)
            .filter(|(_, sink)| which(sink))
            .map(status)
            .collect()
    }

    /// What the worker of a sink must try now, and what its file holds; none when that worker is at its end.
    fn next(&self, index: usize, again: bool) -> Option<(Desired, Option<Shown>)> {
        let mut inner = self.lock();
        let Inner {
            desired,
            closed,
            sinks,
            ..
        } = &mut *inner;
        let sink = sinks.get_mut(index)?;
        if sink.tried < desired.number || (again && !*closed) {
            return Some((desired.clone(), sink.shown.clone()));
        }
        sink.busy = false;
        drop(inner);
        self.progressed.notify_waiters();
        None
    }

    /// Takes in what an attempt came to and gives back the error that the sink had before.
    fn report(
        &self,
        index: usize,
        number: u64,
        shown: Option<Shown>,
        error: Option<String>,
        changed: bool,
    ) -> Option<String> {
        let mut inner = self.lock();
        let publications = &mut inner.publications;
        if error.is_some() {
            publications.failed += 1;
        } else if changed && shown.is_some() {
            publications.published += 1;
        } else if changed {
            publications.withdrawn += 1;
        }
        let before = inner.sinks.get_mut(index).and_then(|sink| {
            sink.tried = number;
            sink.shown = shown;
            std::mem::replace(&mut sink.error, error)
        });
        drop(inner);
        self.progressed.notify_waiters();
        before
    }

    /// Whether something newer than this number is desired, or the publisher is closed, within `pause`.
    async fn moves_on(&self, number: u64, pause: Duration) -> bool {
        let desired_changed = self.desired_changed.notified();
        let passed = |inner: &Inner| inner.closed || inner.desired.number > number;
        passed(&self.lock()) || tokio::time::timeout(pause, desired_changed).await.is_ok()
    }

    /// Resolves when `is_so`.
    async fn until(&self, is_so: impl Fn(&Inner) -> bool) {
        loop {
            let progressed = self.progressed.notified();
            if is_so(&self.lock()) {
                return;
            }
            progressed.await;
        }
    }

    fn show_no_more(&self) {
        let mut inner = self.lock();
        let Inner { desired, sinks, .. } = &mut *inner;
        if matches!(desired.wanted, Wanted::Show(_)) {
            for sink in sinks.iter_mut() {
                sink.tried = desired.number;
            }
        }
        drop(inner);
        self.close();
        self.progressed.notify_waiters();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.desired_changed.notify_waiters();
    }
}

/// Whether one of the files holds a token, and not this one: a run that was killed, or could not write its state, has
/// published a later one. A file of another format that holds this token does not count.
pub fn is_overtaken(published: &Published, sinks: &[SinkConfig]) -> bool {
    let token = published.token.access_token.expose().as_bytes();
    sinks.iter().any(|sink| {
        let Some(content) = atomic_file::content(&sink.path, LARGEST_FILE) else {
            return false;
        };
        let same = format::render(published, &sink.format).is_ok_and(|bytes| *bytes == *content);
        !same
            && !content.is_empty()
            && !content
                .windows(token.len().max(1))
                .any(|part| part == token)
    })
}

/// Whether one of the files says of this token just what it would be given to say. One that is kept when its token is lost
/// may say it of a dead one.
pub fn is_shown(published: &Published, sinks: &[SinkConfig]) -> bool {
    sinks.iter().filter(|sink| !sink.keep_on_loss).any(|sink| {
        let content = atomic_file::content(&sink.path, LARGEST_FILE);
        content.is_some_and(|content| {
            format::render(published, &sink.format).is_ok_and(|bytes| *bytes == *content)
        })
    })
}

/// Whether anything bears that name.
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Removes temporary files that an earlier run left in these directories; to be called before any publisher starts.
pub fn sweep(directories: &[PathBuf]) {
    for directory in directories {
        match atomic_file::sweep(directory) {
            Ok(0) => {}
            Ok(removed) => {
                tracing::info!(event = "swept", directory = %directory.display(), removed, "removed leftovers");
            }
            Err(error) => {
                tracing::warn!(event = "sweep_failed", directory = %directory.display(), %error, "cannot remove temporary files");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::time::Duration;

    use tempfile::TempDir;

    use super::*;
    use crate::named::Named;
    use crate::secret::Secret;
    use crate::token::Token;

    #[tokio::test]
    async fn a_generation_is_shown_replaced_withdrawn_and_shown_again() {
        let house = House::new();
        let publisher = house.publisher(&[house.sink("crm")]);
        for (wanted, expected) in [
            (show(1, "one"), Some("one")),
            (show(2, "two"), Some("two")),
            (Wanted::Withdraw, None),
            (show(3, "three"), Some("three")),
            (Wanted::Remove, None),
        ] {
            publisher.set(wanted);
            publisher.settling().done().await;
            assert_eq!(house.content("crm").as_deref(), expected);
            assert_eq!(
                publisher.status()[0].generation.is_some(),
                expected.is_some()
            );
            assert_eq!(publisher.status()[0].error, None);
        }
        publisher.stop().await;
    }

    #[tokio::test]
    async fn missing_directories_are_created_below_the_tokens_directory_only() {
        let house = House::new();
        let elsewhere = house.dir.path().join("not-mounted/crm");
        let sinks = [
            house.sink("team/crm"),
            SinkConfig {
                path: elsewhere.clone(),
                ..house.sink("crm")
            },
        ];
        let publisher = house.publisher(&sinks);
        publisher.set(show(1, "one"));
        publisher.settling().done().await;
        assert_eq!(house.content("team/crm").as_deref(), Some("one"));
        for name in ["tokens", "tokens/team"] {
            assert_eq!(
                fs::metadata(house.dir.path().join(name)).unwrap().mode() & 0o7777,
                0o755,
                "{name}"
            );
        }
        assert!(!elsewhere.parent().unwrap().exists());
        let error = publisher.status()[1].error.clone().unwrap();
        assert!(
            error.contains("not-mounted/crm") && error.contains("create the directory"),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_sink_that_fails_heals_by_itself_and_delays_no_other() {
        let house = House::new();
        let late = house.dir.path().join("late/crm");
        let sinks = [
            SinkConfig {
                path: late.clone(),
                ..house.sink("crm")
            },
            house.sink("crm"),
        ];
        let publisher = house.publisher(&sinks);
        publisher.set(show(1, "one"));
        publisher.settling().done().await;
        assert_eq!(house.content("crm").as_deref(), Some("one"));
        assert!(publisher.status()[0].error.is_some());
        fs::create_dir(late.parent().unwrap()).unwrap();
        until(|| publisher.status()[0].error.is_none()).await;
        assert_eq!(fs::read_to_string(&late).unwrap(), "one");
        assert_eq!(publisher.status()[0].generation, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_wish_wins_over_one_that_could_not_be_carried_out() {
        let house = House::new();
        fs::create_dir_all(house.path("crm")).unwrap();
        let publisher = house.publisher(&[house.sink("crm")]);
        publisher.set(show(1, "one"));
        publisher.settling().done().await;
        assert!(
            publisher.status()[0]
                .error
                .clone()
                .unwrap()
                .contains("there is a directory of that name")
        );
        publisher.set(show(2, "two"));
        publisher.settling().done().await;
        fs::remove_dir(house.path("crm")).unwrap();
        until(|| publisher.status()[0].error.is_none()).await;
        assert_eq!(house.content("crm").as_deref(), Some("two"));
    }

    #[tokio::test]
    async fn an_older_generation_is_never_shown_after_a_newer_one() {
        let house = House::new();
        let publisher = house.publisher(&[house.sink("crm")]);
        for wanted in [
            show(5, "five"),
            show(4, "four"),
            Wanted::Withdraw,
            show(3, "three"),
        ] {
            publisher.set(wanted);
        }
        publisher.settling().done().await;
        assert_eq!(house.content("crm"), None);
        publisher.set(show(6, "six"));
        publisher.set(show(5, "five"));
        publisher.settling().done().await;
        assert_eq!(house.content("crm").as_deref(), Some("six"));
    }

    #[tokio::test]
    async fn equal_bytes_are_not_written_again_not_even_by_the_next_run() {
        let house = House::new();
        for _run in 0..2 {
            let publisher = house.publisher(&[house.sink("crm")]);
            for _ in 0..3 {
                let before = fs::metadata(house.path("crm")).ok();
                publisher.set(show(1, "one"));
                publisher.settling().done().await;
                let after = fs::metadata(house.path("crm")).unwrap();
                assert!(before.is_none_or(|before| before.ino() == after.ino()
                    && before.ctime_nsec() == after.ctime_nsec()));
            }
            publisher.stop().await;
        }
    }

    #[tokio::test]
    async fn a_file_that_somebody_tampered_with_heals_at_the_next_set() {
        let house = House::new();
        let path = house.path("crm");
        let publisher = house.publisher(&[house.sink("crm")]);
        publisher.set(show(1, "one"));
        publisher.settling().done().await;
        let tampers: [fn(&Path); 5] = [
            |path| fs::remove_file(path).unwrap(),
            |path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap(),
            |path| drop(fs::File::create(path).unwrap()),
            |path| fs::rename(path, path.with_extension("away")).unwrap(),
            |path| {
                fs::remove_file(path).unwrap();
                symlink("away", path).unwrap();
            },
        ];
        for (number, tamper) in tampers.into_iter().enumerate() {
            tamper(&path);
            publisher.set(show(1, "one"));
            publisher.settling().done().await;
            let found = fs::symlink_metadata(&path).unwrap();
            assert_eq!(
                (found.is_file(), found.mode() & 0o7777),
                (true, 0o640),
                "tamper {number}"
            );
            assert_eq!(
                house.content("crm").as_deref(),
                Some("one"),
                "tamper {number}"
            );
        }
    }

    #[tokio::test]
    async fn what_is_kept_on_loss_outlives_the_withdrawal_but_not_the_session() {
        let house = House::new();
        let publisher = house.publisher(&[SinkConfig {
            keep_on_loss: true,
            ..house.sink("crm")
        }]);
        for (wanted, expected) in [
            (show(1, "one"), Some("one")),
            (Wanted::Withdraw, Some("one")),
            (Wanted::Remove, None),
        ] {
            publisher.set(wanted);
            publisher.settling().done().await;
            assert_eq!(house.content("crm").as_deref(), expected);
            assert_eq!(publisher.status()[0].generation, expected.map(|_| 1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_does_not_fit_the_format_takes_the_superseded_file_away() {
        let house = House::new();
        let publisher = house.publisher(&[SinkConfig {
            format: Format::Env {
                prefix: "CRM".into(),
            },
            ..house.sink("crm")
        }]);
        publisher.set(show(1, "one"));
        publisher.settling().done().await;
        publisher.set(show(2, "it's"));
        publisher.settling().done().await;
        assert_eq!(house.content("crm"), None);
        let status = &publisher.status()[0];
        assert!(
            status
                .error
                .as_ref()
                .unwrap()
                .contains("CRM_TOKEN has a quote"),
            "{status:?}"
        );
        assert_eq!(status.generation, None);
        publisher.set(show(3, "three"));
        publisher.settling().done().await;
        assert_eq!(publisher.status()[0].error, None);
    }

    #[tokio::test]
    async fn stopping_carries_out_the_last_wish_and_leaves_the_file() {
        let house = House::new();
        let publisher = house.publisher(&[house.sink("crm")]);
        publisher.set(show(1, "one"));
        publisher.set(show(2, "two"));
        publisher.stop().await;
        assert_eq!(house.content("crm").as_deref(), Some("two"));
        house.publisher(&[house.sink("crm")]).stop().await;
        assert_eq!(house.content("crm").as_deref(), Some("two"));
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_does_not_wait_for_a_sink_that_cannot_be_written() {
        let house = House::new();
        let publisher = house.publisher(&[SinkConfig {
            path: house.dir.path().join("absent/crm"),
            ..house.sink("crm")
        }]);
        publisher.set(show(1, "one"));
        publisher.stop().await;
    }

    #[tokio::test]
    async fn readers_during_a_thousand_generations_see_them_whole_and_in_order() {
        let house = House::new();
        let publisher = house.publisher(&[house.sink("crm")]);
        publisher.set(show(1_000, "1000"));
        publisher.settling().done().await;
        let path = house.path("crm");
        let reader = tokio::task::spawn_blocking(move || {
            let mut last = 1_000;
            while last < 2_000 {
                let seen: u64 = fs::read_to_string(&path).unwrap().parse().unwrap();
                assert!((last..=2_000).contains(&seen), "{seen} after {last}");
                last = seen;
            }
        });
        for generation in 1_001..=2_000 {
            publisher.set(show(generation, &generation.to_string()));
            tokio::task::yield_now().await;
        }
        publisher.settling().done().await;
        reader.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_keeps_the_old_file_and_heals_when_there_is_room() {
        let house = House::new();
        let Some(disk) = TinyDisk::mount(house.dir.path().join("tiny")) else {
            return;
        };
        let path = disk.0.join("crm");
        let publisher = house.publisher(&[SinkConfig {
            path: path.clone(),
            ..house.sink("crm")
        }]);
        publisher.set(show(1, "one"));
        publisher.settling().done().await;
        disk.fill();
        publisher.set(show(2, &"two".repeat(2_000)));
        publisher.settling().done().await;
        assert!(
            publisher.status()[0]
                .error
                .clone()
                .unwrap()
                .contains("free space there")
        );
        assert_eq!(publisher.status()[0].generation, Some(1));
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::read_dir(&disk.0).unwrap().count(), 2);
        fs::remove_file(disk.0.join("filler")).unwrap();
        until(|| publisher.status()[0].generation == Some(2)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_only_disk_is_named_as_such_and_heals() {
        let house = House::new();
        let Some(disk) = TinyDisk::mount(house.dir.path().join("tiny")) else {
            return;
        };
        let publisher = house.publisher(&[SinkConfig {
            path: disk.0.join("crm"),
            ..house.sink("crm")
        }]);
        disk.remount("ro");
        publisher.set(show(1, "one"));
        publisher.settling().done().await;
        assert!(
            publisher.status()[0]
                .error
                .clone()
                .unwrap()
                .contains("mount it writable")
        );
        disk.remount("rw");
        until(|| publisher.status()[0].generation == Some(1)).await;
    }

    #[tokio::test]
    async fn leftovers_and_stale_files_are_removed_and_their_absence_is_no_matter() {
        let house = House::new();
        let leftover = house.dir.path().join(".keepfresh-0123456789abcdef");
        fs::File::create(&leftover).unwrap();
        let stale = house.dir.path().join("old");
        fs::File::create(&stale).unwrap();
        for _ in 0..2 {
            sweep(&[house.dir.path().to_owned(), house.dir.path().join("absent")]);
            remove_stale(&stale);
            assert_eq!(fs::read_dir(house.dir.path()).unwrap().count(), 0);
        }
    }

    /// A publisher whose jobs the press takes at once.
    struct Publishing<'a> {
        publisher: Publisher,
        pool: &'a SinkPool,
    }

    impl Publishing<'_> {
        fn set(&self, wanted: Wanted) {
            self.pool.take(self.publisher.set(wanted));
        }

        async fn stop(self) {
            self.publisher.stop().await;
        }
    }

    impl std::ops::Deref for Publishing<'_> {
        type Target = Publisher;

        fn deref(&self) -> &Publisher {
            &self.publisher
        }
    }

    struct House {
        dir: TempDir,
        pool: SinkPool,
    }

    impl House {
        fn new() -> Self {
            let dir = TempDir::new().unwrap();
            let pool = SinkPool::start();
            Self { dir, pool }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join("tokens").join(name)
        }

        fn content(&self, name: &str) -> Option<String> {
            fs::read_to_string(self.path(name)).ok()
        }

        fn publisher(&self, sinks: &[SinkConfig]) -> Publishing<'_> {
            let tokens = self.dir.path().join("tokens").into();
            Publishing {
                publisher: Publisher::new(&"crm".into(), &sinks.into(), &tokens),
                pool: &self.pool,
            }
        }

        fn sink(&self, name: &str) -> SinkConfig {
            SinkConfig {
                path: self.path(name),
                format: Format::Token,
                mode: 0o640,
                owner: None,
                group: None,
                keep_on_loss: false,
                required: true,
            }
        }
    }

    /// A file system of 64 KiB, where this process may mount one.
    struct TinyDisk(PathBuf);

    impl TinyDisk {
        fn mount(path: PathBuf) -> Option<Self> {
            fs::create_dir(&path).unwrap();
            mount(&["-t", "tmpfs", "-o", "size=64k", "tmpfs"], &path).then_some(Self(path))
        }

        fn remount(&self, how: &str) {
            assert!(mount(&["-o", &format!("remount,{how}")], &self.0));
        }

        fn fill(&self) {
            let mut filler = fs::File::create(self.0.join("filler")).unwrap();
            while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
        }
    }

    impl Drop for TinyDisk {
        fn drop(&mut self) {
            std::process::Command::new("umount")
                .arg(&self.0)
                .status()
                .unwrap();
        }
    }

    fn mount(arguments: &[&str], path: &Path) -> bool {
        let output = std::process::Command::new("mount")
            .args(arguments)
            .arg(path)
            .output();
        output.is_ok_and(|output| output.status.success())
    }

    fn show(generation: u64, token: &str) -> Wanted {
        Wanted::Show(Arc::new(Published {
            session: "crm".into(),
            generation,
            token: Arc::new(Token {
                access_token: Secret::new(token),
                token_type: "Bearer".into(),
                instance_url: None,
                captures: Named::default(),
                issued_at: "2026-01-02T03:04:05Z".parse().unwrap(),
                expires_at: None,
            }),
            headers: Vec::new(),
            base: "https://acme.example".into(),
        }))
    }

    /// The clock is virtual: this passes as soon as the workers have had their turns.
    async fn until(condition: impl Fn() -> bool) {
        for _ in 0..600 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not within a minute");
    }
}
