//! `keepfresh add`: a session is added whole, or nothing is left of it; nothing is overwritten, and no secret is shown.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::support::daemon::{BINARY, Lab};
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::terminal::Terminal;
use crate::support::untried::can_as_root;

#[test]
fn no_secret_is_taken_or_written_where_a_stranger_could_take_it() {
    const STRANGER: u32 = 61_044;
    if !rustix::process::geteuid().is_root() {
        return; // Only root can give files away.
    }
    let (server, lab) = scene();
    let (url, secret) = (server.url(), lab.path("client-secret"));
    for (mode, owner, said) in [
        (0o755, STRANGER, "in a directory of another user"),
        (0o777, 0, "in a directory in which every user can write"),
    ] {
        let directory = lab.path(&format!("their-{owner}"));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        chown(&directory, Some(owner), Some(owner)).unwrap();
        let output = Command::new(BINARY)
            .args(["add", "crm", "--provider", "salesforce", "--url", &url])
            .args(["--grant", "client_credentials", "--set", "client_id=x"])
            .arg("--secret-file")
            .arg(format!("client_secret={}", secret.display()))
            .arg("--config")
            .arg(directory.join("keepfresh/config.toml"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains(said) && told.contains("ch") && told.contains("nothing was added"),
            "{told}"
        );
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "{told}");
    }
    assert_eq!(server.logins(), 0);
}

#[test]
fn without_a_terminal_it_asks_nothing_and_names_the_flags_that_are_missing() {
    let (server, lab) = scene();
    let before = files(&lab);
    let url = server.url();
    for (args, parts) in [
        (
            vec![],
            vec!["NAME", "--provider KIND", "keepfresh providers KIND"],
        ),
        (
            vec!["crm", "--provider", "salesforce"],
            vec![
                "--url URL",
                "--grant GRANT (one of jwt_bearer, client_credentials",
            ],
        ),
        (
            vec![
                "crm",
                "--provider",
                "salesforce",
                "--url",
                &url,
                "--grant",
                "client_credentials",
            ],
            vec!["--set client_id=…", "--secret-file client_secret=PATH"],
        ),
        (
            vec!["CRM", "--provider", "salesforce"],
            vec!["\"CRM\" is no session name"],
        ),
        (vec!["crm", "--provider", "salesfroce"], vec!["salesfroce"]),
        (
            vec![
                "crm",
                "--provider",
                "salesforce",
                "--url",
                &url,
                "--grant",
                "magic",
            ],
            vec!["\"magic\" is no way to log in"],
        ),
    ] {
        let output = add(&lab, &args, "");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?} {said}");
        assert!(
            parts.iter().all(|part| said.contains(part)) && output.stdout.is_empty(),
            "{args:?} {said}"
        );
    }
    assert_eq!(files(&lab), before);
    assert!(server.calls().is_empty());
}

