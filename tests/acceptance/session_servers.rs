//! Sessions at servers that others wrote: what keeps them alive and what ends them is not ours to define.

mod django;
mod mediawiki;
mod openbao;
mod pouchdb;
mod qbittorrent;
mod synapse;
mod vcsim;
mod zabbix;

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::daemon::Lab;
use crate::support::servers::qbittorrent::Qbittorrent;
use crate::support::servers::zabbix::Zabbix;

/// What servers are set to.
const IDLE: u32 = 6;
/// What the daemon is told: a server that counts whole seconds ends a session up to one second early.
const TOLD: u32 = IDLE - 1;

/// Without this, the tests below would prove nothing.
#[test]
fn both_servers_end_a_session_that_nobody_uses() {
    let (web, monitor) = (Qbittorrent::start(IDLE), Zabbix::start(IDLE));
    let (cookie, session) = (web.log_in(), monitor.log_in());
    assert!(web.serves(&cookie) && monitor.serves(&session));
    sleep(Duration::from_secs(u64::from(IDLE) + 2));
    assert!(!web.serves(&cookie) && !monitor.serves(&session));
}

fn lab(url: &str, password: &str) -> Lab {
    // Their own passwords are words that any log may say: only the wrong one can be looked for.
    let mut lab = Lab::bare(url, || vec!["not-the-password".to_owned()]);
    lab.request_timeout = "5s";
    lab.secret("password", password);
    lab
}

/// Looks at the session's token for so long, and at whether the server `serves` each one; the tokens, in their order.
#[track_caller]
fn watch(
    lab: &Lab,
    session: &str,
    duration: Duration,
    serves: impl Fn(&str) -> bool,
) -> Vec<String> {
    let (started, mut seen) = (Instant::now(), Vec::new());
    while started.elapsed() < duration {
        let token = lab.token(session);
        // One that was replaced while the server was asked proves nothing.
        let is_good =
            token.as_ref().is_some_and(|token| serves(token)) || lab.token(session) != token;
        // Lives of seconds are kept only where the server answers within one.
        assert!(
            is_good || lab.slowest_answer() > Duration::from_secs(1),
            "no living token of {session} after {:?}",
            started.elapsed()
        );
        seen.extend(token.filter(|token| seen.last() != Some(token)));
        sleep(Duration::from_millis(100));
    }
    seen
}
