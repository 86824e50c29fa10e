//! Management controllers: how they name a session, what they want first, and the certificates that they came with.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::daemon::{Lab, Session};
use crate::support::recorder::{await_listener, free_port};
use crate::support::scripted::Scripted;
use crate::support::tls::openssl;
use crate::support::wire::Response;
use crate::support::{SOON, random_hex, within};

const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";
const SERVICE: &str = "/redfish/v1/SessionService";
const MUST_CHANGE: &str = r#"{"error":{"code":"Base.1.10.GeneralError","@Message.ExtendedInfo":[{"MessageId":"Base.1.10.PasswordChangeRequired","Message":"The password provided for this account must be changed before access is granted."}]}}"#;

/// Certificates that nobody vouches for, and how `openssl` makes them.
const CERTIFICATES: [(&str, &str); 6] = [
    (
        "no-name",
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=idrac -keyout key.pem -out cert.pem",
    ),
    (
        "version-1",
        "x509 -req -in request.pem -signkey key.pem -days 30 -out cert.pem",
    ),
    (
        "expired",
        "ca -batch -notext -config ca.conf -selfsign -keyfile key.pem -in request.pem -startdate 20150101000000Z \
         -enddate 20200101000000Z -out cert.pem",
    ),
    (
        "sha-1",
        "req -x509 -sha1 -newkey rsa:2048 -nodes -days 30 -subj /CN=bmc -keyout key.pem -out cert.pem",
    ),
    (
        "1024-bits",
        "req -x509 -newkey rsa:1024 -nodes -days 30 -subj /CN=bmc -keyout key.pem -out cert.pem",
    ),
    (
        "p-384",
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -days 30 -subj /CN=bmc -keyout key.pem \
         -out cert.pem",
    ),
];

