//! What must never happen, looked for at every moment, and what must be once the last fault is over.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::disk::SimulatedDisk;
use super::menu::{self, host_of};
use super::servers::Travelled;
use super::world::{Event, Health, SLOWEST_WRITE, World};
use crate::driver::{Done, Errand};
use crate::session::answer::{Request, Verdict};
use crate::session::state::State;
use crate::store::Record;
use crate::supervisor::slot::{Slot, StoredSession};
use crate::supervisor::{Incoming, Supervisor};
use crate::time::Instant;
use crate::token::Published;

/// A token that a ping has called dead is withdrawn after so long, whatever becomes of its recovery and of the disk.
const SHOWN_DEAD: Duration = Duration::from_secs(5);
/// A stop waits for the longest call, for what is granted to it beyond that, and until it looks once more.
const LONGEST_STOP: Duration = Duration::from_millis(23_100);
/// Where nothing is under way, the next look ends it.
const IDLE_STOP: Duration = Duration::from_millis(200);
/// A write that failed is tried again at the latest after the saver's half a minute, and a look.
const LONGEST_RETRY: Duration = Duration::from_secs(35);
/// A call waits for the write of its record and for the one before it, each of which takes half as long again to be flushed.
const HELD_BACK: Duration = SLOWEST_WRITE.saturating_mul(3);
/// A call that is due begins at once, whoever's answer or time it waited for.
const OVERDUE: Duration = Duration::from_secs(1);
/// The accounts that log in to one server: alice's and bob's.
const ACCOUNTS: u32 = 2;

/// What is known of all that must not happen.
pub(super) struct Harms {
    /// When each record could not be written that was not tried again since.
    failed_writes: HashMap<Record, Instant>,
    /// The token of each generation that was ever shown of a session.
    generations: BTreeMap<(String, u64), String>,
    /// The latest generation that the socket, or a file, has shown of a session.
    highest: BTreeMap<(String, Option<PathBuf>), u64>,
    /// Tokens that the daemon of this run was told are dead, and when.
    known_dead: BTreeMap<String, Instant>,
    /// Calls of each hour.
    calls_made: (i64, u64),
    stopping: Option<Stopping>,
    /// Sessions for which an admin has ordered a login, whatever it costs, that has not succeeded yet.
    logins_ordered: BTreeSet<String>,
    /// Sessions of which a disk that failed has lost the latest state.
    lost: BTreeSet<String>,
    /// A write that a disk holds up ends at this moment.
    hangs_until: Instant,
    /// Calls that wait for a record, by their session's epoch, and since when.
    held_back: BTreeMap<u64, Instant>,
    /// Sessions with a call that is due and does not begin, by epoch, and since when.
    overdue: BTreeMap<u64, Instant>,
    /// What the socket serves of each session, by epoch, as it was looked at last.
    served: BTreeMap<u64, Arc<Published>>,
    /// By server: how often its wrong password may be presented once more.
    grounds: BTreeMap<String, u32>,
}

struct Stopping {
    since: Instant,
    /// When something was last under way.
    busy: Instant,
    /// It was told so more than once.
    hurried: bool,
}

impl Harms {
    pub(super) fn beginning(now: Instant) -> Self {
        Self {
            failed_writes: HashMap::new(),
            generations: BTreeMap::new(),
            highest: BTreeMap::new(),
            known_dead: BTreeMap::new(),
            calls_made: (0, 0),
            stopping: None,
            logins_ordered: BTreeSet::new(),
            lost: BTreeSet::new(),
            hangs_until: now,
            held_back: BTreeMap::new(),
            overdue: BTreeMap::new(),
            grounds: BTreeMap::new(),
            served: BTreeMap::new(),
        }
    }

    /// The process is gone.
    pub(super) fn the_daemon_left(&mut self) {
        self.failed_writes.clear();
        self.known_dead.clear();
        self.held_back.clear();
        self.overdue.clear();
        self.served.clear();
        self.stopping = None;
    }

    /// The daemon is told to stop.
    pub(super) fn stops(&mut self, now: Instant) {
        if let Some(stopping) = &mut self.stopping {
            stopping.hurried = true;
        } else {
            self.stopping = Some(Stopping {
                since: now,
                busy: now,
                hurried: false,
            });
        }
    }

