//! The worker of a published file without a file: a simulation says what comes of each attempt.

use std::path::PathBuf;
use std::sync::Arc;

use super::sink::{Shown, Sink};
use super::{PendingSinks, Publisher, Settling, Wanted};
use crate::atomic_file::Stamp;
use crate::token::Published;

/// The worker of one file.
pub(crate) struct Worker(Sink);

/// What it must try next.
pub(crate) struct Attempt {
    pub(crate) number: u64,
    pub(crate) wanted: Wanted,
}

impl PendingSinks {
    pub(crate) fn into_workers(self) -> Vec<Worker> {
        self.0.into_iter().map(Worker).collect()
    }
}

impl Worker {
    /// What to try now; none when the worker is at its end.
    pub(crate) fn next(&self, failed: bool) -> Option<Attempt> {
        let (desired, _) = self.0.states().next(self.0.index(), failed)?;
        Some(Attempt {
            number: desired.number,
            wanted: desired.wanted,
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.sink().map(|sink| sink.path.clone()).unwrap()
    }

    pub(crate) fn keeps_on_loss(&self) -> bool {
        self.sink().is_some_and(|sink| sink.keep_on_loss)
    }

    /// Whether the session has gone, or publishes elsewhere.
    pub(crate) fn is_replaced(&self) -> bool {
        self.0.states().lock().closed
    }

    fn sink(&self) -> Option<&super::SinkConfig> {
        self.0.states().configs.get(self.0.index())
    }

    /// What came of an attempt: what the file holds now, or why it could not be made so.
    pub(crate) fn report(
        &self,
        attempt: &Attempt,
        holds: Option<Arc<Published>>,
        error: Option<String>,
    ) {
        let shown = holds.map(|published| Shown {
            published,
            stamp: Stamp::simulated(attempt.number),
        });
        self.0
            .states()
            .report(self.0.index(), attempt.number, shown, error, true);
    }
}

impl Settling {
    /// Whether every sink has tried what was wanted then, or something later.
    pub(crate) fn is_done(&self) -> bool {
        let inner = self.states.lock();
        inner.sinks.iter().all(|sink| sink.tried >= self.number)
    }
}

impl Publisher {
    /// Has the workers end once they have tried what is wanted.
    pub(crate) fn close(&self) {
        self.states.close();
    }

    /// Whether no file has a worker.
    pub(crate) fn is_idle(&self) -> bool {
        self.states.lock().sinks.iter().all(|sink| !sink.busy)
    }
}
