//! Programs that are told of a session: after the files, once, and at nobody's expense.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings, oauth_error};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::{SOON, within};

/// Takes down what it was told, and what the token's file held then; prints the token as a careless program would.
const WITNESS: &str = r#"cd "$(dirname "$0")"
echo "$KEEPFRESH_SESSION $KEEPFRESH_EVENT $KEEPFRESH_GENERATION $KEEPFRESH_REASON | $KEEPFRESH_REMEDY" >> told
cat run/tokens/crm > held 2>/dev/null && cat held
env > environment
"#;

#[test]
fn a_hook_learns_of_a_new_token_when_its_file_holds_it_and_not_again_at_a_restart() {
    let (server, mut lab) = lab_with(WITNESS, "on = [\"change\"]", "");
    lab.start();
    let first = lab.await_token("crm");
    assert_eq!(
        told(&lab, 1).last().unwrap(),
        &format!("crm change {} logged in | ", generation(&lab))
    );
    lab.succeeds(&["login", "crm"]);
    let second = lab.await_another_token("crm", &first);
    told(&lab, 2);
    within(SOON, "what the file held", || {
        (fs::read_to_string(lab.path("held")).ok()? == second).then_some(())
    });
    lab.stop();
    lab.start();
    lab.await_state("crm", "alive");
    assert_eq!(lab.token("crm"), Some(second));
    lab.stop();
    assert_eq!(told(&lab, 2).len(), 2, "a restart is no change");
    let environment = fs::read_to_string(lab.path("environment")).unwrap();
    for name in ["KEEPFRESH_LOG", "RUST_BACKTRACE", "CARGO"] {
        assert!(!environment.contains(name), "{environment}");
    }
    assert!(
        environment.contains(&format!("KEEPFRESH_SOCKET={}", lab.socket().display())),
        "{environment}"
    );
    assert_eq!(server.logins(), 2);
}

