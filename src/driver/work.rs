//! Errands under way, and the threads on which calls are made.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::Done;

/// Threads for names, secrets and certificates. A resolver that hangs keeps one for each call in flight and for some
/// that were given up, so there are more than the lanes let leave.
const BLOCKING_THREADS: usize = 320;

/// All errands of the supervisor.
///
/// Calls have a thread and a runtime of their own: a server can be slow in ways that no time-out sees (JSON without
/// measure, interim answers without end, a name that takes half a minute), and whoever reads a token must not wait for
/// that, nor must the disk. For the same reason servers that gave no usable answer the last time share a second thread,
/// which begins with the first of them: a sound one waits for no flood but the first.
#[derive(Debug)]
pub struct Work {
    errands: JoinSet<Done>,
    calls: Caller,
    calls_in_doubt: Option<Caller>,
}

/// A thread with a runtime, until it is dropped.
#[derive(Debug)]
struct Caller {
    runtime: Handle,
    /// Ends the thread when dropped.
    _end: oneshot::Sender<()>,
}

/// What is known of the server that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// Nothing, or that it answers.
    Sound,
    /// That its last answer could not be used.
    InDoubt,
}

impl Work {
    /// No errand yet; begins the thread for calls.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn begin() -> io::Result<Self> {
        Ok(Self { errands: JoinSet::new(), calls: Caller::begin("calls")?, calls_in_doubt: None })
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
    pub(super) fn call(&mut self, server: Server, errand: impl Future<Output = Done> + Send + 'static) -> AbortHandle {
        if server == Server::InDoubt && self.calls_in_doubt.is_none() {
            // Where the system gives no second thread, the first one serves all.
            self.calls_in_doubt = Caller::begin("calls in doubt").ok();
        }
        let caller = self.calls_in_doubt.as_ref().filter(|_| server == Server::InDoubt).unwrap_or(&self.calls);
        self.errands.spawn_on(errand, &caller.runtime)
    }

    /// An errand that writes.
    pub(super) fn write(&mut self, errand: impl FnOnce() -> Done + Send + 'static) {
        self.errands.spawn_blocking(errand);
    }
}

impl Caller {
    fn begin(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _ = runtime.block_on(ended);
            // A name that is still looked up must not keep the thread from ending.
            runtime.shutdown_background();
        })?;
        Ok(Self { runtime: handle, _end: end })
    }
}
