//! What is said of a session in a few words, alike in the table, on its page and on the screen.

use clap::builder::styling::{AnsiColor, Style};
use jiff::Timestamp;

use super::line::Line;
use crate::api::{Counts, Next, SessionStatus, State};
use crate::cli::words;

/// Readable on every palette, which no colour of its own would be.
pub(super) const DIM: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();
/// Yellow and cyan cannot be read on white, nor blue on black; this can on both.
pub(in crate::cli) const UNDER_WAY: Style = AnsiColor::Magenta.on_default();

/// A session in trouble comes first.
pub(super) const ORDER: [State; 7] = [
    State::NeedsAttention,
    State::Recovering,
    State::Starting,
    State::Renewing,
    State::Alive,
    State::Dormant,
    State::Paused,
];

/// The sessions, those in trouble first: by state, then those of which a file or the state is not written.
pub(super) fn in_order(sessions: &[SessionStatus]) -> Vec<&SessionStatus> {
    let mut sorted: Vec<&SessionStatus> = sessions.iter().collect();
    sorted.sort_by_key(|session| {
        (
            rank(session.state),
            session.persisted && is_written(session),
        )
    });
    sorted
}

fn rank(state: State) -> usize {
    ORDER
        .iter()
        .position(|it| *it == state)
        .unwrap_or(ORDER.len())
}

fn is_written(session: &SessionStatus) -> bool {
    session.files.iter().all(|file| file.error.is_none())
}

/// The state as people read it.
pub(in crate::cli) fn state_word(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Alive => "alive",
        State::Renewing => "renewing",
        State::Recovering => "recovering",
        State::NeedsAttention => "needs attention",
        State::Paused => "paused",
        State::Dormant => "dormant",
    }
}

pub(super) fn style(state: State) -> Style {
    match state {
        State::Alive => AnsiColor::Green.on_default(),
        State::Starting | State::Renewing | State::Recovering => UNDER_WAY,
        State::NeedsAttention => AnsiColor::Red.on_default(),
        State::Paused | State::Dormant => DIM,
    }
}

/// `3 sessions: 1 needs attention, 2 alive`, in lines of at most so many columns.
pub(super) fn summary(sessions: &[SessionStatus], columns: usize) -> Vec<Line> {
    let in_state = |state| {
        let sessions = sessions.iter();
        sessions.filter(|session| session.state == state).count()
    };
    let unwritten = sessions
        .iter()
        .filter(|session| !is_written(session))
        .count();
    let mut parts = Vec::new();
    for state in ORDER {
        let needs_attention = state == State::NeedsAttention;
        let count = in_state(state);
        if count > 0 {
            let many = if needs_attention && count > 1 {
                "need attention"
            } else {
                state_word(state)
            };
            parts.push(Line::of(style(state), &format!("{count} {many}")));
        }
        // Where the rest is cut off, trouble is seen.
        if needs_attention && unwritten > 0 {
            let text = format!("files of {unwritten} not written");
            parts.push(Line::of(style(state), &text));
        }
    }
    let total = several(u64::try_from(sessions.len()).unwrap_or(u64::MAX), "session");
    let mut lines = vec![Line::of(
        Style::new(),
        &if parts.is_empty() {
            total
        } else {
            format!("{total}:")
        },
    )];
    let last = parts.len().saturating_sub(1);
    for (index, part) in parts.into_iter().enumerate() {
        let part = if index < last {
            part.then(Style::new(), ",")
        } else {
            part
        };
        match lines.last_mut() {
            Some(line) if line.width() + 1 + part.width() <= columns => {
                *line = std::mem::take(line).then(Style::new(), " ").join(part);
            }
            _ => lines.push(part),
        }
    }
    lines
}

/// `ping in 47 min`.
pub(super) fn next_in_words(next: &Next, now: Timestamp) -> String {
    format!("{} {}", next.action, words::ahead(next.at, now))
}

/// What comes next, or why nothing does.
pub(super) fn brief_next(session: &SessionStatus, now: Timestamp) -> String {
    session.next.as_ref().map_or_else(
        || nothing_next(session).to_owned(),
        |next| next_in_words(next, now),
    )
}

/// `ping in 47 min (idle timeout)`.
pub(super) fn next_and_why(session: &SessionStatus, now: Timestamp) -> String {
    let why = session
        .next
        .as_ref()
        .map(|next| format!(" ({})", next.why))
        .unwrap_or_default();
    brief_next(session, now) + &why
}

/// Why nothing is due.
pub(super) fn nothing_next(session: &SessionStatus) -> &'static str {
    match session.state {
        State::NeedsAttention => "waits for a person",
        State::Paused => "until it is resumed",
        State::Dormant => "until it is needed",
        State::Starting | State::Alive | State::Renewing | State::Recovering => "under way",
    }
}

/// `14 min old`, `withdrawn`, `none`.
pub(super) fn token(session: &SessionStatus, now: Timestamp) -> String {
    match (
        session.generation,
        session.published,
        session.token_issued_at,
    ) {
        (None, _, _) => "none".to_owned(),
        (Some(_), false, _) => "withdrawn".to_owned(),
        (Some(_), true, None) => "published".to_owned(),
        (Some(_), true, Some(issued)) => words::ago(issued, now)
            .replace(" ago", " old")
            .replace("just now", "new"),
    }
}

/// What ends the session, if nothing happens before, and when.
pub(super) fn end(session: &SessionStatus) -> Option<(Timestamp, &'static str)> {
    let idle = session.idle_deadline.map(|end| (end, "unused it ends"));
    let expiry = session.token_expires_at.map(|end| (end, "the token ends"));
    let life = session.max_lifetime_at.map(|end| (end, "the login ends"));
    [idle, expiry, life]
        .into_iter()
        .flatten()
        .min_by_key(|(end, _)| *end)
}

/// `12 pings, 1 login`; what did not happen is not mentioned.
pub(super) fn counts(counts: &Counts) -> String {
    let Counts {
        pings,
        renewals,
        logins,
        introspections,
        failures,
    } = *counts;
    let each = [
        (pings, "ping"),
        (introspections, "introspection"),
        (renewals, "renewal"),
        (logins, "login"),
    ];
    let mut told: Vec<String> = each
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| several(count, what))
        .collect();
    if failures > 0 {
        told.push(format!("{failures} failed"));
    }
    if told.is_empty() {
        "no calls yet".to_owned()
    } else {
        told.join(", ")
    }
}

pub(super) fn several(count: u64, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}
