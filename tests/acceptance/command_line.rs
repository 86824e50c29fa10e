//! What is said to a command line that is not right, to people and to programs.

use std::process::Output;
use std::sync::Arc;

use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;

#[test]
fn where_json_was_asked_for_errors_are_json_too() {
    let (server, mut lab) = running();
    for (line, kind, code) in [
        ("status nope --json", "no-such-session", 80),
        ("wait nope --json", "no-such-session", 80),
        ("used nope --json", "no-such-session", 80),
        ("rejected nope --json --print", "no-such-session", 80),
        ("renew crm --json", "conflict", 1),
        ("verify --json", "usage", 2),
        ("providers nope --json", "no-such-provider", 1),
    ] {
        let output = lab.run(&line.split(' ').collect::<Vec<_>>());
        let error = json(&output)["error"].clone();
        assert_eq!(output.status.code(), Some(code), "{line}: {output:?}");
        assert_eq!(
            (&error["type"], &error["exit_code"]),
            (&kind.into(), &code.into()),
            "{line}"
        );
        assert!(
            !output.stderr.is_empty() && error["detail"].is_string(),
            "{line}: people are told as well"
        );
    }
    lab.stop();
    for line in [
        "status --json",
        "health --json",
        "reload --json --wait 0s",
        "wait crm --json --wait 0s",
    ] {
        let output = lab.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(json(&output)["error"]["type"], "not-running", "{line}");
        assert_eq!(output.status.code(), Some(69), "{line}");
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn every_command_that_answers_can_do_so_in_json_and_without_the_token() {
    let (server, lab) = running();
    let token = lab.await_token("crm");
    let answer = |line: &str| {
        let output = lab.run(&line.split(' ').collect::<Vec<_>>());
        assert!(output.status.success(), "{line}: {output:?}");
        assert!(
            !String::from_utf8_lossy(&output.stdout).contains(&token),
            "{line} shows the token"
        );
        json(&output)
    };
    let waited = answer("wait crm --json");
    assert!(waited["sessions"][0]["generation"].is_u64(), "{waited}");
    assert_eq!(answer("used crm --json")["session"], "crm");
    assert_eq!(answer("rejected crm --json")["session"], "crm");
    let status = answer("status crm --json")["sessions"][0].clone();
    assert_eq!(status["login_budget"]["limit"], 6, "{status}");
    assert!(
        status["account"].as_str().unwrap().contains("@127.0.0.1"),
        "{status}"
    );
    let shown = lab.run(&["rejected", "crm", "--json", "--print"]);
    assert_eq!(
        json(&shown)["access_token"],
        token.as_str(),
        "--print asks for it"
    );
    assert!(
        server.logins() == 1 && server.pings() <= 2,
        "{} pings",
        server.pings()
    );
}

#[test]
fn a_slip_in_a_name_is_answered_with_the_name_that_was_meant() {
    let (_server, lab) = running();
    for line in [
        "status crmm",
        "token crn",
        "wait crmm",
        "exec crmm -- true",
        "pause crmm",
        "events crmm",
    ] {
        let output = lab.run(&line.split(' ').collect::<Vec<_>>());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("did you mean crm?"), "{line}: {said}");
    }
    let far = lab.run(&["status", "warehouse"]);
    assert!(
        !String::from_utf8_lossy(&far.stderr).contains("did you mean"),
        "{far:?}"
    );
    let provider = lab.run(&["providers", "qbittorent"]);
    assert!(
        String::from_utf8_lossy(&provider.stderr).contains("did you mean `qbittorrent`?"),
        "{provider:?}"
    );
    let event = lab.run(&["events", "--event", "logged_inn"]);
    assert!(
        String::from_utf8_lossy(&event.stderr).contains("did you mean logged_in?"),
        "{event:?}"
    );
}

#[test]
fn exec_without_dashes_is_explained() {
    let (_server, lab) = running();
    for line in [
        &["exec", "crm", "sh", "-c", "echo s3cret"][..],
        &["exec", "crm", "true"],
    ] {
        let output = lab.run(line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.contains("`--` is missing before the command"),
            "{said}"
        );
        assert!(
            said.contains(&format!("keepfresh exec crm -- {} ...", line[2])),
            "{said}"
        );
        assert!(
            !said.contains("'-- -c'") && !said.contains("s3cret"),
            "{said}"
        );
    }
}

#[test]
fn the_calls_do_not_drown_what_happens_to_the_sessions() {
    let (server, lab) = running();
    lab.succeeds(&["verify", "crm"]);
    let past = |arguments: &[&str]| {
        let mut child = lab
            .command(&[&["events", "--from", "0", "--json"], arguments].concat())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines =
            std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        lab.succeeds(&["pause", "crm"]);
        lab.succeeds(&["resume", "crm"]);
        let mut words = Vec::new();
        while words.last().is_none_or(|word| word != "resumed") {
            let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            words.push(event["event"].as_str().unwrap().to_owned());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        words
    };
    let quiet = past(&["--no-calls"]);
    assert!(
        quiet.contains(&"logged_in".to_owned()) && !quiet.contains(&"call".to_owned()),
        "{quiet:?}"
    );
    let chosen = past(&["--event", "logged_in", "--event", "resumed"]);
    assert!(
        chosen
            .iter()
            .all(|word| ["logged_in", "resumed", "missed"].contains(&word.as_str())),
        "{chosen:?}"
    );
    assert!(server.pings() <= 3, "following costs no call");
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn running() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    lab.await_state("crm", "alive");
    (server, lab)
}
