//! What happened, for those who follow: numbered, kept for a while, and told to whoever may see the session.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

use super::Supervisor;
use super::slot::Slot;
use super::slot::{doubt_in_words, request_word};
use crate::api::access::{self, Caller};
use crate::api::{About, Event, EventKind, Following, Refusal};
use crate::duration::duration_text;
use crate::session::answer::{Answer, Request};
use crate::session::event::Event as Transition;
use crate::time::Now;
use crate::users::Principal;

/// So many are kept for those who come back; as many may be on their way to a follower who reads slowly.
const KEPT: usize = 1024;

/// The first number of a run is its Unix time in seconds times this, so that numbers rise over restarts too.
const NUMBERS_A_SECOND: u64 = 1_000_000;

/// Something that happened to a session, not numbered yet.
#[derive(Clone, Debug)]
pub(super) struct Happened {
    at: Timestamp,
    kind: EventKind,
    generation: Option<u64>,
    request: Option<&'static str>,
    verdict: Option<&'static str>,
    detail: Option<String>,
}

/// The latest events, and those who follow.
pub(super) struct Feed {
    next: u64,
    past: VecDeque<Arc<Event>>,
    followers: Vec<Follower>,
}

struct Follower {
    caller: Caller,
    is_admin: bool,
    /// All sessions when empty.
    names: Vec<String>,
    sender: mpsc::Sender<Arc<Event>>,
}

impl Feed {
    /// Nothing has happened yet.
    pub(super) fn beginning(now: Now) -> Self {
        let seconds = u64::try_from(now.wall.as_second()).unwrap_or(0);
        Self {
            next: seconds * NUMBERS_A_SECOND + 1,
            past: VecDeque::new(),
            followers: Vec::new(),
        }
    }

    /// Numbers what happened to a session and tells it. Whoever does not keep up is let go, and may come back.
    pub(super) fn take_in(&mut self, slot: &mut Slot) {
        for happened in slot.take_happened() {
            let (owner, runbook) = (slot.config().owner.clone(), slot.config().runbook.clone());
            let event = Arc::new(Event {
                owner,
                runbook,
                ..happened.numbered(self.next, slot.name())
            });
            self.next += 1;
            let access = &slot.config().access;
            self.followers
                .retain(|follower| !follower.wants(&event, access) || follower.tell(&event));
            self.past.push_back(event);
            if self.past.len() > KEPT {
                self.past.pop_front();
            }
        }
    }

    /// What came after the event of this number, and whether something before that is no longer known.
    fn since(
        &self,
        from: u64,
        now: Timestamp,
    ) -> (Option<Event>, impl Iterator<Item = &Arc<Event>>) {
        let oldest = self.past.front().map_or(self.next, |event| event.id);
        let unknown = from >= self.next || (from != 0 && from + 1 < oldest);
        let known = if from >= self.next {
            self.next - 1
        } else {
            oldest - 1
        };
        let missed = unknown.then(|| Happened::of(now, EventKind::Missed).numbered(known, ""));
        (
            missed,
            self.past
                .iter()
                .filter(move |event| event.id > from.min(self.next - 1) && from < self.next),
        )
    }
}

impl Follower {
    fn wants(&self, event: &Event, access: &[Principal]) -> bool {
        let named = self.names.is_empty()
            || event
                .session
                .as_ref()
                .is_some_and(|session| self.names.contains(session));
        named && (self.is_admin || access::may_read(&self.caller, access))
    }

    /// False when it has gone, or does not keep up.
    fn tell(&self, event: &Arc<Event>) -> bool {
        self.sender.try_send(Arc::clone(event)).is_ok()
    }
}

impl Supervisor {
    /// Lets a caller follow what happens to sessions that it may see.
    pub(super) fn follow(
        &mut self,
        caller: Caller,
        names: Vec<String>,
        from: Option<u64>,
    ) -> Result<Following, Refusal> {
        for name in &names {
            self.readable(&About {
                caller: caller.clone(),
                name: name.clone(),
            })?;
        }
        tracing::debug!(uid = caller.uid, ?names, from, "follows");
        let (sender, coming) = mpsc::channel(KEPT);
        let follower = Follower {
            is_admin: self.is_admin(&caller),
            caller,
            names,
            sender,
        };
        let mut past = Vec::new();
        if let Some(from) = from {
            let (missed, known) = self.feed.since(from, self.now.wall);
            // Its number tells how much happened: nothing to those who may see no session at all.
            let sees_some = follower.is_admin
                || self
                    .slots
                    .values()
                    .any(|slot| access::may_read(&follower.caller, &slot.config().access));
            past.extend(missed.filter(|_| sees_some).map(Arc::new));
            past.extend(
                known
                    .filter(|event| self.may_be_told(&follower, event))
                    .cloned(),
            );
        }
        self.feed.followers.push(follower);
        Ok(Following { past, coming })
    }

