//! What `keepfresh check --live` would say, kept apart from what this user may not look at.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use crate::cli::check::{self, live};
use crate::clock;
use crate::config::{self, Config, ConfigError, Need, Needed};
use crate::secret_source::SecretSource;
use crate::strangers;

/// The config, and what came of trying it.
pub(super) struct Examined {
    pub(super) file: PathBuf,
    /// None where it cannot be read or is wrong.
    pub(super) config: Option<Config>,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
    pub(super) hosts: Vec<live::Host>,
    /// What this user may not see, and as whom it can be seen.
    pub(super) not_seen: Vec<String>,
    /// Whether there is no file at all.
    pub(super) is_missing: bool,
}

impl Examined {
    /// Of the config in `file`, and of the hosts of one session or of all.
    pub(super) fn of(file: &Path, session: Option<&str>) -> Self {
        let mut examined = Self {
            file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            config: None,
            errors: Vec::new(),
            warnings: Vec::new(),
            hosts: Vec::new(),
            not_seen: Vec::new(),
            is_missing: false,
        };
        match std::fs::File::open(file) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                examined.not_seen.push(format!(
                    "the config {}, and the hosts that it names: run `sudo keepfresh doctor`",
                    examined.file.display()
                ));
                return examined;
            }
            Err(error) => examined.is_missing = error.kind() == ErrorKind::NotFound,
            Ok(_) => {}
        }
        match config::load(file) {
            Err(errors) => examined.errors = errors.list(),
            Ok(config) => examined.try_it(config, session),
        }
        examined
    }

    fn try_it(&mut self, config: Config, session: Option<&str>) {
        if let Some(user) = config.state_owner() {
            strangers::look_for(user);
        }
        let tried = check::examine(&config);
        let blind: Vec<&Need> = config
            .needs
            .iter()
            .filter(|need| is_closed(need, &config))
            .collect();
        self.errors = tried
            .errors
            .into_iter()
            .filter(|error| !blind.iter().any(|need| is_about(error, need)))
            .collect();
        self.warnings = tried.warnings;
        if !blind.is_empty() {
            let keys: Vec<&str> = blind.iter().map(|need| need.key.as_str()).collect();
            self.not_seen.push(format!(
                "whether the daemon can use what {} name: run `sudo keepfresh doctor`",
                keys.join(", ")
            ));
        }
        self.not_seen.extend(tried.not_checkable);
        let asked = config.sessions.values().filter(|known| {
            session.is_none_or(|name| &*known.name == name) && live::may_be_tried(&config, known)
        });
        match live::hosts(asked) {
            Ok(hosts) => self.hosts = hosts,
            Err(error) => self.not_seen.push(format!(
                "the hosts: no call can be made from here ({error})"
            )),
        }
        self.config = Some(config);
    }

    /// Whether the config has this session, as far as it can be read.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.config
            .as_ref()
            .is_none_or(|config| config.sessions.contains_key(name))
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let file = self.file.display();
        let mut lines = vec![match &self.config {
            Some(config) if self.errors.is_empty() => {
                format!("{file}: good, {}", count(config.sessions.len(), "session"))
            }
            Some(config) => format!(
                "{file}: can be read, {}; {}",
                count(config.sessions.len(), "session"),
                count(self.errors.len(), "error")
            ),
            None if self.is_missing => format!("{file}: there is no such file"),
            None if self.errors.is_empty() => format!("{file}: not seen"),
            None => format!("{file}: {}", count(self.errors.len(), "error")),
        }];
        for error in &self.errors {
            lines.push(format!(
                "error: {}:{}: {}; {}",
                error.file.display(),
                error.line,
                error.message,
                error.remedy
            ));
        }
        lines.extend(
            self.warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        lines
    }

    pub(super) fn host_lines(&self) -> Vec<String> {
        let now = clock::now().wall;
        let mut lines: Vec<String> = self.hosts.iter().map(|host| host.text(now)).collect();
        if lines.is_empty() {
            lines.push("none was tried".to_owned());
        }
        lines
    }
}

/// `1 error`, `2 errors`.
pub(super) fn count(number: usize, what: &str) -> String {
    if number == 1 {
        format!("1 {what}")
    } else {
        format!("{number} {what}s")
    }
}

/// Whether this user cannot try it for the daemon: its errors would be this user's own.
fn is_closed(need: &Need, config: &Config) -> bool {
    let denied = |path: &Path, how| access(path, how) == Err(Errno::ACCESS);
    let own = rustix::process::geteuid();
    match &need.what {
        Needed::Secret(SecretSource::File { path, .. })
        | Needed::PrivateKey(SecretSource::File { path, .. })
        | Needed::Certificates(path) => denied(path, Access::READ_OK),
        Needed::Directory(_) | Needed::Published { .. } => {
            !own.is_root() && config.state_owner() != Some(own.as_raw())
        }
        Needed::Secret(_) | Needed::PrivateKey(_) | Needed::Program(_) => false,
    }
}

fn is_about(error: &ConfigError, need: &Need) -> bool {
    error.message.starts_with(&format!("`{}`", need.key))
}
