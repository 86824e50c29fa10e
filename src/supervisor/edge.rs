//! The edge of the supervisor: turns what happens into inputs, performs the effects that come of them, and is the only
//! reader of clocks there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};

use super::disk::LocalDisk;
use super::effect::{Effect, Notice, Retirement};
use super::load::{AllRunning, Loader, sweep_files};
use super::start::{StartError, Surroundings};
use super::{Incoming, Supervisor, record_of};
use crate::api::Ask;
use crate::api::access::Guests;
use crate::clock;
use crate::config::{self, Config};
use crate::descriptors::allowed_descriptors;
use crate::driver::{self, Done, Work};
use crate::gateway::Openings;
use crate::hooks::Hooks;
use crate::program;
use crate::provider::Clients;
use crate::publish::{self, SinkPool};
use crate::schedule::Runner;
use crate::scrape::MoveScrapers;
use crate::signals::{Signal, Signals};
use crate::store::Store;
use crate::systemd::{self, Notifier};
use crate::time::{Instant, Now};

/// Hooks and alerts get so long to end at the stop.
const LAST_HOOKS: Duration = Duration::from_secs(3);
/// While the service manager takes no notification, it is offered the rest so often.
const NOTIFY_AGAIN: Duration = Duration::from_secs(1);
/// Token files get so long to settle at the end.
const SETTLE: Duration = Duration::from_secs(5);

/// What the supervisor listens to.
pub struct Ears {
    /// The socket's questions.
    pub asks: mpsc::Receiver<Ask>,
    /// The system's signals.
    pub signals: Signals,
}

/// The supervisor amid the world.
pub struct Edge {
    supervisor: Box<Supervisor>,
    work: Work,
    /// Calls of engines under way, by their session's epoch.
    calls: HashMap<u64, AbortHandle>,
    /// What removed sessions still have to do, by number.
    retiring: JoinSet<u64>,
    /// A reload's reading of the config and of the disk, and its move of the listener for scrapers.
    reloading: JoinSet<Incoming>,
    store: Store,
    clients: Clients,
    pool: SinkPool,
    /// The programs of sessions, by epoch.
    hooks: HashMap<u64, Hooks>,
    /// The programs and webhooks of `[alerts]`.
    alerts: Hooks,
    /// Programs that have still to be told something, and are not told anything new.
    last_hooks: JoinSet<()>,
    /// Where programs find the daemon.
    socket: PathBuf,
    /// Where token files lie if the config names no other place.
    tokens: PathBuf,
    calendar: Runner,
    notifier: Notifier,
    /// The owner of the listener for scrapers.
    scrapers: mpsc::UnboundedSender<MoveScrapers>,
    /// Whom the config knows, for the server to tell from strangers.
    guests: watch::Sender<Arc<Guests>>,
    /// The gateways that there should be.
    gateways: watch::Sender<Openings>,
}

impl Edge {
    /// Takes up every session of the config, with what the state directory holds of it.
    ///
    /// # Errors
    /// When stored state is there but cannot be read, so that going on would lose it.
    pub fn start(
        config: Config,
        store: Store,
        notifier: Notifier,
        scrapers: mpsc::UnboundedSender<MoveScrapers>,
    ) -> Result<Self, StartError> {
        let (now, clients) = (clock::now(), Clients::default());
        // No client is served yet: here alone the disk may be waited for.
        sweep_files(&config);
        let tokens = config.daemon.runtime_dir.join("tokens");
        let disk = LocalDisk {
            store: store.clone(),
            tokens: tokens.clone(),
        };
        let disk = Loader::new(disk, &clients);
        disk.forget_unconfigured(&config)?;
        let loaded = disk.load(&config, &AllRunning::new());
        let socket = config.socket.path.clone();
        let mut edge = Self {
            supervisor: Box::new(Supervisor::new(config, loaded, surroundings(), now)?),
            work: Work::begin(allowed_descriptors()),
            calls: HashMap::new(),
            retiring: JoinSet::new(),
            reloading: JoinSet::new(),
            store,
            clients,
            pool: SinkPool::start(),
            hooks: HashMap::new(),
            alerts: Hooks::none(),
            last_hooks: JoinSet::new(),
            socket,
            tokens,
            calendar: Runner::default(),
            notifier,
            scrapers,
            guests: watch::Sender::default(),
            gateways: watch::Sender::new(Arc::new([])),
        };
        edge.perform(now);
        Ok(edge)
    }

    /// Those whom the config knows, as it is now and after each reload.
    pub fn guests(&self) -> watch::Receiver<Arc<Guests>> {
        self.guests.subscribe()
    }

