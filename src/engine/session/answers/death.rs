//! How a token dies, and what that teaches.

use std::time::Duration;

use crate::blotted::Blotted;
use crate::session::account::Account;
use crate::session::event::Event;
use crate::session::recent::What;
use crate::session::state::{Doubt, Health};
use crate::session::{Action, Session};
use crate::time::Instant;

/// A token that died before it was proven is replaced no sooner than this after it came.
const ARRIVED_AFTER: Duration = Duration::from_secs(1);

/// So many tokens in a row may die before they were ever proven.
const QUICK_DEATHS: u32 = 10;

/// Whatever is not known everywhere by then never will be.
const YOUTH_IS_OVER: Duration = Duration::from_mins(1);

/// How a token came to its end.
#[derive(Clone, Debug)]
pub(in crate::session) enum Death {
    /// It reached its fixed end.
    Expired,
    /// It was called dead before, was handed out again, and is dead all the same.
    StillDead,
    /// The server no longer knows it, as a request sent then was told.
    Told { sent: Instant, detail: Blotted },
}

impl Session {
    pub(in crate::session) fn token_died(
        &mut self,
        now: Instant,
        death: Death,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        let generation = self.state.generation;
        let withdrawn = matches!(death, Death::StillDead);
        self.state.health = Health::Dead {
            since: now,
            withdrawn,
        };
        self.state.forbidden = None;
        self.state.odd_deaths = 0;
        self.wanted = None;
        match death {
            Death::Expired => {
                // An end that was announced says nothing against a token: the daemon may have been away, or killed.
                if !self.has_announced_end() {
                    self.hold_back_if_never_alive(now, account);
                }
                self.state.deaths.forget();
                self.record.recent.add(now, What::Expired);
                actions.push(Action::Tell(Event::Expired { generation }));
            }
            Death::StillDead => {}
            Death::Told { sent, detail } => {
                self.hold_back_if_never_alive(now, account);
                let young =
                    !self.state.proven && sent.since(self.state.token_since) < YOUTH_IS_OVER;
                self.state.died_young = if young {
                    self.state.died_young.saturating_add(1)
                } else {
                    0
                };
                self.record.recent.add(now, What::Died);
                let unexplained = self.idle_deadline().is_some_and(|deadline| sent < deadline);
                actions.push(Action::Tell(Event::Died {
                    generation,
                    unexplained,
                    detail,
                }));
                self.learn_from(sent, unexplained, actions);
            }
        }
        actions.push(Action::Save);
    }

    /// The server hands out again what it called dead: one ping tells which of the two was a mistake.
    pub(in crate::session) fn doubt_reissued(&mut self, now: Instant) {
        if self.policy.has_ping {
            self.state.health = Health::Doubtful {
                since: now,
                why: Doubt::Reissue,
            };
            self.state.ping_backoff.lift_unless_asked();
        }
    }

    /// A login whose token never worked has failed, whatever its answer said. An admin may well end a few sessions before
    /// their first ping, which costs the next a second at most; a server that hands out nothing else is called less and less.
    fn hold_back_if_never_alive(&mut self, now: Instant, account: &mut Account) {
        if self.state.proven {
            return;
        }
        let ceiling = self.ceiling();
        account.failed_for(&self.name);
        for backoff in [&mut self.state.renew_backoff, &mut account.backoff] {
            backoff.failed(now, ceiling, &mut self.state.seed);
            if backoff.failures <= QUICK_DEATHS {
                backoff.lift();
                backoff.told_to_spread(self.state.token_since.after(ARRIVED_AFTER));
            }
        }
    }

    fn learn_from(&mut self, sent: Instant, unexplained: bool, actions: &mut Vec<Action>) {
        let (Some(window), Some(bounds)) = (self.window(), self.state.bounds) else {
            return;
        };
        if !unexplained {
            self.state.deaths.forget();
            return;
        }
        let bound = window.bound_from_death(sent.since(bounds.hi));
        let shorter = self
            .state
            .deaths
            .died(bound, window.timeout, &self.policy.idle_timeouts);
        if let Some(to) = shorter {
            self.state.learned = Some(to);
            self.state.learned_under = self.policy.idle_timeout;
            actions.push(Action::Tell(Event::Learned {
                from: window.timeout,
                to,
            }));
        }
    }

    /// A dead token that could not be replaced at once must not be read any longer.
    pub(in crate::session) fn recovery_failed(&mut self) {
        if matches!(self.state.health, Health::Dead { .. }) {
            self.withdraw();
        }
    }

    pub(in crate::session) fn withdraw(&mut self) {
        if let Health::Dead { withdrawn, .. } = &mut self.state.health {
            *withdrawn = true;
        }
    }
}
