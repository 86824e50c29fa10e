//! What the screen shows: a card for each session where there is room, else a row, with whoever needs help first.

use clap::builder::styling::{AnsiColor, Style};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::glyphs::Glyphs;
use super::line::{Line, wrapped};
use super::strip;
use crate::api::{Counts, SessionStatus, State};
use crate::cli::status::{next_in_words, notes, state_word, style, token};
use crate::cli::words;

/// No name or action is given more columns than these, so that the timeline keeps some.
const WIDEST_NAME: usize = 24;
const WIDEST_NEXT: usize = 22;
/// Shorter timelines say nothing.
const SHORTEST_STRIP: usize = 12;
/// Longer ones need eyes that wander.
const LONGEST_STRIP: usize = 120;
/// For the ends of a card's timeline.
const LABEL: usize = 9;

const DIM: Style = AnsiColor::BrightBlack.on_default();
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
    pub(super) glyphs: &'a Glyphs,
    /// How many sessions are scrolled away at the top.
    pub(super) offset: usize,
    /// Keys are read.
    pub(super) keys: bool,
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
    pub(super) furthest: usize,
    /// Sessions on one screen.
    pub(super) page: usize,
}

/// Draws the screen.
pub(super) fn frame(view: &View<'_>, size: Size) -> Frame {
    let mut lines = vec![heading(view, size.columns)];
    lines.extend(trouble(view, size.columns));
    lines.push(Line::default());
    let room = size.rows.saturating_sub(lines.len() + 1);
    let body = body(view, size.columns, room);
    let (furthest, page, foot) = (body.furthest, body.page, footer(view, &body, size.columns));
    lines.extend(body.lines);
    lines.truncate(size.rows.saturating_sub(1));
    lines.resize(size.rows.saturating_sub(1), Line::default());
    lines.push(foot);
    Frame { lines, furthest, page }
}

/// `keepfresh  3 sessions: 2 alive, 1 recovering      14:03:22`.
fn heading(view: &View<'_>, columns: usize) -> Line {
    let clock = view.now.to_zoned(view.zone.clone()).strftime("%H:%M:%S").to_string();
    let total = view.sessions.len();
    let mut line = Line::of(Style::new().bold(), "keepfresh").then(
        Style::new(),
        &match (view.heard, total) {
            (None, _) => String::new(),
            (Some(_), 1) => "  1 session".to_owned(),
            (Some(_), _) => format!("  {total} sessions"),
        },
    );
    let counted = ORDER.map(|state| (state, view.sessions.iter().filter(|session| session.state == state).count()));
    for (index, (state, count)) in counted.into_iter().filter(|(_, count)| *count > 0).enumerate() {
        let separator = if index == 0 { ": " } else { ", " };
        line = line.then(Style::new(), separator).then(style(state), &format!("{count} {}", state_word(state)));
    }
    line.with_right(Line::of(DIM, &clock), columns)
}

/// Who needs help comes first.
const ORDER: [State; 7] = [
    State::NeedsAttention,
    State::Recovering,
    State::Starting,
    State::Renewing,
    State::Alive,
    State::Dormant,
    State::Paused,
];

fn rank(state: State) -> usize {
    ORDER.iter().position(|it| *it == state).unwrap_or(ORDER.len())
}

fn trouble(view: &View<'_>, columns: usize) -> Vec<Line> {
    let Some(trouble) = view.trouble else { return Vec::new() };
    let stale = match view.heard {
        Some(heard) => format!("; below is how it was {}", words::ago(heard, view.now)),
        None => String::new(),
    };
    let text = format!("{trouble}{stale}");
    wrapped(&text, columns).iter().map(|line| Line::of(ALARM, line)).collect()
}

struct Body {
    lines: Vec<Line>,
    furthest: usize,
    page: usize,
    /// The first and the last that are on the screen, counted from one, where not all are.
    part: Option<(usize, usize)>,
    strips: bool,
}

impl Body {
    fn whole(lines: Vec<Line>, strips: bool) -> Self {
        Self { lines, furthest: 0, page: 0, part: None, strips }
    }
}

