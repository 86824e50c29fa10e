//! What Prometheus reads: whether it is right, whether it can be read, and that its readers harm nobody.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::untried::can_as_root;
use crate::support::{SOON, unix, wire, within};

const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0";
const TEXT: &str = "text/plain;version=0.0.4";

#[test]
fn both_formats_pass_the_parsers_that_others_wrote() {
    let (server, mut lab, address) = scene();
    lab.configure(&[lab.by_client("crm"), lab.by_key("erp")]);
    lab.listen_for_scrapers(&address);
    lab.start();
    lab.await_token("crm");
    lab.await_token("erp");
    let text = scraped(&address, TEXT);
    let checked = piped(Command::new(promtool()).args(["check", "metrics"]), &text);
    assert_eq!(checked, "", "promtool finds nothing to say against it");
    let openmetrics = scraped(&address, OPENMETRICS);
    let program = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse; \
                   print(sum(len(family.samples) for family in parse(sys.stdin.read())))";
    let samples: usize = piped(
        Command::new("/usr/bin/python3").args(["-c", program]),
        &openmetrics,
    )
    .trim()
    .parse()
    .unwrap();
    assert_eq!(samples, series(&openmetrics).len());
    assert_eq!(names(&text), names(&openmetrics));
    lab.also_said(&text);
    assert!(server.logins() <= 2);
}

#[test]
fn every_figure_is_in_the_exposition_and_says_what_status_says() {
    let (server, mut lab, address) = scene();
    let refresh = server.approve("crm");
    let session = lab
        .by_refresh_token("crm", &refresh)
        .key("refresh_idle_timeout = \"30d\"")
        .key("max_lifetime = \"60d\"");
    let session = session.key("owner = \"the crm people\"");
    let hook = "on = [\"attention\"]\ncommand = [\"true\"]";
    let session = session.key("token_lifetime = \"1d\"").table("[hook]", hook);
    lab.configure(&[session.table("gateway", "")]);
    lab.listen_for_scrapers(&address);
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!("{config}[alerts]\non_attention = [[\"true\"]]\n"));
    lab.start();
    lab.await_token("crm");
    lab.succeeds(&["verify", "crm"]);
    let status = lab.status("crm");
    let exposition = scraped(&address, OPENMETRICS);
    let figure = |series: &str| figure(&exposition, series);
    assert_eq!(
        figure("keepfresh_session_generation{session=\"crm\"}"),
        status["generation"].as_f64()
    );
    assert_eq!(
        figure("keepfresh_session_ready{session=\"crm\"}"),
        Some(1.0)
    );
    assert_eq!(
        figure("keepfresh_session_state{session=\"crm\",state=\"alive\"}"),
        Some(1.0)
    );
    assert_eq!(
        figure("keepfresh_session_state{session=\"crm\",state=\"paused\"}"),
        Some(0.0)
    );
    assert_eq!(
        figure("keepfresh_session_idle_timeout_seconds{session=\"crm\"}"),
        Some(7200.0)
    );
    assert_eq!(
        figure("keepfresh_session_refresh_token_lifetime_seconds{session=\"crm\"}"),
        Some(30.0 * 86400.0)
    );
    for (name, field) in [
        ("idle_deadline", "idle_deadline"),
        ("refresh_token_expiry", "refresh_token_expires_at"),
    ] {
        let stands: jiff::Timestamp = status[field].as_str().unwrap().parse().unwrap();
        let shown = figure(&format!(
            "keepfresh_session_{name}_timestamp_seconds{{session=\"crm\"}}"
        ))
        .unwrap();
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of this century fit"
        )]
        let differ = shown - stands.as_millisecond() as f64 / 1000.0;
        assert!(differ.abs() < 0.1, "{field}: {stands} and {shown}");
    }
    for call in [
        "request=\"renew\",verdict=\"good\"",
        "request=\"ping\",verdict=\"alive\"",
    ] {
        let count = figure(&format!(
            "keepfresh_session_calls_total{{session=\"crm\",{call}}}"
        ));
        assert!(count.is_some_and(|count| count >= 1.0), "{call}: {count:?}");
    }
    assert_eq!(
        figure("keepfresh_session_publications_total{session=\"crm\",outcome=\"published\"}"),
        Some(1.0)
    );
    // Only what this session cannot have is missing.
    let known: BTreeSet<String> = keepfresh::names_of_metrics()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let shown = names(&exposition);
    let missing: Vec<&String> = known
        .difference(&shown)
        .filter(|name| !name.contains("_quota_"))
        .collect();
    assert!(
        shown.is_subset(&known) && missing.iter().all(|name| name.contains("login")),
        "{missing:?}"
    );
}