#[test]
fn a_controller_that_names_its_session_by_another_host_a_relative_path_or_in_its_body_alone_keeps_it_in_one_slot()
 {
    for location in [
        "/redfish/v1/SessionService/Sessions/7",
        "https://192.0.2.7:8443/redfish/v1/SessionService/Sessions/7",
        "http://bmc.invalid/redfish/v1/SessionService/Sessions/7",
        "//bmc.invalid/redfish/v1/SessionService/Sessions/7",
        "./Sessions/7",
        "https://[not a host/Sessions/7",
        " ",
        "",
    ] {
        let token = random_hex(16);
        let given = token.clone();
        let server = Scripted::start(move |request| match request.method.as_str() {
            "POST" => {
                let body =
                    json!({"@odata.id": format!("{SESSIONS}/7"), "Id": "7", "UserName": "user"})
                        .to_string();
                let made = Response::json(201, body).with("X-Auth-Token", &given);
                if location.is_empty() {
                    made
                } else {
                    made.with("Location", location)
                }
            }
            "DELETE" => Response {
                status: 204,
                ..Response::default()
            },
            _ => Response::json(200, r#"{"Id":"7"}"#),
        });
        let mut lab = lab(&server.url(), &token);
        lab.configure(&[controller(&lab)
            .idle_timeout("2s")
            .key("logout_on = [\"stop\"]")]);
        lab.start();
        assert_eq!(lab.await_token("bmc"), token, "{location}");
        let own = format!("{SESSIONS}/7");
        within(SOON, "two pings", || {
            (server.count(&format!("GET {own}")) >= 2).then_some(())
        });
        lab.stop();
        assert_eq!(
            server.count(&format!("POST {SESSIONS}")),
            1,
            "{location}: {:?}",
            server.asked()
        );
        assert_eq!(
            server.count(&format!("DELETE {own}")),
            1,
            "{location}: {:?}",
            server.asked()
        );
        let known = [
            format!("POST {SESSIONS}"),
            format!("GET {SERVICE}"),
            format!("GET {own}"),
            format!("DELETE {own}"),
        ];
        assert!(
            server.asked().iter().all(|asked| known.contains(asked)),
            "{location}: {:?}",
            server.asked()
        );
    }
}

#[test]
fn a_password_that_must_be_changed_first_is_told_to_a_person_and_its_session_is_published_to_nobody()
 {
    // Where the controller says so: in the answer to the login, in that alone which may be read, or one day.
    for when in ["at once", "of all else", "later"] {
        let token = random_hex(16);
        let given = token.clone();
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let server = Scripted::start(move |request| {
            let made = |body: &str| {
                Response::json(201, body)
                    .with("X-Auth-Token", &given)
                    .with("Location", &format!("{SESSIONS}/1"))
            };
            let count = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            match (request.method.as_str(), when) {
                ("POST", "at once") => {
                    made(&MUST_CHANGE.replace("\"error\"", "\"Id\":\"1\",\"info\""))
                }
                ("POST", "later") if count > 0 => Response::json(403, MUST_CHANGE),
                ("POST", _) => made(r#"{"Id":"1"}"#),
                (_, "later") if count < 4 => Response::json(200, r#"{"Id":"1"}"#),
                (_, _) => Response::json(403, MUST_CHANGE),
            }
        });
        let mut lab = lab(&server.url(), &token);
        lab.configure(&[controller(&lab).idle_timeout("2s")]);
        lab.start();
        if when == "later" {
            assert_eq!(lab.await_token("bmc"), token);
        }
        let status = lab.await_state("bmc", "needs_attention");
        let said = status["attention"].to_string();
        assert!(said.contains("password changed"), "{when}: {said}");
        assert!(!said.contains("is wrong"), "{when}: {said}");
        lab.await_no_token("bmc");
        let logins = server.count(&format!("POST {SESSIONS}"));
        assert_eq!(
            logins,
            if when == "later" { 2 } else { 1 },
            "{when}: {:?}",
            server.asked()
        );
    }
}

#[test]
fn a_pin_alone_is_enough_for_the_certificate_that_a_controller_came_with_and_is_had_as_the_docs_say()
 {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for (kind, how) in CERTIFICATES {
        make(directory, how);
        let token = random_hex(16);
        // What has such a key speaks no TLS 1.3 and knows no PSS; without the level openssl would not load it.
        let old = [
            "-tls1_2",
            "-sigalgs",
            "RSA+SHA256",
            "-cipher",
            "ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0",
        ];
        let options = if kind == "1024-bits" { &old[..] } else { &[] };
        let server = OpensslServer::start(directory, &token, options);
        let pin = server.pin_by_the_docs();
        let fingerprint = server.fingerprint();
        let mut lab = self::lab(&server.url(), &token);
        controllers_profile(&lab);
        let pinned = |name: &str, http: &str| {
            let login = format!("password = {}", lab.source("password"));
            lab.session(name, &login)
                .provider("getter")
                .idle_timeout("1h")
                .table("http", http)
        };
        lab.configure(&[
            pinned("key", &format!("pin_sha256 = \"{pin}\"")),
            pinned("whole", &format!("pin_sha256 = \"{fingerprint}\"")),
            pinned(
                "both",
                &format!(
                    "pin_sha256 = \"{pin}\"\nca_file = {:?}",
                    directory.join("cert.pem")
                ),
            ),
            pinned(
                "other",
                "pin_sha256 = \"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"",
            ),
            pinned("none", ""),
        ]);
        lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()]);
        lab.start();
        for name in ["key", "whole", "both"] {
            assert_eq!(lab.await_token(name), token, "{kind}: {name}");
        }
        for name in ["other", "none"] {
            let said = within(SOON, "a reason", || {
                let said = lab.status(name)["last_error"]["detail"]
                    .as_str()?
                    .to_owned();
                said.contains("pin_sha256").then_some(said)
            });
            assert!(
                said.contains(&pin),
                "{kind}: what was found is named: {said}"
            );
            assert_eq!(lab.token(name), None, "{kind}: {name}");
        }
    }
}

#[test]
fn a_server_that_speaks_tls_older_than_1_2_gets_no_password_whatever_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    make(directory, CERTIFICATES[0].1);
    for (version, is_taken) in [
        ("-tls1", false),
        ("-tls1_1", false),
        ("-tls1_2", true),
        ("-tls1_3", true),
    ] {
        let token = random_hex(16);
        let any = [version, "-cipher", "ALL:@SECLEVEL=0"];
        let server = OpensslServer::start(directory, &token, &any);
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &server.address.to_string()]);
        let spoken = client.args(any).stdin(Stdio::null()).output().unwrap();
        assert!(spoken.status.success(), "{version} is spoken: {spoken:?}");
        let mut lab = self::lab(&server.url(), &token);
        controllers_profile(&lab);
        let login = format!("password = {}", lab.source("password"));
        let pin = format!("pin_sha256 = \"{}\"", server.pin_by_the_docs());
        let own = format!("ca_file = {:?}", directory.join("cert.pem"));
        let session = |name: &str, http: &str| {
            let session = lab.session(name, &login).provider("getter");
            session.idle_timeout("1h").table("http", http)
        };
        lab.configure(&[session("pinned", &pin), session("known", &own)]);
        lab.start();
        if is_taken {
            assert_eq!(lab.await_token("pinned"), token, "{version}");
            continue;
        }
        for name in ["pinned", "known"] {
            let said = within(SOON, "a reason", || {
                let status = lab.get(&format!("/v1/sessions/{name}"))?.json();
                status["last_error"]["detail"].as_str().map(str::to_owned)
            });
            assert!(
                said.to_lowercase().contains("protocol") || said.to_lowercase().contains("version"),
                "{version}: {said}"
            );
            assert_eq!(lab.token(name), None, "{version}");
        }
    }
}

