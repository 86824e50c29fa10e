//! What other processes, dumps and children can get of the daemon's secrets: nothing, as `/proc` shows.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::daemon::{BINARY, Lab};
use crate::support::namespaces::is_root;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::{SOON, within};

#[test]
fn the_daemon_leaves_no_dump_and_nothing_that_others_can_read() {
    let (server, mut lab) = scene();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    let proc = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", lab.pid())).unwrap();
    let (status, limits) = (proc("status"), proc("limits"));
    let line = |text: &str, start: &str| {
        text.lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_default()
            .to_owned()
    };
    let cores = line(&limits, "Max core file size");
    assert_eq!(
        cores.split_whitespace().filter(|word| *word == "0").count(),
        2,
        "{cores}"
    );
    assert_eq!(
        line(&status, "Umask:").split_whitespace().last(),
        Some("0077")
    );
    // Root may lock what it likes; others as much as the machine lets them.
    let locked: u64 = line(&status, "VmLck:")
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert!(!is_root() || locked > 1024, "{locked} kB are locked");
    assert_eq!(server.logins(), 1);
}

#[test]
fn as_a_user_of_its_own_its_process_is_closed_to_that_user() {
    if !can_as_root("become another user") {
        return;
    }
    let (server, mut lab) = scene();
    let nobody = Some(65534);
    for directory in ["run", "state"] {
        fs::create_dir(lab.path(directory)).unwrap();
        chown(lab.path(directory), nobody, nobody).unwrap();
    }
    chown(lab.path("client-secret"), nobody, nobody).unwrap();
    lab.configure(&[lab.by_client("crm")]);
    let mut command = lab.daemon();
    command
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .stderr(Stdio::piped());
    lab.start_by(command);
    lab.await_token("crm");
    for file in ["environ", "mem", "maps"] {
        let found = fs::metadata(format!("/proc/{}/{file}", lab.pid())).unwrap();
        assert_eq!(
            found.uid(),
            0,
            "{file} belongs to root, since the process is not dumpable"
        );
    }
    let metrics = lab.get("/metrics").unwrap().body;
    for figure in [
        "process_open_fds ",
        "process_resident_memory_bytes ",
        "keepfresh_session_ready{session=\"crm\"} 1",
    ] {
        assert!(metrics.contains(figure), "{figure} is not in {metrics}");
    }
    for file in ["state", "run/tokens/crm", "run"] {
        let mode = fs::metadata(lab.path(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0, "{file}: {mode:o}");
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn no_process_of_the_daemons_user_can_trace_it_or_read_its_memory_environment_and_descriptors() {
    const USER: u32 = 61_014;
    if !is_root() {
        return; // Only root can become another user.
    }
    let (server, mut lab) = scene();
    for directory in ["run", "state"] {
        fs::create_dir(lab.path(directory)).unwrap();
        chown(lab.path(directory), Some(USER), Some(USER)).unwrap();
    }
    chown(lab.path("client-secret"), Some(USER), Some(USER)).unwrap();
    lab.configure(&[lab.by_client("crm")]);
    let mut command = lab.daemon();
    command
        .uid(USER)
        .gid(USER)
        .current_dir("/")
        .stderr(Stdio::piped());
    lab.start_by(command);
    lab.await_token("crm");
    let mut other = Command::new("sleep")
        .arg("60")
        .uid(USER)
        .gid(USER)
        .spawn()
        .unwrap();
    let attempt = |shell: &str, pid: u32| {
        let mut command = Command::new("sh");
        command.args(["-c", shell, "sh", &pid.to_string()]);
        let ended = command.uid(USER).gid(USER).output().unwrap();
        (ended.status.success(), format!("{ended:?}"))
    };
    let trace = "timeout 2 strace -qq -p $1; [ $? = 124 ]";
    // Where the kernel lets nobody trace but a parent (Yama), that attempt proves nothing.
    let attempts = [
        "head -c 1 /proc/$1/environ",
        "ls /proc/$1/fd/",
        "exec 3</proc/$1/mem",
        trace,
    ];
    for shell in attempts {
        let (works, how) = attempt(shell, other.id());
        assert!(works || shell == trace, "{shell} of another program: {how}");
        let (works, how) = attempt(shell, lab.pid());
        assert!(!works, "{shell} of the daemon: {how}");
    }
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_client_that_holds_a_token_leaves_no_dump_and_what_it_runs_may() {
    const USER: u32 = 61_013;
    if !can_as_root("become another user") {
        return;
    }
    let (server, mut lab) = scene();
    let access = format!("allow = [\"user:{USER}\"]");
    lab.configure(&[lab.by_client("crm").table("access", &access)]);
    lab.start();
    lab.await_token("crm");
    let as_user = |args: &[&str]| {
        let mut command = Command::new(BINARY);
        command
            .args(args)
            .env("KEEPFRESH_SOCKET", lab.socket())
            .uid(USER)
            .gid(USER);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let owner = |pid: u32| {
        fs::metadata(format!("/proc/{pid}/environ"))
            .ok()
            .map(|found| found.uid())
    };
    for args in [&["events"][..], &["exec", "crm", "--", "sleep", "60"]] {
        let mut client = as_user(args);
        within(SOON, "a client without dumps", || {
            (owner(client.id()) == Some(0)).then_some(())
        });
        if args.contains(&"sleep") {
            let children = format!("/proc/{0}/task/{0}/children", client.id());
            let child: u32 = within(SOON, "its command", || {
                fs::read_to_string(&children).ok()?.trim().parse().ok()
            });
            within(SOON, "a command with dumps", || {
                (owner(child) == Some(USER)).then_some(())
            });
        }
        // What it runs ends with it.
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&client),
            rustix::process::Signal::TERM,
        )
        .unwrap();
        client.wait().unwrap();
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_command_for_a_secret_inherits_neither_descriptors_nor_secrets() {
    let (server, mut lab) = scene();
    let seen = lab.path("seen");
    let script = format!(
        "env > {seen}.env; ls -l /proc/self/fd > {seen}.fds; cat {secret}",
        seen = seen.display(),
        secret = lab.path("client-secret").display()
    );
    let login = |source: &str, name: &str| {
        format!(
            "grant = \"client_credentials\"\nclient_id = \"{name}\"\nclient_secret = {source}\n"
        )
    };
    let printed = login(
        &format!("{{ command = [\"sh\", \"-c\", {script:?}] }}"),
        "crm",
    );
    lab.configure(&[
        lab.session("crm", &printed),
        lab.session("erp", &login("{ env = \"ERP_SECRET\" }", "erp")),
    ]);
    // As systemd would pass a socket: the third descriptor, not closed on exec.
    let passed = UnixListener::bind(lab.path("passed.sock")).unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\"",
        "sh",
    ]);
    let inner = lab.daemon();
    shell.arg(inner.get_program()).args(inner.get_args()).envs(
        inner
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell
        .env("ERP_SECRET", server.client_secret())
        .env("NOTIFY_SOCKET", "/nowhere")
        .stderr(Stdio::piped());
    lab.start_with_stdin(shell, Stdio::from(std::os::fd::OwnedFd::from(passed)));
    lab.await_token("crm");
    lab.await_token("erp");
    let environment = fs::read_to_string(lab.path("seen.env")).unwrap();
    for name in ["ERP_SECRET", "NOTIFY_SOCKET", "LISTEN_FDS"] {
        assert!(!environment.contains(name), "{environment}");
    }
    assert!(!environment.contains(&server.client_secret()));
    let descriptors = fs::read_to_string(lab.path("seen.fds")).unwrap();
    // What the test itself was started with goes through; what the daemon opened does not.
    let own = lab.path("").display().to_string();
    let opened = descriptors
        .lines()
        .filter(|line| !line.ends_with("seen.fds"));
    let opened: Vec<&str> = opened
        .filter(|line| {
            ["socket:", "anon_inode:", &own]
                .iter()
                .any(|it| line.contains(it))
        })
        .collect();
    assert!(
        opened.is_empty() && descriptors.contains("seen.fds"),
        "{descriptors}"
    );
}

#[test]
fn descriptors_that_the_starter_left_open_reach_no_command_and_no_hook() {
    let (server, mut lab) = scene();
    let list = |name: &str| {
        format!(
            "ls -l /proc/self/fd > {0}.new; mv {0}.new {0}",
            lab.path(name).display()
        )
    };
    let secret = format!(
        "{}; cat {}",
        list("by-command"),
        lab.path("client-secret").display()
    );
    let login = "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = ";
    let command = format!("{login}{{ command = [\"sh\", \"-c\", {secret:?}] }}");
    let hook = format!(
        "on = [\"change\"]\ncommand = [\"sh\", \"-c\", {:?}]",
        list("by-hook")
    );
    lab.configure(&[lab.session("crm", &command).table("[hook]", &hook)]);
    fs::write(lab.path("left-open"), "what nobody else may read").unwrap();
    // Two sockets, as systemd passes them, and two files of the starter's own: none closed on exec.
    let script = "import os, socket, sys
left, first, second = sys.argv[1:4]
held = []
for path in (first, second):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    held.append(os.dup(listener.fileno()))
    listener.detach()
left = os.open(left, os.O_RDWR)
for there, here in ((30, held[0]), (31, held[1]), (37, left), (39, left)):
    os.dup2(here, there)
for there, here in ((3, 30), (4, 31), (7, 37), (9, 39)):
    os.dup2(here, there)
    os.set_inheritable(there, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')
os.execv(sys.argv[4], sys.argv[4:])
";
    let mut starter = std::process::Command::new("python3");
    starter
        .args(["-c", script])
        .arg(lab.path("left-open"))
        .arg(lab.path("first.sock"))
        .arg(lab.path("second.sock"));
    lab.start_through(starter);
    lab.await_token("crm");
    for name in ["by-command", "by-hook"] {
        let listed = within(SOON, name, || fs::read_to_string(lab.path(name)).ok());
        let numbers: Vec<&str> = listed
            .lines()
            .filter(|line| line.contains(" -> "))
            .collect();
        assert!(
            !listed.contains("left-open") && !listed.contains("socket:"),
            "{name}: {listed}"
        );
        // Its own three, and what `ls` reads.
        assert!(numbers.len() == 4, "{name}: {listed}");
    }
    // Still held by the daemon itself: a lock would be.
    let held = fs::read_link(format!("/proc/{}/fd/9", lab.pid())).unwrap();
    assert_eq!(held, lab.path("left-open"));
    assert!(lab.said().contains("socket_passed"));
    assert_eq!(server.logins(), 1);
}

#[test]
fn exec_gives_its_command_what_its_caller_left_open_and_nothing_of_its_own() {
    let (server, mut lab) = scene();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    let mut shell = std::process::Command::new("sh");
    shell.args([
        "-c",
        "exec \"$@\" 7<&0",
        "sh",
        BINARY,
        "exec",
        "crm",
        "--",
        "ls",
        "-l",
        "/proc/self/fd",
    ]);
    shell
        .env("KEEPFRESH_SOCKET", lab.socket())
        .stdin(fs::File::open(lab.config()).unwrap());
    let listed = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    assert!(listed.contains("7 -> "), "{listed}");
    assert!(
        !listed.contains("socket:") && !listed.contains("anon_inode:"),
        "{listed}"
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_token_that_was_replaced_is_gone_from_memory() {
    if !can_as_root("read this memory") {
        return;
    }
    let (server, mut lab) = scene();
    lab.log_level = "info";
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    assert!(
        occurrences(lab.pid(), &token) > 0,
        "the current one is found"
    );
    server.revoke_sessions();
    lab.run(&["rejected", "crm"]);
    lab.await_another_token("crm", &token);
    within(SOON, "the token to be wiped", || {
        (occurrences(lab.pid(), &token) == 0).then_some(())
    });
    assert!(server.logins() <= 2);
}

#[test]
fn a_secret_is_gone_from_memory_once_it_was_sent() {
    if !can_as_root("read this memory") {
        return;
    }
    let (server, mut lab) = scene();
    lab.configure(&[
        lab.by_client("crm"),
        lab.by_password("erp", "job@acme.example"),
    ]);
    lab.start();
    let token = lab.await_token("crm");
    lab.await_token("erp");
    assert!(
        occurrences(lab.pid(), &token) > 0,
        "what is still needed is found"
    );
    for secret in [server.client_secret(), server.password()] {
        within(SOON, "the secret to be wiped", || {
            (occurrences(lab.pid(), &secret) == 0).then_some(())
        });
    }
    assert!(server.logins() <= 2);
}

/// How often `needle` occurs in the writable memory of a process.
fn occurrences(pid: u32, needle: &str) -> usize {
    use std::os::unix::fs::FileExt as _;
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let (start, end) = (
            u64::from_str_radix(start, 16).unwrap(),
            u64::from_str_radix(end, 16).unwrap(),
        );
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            found += bytes
                .windows(needle.len())
                .filter(|window| *window == needle.as_bytes())
                .count();
        }
    }
    found
}

fn scene() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    (server, lab)
}
