//! What is wrong only between sessions: two that write one file, or that claim one prefix for their variables.

use std::path::Path;

use super::report::{At, Place, Report, Source};
use super::session::Placed;
use crate::publish::SinkConfig;

/// Reports every clash at the later of the two places.
pub(super) fn report(sessions: &[Placed], socket: &Path, report: &Report, sources: &[Source]) {
    let files: Vec<(&str, &At<SinkConfig>)> = sessions
        .iter()
        .flat_map(|placed| placed.sinks.iter().map(|sink| (placed.config.name.as_str(), sink)))
        .collect();
    for (index, (_, sink)) in files.iter().enumerate() {
        let path = sink.value.path.as_path();
        if path == socket {
            let title = format!("`publish.file` {} is the socket", path.display());
            report.problem(&sink.place, title, "name another file");
        }
        let earlier = files.iter().take(index).find(|(_, other)| overlap(path, &other.value.path));
        if let Some((name, other)) = earlier {
            let title = format!("`publish.file` {} is published by the session `{name}` already", path.display());
            report.problem(&sink.place, title, format!("give each its own file; the other is at {}", told(&other.place, sources)));
        }
    }
    for (index, placed) in sessions.iter().enumerate() {
        let prefix = &placed.config.env_prefix;
        if let Some(other) = sessions.iter().take(index).find(|other| other.config.env_prefix == *prefix) {
            let (name, other) = (&placed.config.name, &other.config.name);
            let title = format!("`sessions.{name}.env_prefix` {prefix} is that of the session `{other}` already");
            report.problem(&placed.prefix_place, title, format!("set env_prefix in [sessions.{name}] to something else"));
        }
    }
}

/// The same file, or one where the other needs a directory.
fn overlap(left: &Path, right: &Path) -> bool {
    left.starts_with(right) || right.starts_with(left)
}

fn told(place: &Place, sources: &[Source]) -> String {
    sources.get(place.document).map_or_else(String::new, |source| {
        let (line, _) = source.line_and_column(place);
        format!("{}:{line}", source.path.display())
    })
}
