//! What systemd is told and what it passes on; without systemd, nothing of it happens.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use sd_notify::NotifyState;

use crate::descriptors::allowed_descriptors;

/// Variables that are meant for this process alone, and are removed from the environment of its children.
pub const PRIVATE_VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// The service that the packages install.
pub const UNIT: &str = "keepfresh.service";

/// There while systemd manages the machine (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";

/// Whether systemd manages the machine.
pub fn manages_the_machine() -> bool {
    Path::new(BOOTED).exists()
}

/// So many notifications wait for a service manager that takes none; then the oldest goes.
const MOST_UNSENT: usize = 16;

/// Tells the service manager how the daemon fares (`sd_notify(3)`), and never waits for it: one that hangs must not hang
/// every daemon of the machine. What it did not take is sent again, in order, with the next call.
#[derive(Debug)]
pub struct Notifier {
    manager: Option<(UnixDatagram, SocketAddr)>,
    unsent: VecDeque<String>,
}

impl Notifier {
    /// Finds out once whether a service manager listens (`NOTIFY_SOCKET`: a path, or the name of an abstract socket after `@`).
    pub fn from_env() -> Self {
        Self::to(env::var_os("NOTIFY_SOCKET").as_deref())
    }

    fn to(place: Option<&OsStr>) -> Self {
        let manager = place.and_then(|place| {
            reach(place)
                .inspect_err(|error| tracing::debug!(%error, "cannot notify the service manager"))
                .ok()
        });
        Self {
            manager,
            unsent: VecDeque::new(),
        }
    }

    /// `READY=1`, after the start and after each reload, with a status line.
    pub fn ready(&mut self, status: &str) {
        let status = one_line(status);
        self.send(|| Ok(vec![NotifyState::Ready, NotifyState::Status(&status)]));
    }

    /// `RELOADING=1`, with the moment that systemd needs to tell this reload from the one before.
    pub fn reloading(&mut self) {
        // Both in one message, or systemd takes the second for missing.
        self.send(|| {
            Ok(vec![
                NotifyState::Reloading,
                NotifyState::monotonic_usec_now()?,
            ])
        });
    }

    /// `STOPPING=1`.
    pub fn stopping(&mut self) {
        self.send(|| Ok(vec![NotifyState::Stopping]));
    }

    /// `STATUS=`: one line for `systemctl status`.
    pub fn status(&mut self, text: &str) {
        let text = one_line(text);
        self.send(|| Ok(vec![NotifyState::Status(&text)]));
    }

    /// `WATCHDOG=1`; to be called only when the scheduler has made progress.
    pub fn watchdog(&mut self) {
        self.send(|| Ok(vec![NotifyState::Watchdog]));
    }

    /// Whether something waits for a manager that did not take it.
    pub fn is_behind(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Sends what the manager did not take so far, as far as it takes it now.
    pub fn catch_up(&mut self) {
        let Some((socket, address)) = &self.manager else {
            return;
        };
        while let Some(message) = self.unsent.front() {
            match socket.send_to_addr(message.as_bytes(), address) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => tracing::debug!(%error, "cannot notify the service manager"),
                Ok(_) => {}
            }
            self.unsent.pop_front();
        }
    }

    fn send<'a>(&mut self, message: impl FnOnce() -> io::Result<Vec<NotifyState<'a>>>) {
        if self.manager.is_none() {
            return;
        }
        match message() {
            Ok(message) => {
                let lines = message.iter().map(|line| format!("{line}\n"));
                self.queue(lines.collect());
                self.catch_up();
            }
            Err(error) => tracing::debug!(%error, "cannot notify the service manager"),
        }
    }

    /// Of what is about this moment only the latest waits, so that it pushes nothing else out.
    fn queue(&mut self, message: String) {
        for passing in ["STATUS=", "WATCHDOG="] {
            if message.starts_with(passing) {
                self.unsent.retain(|earlier| !earlier.starts_with(passing));
            }
        }
        if self.unsent.len() >= MOST_UNSENT {
            self.unsent.pop_front();
        }
        self.unsent.push_back(message);
    }
}