    /// Of a session that is gone nobody but an admin is told.
    fn may_be_told(&self, follower: &Follower, event: &Event) -> bool {
        let slot = event
            .session
            .as_deref()
            .and_then(|name| self.slots.get(name));
        follower.wants(event, slot.map_or(&[], |slot| &slot.config().access))
    }
}

impl Happened {
    fn of(at: Timestamp, kind: EventKind) -> Self {
        Self {
            at,
            kind,
            generation: None,
            request: None,
            verdict: None,
            detail: None,
        }
    }

    fn about(at: Timestamp, kind: EventKind, generation: u64) -> Self {
        Self {
            generation: Some(generation),
            ..Self::of(at, kind)
        }
    }

    fn because(at: Timestamp, kind: EventKind, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::of(at, kind)
        }
    }

    fn numbered(self, id: u64, session: &str) -> Event {
        Event {
            id,
            at: self.at,
            session: Some(session.to_owned()).filter(|session| !session.is_empty()),
            event: self.kind,
            generation: self.generation,
            request: self.request.map(str::to_owned),
            verdict: self.verdict.map(str::to_owned),
            detail: self.detail,
            owner: None,
            runbook: None,
        }
    }
}

/// Readers find this generation from now on.
pub(super) fn published(at: Timestamp, generation: u64) -> Happened {
    Happened::about(at, EventKind::Published, generation)
}

/// Readers find this generation no longer.
pub(super) fn withdrawn(at: Timestamp, generation: u64) -> Happened {
    Happened::about(at, EventKind::Withdrawn, generation)
}

/// A person is needed.
pub(super) fn attention(at: Timestamp, reason: &str, remedy: &str) -> Happened {
    Happened::because(at, EventKind::NeedsAttention, format!("{reason}; {remedy}"))
}

/// No person is needed any more.
pub(super) fn recovered(at: Timestamp) -> Happened {
    Happened::of(at, EventKind::Recovered)
}

/// A call was answered, or not.
pub(super) fn call(at: Timestamp, request: Request, answer: &Answer) -> Happened {
    Happened {
        request: Some(request_word(request)),
        verdict: Some(answer.verdict.word()),
        ..Happened::because(at, EventKind::Call, answer.detail.clone())
    }
}

