//! `keepfresh events`: what happens, as it happens.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Style};
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;

use super::exit::Exit;
use super::failure::Failure;
use super::status::{Paper, UNDER_WAY, glyphs};
use super::{output, parse_duration};
use crate::api::client::{Call, Client, ClientError, Lines};
use crate::api::{Event, EventKind};
use crate::clock;
use crate::config::closest;

/// The daemon says something four times a minute.
const SILENCE: Duration = Duration::from_secs(45);

/// What `events` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The sessions to follow [default: all that you may see]
    #[arg(value_name = "NAME", add = super::complete::sessions())]
    names: Vec<String>,
    /// Begin after the event of this number, as far as it is still known; 0 for all that is
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    /// Only events of this kind, such as `needs_attention`; may be given several times
    #[arg(long, value_name = "EVENT", value_parser = parse_event)]
    event: Vec<EventKind>,
    /// Leave out the calls to servers
    #[arg(long)]
    no_calls: bool,
    /// How long to wait for a daemon that does not run, at first and whenever it restarts
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    wait: Duration,
    /// Print each event as a line of JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    /// That events were missed is always told.
    fn wants(&self, kind: EventKind) -> bool {
        let chosen = self.event.is_empty() || self.event.contains(&kind);
        kind == EventKind::Missed || chosen && !(self.no_calls && kind == EventKind::Call)
    }
}

/// Follows until it is stopped, or the daemon does not come back.
pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let (mut last, mut teller) = (args.from, Teller::on(Paper::of_stdout()));
    let mut is_silent = last.is_none() && !args.json && io::stdout().is_terminal();
    loop {
        let mut lines = client.lines(&call(args, last), args.wait)?;
        if std::mem::take(&mut is_silent) {
            output::complain(
                "What happens from now on is shown here; --from 0 shows what has happened, Ctrl-C ends.",
            );
        }
        if let Some(exit) = follow(&mut lines, args, &mut last, &mut teller)? {
            return Ok(exit);
        }
        // Without a number yet, what happens meanwhile is told by the next connection from its very beginning.
        last = last.or(Some(0));
    }
}

fn call(args: &Args, last: Option<u64>) -> Call<'static> {
    let names = args.names.iter().map(|name| ("session", name.clone()));
    let from = last.map(|last| ("from", last.to_string()));
    Call {
        path: "/v1/events".to_owned(),
        query: names.chain(from).collect(),
        repeatable: true,
        ..Call::default()
    }
}

