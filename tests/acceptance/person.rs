//! Logins by a person, in real Chromium, against the certified provider; and everything that may go wrong on the way.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::daemon::{BINARY, Lab, Session};
use crate::support::oidc::{OidcProvider, node};
use crate::support::untried::can_as_root;
use crate::support::within;

/// A browser starts slowly where many tests run at once.
const PATIENCE: Duration = Duration::from_mins(2);

#[test]
fn a_browser_logs_in_and_the_session_lives_on_its_refresh_token() {
    let (provider, mut lab) = lab(6);
    lab.configure(&[browser(&provider, &lab, "username = \"alice\"")]);
    lab.start();
    let status = lab.await_state("web", "needs_attention");
    assert_eq!(status["attention"]["remedy"], "run `keepfresh login web`");
    assert_eq!(lab.code(&["token", "web"]), 79);
    let login = Login::begin(&lab, &["login", "web", "--no-browser"]);
    let page = visit(&login.address(), "alice");
    assert_eq!(
        (page["title"].as_str(), page["path"].as_str()),
        (Some("Logged in to web"), Some("/callback"))
    );
    assert_eq!(
        page["asked"],
        json!(["/callback"]),
        "the last page loads nothing"
    );
    let output = login.end();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.starts_with("logged in to web at http") && said.contains(" as alice\n"),
        "{said}"
    );
    let token = lab.await_token("web");
    assert!(
        lab.await_another_token("web", &token) != token,
        "renewed by the refresh token"
    );
    lab.kill();
    lab.start();
    lab.await_state("web", "alive");
    assert_eq!(provider.granted("authorization_code"), 1);
    assert!(
        provider.count("/token") <= 5,
        "{} token requests",
        provider.count("/token")
    );
}

#[test]
fn whoever_declines_or_is_somebody_else_changes_nothing() {
    let (provider, mut lab) = lab(600);
    lab.configure(&[browser(&provider, &lab, "username = \"alice\"")]);
    lab.start();
    for (user, said) in [
        ("bob", "bob logged in, but `username` is alice"),
        ("deny", "the login was declined"),
    ] {
        let login = Login::begin(&lab, &["login", "web", "--no-browser"]);
        let page = visit(&login.address(), user);
        assert_eq!(page["title"], "Not logged in to web");
        let output = login.end();
        assert_eq!(output.status.code(), Some(1), "{user}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(said),
            "{output:?}"
        );
    }
    assert_eq!(lab.status("web")["state"], "needs_attention");
    assert_eq!(provider.count("/token"), 1);
}

#[test]
fn a_code_is_typed_on_another_device() {
    let (provider, mut lab) = lab(600);
    let keys = "client_auth = \"none\"\nscope = \"openid offline_access\"";
    lab.configure(&[session(
        &provider,
        &lab,
        "tv",
        "device_code",
        "device",
        keys,
    )]);
    lab.start();
    let begun = Instant::now();
    let login = Login::begin(&lab, &["login", "tv"]);
    let code = login.code();
    visit(&format!("{}?user_code={code}", login.address()), "alice");
    let output = login.end();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(provider.active(&lab.await_token("tv")));
    // One in five seconds, as the server wants it.
    let most = 3 + usize::try_from(begun.elapsed().as_secs() / 5).unwrap();
    assert!(
        provider.count("/token") <= most,
        "{} polls",
        provider.count("/token")
    );
}

