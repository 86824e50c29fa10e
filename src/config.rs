//! The config: as written, then checked; every error names file, line, key and remedy, and all come at once.

pub mod certificates;
mod clashes;
mod daemon;
mod document;
pub(crate) mod example;
mod exposure;
mod gateway;
mod global;
mod hooks;
mod http;
mod keepalive;
mod keys;
mod login;
mod metrics;
mod paths;
mod places;
mod pool;
mod principals;
mod publish;
mod report;
pub(crate) mod schema;
mod secret;
mod session;
mod surroundings;
mod table;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::hooks::{AlertsConfig, HookConfig};
use crate::logging::LogTarget;
use crate::provider::RemoteConfig;
use crate::publish::SinkConfig;
use crate::schedule::Calendar;
use crate::secret_source::SecretSource;
use crate::session::policy::Policy;
use crate::users::{Principal, Subordinates};
use crate::usual_places;
use exposure::Refused;
pub use gateway::{Allow, GatewayConfig};

pub(crate) use keepalive::longest_ping_period;
pub use report::{ConfigError, ConfigErrors};
pub use surroundings::Surroundings;
pub(crate) use value::closest;

/// The whole config, checked.
#[derive(Clone)]
pub struct Config {
    /// The main file.
    pub file: PathBuf,
    /// `[daemon]`.
    pub daemon: DaemonConfig,
    /// `[socket]`.
    pub socket: SocketConfig,
    /// `[metrics]`: where scrapers are served, if anywhere.
    pub metrics: Option<MetricsListen>,
    /// `[alerts]`.
    pub alerts: AlertsConfig,
    /// Calls a second that one host may get.
    pub per_host_rate: f64,
    /// `[sessions.NAME]`, by name.
    pub sessions: BTreeMap<Arc<str>, Arc<SessionConfig>>,
    /// Whose numbers of users are whose.
    pub subordinates: Subordinates,
    /// The files and secrets that the config names, for `check` to try.
    pub needs: Vec<Need>,
    /// The main file and the fragments.
    pub files: Vec<PathBuf>,
    /// What is legal but likely not meant; said at start and by `check`.
    pub warnings: Vec<String>,
    /// Where root only looks: the daemon's user, if it could have written some of this. Then root runs no program that is
    /// named here, and reads no secret.
    pub written_by: Option<u32>,
}

impl Config {
    /// What strangers could change of all that the config names, looked up now, for a person to read. Root may check a
    /// config for another user: the one whose the state is.
    pub fn exposed(&self) -> Vec<String> {
        exposure::warnings(self, self.daemon_user(), Refused::SaidElsewhere)
    }

    /// Whose the state is, if there is one.
    pub fn state_owner(&self) -> Option<u32> {
        exposure::owner(&self.daemon.state_dir)
    }

    /// The user that the daemon runs as, as far as a check can know it.
    pub fn daemon_user(&self) -> u32 {
        exposure::presumed_user(&self.daemon.state_dir)
    }

    /// The environment variables that hold secrets.
    pub fn secret_variables(&self) -> impl Iterator<Item = String> {
        self.needs.iter().filter_map(|need| match &need.what {
            Needed::Secret(SecretSource::Env(name))
            | Needed::PrivateKey(SecretSource::Env(name)) => Some(name.clone()),
            Needed::Secret(_)
            | Needed::PrivateKey(_)
            | Needed::Certificates(_)
            | Needed::Program(_)
            | Needed::Directory(_)
            | Needed::Published { .. } => None,
        })
    }
}

/// `[daemon]`, with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Holds the socket and `tokens/`.
    pub runtime_dir: PathBuf,
    /// Holds the state files.
    pub state_dir: PathBuf,
    /// Seals the state files, when given.
    pub state_key: Option<SecretSource>,
    /// Opens state files that are not sealed with `state_key` yet, when given.
    pub state_key_old: Option<SecretSource>,
    /// Adds and overrides provider profiles.
    pub providers_dir: PathBuf,
    /// Whose clock the cron lines are about; the system's when none.
    pub timezone: Option<String>,
    /// Where logs go.
    pub log: LogTarget,
}

