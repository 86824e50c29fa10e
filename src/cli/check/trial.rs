//! Tries what the config names: secrets, keys, certificates and directories, as the user who runs the check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::atomic_file;
use crate::config::{Config, ConfigError, Need, Needed, certificates};
use crate::hooks::Address;
use crate::plain_file;
use crate::program;
use crate::provider::{Clients, NoKey, check_address, private_key};
use crate::secret::Secret;
use crate::secret_source::SecretSource;
use crate::store;
use crate::strangers::{Trusted, Who};
use crate::users::{self, Kind};

/// What came of it.
pub(super) struct Trial {
    pub(super) errors: Vec<ConfigError>,
    /// What a start will do that may not be meant.
    pub(super) warnings: Vec<String>,
    /// What only the service itself can read.
    pub(super) not_checkable: Vec<String>,
}

/// Reads every secret, key and certificate, and looks at every directory.
pub(super) fn try_everything(config: &Config) -> Trial {
    let mut trial = Trial {
        errors: Vec::new(),
        warnings: Vec::new(),
        not_checkable: Vec::new(),
    };
    match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime.block_on(async {
            trial.try_needs(config).await;
            if config.written_by.is_none() {
                trial.try_receivers(config).await;
                trial.try_state(config).await;
                trial.try_sessions(config).await;
            }
        }),
        Err(error) => trial.errors.push(about_file(
            config,
            format!("start reading secrets: {error}"),
        )),
    }
    trial
}

impl Trial {
    async fn try_needs(&mut self, config: &Config) {
        let mut tried_directories = BTreeSet::new();
        for need in &config.needs {
            let tried = match &need.what {
                Needed::Secret(source) | Needed::PrivateKey(source)
                    if others_matter(source, config).is_some() =>
                {
                    let user = others_matter(source, config).unwrap_or_default();
                    let user = users::named(Kind::User, user);
                    let way =
                        format!("run `keepfresh check` as the user {user}, who could change it");
                    self.not_checkable
                        .push(format!("{} ({}; {way})", need.key, source.describe()));
                    Ok(())
                }
                Needed::Secret(source) | Needed::PrivateKey(source) if source.only_in_service() => {
                    self.not_checkable
                        .push(format!("{} ({})", need.key, source.describe()));
                    Ok(())
                }
                Needed::Secret(source) => {
                    let parameter = need.key.rsplit('.').next().unwrap_or_default();
                    match source.read_parameter(parameter).await {
                        Ok(secret) => usable_secret(&need.key, &secret),
                        Err(error) => Err(error.to_string()),
                    }
                }
                Needed::PrivateKey(source) => try_key(source).await,
                Needed::Certificates(path) => certificates::usable(path),
                Needed::Program(argv) => runnable(argv),
                Needed::Directory(path) if tried_directories.insert(path) => {
                    usable(path, need.key == "daemon.state_dir")
                }
                Needed::Directory(_) => Ok(()),
                Needed::Published {
                    path,
                    makes_directory,
                    required,
                } => {
                    let tried = publishable(path, *makes_directory);
                    if *required {
                        tried
                    } else {
                        self.only_warn(&need.key, tried)
                    }
                }
            };
            if let Err(message) = tried {
                self.errors.push(ConfigError::about(need, &message));
            }
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "what was tried goes on as what was tried"
    )]
    fn only_warn(&mut self, key: &str, tried: Result<(), String>) -> Result<(), String> {
        self.warnings.extend(
            tried
                .err()
                .map(|message| format!("{key}: cannot {message}")),
        );
        Ok(())
    }

    /// Whether what is there for the URL of a webhook is one: an alert would find out too late.
    async fn try_receivers(&mut self, config: &Config) {
        for webhook in &config.alerts.webhooks {
            let Address::Secret(source) = &webhook.url else {
                continue;
            };
            // What cannot be read was said.
            let Ok(url) = source.read().await else {
                continue;
            };
            let Err(problem) = check_address(url.expose(), webhook.http.allow_plain_http) else {
                continue;
            };
            let message = format!("use {}: {problem}", source.describe());
            let names_it = |need: &&Need| {
                need.key == "alerts.webhook.url" && need.what == Needed::Secret(source.clone())
            };
            self.errors.push(match config.needs.iter().find(names_it) {
                Some(need) => ConfigError::about(need, &message),
                None => about_file(config, message),
            });
        }
    }

    /// Whether the state that is there opens, where this user may look at it and at the keys.
    async fn try_state(&mut self, config: &Config) {
        let daemon = &config.daemon;
        let (Some(key), Some(earlier)) = (
            had(daemon.state_key.as_ref()).await,
            had(daemon.state_key_old.as_ref()).await,
        ) else {
            return;
        };
        match store::opens(&daemon.state_dir, key.as_ref(), earlier.as_ref()) {
            Ok(plain) => self
                .warnings
                .extend(plain.iter().map(|path| set_aside(path))),
            Err(error) => {
                let need = config
                    .needs
                    .iter()
                    .find(|need| need.key == "daemon.state_key");
                let message = error.to_string();
                self.errors.push(match need {
                    Some(need) => ConfigError::about(need, &message),
                    None => about_file(config, message),
                });
            }
        }
    }

