//! Owns every session: feeds their engines, carries out what they ask, in one task that never waits for any of them.
//!
//! An engine's actions are done in their order: state is written before the call that needs it leaves, and what is
//! published changes only after the state that says so was written (or could not be, which is then said), unless all that
//! a kill could lose by it is one login.

mod accounts;
mod asks;
mod call_queues;
mod clocks;
mod disk;
mod edge;
mod effect;
mod feed;
mod figures;
mod found;
mod health;
mod load;
mod orders;
mod publication;
mod reload;
mod removals;
mod saver;
mod shown;
#[cfg(test)]
mod simulation;
mod slot;
mod start;
mod stop;
mod timers;
mod watch;
mod writes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Ask;
use crate::config::{Config, MetricsListen};
use crate::driver::{Done, Ticket};
use crate::gateway::Traffic;
use crate::hooks::RunCount;
use crate::schedule::Duty;
use crate::session::answer::{Answer, Request};
use crate::session::presented::Presented;
use crate::session::{Action, Input};
use crate::store::Record;
use crate::time::{Instant, Now};
use call_queues::{CallQueues, QueuedCall};
use effect::{Effect, Effects};
use feed::Feed;
use figures::Gauges;
use load::Loaded;
use reload::Reloading;
use removals::Removals;
use slot::{Accounts, LoginIds, NextOfCall, Slot, Slots, tell};
use stop::Life;
use timers::Timers;
use writes::Writes;

pub use edge::{Ears, Edge};
pub use start::StartError;

/// Nothing sleeps longer without a look at the clocks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// Until READY is said, published files are looked for so often.
const LOOK_BEFORE_READY: Duration = Duration::from_millis(50);
/// While the daemon stops, it looks so often whether all is done.
const LOOK_WHILE_STOPPING: Duration = Duration::from_millis(100);
/// While an account is stopped, its secrets are looked at so often: mending one is noticed soon.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// All sessions of this machine. What happened and the time go in ([`Supervisor::handle`]), what is to be done comes out
/// (`effects`), and [`Supervisor::wake`] says when time alone matters.
struct Supervisor {
    /// The time of this turn.
    now: Now,
    /// What this turn has decided to do.
    effects: Effects,
    life: Life,
    config: Config,
    slots: Slots,
    accounts: Accounts,
    /// Accounts to be written whether or not a session asks: their last write failed, or their last session has gone.
    unsaved: BTreeSet<String>,
    timers: Timers,
    /// Sessions to look at because another of their account has moved.
    stirred: BTreeSet<Arc<str>>,
    queues: CallQueues,
    writes: Writes,
    /// What removed sessions still have to do.
    removals: Removals,
    /// Of the programs and webhooks of `[alerts]`.
    alert_runs: RunCount,
    feed: Feed,
    watch: watch::Watch,
    gauges: Gauges,
    uid: u32,
    /// Names this boot of the machine.
    boot_id: String,
    /// The command that restarts the service, where systemd runs it.
    restart_command: Option<String>,
    /// Where token files lie if the config names no other place.
    tokens: Arc<Path>,
    login_ids: LoginIds,
    reloading: Reloading,
    /// Sessions that have neither been published nor said why not; READY waits for them.
    unreported: BTreeSet<Arc<str>>,
    /// READY was said.
    ready: bool,
    /// How many slots there have been.
    epochs: u64,
    /// What passes through the gateways, by session.
    traffic: BTreeMap<Arc<str>, Arc<Traffic>>,
}

/// All that can happen to the supervisor.
enum Incoming {
    /// The start: the first of all.
    Start,
    /// An errand came back.
    Done(Done),
    /// The socket's question.
    Ask(Ask),
    /// A session's calendar.
    Duty(String, Duty),
    /// A signal that asks for a reload.
    Reload,
    /// A signal that asks for the end.
    Stop,
    /// The config was read, or is broken.
    ConfigRead(Result<Box<Config>, String>),
    /// What the disk holds of its new sessions was read.
    Loaded {
        config: Box<Config>,
        loaded: Box<Loaded>,
    },
    /// What a removed session left is cleared away.
    Retired(u64),
    /// Scrapers are served where they should be, or why not; none when the daemon is about to end.
    ScrapersMoved(Option<Result<Option<MetricsListen>, String>>),
    /// Nothing but time has passed.
    Time,
}