/// `[socket]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// Absolute.
    pub path: PathBuf,
    /// Permission bits of the socket.
    pub mode: u32,
    /// Who may order; root and the daemon's own user always may.
    pub admins: Vec<Principal>,
}

/// `metrics.listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsListen {
    /// An address and a port, and the names by which scrapers may ask besides its own.
    Address {
        /// Where.
        address: SocketAddr,
        /// Lower case, without a port.
        hosts: Vec<String>,
    },
    /// A socket, absolute.
    Unix(PathBuf),
}

/// One `[sessions.NAME]`, checked. Equal when a reload need not touch the session.
#[derive(Clone)]
pub struct SessionConfig {
    /// Its name.
    pub name: Arc<str>,
    /// Where its server is named; a session that only moved within its file is the same.
    pub written: Written,
    /// The engine's constants.
    pub policy: Arc<Policy>,
    /// The server and the login.
    pub remote: Arc<RemoteConfig>,
    /// Its files.
    pub publish: Arc<[SinkConfig]>,
    /// The programs that are told what happens to it.
    pub hooks: Box<[HookConfig]>,
    /// Who may read the token over the socket; admins always may.
    pub access: Box<[Principal]>,
    /// When its duties fall due.
    pub schedule: Arc<Calendar>,
    /// What its variables begin with, in `env` files.
    pub env_prefix: Arc<str>,
    /// Who answers for it: goes into alerts, hooks and events.
    pub owner: Option<Arc<str>>,
    /// Where it is written what to do: goes there too.
    pub runbook: Option<Arc<str>>,
    /// How jobs call its server without the token; none where they do not.
    pub gateway: Option<Arc<GatewayConfig>>,
    /// `logout_on = ["removal"]`.
    pub logout_on_removal: bool,
    /// `logout_on = ["stop"]`.
    pub logout_on_stop: bool,
    /// Whether T is the profile's default, since the config does not give it.
    pub idle_timeout_assumed: bool,
}

/// Where something is written in the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The main file or a fragment.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl PartialEq for SessionConfig {
    fn eq(&self, other: &Self) -> bool {
        // Each field is named: a reload would not notice a change of one that was forgotten here.
        let Self {
            name,
            written: _,
            policy,
            remote,
            publish,
            hooks,
            access,
            schedule,
            env_prefix,
            owner,
            runbook,
            gateway,
            logout_on_removal,
            logout_on_stop,
            idle_timeout_assumed,
        } = self;
        *name == other.name
            && *policy == other.policy
            && remotes_equal(remote, &other.remote)
            && *publish == other.publish
            && *hooks == other.hooks
            && *access == other.access
            && *schedule == other.schedule
            && *env_prefix == other.env_prefix
            && *owner == other.owner
            && *runbook == other.runbook
            && *gateway == other.gateway
            && *logout_on_removal == other.logout_on_removal
            && *logout_on_stop == other.logout_on_stop
            && *idle_timeout_assumed == other.idle_timeout_assumed
    }
}

fn remotes_equal(left: &RemoteConfig, right: &RemoteConfig) -> bool {
    let RemoteConfig {
        profile,
        url,
        grant,
        values,
        ping,
        http,
    } = left;
    profile.digest() == right.profile.digest()
        && *url == right.url
        && *grant == right.grant
        && *values == right.values
        && *ping == right.ping
        && *http == right.http
}

/// Something outside the config that it names.
#[derive(Clone, Debug)]
pub struct Need {
    /// The key that names it: `sessions.crm.login.private_key`.
    pub key: String,
    /// The file that the key is in.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What must be there.
    pub what: Needed,
}

/// What a [`Need`] is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// A secret that can be read.
    Secret(SecretSource),
    /// A private key in PEM that can be read.
    PrivateKey(SecretSource),
    /// A file with certificates in PEM.
    Certificates(PathBuf),
    /// A program that can be run, by path or name, with its arguments.
    Program(Vec<String>),
    /// A directory in which the daemon writes, or that it can make.
    Directory(PathBuf),
    /// A file that the daemon publishes.
    Published {
        /// Absolute.
        path: PathBuf,
        /// The daemon makes the directory if it is missing.
        makes_directory: bool,
        /// Whether the session counts as good only with this file.
        required: bool,
    },
}

