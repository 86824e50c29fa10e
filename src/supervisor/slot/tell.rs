//! What the log says: one line for each transition, and for lasting trouble the same line at a fixed slow pace.

use std::collections::BTreeMap;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use super::Slot;
use super::warnings::{WARN_AGAIN_AFTER, Warning};
use crate::publish::SinkStatus;
use crate::session::account::Account;
use crate::session::answer::Answer;
use crate::session::event::Event;
use crate::time::Instant;

/// Lasting trouble is repeated so often.
const REPEAT_AFTER: Duration = Duration::from_mins(15);

/// What was said of a session already.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Told {
    failing: Option<Instant>,
    /// When it was last said that files cannot be written.
    unpublished: Option<Instant>,
    attention: Option<Box<(Instant, String)>>,
    /// When a person was first needed, in this run.
    needs_person_since: Option<Instant>,
    /// Early warnings that hold, and when they were last said.
    warned: BTreeMap<Warning, Instant>,
}

impl Told {
    /// Since when, as far as this run knows, a person is needed.
    pub(in crate::supervisor) fn needs_person_since(&self) -> Option<Instant> {
        self.needs_person_since
    }

    /// Whether an early warning is to be said now.
    pub(in crate::supervisor) fn may_warn(
        &mut self,
        warning: Warning,
        holds: bool,
        now: Instant,
    ) -> bool {
        if !holds {
            self.warned.remove(&warning);
            return false;
        }
        let again = self
            .warned
            .get(&warning)
            .is_none_or(|said| now.since(*said) >= WARN_AGAIN_AFTER);
        if again {
            self.warned.insert(warning, now);
        }
        again
    }

    fn may_repeat_failure(&mut self, now: Instant, failures: u32) -> bool {
        let again = failures <= 1
            || self
                .failing
                .is_none_or(|said| now.since(said) >= REPEAT_AFTER);
        if again {
            self.failing = Some(now);
        }
        again
    }

    /// Whether it is time to say that files cannot be written; `well` when all can.
    pub(in crate::supervisor) fn may_repeat_unpublished(
        &mut self,
        now: Instant,
        well: bool,
    ) -> bool {
        if well {
            self.unpublished = None;
            return false;
        }
        let again = self
            .unpublished
            .is_none_or(|said| now.since(said) >= REPEAT_AFTER);
        if again {
            self.unpublished = Some(now);
        }
        again
    }
}

/// Each call, for those who look closely.
pub(in crate::supervisor) fn call(slot: &Slot, answer: &Answer) {
    let took = answer.received.since(answer.sent);
    let (session, verdict, detail) = (&*slot.name, answer.verdict.word(), answer.detail.as_str());
    debug!(
        session,
        verdict,
        detail,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "call answered"
    );
}

