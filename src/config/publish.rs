//! `[[sessions.NAME.publish]]`: the files that hold the token.

use std::path::PathBuf;

use super::Principal;
use super::global::Context;
use super::report::At;
use super::surroundings::Kind;
use super::table::Table;
use super::{keys, paths, principals, value};
use crate::publish::{Format, SinkConfig};

/// The mode of a published file when none is given.
const MODE: u32 = 0o640;

/// Reads the session's files; without the key there is one, named as the session.
pub(super) fn read(session: &Table<'_>, name: &str, env_prefix: &str, context: &Context<'_>) -> Vec<At<SinkConfig>> {
    let directory = context.daemon.runtime_dir.join("tokens");
    let Some(tables) = session.tables("publish") else {
        let sink = SinkConfig {
            path: directory.join(name),
            format: Format::Token,
            mode: MODE,
            owner: None,
            group: None,
            keep_on_loss: false,
            env_prefix: env_prefix.to_owned(),
        };
        return vec![At { value: sink, place: session.place.clone() }];
    };
    tables.iter().filter_map(|table| sink(table, &directory, env_prefix)).collect()
}

fn sink(table: &Table<'_>, directory: &std::path::Path, env_prefix: &str) -> Option<At<SinkConfig>> {
    table.only(keys::PUBLISH);
    let formats = [("token", Format::Token), ("json", Format::Json), ("env", Format::Env), ("header", Format::Header)];
    let index: Vec<(&str, usize)> = formats.iter().enumerate().map(|(index, (word, _))| (*word, index)).collect();
    let format =
        table.one_of("format", &index).and_then(|index| formats.get(index.value).map(|(_, format)| format.clone()));
    let mode = table.parsed("mode", value::published_mode).map_or(MODE, |mode| mode.value);
    let owner = principals::number(table, "owner", Kind::User);
    let group = principals::number(table, "group", Kind::Group);
    let keep_on_loss = table.one_of("on_loss", &[("remove", false), ("keep", true)]).is_some_and(|keep| keep.value);
    let path: At<PathBuf> = file(table, directory)?;
    if mode & 0o004 != 0 {
        table
            .report
            .warn(format!("{}: with mode {mode:04o} every user of this machine can read the token", table.path));
    }
    let format = format.unwrap_or(Format::Token);
    let env_prefix = env_prefix.to_owned();
    Some(path.map(|path| SinkConfig { path, format, mode, owner, group, keep_on_loss, env_prefix }))
}

fn file(table: &Table<'_>, directory: &std::path::Path) -> Option<At<PathBuf>> {
    if !table.has("file") {
        table.missing("file", "name the file: relative to runtime_dir/tokens, or absolute");
    }
    paths::read_below(table, "file", directory)
}

/// Who can read one of the files: who may therefore read the token over the socket too, unless `access.allow` says otherwise.
pub(super) fn readers(sinks: &[At<SinkConfig>], context: &Context<'_>) -> Vec<Principal> {
    let mut readers: Vec<Principal> = Vec::new();
    for sink in sinks.iter().map(|sink| &sink.value) {
        let owner = Principal::User(sink.owner.unwrap_or(context.surroundings.uid));
        let group = Principal::Group(sink.group.unwrap_or(context.surroundings.gid));
        let able = [(owner, sink.mode & 0o400), (group, sink.mode & 0o040)];
        for (reader, _) in able.into_iter().filter(|(_, bit)| *bit != 0) {
            if !readers.contains(&reader) {
                readers.push(reader);
            }
        }
    }
    readers
}