impl Supervisor {
    /// Takes in what happened, and does everything whose time has come.
    fn handle(&mut self, incoming: Incoming, now: Now) {
        self.now = now;
        match incoming {
            Incoming::Start => self.begin(),
            Incoming::Done(done) => self.done(done),
            Incoming::Ask(ask) => self.ask(ask),
            Incoming::Duty(name, duty) => self.duty(&name, duty),
            Incoming::Reload => self.reload(None),
            Incoming::Stop => self.stop(),
            Incoming::ConfigRead(config) => self.config_read(config),
            Incoming::Loaded { config, loaded } => self.loaded(*config, *loaded),
            Incoming::Retired(number) => self.retired(number),
            Incoming::ScrapersMoved(moved) => self.scrapers_moved(moved),
            Incoming::Time => {}
        }
        match self.life {
            Life::Runs => self.catch_up(),
            Life::Stops { .. } | Life::Over => self.drain(),
        }
    }

    /// When time alone matters.
    fn wake(&self, now: Instant) -> Instant {
        if self.is_stopping() {
            return now.after(LOOK_WHILE_STOPPING);
        }
        let next = [
            self.timers.wake(),
            self.queues.wake(now),
            Some(self.watch.wake()),
            self.reloading.wake(),
            self.unsaved_wake(),
        ];
        let longest = if self.ready {
            LOOK_EVERY
        } else {
            LOOK_BEFORE_READY
        };
        let next = next.into_iter().flatten();
        next.fold(now.after(longest), Instant::min)
    }

    /// The loop wanted to be back by `planned`.
    fn was_back(&mut self, planned: Instant, now: Instant) {
        self.gauges.back(planned, now);
    }

    /// Does everything whose time has come.
    fn catch_up(&mut self) {
        self.look_at_clocks();
        let now = self.now.boot;
        while let Some(name) = self.timers.pop_due(now) {
            self.step(&name, Input::Tick);
        }
        while let Some(name) = self.stirred.pop_first() {
            self.step(&name, Input::Tick);
        }
        self.save_accounts(now);
        while let Some(call) = self.queues.dispatch(now) {
            self.launch(&call);
        }
        self.watch_over(now);
        self.finish_reload(now);
        self.announce();
        self.feed_watchdog(now);
        self.write();
    }

    /// Feeds one engine, and carries its session on.
    fn step(&mut self, name: &str, input: Input) {
        self.feed_engine(name, input);
        // One that is broken would want to be looked at without end.
        if self.slots.get(name).is_some_and(|slot| !slot.is_broken()) {
            self.pump(name);
        }
    }

