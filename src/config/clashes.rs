//! What is wrong only between sessions: two that write one file, or that claim one prefix for their variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::report::{At, Report, Source};
use super::session::Placed;
use crate::publish::SinkConfig;

/// One published file, with the session that it belongs to.
type Owned<'s> = (&'s str, &'s At<SinkConfig>);

/// Reports every clash at the later of the two places.
pub(super) fn report(sessions: &[Placed], socket: &Path, report: &Report, sources: &[Source]) {
    report_files(sessions, socket, report, sources);
    report_prefixes(sessions, report);
    report_gateways(sessions, report);
}

fn report_gateways(sessions: &[Placed], report: &Report) {
    let (mut sockets, mut ports) = (BTreeMap::new(), BTreeMap::new());
    for placed in sessions {
        let Some(gateway) = &placed.gateway else {
            continue;
        };
        let name = placed.name.as_str();
        if let Some(other) = sockets.insert(gateway.config.socket.clone(), name) {
            let title = format!(
                "`sessions.{name}.gateway.socket`: the gateway of the session `{other}` has this socket already"
            );
            report.problem(&gateway.socket.place, title, "give each its own name");
        }
        let Some(listen) = gateway.config.listen else {
            continue;
        };
        if let Some(other) = ports.insert(listen, name) {
            let title = format!(
                "`sessions.{name}.gateway.listen`: the gateway of the session `{other}` has this port already"
            );
            report.problem(&gateway.listen.place, title, "give each its own port");
        }
    }
}

fn report_files(sessions: &[Placed], socket: &Path, report: &Report, sources: &[Source]) {
    let mut taken: BTreeMap<&Path, Owned<'_>> = BTreeMap::new();
    let gateways: BTreeSet<&Path> = sessions
        .iter()
        .filter_map(|placed| Some(placed.gateway.as_ref()?.config.socket.as_path()))
        .collect();
    for placed in sessions {
        for sink in &placed.sinks {
            let owned = (placed.name.as_str(), sink);
            let path = sink.value.path.as_path();
            if path == socket || gateways.contains(path) {
                let title = format!("`publish.file`: {} is the daemon's socket", path.display());
                report.problem(&sink.place, title, "name another file");
            }
            match taken.get(path) {
                Some(other) => report_taken(owned, *other, report, sources),
                None => drop(taken.insert(path, owned)),
            }
        }
    }
    // A file cannot be a directory for another one.
    for (path, owned) in &taken {
        if let Some(other) = path.ancestors().skip(1).find_map(|above| taken.get(above)) {
            report_taken(*owned, *other, report, sources);
        }
    }
}

fn report_taken(
    (_, sink): Owned<'_>,
    (name, other): Owned<'_>,
    report: &Report,
    sources: &[Source],
) {
    let path = other.value.path.display();
    let title = format!("`publish.file`: {path} is a file of the session `{name}` already");
    let place = sources
        .get(other.place.document)
        .map(|source| source.told(&other.place))
        .unwrap_or_default();
    report.problem(
        &sink.place,
        title,
        format!("give each its own file; the other one is at {place}"),
    );
}

fn report_prefixes(sessions: &[Placed], report: &Report) {
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for placed in sessions {
        let (name, prefix) = (placed.name.as_str(), &*placed.env_prefix);
        if let Some(other) = taken.get(prefix) {
            let title = format!(
                "`sessions.{name}.env_prefix`: {prefix} is the prefix of the session `{other}` already"
            );
            let help = format!("set another env_prefix in [sessions.{name}]");
            report.problem(&placed.prefix_place, title, help);
        } else {
            taken.insert(prefix, name);
        }
    }
}
