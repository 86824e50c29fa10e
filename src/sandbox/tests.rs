//! Over the wire, with a client that sees bytes.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_login_opens_the_api_until_it_is_revoked() {
    let sandbox = started().await;
    let token = log_in(&sandbox).await;
    assert_eq!(ping(&sandbox, &token).await.unwrap().0, 200);
    control(&sandbox, "revoke", r#"{"what": "access"}"#).await;
    let (status, _, body) = ping(&sandbox, &token).await.unwrap();
    assert_eq!((status, body.contains("INVALID_SESSION_ID")), (401, true));
    let log = sandbox.log();
    assert_eq!((log.count(Kind::Login), log.count(Kind::Ping)), (1, 2));
    assert_eq!(
        log.requests
            .iter()
            .map(|entry| entry.status)
            .collect::<Vec<_>>(),
        [Some(200), Some(200), Some(401)]
    );
}

#[tokio::test]
async fn a_skewed_server_says_so_in_its_date() {
    let sandbox = started().await;
    control(&sandbox, "settings", r#"{"skew_millis": -3153600000000}"#).await;
    let (_, head, _) = call(&sandbox, "GET", "/services/data/", "", "")
        .await
        .unwrap();
    let year = crate::clock::now()
        .wall
        .strftime("%Y")
        .to_string()
        .parse::<i32>()
        .unwrap()
        - 100;
    let date = head
        .lines()
        .find(|line| line.to_lowercase().starts_with("date:"))
        .unwrap();
    assert!(
        date.contains(&format!(" {year} ")) || date.contains(&format!(" {} ", year + 1)),
        "{date}"
    );
    assert_eq!(head.to_lowercase().matches("date:").count(), 1);
}

#[tokio::test]
async fn a_lost_answer_was_carried_out() {
    let sandbox = started().await;
    control(&sandbox, "lose", r#"{"to": "token"}"#).await;
    assert!(
        call(
            &sandbox,
            "POST",
            "/services/oauth2/token",
            "",
            &client_credentials(&sandbox)
        )
        .await
        .is_err()
    );
    assert_eq!(sandbox.sessions().len(), 1);
    log_in(&sandbox).await;
}

#[tokio::test]
async fn outages_look_as_ordered() {
    for (kind, expected) in [
        ("refuse", Seen::Status(503)),
        ("html", Seen::Status(503)),
        ("reset", Seen::Cut),
        ("hang", Seen::Nothing),
        ("drip", Seen::Nothing),
    ] {
        let sandbox = started().await;
        control(
            &sandbox,
            "outage",
            &format!(r#"{{"kind": "{kind}", "requests": 1}}"#),
        )
        .await;
        let seen = match timeout(Duration::from_millis(300), ping(&sandbox, "x")).await {
            Ok(Ok((status, _, _))) => Seen::Status(status),
            Ok(Err(_)) => Seen::Cut,
            Err(_) => Seen::Nothing,
        };
        assert_eq!(seen, expected, "{kind}");
        assert_eq!(
            ping(&sandbox, "x").await.unwrap().0,
            401,
            "{kind} ended after one request"
        );
    }
}

#[tokio::test]
async fn an_endless_body_has_no_end() {
    let sandbox = started().await;
    control(&sandbox, "outage", r#"{"kind": "endless"}"#).await;
    let mut stream = sent(&sandbox, "GET", "/services/data/", "", "")
        .await
        .unwrap();
    let mut buffer = vec![0; 1 << 22];
    timeout(PATIENCE, stream.read_exact(&mut buffer))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_closed_port_refuses_and_opens_again() {
    let sandbox = started().await;
    control(&sandbox, "outage", r#"{"kind": "closed", "seconds": 0.3}"#).await;
    let address = sandbox.url().trim_start_matches("http://").to_owned();
    let attempt = async || TcpStream::connect(&address).await.is_ok();
    wait_until(async || !attempt().await).await;
    wait_until(attempt).await;
}

#[tokio::test]
async fn planted_answers_take_the_place_of_the_true_one() {
    let sandbox = started().await;
    let token = log_in(&sandbox).await;
    control(&sandbox, "lookalike", r#"{"name": "request_limit"}"#).await;
    control(
        &sandbox,
        "answer",
        r#"{"to": "ping", "status": 299, "headers": {"x-a": "b"}, "body": "<"}"#,
    )
    .await;
    let seen = [
        ping(&sandbox, &token).await.unwrap(),
        ping(&sandbox, &token).await.unwrap(),
    ];
    assert_eq!((seen[0].0, seen[1].0, seen[1].2.as_str()), (403, 299, "<"));
    assert!(seen[1].1.contains("x-a: b"));
    assert_eq!(ping(&sandbox, &token).await.unwrap().0, 200);
}

#[tokio::test]
async fn time_can_be_moved_ahead() {
    let sandbox = started().await;
    let token = log_in(&sandbox).await;
    control(&sandbox, "advance", r#"{"by": "1h 59m"}"#).await;
    assert_eq!(
        ping(&sandbox, &token).await.unwrap().0,
        200,
        "use in the second half restarts the timer"
    );
    control(&sandbox, "advance", r#"{"by": "2h"}"#).await;
    assert_eq!(ping(&sandbox, &token).await.unwrap().0, 401);
}

#[tokio::test]
async fn a_control_that_makes_no_sense_is_told_so() {
    let sandbox = started().await;
    for (name, body, status) in [
        ("nonsense", "{}", 404),
        ("settings", r#"{"idle": 1}"#, 400),
        ("lookalike", r#"{"name": "x"}"#, 400),
        ("outage", r#"{"kind": "closed"}"#, 400),
        ("lose", "{", 400),
    ] {
        let (seen, _, said) = call(&sandbox, "POST", &format!("/sandbox/{name}"), "", body)
            .await
            .unwrap();
        assert_eq!(
            (seen, said.contains("error")),
            (status, true),
            "{name} {body}: {said}"
        );
    }
    assert_eq!(sandbox.log().requests.len(), 0, "controls are not logged");
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let sandbox = started().await;
    let token = log_in(&sandbox).await;
    control(&sandbox, "password", r#"{"new": "other"}"#).await;
    control(&sandbox, "reset", "").await;
    assert_eq!(sandbox.sessions(), []);
    assert_eq!(ping(&sandbox, &token).await.unwrap().0, 401);
    assert_ne!(
        log_in(&sandbox).await,
        token,
        "no token is handed out twice"
    );
}

#[tokio::test]
async fn the_second_port_leads_to_the_same_org() {
    let sandbox = started().await;
    let settings = json!({ "instance_url": sandbox.second_url() });
    sandbox.control("settings", settings).unwrap();
    let (_, _, body) = call(
        &sandbox,
        "POST",
        "/services/oauth2/token",
        "",
        &client_credentials(&sandbox),
    )
    .await
    .unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["instance_url"], sandbox.second_url());
    let reply = exchange(
        sandbox.second_url(),
        "GET",
        "/services/data/v65.0/",
        body["access_token"].as_str().unwrap(),
        "",
    );
    assert_eq!(reply.await.unwrap().0, 200);
}

#[tokio::test]
async fn a_stopped_sandbox_refuses_connections() {
    let sandbox = started().await;
    let url = sandbox.url().to_owned();
    sandbox.stop().await;
    assert!(
        exchange(&url, "GET", "/services/data/", "", "")
            .await
            .is_err()
    );
}

#[test]
fn written_secrets_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let credentials = Credentials::generate().unwrap();
    for _ in 0..2 {
        credentials.write(directory.path(), "config").unwrap();
    }
    let modes: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert_eq!(modes, [0o600; 6]);
}

#[derive(Debug, PartialEq)]
enum Seen {
    Status(u16),
    Cut,
    Nothing,
}

async fn started() -> Sandbox {
    Sandbox::start(Settings::default()).await.unwrap()
}

async fn log_in(sandbox: &Sandbox) -> String {
    let (status, _, body) = call(
        sandbox,
        "POST",
        "/services/oauth2/token",
        "",
        &client_credentials(sandbox),
    )
    .await
    .unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<Value>(&body).unwrap()["access_token"]
        .as_str()
        .unwrap()
        .to_owned()
}

fn client_credentials(sandbox: &Sandbox) -> String {
    let Credentials {
        client_id,
        client_secret,
        ..
    } = sandbox.credentials();
    format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}")
}

async fn ping(sandbox: &Sandbox, token: &str) -> io::Result<(u16, String, String)> {
    call(sandbox, "GET", "/services/data/v65.0/", token, "").await
}

async fn control(sandbox: &Sandbox, name: &str, body: &str) {
    let (status, _, said) = call(sandbox, "POST", &format!("/sandbox/{name}"), "", body)
        .await
        .unwrap();
    assert_eq!(status, 200, "{name}: {said}");
}

async fn call(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> io::Result<(u16, String, String)> {
    exchange(sandbox.url(), method, path, token, body).await
}

async fn exchange(
    url: &str,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> io::Result<(u16, String, String)> {
    let mut stream = send(url, method, path, token, body).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok((status, head.to_owned(), body.to_owned()))
}

async fn sent(
    sandbox: &Sandbox,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> io::Result<TcpStream> {
    send(sandbox.url(), method, path, token, body).await
}

async fn send(
    url: &str,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> io::Result<TcpStream> {
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await?;
    let length = body.len();
    let authorization = if token.is_empty() {
        String::new()
    } else {
        format!("Authorization: Bearer {token}\r\n")
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

async fn wait_until(condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}