/// Prints until the connection ends; says how to end when nobody reads any more.
fn follow(
    lines: &mut Lines,
    args: &Args,
    last: &mut Option<u64>,
    teller: &mut Teller,
) -> Result<Option<Exit>, Failure> {
    loop {
        let until = clock::boottime().after(SILENCE);
        if lines.is_unread(io::stdout(), SILENCE) {
            return Ok(Some(Exit::Done));
        }
        let line = match lines.next(until.since(clock::boottime())) {
            Ok(line) => line,
            Err(ClientError::Lost(_) | ClientError::Silent(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let Some(data) = line.strip_prefix("data:") else {
            continue;
        };
        let Ok(event) = serde_json::from_str::<Event>(data.trim()) else {
            continue;
        };
        *last = Some(event.id);
        if !args.wants(event.event) {
            continue;
        }
        let text = if args.json {
            data.trim().to_owned()
        } else {
            teller.line(&event)
        };
        if !output::line(&text)? {
            return Ok(Some(Exit::Done));
        }
    }
}

/// Text with less room than that goes below the time and the session.
const NARROW: usize = 36;

/// What was said of each session last: one fact makes several events, and is put into words once.
pub(super) struct Teller {
    paper: Paper,
    said: BTreeMap<String, String>,
}

impl Teller {
    pub(super) fn on(paper: Paper) -> Self {
        Self {
            paper,
            said: BTreeMap::new(),
        }
    }

    /// `2026-01-02 03:04:05+01:00  crm  call ping alive: the server answered 200`; where the paper ends, in lines that end
    /// there.
    pub(super) fn line(&mut self, event: &Event) -> String {
        let time = event.at.to_zoned(TimeZone::system()).strftime("%F %T%:z");
        let session = event.session.as_deref().unwrap_or("-");
        let what = if event.event == EventKind::Missed {
            "earlier events are no longer known".to_owned()
        } else {
            event.event.word().replace('_', " ")
        };
        let call = [&event.request, &event.verdict]
            .into_iter()
            .flatten()
            .map(String::as_str);
        let words: Vec<&str> = std::iter::once(what.as_str()).chain(call).collect();
        let generation = event
            .generation
            .map(|generation| format!(" #{generation}"))
            .unwrap_or_default();
        let detail = event.detail.clone().unwrap_or_default();
        let said = self.said.insert(session.to_owned(), detail.clone());
        let is_new = !detail.is_empty() && said.as_ref() != Some(&detail);
        let detail = if is_new {
            format!(": {detail}")
        } else {
            String::new()
        };
        let (dim, bold, style) = (Style::new().dimmed(), Style::new().bold(), style(event));
        let words = words.join(" ");
        let text = format!("{words}{generation}{detail}");
        let beside = time.to_string().len() + 2 + session.width() + 2;
        let (between, indent) = if self.paper.room(beside) >= NARROW {
            ("  ", beside)
        } else {
            ("\n  ", 2)
        };
        let blank = format!("\n{}", " ".repeat(indent));
        let text = self.paper.folded(&text, indent).join(&blank);
        let text = match text.strip_prefix(&words) {
            Some(rest) => format!("{style}{words}{style:#}{rest}"),
            None => text,
        };
        let room = self.paper.room(time.to_string().len() + 2);
        let session = glyphs::of_locale().shortened(session, room);
        let line = format!("{dim}{time}{dim:#}  {bold}{session}{bold:#}{between}{text}");
        glyphs::of_locale().shown(&line).into_owned()
    }
}

/// Trouble is red, what is not sure magenta, a new token green; calls stay in the background.
fn style(event: &Event) -> Style {
    match event.event {
        EventKind::NeedsAttention
        | EventKind::Died
        | EventKind::Expired
        | EventKind::Withdrawn
        | EventKind::Refused
        | EventKind::GrantDead
        | EventKind::Forbidden
        | EventKind::BudgetSpent
        | EventKind::LoggedOut => AnsiColor::Red.on_default(),
        EventKind::Missed
        | EventKind::SameDeadToken
        | EventKind::Failing
        | EventKind::Throttled
        | EventKind::InDoubt
        | EventKind::RefreshTokenOdd
        | EventKind::Doubtful
        | EventKind::Skewed
        | EventKind::Learned => UNDER_WAY,
        EventKind::Published
        | EventKind::Recovered
        | EventKind::LoggedIn
        | EventKind::Renewed
        | EventKind::SameToken
        | EventKind::Answering
        | EventKind::Allowed
        | EventKind::Proven
        | EventKind::Reopened => AnsiColor::Green.on_default(),
        EventKind::Call => Style::new().dimmed(),
        EventKind::Seeded
        | EventKind::Paused
        | EventKind::Resumed
        | EventKind::Dormant
        | EventKind::Woken
        | EventKind::Unknown => Style::new(),
    }
}

/// An event by its word, as it is in the log and in JSON.
fn parse_event(word: &str) -> Result<EventKind, String> {
    let plain = word.to_lowercase().replace(['-', ' '], "_");
    match serde_json::from_value(plain.clone().into()) {
        Ok(EventKind::Unknown) | Err(_) => {
            let words = EventKind::ALL.map(EventKind::word);
            let known: Vec<&str> = words.iter().map(String::as_str).collect();
            Err(match closest(&plain, &known) {
                Some(meant) => format!("there is no such event; did you mean {meant}?"),
                None => format!("there is no such event; known are {}", known.join(", ")),
            })
        }
        Ok(kind) => Ok(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_like_a_line_of_a_log() {
        let event = |json: &str| {
            plain(&Teller::on(Paper::of_a_file()).line(&serde_json::from_str(json).unwrap()))
        };
        let call = r#"{"id":7,"at":"2026-01-02T03:04:05Z","session":"crm","event":"call","request":"ping","verdict":"alive","detail":"the server answered 200"}"#;
        assert!(
            event(call).ends_with("  crm  call ping alive: the server answered 200"),
            "{}",
            event(call)
        );
        let login = r#"{"id":8,"at":"2026-01-02T03:04:05Z","session":"crm","event":"logged_in","generation":9}"#;
        assert!(
            event(login).ends_with("  crm  logged in #9"),
            "{}",
            event(login)
        );
        let zone = event(login).chars().nth("2026-01-02 03:04:05".len());
        assert!(matches!(zone, Some('+' | '-')), "the time has its zone");
        let missed = r#"{"id":8,"at":"2026-01-02T03:04:05Z","event":"missed"}"#;
        assert!(
            event(missed).ends_with("  -  earlier events are no longer known"),
            "{}",
            event(missed)
        );
        let newer =
            r#"{"id":8,"at":"2026-01-02T03:04:05Z","session":"crm","event":"sang","song":"x"}"#;
        assert!(event(newer).ends_with("  crm  unknown"), "{}", event(newer));
    }

    #[test]
    fn one_fact_is_put_into_words_once() {
        let mut teller = Teller::on(Paper::of_a_file());
        let mut line = |event: &str, detail: &str| {
            let json = format!(
                r#"{{"id":7,"at":"2026-01-02T03:04:05Z","session":"crm","event":"{event}","detail":"{detail}"}}"#
            );
            plain(&teller.line(&serde_json::from_str(&json).unwrap()))
        };
        assert!(
            line("call", "the server answered 403")
                .ends_with("  crm  call: the server answered 403")
        );
        assert!(line("forbidden", "the server answered 403").ends_with("  crm  forbidden"));
        assert!(
            line("needs_attention", "the server answered 403").ends_with("  crm  needs attention")
        );
        assert!(line("call", "the server answered 200").ends_with(": the server answered 200"));
    }

    #[test]
    fn events_are_chosen_by_their_words_and_a_slip_is_answered_with_what_was_meant() {
        assert_eq!(
            parse_event("needs_attention"),
            Ok(EventKind::NeedsAttention)
        );
        assert_eq!(
            parse_event("Needs-Attention"),
            Ok(EventKind::NeedsAttention)
        );
        assert!(
            parse_event("logged_inn")
                .unwrap_err()
                .contains("did you mean logged_in?")
        );
        assert!(parse_event("unknown").is_err());
        let args = |event: Vec<EventKind>, no_calls| Args {
            names: Vec::new(),
            from: None,
            event,
            no_calls,
            wait: Duration::ZERO,
            json: false,
        };
        let only = args(vec![EventKind::Died], false);
        assert!(
            only.wants(EventKind::Died)
                && only.wants(EventKind::Missed)
                && !only.wants(EventKind::Call)
        );
        let quiet = args(Vec::new(), true);
        assert!(quiet.wants(EventKind::Died) && !quiet.wants(EventKind::Call));
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }
}
