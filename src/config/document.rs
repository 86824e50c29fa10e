//! The files of a config: the main one and `conf.d/*.toml` beside it, read, parsed and made fit for quoting.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::report::{Place, Report, Source};
use super::surroundings::Surroundings;
use super::{exposure, keys};
use crate::plain_file::{self, ReadError};
use crate::strangers::{self, Trusted};

/// Room for tens of thousands of sessions; whatever is larger is not a config.
const LARGEST_MEBIBYTES: u64 = 16;

/// One file as it was found.
pub(super) struct Found {
    pub(super) path: PathBuf,
    text: String,
    /// Why there is no text: a title's end and a remedy.
    unread: Option<(String, String)>,
    /// The first byte that is no UTF-8.
    foreign_byte: Option<usize>,
    /// Who besides root and the user of this process could have written it, where that is allowed.
    pub(super) written_by: Option<u32>,
}

/// One file, parsed as far as it can be.
pub(super) struct Document<'d> {
    pub(super) index: usize,
    pub(super) entries: DeTable<'d>,
    /// Whether something in it could not be read.
    pub(super) broken: bool,
    /// The bytes of lines that hold a syntax error: what else is wrong there only follows from it.
    pub(super) broken_lines: Vec<Range<usize>>,
}

/// The main file, then `conf.d/*.toml` beside it in the order of their names. A user who writes one of them has keepfresh run
/// programs: that is for root and for the user who runs this, and for no other.
pub(super) fn find(main: &Path, surroundings: &Surroundings) -> Vec<Found> {
    let mut all = vec![Found::read(main, &Trusted::to_run())];
    let directory = main.parent().unwrap_or(Path::new("")).join("conf.d");
    let trusted = fragments_trusted(all.first(), surroundings);
    match fragments(&directory) {
        Ok(paths) => all.extend(paths.iter().map(|path| Found::read(path, &trusted))),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) => {}
        Err(error) => all.push(Found::unreadable(&directory, &error.into())),
    }
    all
}

/// Where root only looks, fragments may be those of the user whose the state is, which a main file of root's names.
fn fragments_trusted(main: Option<&Found>, surroundings: &Surroundings) -> Trusted {
    let named = main
        .filter(|main| main.unread.is_none())
        .map(|main| state_dir_in(&main.text));
    let state_dir = named.and_then(|named| named.or_else(|| surroundings.state_dir()));
    let looked_at = state_dir.filter(|_| surroundings.only_looking);
    looked_at.map_or_else(Trusted::to_run, |directory| {
        Trusted::to_run().and(exposure::presumed_user(&directory))
    })
}

/// What the main file says, as far as it can be read yet.
fn state_dir_in(text: &str) -> Option<PathBuf> {
    let document = DeTable::parse(text).ok()?;
    let daemon = document.get_ref().get("daemon")?.get_ref().as_table()?;
    daemon
        .get("state_dir")?
        .get_ref()
        .as_str()
        .map(PathBuf::from)
}

fn fragments(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
            && !hidden
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl Found {
    fn read(path: &Path, trusted: &Trusted) -> Self {
        match plain_file::read_trusted(path, LARGEST_MEBIBYTES, trusted) {
            Ok(bytes) => {
                let by_another = strangers::refusal(path, &Trusted::to_run());
                Self {
                    written_by: by_another.map(|finding| finding.owner),
                    ..Self::decoded(path, bytes)
                }
            }
            Err(error) => Self::unreadable(path, &error),
        }
    }

    pub(super) fn decoded(path: &Path, bytes: Vec<u8>) -> Self {
        let (text, foreign_byte) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                (
                    String::from_utf8_lossy(error.as_bytes()).into_owned(),
                    Some(valid),
                )
            }
        };
        Self {
            path: path.to_owned(),
            text,
            unread: None,
            foreign_byte,
            written_by: None,
        }
    }

    fn unreadable(path: &Path, error: &ReadError) -> Self {
        let remedy = match error {
            ReadError::System(error) if error.kind() == io::ErrorKind::NotFound => {
                "create it, or name another with --config FILE or $KEEPFRESH_CONFIG".to_owned()
            }
            ReadError::TooLarge(_) => {
                "name the right file, or split it into conf.d/*.toml".to_owned()
            }
            ReadError::Exposed(finding) => {
                format!(
                    "{}: any user who writes it makes keepfresh run programs",
                    finding.remedy()
                )
            }
            ReadError::System(_)
            | ReadError::Directory
            | ReadError::NotAFile
            | ReadError::NotText => error.remedy(),
        };
        Self::unread(path, error.to_string(), remedy)
    }

    fn unread(path: &Path, what: String, remedy: String) -> Self {
        Self {
            path: path.to_owned(),
            text: String::new(),
            unread: Some((what, remedy)),
            foreign_byte: None,
            written_by: None,
        }
    }

    /// Parses what was read and reports what is wrong with it as a file or as TOML.
    pub(super) fn parse(&self, index: usize, report: &Report) -> Document<'_> {
        if let Some((what, remedy)) = &self.unread {
            let place = Place {
                document: index,
                span: None,
            };
            report.problem(&place, format!("the config {what}"), remedy);
        }
        if let Some(byte) = self.foreign_byte {
            let place = Place {
                document: index,
                span: Some(byte..byte),
            };
            report.unshown(
                &place,
                "the config is not UTF-8 from here on",
                "save it as UTF-8",
            );
            return Document {
                broken: true,
                ..Document::of(index, DeTable::default())
            };
        }
        let (entries, errors) = DeTable::parse_recoverable(&self.text);
        let mut broken_lines = Vec::new();
        for error in &errors {
            let span = clamped(&self.text, error.span().unwrap_or(0..0));
            let line = line_around(&self.text, span.start);
            if !broken_lines.contains(&line) {
                self.syntax_error(index, span, &line, error.message(), report);
                broken_lines.push(line);
            }
        }
        let broken = !errors.is_empty() || self.unread.is_some();
        Document {
            broken,
            broken_lines,
            ..Document::of(index, entries.into_inner())
        }
    }

    fn syntax_error(
        &self,
        index: usize,
        span: Range<usize>,
        line: &Range<usize>,
        message: &str,
        report: &Report,
    ) {
        let what = message.lines().next().unwrap_or_default();
        let (title, help) = if what == "duplicate key" {
            let key = self.text.get(span.clone()).unwrap_or_default();
            (
                format!("duplicate key `{key}`: it is given above already"),
                "take one of the two out",
            )
        } else {
            (
                format!("not valid TOML: {what}"),
                "correct the line: strings need quotes, tables [brackets]",
            )
        };
        let place = Place {
            document: index,
            span: Some(span),
        };
        let shown = is_harmless(self.text.get(line.clone()).unwrap_or_default());
        report.syntax(&place, shown, title, help);
    }

    /// The file as errors may quote it.
    pub(super) fn quotable(&self, document: &Document<'_>) -> Source {
        let public: BTreeSet<&str> = keys::quotable().collect();
        let mut hidden = Vec::new();
        secret_spans(&document.entries, &public, &mut hidden);
        Source::new(self.path.clone(), starred(&self.text, hidden))
    }
}

