//! A session on one line: what comes next and when it ends are told at any width, in words or in a picture.

use clap::builder::styling::Style;
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;

use super::strip;
use super::{LONGEST_STRIP, SHORTEST_STRIP, View};
use crate::api::{SessionStatus, State};
use crate::cli::status::line::Line;
use crate::cli::status::phrases::{BOLD, DIM, brief_next, end, state_word, style};
use crate::cli::words;

/// No name is given more columns than these where there is a timeline, nor fewer where it is cut.
const WIDEST_NAME: usize = 24;
const NARROWEST_NAME: usize = 4;
/// For each end of a timeline, `-45m ` say.
const LABEL: usize = 5;

/// Where the columns of the rows are.
pub(super) struct Table {
    name: usize,
    state: usize,
    next: usize,
    end: usize,
    /// How long the timelines are, where there are any.
    strip: Option<usize>,
    /// All in as few characters as can be.
    compact: bool,
}

impl Table {
    pub(super) fn of(sessions: &[&SessionStatus], view: &View<'_>, columns: usize) -> Self {
        let widest = |width: &dyn Fn(&SessionStatus) -> usize| {
            sessions
                .iter()
                .map(|session| width(session))
                .max()
                .unwrap_or_default()
        };
        let longest_name = widest(&|session| session.session.width());
        let widths = |compact: bool| {
            let state = widest(&|session| state_in(session.state, compact).len());
            let next = widest(&|session| next_in(session, view.now, compact).width());
            let end = widest(&|session| end_in(session, view.now, compact).width());
            (state, next, end)
        };
        let (state, next, end) = widths(false);
        let name = longest_name.min(WIDEST_NAME);
        let strip = columns.saturating_sub(2 + name + 2 + state + 2 + next + 2 + 2 * LABEL);
        if strip >= SHORTEST_STRIP {
            return Self {
                name,
                state,
                next,
                end: 0,
                strip: Some(strip.min(LONGEST_STRIP)),
                compact: false,
            };
        }
        let room = columns.saturating_sub(2 + 2 + state + 2 + next + 2 + end);
        if room >= name {
            return Self {
                name: longest_name.min(room),
                state,
                next,
                end,
                strip: None,
                compact: false,
            };
        }
        let (state, next, end) = widths(true);
        let room = columns.saturating_sub(2 + 2 + state + 2 + next + 2 + end);
        let name = longest_name.min(room.max(NARROWEST_NAME));
        Self {
            name,
            state,
            next,
            end,
            strip: None,
            compact: true,
        }
    }

    pub(super) fn has_strip(&self) -> bool {
        self.strip.is_some()
    }

    pub(super) fn row(&self, session: &SessionStatus, view: &View<'_>) -> Line {
        let state = style(session.state);
        let next_style = if session.next.is_some() {
            Style::new()
        } else {
            DIM
        };
        let at_next = 2 + self.name + 2 + self.state + 2;
        let line = Line::of(state, view.bullet(session))
            .then(Style::new(), " ")
            .then(BOLD, &view.glyphs.shortened(&session.session, self.name))
            .pad_to(2 + self.name + 2)
            .then(state, state_in(session.state, self.compact))
            .pad_to(at_next)
            .then(next_style, &next_in(session, view.now, self.compact));
        let line_end = at_next + self.next + 2;
        match self.strip {
            Some(columns) => {
                let (back, ahead) = strip::reach(session, view.now, columns);
                let back = format!("-{}", words::compact(back));
                line.pad_to(line_end)
                    .then(DIM, &format!("{back:>width$} ", width = LABEL - 1))
                    .join(strip::strip(session, view.now, columns, view.glyphs))
                    .then(DIM, &format!(" +{}", words::compact(ahead)))
            }
            None if self.end > 0 => line
                .pad_to(line_end)
                .then(Style::new(), &end_in(session, view.now, self.compact)),
            None => line,
        }
    }
}

fn state_in(state: State, compact: bool) -> &'static str {
    if compact && state == State::NeedsAttention {
        "attention"
    } else {
        state_word(state)
    }
}

fn next_in(session: &SessionStatus, now: Timestamp, compact: bool) -> String {
    match &session.next {
        Some(next) if compact => format!("{} {}", next.action, left(next.at, now)),
        None if compact => "-".to_owned(),
        Some(_) | None => brief_next(session, now),
    }
}

/// When it ends unless something happens before.
fn end_in(session: &SessionStatus, now: Timestamp, compact: bool) -> String {
    match end(session) {
        None => String::new(),
        Some((at, _)) if at <= now => "ended".to_owned(),
        Some((at, _)) if compact => format!("end {}", left(at, now)),
        Some((at, _)) => format!("ends {}", words::ahead(at, now)),
    }
}

fn left(at: Timestamp, now: Timestamp) -> String {
    words::compact(at.duration_since(now).try_into().unwrap_or_default())
}