/// One transition.
#[expect(
    clippy::too_many_lines,
    reason = "one arm for each event, so that none is forgotten"
)]
pub(in crate::supervisor) fn event(slot: &mut Slot, event: &Event, now: Instant) {
    let session = slot.name.clone();
    let (session, word) = (&*session, event.word());
    match event {
        Event::LoggedIn { generation } => info!(session, event = word, generation, "logged in"),
        Event::Renewed { generation } => info!(session, event = word, generation, "renewed"),
        Event::SameToken => info!(
            session,
            event = word,
            "the server handed out the same token again"
        ),
        Event::SameDeadToken => info!(
            session,
            event = word,
            "the server handed out the token that it calls dead"
        ),
        Event::Died {
            generation,
            unexplained,
            detail,
        } => {
            info!(
                session,
                event = word,
                generation,
                unexplained,
                detail = detail.as_str(),
                "the server no longer knows the token"
            );
        }
        Event::Expired { generation } => info!(
            session,
            event = word,
            generation,
            "the token reached its end"
        ),
        Event::Learned { from, to } => warn!(
            session,
            event = word,
            from_seconds = from.as_secs(),
            to_seconds = to.as_secs(),
            "two sessions in a row died early: the server's idle timeout must be shorter; set `idle_timeout` to it"
        ),
        Event::Failing {
            request,
            detail,
            failures,
        } => {
            if slot.told.may_repeat_failure(now, *failures) {
                info!(
                    session,
                    event = word,
                    ?request,
                    detail = detail.as_str(),
                    failures,
                    "no usable answer; the daemon tries again"
                );
            }
        }
        Event::Answering { failures } => {
            info!(session, event = word, failures, "the server answers again");
        }
        Event::Throttled { wait, detail } => {
            info!(
                session,
                event = word,
                wait_seconds = wait.as_secs(),
                detail = detail.as_str(),
                "the server asks to wait"
            );
        }
        Event::Refused {
            detail,
            stopped: false,
        } => {
            info!(
                session,
                event = word,
                detail = detail.as_str(),
                "refused; trying once more"
            );
        }
        Event::Refused {
            detail,
            stopped: true,
        } => {
            warn!(
                session,
                event = word,
                detail = detail.as_str(),
                "refused: no more logins until a person acts"
            );
        }
        Event::GrantDead { detail } => {
            info!(
                session,
                event = word,
                detail = detail.as_str(),
                "the refresh token is dead"
            );
        }
        Event::InDoubt { detail } => {
            info!(
                session,
                event = word,
                detail = detail.as_str(),
                "a renewal has no usable answer"
            );
        }
        Event::Forbidden { detail } => {
            info!(
                session,
                event = word,
                detail = detail.as_str(),
                "the server forbids the ping"
            );
        }
        Event::RefreshTokenOdd { detail } if slot.session.can_login() => {
            info!(
                session,
                event = word,
                detail,
                "the server gave a refresh token that cannot be kept"
            );
        }
        Event::RefreshTokenOdd { detail } => {
            warn!(
                session,
                event = word,
                detail,
                "the server gave a refresh token that cannot be kept"
            );
        }
        Event::Allowed => info!(session, event = word, "the server allows the ping again"),
        Event::Doubtful { why } => info!(session, event = word, ?why, "checking the token"),
        Event::Proven => info!(session, event = word, "the token is good"),
        Event::BudgetSpent {
            wait,
            logins_an_hour,
        } => {
            let (wait_seconds, remedy) = (
                wait.as_secs(),
                format!("`keepfresh login {session}` logs in at once"),
            );
            info!(
                session,
                event = word,
                wait_seconds,
                logins_an_hour,
                remedy,
                "all logins of the hour are spent; the next login waits"
            );
        }
        Event::Skewed { millis } => {
            info!(
                session,
                event = word,
                millis,
                "the server's clock differs from this machine's"
            );
        }
        Event::Seeded => info!(
            session,
            event = word,
            "using the new refresh token of the config"
        ),
        Event::Reopened => info!(
            session,
            event = word,
            "a secret has changed: logins are allowed again"
        ),
        Event::LoggedOut { problem } => info!(
            session,
            event = word,
            problem = problem.as_deref(),
            "logged out"
        ),
        Event::Paused => info!(session, event = word, "paused by an admin"),
        Event::Resumed => info!(session, event = word, "resumed by an admin"),
        Event::Dormant => info!(session, event = word, "the active hours are over"),
        Event::Woken => info!(session, event = word, "awake"),
    }
}

/// Says when a person is needed, again at a slow pace, and when no longer. True when it said something.
pub(in crate::supervisor) fn attention(slot: &mut Slot, account: &Account, now: Instant) -> bool {
    let needed = slot.attention(account);
    let session = &*slot.name;
    match (&needed, &slot.told.attention) {
        (Some(needed), told) => {
            let said = told.as_deref().is_some_and(|(at, reason)| {
                *reason == needed.reason && now.since(*at) < REPEAT_AFTER
            });
            if !said {
                let (reason, remedy) = (&needed.reason, &needed.remedy);
                warn!(
                    session,
                    event = "needs_attention",
                    reason,
                    remedy,
                    "a person is needed"
                );
                slot.told.attention = Some(Box::new((now, needed.reason.clone())));
                slot.told.needs_person_since.get_or_insert(now);
            }
            !said
        }
        // While the account's record is being written, a person may still be needed.
        (None, Some(_)) if slot.session.attention(account).is_some() => false,
        (None, Some(_)) => {
            info!(session, event = "recovered", "no person is needed any more");
            slot.told.attention = None;
            slot.told.needs_person_since = None;
            true
        }
        (None, None) => false,
    }
}

/// A file that cannot be written.
pub(in crate::supervisor) fn sink_failed(session: &str, sink: &SinkStatus) {
    let (path, problem) = (sink.path.display(), sink.error.as_deref());
    error!(session, event = "unpublished", %path, problem, "cannot write a token file");
}
