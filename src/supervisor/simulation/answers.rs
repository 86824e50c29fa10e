//! What readers, admins and the service manager are told, held against the world at that moment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::harms::stored;
use super::readers::{Answer, Asked};
use super::world::{SLOWEST_WRITE, World};
use crate::api::{Order, Refusal, Served, SessionStatus};
use crate::driver::LONGEST_LANDING;
use crate::publish::SinkConfig;
use crate::session::view::{LoginWait, Phase, Publication as Shown};
use crate::supervisor::Supervisor;
use crate::supervisor::slot::Slot;
use crate::time::Instant;

/// A session that has neither a token nor anything to say is waited for before READY if its next call is due by then.
const SOON: Duration = Duration::from_secs(1);
/// A file that a disk could not take is tried again after the worker's pause, and takes as long as a slow one.
const RIGHT_AGAIN: Duration = Duration::from_secs(4);

/// What was told, as far as later moments must agree with it.
#[derive(Default)]
pub(super) struct Promises {
    /// A step of a token file that its disk holds up ends at this moment.
    files_hang_until: Option<Instant>,
    /// The config in force, and what it moved.
    reloaded: Option<TakenOver>,
    /// Sessions of this run, by epoch, that have shown a token in their files or had a reason why not.
    reported: BTreeSet<u64>,
    /// Those that READY waits for.
    at_start: Vec<(Arc<str>, u64)>,
    said_ready: bool,
    /// By session: the epoch that it has now, and the generation below which every file is a predecessor's.
    places: BTreeMap<Arc<str>, Place>,
}

/// A reload that is in force.
struct TakenOver {
    at: Instant,
    /// Sessions whose files lie elsewhere now, by epoch, with the generation that they showed.
    moved: BTreeMap<u64, u64>,
    /// Files that are removed without it: an earlier reload, or a logout, has them removed.
    later: BTreeSet<PathBuf>,
}

/// Who has a session's name.
struct Place {
    epoch: u64,
    /// Where another had it before in this run: what that one showed is older than this.
    floor: Option<u64>,
    /// Since when a file shows what a predecessor showed.
    shows_predecessor: Option<Instant>,
}

/// What of each session a reload may move.
pub(super) type Publishing = BTreeMap<u64, Arc<[SinkConfig]>>;

impl Promises {
    /// A daemon starts with its sessions.
    pub(super) fn begin(&mut self, daemon: &Supervisor) {
        let slots = daemon.slots.values();
        self.at_start = slots
            .map(|slot| (slot.name().clone(), slot.epoch()))
            .collect();
    }

    /// The process is gone.
    pub(super) fn the_daemon_left(&mut self) {
        *self = Self::default();
    }

    /// A step of a token file takes so long.
    pub(super) fn file_takes(&mut self, now: Instant, takes: Duration) {
        if takes > SLOWEST_WRITE {
            self.files_hang_until = self.files_hang_until.max(Some(now.after(takes)));
        }
    }

    /// READY, or what says that a reload is over, was said.
    pub(super) fn says_ready(&mut self) -> bool {
        !std::mem::replace(&mut self.said_ready, true)
    }
}

impl World {
    /// What sessions publish, for who compares it later.
    pub(super) fn publishing(&self) -> Publishing {
        let slots = self.daemon.iter().flat_map(|daemon| daemon.slots.values());
        let publishing = slots.map(|slot| (slot.epoch(), slot.config().publish.clone()));
        publishing.collect()
    }

    /// A config came into force.
    pub(super) fn took_over(&mut self, before: &Publishing) {
        let slots = self.daemon.iter().flat_map(|daemon| daemon.slots.values());
        let moved = slots.filter_map(|slot| {
            let old = before.get(&slot.epoch())?;
            let served = slot.publication().served()?;
            (*old != slot.config().publish).then_some((slot.epoch(), served.generation))
        });
        let moved = moved.collect();
        let had = |path: &PathBuf| {
            let mut sinks = before.values().flat_map(|sinks| sinks.iter());
            sinks.any(|sink| sink.path == *path)
        };
        let stale = self.disk.paths().into_iter().filter(|path| !had(path));
        // The files of one that logs out first are removed once it has.
        let slots = self.daemon.iter().flat_map(|daemon| daemon.slots.values());
        let leaving = slots.filter(|slot| slot.is_leaving());
        let leaving = leaving.flat_map(|slot| slot.config().publish.iter());
        let later = stale.chain(leaving.map(|sink| sink.path.clone()));
        self.promises.reloaded = Some(TakenOver {
            at: self.now,
            moved,
            later: later.collect(),
        });
    }

