//! `keepfresh doctor`: what is wrong and what to type, whatever is broken, and never a secret.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};
use std::sync::Arc;

use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::{SOON, within};

const PROXY_PASSWORD: &str = "prox1-passw0rd-hunter";
const COMMENT: &str = "c0mment-pass-hunter";

#[test]
fn doctor_says_that_the_daemon_is_down_and_what_to_type_and_nothing_is_wrong_when_it_is_up() {
    let (server, mut lab) = lab();
    let down = report(&lab, &[]);
    let verdict = &down["verdicts"][0];
    assert!(
        text(&verdict["problem"]).contains("daemon is not running"),
        "{down}"
    );
    assert!(text(&verdict["remedy"]).contains("start"), "{down}");
    assert_eq!(down["verdicts"].as_array().unwrap().len(), 1, "{down}");
    assert!(down["hosts"][0]["error"].is_null(), "{down}");
    lab.start();
    lab.await_token("crm");
    let up = report(&lab, &[]);
    assert_eq!(up["verdicts"], Value::Array(Vec::new()), "{up}");
    assert_eq!(up["sessions"][0]["session"], "crm", "{up}");
    let events = up["sections"]["events"].to_string();
    assert!(events.contains("logged in"), "{events}");
    let words = String::from_utf8(doctor(&lab, &[]).stdout).unwrap();
    for part in [
        "VERDICT\n     nothing is wrong, as far as this user can see\n",
        "CONFIG\n",
        "STATUS\n",
        "HOSTS\n",
        "SERVICE\n",
        "CLOCK\n",
        "PATHS\n",
        "config.toml",
    ] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(server.logins(), 1, "it logs in nowhere");
}

#[test]
fn doctor_names_the_session_that_needs_a_person_its_cause_and_the_remedy() {
    let (server, mut lab) = lab();
    server.always(
        Endpoint::Token,
        Instead::Say(oauth_error("invalid_client", "no such client")),
    );
    lab.start();
    within(SOON, "the socket", || lab.get("/v1/sessions/crm"));
    within(SOON, "the stop", || {
        (lab.status("crm")["state"] == "needs_attention").then_some(())
    });
    let calls = server.calls().len();
    let found = report(&lab, &["crm"]);
    let verdict = &found["verdicts"][0];
    assert!(
        text(&verdict["problem"]).starts_with("crm needs attention: ")
            && text(&verdict["problem"]).contains("invalid_client"),
        "{found}"
    );
    assert!(
        text(&verdict["remedy"]).contains("keepfresh login crm"),
        "{found}"
    );
    // The HEAD of the bare host is no call of the API.
    assert!(server.calls().len() <= calls + 1, "{:?}", server.calls());
    let unknown = doctor(&lab, &["crmm", "--json"]);
    assert_eq!(unknown.status.code(), Some(80));
    let unknown: Value = serde_json::from_slice(&unknown.stdout).unwrap();
    assert!(
        text(&unknown["verdicts"][0]["problem"]).contains("no session crmm"),
        "{unknown}"
    );
}

#[test]
fn doctor_works_without_a_config_and_with_a_broken_one_and_names_the_line() {
    let (_server, lab) = lab();
    let good = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!("# {COMMENT}\n{good}\nidle_timout = \"2h\"\n"));
    let broken = report(&lab, &[]);
    let verdict = &broken["verdicts"][0];
    assert!(
        text(&verdict["problem"]).contains("the config is wrong: "),
        "{broken}"
    );
    assert!(
        text(&verdict["problem"]).contains("idle_timout"),
        "{broken}"
    );
    assert!(
        broken["config_errors"][0]["line"].as_u64().unwrap() > 5,
        "{broken}"
    );
    fs::remove_file(lab.config()).unwrap();
    let none = report(&lab, &[]);
    assert!(
        text(&none["verdicts"][0]["problem"]).contains("there is no config at"),
        "{none}"
    );
    lab.write_config(&good);
}

#[test]
fn doctor_shows_no_secret_wherever_one_was_put() {
    let (server, mut lab) = lab();
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!(
        "# {COMMENT}\n{config}\n[[sessions.crm.publish]]\nfile = \"crm\"\n[[sessions.crm.publish]]\nfile = \"env\"\nformat = \"env\"\n\
         [[sessions.crm.publish]]\nfile = \"json\"\nformat = \"json\"\n"
    ));
    lab.start();
    let token = lab.await_token("crm");
    for arguments in [&[][..], &["--json"][..], &["crm"][..]] {
        let mut command = lab.command(&["doctor"]);
        command
            .args(arguments)
            .args(["--config", lab.config().to_str().unwrap()])
            .env(
                "HTTPS_PROXY",
                format!("http://bob:{PROXY_PASSWORD}@127.0.0.1:1"),
            )
            .env("SOME_PASSWORD", COMMENT);
        let output = command.output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains("config.toml"), "{said}");
        let mut needles = server.needles();
        needles.extend([token.clone(), PROXY_PASSWORD.to_owned(), COMMENT.to_owned()]);
        let found: Vec<&String> = needles
            .iter()
            .filter(|needle| said.contains(*needle))
            .collect();
        assert!(found.is_empty(), "{} secrets in {said}", found.len());
    }
    lab.write_config(&config);
}

#[test]
fn doctor_says_what_a_caller_without_rights_could_not_see_and_blames_nobody_for_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (_server, mut lab) = lab();
    lab.start();
    lab.await_token("crm");
    let config = lab.config();
    let arguments = ["doctor", "--json", "--config", config.to_str().unwrap()];
    let output = lab.run_as_nobody(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let not_seen = found["not_seen"].to_string();
    assert!(not_seen.contains("sudo keepfresh doctor"), "{found}");
    assert!(
        not_seen.contains("sessions.crm.login.client_secret"),
        "{found}"
    );
    let blamed = found["verdicts"].to_string();
    assert!(!blamed.contains("client_secret"), "{found}");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let output = lab.run_as_nobody(&arguments);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        found["not_seen"].to_string().contains("the config "),
        "{found}"
    );
    assert!(
        !found["verdicts"].to_string().contains("config is wrong"),
        "{found}"
    );
}

#[test]
fn doctor_writes_a_new_file_for_its_user_alone_overwrites_none_and_takes_a_pipe_that_closes() {
    let (_server, lab) = lab();
    let path = lab.path("report.txt");
    let written = doctor(&lab, &["--output", path.to_str().unwrap()]);
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    assert!(written.stdout.is_empty(), "{written:?}");
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("VERDICT"), "{text}");
    let again = doctor(&lab, &["--output", path.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("nothing is overwritten"),
        "{again:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let config = lab.config();
    let mut child = lab
        .command(&["doctor", "--config", config.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.stderr.is_empty(), "{ended:?}");
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
}

fn lab() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    (server, lab)
}

fn doctor(lab: &Lab, arguments: &[&str]) -> Output {
    let config = lab.config();
    let mut all = vec!["doctor", "--config", config.to_str().unwrap()];
    all.extend(arguments);
    lab.run(&all)
}

fn report(lab: &Lab, arguments: &[&str]) -> Value {
    let output = doctor(lab, &[arguments, &["--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