/// The most that fits: cards, rows with what is the matter, rows alone, a part of the rows.
fn body(view: &View<'_>, columns: usize, room: usize) -> Body {
    if view.sessions.is_empty() {
        let text = match view.heard {
            Some(_) => "no sessions: none is configured, or none that you may see",
            None => "waiting for the daemon",
        };
        return Body::whole(vec![Line::of(DIM, text)], false);
    }
    let cards = cards(view, columns);
    if cards.len() <= room {
        return Body::whole(cards, columns > 2 * LABEL + SHORTEST_STRIP);
    }
    let mut sessions: Vec<&SessionStatus> = view.sessions.iter().collect();
    let table = Table::of(&sessions, view, columns);
    let full: Vec<Line> = sessions.iter().flat_map(|session| table.row_with_notes(session, view, columns)).collect();
    if full.len() <= room {
        return Body::whole(full, table.strip.is_some());
    }
    sessions.sort_by_key(|session| rank(session.state));
    let rows: Vec<Line> = sessions.iter().map(|session| table.row(session, view)).collect();
    part(rows, view.offset, room, table.strip.is_some())
}

fn part(rows: Vec<Line>, offset: usize, room: usize, strips: bool) -> Body {
    let total = rows.len();
    let furthest = total.saturating_sub(room);
    let first = offset.min(furthest);
    let lines: Vec<Line> = rows.into_iter().skip(first).take(room).collect();
    let part = (furthest > 0).then_some((first + 1, first + lines.len()));
    Body { lines, furthest, page: room, part, strips }
}

fn cards(view: &View<'_>, columns: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    for session in view.sessions {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(card(session, view, columns));
    }
    lines
}

fn card(session: &SessionStatus, view: &View<'_>, columns: usize) -> Vec<Line> {
    let mut lines = vec![headline(session, view, columns), facts(session, view)];
    let strip_columns = columns.saturating_sub(2 + 2 * LABEL).min(LONGEST_STRIP);
    if strip_columns >= SHORTEST_STRIP {
        lines.push(labelled_strip(session, view, strip_columns));
    }
    lines.extend(remarks(session, view, columns));
    lines
}

fn headline(session: &SessionStatus, view: &View<'_>, columns: usize) -> Line {
    let next = match &session.next {
        Some(next) => {
            Line::of(Style::new().bold(), &next_in_words(next, view.now)).then(DIM, &format!(" ({})", next.why))
        }
        None => Line::of(DIM, nothing_next(session)),
    };
    let state = style(session.state);
    let name = Line::of(state, view.glyphs.bullet)
        .then(Style::new(), " ")
        .then(Style::new().bold(), &session.session)
        .then(Style::new(), "  ")
        .then(state, state_word(session.state));
    name.with_right(next, columns)
}

/// Why nothing is due.
fn nothing_next(session: &SessionStatus) -> &'static str {
    match session.state {
        State::NeedsAttention => "waits for a person",
        State::Paused => "until it is resumed",
        State::Dormant => "until it is needed",
        State::Starting | State::Alive | State::Renewing | State::Recovering => "under way",
    }
}

fn facts(session: &SessionStatus, view: &View<'_>) -> Line {
    let dot = format!(" {} ", view.glyphs.dot);
    let mut facts = vec![match session.generation {
        Some(_) => format!("token {}", token(session, view.now)),
        None => "no token".to_owned(),
    }];
    facts.extend(end(session, view.now));
    facts.push(counts(&session.counts));
    facts.extend(session.quotas.iter().map(|quota| format!("{} {} of {}", quota.name, quota.used, quota.limit)));
    Line::of(DIM, &format!("  {}", facts.join(&dot)))
}

/// What ends the session, if nobody does anything.
fn end(session: &SessionStatus, now: Timestamp) -> Option<String> {
    let idle = session.idle_deadline.map(|end| (end, "unused it ends"));
    let expiry = session.token_expires_at.map(|end| (end, "it ends"));
    let life = session.max_lifetime_at.map(|end| (end, "its life ends"));
    let (end, what) = [idle, expiry, life].into_iter().flatten().min_by_key(|(end, _)| *end)?;
    Some(format!("{what} {}", words::ahead(end, now)))
}

/// `12 pings, 1 login`; what did not happen is not mentioned.
fn counts(counts: &Counts) -> String {
    let Counts { pings, renewals, logins, introspections, failures } = *counts;
    let each = [(pings, "ping"), (introspections, "introspection"), (renewals, "renewal"), (logins, "login")];
    let mut told: Vec<String> =
        each.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| several(count, what)).collect();
    if failures > 0 {
        told.push(format!("{failures} failed"));
    }
    if told.is_empty() { "no calls yet".to_owned() } else { told.join(", ") }
}