    /// A record is being written, or need not be written any more.
    pub(super) fn tries(&mut self, record: &Record) {
        self.failed_writes.remove(record);
    }

    /// A record could not be written.
    pub(super) fn could_not_write(&mut self, record: Record, now: Instant) {
        self.failed_writes.insert(record, now);
    }

    /// A step of a write takes so long.
    pub(super) fn writes_until(&mut self, now: Instant, takes: Duration) {
        if takes > SLOWEST_WRITE {
            self.hangs_until = self.hangs_until.max(now.after(takes));
        }
    }

    /// An admin orders a login.
    pub(super) fn login_ordered(&mut self, name: &str) {
        self.logins_ordered.insert(name.to_owned());
        self.may_present_again(&host_of(name));
    }

    /// Something gives ground to present the password of this server once more than before.
    pub(super) fn may_present_again(&mut self, host: &str) {
        *self.grounds.entry(host.to_owned()).or_default() += 1;
    }

    /// The secret, or the password at the server, is another one.
    pub(super) fn password_changed(&mut self, host: &str) {
        self.grounds.remove(host);
    }

    /// A call leaves: of a daemon that stops, only a logout's.
    pub(super) fn begins_a_call(&self, errand: &Errand) {
        assert!(
            self.stopping.is_none() || errand.call.request == Request::Logout,
            "a {:?} of {} begins while the daemon stops",
            errand.call.request,
            errand.of.name
        );
    }

    /// A refresh token is presented that the server has taken before.
    pub(super) fn spends_again(&self, name: &str, lives: bool) {
        assert!(
            !lives || self.lost.contains(name) || self.logins_ordered.contains(name),
            "{name} presented a spent refresh token over a living token"
        );
    }
}

impl World {
    /// A token is shown to readers of the socket.
    pub(super) fn shows(&mut self, published: &Arc<Published>) {
        self.shows_in(None, published);
    }

    /// A token is shown by the socket, or in this file: that may lag behind.
    pub(super) fn shows_in(&mut self, file: Option<&Path>, published: &Arc<Published>) {
        let (name, token) = (
            published.session.to_string(),
            published.token.access_token.expose().to_owned(),
        );
        self.look_at_first_showing(published);
        let key = (name.clone(), published.generation);
        let before = self
            .harms
            .generations
            .entry(key)
            .or_insert_with(|| token.clone());
        assert_eq!(
            *before, token,
            "generation {} of {name} names two tokens",
            published.generation
        );
        let place = (name.clone(), file.map(Path::to_owned));
        let highest = self.harms.highest.entry(place).or_default();
        assert!(
            *highest <= published.generation,
            "the generation of {name} went back from {highest} to {}",
            published.generation
        );
        *highest = published.generation;
    }

    /// A token is shown once the disk knows it; where a kill costs one login and nothing else, it need not wait.
    fn look_at_first_showing(&self, published: &Published) {
        let key = (published.session.to_string(), published.generation);
        if self.state_disk_failed || self.harms.generations.contains_key(&key) {
            return;
        }
        let daemon = self.daemon.as_ref();
        let slot = daemon.and_then(|daemon| daemon.slots.get(&*published.session));
        let waits = slot.is_some_and(|slot| !slot.session().may_show_unwritten());
        let stored = stored(&self.disk, &published.session);
        assert!(
            !waits || stored.is_some_and(|stored| stored.generation >= published.generation),
            "a token of {} is shown that the disk does not know",
            published.session
        );
    }

    pub(super) fn count_call(&mut self, request: Request) {
        let hour = self.now.as_millis() / 3_600_000;
        self.harms.calls_made = if self.harms.calls_made.0 == hour {
            (hour, self.harms.calls_made.1 + 1)
        } else {
            (hour, 1)
        };
        assert!(
            self.harms.calls_made.1 < 20_000,
            "a hot loop of {request:?} at {:?}",
            self.now
        );
    }

    /// Two at once could put the older config in force last.
    pub(super) fn assert_no_reload_is_under_way(&self) {
        let another = self.events.values().any(|event| {
            matches!(event, Event::Reaches(run, incoming) if *run == self.run
                && matches!(&**incoming, Incoming::ConfigRead(_) | Incoming::Loaded { .. }))
        });
        assert!(!another, "a reload begins in the midst of another");
    }

