//! Tokens that renewals prolong, up to an end.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::lab;
use crate::support::daemon::{Lab, Session};
use crate::support::servers::openbao::OpenBao;

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
    assert!(
        server.front.passed().len() <= 25,
        "{} calls",
        server.front.passed().len()
    );
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

fn open_bao(seconds: u32, in_all: u32) -> (Arc<OpenBao>, Lab) {
    let server = Arc::new(OpenBao::start(seconds, in_all));
    let lab = lab(&server.front.url(), &server.password);
    (server, lab)
}

fn vault(lab: &Lab) -> Session {
    let login = format!(
        "mount = \"userpass\"\nusername = \"job\"\ngrant = \"userpass\"\npassword = {}\n",
        lab.source("password")
    );
    lab.session("secrets", &login).provider("vault")
}
