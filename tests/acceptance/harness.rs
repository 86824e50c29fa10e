//! The server that the other tests trust, asked by a plain client: it must behave as the facts say, or they prove nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::org::{Endpoint, RefreshTokens, Settings, Window};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::wire::ask;

#[test]
fn half_window_ignores_activity_in_its_first_half() {
    let server = server(Window::Half);
    let token = log_in(&server);
    sleep(Duration::from_millis(300));
    assert_eq!(
        ping(&server, &token),
        200,
        "in the first half: served, but not counted"
    );
    sleep(Duration::from_millis(800));
    assert_eq!(ping(&server, &token), 401);
    assert_eq!(server.idle_deaths(), 1);
}

#[test]
fn half_window_restarts_in_its_second_half() {
    let server = server(Window::Half);
    let token = log_in(&server);
    sleep(Duration::from_millis(600));
    assert_eq!(ping(&server, &token), 200);
    sleep(Duration::from_millis(700));
    assert_eq!(ping(&server, &token), 200);
    assert_eq!(server.idle_deaths(), 0);
}

#[test]
fn sliding_window_restarts_with_every_use() {
    let server = server(Window::Sliding);
    let token = log_in(&server);
    for _ in 0..4 {
        sleep(Duration::from_millis(300));
        assert_eq!(ping(&server, &token), 200);
    }
}

#[test]
fn a_spent_refresh_token_revokes_its_family() {
    let server = server(Window::Half);
    server.change(|settings| settings.refresh_tokens = RefreshTokens::Rotated);
    let first = server.approve("job");
    let answer = refresh(&server, &first);
    let (access, second) = (
        text(&answer, "access_token"),
        text(&answer, "refresh_token"),
    );
    assert_eq!(ping(&server, &access), 200);
    assert_eq!(refresh(&server, &first)["error"], "invalid_grant");
    assert_eq!(server.reuse_detected(), 1);
    assert_eq!(ping(&server, &access), 401);
    assert_eq!(refresh(&server, &second)["error"], "invalid_grant");
}

#[test]
fn a_user_is_locked_after_three_wrong_passwords() {
    let server = server(Window::Half);
    let right = format!("{}{}", server.password(), server.security_token());
    let attempt = |password: &str| {
        let secret = server.client_secret();
        token_call(
            &server,
            &format!(
                "grant_type=password&client_id=job&client_secret={secret}&username=u%40x&password={password}"
            ),
        )
    };
    assert!(attempt(&right)["access_token"].is_string());
    for _ in 0..3 {
        assert_eq!(attempt("wrong")["error"], "invalid_grant");
    }
    assert!(server.locked());
    assert_eq!(
        attempt(&right)["error"],
        "invalid_grant",
        "locked, though right"
    );
    assert_eq!(server.logins(), 5);
}

#[test]
fn a_lost_answer_is_a_login_that_happened() {
    let server = server(Window::Half);
    server.once(Endpoint::Token, Instead::Lose);
    let secret = server.client_secret();
    let body = format!("grant_type=client_credentials&client_id=job&client_secret={secret}");
    assert_eq!(
        ask(
            "POST",
            &format!("{}/services/oauth2/token", server.url()),
            "",
            &body
        ),
        None
    );
    assert_eq!(server.issued().len(), 1);
    assert!(
        server
            .needles()
            .iter()
            .any(|needle| server.issued()[0].ends_with(needle))
    );
}

#[test]
fn an_outage_refuses_connections_and_ends() {
    let server = server(Window::Half);
    let token = log_in(&server);
    server.refuse();
    assert!(TcpStream::connect(server.url().trim_start_matches("http://")).is_err());
    server.accept_again();
    assert_eq!(ping(&server, &token), 200);
}

#[test]
fn an_endless_answer_ends_when_the_peer_has_had_enough() {
    let server = server(Window::Half);
    let token = log_in(&server);
    server.once(Endpoint::Data, Instead::Endless);
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    write!(
        stream,
        "GET /services/data/v65.0/ HTTP/1.1\r\nauthorization: Bearer {token}\r\n\r\n"
    )
    .unwrap();
    let mut some = vec![0; 100_000];
    stream.read_exact(&mut some).unwrap();
    drop(stream);
    let started = Instant::now();
    while server.endless_bytes() == 0 && started.elapsed() < Duration::from_secs(5) {
        sleep(Duration::from_millis(10));
    }
    assert!(server.endless_bytes() > 50_000);
}

fn server(window: Window) -> Salesforce {
    Salesforce::start(Settings {
        idle: Duration::from_secs(1),
        window,
        ..Settings::default()
    })
}

fn log_in(server: &Salesforce) -> String {
    let secret = server.client_secret();
    let answer = token_call(
        server,
        &format!("grant_type=client_credentials&client_id=job&client_secret={secret}"),
    );
    assert_eq!(answer["instance_url"], server.url());
    text(&answer, "access_token")
}

fn refresh(server: &Salesforce, refresh_token: &str) -> Value {
    let secret = server.client_secret();
    token_call(
        server,
        &format!(
            "grant_type=refresh_token&client_id=job&client_secret={secret}&refresh_token={refresh_token}"
        ),
    )
}

fn ping(server: &Salesforce, token: &str) -> u16 {
    let url = format!("{}/services/data/v65.0/", server.url());
    ask(
        "GET",
        &url,
        &format!("authorization: Bearer {token}\r\n"),
        "",
    )
    .unwrap()
    .0
}

fn token_call(server: &Salesforce, body: &str) -> Value {
    let (_, answer) = ask(
        "POST",
        &format!("{}/services/oauth2/token", server.url()),
        "",
        body,
    )
    .unwrap();
    serde_json::from_str(&answer).unwrap()
}

fn text(answer: &Value, field: &str) -> String {
    answer[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {answer}"))
        .to_owned()
}
