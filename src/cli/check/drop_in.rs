//! What the hardened systemd unit must be given for a config: groups, directories, a capability.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::config::{Config, Kind, Need, Needed, name_of, resolve};
use crate::secret::source::SecretSource;

/// The lines of the drop-in; none when the unit is enough as it is shipped.
pub(super) fn needed_by(config: &Config) -> Option<String> {
    let mut lines = String::new();
    let groups = groups(config);
    if !groups.is_empty() {
        let _ = writeln!(lines, "SupplementaryGroups={}", groups.into_iter().collect::<Vec<_>>().join(" "));
    }
    for directory in directories(config) {
        let _ = writeln!(lines, "ReadWritePaths={directory}");
    }
    if owners_are_foreign(config) {
        lines.push_str("AmbientCapabilities=CAP_CHOWN\nCapabilityBoundingSet=CAP_CHOWN\nSystemCallFilter=@chown\n");
    }
    for name in config.needs.iter().filter_map(credential) {
        let _ = writeln!(lines, "LoadCredential={name}:/etc/keepfresh/secrets/{name}");
    }
    (!lines.is_empty()).then(|| format!("[Service]\n{lines}"))
}

/// A process may give a file only to groups that it is in.
fn groups(config: &Config) -> BTreeSet<String> {
    let sinks = config.sessions.values().flat_map(|session| &session.publish);
    let numbers = sinks.filter_map(|sink| sink.group);
    numbers.map(|number| name_of(Kind::Group, number).unwrap_or_else(|| number.to_string())).collect()
}

/// The unit lets the daemon write below its own directories only.
fn directories(config: &Config) -> BTreeSet<String> {
    let own = [&config.daemon.runtime_dir, &config.daemon.state_dir];
    let sinks = config.sessions.values().flat_map(|session| &session.publish);
    let parents = sinks.filter_map(|sink| sink.path.parent());
    parents.filter(|path| !own.iter().any(|own| path.starts_with(own))).map(|path| path.display().to_string()).collect()
}

/// Only a process with the capability may give a file to another user.
fn owners_are_foreign(config: &Config) -> bool {
    let service = resolve(Kind::User, "keepfresh");
    let sinks = config.sessions.values().flat_map(|session| &session.publish);
    sinks.filter_map(|sink| sink.owner).any(|owner| Some(owner) != service)
}

fn credential(need: &Need) -> Option<&str> {
    match &need.what {
        Needed::Secret(SecretSource::Credential(name)) | Needed::PrivateKey(SecretSource::Credential(name)) => {
            Some(name)
        }
        Needed::Secret(_) | Needed::PrivateKey(_) | Needed::Certificates(_) | Needed::Program(_) => None,
    }
}
