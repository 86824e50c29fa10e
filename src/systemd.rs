//! What systemd is told and what it passes on; without systemd, nothing of it happens.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// Variables that are meant for this process alone: whoever starts a child removes them from its environment.
pub const PRIVATE_VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// Tells the service manager how the daemon fares (`sd_notify(3)`).
#[derive(Clone, Copy, Debug)]
pub struct Notifier {
    present: bool,
}

impl Notifier {
    /// Finds out once whether anybody listens (`NOTIFY_SOCKET`).
    pub fn from_env() -> Self {
        Self {
            present: std::env::var_os("NOTIFY_SOCKET").is_some(),
        }
    }

    /// `READY=1`, after the start and after each reload, with a status line.
    pub fn ready(&self, status: &str) {
        let status = one_line(status);
        self.send(|| Ok(vec![NotifyState::Ready, NotifyState::Status(&status)]));
    }

    /// `RELOADING=1`, with the moment that systemd needs to tell this reload from the one before.
    pub fn reloading(&self) {
        // Both in one message, or systemd takes the second for missing.
        self.send(|| {
            Ok(vec![
                NotifyState::Reloading,
                NotifyState::monotonic_usec_now()?,
            ])
        });
    }

    /// `STOPPING=1`.
    pub fn stopping(&self) {
        self.send(|| Ok(vec![NotifyState::Stopping]));
    }

    /// `STATUS=`: one line for `systemctl status`.
    pub fn status(&self, text: &str) {
        let text = one_line(text);
        self.send(|| Ok(vec![NotifyState::Status(&text)]));
    }

    /// `WATCHDOG=1`; to be called only when the scheduler has made progress.
    pub fn watchdog(&self) {
        self.send(|| Ok(vec![NotifyState::Watchdog]));
    }

    fn send<'a>(self, message: impl FnOnce() -> io::Result<Vec<NotifyState<'a>>>) {
        if !self.present {
            return;
        }
        if let Err(error) = message().and_then(|message| sd_notify::notify(&message)) {
            tracing::debug!(%error, "cannot notify the service manager");
        }
    }
}

/// A line break would begin another assignment of the protocol.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The command that restarts the service that this process is; none where no systemd runs it.
pub fn restart_command() -> Option<String> {
    std::env::var_os("INVOCATION_ID")?;
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
    let mut passed = ListenFd::from_env();
    let listener = if passed.len() == 0 {
        None
    } else {
        passed.take_unix_listener(0)?
    };
    if let Some(listener) = &listener {
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
    use std::os::unix::net::{UnixDatagram, UnixStream};
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
        let notifier = Notifier { present: false };
        notifier.send(|| panic!("nobody listens"));
        assert!(passed_listener().unwrap().is_none());
    }

    #[test]
    #[ignore = "a part of another test, run by it in a process of its own"]
    fn notify_of_everything() {
        let notifier = Notifier::from_env();
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