/// A transition of the engine's.
pub(super) fn transition(at: Timestamp, event: &Transition) -> Happened {
    use EventKind as Kind;
    match event {
        Transition::LoggedIn { generation } => Happened::about(at, Kind::LoggedIn, *generation),
        Transition::Renewed { generation } => Happened::about(at, Kind::Renewed, *generation),
        Transition::Expired { generation } => Happened::about(at, Kind::Expired, *generation),
        Transition::Died {
            generation, detail, ..
        } => Happened {
            generation: Some(*generation),
            ..Happened::because(at, Kind::Died, detail)
        },
        Transition::Failing { detail, .. } => Happened::because(at, Kind::Failing, detail),
        Transition::Throttled { detail, .. } => Happened::because(at, Kind::Throttled, detail),
        Transition::Refused { detail, .. } => Happened::because(at, Kind::Refused, detail),
        Transition::GrantDead { detail } => Happened::because(at, Kind::GrantDead, detail),
        Transition::InDoubt { detail } => Happened::because(at, Kind::InDoubt, detail),
        Transition::RefreshTokenOdd { detail } => {
            Happened::because(at, Kind::RefreshTokenOdd, detail)
        }
        Transition::Forbidden { detail } => Happened::because(at, Kind::Forbidden, detail),
        Transition::Doubtful { why } => Happened::because(at, Kind::Doubtful, doubt_in_words(*why)),
        Transition::LoggedOut { problem } => Happened {
            detail: problem.as_ref().map(String::from),
            ..Happened::of(at, Kind::LoggedOut)
        },
        Transition::Learned { from, to } => {
            let (from, to) = (duration_text(*from), duration_text(*to));
            Happened::because(
                at,
                Kind::Learned,
                format!("the idle timeout is {to}, not {from}"),
            )
        }
        Transition::BudgetSpent {
            wait,
            logins_an_hour,
        } => {
            let (wait, all) = (
                wait.as_secs(),
                format!("all {logins_an_hour} logins of the hour are spent"),
            );
            Happened::because(
                at,
                Kind::BudgetSpent,
                format!("{all}; the next login leaves in {wait} s"),
            )
        }
        Transition::Skewed { millis } => Happened::because(
            at,
            Kind::Skewed,
            format!("the server's clock is {millis} ms ahead of ours"),
        ),
        Transition::SameToken => Happened::of(at, Kind::SameToken),
        Transition::SameDeadToken => Happened::of(at, Kind::SameDeadToken),
        Transition::Answering { .. } => Happened::of(at, Kind::Answering),
        Transition::Allowed => Happened::of(at, Kind::Allowed),
        Transition::Proven => Happened::of(at, Kind::Proven),
        Transition::Seeded => Happened::of(at, Kind::Seeded),
        Transition::Reopened => Happened::of(at, Kind::Reopened),
        Transition::Paused => Happened::of(at, Kind::Paused),
        Transition::Resumed => Happened::of(at, Kind::Resumed),
        Transition::Dormant => Happened::of(at, Kind::Dormant),
        Transition::Woken => Happened::of(at, Kind::Woken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn who_comes_back_learns_what_came_after_and_whether_something_is_lost() {
        let mut feed = Feed::beginning(now());
        let first = feed.next;
        for _ in 0..KEPT + 10 {
            feed.past.push_back(Arc::new(
                recovered(Timestamp::UNIX_EPOCH).numbered(feed.next, "crm"),
            ));
            feed.next += 1;
            if feed.past.len() > KEPT {
                feed.past.pop_front();
            }
        }
        let last = feed.next - 1;
        let told = |from: u64| {
            let (missed, events) = feed.since(from, Timestamp::UNIX_EPOCH);
            (
                missed.map(|missed| missed.id),
                events.map(|event| event.id).collect::<Vec<_>>(),
            )
        };
        assert_eq!(told(last), (None, vec![]));
        assert_eq!(told(last - 2), (None, vec![last - 1, last]));
        let (missed, events) = told(first);
        assert_eq!(
            (missed, events.len()),
            (Some(first + 9), KEPT),
            "ten are no longer known"
        );
        assert_eq!(told(first + 9).0, None);
        assert_eq!(
            (told(0).0, told(0).1.len()),
            (None, KEPT),
            "from the beginning, as far as it is known"
        );
        assert_eq!(
            told(last + 1_000),
            (Some(last), vec![]),
            "another machine's number, or another clock's"
        );
    }

    #[test]
    fn a_follower_who_does_not_read_is_let_go() {
        let (sender, _coming) = mpsc::channel(1);
        let caller = Caller {
            uid: 1,
            gid: 1,
            groups: Vec::new(),
            pid: None,
        };
        let follower = Follower {
            caller,
            is_admin: false,
            names: Vec::new(),
            sender,
        };
        let event = Arc::new(recovered(Timestamp::UNIX_EPOCH).numbered(1, "crm"));
        assert!(
            follower.wants(&event, &[Principal::User(1)])
                && !follower.wants(&event, &[Principal::User(2)])
        );
        assert!(follower.tell(&event));
        assert!(!follower.tell(&event), "nobody read the first one");
    }

    #[test]
    fn numbers_fit_into_a_double_and_rise_over_restarts() {
        let now = now();
        let feed = Feed::beginning(now);
        assert!(feed.next < 1 << 53, "JavaScript reads them");
        let later = Now {
            wall: now.wall + jiff::SignedDuration::from_secs(1),
            ..now
        };
        assert!(Feed::beginning(later).next > feed.next);
    }

    fn now() -> Now {
        Now {
            boot: Instant::from_millis(0),
            wall: "2026-11-21T10:00:00Z".parse().unwrap(),
        }
    }
}