    /// Holds what was answered against the world; `superseded` where a further reload ends the wait for the files of the
    /// one before.
    pub(super) fn look_at_answer(&mut self, asked: &Asked, answer: &Answer, superseded: bool) {
        self.mark(match answer {
            Answer::Given(_) => "a reader was given a token",
            Answer::Held => "a job held a token",
            Answer::Probed => "a probe was answered",
            Answer::Noted => "a job said that it used a token",
            Answer::Ordered(..) => "an order was carried out",
            Answer::Reloaded => "a reload was answered",
            Answer::Refused(refusal) => refusal_mark(refusal),
        });
        match answer {
            Answer::Given(served) => self.given(served, asked.files && self.now < asked.due),
            Answer::Ordered(order, status) => self.ordered(asked, *order, status),
            Answer::Reloaded if !superseded => self.reload_is_over(),
            Answer::Refused(refusal) if self.now < asked.until => self.refused(asked, refusal),
            Answer::Held
            | Answer::Probed
            | Answer::Noted
            | Answer::Reloaded
            | Answer::Refused(_) => {}
        }
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        let slot = self.daemon.as_ref()?.slots.get(name)?;
        Some(slot)
    }

    /// The token files' disk is well, and was for as long as what it does takes.
    fn takes_files(&self) -> bool {
        let hangs_until = self.promises.files_hang_until;
        hangs_until.is_none_or(|until| until < self.now)
    }

    /// A reader was given a token.
    fn given(&mut self, served: &Served, in_files: bool) {
        self.shows(&served.published);
        self.look_whether_it_is_known_dead(&served.published);
        let token = &served.published.token.access_token;
        if !in_files {
            return;
        }
        let Some(slot) = self.slot(&served.published.session) else {
            return;
        };
        for sink in slot.config().publish.iter() {
            let held = self.disk.published(&sink.path);
            assert!(
                self.disk.was_tampered(&sink.path)
                    || held.is_some_and(|held| held.token.access_token == *token),
                "a reader of files was given a token of {} that {} does not hold",
                slot.name(),
                sink.path.display()
            );
        }
    }

    /// Whether every file of a session holds this generation or a later one, as far as nothing is in its way.
    fn is_in_files(&self, slot: &Slot, generation: u64) -> bool {
        if !self.takes_files() || !slot.publication().failing().is_empty() {
            return true;
        }
        let mut paths = slot.config().publish.iter().map(|sink| &sink.path);
        paths.all(|path| {
            let held = self.disk.published(path);
            self.disk.was_tampered(path) || held.is_some_and(|held| held.generation >= generation)
        })
    }

    /// Who was told that a login or a renewal is over finds its token where tokens are read, and so does the next run.
    fn ordered(&self, asked: &Asked, order: Order, status: &SessionStatus) {
        let brings_a_token = matches!(order, Order::Login | Order::Renew);
        let Some(slot) = self.slot(&asked.name) else {
            return;
        };
        if !brings_a_token || self.now >= asked.until || !status.published {
            return;
        }
        let generation = status.generation.unwrap_or_default();
        assert!(
            self.is_in_files(slot, generation),
            "{order:?} of {} is answered before its files hold the token",
            asked.name
        );
        let stored = stored(&self.disk, &asked.name);
        assert!(
            self.state_disk_failed || stored.is_some_and(|it| it.generation >= generation),
            "{order:?} of {} is answered before the disk knows the token",
            asked.name
        );
    }

    /// Whoever said that it would wait is not sent away before that, unless it would wait in vain.
    fn refused(&self, asked: &Asked, refusal: &Refusal) {
        let Some(slot) = self.slot(&asked.name) else {
            return;
        };
        match refusal {
            Refusal::NotFresh { reason, .. } => {
                let now = self.boot();
                let account = self.account_of(slot);
                let wait = account.and_then(|account| slot.session().login_wait(now, account));
                assert!(
                    matches!(wait, Some(LoginWait::Budget | LoginWait::Unanswered)),
                    "{} waited until {:?} and was sent away: {reason}",
                    asked.name,
                    asked.until
                );
            }
            Refusal::Unpublished { reason, .. } => assert!(
                !self.takes_files() || !slot.publication().failing().is_empty(),
                "a reader of {} was told before its time that a file lacks: {reason}",
                asked.name
            ),
            Refusal::NeedsAttention { .. }
            | Refusal::NoSuchSession { .. }
            | Refusal::NotAllowed { .. }
            | Refusal::OnlyByGateway { .. }
            | Refusal::NotOrdered { .. }
            | Refusal::CannotPromise { .. }
            | Refusal::Conflict { .. }
            | Refusal::Failed { .. }
            | Refusal::NoSuchLogin { .. }
            | Refusal::NotUnderstood { .. }
            | Refusal::NotAdmin
            | Refusal::BadConfig { .. }
            | Refusal::Stopping => {}
        }
    }

