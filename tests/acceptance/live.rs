//! `check --live`: the way to each host, tried as the daemon would go it, and nothing secret sent.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::tls::TlsServer;
use crate::support::wire::read_request;

const SECRET: &str = "a-secret-of-the-client";

#[test]
fn check_live_names_for_each_host_what_stands_in_the_way_where_it_is_written_and_what_to_do() {
    let good = TlsServer::start("-days 9 -addext subjectAltName=IP:127.0.0.1");
    let other = TlsServer::start("-days 9 -addext subjectAltName=DNS:other.example");
    let ended = TlsServer::dated("20150101000000Z", "20200101000000Z");
    let unknown = TlsServer::start("-days 9 -addext subjectAltName=IP:127.0.0.1");
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let refusing = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let lab = lab();
    let authorities: String = [&good, &other, &ended].map(TlsServer::certificate).concat();
    fs::write(lab.path("ca.pem"), authorities).unwrap();
    let hung = hanging.local_addr().unwrap();
    configure(
        &lab,
        &[
            ("good", &format!("https://{}", good.address)),
            ("twin", &format!("https://{}", good.address)),
            ("other", &format!("https://{}", other.address)),
            ("ended", &format!("https://{}", ended.address)),
            ("unknown", &format!("https://{}", unknown.address)),
            ("hung", &format!("https://{hung}")),
            ("refused", &format!("https://{refusing}")),
            ("nameless", "https://nowhere.invalid"),
        ],
    );
    let begun = Instant::now();
    let (code, report, told) = check(&lab, &[]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{report}");
    assert_eq!(code, Some(78), "{told}");
    let of = |name: &str| {
        let hosts = report["live"].as_array().unwrap();
        let found = hosts
            .iter()
            .find(|host| host["sessions"][0] == name)
            .unwrap();
        found.clone()
    };
    assert!(of("good")["error"].is_null(), "{report}");
    assert_eq!(of("good")["sessions"][1], "twin", "one host is tried once");
    let ends = of("good")["certificate_ends"].as_str().unwrap().to_owned();
    assert!(ends.ends_with('Z'), "{ends}");
    let warnings = of("good")["warnings"].to_string();
    assert!(
        warnings.contains("its certificate ends in 8 days") && warnings.contains("behind this"),
        "{warnings}"
    );
    for (name, step, problem) in [
        (
            "other",
            "tls",
            "not valid for name 127.0.0.1, only for other.example",
        ),
        ("ended", "tls", "expired on 2020-01-01"),
        ("unknown", "tls", "self-signed"),
        ("hung", "tls", "takes the connection and then says nothing"),
        ("refused", "connect", "nothing listens there"),
        ("nameless", "dns", "nowhere.invalid is not found"),
    ] {
        let error = of(name)["error"].clone();
        assert_eq!(error["step"], step, "{error}");
        assert!(
            error["message"].as_str().unwrap().contains(problem),
            "{error}"
        );
        assert!(error["remedy"].as_str().unwrap().len() > 10, "{error}");
        let config = fs::read_to_string(lab.config()).unwrap();
        let header = config
            .lines()
            .position(|line| line == format!("[sessions.{name}]"))
            .unwrap();
        let place = format!("config.toml:{}:", header + 3);
        assert!(told.contains(&place), "{name}: {place} in {told}");
    }
    assert!(told.contains("6 hosts cannot be reached"), "{told}");
    let requests = good.requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(requests[0].starts_with("HEAD / "), "{requests:?}");
    assert!(other.requests().is_empty() && ended.requests().is_empty());
}

#[test]
fn check_live_goes_by_the_proxy_and_the_pin_of_the_session_and_logs_in_nowhere() {
    let pinned = TlsServer::start("-days 9 -subj /CN=whatever");
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let asked = thread::spawn(move || {
        let (mut stream, _) = proxy.accept().unwrap();
        let request = read_request(&mut BufReader::new(stream.try_clone().unwrap())).unwrap();
        stream
            .write_all(b"HTTP/1.1 407 Who are you\r\n\r\n")
            .unwrap();
        request.path
    });
    let lab = lab();
    configure(
        &lab,
        &[
            ("pinned", &format!("https://{}", pinned.address)),
            ("proxied", "https://acme.invalid"),
        ],
    );
    let config = fs::read_to_string(lab.config()).unwrap();
    let pin = pin(&pinned.directory.path().join("cert.pem"));
    lab.write_config(
        &config
            .replace("ca_file = \"ca.pem\"\n", "")
            .replace(
                "[sessions.pinned.login]",
                &format!("[sessions.pinned.http]\npin_sha256 = \"{pin}\"\n[sessions.pinned.login]"),
            )
            .replace(
                "[sessions.proxied.login]",
                &format!("[sessions.proxied.http]\nproxy = \"http://{address}\"\n[sessions.proxied.login]"),
            ),
    );
    let (code, report, told) = check(&lab, &[]);
    assert_eq!(code, Some(78), "{told}");
    let hosts = report["live"].as_array().unwrap();
    assert!(hosts[0]["error"].is_null(), "{report}");
    assert_eq!(hosts[1]["error"]["step"], "proxy", "{report}");
    assert!(
        told.contains(&format!(
            "the proxy http://{address} refused the connection with 407"
        )),
        "{told}"
    );
    assert_eq!(asked.join().unwrap(), "acme.invalid:443");
    assert_eq!(pinned.requests().len(), 1);
}

fn lab() -> Lab {
    let lab = Lab::bare("https://acme.invalid", || vec![SECRET.to_owned()]);
    lab.secret("secret", SECRET);
    lab
}

fn configure(lab: &Lab, sessions: &[(&str, &str)]) {
    let sessions: Vec<String> = sessions
        .iter()
        .map(|(name, url)| {
            format!(
                "[sessions.{name}]\nprovider = \"oauth2\"\nurl = \"{url}\"\n[sessions.{name}.login]\n\
                 grant = \"client_credentials\"\nclient_id = \"{name}\"\nclient_secret = {}\ntoken_url = \"/token\"\n",
                lab.source("secret")
            )
        })
        .collect();
    lab.configure_text(&sessions.concat());
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replacen("[http]\n", "[http]\nca_file = \"ca.pem\"\n", 1));
}

/// The exit code, the JSON, and what was said beside it.
fn check(lab: &Lab, variables: &[(&str, &str)]) -> (Option<i32>, Value, String) {
    let config = lab.config();
    let mut check = lab.command(&[
        "check",
        "--live",
        "--json",
        "--config",
        config.to_str().unwrap(),
    ]);
    let output = check.envs(variables.iter().copied()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!told.contains(SECRET) && !format!("{report}").contains(SECRET));
    (output.status.code(), report, told)
}

fn pin(certificate: &Path) -> String {
    let pipe = "openssl x509 -in \"$1\" -noout -pubkey | openssl pkey -pubin -outform der \
                | openssl dgst -sha256 -binary | openssl base64";
    let output = Command::new("sh")
        .args(["-c", pipe, "sh"])
        .arg(certificate)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