    /// Where what a key names is missing, there is no more to be said of it.
    async fn try_sessions(&mut self, config: &Config) {
        let clients = Clients::default();
        for session in config.sessions.values() {
            for problem in session.remote.dry_run(&clients).await {
                let key = format!("sessions.{}.{}", session.name, problem.key);
                let named = format!("`{key}`");
                let global = format!("`{}`", problem.key);
                if self
                    .errors
                    .iter()
                    .any(|error| error.message.starts_with(&global))
                {
                    continue;
                }
                if self
                    .errors
                    .iter()
                    .any(|error| error.message.starts_with(&named))
                {
                    continue;
                }
                let message = format!("use it; {}", problem.message);
                self.errors
                    .push(match config.needs.iter().find(|need| need.key == key) {
                        Some(need) => ConfigError::about(need, &message),
                        None => about_file(config, format!("use {named}: {}", problem.message)),
                    });
            }
        }
    }
}

fn set_aside(path: &Path) -> String {
    format!(
        "{}: it is plain among sealed records, so the next start believes nothing of it and sets it aside as *.damaged-N; if it is yours, unseal the state first (docs/security.md), put it there, and seal again",
        path.display()
    )
}

/// The key that the config names, if any; nothing at all where it cannot be had here, which is said elsewhere.
async fn had(source: Option<&SecretSource>) -> Option<Option<Secret>> {
    let Some(source) = source else {
        return Some(None);
    };
    let secret = source.read().await.ok()?;
    store::usable_key("it", &secret)
        .is_ok()
        .then_some(Some(secret))
}

/// A state's key must be long enough, as the start will demand; of others only the server knows.
fn usable_secret(key: &str, secret: &Secret) -> Result<(), String> {
    let is_state_key = matches!(key, "daemon.state_key" | "daemon.state_key_old");
    if is_state_key {
        store::usable_key("it", secret).map_err(|error| error.to_string())
    } else {
        Ok(())
    }
}

async fn try_key(source: &SecretSource) -> Result<(), String> {
    let key = source.read().await.map_err(|error| error.to_string())?;
    // What it is comes before the colon, what to do behind it.
    let told = |why: NoKey| {
        format!(
            "use {}: the private key {}",
            source.describe(),
            why.to_string().replacen(": ", "; ", 1)
        )
    };
    private_key(key.expose()).map(drop).map_err(told)
}

/// The user as whom a secret must be looked at: root neither runs nor reads by the word of another user.
fn others_matter(source: &SecretSource, config: &Config) -> Option<u32> {
    let command = match source {
        SecretSource::Command(argv) => program::found(argv, None, &Trusted::to_run()).err(),
        SecretSource::File { .. } | SecretSource::Credential(_) | SecretSource::Env(_) => None,
    };
    let user = config.daemon_user();
    let of_daemon_user = command.is_some_and(|reach| reach.finding.who == Who::User(user));
    config.written_by.or(Some(user).filter(|_| of_daemon_user))
}

/// Whether there is such a program, the user who runs the check may run it, and no stranger has a hand in it.
fn runnable(argv: &[String]) -> Result<(), String> {
    let name = argv.first().map(String::as_str).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = if name.contains('/') {
        vec![PathBuf::from(name)]
    } else {
        std::env::split_paths(&path)
            .map(|directory| directory.join(name))
            .collect()
    };
    let Some(found) = places.into_iter().find(|place| place.is_file()) else {
        return Err(format!(
            "run {name}: there is no such program; install it, or name another one"
        ));
    };
    access(&found, Access::EXEC_OK).map_err(|error| {
        format!(
            "run {}: {error}; let the daemon's user execute it",
            found.display()
        )
    })?;
    let trusted = program::found(argv, None, &Trusted::of_this_process());
    trusted.map(drop).map_err(|reach| {
        let (file, finding) = (reach.file.display(), &reach.finding);
        format!("run {file}: it {finding}; {}", finding.remedy())
    })
}

/// Whether the directory is there and can be written, or can be made.
fn usable(directory: &Path, is_state: bool) -> Result<(), String> {
    let shown = directory.display();
    let Some(existing) = directory.ancestors().find(|path| path.exists()) else {
        return Err(format!(
            "use the directory {shown}: not even its first part exists"
        ));
    };
    let everybody = existing == directory
        && existing
            .metadata()
            .is_ok_and(|found| plain_file::is_open_to_all(&found))
        && is_state;
    if everybody {
        return Err(format!(
            "use the state directory {shown}: everybody may write there; chmod 0700 it or set another state_dir"
        ));
    }
    if !existing.is_dir() {
        return Err(format!(
            "use the directory {shown}: {} is no directory; move it away",
            existing.display()
        ));
    }
    access(existing, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        format!(
            "write below {}: {error}; let the daemon's user write there ({shown})",
            existing.display()
        )
    })
}

/// Whether the daemon could put its file there. Elsewhere than below its own directory it makes no directories: one that is
/// missing may be a disk that is not mounted yet.
fn publishable(path: &Path, makes_directory: bool) -> Result<(), String> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    if makes_directory || parent.exists() {
        usable(parent, false)?;
    }
    if makes_directory && !parent.exists() {
        return Ok(());
    }
    atomic_file::has_room_at(path).map_err(|error| error.to_string())
}

/// What no single key is to blame for.
fn about_file(config: &Config, message: String) -> ConfigError {
    let (message, remedy) = match message.split_once("; ") {
        Some((message, remedy)) => (message.to_owned(), remedy.to_owned()),
        None => (message, "correct it, or name another place".to_owned()),
    };
    ConfigError {
        file: config.file.clone(),
        line: 1,
        column: 1,
        message: format!("cannot {message}"),
        remedy,
    }
}
