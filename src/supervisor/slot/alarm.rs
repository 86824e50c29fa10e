//! When programs are told of a session: hooks of what they are for, alerts of whatever needs a person.

use std::time::Duration;

use super::Slot;
use crate::config::Config;
use crate::duration::duration_text;
use crate::hooks::{AlertsConfig, Happening, Occasion, RunCount};
use crate::session::account::Account;
use crate::session::event::Event;
use crate::session::state::Health;
use crate::session::view::Phase;
use crate::supervisor::Supervisor;
use crate::supervisor::effect::{Effect, Effects};
use crate::supervisor::feed;
use crate::time::{Instant, Now};

/// What programs were told of a session.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Alarm {
    /// The generation that readers had last, so that a restart is no change.
    generation: Option<u64>,
    /// How the current token came.
    came_by: Option<&'static str>,
    /// Why a person is needed.
    needed: Option<String>,
    /// Since when there is no good token.
    without: Option<Instant>,
    /// That it lasts was said.
    overdue: bool,
    /// Webhooks were called and have not been told that all is well again.
    called: bool,
}

impl Alarm {
    /// Begins with the generation of an earlier run, where there was one.
    pub(in crate::supervisor) fn beginning(generation: Option<u64>) -> Self {
        Self {
            generation,
            ..Self::default()
        }
    }

    /// Takes note of how a token came.
    pub(in crate::supervisor) fn hear(&mut self, event: &Event) {
        if matches!(event, Event::LoggedIn { .. } | Event::Renewed { .. }) {
            self.came_by = Some(if matches!(event, Event::Renewed { .. }) {
                "renewed"
            } else {
                "logged in"
            });
        }
    }

    /// When a session that stays without a token becomes an alert.
    pub(in crate::supervisor) fn due(&self, after: Option<Duration>) -> Option<Instant> {
        let since = self
            .without
            .filter(|_| !self.overdue && self.needed.is_none())?;
        Some(since.after(after?))
    }
}

impl Slot {
    /// When a session that stays without a token becomes an alert.
    pub(in crate::supervisor) fn alarm_due(&self, after: Option<Duration>) -> Option<Instant> {
        self.alarm.due(after)
    }

    /// Starts the session's programs anew, as it is configured now.
    pub(in crate::supervisor) fn restart_hooks(&mut self) -> Effect {
        self.hook_runs = RunCount::default();
        self.start_hooks()
    }

    /// Starts the session's programs, in the place of those that it had.
    pub(in crate::supervisor) fn start_hooks(&self) -> Effect {
        Effect::StartHooks {
            of: self.epoch,
            config: self.config.clone(),
            runs: self.hook_runs.clone(),
        }
    }

    /// Takes note of a transition, for those who follow and for hooks.
    pub(in crate::supervisor) fn hear(&mut self, event: &Event, now: Now) {
        self.alarm.hear(event);
        if let Event::Died { generation, .. } | Event::Expired { generation } = event {
            self.publication.token_died(*generation);
        }
        self.happened.push(feed::transition(now.wall, event));
    }

    /// Tells hooks of a new token, once its files hold it.
    pub(in crate::supervisor) fn ring_change(&mut self, now: Now, effects: &mut Effects) {
        let generation = self.session.state().generation;
        if self.alarm.generation.replace(generation) == Some(generation) {
            return;
        }
        let reason = self.alarm.came_by.unwrap_or("a new token").to_owned();
        let files = Some(self.publication.settling());
        let happening = Happening {
            files,
            ..self.happening(now, Occasion::Change, reason, String::new())
        };
        self.ring(happening, effects);
    }

    /// Tells the session's own programs, as far as one wants to know.
    fn ring(&self, happening: Happening, effects: &mut Effects) {
        let mut hooks = self.config.hooks.iter();
        if hooks.any(|hook| hook.on.contains(&happening.occasion)) {
            effects.push(Effect::Ring {
                of: self.epoch,
                happening: Box::new(happening),
            });
        }
    }

