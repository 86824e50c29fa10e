//! `check --live`: the way to each host, tried as the daemon would go it, and nothing secret sent.

use std::fs;
use std::io::{BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::wire::read_request;

const SECRET: &str = "a-secret-of-the-client";

#[test]
fn check_live_names_for_each_host_what_stands_in_the_way_where_it_is_written_and_what_to_do() {
    let good = TlsServer::start("-days 9 -addext subjectAltName=IP:127.0.0.1");
    let other = TlsServer::start("-days 9 -addext subjectAltName=DNS:other.example");
    let ended = TlsServer::expired();
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

/// Answers every request with 404 and a clock that is behind, and keeps what it was asked.
struct TlsServer {
    directory: tempfile::TempDir,
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl TlsServer {
    /// With a certificate that signs itself.
    fn start(how: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let subject = if how.contains("-subj") {
            ""
        } else {
            "-subj /CN=server"
        };
        openssl(
            directory.path(),
            &format!(
                "req -x509 -newkey rsa:2048 -nodes {subject} {how} -keyout key.pem -out cert.pem"
            ),
        );
        Self::serving(directory)
    }

    fn expired() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let issuing = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\nserial = serial\nnew_certs_dir = .\n\
                       default_md = sha256\npolicy = names\nx509_extensions = extensions\n[names]\ncommonName = supplied\n\
                       [extensions]\nsubjectAltName = IP:127.0.0.1\n";
        for (name, text) in [("ca.conf", issuing), ("index", ""), ("serial", "01")] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        openssl(
            directory.path(),
            "req -new -newkey rsa:2048 -nodes -subj /CN=server -keyout key.pem -out request.pem",
        );
        openssl(
            directory.path(),
            "ca -batch -notext -config ca.conf -selfsign -keyfile key.pem -in request.pem -startdate 20150101000000Z \
             -enddate 20200101000000Z -out cert.pem",
        );
        Self::serving(directory)
    }

    fn serving(directory: tempfile::TempDir) -> Self {
        let file = |name| directory.path().join(name);
        let certificate = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&requests);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, socket);
                let mut buffer = [0; 16 * 1024];
                let Ok(length @ 1..) = stream.read(&mut buffer) else {
                    continue;
                };
                seen.lock()
                    .unwrap()
                    .push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                let _ = stream.write_all(
                    b"HTTP/1.1 404 Not Found\r\nDate: Mon, 02 Nov 2020 05:00:00 GMT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                );
            }
        });
        Self {
            directory,
            address,
            requests,
        }
    }

    fn certificate(&self) -> String {
        fs::read_to_string(self.directory.path().join("cert.pem")).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn openssl(directory: &Path, arguments: &str) {
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(made.status.success(), "{arguments}: {made:?}");
}