fn reach(place: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(place)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// A line break would begin another assignment of the protocol.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The command that restarts the service that this process is; none where no systemd runs it.
pub fn restart_command() -> Option<String> {
    env::var_os("INVOCATION_ID")?;
    restart_command_for(&std::fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// By the control group (`cgroups(7)`): the last part that names a service is this one.
fn restart_command_for(cgroup: &str) -> Option<String> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let parts: Vec<&str> = path.split('/').collect();
    let unit = parts.iter().rfind(|part| part.ends_with(".service"))?;
    let of_a_user =
        parts.iter().any(|part| part.starts_with("user@")) && !unit.starts_with("user@");
    Some(format!(
        "systemctl {}restart {unit}",
        if of_a_user { "--user " } else { "" }
    ))
}

/// How often systemd wants to hear from the watchdog, at the latest; feed it twice as often. None when it does not.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// The unix socket that systemd listens on for us (`sd_listen_fds(3)`), the first if there are several.
///
/// # Errors
/// When what was passed is not a listening unix socket.
pub fn passed_listener() -> io::Result<Option<UnixListener>> {
    let count = env::var("LISTEN_FDS")
        .ok()
        .and_then(|count| count.parse().ok());
    if count.is_some_and(|count: usize| count > allowed_descriptors()) {
        return Err(io::Error::other(
            "LISTEN_FDS says that more sockets were passed than this process may have open",
        ));
    }
    let mut passed = ListenFd::from_env();
    let listener = if passed.len() == 0 {
        None
    } else {
        passed.take_unix_listener(0)?
    };
    if let Some(listener) = &listener {
        if !socket_acceptconn(listener)? {
            return Err(io::Error::other(
                "nobody listens on the unix socket that was passed: pass a socket after listen(2), as `ListenStream=` of a \
                 systemd socket unit does",
            ));
        }
        listener.set_nonblocking(true)?;
    }
    Ok(listener)
}

/// The `NAME=VALUE` lines of `systemctl show`. What has several values has a line for each in some versions of systemd.
pub fn properties(shown: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::<String, String>::new();
    for (name, value) in shown.lines().filter_map(|line| line.split_once('=')) {
        let values = found.entry(name.to_owned()).or_default();
        if !values.is_empty() {
            values.push(' ');
        }
        values.push_str(value);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn each_notification_says_what_systemd_expects_and_nothing_more() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([
            "--exact",
            "--ignored",
            "systemd::tests::notify_of_everything",
        ]);
        let output = child
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "20000000")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut messages = (0..5).map(|_| {
            let mut buffer = [0; 256];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        });
        assert_eq!(
            messages.next().unwrap(),
            "READY=1\nSTATUS=2 sessions alive MAINPID=1\n"
        );
        assert_eq!(messages.next().unwrap(), "STATUS=all well\n");
        assert_eq!(messages.next().unwrap(), "WATCHDOG=1\n");
        let reloading = messages.next().unwrap();
        let since = reloading
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap()
            .trim_end();
        assert!(since.parse::<u64>().unwrap() > 0);
        assert_eq!(messages.next().unwrap(), "STOPPING=1\n");
    }

    #[test]
    fn a_service_manager_that_hangs_is_not_waited_for_and_learns_the_latest_in_order() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut notifier = Notifier::to(Some(path.as_os_str()));
        while !notifier.is_behind() {
            notifier.watchdog();
        }
        notifier.ready("good");
        for number in 0..100 {
            notifier.watchdog();
            notifier.status(&format!("status {number}"));
        }
        assert_eq!(notifier.unsent.len(), 3);
        manager.set_nonblocking(true).unwrap();
        let mut taken = Vec::new();
        let mut buffer = [0; 256];
        while notifier.is_behind() {
            while let Ok(length) = manager.recv(&mut buffer) {
                taken.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
            }
            notifier.catch_up();
        }
        while let Ok(length) = manager.recv(&mut buffer) {
            taken.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
        let latest = &taken[taken.len() - 3..];
        assert_eq!(
            latest,
            [
                "READY=1\nSTATUS=good\n",
                "WATCHDOG=1\n",
                "STATUS=status 99\n"
            ]
        );
    }

    #[test]
    fn a_service_manager_is_reached_by_the_name_of_an_abstract_socket_too() {
        let name = format!("keepfresh-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        manager
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Notifier::to(Some(OsStr::new(&format!("@{name}")))).watchdog();
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"WATCHDOG=1\n");
    }

    #[test]
    fn a_socket_that_systemd_passed_is_taken_over() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "systemd::tests::greet_through_the_passed_socket",
            ])
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDS_FIRST_FD", "0")
            .stdin(std::os::fd::OwnedFd::from(listener))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        std::io::Read::read_to_string(&mut UnixStream::connect(&path).unwrap(), &mut greeting)
            .unwrap();
        assert_eq!(greeting, "welcome");
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn the_command_that_restarts_names_the_unit_and_its_manager() {
        for (cgroup, expected) in [
            (
                "0::/system.slice/keepfresh.service\n",
                Some("systemctl restart keepfresh.service"),
            ),
            (
                "0::/user.slice/user-7.slice/user@7.service/app.slice/keepfresh.service\n",
                Some("systemctl --user restart keepfresh.service"),
            ),
            ("0::/user.slice/user-7.slice/session-3.scope\n", None),
            ("0::/\n", None),
        ] {
            assert_eq!(restart_command_for(cgroup).as_deref(), expected, "{cgroup}");
        }
    }

    #[test]
    fn without_systemd_nothing_is_sent_and_nothing_was_passed() {
        let mut notifier = Notifier::to(None);
        notifier.send(|| panic!("nobody listens"));
        assert!(passed_listener().unwrap().is_none());
    }

    #[test]
    #[ignore = "a part of another test, run by it in a process of its own"]
    fn notify_of_everything() {
        let mut notifier = Notifier::from_env();
        notifier.ready("2 sessions alive\nMAINPID=1");
        notifier.status("all well");
        notifier.watchdog();
        notifier.reloading();
        notifier.stopping();
    }

    #[test]
    #[ignore = "a part of another test, run by it in a process of its own"]
    fn greet_through_the_passed_socket() {
        let Some(listener) = passed_listener().unwrap() else {
            return;
        };
        listener.set_nonblocking(false).unwrap();
        std::io::Write::write_all(&mut listener.accept().unwrap().0, b"welcome").unwrap();
    }

    #[test]
    fn a_property_of_several_lines_keeps_all_its_values() {
        let found = properties("User=keepfresh\nEnvironment=A=1\nEnvironment=B=2\n");
        assert_eq!(found["Environment"], "A=1 B=2");
        assert_eq!(found["User"], "keepfresh");
    }
}
