//! A login of two steps, a session that calls extend in the second half of its time only, errors under status 200.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{lab, watch};
use crate::support::daemon::{Lab, Session};
use crate::support::servers::mediawiki::MediaWiki;

/// What the server is set to; it counts whole seconds.
const IDLE: u32 = 8;

#[test]
fn a_session_of_two_steps_lives_by_calls_in_the_second_half_of_its_time_and_over_a_restart_of_its_server()
 {
    let (mut server, mut lab) = mediawiki();
    lab.configure(&[wiki(&lab)]);
    lab.start();
    let first = lab.await_token("wiki");
    // To ask the server itself might extend the session.
    let seen = watch(&lab, "wiki", Duration::from_secs(20), |_| true);
    assert_eq!(seen, [first.as_str()]);
    assert!(server.serves(&first));
    let pings = server.pings();
    assert!((5..=10).contains(&pings), "{pings} pings");
    assert_eq!(server.logins(), 1);

    let stopped = Instant::now();
    server.served.stop();
    sleep(Duration::from_secs(1));
    server.start_again();
    // Where that took longer than half of its time, the session may have ended.
    if stopped.elapsed() < Duration::from_secs(u64::from(IDLE) / 2) {
        lab.succeeds(&["verify", "wiki"]);
        assert_eq!(
            (lab.token("wiki").as_deref(), server.logins()),
            (Some(first.as_str()), 1)
        );
    }

    let token = lab.await_token("wiki");
    let logins = server.logins();
    server.end(&token);
    let second = lab.await_another_token("wiki", &token);
    assert!(server.serves(&second));
    assert_eq!(server.logins(), logins + 1);
    lab.succeeds(&["logout", "wiki"]);
    assert!(!server.serves(&second));
    let calls = server.served.front.passed().len();
    assert!(calls <= 28, "{calls} calls");
}

#[test]
fn a_wrong_password_in_the_second_step_is_sent_once() {
    let (server, mut lab) = mediawiki();
    lab.secret("password", "not-the-password");
    lab.configure(&[wiki(&lab)]);
    lab.start();
    let status = lab.await_state("wiki", "needs_attention");
    assert!(
        status
            .to_string()
            .contains("user name or password is wrong"),
        "{status}"
    );
    sleep(Duration::from_secs(2));
    assert_eq!(
        (server.logins(), server.served.front.passed().len()),
        (1, 2)
    );
    assert_eq!(lab.token("wiki"), None);
}

fn mediawiki() -> (MediaWiki, Lab) {
    let server = MediaWiki::start(IDLE);
    let mut lab = lab(&server.served.front.url(), &server.password);
    // A page of PHP takes its time on a busy machine.
    lab.request_timeout = "15s";
    (server, lab)
}

fn wiki(lab: &Lab) -> Session {
    let login = format!(
        "username = \"Job\"\npassword = {}\napi = \"/api.php\"\n",
        lab.source("password")
    );
    lab.session("wiki", &login)
        .provider("mediawiki")
        .idle_timeout(&format!("{}s", IDLE - 1))
}
