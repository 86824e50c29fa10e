//! A cookie, an idle timeout that any request restarts, a wrong password under status 200.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{IDLE, TOLD, lab};
use crate::support::daemon::{Lab, Session};
use crate::support::servers::qbittorrent::Qbittorrent;

#[test]
fn a_cookie_lives_through_several_idle_timeouts_by_few_pings() {
    let (server, mut lab) = qbittorrent();
    lab.configure(&[cookie(&lab)]);
    lab.start();
    let token = lab.await_token("web");
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        assert_eq!(
            lab.token("web").as_deref(),
            Some(token.as_str()),
            "after {:?}",
            started.elapsed()
        );
        sleep(Duration::from_millis(100));
    }
    let calls = server.front.passed().len();
    // A ping every five seconds would do; each comes a little before its time.
    assert!((4..=9).contains(&calls), "{calls} calls");
    assert_eq!(server.logins(), 1);
    assert!(
        server
            .front
            .passed()
            .iter()
            .all(|passed| passed.status == 200)
    );
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
    // Once the password is right, it is tried again.
    lab.secret("password", server.password);
    lab.reload();
    assert!(server.serves(&lab.await_token("web")));
    // A good login that is answered too late is made again.
    assert!(
        server.logins() == 2 || lab.slowest_answer() > Duration::from_secs(1),
        "{} logins",
        server.logins()
    );
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

fn qbittorrent() -> (Arc<Qbittorrent>, Lab) {
    let server = Arc::new(Qbittorrent::start(IDLE));
    let lab = lab(&server.front.url(), server.password);
    (server, lab)
}

fn cookie(lab: &Lab) -> Session {
    let login = format!(
        "username = \"admin\"\npassword = {}\n",
        lab.source("password")
    );
    lab.session("web", &login)
        .provider("qbittorrent")
        .idle_timeout(&format!("{TOLD}s"))
}
