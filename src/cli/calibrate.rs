//! `keepfresh calibrate`: whether the ping of a live session really moves the server's window.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, parse_duration, session_path};
use crate::api::SessionStatus;
use crate::api::client::{Call, Client};

/// What clocks and answers may be off by.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// What `calibrate` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The session
    #[arg(value_name = "NAME", add = complete::sessions())]
    name: String,
    /// How long to leave the session alone before the ping
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    after: Duration,
    /// How long to wait for each answer
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    wait: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How the end is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// The server is asked before and after the ping.
    Introspection,
    /// The server's answers to login and ping tell it.
    Answers,
}

/// What was seen.
#[derive(Debug, Serialize)]
struct Report {
    session: String,
    by: By,
    /// The session's end, before the ping.
    before: Timestamp,
    /// And after it.
    after: Timestamp,
    /// By how much the ping moved it.
    moved_seconds: f64,
    /// Whether that is as much as the session was left alone.
    counts: bool,
    idle_timeout_seconds: Option<f64>,
}

/// Makes three calls to the server at most: a question, a ping, a question.
pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let by = match order(client, args, "introspect") {
        Ok(_) => By::Introspection,
        Err(failure) if failure.is_conflict() => By::Answers,
        Err(failure) => return Err(failure),
    };
    let before = look(client, args, by)?;
    std::thread::sleep(args.after);
    let status = order(client, args, "verify")?;
    if by == By::Introspection {
        order(client, args, "introspect")?;
    }
    let after = look(client, args, by)?;
    if before.was_replaced_by(&after) {
        return output::print(&replaced(&args.name)).map(|_| Exit::Failed);
    }
    let (Some(before), Some(after)) = (before.end, after.end) else {
        return output::print(&blind(&args.name)).map(|_| Exit::Failed);
    };
    let moved = after.duration_since(before);
    let alone = SignedDuration::try_from(args.after).unwrap_or(SignedDuration::MAX);
    let report = Report {
        session: args.name.clone(),
        by,
        before,
        after,
        moved_seconds: moved.as_secs_f64(),
        counts: moved >= (alone - TOLERANCE).max(alone / 2),
        idle_timeout_seconds: status.idle_timeout_seconds,
    };
    if args.json {
        output::print_json(&report)
    } else {
        output::print(&in_words(&report, args.after))
    }
}

fn order(client: &Client, args: &Args, word: &str) -> Result<SessionStatus, Failure> {
    let path = session_path(&args.name, &format!("/{word}"));
    Ok(client.json(&Call {
        post: true,
        path,
        wait: args.wait,
        repeatable: true,
        ..Call::default()
    })?)
}

/// The session at one moment.
struct Look {
    /// Its end, as far as anybody tells it.
    end: Option<Timestamp>,
    generation: Option<u64>,
    /// Logins and renewals so far; what a ping brings does not count.
    replacements: u64,
}

impl Look {
    /// The ends of two tokens say nothing of a ping, unless it was the ping that handed out the other one.
    fn was_replaced_by(&self, later: &Self) -> bool {
        let lost = self.generation.is_some() && later.generation.is_none();
        lost || self.replacements != later.replacements
    }
}

fn look(client: &Client, args: &Args, by: By) -> Result<Look, Failure> {
    let call = Call {
        path: session_path(&args.name, ""),
        repeatable: true,
        ..Call::default()
    };
    let status: SessionStatus = client.json(&call)?;
    let end = match by {
        By::Introspection => status.introspected.map(|seen| seen.ends_at),
        By::Answers => status.token_expires_at,
    };
    let replacements = status.counts.logins + status.counts.renewals;
    Ok(Look {
        end,
        generation: status.generation,
        replacements,
    })
}

fn replaced(name: &str) -> String {
    format!(
        "{name}: a login or renewal came in between, and the ends of two tokens say nothing of the ping: try again, with a \
         shorter --after where tokens do not live long\n"
    )
}

fn blind(name: &str) -> String {
    format!(
        "{name}: cannot measure: this server never says when a session ends (no introspection, no expiry in login or ping)\n"
    )
}

fn in_words(report: &Report, alone: Duration) -> String {
    let by = match report.by {
        By::Introspection => "introspection",
        By::Answers => "the server's answers",
    };
    let seen = format!(
        "{}: by {by} the session would end at {}; after {} s and a ping, at {}: {}\n",
        report.session,
        clock_time(report.before),
        alone.as_secs_f64(),
        clock_time(report.after),
        moved_in_words(report.moved_seconds)
    );
    if report.counts {
        seen + "the ping counts as activity\n"
    } else {
        seen + &unmoved(report)
    }
}

fn moved_in_words(seconds: f64) -> String {
    let whole = seconds.abs().round();
    match seconds {
        _ if whole < 1.0 => "no later".to_owned(),
        seconds if seconds < 0.0 => format!("{whole:.0} s earlier"),
        _ => format!("{whole:.0} s later"),
    }
}

fn unmoved(report: &Report) -> String {
    let again = report.idle_timeout_seconds.map_or_else(String::new, |timeout| {
        let second_half = (timeout / 2.0 + 5.0).min(timeout * 0.8);
        format!("; where it counts only in the second half of the window, try again with --after {second_half:.0}s")
    });
    format!("the ping did not move the end: it does not count as activity, or not yet{again}\n")
}

fn clock_time(moment: Timestamp) -> String {
    moment.strftime("%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_said_with_what_it_means() {
        let start: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
        for (moved, counts, expected) in
            [(10, true, "the ping counts"), (0, false, "--after 3605s")]
        {
            let after = start + SignedDuration::from_secs(moved);
            let report = Report {
                session: "crm".into(),
                by: By::Introspection,
                before: start,
                after,
                moved_seconds: after.duration_since(start).as_secs_f64(),
                counts,
                idle_timeout_seconds: Some(7200.0),
            };
            let text = in_words(&report, Duration::from_secs(10));
            assert!(
                text.contains(expected) && text.contains("03:04:05Z"),
                "{text}"
            );
        }
    }

    #[test]
    fn an_end_that_moved_by_less_than_a_second_is_no_later() {
        for (seconds, expected) in [
            (-0.3, "no later"),
            (0.0, "no later"),
            (0.4, "no later"),
            (-7.2, "7 s earlier"),
            (9.9, "10 s later"),
        ] {
            assert_eq!(moved_in_words(seconds), expected);
        }
    }

    #[test]
    fn ends_over_a_login_or_renewal_are_not_compared_and_those_of_a_ping_that_hands_out_another_token_are()
     {
        let look = |generation, replacements| Look {
            end: None,
            generation,
            replacements,
        };
        for (later, replaced) in [
            (look(Some(7), 1), false),
            (look(Some(8), 1), false),
            (look(Some(8), 2), true),
            (look(Some(7), 2), true),
            (look(None, 1), true),
        ] {
            assert_eq!(look(Some(7), 1).was_replaced_by(&later), replaced);
        }
    }
}
