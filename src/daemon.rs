//! The wiring of `keepfresh run`: load, bind, supervise, drain.

use std::panic::resume_unwind;
use std::path::PathBuf;

use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::api::server::Server;
use crate::atomic_file;
use crate::config::{self, Config, DaemonConfig};
use crate::descriptors::{keep_descriptors_from_children, missing_descriptors, raise_descriptors};
use crate::gateway;
use crate::hardening::harden;
use crate::logging::{self, LoggingError};
use crate::program;
use crate::scrape::{ScrapeError, Scrapers, keep_serving};
use crate::secret::Secret;
use crate::secret_source::{SecretError, SecretSource};
use crate::serve::BindError;
use crate::signals::Signals;
use crate::store::{Resealed, Store, StoreError};
use crate::supervisor::{Ears, Edge, StartError};
use crate::systemd::{self, Notifier};
use crate::threads::try_threads;

/// Questions of the socket that wait for the supervisor; beyond that their connections wait.
const ASKS: usize = 256;
/// Threads for files and secrets; a disk that hangs keeps some of them, not all.
const BLOCKING_THREADS: usize = 16;

/// Why the daemon ended before a signal ended it.
#[derive(Debug, Error)]
pub enum RunError {
    /// The config is wrong, as this says for people.
    #[error("{0}")]
    Config(String),
    /// There is no log.
    #[error(transparent)]
    Logging(#[from] LoggingError),
    /// The handlers of signals or the runtime could not be set up.
    #[error(transparent)]
    Unlogged(DaemonError),
    /// It could not begin to supervise, as the log says.
    #[error(transparent)]
    Logged(DaemonError),
}

/// Why the daemon ends before it has begun.
#[derive(Debug, Error)]
pub enum DaemonError {
    #[error(
        "create {path}: {error}; {}, or set runtime_dir to another", atomic_file::directory_remedy(.error)
    )]
    Directory {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("read daemon.state_key or daemon.state_key_old: {0}")]
    StateKey(#[from] SecretError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    Scrape(#[from] ScrapeError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("take over signals: {0}")]
    Signals(std::io::Error),
    #[error("take the socket that systemd passed: {0}")]
    PassedSocket(std::io::Error),
    #[error("start the runtime: {0}")]
    Runtime(std::io::Error),
    #[error(
        "start threads: {0}; raise TasksMax= of the service, pids of the container, or the user's limit (ulimit -u)"
    )]
    Threads(std::io::Error),
}

/// Runs the daemon of the config in `file`, or of the usual one, until a signal ends it; logs what `filter` lets through.
///
/// # Errors
/// When it cannot begin.
pub fn run(file: Option<PathBuf>, filter: &str) -> Result<(), RunError> {
    keep_descriptors_from_children();
    let unhardened = harden();
    raise_descriptors();
    // First of all: a signal that comes while the config is read must not end the process as if it had no handlers.
    let (runtime, signals) = listening().map_err(RunError::Unlogged)?;
    let file = file.unwrap_or_else(config::default_path);
    let mut config = config::load_to_run(&file, true).map_err(RunError::Config)?;
    logging::init(config.daemon.log, filter)?;
    if let Some((allowed, least)) = missing_descriptors() {
        tracing::warn!(
            event = "few_descriptors",
            allowed,
            least,
            "the limit of open files is so low that calls, files and clients wait for each other: raise LimitNOFILE= of the service"
        );
    }
    for problem in unhardened {
        tracing::debug!("could not {problem}");
    }
    program::withhold_from_children(config.secret_variables());
    for warning in &config.warnings {
        tracing::warn!(event = "config_warning", "{warning}");
    }
    // What `check` tries, and what was said: of no use to a daemon that runs.
    (config.needs, config.warnings) = (Vec::new(), Vec::new());
    serve(runtime, signals, config).map_err(|error| {
        tracing::error!(event = "failed", "failed to {error}");
        RunError::Logged(error)
    })
}

fn listening() -> Result<(Runtime, Signals), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(DaemonError::Runtime)?;
    let inside = runtime.enter();
    let signals = Signals::new().map_err(DaemonError::Signals)?;
    drop(inside);
    Ok((runtime, signals))
}

