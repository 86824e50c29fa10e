//! Servers that others wrote, each a process of its own on loopback that ends with its test.

pub(crate) mod django;
pub(crate) mod mediawiki;
pub(crate) mod openbao;
pub(crate) mod pouchdb;
pub(crate) mod qbittorrent;
pub(crate) mod synapse;
pub(crate) mod vcsim;
pub(crate) mod zabbix;

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::namespaces::is_root;
use super::recorder::{Recorder, await_listener};
use super::wire::exchange;

/// The user `nobody`: some servers refuse to run as root.
const NOBODY: &str = "65534";

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// A process that does not outlive the test's thread, however that ends; `humbly`: not as root.
fn dying_with_us(program: &str, humbly: bool) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if humbly && is_root() {
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    }
    command.arg(program);
    command
}

/// A directory that the user `nobody` may write.
fn directory() -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix("keepfresh-server-")
        .tempdir_in("/tmp")
        .unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// A server's process, which can be stopped and started again, and the recorder before it.
pub(crate) struct Served {
    command: Command,
    child: Child,
    address: SocketAddr,
    /// Where the daemon is sent.
    pub(crate) front: Recorder,
    /// Where the test itself asks, so that only the daemon's calls are counted in front.
    aside: Recorder,
}

impl Served {
    /// Starts one that will listen at `address`.
    fn start(address: SocketAddr, command: Command) -> Self {
        Self::start_behind(Recorder::before(address), address, command)
    }

    /// The same, for a server that must know where others see it.
    fn start_behind(front: Recorder, address: SocketAddr, mut command: Command) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: `make test` sees to it"));
        await_listener(address);
        Self {
            command,
            child,
            address,
            front,
            aside: Recorder::before(address),
        }
    }

    /// As who runs it would: it may put its things in order.
    pub(crate) fn stop(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn start_again(&mut self) {
        self.child = self.command.spawn().unwrap();
        await_listener(self.address);
    }

    /// The status, the head and the body of its answer.
    fn call(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String, String) {
        exchange(
            method,
            &format!("{}{path}", self.aside.url()),
            headers,
            body,
        )
        .unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that `make test` installs below `tests`.
fn installed(file: &str) -> String {
    let path = format!("{}/tests/{file}", env!("CARGO_MANIFEST_DIR"));
    assert!(
        Path::new(&path).exists(),
        "{path} is missing: `make test` sees to it"
    );
    path
}
