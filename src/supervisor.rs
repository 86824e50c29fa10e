//! Owns every session: feeds their engines, carries out what they ask, in one task that never waits for any of them.
//!
//! An engine's actions are done in their order: state is written before the call that needs it leaves, and what is
//! published changes only after the state that says so was written (or could not be, which is then said), unless all that
//! a kill could lose by it is one login.

mod accounts;
mod alarm;
mod asks;
mod calendar;
mod clocks;
mod feed;
mod figures;
mod found;
mod health;
mod holds;
mod landing;
mod lanes;
mod load;
mod orders;
mod person;
mod publication;
mod reload;
mod saver;
mod shown;
mod slot;
mod start;
mod status;
mod stop;
mod tell;
mod warnings;
mod watch;
mod writes;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch as channel};
use tokio::task::JoinSet;

use crate::api::Ask;
use crate::api::access::Guests;
use crate::clock;
use crate::config::Config;
use crate::driver::{self, Done, Ticket, Work};
use crate::hooks::Hooks;
use crate::provider::Clients;
use crate::schedule::{Duty, Runner};
use crate::scrape::MoveScrapers;
use crate::session::answer::{Answer, Request};
use crate::session::presented::Presented;
use crate::session::{Action, Input};
use crate::signals::{Signal, Signals};
use crate::store::{Record, Store};
use crate::systemd::Notifier;
use crate::time::{Instant, Now};
use feed::Feed;
use figures::Gauges;
use lanes::{Lanes, Passenger};
use reload::{Reloading, Step};
use slot::{Accounts, Pending, Slot, Slots};
use writes::Writes;

pub use start::StartError;

/// Nothing sleeps longer without a look at the clocks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Until READY is said, published files are looked for so often.
const LOOK_BEFORE_READY: Duration = Duration::from_millis(50);
/// While the service manager takes no notification, it is offered the rest so often.
const NOTIFY_AGAIN: Duration = Duration::from_secs(1);
/// While an account is stopped, its secrets are looked at so often: mending one is noticed soon.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// What the supervisor listens to.
pub struct Ears {
    /// The socket's questions.
    pub asks: mpsc::Receiver<Ask>,
    /// The system's signals.
    pub signals: Signals,
}

/// All sessions of this machine.
pub struct Supervisor {
    /// The time of this turn: read once, and only where the loop waits.
    now: Now,
    config: Config,
    slots: Slots,
    accounts: Accounts,
    /// Accounts whose last write failed.
    unsaved: BTreeSet<String>,
    timers: BTreeSet<(Instant, Arc<str>)>,
    /// Sessions to look at because another of their account has moved.
    stirred: BTreeSet<Arc<str>>,
    lanes: Lanes,
    work: Work,
    writes: Writes,
    /// What removed sessions still have to do.
    retiring: JoinSet<()>,
    store: Store,
    clients: Clients,
    press: crate::publish::Press,
    /// The programs and webhooks of `[alerts]`.
    alerts: Hooks,
    feed: Feed,
    calendar: Runner,
    notifier: Notifier,
    /// The owner of the listener for scrapers.
    scrapers: mpsc::UnboundedSender<MoveScrapers>,
    watch: watch::Watch,
    gauges: Gauges,
    uid: u32,
    /// Whom the config knows, for the server to tell from strangers.
    guests: channel::Sender<Arc<Guests>>,
    reloading: Reloading,
    /// Sessions that have neither been published nor said why not; READY waits for them.
    unreported: BTreeSet<Arc<str>>,
    /// READY was said.
    ready: bool,
    /// How many slots there have been.
    epochs: u64,
}

/// What ended a turn of the loop.
enum Turn {
    Done(Done),
    Ask(Ask),
    Duty(String, Duty),
    Signal(Signal),
    /// A reload has come further.
    Reloading(Step),
    Time,
}

impl Supervisor {
    /// Runs until a signal stops it; then lets renewals finish, stores what they brought, and leaves the files in place.
    pub async fn run(mut self, mut ears: Ears) {
        self.now = clock::now();
        self.begin();
        loop {
            self.catch_up();
            let turn = self.turn(&mut ears).await;
            self.now = clock::now();
            match turn {
                Turn::Done(done) => self.done(done),
                Turn::Ask(ask) => self.ask(ask),
                Turn::Duty(name, duty) => self.duty(&name, duty),
                Turn::Signal(Signal::Reload) => self.reload(None),
                Turn::Reloading(Step::Loaded(new)) => self.loaded(*new),
                Turn::Reloading(Step::Landed) => self.reloaded(),
                Turn::Signal(Signal::Stop { .. }) => break,
                Turn::Time => {}
            }
        }
        self.stop(&mut ears).await;
    }

