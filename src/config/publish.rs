//! `[[sessions.NAME.publish]]`: the files that hold the token.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::global::Context;
use super::report::At;
use super::table::Table;
use super::value::{Bad, bad};
use super::{Needed, keys, paths, principals, value};
use crate::provider::Profile;
use crate::publish::format::is_plain;
use crate::publish::format::template::BadTemplate;
use crate::publish::{Format, SinkConfig, Template};
use crate::users::{Kind, Principal};

/// The mode of a published file when none is given.
const MODE: u32 = 0o640;

/// What an entry needs to know of its session.
pub(super) struct Owner<'o> {
    pub(super) name: &'o str,
    pub(super) env_prefix: &'o Arc<str>,
    /// None when `provider` names nothing that can be used.
    pub(super) profile: Option<&'o Profile>,
}

/// Reads the session's files; without the key there is one, named as the session.
pub(super) fn read(
    session: &Table<'_>,
    owner: &Owner<'_>,
    context: &Context<'_>,
) -> Vec<At<SinkConfig>> {
    let directory = context.daemon.runtime_dir.join("tokens");
    let Some(tables) = session.tables("publish") else {
        // What is wrong with a name is said; the file would only be wrong by it.
        if value::session_name(owner.name).is_err() {
            return Vec::new();
        }
        let path = directory.join(owner.name);
        let sink = SinkConfig {
            path,
            format: Format::Token,
            mode: MODE,
            owner: None,
            group: None,
            keep_on_loss: false,
            required: true,
        };
        context.needs.add(
            session.path.clone(),
            &session.place,
            needed(&sink, &directory),
        );
        return vec![At {
            value: sink,
            place: session.place.clone(),
        }];
    };
    let sinks: Vec<_> = tables
        .iter()
        .filter_map(|table| sink(table, session, owner, &directory))
        .collect();
    for sink in &sinks {
        context.needs.add(
            session.name("publish.file"),
            &sink.place,
            needed(&sink.value, &directory),
        );
    }
    sinks
}

fn needed(sink: &SinkConfig, tokens: &Path) -> Needed {
    let (path, makes_directory) = (sink.path.clone(), sink.path.starts_with(tokens));
    Needed::Published {
        path,
        makes_directory,
        required: sink.required,
    }
}

fn sink(
    table: &Table<'_>,
    session: &Table<'_>,
    of: &Owner<'_>,
    directory: &Path,
) -> Option<At<SinkConfig>> {
    table.only(keys::PUBLISH);
    let format = format(table, session, of);
    let mode = table
        .quoted("mode", value::mode_as_number, value::published_mode)
        .map_or(MODE, |mode| mode.value);
    let owner = principals::number(table, "owner", Kind::User);
    let group = principals::number(table, "group", Kind::Group);
    let keep_on_loss = table
        .one_of("on_loss", &LOSSES)
        .is_some_and(|keep| keep.value);
    let required = table.flag("required").is_none_or(|required| required.value);
    let path: At<PathBuf> = file(table, directory)?;
    if mode & 0o004 != 0 {
        table.report.warn(format!(
            "{}: with mode {mode:04o} every user of this machine can read the token",
            table.path
        ));
    }
    let format = format.unwrap_or(Format::Token);
    Some(path.map(|path| SinkConfig {
        path,
        format,
        mode,
        owner,
        group,
        keep_on_loss,
        required,
    }))
}

fn file(table: &Table<'_>, directory: &Path) -> Option<At<PathBuf>> {
    if !table.has("file") {
        table.missing(
            "file",
            "name the file: relative to runtime_dir/tokens, or absolute",
        );
    }
    paths::read_below(table, "file", directory)
}

/// The words of `format`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Token,
    Json,
    Env,
    Header,
    Cookies,
    Netrc,
}

