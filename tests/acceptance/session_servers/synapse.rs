//! Logins and renewals in JSON, refresh tokens that are good until what they brought is used.

use std::thread::sleep;
use std::time::Duration;

use super::{lab, watch};
use crate::support::daemon::{Lab, Session};
use crate::support::servers::synapse::Synapse;

/// The server is heavy to start: one for all of it.
#[test]
fn renewals_in_json_carry_a_device_over_its_tokens_a_lost_answer_and_a_restart_of_its_server() {
    let (mut server, mut lab) = synapse(6);
    lab.configure(&[chat(&lab)]);
    lab.start();
    lab.await_token("chat");
    let seen = watch(&lab, "chat", Duration::from_secs(14), |token| {
        server.serves(token)
    });
    assert!((3..=6).contains(&seen.len()), "{} tokens", seen.len());
    assert_eq!(
        (server.count("login", 200), server.count("refresh", 200)),
        (1, seen.len() - 1)
    );

    // Whether the refresh token was used nobody knows: a login leaves no doubt, and costs one call.
    server.served.front.lose_the_next_answer_of("/refresh");
    let token = lab.await_another_token("chat", seen.last().unwrap());
    assert!(server.serves(&token));
    let logins = server.count("login", 200);
    assert!(logins <= 2, "{logins} logins");

    server.served.stop();
    sleep(Duration::from_secs(1));
    server.served.start_again();
    let after = lab.await_another_token("chat", &token);
    assert!(server.serves(&after));
    // What a proxy says whose server is down leaves the same doubt about a renewal.
    let logins = server.count("login", 200);
    assert!(logins <= 3, "{logins} logins");

    // With the device goes its refresh token; the answer to the ping says so, and nobody asks for a renewal.
    let token = lab.token("chat").unwrap();
    server.end(&token);
    lab.succeeds(&["rejected", "chat"]);
    let fresh = lab.await_another_token("chat", &token);
    assert!(server.serves(&fresh));
    assert_eq!(
        (server.count("login", 200), server.count("refresh", 401)),
        (logins + 1, 0)
    );
    lab.succeeds(&["logout", "chat"]);
    assert!(!server.serves(&fresh));
    let calls = server.served.front.passed().len();
    assert!(calls <= 30, "{calls} calls");
}

#[test]
fn a_wrong_password_that_a_json_error_refuses_is_sent_once() {
    let (server, mut lab) = synapse(6);
    lab.secret("password", "not-the-password");
    lab.configure(&[chat(&lab)]);
    lab.start();
    let status = lab.await_state("chat", "needs_attention");
    assert!(
        status
            .to_string()
            .contains("user name or password is wrong"),
        "{status}"
    );
    sleep(Duration::from_secs(2));
    assert_eq!(
        (
            server.count("login", 403),
            server.served.front.passed().len()
        ),
        (1, 1)
    );
    assert_eq!(lab.token("chat"), None);
    lab.secret("password", &server.password);
    lab.reload();
    assert!(server.serves(&lab.await_token("chat")));
}

fn synapse(token_seconds: u32) -> (Synapse, Lab) {
    let server = Synapse::start(token_seconds);
    let mut lab = lab(&server.served.front.url(), &server.password);
    // A first answer takes its time on a busy machine.
    lab.request_timeout = "15s";
    (server, lab)
}

fn chat(lab: &Lab) -> Session {
    let login = format!(
        "username = \"job\"\npassword = {}\n",
        lab.source("password")
    );
    lab.session("chat", &login).provider("matrix")
}
