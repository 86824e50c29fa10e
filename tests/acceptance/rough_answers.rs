//! Answers as rough servers write them: what another client reads is read here too, and nothing else is taken for it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::support::daemon::{Lab, Session};
use crate::support::rough::{Rough, answer};
use crate::support::{SOON, within};

const SECRET: &str = "correct-horse-7";

pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

/// The login of every profile here.
const FORM: &str = "path = \"/login\"\nform = { user = \"{user}\", password = \"{password}\" }";

/// What every profile of requests here has in common.
const HTTP: &str = r#"
protocol = "http"
[parameters]
user = { required = true, about = "user name" }
password = { required = true, secret = true, about = "password" }
[[example]]
to = "login"
status = 401
verdict = "refused"
"#;

#[test]
fn a_server_that_compares_the_names_of_headers_letter_by_letter_is_understood() {
    let server = Rough::start(|asked, _| match asked.header("Content-Type") {
        "application/x-www-form-urlencoded" => answer(
            200,
            JSON,
            r#"{"access_token":"title-token","expires_in":600}"#,
        ),
        _ if asked.header("content-type").is_empty() => {
            answer(415, JSON, r#"{"error":"invalid_request"}"#)
        }
        _ => answer(
            200,
            JSON,
            r#"{"access_token":"lower-token","expires_in":600}"#,
        ),
    });
    let mut lab = lab(&server);
    lab.configure(&[
        client(&lab, "title"),
        client(&lab, "lower").table("http", "header_names = \"lower\""),
    ]);
    lab.start();
    assert_eq!(lab.await_token("title"), "title-token");
    assert_eq!(lab.await_token("lower"), "lower-token");
    assert_eq!(server.asked("/token").len(), 2);
}

#[test]
fn folded_lines_and_odd_headers_are_read_as_every_client_reads_them() {
    const ODD: [&str; 4] = [
        "Content-Security-Policy:\r\n  default-src 'self';\r\n\timg-src *\r\n",
        "X-Powered-By : iLO\r\n",
        "X Frame Options: DENY\r\n",
        "no header at all\r\n",
    ];
    let server = Rough::start(|_, before| {
        answer(
            200,
            &format!("{}{JSON}", ODD[before % ODD.len()]),
            r#"{"access_token":"odd-token","expires_in":600}"#,
        )
    });
    let mut lab = lab(&server);
    let names = ["folded", "spaced", "blank", "none"];
    lab.configure(&names.map(|name| client(&lab, name)));
    lab.start();
    for name in names {
        assert_eq!(lab.await_token(name), "odd-token", "{name}");
    }
    assert_eq!(server.asked("/token").len(), ODD.len());
}

#[test]
fn a_json_object_that_ends_with_its_connection_is_whole_however_that_ends() {
    let (whole, half) = (
        r#"{"access_token":"whole-token","expires_in":600}"#,
        r#"{"access_token":"half-token","expires"#,
    );
    let (good, bad) = (Resetting::start(whole), Resetting::start(half));
    let mut lab = Lab::bare(&good.url, || vec![SECRET.to_owned()]);
    lab.secret("password", SECRET);
    lab.configure(&[client(&lab, "whole"), client(&lab, "half").url(&bad.url)]);
    lab.start();
    assert_eq!(lab.await_token("whole"), "whole-token");
    last_error(&lab, "half");
    assert_eq!(lab.token("half"), None);
    assert_eq!(good.calls.load(Ordering::Relaxed), 1);
    assert!((1..=3).contains(&bad.calls.load(Ordering::Relaxed)));
}

#[test]
fn an_empty_refresh_token_leaves_the_one_that_is_held_and_idle_members_cost_nothing() {
    let server = Rough::start(|asked, before| {
        if !asked.body.contains("refresh_token=first-refresh-token") {
            return answer(400, JSON, r#"{"error":"invalid_grant"}"#);
        }
        let idle =
            r#""refresh_token":"","error":"","token_type":"bearer ","scope":"a","scope":"b""#;
        answer(
            200,
            JSON,
            &format!("{{\"access_token\":\"token-{before}\",\"expires_in\":3,{idle}}}\0"),
        )
    });
    let mut lab = lab(&server);
    lab.configure(&[by_refresh_token(&lab, "first-refresh-token")]);
    lab.start();
    for token in ["token-0", "token-1", "token-2"] {
        within(SOON, token, || {
            (lab.token("refresh").as_deref() == Some(token)).then_some(())
        });
    }
    assert!(lab.status("refresh")["attention"].is_null());
    assert!((3..=5).contains(&server.asked("/token").len()));
}

#[test]
fn a_new_refresh_token_that_cannot_be_kept_is_said_and_the_one_before_it_is_not_lost() {
    let server = Rough::start(|asked, before| {
        match (
            asked.body.contains("refresh_token=first-refresh-token"),
            before,
        ) {
            (true, 0) => answer(
                200,
                JSON,
                r#"{"access_token":"token-0","expires_in":4,"refresh_token":"next\u0007refresh-token"}"#,
            ),
            (true, _) => answer(200, JSON, r#"{"access_token":"token-1","expires_in":600}"#),
            (false, _) => answer(400, JSON, r#"{"error":"invalid_grant"}"#),
        }
    });
    let mut lab = lab(&server);
    lab.configure(&[by_refresh_token(&lab, "first-refresh-token")]);
    lab.start();
    assert_eq!(lab.await_token("refresh"), "token-0");
    within(SOON, "a warning", || {
        lab.said()
            .contains("a refresh token that cannot be kept")
            .then_some(())
    });
    assert!(
        lab.said().contains("neither visible ASCII nor a blank"),
        "{}",
        lab.tail()
    );
    assert_eq!(lab.await_another_token("refresh", "token-0"), "token-1");
    assert_eq!(server.asked("/token").len(), 2);
}

#[test]
fn a_token_that_had_ended_before_it_came_is_not_published_and_not_asked_for_in_a_storm() {
    let server = Rough::start(|asked, _| {
        let (second, opaque) = (seconds(), asked.body.contains("client_id=opaque"));
        let life = if asked.body.contains("client_id=zero") {
            0
        } else {
            -12
        };
        let token = if opaque {
            "opaque-token".to_owned()
        } else {
            jwt(second, second - 12)
        };
        let refresh = jwt(second, second - 12);
        answer(
            200,
            &format!("{JSON}Date: {}\r\n", date()),
            &format!(
                r#"{{"access_token":"{token}","expires_in":{life},"refresh_expires_in":{life},"refresh_token":"{refresh}"}}"#
            ),
        )
    });
    let mut lab = lab(&server);
    let names = ["negative", "zero", "opaque"];
    let session = |name: &str| {
        let login = format!(
            "grant = \"password\"\nrealm = \"acme\"\nclient_id = \"{name}\"\nusername = \"{name}\"\npassword = {}\n",
            lab.source("password")
        );
        lab.session(name, &login).provider("keycloak")
    };
    lab.configure(&names.map(session));
    lab.start();
    for name in names {
        let said = last_error(&lab, name);
        assert_eq!(said["verdict"], "expired", "{name}");
        assert!(
            said["detail"]
                .to_string()
                .contains("had ended before it came"),
            "{name}: {said}"
        );
    }
    sleep(Duration::from_secs(4));
    for name in names {
        assert_eq!(lab.token(name), None, "{name}");
    }
    let calls = server
        .asked("/realms/acme/protocol/openid-connect/token")
        .len();
    assert!((3..=12).contains(&calls), "{calls} calls");
}

#[test]
fn a_session_cookie_that_a_ping_takes_away_is_dead_after_a_second_look() {
    let gone =
        "Set-Cookie: SID=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/\r\n";
    let server = Rough::start(move |asked, before| match asked.path.as_str() {
        "/login" => answer(
            200,
            &format!("{gone}Set-Cookie: lang=en, SID=cookie-{before}; Path=/\r\n"),
            "{}",
        ),
        _ if asked.header("Cookie") == "SID=cookie-0" => answer(200, gone, "{}"),
        // Of another place, and with another in its stead.
        _ => answer(200, "Set-Cookie: SID=; Path=/old; Max-Age=0\r\n", "{}"),
    });
    let mut lab = lab(&server);
    let profile = format!(
        "window = {{ model = \"sliding\", idle_timeout = \"3s\" }}\nuse.cookies = {{ SID = \"{{token}}\" }}\nping.path = \"/ping\"\n\
         [login]\n{FORM}\n[login.capture]\ntoken = {{ cookie = \"SID\" }}\n"
    );
    lab.configure(&[described(&lab, "cookie", &profile)]);
    lab.start();
    let first = lab.await_token("cookie");
    assert_eq!(lab.await_another_token("cookie", &first), "cookie-1");
    let pings = |cookie: &str| {
        server
            .asked("/ping")
            .iter()
            .filter(|ping| ping.header("Cookie") == cookie)
            .count()
    };
    assert_eq!(pings("SID=cookie-0"), 2);
    within(SOON, "further pings", || {
        (pings("SID=cookie-1") >= 2).then_some(())
    });
    assert_eq!(lab.token("cookie").as_deref(), Some("cookie-1"));
    assert_eq!(server.asked("/login").len(), 2);
}

#[test]
fn a_login_that_only_takes_a_cookie_away_is_refused_in_these_words() {
    let server = Rough::start(|_, _| answer(200, "Set-Cookie: SID=deleted; Max-Age=0\r\n", "{}"));
    let mut lab = lab(&server);
    let profile = format!(
        "window = {{ model = \"sliding\", idle_timeout = \"1h\" }}\nuse.cookies = {{ SID = \"{{token}}\" }}\nping.path = \"/ping\"\n\
         [login]\n{FORM}\n[login.capture]\ntoken = {{ cookie = \"SID\" }}\n"
    );
    lab.configure(&[described(&lab, "cookie", &profile)]);
    lab.start();
    let status = lab.await_state("cookie", "needs_attention");
    assert!(
        status["attention"]
            .to_string()
            .contains("takes the cookie `SID` away"),
        "{status}"
    );
    assert_eq!(
        (lab.token("cookie"), server.asked("/login").len()),
        (None, 1)
    );
}

#[test]
fn a_login_by_requests_takes_its_end_from_the_jwt_and_several_values_stand_in_one_base64() {
    let server = Rough::start(|asked, before| match asked.path.as_str() {
        "/login" => {
            let token = jwt(seconds(), seconds() + 4);
            answer(
                200,
                JSON,
                &format!(r#"{{"token":"{token}{before}","id":7,"error":null}}"#),
            )
        }
        _ if asked.header("Authorization").starts_with("Session ") => {
            answer(200, JSON, r#"{"error":null}"#)
        }
        _ => answer(401, JSON, r#"{"error":"who"}"#),
    });
    let mut lab = lab(&server);
    let profile = format!(
        "window = {{ model = \"fixed\" }}\nping.path = \"/ping\"\n\
         use.headers = {{ Authorization = \"Session {{base64:{{user}}:{{id}}:{{token}}}}\" }}\n\
         [[answer]]\nto = [\"ping\"]\njson = {{ \"/error\" = {{ null = true }} }}\nverdict = \"alive\"\n\
         [[answer]]\nto = [\"ping\"]\njson = {{ \"/error\" = {{ null = false }} }}\nverdict = \"dead\"\n\
         [login]\n{FORM}\n[login.capture]\ntoken = {{ json = \"/token\" }}\nid = {{ json = \"/id\" }}\nexpires_at = {{ jwt = \"exp\" }}\n"
    );
    lab.configure(&[described(&lab, "jwt", &profile)]);
    lab.start();
    let first = lab.await_token("jwt");
    assert!(!lab.status("jwt")["token_expires_at"].is_null());
    lab.succeeds(&["verify", "jwt"]);
    let pair = STANDARD.encode(format!("robot:7:{first}"));
    assert_eq!(
        server.asked("/ping")[0].header("Authorization"),
        format!("Session {pair}")
    );
    let second = lab.await_another_token("jwt", &first);
    lab.await_another_token("jwt", &second);
    assert!((3..=4).contains(&server.asked("/login").len()));
}

#[test]
fn a_wait_is_kept_however_it_is_written() {
    let server = Rough::start(|asked, _| {
        let wait = match asked.path.as_str() {
            "/float" => "600.0".to_owned(),
            "/unit" => "600s".to_owned(),
            "/epoch" => (seconds() + 600).to_string(),
            _ => date_in(600).replace(" GMT", " UTC"),
        };
        answer(429, &format!("Retry-After: {wait}\r\n"), "")
    });
    let mut lab = lab(&server);
    let names = ["float", "unit", "epoch", "date"];
    lab.configure(
        &names.map(|name| client(&lab, name).login_key("token_url", &format!("/{name}"))),
    );
    lab.start();
    for name in names {
        last_error(&lab, name);
    }
    sleep(Duration::from_secs(4));
    for name in names {
        assert_eq!(server.asked(&format!("/{name}")).len(), 1, "{name}");
    }
}

pub(crate) fn lab(server: &Rough) -> Lab {
    let lab = Lab::bare(server.url(), || {
        vec![SECRET.to_owned(), "first-refresh-token".to_owned()]
    });
    lab.secret("password", SECRET);
    lab
}

pub(crate) fn client(lab: &Lab, name: &str) -> Session {
    let secret = lab.source("password");
    let login = format!(
        "grant = \"client_credentials\"\nclient_id = \"{name}\"\nclient_secret = {secret}\ntoken_url = \"/token\"\n"
    );
    lab.session(name, &login).provider("oauth2")
}

pub(crate) fn by_refresh_token(lab: &Lab, token: &str) -> Session {
    lab.secret("refresh-token", token);
    let token = lab.source("refresh-token");
    let login = format!(
        "grant = \"refresh_token\"\nclient_id = \"c\"\nclient_auth = \"none\"\nrefresh_token = {token}\ntoken_url = \"/token\"\n"
    );
    lab.session("refresh", &login).provider("oauth2")
}

/// A session by a profile of requests, called as the session is; `rest` are top-level keys first, then tables.
fn described(lab: &Lab, name: &str, rest: &str) -> Session {
    let _ = fs::create_dir(lab.path("providers"));
    let (keys, tables) = rest
        .split_once("\n[")
        .map_or((rest, ""), |(keys, tables)| (keys, tables));
    let tables = if tables.is_empty() {
        String::new()
    } else {
        format!("[{tables}")
    };
    let text = format!("name = \"{name}\"\ntitle = \"Rough\"\n{keys}\n{HTTP}\n{tables}");
    fs::write(lab.path(&format!("providers/{name}.toml")), text).unwrap();
    let login = format!("user = \"robot\"\npassword = {}\n", lab.source("password"));
    lab.session(name, &login).provider(name)
}

/// A server that says no length and resets each connection under its answer, as TLS without its goodbye looks to a client.
struct Resetting {
    url: String,
    calls: Arc<AtomicUsize>,
}

impl Resetting {
    fn start(body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (url, calls) = (
            format!("http://{}", listener.local_addr().unwrap()),
            Arc::<AtomicUsize>::default(),
        );
        let counted = Arc::clone(&calls);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 4096]);
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 X\r\n{JSON}Connection: close\r\n\r\n{body}"
                );
                // What the client has not read by then is lost to it.
                sleep(Duration::from_millis(500));
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            }
        });
        Self { url, calls }
    }
}

/// The first failure that the daemon tells of, however long it takes to be up.
pub(crate) fn last_error(lab: &Lab, name: &str) -> Value {
    within(SOON, name, || {
        let status = lab
            .get(&format!("/v1/sessions/{name}"))
            .filter(|answer| answer.status == 200)?
            .json();
        Some(status["last_error"].clone()).filter(|error| !error.is_null())
    })
}

fn jwt(issued: i64, end: i64) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.c2lnbmF0dXJl",
        part(r#"{"alg":"RS256"}"#),
        part(&format!(r#"{{"iat":{issued},"exp":{end}}}"#))
    )
}

pub(crate) fn seconds() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap()
}

pub(crate) fn date() -> String {
    date_in(0)
}

fn date_in(more: i64) -> String {
    let moment = jiff::Timestamp::from_second(seconds() + more).unwrap();
    moment
        .to_zoned(jiff::tz::TimeZone::UTC)
        .strftime("%a, %d %b %Y %H:%M:%S GMT")
        .to_string()
}
