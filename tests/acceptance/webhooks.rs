//! Webhooks of the alerts: told of trouble and of its end, at nobody's expense, and their URLs appear nowhere.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::scripted::Scripted;
use crate::support::wire::{Request, Response};
use crate::support::{SOON, within};

/// What must appear nowhere: the end of each receiver's URL, and a key.
const PATH: &str = "/T0SECRETPATH0/B0SECRETPATH0";
const KEY: &str = "R0UT1NGK3YR0UT1NGK3Y";

#[test]
fn every_format_is_told_once_of_trouble_and_once_of_its_end() {
    let receiver = Scripted::start(|_| Response::text(202, "ok"));
    let (server, mut lab) = lab();
    for format in ["slack", "teams", "json", "pagerduty"] {
        lab.secret(
            &format!("{format}-url"),
            &format!("{}{PATH}/{format}\n", receiver.url()),
        );
    }
    let webhook = |format: &str| receiver_of(&lab, format, &format!("{format}-url"));
    let key = format!("routing_key = {}\n", lab.source("key"));
    let alerts = format!(
        "{}{}{}{}{key}",
        webhook("slack"),
        webhook("teams"),
        webhook("json"),
        webhook("pagerduty")
    );
    configure(&lab, &alerts, &["crm"]);
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "<!channel> bad client")),
    );
    lab.start();
    lab.await_state("crm", "needs_attention");
    let told = |count: usize| {
        within(SOON, "the webhooks", || {
            (receiver.requests().len() >= count).then_some(())
        });
    };
    told(4);
    server.behave();
    lab.succeeds(&["login", "crm"]);
    lab.await_state("crm", "alive");
    told(8);
    let sent = |format: &str| -> Vec<Value> {
        let requests = receiver
            .requests()
            .into_iter()
            .filter(|it| it.path == format!("{PATH}/{format}"));
        requests
            .map(|it| serde_json::from_slice(&it.body).unwrap())
            .collect()
    };
    for format in ["slack", "teams", "json", "pagerduty"] {
        let bodies = sent(format);
        assert_eq!(bodies.len(), 2, "{format}: {bodies:?}");
        for (body, parts) in bodies.iter().zip([
            [
                "crm",
                "the crm people",
                "https://wiki.example/crm",
                "keepfresh login crm",
            ],
            ["crm", "the crm people", "https://wiki.example/crm", ""],
        ]) {
            assert!(
                parts.iter().all(|part| body.to_string().contains(part)),
                "{format}: {body}"
            );
        }
    }
    let plain = sent("json");
    assert_eq!(
        (&plain[0]["event"], &plain[1]["event"]),
        (&"attention".into(), &"recovered".into())
    );
    let incident = sent("pagerduty");
    assert!(incident[0]["event_action"] == "trigger" && incident[1]["event_action"] == "resolve");
    assert!(
        incident[0]["dedup_key"] == incident[1]["dedup_key"] && incident[0]["routing_key"] == KEY
    );
    assert!(!sent("slack")[0].to_string().contains("<!channel>"));
    let mut following = lab
        .command(&["events", "--from", "0", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(following.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    following.kill().unwrap();
    following.wait().unwrap();
    assert!(
        line.contains("\"owner\":\"the crm people\",\"runbook\":\"https://wiki.example/crm\""),
        "{line}"
    );
    assert!(lab.stop().success());
    assert_eq!(receiver.requests().len(), 8, "and nothing more");
    assert!(!lab.said().contains("webhook_failed"), "{}", lab.tail());
    assert!(server.logins() <= 3);
}

#[test]
fn a_receiver_that_hangs_fails_or_redirects_is_told_a_bounded_number_of_times_and_holds_nothing_up()
{
    let limited = AtomicUsize::new(0);
    let receiver = Scripted::start(move |asked: &Request| match asked.path.rsplit('/').next() {
        Some("hangs") => {
            thread::sleep(Duration::from_mins(1));
            Response::text(200, "ok")
        }
        Some("fails") => Response::text(500, format!("no, {} is broken", asked.path)),
        Some("redirects") => Response::text(302, "").with("location", "https://elsewhere.example/"),
        Some("limits") if limited.fetch_add(1, Ordering::Relaxed) == 0 => {
            Response::text(429, "slow down").with("retry-after", "3")
        }
        _ => Response::text(200, "ok"),
    });
    let (server, mut lab) = lab();
    let alerts = ["hangs", "fails", "redirects", "limits"].map(|kind| {
        lab.secret(
            &format!("{kind}-url"),
            &format!("{}{PATH}/{kind}", receiver.url()),
        );
        receiver_of(&lab, "json", &format!("{kind}-url"))
    });
    let alerts = alerts.concat();
    configure(&lab, &alerts, &["crm", "erp"]);
    server.always_for(
        "crm",
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    lab.start();
    lab.await_state("crm", "needs_attention");
    lab.await_token("erp");
    let count = |kind: &str| receiver.count(&format!("POST {PATH}/{kind}"));
    let begun = Instant::now();
    within(SOON, "the second try after the wait", || {
        (count("limits") == 2).then_some(())
    });
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "it waited as it was asked to: {:?}",
        begun.elapsed()
    );
    within(Duration::from_secs(40), "the last try", || {
        (count("fails") == 5).then_some(())
    });
    within(SOON, "two receivers to be given up", || {
        (lab.said().matches("webhook_failed").count() == 2).then_some(())
    });
    let said = lab.said();
    assert!(
        said.contains("it answered 500: no, [secret]") && said.contains("tries=5"),
        "{}",
        lab.tail()
    );
    assert!(said.contains("it redirects (302)"), "{}", lab.tail());
    let token = lab.await_token("erp");
    lab.succeeds(&["login", "erp"]);
    lab.await_another_token("erp", &token);
    let begun = Instant::now();
    assert!(lab.stop().success());
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        count("hangs") <= 3
            && count("redirects") == 1
            && count("limits") == 2
            && count("fails") == 5
    );
    assert!(server.logins() <= 5);
}

#[test]
fn a_session_that_stays_without_a_token_calls_and_calls_off_and_so_does_one_that_is_removed() {
    let receiver = Scripted::start(|_| Response::text(200, "ok"));
    let (server, mut lab) = lab();
    lab.secret("url", &format!("{}{PATH}", receiver.url()));
    let webhook = format!(
        "[[alerts.webhook]]\nformat = \"json\"\nurl = {}\n",
        lab.source("url")
    );
    let alerts = format!("[alerts]\nafter = \"2s\"\n{webhook}");
    configure(&lab, &alerts, &["crm", "erp"]);
    server.always_for(
        "crm",
        Endpoint::Token,
        Instead::Say(Response::text(503, "down")),
    );
    server.always_for(
        "erp",
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    lab.start();
    let events = |name: &str| -> Vec<String> {
        let bodies = receiver
            .requests()
            .into_iter()
            .map(|it| serde_json::from_slice::<Value>(&it.body).unwrap());
        let of_session = bodies.filter(|body| body["session"] == name);
        of_session
            .map(|body| body["event"].as_str().unwrap().to_owned())
            .collect()
    };
    within(SOON, "both calls", || {
        (events("crm") == ["attention"] && events("erp") == ["attention"]).then_some(())
    });
    server.behave();
    configure(&lab, &alerts, &["crm"]);
    lab.reload();
    lab.await_token("crm");
    let over = ["attention", "recovered"];
    within(SOON, "both to be called off", || {
        (events("crm") == over && events("erp") == over).then_some(())
    });
    assert!(lab.stop().success());
    assert_eq!(receiver.requests().len(), 4);
}

#[test]
fn a_receiver_over_tls_is_told_if_its_authority_is_trusted_and_named_if_not() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=receiver -addext subjectAltName=IP:127.0.0.1 \
                     -keyout key.pem -out cert.pem";
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(&directory)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let (port, told) = tls_receiver(directory.path());
    let (server, mut lab) = lab();
    lab.secret("url", &format!("https://127.0.0.1:{port}{PATH}"));
    let alerts = format!(
        "[[alerts.webhook]]\nformat = \"slack\"\nurl = {}\n",
        lab.source("url")
    );
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    configure(&lab, &alerts, &["crm"]);
    lab.start();
    within(Duration::from_secs(40), "the complaint", || {
        lab.said().contains("webhook_failed").then_some(())
    });
    assert!(lab.said().contains("certificate"), "{}", lab.tail());
    assert_eq!(told.load(Ordering::Relaxed), 0);
    lab.stop();
    fs::copy(directory.path().join("cert.pem"), lab.path("ca.pem")).unwrap();
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replacen(
        "[http]\n",
        &format!("[http]\nca_file = {}\n", lab.quoted("ca.pem")),
        1,
    ));
    lab.start();
    within(SOON, "the message", || {
        (told.load(Ordering::Relaxed) == 1).then_some(())
    });
    assert!(lab.stop().success());
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[test]
fn check_says_that_what_should_be_a_receivers_url_is_none_and_does_not_show_it() {
    let (server, lab) = lab();
    let alerts = format!(
        "[[alerts.webhook]]\nformat = \"slack\"\nurl = {}\n",
        lab.source("url")
    );
    configure(&lab, &alerts, &["crm"]);
    for (text, complaint) in [
        (format!("hooks.example{PATH}"), "holds no address"),
        (
            format!("http://hooks.example{PATH}"),
            "allow_plain_http = true",
        ),
        (String::new(), "is empty"),
    ] {
        lab.secret("url", &text);
        let checked = lab.run(&["check", "--config", &lab.config().display().to_string()]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(78), "{said}");
        assert!(
            said.contains(complaint) && said.contains("alerts.webhook.url"),
            "{said}"
        );
    }
    // Written in the clear, it is not shown by a complaint about its neighbour either.
    let config = fs::read_to_string(lab.config()).unwrap();
    let clear = format!("url = \"https://hooks.example{PATH}\"; nonsense = 1");
    lab.write_config(&config.replacen(
        "format = \"slack\"",
        &format!("{clear}\nfromat = \"slack\""),
        1,
    ));
    assert_eq!(
        lab.code(&["check", "--config", &lab.config().display().to_string()]),
        78
    );
    lab.write_config(
        &config
            .replacen("format = \"slack\"", "fromat = \"slack\"", 1)
            .replacen(
                &format!("url = {}", lab.source("url")),
                &format!("url = \"https://hooks.example{PATH}\""),
                1,
            ),
    );
    assert_eq!(
        lab.code(&["check", "--config", &lab.config().display().to_string()]),
        78
    );
    assert!(server.calls().is_empty());
    // It is the config of a person who was told so: the search for secrets need not find it there.
    lab.write_config(&config);
}

#[test]
fn check_sends_everybody_one_test_alert_when_asked_and_says_what_came_of_it() {
    let receiver = Scripted::start(|asked: &Request| match asked.path.rsplit('/').next() {
        Some("fails") => Response::text(403, format!("no; {} is not known", asked.path)),
        Some("hangs") => {
            thread::sleep(Duration::from_mins(1));
            Response::text(200, "ok")
        }
        _ => Response::text(200, "ok"),
    });
    let (server, lab) = lab();
    let webhooks = ["slack", "fails", "hangs", "pagerduty", "missing"].map(|kind| {
        let url = format!("{}{PATH}/{kind}", receiver.url());
        if kind != "missing" {
            lab.secret(&format!("{kind}-url"), &url);
        }
        let format = match kind {
            "slack" | "pagerduty" => kind,
            _ => "json",
        };
        let key = format!("routing_key = {}\n", lab.source("key"));
        receiver_of(&lab, format, &format!("{kind}-url"))
            + Some(key.as_str())
                .filter(|_| kind == "pagerduty")
                .unwrap_or_default()
    });
    let noted = lab.path("noted");
    let programs = [
        format!("env | grep ^KEEPFRESH_ > '{}'", noted.display()),
        "echo no pager is plugged in >&2; exit 3".to_owned(),
    ];
    let programs = programs.map(|script| format!("[\"/bin/sh\", \"-c\", {script:?}]"));
    let alerts = format!(
        "[alerts]\nafter = \"15m\"\non_attention = [{}]\n{}",
        programs.join(", "),
        webhooks.concat()
    );
    configure(&lab, &alerts, &["crm"]);
    let config = lab.config().display().to_string();
    let plan = lab.run(&["check", "--config", &config]);
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    for line in [
        "alert to program /bin/sh",
        "alert to webhook 1 (slack)",
        "alert to webhook 4 (pagerduty)",
        "alert when a session has had no good token for 15m too",
    ] {
        assert!(plan.lines().any(|told| told == line), "{line}: {plan}");
    }
    assert!(
        receiver.requests().is_empty() && !noted.exists(),
        "a check alone sends nothing"
    );
    let begun = Instant::now();
    let output = lab.run(&["check", "--test-alerts", "--config", &config]);
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    let (said, failed) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(output.status.code(), Some(78), "{said}{failed}");
    for part in [
        "alert to program /bin/sh: it took the test alert",
        "alert to program /bin/sh: the test alert FAILED",
        "alert to webhook 1 (slack): it took the test alert",
        "alert to webhook 2 (json): the test alert FAILED",
        "alert to webhook 4 (pagerduty): it took the test alert",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for part in [
        "program /bin/sh: it ended with exit status: 3, and its output ends with: no pager is plugged in",
        "webhook 2 (json): it answered 403: no; [secret]",
        "webhook 3 (json): the server did not answer within 10s",
        "`alerts.webhook.url`: cannot read the secret file",
        "fails-url with what the receiver's settings show",
        "4 test alerts did not arrive",
    ] {
        assert!(failed.contains(part), "{part}: {failed}");
    }
    assert!(said.contains("webhook 5 (json): the test alert FAILED"));
    assert_eq!(
        failed.matches("cannot read the secret file").count() + failed.matches("webhook 5").count(),
        1,
        "what cannot be read is said once: {failed}"
    );
    for secret in [PATH, KEY] {
        assert!(!said.contains(secret) && !failed.contains(secret));
    }
    let noted = fs::read_to_string(noted).unwrap();
    assert!(
        noted.contains("KEEPFRESH_TEST=1") && noted.contains("KEEPFRESH_EVENT=attention"),
        "{noted}"
    );
    // PagerDuty's incident is opened and resolved.
    let paths: Vec<String> = receiver.asked();
    assert_eq!(paths.len(), 5, "{paths:?}");
    let sent = |kind: &str| -> Vec<Value> {
        let requests = receiver.requests().into_iter();
        let requests = requests.filter(|it| it.path.ends_with(kind));
        requests
            .map(|it| serde_json::from_slice(&it.body).unwrap())
            .collect()
    };
    assert_eq!(sent("fails")[0]["test"], true);
    assert!(sent("slack")[0].to_string().contains("test alert"));
    let incident = sent("pagerduty");
    assert!(incident[0]["event_action"] == "trigger" && incident[1]["event_action"] == "resolve");
    assert!(server.calls().is_empty());
}

#[test]
fn a_test_of_alerts_that_are_not_configured_fails_and_says_so() {
    let (server, lab) = lab();
    configure(&lab, "", &["crm"]);
    let config = lab.config().display().to_string();
    let output = lab.run(&["check", "--test-alerts", "--config", &config]);
    let failed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{failed}");
    assert!(failed.contains("the config has no [alerts]"), "{failed}");
    assert!(server.calls().is_empty());
}

/// A directory whose secrets include the receivers' paths.
fn lab() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let asked = Arc::clone(&server);
    let needles = move || {
        [
            asked.needles(),
            vec![PATH.trim_start_matches('/').to_owned(), KEY.to_owned()],
        ]
        .concat()
    };
    let lab = Lab::bare(&server.url(), needles);
    lab.secret("client-secret", &server.client_secret());
    lab.secret("key", KEY);
    (server, lab)
}

fn receiver_of(lab: &Lab, format: &str, secret: &str) -> String {
    format!(
        "[[alerts.webhook]]\nformat = \"{format}\"\nurl = {}\n",
        lab.source(secret)
    )
}

fn configure(lab: &Lab, alerts: &str, names: &[&str]) {
    let contact = "owner = \"the crm people\"\nrunbook = \"https://wiki.example/crm\"";
    let sessions: Vec<_> = names
        .iter()
        .map(|name| lab.by_client(name).key(contact))
        .collect();
    lab.configure(&sessions);
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!("{config}{alerts}"));
}

/// Takes messages over TLS, and counts them.
fn tls_receiver(directory: &std::path::Path) -> (u16, Arc<AtomicUsize>) {
    let certificate = CertificateDer::from_pem_file(directory.join("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(directory.join("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = Arc::new(
        config
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, told) = (
        listener.local_addr().unwrap().port(),
        Arc::<AtomicUsize>::default(),
    );
    let counted = Arc::clone(&told);
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut stream =
                StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket);
            let mut buffer = [0; 16 * 1024];
            let Ok(1..) = stream.read(&mut buffer) else {
                continue;
            };
            counted.fetch_add(1, Ordering::Relaxed);
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        }
    });
    (port, told)
}
