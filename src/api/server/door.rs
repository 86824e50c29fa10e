//! Which connections are served. What a caller is to the daemon is found out before anything of what it asks is read: to
//! turn a stranger away must cost less than to connect.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::api::access::{Caller, Guests};
use crate::clock;
use crate::serve::{Pace, Permit, Permits, Standing};
use crate::time::Instant;

/// The groups of a process that was a stranger's are not looked up again for so long, while it has no permit.
const STILL_STRANGE: Duration = Duration::from_secs(1);

/// So many processes are remembered.
const MOST_STRANGERS: usize = 32;

/// Whether a new connection is served.
pub(super) enum Admission {
    Permitted(Caller, Permit),
    /// There is no permit; one may be free once the tasks of connections that have gone have run.
    NoPermit,
    /// There is none for a stranger.
    NoRoomForStrangers,
    Nameless,
}

/// What is known of those who connect.
pub(super) struct Door {
    guests: watch::Receiver<Arc<Guests>>,
    permits: Permits,
    pace: Pace,
    /// Processes by user and number that were found to be strangers'.
    strangers: VecDeque<(u32, i32, Instant)>,
}

impl Door {
    pub(super) fn new(guests: watch::Receiver<Arc<Guests>>) -> Self {
        Self {
            guests,
            permits: Permits::new(),
            pace: Pace::default(),
            strangers: VecDeque::new(),
        }
    }

    /// Finds a permit for a new connection.
    pub(super) fn admit(&mut self, stream: &UnixStream) -> Admission {
        let guests = Arc::clone(&self.guests.borrow());
        let nameless = |error: &io::Error| tracing::debug!(%error, "a caller without credentials");
        let known = |stream| Caller::of(stream, guests.daemon()).inspect_err(nameless);
        let Ok(seen) = Caller::at_sight(stream).inspect_err(nameless) else {
            return Admission::Nameless;
        };
        let now = clock::boottime();
        let mut caller = None;
        let mut standing = guests.standing(&seen);
        if standing == Standing::Stranger
            && guests.name_a_group()
            && !self.is_still_strange(&seen, now)
        {
            let Ok(looked_up) = known(stream) else {
                return Admission::Nameless;
            };
            standing = guests.standing(&looked_up);
            caller = Some(looked_up);
            if standing == Standing::Stranger {
                self.remember(&seen, now);
            }
        }
        let user = guests.user(seen.uid);
        let stranger = standing == Standing::Stranger;
        if stranger && !self.pace.allows(user, now) {
            return Admission::NoRoomForStrangers;
        }
        let Some(permit) = self.permits.acquire(user, standing, now) else {
            tracing::debug!(uid = seen.uid, ?standing, "too many connections");
            return if stranger {
                Admission::NoRoomForStrangers
            } else {
                Admission::NoPermit
            };
        };
        match caller.map_or_else(|| known(stream), Ok) {
            Ok(caller) => Admission::Permitted(caller, permit),
            Err(_) => Admission::Nameless,
        }
    }

    fn is_still_strange(&self, caller: &Caller, now: Instant) -> bool {
        let Some(pid) = caller.pid else { return false };
        let same = |(uid, of, at): &(u32, i32, Instant)| {
            (*uid, *of) == (caller.uid, pid) && now.since(*at) < STILL_STRANGE
        };
        self.strangers.iter().any(same)
    }

    fn remember(&mut self, caller: &Caller, now: Instant) {
        let Some(pid) = caller.pid else { return };
        if self.strangers.len() >= MOST_STRANGERS {
            self.strangers.pop_front();
        }
        self.strangers.push_back((caller.uid, pid, now));
    }
}
