//! What the answer to a ping changes.

use std::time::Duration;

use crate::session::account::Account;
use crate::session::answer::{Answer, Grant, Request, Verdict};
use crate::session::answers::death::Death;
use crate::session::answers::grant::Change;
use crate::session::backoff::CEILING;
use crate::session::event::Event;
use crate::session::state::{Doubt, Forbidden, Health, Suspicion};
use crate::session::window::Success;
use crate::session::{Action, Session};
use crate::time::Instant;

/// Before the ping that confirms an ambiguous no.
const CONFIRM_AFTER: Duration = Duration::from_secs(1);
/// A forbidden ping is repeated no sooner.
const FORBIDDEN_FLOOR: Duration = Duration::from_secs(5);
/// A new token can take some seconds until every part of a server knows it (seen of GitHub, Salesforce and Hydra): so long
/// it is asked again after 1, 2, 4 s, and longer where that did not do for the one before it. No longer, since a token that
/// was revoked looks alike, and is shown meanwhile.
const YOUNG: Duration = Duration::from_secs(4);
const LONGEST_YOUTH: Duration = Duration::from_secs(8);
const LONGEST_SECOND_LOOK: Duration = Duration::from_secs(4);
/// However near a deadline is.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);

impl Session {
    pub(in crate::session) fn ping_answered(
        &mut self,
        answer: Answer,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        // It reached its fixed end, or an admin logged out, while the ping was under way.
        if !self.token_may_live() {
            return;
        }
        match answer.verdict {
            // A job saw it fail, and the answer is no proof that it lives: another token tells for sure.
            Verdict::Alive | Verdict::Unavailable
                if answer.odd && self.is_reported() && self.replaces_suspect(now, account) => {}
            Verdict::Alive => self.alive(&answer, now, actions),
            Verdict::Good(ref grant) => self.alive_with(grant, &answer, now, actions),
            Verdict::Dead { certain: false, .. } if answer.odd && !self.is_reported() => {
                self.ping_said_dead_oddly(answer, now, account, actions);
            }
            Verdict::Dead { certain, for_good } => {
                self.ping_said_dead(certain, answer, now, account, actions);
                self.state.unrenewable |=
                    for_good && matches!(self.state.health, Health::Dead { .. });
            }
            Verdict::Forbidden { certain: false }
                if self.is_reported()
                    && self.state.forbidden.is_none()
                    && self.replaces_suspect(now, account) => {}
            Verdict::Forbidden { certain } => self.ping_forbidden(certain, answer, now, actions),
            Verdict::Throttled { retry_after } => {
                let wait = retry_after.unwrap_or_else(|| self.unsaid_wait());
                self.state
                    .ping_backoff
                    .throttled(now, wait, &mut self.state.seed);
                self.wanted = None;
                actions.push(Action::Tell(Event::Throttled {
                    wait,
                    detail: answer.detail,
                }));
            }
            Verdict::Unavailable
            | Verdict::Expired { .. }
            | Verdict::Refused { .. }
            | Verdict::GrantDead
            | Verdict::Declined
            | Verdict::InDoubt
            | Verdict::Concurrent
            | Verdict::Skewed
            | Verdict::LoggedOut
            | Verdict::Introspected { .. } => self.ping_failed(answer, now, actions),
        }
    }

    fn alive(&mut self, answer: &Answer, now: Instant, actions: &mut Vec<Action>) {
        let success = Success {
            sent: answer.sent,
            received: answer.received,
            ping: true,
        };
        self.count_pause_as_proof(answer.sent);
        // The ping that only proves what a login handed out comes at once: it spreads nothing.
        self.state.spread |= self.state.proven || !self.may_hold_anothers_session();
        self.extend(success);
        self.state.proven = true;
        self.state.died_young = 0;
        self.state.odd_deaths = 0;
        if !answer.odd {
            self.state.suspicion = Suspicion::None;
        }
        self.was_answered();
        self.wanted = None;
        self.state.introspected.hinted = true;
        self.state.introspected.due = self.policy.introspect;
        if self.state.ping_backoff.failures > 0 {
            self.tell_answering(self.state.ping_backoff.failures, actions);
        }
        self.state.ping_backoff.succeeded(now);
        if self
            .state
            .forbidden
            .take()
            .is_some_and(|forbidden| !forbidden.tentative)
        {
            actions.push(Action::Tell(Event::Allowed));
        }
        self.settle_doubt(answer.sent, actions);
    }

