//! What the hardened systemd unit must be given for a config: groups, directories, a capability.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::config::{Config, Kind, Need, Needed, name_of, resolve};
use crate::secret_source::SecretSource;

/// What `ProtectHome=` of the unit hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What `PrivateTmp=` replaces.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];

/// The lines of the drop-in; none when the unit is enough as it is shipped.
pub(super) fn needed_by(config: &Config) -> Option<String> {
    let mut lines = String::new();
    let groups = groups(config);
    if !groups.is_empty() {
        let _ = writeln!(
            lines,
            "SupplementaryGroups={}",
            groups.into_iter().collect::<Vec<_>>().join(" ")
        );
    }
    let (hidden, seen): (Vec<_>, Vec<_>) = directories(config)
        .into_iter()
        .partition(|path| is_hidden(path));
    if hidden.iter().any(|path| is_below(path, &HOMES)) {
        lines.push_str("ProtectHome=tmpfs\n");
    }
    for directory in hidden {
        let _ = writeln!(lines, "BindPaths={}", directory.display());
    }
    for directory in seen {
        let _ = writeln!(lines, "ReadWritePaths={}", directory.display());
    }
    if owners_are_foreign(config) {
        lines.push_str("AmbientCapabilities=CAP_CHOWN\nCapabilityBoundingSet=CAP_CHOWN\n");
    }
    for name in config.needs.iter().filter_map(credential) {
        let _ = writeln!(lines, "LoadCredential={name}:/etc/keepfresh/secrets/{name}");
    }
    (!lines.is_empty()).then(|| format!("[Service]\n{lines}"))
}

/// A process may give a file only to groups that it is in.
fn groups(config: &Config) -> BTreeSet<String> {
    let sinks = config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter());
    let numbers = sinks.filter_map(|sink| sink.group);
    numbers
        .map(|number| name_of(Kind::Group, number).unwrap_or_else(|| number.to_string()))
        .collect()
}

/// The unit lets the daemon write below its own directories only. It does not start where a directory to bind is missing.
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

/// Only a process with the capability may give a file to another user.
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