#[test]
fn the_socket_shows_each_caller_the_sessions_that_it_may_see() {
    if !can_as_root("become another user") {
        return;
    }
    let (_server, mut lab, _) = scene();
    lab.configure(&[
        lab.by_client("crm"),
        lab.by_client("open")
            .table("access", "allow = [\"user:nobody\"]"),
    ]);
    lab.start();
    lab.await_token("crm");
    let all = unix::request(&lab.socket(), "GET", "/metrics", OPENMETRICS, "").unwrap();
    assert_eq!(
        (all.status, all.header("content-type")),
        (
            200,
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        )
    );
    assert!(
        all.body.contains("session=\"crm\"") && all.body.contains("session=\"open\""),
        "{}",
        all.body
    );
    assert!(all.body.ends_with("# EOF\n"));
    let mut stranger = Command::new("python3");
    stranger.uid(65534).gid(65534);
    let program = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); \
                   s.sendall(b'GET /metrics HTTP/1.1\\r\\nhost: k\\r\\nconnection: close\\r\\n\\r\\n'); \
                   print(b''.join(iter(lambda: s.recv(65536), b'')).decode())";
    let output = stranger
        .args(["-c", program])
        .arg(lab.socket())
        .current_dir("/")
        .output()
        .unwrap();
    let seen = String::from_utf8(output.stdout).unwrap();
    assert!(
        seen.contains("session=\"open\"") && !seen.contains("session=\"crm\""),
        "{seen}"
    );
    assert!(seen.contains("keepfresh_build_info{version="), "{seen}");
}

#[test]
fn scrapers_that_stall_harm_neither_callers_nor_other_scrapers() {
    let (_server, mut lab, address) = scene();
    lab.configure(&[lab.by_client("crm")]);
    lab.listen_for_scrapers(&address);
    lab.start();
    lab.await_token("crm");
    let mut stalled = Vec::new();
    for number in 0..200 {
        let mut stream = TcpStream::connect(&address).unwrap();
        let half: &[u8] = if number % 2 == 0 {
            b"GET /met"
        } else {
            b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
        };
        let _ = stream.write_all(half);
        stalled.push(stream);
    }
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(lab.get("/v1/sessions/crm/token").unwrap().status, 200);
        assert!(scraped(&address, TEXT).contains("keepfresh_session_ready"));
    }
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    let metrics = lab.get("/metrics").unwrap().body;
    let descriptors = metrics
        .lines()
        .find_map(|line| line.strip_prefix("process_open_fds "))
        .unwrap();
    assert!(
        descriptors.parse::<u32>().unwrap() < 80,
        "{descriptors} descriptors are open"
    );
    drop(stalled);
    assert_eq!(lab.stop().code(), Some(0), "a stop waits for no scraper");
}