    /// The password of a server that refuses it is presented by each account once, and again only for a reason: an admin
    /// orders a login, a config changes, an answer is lost on its way, or the daemon goes before it could store what it heard.
    pub(super) fn look_at_refusals(&mut self, errand: &Errand, travelled: &Travelled) {
        if errand.call.request != Request::Login {
            return;
        }
        let is_refused = matches!(travelled.answer.verdict, Verdict::Refused { .. });
        let host = &errand.host;
        let refusals = self.servers.get(host).map_or(0, |server| server.refusals);
        let grounds = self.harms.grounds.get(host).copied().unwrap_or_default();
        assert!(
            refusals <= ACCOUNTS + grounds,
            "the wrong password of {} was presented {refusals} times, with {grounds} grounds",
            errand.of.name
        );
        if !is_refused {
            self.harms.may_present_again(host);
        }
    }

    /// Of a call that is cut off nobody knows what came of it.
    pub(super) fn interrupted_calls(&mut self) {
        let calls = self.calls.values();
        let hosts: Vec<String> = calls.map(|call| host_of(&call.of.name)).collect();
        for host in hosts {
            self.harms.may_present_again(&host);
        }
    }

    /// One record is written by one write at a time: else the older could come last.
    pub(super) fn look_at_writes(&self, record: &Record) {
        let another = self.events.values().any(|event| {
            matches!(event, Event::Replaces(run, write) | Event::Flushes(run, write)
                if *run == self.run && write.record == *record)
        });
        assert!(!another, "{record:?} is written twice at once");
    }

    /// A session that believes its record to be written finds its own on the disk, not that of whom it replaced.
    pub(super) fn look_at_belief(&self, record: &Record) {
        let (Record::Session(name), Some(daemon)) = (record, &self.daemon) else {
            return;
        };
        let slot = daemon.slots.get(name.as_str());
        let believes =
            slot.filter(|slot| slot.record().is_idle() && slot.record().has_been_written());
        if let (Some(slot), Some(bytes)) = (believes, self.disk.bytes(record)) {
            let stored: StoredSession = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(
                stored.identity,
                slot.config().remote.identity(),
                "{name} believes that its record is written"
            );
        }
    }

    /// The record of a session that is gone is removed.
    pub(super) fn removes_a_record(&self, record: &Record) {
        let daemon = self.daemon.as_ref();
        let runs = daemon.is_some_and(|daemon| match record {
            Record::Session(name) => daemon.slots.contains_key(name.as_str()),
            Record::Account(_) => false,
        });
        assert!(!runs, "{record:?} is removed while its session runs");
        self.look_at_writes(record);
        self.look_at_recorded_files(record);
    }

    /// A daemon that is killed before the files of a session are gone must find in its record what to remove.
    fn look_at_recorded_files(&self, record: &Record) {
        let Some(bytes) = self.disk.bytes(record) else {
            return;
        };
        let stored: StoredSession = serde_json::from_slice(&bytes).unwrap();
        let slots = self.daemon.iter().flat_map(|daemon| daemon.slots.values());
        let configured: BTreeSet<&PathBuf> = slots
            .flat_map(|slot| slot.config().publish.iter().map(|sink| &sink.path))
            .collect();
        let mut left = stored
            .paths
            .iter()
            .filter(|path| !configured.contains(path) && self.disk.published(path).is_some());
        assert_eq!(
            left.next(),
            None,
            "{record:?} is removed before the file that only it names"
        );
    }

    /// The files of a session that is gone, or that publishes elsewhere now, are removed.
    pub(super) fn removes_files(&self, stale: &[PathBuf]) {
        let slots = self.daemon.iter().flat_map(|daemon| daemon.slots.values());
        for slot in slots.filter(|slot| slot.publication().is_shown()) {
            let path = slot.config().publish.iter().map(|sink| &sink.path);
            let mut removed = path.filter(|path| stale.contains(path));
            assert_eq!(
                removed.next(),
                None,
                "a file is removed in which {} shows its token",
                slot.name()
            );
        }
    }