    /// A keep-alive that hands out the token anew, or another one: the old one may be dead, so it is taken over at once.
    fn alive_with(
        &mut self,
        grant: &Grant,
        answer: &Answer,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        self.alive(answer, now, actions);
        let same = self
            .state
            .token
            .as_ref()
            .is_some_and(|held| held.access_token == grant.token.access_token);
        let end = self
            .state
            .expires
            .filter(|_| same && grant.lifetime.is_none());
        if self.adopt(grant, answer, now) == Change::Fresh {
            actions.push(Action::Tell(Event::Renewed {
                generation: self.state.generation,
            }));
        }
        // What a ping does not say of the same token stays as it was.
        self.state.expires = end.or(self.state.expires);
        self.state.proven = true;
    }

    /// A success ends a doubt only when it was sent after the doubt arose.
    fn settle_doubt(&mut self, sent: Instant, actions: &mut Vec<Action>) {
        let Health::Doubtful { since, why } = self.state.health else {
            return;
        };
        if sent < since {
            return;
        }
        self.state.health = Health::Good;
        // Its "inactive" meant only that we may not look: taken at its word, it would raise this doubt after each ping.
        if why == Doubt::Introspection {
            self.state.introspected.seen_active = false;
        }
        actions.push(Action::Tell(Event::Proven));
    }

    fn count_pause_as_proof(&mut self, sent: Instant) {
        if let (Some(window), Some(bounds)) = (self.window(), self.state.bounds) {
            let bound = window.bound_from_death(sent.since(bounds.hi));
            self.state
                .deaths
                .lived(bound, window.timeout, &self.policy.idle_timeouts);
        }
    }

    fn ping_said_dead(
        &mut self,
        certain: bool,
        answer: Answer,
        now: Instant,
        account: &mut Account,
        actions: &mut Vec<Action>,
    ) {
        if matches!(
            self.state.health,
            Health::Doubtful {
                why: Doubt::Reissue,
                ..
            }
        ) {
            self.token_died(now, Death::StillDead, account, actions);
            return;
        }
        if let Some(pause) = self.second_look(self.youth(), answer.sent, now) {
            let told = matches!(
                self.state.health,
                Health::Doubtful {
                    why: Doubt::Youth,
                    ..
                }
            );
            self.doubt(now, Doubt::Youth);
            self.state.ping_backoff.pause(now, pause);
            if !told {
                actions.push(Action::Tell(Event::Doubtful { why: Doubt::Youth }));
            }
            return;
        }
        // Whatever raised the doubt, this is the second sign.
        let confirmed = matches!(self.state.health, Health::Doubtful { .. });
        if certain || confirmed {
            let death = Death::Told {
                sent: answer.sent,
                detail: answer.detail,
            };
            self.token_died(now, death, account, actions);
            return;
        }
        self.doubt_ambiguous(now, actions);
    }

    /// A second ping tells.
    pub(super) fn doubt_ambiguous(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.doubt(now, Doubt::Ambiguous);
        self.state.ping_backoff.pause(now, CONFIRM_AFTER);
        actions.push(Action::Tell(Event::Doubtful {
            why: Doubt::Ambiguous,
        }));
    }

