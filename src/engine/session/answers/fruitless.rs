//! Logins and renewals that something answered, but with no token and no no that is known: after how many a person is called.

use std::time::Duration;

use crate::session::Session;
use crate::session::state::Fruitless;
use crate::time::Instant;

/// A no is believed when it is said again. Where the daemon can log in, that is the second try.
const MOST_DECLINED: u32 = 2;
/// Before a refresh token is presented once more that was declined.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);
/// Two may be a gateway's that is just being changed.
const MOST_ODD: u32 = 3;
/// But after two, a password waits for a quarter of an hour.
const MOST_ODD_WITH_PASSWORD: u32 = 2;

impl Session {
    /// The server has said no to this renewal often enough: the refresh token is kept, and presented again only after
    /// something has changed.
    pub fn renewal_is_declined(&self) -> bool {
        let most = if self.can_login() { 1 } else { MOST_DECLINED };
        self.state
            .fruitless
            .as_ref()
            .is_some_and(|fruitless| fruitless.declined >= most)
    }

    /// What only a person can put right, if it has come to that.
    pub(in crate::session) fn calls_a_person(&self) -> Option<&Fruitless> {
        let stranded = self.renewal_is_declined() && !self.can_login();
        let most = if self.sends_password() {
            MOST_ODD_WITH_PASSWORD
        } else {
            MOST_ODD
        };
        self.state
            .fruitless
            .as_deref()
            .filter(|fruitless| stranded || fruitless.tries >= most)
    }

    /// Something came that the server may not have meant.
    pub(super) fn was_fruitless(&mut self, detail: &str, now: Instant) -> &mut Fruitless {
        let fruitless = self.state.fruitless.get_or_insert_with(|| {
            Box::new(Fruitless {
                since: now,
                detail: String::new(),
                tries: 0,
                declined: 0,
            })
        });
        detail.clone_into(&mut fruitless.detail);
        fruitless.tries = fruitless.tries.saturating_add(1);
        fruitless
    }

    /// The server's own no to a renewal: said twice, it stands.
    pub(super) fn was_declined(&mut self, detail: &str, now: Instant) {
        self.was_fruitless(detail, now).declined += 1;
        if self.renewal_is_declined() {
            self.state.renew_backoff.lift();
        } else {
            self.state.renew_backoff.pause(now, CONFIRM_AFTER);
        }
    }

    /// A person, a reload or another refresh token make it worth trying again.
    pub(in crate::session) fn try_again(&mut self) {
        if self.state.fruitless.take().is_some() {
            self.state.renew_backoff.lift_unless_asked();
        }
    }

    /// The server itself answers again.
    pub(super) fn was_answered(&mut self) {
        self.state
            .fruitless
            .take_if(|fruitless| fruitless.declined == 0);
    }

    /// A new token came. It says nothing of a refresh token that was declined and is still held.
    pub(super) fn bore_fruit(&mut self) {
        let stays = self.state.refresh.is_some();
        self.state
            .fruitless
            .take_if(|fruitless| !(stays && fruitless.declined > 0));
    }
}
