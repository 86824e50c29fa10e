//! Errands under way, and the thread on which calls are made.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::Done;

/// Threads for names, secrets and certificates. A resolver that hangs keeps one for each call in flight and for some
/// that were given up, so there are more than the lanes let leave.
const BLOCKING_THREADS: usize = 128;

/// All errands of the supervisor.
///
/// Calls have a thread and a runtime of their own: a server can be slow in ways that no time-out sees (a mebibyte of
/// JSON, interim answers without end, a name that takes half a minute), and whoever reads a token must not wait for that,
/// nor must the disk.
#[derive(Debug)]
pub struct Work {
    errands: JoinSet<Done>,
    calls: Handle,
    /// Ends the thread when dropped.
    _end: oneshot::Sender<()>,
}

impl Work {
    /// No errand yet; begins the thread for calls.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        let calls = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("calls".to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            // A name that is still looked up must not keep the thread from ending.
            runtime.shutdown_background();
        })?;
        Ok(Self { errands: JoinSet::new(), calls, _end: end })
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.errands.is_empty()
    }

    /// What comes back next; none when nothing is under way.
    pub async fn join_next(&mut self) -> Option<Result<Done, JoinError>> {
        self.errands.join_next().await
    }

    /// An errand that only waits.
    pub(super) fn wait(&mut self, errand: impl Future<Output = Done> + Send + 'static) {
        self.errands.spawn(errand);
    }

    /// An errand that calls a server or reads what a call needs.
    pub(super) fn call(&mut self, errand: impl Future<Output = Done> + Send + 'static) -> AbortHandle {
        self.errands.spawn_on(errand, &self.calls)
    }

    /// An errand that writes.
    pub(super) fn write(&mut self, errand: impl FnOnce() -> Done + Send + 'static) {
        self.errands.spawn_blocking(errand);
    }
}