    /// What the daemon knows of each session when it goes.
    pub(super) fn what_the_daemon_knew(&self) -> Vec<(String, State)> {
        let slots = self.daemon.iter().flat_map(|daemon| daemon.slots.values());
        let known = slots.map(|slot| (slot.name().to_string(), slot.session().state().clone()));
        known.collect()
    }

    /// What a disk that fails could not keep lay in memory alone: then the token of before may be shown again.
    pub(super) fn forget_what_the_disk_lacks(&mut self, known: Vec<(String, State)>) {
        // Of a session that was removed the next run knows nothing.
        let is_known = |name: &String| known.iter().any(|(it, _)| it == name);
        self.harms.highest.retain(|(name, _), _| is_known(name));
        if !self.state_disk_failed {
            return;
        }
        for (name, state) in known {
            // Nor need it know that a password was refused.
            self.harms.may_present_again(&host_of(&name));
            if !stored(&self.disk, &name).is_some_and(|stored| has_tokens_of(&stored, &state)) {
                self.harms.highest.retain(|(of, _), _| *of != name);
                self.harms.lost.insert(name);
            }
        }
    }

    /// The daemon has come to its end: what was under way is at its end too, and stored.
    pub(super) fn look_at_the_end(&self) {
        let hurried = self.harms.stopping.as_ref().is_some_and(|it| it.hurried);
        for call in self.calls.values() {
            let may_be_lost = match call.request {
                Request::Ping | Request::Introspect | Request::Logout => true,
                Request::Login => hurried,
                Request::Renew => false,
            };
            assert!(
                may_be_lost,
                "the stop loses what a {:?} of {} brings",
                call.request, call.of.name
            );
        }
        if self.state_disk_failed {
            return;
        }
        for (name, state) in self.what_the_daemon_knew() {
            let stored = stored(&self.disk, &name);
            assert!(
                state.token.is_none()
                    || stored.is_some_and(|stored| has_tokens_of(&stored, &state)),
                "the stop leaves a token of {name} that the disk does not know"
            );
        }
    }

    /// A token that a ping has called dead is given to no reader.
    pub(super) fn look_whether_it_is_known_dead(&self, published: &Published) {
        let token = published.token.access_token.expose();
        assert!(
            !self.harms.known_dead.contains_key(token),
            "a reader was given a token of {} that a ping has called dead: {} of {}",
            published.session,
            published.generation,
            self.describe(&published.session)
        );
    }

    /// What must hold at any moment.
    pub(super) fn look(&mut self) {
        self.look_at_the_stop();
        let Some(daemon) = &self.daemon else {
            return;
        };
        assert_eq!(
            daemon.queues.in_flight(),
            self.calls.len(),
            "the calls that the queue counts are not those under way"
        );
        self.harms.look_at_failed_writes(daemon, self.now);
        let now = self.clocks();
        for slot in daemon.slots.values() {
            let held_until = slot.session().held_until(now.boot);
            assert!(
                held_until.is_none() || slot.is_held(),
                "calls of {} wait for a job that has let go",
                slot.name()
            );
        }
        Harms::look_at_accounts(daemon);
        self.harms.look_at_due_calls(daemon, now.boot);
        let is_slow = self.state_disk == Health::Hangs || self.now < self.harms.hangs_until;
        self.harms.look_at_held_back(daemon, is_slow, self.now);
        let waits = daemon.reloading.is_waiting();
        let mut served = Vec::new();
        let mut phases = Vec::new();
        for slot in daemon.slots.values() {
            if let Some(account) = daemon.accounts.get(slot.account()) {
                phases.push(slot.session().phase(now.boot, &account.account));
            }
            let now_served = slot.publication().served().cloned();
            served.extend(now_served.map(|published| (slot.epoch(), published)));
        }
        for (epoch, published) in served {
            let before = self.harms.served.get(&epoch);
            if !before.is_some_and(|before| Arc::ptr_eq(before, &published)) {
                self.shows(&published);
                self.harms.served.insert(epoch, published.clone());
            }
            let token = published.token.access_token.expose();
            let known_dead = self.harms.known_dead.get(token);
            let dead_for = known_dead.map(|at| self.now.since(*at));
            assert!(
                dead_for.is_none_or(|dead_for| dead_for <= SHOWN_DEAD),
                "the token of {} is shown {dead_for:?} after its death: {}",
                published.session,
                self.describe(&published.session)
            );
        }
        self.look_at_predecessors();
        if waits {
            self.mark("a reload waited for a removal");
        }
        for phase in phases {
            self.mark(super::script::phase_mark(phase));
        }
    }

