//! Servers that others wrote, each a process of its own on loopback that ends with its test.

pub(crate) mod openbao;
pub(crate) mod qbittorrent;
pub(crate) mod zabbix;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The user `nobody`: some servers refuse to run as root.
const NOBODY: &str = "65534";

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

/// A process that does not outlive the test's thread, however that ends; `humbly`: not as root.
fn dying_with_us(program: &str, humbly: bool) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if humbly && rustix::process::geteuid().is_root() {
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    }
    command.arg(program);
    command
}

/// A directory that the user `nobody` may write.
fn directory() -> TempDir {
    let dir = tempfile::Builder::new().prefix("keepfresh-server-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    dir
}
