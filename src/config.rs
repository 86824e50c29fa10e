//! The config: as written (serde), then checked; every error names file, line, key and remedy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::provider::RemoteConfig;
use crate::publish::SinkConfig;
use crate::secret::source::SecretSource;
use crate::session::policy::Policy;

/// The whole config, checked.
#[derive(Clone)]
pub struct Config {
    pub file: PathBuf,
    pub daemon: DaemonConfig,
    pub socket: SocketConfig,
    pub per_host_rate: f64,
    pub sessions: BTreeMap<String, Arc<SessionConfig>>,
    /// What is legal but likely not meant; said at start and by `check`.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    pub runtime_dir: PathBuf,
    pub state_dir: PathBuf,
    pub state_key: Option<SecretSource>,
    pub providers_dir: PathBuf,
    pub timezone: Option<String>,
    pub log: LogTarget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogTarget {
    Auto,
    Journald,
    Text,
    Json,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    pub path: PathBuf,
    pub mode: u32,
    pub admins: Vec<Principal>,
}

/// Somebody who may do something: `user:alice`, `group:ops`, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    User(u32),
    Group(u32),
}

/// One `[sessions.NAME]`, checked.
#[derive(Clone)]
pub struct SessionConfig {
    pub name: String,
    pub policy: Policy,
    pub remote: RemoteConfig,
    pub publish: Vec<SinkConfig>,
    /// Who may read the token over the socket; admins always may.
    pub access: Vec<Principal>,
    pub logout_on_removal: bool,
    pub logout_on_stop: bool,
}

/// Reads `file` and `conf.d/*.toml` beside it.
///
/// # Errors
/// All errors at once, each with file, line, key and remedy.
pub fn load(_file: &Path) -> Result<Config, ConfigErrors> {
    todo!()
}

/// Everything that is wrong with a config; `Display` renders all of it for a person.
#[derive(Debug)]
pub struct ConfigErrors {}

/// Where the config is when no `--config` is given.
pub fn default_path() -> PathBuf {
    todo!()
}

const _: fn(Duration) = |_| ();
