//! A machine with a daemon, disks, servers and readers, in virtual time.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use super::answers::{Promises, Publishing};
use super::disk::{Reader, SimulatedDisk};
use super::harms::Harms;
use super::log::{effect_word, incoming_word, log, wanted_word};
use super::menu::{self, host_of};
use super::readers::Readers;
use super::script::Happening;
use super::servers::{SimulatedServer, Trouble, servers};
use crate::api::HealthAsk;
use crate::atomic_file::Stamp;
use crate::config::Config;
use crate::driver::{Done, Errand, ExpectedFiles, LONGEST_LANDING, PersonDone, Ticket};
use crate::provider::{Clients, PersonError};
use crate::publish::simulated::{Attempt, Worker};
use crate::publish::{Settling, Wanted};
use crate::session::answer::{Request, Verdict};
use crate::session::backoff::Seed;
use crate::store::Record;
use crate::supervisor::effect::{Effect, Notice, Retirement};
use crate::supervisor::load::{AllRunning, Loader};
use crate::supervisor::start::Surroundings;
use crate::supervisor::{Incoming, Supervisor};
use crate::time::{Instant, Now};

/// What the wall clock says when the machine begins: the morning of 2026-11-30.
const BEGIN: Timestamp = Timestamp::constant(1_796_018_400, 0);
/// So often in one moment something may happen before it counts as a loop that never rests.
const MOST_AT_ONCE: u32 = 5_000;
/// A disk that is well takes no longer.
pub(super) const SLOWEST_WRITE: Duration = Duration::from_millis(400);

/// How a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Slow,
    Full,
    Hangs,
}

/// What is to happen.
pub(super) enum Event {
    /// Something reaches the daemon of this run.
    Reaches(u64, Box<Incoming>),
    /// A write has replaced the old copy.
    Replaces(u64, Write),
    /// A write is on the platter.
    Flushes(u64, Write),
    /// The worker of a file is done with what it tried.
    Tries(u64, Box<Worker>, Box<Attempt>),
    /// The worker of a file tries again what failed.
    TriesAgain(u64, Box<Worker>),
    /// The files that a session left are removed, once no worker writes them.
    Clears(u64, Box<Retirement>),
    /// The record of a session that is gone is removed.
    Removes(u64, u64, Record),
    /// What waits for files, or for a job, is waited for no longer.
    GivesUp(u64, u64),
    /// The daemon starts.
    Starts,
    /// A reader of this session's files asks for its token.
    Reads(u64, Arc<str>),
    /// Something that a script of faults, readers and orders wants.
    Happens(Happening),
}

/// A record on its way to the disk.
#[derive(Clone)]
pub(super) struct Write {
    pub(super) record: Record,
    bytes: Arc<Vec<u8>>,
    of: Option<Ticket>,
}

/// A call of an engine under way.
pub(super) struct Travelling {
    /// When its answer arrives.
    arrives: (Instant, u64),
    pub(super) of: Ticket,
    pub(super) request: Request,
}

/// What waits for files or for a job.
enum Wait {
    Files(Ticket, Settling),
    Health(Vec<Settling>, Option<HealthAsk>),
    Release(Ticket, u64, oneshot::Receiver<()>),
}

