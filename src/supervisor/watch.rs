//! Looks that no engine asks for: the clocks against each other, mended secrets, waiters that have gone, what a person must do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::clocks::{Clocks, Look};
use super::effect::{Effect, Notice};
use super::slot::{AccountSlot, Slot};
use super::{LOOK_EVERY, Supervisor, WATCH_EVERY};
use crate::config::SessionConfig;
use crate::driver::{DirectorySnapshot, Ticket};
use crate::secret::Secret;
use crate::secret_source::SecretSource;
use crate::session::Input;
use crate::session::presented::Presented;
use crate::time::{Instant, Now};

/// How soon after a change all sessions are looked at.
const LOOK_SOON: Duration = Duration::from_secs(1);
/// How soon the status line says that a person is needed, or no longer: once, where a whole account is stopped.
const SAY_SOON: Duration = Duration::from_millis(250);
/// A secret that a command prints is read no oftener.
const COMMANDS_EVERY: Duration = Duration::from_mins(1);

/// When which look is due.
#[derive(Debug)]
pub(super) struct Watch {
    clocks: Clocks,
    next_look: Instant,
    /// When systemd's status line is said again because something in it changed.
    next_line: Option<Instant>,
    next_secrets: Option<Instant>,
    /// When the watchdog must be fed again, and how often.
    next_pulse: Option<Instant>,
    pulse: Option<Duration>,
    commands_read: Instant,
    /// Sessions that another secret could help.
    needy: BTreeSet<Arc<str>>,
    /// By what the next look knows that every file is in its place.
    snapshot: Option<DirectorySnapshot>,
    /// When the config was taken over last: what was known before may lack a directory.
    reloaded: Instant,
}

impl Watch {
    /// Begins to watch; systemd may want to hear from its `watchdog` so often.
    pub(super) fn begin(now: Now, watchdog: Option<Duration>) -> Self {
        // Twice as often as systemd asks.
        let pulse = watchdog.map(|interval| interval / 2);
        Self {
            clocks: Clocks::begin(now),
            next_look: now.boot,
            next_line: None,
            next_secrets: None,
            next_pulse: pulse.map(|_| now.boot),
            pulse,
            commands_read: now.boot,
            needy: BTreeSet::new(),
            snapshot: None,
            reloaded: now.boot,
        }
    }

    /// When the next look is due.
    pub(super) fn wake(&self) -> Instant {
        [self.next_line, self.next_secrets, self.next_pulse]
            .into_iter()
            .flatten()
            .fold(self.next_look, Instant::min)
    }

    /// Something changed that systemd's status line should say; said at most once a second, however many sessions change.
    pub(super) fn look_soon(&mut self, now: Instant) {
        self.next_look = self.next_look.min(now.after(LOOK_SOON));
    }

    /// Systemd's status line may no longer be true.
    pub(super) fn say_soon_if(&mut self, changed: bool, now: Instant) {
        if changed {
            self.next_line.get_or_insert(now.after(SAY_SOON));
        }
    }

    /// Files may lie in other directories from now on.
    pub(super) fn reloaded(&mut self, now: Instant) {
        (self.snapshot, self.reloaded) = (None, now);
    }

    fn keep(&mut self, snapshot: DirectorySnapshot) {
        self.snapshot = Some(snapshot).filter(|snapshot| snapshot.since > self.reloaded);
    }

    /// Whether another secret could help this session.
    pub(super) fn needs_secret(&mut self, name: &Arc<str>, needs: bool, now: Instant) {
        if needs {
            self.needy.insert(name.clone());
            self.next_secrets.get_or_insert(now.after(WATCH_EVERY));
        } else if self.needy.remove(name) && self.needy.is_empty() {
            self.next_secrets = None;
        }
    }

    /// The session is gone.
    pub(super) fn forget(&mut self, name: &str) {
        if self.needy.remove(name) && self.needy.is_empty() {
            self.next_secrets = None;
        }
    }
}

impl Supervisor {
    /// A wall clock that moved against ours may mean that the machine stood still without our clock noticing.
    pub(super) fn look_at_clocks(&mut self) {
        let look = self.watch.clocks.look(self.now);
        if look == Look::Steady {
            return;
        }
        self.gauges.clock_jumps += 1;
        if let Look::Jumped(millis) = look {
            tracing::info!(
                event = "clock_jumped",
                millis,
                "the wall clock jumped: checking every token"
            );
        }
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names {
            match look {
                Look::Jumped(_) => self.step(&name, Input::ClockJumped),
                // Readers see each end by the clock of the day.
                Look::Off | Look::Steady => self.pump(&name),
            }
        }
        self.effects.push(Effect::RearmCalendars);
        self.look_ahead_anew();
    }

