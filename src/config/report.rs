//! What is wrong with a config, each with its place and its remedy, printed as rustc would.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str,
};
use serde::Serialize;

use super::Need;
use super::document::Document;

/// Where something is: which file, and which bytes of it; the whole file without a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) document: usize,
    pub(super) span: Option<Range<usize>>,
}

/// A value with the place it was written at.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<T> At<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> At<U> {
        At {
            value: change(self.value),
            place: self.place,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
struct Problem {
    place: Place,
    /// Whether the line itself may be shown: never when it may hold a secret in the clear.
    shown: bool,
    /// Whether the file is no TOML here.
    syntax: bool,
    title: String,
    help: String,
}

/// Collects everything that is wrong or dubious while the config is read.
#[derive(Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<String>>,
}

impl Report {
    /// Something is wrong: `title` names the key, `help` the remedy.
    pub(super) fn problem(&self, place: &Place, title: impl Into<String>, help: impl Into<String>) {
        self.push(place, true, false, &title.into(), &help.into());
    }

    /// The file is no TOML here; the line is shown if it is known to hold no secret.
    pub(super) fn syntax(
        &self,
        place: &Place,
        shown: bool,
        title: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(place, shown, true, &title.into(), &help.into());
    }

    /// Something is wrong on a line that must not be shown.
    pub(super) fn unshown(&self, place: &Place, title: impl Into<String>, help: impl Into<String>) {
        self.push(place, false, false, &title.into(), &help.into());
    }

    /// Something is legal but likely not meant.
    pub(super) fn warn(&self, warning: impl Into<String>) {
        self.warnings.borrow_mut().push(warning.into());
    }

    fn push(&self, place: &Place, shown: bool, syntax: bool, title: &str, help: &str) {
        let (title, help) = (one_line(title), one_line(help));
        let mut problems = self.problems.borrow_mut();
        // A table that is looked at twice is still wrong only once.
        if problems
            .iter()
            .all(|known| known.place != *place || known.title != title)
        {
            problems.push(Problem {
                place: place.clone(),
                shown,
                syntax,
                title,
                help,
            });
        }
    }

    /// The warnings when nothing is wrong, else all errors, told with `sources`.
    ///
    /// What else is wrong on a line that is no TOML only follows from that.
    pub(super) fn finish(
        self,
        documents: &[Document<'_>],
        sources: Vec<Source>,
    ) -> Result<Vec<String>, ConfigErrors> {
        let mut problems = self.problems.into_inner();
        problems.retain(|problem| problem.syntax || !follows(&problem.place, documents));
        if problems.is_empty() {
            return Ok(self.warnings.into_inner());
        }
        problems.sort_by_key(|problem| {
            (
                problem.place.document,
                problem.place.span.as_ref().map(|span| span.start),
            )
        });
        Err(ConfigErrors { problems, sources })
    }
}

/// A name or a value that is quoted must not break the line it is in.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

fn follows(place: &Place, documents: &[Document<'_>]) -> bool {
    let lines = documents
        .get(place.document)
        .map(|document| &document.broken_lines);
    let start = place.span.as_ref().map(|span| span.start);
    lines.zip(start).is_some_and(|(lines, start)| {
        lines
            .iter()
            .any(|line| line.start <= start && start <= line.end)
    })
}

/// A file as errors quote it: whatever may be secret is starred out.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    text: String,
    /// The byte at which each line begins.
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn new(path: PathBuf, text: String) -> Self {
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self { path, text, lines }
    }

    /// Line and column, both from 1, of the start of `place`.
    pub(super) fn line_and_column(&self, place: &Place) -> (usize, usize) {
        let start = place.span.as_ref().map_or(0, |span| span.start);
        let line = self
            .lines
            .partition_point(|line_start| *line_start <= start)
            .max(1);
        let line_start = self.lines.get(line - 1).copied().unwrap_or(0);
        (
            line,
            self.text
                .get(line_start..start)
                .map_or(0, |before| before.chars().count())
                + 1,
        )
    }

    /// `path:line` of `place`, for a message that concerns two places.
    pub(super) fn told(&self, place: &Place) -> String {
        format!("{}:{}", self.path.display(), self.line_and_column(place).0)
    }
}

/// Everything that is wrong with a config; `Display` tells all of it to a person, in plain text.
#[derive(Debug)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
    sources: Vec<Source>,
}

/// One error in the form that `check --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The file it is in.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong; names the key.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

impl ConfigError {
    /// What is wrong with something outside the config that it names; the remedy follows the first semicolon.
    pub fn about(need: &Need, message: &str) -> Self {
        let (message, remedy) = message
            .split_once("; ")
            .unwrap_or((message, "check that it exists and is readable"));
        Self {
            file: need.file.clone(),
            line: need.line,
            column: need.column,
            message: format!("`{}`: cannot {message}", need.key),
            remedy: remedy.to_owned(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            remedy,
        } = self;
        write!(
            f,
            "error: {message}\n --> {}:{line}:{column}\n  = help: {remedy}",
            file.display()
        )
    }
}

impl ConfigErrors {
    /// All errors for a person, in colour or plain.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let told: Vec<String> = self
            .problems
            .iter()
            .map(|problem| self.render_one(&renderer, problem))
            .collect();
        told.join("\n\n")
    }

    /// All errors for a machine, in the order of files and lines.
    pub fn list(&self) -> Vec<ConfigError> {
        self.problems
            .iter()
            .filter_map(|problem| self.describe(problem))
            .collect()
    }

    fn describe(&self, problem: &Problem) -> Option<ConfigError> {
        let source = self.sources.get(problem.place.document)?;
        let (line, column) = source.line_and_column(&problem.place);
        let (message, remedy) = (problem.title.clone(), problem.help.clone());
        Some(ConfigError {
            file: source.path.clone(),
            line,
            column,
            message,
            remedy,
        })
    }

    fn render_one(&self, renderer: &Renderer, problem: &Problem) -> String {
        let Some(source) = self.sources.get(problem.place.document) else {
            return format!("error: {}", problem.title);
        };
        let path = source.path.display().to_string();
        let group =
            Group::with_title(Level::ERROR.primary_title(normalize_untrusted_str(&problem.title)));
        let group = if let Some(span) = shown_span(problem, source) {
            group.element(
                Snippet::source(&source.text)
                    .path(path)
                    .annotation(AnnotationKind::Primary.span(span)),
            )
        } else {
            let (line, column) = source.line_and_column(&problem.place);
            group.element(Origin::path(path).line(line).char_column(column))
        };
        let group = group.element(Level::HELP.message(normalize_untrusted_str(&problem.help)));
        renderer.render(&[group])
    }
}

/// The bytes to underline; none where the text must not be shown, or is not there.
fn shown_span(problem: &Problem, source: &Source) -> Option<Range<usize>> {
    let span = problem.place.span.clone().filter(|_| problem.shown)?;
    let first_line = source
        .text
        .get(span.clone())?
        .lines()
        .next()
        .map_or(0, str::len);
    Some(span.start..span.start + first_line)
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}
