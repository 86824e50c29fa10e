//! The pool of workers, one for each published file that is not as wanted.

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::sink::Sink;

/// One task that owns the workers; ends them when dropped.
pub struct SinkPool {
    queue: mpsc::UnboundedSender<Sink>,
    _work: JoinSet<()>,
}

/// The files of one session that need a worker. No queue builds up: a sink that has one is not handed in again.
#[must_use = "nothing is written before the pool takes it"]
pub struct PendingSinks(pub(super) Vec<Sink>);

impl SinkPool {
    /// Must be called within the runtime.
    pub fn start() -> Self {
        let (pending, queue) = mpsc::unbounded_channel();
        let mut work = JoinSet::new();
        work.spawn(run(queue));
        Self {
            queue: pending,
            _work: work,
        }
    }

    /// Gives each of these files its worker.
    pub fn take(&self, pending: PendingSinks) {
        for sink in pending.0 {
            // Its task is there as long as this is.
            let _ = self.queue.send(sink);
        }
    }
}

impl PendingSinks {
    /// Whether nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

async fn run(mut queue: mpsc::UnboundedReceiver<Sink>) {
    let mut workers = JoinSet::new();
    loop {
        tokio::select! {
            Some(sink) = queue.recv() => drop(workers.spawn(sink.run())),
            Some(_) = workers.join_next(), if !workers.is_empty() => {}
            else => return,
        }
    }
}
