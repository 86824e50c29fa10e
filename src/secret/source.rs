//! Where a secret comes from: a file, a systemd credential, the environment, or a command's output.

use std::path::PathBuf;

use thiserror::Error;

use super::Secret;

/// A secret as the config names it; the config never holds the secret itself.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// `{ file = "path" }`: refused when others can read it, unless `insecure_mode`.
    File {
        /// An absolute path.
        path: PathBuf,
        /// Accept a file that others can read, as containers need.
        insecure_mode: bool,
    },
    /// `{ credential = "name" }`: below `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// `{ env = "NAME" }`.
    Env(String),
    /// `{ command = ["pass", "show", "crm"] }`: what it prints, less one trailing newline.
    Command(Vec<String>),
}

/// Why a secret could not be had; names the place and the remedy, never the value.
#[derive(Debug, Error)]
pub enum SecretError {}

impl SecretSource {
    /// Reads the secret anew.
    ///
    /// # Errors
    /// Says which source failed and what to do.
    pub async fn read(&self) -> Result<Secret, SecretError> {
        todo!()
    }
}
