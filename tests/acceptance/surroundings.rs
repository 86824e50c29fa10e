//! Machines of other kinds: a user without root, and a container that has neither systemd nor a root to write to.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::SOON;
use crate::support::daemon::{BINARY, Lab};
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::{can_as_root, say_untried};
use crate::support::within;

const USER: u32 = 61_011;
/// Of whom nobody else runs anything: the limit is one of the user.
const CROWDED_USER: u32 = 61_012;

#[test]
fn a_user_without_root_runs_it_in_directories_of_their_own() {
    if !can_as_root("become another user") {
        return;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    for directory in ["home", "home/.config", "home/.config/keepfresh", "runtime"] {
        fs::create_dir(lab.path(directory)).unwrap();
        own(&lab.path(directory), 0o700);
    }
    own(&lab.path("client-secret"), 0o600);
    lab.configure(&[lab.by_client("crm")]);
    let config = lab.path("home/.config/keepfresh/config.toml");
    fs::write(
        &config,
        without_directories(&fs::read_to_string(lab.config()).unwrap()),
    )
    .unwrap();
    own(&config, 0o600);

    let mut daemon = as_user(&lab, &["run"]);
    daemon.env("KEEPFRESH_LOG", "trace").stderr(Stdio::piped());
    lab.start_by(daemon);
    let token = within(SOON, "the token", || {
        fs::read_to_string(lab.path("runtime/keepfresh/tokens/crm")).ok()
    });
    assert!(server.lives(&token));
    let socket = lab.path("runtime/keepfresh/keepfresh.sock");
    let by_name = ["token", "crm", "--socket", socket.to_str().unwrap()];
    assert_eq!(
        as_user(&lab, &by_name)
            .output()
            .unwrap()
            .stdout
            .trim_ascii(),
        token.as_bytes()
    );
    // Where there is no daemon of the system, one's own is found by itself.
    if !Path::new("/run/keepfresh/keepfresh.sock").exists() {
        assert_eq!(
            as_user(&lab, &["token", "crm"])
                .output()
                .unwrap()
                .stdout
                .trim_ascii(),
            token.as_bytes()
        );
        assert!(
            as_user(&lab, &["verify", "crm"])
                .status()
                .unwrap()
                .success(),
            "its user is its admin"
        );
    }
    assert!(as_user(&lab, &["check"]).output().unwrap().status.success());
    assert!(
        lab.path("home/.local/state/keepfresh/sessions/crm.json")
            .exists()
    );
    assert_eq!(lab.stop().code(), Some(0));
    assert_eq!(
        fs::read_to_string(lab.path("runtime/keepfresh/tokens/crm")).unwrap(),
        token,
        "it outlives the daemon"
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn where_the_environment_names_no_directories_check_says_which_keys_to_write() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    if !can_as_root("become another user") {
        return;
    }
    for file in ["config.toml", "client-secret"] {
        fs::write(lab.path(file), "").unwrap();
        own(&lab.path(file), 0o600);
    }
    let config = lab.config();
    let mut command = as_user(&lab, &["check", "--config", config.to_str().unwrap()]);
    let output = command
        .env_remove("HOME")
        .env_remove("XDG_RUNTIME_DIR")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    for part in [
        "daemon.runtime_dir",
        "$XDG_RUNTIME_DIR",
        "daemon.state_dir",
        "$XDG_STATE_HOME",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_machine_that_gives_too_few_threads_is_told_what_to_raise_before_a_server_is_called() {
    if !can_as_root("become another user") {
        return;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    chown(lab.config(), Some(CROWDED_USER), None).unwrap();
    for most in [1, 2, 4, 5] {
        let limited = [
            "prlimit",
            &format!("--nproc={most}"),
            BINARY,
            "run",
            "--config",
        ];
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={CROWDED_USER}"), "--clear-groups"])
            .args(limited)
            .arg(lab.config());
        command.stderr(Stdio::piped());
        lab.start_by(command);
        assert_eq!(lab.ended().code(), Some(1), "{most}: {}", lab.said());
        let said = lab.said();
        let line = said
            .lines()
            .find(|line| line.contains("failed to start threads"));
        assert!(
            line.is_some_and(|line| line.contains("TasksMax=") && line.contains("ulimit -u")),
            "{most}: {said}"
        );
    }
    assert_eq!(server.logins(), 0);
}

/// What goes on in the container, beside the daemon; it ends the daemon when it is through.
const INSIDE: &str = "
keepfresh=/app/keepfresh
$keepfresh wait crm --wait 20s; echo \"wait $?\"
test \"$($keepfresh token crm)\" = \"$(cat /run/keepfresh/tokens/crm)\"; echo \"token $?\"
$keepfresh verify crm >/dev/null; echo \"verify $?\"
$keepfresh check >/dev/null; echo \"check $?\"
touch /written 2>/dev/null && echo 'the root is not read-only'
echo \"daemon $(cat /proc/1/comm)\"
kill -TERM 1
";

#[test]
fn in_a_container_without_systemd_it_is_the_first_process_on_a_read_only_root() {
    let allowed = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "true"])
        .stderr(Stdio::null())
        .status();
    if !can_as_root("make a namespace of processes") {
        return;
    }
    if !allowed.is_ok_and(|status| status.success()) {
        say_untried("this machine lets nobody make namespaces");
        return;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    let config = without_directories(&fs::read_to_string(lab.config()).unwrap());
    // A secret that is mounted into a container is often readable by all of it.
    let config = config.replace(
        &lab.quoted("client-secret"),
        "\"client-secret\", insecure_mode = true",
    );
    fs::write(lab.config(), config).unwrap();
    fs::set_permissions(lab.path("client-secret"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(lab.path("root")).unwrap();
    let output = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "bash",
            "-ec",
            &container(lab.path("").as_path()),
        ])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("KEEPFRESH_LOG", "trace")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    fs::set_permissions(lab.path("client-secret"), fs::Permissions::from_mode(0o600)).unwrap();
    let (said, log) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    lab.also_said(&format!("{said}\n{log}"));
    assert_eq!(
        said, "wait 0\ntoken 0\nverify 0\ncheck 0\ndaemon keepfresh\n",
        "{log}"
    );
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert_eq!(server.logins(), 1);
}

/// A root of its own, read-only, with memory for `/run` and the state; then the daemon, as the first process.
fn container(lab: &Path) -> String {
    let lab = lab.display();
    format!(
        "mount --make-rprivate /
        cd {lab}/root
        mount -t tmpfs none .
        cd .
        cd {lab}/root
        mkdir -p proc run dev app usr etc/keepfresh var/lib/keepfresh tmp
        mount --rbind -o ro /usr usr
        for link in bin lib lib64; do ln -s usr/$link $link; done
        mknod -m 666 dev/null c 1 3
        mknod -m 666 dev/urandom c 1 9
        touch app/keepfresh
        mount --bind -o ro {BINARY} app/keepfresh
        cp {lab}/config.toml {lab}/client-secret etc/keepfresh/
        mount -t tmpfs none run
        mount -t tmpfs -o mode=0700 none var/lib/keepfresh
        mount -t proc proc proc
        mount -o remount,ro .
        exec chroot . /bin/sh -c '({INSIDE}) & exec /app/keepfresh run'",
        INSIDE = INSIDE.replace('\'', "'\\''"),
    )
}

/// The config, less the directories that the environment tells.
fn without_directories(config: &str) -> String {
    let named = |line: &&str| !line.starts_with("runtime_dir") && !line.starts_with("state_dir");
    config.lines().filter(named).collect::<Vec<_>>().join("\n")
}

/// `keepfresh ARGS` as a user who has a home and a runtime directory, and nothing else.
fn as_user(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            &format!("--reuid={USER}"),
            &format!("--regid={USER}"),
            "--clear-groups",
            BINARY,
        ])
        .args(args);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", lab.path("home"));
    command
        .env("XDG_RUNTIME_DIR", lab.path("runtime"))
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

fn own(path: &Path, mode: u32) {
    chown(path, Some(USER), Some(USER)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
