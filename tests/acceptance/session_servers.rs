//! Sessions at servers that others wrote: what keeps them alive and what ends them is not ours to define.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::daemon::{Lab, Session};
use crate::support::servers::{OpenBao, Qbittorrent, Zabbix, method};

/// What both servers are set to.
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

#[test]
fn a_cookie_lives_through_several_idle_timeouts_by_few_pings() {
    let (server, mut lab) = qbittorrent();
    lab.configure(&[cookie(&lab)]);
    lab.start();
    let token = lab.await_token("web");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        assert_eq!(lab.token("web").as_deref(), Some(token.as_str()), "after {:?}", started.elapsed());
        sleep(Duration::from_millis(100));
    }
    let calls = server.front.passed().len();
    // A ping every five seconds would do; each comes a little before its time.
    assert!((4..=9).contains(&calls), "{calls} calls");
    assert_eq!(server.logins(), 1);
    assert!(server.front.passed().iter().all(|passed| passed.status == 200));
    assert!(server.serves(&token));
}

#[test]
fn a_cookie_that_was_logged_out_is_replaced_once_a_job_says_so() {
    let (server, mut lab) = qbittorrent();
    lab.configure(&[cookie(&lab)]);
    lab.start();
    let first = lab.await_token("web");
    server.end(&first);
    lab.succeeds(&["rejected", "web"]);
    let second = lab.await_another_token("web", &first);
    assert!(server.serves(&second));
    assert_eq!(server.logins(), 2);
    let calls = server.front.passed().len();
    assert!(calls <= 8, "{calls} calls, ");
}

