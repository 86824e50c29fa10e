//! A whole config, tried and told.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::config::{Surroundings, load_in};

#[test]
fn the_plan_tells_calls_outages_files_and_duties() {
    let home = Home::new(
        "publish = [{ file = \"crm\", group = \"root\" }]",
        "verify_at = [\"55 * * * *\"]",
    );
    let text = home.text();
    for part in [
        "crm: salesforce at https://acme.my.salesforce.com",
        "idle timeout 2h (assumed: the config gives no idle_timeout)",
        "a ping every 48m, 30 a day",
        "harmless up to 12m; after a longer one the daemon logs in again if the session has ended (jwt_bearer)",
        "(token), mode 0640, owned by the daemon's user and group root, removed when the token is dead",
        ":55",
        "SupplementaryGroups=root",
        "is good",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(
        !text.contains("CAP_CHOWN") && !text.contains("ReadWritePaths"),
        "{text}"
    );
}

#[test]
fn where_scrapers_are_served_is_shown() {
    let home = Home::new("", "");
    let config = fs::read_to_string(home.path().join("config.toml")).unwrap();
    assert!(!home.text().contains("metrics:"));
    for (listen, shown) in [
        (
            "localhost:9464",
            "metrics: http://127.0.0.1:9464/metrics".to_owned(),
        ),
        (
            "[::1]:9464",
            "metrics: http://[::1]:9464/metrics".to_owned(),
        ),
        ("unix:m.sock", "m.sock".to_owned()),
    ] {
        home.write(
            "config.toml",
            &format!("{config}[metrics]\nlisten = \"{listen}\"\n"),
            0o600,
        );
        let text = home.text();
        assert!(text.contains(&shown), "no `{shown}` in:\n{text}");
    }
}

#[test]
fn a_secret_that_is_missing_or_no_key_is_an_error_with_its_line() {
    let home = Home::new("", "");
    let no_key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
    for (text, part) in [
        ("not a key", "the private key is no key in PEM"),
        ("", "is empty"),
        (no_key, "the private key is damaged"),
    ] {
        home.write("key.pem", text, 0o600);
        let outcome = home.outcome();
        let error = outcome.errors.first().unwrap();
        assert!(
            error.message.contains("`sessions.crm.login.private_key`")
                && error.to_string().contains(part),
            "{error:?}"
        );
        assert_eq!(error.line, home.line_of("private_key"));
        assert!(
            error
                .to_string()
                .contains(&format!("config.toml:{}:", error.line))
        );
    }
    home.write("key.pem", KEY, 0o644);
    assert!(
        home.outcome()
            .errors
            .first()
            .unwrap()
            .remedy
            .contains("chmod")
    );
    fs::remove_file(home.path().join("key.pem")).unwrap();
    assert!(!home.outcome().ok);
}

#[test]
fn a_key_that_does_not_fit_its_algorithm_and_a_certificate_without_its_key_are_errors() {
    let home = Home::new("", "");
    let text = fs::read_to_string(home.path().join("config.toml")).unwrap();
    home.write(
        "cert.pem",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
        0o600,
    );
    let http =
        "[sessions.crm.http]\nclient_cert = \"cert.pem\"\nclient_key = { file = \"key.pem\" }\n";
    let text = text.replace("username =", "algorithm = \"RS256\"\nusername =");
    home.write("config.toml", &format!("{text}{http}"), 0o600);
    let errors = home.outcome().errors;
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 2, "{told:?}");
    assert!(
        told[0].contains("`sessions.crm.login.private_key`") && told[0].contains("does not fit"),
        "{told:?}"
    );
    assert!(
        told[1].contains("`sessions.crm.http.client_cert`"),
        "{told:?}"
    );
    assert_eq!(errors[1].line, home.line_of("client_cert"));
}

#[test]
fn the_plan_says_what_an_issuer_is_to_tell() {
    let home = Home::new("", "");
    home.write("secret", "s3cret", 0o600);
    let text = "[daemon]\nruntime_dir = \"run\"\nstate_dir = \"state\"\n[sessions.api]\nprovider = \"oauth2\"\n\
                [sessions.api.login]\ngrant = \"client_credentials\"\nissuer = \"https://login.example/acme\"\n\
                client_id = \"job\"\nclient_secret = { file = \"secret\" }\nrevocation_url = \"/revoke\"\n";
    home.write("config.toml", text, 0o600);
    let outcome = home.outcome();
    let told = home.text();
    assert!(
        outcome.ok && told.contains("api: oauth2 at https://login.example/acme\n"),
        "{told}"
    );
    assert!(
        told.contains("https://login.example/acme provides token, introspection, userinfo,"),
        "{told}"
    );
    assert!(
        told.contains("client_auth; keepfresh asks it when") && !told.contains("revocation"),
        "{told}"
    );
}

