//! Those at the other end of a socket who take nobody, or are none: a stopped daemon, a service manager that hangs, a starter
//! that passes something else than a listening socket.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::support::daemon::Lab;
use crate::support::namespaces::then_running;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::{SOON, within};

/// What an answer may take beyond `--wait`, with room for a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn no_command_waits_without_end_for_a_daemon_that_takes_no_caller() {
    let (server, lab) = scene();
    std::fs::create_dir(lab.path("run")).unwrap();
    let _stuck = Stuck::at(&lab.socket());
    let commands: [&[&str]; 12] = [
        &["status"],
        &["token", "crm", "--wait", "1s"],
        &["exec", "--wait", "1s", "crm", "--", "true"],
        &["wait", "crm", "--wait", "1s"],
        &["used", "crm"],
        &["rejected", "crm", "--wait", "1s"],
        &["verify", "crm", "--wait", "1s"],
        &["login", "crm", "--wait", "1s"],
        &["reload", "--wait", "1s"],
        &["health"],
        &["events", "--wait", "1s"],
        &["doctor"],
    ];
    let begun = Instant::now();
    let children: Vec<_> = commands
        .iter()
        .map(|arguments| {
            let mut command = lab.command(arguments);
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            (arguments, command.spawn().unwrap())
        })
        .collect();
    for (arguments, mut child) in children {
        within(
            PATIENCE.saturating_sub(begun.elapsed()),
            arguments[0],
            || child.try_wait().unwrap(),
        );
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // A report is there whatever it says.
        let is_report = arguments[0] == "doctor";
        assert_eq!(output.status.success(), is_report, "{arguments:?}: {said}");
        assert!(said.contains("does not answer"), "{arguments:?}: {said}");
    }
    assert_eq!(server.logins(), 0);
}

#[test]
fn a_start_names_the_process_that_listens_and_takes_nobody_and_does_not_wait_for_it() {
    let (server, mut lab) = scene();
    std::fs::create_dir(lab.path("run")).unwrap();
    let stuck = Stuck::at(&lab.socket());
    lab.start();
    assert_eq!(lab.ended().code(), Some(1));
    let said = lab.said();
    assert!(
        said.contains("a process listens there and takes no connection")
            && said.contains("ss -xlp"),
        "{said}"
    );
    assert!(lab.socket().exists(), "its socket is left alone");
    assert_eq!(server.logins(), 0);
    drop(stuck);
    lab.start();
    lab.await_token("crm");
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_service_manager_that_hangs_keeps_no_token_from_the_jobs_and_learns_of_ready_when_it_wakes() {
    let (server, mut lab) = scene();
    let manager = UnixDatagram::bind(lab.path("notify")).unwrap();
    let flood = UnixDatagram::unbound().unwrap();
    flood.set_nonblocking(true).unwrap();
    let mut before = 0;
    while flood.send_to(b"STATUS=busy", lab.path("notify")).is_ok() {
        before += 1;
    }
    let mut daemon = lab.daemon();
    daemon
        .env("NOTIFY_SOCKET", lab.path("notify"))
        .env("WATCHDOG_USEC", "2000000")
        .stderr(Stdio::piped());
    lab.start_by(daemon);
    let token = lab.await_token("crm");
    // Longer than the watchdog's beat.
    let hanging = Instant::now();
    while hanging.elapsed() < Duration::from_secs(3) {
        let asked = Instant::now();
        assert_eq!(lab.get("/v1/sessions/crm/token").unwrap().status, 200);
        assert!(asked.elapsed() < Duration::from_secs(2));
    }
    lab.succeeds(&["reload"]);
    manager.set_read_timeout(Some(SOON)).unwrap();
    let mut heard: Vec<String> = Vec::new();
    let place =
        |heard: &[String], start: &str| heard.iter().position(|line| line.starts_with(start));
    let again = |heard: &[String]| {
        let reloading = place(heard, "RELOADING=1")?;
        place(&heard[reloading..], "READY=1")
    };
    while heard.len() < before || again(&heard).is_none() {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).unwrap();
        heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
    }
    assert!(
        place(&heard, "READY=1") < place(&heard, "RELOADING=1"),
        "{heard:?}"
    );
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.logins(), 1);
}

#[test]
fn what_is_passed_as_a_socket_and_is_no_listening_one_is_refused_by_name() {
    let (server, mut lab) = scene();
    let bound = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&bound, &address(&lab.path("bound.sock"))).unwrap();
    let (connected, _peer) = UnixStream::pair().unwrap();
    let datagram = UnixDatagram::bind(lab.path("datagram.sock")).unwrap();
    let over_tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let listening = UnixListener::bind(lab.path("listening.sock")).unwrap();
    let cases: [(&str, OwnedFd, &str, &str); 7] = [
        (
            "a socket that was only bound",
            bound,
            "1",
            "nobody listens on the unix socket",
        ),
        (
            "a connection",
            connected.into(),
            "1",
            "nobody listens on the unix socket",
        ),
        (
            "a datagram socket",
            datagram.into(),
            "1",
            "not a valid unix stream socket",
        ),
        (
            "a socket of TCP",
            over_tcp.into(),
            "1",
            "not a valid unix stream socket",
        ),
        ("a file", file.into(), "1", "is not a socket"),
        (
            "more than there can be",
            listening.try_clone().unwrap().into(),
            "2000000000",
            "LISTEN_FDS",
        ),
        ("a listening socket", listening.into(), "1", ""),
    ];
    for (what, passed, count, refusal) in cases {
        lab.start_with_stdin(passing(&lab, count), Stdio::from(passed));
        if refusal.is_empty() {
            lab.await_token("crm");
            continue;
        }
        let before = lab.said().len();
        assert_eq!(lab.ended().code(), Some(1), "{what}");
        let said = within(SOON, what, || {
            lab.said()
                .get(before.saturating_sub(400)..)
                .map(str::to_owned)
        });
        assert!(
            said.contains("take the socket that systemd passed") && said.contains(refusal),
            "{what}: {said}"
        );
    }
    assert_eq!(server.logins(), 1);
}

/// The daemon with its standard input as the first of `count` descriptors that a service manager passes.
fn passing(lab: &Lab, count: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args([
        "-c",
        "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$@\"",
        "sh",
    ]);
    let mut command = then_running(shell, &lab.daemon());
    command.env("LISTEN_FDS", count).stderr(Stdio::piped());
    command
}

/// A listener whose queue is full.
struct Stuck {
    _listener: OwnedFd,
    _waiting: Vec<OwnedFd>,
}

impl Stuck {
    fn at(path: &Path) -> Self {
        let socket = |flags| {
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
        };
        let listener = socket(SocketFlags::CLOEXEC);
        rustix::net::bind(&listener, &address(path)).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let mut waiting = Vec::new();
        loop {
            let caller = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK);
            match rustix::net::connect(&caller, &address(path)).map_err(io::Error::from) {
                Ok(()) => waiting.push(caller),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        Self {
            _listener: listener,
            _waiting: waiting,
        }
    }
}

fn address(path: &Path) -> SocketAddrUnix {
    SocketAddrUnix::new(path).unwrap()
}

fn scene() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    (server, lab)
}
