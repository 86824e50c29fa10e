//! `keepfresh exec`: a command with fresh tokens, and nothing between it and who started it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::terminal::Terminal;
use crate::support::untried::can_as_root;
use crate::support::{SOON, within};

#[test]
fn a_command_finds_the_tokens_of_its_sessions_in_its_environment() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[
        lab.by_client("crm"),
        lab.by_client("erp-eu").key("env_prefix = \"BOOKS\""),
    ]);
    lab.start();
    let script = "echo $CRM_TOKEN $CRM_INSTANCE_URL $CRM_GENERATION $BOOKS_TOKEN $1; exit 7";
    let output = exec(
        &lab,
        &[
            "exec",
            "crm",
            "erp-eu",
            "--",
            "sh",
            "-c",
            script,
            "sh",
            "one argument",
        ],
    );
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (crm, erp) = (lab.await_token("crm"), lab.await_token("erp-eu"));
    let generation = &lab.status("crm")["generation"];
    assert_eq!(
        printed.trim_end(),
        format!("{crm} {} {generation} {erp} one argument", server.url())
    );
    assert_eq!(server.logins(), 2);
}

#[test]
fn it_waits_until_the_token_is_fresh_over_a_start_of_the_daemon() {
    let (server, mut lab) = lab("");
    let mut waiting = lab.command(&[
        "exec",
        "--wait",
        "10s",
        "crm",
        "--",
        "sh",
        "-c",
        "echo $CRM_TOKEN",
    ]);
    let child = waiting.stdout(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(300));
    lab.start();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout.trim_ascii(), server.issued()[0].as_bytes());
}

#[test]
fn its_own_failures_have_codes_of_their_own() {
    let (server, mut lab) = lab("");
    lab.start();
    lab.await_token("crm");
    let code = |args: &[&str]| exec(&lab, args).status.code().unwrap();
    assert_eq!(code(&["exec", "nobody", "--", "true"]), 125);
    assert_eq!(code(&["exec", "crm", "--", "/nonexistent/program"]), 127);
    assert_eq!(code(&["exec", "crm", "--", "/etc/hostname"]), 126);
    assert_eq!(code(&["exec", "crm", "--", "sh", "-c", "kill -9 $$"]), 137);
    assert_eq!(code(&["exec", "crm", "--", "false"]), 1);
    assert_eq!(code(&["exec", "crm"]), 2);
    assert_eq!(code(&["exec", "--hold", "0s", "crm", "--", "true"]), 2);
    server.always(Endpoint::Token, Instead::Hang);
    server.revoke_sessions();
    lab.post(
        "/v1/sessions/crm/rejected?wait=1s",
        &format!("{{\"generation\":{}}}", lab.status("crm")["generation"]),
    );
    lab.await_no_token("crm");
    let output = exec(
        &lab,
        &[
            "exec",
            "--wait",
            "1s",
            "crm",
            "--",
            "touch",
            &lab.path("ran").display().to_string(),
        ],
    );
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    assert!(
        !lab.path("ran").exists(),
        "without a token the command does not run"
    );
    lab.stop();
    assert_eq!(
        exec(&lab, &["exec", "--wait", "0s", "crm", "--", "true"])
            .status
            .code(),
        Some(125)
    );
    assert!(server.logins() <= 6, "{}", server.logins());
}

