//! An `OpenID` provider whose refresh tokens are good once: a second use of one ends the whole family, a renewal at once the
//! former access token.

use std::thread::sleep;
use std::time::Duration;

use super::{lab, watch};
use crate::support::daemon::{Lab, Session};
use crate::support::servers::django::Django;

#[test]
fn one_time_refresh_tokens_are_used_once_each_also_over_a_restart_of_their_server() {
    let (mut server, mut lab) = django(6);
    lab.configure(&[portal(&lab, &server)]);
    lab.start();
    lab.await_token("portal");
    let seen = watch(&lab, "portal", Duration::from_secs(14), |token| {
        server.serves(token) || is_just_replaced(&lab, token)
    });
    assert!((3..=6).contains(&seen.len()), "{} tokens", seen.len());
    assert_eq!(
        (
            server.count("password", 200),
            server.count("refresh_token", 200)
        ),
        (1, seen.len() - 1)
    );

    server.served.stop();
    sleep(Duration::from_secs(1));
    server.served.start_again();
    let token = lab.await_another_token("portal", seen.last().unwrap());
    assert!(server.serves(&token));
    // What a proxy says whose server is down leaves a doubt about a renewal, and a login ends it.
    let logins = server.count("password", 200);
    assert!(
        logins <= 2 && server.count("refresh_token", 400) == 0,
        "{logins} logins"
    );

    // This server takes the refresh token away with its access token. One call finds it out, and one login is the remedy.
    let token = lab.token("portal").unwrap();
    server.revoke(&token);
    lab.succeeds(&["rejected", "portal"]);
    let fresh = lab.await_another_token("portal", &token);
    assert!(server.serves(&fresh));
    assert_eq!(
        (
            server.count("password", 200),
            server.count("refresh_token", 400)
        ),
        (logins + 1, 1)
    );

    let renewed = lab.await_another_token("portal", &fresh);
    assert_eq!(server.count("password", 200), logins + 1);
    let mut presented = server.presented();
    let calls = presented.len();
    presented.sort();
    presented.dedup();
    assert_eq!(
        presented.len(),
        calls,
        "a refresh token was presented twice"
    );

    // Somebody uses an old refresh token again: with it goes all that came of the login. The next renewal says so, once.
    assert_eq!(server.refresh(server.presented().last().unwrap()), 400);
    let last = lab.await_another_token("portal", &renewed);
    assert!(server.serves(&last));
    assert_eq!(
        (
            server.count("password", 200),
            server.count("refresh_token", 400)
        ),
        (logins + 2, 2)
    );
    let calls = server.served.front.passed().len();
    assert!(calls <= 36, "{calls} calls");
}

#[test]
fn a_wrong_password_and_a_wrong_client_secret_are_each_sent_once() {
    let (server, mut lab) = django(600);
    lab.secret("password", "not-the-password");
    lab.configure(&[portal(&lab, &server)]);
    lab.start();
    lab.await_state("portal", "needs_attention");
    sleep(Duration::from_secs(1));
    assert_eq!(
        (server.count("password", 400), server.count("password", 401)),
        (1, 0)
    );

    lab.secret("password", &server.password);
    lab.secret("client-secret", "not-the-client-secret");
    lab.reload();
    lab.await_state("portal", "needs_attention");
    sleep(Duration::from_secs(2));
    assert_eq!(server.count("password", 400), 1);
    // Metadata that name two ways to prove who one is leave room for the other one.
    let refused = server.count("password", 401);
    assert!((1..=2).contains(&refused), "{refused} logins");
    assert_eq!(lab.token("portal"), None);

    lab.secret("client-secret", &server.client_secret);
    lab.reload();
    assert!(server.serves(&lab.await_token("portal")));
}

/// The server ends the former token before it answers the renewal, so that its file follows a moment later.
fn is_just_replaced(lab: &Lab, token: &str) -> bool {
    (0..10).any(|_| {
        sleep(Duration::from_millis(50));
        lab.token("portal").is_some_and(|now| now != token)
    })
}

fn django(token_seconds: u32) -> (Django, Lab) {
    let server = Django::start(token_seconds);
    let lab = lab(&server.served.front.url(), &server.password);
    lab.secret("client-secret", &server.client_secret);
    (server, lab)
}

fn portal(lab: &Lab, server: &Django) -> Session {
    let login = format!(
        "grant = \"password\"\nissuer = \"{}\"\nclient_id = \"job\"\nclient_secret = {}\nusername = \"job\"\npassword = {}\n\
         scope = \"openid read\"\n",
        server.issuer(),
        lab.source("client-secret"),
        lab.source("password")
    );
    lab.session("portal", &login).provider("oauth2").url("")
}
