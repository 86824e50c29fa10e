//! Who is let in: the kernel says which user and which groups connect, from whatever namespace, and the config decides.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::namespaces::then_running;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::{can_as_root, say_untried};
use crate::support::{SOON, within};

/// Numbers that no account of a test machine has.
const READER: u32 = 61_001;
const READERS: u32 = 61_002;
const ADMIN: u32 = 61_003;
const ADMINS: u32 = 61_004;
const OWNER: u32 = 61_005;
const OWNERS: u32 = 61_006;
const STRANGER: u32 = 61_007;

/// A user, its group, and the others it is in.
type Who = (u32, u32, &'static [u32]);

#[test]
fn each_caller_sees_and_reads_the_sessions_that_name_it_and_no_other() {
    let Some((server, lab)) = scene() else { return };
    let seen: [(Who, &[&str]); 12] = [
        ((READER, STRANGER, &[]), &["by-name"]),
        ((STRANGER, READERS, &[]), &["by-name"]),
        ((STRANGER, STRANGER, &[READERS]), &["by-name"]),
        (
            (STRANGER, STRANGER, &[60_000, READERS, 60_001]),
            &["by-name"],
        ),
        // A number means the one or the other, never both.
        ((READERS, STRANGER, &[]), &[]),
        ((STRANGER, READER, &[READER]), &[]),
        ((OWNER, STRANGER, &[]), &["by-files"]),
        ((STRANGER, STRANGER, &[OWNERS]), &["by-files"]),
        ((STRANGER, OWNERS, &[READERS]), &["by-files", "by-name"]),
        ((STRANGER, STRANGER, &[]), &[]),
        ((ADMIN, STRANGER, &[]), &["by-files", "by-name", "unnamed"]),
        (
            (STRANGER, STRANGER, &[ADMINS]),
            &["by-files", "by-name", "unnamed"],
        ),
    ];
    for (who, expected) in seen {
        let list: Value =
            serde_json::from_slice(&run_as(&lab, &[], who, &["status", "--json"]).stdout).unwrap();
        let names: Vec<&str> = list["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["session"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{who:?}");
        for name in ["by-files", "by-name", "unnamed"] {
            let code = if expected.contains(&name) { 0 } else { 77 };
            assert_eq!(
                run_as(&lab, &[], who, &["token", name]).status.code(),
                Some(code),
                "{who:?} reads {name}"
            );
        }
        // Only who may see all is told that there is none.
        let code = if expected.len() == 3 { 80 } else { 77 };
        assert_eq!(
            run_as(&lab, &[], who, &["token", "nope"]).status.code(),
            Some(code),
            "{who:?}"
        );
    }
    assert_eq!(server.logins(), 3);
}

#[test]
fn only_admins_may_order_and_each_no_names_what_would_help() {
    let Some((server, lab)) = scene() else { return };
    for (who, code) in [
        ((READER, STRANGER, &[][..]), 77),
        ((STRANGER, STRANGER, &[OWNERS]), 77),
        ((ADMIN, STRANGER, &[]), 0),
        ((STRANGER, STRANGER, &[ADMINS]), 0),
    ] {
        for order in ["verify", "pause", "resume"] {
            assert_eq!(
                run_as(&lab, &[], who, &[order, "by-name"]).status.code(),
                Some(code),
                "{who:?} {order}"
            );
        }
        assert_eq!(
            run_as(&lab, &[], who, &["reload"]).status.code(),
            Some(code),
            "{who:?}"
        );
    }
    let said = |who, args: &[&str]| {
        String::from_utf8_lossy(&run_as(&lab, &[], who, args).stderr).into_owned()
    };
    let reading = said((STRANGER, STRANGER, &[]), &["token", "by-name"]);
    assert!(
        reading.contains("`allow` in [sessions.by-name.access]") && !reading.contains("admins"),
        "{reading}"
    );
    let ordering = said((READER, STRANGER, &[]), &["login", "by-name"]);
    assert!(
        ordering.contains("`admins` in [socket]") && !ordering.contains("allow"),
        "{ordering}"
    );
    assert_eq!(server.logins(), 3, "nobody's no reached the server");
}

#[test]
fn a_job_in_namespaces_of_its_own_is_known_by_all_its_groups() {
    let Some((_server, lab)) = scene() else {
        return;
    };
    for namespaces in [
        &["unshare", "--pid", "--fork"][..],
        &["unshare", "--pid", "--fork", "--mount-proc"],
    ] {
        if !Command::new(namespaces[0])
            .args(&namespaces[1..])
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            say_untried("this machine lets nobody make namespaces");
            return;
        }
        for (who, code) in [
            ((STRANGER, STRANGER, &[READERS][..]), 0),
            ((STRANGER, STRANGER, &[]), 77),
        ] {
            let output = run_as(&lab, namespaces, who, &["token", "by-name"]);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{namespaces:?} {who:?}: {output:?}"
            );
        }
    }
}