    async fn turn(&mut self, ears: &mut Ears) -> Turn {
        let begun = clock::boottime();
        let pause = self.pause(begun);
        let planned = begun.after(pause);
        let turn = tokio::select! {
            biased;
            Some(signal) = ears.signals.next() => Turn::Signal(signal),
            Some(_) = self.retiring.join_next(), if !self.retiring.is_empty() => Turn::Time,
            Some(done) = self.work.join_next(), if !self.work.is_empty() => match done {
                Ok(done) => Turn::Done(done),
                // Aborted with its session, or a panic that the driver could not turn into an answer.
                Err(_) => Turn::Time,
            },
            step = self.reloading.next() => Turn::Reloading(step),
            (name, duty) = self.calendar.next() => Turn::Duty(name, duty),
            Some(ask) = ears.asks.recv() => Turn::Ask(ask),
            () = tokio::time::sleep(pause) => Turn::Time,
        };
        self.gauges.back(planned, clock::boottime());
        turn
    }

    /// How long nothing needs to be looked at.
    fn pause(&self, now: Instant) -> Duration {
        let timer = self.timers.first().map(|(at, _)| *at);
        let next = [
            timer,
            self.lanes.wake(now),
            self.work.wake(),
            Some(self.watch.wake()),
        ]
        .into_iter()
        .flatten()
        .min();
        let longest = if !self.ready {
            LOOK_BEFORE_READY
        } else if self.notifier.is_behind() {
            NOTIFY_AGAIN
        } else {
            LOOK_EVERY
        };
        next.map_or(longest, |at| at.since(now)).min(longest)
    }

    /// Does everything whose time has come.
    fn catch_up(&mut self) {
        self.look_at_clocks();
        let now = self.now.boot;
        while let Some((_, name)) = self.timers.pop_first_if_due(now) {
            if let Some(slot) = self.slots.get_mut(&name) {
                slot.timer = None;
            }
            self.step(&name, Input::Tick);
        }
        while let Some(name) = self.stirred.pop_first() {
            self.step(&name, Input::Tick);
        }
        self.save_accounts(now);
        while let Some(passenger) = self.lanes.leave(now) {
            self.launch(&passenger);
        }
        self.work.sweep(now);
        self.watch_over(now);
        self.notifier.catch_up();
        self.announce();
        self.feed_watchdog(now);
        self.write();
    }

    /// Feeds one engine, and carries its session on.
    fn step(&mut self, name: &str, input: Input) {
        self.feed_engine(name, input);
        // One that is broken would want to be looked at without end.
        if self.slots.get(name).is_some_and(|slot| !slot.broken) {
            self.pump(name);
        }
    }