    pub(super) fn watch_over(&mut self, now: Instant) {
        if self.watch.next_look <= now {
            self.watch.next_look = now.after(LOOK_EVERY);
            self.look_at_sessions(now);
        }
        if self.watch.next_line.take_if(|at| *at <= now).is_some() {
            let line = self.one_line();
            self.effects.notify(Notice::Status(line));
        }
        if self.watch.next_secrets.is_some_and(|at| at <= now) {
            self.watch.next_secrets = Some(now.after(WATCH_EVERY));
            let commands = now.since(self.watch.commands_read) >= COMMANDS_EVERY;
            let needy: Vec<_> = self.watch.needy.iter().cloned().collect();
            self.read_secrets(needy, commands);
        }
    }

    /// Fed only from the loop that does all the work: whoever hangs it starves it.
    pub(super) fn feed_watchdog(&mut self, now: Instant) {
        if let Some(pulse) = self
            .watch
            .pulse
            .filter(|_| self.watch.next_pulse.is_some_and(|at| at <= now))
        {
            self.watch.next_pulse = Some(now.after(pulse));
            self.effects.notify(Notice::Watchdog);
        }
    }

    fn look_at_sessions(&mut self, now: Instant) {
        for slot in self.slots.values_mut() {
            slot.forget_the_gone();
            if let Some(account) = self.accounts.get(slot.account()) {
                super::slot::tell::attention(slot, &account.account, now);
            }
            slot.tell_sinks(now);
            slot.warn(now);
        }
        self.look_around();
        self.look_for_alarms();
        self.queues.sweep(now);
        self.watch.next_line = Some(now);
    }

    /// Somebody may remove files, or mount another disk over them.
    fn look_around(&mut self) {
        match self.watch.snapshot.take() {
            Some(snapshot) => self.effects.push(Effect::LookAtDirectories(snapshot)),
            None => self.look_at_files(),
        }
    }

    fn look_at_files(&mut self) {
        let expected = self.slots.values().map(|slot| slot.expected_files());
        let expected = expected.collect();
        self.effects.push(Effect::LookAtFiles(expected));
    }

    pub(super) fn looked_at_directories(&mut self, snapshot: Option<DirectorySnapshot>) {
        match snapshot {
            Some(snapshot) => self.watch.keep(snapshot),
            None => self.look_at_files(),
        }
    }

    pub(super) fn looked_at_files(
        &mut self,
        states: &[Ticket],
        files: &[Ticket],
        snapshot: Option<DirectorySnapshot>,
    ) {
        if let Some(snapshot) = snapshot {
            self.watch.keep(snapshot);
        }
        for of in states {
            // A write that came meanwhile has made it good.
            if let Some(slot) = self.current(of).filter(|slot| slot.record().is_idle()) {
                slot.record_mut().want();
                self.pump(&of.name);
            }
        }
        for of in files {
            if let Some(slot) = self.slots.get(&of.name)
                && slot.epoch() == of.epoch
            {
                slot.publication().heal(&mut self.effects);
            }
        }
    }

    /// Reads the secrets of these sessions anew; those that a command prints only with `commands`.
    pub(super) fn read_secrets(&mut self, names: Vec<Arc<str>>, commands: bool) {
        if commands {
            self.watch.commands_read = self.now.boot;
        }
        for name in names {
            let Some(slot) = self.slots.get(&name) else {
                continue;
            };
            let needs =
                |account: &AccountSlot| slot.session().could_use_another_secret(&account.account);
            let wanted = slot.has_seed()
                || self
                    .accounts
                    .get(slot.account())
                    .is_some_and(|account| needs(account));
            if wanted && (commands || !slot.has_command_secret()) {
                let salt = self
                    .accounts
                    .get(slot.account())
                    .map_or(0, |account| account.account.salt);
                let config = slot.config().clone();
                self.effects
                    .push(Effect::ReadSecrets { name, config, salt });
            }
        }
    }

    pub(super) fn secrets_read(
        &mut self,
        name: &str,
        config: &Arc<SessionConfig>,
        presented: Option<Presented>,
        seed: Option<Result<Secret, String>>,
    ) {
        // A reload may have moved them while they were read: then it has sent for the new ones.
        if !self
            .slots
            .get(name)
            .is_some_and(|slot| Arc::ptr_eq(slot.config(), config))
        {
            return;
        }
        if let Some(seed) = seed {
            self.feed_engine(name, Input::Seed(seed));
        }
        if let Some(presented) = presented {
            self.feed_engine(name, Input::SecretsAre(presented));
        }
        self.pump(name);
    }
}

impl Slot {
    fn has_seed(&self) -> bool {
        self.config().remote.seed().is_some()
    }

    fn has_command_secret(&self) -> bool {
        let login = self.config().remote.login_secrets();
        login
            .iter()
            .map(|(_, source)| source)
            .chain(&self.config().remote.seed())
            .any(is_command)
    }
}

fn is_command(source: &SecretSource) -> bool {
    matches!(source, SecretSource::Command(_))
}
