//! The threads on which servers are called: one for each host, while it is called.

use std::collections::BTreeSet;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

use crate::time::Instant;

/// Threads for names, secrets and certificates of one host's calls. A resolver that hangs keeps one for each call in
/// flight and for some that were given up, so there are more than the queues let leave.
const BLOCKING_THREADS: usize = 320;

/// More hosts at once share: threads that all have something to do keep each other, and the readers of tokens, waiting.
const MOST: usize = 32;

/// A runtime takes four descriptors. All of them together may take an eighth, besides the calls' own.
const DESCRIPTORS_EACH: usize = 32;

/// A thread lives so long after its last call: the next one finds the connection open.
const LINGER: Duration = Duration::from_secs(2);

/// A thread with a runtime for each host that is called.
///
/// A server can be slow in ways that no time-out sees: interim answers without end, JSON without measure. The HTTP client
/// takes megabytes of that before anything else on its thread has a turn, so no host shares a thread with one that is
/// called, and the system divides the processors among them.
#[derive(Debug)]
pub(crate) struct HostThreads {
    threads: Vec<HostThread>,
    most: usize,
}

/// A thread with a runtime, until it is dropped.
#[derive(Debug)]
struct HostThread {
    runtime: Handle,
    /// Those it was begun for, or took up because there were too many.
    hosts: BTreeSet<String>,
    /// Held by each errand, too.
    busy: Arc<()>,
    idle_since: Option<Instant>,
    /// Ends the thread when dropped.
    _end: oneshot::Sender<()>,
}

impl HostThreads {
    /// None yet; as many as that number of descriptors allows.
    pub(crate) fn new(descriptors: usize) -> Self {
        Self {
            threads: Vec::new(),
            most: (descriptors / DESCRIPTORS_EACH).min(MOST),
        }
    }

    /// Has `errand` done on the thread of `host`, and its result given to `errands`.
    pub(crate) fn spawn<T: Send + 'static>(
        &mut self,
        errands: &mut JoinSet<T>,
        host: &str,
        errand: impl Future<Output = T> + Send + 'static,
    ) -> AbortHandle {
        // Where there are too few descriptors, or the system gives no thread, who called this serves.
        let Some(thread) = self.of(host) else {
            return errands.spawn(errand);
        };
        let busy = Arc::clone(&thread.busy);
        // Not an async block, which would hold the errand twice.
        let errand = errand.inspect(move |_| drop(busy));
        errands.spawn_on(errand, &thread.runtime)
    }

    /// Lets threads end that have had no errand for a while.
    pub(crate) fn sweep(&mut self, now: Instant) {
        for thread in &mut self.threads {
            let idle = thread.errands() == 0;
            thread.idle_since = idle.then(|| thread.idle_since.unwrap_or(now));
        }
        self.threads.retain(|thread| {
            thread
                .idle_since
                .is_none_or(|since| now.since(since) < LINGER)
        });
    }

    /// When the next [`Self::sweep`] will find a thread to end.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.threads
            .iter()
            .filter_map(|thread| thread.idle_since)
            .min()
            .map(|since| since.after(LINGER))
    }

    /// The host's own, or a new one, or the one with the fewest errands.
    fn of(&mut self, host: &str) -> Option<&HostThread> {
        let own = self
            .threads
            .iter()
            .position(|thread| thread.hosts.contains(host));
        let place = own.or_else(|| self.begin()).or_else(|| self.least_busy())?;
        let thread = self.threads.get_mut(place)?;
        thread.idle_since = None;
        thread.hosts.insert(host.to_owned());
        Some(thread)
    }

    fn begin(&mut self) -> Option<usize> {
        let thread = if self.threads.len() < self.most {
            HostThread::begin().ok()
        } else {
            None
        }?;
        self.threads.push(thread);
        self.threads.len().checked_sub(1)
    }

    fn least_busy(&self) -> Option<usize> {
        let numbered = self.threads.iter().enumerate();
        numbered
            .min_by_key(|(_, thread)| thread.errands())
            .map(|(place, _)| place)
    }
}

