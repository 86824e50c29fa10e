//! What the screen shows: a card for each session where there is room, else a row, those in trouble first; or the page of one.

mod card;
mod footer;
mod row;

use clap::builder::styling::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;

use super::desk::{Desk, Reach};
use super::strip;
use crate::api::SessionStatus;
use crate::cli::status::glyphs::Glyphs;
use crate::cli::status::line::{Line, LongWord, wrapped};
use crate::cli::status::phrases::{BOLD, DIM, summary};
use crate::cli::status::{Paper, page, remarks};
use crate::cli::words;
use row::Table;

/// Shorter timelines say nothing.
const SHORTEST_STRIP: usize = 12;
/// Longer ones need eyes that wander.
const LONGEST_STRIP: usize = 120;
/// With fewer rows there is none to leave empty.
const ROOMY: usize = 12;
/// What the chosen session's trouble may take below rows that do not all fit.
const ASIDE: usize = 4;

const ALARM: Style = AnsiColor::Red.on_default().bold();

/// What there is to show.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) sessions: &'a [SessionStatus],
    /// Why it is not up to date, and since when.
    pub(super) trouble: Option<&'a str>,
    /// When the sessions were as shown; none before the first answer.
    pub(super) heard: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) zone: &'a TimeZone,
    pub(super) glyphs: &'static Glyphs,
    pub(super) desk: &'a Desk,
    /// Keys are read.
    pub(super) keys: bool,
}

impl View<'_> {
    fn paper(&self, columns: usize) -> Paper {
        Paper {
            columns: Some(columns),
            glyphs: self.glyphs,
            long_word: LongWord::Broken,
        }
    }

    /// Before a session's name: a mark in the colour of its state, another one where Enter would open it.
    fn bullet(&self, session: &SessionStatus) -> &'static str {
        let chosen = self.keys
            && self.sessions.len() > 1
            && self.desk.chosen.as_ref() == Some(&session.session);
        if chosen {
            self.glyphs.chosen
        } else {
            self.glyphs.bullet
        }
    }
}

/// The size of the screen in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// A whole screen, and how far it can be scrolled.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) lines: Vec<Line>,
    pub(super) reach: Reach,
    /// How much is scrolled away at the top.
    pub(super) offset: usize,
}

/// Draws the screen.
pub(super) fn frame(view: &View<'_>, size: Size) -> Frame {
    let mut lines = vec![heading(view, size.columns)];
    lines.extend(trouble(view, size.columns));
    if size.rows >= ROOMY {
        lines.push(Line::default());
    }
    let feet = if footer::legend_needs_a_line(view, size) {
        2
    } else {
        1
    };
    let room = size.rows.saturating_sub(lines.len() + feet);
    let body = if view.desk.open {
        opened(view, size.columns, room)
    } else {
        body(view, size.columns, room)
    };
    let foot = footer::footer(view, &body, size.columns, feet);
    let Body {
        lines: shown,
        reach,
        offset,
        ..
    } = body;
    lines.extend(shown);
    lines.truncate(size.rows.saturating_sub(feet));
    lines.resize(size.rows.saturating_sub(feet), Line::default());
    lines.extend(foot);
    Frame {
        lines,
        reach,
        offset,
    }
}

/// `keepfresh  3 sessions: 2 alive, 1 recovering      14:03:22`.
fn heading(view: &View<'_>, columns: usize) -> Line {
    let clock = Line::of(
        DIM,
        &view
            .now
            .to_zoned(view.zone.clone())
            .strftime("%H:%M:%S")
            .to_string(),
    );
    let name = Line::of(BOLD, "keepfresh");
    if view.heard.is_none() {
        return name.with_right(clock, columns);
    }
    let whole = |summary: Vec<Line>| match summary.as_slice() {
        [line] => Some(line.clone()),
        [] | [_, ..] => None,
    };
    let name = name.then(Style::new(), "  ");
    let beside_the_name = summary(view.sessions, columns.saturating_sub(name.width()));
    let line = whole(beside_the_name).map_or_else(
        || whole(summary(view.sessions, columns)).unwrap_or_else(|| beginning(view, columns)),
        |line| name.join(line),
    );
    line.with_right(clock, columns)
}

/// As many of the counts as there is room for, trouble first, and a mark for the rest.
fn beginning(view: &View<'_>, columns: usize) -> Line {
    let more = format!(" {}", view.glyphs.cut);
    let columns = columns.saturating_sub(more.width());
    let lines = summary(view.sessions, columns);
    // How many there are says less than how many are in trouble.
    let says_no_count = |line: &&Line| line.ends_with(':') && lines.len() > 1;
    let told = lines.iter().find(|line| !says_no_count(line));
    told.cloned().unwrap_or_default().then(Style::new(), &more)
}

fn trouble(view: &View<'_>, columns: usize) -> Vec<Line> {
    let Some(trouble) = view.trouble else {
        return Vec::new();
    };
    let stale = match view.heard {
        Some(heard) => format!("; below is how it was {}", words::ago(heard, view.now)),
        None => String::new(),
    };
    let text = format!("{trouble}{stale}");
    wrapped(&text, columns, LongWord::Broken)
        .iter()
        .map(|line| Line::of(ALARM, line))
        .collect()
}

struct Body {
    lines: Vec<Line>,
    reach: Reach,
    offset: usize,
    /// The first and the last that are on the screen, counted from one, and of how many, where not all are.
    part: Option<(usize, usize, usize)>,
    /// Whether there are timelines, whose marks want to be explained.
    strips: bool,
}