const WORDS: [(&str, Word); 6] = [
    ("token", Word::Token),
    ("json", Word::Json),
    ("env", Word::Env),
    ("header", Word::Header),
    ("cookies", Word::Cookies),
    ("netrc", Word::Netrc),
];

const LOSSES: [(&str, bool); 2] = [("remove", false), ("keep", true)];

/// The words of `format`.
pub(super) fn format_words() -> Vec<&'static str> {
    WORDS.into_iter().map(|(word, _)| word).collect()
}

/// The words of `on_loss`.
pub(super) fn loss_words() -> Vec<&'static str> {
    LOSSES.into_iter().map(|(word, _)| word).collect()
}

/// `format`, or `template` in its place.
fn format(table: &Table<'_>, session: &Table<'_>, of: &Owner<'_>) -> Option<Format> {
    let word = table.one_of("format", &WORDS);
    if table.has("login") && word.as_ref().is_none_or(|word| word.value != Word::Netrc) {
        let title = format!(
            "`{}` goes with format = \"netrc\" only",
            table.name("login")
        );
        table
            .report
            .problem(&table.place_of("login"), title, "take it out");
    }
    if table.has("template") {
        return template(table, of);
    }
    Some(match word?.value {
        Word::Token => Format::Token,
        Word::Json => Format::Json,
        Word::Env => Format::Env {
            prefix: of.env_prefix.clone(),
        },
        Word::Header => Format::Header,
        Word::Cookies => cookies(table, of),
        Word::Netrc => Format::Netrc {
            login: login(table, session)?,
        },
    })
}

fn template(table: &Table<'_>, of: &Owner<'_>) -> Option<Format> {
    if table.has("format") {
        let title = format!(
            "`{}` and `{}` exclude each other",
            table.name("format"),
            table.name("template")
        );
        table
            .report
            .problem(&table.place_of("format"), title, "take one of them out");
    }
    let captured = of.profile?.captured();
    let parse = |text: &str| Template::parse(text, &captured).map_err(in_words);
    table
        .parsed("template", parse)
        .map(|template| Format::Template(template.value))
}

fn in_words(error: BadTemplate) -> Bad {
    match error {
        BadTemplate::Syntax(what) => {
            bad(format!("is no template: {what}"), "double literal braces")
        }
        BadTemplate::Unknown { name, known } => {
            let remedy = format!(
                "write one of {{{}}}, or {{{{ for a brace",
                known.join("}, {")
            );
            bad(
                format!("asks for {{{name}}}, which keepfresh does not know"),
                remedy,
            )
        }
    }
}

/// Where requests carry no cookie there will never be one to write.
fn cookies(table: &Table<'_>, of: &Owner<'_>) -> Format {
    if let Some(profile) = of.profile.filter(|profile| !profile.sends_cookie()) {
        let title = format!(
            "`{}`: {} takes the token in a header, not in a cookie",
            table.name("format"),
            profile.title()
        );
        table.report.problem(
            &table.place_of("format"),
            title,
            "write format = \"header\", for curl -H @file",
        );
    }
    Format::Cookies
}

/// Whom the line logs in: programs want a name there even where the token alone counts.
fn login(table: &Table<'_>, session: &Table<'_>) -> Option<String> {
    let remedy = "write a name without spaces, quotes and backslashes: login = \"oauth2\"";
    let given = |text: &str| {
        is_plain(text)
            .then(|| text.to_owned())
            .ok_or_else(|| bad("does not fit into a netrc line", remedy))
    };
    if table.has("login") {
        return table.parsed("login", given).map(|login| login.value);
    }
    let user = session
        .value("login")
        .and_then(|login| login.value.as_table()?.get("username")?.get_ref().as_str());
    match user.unwrap_or("oauth2") {
        user if is_plain(user) => Some(user.to_owned()),
        _ => {
            let title = format!(
                "`{}`: the session's username does not fit into a netrc line",
                table.name("format")
            );
            table
                .report
                .problem(&table.place_of("format"), title, remedy);
            None
        }
    }
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