#[test]
fn signals_reach_the_command_and_its_answer_comes_back() {
    let (_server, mut lab) = lab("");
    lab.start();
    lab.await_token("crm");
    let script = "trap 'echo told; exit 9' TERM; trap 'echo twice' USR1; echo ready; while :; do sleep 0.05; done";
    let (mut child, pid, mut lines) = ready(&lab, script);
    kill_process(pid, Signal::USR1).unwrap();
    assert_eq!(lines.next().as_deref(), Some("twice"));
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(lines.next().as_deref(), Some("told"));
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn a_shell_stops_the_command_as_one_job_and_lets_it_go_on() {
    let (_server, mut lab) = lab("");
    lab.start();
    lab.await_token("crm");
    let mut shell = Command::new("setsid");
    shell
        .args(["--ctty", "--wait", "bash", "--norc", "-i"])
        .env("PS1", "shell> ")
        .env("KEEPFRESH_SOCKET", lab.socket());
    let mut screen = Terminal::start(shell, 200, 24);
    screen.until("shell> ");
    let script = "echo rea\"\"dy; read line; echo got-$line";
    screen.press(&format!(
        "{} exec crm -- sh -c '{script}'\n",
        env!("CARGO_BIN_EXE_keepfresh")
    ));
    screen.until("ready");
    for back in ["fg %1\n", "kill -CONT %1; sleep 0.1; fg %1\n"] {
        screen.press("\u{1a}");
        screen.until("Stopped");
        screen.until("shell> ");
        screen.press(back);
        screen.until("keepfresh exec crm");
    }
    screen.press("on\n");
    screen.until("got-on");
    screen.press("exit\n");
    assert!(screen.ended().success());
}

#[test]
fn a_command_that_does_not_stop_is_not_left_alone_when_it_is_told_to() {
    let (_server, mut lab) = lab("");
    lab.start();
    lab.await_token("crm");
    let script =
        "trap 'echo no' TSTP; trap 'echo on' CONT; echo ready; while :; do sleep 0.05; done";
    let (mut child, pid, mut lines) = ready(&lab, script);
    for (signal, said) in [
        (Signal::TSTP, "no"),
        (Signal::CONT, "on"),
        (Signal::TSTP, "no"),
    ] {
        kill_process(pid, signal).unwrap();
        assert_eq!(lines.next().as_deref(), Some(said));
    }
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

#[test]
fn a_signal_that_was_ignored_before_is_ignored_by_the_command_too() {
    let (_server, mut lab) = lab("");
    lab.start();
    lab.await_token("crm");
    let binary = env!("CARGO_BIN_EXE_keepfresh");
    let script = format!("trap '' HUP; exec {binary} exec crm -- sh -c 'kill -HUP $$; echo lives'");
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("KEEPFRESH_SOCKET", lab.socket())
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"lives\n", "{output:?}");
}

#[test]
fn use_is_reported_when_asked_and_when_the_command_succeeds() {
    let (server, mut lab) = lab("");
    lab.start();
    lab.await_state("crm", "alive");
    server.settled();
    let seen = || {
        lab.status("crm")["last_activity_at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    let before = seen();
    // Told in wall time, the same moment may differ by a millisecond.
    let later = |than: jiff::Timestamp| {
        seen().duration_since(than) > jiff::SignedDuration::from_millis(100)
    };
    sleep(Duration::from_millis(300));
    assert_eq!(
        exec(&lab, &["exec", "crm", "--", "true"]).status.code(),
        Some(0)
    );
    assert_eq!(
        exec(&lab, &["exec", "--used", "crm", "--", "false"])
            .status
            .code(),
        Some(1)
    );
    assert!(!later(before));
    assert_eq!(
        exec(&lab, &["exec", "--used", "crm", "--", "true"])
            .status
            .code(),
        Some(0)
    );
    assert!(later(before));
}

#[test]
fn a_renewal_waits_for_the_job_that_holds_the_token_and_follows_when_it_ends() {
    let (server, mut lab) = lab("token_lifetime = \"12s\"");
    lab.start();
    let first = lab.await_token("crm");
    let begun = Instant::now();
    // Due after six seconds of twelve, and at the latest two seconds before the end.
    let script = "sleep 7.5; cat \"$0\"";
    let file = lab.path("run/tokens/crm").display().to_string();
    let output = exec(
        &lab,
        &[
            "exec", "--hold", "1h", "crm", "--", "sh", "-c", script, &file,
        ],
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        first,
        "the job's token was still the published one"
    );
    let ended = begun.elapsed();
    lab.await_another_token("crm", &first);
    let in_time =
        begun.elapsed() < Duration::from_millis(9_700) || ended > Duration::from_millis(8_500);
    assert!(
        in_time,
        "{:?} after the job's {ended:?}: not only at the last chance",
        begun.elapsed()
    );
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_hold_is_free_when_its_holder_vanishes_when_its_time_is_over_and_is_placed_again_after_a_restart()
 {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let login = format!(
        "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = {}\ntoken_url = \"/services/oauth2/token\"\n",
        lab.source("client-secret")
    );
    // Without a ping, the next call is the one that replaces the token.
    lab.configure(&[lab
        .session("crm", &login)
        .provider("oauth2")
        .key("token_lifetime = \"1h\"")]);
    lab.start();
    lab.await_state("crm", "alive");
    let next = |lab: &Lab| {
        let at = lab.status("crm")["next"]["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap();
        at.as_second()
    };
    let free = next(&lab) + 1;
    let mut holder = hold(&lab, "1h");
    assert!(next(&lab) > free, "held");
    // Nothing more is said for a while; the connection just lasts.
    holder
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(holder.read(&mut [0; 16]).is_err());
    drop(holder);
    within(SOON, "the hold to be free", || {
        (next(&lab) <= free).then_some(())
    });

    let mut holder = hold(&lab, "1s");
    let mut rest = String::new();
    holder.set_read_timeout(Some(SOON)).unwrap();
    holder.read_to_string(&mut rest).unwrap();
    assert!(next(&lab) <= free, "over");

    // It outlives a killed `exec`, but not for long, and holds no pipe of ours.
    let job = "while [ $(ps -o ppid= -p $$) != 1 ]; do sleep 0.1; done";
    let command = [
        "exec", "--hold", "1h", "crm", "--", "timeout", "30", "sh", "-c", job,
    ];
    let mut child = lab
        .command(&command)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    within(SOON, "the hold", || (next(&lab) > free).then_some(()));
    lab.stop();
    lab.start();
    lab.await_state("crm", "alive");
    within(SOON, "the hold after a restart", || {
        (next(&lab) > free).then_some(())
    });
    kill_process(
        Pid::from_raw(child.id().cast_signed()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    child.wait().unwrap();
    within(SOON, "the hold of a killed holder to be free", || {
        (next(&lab) <= free).then_some(())
    });
}

#[test]
fn strangers_hold_nothing() {
    if !can_as_root("become another user") {
        return;
    }
    let (server, mut lab) = lab("");
    lab.start();
    lab.await_token("crm");
    let output = lab.run_as_nobody(&["exec", "--hold", "1h", "crm", "--", "true"]);
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let answer = lab.post("/v1/sessions/crm/hold?for=soon", "");
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(lab.post("/v1/sessions/crm/hold", "").status, 400);
    assert_eq!(lab.post("/v1/sessions/nobody/hold?for=1s", "").status, 404);
    assert_eq!(server.logins(), 1);
}

/// A connection that holds the token of `crm`, after the first line of the answer.
fn hold(lab: &Lab, lasting: &str) -> UnixStream {
    let mut stream = UnixStream::connect(lab.socket()).unwrap();
    write!(
        stream,
        "POST /v1/sessions/crm/hold?for={lasting} HTTP/1.0\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    )
    .unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = String::new();
    while !answer.contains("held_until") || !answer.ends_with('\n') {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{answer}");
        answer.push(char::from(byte[0]));
    }
    assert!(
        answer.starts_with("HTTP/1.") && answer.contains(" 200 "),
        "{answer}"
    );
    stream
}

/// `exec` with a script for bash whose first word is `ready`; its process, and the lines that follow.
fn ready(lab: &Lab, script: &str) -> (Child, Pid, impl Iterator<Item = String>) {
    let mut child = lab
        .command(&["exec", "crm", "--", "bash", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    (child, pid, lines)
}

fn exec(lab: &Lab, args: &[&str]) -> Output {
    lab.run(args)
}

fn lab(key: &str) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm").key(key)]);
    (server, lab)
}
