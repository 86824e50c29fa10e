//! Other users of the machine: what they hoard, where they are in the way, and what they are not told.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::support::daemon::{BINARY, Lab};
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::{SOON, within};

/// Numbers that no account of a test machine has.
const READER: u32 = 61_031;
const STRANGER: u32 = 61_032;

/// Opens so many streams of events, says how many were granted, and holds them until its input ends.
const HOARD: &str = "
import socket, sys
held, granted = [], 0
for _ in range(int(sys.argv[2])):
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(5)
    try:
        stream.connect(sys.argv[1])
        stream.sendall(b'GET /v1/events HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n')
        granted += stream.recv(12) == b'HTTP/1.1 200'
    except OSError:
        pass
    held.append(stream)
print(granted, flush=True)
sys.stdin.read()
";

#[test]
fn event_streams_of_strangers_under_many_numbers_keep_neither_root_nor_readers_out() {
    let Some((server, lab)) = crowded() else {
        return;
    };
    let hoards: Vec<Hoard> = (0..9)
        .map(|number| Hoard::begin(&lab, 61_100 + number, 60))
        .collect();
    let granted: usize = hoards.iter().map(|hoard| hoard.granted).sum();
    assert!(
        (8..=32).contains(&granted),
        "{granted} streams for those who may see nothing"
    );
    for _ in 0..5 {
        assert_eq!(
            lab.get("/v1/sessions/crm/token").unwrap().status,
            200,
            "root"
        );
        let read = run_as(
            READER,
            Command::new(BINARY).args(["token", "crm", "--wait", "0s"]),
            &lab,
        );
        assert!(read.status.success(), "a reader: {read:?}");
    }
    within(
        SOON,
        "another stranger to be told that the daemon lives",
        || {
            run_as(STRANGER, Command::new(BINARY).arg("health"), &lab)
                .status
                .success()
                .then_some(())
        },
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_user_whose_streams_take_all_that_they_may_still_gets_short_answers() {
    let Some((server, lab)) = crowded() else {
        return;
    };
    let hoard = Hoard::begin(&lab, READER, 400);
    assert!((50..300).contains(&hoard.granted), "{}", hoard.granted);
    for _ in 0..5 {
        let read = run_as(READER, Command::new(BINARY).args(["token", "crm"]), &lab);
        assert!(read.status.success(), "{read:?}");
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_flood_of_strangers_is_turned_away_unheard_and_keeps_no_reader_waiting() {
    let Some((server, lab)) = crowded() else {
        return;
    };
    let flood = "
import socket, sys, time
answers, end = {}, time.time() + 3
while time.time() < end:
    stream = socket.socket(socket.AF_UNIX)
    try:
        stream.connect(sys.argv[1])
        stream.sendall(b'GET /v1/health HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n')
        answer = stream.recv(12)
    except OSError:
        continue
    answers[answer[9:12]] = answers.get(answer[9:12], 0) + 1
print(answers.get(b'200', 0), answers.get(b'503', 0))
";
    let mut command = become_user(STRANGER, "/usr/bin/python3");
    command
        .args(["-c", flood])
        .arg(lab.socket())
        .stdout(Stdio::piped());
    let mut flooding = command.spawn().unwrap();
    let mut slowest = Duration::ZERO;
    while flooding.try_wait().unwrap().is_none() {
        let begun = std::time::Instant::now();
        assert_eq!(lab.get("/v1/sessions/crm/token").unwrap().status, 200);
        slowest = slowest.max(begun.elapsed());
    }
    let mut said = String::new();
    flooding
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    let counts: Vec<usize> = said
        .split_whitespace()
        .map(|count| count.parse().unwrap())
        .collect();
    assert!(
        counts[0] <= 600,
        "a burst and a hundred a second were heard: {said}"
    );
    assert!(
        counts[0] + counts[1] < 500 || counts[1] > 0,
        "nobody was turned away: {said}"
    );
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_sockets_directory_in_which_strangers_can_write_is_warned_of_like_the_runtime_directory() {
    if !can_as_root("become another user") {
        return;
    }
    let (_server, mut lab) = scene();
    for (directory, mode) in [("open", 0o777), ("shared", 0o1777)] {
        fs::create_dir(lab.path(directory)).unwrap();
        fs::set_permissions(lab.path(directory), fs::Permissions::from_mode(mode)).unwrap();
    }
    place_sockets(&lab, "open/k.sock", "shared/m.sock");
    let checked = lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()]);
    lab.start();
    lab.await_token("crm");
    for said in [checked, lab.said()] {
        for part in [
            "the socket's directory",
            "the directory of the socket for scrapers",
            "every user can write there (mode 0777)",
            "name a directory below it",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    lab.stop();
    chown(lab.path("open"), Some(STRANGER), None).unwrap();
    fs::set_permissions(lab.path("open"), fs::Permissions::from_mode(0o755)).unwrap();
    let checked = lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()]);
    assert!(
        checked.contains("the user 61032 can write there"),
        "{checked}"
    );
}

#[test]
fn a_link_that_a_stranger_puts_in_the_sockets_way_opens_no_other_file() {
    if !can_as_root("become another user") {
        return;
    }
    let (_server, mut lab) = scene();
    fs::create_dir(lab.path("open")).unwrap();
    fs::set_permissions(lab.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
    lab.secret("of-root", "closed");
    place_sockets(&lab, "open/k.sock", "open/m.sock");
    let swap = "
import os, sys
here, target = sys.argv[1:]
number = 0
while True:
    for name in os.listdir(here):
        if name in ('k.sock', 'm.sock') or name.startswith('away'):
            continue
        number += 1
        try:
            os.rename(f'{here}/{name}', f'{here}/away{number}')
            os.symlink(target, f'{here}/{name}')
        except OSError:
            pass
";
    let mut swapping = become_user(STRANGER, "/usr/bin/python3");
    swapping
        .args(["-c", swap])
        .args([lab.path("open"), lab.path("of-root")]);
    let swapping = Neighbour(swapping.spawn().unwrap());
    for _ in 0..6 {
        lab.start();
        // Where the stranger was quicker it ends, and says so.
        if !lab.has_ended(Duration::from_millis(500)) {
            lab.kill();
        }
        let mode = fs::metadata(lab.path("of-root"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    drop(swapping);
    assert_eq!(fs::read_to_string(lab.path("of-root")).unwrap(), "closed");
}

#[test]
fn a_strangers_listener_in_the_sockets_place_is_neither_asked_nor_believed() {
    if !can_as_root("become another user") {
        return;
    }
    let (_server, mut lab) = scene();
    fs::create_dir(lab.path("shared")).unwrap();
    fs::set_permissions(lab.path("shared"), fs::Permissions::from_mode(0o1777)).unwrap();
    let path = lab.path("shared/k.sock");
    let listen = "
import os, socket, sys
os.umask(0)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(5)
print('listening', flush=True)
while True:
    stream, _ = listener.accept()
    heard = stream.recv(4096)
    print('heard', len(heard), flush=True)
    if heard:
        stream.sendall(b'HTTP/1.1 200 OK\\r\\ncontent-length: 6\\r\\n\\r\\nstolen')
    stream.close()
";
    let mut listening = become_user(STRANGER, "/usr/bin/python3");
    let mut listening = Neighbour(
        listening
            .args(["-c", listen])
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    within(SOON, "the stranger", || path.exists().then_some(()));
    let ask = |trusted: Option<&str>| {
        let mut command = Command::new(BINARY);
        command
            .args(["token", "crm", "--wait", "0s", "--socket"])
            .arg(&path);
        command.envs(trusted.map(|user| ("KEEPFRESH_DAEMON_USER", user)));
        run_as(READER, &mut command, &lab)
    };
    let refused = ask(None);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(77), "{said}");
    assert!(
        said.contains("the user 61032 listens at") && said.contains("KEEPFRESH_DAEMON_USER=61032"),
        "{said}"
    );
    assert!(refused.stdout.is_empty());
    let trusted = ask(Some("61032"));
    assert_eq!(
        trusted.stdout.trim_ascii(),
        b"stolen",
        "whoever says that it is the daemon's user is believed"
    );
    // Nor does the daemon take it for another of its own.
    place_sockets(&lab, "shared/k.sock", "shared/m.sock");
    lab.start();
    assert_eq!(lab.ended().code(), Some(1));
    assert!(
        lab.said().contains("the user 61032 listens there"),
        "{}",
        lab.said()
    );
    listening.0.kill().unwrap();
    let mut heard = String::new();
    listening
        .0
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut heard)
        .unwrap();
    let asked: Vec<&str> = heard
        .lines()
        .filter(|line| line.starts_with("heard") && !line.ends_with(" 0"))
        .collect();
    assert_eq!(
        asked.len(),
        1,
        "what the caller asks was sent to the trusted one alone: {heard}"
    );
}

#[test]
fn a_page_that_reaches_the_figures_by_a_name_of_its_own_reads_no_names_of_sessions() {
    let (_server, mut lab) = scene();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = fs::read_to_string(lab.config()).unwrap();
    let port = address.port();
    lab.write_config(&format!(
        "{config}\n[metrics]\nlisten = \"{address}\"\nhosts = [\"figures.example\"]\n"
    ));
    lab.start();
    lab.await_token("crm");
    let scraped = |host: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\n{host}\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "figures.example",
        "FIGURES.example.",
    ] {
        let answer = scraped(&format!("host: {host}:{port}\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("session=\"crm\""),
            "{host}: {answer}"
        );
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "x.figures.example",
    ] {
        let answer = scraped(&format!("host: {host}:{port}\r\n"));
        assert!(
            answer.starts_with("HTTP/1.1 421") && !answer.contains("crm"),
            "{host}: {answer}"
        );
        assert!(answer.contains("`hosts` in [metrics]"), "{answer}");
    }
    assert_eq!(
        lab.said().matches("unknown_host").count(),
        1,
        "{}",
        lab.said()
    );
}

/// A program of another user, ended when this is dropped.
struct Neighbour(Child);

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Connections that one user holds until this is dropped.
struct Hoard {
    _child: Neighbour,
    _hold: Option<ChildStdin>,
    granted: usize,
}

impl Hoard {
    fn begin(lab: &Lab, user: u32, streams: usize) -> Self {
        let mut command = become_user(user, "/usr/bin/python3");
        command
            .args(["-c", HOARD])
            .arg(lab.socket())
            .arg(streams.to_string());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let hold = child.stdin.take();
        let mut said = [0; 16];
        let count = child.stdout.as_mut().unwrap().read(&mut said).unwrap();
        let granted = std::str::from_utf8(&said[..count])
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        Self {
            _child: Neighbour(child),
            _hold: hold,
            granted,
        }
    }
}

/// A program as another user.
fn become_user(user: u32, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args([
            &format!("--reuid={user}"),
            &format!("--regid={user}"),
            "--clear-groups",
            program,
        ])
        .current_dir("/");
    command
}

/// The command as another user, at the lab's socket unless it names one.
fn run_as(user: u32, command: &mut Command, lab: &Lab) -> Output {
    let mut changed = become_user(user, command.get_program().to_str().unwrap());
    changed
        .args(command.get_args())
        .env("KEEPFRESH_SOCKET", lab.socket());
    changed.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    changed.output().unwrap()
}

fn place_sockets(lab: &Lab, socket: &str, metrics: &str) {
    lab.configure(&[lab.by_client("crm")]);
    let config = fs::read_to_string(lab.config()).unwrap();
    let [socket, metrics] = [socket, metrics].map(|path| lab.path(path));
    let quoted = |path: &Path| path.display().to_string();
    lab.write_config(&format!(
        "{config}\n[socket]\npath = \"{}\"\n[metrics]\nlisten = \"unix:{}\"\n",
        quoted(&socket),
        quoted(&metrics)
    ));
}

/// A daemon that has room for some five hundred connections, with one reader; nothing where nobody can become another.
fn crowded() -> Option<(Arc<Salesforce>, Lab)> {
    if !can_as_root("become another user") {
        return None;
    }
    let (server, mut lab) = scene();
    lab.configure(&[lab
        .by_client("crm")
        .table("access", &format!("allow = [\"user:{READER}\"]"))]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=1024:1024");
    lab.start_through(limited);
    lab.await_token("crm");
    Some((server, lab))
}

fn scene() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    (server, lab)
}