/// The machine.
pub(super) struct World {
    pub(super) now: Instant,
    pub(super) seed: Seed,
    pub(super) events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    /// Rises with each start of the daemon: what was under way for an earlier one reaches no later one.
    pub(super) run: u64,
    pub(super) daemon: Option<Supervisor>,
    /// The boot's clock began at this moment.
    booted: Instant,
    boots: u64,
    /// How far somebody has moved the wall clock.
    pub(super) wall_moved: SignedDuration,
    pub(super) disk: SimulatedDisk,
    pub(super) state_disk: Health,
    pub(super) token_disk: Health,
    /// The state's disk failed, or hung, in this world: what it was to keep may be lost.
    pub(super) state_disk_failed: bool,
    pub(super) servers: BTreeMap<String, SimulatedServer>,
    /// One answer in so many is lost; none is where it is zero.
    pub(super) lost_answers: u64,
    pub(super) wanted: BTreeMap<&'static str, usize>,
    /// The config file is broken at the moment.
    pub(super) broken_config: bool,
    /// Calls under way, by their session's epoch.
    pub(super) calls: BTreeMap<u64, Travelling>,
    waits: BTreeMap<u64, Wait>,
    pub(super) readers: Readers,
    at_once: (Instant, u32),
    /// What is known of all that must not happen.
    pub(super) harms: Harms,
    /// What was told that must be true.
    pub(super) promises: Promises,
    /// What was met.
    pub(super) marks: BTreeSet<&'static str>,
    /// What befalls the daemon as soon as a call is under way that may bring a token.
    pub(super) at_next_login: Option<Happening>,
    /// What befalls it as soon as a record is being written.
    pub(super) at_next_write: Option<Happening>,
    /// Nothing goes wrong any more.
    pub(super) is_quiet: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let now = Instant::from_millis(1_000_000);
        let mut seed = Seed(seed);
        let servers = servers(&mut seed);
        let mut wanted = BTreeMap::new();
        for name in menu::NAMES {
            if seed.draw().is_multiple_of(2) {
                wanted.insert(name, 0);
            }
        }
        wanted.entry(menu::NAMES[0]).or_insert(0);
        let lost_answers = [0, 30, 8][usize::try_from(seed.draw() % 3).unwrap()];
        let mut world = Self {
            now,
            seed,
            events: BTreeMap::new(),
            sequence: 0,
            run: 0,
            daemon: None,
            booted: Instant::from_millis(0),
            boots: 0,
            wall_moved: SignedDuration::ZERO,
            disk: SimulatedDisk::default(),
            state_disk: Health::Well,
            token_disk: Health::Well,
            state_disk_failed: false,
            servers,
            lost_answers,
            wanted,
            broken_config: false,
            calls: BTreeMap::new(),
            waits: BTreeMap::new(),
            readers: Readers::default(),
            at_once: (now, 0),
            harms: Harms::beginning(now),
            promises: Promises::default(),
            marks: BTreeSet::new(),
            at_next_login: None,
            at_next_write: None,
            is_quiet: false,
        };
        world.start();
        world
    }

    /// One in which nothing goes wrong by itself, with these sessions.
    pub(super) fn well(wanted: BTreeMap<&'static str, usize>) -> Self {
        let mut world = Self::new(1);
        world.lost_answers = 0;
        world.wanted = wanted;
        world.handle(Incoming::Reload);
        world
    }

    pub(super) fn mark(&mut self, mark: &'static str) {
        self.marks.insert(mark);
    }

    pub(super) fn chance(&mut self, of: u64) -> bool {
        of > 0 && self.seed.draw().is_multiple_of(of)
    }

    pub(super) fn plan(&mut self, after: Duration, event: Event) -> (Instant, u64) {
        self.sequence += 1;
        let key = (self.now.after(after), self.sequence);
        self.events.insert(key, event);
        key
    }

    /// Lets time pass until `end`.
    pub(super) fn run_until(&mut self, end: Instant) {
        loop {
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let wake = self.daemon.as_ref().map(|daemon| {
                let wake = daemon.wake(self.boot()).since(self.boot());
                self.now.after(wake)
            });
            let next = [event, wake].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.pass(next);
            if event.is_some_and(|event| event <= next) {
                if let Some((_, event)) = self.events.pop_first() {
                    self.take(event);
                }
            } else {
                self.handle(Incoming::Time);
            }
            self.look();
        }
        self.pass(end);
    }

    fn pass(&mut self, to: Instant) {
        self.now = self.now.max(to);
        self.at_once = if self.at_once.0 == self.now {
            (self.now, self.at_once.1 + 1)
        } else {
            (self.now, 0)
        };
        assert!(
            self.at_once.1 < MOST_AT_ONCE,
            "the daemon never rests at {:?}",
            self.now
        );
    }

    pub(super) fn boot(&self) -> Instant {
        Instant::from_millis(self.now.as_millis() - self.booted.as_millis())
    }

    /// What the machine's clocks say.
    pub(super) fn clocks(&self) -> Now {
        let passed = SignedDuration::from_millis(self.now.as_millis());
        Now {
            boot: self.boot(),
            wall: BEGIN + passed + self.wall_moved,
        }
    }

    fn boot_id(&self) -> String {
        format!("boot {}", self.boots)
    }

    fn reader(&mut self) -> Reader {
        Reader {
            disk: self.disk.clone(),
            now: self.clocks(),
            boot_id: self.boot_id(),
            seed: RefCell::new(Seed(self.seed.draw())),
        }
    }

    fn config(&self) -> Config {
        menu::config(&self.wanted)
    }

    /// The daemon starts, with the config and the disk as they are.
    fn start(&mut self) {
        self.run += 1;
        let (config, clients) = (self.config(), Clients::default());
        let disk = Loader::new(self.reader(), &clients);
        disk.forget_unconfigured(&config).unwrap();
        let loaded = disk.load(&config, &AllRunning::new());
        let surroundings = Surroundings {
            uid: 0,
            boot_id: self.boot_id(),
            descriptors: 1024,
            watchdog: Some(Duration::from_mins(1)),
            restart_command: None,
            login_key: Some([7; 32]),
        };
        let now = self.clocks();
        let supervisor = Supervisor::new(config, loaded, surroundings, now);
        let supervisor = supervisor.unwrap_or_else(|error| panic!("{error}"));
        self.promises.begin(&supervisor);
        self.daemon = Some(supervisor);
        self.handle(Incoming::Start);
    }

    /// The process is gone from one moment to the next; with it what it had not given to the system.
    pub(super) fn kill(&mut self, loses_power: bool) {
        if self.daemon.is_none() {
            return;
        }
        let writes = self.events.values().any(|event| {
            matches!(event, Event::Replaces(run, _) | Event::Flushes(run, _) if *run == self.run)
        });
        self.mark(if writes {
            "killed in the midst of a write"
        } else {
            "killed"
        });
        if !self.calls.is_empty() {
            self.mark("killed in the midst of a call");
        }
        log(self.now, &|| format!("KILLED, loses power: {loses_power}"));
        let known = self.what_the_daemon_knew();
        self.interrupted_calls();
        self.leave();
        if loses_power {
            self.mark("lost its power");
            self.disk.lose_power();
            self.boots += 1;
            self.booted = Instant::from_millis(self.now.as_millis() - 5_000);
        }
        self.forget_what_the_disk_lacks(known);
        let pause = self
            .seed
            .between(Duration::from_millis(100), Duration::from_secs(40));
        self.plan(pause, Event::Starts);
    }

    fn leave(&mut self) {
        self.daemon = None;
        self.harms.the_daemon_left();
        self.promises.the_daemon_left();
        let run = self.run;
        // What the system has, it writes without the process.
        self.events.retain(|_, event| match event {
            Event::Reaches(of, _)
            | Event::Replaces(of, _)
            | Event::Tries(of, ..)
            | Event::TriesAgain(of, _)
            | Event::Clears(of, _)
            | Event::Removes(of, ..)
            | Event::GivesUp(of, _)
            | Event::Reads(of, _) => *of != run,
            Event::Flushes(..) | Event::Starts | Event::Happens(_) => true,
        });
        self.calls.clear();
        self.waits.clear();
        self.readers.hang_up();
    }

    pub(super) fn stop(&mut self) {
        if self.daemon.is_some() {
            if self.daemon.as_ref().is_some_and(Supervisor::is_reloading) {
                self.mark("stopped in the midst of a reload");
            }
            if !self.calls.is_empty() {
                self.mark("stopped in the midst of a call");
            }
            self.harms.stops(self.now);
            self.handle(Incoming::Stop);
        }
    }

    /// Something reaches the daemon.
    pub(super) fn handle(&mut self, incoming: Incoming) {
        let now = self.clocks();
        let Some(daemon) = &mut self.daemon else {
            return;
        };
        if daemon.is_stopping()
            && matches!(
                incoming,
                Incoming::Ask(_) | Incoming::Duty(..) | Incoming::Reload
            )
        {
            return;
        }
        log(self.now, &|| incoming_word(&incoming));
        let is_loaded = matches!(incoming, Incoming::Loaded { .. });
        let is_read = matches!(incoming, Incoming::ConfigRead(_));
        let before = if is_loaded {
            self.publishing()
        } else {
            Publishing::new()
        };
        let Some(daemon) = &mut self.daemon else {
            return;
        };
        daemon.handle(incoming, now);
        let effects = daemon.effects.take();
        let is_over = daemon.is_over();
        // Whoever waited for the files of an earlier reload is told that a further one has come.
        let supersedes = is_read || (is_loaded && daemon.awaits_files_of_a_reload());
        if is_loaded {
            self.took_over(&before);
        }
        for effect in effects {
            self.perform(effect);
        }
        self.look_at_reports(false);
        if is_over {
            self.mark("stopped");
            self.look_at_the_end();
            let known = self.what_the_daemon_knew();
            self.leave();
            self.forget_what_the_disk_lacks(known);
            let pause = self
                .seed
                .between(Duration::from_secs(1), Duration::from_mins(2));
            self.plan(pause, Event::Starts);
        }
        self.readers.look(self.now);
        for (asked, answer) in self.readers.take_answered() {
            self.look_at_answer(&asked, &answer, supersedes);
        }
        self.release();
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Reaches(run, incoming) if run == self.run => {
                self.learn(&incoming);
                self.handle(*incoming);
            }
            Event::Replaces(run, write) if run == self.run => self.replaces(write),
            Event::Flushes(run, write) => self.flushes(run, &write),
            Event::Tries(run, worker, attempt) if run == self.run => self.tries(worker, &attempt),
            Event::TriesAgain(run, worker) if run == self.run => self.begins_to_try(worker, true),
            Event::Clears(run, retirement) if run == self.run => self.clears(retirement),
            Event::Removes(run, number, record) if run == self.run => {
                self.removes_a_record(&record);
                self.disk.forget(&record);
                self.handle(Incoming::Retired(number));
            }
            Event::GivesUp(run, wait) if run == self.run => self.give_up(wait),
            Event::Reads(run, name) if run == self.run => self.read_files(&name),
            Event::Starts if self.daemon.is_none() => self.start(),
            Event::Happens(happening) => self.happens(happening),
            Event::Reaches(..)
            | Event::Replaces(..)
            | Event::Tries(..)
            | Event::TriesAgain(..)
            | Event::Clears(..)
            | Event::Removes(..)
            | Event::GivesUp(..)
            | Event::Reads(..)
            | Event::Starts => {}
        }
    }

    fn reaches(&mut self, after: Duration, incoming: Incoming) -> (Instant, u64) {
        self.plan(after, Event::Reaches(self.run, Box::new(incoming)))
    }

    fn perform(&mut self, effect: Effect) {
        log(self.now, &|| effect_word(&effect));
        match effect {
            Effect::Call(errand) => self.call(&errand),
            Effect::Abort(epoch) => {
                if let Some(call) = self.calls.remove(&epoch) {
                    self.mark("aborted a call");
                    let arrives = self.events.remove(&call.arrives);
                    // It may have come already, and not have been looked at.
                    if self.chance(3)
                        && let Some(arrives) = arrives
                    {
                        self.mark("an answer came to a call that was cut off");
                        self.plan(Duration::ZERO, arrives);
                    }
                }
            }
            Effect::Person(errand) => {
                let came = PersonDone::Failed(PersonError::Impossible("simulated".into()));
                let (of, login, host) = (errand.of, errand.login, errand.host);
                let done = Done::ByPerson {
                    of,
                    login,
                    host,
                    came,
                };
                self.reaches(Duration::from_millis(300), Incoming::Done(done));
            }
            Effect::ReadSecrets { name, config, salt } => {
                let host = host_of(&name);
                let Some(server) = self.servers.get(&host) else {
                    return;
                };
                let secrets = server.secrets(&config.remote.login_secrets());
                let presented = Some(config.remote.presented(&secrets, salt));
                let seed = config.remote.seed().map(|_| Ok(server.consent.clone()));
                let done = Done::SecretsRead {
                    name,
                    config,
                    presented,
                    seed,
                };
                self.reaches(Duration::from_millis(20), Incoming::Done(done));
            }
            Effect::AwaitRelease {
                of,
                hold,
                lasting,
                released,
            } => self.wait(lasting, Wait::Release(of, hold, released)),
            Effect::AwaitFiles { of, files } => {
                self.wait(LONGEST_LANDING, Wait::Files(of, files));
            }
            Effect::AwaitFilesForHealth { files, ask } => {
                self.wait(LONGEST_LANDING, Wait::Health(files, Some(ask)));
            }
            Effect::SaveSession { of, bytes } => {
                let record = Record::Session(of.name.to_string());
                self.save(record, bytes, Some(of));
            }
            Effect::SaveAccount { key, bytes } => {
                self.save(Record::Account(key.to_string()), bytes, None);
            }
            Effect::LookAtFiles(expected) => self.look_at_files(expected),
            Effect::LookAtDirectories(_) => panic!("no directories are compared here"),
            Effect::Publish(jobs) => {
                for worker in jobs.into_workers() {
                    self.begins_to_try(Box::new(worker), false);
                }
            }
            Effect::Retire(retirement) => {
                retirement.files.close();
                let takes = self.disk_takes(self.token_disk);
                self.promises.file_takes(self.now, takes);
                self.plan(takes, Event::Clears(self.run, retirement));
            }
            Effect::RemoveRecord { number, of } => {
                let takes = self.disk_takes(self.state_disk);
                let record = Record::Session(of.to_string());
                self.harms.tries(&record);
                self.removes_a_record(&record);
                self.plan(takes, Event::Removes(self.run, number, record));
            }
            Effect::ReadConfig(_) => {
                self.assert_no_reload_is_under_way();
                let config = if self.broken_config {
                    self.mark("read a broken config");
                    Err("broken".to_owned())
                } else {
                    Ok(Box::new(self.config()))
                };
                self.reaches(Duration::from_millis(30), Incoming::ConfigRead(config));
            }
            Effect::Load { config, running } => {
                self.assert_no_reload_is_under_way();
                let disk = Loader::new(self.reader(), &Clients::default());
                let loaded = Box::new(disk.load(&config, &running));
                let slow = self.disk_takes(self.state_disk);
                self.reaches(slow, Incoming::Loaded { config, loaded });
            }
            Effect::Notify(notice) => {
                if matches!(notice, Notice::Ready(_)) {
                    let is_first = self.promises.says_ready();
                    self.look_at_reports(is_first);
                }
                self.mark(match notice {
                    Notice::Ready(_) => "said READY",
                    Notice::Reloading => "said RELOADING",
                    Notice::Stopping => "said STOPPING",
                    Notice::Status(_) => "said a status",
                    Notice::Watchdog => "fed the watchdog",
                });
            }
            Effect::MoveScrapers(to) => {
                let moved = Incoming::ScrapersMoved(Some(Ok(to)));
                self.reaches(Duration::from_millis(5), moved);
            }
            Effect::StartHooks { .. }
            | Effect::EndHooks(_)
            | Effect::Ring { .. }
            | Effect::StartAlerts { .. }
            | Effect::Alert(_)
            | Effect::SetCalendars(_)
            | Effect::RearmCalendars
            | Effect::Admit(_)
            | Effect::OpenGateways(_)
            | Effect::WithholdVariables(_) => {}
        }
    }

    fn call(&mut self, errand: &Errand) {
        let (sent, now) = (self.boot(), self.now);
        self.count_call(errand.call.request);
        self.harms.begins_a_call(errand);
        let lost = self.chance(self.lost_answers);
        let server = self.servers.get_mut(&errand.host);
        let server = server.unwrap_or_else(|| panic!("a call to {}", errand.host));
        let token = errand.token.as_ref();
        let lives = token.is_some_and(|token| server.lives(&token.access_token, now));
        let travelled = server.travel(errand, (sent, now), lost, &mut self.seed);
        self.look_at_refusals(errand, &travelled);
        if travelled.spent_again {
            self.mark("presented a spent refresh token");
            self.harms.spends_again(&errand.of.name, lives);
        }
        self.mark_call(errand.call.request, &travelled.answer.verdict);
        let done = Done::Called {
            of: errand.of.clone(),
            host: errand.host.clone(),
            answer: travelled.answer,
            presented: travelled.presented,
        };
        let arrives = self.reaches(travelled.took, Incoming::Done(done));
        let call = Travelling {
            arrives,
            of: errand.of.clone(),
            request: errand.call.request,
        };
        if matches!(call.request, Request::Login | Request::Renew) && self.chance(3) {
            let soon = Duration::from_millis(5);
            self.plan(soon, Event::Reads(self.run, errand.of.name.clone()));
        }
        if matches!(call.request, Request::Login | Request::Renew)
            && let Some(happening) = self.at_next_login.take()
        {
            let soon = self.seed.between(Duration::ZERO, travelled.took);
            self.plan(soon, Event::Happens(happening));
        }
        let before = self.calls.insert(errand.of.epoch, call);
        assert!(before.is_none(), "two calls of {} at once", errand.of.name);
    }

    fn mark_call(&mut self, request: Request, verdict: &Verdict) {
        let mark = match (request, verdict.is_success()) {
            (Request::Ping, true) => "a ping succeeded",
            (Request::Ping, false) => "a ping failed",
            (Request::Login, true) => "a login succeeded",
            (Request::Login, false) => "a login failed",
            (Request::Renew, true) => "a renewal succeeded",
            (Request::Renew, false) => "a renewal failed",
            (Request::Introspect, _) => "introspected",
            (Request::Logout, _) => "logged out",
        };
        self.mark(mark);
        self.mark(verdict.word());
    }

    fn disk_takes(&mut self, health: Health) -> Duration {
        match health {
            Health::Well => self
                .seed
                .between(Duration::from_millis(1), Duration::from_millis(40)),
            Health::Slow => self.seed.between(Duration::from_millis(100), SLOWEST_WRITE),
            Health::Full => Duration::from_millis(2),
            Health::Hangs => self
                .seed
                .between(Duration::from_secs(3), Duration::from_mins(2)),
        }
    }

    fn save(&mut self, record: Record, bytes: Vec<u8>, of: Option<Ticket>) {
        self.harms.tries(&record);
        self.look_at_writes(&record);
        let takes = self.disk_takes(self.state_disk);
        self.harms.writes_until(self.now, takes);
        if let Some(happening) = self.at_next_write.take() {
            let soon = self.seed.between(Duration::ZERO, takes);
            self.plan(soon, Event::Happens(happening));
        }
        self.disk.begin(&record, &bytes);
        let bytes = Arc::new(bytes);
        let write = Write { record, bytes, of };
        self.plan(takes, Event::Replaces(self.run, write));
    }

    fn replaces(&mut self, write: Write) {
        if self.state_disk == Health::Full {
            self.mark("a write failed");
            self.harms.could_not_write(write.record.clone(), self.now);
            self.disk.end(&write.record, &write.bytes);
            self.wrote(&write, Err("the disk is full".to_owned()));
            return;
        }
        self.disk.replace(&write.record, &write.bytes);
        let takes = self.disk_takes(self.state_disk) / 2;
        self.harms.writes_until(self.now, takes);
        self.plan(takes, Event::Flushes(self.run, write));
    }

    fn flushes(&mut self, run: u64, write: &Write) {
        self.disk.flush(&write.record);
        if run == self.run && self.daemon.is_some() {
            self.disk.end(&write.record, &write.bytes);
            self.wrote(write, Ok(Stamp::simulated(1)));
        }
    }

    fn wrote(&mut self, write: &Write, written: Result<Stamp, String>) {
        let done = match (&write.of, &write.record) {
            (Some(of), _) => Done::SessionSaved {
                of: of.clone(),
                written,
            },
            (None, Record::Account(key) | Record::Session(key)) => Done::AccountSaved {
                key: key.clone(),
                problem: written.err(),
            },
        };
        self.handle(Incoming::Done(done));
        self.look_at_belief(&write.record);
    }

    fn begins_to_try(&mut self, worker: Box<Worker>, failed: bool) {
        let Some(attempt) = worker.next(failed) else {
            self.settle();
            return;
        };
        let takes = self.disk_takes(self.token_disk);
        self.promises.file_takes(self.now, takes);
        self.plan(takes, Event::Tries(self.run, worker, Box::new(attempt)));
    }

    fn tries(&mut self, worker: Box<Worker>, attempt: &Attempt) {
        let path = worker.path();
        log(self.now, &|| {
            format!("  file {} {}", path.display(), wanted_word(&attempt.wanted))
        });
        let fails = self.token_disk == Health::Full;
        if fails {
            self.mark("a token file could not be written");
            let holds = self.disk.published(&path);
            worker.report(attempt, holds, Some("the disk is full".to_owned()));
            let pause = Duration::from_secs(2);
            self.plan(pause, Event::TriesAgain(self.run, worker));
        } else {
            match &attempt.wanted {
                Wanted::Show(published) => {
                    // A disk that hung may take what another session has replaced since.
                    if !worker.is_replaced() {
                        self.shows_in(Some(&path), published);
                    }
                    self.disk.publish(path.clone(), published.clone());
                }
                Wanted::Withdraw if worker.keeps_on_loss() => self.mark("kept a dead token's file"),
                Wanted::Withdraw | Wanted::Remove => {
                    self.mark("withdrew a token file");
                    self.disk.withdraw(&path);
                }
            }
            worker.report(attempt, self.disk.published(&path), None);
            self.begins_to_try(worker, false);
        }
        self.settle();
    }

    fn clears(&mut self, retirement: Box<Retirement>) {
        if !retirement.files.is_idle() {
            let run = self.run;
            self.plan(Duration::from_millis(20), Event::Clears(run, retirement));
            return;
        }
        self.removes_files(&retirement.stale);
        for path in &retirement.stale {
            self.disk.withdraw(path);
        }
        self.handle(Incoming::Retired(retirement.number));
    }

    fn look_at_files(&mut self, expected: Vec<ExpectedFiles>) {
        let (mut states, mut files) = (Vec::new(), Vec::new());
        for expected in expected {
            let record = Record::Session(expected.of.name.to_string());
            if expected.state.is_some() && !self.disk.has(&record) {
                states.push(expected.of.clone());
            }
            let mut sinks = expected.config.publish.iter();
            if expected.published && sinks.any(|sink| self.disk.published(&sink.path).is_none()) {
                files.push(expected.of);
            }
        }
        let snapshot = None;
        let done = Done::LookedAtFiles {
            states,
            files,
            snapshot,
        };
        self.reaches(Duration::from_millis(10), Incoming::Done(done));
    }

    fn wait(&mut self, longest: Duration, wait: Wait) {
        self.sequence += 1;
        let number = self.sequence;
        self.waits.insert(number, wait);
        self.plan(longest, Event::GivesUp(self.run, number));
        self.settle();
    }

    /// What waits for files that are there now need wait no longer.
    fn settle(&mut self) {
        let is_done = |wait: &Wait| match wait {
            Wait::Files(_, files) => files.is_done(),
            Wait::Health(files, _) => files.iter().all(Settling::is_done),
            Wait::Release(..) => false,
        };
        let waits = self.waits.iter();
        let done: Vec<u64> = waits
            .filter(|(_, wait)| is_done(wait))
            .map(|(number, _)| *number)
            .collect();
        for number in done {
            self.plan(Duration::from_millis(1), Event::GivesUp(self.run, number));
        }
    }

    /// Jobs that have let go.
    fn release(&mut self) {
        let waits = self.waits.iter_mut();
        let released: Vec<u64> = waits
            .filter_map(|(number, wait)| match wait {
                Wait::Release(_, _, released) => released
                    .try_recv()
                    .is_err_and(|error| error == oneshot::error::TryRecvError::Closed)
                    .then_some(*number),
                Wait::Files(..) | Wait::Health(..) => None,
            })
            .collect();
        for number in released {
            self.plan(Duration::from_millis(1), Event::GivesUp(self.run, number));
        }
    }

    fn give_up(&mut self, number: u64) {
        let done = match self.waits.remove(&number) {
            Some(Wait::Files(of, files)) => Done::Landed { of, files },
            Some(Wait::Health(_, Some(ask))) => Done::LookedForHealth(ask),
            Some(Wait::Release(of, hold, _)) => Done::Released { of, hold },
            Some(Wait::Health(_, None)) | None => return,
        };
        self.handle(Incoming::Done(done));
    }

    /// An admin logs in again where one has logged out.
    pub(super) fn log_in_where_logged_out(&mut self) {
        let daemon = self.daemon.as_ref();
        let slots = daemon.into_iter().flat_map(|daemon| &daemon.slots);
        let out = slots.filter(|(_, slot)| slot.session().state().logged_out);
        let out: Vec<String> = out.map(|(name, _)| name.to_string()).collect();
        self.order_of(&out, crate::api::Order::Login);
    }

    /// Nothing is wrong with any server or disk any more.
    pub(super) fn heal(&mut self) {
        for server in self.servers.values_mut() {
            server.trouble = Trouble::None;
            server.correct();
        }
        self.lost_answers = 0;
        self.state_disk = Health::Well;
        self.token_disk = Health::Well;
        self.broken_config = false;
    }
}
