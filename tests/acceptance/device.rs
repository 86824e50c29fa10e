//! Logins by a code that is typed on another device, against servers that slow the daemon down, fail, decline, or fall silent
//! until the code has run out (RFC 8628).

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::support::daemon::Lab;
use crate::support::random_hex;
use crate::support::wire::{Request, Response, read_request};

#[test]
fn a_server_that_is_asked_too_often_is_asked_five_seconds_later_and_a_fault_ends_nothing() {
    let server = Server::start(60, &["slow_down", "500", "good"]);
    let mut lab = server.lab();
    lab.start();
    lab.await_state("tv", "needs_attention");
    let output = lab.run(&["login", "tv"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("http://tv.example/code") && said.contains("WDJB-MJHT"),
        "{said}"
    );
    assert!(
        said.contains("The server sends you to tv.example, which is neither"),
        "{said}"
    );
    assert_eq!(lab.await_token("tv"), server.access_token);
    let polls = server.polls();
    assert_eq!(polls.len(), 3);
    assert!(polls[1] - polls[0] >= Duration::from_secs(6), "{polls:?}");
    assert!(polls[2] - polls[1] >= Duration::from_secs(6), "{polls:?}");
}

#[test]
fn whoever_lets_the_code_run_out_or_declines_hears_so_at_once() {
    for (lasting, answer, said, polls) in [
        (3, "authorization_pending", "too late: begin again", 1..=4),
        (
            60,
            "expired_token",
            "the person did not log in before the code expired",
            1..=1,
        ),
        (60, "access_denied", "the login was declined", 1..=1),
    ] {
        let server = Server::start(lasting, &[answer]);
        let mut lab = server.lab();
        lab.start();
        lab.await_state("tv", "needs_attention");
        let begun = Instant::now();
        let output = lab.run(&["login", "tv"]);
        assert_eq!(output.status.code(), Some(1), "{answer}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(said),
            "{answer}: {output:?}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "{answer}: told after {:?}",
            begun.elapsed()
        );
        assert!(
            polls.contains(&server.polls().len()),
            "{answer}: {} polls",
            server.polls().len()
        );
        assert_eq!(lab.status("tv")["state"], "needs_attention");
    }
}

#[test]
fn a_device_login_for_openid_whose_answer_has_no_id_token_is_kept_since_nobody_promised_one() {
    let server = Server::start(60, &["good"]);
    let mut lab = server.lab_with("scope = \"openid\"\n");
    lab.start();
    lab.await_state("tv", "needs_attention");
    let said = lab.succeeds(&["login", "tv"]);
    assert!(
        said.contains("logged in to tv at ") && said.contains("does not tell as whom"),
        "{said}"
    );
    assert_eq!(lab.await_token("tv"), server.access_token);
    assert_eq!(server.polls().len(), 1);
}

#[test]
fn a_login_whose_person_the_server_does_not_tell_is_refused_where_a_username_is_given() {
    for (scope, remedy) in [
        ("openid", "add `profile email` to `scope`"),
        ("offline_access", "add `openid profile email` to `scope`"),
        ("openid profile email", "take `username` out"),
    ] {
        let server = Server::start(60, &["good"]);
        let mut lab = server.lab_with(&format!(
            "scope = \"{scope}\"\nusername = \"alice@acme.example\"\n"
        ));
        lab.start();
        lab.await_state("tv", "needs_attention");
        let output = lab.run(&["login", "tv"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{scope}: {said}");
        assert!(
            said.contains("alice@acme.example") && said.contains(remedy),
            "{scope}: {said}"
        );
        assert_eq!(lab.token("tv"), None, "{scope}");
        assert_eq!(server.polls().len(), 1, "{scope}");
    }
}

#[test]
fn an_address_that_the_server_has_not_verified_or_tells_of_another_user_logs_nobody_in() {
    let keys = |server: &Server| {
        format!(
            "scope = \"openid profile email\"\nusername = \"alice@acme.example\"\nuserinfo_url = \"{}/userinfo\"\n",
            server.url
        )
    };
    for (answer, said) in [
        (
            "unverified",
            "the server has not verified it: set `username` to what the server calls that user, mallory, and reload",
        ),
        (
            "no name",
            "the server's userinfo is about another user than its ID token",
        ),
    ] {
        let server = Server::start(60, &[answer]);
        let mut lab = server.lab_with(&keys(&server));
        lab.start();
        lab.await_state("tv", "needs_attention");
        let output = lab.run(&["login", "tv"]);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{answer}: {shown}");
        assert!(shown.contains(said), "{answer}: {shown}");
        assert_eq!(lab.token("tv"), None, "{answer}");
        assert_eq!(server.polls().len(), 1, "{answer}");
    }
    let server = Server::start(60, &["verified"]);
    let mut lab = server.lab_with(&keys(&server));
    lab.start();
    lab.await_state("tv", "needs_attention");
    lab.succeeds(&["login", "tv"]);
    assert_eq!(lab.await_token("tv"), server.access_token);
}

/// An answer with an ID token that says this of the user besides.
fn with_id_token(good: &serde_json::Value, of_user: &serde_json::Value) -> Response {
    let mut claims = json!({ "sub": "17", "aud": "tv", "exp": 4_000_000_000_u64 });
    for (name, value) in of_user.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let mut answer = good.clone();
    answer["id_token"] = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string())).into();
    Response::json(200, answer.to_string())
}

/// Gives codes, and answers polls by a list whose last entry stays.
struct Server {
    url: String,
    access_token: String,
    device_code: String,
    polls: Arc<Mutex<Vec<Instant>>>,
}

impl Server {
    fn start(lasting: u64, answers: &[&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (access_token, device_code, polls) = (
            random_hex(16),
            random_hex(16),
            Arc::<Mutex<Vec<Instant>>>::default(),
        );
        let begun = json!({
            "device_code": device_code, "user_code": "WDJB-MJHT", "verification_uri": "http://tv.example/code",
            "expires_in": lasting, "interval": 1,
        });
        let good =
            json!({ "access_token": access_token, "token_type": "Bearer", "expires_in": 3600 });
        let (answers, seen) = (answers.to_vec(), Arc::clone(&polls));
        let answer = move |request: &Request| -> Response {
            if request.path == "/device" {
                return Response::json(200, begun.to_string());
            }
            if request.path == "/userinfo" {
                let another = json!({ "sub": "18", "email": "alice@acme.example" });
                return Response::json(200, another.to_string());
            }
            let address = |verified: bool| {
                json!({
                    "email": "alice@acme.example", "email_verified": verified, "preferred_username": "mallory",
                })
            };
            let mut polls = seen.lock().unwrap();
            polls.push(Instant::now());
            match answers[(polls.len() - 1).min(answers.len() - 1)] {
                "good" => Response::json(200, good.to_string()),
                "unverified" => with_id_token(&good, &address(false)),
                "verified" => with_id_token(&good, &address(true)),
                "no name" => with_id_token(&good, &json!({})),
                "500" => Response::html(500, "<html>soon</html>"),
                error => Response::json(400, json!({ "error": error }).to_string()),
            }
        };
        thread::spawn(move || {
            let answer = Arc::new(answer);
            for stream in listener.incoming().flatten() {
                let answer = Arc::clone(&answer);
                thread::spawn(move || serve(stream, &*answer));
            }
        });
        Self {
            url,
            access_token,
            device_code,
            polls,
        }
    }

    fn polls(&self) -> Vec<Instant> {
        self.polls.lock().unwrap().clone()
    }

    fn lab(&self) -> Lab {
        self.lab_with("")
    }

    fn lab_with(&self, keys: &str) -> Lab {
        let secrets = vec![self.access_token.clone(), self.device_code.clone()];
        let lab = Lab::bare(&self.url, move || secrets.clone());
        lab.configure_text(&format!(
            "[sessions.tv]\nprovider = \"oauth2\"\nurl = \"{0}\"\n[sessions.tv.login]\ngrant = \"device_code\"\n\
             token_url = \"{0}/token\"\ndevice_authorization_url = \"{0}/device\"\nclient_id = \"tv\"\n{keys}",
            self.url
        ));
        lab
    }
}

fn serve(stream: TcpStream, answer: &impl Fn(&Request) -> Response) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        if !answer(&request).send(&mut writer) {
            return;
        }
    }
}
