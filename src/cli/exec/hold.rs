//! A hold is a connection that stays open: whatever becomes of this process, the daemon knows when it is over.

use std::thread;
use std::time::Duration;

use crate::api::client::{Call, Client, ClientError, Lines};
use crate::api::duration;
use crate::cli::session_path;
use crate::clock;
use crate::time::Instant;

/// The daemon says something four times a minute.
const SILENCE: Duration = Duration::from_secs(45);

/// Until a daemon that restarts is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Places a hold, and renews it in the background should the daemon restart.
pub(super) fn begin(
    client: &Client,
    name: &str,
    longest: Duration,
    wait: Duration,
) -> Result<(), ClientError> {
    let until = clock::boottime().after(longest);
    let lines = client.lines(&call(name, longest, wait), wait)?;
    let (client, name) = (client.clone(), name.to_owned());
    thread::spawn(move || keep(&client, &name, until, lines));
    Ok(())
}

fn call(name: &str, longest: Duration, wait: Duration) -> Call<'static> {
    Call {
        post: true,
        path: session_path(name, "/hold"),
        query: vec![("for", duration::format(longest))],
        wait,
        repeatable: true,
        ..Call::default()
    }
}

fn keep(client: &Client, name: &str, until: Instant, mut lines: Lines) {
    loop {
        while lines.next(SILENCE).is_ok() {}
        drop(lines);
        lines = loop {
            thread::sleep(PAUSE);
            let left = until.since(clock::boottime());
            if left.is_zero() {
                return;
            }
            if let Ok(lines) = client.lines(&call(name, left, Duration::ZERO), Duration::ZERO) {
                break lines;
            }
        };
    }
}