    /// For how long a new token that is called dead is put to the question again. The first is replaced at once, as any
    /// that a job reports; where the next one dies just so, another login would not do better.
    fn youth(&self) -> Duration {
        match self.state.died_young {
            0 => Duration::ZERO,
            died => YOUNG
                .saturating_mul(1 << (died - 1).min(8))
                .min(LONGEST_YOUTH),
        }
    }

    /// The pause before a token is asked again that is younger than this and was never seen alive.
    fn second_look(&self, young: Duration, sent: Instant, now: Instant) -> Option<Duration> {
        let is_young = !self.state.proven && sent.since(self.state.token_since) < young;
        is_young.then(|| {
            now.since(self.state.token_since)
                .clamp(CONFIRM_AFTER, LONGEST_SECOND_LOOK)
        })
    }

    pub(super) fn ping_forbidden(
        &mut self,
        certain: bool,
        answer: Answer,
        now: Instant,
        actions: &mut Vec<Action>,
    ) {
        let detail = answer.detail;
        let known = self.state.forbidden.take();
        let second_look = self
            .second_look(YOUNG, answer.sent, now)
            .filter(|_| !certain);
        let tentative = second_look.is_some() || known.is_none() && !certain;
        let confirm = second_look.unwrap_or(CONFIRM_AFTER);
        let early = known
            .as_ref()
            .map_or(Duration::ZERO, |forbidden| forbidden.early);
        let (wait, early) = if tentative {
            (confirm, early)
        } else {
            self.after_forbidden(now, early)
        };
        let fresh = !tentative && known.as_ref().is_none_or(|forbidden| forbidden.tentative);
        let since = known.map_or(now, |forbidden| forbidden.since);
        self.state.ping_backoff.pause(now, wait);
        self.wanted = None;
        if !tentative && matches!(self.state.health, Health::Doubtful { .. }) {
            self.state.health = Health::Good;
        }
        if fresh {
            actions.push(Action::Tell(Event::Forbidden {
                detail: detail.clone(),
            }));
        }
        self.state.forbidden = Some(Box::new(Forbidden {
            since,
            detail,
            tentative,
            early,
        }));
    }

    /// When a forbidden ping is repeated: at half the pace of ordinary pings; but a ping that is allowed again before the
    /// session would idle out keeps it. What that one comes early, which is given too, the next comes late.
    fn after_forbidden(&self, now: Instant, early: Duration) -> (Duration, Duration) {
        let pace = self.window().map_or(CEILING, |window| {
            window.proof().saturating_sub(self.survive_outage())
        });
        let pause = (pace * 2).max(FORBIDDEN_FLOOR);
        let chance = self
            .idle_deadline()
            .map(|deadline| deadline.before(self.survive_outage()));
        match chance.filter(|chance| *chance > now.after(FORBIDDEN_FLOOR)) {
            Some(chance) => (
                pause.min(chance.since(now)),
                pause.saturating_sub(chance.since(now)),
            ),
            None => (pause + early, Duration::ZERO),
        }
    }

    pub(super) fn ping_failed(&mut self, answer: Answer, now: Instant, actions: &mut Vec<Action>) {
        self.state
            .ping_backoff
            .failed(now, self.ceiling(), &mut self.state.seed);
        self.hurry_before_deadline(answer.sent, now);
        self.wanted = None;
        self.tell_failing(
            Request::Ping,
            answer.detail,
            self.state.ping_backoff.failures,
            actions,
        );
    }

    /// At least three tries fall inside the outage that must be survived, and one just before its end.
    fn hurry_before_deadline(&mut self, sent: Instant, now: Instant) {
        let Some(deadline) = self.idle_deadline().filter(|deadline| *deadline > now) else {
            return;
        };
        let soon = sent
            .after(self.outage_share())
            .max(now.after(SHORTEST_PAUSE));
        self.state
            .ping_backoff
            .no_later_than(soon.max(deadline.before(self.survive_outage())));
        let last = deadline.before(self.policy.request_timeout);
        if last > now {
            self.state.ping_backoff.no_later_than(last);
        }
    }
}