fn serve(runtime: Runtime, signals: Signals, config: Config) -> Result<(), DaemonError> {
    // Where there are too few, the first call or write would end in a panic.
    try_threads().map_err(DaemonError::Threads)?;
    // A task like those that ask it: between two tasks the runtime does not turn to the system, as it does for its root.
    let mut daemon = JoinSet::new();
    daemon.spawn_on(supervise(signals, config), runtime.handle());
    let served = runtime.block_on(daemon.join_next());
    // A disk that hangs must not keep the process from ending.
    runtime.shutdown_background();
    match served {
        Some(Ok(outcome)) => outcome,
        Some(Err(panicked)) => resume_unwind(panicked.into_panic()),
        None => Ok(()),
    }
}

async fn supervise(signals: Signals, config: Config) -> Result<(), DaemonError> {
    let notifier = Notifier::from_env();
    create_directories(&config)?;
    let store = open_store(&config.daemon).await?;
    let passed = systemd::passed_listener().map_err(DaemonError::PassedSocket)?;
    if passed.is_some() {
        tracing::info!(
            event = "socket_passed",
            "listening on systemd's socket; ignoring socket.path and socket.mode"
        );
    }
    let server = Server::bind(&config.socket.path, config.socket.mode, passed)?;
    let scrapers = match &config.metrics {
        Some(listen) => Some(Scrapers::bind(listen).await?),
        None => None,
    };
    tracing::info!(event = "starting", version = env!("CARGO_PKG_VERSION"), config = %config.file.display(), sessions = config.sessions.len(), "starting");
    let listen = config.metrics.clone();
    let (move_scrapers, moves) = mpsc::unbounded_channel();
    let supervisor = Edge::start(config, store, notifier, move_scrapers)?;
    let (asking, asks) = mpsc::channel(ASKS);
    let (stop, stopped) = watch::channel(());
    let mut tasks = JoinSet::new();
    tasks.spawn(keep_serving(listen, scrapers, asking.clone(), moves));
    tasks.spawn(gateway::serve(
        supervisor.gateways(),
        asking.clone(),
        ended(stopped.clone()),
    ));
    tasks.spawn(server.serve(asking, supervisor.guests(), ended(stopped)));
    supervisor.run(Ears { asks, signals }).await;
    drop(stop);
    while tasks.join_next().await.is_some() {}
    tracing::info!(event = "stopped", "stopped");
    Ok(())
}

/// The state, all of it under the key of today.
async fn open_store(config: &DaemonConfig) -> Result<Store, DaemonError> {
    let key = read_key(config.state_key.as_ref()).await?;
    let earlier = read_key(config.state_key_old.as_ref()).await?;
    let latest = config.runtime_dir.join("latest");
    let store = Store::open_with_earlier(
        &config.state_dir,
        key.as_ref(),
        earlier.as_ref(),
        Some(&latest),
    )?;
    let Resealed { written, failed } = store.reseal()?;
    for error in &failed {
        tracing::warn!(event = "state_not_resealed", %error, "cannot seal a record under the new key: keep state_key_old until it can");
    }
    if written > 0 {
        let sealed = key.is_some();
        tracing::info!(
            event = "state_resealed",
            records = written,
            sealed,
            "sealed the state anew"
        );
    }
    Ok(store)
}

async fn read_key(source: Option<&SecretSource>) -> Result<Option<Secret>, DaemonError> {
    match source {
        Some(source) => Ok(Some(source.read().await?)),
        None => Ok(None),
    }
}

/// Resolves when the sender is dropped.
async fn ended(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// The runtime directory and its `tokens` can be entered by everybody: the files in them say who may read.
fn create_directories(config: &Config) -> Result<(), DaemonError> {
    let runtime = &config.daemon.runtime_dir;
    for path in [runtime.clone(), runtime.join("tokens")] {
        atomic_file::create_directory(&path, 0o755)
            .map_err(|error| DaemonError::Directory { path, error })?;
    }
    Ok(())
}
