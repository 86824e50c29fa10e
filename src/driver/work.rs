//! Errands under way.

use std::future::Future;

use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::Done;
use crate::host_threads::HostThreads;
use crate::time::Instant;

/// All errands of the supervisor.
///
/// Calls have threads of their own: a reader of a token must not wait for a server, nor must the disk.
#[derive(Debug)]
pub struct Work {
    errands: JoinSet<Done>,
    threads: HostThreads,
}

impl Work {
    /// No errand yet; so many descriptors may be open at once.
    pub fn begin(descriptors: usize) -> Self {
        Self {
            errands: JoinSet::new(),
            threads: HostThreads::new(descriptors),
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.errands.is_empty()
    }

    /// What comes back next; none when nothing is under way.
    pub async fn join_next(&mut self) -> Option<Result<Done, JoinError>> {
        self.errands.join_next().await
    }

    /// Lets threads end that have had no call for a while.
    pub fn sweep(&mut self, now: Instant) {
        self.threads.sweep(now);
    }

    /// When [`Self::sweep`] has something to do; as of the last time it was called.
    pub fn wake(&self) -> Option<Instant> {
        self.threads.wake()
    }

    /// An errand that only waits.
    pub(super) fn wait(&mut self, errand: impl Future<Output = Done> + Send + 'static) {
        self.errands.spawn(errand);
    }

    /// An errand that calls `host`.
    pub(super) fn call(
        &mut self,
        host: &str,
        errand: impl Future<Output = Done> + Send + 'static,
    ) -> AbortHandle {
        self.threads.spawn(&mut self.errands, host, errand)
    }

    /// An errand that reads secrets, for which programs may have to run.
    pub(super) fn read(&mut self, errand: impl Future<Output = Done> + Send + 'static) {
        // No host has this name.
        self.threads.spawn(&mut self.errands, "", errand);
    }

    /// An errand that writes.
    pub(super) fn write(&mut self, errand: impl FnOnce() -> Done + Send + 'static) {
        self.errands.spawn_blocking(errand);
    }
}