    /// Feeds one engine and takes up what it asks; `pump` carries that out.
    fn feed_engine(&mut self, name: &str, input: Input) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(account) = self.accounts.get_mut(&slot.account) else {
            return;
        };
        if slot.broken {
            return;
        }
        // One session's trouble must never become another's, not even trouble that nobody foresaw.
        let stepped = catch_unwind(AssertUnwindSafe(|| {
            slot.session.step(input, now.boot, &mut account.account)
        }));
        let Ok(actions) = stepped else {
            slot.broken = true;
            account.account.release(name);
            self.stirred.extend(account.members.iter().cloned());
            tracing::error!(
                session = name,
                event = "broken",
                "an internal error: the session stops until the next start"
            );
            return;
        };
        let mut stirs = false;
        for action in actions {
            match action {
                Action::Save => {
                    slot.saver.want();
                }
                Action::SaveAccount => {
                    account.saver.want();
                    stirs = true;
                }
                Action::Call(call) => {
                    slot.pending = Some(Box::new(Pending::new(
                        call,
                        &mut slot.saver,
                        &account.saver,
                    )));
                }
                Action::Tell(event) => {
                    slot.hear(&event, now);
                    tell::event(slot, &event, now.boot);
                }
            }
        }
        if stirs && account.members.len() > 1 {
            let others = account.members.iter().filter(|member| &***member != name);
            self.stirred.extend(others.cloned());
        }
    }

    /// Carries the session as far as the disk allows: write, then call, then publish, then answer who waits.
    fn pump(&mut self, name: &str) {
        let at = self.now;
        let now = at.boot;
        let Some((name, slot)) = self
            .slots
            .get_key_value(name)
            .map(|(name, _)| name.clone())
            .and_then(|name| {
                let slot = self.slots.get_mut(&name)?;
                Some((name, slot))
            })
        else {
            return;
        };
        let Some(account) = self.accounts.get_mut(&slot.account) else {
            return;
        };
        if slot.saver.begin(now).is_some() {
            self.writes.session(slot.ticket());
        }
        if account.saver.begin(now).is_some() {
            self.writes.account(slot.account.clone());
        }
        match slot.pending_step(&account.saver, now) {
            slot::PendingStep::Wait => {}
            slot::PendingStep::Queue { host, urgent_by } => {
                self.lanes
                    .enqueue(&host, urgent_by, Passenger::Engine(name.to_string()));
            }
            slot::PendingStep::Unwritten { call, request } => {
                slot.unwritten(call, request);
                self.step(&name, Input::Unwritten { call });
                return;
            }
        }
        slot.account_is_stored = account.saver.is_level(now);
        let level = slot.saver.is_level(now);
        if (level || slot.session.may_show_unwritten()) && slot.publish(at) {
            self.watch.look_soon(now);
        }
        if level && (slot.waiters.is_empty() || slot.publication.has_landed()) {
            slot.tell_outcomes(at, &account.account);
        }
        slot.end_late_login(now);
        slot.answer_waiters(at, &account.account);
        self.watch
            .say_soon_if(tell::attention(slot, &account.account, now), now);
        let after = self.config.alerts.after;
        slot.ring_attention(&account.account, at, &self.alerts, after);
        let told = slot.publication.take_told();
        slot.happened.extend(told);
        self.feed.take_in(slot);
        self.watch.needs_secret(
            &name,
            slot.session.could_use_another_secret(&account.account),
            now,
        );
        let due = slot.alarm.due(after);
        let patience = account
            .saver
            .hangs_since()
            .filter(|at| slot.awaits_account() && *at > now);
        let wake = [self.queue_person(&name, now), due, patience]
            .into_iter()
            .flatten()
            .min();
        self.await_landing(&name);
        self.arm(&name, wake);
    }

    fn arm(&mut self, name: &Arc<str>, wake: Option<Instant>) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        if slot.timer == wake {
            return;
        }
        if let Some(old) = slot.timer.take() {
            self.timers.remove(&(old, name.clone()));
        }
        if let Some(at) = wake {
            self.timers.insert((at, name.clone()));
            slot.timer = Some(at);
        }
    }

    fn launch_call(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(account) = self.accounts.get(&slot.account) else {
            return;
        };
        if let Some(errand) = slot.errand(account.account.salt) {
            let flight = driver::call(&mut self.work, errand);
            slot.in_flight = Some(Box::new(flight));
        }
    }

    fn done(&mut self, done: Done) {
        let now = self.now.boot;
        match done {
            Done::LookedAtFiles {
                states,
                files,
                calm,
            } => self.looked_at_files(&states, &files, calm),
            Done::LookedAtDirectories { calm } => self.looked_at_directories(calm),
            Done::SessionSaved { of, written } => {
                if let Some(slot) = self.current(&of) {
                    slot.saved(now, written);
                    self.pump(&of.name);
                }
            }
            Done::AccountSaved { key, problem } => self.account_saved(&key, now, problem),
            Done::Called {
                of,
                host,
                answer,
                presented,
            } => {
                // The lane of a session that is gone was given back with it.
                if self.current(&of).is_some() {
                    self.lanes.came_back(&host);
                    self.called(&of.name, answer, presented);
                }
            }
            Done::ByPerson {
                of,
                login,
                host,
                came,
            } => self.person_done(&of, &login, &host, came),
            Done::Released { of, hold } => self.released(&of, hold),
            Done::Landed { of } => self.landed(&of),
            Done::LookedForHealth(ask) => self.answer_health(ask),
            Done::SecretsRead {
                name,
                config,
                presented,
                seed,
            } => self.secrets_read(&name, &config, presented, seed),
        }
    }

    /// The slot that the work was done for, if it is still there.
    fn current(&mut self, of: &Ticket) -> Option<&mut Slot> {
        self.slots
            .get_mut(&of.name)
            .map(Box::as_mut)
            .filter(|slot| slot.epoch == of.epoch)
    }

    fn called(&mut self, name: &str, answer: Answer, presented: Option<Presented>) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(flight) = slot.in_flight.take() else {
            return;
        };
        tell::call(slot, &answer);
        slot.take_note(flight.request, &answer);
        let outcome = slot::Outcome::of(flight.request, &answer);
        slot.happened
            .push(feed::call(now.wall, flight.request, &answer));
        let alive = flight.request == Request::Ping && answer.verdict.is_success();
        self.feed_engine(name, Input::Answered { answer, presented });
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        slot.conclude(outcome, now.boot);
        if slot.leaving && flight.request == Request::Logout {
            let kept = self.published_paths();
            self.remove(name, &kept);
            self.forget_unused_accounts();
            return;
        }
        if alive {
            slot.publication.heal();
        }
        self.pump(name);
    }
}

fn record_of(name: &str) -> Record {
    Record::Session(name.to_owned())
}

/// The one question that a set of timers is asked.
trait Timers {
    /// Takes the first timer out, if its time has come.
    fn pop_first_if_due(&mut self, now: Instant) -> Option<(Instant, Arc<str>)>;
}

impl Timers for BTreeSet<(Instant, Arc<str>)> {
    fn pop_first_if_due(&mut self, now: Instant) -> Option<(Instant, Arc<str>)> {
        self.first()
            .is_some_and(|(at, _)| *at <= now)
            .then(|| self.pop_first())
            .flatten()
    }
}