    fn look_at_the_stop(&mut self) {
        if self.harms.stopping.is_none() {
            return;
        }
        let writes = self.events.values().any(|event| {
            matches!(event, Event::Replaces(run, _) | Event::Flushes(run, _) if *run == self.run)
        });
        let is_busy = writes || !self.calls.is_empty();
        let Some(stopping) = &mut self.harms.stopping else {
            return;
        };
        if is_busy {
            stopping.busy = self.now;
        }
        let (took, idle) = (
            self.now.since(stopping.since),
            self.now.since(stopping.busy),
        );
        assert!(took < LONGEST_STOP, "the stop takes {took:?}");
        assert!(
            idle < IDLE_STOP,
            "the stop waits {idle:?} although nothing is under way"
        );
    }

    fn describe(&self, name: &str) -> String {
        let slot = self.daemon.as_ref().and_then(|it| it.slots.get(name));
        slot.map_or_else(String::new, |slot| {
            format!(
                "{:?}, disk {:?}, saver {:?}, {:?}",
                self.clocks(),
                self.state_disk,
                slot.record(),
                slot.session().state()
            )
        })
    }

    /// What the daemon is being told.
    pub(super) fn learn(&mut self, incoming: &Incoming) {
        let Incoming::Done(Done::Called { of, answer, .. }) = incoming else {
            return;
        };
        let Some(call) = self.calls.remove(&of.epoch) else {
            // It had been cut off.
            return;
        };
        if matches!(call.request, Request::Login | Request::Renew) && answer.verdict.is_success() {
            self.harms.logins_ordered.remove(&*of.name);
            self.harms.lost.remove(&*of.name);
        }
        if let Verdict::Dead { certain: true, .. } = answer.verdict
            && let Some(token) = self.token_of(&of.name)
        {
            self.harms.known_dead.entry(token).or_insert(self.now);
        }
    }

    fn token_of(&self, name: &str) -> Option<String> {
        let slot = self.daemon.as_ref()?.slots.get(name)?;
        let token = slot.session().state().token.as_ref()?;
        Some(token.access_token.expose().to_owned())
    }

    /// Every session is good, for those who read files, and after a loss of power too.
    pub(super) fn why_not_ready(&self) -> Option<String> {
        let Some(daemon) = &self.daemon else {
            return Some("the daemon does not run".to_owned());
        };
        let versions = menu::config(&self.wanted).sessions;
        if daemon.slots.len() != self.wanted.len() {
            return Some(format!(
                "{} sessions run of {}",
                daemon.slots.len(),
                self.wanted.len()
            ));
        }
        for (name, slot) in &daemon.slots {
            let state = slot.session().state();
            let account = &daemon.accounts.get(slot.account())?.account;
            let next = slot.session().next(self.boot(), account);
            let describe = |what: &str| {
                Some(format!(
                    "{name}: {what}: {:?}, next {next:?}, attention {:?}\n{state:?}\n{account:?}",
                    state.health,
                    slot.session().attention(account)
                ))
            };
            if versions
                .get(name)
                .is_none_or(|wanted| wanted != slot.config())
            {
                return describe("it runs with another config than the one that is wanted");
            }
            let Some(served) = slot.publication().served() else {
                return describe("no token is served");
            };
            let token = served.token.access_token.expose();
            let host = self.servers.get(&host_of(name))?;
            if !host.lives(&served.token.access_token, self.now) {
                return describe("the token that is served is dead");
            }
            for sink in slot.config().publish.iter() {
                let held = self.disk.published(&sink.path);
                if held.is_none_or(|held| held.token.access_token.expose() != token) {
                    return describe("a file does not hold the token");
                }
            }
            if !self.disk.keeps(&Record::Session(name.to_string())) {
                return describe("the record is not on the disk");
            }
        }
        let is_wanted = |name: &String| self.wanted.contains_key(name.as_str());
        let of_nobody = self
            .disk
            .sessions()
            .into_iter()
            .find(|name| !is_wanted(name));
        if let Some(name) = of_nobody {
            return Some(format!(
                "a record is left of {name}, which is not configured"
            ));
        }
        // What a session published is known from its record alone.
        if self.state_disk_failed {
            return None;
        }
        let configured = |path: &PathBuf| {
            let mut slots = daemon.slots.values();
            slots.any(|slot| slot.config().publish.iter().any(|sink| sink.path == *path))
        };
        let stale = self.disk.paths().into_iter().find(|path| !configured(path));
        stale.map(|path| format!("{} is a file that no session has", path.display()))
    }
}

