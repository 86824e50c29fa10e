//! A session on some lines: name and state, what comes next, what is known, its timeline, what is the matter.

use clap::builder::styling::Style;
use unicode_width::UnicodeWidthStr as _;

use super::strip;
use super::{LONGEST_STRIP, SHORTEST_STRIP, View, remark_lines};
use crate::api::SessionStatus;
use crate::cli::status::line::Line;
use crate::cli::status::phrases::{
    BOLD, DIM, brief_next, counts, end, nothing_next, state_word, style, token,
};
use crate::cli::words;

/// For each end of the timeline.
const LABEL: usize = 9;

/// All of them, with an empty line between two where there is room.
pub(super) fn cards(
    sessions: &[&SessionStatus],
    view: &View<'_>,
    columns: usize,
    spaced: bool,
) -> Vec<Line> {
    let mut lines = Vec::new();
    for session in sessions {
        if spaced && !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.extend(card(session, view, columns));
    }
    lines
}

fn card(session: &SessionStatus, view: &View<'_>, columns: usize) -> Vec<Line> {
    let mut lines = headline(session, view, columns);
    lines.extend(facts(session, view, columns));
    lines.extend(labelled_strip(session, view, columns));
    lines.extend(remark_lines(session, view, columns));
    lines
}

/// What comes next is at the right end, in short where it must be, or below.
fn headline(session: &SessionStatus, view: &View<'_>, columns: usize) -> Vec<Line> {
    let state = style(session.state);
    let name = Line::of(state, view.bullet(session))
        .then(Style::new(), " ")
        .then(BOLD, &session.session)
        .then(Style::new(), "  ")
        .then(state, state_word(session.state));
    let Some(next) = &session.next else {
        return beside(name, &[Line::of(DIM, nothing_next(session))], columns);
    };
    let brief = Line::of(BOLD, &brief_next(session, view.now));
    let long = brief.clone().then(DIM, &format!(" ({})", next.why));
    beside(name, &[long, brief], columns)
}

/// The first of `right` that fits beside `left`, else the last below it.
fn beside(left: Line, right: &[Line], columns: usize) -> Vec<Line> {
    let fitting = right
        .iter()
        .find(|right| left.width() + right.width() + 2 <= columns);
    match (fitting, right.last()) {
        (Some(right), _) => vec![left.with_right(right.clone(), columns)],
        (None, Some(last)) => vec![left, Line::of(Style::new(), "  ").join(last.clone())],
        (None, None) => vec![left],
    }
}

/// Broken between two facts, never within one.
fn facts(session: &SessionStatus, view: &View<'_>, columns: usize) -> Vec<Line> {
    let dot = format!(" {} ", view.glyphs.dot);
    let mut facts = vec![match session.generation {
        Some(_) => format!("token {}", token(session, view.now)),
        None => "no token".to_owned(),
    }];
    facts.extend(end(session).map(|(at, what)| {
        let late = session
            .next
            .as_ref()
            .is_some_and(|next| next.at > at && at > view.now);
        format!(
            "{what} {}{}",
            words::ahead(at, view.now),
            if late { ", before what comes next" } else { "" }
        )
    }));
    facts.push(counts(&session.counts));
    facts.extend(
        session
            .quotas
            .iter()
            .map(|quota| format!("{} {} of {}", quota.name, quota.used, quota.limit)),
    );
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        match lines.last_mut() {
            Some(last) if 2 + last.width() + dot.width() + fact.width() <= columns => {
                last.push_str(&dot);
                last.push_str(&fact);
            }
            _ => lines.push(fact),
        }
    }
    lines
        .iter()
        .map(|line| Line::of(DIM, &format!("  {line}")))
        .collect()
}

/// How long the timeline of a card is; none where the screen is too narrow.
pub(super) fn strip_columns(columns: usize) -> Option<usize> {
    let strip = columns.saturating_sub(2 + 2 * LABEL).min(LONGEST_STRIP);
    (strip >= SHORTEST_STRIP).then_some(strip)
}

/// The timeline, with how far it reaches at either end: each session has a scale of its own.
pub(super) fn labelled_strip(
    session: &SessionStatus,
    view: &View<'_>,
    columns: usize,
) -> Option<Line> {
    let columns = strip_columns(columns)?;
    let (back, ahead) = strip::reach(session, view.now, columns);
    let (back, ahead) = (
        format!("-{}", words::largest_unit(back)),
        words::largest_unit(ahead),
    );
    let line = Line::of(DIM, &format!("  {back:>width$} ", width = LABEL - 2))
        .join(strip::strip(session, view.now, columns, view.glyphs))
        .then(DIM, &format!(" +{ahead}"));
    Some(line)
}