#[test]
fn nothing_but_a_get_of_the_figures_by_a_known_name_is_answered_with_them_however_odd_the_request()
{
    let (server, mut lab, address) = scene();
    lab.configure(&[lab.by_client("crm")]);
    lab.listen_for_scrapers(&address);
    lab.start();
    lab.await_token("crm");
    let long = "a".repeat(200_000);
    let many = "x: 1\r\n".repeat(500);
    let host = "host: localhost\r\n";
    for (request, expected) in [
        (format!("GET /metrics HTTP/1.1\r\n{host}\r\n"), "200"),
        (
            format!("GET http://{address}/metrics HTTP/1.1\r\n{host}\r\n"),
            "200",
        ),
        (
            format!("GET http://evil.example/metrics HTTP/1.1\r\n{host}\r\n"),
            "421",
        ),
        (
            "GET http://evil.example/metrics HTTP/1.1\r\n\r\n".to_owned(),
            "421",
        ),
        (
            format!("GET /metrics HTTP/1.1\r\nhost: evil.example\r\n{host}\r\n"),
            "421",
        ),
        (
            "GET /metrics HTTP/1.1\r\nhost: 2130706433\r\n\r\n".to_owned(),
            "421",
        ),
        (
            "GET /metrics HTTP/1.1\r\nhost: localhost\tevil\r\n\r\n".to_owned(),
            "421",
        ),
        (
            format!("POST /metrics HTTP/1.1\r\n{host}content-length: 1\r\n\r\nx"),
            "405",
        ),
        (
            format!("OPTIONS /metrics HTTP/1.1\r\n{host}origin: http://evil\r\n\r\n"),
            "405",
        ),
        (
            format!("TRACE /metrics HTTP/1.1\r\n{host}cookie: a\r\n\r\n"),
            "405",
        ),
        (format!("CONNECT 127.0.0.1:1 HTTP/1.1\r\n{host}\r\n"), "404"),
        (
            format!("GET /v1/sessions/crm/token HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            format!("GET /metrics/../v1/sessions HTTP/1.1\r\n{host}\r\n"),
            "404",
        ),
        (
            format!("GET /metrics HTTP/1.1\r\n{host}x: {long}\r\n\r\n"),
            "431",
        ),
        (format!("GET /metrics?{long} HTTP/1.1\r\n{host}\r\n"), "431"),
        (format!("GET /metrics HTTP/1.1\r\n{host}{many}\r\n"), "431"),
        ("GET /metrics\r\n".to_owned(), "400"),
        ("\u{16}\u{3}\u{1}".repeat(200), "400"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // It may be refused before it was sent to its end.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let begun: String = request.chars().take(60).collect();
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert_eq!(status, expected, "{begun:?}: {answer}");
        assert_eq!(
            answer.contains("session=\"crm\""),
            expected == "200",
            "{begun:?}"
        );
    }
    let asked = Instant::now();
    assert!(scraped(&address, TEXT).contains("keepfresh_session_ready"));
    assert!(asked.elapsed() < SOON);
    // Scraped without end, it stops at once.
    let scraping: Vec<_> = (0..4)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || {
                let request = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
                while let Ok(mut stream) = TcpStream::connect(&address) {
                    let _ = stream.write_all(request);
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            })
        })
        .collect();
    assert_eq!(lab.stop().code(), Some(0));
    for thread in scraping {
        thread.join().unwrap();
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_flood_of_connections_that_ask_nothing_keeps_no_scraper_from_the_figures() {
    let (server, mut lab, address) = scene();
    lab.configure(&[lab.by_client("crm")]);
    lab.listen_for_scrapers(&address);
    lab.start();
    lab.await_token("crm");
    let over = Arc::new(AtomicBool::new(false));
    let flood = || {
        let (address, over) = (address.clone(), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut held = VecDeque::new();
            while !over.load(Ordering::Relaxed) {
                held.extend(TcpStream::connect(&address));
                held.drain(..held.len().saturating_sub(40));
            }
        })
    };
    let floods = [flood(), flood()];
    let mut missed = 0;
    for _ in 0..30 {
        let asked =
            format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let mut scraper = TcpStream::connect(&address).unwrap();
        let heard = scraper
            .write_all(asked.as_bytes())
            .and_then(|()| scraper.read_to_string(&mut answer));
        missed += usize::from(heard.is_err() || !answer.contains("keepfresh_session_ready"));
    }
    over.store(true, Ordering::Relaxed);
    for flood in floods {
        flood.join().unwrap();
    }
    assert_eq!(missed, 0, "of 30 scrapes");
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_socket_of_its_own_serves_everybody_and_goes_with_the_daemon() {
    let (_server, mut lab, _) = scene();
    lab.configure(&[lab.by_client("crm")]);
    lab.listen_for_scrapers("unix:metrics.sock");
    lab.start();
    lab.await_token("crm");
    let socket = lab.path("run/metrics.sock");
    let answer = unix::request(&socket, "GET", "/metrics", TEXT, "").unwrap();
    assert!(
        answer
            .body
            .contains("keepfresh_session_ready{session=\"crm\"} 1"),
        "{}",
        answer.body
    );
    assert_eq!(
        unix::request(&socket, "GET", "/v1/sessions", TEXT, "")
            .unwrap()
            .status,
        404,
        "nothing else is there"
    );
    assert_eq!(
        unix::request(&socket, "POST", "/metrics", TEXT, "")
            .unwrap()
            .status,
        405
    );
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&socket).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o666);
    lab.stop();
    assert!(!socket.exists());
}

