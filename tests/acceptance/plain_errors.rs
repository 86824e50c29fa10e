//! What a person reads when something is wrong: what, where, why, and what to type.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use serde_json::Value;

use crate::support::daemon::{Lab, Session};
use crate::support::org::{Endpoint, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::terminal::Terminal;
use crate::support::tls::TlsServer;
use crate::support::{SOON, within};

#[test]
fn a_refused_connection_names_its_host_and_the_command_that_finds_the_cause() {
    let url = nothing_listens();
    let host = url.trim_start_matches("http://");
    let mut lab = Lab::bare(&url, Vec::new);
    lab.secret("client-secret", "a-secret-of-the-client");
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    await_failure(&lab, "crm");
    let shown = lab.succeeds(&["status"]);
    let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(&format!("cannot connect to {host}: Connection refused")),
        "{shown}"
    );
    assert!(words.contains("run `keepfresh check --live`"), "{shown}");
}

#[test]
fn a_command_at_a_terminal_says_that_it_waits_for_a_daemon_that_is_not_there() {
    let lab = Lab::bare("http://127.0.0.1:9", Vec::new);
    let mut screen = Terminal::start(lab.command(&["token", "crm", "--wait", "4s"]), 200, 24);
    screen.until("the daemon is not running");
    screen.until("waiting for it, ");
    screen.until(" at most");
    assert_eq!(screen.ended().code(), Some(69));
    let piped = lab.run(&["token", "crm", "--wait", "3s"]);
    let said = String::from_utf8_lossy(&piped.stderr);
    assert!(!said.contains("waiting for it"), "a job's log: {said}");
}

#[test]
fn a_secret_that_cannot_be_read_names_its_source_the_cause_and_what_to_type() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    let mut lab = Lab::bare(&url, Vec::new);
    lab.secret("client-secret", "a-secret-of-the-client");
    lab.secret("empty", "");
    lab.secret("open", "a-secret-of-the-client");
    fs::set_permissions(
        lab.path("open"),
        std::os::unix::fs::PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let sourced = |name: &str, source: &str| -> Session {
        let session = lab.by_client(name).without_login_key("client_secret");
        session.login_line(&format!("client_secret = {source}"))
    };
    let gone = lab.source("no-such-secret");
    let cases = [
        (
            "missing",
            gone.as_str(),
            "no-such-secret: it does not exist",
            "/dev/stdin",
        ),
        (
            "open",
            &lab.source("open"),
            "its mode is 0644",
            "run `chmod o= ",
        ),
        (
            "empty",
            &lab.source("empty"),
            "it is empty",
            "put the secret there",
        ),
        (
            "credential",
            "{ credential = \"crm-secret\" }",
            "cannot find the credential crm-secret",
            "LoadCredential=crm-secret:PATH",
        ),
        (
            "variable",
            "{ env = \"KEEPFRESH_TEST_ABSENT\" }",
            "the environment variable KEEPFRESH_TEST_ABSENT: it is not set",
            "set it where keepfresh is started",
        ),
        (
            "program",
            "{ command = [\"no-such-password-manager\", \"show\"] }",
            "the command no-such-password-manager: there is no such program",
            "install no-such-password-manager, or name it by its whole path",
        ),
        (
            "failing",
            "{ command = [\"sh\", \"-c\", \"echo no key >&2; exit 3\"] }",
            "the command sh: it ended with exit status: 3 and said: no key",
            "run it by hand as the daemon's user",
        ),
    ];
    lab.configure(&cases.map(|(name, source, ..)| sourced(name, source)));
    lab.start();
    for (name, _, problem, remedy) in cases {
        let attention = lab.await_state(name, "needs_attention")["attention"].clone();
        let (reason, to_do) = (text(&attention["reason"]), text(&attention["remedy"]));
        assert!(
            reason.starts_with("client_secret: cannot ") && reason.contains(problem),
            "{name}: {reason}"
        );
        assert!(
            to_do.contains(remedy) && to_do.ends_with(&format!("`keepfresh login {name}`")),
            "{name}: {to_do}"
        );
        assert!(!reason.contains(remedy), "{name}: said twice: {reason}");
        let ordered = lab.run(&["login", name]);
        let said = String::from_utf8(ordered.stderr).unwrap();
        assert!(
            said.contains(problem) && said.contains(remedy),
            "{name}: {said}"
        );
    }
    assert_eq!(
        server.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "nothing is sent without its secret"
    );
    lab.secret("no-such-secret", "a-secret-of-the-client");
    within(SOON, "the secret that appeared to be tried", || {
        server.accept().ok()
    });
}