impl HostThread {
    fn begin() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_keep_alive(LINGER)
            .build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        // Without a thread to take it, a runtime must not just be dropped: that waits, and panics inside another one.
        let (give, given) = std::sync::mpsc::channel::<Runtime>();
        let started = std::thread::Builder::new()
            .name("calls".to_owned())
            .spawn(move || {
                let Ok(runtime) = given.recv() else { return };
                let _ = runtime.block_on(ended);
                // A name that is still looked up must not keep the thread from ending.
                runtime.shutdown_background();
            });
        if let Err(error) = started {
            runtime.shutdown_background();
            return Err(error);
        }
        if let Err(untaken) = give.send(runtime) {
            untaken.0.shutdown_background();
        }
        let hosts = BTreeSet::new();
        Ok(Self {
            runtime: handle,
            hosts,
            busy: Arc::default(),
            idle_since: None,
            _end: end,
        })
    }

    fn errands(&self) -> usize {
        Arc::strong_count(&self.busy).saturating_sub(1)
    }
}

/// Has `errand` done on a thread of its own, which ends with it, even if its result is no longer wanted; none when it
/// panicked.
pub(crate) async fn apart<T: Send + 'static>(
    errand: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (mut threads, mut errands) = (HostThreads::new(DESCRIPTORS_EACH), JoinSet::new());
    threads.spawn(&mut errands, "", errand);
    errands.join_next().await?.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{ThreadId, current};

    use super::*;

    #[tokio::test]
    async fn a_host_that_leaves_its_thread_no_moment_keeps_only_its_own_calls_waiting() {
        let (mut threads, mut errands) = (HostThreads::new(65_536), JoinSet::new());
        let (let_go, stuck) = mpsc::channel::<()>();
        threads.spawn(&mut errands, "stuck", async move {
            let _ = stuck.recv();
            "stuck"
        });
        threads.spawn(&mut errands, "stuck", async { "behind it" });
        threads.spawn(&mut errands, "sound", async { "sound" });
        assert_eq!(errands.join_next().await.unwrap().unwrap(), "sound");
        let_go.send(()).unwrap();
        let mut rest = [
            errands.join_next().await.unwrap().unwrap(),
            errands.join_next().await.unwrap().unwrap(),
        ];
        rest.sort_unstable();
        assert_eq!(rest, ["behind it", "stuck"]);
    }

    #[tokio::test]
    async fn a_host_finds_its_thread_again_for_two_seconds_and_then_it_has_ended() {
        let mut threads = HostThreads::new(65_536);
        let first = thread_of(&mut threads, "a").await;
        threads.sweep(at(0));
        assert_eq!(threads.wake(), Some(at(2000)));
        threads.sweep(at(1999));
        assert_eq!(thread_of(&mut threads, "a").await, first);
        assert_ne!(thread_of(&mut threads, "b").await, first);
        threads.sweep(at(5000));
        threads.sweep(at(7000));
        assert_eq!((threads.threads.len(), threads.wake()), (0, None));
        assert_ne!(thread_of(&mut threads, "a").await, first);
    }

    #[tokio::test]
    async fn a_thread_with_a_call_in_flight_does_not_end() {
        let (mut threads, mut errands) = (HostThreads::new(65_536), JoinSet::new());
        let hangs = threads.spawn(&mut errands, "hangs", std::future::pending::<()>());
        threads.sweep(at(0));
        threads.sweep(at(60_000));
        assert_eq!((threads.threads.len(), threads.wake()), (1, None));
        hangs.abort();
        assert!(
            errands
                .join_next()
                .await
                .unwrap()
                .unwrap_err()
                .is_cancelled()
        );
        threads.sweep(at(60_000));
        threads.sweep(at(62_000));
        assert_eq!(threads.threads.len(), 0);
    }

    #[tokio::test]
    async fn more_hosts_than_threads_share_the_least_busy() {
        for (descriptors, most) in [(31, 0), (64, 2), (1024, 32), (65_536, 32)] {
            let (mut threads, mut errands) = (HostThreads::new(descriptors), JoinSet::new());
            for host in 0..100 {
                threads.spawn(
                    &mut errands,
                    &host.to_string(),
                    std::future::pending::<()>(),
                );
            }
            let counts: Vec<_> = threads.threads.iter().map(HostThread::errands).collect();
            assert_eq!(counts.len(), most, "{descriptors} descriptors");
            assert!(
                counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1,
                "{counts:?}"
            );
        }
    }

    async fn thread_of(threads: &mut HostThreads, host: &str) -> ThreadId {
        let mut errands = JoinSet::new();
        threads.spawn(&mut errands, host, async { current().id() });
        errands.join_next().await.unwrap().unwrap()
    }

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }
}