impl<'d> Document<'d> {
    fn of(index: usize, entries: DeTable<'d>) -> Self {
        Self {
            index,
            entries,
            broken: false,
            broken_lines: Vec::new(),
        }
    }
}

/// `span`, moved into the text and onto whole characters.
fn clamped(text: &str, span: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
    start..end
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let start = text
        .get(..at)
        .and_then(|before| before.rfind('\n'))
        .map_or(0, |newline| newline + 1);
    let end = text
        .get(at..)
        .and_then(|after| after.find('\n'))
        .map_or(text.len(), |newline| at + newline);
    start..end.max(start)
}

/// Whether a line that is no TOML can be shown: a header, or a key whose value is no secret, without a nested table.
fn is_harmless(line: &str) -> bool {
    let line = line.trim_start();
    match line.split_once('=') {
        None => line.starts_with('['),
        Some((key, rest)) => {
            keys::quotable().any(|public| public == key.trim()) && !rest.contains(['{', '@', '?'])
        }
    }
}

/// Every value that may be a secret written in the clear: whatever is under a key that is not known to be public.
fn secret_spans(table: &DeTable<'_>, public: &BTreeSet<&str>, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        secret_spans_of(key.get_ref(), value.get_ref(), value.span(), public, hidden);
    }
}

fn secret_spans_of(
    key: &str,
    value: &DeValue<'_>,
    span: Range<usize>,
    public: &BTreeSet<&str>,
    hidden: &mut Vec<Range<usize>>,
) {
    match value {
        // Everyone who knows the URL of a webhook may post there.
        DeValue::Table(table) if key == "webhook" && public.contains("url") => {
            let fewer: BTreeSet<&str> =
                public.iter().copied().filter(|key| *key != "url").collect();
            secret_spans(table, &fewer, hidden);
        }
        DeValue::Table(table) => secret_spans(table, public, hidden),
        DeValue::Array(array) => {
            for item in array {
                secret_spans_of(key, item.get_ref(), item.span(), public, hidden);
            }
        }
        DeValue::String(text) if !public.contains(key) || may_carry_a_secret(text) => {
            hidden.push(span);
        }
        DeValue::String(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        DeValue::Integer(_) | DeValue::Float(_) if public.contains(key) => {}
        DeValue::Integer(_) | DeValue::Float(_) => hidden.push(span),
    }
}

/// A URL may carry a password before its host, also where its scheme was left out, or a key behind it.
fn may_carry_a_secret(text: &str) -> bool {
    let is_url = text.contains("://");
    let before_host = text.rsplit_once('@').map(|(before, _)| before);
    before_host.is_some_and(|before| is_url || before.contains(':'))
        || is_url && text.contains(['?', '#'])
}

/// `text` with every character of `hidden` starred out, so that places stay where they are.
fn starred(text: &str, mut hidden: Vec<Range<usize>>) -> String {
    hidden.sort_by_key(|span| span.start);
    let mut quotable = String::with_capacity(text.len());
    let mut shown_from = 0;
    for span in hidden {
        quotable.push_str(text.get(shown_from..span.start).unwrap_or_default());
        for character in text
            .get(span.start.max(shown_from)..span.end)
            .unwrap_or_default()
            .chars()
        {
            let star = if character == '\n' { "\n" } else { "*" };
            quotable.extend(std::iter::repeat_n(star, character.len_utf8()));
        }
        shown_from = shown_from.max(span.end);
    }
    quotable.push_str(text.get(shown_from..).unwrap_or_default());
    quotable
}