#[test]
fn a_certificate_that_is_not_trusted_says_why_and_what_to_do_wherever_one_looks() {
    let of_loopback = "-days 9 -addext subjectAltName=IP:127.0.0.1";
    let servers = [
        (
            "ended",
            TlsServer::dated("20150101000000Z", "20200101000000Z"),
            "the server's certificate expired on 2020-01-01, and this machine's clock says 20",
            "renew the certificate at the server, or set the clock",
        ),
        (
            "begins",
            TlsServer::dated("20900101000000Z", "20910101000000Z"),
            "is not valid yet: it begins on 2090-01-01, and this machine's clock says 20",
            "set the clock (`timedatectl set-ntp true`), or wait",
        ),
        (
            "other",
            TlsServer::start("-days 9 -addext subjectAltName=DNS:other.example"),
            "is not valid for name 127.0.0.1, only for other.example",
            "write a name that it has into the config",
        ),
        (
            "demanding",
            TlsServer::demanding_a_certificate(of_loopback),
            "the server refuses our certificate, or wants one",
            "set client_cert and client_key in the session's [http] table",
        ),
        (
            "authority",
            TlsServer::of_an_authority(),
            "is signed by an authority that this machine does not trust",
            "name the authority's certificate in ca_file",
        ),
        (
            "unknown",
            TlsServer::start(of_loopback),
            "is self-signed, and this machine does not trust it",
            "put it into ca_file if it is the right certificate",
        ),
    ];
    let mut lab = Lab::bare("https://127.0.0.1:9", Vec::new);
    lab.request_timeout = "10s";
    lab.secret("client-secret", "a-secret-of-the-client");
    let known: String = servers[..4]
        .iter()
        .map(|(_, server, ..)| server.certificate())
        .collect();
    fs::write(lab.path("ca.pem"), known).unwrap();
    let ca_file = format!("ca_file = {}", lab.quoted("ca.pem"));
    let sessions = servers.each_ref().map(|(name, server, ..)| {
        let session = lab.by_client(name).table("http", &ca_file);
        session.url(&format!("https://{}", server.address))
    });
    lab.configure(&sessions);
    lab.start();
    for (name, ..) in &servers {
        await_failure(&lab, name);
    }
    let config = lab.config().display().to_string();
    let status = lab.succeeds(&["status"]);
    let doctor = lab.succeeds(&["doctor", "--config", &config]);
    let live = lab.run(&["check", "--live", "--config", &config]);
    let live = String::from_utf8_lossy(&live.stderr).into_owned();
    let log = lab.said();
    for (name, server, problem, remedy) in &servers {
        for (place, text) in [
            ("status", &status),
            ("doctor", &doctor),
            ("check --live", &live),
            ("the log", &log),
        ] {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                text.contains(problem) && text.contains(remedy),
                "{name} in {place}: {text}"
            );
        }
        assert_eq!(server.requests(), [""; 0], "{name}: nothing is sent to it");
    }
    assert!(
        !status.contains("check --live"),
        "the cause is there already: {status}"
    );
}

#[test]
fn a_clock_that_the_servers_do_not_share_is_named_before_what_it_may_explain() {
    let server = TlsServer::start("-days 9 -addext subjectAltName=IP:127.0.0.1");
    let mut lab = Lab::bare(&format!("https://{}", server.address), Vec::new);
    lab.request_timeout = "10s";
    lab.secret("client-secret", "a-secret-of-the-client");
    fs::write(lab.path("ca.pem"), server.certificate()).unwrap();
    let ca_file = format!("ca_file = {}", lab.quoted("ca.pem"));
    lab.configure(&[lab.by_client("crm").table("http", &ca_file)]);
    lab.start();
    await_failure(&lab, "crm");
    let config = lab.config().display().to_string();
    let doctor = lab.succeeds(&["doctor", "--config", &config]);
    let verdicts = doctor.split("PROGRAM").next().unwrap();
    let at = |words: &str| {
        verdicts
            .find(words)
            .unwrap_or_else(|| panic!("no {words:?}: {verdicts}"))
    };
    assert!(
        at("behind this machine's, and under a wrong clock") < at("crm"),
        "{verdicts}"
    );
    let live = lab.run(&["check", "--live", "--config", &config]);
    let live = String::from_utf8_lossy(&live.stdout).into_owned();
    for told in [verdicts, &live] {
        assert!(
            told.contains("set this machine's clock (`timedatectl set-ntp true`)"),
            "{told}"
        );
    }
}

