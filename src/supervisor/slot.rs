//! One session in the supervisor's care: its engine, its server, its files, and who waits for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use super::asks::Waiter;
use super::effect::Effects;
use super::feed::Happened;
use super::figures::Tally;
use super::person::PersonLogins;
use super::publication::Publication;
use super::saver::Saver;
use super::shown;
use super::tell::Told;
use super::warnings::Logins;
use crate::atomic_file::Stamp;
use crate::config::SessionConfig;
use crate::driver::{Errand, Ticket};
use crate::hooks::RunCount;
use crate::provider::Remote;
use crate::schedule::Duty;
use crate::secret_source::SecretSource;
use crate::session::account::Account;
use crate::session::answer::{Answer, Request};
use crate::session::state::State;
use crate::session::view::{Attention, Publication as Wanted};
use crate::session::{Call, Footing, Session};
use crate::store::record::ClockStamp;
use crate::time::{Instant, Now};
use crate::token::Published;

/// By name; boxed, since the nodes of a tree are half empty.
pub(super) type Slots = BTreeMap<Arc<str>, Box<Slot>>;

/// By key; boxed for the same reason.
pub(super) type Accounts = BTreeMap<Arc<str>, Box<AccountSlot>>;

/// A session and everything at the edge that belongs to it.
pub(super) struct Slot {
    pub(super) name: Arc<str>,
    /// Tells it from another session that had its name before.
    pub(super) epoch: u64,
    pub(super) config: Arc<SessionConfig>,
    pub(super) session: Session,
    /// The key of its account.
    pub(super) account: Arc<str>,
    /// The account's record is on disk as it is in memory, as far as the disk allows.
    pub(super) account_is_stored: bool,
    pub(super) remote: Arc<Remote>,
    /// What readers find.
    pub(super) publication: Publication,
    pub(super) saver: Saver,
    /// Files that it had before a reload and that are not removed yet: a daemon that starts after a kill must know them.
    pub(super) former_files: Vec<PathBuf>,
    /// Its state's file as it was written last.
    pub(super) written: Option<Stamp>,
    /// A call that waits for its state to be written, or in a queue.
    pub(super) pending: Option<Box<Pending>>,
    pub(super) in_flight: Option<Box<Flight>>,
    /// Logins by a person.
    pub(super) person: PersonLogins,
    pub(super) waiters: Vec<Waiter>,
    /// When the duties of its calendar fall due next.
    pub(super) upcoming: Vec<(Timestamp, Duty)>,
    /// Jobs that hold the token, each until when at most.
    pub(super) holds: BTreeMap<u64, Instant>,
    /// What happened, for those who follow.
    pub(super) happened: Vec<Happened>,
    /// What calls came to, to be told once files and socket show it.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) timer: Option<Instant>,
    pub(super) told: Told,
    pub(super) tally: Tally,
    /// Successful logins of this run.
    pub(super) logins: Logins,
    /// How the runs of its own programs ended.
    pub(super) hook_runs: RunCount,
    pub(super) alarm: Alarm,
    /// Removed from the config: gone once this logout is answered.
    pub(super) leaving: bool,
    /// Its engine failed in a way that keepfresh does not recognise: it is left alone until the next start.
    pub(super) broken: bool,
}

/// One account and the sessions that share it.
pub(super) struct AccountSlot {
    pub(super) account: Account,
    pub(super) saver: Saver,
    /// In the order of their names.
    pub(super) members: Vec<Arc<str>>,
}

/// A call that has not left yet.
pub(super) struct Pending {
    call: Call,
    state: u64,
    account: u64,
    queued: bool,
}

/// A call of the engine that has left.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) request: Request,
    /// The host whose queue it uses.
    pub(super) host: String,
}

/// What a pending call waits for.
pub(super) enum PendingStep {
    /// A write, or nothing at all.
    Wait,
    /// Nothing: it may wait in its host's queue.
    Queue { host: String, urgent_by: Instant },
    /// It must not leave: what it needs could not be written.
    Unwritten { call: u64, request: Request },
}

/// What a call came to, for those who ordered it.
pub(super) struct Outcome {
    pub(super) call: u64,
    pub(super) request: Request,
    pub(super) problem: Option<String>,
    /// What to do about it, where this machine was in the way.
    pub(super) remedy: Option<String>,
}

