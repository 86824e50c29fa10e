//! Mounts that nobody else sees: as root, and as an ordinary user, who is root in a user namespace of his own.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Whether this is root, who alone becomes other users, gives files to them and reads any memory.
///
/// What only root can try is left out where this says no.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// `unshare`, which runs the command after its arguments where mounts are its own. That keeps its process id.
pub(crate) fn with_own_mounts() -> Command {
    let mut command = Command::new("unshare");
    if !is_root() {
        command.arg("--map-root-user");
    }
    command.args(["--mount", "--propagation", "private", "--"]);
    command
}

/// Mounts that several commands share, for as long as this lives.
pub(crate) struct SharedMounts {
    keeper: Child,
}

impl SharedMounts {
    /// A shell script that mounts, and its arguments `$1`, `$2`…
    pub(crate) fn made_by(script: &str, args: &[&Path]) -> Self {
        // It ends when nobody holds its standard input any more.
        let mut command = with_own_mounts();
        command
            .args(["sh", "-ec", &format!("{script}\necho made; exec cat"), "sh"])
            .args(args);
        let mut keeper = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = [0; 5];
        keeper
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut said)
            .expect("a mount namespace, as this machine may not allow");
        Self { keeper }
    }

    /// `nsenter`, which runs the command after its arguments among these mounts. That keeps its process id.
    pub(crate) fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.keeper.id()));
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--mount", "--"]);
        command
    }

    /// Where others find what has this path among these mounts.
    pub(crate) fn seen_from_outside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.keeper.id()))
    }
}

impl Drop for SharedMounts {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// `before`, which runs `inner` with its environment after its own arguments.
pub(crate) fn then_running(mut before: Command, inner: &Command) -> Command {
    before.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => before.env(name, value),
            None => before.env_remove(name),
        };
    }
    before
}
