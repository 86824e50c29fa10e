//! What others on the machine left behind or may touch: careless parents, loose modes, programs that hang or talk.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::SOON;
use crate::support::daemon::{BINARY, Lab};
use crate::support::namespaces::with_own_mounts;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::within;

/// Nobody's user and group on any Debian.
const STRANGER: u32 = 61_012;
/// The group of a user who is neither root nor the daemon's, on any Debian.
const DAEMON_GROUP: u32 = 1;
/// A profile that can be in `providers_dir`.
const PROFILE: &str = include_str!("../../src/provider/profiles/salesforce.toml");

#[test]
fn signals_that_a_parent_left_blocked_are_obeyed() {
    let (server, mut lab) = scene();
    lab.start_through(through("env", &["--block-signal"]));
    let first = lab.await_token("crm");
    lab.signal(Signal::HUP);
    within(SOON, "the reload", || {
        lab.said().contains("reloaded").then_some(())
    });
    assert_eq!(lab.token("crm"), Some(first));
    assert!(lab.stop().success());
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_limit_to_the_size_of_files_is_a_failed_write_and_no_end_of_the_daemon() {
    let (server, mut lab) = scene();
    lab.start_through(through("prlimit", &["--fsize=100:100"]));
    let said = within(SOON, "a complaint", || {
        let said = lab.said();
        said.contains("File too large").then_some(said)
    });
    assert!(lab.runs(), "{said}");
    assert!(lab.stop().success());
    assert!(server.logins() <= 1);
}

#[test]
fn what_strangers_may_change_is_warned_of_once_at_start_at_reload_and_by_check() {
    if !can_as_root("give files away") {
        return;
    }
    let (_server, mut lab) = scene();
    for directory in ["run", "run/tokens", "state"] {
        fs::create_dir(lab.path(directory)).unwrap();
    }
    chmod(&lab, "run", 0o777);
    chmod(&lab, "run/tokens", 0o770);
    chown(lab.path("run/tokens"), None, Some(STRANGER)).unwrap();
    chown(lab.path("state"), Some(STRANGER), None).unwrap();
    chmod(&lab, "state", 0o700);
    chmod(&lab, "client-secret", 0o620);
    chown(lab.path("client-secret"), None, Some(DAEMON_GROUP)).unwrap();
    chmod(&lab, "config.toml", 0o664);
    chown(lab.config(), None, Some(DAEMON_GROUP)).unwrap();
    let expected = [
        (
            "the runtime directory",
            "every user can write there (mode 0777)",
        ),
        ("the state directory", "the user 61012 can write there"),
        (
            "the secret file",
            "can be changed by the group 1 (daemon) (mode 0620)",
        ),
        (
            "the config",
            "can be changed by the group 1 (daemon) (mode 0664)",
        ),
    ];
    let checked = lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()]);
    lab.start();
    lab.await_token("crm");
    lab.succeeds(&["reload"]);
    let log = || lab.said().replace(&checked, "");
    for (what, who) in expected {
        // Root checks for the user whose the state is.
        let is_foreign = who.contains("61012");
        assert_eq!(
            count(&checked, what, who),
            usize::from(!is_foreign),
            "{what} {who}: {checked}"
        );
        within(SOON, "a warning at start and one at the reload", || {
            (count(&log(), what, who) >= 2).then_some(())
        });
    }
    let log = log();
    for (what, who) in expected {
        assert_eq!(count(&log, what, who), 2, "{what} {who}: {log}");
    }
    assert!(
        !log.contains("the directory of token files"),
        "a group of nobody is no stranger: {log}"
    );
}

#[test]
fn modes_as_kubernetes_mounts_them_and_private_groups_are_in_order() {
    let (_server, mut lab) = scene();
    let config = fs::read_to_string(lab.config()).unwrap();
    fs::create_dir_all(lab.path("mounted/..2026_01_01")).unwrap();
    fs::write(lab.path("mounted/..2026_01_01/config.toml"), config).unwrap();
    chmod(&lab, "mounted/..2026_01_01/config.toml", 0o644);
    symlink("..2026_01_01", lab.path("mounted/..data")).unwrap();
    symlink("..data/config.toml", lab.path("mounted/config.toml")).unwrap();
    fs::create_dir(lab.path("state")).unwrap();
    chmod(&lab, "state", 0o770);
    let mounted = lab.path("mounted/config.toml");
    let checked = lab.succeeds(&["check", "--config", mounted.to_str().unwrap()]);
    assert!(!checked.contains("warning"), "{checked}");
    let mut command = Command::new(BINARY);
    command
        .args(["run", "--config", mounted.to_str().unwrap()])
        .env("KEEPFRESH_LOG", "trace")
        .stderr(Stdio::piped());
    lab.start_by(command);
    lab.await_token("crm");
    assert!(!lab.said().contains("config_warning"), "{}", lab.said());
}