/// Reads `file` and `conf.d/*.toml` beside it, to look at it; root does so for the user that the daemon runs as, and the
/// service's user for the service.
///
/// # Errors
/// All errors at once, each with file, line, key and remedy.
pub fn load(file: &Path) -> Result<Config, ConfigErrors> {
    let own = Surroundings::of_this_process().only_to_look();
    let is_the_services_user = exposure::owner(Path::new(usual_places::STATE_DIR)) == Some(own.uid);
    if is_the_services_user && file == Path::new(usual_places::CONFIG) {
        return load_in(file, &own.of_the_machine());
    }
    load_in(file, &own)
}

/// As [`load`], for a daemon that is to run by it: certificates that are missing stop it, secrets may still come.
///
/// # Errors
/// Everything that is wrong, for a person to read.
pub fn load_to_run(file: &Path, color: bool) -> Result<Config, String> {
    let loaded = load_in(file, &Surroundings::of_this_process());
    let mut config = loaded.map_err(|errors| errors.render(color))?;
    let errors = certificates::unusable(&config);
    if errors.is_empty() {
        config.warnings.extend(exposure::warnings(
            &config,
            rustix::process::geteuid().as_raw(),
            Refused::Said,
        ));
        return Ok(config);
    }
    Err(errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n\n"))
}

/// As [`load`], in a given environment.
///
/// # Errors
/// All errors at once, each with file, line, key and remedy.
pub fn load_in(file: &Path, surroundings: &Surroundings) -> Result<Config, ConfigErrors> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let found = document::find(&file, surroundings);
    let config = read_found(&file, &found, surroundings)?;
    Ok(Config {
        written_by: found.iter().find_map(|found| found.written_by),
        ..config
    })
}

fn read_found(
    file: &Path,
    found: &[document::Found],
    surroundings: &Surroundings,
) -> Result<Config, ConfigErrors> {
    let report = report::Report::default();
    let documents: Vec<_> = found
        .iter()
        .enumerate()
        .map(|(index, found)| found.parse(index, &report))
        .collect();
    let sources: Vec<_> = found
        .iter()
        .zip(&documents)
        .map(|(found, document)| found.quotable(document))
        .collect();
    let config = global::read(file, &sources, &documents, &report, surroundings);
    let warnings = report.finish(&documents, sources)?;
    Ok(Config {
        warnings,
        files: found.iter().map(|found| found.path.clone()).collect(),
        ..config
    })
}

/// A main file that holds `bytes`, for `crate::fuzz`.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let file = Path::new("/nonexistent/config.toml");
    let found = [document::Found::decoded(file, bytes.to_vec())];
    if let Err(errors) = read_found(file, &found, &Surroundings::of_this_process()) {
        assert!(
            errors.list().iter().all(|error| error.line > 0),
            "an error without a line"
        );
        assert!(!errors.render(false).is_empty());
    }
}

/// Where the config is when no `--config` is given: where `$KEEPFRESH_CONFIG` says, else the machine's, or with a user's
/// systemd the user's own.
pub fn default_path() -> PathBuf {
    if let Some(named) = std::env::var_os("KEEPFRESH_CONFIG").filter(|path| !path.is_empty()) {
        return named.into();
    }
    let surroundings = Surroundings::of_this_process();
    let system = PathBuf::from(usual_places::CONFIG);
    if surroundings.is_root() {
        return system;
    }
    let own = surroundings
        .xdg("XDG_CONFIG_HOME", ".config")
        .map(|home| home.join("keepfresh/config.toml"));
    own.filter(|own| own.exists() || !system.exists())
        .unwrap_or(system)
}

/// Whether a session may have this name.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn check_session_name(name: &str) -> Result<(), String> {
    value::session_name(name).map_err(|bad| format!("{name:?} {}; {}", bad.what, bad.remedy))
}

/// The zone that cron lines are read in: the named one, or the system's.
fn zone_named(name: Option<&str>) -> Result<TimeZone, jiff::Error> {
    name.map_or_else(|| Ok(TimeZone::system()), TimeZone::get)
}

#[cfg(test)]
mod tests;
