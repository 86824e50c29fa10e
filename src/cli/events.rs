//! `keepfresh events`: what happens, as it happens.

use std::io;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::exit::Exit;
use super::failure::Failure;
use super::{output, parse_duration};
use crate::api::client::{Call, Client, ClientError, Lines};
use crate::api::{Event, EventKind};
use crate::clock;

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
    /// How long to wait for a daemon that does not run, at first and whenever it restarts
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    wait: Duration,
    /// Print each event as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Follows until it is stopped, or the daemon does not come back.
pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let mut last = args.from;
    loop {
        let mut lines = client.lines(&call(args, last), args.wait)?;
        if let Some(exit) = follow(&mut lines, args, &mut last)? {
            return Ok(exit);
        }
        // Without a number yet, what happens meanwhile is told by the next connection from its very beginning.
        last = last.or(Some(0));
    }
}

fn call(args: &Args, last: Option<u64>) -> Call<'static> {
    let names = args.names.iter().map(|name| ("session", name.clone()));
    let from = last.map(|last| ("from", last.to_string()));
    Call { path: "/v1/events".to_owned(), query: names.chain(from).collect(), repeatable: true, ..Call::default() }
}

/// Prints until the connection ends; says how to end when nobody reads any more.
fn follow(lines: &mut Lines, args: &Args, last: &mut Option<u64>) -> Result<Option<Exit>, Failure> {
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
        let Some(data) = line.strip_prefix("data:") else { continue };
        let Ok(event) = serde_json::from_str::<Event>(data.trim()) else { continue };
        *last = Some(event.id);
        let text = if args.json { data.trim().to_owned() } else { in_words(&event) };
        if !output::line(&text)? {
            return Ok(Some(Exit::Done));
        }
    }
}

/// `06:12:40  crm  call: ping alive: the server answered 200`.
fn in_words(event: &Event) -> String {
    let time = event.at.to_zoned(TimeZone::system()).strftime("%F %T");
    let session = event.session.as_deref().unwrap_or("-");
    let what = if event.event == EventKind::Missed {
        "earlier events are no longer known".to_owned()
    } else {
        event.event.word().replace('_', " ")
    };
    let call = [&event.request, &event.verdict].into_iter().flatten().map(String::as_str);
    let words: Vec<&str> = std::iter::once(what.as_str()).chain(call).collect();
    let generation = event.generation.map(|generation| format!(" #{generation}")).unwrap_or_default();
    let detail = event.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{time}  {session}  {}{generation}{detail}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_like_a_line_of_a_log() {
        let event = |json: &str| in_words(&serde_json::from_str(json).unwrap());
        let call = r#"{"id":7,"at":"2026-01-02T03:04:05Z","session":"crm","event":"call","request":"ping","verdict":"alive","detail":"the server answered 200"}"#;
        assert!(event(call).ends_with("  crm  call ping alive: the server answered 200"), "{}", event(call));
        let login = r#"{"id":8,"at":"2026-01-02T03:04:05Z","session":"crm","event":"logged_in","generation":9}"#;
        assert!(event(login).ends_with("  crm  logged in #9"), "{}", event(login));
        let missed = r#"{"id":8,"at":"2026-01-02T03:04:05Z","event":"missed"}"#;
        assert!(event(missed).ends_with("  -  earlier events are no longer known"), "{}", event(missed));
        let newer = r#"{"id":8,"at":"2026-01-02T03:04:05Z","session":"crm","event":"sang","song":"x"}"#;
        assert!(event(newer).ends_with("  crm  unknown"), "{}", event(newer));
    }
}
