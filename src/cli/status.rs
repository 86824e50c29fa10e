//! `keepfresh status`: a line for each session, and below it whatever a person should know.

mod watch;

use std::fmt::Write as _;

use clap::builder::styling::{AnsiColor, Color, Style};
use jiff::Timestamp;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, session_path, words};
use crate::api::client::{Call, Client};
use crate::api::{DutyKind, Next, Scheduled, SessionList, SessionStatus, State};
use crate::clock;

/// What `status` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The sessions to show [default: all]
    #[arg(value_name = "NAME", add = complete::sessions())]
    names: Vec<String>,
    /// Print JSON: an object with the list `sessions`
    #[arg(long)]
    json: bool,
    /// Keep it on the screen, up to date, until q; where the output is no terminal, a line for each change
    #[arg(long, short)]
    watch: bool,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    if args.watch {
        return watch::run(client, args);
    }
    let list = fetch(client, &args.names)?;
    if args.json { output::print_json(&list) } else { output::print(&table(&list.sessions, clock::now().wall)) }
}

/// All sessions that the caller may see, or those named.
fn fetch(client: &Client, names: &[String]) -> Result<SessionList, Failure> {
    let call = |path| Call { path, repeatable: true, ..Call::default() };
    if names.is_empty() {
        return Ok(client.json(&call("/v1/sessions".to_owned()))?);
    }
    let each = names.iter().map(|name| client.json::<SessionStatus>(&call(session_path(name, ""))));
    Ok(SessionList { sessions: each.collect::<Result<_, _>>()? })
}

/// The lines of `sessions`, in columns.
pub(super) fn table(sessions: &[SessionStatus], now: Timestamp) -> String {
    if sessions.is_empty() {
        return "no sessions: none is configured, or none that you may see\n".to_owned();
    }
    let heading = ["NAME", "STATE", "TOKEN", "NEXT"].map(str::to_owned);
    let rows: Vec<[String; 4]> = sessions.iter().map(|session| row(session, now)).collect();
    let widths: [usize; 3] = std::array::from_fn(|column| {
        let cells = rows.iter().chain([&heading]).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    });
    let mut text = line(&heading, widths, Style::new());
    for (session, row) in sessions.iter().zip(&rows) {
        text.push_str(&line(row, widths, style(session.state)));
        for note in notes(session, now) {
            let _ = writeln!(text, "    {note}");
        }
    }
    text
}

fn line([name, state, token, next]: &[String; 4], [names, states, tokens]: [usize; 3], style: Style) -> String {
    let line = format!("{name:names$}  {style}{state:states$}{style:#}  {token:tokens$}  {next}");
    format!("{}\n", line.trim_end())
}

fn row(session: &SessionStatus, now: Timestamp) -> [String; 4] {
    let next = session.next.as_ref();
    let next = next.map_or_else(|| "-".to_owned(), |next| format!("{}: {}", next_in_words(next, now), next.why));
    [session.session.clone(), state_word(session.state).to_owned(), token(session, now), next]
}

/// `ping in 47 min`.
fn next_in_words(next: &Next, now: Timestamp) -> String {
    format!("{} {}", next.action, words::ahead(next.at, now))
}

/// `14 min old (#7)`.
fn token(session: &SessionStatus, now: Timestamp) -> String {
    let Some(generation) = session.generation else { return "none".to_owned() };
    let withdrawn = if session.published { "" } else { ", withdrawn" };
    match session.token_issued_at.map(|issued| words::ago(issued, now)) {
        Some(age) => format!("{} (#{generation}){withdrawn}", age.replace(" ago", " old").replace("just now", "new")),
        None => format!("(#{generation}){withdrawn}"),
    }
}

/// The state as people read it.
pub(super) fn state_word(state: State) -> &'static str {
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

