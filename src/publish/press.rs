//! Owns the workers of all sessions' files.

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::sink::Sink;

/// One task that owns the workers; ends them when dropped.
pub struct Press {
    jobs: mpsc::UnboundedSender<Sink>,
    _work: JoinSet<()>,
}

/// Where a publisher hands in what is to be done. No queue builds up: a sink that has a worker is not handed in again.
pub(super) struct Jobs(mpsc::UnboundedSender<Sink>);

impl Press {
    /// Must be called within the runtime.
    pub fn start() -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let mut work = JoinSet::new();
        work.spawn(run(queue));
        Self { jobs, _work: work }
    }

    pub(super) fn jobs(&self) -> Jobs {
        Jobs(self.jobs.clone())
    }
}

impl Jobs {
    /// Without a press there is nobody left to publish for.
    pub(super) fn take(&self, sink: Sink) {
        let _ = self.0.send(sink);
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