#[test]
fn groups_of_a_process_that_took_the_number_of_a_caller_that_ended_are_not_the_callers() {
    let Some((server, lab)) = scene() else { return };
    if kernel() < (6, 5) {
        say_untried("this kernel does not tell whether a caller still lives");
        return;
    }
    let mut reused = 0;
    for _ in 0..50 {
        let (answer, mut heir) = answered_late(&lab, LEAVES, |caller, number| {
            caller.wait().unwrap();
            let number: u32 = number.parse().unwrap();
            fs::write("/proc/sys/kernel/ns_last_pid", (number - 1).to_string()).unwrap();
            let heir = sleeping((STRANGER, STRANGER, &[READERS]));
            reused += u32::from(heir.id() == number);
            within(SOON, "its groups", || {
                let status = fs::read_to_string(format!("/proc/{}/status", heir.id())).unwrap();
                status.contains(&READERS.to_string()).then_some(())
            });
            heir
        });
        heir.kill().unwrap();
        heir.wait().unwrap();
        assert!(answer.contains("\"sessions\":[]"), "{answer}");
        if reused == 3 {
            break;
        }
    }
    assert!(reused > 0, "the number never went to the heir");
    assert_eq!(server.logins(), 3);
}

#[test]
fn what_a_caller_becomes_after_it_connected_and_to_whom_it_hands_its_socket_gives_no_more_rights() {
    let Some((server, lab)) = scene() else { return };
    for (user, group, groups) in [
        (0, 0, String::new()),
        (STRANGER, READERS, READERS.to_string()),
        (READER, STRANGER, READERS.to_string()),
    ] {
        let steps = format!(
            "os.seteuid(0)\nos.setgroups([{groups}])\nos.setresgid({group}, {group}, {group})\n\
             os.setresuid({user}, {user}, {user})\n{BECOMES}"
        );
        let (answer, ()) = answered_late(&lab, &steps, |_, _| ());
        assert!(
            answer.contains("\"sessions\":[]"),
            "{user} {group}: {answer}"
        );
    }
    let handed = HANDS_OVER.replace("HEIR", &READER.to_string());
    let (handed, ()) = answered_late(&lab, &handed, |_, _| ());
    assert!(handed.contains("\"sessions\":[]"), "{handed}");
    assert_eq!(server.logins(), 3);
}

#[test]
fn a_caller_in_a_user_namespace_of_its_own_is_neither_root_nor_the_user_whom_all_unmapped_ones_look_like()
 {
    let Some((server, mut lab)) = scene() else {
        return;
    };
    lab.stop();
    lab.configure(&[lab.by_client("by-name").table(
        "access",
        &format!("allow = [\"user:{READER}\", \"user:65534\", \"group:65534\"]"),
    )]);
    lab.start();
    lab.await_token("by-name");
    for namespace in [
        &["unshare", "--user"][..],
        &["unshare", "--user", "--map-root-user"],
        &["unshare", "--user", "--map-current-user"],
    ] {
        for (who, may_read) in [(STRANGER, false), (READER, true)] {
            let asks = |args: &[&str]| {
                let mut keepfresh = Command::new(namespace[0]);
                keepfresh.args(&namespace[1..]);
                let mut keepfresh = then_running(keepfresh, &lab.command(args));
                // The daemon's user is outside of it, and the lab lies in /tmp.
                keepfresh.env("KEEPFRESH_DAEMON_USER", "65534");
                as_who(&[], (who, STRANGER, &[]), &keepfresh).status.code()
            };
            let code = if may_read { 0 } else { 77 };
            assert_eq!(
                asks(&["token", "by-name"]),
                Some(code),
                "{namespace:?} {who}"
            );
            assert_eq!(asks(&["pause", "by-name"]), Some(77), "{namespace:?} {who}");
        }
    }
    assert_eq!(server.logins(), 3);
}

/// What each caller begins with: connected as a stranger. It says its number, and asks when it is told to.
const CONNECTS: &str = "
import os, socket, sys, time
def ask(stream):
    sys.stdin.readline()
    stream.settimeout(20)
    stream.sendall(b'GET /v1/sessions HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n')
    print(b''.join(iter(lambda: stream.recv(65536), b'')).decode(), flush=True)
