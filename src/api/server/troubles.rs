//! What is wrong with the socket, said once for each spell of it.

use std::io;
use std::time::Duration;

use crate::clock;
use crate::serve::Listener;
use crate::time::Instant;

/// A spell of failures is over when so long none came: in a crowd, one is accepted between two that are not.
const OVER: Duration = Duration::from_secs(10);

/// What is wrong, and was said already.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    accept: Option<Spell>,
    place: bool,
}

#[derive(Clone, Copy, Debug)]
struct Spell {
    since: Instant,
    latest: Instant,
}

impl Troubles {
    /// A connection could not be accepted: says so if that is new.
    pub(super) fn accept_failed(&mut self, error: &io::Error) {
        let now = clock::boottime();
        let since = self.accept.map_or(now, |spell| spell.since);
        if self.accept.replace(Spell { since, latest: now }).is_none() {
            tracing::warn!(event = "accept_failed", %error, "cannot accept connections on the socket; raise LimitNOFILE= of the service");
        }
    }

    /// A connection was accepted.
    pub(super) fn accepted(&mut self) {
        if self.accept.is_some() {
            self.end_spell(clock::boottime());
        }
    }

    /// Says that connections are accepted again, once they have been for a while.
    fn end_spell(&mut self, now: Instant) {
        if let Some(spell) = self.accept.take_if(|spell| now.since(spell.latest) >= OVER) {
            let seconds = spell.latest.since(spell.since).as_secs();
            tracing::info!(
                event = "accept_recovered",
                seconds,
                "the socket accepts connections again"
            );
        }
    }

    /// Looks whether the socket's file is still there, and makes it again where it is not.
    pub(super) fn look_at(&mut self, listener: &mut Listener) {
        self.end_spell(clock::boottime());
        if listener.is_in_place() {
            return;
        }
        match listener.bind_again() {
            Ok(()) => {
                self.place = false;
                tracing::warn!(
                    event = "socket_remade",
                    "the socket's file was removed; the daemon made it again"
                );
            }
            Err(error) if !std::mem::replace(&mut self.place, true) => {
                tracing::error!(event = "socket_lost", %error, "the socket's file is gone: no client can connect");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spell_of_failures_with_successes_in_between_is_one() {
        let at = Instant::from_millis;
        let spell = Spell {
            since: at(0),
            latest: at(5000),
        };
        let mut troubles = Troubles {
            accept: Some(spell),
            place: false,
        };
        troubles.end_spell(at(14_999));
        assert!(troubles.accept.is_some());
        troubles.end_spell(at(15_000));
        assert!(troubles.accept.is_none());
    }
}
