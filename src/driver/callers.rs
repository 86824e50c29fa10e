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
/// flight and for some that were given up, so there are more than the lanes let leave.
const BLOCKING_THREADS: usize = 320;

/// More hosts at once share: threads that all have something to do keep each other, and whoever reads a token, waiting.
const MOST: usize = 32;

/// A runtime takes four descriptors. All of them together may take an eighth, besides the calls' own.
const DESCRIPTORS_EACH: usize = 32;

/// A thread lives so long after its last call: the next one finds the connection open.
const LINGER: Duration = Duration::from_secs(2);

/// A thread with a runtime for each host that is called.
///
/// A server can be slow in ways that no time-out sees: interim answers without end, JSON without measure. The HTTP client
/// takes megabytes of that before anything else on its thread has a turn, so nobody shares a thread with a host that is
/// called, and the system divides the processors among them.
#[derive(Debug)]
pub(super) struct Callers {
    callers: Vec<Caller>,
    most: usize,
}

/// A thread with a runtime, until it is dropped.
#[derive(Debug)]
struct Caller {
    runtime: Handle,
    /// Those it was begun for, or took up because there were too many.
    hosts: BTreeSet<String>,
    /// Held by each errand, too.
    busy: Arc<()>,
    idle_since: Option<Instant>,
    /// Ends the thread when dropped.
    _end: oneshot::Sender<()>,
}

impl Callers {
    /// None yet; as many as that number of descriptors allows.
    pub(super) fn new(descriptors: usize) -> Self {
        Self {
            callers: Vec::new(),
            most: (descriptors / DESCRIPTORS_EACH).min(MOST),
        }
    }

    /// Has `errand` done on the thread of `host`, and its result given to `errands`.
    pub(super) fn spawn<T: Send + 'static>(
        &mut self,
        errands: &mut JoinSet<T>,
        host: &str,
        errand: impl Future<Output = T> + Send + 'static,
    ) -> AbortHandle {
        // Where there are too few descriptors, or the system gives no thread, who called this serves.
        let Some(caller) = self.of(host) else {
            return errands.spawn(errand);
        };
        let busy = Arc::clone(&caller.busy);
        // Not an async block, which would hold the errand twice.
        let errand = errand.inspect(move |_| drop(busy));
        errands.spawn_on(errand, &caller.runtime)
    }

    /// Lets threads end that have had no errand for a while.
    pub(super) fn sweep(&mut self, now: Instant) {
        for caller in &mut self.callers {
            let idle = caller.errands() == 0;
            caller.idle_since = idle.then(|| caller.idle_since.unwrap_or(now));
        }
        self.callers.retain(|caller| {
            caller
                .idle_since
                .is_none_or(|since| now.since(since) < LINGER)
        });
    }

    /// When the next [`Self::sweep`] will find a thread to end.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.callers
            .iter()
            .filter_map(|caller| caller.idle_since)
            .min()
            .map(|since| since.after(LINGER))
    }

    /// The host's own, or a new one, or the one with the fewest errands.
    fn of(&mut self, host: &str) -> Option<&Caller> {
        let own = self
            .callers
            .iter()
            .position(|caller| caller.hosts.contains(host));
        let place = own.or_else(|| self.begin()).or_else(|| self.least_busy())?;
        let caller = self.callers.get_mut(place)?;
        caller.idle_since = None;
        caller.hosts.insert(host.to_owned());
        Some(caller)
    }

    fn begin(&mut self) -> Option<usize> {
        let caller = if self.callers.len() < self.most {
            Caller::begin().ok()
        } else {
            None
        }?;
        self.callers.push(caller);
        self.callers.len().checked_sub(1)
    }

    fn least_busy(&self) -> Option<usize> {
        let numbered = self.callers.iter().enumerate();
        numbered
            .min_by_key(|(_, caller)| caller.errands())
            .map(|(place, _)| place)
    }
}

impl Caller {
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

/// Has `errand` done on a thread of its own, which ends with it, also where nobody waits for it any more; none when it
/// panicked.
pub(crate) async fn apart<T: Send + 'static>(
    errand: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (mut callers, mut errands) = (Callers::new(DESCRIPTORS_EACH), JoinSet::new());
    callers.spawn(&mut errands, "", errand);
    errands.join_next().await?.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{ThreadId, current};

    use super::*;

    #[tokio::test]
    async fn a_host_that_leaves_its_thread_no_moment_keeps_only_its_own_calls_waiting() {
        let (mut callers, mut errands) = (Callers::new(65_536), JoinSet::new());
        let (let_go, stuck) = mpsc::channel::<()>();
        callers.spawn(&mut errands, "stuck", async move {
            let _ = stuck.recv();
            "stuck"
        });
        callers.spawn(&mut errands, "stuck", async { "behind it" });
        callers.spawn(&mut errands, "sound", async { "sound" });
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
        let mut callers = Callers::new(65_536);
        let first = thread_of(&mut callers, "a").await;
        callers.sweep(at(0));
        assert_eq!(callers.wake(), Some(at(2000)));
        callers.sweep(at(1999));
        assert_eq!(thread_of(&mut callers, "a").await, first);
        assert_ne!(thread_of(&mut callers, "b").await, first);
        callers.sweep(at(5000));
        callers.sweep(at(7000));
        assert_eq!((callers.callers.len(), callers.wake()), (0, None));
        assert_ne!(thread_of(&mut callers, "a").await, first);
    }

    #[tokio::test]
    async fn a_thread_with_a_call_in_flight_does_not_end() {
        let (mut callers, mut errands) = (Callers::new(65_536), JoinSet::new());
        let hangs = callers.spawn(&mut errands, "hangs", std::future::pending::<()>());
        callers.sweep(at(0));
        callers.sweep(at(60_000));
        assert_eq!((callers.callers.len(), callers.wake()), (1, None));
        hangs.abort();
        assert!(
            errands
                .join_next()
                .await
                .unwrap()
                .unwrap_err()
                .is_cancelled()
        );
        callers.sweep(at(60_000));
        callers.sweep(at(62_000));
        assert_eq!(callers.callers.len(), 0);
    }

    #[tokio::test]
    async fn more_hosts_than_threads_share_the_least_busy() {
        for (descriptors, most) in [(31, 0), (64, 2), (1024, 32), (65_536, 32)] {
            let (mut callers, mut errands) = (Callers::new(descriptors), JoinSet::new());
            for host in 0..100 {
                callers.spawn(
                    &mut errands,
                    &host.to_string(),
                    std::future::pending::<()>(),
                );
            }
            let counts: Vec<_> = callers.callers.iter().map(Caller::errands).collect();
            assert_eq!(counts.len(), most, "{descriptors} descriptors");
            assert!(
                counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1,
                "{counts:?}"
            );
        }
    }

    async fn thread_of(callers: &mut Callers, host: &str) -> ThreadId {
        let mut errands = JoinSet::new();
        callers.spawn(&mut errands, host, async { current().id() });
        errands.join_next().await.unwrap().unwrap()
    }

    fn at(millis: i64) -> Instant {
        Instant::from_millis(millis)
    }
}
