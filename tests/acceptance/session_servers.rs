//! Sessions at servers that others wrote: what keeps them alive and what ends them is not ours to define.

mod openbao;
mod qbittorrent;
mod zabbix;

use std::thread::sleep;
use std::time::Duration;

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