    /// The gateways that there should be, as the config is now and after each reload.
    pub fn gateways(&self) -> watch::Receiver<Openings> {
        self.gateways.subscribe()
    }

    /// Runs until a signal stops it; then lets renewals finish, stores what they brought, and leaves the files in place.
    pub async fn run(mut self, mut ears: Ears) {
        let mut input = Incoming::Start;
        loop {
            let now = clock::now();
            self.supervisor.handle(input, now);
            self.perform(now);
            if self.supervisor.is_over() {
                break;
            }
            input = self.next(&mut ears).await;
        }
        self.finish().await;
    }

    /// Waits for one thing to happen.
    async fn next(&mut self, ears: &mut Ears) -> Incoming {
        let begun = clock::boottime();
        let pause = self.pause(begun);
        let planned = begun.after(pause);
        let serves = !self.supervisor.is_stopping();
        let input = tokio::select! {
            biased;
            Some(signal) = ears.signals.next() => match signal {
                Signal::Reload => Incoming::Reload,
                Signal::Stop { .. } => Incoming::Stop,
            },
            Some(retired) = self.retiring.join_next(), if !self.retiring.is_empty() => {
                retired.map_or(Incoming::Time, Incoming::Retired)
            }
            // Aborted with its session, or a panic that the driver could not turn into an answer.
            Some(done) = self.work.join_next(), if !self.work.is_empty() => {
                done.map_or(Incoming::Time, Incoming::Done)
            }
            Some(step) = self.reloading.join_next(), if !self.reloading.is_empty() => {
                step.unwrap_or_else(|error| {
                    Incoming::ConfigRead(Err(format!("read the config: {error}")))
                })
            }
            (name, duty) = self.calendar.next(), if serves => Incoming::Duty(name, duty),
            Some(ask) = ears.asks.recv(), if serves => Incoming::Ask(ask),
            () = tokio::time::sleep(pause) => Incoming::Time,
        };
        if let Incoming::Done(Done::Called { of, .. }) = &input {
            self.calls.remove(&of.epoch);
        }
        self.supervisor.was_back(planned, clock::boottime());
        input
    }

    /// How long nothing needs to be looked at.
    fn pause(&self, now: Instant) -> Duration {
        let wake = self.supervisor.wake(now);
        let again = self.notifier.is_behind().then(|| now.after(NOTIFY_AGAIN));
        let others = [self.work.wake(), again];
        let wake = others.into_iter().flatten().fold(wake, Instant::min);
        wake.since(now)
    }

    /// Performs what the turn decided.
    fn perform(&mut self, now: Now) {
        for effect in self.supervisor.effects.take() {
            self.perform_one(effect, now);
        }
        self.notifier.catch_up();
        while self.last_hooks.try_join_next().is_some() {}
        self.work.sweep(now.boot);
    }

    fn perform_one(&mut self, effect: Effect, now: Now) {
        let (work, store) = (&mut self.work, &self.store);
        match effect {
            Effect::Call(errand) => {
                let epoch = errand.of.epoch;
                self.calls.insert(epoch, driver::call(work, *errand));
            }
            Effect::Abort(epoch) => {
                if let Some(call) = self.calls.remove(&epoch) {
                    call.abort();
                }
            }
            Effect::Person(errand) => driver::person(work, *errand),
            Effect::ReadSecrets { name, config, salt } => {
                driver::read_secrets(work, name, config, salt);
            }
            Effect::AwaitRelease {
                of,
                hold,
                lasting,
                released,
            } => driver::hold(work, of, hold, lasting, released),
            Effect::AwaitFiles { of, files } => driver::land(work, of, files),
            Effect::AwaitFilesForHealth { files, ask } => {
                driver::look_for_health(work, files, ask);
            }
            Effect::SaveSession { of, bytes } => driver::save_session(work, store, of, bytes),
            Effect::SaveAccount { key, bytes } => driver::save_account(work, store, &key, bytes),
            Effect::LookAtFiles(expected) => driver::look_at_files(work, store, expected, now),
            Effect::LookAtDirectories(snapshot) => driver::look_at_directories(work, snapshot),
            Effect::Publish(pending) => self.pool.take(pending),
            Effect::Retire(retirement) => self.retire(*retirement),
            Effect::RemoveRecord { number, of } => self.remove_record(number, &of),
            Effect::EndHooks(of) => self.replace_hooks(of, Hooks::none()),
            Effect::StartHooks { of, config, runs } => {
                let hooks = Hooks::start(&config.hooks, &self.socket, &runs);
                self.replace_hooks(of, hooks);
            }
            Effect::StartAlerts { config, runs } => {
                let alerts = Hooks::start_alerts(&config, &self.socket, &self.clients, &runs);
                let before = std::mem::replace(&mut self.alerts, alerts);
                self.last_hooks.spawn(before.finish());
            }
            Effect::Ring { of, happening } => {
                if let Some(hooks) = self.hooks.get(&of) {
                    hooks.ring(&happening);
                }
            }
            Effect::Alert(happening) => self.alerts.ring(&happening),
            Effect::ReadConfig(file) => {
                self.reloading.spawn_blocking(move || {
                    let config = config::load_to_run(&file, false);
                    Incoming::ConfigRead(config.map(Box::new))
                });
            }
            Effect::Load { config, running } => {
                let disk = Loader::new(self.disk(), &self.clients);
                self.reloading.spawn_blocking(move || {
                    let loaded = Box::new(disk.load(&config, &running));
                    Incoming::Loaded { config, loaded }
                });
            }
            Effect::Notify(notice) => self.notify(&notice),
            Effect::SetCalendars(calendars) => self.calendar.set(calendars, now.wall),
            Effect::RearmCalendars => self.calendar.rearm(now.wall),
            Effect::MoveScrapers(to) => {
                let (told, moved) = oneshot::channel();
                // Without an owner of the listener the daemon is about to end.
                let _ = self.scrapers.send(MoveScrapers { to, told });
                self.reloading
                    .spawn(async { Incoming::ScrapersMoved(moved.await.ok()) });
            }
            Effect::Admit(guests) => drop(self.guests.send_replace(guests)),
            Effect::OpenGateways(openings) => drop(self.gateways.send_replace(openings)),
            Effect::WithholdVariables(variables) => program::withhold_from_children(variables),
        }
    }