impl Body {
    fn whole(lines: Vec<Line>, strips: bool) -> Self {
        let reach = Reach {
            page: lines.len().max(1),
            furthest: 0,
        };
        Self {
            lines,
            reach,
            offset: 0,
            part: None,
            strips,
        }
    }

    /// As many of the lines as there is room for, from `offset` on.
    fn part(lines: Vec<Line>, offset: usize, room: usize, strips: bool) -> Self {
        let total = lines.len();
        let furthest = total.saturating_sub(room);
        let first = offset.min(furthest);
        let lines: Vec<Line> = lines.into_iter().skip(first).take(room).collect();
        let part = (furthest > 0).then_some((first + 1, first + lines.len(), total));
        Self {
            lines,
            reach: Reach {
                page: room.max(1),
                furthest,
            },
            offset: first,
            part,
            strips,
        }
    }
}

/// The page of the chosen session.
fn opened(view: &View<'_>, columns: usize, room: usize) -> Body {
    let name = view.desk.chosen.as_deref().unwrap_or_default();
    let Some(session) = view.sessions.iter().find(|session| session.session == name) else {
        return Body::whole(
            vec![Line::of(
                DIM,
                &format!("there is no session {name} any more"),
            )],
            false,
        );
    };
    let mut lines = page::page(session, view.now, view.zone, &view.paper(columns));
    let strip = card::labelled_strip(session, view, columns);
    let strips = strip.is_some();
    let below_name = 1.min(lines.len());
    lines.splice(below_name..below_name, strip);
    Body::part(lines, view.desk.offset, room, strips)
}

/// The most that fits: cards, rows with what is the matter, a part of the rows with what is the matter with the chosen one.
fn body(view: &View<'_>, columns: usize, room: usize) -> Body {
    let sessions = view.desk.shown(view.sessions);
    if sessions.is_empty() {
        let text = match view.heard {
            Some(_) if !view.sessions.is_empty() => &format!(
                "no session has {:?} in name, state or server",
                view.desk.filter
            ),
            Some(_) => "no sessions: none is configured, or none that you may see",
            None => "waiting for the daemon",
        };
        let lines = view.paper(columns).sentence(&Line::default(), DIM, text);
        return Body::whole(lines, false);
    }
    for spaced in [true, false] {
        let cards = card::cards(&sessions, view, columns, spaced);
        if cards.len() <= room {
            return Body::whole(cards, card::strip_columns(columns).is_some());
        }
    }
    let table = Table::of(&sessions, view, columns);
    let told = |session: &SessionStatus| remark_lines(session, view, columns);
    // What the rows leave free, but for a line between, is for what is the matter.
    let free = room.saturating_sub(sessions.len() + 1);
    let most = free.max(if room >= 2 * ASIDE { ASIDE } else { room / 3 });
    let full: Vec<Line> = sessions
        .iter()
        .flat_map(|session| std::iter::once(table.row(session, view)).chain(told(session)))
        .collect();
    if full.len() <= room {
        return Body::whole(full, table.has_strip());
    }
    let at = sessions
        .iter()
        .position(|session| Some(&session.session) == view.desk.chosen.as_ref())
        .unwrap_or_default();
    let aside = sessions
        .get(at)
        .filter(|_| view.keys)
        .map(|session| brief_remarks(session, view, columns, most))
        .unwrap_or_default();
    let rows: Vec<Line> = sessions
        .iter()
        .map(|session| table.row(session, view))
        .collect();
    let room = room.saturating_sub(aside.len());
    // The chosen one stays in sight.
    let offset = view.desk.offset.min(at).max((at + 1).saturating_sub(room));
    let mut body = Body::part(rows, offset, room, table.has_strip());
    body.lines.resize(room, Line::default());
    body.lines.extend(aside);
    body
}

/// What is the matter and what to do, in lines that end where the screen ends.
fn remark_lines(session: &SessionStatus, view: &View<'_>, columns: usize) -> Vec<Line> {
    let (paper, indent) = (view.paper(columns), Line::of(Style::new(), "  "));
    let remarks = remarks::remarks(session, view.now);
    remarks
        .iter()
        .flat_map(|remark| paper.sentence(&indent, remark.kind.style(), &remark.text))
        .collect()
}

/// The same in at most so many lines: what to do is kept before anything else.
fn brief_remarks(
    session: &SessionStatus,
    view: &View<'_>,
    columns: usize,
    most: usize,
) -> Vec<Line> {
    let all = remark_lines(session, view, columns);
    if all.len() <= most {
        return all;
    }
    let (paper, indent) = (view.paper(columns), Line::of(Style::new(), "  "));
    let remarks = remarks::remarks(session, view.now);
    let lines_of = |wanted: &dyn Fn(remarks::Kind) -> bool| -> Vec<Line> {
        let wanted = remarks.iter().filter(|remark| wanted(remark.kind));
        wanted
            .flat_map(|remark| paper.sentence(&indent, remark.kind.style(), &remark.text))
            .collect()
    };
    let remedy = lines_of(&|kind| kind == remarks::Kind::Remedy);
    let others = lines_of(&|kind| kind != remarks::Kind::Remedy);
    // One line at least says what is the matter, and the end of a remedy is the command.
    let remedy_room = remedy.len().min(most.saturating_sub(1));
    let mut brief = shortened(others, most - remedy_room, view);
    brief.extend(remedy.into_iter().rev().take(remedy_room).rev());
    brief
}

/// The first so many, with a mark at the end where that is not all.
fn shortened(mut lines: Vec<Line>, most: usize, view: &View<'_>) -> Vec<Line> {
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.pop() {
            lines.push(last.then(Style::new(), &format!(" {}", view.glyphs.cut)));
        }
    }
    lines
}

#[cfg(test)]
mod tests;