    /// Feeds one engine and takes up what it asks; `pump` carries that out.
    fn feed_engine(&mut self, name: &str, input: Input) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(account) = self.accounts.get_mut(slot.account()) else {
            return;
        };
        if slot.is_broken() {
            return;
        }
        let Some(actions) = slot.step_engine(input, now.boot, &mut account.account) else {
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
                Action::Save => slot.record_mut().want(),
                Action::SaveAccount => {
                    account.saver.want();
                    stirs = true;
                }
                Action::Call(call) => slot.ask_for(call, &account.saver),
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
        let Some(account) = self.accounts.get_mut(slot.account()) else {
            return;
        };
        if slot.begin_write(now) {
            self.writes.session(slot.ticket());
        }
        if account.saver.begin(now).is_some() {
            self.writes.account(slot.account().clone());
        }
        match slot.next_of_call(&account.saver, now) {
            NextOfCall::Waits => {}
            NextOfCall::MayQueue { host, urgent_by } => {
                self.queues
                    .enqueue(&host, urgent_by, QueuedCall::Engine(name.to_string()));
            }
            NextOfCall::Unwritten { call } => {
                self.step(&name, Input::Unwritten { call });
                return;
            }
        }
        slot.account_is_stored(account.saver.is_level(now));
        let level = slot.record().is_level(now);
        let may_show = level || slot.session().may_show_unwritten();
        if slot.publish(may_show, at, &mut self.effects) {
            self.watch.look_soon(now);
        }
        if level && slot.may_tell_outcomes() {
            slot.tell_outcomes(at, &account.account);
        }
        slot.end_late_login(now);
        slot.answer_waiters(at, &account.account);
        self.watch
            .say_soon_if(tell::attention(slot, &account.account, now), now);
        let after = self.config.alerts.after;
        slot.ring_attention(&account.account, at, &self.config.alerts, &mut self.effects);
        slot.hear_of_files();
        self.feed.take_in(slot);
        self.watch.needs_secret(
            &name,
            slot.session().could_use_another_secret(&account.account),
            now,
        );
        let due = slot.alarm_due(after);
        let patience = account
            .saver
            .hangs_since()
            .filter(|at| slot.awaits_account() && *at > now);
        let wake = [self.queue_person(&name, now), due, patience]
            .into_iter()
            .flatten()
            .min();
        self.await_landing(&name);
        self.timers.set(&name, wake);
    }

    fn launch_call(&mut self, name: &str) {
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        let Some(account) = self.accounts.get(slot.account()) else {
            return;
        };
        if let Some(errand) = slot.errand(account.account.salt) {
            self.effects.push(Effect::Call(Box::new(errand)));
        }
    }

    fn done(&mut self, done: Done) {
        let now = self.now.boot;
        match done {
            Done::LookedAtFiles {
                states,
                files,
                snapshot,
            } => self.looked_at_files(&states, &files, snapshot),
            Done::LookedAtDirectories { snapshot } => self.looked_at_directories(snapshot),
            Done::SessionSaved { of, written } => {
                self.writes.session_ended(&of.name);
                self.remove_records();
                if let Some(slot) = self.current(&of) {
                    slot.saved(now, written);
                    self.pump(&of.name);
                }
            }
            Done::AccountSaved { key, problem } => {
                self.writes.account_ended(&key);
                self.account_saved(&key, now, problem);
            }
            Done::Called {
                of,
                host,
                answer,
                presented,
            } => {
                // One that was cut off may have been answered already: its place in the queue was given back then.
                let flight = self.current(&of).and_then(Slot::take_flight);
                if let Some(flight) = flight {
                    self.queues.completed(&host);
                    self.called(&of.name, flight.request, answer, presented);
                }
            }
            Done::ByPerson {
                of,
                login,
                host,
                came,
            } => self.person_done(&of, &login, &host, came),
            Done::Released { of, hold } => self.released(&of, hold),
            Done::Landed { of, files } => self.landed(&of, &files),
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
            .filter(|slot| slot.epoch() == of.epoch)
    }

    fn called(
        &mut self,
        name: &str,
        request: Request,
        answer: Answer,
        presented: Option<Presented>,
    ) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        slot.answered(request, &answer, now);
        let alive = request == Request::Ping && answer.verdict.is_success();
        self.feed_engine(name, Input::Answered { answer, presented });
        let Some(slot) = self.slots.get_mut(name) else {
            return;
        };
        slot.warn(now.boot);
        if slot.is_leaving() && request == Request::Logout {
            let kept = self.published_paths();
            self.remove(name, &kept);
            self.forget_unused_accounts();
            return;
        }
        if alive {
            slot.publication_mut().heal(&mut self.effects);
        }
        self.pump(name);
    }
}

fn record_of(name: &str) -> Record {
    Record::Session(name.to_owned())
}
