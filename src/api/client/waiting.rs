//! What a person is told while an answer is not there.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::{Call, Client, ClientError, SILENCE};
use crate::api::SessionStatus;
use crate::clock;
use crate::time::Instant;

/// A look at the session is worth no longer wait: the answer must not be held up by it.
const LOOK: Duration = Duration::from_millis(500);

/// What a command waits for.
#[derive(Debug)]
pub enum Waiting<'a> {
    /// For a daemon that is not there.
    ForDaemon {
        /// Why it cannot be asked.
        error: &'a ClientError,
        /// How much longer it is waited for.
        at_most: Duration,
    },
    /// For the daemon's answer about a session.
    ForSession {
        /// How the session is meanwhile.
        status: &'a SessionStatus,
        /// How much longer the daemon may take.
        at_most: Duration,
    },
}

/// Waits for `answer`, and says what for when that lasts, and again when the reason is another.
pub(super) fn accompanied<T>(
    client: &Client,
    status: &str,
    until: Instant,
    say: fn(&Waiting<'_>),
    answer: impl FnOnce() -> T,
) -> T {
    let (waits, over) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || tell(client, status, until, say, &over));
        let answer = answer();
        drop(waits);
        answer
    })
}

fn tell(client: &Client, path: &str, until: Instant, say: fn(&Waiting<'_>), over: &Receiver<()>) {
    let client = client.impatient(LOOK);
    let mut told = Vec::new();
    while over.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
        let left = until.since(clock::boottime());
        if left.is_zero() {
            return;
        }
        let call = Call {
            path: path.to_owned(),
            ..Call::default()
        };
        // That the daemon is not there is told by the call itself.
        if let Ok(status) = client.json::<SessionStatus>(&call)
            && !told.contains(&status.reason)
        {
            say(&Waiting::ForSession {
                status: &status,
                at_most: left,
            });
            told.push(status.reason);
        }
    }
}
