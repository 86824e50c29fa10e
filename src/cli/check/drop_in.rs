//! What the hardened systemd unit must be given for a config: groups, directories, a capability, credentials.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::{Config, Need, Needed};
use crate::name_service::resolve;
use crate::secret_source::SecretSource;
use crate::users::{Kind, name_of};
use crate::usual_places;

/// What `ProtectHome=` of the unit hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What `PrivateTmp=` replaces.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// What the drop-in of a config must give to the unit.
#[derive(Clone)]
pub(super) struct DropIn {
    /// By name where they have one. A process may give a file only to groups that it is in.
    pub(super) groups: BTreeSet<(String, u32)>,
    /// To write in. The unit lets the daemon write below its own directories only.
    pub(super) directories: BTreeSet<PathBuf>,
    /// Only a process with `CAP_CHOWN` may give a file to another user.
    pub(super) gives_files_away: bool,
    /// Those that the config names.
    pub(super) credentials: BTreeSet<String>,
}

impl DropIn {
    /// None where the unit is enough as it is shipped.
    pub(super) fn needed_by(config: &Config) -> Option<Self> {
        let needed = Self {
            groups: groups(config),
            directories: directories(config),
            gives_files_away: owners_are_foreign(config),
            credentials: config
                .needs
                .iter()
                .filter_map(credential)
                .map(str::to_owned)
                .collect(),
        };
        (!needed.is_empty()).then_some(needed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
            && self.directories.is_empty()
            && !self.gives_files_away
            && self.credentials.is_empty()
    }

    /// The file's lines.
    pub(super) fn text(&self) -> String {
        let mut text = "[Service]\n".to_owned();
        if !self.groups.is_empty() {
            let names: Vec<&str> = self.groups.iter().map(|(name, _)| &**name).collect();
            let _ = writeln!(text, "SupplementaryGroups={}", names.join(" "));
        }
        let (hidden, seen): (Vec<_>, Vec<_>) =
            self.directories.iter().partition(|path| is_hidden(path));
        if hidden.iter().any(|path| is_below(path, &HOMES)) {
            text.push_str("ProtectHome=tmpfs\n");
        }
        for directory in hidden {
            let _ = writeln!(text, "BindPaths={}", word(directory));
        }
        for directory in seen {
            let _ = writeln!(text, "ReadWritePaths={}", word(directory));
        }
        if self.gives_files_away {
            text.push_str("AmbientCapabilities=CAP_CHOWN\nCapabilityBoundingSet=CAP_CHOWN\n");
        }
        for name in &self.credentials {
            let credential = format!("{name}:{}", credential_file(name).display());
            let _ = writeln!(text, "LoadCredential={}", without_specifiers(&credential));
        }
        text
    }
}

/// One word of a setting: systemd splits them at blanks, and pairs of paths at colons (`systemd.syntax(7)`, `systemd.exec(5)`).
fn word(path: &Path) -> String {
    let text = without_specifiers(&path.display().to_string());
    text.chars()
        .fold(String::with_capacity(text.len()), |mut word, char| {
            if matches!(char, ' ' | ':' | '"' | '\'' | '\\') {
                word.push('\\');
            }
            word.push(char);
            word
        })
}

/// `%h` and the like would be replaced (`systemd.unit(5)`, "Specifiers").
fn without_specifiers(text: &str) -> String {
    text.replace('%', "%%")
}

/// Where the drop-in has systemd read a credential.
pub(super) fn credential_file(name: &str) -> PathBuf {
    Path::new(usual_places::CONFIG_DIR)
        .join("secrets")
        .join(name)
}

fn groups(config: &Config) -> BTreeSet<(String, u32)> {
    let sinks = config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter());
    let numbers = sinks.filter_map(|sink| sink.group);
    let named = |number| name_of(Kind::Group, number).unwrap_or_else(|| number.to_string());
    numbers.map(|number| (named(number), number)).collect()
}

/// The service does not start where a directory to bind is missing.
fn directories(config: &Config) -> BTreeSet<PathBuf> {
    let own = [&config.daemon.runtime_dir, &config.daemon.state_dir];
    let sinks = config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter());
    let parents = sinks
        .filter_map(|sink| sink.path.parent())
        .filter(|path| path.is_dir());
    parents
        .filter(|path| !own.iter().any(|own| path.starts_with(own)))
        .map(Path::to_owned)
        .collect()
}

/// Whether the unit shows the daemon something else in the place of this directory, so that it must be bound in.
fn is_hidden(directory: &Path) -> bool {
    is_below(directory, &HOMES) || is_below(directory, &TEMPORARY)
}

fn is_below(directory: &Path, places: &[&str]) -> bool {
    places.iter().any(|place| directory.starts_with(place))
}

fn owners_are_foreign(config: &Config) -> bool {
    let service = resolve(Kind::User, "keepfresh");
    let sinks = config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter());
    sinks
        .filter_map(|sink| sink.owner)
        .any(|owner| Some(owner) != service)
}

fn credential(need: &Need) -> Option<&str> {
    match &need.what {
        Needed::Secret(SecretSource::Credential(name))
        | Needed::PrivateKey(SecretSource::Credential(name)) => Some(name),
        Needed::Secret(_)
        | Needed::PrivateKey(_)
        | Needed::Certificates(_)
        | Needed::Program(_)
        | Needed::Directory(_)
        | Needed::Published { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_neither_its_word_nor_its_line_and_stands_for_nothing_else() {
        let needed = DropIn {
            groups: BTreeSet::new(),
            directories: ["/srv/my files/50%h \"x\\", "/home/a:b"]
                .map(PathBuf::from)
                .into(),
            gives_files_away: false,
            credentials: BTreeSet::from(["my %h".to_owned()]),
        };
        assert_eq!(
            needed.text(),
            "[Service]\nProtectHome=tmpfs\nBindPaths=/home/a\\:b\n\
             ReadWritePaths=/srv/my\\ files/50%%h\\ \\\"x\\\\\n\
             LoadCredential=my %%h:/etc/keepfresh/secrets/my %%h\n"
        );
    }
}
