//! One session in the supervisor's care: its engine, its server, its files, and who waits for it. What it knows is reached
//! below this module alone; the supervisor asks and tells.

mod alarm;
mod calendar;
mod call;
mod figures;
mod holds;
mod landing;
mod person;
mod record;
mod status;
pub(super) mod tell;
mod waiters;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::effect::Effects;
use super::feed::{self, Happened};
use super::publication::Publication;
use super::saver::Saver;
use super::shown;
use crate::atomic_file::Stamp;
use crate::config::SessionConfig;
use crate::driver::{Errand, ExpectedFiles, Ticket};
use crate::hooks::RunCount;
use crate::provider::Remote;
use crate::publish::Publisher;
use crate::schedule::Duty;
use crate::secret_source::SecretSource;
use crate::session::account::Account;
use crate::session::answer::{Answer, Request};
use crate::session::state::State;
use crate::session::view::{Attention, Publication as Wanted};
use crate::session::{Action, Call, Input, Session};
use crate::store::record::ClockStamp;
use crate::time::{Instant, Now};
use crate::token::Published;
use alarm::Alarm;
use call::{EngineCall, Outcome, Readiness};
use figures::Tally;
use tell::Told;
use waiters::Waiter;
use warnings::Logins;

pub(super) use call::Flight;
pub(super) use person::{LoginIds, PersonLogins};
pub(super) use record::SessionRecord;
pub(super) use status::{doubt_in_words, request_word};
pub(super) use waiters::Want;

/// By name; boxed, since the nodes of a tree are half empty.
pub(super) type Slots = BTreeMap<Arc<str>, Box<Slot>>;

/// By key; boxed for the same reason.
pub(super) type Accounts = BTreeMap<Arc<str>, Box<AccountSlot>>;

/// A session and everything at the edge that belongs to it.
pub(super) struct Slot {
    name: Arc<str>,
    /// Tells it from another session that had its name before.
    epoch: u64,
    config: Arc<SessionConfig>,
    session: Session,
    /// The key of its account.
    account: Arc<str>,
    /// The account's record is on disk as it is in memory, as far as the disk allows.
    account_is_stored: bool,
    remote: Arc<Remote>,
    /// What readers find.
    publication: Publication,
    record: SessionRecord,
    call: EngineCall,
    /// Logins by a person.
    person: PersonLogins,
    waiters: Vec<Waiter>,
    /// When the duties of its calendar fall due next.
    upcoming: Vec<(Timestamp, Duty)>,
    /// Jobs that hold the token, each until when at most.
    holds: BTreeMap<u64, Instant>,
    /// What happened, for those who follow.
    happened: Vec<Happened>,
    told: Told,
    tally: Tally,
    /// Successful logins of this run.
    logins: Logins,
    /// How the runs of its own programs ended.
    hook_runs: RunCount,
    alarm: Alarm,
    /// Removed from the config: gone once this logout is answered.
    leaving: bool,
    /// Its engine failed in a way that keepfresh does not recognise: it is left alone until the next start.
    broken: bool,
}

/// One account and the sessions that share it.
pub(super) struct AccountSlot {
    pub(super) account: Account,
    pub(super) saver: Saver,
    /// In the order of their names.
    pub(super) members: Vec<Arc<str>>,
}