#[test]
fn only_this_logins_own_address_is_taken_and_only_once() {
    let (provider, mut lab) = lab(600);
    lab.configure(&[browser(&provider, &lab, "")]);
    lab.start();
    lab.await_state("web", "needs_attention");
    let begin = || -> Value {
        lab.post(
            "/v1/sessions/web/login?wait=10s",
            "{\"redirect_port\": 4711}",
        )
        .json()
    };
    let older = begin();
    let latest = begin();
    let hand_in = |login: &Value, address: &str| {
        let path = format!(
            "/v1/sessions/web/login/{}?wait=10s",
            login["login"].as_str().unwrap()
        );
        lab.post(&path, &json!({ "redirected": address }).to_string())
    };
    let state = |login: &Value| query(login["url"].as_str().unwrap(), "state");
    assert_ne!(state(&older), state(&latest));
    let with = |state: &str, rest: &str| {
        format!(
            "{}?state={state}{rest}",
            latest["redirect_uri"].as_str().unwrap()
        )
    };
    for (login, address, status) in [
        (&older, with(&state(&older), "&code=c"), 404),
        (&latest, "hello".to_owned(), 400),
        (&latest, with(&state(&older), "&code=c"), 409),
        (&latest, with("guess", "&code=c"), 409),
        (&latest, with("guess", "&error=access_denied"), 409),
    ] {
        assert_eq!(hand_in(login, &address).status, status, "{address}");
    }
    assert_eq!(
        provider.count("/token"),
        0,
        "nothing was sent to the server"
    );
    // The right state, but of another issuer: over.
    let evil = with(&state(&latest), "&code=c&iss=https%3A%2F%2Fevil.example");
    assert_eq!(hand_in(&latest, &evil).status, 502);
    assert_eq!(
        hand_in(&latest, &with(&state(&latest), "&code=c")).status,
        502,
        "a login that is over stays over"
    );
    let forged = begin();
    let issuer = provider.issuer.replace(':', "%3A").replace('/', "%2F");
    let address = with(&state(&forged), &format!("&code=forged&iss={issuer}"));
    assert_eq!(
        hand_in(&forged, &address).status,
        502,
        "the server refuses the code"
    );
    assert_eq!(hand_in(&forged, &address).status, 502);
    assert_eq!(provider.count("/token"), 1, "and is asked once");
    let lost = begin();
    lab.kill();
    lab.start();
    lab.await_state("web", "needs_attention");
    let path = format!("/v1/sessions/web/login/{}", lost["login"].as_str().unwrap());
    let gone = lab.get(&path).unwrap();
    assert_eq!(
        (gone.status, gone.json()["type"].as_str()),
        (404, Some("no-such-login"))
    );
}

#[test]
fn only_an_admin_may_begin() {
    if !can_as_root("become another user") {
        return;
    }
    let (provider, mut lab) = lab(600);
    lab.configure(&[browser(&provider, &lab, "")]);
    lab.start();
    lab.await_state("web", "needs_attention");
    assert_eq!(lab.run_as_nobody(&["login", "web"]).status.code(), Some(77));
}