os.setgroups([])
os.setegid(int(sys.argv[2]))
os.seteuid(int(sys.argv[2]))
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
number = os.getpid()
";

/// It ends, and a child of its asks.
const LEAVES: &str = "
if os.fork():
    os._exit(0)
print(number, flush=True)
ask(stream)
";

/// It runs another program in its place, and a child of its asks while that runs.
const BECOMES: &str = "
before = open('/proc/self/comm').read()
if os.fork():
    os.execv('/usr/bin/sleep', ['sleep', '60'])
while open(f'/proc/{number}/comm').read() == before:
    time.sleep(0.01)
print(number, flush=True)
ask(stream)
os.kill(number, 9)
";

/// It hands the connection to another user's process, which asks.
const HANDS_OVER: &str = "
ours, theirs = socket.socketpair()
os.seteuid(0)
if os.fork():
    socket.send_fds(ours, [b'x'], [stream.fileno()])
    stream.close()
    os.wait()
else:
    stream.close()
    _, handed, _, _ = socket.recv_fds(theirs, 1, 1)
    os.setresgid(HEIR, HEIR, HEIR)
    os.setresuid(HEIR, HEIR, HEIR)
    print(number, flush=True)
    ask(socket.socket(fileno=handed[0]))
";

/// What a stranger's process that does as `script` says is answered by a daemon that takes it up only after `meanwhile`, which
/// is told its number.
fn answered_late<T>(
    lab: &Lab,
    script: &str,
    meanwhile: impl FnOnce(&mut Child, &str) -> T,
) -> (String, T) {
    lab.signal(Signal::STOP);
    let mut caller = Command::new("/usr/bin/python3")
        .args(["-c", &format!("{CONNECTS}{script}")])
        .arg(lab.socket())
        .arg(STRANGER.to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut tell = caller.stdin.take().unwrap();
    let mut said = BufReader::new(caller.stdout.take().unwrap());
    let mut number = String::new();
    said.read_line(&mut number).unwrap();
    let done = meanwhile(&mut caller, number.trim());
    lab.signal(Signal::CONT);
    within(SOON, "the daemon", || lab.get("/v1/health"));
    // What connected first has been taken up.
    tell.write_all(b"\n").unwrap();
    let mut answer = String::new();
    said.read_to_string(&mut answer).unwrap();
    caller.wait().unwrap();
    (answer, done)
}

/// A process that does nothing for a while, as somebody else.
fn sleeping((user, group, groups): Who) -> Child {
    let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
    Command::new("setpriv")
        .args([
            format!("--reuid={user}"),
            format!("--regid={group}"),
            format!("--groups={}", groups.join(",")),
        ])
        .args(["sleep", "60"])
        .spawn()
        .unwrap()
}

/// Which Linux this is, as far as features depend on it.
fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse().ok());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Sessions that are opened in each way, and who administers them; nothing where nobody can become somebody else.
fn scene() -> Option<(Arc<Salesforce>, Lab)> {
    if !can_as_root("become another user") {
        return None;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let allow = format!("allow = [\"user:{READER}\", \"group:{READERS}\"]");
    let files =
        format!("file = \"by-files\"\nowner = \"{OWNER}\"\ngroup = \"{OWNERS}\"\nmode = \"0440\"");
    lab.configure(&[
        lab.by_client("by-name").table("access", &allow),
        lab.by_client("by-files").publish(&files),
        lab.by_client("unnamed").key("publish = []"),
    ]);
    let config = std::fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!(
        "{config}\n[socket]\nadmins = [\"user:{ADMIN}\", \"group:{ADMINS}\"]\n"
    ));
    lab.start();
    for name in ["by-name", "by-files", "unnamed"] {
        lab.await_state(name, "alive");
    }
    server.settled();
    Some((server, lab))
}

/// `keepfresh ARGS` as somebody else, by way of the words in `before`.
fn run_as(lab: &Lab, before: &[&str], who: Who, args: &[&str]) -> Output {
    as_who(before, who, &lab.command(args))
}

/// The same of any command.
fn as_who(before: &[&str], (user, group, groups): Who, command: &Command) -> Output {
    let mut words: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
    words.extend([
        "setpriv".to_owned(),
        format!("--reuid={user}"),
        format!("--regid={group}"),
    ]);
    let list = groups
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(",");
    words.push(if list.is_empty() {
        "--clear-groups".to_owned()
    } else {
        format!("--groups={list}")
    });
    let mut becoming = Command::new(&words[0]);
    becoming.args(&words[1..]);
    then_running(becoming, command)
        .current_dir("/")
        .output()
        .unwrap()
}
