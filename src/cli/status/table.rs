//! The sessions in columns that fit the paper, those in trouble first, and below each what a person should know.

use std::collections::BTreeSet;

use clap::builder::styling::Style;
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::Paper;
use super::line::Line;
use super::phrases::{BOLD, brief_next, in_order, next_and_why, state_word, style, summary, token};
use super::remarks::{Kind, Remark, remarks};
use crate::api::SessionStatus;

/// Between two columns.
const GAP: usize = 2;
/// A name is cut no shorter.
const SHORTEST_NAME: usize = 8;
/// Nor shorter than this to make room for what happens next.
const TELLING_NAME: usize = 24;
/// How far the text below a row is indented.
const INDENT: &str = "    ";

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Column {
    Name,
    State,
    Token,
    Generation,
    Next,
    NextAndWhy,
    Server,
}

use Column::{Generation, Name, Next, NextAndWhy, Server, State, Token};

/// Of these the first that fits; what happens next goes below the row where none does.
const USUAL: [&[Column]; 3] = [
    &[Name, State, Token, NextAndWhy],
    &[Name, State, Token, Next],
    &[Name, State, Next],
];

/// What is shown of each session, and how wide a name may be.
struct Layout {
    columns: &'static [Column],
    name: usize,
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Name => "NAME",
            State => "STATE",
            Token => "TOKEN",
            Generation => "GENERATION",
            Next | NextAndWhy => "NEXT",
            Server => "SERVER",
        }
    }

    fn cell(self, session: &SessionStatus, now: Timestamp) -> (Style, String) {
        let plain = |text| (Style::new(), text);
        match self {
            Name => (BOLD, session.session.clone()),
            State => (style(session.state), state_word(session.state).to_owned()),
            Token => plain(token(session, now)),
            Generation => plain(
                session
                    .generation
                    .map_or_else(|| "-".to_owned(), |number| format!("#{number}")),
            ),
            Next => plain(brief_next(session, now)),
            NextAndWhy => plain(next_and_why(session, now)),
            Server => plain(format!("{} {}", session.provider, session.url)),
        }
    }
}

/// A line in short, then the table.
pub(super) fn table(sessions: &[SessionStatus], now: Timestamp, paper: &Paper) -> String {
    if sessions.is_empty() {
        return "no sessions: none is configured, or none that you may see\n".to_owned();
    }
    let sorted = in_order(sessions);
    let layout = Layout::fitting(&sorted, now, paper);
    in_short(sessions, paper) + &paper.text(&lines(&sorted, &layout, now, paper))
}

/// The same with everything that a row can hold, as wide as it is.
pub(super) fn wide(sessions: &[SessionStatus], now: Timestamp, paper: &Paper) -> String {
    if sessions.is_empty() {
        return table(sessions, now, paper);
    }
    let layout = Layout {
        columns: &[Name, State, Token, Generation, NextAndWhy, Server],
        name: usize::MAX,
    };
    in_short(sessions, paper) + &paper.text(&lines(&in_order(sessions), &layout, now, paper))
}

fn in_short(sessions: &[SessionStatus], paper: &Paper) -> String {
    paper.text(&summary(sessions, paper.columns.unwrap_or(usize::MAX))) + "\n"
}

/// One session, where there is nothing to sum up.
pub(super) fn single(session: &SessionStatus, now: Timestamp, paper: &Paper) -> String {
    let session = [session];
    let layout = Layout::fitting(&session, now, paper);
    paper.text(&lines(&session, &layout, now, paper))
}

impl Layout {
    /// A long name is cut before all sessions lose a column for it, unless it would then look like another one.
    fn fitting(sessions: &[&SessionStatus], now: Timestamp, paper: &Paper) -> Self {
        let all = width(Name, sessions, now);
        let room_for_names = |columns: &[Column]| {
            let others = columns.iter().filter(|column| **column != Name);
            let others = others.map(|column| width(*column, sessions, now) + GAP);
            let others = others.sum::<usize>();
            paper
                .columns
                .map_or(usize::MAX, |room| room.saturating_sub(others))
        };
        let usual = USUAL.into_iter().find(|columns| {
            let room = room_for_names(columns);
            room >= all || room >= TELLING_NAME && stay_apart(sessions, room, paper)
        });
        let columns = usual.unwrap_or(&[Name, State]);
        Self {
            columns,
            name: room_for_names(columns).max(SHORTEST_NAME),
        }
    }
}