#[test]
fn a_session_is_added_by_flags_and_its_token_is_there_when_the_command_ends() {
    let (server, mut lab) = scene();
    lab.start();
    let url = server.url();
    let mut args = by_client(&url);
    let client_secret = format!("client_secret={}", lab.path("client-secret").display());
    args.extend([
        "--secret-file",
        &client_secret,
        "--set",
        "idle_timeout=2h",
        "--set",
        "owner=\"the\" crm people",
    ]);
    let output = add(&lab, &args, "");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("crm is alive") && said.contains("run/tokens/crm"),
        "{said}"
    );
    assert!(lab.token("crm").is_some());
    assert_eq!(mode(&lab, "conf.d/crm.toml"), 0o644);
    assert_eq!(
        (
            mode(&lab, "secrets"),
            mode(&lab, "secrets/crm-client-secret")
        ),
        (0o700, 0o400)
    );
    let before = files(&lab);
    let again = add(&lab, &args, "");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(said.contains("there is a session crm already"), "{said}");
    assert_eq!(files(&lab), before);
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_secret_comes_from_standard_input_and_is_refused_as_an_argument() {
    let (server, mut lab) = scene();
    lab.start();
    let url = server.url();
    let secret = server.client_secret();
    let as_argument = format!("client_secret={secret}");
    let mut args = by_client(&url);
    args.extend(["--set", &as_argument]);
    let output = add(&lab, &args, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("--secret-file client_secret=PATH") && !said.contains(&secret),
        "{said}"
    );
    let mut args = by_client(&url);
    args.extend(["--secret-file", "client_secret=-"]);
    let output = add(&lab, &args, &secret);
    assert!(output.status.success(), "{output:?}");
    assert!(lab.token("crm").is_some());
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_check_or_a_daemon_that_refuses_leaves_nothing_of_the_session() {
    let (server, mut lab) = scene();
    lab.start();
    let client_secret = format!("client_secret={}", lab.path("client-secret").display());
    let before = files(&lab);
    let plain = "http://crm.example".to_owned();
    let mut args = by_client(&plain);
    args.extend(["--secret-file", &client_secret]);
    let output = add(&lab, &args, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(
        said.contains("nothing was added") && said.contains("crm.example"),
        "{said}"
    );
    assert_eq!(left(&lab, &before), BTreeSet::new());
    // The key is none.
    let url = server.url();
    let key = format!("private_key={}", lab.path("client-secret").display());
    let args = [
        "crm",
        "--provider",
        "salesforce",
        "--url",
        &url,
        "--grant",
        "jwt_bearer",
        "--set",
        "client_id=crm",
    ];
    let args = [
        &args[..],
        &["--set", "username=a@b.example", "--secret-file", &key],
    ]
    .concat();
    let output = add(&lab, &args, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.contains("private key"), "{said}");
    assert_eq!(left(&lab, &before), BTreeSet::new());
    assert!(server.calls().is_empty());
}

#[test]
fn a_login_that_is_refused_is_told_with_its_remedy_and_the_session_stays() {
    let (server, mut lab) = scene();
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    lab.start();
    let url = server.url();
    let client_secret = format!("client_secret={}", lab.path("client-secret").display());
    let mut args = by_client(&url);
    args.extend(["--secret-file", &client_secret]);
    let output = add(&lab, &args, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(79), "{said}");
    assert!(
        said.contains("is in force, but there is no token yet")
            && said.contains("keepfresh login crm"),
        "{said}"
    );
    assert!(lab.path("conf.d/crm.toml").exists());
    assert!(server.logins() <= 2);
}

#[test]
fn a_dry_run_prints_the_file_and_makes_nothing() {
    let (server, lab) = scene();
    let before = files(&lab);
    let url = server.url();
    let args = [
        "crm",
        "--provider",
        "salesforce",
        "--url",
        &url,
        "--grant",
        "jwt_bearer",
        "--dry-run",
    ];
    let output = add(
        &lab,
        &[
            &args[..],
            &["--set", "client_id=a\"b", "--set", "username=a@b.example"],
        ]
        .concat(),
        "",
    );
    let printed: toml::Table = String::from_utf8(output.stdout.clone())
        .unwrap()
        .parse()
        .unwrap();
    let login = &printed["sessions"]["crm"]["login"];
    assert_eq!(
        (login["client_id"].as_str(), login["grant"].as_str()),
        (Some("a\"b"), Some("jwt_bearer"))
    );
    assert!(
        login["private_key"]["file"]
            .as_str()
            .unwrap()
            .ends_with("secrets/crm-private-key.pem"),
        "{output:?}"
    );
    assert_eq!(files(&lab), before);
    assert!(server.calls().is_empty());
}

#[test]
fn at_a_terminal_all_is_asked_the_key_is_made_first_and_its_certificate_fits() {
    let (server, lab) = scene();
    let command = lab.command(&["add", "--config", &lab.config().display().to_string()]);
    let mut screen = Terminal::start(command, 100, 30);
    screen.until("Name of the session: ");
    screen.press("crm\n");
    screen.until("Kind of server");
    screen.press("force\n");
    screen.until("salesforce: Salesforce");
    screen.until("URL of the server: ");
    screen.press(&format!("{}\n", server.url()));
    screen.until("1. jwt_bearer");
    screen.until("Way to log in, by name or number [jwt_bearer]: ");
    screen.press("\n");
    screen.until("External Client App");
    screen.until("crm-certificate.pem");
    screen.until("client_id, ");
    screen.press("crm\n");
    screen.until("username, ");
    screen.press("crm@acme.example\n");
    screen.until("is written and good; the daemon does not run");
    assert!(screen.ended().success());
    assert_eq!(
        lab.code(&["check", "--config", &lab.config().display().to_string()]),
        0
    );
    assert_eq!(
        (
            mode(&lab, "secrets/crm-private-key.pem"),
            mode(&lab, "crm-certificate.pem")
        ),
        (0o400, 0o644)
    );
    let openssl = |args: &str| {
        let output = Command::new("openssl")
            .args(args.split(' '))
            .current_dir(lab.path(""))
            .output()
            .unwrap();
        assert!(output.status.success(), "{args}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let of_key = openssl("pkey -in secrets/crm-private-key.pem -pubout");
    assert_eq!(
        openssl("x509 -in crm-certificate.pem -noout -pubkey"),
        of_key
    );
    let about = openssl("x509 -in crm-certificate.pem -noout -text");
    let parts = [
        "CN = keepfresh crm",
        "sha256WithRSAEncryption",
        "(2048 bit)",
        "Version: 3",
    ];
    assert!(parts.iter().all(|part| about.contains(part)), "{about}");
    openssl("verify -check_ss_sig -CAfile crm-certificate.pem crm-certificate.pem");
    assert!(server.calls().is_empty());
}

#[test]
fn what_is_secret_is_not_shown_at_the_terminal_and_the_session_is_alive_at_the_end() {
    let (server, mut lab) = scene();
    lab.start();
    let config = lab.config().display().to_string();
    let url = server.url();
    let mut screen = Terminal::start(
        lab.command(&[&["add", "--config", &config][..], &by_client(&url)].concat()),
        100,
        30,
    );
    screen.until("client_secret, ");
    screen.until("(not shown): ");
    screen.press(&format!("{}\n", server.client_secret()));
    screen.until("crm is alive");
    assert!(screen.ended().success());
    assert!(screen.is_as_before());
    assert!(!screen.shown().contains(&server.client_secret()));
    assert!(lab.token("crm").is_some());
    assert_eq!(server.logins(), 1);
}

#[test]
fn who_stops_it_at_a_question_finds_the_terminal_as_before_and_nothing_left() {
    let (server, lab) = scene();
    let config = lab.config().display().to_string();
    let before = files(&lab);
    let url = server.url();
    for (grant, question) in [
        ("jwt_bearer", "client_id, "),
        ("client_credentials", "(not shown): "),
    ] {
        let args = [
            "add",
            "crm",
            "--config",
            &config,
            "--provider",
            "salesforce",
            "--url",
            &url,
            "--grant",
            grant,
        ];
        let further: &[&str] = if grant == "jwt_bearer" {
            &[]
        } else {
            &["--set", "client_id=crm"]
        };
        let mut screen = Terminal::start(lab.command(&[&args[..], further].concat()), 100, 30);
        screen.until(question);
        screen.signal(rustix::process::Signal::INT);
        screen.until("nothing was added");
        assert_eq!(screen.ended().code(), Some(1), "{grant}");
        assert!(screen.is_as_before(), "{grant}");
        assert_eq!(left(&lab, &before), BTreeSet::new(), "{grant}");
    }
    assert!(server.calls().is_empty());
}

#[test]
fn root_gives_the_secrets_to_the_daemons_user_and_another_user_needs_no_root() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, lab) = scene();
    fs::create_dir(lab.path("state")).unwrap();
    fs::set_permissions(lab.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    chown(lab.path("state"), Some(OTHER), Some(OTHER)).unwrap();
    let url = server.url();
    let client_secret = format!("client_secret={}", lab.path("client-secret").display());
    let mut args = by_client(&url);
    args.extend(["--secret-file", &client_secret]);
    let output = add(&lab, &args, "");
    assert!(output.status.success(), "{output:?}");
    let owner = |path: &str| fs::metadata(lab.path(path)).unwrap().uid();
    assert_eq!(
        (
            owner("secrets"),
            owner("secrets/crm-client-secret"),
            owner("conf.d/crm.toml")
        ),
        (OTHER, OTHER, 0)
    );

    let home = tempfile::tempdir().unwrap();
    chown(home.path(), Some(OTHER), Some(OTHER)).unwrap();
    let secret = server.client_secret();
    let mut command = Command::new(BINARY);
    command.args([
        "add",
        "crm",
        "--provider",
        "salesforce",
        "--url",
        &url,
        "--grant",
        "client_credentials",
    ]);
    command
        .args(["--set", "client_id=crm", "--secret-file", "client_secret=-"])
        .env_clear();
    command
        .env("XDG_CONFIG_HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env("HOME", home.path());
    command.uid(OTHER).gid(OTHER).current_dir("/");
    let output = with_input(command, &secret);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("the daemon does not run"),
        "{output:?}"
    );
    let made = |path: &str| fs::metadata(home.path().join("keepfresh").join(path)).unwrap();
    assert_eq!(
        (made("config.toml").uid(), made("conf.d/crm.toml").uid()),
        (OTHER, OTHER)
    );
    assert_eq!(made("secrets/crm-client-secret").mode() & 0o777, 0o400);
    assert!(server.calls().is_empty());
}

/// A user of the machine who is neither root nor nobody.
const OTHER: u32 = 54321;

/// A server, and a directory whose config has no session yet.
fn scene() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[]);
    (server, lab)
}

fn by_client(url: &str) -> Vec<&str> {
    vec![
        "crm",
        "--provider",
        "salesforce",
        "--url",
        url,
        "--grant",
        "client_credentials",
        "--set",
        "client_id=crm",
    ]
}

/// `keepfresh add ARGS`, without a terminal.
fn add(lab: &Lab, args: &[&str], input: &str) -> Output {
    let mut command = lab.command(&["add", "--config"]);
    command.arg(lab.config()).args(args);
    let output = with_input(command, input);
    lab.also_said(&String::from_utf8_lossy(&output.stdout));
    lab.also_said(&String::from_utf8_lossy(&output.stderr));
    output
}

fn with_input(mut command: Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    child.wait_with_output().unwrap()
}

fn mode(lab: &Lab, path: &str) -> u32 {
    fs::metadata(lab.path(path)).unwrap().mode() & 0o7777
}

/// Every file of the directory, but what the daemon makes.
fn files(lab: &Lab) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(&lab.path(""), &mut found);
    found.retain(|path| !path.contains("/run/") && !path.contains("/state/"));
    found
}

fn left(lab: &Lab, before: &BTreeSet<String>) -> BTreeSet<String> {
    files(lab).difference(before).cloned().collect()
}

fn walk(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), found);
        } else {
            found.insert(entry.path().display().to_string());
        }
    }
}