/// Where the engine's call goes from here.
pub(super) enum NextOfCall {
    /// Nowhere yet.
    Waits,
    /// Into the queue of this host.
    MayQueue { host: String, urgent_by: Instant },
    /// Nowhere: its record could not be written.
    Unwritten { call: u64 },
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

impl AccountSlot {
    pub(super) fn stored(&self, now: Now, boot_id: &str) -> Vec<u8> {
        to_bytes(&StoredAccount {
            clock: stamp(now, boot_id),
            account: self.account.clone(),
        })
    }
}

impl Slot {
    /// A session that nothing has happened to yet.
    pub(super) fn beginning(
        config: Arc<SessionConfig>,
        epoch: u64,
        account: Arc<str>,
        remote: Remote,
        session: Session,
        publication: Publication,
        record: SessionRecord,
    ) -> Self {
        let state = session.state();
        let known = state.token.as_ref().map(|_| state.generation);
        Self {
            name: config.name.clone(),
            epoch,
            config,
            session,
            account,
            account_is_stored: true,
            remote: Arc::new(remote),
            publication,
            record,
            call: EngineCall::default(),
            person: PersonLogins::default(),
            waiters: Vec::new(),
            upcoming: Vec::new(),
            holds: BTreeMap::new(),
            happened: Vec::new(),
            told: Told::default(),
            tally: Tally::default(),
            logins: Logins::default(),
            hook_runs: RunCount::default(),
            alarm: Alarm::beginning(known),
            leaving: false,
            broken: false,
        }
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Tells it from another session that had its name before.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(super) fn config(&self) -> &Arc<SessionConfig> {
        &self.config
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The key of its account.
    pub(super) fn account(&self) -> &Arc<str> {
        &self.account
    }

    pub(super) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// What readers find.
    pub(super) fn publication(&self) -> &Publication {
        &self.publication
    }

    pub(super) fn publication_mut(&mut self) -> &mut Publication {
        &mut self.publication
    }

    /// Its files, to be left once they are as they are wanted.
    pub(super) fn into_files(self) -> Publisher {
        self.publication.into_files()
    }

    pub(super) fn record(&self) -> &SessionRecord {
        &self.record
    }

    pub(super) fn record_mut(&mut self) -> &mut SessionRecord {
        &mut self.record
    }

    /// It was removed from the config, and is gone once its logout is answered.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving
    }

    pub(super) fn leaves(&mut self) {
        self.leaving = true;
    }

    /// Its engine failed: it is left alone until the next start.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the account's record is on disk as it is in memory, as far as the disk allows.
    pub(super) fn account_is_stored(&mut self, is_stored: bool) {
        self.account_is_stored = is_stored;
    }

    /// What happened since this was asked last, for those who follow.
    pub(super) fn take_happened(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.happened)
    }

    /// The files that show what happened to the token are there: those who follow may hear of it.
    pub(super) fn hear_of_files(&mut self) {
        self.happened.extend(self.publication.take_told());
    }

    /// What a look at the disk should find of it.
    pub(super) fn expected_files(&self) -> ExpectedFiles {
        ExpectedFiles {
            of: self.ticket(),
            state: self.record.written(),
            config: self.config.clone(),
            published: self.publication.is_shown(),
        }
    }

    /// Takes over what a reload changes; gives back the files of before, where they lie elsewhere now.
    pub(super) fn reconfigure(
        &mut self,
        new: &Arc<SessionConfig>,
        remote: Remote,
        kept: &BTreeSet<PathBuf>,
        tokens: &Arc<Path>,
        now: Instant,
    ) -> Option<Publisher> {
        self.remote = Arc::new(remote);
        if self.config.remote.values != new.remote.values {
            self.person.forget();
        }
        let old = std::mem::replace(&mut self.config, new.clone());
        self.record.want();
        if old.publish == new.publish {
            return None;
        }
        let publisher = Publisher::new(&self.name, &new.publish, tokens);
        self.await_files_of_reload(now);
        let sinks = old.publish.iter().map(|sink| sink.path.clone());
        self.record
            .had_files(sinks.filter(|path| !kept.contains(path)));
        Some(self.publication.move_to(publisher))
    }

