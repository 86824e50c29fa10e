//! The call of one engine: asked for, held back until its records are written, queued, under way, and what came of it.

use super::record::SessionRecord;
use crate::session::answer::{Answer, Request};
use crate::session::{Call, Footing};
use crate::supervisor::saver::Saver;
use crate::time::Instant;

/// An engine has one call at a time.
#[derive(Default)]
pub(in crate::supervisor) struct EngineCall {
    /// It waits for its state to be written, or in a queue.
    pending: Option<Box<Pending>>,
    in_flight: Option<Box<Flight>>,
    /// What calls came to, to be told once files and socket show it.
    outcomes: Vec<Outcome>,
}

/// A call that has not left yet.
struct Pending {
    call: Call,
    state: u64,
    account: u64,
    queued: bool,
}

/// A call that has left.
#[derive(Debug)]
pub(in crate::supervisor) struct Flight {
    pub(in crate::supervisor) request: Request,
    /// The host whose queue it uses.
    pub(in crate::supervisor) host: String,
}

/// What a call came to, for those who ordered it.
pub(super) struct Outcome {
    pub(super) call: u64,
    pub(super) request: Request,
    pub(super) problem: Option<String>,
    /// What to do about it, where this machine was in the way.
    pub(super) remedy: Option<String>,
}

/// What a pending call waits for.
pub(super) enum Readiness {
    /// A write, or nothing at all.
    Waits,
    /// Nothing: it may wait in its host's queue.
    MayQueue {
        request: Request,
        urgent_by: Instant,
    },
    /// It must not leave: what it needs could not be written.
    Unwritten { call: u64, request: Request },
}

impl EngineCall {
    /// The engine asks for a call.
    pub(super) fn ask_for(&mut self, call: Call, record: &SessionRecord, account: &Saver) {
        self.pending = Some(Box::new(Pending {
            call,
            state: record.saver().latest(),
            account: account.latest(),
            queued: false,
        }));
    }

    /// How far the pending call is; one that may be queued counts as queued from now on.
    pub(super) fn readiness(
        &mut self,
        record: &SessionRecord,
        account: &Saver,
        now: Instant,
    ) -> Readiness {
        let Some(pending) = self.pending.as_mut().filter(|pending| !pending.queued) else {
            return Readiness::Waits;
        };
        let state = record.saver();
        let tried = state.has_tried(pending.state, now) && account.has_tried(pending.account, now);
        let ready = match pending.call.footing {
            Footing::Free => true,
            Footing::Counted => tried || account.has_written_all_before(pending.account),
            Footing::Tried | Footing::Stored => tried,
        };
        if !ready {
            return Readiness::Waits;
        }
        let (call, request) = (pending.call.id, pending.call.request);
        if pending.call.footing == Footing::Stored && !state.has_written(pending.state) {
            self.pending = None;
            return Readiness::Unwritten { call, request };
        }
        pending.queued = true;
        let urgent_by = pending.call.urgent_by;
        Readiness::MayQueue { request, urgent_by }
    }

    /// The number of the pending call, which is dropped.
    pub(super) fn drop_pending(&mut self) -> Option<u64> {
        self.pending.take().map(|pending| pending.call.id)
    }

    /// The number of the pending call, which is dropped; a logout is not.
    pub(super) fn drop_pending_but_logout(&mut self) -> Option<u64> {
        self.pending
            .take_if(|pending| pending.call.request != Request::Logout)
            .map(|pending| pending.call.id)
    }

    /// The pending call, which leaves now.
    pub(super) fn leaves(&mut self, host: impl FnOnce(Request) -> String) -> Option<Call> {
        let pending = self.pending.take()?;
        let request = pending.call.request;
        self.in_flight = Some(Box::new(Flight {
            request,
            host: host(request),
        }));
        Some(pending.call)
    }

    /// The call under way, which is at its end.
    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        self.in_flight.take().map(|flight| *flight)
    }

    /// The call under way, which is cut off, if nothing is lost by it.
    pub(super) fn take_harmless_flight(&mut self) -> Option<Flight> {
        let harmless = |flight: &mut Box<Flight>| {
            matches!(flight.request, Request::Ping | Request::Introspect)
        };
        self.in_flight.take_if(harmless).map(|flight| *flight)
    }

    /// Whether a refresh token may be spent by what is under way.
    pub(super) fn renews(&self) -> bool {
        let flight = self.in_flight.as_ref();
        flight.is_some_and(|flight| flight.request == Request::Renew)
    }

    /// No call waits, and none is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_none() && self.in_flight.is_none()
    }

    /// Whether a call waits to leave.
    #[cfg(test)]
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a call waits for a record to be written.
    pub(super) fn waits_for_records(&self) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| !pending.queued)
    }

    /// A call came to this.
    pub(super) fn conclude(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// What calls came to since this was asked last.
    pub(super) fn take_outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }
}

impl Outcome {
    pub(super) fn of(request: Request, answer: &Answer) -> Self {
        let problem = (!answer.verdict.is_success()).then(|| answer.detail.to_string());
        Self {
            call: answer.call,
            request,
            problem,
            remedy: answer.remedy.as_ref().map(ToString::to_string),
        }
    }
}