#[test]
fn an_address_that_cannot_be_had_is_named_and_one_for_all_the_world_is_refused() {
    let (_server, mut lab, address) = scene();
    let taken = TcpListener::bind(&address).unwrap();
    lab.configure(&[lab.by_client("crm")]);
    lab.listen_for_scrapers(&address);
    lab.start();
    assert_eq!(lab.ended().code(), Some(1));
    assert!(
        lab.said()
            .contains(&format!("listen for scrapers on {address}")),
        "{}",
        lab.said()
    );
    drop(taken);
    lab.configure(&[lab.by_client("crm")]);
    lab.listen_for_scrapers("0.0.0.0:9464");
    lab.start();
    assert_eq!(lab.ended().code(), Some(78));
    assert!(
        lab.said().contains("can be reached from other machines")
            && lab.said().contains("allow_remote")
    );
}

#[test]
fn rules_and_dashboard_name_only_figures_that_are_there() {
    let known: BTreeSet<String> = keepfresh::names_of_metrics()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    for file in [
        "packaging/prometheus/keepfresh.rules.yml",
        "packaging/grafana/keepfresh.json",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<&str> = words
            .filter(|word| word.starts_with("keepfresh_") || word.starts_with("process_"))
            .collect();
        let unknown: Vec<&&str> = named
            .iter()
            .filter(|name| !known.contains(**name))
            .collect();
        assert!(
            unknown.is_empty() && named.len() > 8,
            "{file}: {unknown:?} of {named:?}"
        );
    }
    let dashboard: serde_json::Value = serde_json::from_str(
        &fs::read_to_string(root().join("packaging/grafana/keepfresh.json")).unwrap(),
    )
    .unwrap();
    // promtool knows no variables of Grafana.
    let queries = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    let rules: String = queries
        .map(|target| {
            target["expr"]
                .as_str()
                .unwrap()
                .replace("$__rate_interval", "5m")
        })
        .enumerate()
        .fold(String::new(), |text, (number, query)| {
            format!(
                "{text}  - record: q{number}\n    expr: {}\n",
                serde_json::Value::from(query)
            )
        });
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yml");
    fs::write(
        &file,
        format!("groups:\n- name: dashboard\n  rules:\n{rules}"),
    )
    .unwrap();
    let output = Command::new(promtool())
        .args(["check", "rules"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_rules_pass_promtools_own_tests() {
    let directory = root().join("packaging/prometheus");
    for args in [
        ["check", "rules", "keepfresh.rules.yml"],
        ["test", "rules", "keepfresh.rules.test.yml"],
    ] {
        let output = Command::new(promtool())
            .args(args)
            .current_dir(&directory)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
    }
}

#[test]
fn alerts_fire_on_failures_that_were_provoked_and_on_nothing_else() {
    let (server, mut lab, address) = scene();
    let refresh = server.approve("refreshed");
    let aging = lab
        .by_refresh_token("refreshed", &refresh)
        .key("refresh_idle_timeout = \"6s\"");
    lab.configure(&[lab.by_client("crm"), lab.by_client("well"), aging]);
    lab.listen_for_scrapers(&address);
    lab.start();
    let token = lab.await_token("crm");
    lab.await_token("well");
    lab.await_token("refreshed");
    assert_eq!(
        firing(&scraped(&address, OPENMETRICS)),
        BTreeSet::new(),
        "all is well"
    );

    // Something ends the session again and again.
    let mut last = token;
    for _ in 0..4 {
        // A token that was never seen alive is put to the question for some seconds.
        lab.run(&["verify", "crm"]);
        server.revoke_sessions();
        lab.run(&["rejected", "crm"]);
        last = lab.await_another_token("crm", &last);
    }
    let frequent = expected(&[("KeepfreshLoginsFrequent", "crm")]);
    within(SOON, "the alert", || {
        (firing(&scraped(&address, OPENMETRICS)) == frequent).then_some(())
    });

    // Then the client is refused, its file's directory and the config are broken, and no renewal succeeds.
    server.always_for(
        "crm",
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    server.always_for(
        "refreshed",
        Endpoint::Token,
        Instead::Say(wire::Response::text(503, "down")),
    );
    server.revoke_sessions();
    lab.run(&["rejected", "crm", "--wait", "1s"]);
    lab.run(&["rejected", "well"]);
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!("{config}\nbroken"));
    lab.reload();
    lab.await_state("crm", "needs_attention");
    let mut alerts = BTreeSet::new();
    within(SOON, "the alerts", || {
        alerts = firing(&scraped(&address, OPENMETRICS));
        alerts
            .contains(&alert("KeepfreshRefreshTokenNearEnd", "refreshed"))
            .then_some(())
    });
    let all = [
        ("KeepfreshLoginsFrequent", "crm"),
        ("KeepfreshNeedsAttention", "crm"),
        ("KeepfreshRefreshTokenNearEnd", "refreshed"),
        ("KeepfreshConfigBroken", ""),
    ];
    let mut without_refreshed = alerts.clone();
    // Whether its token is gone as well is a matter of the moment.
    without_refreshed.remove(&alert("KeepfreshNoGoodToken", "refreshed"));
    assert_eq!(without_refreshed, expected(&all));
    lab.also_said(&scraped(&address, TEXT));
}

#[test]
fn what_a_server_tells_and_a_machine_does_to_the_daemon_fires_its_alert() {
    let (server, mut lab, address) = scene();
    let lost = lab
        .by_client("lost")
        .publish(&format!("file = {}", lab.quoted("not-there/token")));
    let hooked = lab
        .by_client("hooked")
        .table("[hook]", "on = [\"change\"]\ncommand = [\"false\"]");
    lab.configure(&[lab.by_client("crm"), hooked, lab.by_client("well"), lost]);
    lab.listen_for_scrapers(&address);
    let told = wire::Response::json(200, r#"{"sobjects":"/services/data/v65.0/sobjects"}"#)
        .with("Date", "Sun, 06 Nov 2033 08:49:37 GMT")
        .with("Sforce-Limit-Info", "api-usage=14900/15000");
    server.always_for("crm", Endpoint::Data, Instead::SayAlive(told));
    lab.start();
    for name in ["crm", "hooked", "well"] {
        lab.await_token(name);
    }
    lab.succeeds(&["verify", "crm"]);
    let mut all = BTreeSet::new();
    let alerts = [
        ("KeepfreshQuotaLow", "crm"),
        ("KeepfreshClockSkew", "crm"),
        ("KeepfreshFilesFailing", "lost"),
        ("KeepfreshHookFailed", "hooked"),
    ];
    within(SOON, "the alerts", || {
        all = firing(&scraped(&address, OPENMETRICS));
        (all.len() >= alerts.len()).then_some(())
    });
    assert_eq!(all, expected(&alerts));

    // Something else is where the state was, and later goes.
    fs::rename(lab.path("state/sessions"), lab.path("state/away")).unwrap();
    fs::write(lab.path("state/sessions"), "").unwrap();
    lab.succeeds(&["login", "well"]);
    within(SOON, "the state to be unwritten", || {
        (lab.status("well")["persisted"] == false).then_some(())
    });
    await_alert(&address, "KeepfreshUnpersisted", "well");
    fs::remove_file(lab.path("state/sessions")).unwrap();
    fs::rename(lab.path("state/away"), lab.path("state/sessions")).unwrap();
    within(SOON, "the state to be written", || {
        (lab.status("well")["persisted"] == true).then_some(())
    });
    assert!(server.logins() <= 6);
}

/// What fires once this does: what is scraped is up to a second old.
#[track_caller]
fn await_alert(address: &str, name: &str, session: &str) -> BTreeSet<String> {
    within(SOON, name, || {
        let alerts = firing(&scraped(address, OPENMETRICS));
        alerts.contains(&alert(name, session)).then_some(alerts)
    })
}

fn expected(alerts: &[(&str, &str)]) -> BTreeSet<String> {
    alerts
        .iter()
        .map(|(name, session)| alert(name, session))
        .collect()
}

fn alert(name: &str, session: &str) -> String {
    format!("{name}({session})")
}

/// The alerts of `packaging/` that fire when things stay as this exposition shows them: `promtool` is given its series for
/// an hour; moments stay as far ahead or behind as they are.
fn firing(exposition: &str) -> BTreeSet<String> {
    let now = jiff::Timestamp::now().as_second();
    let mut input =
        String::from("  - { series: 'up{job=\"keepfresh\",instance=\"a\"}', values: 1x60 }\n");
    for (series, value) in series(exposition) {
        let (name, labels) = series
            .split_once('{')
            .map_or((series.as_str(), ""), |(name, rest)| {
                (name, rest.trim_end_matches('}'))
            });
        let gap = if labels.is_empty() { "" } else { "," };
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century fit")]
        let value = if name.ends_with("_timestamp_seconds") {
            format!("{}+60", value - now as f64)
        } else {
            value.to_string()
        };
        // Counters were at zero once.
        let values = if name.ends_with("_total") {
            format!("0 {value}x59")
        } else {
            format!("{value}x60")
        };
        let _ = writeln!(
            input,
            "  - {{ series: '{name}{{job=\"keepfresh\",instance=\"a\"{gap}{labels}}}', values: '{values}' }}"
        );
    }
    let query = "promql_expr_test: [{ expr: 'count by (alertname, session) (ALERTS{alertstate=\"firing\"})', eval_time: 30m }]";
    let rules = root().join("packaging/prometheus/keepfresh.rules.yml");
    let test = format!(
        "rule_files: [{}]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  {query}\n  input_series:\n{}",
        rules.display(),
        input
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("test.yml");
    fs::write(&file, test).unwrap();
    // It expects nothing; what it complains of is what fires.
    let output = Command::new(promtool())
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        return BTreeSet::new();
    }
    let got = said
        .split("got:")
        .nth(1)
        .unwrap_or_else(|| panic!("promtool: {said}"));
    let sets = got
        .split('{')
        .skip(1)
        .filter_map(|set| set.split('}').next());
    let value = |set: &str, label: &str| {
        set.split(&format!("{label}=\""))
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap_or_default()
            .to_owned()
    };
    sets.filter(|set| set.contains("alertname"))
        .map(|set| alert(&value(set, "alertname"), &value(set, "session")))
        .collect()
}

/// `NAME{LABELS}` and value of every sample.
fn series(exposition: &str) -> Vec<(String, f64)> {
    let samples = exposition.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series.to_owned(), value.parse().unwrap()))
        .collect()
}

fn figure(exposition: &str, wanted: &str) -> Option<f64> {
    let figures: BTreeMap<String, f64> = series(exposition).into_iter().collect();
    figures.get(wanted).copied()
}

fn names(exposition: &str) -> BTreeSet<String> {
    series(exposition)
        .into_iter()
        .map(|(series, _)| series.split('{').next().unwrap().to_owned())
        .collect()
}

/// By a client that sends no more once it has asked.
fn scraped(address: &str, accept: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nhost: {address}\r\naccept: {accept}\r\n\r\n"
    )
    .unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// What the command says to this input; it must succeed.
fn piped(command: &mut Command, input: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// As `make test` unpacked it from Debian's package, or as it is installed.
fn promtool() -> PathBuf {
    let unpacked = root().join("tests/prometheus/packages/usr/bin/promtool");
    if unpacked.exists() {
        unpacked
    } else {
        PathBuf::from("promtool")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A server, a directory for its sessions, and an address that is free for scrapers.
fn scene() -> (Arc<Salesforce>, Lab, String) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    (server, lab, free.to_string())
}