    /// A reload that is over in time has moved and removed what it wanted to.
    fn reload_is_over(&self) {
        let Some(reloaded) = &self.promises.reloaded else {
            return;
        };
        if self.now.since(reloaded.at) >= LONGEST_LANDING {
            return;
        }
        let Some(daemon) = &self.daemon else { return };
        let has = |slot: &Slot, path: &PathBuf| {
            slot.config().publish.iter().any(|sink| sink.path == *path)
        };
        let is_known = |path: &PathBuf| daemon.slots.values().any(|slot| has(slot, path));
        let mut paths = self.disk.paths().into_iter();
        let stale = paths.find(|path| !is_known(path) && !reloaded.later.contains(path));
        assert_eq!(
            stale, None,
            "a reload is over before a file is gone that no session has"
        );
        for (epoch, generation) in &reloaded.moved {
            let mut slots = daemon.slots.values();
            let shows = |slot: &Slot| {
                slot.publication().is_shown()
                    && slot.session().publication(self.boot()) == Shown::Show
            };
            let slot = slots.find(|slot| slot.epoch() == *epoch && shows(slot));
            if let Some(slot) = slot {
                assert!(
                    self.is_in_files(slot, *generation),
                    "a reload is over before the files of {} are where it wants them",
                    slot.name()
                );
            }
        }
    }

    /// Jobs that start after READY find tokens in the files, or the reason why not in the log.
    pub(super) fn look_at_reports(&mut self, says_ready: bool) {
        if self.promises.said_ready && !says_ready {
            return;
        }
        let Some(daemon) = &self.daemon else { return };
        let slots = daemon.slots.values();
        let reported = slots.filter(|slot| self.is_reported(daemon, slot));
        let reported: Vec<u64> = reported.map(|slot| slot.epoch()).collect();
        self.promises.reported.extend(reported);
        let mut all = self.promises.at_start.iter();
        let missed = all.find(|(name, epoch)| {
            let slot = daemon.slots.get(name);
            let is_there = slot.is_some_and(|slot| slot.epoch() == *epoch);
            is_there && !self.promises.reported.contains(epoch)
        });
        assert!(
            !says_ready || missed.is_none(),
            "READY is said before {} has a token in its files or a reason why not",
            missed.map_or("", |(name, _)| name)
        );
    }

    fn is_reported(&self, daemon: &Supervisor, slot: &Slot) -> bool {
        let now = self.boot();
        let Some(account) = daemon.accounts.get(slot.account()) else {
            return true;
        };
        if let Some(served) = slot.publication().served() {
            let fails = !slot.publication().failing().is_empty();
            return fails || self.is_held_by_all_files(slot, served.generation);
        }
        let phase = slot.session().phase(now, &account.account);
        let next = slot.session().next(now, &account.account);
        let is_under_way = self.calls.contains_key(&slot.epoch()) || slot.has_pending_call();
        let waits = !is_under_way && next.is_none_or(|next| next.at > now.after(SOON));
        let is_out = matches!(
            phase,
            Phase::NeedsAttention | Phase::Paused | Phase::Dormant
        );
        waits || is_out || slot.session().record().last_error.is_some()
    }

    fn is_held_by_all_files(&self, slot: &Slot, generation: u64) -> bool {
        let mut paths = slot.config().publish.iter().map(|sink| &sink.path);
        paths.all(|path| {
            let held = self.disk.published(path);
            self.disk.was_tampered(path) || held.is_some_and(|held| held.generation == generation)
        })
    }

    fn account_of(&self, slot: &Slot) -> Option<&crate::session::account::Account> {
        let account = self.daemon.as_ref()?.accounts.get(slot.account())?;
        Some(&account.account)
    }

    /// Where one session takes the place of another, no file goes on to show what that one showed.
    pub(super) fn look_at_predecessors(&mut self) {
        let Some(daemon) = &self.daemon else { return };
        let (now, takes_files) = (self.now, self.takes_files());
        for slot in daemon.slots.values() {
            let generation = slot.session().state().generation;
            let places = &mut self.promises.places;
            let place = places.entry(slot.name().clone()).or_insert(Place {
                epoch: slot.epoch(),
                floor: None,
                shows_predecessor: None,
            });
            if place.epoch != slot.epoch() {
                (place.epoch, place.floor) = (slot.epoch(), Some(generation));
            }
            let Some(floor) = place.floor else { continue };
            let shows = slot.config().publish.iter().any(|sink| {
                let held = self.disk.published(&sink.path);
                held.is_some_and(|held| *held.session == **slot.name() && held.generation < floor)
            });
            if !shows || !takes_files || !slot.publication().failing().is_empty() {
                place.shows_predecessor = None;
                continue;
            }
            let since = *place.shows_predecessor.get_or_insert(now);
            assert!(
                now.since(since) <= RIGHT_AGAIN,
                "a file of {} shows the token of the session that had its name before",
                slot.name()
            );
        }
    }
}

fn refusal_mark(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NeedsAttention { .. } => "a reader heard that a person is needed",
        Refusal::NotFresh { .. } => "a reader waited in vain",
        Refusal::Unpublished { .. } => "a reader heard that a file lacks",
        Refusal::NoSuchSession { .. }
        | Refusal::NotAllowed { .. }
        | Refusal::OnlyByGateway { .. }
        | Refusal::NotOrdered { .. }
        | Refusal::CannotPromise { .. }
        | Refusal::Conflict { .. }
        | Refusal::Failed { .. }
        | Refusal::NoSuchLogin { .. }
        | Refusal::NotUnderstood { .. }
        | Refusal::NotAdmin
        | Refusal::BadConfig { .. }
        | Refusal::Stopping => "a reader was refused",
    }
}
