//! Configs that are wrong: exit code 78, every error at once, each with file, line, key and what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::{SOON, within};

/// A session with nothing wrong, and where the wrong line goes.
const GOOD: &str = r#"[sessions.crm]
provider = "salesforce"
url = "https://acme.my.salesforce.com"
[sessions.crm.login]
grant = "client_credentials"
client_id = "3MVG9"
client_secret = { file = "SECRET" }
"#;

/// What is wrong, the config, and words of which each group must give at least one. `#!` marks the line to be named.
struct Case {
    name: &'static str,
    config: String,
    words: &'static [&'static [&'static str]],
}

fn case(name: &'static str, config: &str, words: &'static [&'static [&'static str]]) -> Case {
    Case {
        name,
        config: config.to_owned(),
        words,
    }
}

/// `GOOD` with one line replaced by another, which is marked.
fn replaced(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replace(old, &format!("{new} #!"))
}

/// `GOOD` and more lines.
fn followed(by: &str) -> String {
    format!("{GOOD}{by}\n")
}

fn cases() -> Vec<Case> {
    [
        session_cases(),
        login_cases(),
        keepalive_cases(),
        publish_cases(),
        other_cases(),
        slips(),
        places(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn session_cases() -> Vec<Case> {
    vec![
        case(
            "an unknown key",
            &replaced(
                "url = \"https://acme.my.salesforce.com\"",
                "urll = \"https://acme.my.salesforce.com\"",
            ),
            &[&["urll"], &["unknown"], &["`url`", "\"url\"", " url"]],
        ),
        case(
            "an unknown provider",
            &replaced("provider = \"salesforce\"", "provider = \"saleforce\""),
            &[&["saleforce"], &["salesforce"]],
        ),
        case(
            "no provider",
            &GOOD.replace(
                "[sessions.crm]\nprovider = \"salesforce\"",
                "[sessions.crm] #!",
            ),
            &[&["provider"]],
        ),
        case(
            "no url",
            &GOOD
                .replace("url = \"https://acme.my.salesforce.com\"\n", "")
                .replace("[sessions.crm]", "[sessions.crm] #!"),
            &[&["url"]],
        ),
        case(
            "plain http",
            &replaced(
                "url = \"https://acme.my.salesforce.com\"",
                "url = \"http://acme.my.salesforce.com\"",
            ),
            &[&["http"], &["allow_plain_http", "https"]],
        ),
        case(
            "a url that is none",
            &replaced(
                "url = \"https://acme.my.salesforce.com\"",
                "url = \"acme.my.salesforce.com\"",
            ),
            &[&["url"], &["https://"]],
        ),
        case(
            "a name with capitals",
            &GOOD
                .replace("sessions.crm", "sessions.CRM")
                .replace("[sessions.CRM]", "[sessions.CRM] #!"),
            &[&["CRM"], &["a-z", "lower"]],
        ),
        case(
            "a session defined twice",
            &followed("[sessions.crm] #!\nprovider = \"salesforce\""),
            &[&["crm"], &["duplicate", "twice", "already"]],
        ),
    ]
}

fn login_cases() -> Vec<Case> {
    vec![
        case(
            "an unknown grant",
            &replaced(
                "grant = \"client_credentials\"",
                "grant = \"client_credential\"",
            ),
            &[&["client_credential"], &["client_credentials"]],
        ),
        case(
            "a secret in the clear",
            &replaced(
                "client_secret = { file = \"SECRET\" }",
                "client_secret = \"hunter2-hunter2\"",
            ),
            &[&["client_secret"], &["file"]],
        ),
        case(
            "a key that this grant lacks",
            &followed("security_token = { file = \"SECRET\" } #!"),
            &[&["security_token"]],
        ),
        case(
            "a missing parameter",
            &GOOD
                .replace("client_id = \"3MVG9\"\n", "")
                .replace("[sessions.crm.login]", "[sessions.crm.login] #!"),
            &[&["client_id"]],
        ),
        case(
            "a secret that others can read",
            &replaced(
                "client_secret = { file = \"SECRET\" }",
                "client_secret = { file = \"OPEN\" }",
            ),
            &[
                &["OPEN", "open-secret"],
                &["chmod", "0600", "insecure_mode", "600"],
            ],
        ),
        case(
            "a secret that is not there",
            &replaced(
                "client_secret = { file = \"SECRET\" }",
                "client_secret = { file = \"ABSENT\" }",
            ),
            &[&["absent-secret"]],
        ),
        case(
            "the login host for client credentials",
            &replaced(
                "url = \"https://acme.my.salesforce.com\"",
                "url = \"https://login.salesforce.com\"",
            ),
            &[&["My Domain"]],
        ),
    ]
}

fn keepalive_cases() -> Vec<Case> {
    vec![
        case(
            "a duration without a unit",
            &replaced(
                "provider = \"salesforce\"",
                "provider = \"salesforce\"\nidle_timeout = \"7200\"",
            ),
            &[
                &["idle_timeout"],
                &["\"2h\"", "\"90s\"", "2h", "90s", "unit"],
            ],
        ),
        case(
            "a duration that is a number",
            &replaced(
                "provider = \"salesforce\"",
                "provider = \"salesforce\"\nidle_timeout = 7200",
            ),
            &[&["idle_timeout"], &["2h", "90s", "string", "unit"]],
        ),
        case(
            "a duration of nothing",
            &replaced(
                "provider = \"salesforce\"",
                "provider = \"salesforce\"\nidle_timeout = \"0s\"",
            ),
            &[&["idle_timeout"]],
        ),
        case(
            "both ways to say how often",
            &followed(
                "[sessions.crm.keepalive]\nsurvive_outage = \"12m\"\nping_every = \"48m\" #!",
            ),
            &[&["ping_every"], &["survive_outage"]],
        ),
        case(
            "an outage longer than the window allows",
            &followed("[sessions.crm.keepalive]\nsurvive_outage = \"90m\" #!"),
            &[&["survive_outage"], &["1h", "60m", "half", "3600"]],
        ),
    ]
}

fn publish_cases() -> Vec<Case> {
    vec![
        case(
            "a path that climbs",
            &followed("[[sessions.crm.publish]]\nfile = \"../crm\" #!"),
            &[&["file"], &[".."]],
        ),
        case(
            "an unknown format",
            &followed("[[sessions.crm.publish]]\nformat = \"yaml\" #!"),
            &[&["format"], &["json"], &["env"]],
        ),
        case(
            "a mode that is none",
            &followed("[[sessions.crm.publish]]\nmode = \"rw-r-----\" #!"),
            &[&["mode"], &["0640", "octal"]],
        ),
        case(
            "an owner whom nobody knows",
            &followed("[[sessions.crm.publish]]\nowner = \"no-such-user-here\" #!"),
            &[&["owner"], &["no-such-user-here"]],
        ),
        case(
            "two files of one path",
            &followed(
                "[[sessions.crm.publish]]\nfile = \"crm\"\n[[sessions.crm.publish]]\nfile = \"crm\" #!\nformat = \"json\"",
            ),
            &[&["crm"], &["same", "twice", "already", "two"]],
        ),
    ]
}

fn other_cases() -> Vec<Case> {
    vec![
        case(
            "not TOML",
            "[sessions.crm #!\nprovider = 1\n",
            &[&["expected", "invalid", "unclosed", "missing"]],
        ),
        case(
            "an unknown table",
            &followed("[daemom] #!\nlog = \"text\""),
            &[&["daemom"], &["unknown"], &["daemon"]],
        ),
        case(
            "an admin who is nobody",
            &followed("[socket]\nadmins = [\"alice\"] #!"),
            &[&["admins"], &["user:", "group:"]],
        ),
    ]
}

/// What people write who know what they mean: the remedy is to be copied.
fn slips() -> Vec<Case> {
    let publish = |line: &str| {
        followed(&format!(
            "[[sessions.crm.publish]]\nfile = \"crm\"\n{line} #!"
        ))
    };
    let session = |line: &str| {
        replaced(
            "provider = \"salesforce\"",
            &format!("provider = \"salesforce\"\n{line}"),
        )
    };
    vec![
        case(
            "a mode without quotes",
            &publish("mode = 640"),
            &[&["mode = \"0640\""]],
        ),
        case(
            "a mode as TOML knows it",
            &publish("mode = 0o600"),
            &[&["mode = \"0600\""]],
        ),
        case(
            "a mode that is no number of a mode",
            &publish("mode = 999"),
            &[&["mode = \"0640\""]],
        ),
        case(
            "a socket's mode without quotes",
            &followed("[socket]\nmode = 660 #!"),
            &[&["mode = \"0660\""]],
        ),
        case(
            "a rate without a unit",
            &followed("[http]\nper_host_rate = 50 #!"),
            &[&["per_host_rate = \"50/s\""]],
        ),
        case(
            "a word in the place of a list",
            &followed("[socket]\nadmins = \"root\" #!"),
            &[&["admins = [\"…\"]"]],
        ),
        case(
            "a key of the login",
            &session("client_id = \"x\""),
            &[&["under [sessions.crm.login]"]],
        ),
        case(
            "a key of another grant",
            &session("refresh_token = 1"),
            &[&["under [sessions.crm.login]"]],
        ),
        case(
            "a key of keepalive",
            &session("survive_outage = \"5m\""),
            &[&["under [sessions.crm.keepalive]"]],
        ),
        case(
            "a key of a file",
            &session("format = \"json\""),
            &[&["under [[sessions.crm.publish]]"]],
        ),
        case(
            "a key of all sessions",
            &session("request_timeout = \"5s\""),
            &[&["under [http]"]],
        ),
        case(
            "a key of the session",
            &followed("[sessions.crm.keepalive]\nidle_timeout = \"2h\" #!"),
            &[&["under [sessions.crm]"]],
        ),
        case(
            "a table in another one",
            &followed("[socket]\nmetrics = 1 #!"),
            &[&["a header of its own, [metrics]"]],
        ),
        case(
            "a word for a file's name",
            &replaced(
                "client_secret = { file = \"SECRET\" }",
                "client_secret = { path = \"SECRET\" }",
            ),
            &[
                &["`sessions.crm.login.client_secret.path`"],
                &["write one of `file`"],
            ],
        ),
        case(
            "a key of the daemon",
            &format!("state_dir = \"/x\" #!\n{GOOD}"),
            &[&["under [daemon]"]],
        ),
        case(
            "a key twice",
            &session("provider = \"oauth2\""),
            &[&["duplicate key `provider`"], &["one of the two"]],
        ),
        case(
            "a name that breaks the line",
            &GOOD
                .replace("sessions.crm", "sessions.\"c\\nm\"")
                .replace("m\"]\np", "m\"] #!\np"),
            &[&["error: `sessions.\"c\\nm\"` is no session name"]],
        ),
    ]
}

/// Paths that are in each other's way, at the line that says so.
fn places() -> Vec<Case> {
    let daemon = |lines: &str| format!("[daemon]\n{lines}\n{GOOD}");
    vec![
        case(
            "the root as state",
            &daemon("state_dir = \"/\" #!"),
            &[&["`daemon.state_dir`"], &["keepfresh's own"]],
        ),
        case(
            "the root once more",
            &daemon("runtime_dir = \"//.\" #!"),
            &[&["`daemon.runtime_dir`"]],
        ),
        case(
            "a device as state",
            &daemon("log = \"auto\"\nstate_dir = \"/proc/x\" #!"),
            &[&["`daemon.state_dir`"]],
        ),
        case(
            "one directory for all",
            &daemon("runtime_dir = \"/run/kf\"\nstate_dir = \"/run/kf\" #!"),
            &[&["is the runtime directory too"]],
        ),
        case(
            "the state among the tokens",
            &daemon("runtime_dir = \"/run/kf\"\nstate_dir = \"/run/kf/tokens/state\" #!"),
            &[&["lies among the token files"]],
        ),
        case(
            "a state below a file",
            &daemon("state_dir = \"/etc/passwd/x\" #!"),
            &[&["/etc/passwd is no directory"]],
        ),
        case(
            "a state open to all",
            &daemon("state_dir = \"/tmp\" #!"),
            &[&["everybody may write there"]],
        ),
        case(
            "a socket over the tokens",
            &followed("[socket]\npath = \"tokens\" #!"),
            &[&["`socket.path`"]],
        ),
        case(
            "two sockets in one place",
            &followed("[metrics]\nlisten = \"unix:keepfresh.sock\" #!"),
            &[&["`metrics.listen`"], &["taken"]],
        ),
        case(
            "a token below a file",
            &followed("[[sessions.crm.publish]]\nfile = \"/etc/passwd/crm\" #!"),
            &[
                &["`sessions.crm.publish.file`"],
                &["/etc/passwd is no directory"],
            ],
        ),
    ]
}

#[test]
fn a_directory_of_providers_that_is_named_and_not_there_is_warned_of() {
    let lab = lab();
    lab.write_config(&placed(
        &lab,
        &format!("[daemon]\nproviders_dir = \"/nonexistent/providers\"\n{GOOD}"),
    ));
    let plan = lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()]);
    assert!(
        plan.contains("warning: daemon.providers_dir: /nonexistent/providers is no directory"),
        "{plan}"
    );
}

#[test]
fn every_broken_config_is_refused_with_its_place_and_its_remedy() {
    let mut failures = Vec::new();
    for case in cases() {
        let lab = lab();
        let text = placed(&lab, &case.config);
        lab.write_config(&text);
        let output = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        let mut complaints = Vec::new();
        if output.status.code() != Some(78) {
            complaints.push(format!("ended with {:?}", output.status));
        }
        let line = text
            .lines()
            .position(|line| line.ends_with("#!"))
            .expect("a marked line")
            + 1;
        let place = format!("config.toml:{line}");
        if !said.contains(&place) {
            complaints.push(format!("does not name {place}"));
        }
        for group in case.words {
            if !group.iter().any(|word| said.contains(word)) {
                complaints.push(format!("says none of {group:?}"));
            }
        }
        if said.contains("hunter2-hunter2") {
            complaints.push("shows the secret".to_owned());
        }
        if !complaints.is_empty() {
            failures.push(format!("{}: {}\n{said}", case.name, complaints.join("; ")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n--------\n"));
}

#[test]
fn run_refuses_what_check_refuses() {
    for (config, code) in [
        (
            replaced("grant = \"client_credentials\"", "grant = \"nothing\""),
            78,
        ),
        (String::new(), 0),
    ] {
        let mut lab = lab();
        lab.configure_text(&placed(&lab, &config));
        lab.start();
        if code == 0 {
            within(SOON, "the socket", || lab.get("/v1/health"));
            assert!(
                lab.stop().success(),
                "no sessions is no error: they may come by a reload"
            );
        } else {
            assert_eq!(lab.ended().code(), Some(code));
            assert!(lab.said().contains("config.toml:"), "{}", lab.said());
        }
    }
}

#[test]
fn all_errors_come_at_once() {
    let lab = lab();
    let broken = r#"[daemon]
log = "loud" #!
[sessions.crm]
provider = "nobody" #!
url = "http://acme.my.salesforce.com"
idle_timeout = "soon" #!
[sessions.crm.login]
grant = "client_credentials"
[sessions.erp]
provider = "salesforce"
url = "ftp://acme.my.salesforce.com" #!
surprise = true #!
[sessions.erp.login]
grant = "client_credentials"
client_id = "3MVG9"
client_secret = "in the clear" #!
[[sessions.erp.publish]]
format = "yaml" #!
"#;
    lab.write_config(broken);
    let output = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let missing: Vec<usize> = broken
        .lines()
        .enumerate()
        .filter(|(_, line)| line.ends_with("#!"))
        .map(|(index, _)| index + 1)
        .filter(|line| !said.contains(&format!("config.toml:{line}")))
        .collect();
    assert!(
        missing.is_empty(),
        "lines {missing:?} are not named in\n{said}"
    );
    assert!(!said.contains("in the clear"), "{said}");
}

#[test]
fn an_error_in_a_fragment_names_the_fragment() {
    let lab = lab();
    lab.write_config(&placed(&lab, GOOD));
    fs::create_dir(lab.path("conf.d")).unwrap();
    fs::write(
        lab.path("conf.d/more.toml"),
        placed(&lab, &format!("\n{GOOD}")),
    )
    .unwrap();
    let output = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(78),
        "a fragment may add sessions, not redefine them\n{said}"
    );
    assert!(said.contains("more.toml:2"), "{said}");
}

#[test]
fn a_config_that_is_not_there_is_a_configuration_error() {
    let lab = lab();
    let output = lab.run(&["check", "--config", "/nowhere/config.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/config.toml"));
}

#[test]
fn a_config_that_is_not_text_is_refused_and_not_fatal() {
    for bytes in [
        b"\xff\xfe\x00\x01".to_vec(),
        vec![b'['; 100_000],
        b"a = \x00".to_vec(),
    ] {
        let lab = lab();
        fs::write(lab.config(), bytes).unwrap();
        let output = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
    }
}

#[test]
fn a_good_config_gets_its_plan() {
    let lab = lab();
    lab.write_config(&placed(&lab, GOOD));
    let plan = lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()]);
    assert!(plan.contains("crm"), "{plan}");
    assert!(
        plan.contains("30"),
        "30 pings a day at the default of two hours: {plan}"
    );
    assert!(
        plan.contains("idle_timeout") || plan.contains("idle timeout"),
        "the assumed default is said: {plan}"
    );
}

fn placed(lab: &Lab, config: &str) -> String {
    let secret = lab.path("client-secret");
    config
        .replace("SECRET", secret.to_str().unwrap())
        .replace("OPEN", lab.path("open-secret").to_str().unwrap())
        .replace("ABSENT", lab.path("absent-secret").to_str().unwrap())
}

fn lab() -> Lab {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    fs::write(lab.path("open-secret"), "known to all").unwrap();
    fs::set_permissions(lab.path("open-secret"), fs::Permissions::from_mode(0o644)).unwrap();
    lab
}