#[test]
fn a_cookie_that_was_logged_out_is_found_by_the_next_ping() {
    let (server, mut lab) = qbittorrent();
    lab.configure(&[cookie(&lab)]);
    lab.start();
    let first = lab.await_token("web");
    server.end(&first);
    let second = lab.await_another_token("web", &first);
    assert!(server.serves(&second));
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_wrong_password_under_status_200_is_sent_once() {
    let (server, mut lab) = qbittorrent();
    lab.secret("password", "not-the-password");
    lab.configure(&[cookie(&lab)]);
    lab.start();
    lab.await_state("web", "needs_attention");
    sleep(Duration::from_millis(500));
    lab.kill();
    lab.start();
    lab.await_state("web", "needs_attention");
    sleep(Duration::from_secs(2));
    assert_eq!(server.logins(), 1);
    assert_eq!(server.front.passed().len(), 1);
    assert_eq!(lab.token("web"), None);
    // Mended, it is tried again.
    lab.secret("password", server.password);
    lab.reload();
    assert!(server.serves(&lab.await_token("web")));
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_logout_ends_the_cookie_at_the_server() {
    let (server, mut lab) = qbittorrent();
    lab.configure(&[cookie(&lab)]);
    lab.start();
    let token = lab.await_token("web");
    lab.succeeds(&["logout", "web"]);
    assert!(!server.serves(&token));
    assert_eq!(lab.token("web"), None);
}

#[test]
fn a_session_whose_errors_come_as_successes_lives_through_several_idle_timeouts() {
    let (server, mut lab) = zabbix();
    lab.configure(&[monitor(&lab)]);
    lab.start();
    let token = lab.await_token("monitor");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        assert_eq!(lab.token("monitor").as_deref(), Some(token.as_str()), "after {:?}", started.elapsed());
        sleep(Duration::from_millis(100));
    }
    assert!(server.serves(&token));
    let calls = server.front.passed().len();
    assert!((4..=10).contains(&calls), "{calls} calls");
    assert_eq!(server.logins(), 1);
    assert!(server.front.passed()[1..].iter().all(|passed| method(passed) == "user.checkAuthentication"));
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
    assert!(server.front.passed().iter().all(|passed| passed.status == 200));
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

#[test]
fn a_token_is_prolonged_by_renewals_and_replaced_before_its_last_end() {
    let (server, mut lab) = open_bao(6, 16);
    lab.configure(&[vault(&lab).key("max_lifetime = \"16s\"")]);
    lab.start();
    let first = lab.await_token("secrets");
    let started = Instant::now();
    let mut seen = vec![first];
    while started.elapsed() < Duration::from_secs(30) {
        let token = lab.token("secrets");
        let is_good = token.as_ref().is_some_and(|token| server.serves(token));
        // Lives of seconds are kept only where the server answers within one.
        assert!(
            is_good || lab.slowest_answer() > Duration::from_secs(1),
            "no living token after {:?}",
            started.elapsed()
        );
        let Some(token) = token else { continue };
        if !seen.contains(&token) {
            seen.push(token);
        }
        sleep(Duration::from_millis(100));
    }
    assert!((2..=4).contains(&seen.len()), "{} tokens", seen.len());
    assert_eq!(server.logins(), seen.len());
    let renewals = server.count("auth/token/renew-self");
    assert!((3..=12).contains(&renewals), "{renewals} renewals");
    assert!(server.front.passed().len() <= 25, "{} calls", server.front.passed().len());
}

#[test]
fn a_revoked_token_is_replaced_once_a_job_says_so() {
    let (server, mut lab) = open_bao(600, 3600);
    lab.configure(&[vault(&lab)]);
    lab.start();
    let first = lab.await_token("secrets");
    server.revoke(&first);
    lab.succeeds(&["rejected", "secrets"]);
    let second = lab.await_another_token("secrets", &first);
    assert!(server.serves(&second));
    assert_eq!(server.logins(), 2);
    let calls = server.front.passed().len();
    assert!(calls <= 6, "{calls} calls");
    lab.succeeds(&["logout", "secrets"]);
    assert!(!server.serves(&second));
}

#[test]
fn a_password_that_vault_refuses_is_sent_once() {
    let (server, mut lab) = open_bao(600, 3600);
    lab.secret("password", "not-the-password");
    lab.configure(&[vault(&lab)]);
    lab.start();
    lab.await_state("secrets", "needs_attention");
    sleep(Duration::from_secs(2));
    assert_eq!((server.logins(), server.front.passed().len()), (1, 1));
    assert_eq!(lab.token("secrets"), None);
}

fn qbittorrent() -> (Arc<Qbittorrent>, Lab) {
    let server = Arc::new(Qbittorrent::start(IDLE));
    let lab = lab(&server.front.url(), server.password);
    (server, lab)
}

fn zabbix() -> (Arc<Zabbix>, Lab) {
    let server = Arc::new(Zabbix::start(IDLE));
    let lab = lab(&server.front.url(), server.password);
    (server, lab)
}

fn open_bao(seconds: u32, in_all: u32) -> (Arc<OpenBao>, Lab) {
    let server = Arc::new(OpenBao::start(seconds, in_all));
    let lab = lab(&server.front.url(), &server.password);
    (server, lab)
}

fn lab(url: &str, password: &str) -> Lab {
    // Their own passwords are words that any log may say: only the wrong one can be looked for.
    let mut lab = Lab::bare(url, || vec!["not-the-password".to_owned()]);
    lab.request_timeout = "5s";
    lab.secret("password", password);
    lab
}

fn cookie(lab: &Lab) -> Session {
    let login = format!("username = \"admin\"\npassword = {}\n", lab.source("password"));
    lab.session("web", &login).provider("qbittorrent").idle_timeout(&format!("{TOLD}s"))
}

fn monitor(lab: &Lab) -> Session {
    let login = format!("username = \"Admin\"\npassword = {}\n", lab.source("password"));
    lab.session("monitor", &login).provider("zabbix-legacy").idle_timeout(&format!("{TOLD}s"))
}

fn vault(lab: &Lab) -> Session {
    let login = format!(
        "mount = \"userpass\"\nusername = \"job\"\ngrant = \"userpass\"\npassword = {}\n",
        lab.source("password")
    );
    lab.session("secrets", &login).provider("vault")
}