    /// Tells hooks and alerts that a person is needed, or no longer.
    pub(in crate::supervisor) fn ring_attention(
        &mut self,
        account: &Account,
        now: Now,
        alerts: &AlertsConfig,
        effects: &mut Effects,
    ) {
        // While the account's record is being written nobody knows yet: neither a call for a person nor its end.
        match self.session.attention(account) {
            Some(_) if !self.account_is_stored => {}
            Some(needed) if self.alarm.needed.as_ref() != Some(&needed.reason) => {
                self.alarm.needed = Some(needed.reason.clone());
                let happening =
                    self.happening(now, Occasion::Attention, needed.reason, needed.remedy);
                self.happened.push(feed::attention(
                    now.wall,
                    &happening.reason,
                    &happening.remedy,
                ));
                self.call(alerts, happening.clone(), effects);
                self.ring(happening, effects);
            }
            None if self.alarm.needed.take().is_some() => {
                self.happened.push(feed::recovered(now.wall));
                let happening = self.happening(
                    now,
                    Occasion::Recovered,
                    "no person is needed any more".into(),
                    String::new(),
                );
                self.ring(happening, effects);
            }
            Some(_) | None => {}
        }
        self.watch_for_loss(account, now);
        let after = alerts.after;
        if self.alarm.due(after).is_some_and(|due| due <= now.boot) {
            self.alarm.overdue = true;
            let reason = format!(
                "no good token for {}: {}",
                duration_text(after.unwrap_or_default()),
                self.reason(now, account)
            );
            let remedy = format!("`keepfresh status {}` says what it waits for", self.name);
            let happening = self.happening(now, Occasion::Attention, reason, remedy);
            self.call(alerts, happening, effects);
        }
        if self.alarm.called && self.alarm.needed.is_none() && self.alarm.without.is_none() {
            self.call_off(
                alerts,
                now,
                "the session has a good token, and no person is needed",
                effects,
            );
        }
    }

    fn call(&mut self, alerts: &AlertsConfig, happening: Happening, effects: &mut Effects) {
        self.alarm.called = true;
        alert(alerts, happening, effects);
    }

    /// Tells webhooks that were called that it is over.
    pub(in crate::supervisor) fn call_off(
        &mut self,
        alerts: &AlertsConfig,
        now: Now,
        reason: &str,
        effects: &mut Effects,
    ) {
        if std::mem::take(&mut self.alarm.called) {
            let happening =
                self.happening(now, Occasion::Recovered, reason.to_owned(), String::new());
            alert(alerts, happening, effects);
        }
    }

    /// Outside its active hours a session may be without a token; at any other time that is a loss, even a paused one's.
    fn watch_for_loss(&mut self, account: &Account, now: Now) {
        let run_out = self.session.has_run_out(now.boot);
        let dormant = self.session.phase(now.boot, account) == Phase::Dormant;
        if dormant || (self.publication.is_shown() && !run_out) {
            (self.alarm.without, self.alarm.overdue) = (None, false);
            return;
        }
        let known = match self.session.state().health {
            Health::Dead { since, .. } => Some(since),
            Health::Missing | Health::Good | Health::Doubtful { .. } => {
                self.session.idle_deadline().filter(|_| run_out)
            }
        };
        self.alarm.without.get_or_insert(known.unwrap_or(now.boot));
    }

    fn happening(&self, now: Now, occasion: Occasion, reason: String, remedy: String) -> Happening {
        let state = self.session.state();
        Happening {
            session: self.name.to_string(),
            occasion,
            is_test: false,
            generation: state.token.as_ref().map(|_| state.generation),
            reason,
            remedy,
            at: now.wall,
            owner: self.config.owner.clone(),
            runbook: self.config.runbook.clone(),
            files: None,
            secret: state.token.as_ref().map(|token| token.access_token.clone()),
        }
    }
}

impl Supervisor {
    /// Starts the programs and webhooks of `[alerts]`.
    pub(in crate::supervisor) fn start_alerts(&mut self) {
        self.alert_runs = RunCount::default();
        self.effects.push(Effect::StartAlerts {
            config: self.config.alerts.clone(),
            runs: self.alert_runs.clone(),
        });
    }

    /// Takes over `[alerts]`; what the old programs have still to be told, they are.
    pub(in crate::supervisor) fn take_over_alerts(&mut self, new: &Config) {
        if self.config.alerts == new.alerts {
            return;
        }
        self.config.alerts = new.alerts.clone();
        self.start_alerts();
        let names: Vec<_> = self.slots.keys().cloned().collect();
        for name in names {
            self.pump(&name);
        }
    }

    /// Looks at what a person must do, everywhere.
    pub(in crate::supervisor) fn look_for_alarms(&mut self) {
        let now = self.now;
        for slot in self.slots.values_mut() {
            if let Some(account) = self.accounts.get(&slot.account) {
                slot.ring_attention(
                    &account.account,
                    now,
                    &self.config.alerts,
                    &mut self.effects,
                );
                self.feed.take_in(slot);
            }
        }
    }
}

fn alert(alerts: &AlertsConfig, happening: Happening, effects: &mut Effects) {
    if alerts.tells_somebody() {
        effects.push(Effect::Alert(Box::new(happening)));
    }
}
