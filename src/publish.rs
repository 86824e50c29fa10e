//! Published files: what a job reads is absent or whole, with the right owner and mode from its first visible instant.

pub mod format;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::token::Published;

/// One `[[sessions.NAME.publish]]`, checked and resolved.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SinkConfig {
    /// Absolute.
    pub path: PathBuf,
    pub format: Format,
    pub mode: u32,
    pub owner: Option<u32>,
    pub group: Option<u32>,
    /// `on_loss = "keep"`: the file stays when the token is known dead.
    pub keep_on_loss: bool,
    /// For `env`.
    pub env_prefix: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    Token,
    Json,
    Env,
    Header,
}

/// What a session's files should hold now; follows from the engine's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This generation.
    Show(Arc<Published>),
    /// Nothing: remove files, except sinks with `keep_on_loss`.
    Withdraw,
    /// The session is gone from the config, or its identity changed: remove every file.
    Remove,
}

/// What one sink last did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkStatus {
    pub path: PathBuf,
    /// The generation the file holds; none when it is absent.
    pub generation: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

/// The sinks of one session, each with a worker task of its own that retries by itself.
pub struct Publisher {}

impl Publisher {
    /// Starts the workers; must be called within the runtime.
    pub fn start(_sinks: &[SinkConfig]) -> Self {
        todo!()
    }
    /// Says what the files should hold. Returns at once.
    pub fn set(&self, _wanted: Wanted) {
        todo!()
    }
    /// Resolves when every sink has tried the latest `set` at least once (done or failed).
    pub async fn settled(&self) {
        todo!()
    }
    pub fn status(&self) -> Vec<SinkStatus> {
        todo!()
    }
    /// Lets the workers finish what is wanted (once each) and ends them.
    pub async fn stop(self) {
        todo!()
    }
}

/// Removes temporary files that an earlier run left in these directories.
pub fn sweep(_directories: &[PathBuf]) {
    todo!()
}

/// Removes a file that an earlier config published and this one does not.
pub fn remove_stale(_path: &Path) {
    todo!()
}