fn several(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn labelled_strip(session: &SessionStatus, view: &View<'_>, columns: usize) -> Line {
    let (back, ahead) = strip::reach(session, view.now, columns);
    let back = format!("-{back}");
    Line::of(DIM, &format!("  {back:>width$} ", width = LABEL - 2))
        .join(strip::strip(session, view.now, columns, view.glyphs))
        .then(DIM, &format!(" +{ahead}"))
}

/// What is the matter and what to do, in lines that end where the screen ends.
fn remarks(session: &SessionStatus, view: &View<'_>, columns: usize) -> Vec<Line> {
    let attention = session.attention.is_some();
    let mut lines = Vec::new();
    for note in notes(session, view.now) {
        let (style, text) = match note.strip_prefix("to do: ") {
            Some(remedy) => (Style::new().bold(), format!("{} {remedy}", view.glyphs.arrow)),
            None if attention && lines.is_empty() => (style(session.state), note),
            None => (Style::new(), note),
        };
        lines
            .extend(wrapped(&text, columns.saturating_sub(4)).iter().map(|line| Line::of(style, &format!("  {line}"))));
    }
    lines
}

/// Where the columns of the rows stand.
struct Table {
    state: usize,
    next: usize,
    /// Where the timelines begin, and how long they are.
    strip: Option<(usize, usize)>,
}

impl Table {
    fn of(sessions: &[&SessionStatus], view: &View<'_>, columns: usize) -> Self {
        let widest = |width: &dyn Fn(&&SessionStatus) -> usize| sessions.iter().map(width).max().unwrap_or_default();
        let name = widest(&|session| session.session.len()).min(WIDEST_NAME);
        let word = widest(&|session| state_word(session.state).len());
        let next = widest(&|session| brief_next(session, view.now).chars().count()).min(WIDEST_NEXT);
        let state = 2 + name + 2;
        let next_at = state + word + 2;
        let strip_at = next_at + next + 2;
        let strip = columns.saturating_sub(strip_at).min(LONGEST_STRIP);
        Self { state, next: next_at, strip: (strip >= SHORTEST_STRIP).then_some((strip_at, strip)) }
    }

    fn row(&self, session: &SessionStatus, view: &View<'_>) -> Line {
        let state = style(session.state);
        let name: String = session.session.chars().take(WIDEST_NAME).collect();
        let next: String = brief_next(session, view.now).chars().take(WIDEST_NEXT).collect();
        let line = Line::of(state, view.glyphs.bullet)
            .then(Style::new(), " ")
            .then(Style::new().bold(), &name)
            .pad_to(self.state)
            .then(state, state_word(session.state))
            .pad_to(self.next)
            .then(if session.next.is_some() { Style::new() } else { DIM }, &next);
        match self.strip {
            Some((at, columns)) => line.pad_to(at).join(strip::strip(session, view.now, columns, view.glyphs)),
            None => line,
        }
    }

    fn row_with_notes(&self, session: &SessionStatus, view: &View<'_>, columns: usize) -> Vec<Line> {
        std::iter::once(self.row(session, view)).chain(remarks(session, view, columns)).collect()
    }
}

fn brief_next(session: &SessionStatus, now: Timestamp) -> String {
    session.next.as_ref().map_or_else(|| nothing_next(session).to_owned(), |next| next_in_words(next, now))
}

/// What the marks mean, and which keys there are.
fn footer(view: &View<'_>, body: &Body, columns: usize) -> Line {
    let Glyphs { ping, renewal, login, loss, failure, next, .. } = view.glyphs;
    let legend = format!("{ping} ping  {renewal} renewal  {login} login  {loss} loss  {failure} failed  {next} next");
    let legend = Line::of(DIM, if body.strips { &legend } else { "" });
    let keys = match (view.keys, body.part) {
        (true, Some((first, last))) => format!("{first}-{last} of {}  arrows scroll  q quits", view.sessions.len()),
        (false, Some((first, last))) => format!("{first}-{last} of {}", view.sessions.len()),
        (true, None) => "q quits".to_owned(),
        (false, None) => String::new(),
    };
    let keys = Line::of(DIM, &keys);
    if keys.width() + 2 > columns {
        return keys;
    }
    let legend = if legend.width() + keys.width() + 2 > columns { Line::default() } else { legend };
    legend.with_right(keys, columns)
}

#[cfg(test)]
mod tests;