/// A session's record in the state directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredSession {
    /// Whose state this is: another identity starts afresh.
    pub(super) identity: String,
    pub(super) account: String,
    /// When it was written, on which boot.
    pub(super) clock: ClockStamp,
    /// The files that may hold the token.
    pub(super) paths: Vec<PathBuf>,
    pub(super) state: State,
}

/// An account's record in the state directory.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredAccount {
    pub(super) clock: ClockStamp,
    pub(super) account: Account,
}

impl Pending {
    pub(super) fn id(&self) -> u64 {
        self.call.id
    }

    /// Whether it waits for nothing but its host's lane.
    #[cfg(test)]
    pub(super) fn is_queued(&self) -> bool {
        self.queued
    }

    pub(super) fn new(call: Call, state: &mut Saver, account: &Saver) -> Self {
        Self {
            call,
            state: state.latest(),
            account: account.latest(),
            queued: false,
        }
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

impl AccountSlot {
    pub(super) fn stored(&self, now: Now, boot_id: &str) -> Vec<u8> {
        to_bytes(&StoredAccount {
            clock: stamp(now, boot_id),
            account: self.account.clone(),
        })
    }
}

impl Slot {
    /// What the state directory should hold of this session.
    pub(super) fn stored(&self, now: Now, boot_id: &str) -> Vec<u8> {
        to_bytes(&StoredSession {
            identity: self.config.remote.identity(),
            account: self.account.to_string(),
            clock: stamp(now, boot_id),
            paths: self
                .config
                .publish
                .iter()
                .map(|sink| sink.path.clone())
                .chain(self.former_files.iter().cloned())
                .collect(),
            state: self.session.state().clone(),
        })
    }

    pub(super) fn saved(&mut self, now: Instant, written: Result<Stamp, String>) {
        self.written = written.as_ref().ok().copied();
        let problem = written.err();
        match (&problem, &self.saver.problem) {
            (Some(problem), None) => {
                tracing::error!(session = &*self.name, event = "unpersisted", %problem, "cannot write the state; going on from memory");
            }
            (None, Some(_)) => tracing::info!(
                session = &*self.name,
                event = "persisted",
                "the state is written again"
            ),
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.saver.finished(now, problem);
    }

    /// What an answer is for who measures.
    pub(super) fn take_note(&mut self, request: Request, answer: &Answer) {
        self.tally.count(request, answer.verdict.word());
        if request == Request::Login && answer.verdict.is_success() {
            self.logins.count(answer.received);
        }
    }

    /// A call is over; what it showed may be worth a warning.
    pub(super) fn conclude(&mut self, outcome: Outcome, now: Instant) {
        self.outcomes.push(outcome);
        self.warn(now);
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            name: self.name.clone(),
            epoch: self.epoch,
        }
    }

    /// How far the pending call is.
    pub(super) fn pending_step(&mut self, account: &Saver, now: Instant) -> PendingStep {
        let Some(pending) = self.pending.as_mut().filter(|pending| !pending.queued) else {
            return PendingStep::Wait;
        };
        let tried =
            self.saver.has_tried(pending.state, now) && account.has_tried(pending.account, now);
        let ready = match pending.call.footing {
            Footing::Free => true,
            Footing::Counted => tried || account.has_written_all_before(pending.account),
            Footing::Tried | Footing::Stored => tried,
        };
        if !ready {
            return PendingStep::Wait;
        }
        let (call, request) = (pending.call.id, pending.call.request);
        if pending.call.footing == Footing::Stored && !self.saver.has_written(pending.state) {
            self.pending = None;
            return PendingStep::Unwritten { call, request };
        }
        pending.queued = true;
        let host = self
            .remote
            .host(pending.call.request, self.session.state().token.as_deref());
        PendingStep::Queue {
            host,
            urgent_by: pending.call.urgent_by,
        }
    }

    /// The number of the pending call, which is dropped; a logout is not.
    pub(super) fn take_back_pending(&mut self) -> Option<u64> {
        self.pending
            .take_if(|pending| pending.call.request != Request::Logout)
            .map(|pending| pending.call.id)
    }

    /// A call that was ordered cannot leave.
    pub(super) fn unwritten(&mut self, call: u64, request: Request) {
        let reason = self
            .saver
            .problem
            .clone()
            .unwrap_or_else(|| "the state cannot be written".to_owned());
        self.outcomes.push(Outcome {
            call,
            request,
            problem: Some(format!(
                "not sent: the daemon could not store its intent first: {reason}"
            )),
            remedy: None,
        });
    }

    /// Whether a call, or what is to be said, waits for the account's record to be written.
    pub(super) fn awaits_account(&self) -> bool {
        !self.account_is_stored || self.pending.as_ref().is_some_and(|pending| !pending.queued)
    }

    /// A refused login is known by all of its secrets, since those are looked at for a change.
    fn secrets_for(&self, request: Request) -> Vec<(String, SecretSource)> {
        match request {
            Request::Login => self.config.remote.login_secrets(),
            Request::Renew | Request::Ping | Request::Introspect | Request::Logout => {
                self.remote.secrets_for(request)
            }
        }
    }

    /// The pending call with all it needs; it leaves now.
    pub(super) fn errand(&mut self, salt: u64) -> Option<Errand> {
        let pending = self.pending.take()?;
        let state = self.session.state();
        let refresh = state
            .refresh
            .as_ref()
            .filter(|_| needs_refresh_token(pending.call.request));
        Some(Errand {
            of: self.ticket(),
            host: self
                .remote
                .host(pending.call.request, state.token.as_deref()),
            secrets: self.secrets_for(pending.call.request),
            call: pending.call,
            remote: self.remote.clone(),
            token: state.token.clone(),
            refresh_token: refresh.map(|refresh| refresh.token.clone()),
            skew_millis: state.skew_millis,
            salt,
        })
    }

    /// What a person must do: said only once a restart would know it too.
    pub(super) fn attention(&self, account: &Account) -> Option<Attention> {
        self.session
            .attention(account)
            .filter(|_| self.account_is_stored)
    }

    /// Brings files and socket in line with the state; true when readers find something else than before. A token is shown
    /// once the state that brought it `is_stored`. One that is withdrawn does not wait for that: after a kill the state on
    /// disk leads to no more than had it stayed.
    pub(super) fn publish(&mut self, is_stored: bool, now: Now, effects: &mut Effects) -> bool {
        if is_stored {
            self.publication.files_are_recorded();
        }
        let wanted = match self.session.publication(now.boot) {
            Wanted::Withdraw => None,
            Wanted::Show if is_stored => self.published(now),
            Wanted::Show | Wanted::Hold => return false,
        };
        let shows = wanted.is_some();
        let changes = self.publication.set(wanted, now.wall, effects);
        if changes && shows {
            self.ring_change(now, effects);
        }
        changes
    }

    /// What readers should find: the very same as before where nothing has changed.
    fn published(&self, now: Now) -> Option<Arc<Published>> {
        let state = self.session.state();
        let still = self.publication.served().filter(|served| {
            served.generation == state.generation && !shown::is_outdated(served, state, now)
        });
        still
            .cloned()
            .or_else(|| shown::published(&self.config, &self.remote, state, now).map(Arc::new))
    }

    /// Nothing is under way, and nothing is left to write.
    pub(super) fn is_at_rest(&self, now: Instant) -> bool {
        self.pending.is_none()
            && self.in_flight.is_none()
            && !self.person.is_redeeming()
            && self.saver.is_level(now)
    }

    /// When this session must be looked at again.
    pub(super) fn wake(&self, now: Instant, account: &Account) -> Option<Instant> {
        let waiter = self.waiters.iter().map(|waiter| waiter.until).min();
        // A disk that hangs is waited for once; after that only its answer, or an input, moves the session.
        let patience = self.saver.hangs_since().filter(|at| *at > now);
        [
            self.session.wake(now, account),
            self.saver.wake(),
            patience,
            waiter,
            self.person.wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

fn needs_refresh_token(request: Request) -> bool {
    matches!(request, Request::Renew | Request::Logout)
}

fn stamp(now: Now, boot_id: &str) -> ClockStamp {
    ClockStamp {
        boot_id: boot_id.to_owned(),
        boot: now.boot,
        wall: now.wall,
    }
}

/// State has no maps with keys that JSON lacks, so this cannot fail; an empty record would be set aside at the start.
fn to_bytes(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).unwrap_or_default()
}