#[test]
fn a_provider_that_a_stranger_wrote_is_refused() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, lab) = scene();
    fs::create_dir(lab.path("providers")).unwrap();
    fs::write(
        lab.path("providers/salesforce.toml"),
        "name = \"salesforce\"\n",
    )
    .unwrap();
    for (mode, owner, expected) in [
        (
            0o777,
            0,
            "lies in a directory in which every user can write",
        ),
        (0o755, STRANGER, "belongs to the user 61012"),
    ] {
        chmod(&lab, "providers", mode);
        chown(lab.path("providers/salesforce.toml"), Some(owner), None).unwrap();
        let output = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(server.logins(), 0);
}

#[test]
fn root_checks_for_the_user_whose_the_state_is_and_runs_only_what_is_its_own() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, mut lab) = scene();
    for directory in ["providers", "state"] {
        fs::create_dir(lab.path(directory)).unwrap();
        chmod(&lab, directory, 0o700);
    }
    fs::write(lab.path("providers/salesforce.toml"), PROFILE).unwrap();
    let check = |lab: &Lab| lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
    for owner in ["providers", "providers/salesforce.toml", "state"] {
        chown(lab.path(owner), Some(STRANGER), Some(STRANGER)).unwrap();
    }
    let checked = check(&lab);
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    lab.start();
    assert_eq!(
        lab.ended().code(),
        Some(78),
        "root obeys no file of another user"
    );
    assert!(lab.said().contains("to the user 61012"), "{}", lab.said());
    chown(lab.path("state"), Some(0), Some(0)).unwrap();
    assert_eq!(check(&lab).status.code(), Some(78), "the daemon is root's");
    assert_eq!(server.logins(), 0);
}

#[test]
fn what_a_read_only_mount_holds_is_obeyed_whatever_its_modes_say_and_elsewhere_it_is_not() {
    let (_server, lab) = scene();
    let config = fs::read_to_string(lab.config()).unwrap();
    let (rest, fragment) = config.split_at(config.find("[sessions.crm]").unwrap());
    lab.write_config(rest);
    for (directory, file, text) in [
        ("conf.d", "crm.toml", fragment),
        ("providers", "salesforce.toml", PROFILE),
    ] {
        // As Kubernetes lays out what a pod is given.
        fs::create_dir_all(lab.path(directory).join("..2026_01_01")).unwrap();
        fs::write(lab.path(directory).join("..2026_01_01").join(file), text).unwrap();
        symlink("..2026_01_01", lab.path(directory).join("..data")).unwrap();
        symlink(format!("..data/{file}"), lab.path(directory).join(file)).unwrap();
        chmod(&lab, directory, 0o777);
    }
    let check = "\"$0\" check --config \"$1/config.toml\"";
    let read_only = format!(
        "for d in conf.d providers; do mount --bind -o ro \"$1/$d\" \"$1/$d\" || exit 99; done; {check}"
    );
    for (script, code) in [(check, 78), (&read_only, 0)] {
        let mut command = with_own_mounts();
        command
            .args(["sh", "-c", script])
            .env_remove("INVOCATION_ID");
        let output = command.arg(BINARY).arg(lab.path("")).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(
            said.contains("in which every user can write"),
            code == 78,
            "{said}"
        );
    }
}

#[test]
fn a_user_outside_the_containers_user_namespace_is_not_taken_for_the_daemons_own() {
    if can_as_root("become another user") {
        keeps_out_users_of_other_namespaces(&[], false);
    }
}

#[test]
fn a_process_beside_the_daemon_in_a_container_is_not_taken_for_one_of_its_user_namespace() {
    if can_as_root("become another user") {
        let container = ["unshare", "--pid", "--fork", "--mount-proc"];
        keeps_out_users_of_other_namespaces(&container, true);
    }
}