#[test]
fn hooks_and_alerts_say_what_a_person_must_run_and_hooks_when_it_is_over() {
    let (server, mut lab) = lab_with(WITNESS, "on = [\"attention\", \"recovered\"]", "");
    let alert = format!(
        "[alerts]\non_attention = [[\"sh\", {}]]\n",
        lab.quoted("page")
    );
    script(
        &lab,
        "page",
        "cd \"$(dirname \"$0\")\"; echo \"$KEEPFRESH_SESSION $KEEPFRESH_EVENT $KEEPFRESH_REMEDY\" >> paged",
    );
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!("{config}{alert}"));
    let refusal = oauth_error("invalid_client", "invalid client credentials");
    server.always(Endpoint::Token, Instead::Say(refusal));
    lab.start();
    lab.await_state("crm", "needs_attention");
    let line = told(&lab, 1).remove(0);
    assert!(
        line.starts_with("crm attention ") && line.contains("`keepfresh login crm`"),
        "{line}"
    );
    let paged = within(SOON, "the page", || {
        fs::read_to_string(lab.path("paged"))
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    assert!(
        paged.starts_with("crm attention ") && paged.contains("`keepfresh login crm`"),
        "{paged}"
    );
    server.behave();
    lab.succeeds(&["login", "crm"]);
    lab.await_state("crm", "alive");
    assert!(lab.stop().success());
    let told = told(&lab, 2);
    assert!(
        told[1].starts_with("crm recovered ") && told.len() == 2,
        "{told:?}"
    );
    assert_eq!(
        lab.said().matches("needs_attention").count(),
        1,
        "the log calls for a person once too"
    );
    assert_eq!(
        fs::read_to_string(lab.path("paged"))
            .unwrap()
            .lines()
            .count(),
        1
    );
    assert!(server.logins() <= 3, "{}", server.logins());
}

#[test]
fn a_session_that_stays_without_a_token_becomes_an_alert_once() {
    let (server, mut lab) = lab_with(WITNESS, "on = [\"attention\"]", "");
    script(
        &lab,
        "page",
        "cd \"$(dirname \"$0\")\"; echo \"$KEEPFRESH_SESSION $KEEPFRESH_EVENT $KEEPFRESH_REASON\" >> paged",
    );
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!(
        "{config}[alerts]\non_attention = [[\"sh\", {}]]\nafter = \"2s\"\n",
        lab.quoted("page")
    ));
    server.always(Endpoint::Token, Instead::Hang);
    let begun = Instant::now();
    lab.start();
    let paged = within(SOON, "the page", || {
        fs::read_to_string(lab.path("paged"))
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        paged.starts_with("crm attention no good token for 2s: "),
        "{paged}"
    );
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(
        fs::read_to_string(lab.path("paged"))
            .unwrap()
            .lines()
            .count(),
        1
    );
    assert!(
        !lab.path("told").exists(),
        "the session's own hook is for what only a person can mend"
    );
    assert!(server.logins() <= 8, "{}", server.logins());
}

#[test]
fn a_hook_that_hangs_delays_neither_a_session_nor_the_end() {
    let (server, mut lab) = lab_with(
        "echo $$ > \"$(dirname \"$0\")/told\"; sleep 1000 & wait",
        "on = [\"change\"]",
        "",
    );
    lab.start();
    let first = lab.await_token("crm");
    let hook = told(&lab, 1).remove(0);
    lab.succeeds(&["login", "crm"]);
    lab.await_another_token("crm", &first);
    let begun = Instant::now();
    assert!(lab.stop().success());
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    within(SOON, "the hook and its children to be gone", || {
        group_is_gone(&hook).then_some(())
    });
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_hook_that_floods_forges_lines_or_leaves_programs_behind_costs_nothing_and_no_shell_reads_its_arguments()
 {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let here = lab.path("").display().to_string();
    let programs = [
        (
            "flood",
            format!("head -c 20000000 /dev/zero | tr '\\0' x >&2; touch {here}/flooded"),
        ),
        (
            "forge",
            format!("printf '\\033[2J\\nEVENT=forged\\n\\0\\377' >&2; touch {here}/forged; exit 3"),
        ),
        (
            "leave",
            format!("(setsid sh -c 'echo $$ >{here}/left; exec sleep 60' &); exit 0"),
        ),
        (
            "tell",
            format!(
                "printf '%s|' \"$@\" >{here}/arguments; pwd >{here}/directory; umask >{here}/mask; \
                          ls /proc/self/fd >{here}/descriptors; touch {here}/told"
            ),
        ),
    ];
    let mut session = lab.by_client("crm");
    for (name, text) in &programs {
        script(&lab, name, text);
        let arguments = format!(
            "[\"sh\", {}, \"$(touch {here}/pwned)\", \"; touch {here}/pwned\", \"-x\"]",
            lab.quoted(name)
        );
        session = session.table(
            "[hook]",
            &format!("on = [\"change\"]\ncommand = {arguments}"),
        );
    }
    lab.configure(&[session]);
    lab.start();
    let token = lab.await_token("crm");
    for done in ["flooded", "forged", "left", "told"] {
        within(SOON, done, || lab.path(done).exists().then_some(()));
    }
    let left = within(SOON, "what was left behind", || {
        fs::read_to_string(lab.path("left"))
            .ok()?
            .trim()
            .parse::<i32>()
            .ok()
    });
    let read = |name: &str| fs::read_to_string(lab.path(name)).unwrap();
    assert_eq!(
        read("arguments"),
        format!("$(touch {here}/pwned)|; touch {here}/pwned|-x|")
    );
    assert!(!lab.path("pwned").exists());
    assert_eq!((&*read("directory"), &*read("mask")), ("/\n", "0077\n"));
    // Its own three, and what `ls` reads.
    assert_eq!(
        read("descriptors").lines().count(),
        4,
        "{}",
        read("descriptors")
    );
    within(SOON, "the failed one", || {
        lab.said().contains("hook_failed").then_some(())
    });
    assert!(
        !lab.said().contains("\nEVENT=forged") && !lab.said().contains('\u{1b}'),
        "{}",
        lab.tail()
    );
    let memory = fs::read_to_string(format!("/proc/{}/status", lab.pid())).unwrap();
    let most = memory
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let most: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(most < 80_000, "{most} kB");
    assert_eq!(lab.token("crm"), Some(token));
    let begun = Instant::now();
    assert!(lab.stop().success());
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "what was left is not waited for"
    );
    let left = rustix::process::Pid::from_raw(left).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    assert_eq!(server.logins(), 1);
}

#[test]
fn runs_are_counted_by_how_they_ended() {
    let (server, mut lab) = lab_with("exit 3", "on = [\"change\"]", "");
    let config = fs::read_to_string(lab.config()).unwrap();
    let hook = |program: &str| {
        format!("\n[[sessions.crm.hook]]\non = [\"change\"]\ncommand = [{program}]\n")
    };
    lab.write_config(&format!(
        "{config}{}{}",
        hook("\"true\""),
        hook("\"sleep\", \"1000\"")
    ));
    lab.start();
    lab.await_token("crm");
    let runs = |outcome: &str| {
        format!("keepfresh_session_hook_runs_total{{session=\"crm\",outcome=\"{outcome}\"}} 1")
    };
    within(Duration::from_secs(20), "the runs", || {
        let metrics = lab.get("/metrics")?.body;
        ["succeeded", "failed", "timed_out"]
            .iter()
            .all(|it| metrics.contains(&runs(it)))
            .then_some(())
    });
    within(SOON, "both to be said", || {
        let said = lab.said();
        (said.contains("it ended with exit status: 3") && said.contains("it took longer than 10 s"))
            .then_some(())
    });
    assert!(
        !lab.get("/metrics")
            .unwrap()
            .body
            .contains("keepfresh_alert_runs_total{"),
        "there are no alerts"
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn check_looks_for_the_programs() {
    let (server, lab) = lab_with("", "on = [\"change\"]", "");
    assert_eq!(
        lab.code(&["check", "--config", &lab.config().display().to_string()]),
        0
    );
    let config = fs::read_to_string(lab.config()).unwrap();
    for (program, complaint) in [
        ("/nonexistent/notify".to_owned(), "there is no such program"),
        (
            "no-such-program-anywhere".to_owned(),
            "there is no such program",
        ),
        (
            lab.path("config.toml").display().to_string(),
            "Permission denied",
        ),
    ] {
        lab.write_config(&config.replace("\"sh\"", &format!("\"{program}\"")));
        let output = lab.run(&["check", "--config", &lab.config().display().to_string()]);
        assert_eq!(output.status.code(), Some(78), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains(complaint) && said.contains("sessions.crm.hook.command"),
            "{said}"
        );
    }
    assert_eq!(server.calls().len(), 0);
}

/// A session whose hook is `script`, in a file beside the config.
fn lab_with(witness: &str, on: &str, further: &str) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    script(&lab, "witness", witness);
    let command = format!("{on}\ncommand = [\"sh\", {}]", lab.quoted("witness"));
    lab.configure(&[lab.by_client("crm").table("[hook]", &command).key(further)]);
    (server, lab)
}

fn script(lab: &Lab, name: &str, text: &str) {
    lab.secret(name, text);
}

fn generation(lab: &Lab) -> String {
    lab.status("crm")["generation"].to_string()
}

/// What the hook was told, once it is so much.
#[track_caller]
fn told(lab: &Lab, lines: usize) -> Vec<String> {
    let file: PathBuf = lab.path("told");
    within(SOON, "the hook", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let told: Vec<String> = text.lines().map(str::to_owned).collect();
        (text.ends_with('\n') && told.len() >= lines).then_some(told)
    })
}

fn group_is_gone(group: &str) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else {
        return false;
    };
    let stats = processes
        .flatten()
        .filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    let alive = |stat: String| {
        let after = stat
            .rsplit_once(") ")
            .map_or("", |(_, rest)| rest)
            .to_owned();
        let mut fields = after.split(' ');
        fields.next() != Some("Z") && fields.nth(1) == Some(group)
    };
    !stats.into_iter().any(alive)
}
