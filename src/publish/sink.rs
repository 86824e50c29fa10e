//! The worker of one published file: compares what is wanted with what is there, and makes it so.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::format::{self, FormatError};
use super::{Desired, SinkConfig, SinkStates, Wanted};
use crate::atomic_file::{self, Attributes, FileError, Stamp, Step};
use crate::token::Published;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Directories below the runtime directory let everybody pass: who may read a token is decided by the file's own mode.
const DIRECTORY_MODE: u32 = 0o755;

/// Which file, and where directories may be created for it.
pub(super) struct Target<'a> {
    pub(super) session: &'a str,
    pub(super) config: &'a SinkConfig,
    pub(super) tokens: &'a Path,
}

/// One file of a session.
pub(super) struct Sink {
    states: Arc<SinkStates>,
    index: usize,
}

/// What the file holds, as long as it bears this stamp.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) published: Arc<Published>,
    pub(super) stamp: Stamp,
}

/// What an attempt came to.
struct Outcome {
    shown: Option<Shown>,
    /// Whether the file was not as wanted before.
    changed: bool,
    problem: Option<Problem>,
}

struct Problem {
    text: String,
    /// Whether trying again may help.
    again: bool,
}

impl Sink {
    pub(super) fn new(states: Arc<SinkStates>, index: usize) -> Self {
        Self { states, index }
    }

    #[cfg(test)]
    pub(super) fn states(&self) -> &SinkStates {
        &self.states
    }

    #[cfg(test)]
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Runs until the file is as wanted, or the publisher is gone and what it wanted last was tried.
    pub(super) async fn run(self) {
        let mut pause = None;
        while let Some((desired, shown)) = self.states.next(self.index, pause.is_some()) {
            let number = desired.number;
            pause = self.attempt(desired, shown).await.then(|| longer(pause));
            if let Some(length) = pause
                && self.states.moves_on(number, length).await
            {
                pause = None;
            }
        }
    }

    /// Makes the file as desired and reports; says whether another try is due.
    async fn attempt(&self, desired: Desired, shown: Option<Shown>) -> bool {
        let states = Arc::clone(&self.states);
        let (index, number) = (self.index, desired.number);
        let work = tokio::task::spawn_blocking(move || {
            states
                .target(index)
                .map(|target| carry_out(&target, &desired.wanted, shown))
        });
        let outcome = match work.await {
            Ok(outcome) => outcome.unwrap_or_else(|| Outcome::done(None, false)),
            Err(error) => Outcome::failed(None, error.to_string()),
        };
        let again = outcome
            .problem
            .as_ref()
            .is_some_and(|problem| problem.again);
        self.report(number, outcome);
        again
    }

    fn report(&self, number: u64, outcome: Outcome) {
        let Some(target) = self.states.target(self.index) else {
            return;
        };
        let Outcome {
            shown,
            changed,
            problem,
        } = outcome;
        let error = problem.map(|problem| problem.text);
        let generation = shown.as_ref().map(|shown| shown.published.generation);
        let (session, path) = (target.session, target.config.path.display());
        let before = self
            .states
            .report(self.index, number, shown, error.clone(), changed);
        match (before, error) {
            (before, Some(error)) if before.as_ref() != Some(&error) => {
                tracing::warn!(session, event = "publish_failed", %path, error, "a published file is wrong");
            }
            (Some(_), None) => {
                tracing::info!(session, event = "publish_recovered", %path, generation, "a published file is right again");
            }
            (None, None) if changed && generation.is_some() => {
                tracing::info!(session, event = "published", %path, generation, "published");
            }
            (None, None) if changed => {
                tracing::info!(session, event = "withdrawn", %path, "withdrawn");
            }
            (None | Some(_), None | Some(_)) => {}
        }
    }
}

fn longer(pause: Option<Duration>) -> Duration {
    pause.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE))
}

/// Blocks on the disk.
fn carry_out(target: &Target<'_>, wanted: &Wanted, shown: Option<Shown>) -> Outcome {
    match wanted {
        Wanted::Show(published) => show(target, published, shown),
        Wanted::Withdraw if target.config.keep_on_loss => Outcome::done(shown, false),
        Wanted::Withdraw | Wanted::Remove => match atomic_file::remove(&target.config.path) {
            Ok(changed) => Outcome::done(None, changed),
            Err(error) => Outcome::failed(target.still(shown), error.to_string()),
        },
    }
}

fn show(target: &Target<'_>, published: &Arc<Published>, shown: Option<Shown>) -> Outcome {
    let shown = target.still(shown);
    if shown
        .as_ref()
        .is_some_and(|shown| shown.published == *published)
    {
        return Outcome::done(shown, false);
    }
    let bytes = match format::render(published, &target.config.format) {
        Ok(bytes) => bytes,
        Err(error) => return unfit(target, shown, &error),
    };
    let now_shown = |stamp| {
        Some(Shown {
            published: Arc::clone(published),
            stamp,
        })
    };
    if let Some(stamp) = atomic_file::matching(&target.config.path, &bytes, target.attributes()) {
        return Outcome::done(now_shown(stamp), false);
    }
    match target.replace(&bytes) {
        Ok(stamp) => Outcome::done(now_shown(stamp), true),
        Err(error) => Outcome::failed(shown, error.to_string()),
    }
}

/// The token before this one is superseded: better no file than one that leads a job astray.
fn unfit(target: &Target<'_>, shown: Option<Shown>, error: &FormatError) -> Outcome {
    let withdrawn = carry_out(target, &Wanted::Withdraw, shown);
    let problem = match withdrawn.problem {
        None => Problem {
            text: error.to_string(),
            again: false,
        },
        Some(also) => Problem {
            text: format!("{error}; and failed to {}", also.text),
            again: also.again,
        },
    };
    Outcome {
        problem: Some(problem),
        ..withdrawn
    }
}

impl Outcome {
    fn done(shown: Option<Shown>, changed: bool) -> Self {
        Self {
            shown,
            changed,
            problem: None,
        }
    }

    fn failed(shown: Option<Shown>, text: String) -> Self {
        Self {
            shown,
            changed: false,
            problem: Some(Problem { text, again: true }),
        }
    }
}

impl Target<'_> {
    fn attributes(&self) -> Attributes {
        Attributes {
            mode: self.config.mode,
            owner: self.config.owner,
            group: self.config.group,
        }
    }

    /// What is known of the file, unless it was touched since.
    fn still(&self, shown: Option<Shown>) -> Option<Shown> {
        shown.filter(|shown| atomic_file::stamp(&self.config.path) == Some(shown.stamp))
    }

    fn replace(&self, bytes: &[u8]) -> Result<Stamp, FileError> {
        match atomic_file::replace(&self.config.path, bytes, self.attributes()) {
            Err(error) if self.may_create_directory(&error) => {
                self.create_directory()?;
                atomic_file::replace(&self.config.path, bytes, self.attributes())
            }
            replaced => replaced,
        }
    }

    /// Elsewhere a missing directory may be a disk that is not mounted yet, and must not be made up.
    fn may_create_directory(&self, error: &FileError) -> bool {
        error.step == Step::OpenDirectory
            && error.error.kind() == io::ErrorKind::NotFound
            && self.config.path.starts_with(self.tokens)
    }

    fn create_directory(&self) -> Result<(), FileError> {
        let path = self.config.path.parent().unwrap_or(self.tokens);
        atomic_file::create_directory(path, DIRECTORY_MODE).map_err(|error| FileError {
            path: self.config.path.clone(),
            step: Step::OpenDirectory,
            error,
        })
    }
}