fn style(state: State) -> Style {
    let colour = match state {
        State::Alive => AnsiColor::Green,
        State::Starting | State::Renewing | State::Recovering => AnsiColor::Yellow,
        State::NeedsAttention => AnsiColor::Red,
        State::Paused | State::Dormant => AnsiColor::BrightBlack,
    };
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// What does not fit into columns: what is the matter, since when, and what to do.
fn notes(session: &SessionStatus, now: Timestamp) -> Vec<String> {
    let mut notes = Vec::new();
    match &session.attention {
        Some(attention) => {
            notes.push(format!("{} (since {})", attention.reason, words::ago(attention.since, now)));
            notes.push(format!("to do: {}", attention.remedy));
        }
        None if session.state != State::Alive && !said_by_error(session) => notes.push(session.reason.clone()),
        None => {}
    }
    notes.extend(session.notice.clone());
    notes.extend(session.held_until.map(|until| held(until, now)));
    if !session.scheduled.is_empty() {
        let duties: Vec<String> = session.scheduled.iter().filter_map(|duty| scheduled(duty, now)).collect();
        notes.push(format!("scheduled: {}", duties.join(", ")));
    }
    if let Some(error) = &session.last_error {
        let when = words::ago(error.at, now);
        notes.push(format!("last error {when}: {}: {}: {}", error.request, error.verdict, error.detail));
    }
    if !session.persisted {
        notes.push("its state is not on disk: a restart now would lose it".to_owned());
    }
    let failed = session.files.iter().filter_map(|file| file.error.as_ref().map(|error| (&file.path, error)));
    notes.extend(failed.map(|(path, error)| format!("{path}: {error}")));
    notes
}

/// `jobs hold the token for 40 min at most: …`.
fn held(until: Timestamp, now: Timestamp) -> String {
    let left = words::span(until.duration_since(now).try_into().unwrap_or_default());
    format!("jobs hold the token for {left} at most: a renewal or login that can wait does")
}

/// `verify in 12 min (Sat 2026-11-21 10:55 CET)`.
fn scheduled(duty: &Scheduled, now: Timestamp) -> Option<String> {
    let what = match duty.duty {
        DutyKind::Verify => "verify",
        DutyKind::Renew => "renew",
        DutyKind::ActiveStarts => "back for its active hours",
        DutyKind::ActiveEnds => "may lapse",
        DutyKind::Other => return None,
    };
    Some(format!("{what} {} ({})", words::ahead(duty.at, now), duty.local))
}

/// The last error tells the reason too, or there is none to tell.
fn said_by_error(session: &SessionStatus) -> bool {
    session.reason.is_empty() || session.last_error.as_ref().is_some_and(|error| error.detail == session.reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Attention, FileStatus, LastError, fake};

    #[test]
    fn a_healthy_session_is_one_line() {
        let mut crm = fake::status("crm");
        crm.next = Some(Next { action: "ping".to_owned(), at: at(3820), why: "idle timeout".to_owned() });
        assert_eq!(
            plain(&[crm]),
            "NAME  STATE  TOKEN            NEXT\n\
             crm   alive  14 min old (#7)  ping in 47 min: idle timeout\n"
        );
    }

    #[test]
    fn what_a_person_must_do_stands_below() {
        let mut crm = fake::status("crm");
        crm.state = State::NeedsAttention;
        crm.published = false;
        crm.persisted = false;
        let (reason, remedy) = ("the server refused the login", "check the key, then: keepfresh login crm");
        crm.attention = Some(Attention { since: at(940), reason: reason.to_owned(), remedy: remedy.to_owned() });
        crm.last_error = Some(LastError {
            at: at(940),
            request: "login".to_owned(),
            verdict: "refused".to_owned(),
            detail: "400 invalid_grant".to_owned(),
        });
        crm.files =
            vec![FileStatus { path: "/t/crm".to_owned(), generation: None, error: Some("disk full".to_owned()) }];
        assert_eq!(
            plain(&[crm]),
            "NAME  STATE            TOKEN                       NEXT\n\
             crm   needs attention  14 min old (#7), withdrawn  -\n    \
             the server refused the login (since 1 min ago)\n    \
             to do: check the key, then: keepfresh login crm\n    \
             last error 1 min ago: login: refused: 400 invalid_grant\n    \
             its state is not on disk: a restart now would lose it\n    \
             /t/crm: disk full\n"
        );
    }

    #[test]
    fn the_calendar_and_those_who_hold_the_token_stand_below() {
        let mut crm = fake::status("crm");
        crm.held_until = Some(at(3400));
        let duty = |duty, second, local: &str| Scheduled { duty, at: at(second), local: local.to_owned() };
        crm.scheduled = vec![
            duty(DutyKind::Verify, 1720, "Sun 2026-03-29 03:00 CEST"),
            duty(DutyKind::Other, 1730, "Sun 2026-03-29 03:01 CEST"),
            duty(DutyKind::ActiveEnds, 11_800, "Sun 2026-03-29 06:00 CEST"),
        ];
        assert_eq!(
            plain(&[crm]),
            "NAME  STATE  TOKEN            NEXT\n\
             crm   alive  14 min old (#7)  -\n    \
             jobs hold the token for 40 min at most: a renewal or login that can wait does\n    \
             scheduled: verify in 12 min (Sun 2026-03-29 03:00 CEST), may lapse in 3 h (Sun 2026-03-29 06:00 CEST)\n"
        );
    }

    #[test]
    fn no_sessions_is_said_in_words() {
        assert!(plain(&[]).starts_with("no sessions"));
    }

    fn plain(sessions: &[SessionStatus]) -> String {
        anstream::adapter::strip_str(&table(sessions, at(1000))).to_string()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }
}