    fn disk(&self) -> LocalDisk {
        LocalDisk {
            store: self.store.clone(),
            tokens: self.tokens.clone(),
        }
    }

    fn notify(&mut self, notice: &Notice) {
        match notice {
            Notice::Ready(status) => self.notifier.ready(status),
            Notice::Reloading => self.notifier.reloading(),
            Notice::Stopping => self.notifier.stopping(),
            Notice::Status(status) => self.notifier.status(status),
            Notice::Watchdog => self.notifier.watchdog(),
        }
    }

    /// Most sessions have none.
    fn replace_hooks(&mut self, of: u64, hooks: Hooks) {
        let before = if hooks.is_empty() {
            self.hooks.remove(&of)
        } else {
            self.hooks.insert(of, hooks)
        };
        if let Some(before) = before {
            self.last_hooks.spawn(before.finish());
        }
    }

    fn retire(&mut self, retirement: Retirement) {
        let Retirement {
            number,
            files,
            stale,
        } = retirement;
        self.retiring.spawn(async move {
            files.stop().await;
            let removing = tokio::task::spawn_blocking(move || {
                for path in &stale {
                    publish::remove_stale(path);
                }
            });
            if let Err(error) = removing.await {
                tracing::error!(event = "remove_failed", %error, "cannot remove files of a removed session");
            }
            number
        });
    }

    fn remove_record(&mut self, number: u64, name: &Arc<str>) {
        let (store, name) = (self.store.clone(), name.clone());
        self.retiring.spawn_blocking(move || {
            if let Err(error) = store.remove(&record_of(&name)) {
                tracing::error!(session = &*name, event = "state_not_removed", %error, "cannot remove the state of a removed session");
            }
            number
        });
    }

    /// Lets files become what is wanted of them, and programs be told what there is to tell.
    async fn finish(mut self) {
        let mut hooks = std::mem::take(&mut self.last_hooks);
        hooks.spawn(self.alerts.finish());
        for (_, of_session) in self.hooks {
            hooks.spawn(of_session.finish());
        }
        let settle = async {
            for files in self.supervisor.into_files() {
                files.stop().await;
            }
            while self.retiring.join_next().await.is_some() {}
        };
        let _ = tokio::time::timeout(SETTLE, settle).await;
        let told = async { while hooks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_HOOKS, told).await.is_err() {
            tracing::warn!(
                event = "hooks_cut",
                "killed hook and alert programs that were still running"
            );
            hooks.shutdown().await;
        }
        self.calendar.shutdown().await;
    }
}

fn surroundings() -> Surroundings {
    Surroundings {
        uid: rustix::process::geteuid().as_raw(),
        boot_id: clock::boot_id().unwrap_or_default(),
        descriptors: allowed_descriptors(),
        watchdog: systemd::watchdog_interval(),
        restart_command: systemd::restart_command(),
        login_key: random_key(),
    }
}

fn random_key() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}