    /// What is under way may spend a refresh token, or what a person did.
    pub(super) fn would_lose_a_session(&self, now: Instant) -> bool {
        self.call.renews() || self.person.is_redeeming() || !self.record.is_level(now)
    }

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
                .chain(self.record.former_files().iter().cloned())
                .collect(),
            state: self.session.state().clone(),
        })
    }

    /// A write of its record came to its end.
    pub(super) fn saved(&mut self, now: Instant, written: Result<Stamp, String>) {
        self.record.finished(&self.name, now, written);
    }

    /// The call under way was answered: takes note of what that tells.
    pub(super) fn answered(&mut self, request: Request, answer: &Answer, now: Now) {
        tell::call(self, answer);
        self.tally.count(request, answer.verdict.word());
        if request == Request::Login && answer.verdict.is_success() {
            self.logins.count(answer.received);
        }
        self.happened.push(feed::call(now.wall, request, answer));
        self.call.conclude(Outcome::of(request, answer));
    }

    pub(super) fn ticket(&self) -> Ticket {
        Ticket {
            name: self.name.clone(),
            epoch: self.epoch,
        }
    }

    /// Feeds the engine; none where it fails.
    pub(super) fn step_engine(
        &mut self,
        input: Input,
        now: Instant,
        account: &mut Account,
    ) -> Option<Vec<Action>> {
        // One session's trouble must never become another's, not even trouble that nobody foresaw.
        let stepped = catch_unwind(AssertUnwindSafe(|| self.session.step(input, now, account)));
        self.broken = stepped.is_err();
        stepped.ok()
    }

    /// The engine asks for a call.
    pub(super) fn ask_for(&mut self, call: Call, account: &Saver) {
        self.call.ask_for(call, &self.record, account);
    }

    /// Whether a write of its record is to begin now; counts it as under way.
    pub(super) fn begin_write(&mut self, now: Instant) -> bool {
        self.record.begin(now)
    }

    /// Where the engine's call goes from here.
    pub(super) fn next_of_call(&mut self, account: &Saver, now: Instant) -> NextOfCall {
        match self.call.readiness(&self.record, account, now) {
            Readiness::Waits => NextOfCall::Waits,
            Readiness::MayQueue { request, urgent_by } => NextOfCall::MayQueue {
                host: self.host(request),
                urgent_by,
            },
            Readiness::Unwritten { call, request } => {
                self.cannot_leave(call, request);
                NextOfCall::Unwritten { call }
            }
        }
    }

    fn host(&self, request: Request) -> String {
        let token = self.session.state().token.as_deref();
        self.remote.host(request, token)
    }

    /// The number of the pending call, which is dropped; a logout is not.
    pub(super) fn take_back_pending(&mut self) -> Option<u64> {
        self.call.drop_pending_but_logout()
    }

    /// The call under way, which is at its end.
    pub(super) fn take_flight(&mut self) -> Option<Flight> {
        self.call.take_flight()
    }

    /// The call under way, which is cut off, if nothing is lost by it.
    pub(super) fn take_harmless_flight(&mut self) -> Option<Flight> {
        self.call.take_harmless_flight()
    }

    /// No call waits, and none is under way.
    pub(super) fn has_no_call(&self) -> bool {
        self.call.is_idle()
    }

    /// A call that was ordered cannot leave.
    fn cannot_leave(&mut self, call: u64, request: Request) {
        let reason = self
            .record
            .problem()
            .unwrap_or("the state cannot be written");
        let problem = format!("not sent: the daemon could not store its intent first: {reason}");
        self.call.conclude(Outcome {
            call,
            request,
            problem: Some(problem),
            remedy: None,
        });
    }

    /// Whether a call, or what is to be said, waits for the account's record to be written.
    pub(super) fn awaits_account(&self) -> bool {
        !self.account_is_stored || self.call.waits_for_records()
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
        let state = self.session.state();
        let (remote, token) = (&self.remote, state.token.as_deref());
        let call = self.call.leaves(|request| remote.host(request, token))?;
        let refresh = state
            .refresh
            .as_ref()
            .filter(|_| needs_refresh_token(call.request));
        Some(Errand {
            of: self.ticket(),
            host: self.host(call.request),
            secrets: self.secrets_for(call.request),
            remote: self.remote.clone(),
            token: state.token.clone(),
            refresh_token: refresh.map(|refresh| refresh.token.clone()),
            skew_millis: state.skew_millis,
            salt,
            call,
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
        self.call.is_idle() && !self.person.is_redeeming() && self.record.is_level(now)
    }

    /// When this session must be looked at again.
    pub(super) fn wake(&self, now: Instant, account: &Account) -> Option<Instant> {
        let waiter = self.waiters.iter().map(|waiter| waiter.until).min();
        // A disk that hangs is waited for once; after that only its answer, or an input, moves the session.
        let patience = self.record.saver().hangs_since().filter(|at| *at > now);
        [
            self.session.wake(now, account),
            self.record.saver().wake(),
            patience,
            waiter,
            self.person.wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

#[cfg(test)]
impl Slot {
    /// Whether a call waits to leave.
    pub(super) fn has_pending_call(&self) -> bool {
        self.call.is_pending()
    }

    /// Whether a call waits for a record to be written.
    pub(super) fn waits_for_records(&self) -> bool {
        self.call.waits_for_records()
    }

    /// Whether a job holds the token.
    pub(super) fn is_held(&self) -> bool {
        !self.holds.is_empty()
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
