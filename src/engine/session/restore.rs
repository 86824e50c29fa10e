//! How a session goes on from what an earlier run stored.

use std::sync::Arc;

use super::Session;
use super::policy::Policy;
use super::state::{Doubt, Health, State};
use crate::time::Instant;

/// A run whose state cannot be written shows no more generations than this within a second; later ones lie below the Unix
/// time of the next start.
const MOST_UNWRITTEN: u64 = 16;

impl Session {
    /// A session that goes on from stored state; `certain` is false when nothing tells how old it is.
    pub fn restore(
        name: impl Into<Arc<str>>,
        policy: impl Into<Arc<Policy>>,
        state: State,
        now: Instant,
        floor: u64,
        certain: bool,
    ) -> Self {
        let floor = floor.max(state.generation.saturating_add(MOST_UNWRITTEN));
        let mut session = Self::with_state(name.into(), policy.into(), state, floor);
        session.forget_what_the_config_overrules();
        session.have_nothing_without_a_token();
        if std::mem::take(&mut session.state.intent) {
            session.state.in_doubt = true;
            session.doubt(now, Doubt::Renewal);
        }
        // Killed over it: whether the server has carried it out, a ping tells.
        if std::mem::take(&mut session.state.until_start) {
            session.state.logged_out = false;
            session.doubt(now, Doubt::Absence);
        }
        let overdue = session
            .idle_deadline()
            .is_some_and(|deadline| deadline <= now);
        if overdue || !certain {
            session.doubt(now, Doubt::Absence);
        }
        if !certain {
            // Readers wait for this ping; what failed before the machine was started anew says little.
            session.state.ping_backoff.lift_unless_asked();
        }
        session
    }

    /// Over a reboot the wall clock said how long the daemon was away, and that may be set right only later: a token that no
    /// ping can prove is replaced once the clock is seen to have been wrong, or at once where it contradicts itself.
    pub fn rest_on_the_wall_clock(&mut self, now: Instant, certain: bool) {
        self.carried = Some(now);
        if !certain && self.state.health == Health::Good {
            self.doubt(now, Doubt::ClockJump);
        }
    }

    /// The token's end was carried over a reboot by the wall clock.
    pub(super) fn rests_on_the_wall_clock(&self) -> bool {
        self.state.expires.is_some()
            && self
                .carried
                .is_some_and(|carried| self.state.granted_at <= carried)
    }

    /// As [`Self::restore`], where a file shows another token than the state: a later one was published, and not stored.
    /// A ping tells
    /// whether the stored one lives, and no reader takes it for the one before.
    pub fn restore_overtaken(
        name: impl Into<Arc<str>>,
        policy: Arc<Policy>,
        state: State,
        now: Instant,
        floor: u64,
    ) -> Self {
        let mut session = Self::restore(name, policy, state, now, floor, false);
        session.state.generation = session.generation_floor;
        session
    }

    /// As [`Self::restore`], where a later state was stored, or was to be: its refresh token may have taken the place of
    /// this one's.
    /// Without a ping the daemon logs in where it can.
    pub fn restore_superseded(
        name: impl Into<Arc<str>>,
        policy: Arc<Policy>,
        state: State,
        now: Instant,
        floor: u64,
    ) -> Self {
        let mut session = Self::restore_overtaken(name, policy, state, now, floor);
        session.state.in_doubt |= session.state.refresh.is_some();
        if !session.policy.has_ping && session.can_login() {
            session.state.token = None;
            session.have_nothing_without_a_token();
        }
        session
    }

    /// As [`Self::restore`], where the state may not have been written by a daemon: nothing is shown before a ping has
    /// proven it, and
    /// what no ping can prove is replaced, where it can be.
    pub fn restore_unproven(
        name: impl Into<Arc<str>>,
        policy: Arc<Policy>,
        state: State,
        now: Instant,
        floor: u64,
    ) -> Self {
        let mut session = Self::restore(name, policy, state, now, floor, false);
        if !session.policy.has_ping {
            let token = session.state.token.take();
            if session.can_renew() || session.can_login() {
                session.have_nothing_without_a_token();
            } else {
                session.state.token = token;
            }
        }
        session
    }

    /// A record that was edited may call good what is not there.
    fn have_nothing_without_a_token(&mut self) {
        if self.state.token.is_none()
            && matches!(self.state.health, Health::Good | Health::Doubtful { .. })
        {
            self.state.health = Health::Missing;
        }
    }

    /// A learned timeout belongs to the configured one that it corrected.
    pub(super) fn forget_what_the_config_overrules(&mut self) {
        if self.state.learned_under != self.policy.idle_timeout {
            self.state.learned = None;
        }
    }
}
