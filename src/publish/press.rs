//! Owns the workers of all sessions' files.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::sink::Sink;

/// One task that owns the workers; ends them when dropped.
pub struct Press {
    jobs: mpsc::UnboundedSender<Sink>,
    tokens: Arc<Path>,
    _work: JoinSet<()>,
}

/// Where a publisher hands in what is to be done. No queue builds up: a sink that has a worker is not handed in again.
pub(super) struct Jobs(mpsc::UnboundedSender<Sink>);

impl Press {
    /// Must be called within the runtime. Below `tokens`, and only there, workers create missing directories.
    pub fn start(tokens: &Path) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let mut work = JoinSet::new();
        work.spawn(run(queue));
        Self {
            jobs,
            tokens: tokens.into(),
            _work: work,
        }
    }

    pub(super) fn tokens(&self) -> Arc<Path> {
        Arc::clone(&self.tokens)
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