#[test]
fn a_credential_is_left_to_the_service() {
    let home = Home::new("", "");
    let text = fs::read_to_string(home.path().join("config.toml")).unwrap();
    home.write(
        "config.toml",
        &text.replace("file = \"key.pem\"", "credential = \"crm-key\""),
        0o600,
    );
    let outcome = home.outcome();
    assert!(outcome.ok, "{:?}", outcome.errors);
    assert!(outcome.not_checkable.first().unwrap().contains("crm-key"));
    assert!(
        outcome
            .systemd_drop_in
            .unwrap()
            .contains("LoadCredential=crm-key:")
    );
}

#[test]
fn files_elsewhere_and_other_owners_need_a_drop_in() {
    for (file, expected) in [
        ("/srv/crm", "[Service]\nReadWritePaths=/srv\n"),
        (
            "/home/crm",
            "[Service]\nProtectHome=tmpfs\nBindPaths=/home\n",
        ),
        ("/tmp/crm", "[Service]\nBindPaths=/tmp\n"),
    ] {
        let publish = format!("publish = [{{ file = \"{file}\", owner = 4242 }}]");
        let drop_in = Home::new(&publish, "").outcome().systemd_drop_in.unwrap();
        assert!(drop_in.starts_with(expected), "{drop_in}");
        assert!(
            drop_in.contains("AmbientCapabilities=CAP_CHOWN\nCapabilityBoundingSet=CAP_CHOWN\n"),
            "{drop_in}"
        );
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let home = Home::new("publish = [{ file = \"/etc/passwd/crm\" }]", "");
    let outcome = home.outcome();
    assert!(
        outcome
            .errors
            .iter()
            .any(|error| error.message.contains("/etc/passwd is no directory")),
        "{:?}",
        outcome.errors
    );
}

#[test]
fn sessions_of_one_account_are_named_together() {
    let home = Home::new("", "");
    let text = fs::read_to_string(home.path().join("config.toml")).unwrap();
    let again = text
        .split_once("[sessions.crm]")
        .unwrap()
        .1
        .replace("sessions.crm", "sessions.erp");
    home.write(
        "config.toml",
        &format!("{text}\n[sessions.erp]{again}"),
        0o600,
    );
    assert!(
        home.text().contains("crm, erp share the account me@"),
        "{}",
        home.text()
    );
}

/// An Ed25519 key that nothing knows.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEIOvGUubz4Cj+oCbS04K7zsjh/T5vwizEf5939oiu9Jym\n\
                   -----END PRIVATE KEY-----\n";

/// A directory with a config, a key and room for the daemon.
struct Home(tempfile::TempDir);

impl Home {
    fn new(session: &str, keepalive: &str) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        home.write("key.pem", KEY, 0o600);
        let text = format!(
            "[daemon]\nruntime_dir = \"run\"\nstate_dir = \"state\"\n[sessions.crm]\nprovider = \"salesforce\"\n\
             url = \"https://acme.my.salesforce.com\"\n{session}\n[sessions.crm.login]\ngrant = \"jwt_bearer\"\n\
             client_id = \"id\"\nusername = \"me\"\nprivate_key = {{ file = \"key.pem\" }}\n\
             [sessions.crm.keepalive]\n{keepalive}\n"
        );
        home.write("config.toml", &text, 0o600);
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        let mut file = File::create(self.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_permissions(fs::Permissions::from_mode(mode))
            .unwrap();
    }

    fn line_of(&self, key: &str) -> usize {
        let text = fs::read_to_string(self.path().join("config.toml")).unwrap();
        text.lines().position(|line| line.starts_with(key)).unwrap() + 1
    }

    fn outcome(&self) -> Outcome {
        let config = self.config();
        let unit = unit(&config);
        Outcome::of(config, &unit)
    }

    fn text(&self) -> String {
        let unit = unit(&self.config());
        self.outcome().text(&unit, &Paper::of_a_file())
    }

    fn config(&self) -> Config {
        let surroundings = Surroundings::made_up(&[], 0, 0);
        load_in(&self.path().join("config.toml"), &surroundings)
            .unwrap_or_else(|errors| panic!("{errors}"))
    }
}

/// As where systemd does not run.
fn unit(config: &Config) -> Unit {
    Unit {
        needed: DropIn::needed_by(config),
        service: None,
    }
}
