//! The worker of a published file without a file: a simulation says what comes of each attempt.

use std::path::PathBuf;
use std::sync::Arc;

use super::sink::{Shown, Sink};
use super::{Jobs, Publisher, Settling, Wanted};
use crate::atomic_file::Stamp;
use crate::token::Published;

/// The worker of one file.
pub(crate) struct Worker(Sink);

/// What it must try next.
pub(crate) struct Attempt {
    pub(crate) order: u64,
    pub(crate) wanted: Wanted,
}

impl Jobs {
    pub(crate) fn into_workers(self) -> Vec<Worker> {
        self.0.into_iter().map(Worker).collect()
    }
}

impl Worker {
    /// What to try now; none when the worker is at its end.
    pub(crate) fn next(&self, failed: bool) -> Option<Attempt> {
        let (order, _) = self.0.board().next(self.0.index(), failed)?;
        Some(Attempt {
            order: order.number,
            wanted: order.wanted,
        })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.sink().map(|sink| sink.path.clone()).unwrap()
    }

    pub(crate) fn keeps_on_loss(&self) -> bool {
        self.sink().is_some_and(|sink| sink.keep_on_loss)
    }

    fn sink(&self) -> Option<&super::SinkConfig> {
        self.0.board().configs.get(self.0.index())
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
            stamp: Stamp::simulated(attempt.order),
        });
        self.0
            .board()
            .report(self.0.index(), attempt.order, shown, error, true);
    }
}

impl Settling {
    /// Whether every sink has tried what was wanted then, or something later.
    pub(crate) fn is_done(&self) -> bool {
        let desk = self.board.desk();
        desk.sinks.iter().all(|sink| sink.tried >= self.order)
    }
}

impl Publisher {
    /// Has the workers end once they have tried what is wanted.
    pub(crate) fn close(&self) {
        self.board.close();
    }

    /// Whether no file has a worker.
    pub(crate) fn is_idle(&self) -> bool {
        self.board.desk().sinks.iter().all(|sink| !sink.busy)
    }
}
