//! A session's record on its way to the disk, and what a restart must find in it beside the state.

use std::path::PathBuf;

use crate::atomic_file::Stamp;
use crate::supervisor::saver::Saver;
use crate::time::Instant;

/// How far the disk has come with the record of one session.
#[derive(Debug)]
pub(in crate::supervisor) struct SessionRecord {
    saver: Saver,
    /// Files that it had before a reload and that are not removed yet: a daemon that starts after a kill must know them.
    former_files: Vec<PathBuf>,
    /// Its file as it was written last.
    written: Option<Stamp>,
}

impl SessionRecord {
    /// A record as it was found, of a session that takes the place of one with these files.
    pub(in crate::supervisor) fn found(
        written: Option<Stamp>,
        files_of_predecessor: Vec<PathBuf>,
    ) -> Self {
        Self {
            saver: Saver::default(),
            former_files: files_of_predecessor,
            written,
        }
    }

    /// What it says has changed.
    pub(in crate::supervisor) fn want(&mut self) {
        self.saver.want();
    }

    /// Whether a write is to begin now; counts it as under way.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        self.saver.begin(now).is_some()
    }

    /// The write under way came to its end.
    pub(super) fn finished(&mut self, session: &str, now: Instant, written: Result<Stamp, String>) {
        self.written = written.as_ref().ok().copied();
        let problem = written.err();
        match (&problem, &self.saver.problem) {
            (Some(problem), None) => {
                tracing::error!(session, event = "unpersisted", %problem, "cannot write the state; going on from memory");
            }
            (None, Some(_)) => {
                tracing::info!(session, event = "persisted", "the state is written again");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.saver.finished(now, problem);
    }

    /// How far the disk is.
    pub(super) fn saver(&self) -> &Saver {
        &self.saver
    }

    /// The latest version was tried, or the disk hangs.
    pub(in crate::supervisor) fn is_level(&self, now: Instant) -> bool {
        self.saver.is_level(now)
    }

    /// Nothing is under way and nothing is wanted.
    pub(in crate::supervisor) fn is_idle(&self) -> bool {
        self.saver.is_idle()
    }

    /// This run has written it.
    #[cfg(test)]
    pub(in crate::supervisor) fn has_been_written(&self) -> bool {
        self.saver.has_written(1)
    }

    /// Why the last attempt failed, until one succeeds.
    pub(in crate::supervisor) fn problem(&self) -> Option<&str> {
        self.saver.problem.as_deref()
    }

    /// Its file as it was written last.
    pub(in crate::supervisor) fn written(&self) -> Option<Stamp> {
        self.written
    }

    /// Files of before that are not removed yet.
    pub(in crate::supervisor) fn former_files(&self) -> &[PathBuf] {
        &self.former_files
    }

    /// The session had these files until now.
    pub(super) fn had_files(&mut self, files: impl Iterator<Item = PathBuf>) {
        self.former_files.extend(files);
    }

    /// These files are removed.
    pub(in crate::supervisor) fn forget_files(&mut self, removed: &[PathBuf]) {
        self.former_files.retain(|path| !removed.contains(path));
    }
}
