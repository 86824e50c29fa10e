//! What introspection changes: it may bring a ping forward, and where its end moves with pings it is the better estimate.

use std::time::Duration;

use crate::session::Session;
use crate::session::answer::{Answer, Verdict};
use crate::session::backoff::FLOOR;
use crate::session::policy::WindowModel;
use crate::session::state::Doubt;
use crate::session::window::Bounds;
use crate::time::Instant;

/// An introspected end that leaves less than this share of the timeout is some other clock, not the session's.
const SHORTEST_SHARE: u32 = 128;

impl Session {
    pub(in crate::session) fn introspect_answered(&mut self, answer: &Answer, now: Instant) {
        self.state.introspected.due = false;
        let Verdict::Introspected { active, remaining } = answer.verdict else {
            return;
        };
        if !active {
            if self.state.introspected.seen_active {
                self.doubt(now, Doubt::Introspection);
            }
            return;
        }
        self.state.introspected.seen_active = true;
        let shortest = self
            .idle_timeout()
            .map_or(FLOOR, |timeout| (timeout / SHORTEST_SHARE).max(FLOOR));
        if let Some(remaining) = remaining.filter(|remaining| *remaining >= shortest) {
            self.introspected_end(answer.received.after(remaining), answer.received);
        }
    }

    /// An end that pings were seen to move replaces the estimate; any other may only bring one ping forward. Of a token
    /// that pings do not extend, and whose end was not told when it came, it is the end.
    fn introspected_end(&mut self, end: Instant, at: Instant) {
        const ROUNDING: Duration = Duration::from_secs(1);
        let seen = &mut self.state.introspected;
        let moved = seen.end.is_some_and(|before| end > before.after(ROUNDING));
        // An end that stands still brings one ping forward, not every ping.
        seen.hinted &= seen.end.is_some() && !moved;
        seen.end = Some(end);
        seen.at = Some(at);
        let fixed = self.state.fixed || self.policy.model == WindowModel::Fixed;
        if fixed && self.state.expires.is_none() {
            self.state.expires = Some(end);
        }
        if let Some(window) = self.window().filter(|_| moved) {
            self.state.introspected.hinted = true;
            // No timer restarts in the future: a server whose clocks differ by hours must not put the next ping off.
            let restarted = end.before(window.timeout).min(at);
            self.state.bounds = Some(Bounds {
                lo: restarted,
                hi: restarted,
            });
        }
    }
}
