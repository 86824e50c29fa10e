//! What every test uses: a server, a daemon, and patience with an end.

pub(crate) mod acme;
pub(crate) mod assertion;
pub(crate) mod daemon;
pub(crate) mod description;
pub(crate) mod journald;
pub(crate) mod leaks;
pub(crate) mod namespaces;
pub(crate) mod oidc;
pub(crate) mod org;
pub(crate) mod recorder;
pub(crate) mod rough;
pub(crate) mod salesforce;
pub(crate) mod scripted;
pub(crate) mod servers;
pub(crate) mod terminal;
pub(crate) mod tls;
pub(crate) mod unix;
pub(crate) mod untried;
pub(crate) mod wire;

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::{Duration, Instant};

/// How long anything may take that should take a moment or a retry or two, on a machine that is busy with everything else.
pub(crate) const SOON: Duration = Duration::from_mins(1);

/// `count` random bytes in hexadecimal.
pub(crate) fn random_hex(count: usize) -> String {
    let mut bytes = vec![0; count];
    std::fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut bytes)
        .unwrap();
    hex(&bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

/// Looks until there is something, or fails saying what was awaited.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, awaited: &str, look: impl FnMut() -> Option<T>) -> T {
    poll(limit, look).unwrap_or_else(|| panic!("{awaited}: not within {limit:?}"))
}

/// Looks until there is something to return; `None` when `limit` has passed.
pub(crate) fn poll<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if started.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