#[test]
fn a_port_that_does_not_speak_tls_is_called_so() {
    let address = answering_with(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let mut lab = Lab::bare(&format!("https://{address}"), Vec::new);
    lab.secret("client-secret", "a-secret-of-the-client");
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let detail = await_failure(&lab, "crm");
    assert_eq!(
        detail,
        format!(
            "cannot connect to {address}: what listens there does not speak TLS; see whether host and port in the config are those of an https server"
        )
    );
}

#[test]
fn an_order_that_cannot_reach_its_server_says_what_to_do_by_the_cause() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closing = answering_with(b"");
    let plain = answering_with(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let (refused, no_proxy) = (nothing_listens(), nothing_listens());
    let cases = [
        (
            "refused",
            refused.clone(),
            "",
            "Connection refused",
            "see whether the server runs",
        ),
        (
            "unknown",
            "https://acme.invalid".to_owned(),
            "",
            "cannot connect to acme.invalid",
            "`getent hosts acme.invalid`",
        ),
        (
            "silent",
            format!("http://{}", silent.local_addr().unwrap()),
            "",
            "did not answer within 1s",
            "ask those who run the server",
        ),
        (
            "closing",
            format!("http://{closing}"),
            "",
            "failed",
            "see whether the port in the config is the one of its web service",
        ),
        (
            "plain",
            format!("https://{plain}"),
            "",
            "what listens there does not speak TLS",
            "see whether host and port",
        ),
        (
            "proxied",
            "https://acme.invalid".to_owned(),
            no_proxy.as_str(),
            "cannot be reached",
            "correct `proxy` in [http]",
        ),
    ];
    let mut lab = Lab::bare(&refused, Vec::new);
    lab.secret("client-secret", "a-secret-of-the-client");
    let sessions = cases.each_ref().map(|(name, url, proxy, ..)| {
        let session = lab.by_client(name).url(url);
        match *proxy {
            "" => session,
            proxy => session.table("http", &format!("proxy = \"{proxy}\"")),
        }
    });
    lab.configure(&sessions);
    lab.start();
    for (name, _, _, problem, remedy) in &cases {
        let ordered = lab.run(&["login", name]);
        let said = String::from_utf8(ordered.stderr).unwrap();
        assert_eq!(ordered.status.code(), Some(1), "{name}: {said}");
        assert!(
            said.contains(problem) && said.matches(remedy).count() == 1,
            "{name}: {said}"
        );
    }
}

#[test]
fn a_verify_and_a_renewal_that_were_ordered_say_what_to_do_about_a_server_that_hangs() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let refresh_token = server.approve("erp");
    lab.configure(&[lab.by_refresh_token("erp", &refresh_token)]);
    lab.start();
    lab.await_state("erp", "alive");
    let calls = server.calls().len();
    server.always(Endpoint::Data, Instead::Hang);
    server.always(Endpoint::Token, Instead::Hang);
    for order in ["verify", "renew"] {
        let ordered = lab.run(&[order, "erp"]);
        let said = String::from_utf8(ordered.stderr).unwrap();
        assert!(
            said.contains("did not answer within 1s; ask those who run the server"),
            "{order}: {said}"
        );
    }
    let made = server.calls().len() - calls;
    assert!(made <= 6, "{made} calls");
    server.behave();
}

#[test]
fn whatever_waits_for_a_session_says_at_a_terminal_for_which_until_when_and_why() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    server.always(Endpoint::Token, Instead::Hang);
    let mut lab = Lab::new(&server);
    lab.request_timeout = "20s";
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    within(SOON, "the socket", || lab.get("/v1/sessions/crm"));
    let waits: [&[&str]; 6] = [
        &["token", "crm", "--wait", "4s"],
        &["wait", "crm", "--wait", "4s"],
        &["exec", "crm", "--wait", "4s", "--", "true"],
        &["exec", "crm", "--hold", "1h", "--wait", "4s", "--", "true"],
        &["rejected", "crm", "--wait", "4s"],
        &["login", "crm", "--wait", "4s"],
    ];
    for command in waits {
        let screen = Terminal::start(lab.command(command), 200, 24);
        screen.until("keepfresh: waiting for crm, ");
        screen.until(" s at most: ");
        let piped = lab.run(command);
        let said = String::from_utf8_lossy(&piped.stderr);
        assert!(!said.contains("waiting for"), "{command:?}: {said}");
    }
    let logins = server.count(Endpoint::Token);
    assert!(logins <= 2, "{logins} logins");
    server.behave();
}

/// What the first call that failed came to.
fn await_failure(lab: &Lab, session: &str) -> String {
    within(SOON, "the call to fail", || {
        let answer = lab.get(&format!("/v1/sessions/{session}"))?;
        let detail = text(&answer.json()["last_error"]["detail"]);
        Some(detail).filter(|detail| !detail.is_empty())
    })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The address of what says this to each that connects, and hangs up.
fn answering_with(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut socket, answer);
        }
    });
    address
}

/// The address of a port that was free a moment ago.
fn nothing_listens() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}