#[test]
fn the_address_of_a_login_and_its_return_are_for_the_person_who_began_it_and_for_nobody_else() {
    let Some((provider, lab)) = with_admins() else {
        return;
    };
    let noted = stub_browser(&lab);
    let said = tempfile::NamedTempFile::new().unwrap();
    let path = format!(
        "{}:{}",
        lab.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = as_user(PERSON, BINARY);
    command.args(["login", "web", "--socket"]).arg(lab.socket());
    command
        .env("DISPLAY", ":0")
        .env("PATH", path)
        .env_remove("SSH_CONNECTION");
    let printed = tempfile::NamedTempFile::new().unwrap();
    let child = command
        .stdin(Stdio::null())
        .stdout(printed.reopen().unwrap())
        .stderr(said.reopen().unwrap())
        .spawn()
        .unwrap();
    let login = Login {
        child,
        said,
        printed,
    };
    let address = login.address();
    let opened = within(PATIENCE, "the browser", || {
        let opened = fs::read_to_string(&noted).unwrap().trim().to_owned();
        (!opened.is_empty()).then_some(opened)
    });
    let ask = |user: u32, host: Option<&str>, address: &str| {
        let mut curl = as_user(user, "curl");
        curl.args(["-sS", "-m", "10", "-i", "--noproxy", "*"]);
        curl.args(host.map(|host| format!("-Hhost: {host}")));
        let output = curl.arg(address).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let state = query(&address, "state");
    for (user, host, status) in [
        (NEIGHBOUR, None, 403),
        (PERSON, Some("evil.example"), 404),
        (PERSON, Some("localhost"), 404),
        (PERSON, None, 302),
        (PERSON, None, 302),
        (NEIGHBOUR, None, 403),
    ] {
        let answer = ask(user, host, &opened);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{user} {host:?}: {answer}"
        );
        assert_eq!(answer.contains(&state), status == 302, "{answer}");
    }
    // Even one who knew the state could not bring a token of his own account into the session.
    let returned = format!(
        "{}?code=neighbours&state={state}",
        query(&address, "redirect_uri")
    );
    assert!(ask(NEIGHBOUR, None, &returned).starts_with("HTTP/1.1 403 "));
    assert!(ask(PERSON, Some("evil.example"), &returned).starts_with("HTTP/1.1 404 "));
    assert!(
        login
            .text()
            .contains("turned away a browser of another user"),
        "{}",
        login.text()
    );
    assert_eq!(provider.count("/token"), 0);
}

#[test]
fn nothing_that_reaches_the_listener_of_a_login_moves_it_but_the_persons_own_return() {
    let (provider, mut lab) = lab(600);
    lab.configure(&[browser(&provider, &lab, "")]);
    lab.start();
    lab.await_state("web", "needs_attention");
    let login = Login::begin(&lab, &["login", "web"]);
    let address = login.address();
    let (state, redirect) = (query(&address, "state"), query(&address, "redirect_uri"));
    let redirect = url::Url::parse(&redirect).unwrap();
    let (at, path) = (redirect.port().unwrap(), redirect.path());
    let host = format!("host: 127.0.0.1:{at}\r\n");
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", at)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let ask = |request: &str| {
        let mut stream = connect();
        // It may be let go before it was sent to its end.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    // Those who connect and say nothing, or dawdle, have no place that others need.
    let _silent: Vec<TcpStream> = (0..100).map(|_| connect()).collect();
    let _slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(b"GET /call").unwrap();
            stream
        })
        .collect();
    let good = format!("{path}?code=c&state={state}");
    let long = "a".repeat(70_000);
    for (request, status) in [
        (
            format!("GET {path}?code=c&state=guess HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (format!("GET {path}?code=c HTTP/1.1\r\n{host}\r\n"), "400"),
        (
            format!("GET {path}?error=access_denied&state=guess HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (
            format!("GET {path}?error=access_denied HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (
            format!("GET {good}&state=guess HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (
            format!("GET {path}?state=guess&code=c&state={state} HTTP/1.1\r\n{host}\r\n"),
            "400",
        ),
        (format!("GET {good}&code=d HTTP/1.1\r\n{host}\r\n"), "400"),
        (format!("GET {path} HTTP/1.1\r\n{host}\r\n"), "404"),
        (
            "GET /favicon.ico HTTP/1.1\r\nhost: x\r\n\r\n".repeat(50),
            "404",
        ),
        (format!("GET /open HTTP/1.1\r\n{host}\r\n"), "404"),
        (
            format!("GET http://127.0.0.1:{at}{good} HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            format!("GET {good} HTTP/1.1\r\nhost: evil.example:{at}\r\n\r\n"),
            "404",
        ),
        (
            format!("GET {good} HTTP/1.1\r\nhost: 127.0.0.1.evil.example:{at}\r\n\r\n"),
            "404",
        ),
        (
            format!("GET {good} HTTP/1.1\r\n{host}host: evil.example\r\n\r\n"),
            "404",
        ),
        (format!("GET {good} HTTP/1.1\r\n\r\n"), "404"),
        (format!("HEAD {good} HTTP/1.1\r\n{host}\r\n"), ""),
        (
            format!("POST {good} HTTP/1.1\r\n{host}content-length: 1\r\n\r\nx"),
            "",
        ),
        (
            format!("GET {good} HTTP/1.1\r\n{host}x: {long}\r\n\r\n"),
            "431",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        ("\u{16}\u{3}\u{1}".repeat(200), "400"),
    ] {
        let answer = ask(&request);
        let begun: String = request.chars().take(80).collect();
        let given = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(given, status, "{begun:?}: {answer}");
        assert!(!answer.contains(&state), "{begun:?}");
    }
    assert_eq!(provider.count("/token"), 0, "{}", login.text());
    visit(&address, "alice");
    assert_eq!(login.end().status.code(), Some(0));
    assert_eq!(provider.count("/token"), 1);
}

#[test]
fn only_the_admin_who_began_a_login_or_root_brings_it_to_its_end() {
    let Some((provider, lab)) = with_admins() else {
        return;
    };
    let post = |user: u32, path: &str, body: &str| -> Value {
        let mut curl = as_user(user, "curl");
        curl.args(["-sS", "-m", "20", "--unix-socket"])
            .arg(lab.socket())
            .args(["-d", body]);
        curl.arg(format!("http://x/v1/sessions/web/login{path}"));
        serde_json::from_slice(&curl.output().unwrap().stdout).unwrap()
    };
    let begun = post(PERSON, "?wait=10s", "{\"redirect_port\": 4711}");
    let state = query(begun["url"].as_str().unwrap(), "state");
    let body = json!({ "redirected": format!("?code=admins&state={state}") }).to_string();
    let answer = post(
        ADMIN,
        &format!("/{}?wait=10s", begun["login"].as_str().unwrap()),
        &body,
    );
    assert_eq!(answer["type"], "conflict", "{answer}");
    assert!(
        answer["detail"]
            .as_str()
            .unwrap()
            .contains("the user 61041 began this login"),
        "{answer}"
    );
    assert_eq!(provider.count("/token"), 0);
}

/// Users who may order, and one who may not.
const PERSON: u32 = 61_041;
const ADMIN: u32 = 61_042;
const NEIGHBOUR: u32 = 61_043;

/// A session that waits for a person; nothing where nobody can become somebody else.
fn with_admins() -> Option<(Arc<OidcProvider>, Lab)> {
    if !can_as_root("become another user") {
        return None;
    }
    let (provider, mut lab) = lab(600);
    lab.configure(&[browser(&provider, &lab, "")]);
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!(
        "{config}\n[socket]\nadmins = [\"user:{PERSON}\", \"user:{ADMIN}\"]\n"
    ));
    lab.start();
    lab.await_state("web", "needs_attention");
    Some((provider, lab))
}

/// What stands in for a browser notes down what it is to open, where this says; everybody can read it in the list of processes.
fn stub_browser(lab: &Lab) -> PathBuf {
    let noted = lab.path("noted");
    fs::create_dir(lab.path("bin")).unwrap();
    fs::write(
        lab.path("bin/xdg-open"),
        format!("#!/bin/sh\necho \"$1\" >{}\n", noted.display()),
    )
    .unwrap();
    fs::set_permissions(lab.path("bin/xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&noted, "").unwrap();
    chown(&noted, Some(PERSON), None).unwrap();
    noted
}

/// A program as another user.
fn as_user(user: u32, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            &format!("--reuid={user}"),
            &format!("--regid={user}"),
            "--clear-groups",
            program,
        ])
        .current_dir("/");
    command
}

/// `keepfresh login`, under way.
struct Login {
    child: Child,
    said: tempfile::NamedTempFile,
    printed: tempfile::NamedTempFile,
}

impl Login {
    fn begin(lab: &Lab, args: &[&str]) -> Self {
        let said = tempfile::NamedTempFile::new().unwrap();
        let mut command = lab.command(args);
        let printed = tempfile::NamedTempFile::new().unwrap();
        let child = command
            .stdout(printed.reopen().unwrap())
            .stderr(said.reopen().unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            said,
            printed,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        File::open(self.said.path())
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    /// The address that it shows.
    fn address(&self) -> String {
        within(PATIENCE, "an address", || {
            let text = self.text();
            let line = text.lines().find(|line| line.starts_with("    http"))?;
            // The instructions are there as a whole, or not at all.
            text.contains(if text.contains("code there") {
                "within"
            } else {
                "paste"
            })
            .then(|| line.trim().to_owned())
        })
    }

    /// The code that it shows.
    fn code(&self) -> String {
        within(PATIENCE, "a code", || {
            let text = self.text();
            let mut lines = text
                .lines()
                .skip_while(|line| !line.starts_with("and type"));
            lines
                .find(|line| line.starts_with("    "))
                .map(|line| line.trim().to_owned())
        })
    }

    fn end(mut self) -> Output {
        let status = within(PATIENCE, "the end of the login", || {
            self.child.try_wait().unwrap()
        });
        let stdout = std::fs::read(self.printed.path()).unwrap();
        Output {
            status,
            stdout,
            stderr: self.text().into_bytes(),
        }
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Walks through the provider's pages; what the last page is like.
fn visit(address: &str, user: &str) -> Value {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc-provider");
    let output = Command::new(node())
        .args(["browser.mjs", address, user])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn query(address: &str, name: &str) -> String {
    let (_, query) = address.split_once('?').unwrap();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(known, _)| known == name)
        .unwrap()
        .1
        .into_owned()
}

fn browser(provider: &OidcProvider, lab: &Lab, more: &str) -> Session {
    let keys = format!("client_auth = \"none\"\nscope = \"openid profile offline_access\"\n{more}");
    session(provider, lab, "web", "authorization_code", "browser", &keys)
}

fn session(
    provider: &OidcProvider,
    lab: &Lab,
    name: &str,
    grant: &str,
    client: &str,
    keys: &str,
) -> Session {
    let issuer = &provider.issuer;
    let login =
        format!("grant = \"{grant}\"\nclient_id = \"{client}\"\nissuer = \"{issuer}\"\n{keys}\n");
    lab.session(name, &login)
        .provider("oauth2")
        .key("renew_before = \"2s\"")
}

fn lab(token_seconds: u32) -> (Arc<OidcProvider>, Lab) {
    let provider = Arc::new(OidcProvider::start(token_seconds));
    let asked = Arc::clone(&provider);
    let mut lab = Lab::bare(&provider.issuer, move || asked.needles());
    lab.request_timeout = "10s";
    (provider, lab)
}