/// With the daemon in a user namespace of its own, and that in `container`; the strangers enter the latter's process namespace
/// if they are `beside` the daemon.
fn keeps_out_users_of_other_namespaces(container: &[&str], beside: bool) {
    const NOBODY: u32 = 65_534;
    let (server, mut lab) = scene();
    // Its user inside is the one as whom the kernel shows everybody outside.
    let inside = 100_000 + NOBODY;
    for path in [lab.path(""), lab.config(), lab.path("client-secret")] {
        chown(path, Some(inside), Some(inside)).unwrap();
    }
    let in_namespace = [container, &["unshare", "--user"]].concat();
    let mut command = Command::new(in_namespace[0]);
    command.args(&in_namespace[1..]);
    command.args([
        "sh",
        "-c",
        "read mapped; exec setpriv --pdeathsig=KILL --reuid=65534 --regid=65534 --clear-groups \"$@\"",
        "sh",
    ]);
    command
        .arg(BINARY)
        .args(["run", "--config"])
        .arg(lab.config());
    command.env("KEEPFRESH_LOG", "trace").stderr(Stdio::piped());
    let (stdin, mut tell) = std::io::pipe().unwrap();
    lab.start_with_stdin(command, stdin.into());
    let own = fs::read_link("/proc/self/ns/user").unwrap();
    let process = within(SOON, "the namespace", || {
        let started = lab.pid();
        let children = fs::read_to_string(format!("/proc/{started}/task/{started}/children"));
        let child = children.ok()?.trim().to_owned();
        [started.to_string(), child]
            .map(|pid| format!("/proc/{pid}"))
            .into_iter()
            .find(|process| {
                fs::read_link(format!("{process}/ns/user")).is_ok_and(|user| user != own)
            })
    });
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("{process}/{map}"), "0 0 1\n1 100001 65535\n").unwrap();
    }
    tell.write_all(b"mapped\n").unwrap();
    lab.await_token("crm");
    let as_stranger = |args: &[&str]| {
        let entered = format!("--pid={process}/ns/pid");
        let way: &[&str] = if beside {
            &["nsenter", &entered, "setpriv"]
        } else {
            &["setpriv"]
        };
        let mut command = Command::new(way[0]);
        command.args(&way[1..]);
        command.args([
            &format!("--reuid={STRANGER}"),
            &format!("--regid={STRANGER}"),
            "--clear-groups",
            BINARY,
        ]);
        // Anybody could have put a socket below /tmp.
        command.env("KEEPFRESH_DAEMON_USER", inside.to_string());
        command
            .args(args)
            .arg("--socket")
            .arg(lab.socket())
            .output()
            .unwrap()
    };
    for order in [
        &["token", "crm"][..],
        &["logout", "crm"],
        &["verify", "crm"],
        &["status", "crm"],
    ] {
        let output = as_stranger(order);
        assert!(
            matches!(output.status.code(), Some(77 | 80)),
            "{order:?}: {output:?}"
        );
        assert!(output.stdout.is_empty(), "{order:?}: {output:?}");
    }
    assert_eq!(server.logins(), 1);
    assert!(server.lives(&lab.token("crm").unwrap()));
}

#[test]
fn a_secret_command_that_hangs_is_named_and_one_that_tells_its_secret_is_not_repeated() {
    let (server, mut lab) = scene();
    lab.request_timeout = "1s";
    let secret = fs::read_to_string(lab.path("client-secret")).unwrap();
    let by = |lab: &Lab, script: &str| {
        let login = "grant = \"client_credentials\"\nclient_id = \"crm\"";
        let secret = format!("client_secret = {{ command = [\"sh\", \"-c\", \"{script}\"] }}");
        lab.configure(&[lab.session("crm", &format!("{login}\n{secret}\n"))]);
    };
    by(&lab, "sleep 60");
    lab.start();
    within(SOON, "the socket", || lab.get("/v1/health"));
    let hung = within(Duration::from_secs(10), "the hang to be told", || {
        let status = lab.status("crm").to_string();
        status
            .contains("the output of sh did not come within 1s")
            .then_some(status)
    });
    assert!(hung.contains("cannot read client_secret"), "{hung}");
    by(
        &lab,
        &format!(
            "echo wrong key $(cat {}) >&2; exit 1",
            lab.path("client-secret").display()
        ),
    );
    lab.reload();
    let told = within(SOON, "the failure to be told", || {
        let status = lab.status("crm").to_string();
        status.contains("wrong key").then_some(status)
    });
    assert!(
        told.contains("[hidden]") && !told.contains(secret.trim()),
        "{told}"
    );
    assert!(!lab.said().contains(secret.trim()));
    assert_eq!(server.logins(), 0);
}

#[test]
fn who_may_see_no_session_is_told_of_no_missed_events() {
    if !can_as_root("become another user") {
        return;
    }
    let (server, mut lab) = scene();
    lab.start();
    lab.await_token("crm");
    let socket = lab.socket();
    let follow = |user: &str| {
        let mut curl = Command::new("setpriv");
        curl.args([
            &format!("--reuid={user}"),
            &format!("--regid={user}"),
            "--clear-groups",
            "--",
            "curl",
            "-sN",
            "-m",
            "1",
        ]);
        let output = curl
            .arg("--unix-socket")
            .arg(&socket)
            .arg("http://localhost/v1/events?from=1")
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(
        follow("0").contains("missed"),
        "an admin is told: {}",
        follow("0")
    );
    let told = follow("61012");
    assert!(!told.contains("missed") && !told.contains("id:"), "{told}");
    assert_eq!(server.logins(), 1);
}

fn count(text: &str, what: &str, who: &str) -> usize {
    text.lines()
        .filter(|line| line.contains(&format!("{what} /")) && line.contains(who))
        .count()
}

fn chmod(lab: &Lab, file: &str, mode: u32) {
    fs::set_permissions(lab.path(file), fs::Permissions::from_mode(mode)).unwrap();
}

/// A program that becomes the one that it is given.
fn through(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

fn scene() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    (server, lab)
}