/// Whether names of this width still differ.
fn stay_apart(sessions: &[&SessionStatus], width: usize, paper: &Paper) -> bool {
    let names = sessions.iter().map(|session| session.session.as_str());
    let shortened: BTreeSet<String> = names
        .clone()
        .map(|name| paper.glyphs.shortened(name, width))
        .collect();
    shortened.len() == names.collect::<BTreeSet<_>>().len()
}

fn width(column: Column, sessions: &[&SessionStatus], now: Timestamp) -> usize {
    let cells = sessions
        .iter()
        .map(|session| column.cell(session, now).1.width());
    cells
        .chain([column.heading().width()])
        .max()
        .unwrap_or_default()
}

fn lines(sessions: &[&SessionStatus], layout: &Layout, now: Timestamp, paper: &Paper) -> Vec<Line> {
    let columns = layout.columns;
    let widest = |column| match column {
        Name => layout.name,
        State | Token | Generation | Next | NextAndWhy | Server => usize::MAX,
    };
    let widths: Vec<usize> = columns
        .iter()
        .map(|column| width(*column, sessions, now).min(widest(*column)))
        .collect();
    let row = |cells: &mut dyn Iterator<Item = (Style, String)>| {
        let mut line = Line::default();
        let mut at = 0;
        for ((style, text), width) in cells.zip(&widths) {
            if at > 0 {
                line = line.pad_to(at);
            }
            line = line.then(style, &paper.glyphs.shortened(&text, *width));
            at += width + GAP;
        }
        line
    };
    let mut said = Said::default();
    let mut lines = vec![row(&mut columns
        .iter()
        .map(|column| (Style::new(), column.heading().to_owned())))];
    for session in sessions {
        lines.push(row(&mut columns
            .iter()
            .map(|column| column.cell(session, now))));
        let indent = Line::of(Style::new(), INDENT);
        if !columns
            .iter()
            .any(|column| matches!(column, Next | NextAndWhy))
        {
            lines.extend(paper.sentence(&indent, Style::new(), &next_and_why(session, now)));
        }
        for Remark { kind, text } in said.but_once(session, remarks(session, now)) {
            lines.extend(paper.sentence(&indent, kind.style(), &text));
        }
    }
    lines
}

/// What was said of which session: many fail by one cause, which is told once.
#[derive(Default)]
struct Said(Vec<(String, String, String)>);

impl Said {
    /// The remarks, but of a trouble that an earlier session has too only that it does, and the remedy only where it differs.
    fn but_once(&mut self, session: &SessionStatus, mut remarks: Vec<Remark>) -> Vec<Remark> {
        let Some(attention) = &session.attention else {
            return remarks;
        };
        let reason = attention.reason.clone();
        // A remedy that differs in the name alone is the same.
        let remedy = attention
            .remedy
            .replace(&format!(" {}`", session.session), " NAME`");
        let earlier = self
            .0
            .iter()
            .find(|(_, said, _)| reason == *said || reason.ends_with(&format!(": {said}")));
        let Some((name, _, done)) = earlier else {
            self.0.push((session.session.clone(), reason, remedy));
            return remarks;
        };
        let same = if *done == remedy {
            ", and the same to do"
        } else {
            ""
        };
        for (index, remark) in remarks.iter_mut().take(2).enumerate() {
            if index == 0 {
                remark.text = format!("the same as {name}{same}");
            }
        }
        remarks.retain(|remark| same.is_empty() || remark.kind != Kind::Remedy);
        remarks
    }
}

#[cfg(test)]
mod tests;