impl Harms {
    fn look_at_failed_writes(&mut self, daemon: &Supervisor, now: Instant) {
        // What took the place of a session or an account of the same name has its own record to write.
        self.failed_writes.retain(|record, _| {
            let problem = match record {
                Record::Session(name) => daemon
                    .slots
                    .get(name.as_str())
                    .and_then(|it| it.record().problem()),
                Record::Account(key) => {
                    let account = daemon.accounts.get(key.as_str());
                    account.and_then(|it| it.saver.problem.as_deref())
                }
            };
            problem.is_some()
        });
        for (record, failed) in &self.failed_writes {
            let idle = now.since(*failed);
            assert!(
                idle < LONGEST_RETRY,
                "{record:?} could not be written, and was not tried again for {idle:?}"
            );
        }
    }

    /// The sessions of an account wait for no login but one that is under way.
    fn look_at_accounts(daemon: &Supervisor) {
        for account in daemon.accounts.values() {
            let Some(name) = &account.account.in_flight else {
                continue;
            };
            let slot = daemon.slots.get(&**name);
            let logs_in = slot.is_some_and(|slot| slot.session().under_way().is_some());
            assert!(logs_in, "logins wait for one of {name} that nothing makes");
        }
    }

    /// A session whose next call is due is not forgotten.
    fn look_at_due_calls(&mut self, daemon: &Supervisor, now: Instant) {
        let is_due = |slot: &Slot| {
            let account = daemon.accounts.get(slot.account());
            let next = account.and_then(|account| slot.session().next(now, &account.account));
            !slot.has_pending_call() && next.is_some_and(|next| next.at <= now)
        };
        let due: BTreeMap<u64, &Slot> = daemon
            .slots
            .values()
            .filter(|slot| is_due(slot))
            .map(|slot| (slot.epoch(), &**slot))
            .collect();
        self.overdue.retain(|epoch, _| due.contains_key(epoch));
        for (epoch, slot) in due {
            let since = *self.overdue.entry(epoch).or_insert(now);
            let late = now.since(since);
            assert!(
                late <= OVERDUE,
                "a call of {} is due and does not begin for {late:?}",
                slot.name()
            );
        }
    }

    /// A call that waits for records leaves once they are written.
    fn look_at_held_back(&mut self, daemon: &Supervisor, is_slow: bool, now: Instant) {
        if is_slow {
            self.held_back.clear();
        }
        let slots = daemon.slots.values();
        let waiting = slots.filter(|slot| slot.waits_for_records());
        let waiting: BTreeMap<u64, &Slot> = waiting.map(|slot| (slot.epoch(), &**slot)).collect();
        self.held_back
            .retain(|epoch, _| waiting.contains_key(epoch));
        for (epoch, slot) in waiting {
            let since = *self.held_back.entry(epoch).or_insert(now);
            let waits = now.since(since);
            assert!(
                is_slow || waits <= HELD_BACK,
                "a call of {} is held back for {waits:?} by a disk that is well",
                slot.name()
            );
        }
    }
}

/// What the disk holds of a session.
pub(super) fn stored(disk: &SimulatedDisk, name: &str) -> Option<State> {
    let bytes = disk.bytes(&Record::Session(name.to_owned()))?;
    let stored: StoredSession = serde_json::from_slice(&bytes).unwrap();
    Some(stored.state)
}

/// Whether a state brings back both tokens of another, under the same number.
fn has_tokens_of(stored: &State, state: &State) -> bool {
    let token = |state: &State| {
        let token = state.token.as_ref()?;
        Some(token.access_token.clone())
    };
    let refresh = |state: &State| Some(state.refresh.as_ref()?.token.clone());
    let is_latest = stored.generation == state.generation;
    is_latest && token(stored) == token(state) && refresh(stored) == refresh(state)
}