#[test]
fn a_request_that_is_redirected_is_repeated_three_times_at_most_and_at_no_foreign_host() {
    let token = random_hex(16);
    let given = token.clone();
    let other = Scripted::start(move |_| {
        let made = Response::json(201, format!("{{\"@odata.id\":\"{SESSIONS}/7\"}}"));
        made.with("X-Auth-Token", &given)
    });
    let port = other.address.port();
    for (status, location, own, others) in [
        (308, format!("{SESSIONS}/"), 4, 0),
        (307, format!("http://0.0.0.0:{port}{SESSIONS}"), 1, 0),
        (302, format!("http://user@127.0.0.1:{port}{SESSIONS}"), 1, 0),
        (301, format!("ftp://127.0.0.1:{port}{SESSIONS}"), 1, 0),
        (303, format!("http://127.0.0.1:{port}{SESSIONS}"), 1, 0),
        (307, format!("http://127.0.0.1:{port}{SESSIONS}"), 1, 1),
    ] {
        let there = location.clone();
        let server = Scripted::start(move |_| {
            Response {
                status,
                ..Response::default()
            }
            .with("Location", &there)
        });
        let before = other.requests().len();
        let mut lab = lab(&server.url(), &token);
        lab.configure(&[controller(&lab)]);
        lab.start();
        within(SOON, "the answer to a login", || {
            let status = lab.get("/v1/sessions/bmc")?.json();
            (status["last_error"].is_object() || lab.token("bmc").is_some()).then_some(())
        });
        lab.stop();
        let posts = |server: &Scripted| {
            let asked = server.asked();
            asked
                .iter()
                .filter(|line| line.starts_with("POST "))
                .count()
        };
        let tries = posts(&server) / own;
        assert!((1..=3).contains(&tries), "{location}: {:?}", server.asked());
        assert_eq!(
            posts(&server),
            tries * own,
            "{location}: {:?}",
            server.asked()
        );
        let there = other.requests().split_off(before);
        let logins = there.iter().filter(|asked| asked.method == "POST").count();
        assert_eq!(logins, others, "{status} {location}");
    }
}

/// The key and certificate of `how`.
fn make(directory: &Path, how: &str) {
    if how.contains("request.pem") {
        let issuing = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n\
                       default_md = sha256\npolicy = names\n[names]\ncommonName = supplied\n";
        for (name, text) in [("ca.conf", issuing), ("index", ""), ("serial", "01")] {
            fs::write(directory.join(name), text).unwrap();
        }
        openssl(
            directory,
            "req -new -newkey rsa:2048 -nodes -subj /CN=iLO-1 -keyout key.pem -out request.pem",
        );
    }
    openssl(directory, how);
}

fn lab(url: &str, token: &str) -> Lab {
    let needles = vec![token.to_owned(), "calvin-secret".to_owned()];
    let mut lab = Lab::bare(url, move || needles.clone());
    lab.request_timeout = "5s";
    lab.secret("password", "calvin-secret");
    lab
}

fn controller(lab: &Lab) -> Session {
    let login = format!("username = \"user\"\npassword = {}", lab.source("password"));
    lab.session("bmc", &login).provider("redfish")
}

/// `openssl s_server` answers nothing but GET.
fn controllers_profile(lab: &Lab) {
    let profile = r#"
name = "getter"
title = "A server that is only read"
protocol = "http"
[parameters]
password = { secret = true, required = true, about = "password" }
[window]
model = "sliding"
idle_timeout = "30m"
[login]
path = "/login"
headers = { X-Password = "{password}" }
capture = { token = { json = "/token" } }
[ping]
path = "/ping"
[[example]]
to = "login"
status = 401
verdict = "refused"
"#;
    fs::create_dir_all(lab.path("providers")).unwrap();
    fs::write(lab.path("providers/getter.toml"), profile).unwrap();
}

/// `openssl s_server`, which serves the files of its directory as they are.
struct OpensslServer {
    child: Child,
    address: std::net::SocketAddr,
}

impl OpensslServer {
    fn start(directory: &Path, token: &str, options: &[&str]) -> Self {
        let answer = |body: String| {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        fs::write(
            directory.join("login"),
            answer(format!("{{\"token\":\"{token}\"}}")),
        )
        .unwrap();
        fs::write(directory.join("ping"), answer("{}".to_owned())).unwrap();
        let address = free_port();
        let mut command = Command::new("openssl");
        command.args([
            "s_server", "-HTTP", "-quiet", "-cert", "cert.pem", "-key", "key.pem",
        ]);
        command.args(["-accept", &address.to_string()]);
        command.args(options);
        let child = command
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = child.spawn().unwrap();
        await_listener(address);
        Self { child, address }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// What the docs say that prints a pin, run as it is printed.
    fn pin_by_the_docs(&self) -> String {
        let docs =
            fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
        let from = docs
            .find("openssl s_client -connect bmc.example:443")
            .expect("the docs say how");
        let command = docs[from..]
            .split("```")
            .next()
            .unwrap()
            .replace("bmc.example:443", &self.address.to_string());
        printed(&command)
    }

    fn fingerprint(&self) -> String {
        let command = format!(
            "openssl s_client -connect {} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256 | cut -d= -f2",
            self.address
        );
        printed(&command)
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `s_server` serves one client after another, and `s_client` does not wait long for its turn.
fn printed(command: &str) -> String {
    within(SOON, command, || {
        let output = Command::new("sh").args(["-c", command]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        (output.status.success() && text.len() >= 44).then_some(text)
    })
}
