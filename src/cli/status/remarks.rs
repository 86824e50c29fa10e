//! What a person should know of a session: each trouble in one sentence, with one remedy; nothing twice.

use clap::builder::styling::{AnsiColor, Style};
use jiff::Timestamp;

use super::phrases::BOLD;
use crate::api::{DutyKind, LastError, Scheduled, SessionStatus, State};
use crate::cli::words;

/// One sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Trouble,
    Remedy,
    Note,
}

impl Kind {
    pub(super) fn style(self) -> Style {
        match self {
            Self::Trouble => AnsiColor::Red.on_default(),
            Self::Remedy => BOLD,
            Self::Note => Style::new(),
        }
    }
}

/// What is the matter, since when, and what to do; then what is good to know.
pub(super) fn remarks(session: &SessionStatus, now: Timestamp) -> Vec<Remark> {
    let mut remarks = matter(session, now);
    let mut say = |kind, text: String| {
        if !remarks.iter().any(|said: &Remark| said.text == text) {
            remarks.push(Remark { kind, text });
        }
    };
    if !session.persisted {
        say(
            Kind::Trouble,
            "its state is not on disk: a restart now would lose it; make room in state_dir, or correct its permissions".to_owned(),
        );
    }
    let failed = session
        .files
        .iter()
        .filter_map(|file| file.error.as_ref().map(|error| (&file.path, error)));
    failed.for_each(|(path, error)| say(Kind::Trouble, format!("{path}: {error}")));
    session
        .notice
        .iter()
        .for_each(|notice| say(Kind::Note, notice.clone()));
    session
        .held_until
        .into_iter()
        .for_each(|until| say(Kind::Note, held(until, now)));
    let duties: Vec<String> = session
        .scheduled
        .iter()
        .filter_map(|duty| scheduled(duty, now))
        .collect();
    if !duties.is_empty() {
        say(Kind::Note, format!("scheduled: {}", duties.join(", ")));
    }
    remarks
}

fn matter(session: &SessionStatus, now: Timestamp) -> Vec<Remark> {
    let mut matter = Vec::new();
    let mut said = "";
    if let Some(attention) = &session.attention {
        said = &attention.reason;
        let lasting = words::span(
            now.duration_since(attention.since)
                .try_into()
                .unwrap_or_default(),
        );
        matter.push(Remark {
            kind: Kind::Trouble,
            text: format!("{} (for {lasting})", attention.reason),
        });
        matter.push(Remark {
            kind: Kind::Remedy,
            text: format!("to do: {}", attention.remedy),
        });
    } else if session.state != State::Alive && !said_by_error(session) {
        said = &session.reason;
        matter.push(Remark {
            kind: Kind::Note,
            text: session.reason.clone(),
        });
    }
    if let Some(error) = session
        .last_error
        .as_ref()
        .filter(|error| !said.contains(&error.detail))
    {
        matter.push(Remark {
            kind: Kind::Trouble,
            text: failed(error, now),
        });
    }
    // Where the cause is known, what to do follows it.
    let is_unexplained =
        |error: &LastError| error.verdict == "unavailable" && !error.detail.contains("; ");
    if session.state == State::Recovering && session.last_error.as_ref().is_some_and(is_unexplained)
    {
        matter.push(Remark {
            kind: Kind::Note,
            text: "the daemon tries again by itself; if this lasts, run `keepfresh check --live`, which finds what is in the way".to_owned(),
        });
    }
    matter
}

/// `ping failed 3 min ago: the server did not answer within 20s`.
fn failed(error: &LastError, now: Timestamp) -> String {
    format!(
        "{} failed {}: {}",
        error.request,
        words::ago(error.at, now),
        error.detail
    )
}

/// The last error tells the reason too, or there is none to tell.
fn said_by_error(session: &SessionStatus) -> bool {
    session.reason.is_empty()
        || session
            .last_error
            .as_ref()
            .is_some_and(|error| error.detail.contains(&session.reason))
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
    Some(format!(
        "{what} {} ({})",
        words::ahead(duty.at, now),
        duty.local
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Attention, fake};

    #[test]
    fn no_sentence_is_said_twice() {
        let mut crm = fake::status("crm");
        let detail = "the server answered 400 “ip restricted”";
        let error = |detail: &str| {
            Some(LastError {
                at: Timestamp::from_second(900).unwrap(),
                request: "login".to_owned(),
                verdict: "refused".to_owned(),
                detail: detail.to_owned(),
            })
        };
        crm.state = State::Recovering;
        crm.reason = detail.to_owned();
        crm.last_error = error(detail);
        let recovering = ["login failed 1 min 40 s ago: the server answered 400 “ip restricted”"];
        assert_eq!(said(&crm), recovering);
        crm.state = State::NeedsAttention;
        let reason = format!("session erp of the same account was refused: {detail}");
        let (since, remedy) = (
            Timestamp::from_second(880).unwrap(),
            "run `keepfresh login crm`".to_owned(),
        );
        crm.attention = Some(Attention {
            since,
            reason,
            remedy,
        });
        let refused = [
            "session erp of the same account was refused: the server answered 400 “ip restricted” (for 2 min)",
            "to do: run `keepfresh login crm`",
        ];
        assert_eq!(said(&crm), refused);
        crm.state = State::Recovering;
        crm.attention = None;
        crm.reason.clear();
        crm.last_error = error("cannot connect to acme.example").map(|error| LastError {
            verdict: "unavailable".to_owned(),
            ..error
        });
        let silent = said(&crm);
        assert!(
            silent.len() == 2 && silent[1].contains("`keepfresh check --live`"),
            "{silent:?}"
        );
        crm.last_error = error("the server did not answer");
        assert_eq!(
            said(&crm).last().unwrap(),
            "login failed 1 min 40 s ago: the server did not answer"
        );
    }

    fn said(session: &SessionStatus) -> Vec<String> {
        remarks(session, Timestamp::from_second(1000).unwrap())
            .into_iter()
            .map(|remark| remark.text)
            .collect()
    }
}
