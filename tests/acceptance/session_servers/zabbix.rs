//! JSON-RPC: what goes wrong comes under status 200, too.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{IDLE, TOLD, lab};
use crate::support::daemon::{Lab, Session};
use crate::support::servers::zabbix::{Zabbix, method};

#[test]
fn a_session_whose_errors_come_as_successes_lives_through_several_idle_timeouts() {
    let (server, mut lab) = zabbix();
    lab.configure(&[monitor(&lab)]);
    lab.start();
    let token = lab.await_token("monitor");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        assert_eq!(
            lab.token("monitor").as_deref(),
            Some(token.as_str()),
            "after {:?}",
            started.elapsed()
        );
        sleep(Duration::from_millis(100));
    }
    assert!(server.serves(&token));
    let calls = server.front.passed().len();
    assert!((4..=10).contains(&calls), "{calls} calls");
    assert_eq!(server.logins(), 1);
    assert!(
        server.front.passed()[1..]
            .iter()
            .all(|passed| method(passed) == "user.checkAuthentication")
    );
}

#[test]
fn a_death_under_status_200_leads_to_one_new_login() {
    let (server, mut lab) = zabbix();
    lab.configure(&[monitor(&lab)]);
    lab.start();
    let first = lab.await_token("monitor");
    server.end(&first);
    let second = lab.await_another_token("monitor", &first);
    assert!(server.serves(&second) && !server.serves(&first));
    assert_eq!(server.logins(), 2);
    lab.succeeds(&["verify", "monitor"]);
    lab.succeeds(&["logout", "monitor"]);
    assert!(!server.serves(&second));
    assert!(
        server
            .front
            .passed()
            .iter()
            .all(|passed| passed.status == 200)
    );
}

#[test]
fn a_wrong_password_in_a_json_rpc_error_is_sent_once() {
    let (server, mut lab) = zabbix();
    lab.secret("password", "not-the-password");
    lab.configure(&[monitor(&lab)]);
    lab.start();
    lab.await_state("monitor", "needs_attention");
    sleep(Duration::from_secs(2));
    assert_eq!(server.logins(), 1);
    assert_eq!(server.front.passed().len(), 1);
    assert_eq!(lab.token("monitor"), None);
}

fn zabbix() -> (Arc<Zabbix>, Lab) {
    let server = Arc::new(Zabbix::start(IDLE));
    let lab = lab(&server.front.url(), server.password);
    (server, lab)
}

fn monitor(lab: &Lab) -> Session {
    let login = format!(
        "username = \"Admin\"\npassword = {}\n",
        lab.source("password")
    );
    lab.session("monitor", &login)
        .provider("zabbix-legacy")
        .idle_timeout(&format!("{TOLD}s"))
}
