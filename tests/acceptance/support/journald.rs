//! A journald of one test's own, and a daemon started as systemd would start it beside one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::daemon::Lab;
use super::namespaces::{SharedMounts, then_running};
use super::{SOON, within};

/// Debian's package `systemd` brings it; `make test` installs that where it is missing.
const JOURNALD: &str = "/usr/lib/systemd/systemd-journald";

/// Where the machine's catalogue lies, below its root.
const CATALOGUE: &str = "var/lib/systemd/catalog";

/// One entry as `journalctl -o json` shows it.
pub(crate) type Entry = BTreeMap<String, serde_json::Value>;

/// It has a name, since the one without listens to the kernel as well.
const NAME: &str = "keepfresh";

/// Its sockets and what it writes, in memory, and our catalogue in the place of the machine's. It also is where the system's own is.
const MOUNTS: &str = "\
mount -t tmpfs none /run
mkdir /run/systemd
ln -s journal.keepfresh /run/systemd/journal
[ ! -d /var/log/journal ] || mount -t tmpfs none /var/log/journal
mount --bind \"$1\" /var/lib/systemd/catalog";

/// `systemd-journald NAME`, read by `journalctl --namespace=NAME`, where it hinders no other.
pub(crate) struct Journald {
    mounts: SharedMounts,
    _catalogue: TempDir,
    child: Option<Child>,
}

impl Journald {
    pub(crate) fn start() -> Self {
        let catalogue = catalogue();
        let mounts = SharedMounts::made_by(MOUNTS, &[&catalogue.path().join(CATALOGUE)]);
        let mut journald = Self {
            mounts,
            _catalogue: catalogue,
            child: None,
        };
        journald.start_again();
        journald
    }

    /// The same journal, after [`Journald::kill`].
    pub(crate) fn start_again(&mut self) {
        let mut command = self.mounts.enter();
        let child = command
            .args([JOURNALD, NAME])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.expect("util-linux is installed"));
        within(SOON, "journald to listen", || {
            UnixStream::connect(self.socket()).ok()
        });
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("journald runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// From now on it takes nothing, or takes everything again.
    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("journald runs");
        kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), signal).unwrap();
    }

    /// Starts the lab's daemon where this journald is the system's, its standard error connected to it.
    pub(crate) fn start_daemon(&self, lab: &mut Lab) {
        let (stderr, stream) = self.stderr();
        let mut command = self.around(&lab.daemon());
        command.env("JOURNAL_STREAM", stream).stderr(stderr);
        lab.start_by(command);
    }

    /// The command where this journald is the system's. It keeps its process id.
    pub(crate) fn around(&self, inner: &Command) -> Command {
        then_running(self.mounts.enter(), inner)
    }

    /// A stream as systemd opens it for a service (`StandardError=journal`), and what names it in `JOURNAL_STREAM`.
    fn stderr(&self) -> (Stdio, String) {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        // Identifier, unit, priority, prefixes are taken off, forwarding to syslog, to the kernel, to the console.
        stream.write_all(b"keepfresh\n\n6\n1\n0\n0\n0\n").unwrap();
        let fd = OwnedFd::from(stream);
        let found = fs::metadata(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&fd)
        ))
        .unwrap();
        (Stdio::from(fd), format!("{}:{}", found.dev(), found.ino()))
    }

    /// `journalctl --namespace=NAME ARGS`, with our catalogue for the machine's.
    pub(crate) fn journalctl(&self, args: &[&str]) -> String {
        let mut journalctl = self.mounts.enter();
        journalctl
            .args(["journalctl", "--namespace", NAME, "--no-pager", "--quiet"])
            .args(args);
        let output = journalctl.output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The entries that match.
    pub(crate) fn entries(&self, matches: &[&str]) -> Vec<Entry> {
        let args: Vec<&str> = ["-o", "json"].iter().chain(matches).copied().collect();
        self.journalctl(&args)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The first entry that matches, as soon as it is there.
    #[track_caller]
    pub(crate) fn await_entry(&self, matches: &[&str]) -> Entry {
        within(SOON, &format!("an entry {matches:?}"), || {
            self.entries(matches).into_iter().next()
        })
    }

    /// Where services send their lines.
    fn socket(&self) -> PathBuf {
        self.mounts
            .seen_from_outside(&format!("/run/systemd/journal.{NAME}/stdout"))
    }
}

/// The database that `journalctl --update-catalog` makes of ours, in a directory of its own.
fn catalogue() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let sources = root.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&sources).unwrap();
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/keepfresh.catalog");
    fs::copy(ours, sources.join("keepfresh.catalog")).unwrap();
    let update = Command::new("journalctl")
        .arg("--update-catalog")
        .arg("--root")
        .arg(root.path())
        .output()
        .unwrap();
    assert!(
        update.status.success() && update.stderr.is_empty(),
        "{update:?}"
    );
    root
}

impl Drop for Journald {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
