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

use super::daemon::Lab;
use super::{SOON, random_hex, within};

/// Debian's package `systemd` brings it; `make test` installs that where it is missing.
const JOURNALD: &str = "/usr/lib/systemd/systemd-journald";

/// One entry as `journalctl -o json` shows it.
pub(crate) type Entry = BTreeMap<String, serde_json::Value>;

/// `systemd-journald NAME`, read by `journalctl --namespace=NAME`.
pub(crate) struct Journald {
    name: String,
    child: Option<Child>,
}

impl Journald {
    pub(crate) fn start() -> Self {
        let mut journald = Self { name: format!("keepfresh-{}", random_hex(4)), child: None };
        journald.start_again();
        journald
    }

    /// The same journal, after [`Journald::kill`].
    pub(crate) fn start_again(&mut self) {
        let child = Command::new(JOURNALD).arg(&self.name).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{JOURNALD}: {error}; `make test` installs it")));
        within(SOON, "journald to listen", || UnixStream::connect(self.directory().join("stdout")).ok());
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

    /// The command where this journald's sockets lie at the system's paths. It keeps its process id.
    pub(crate) fn around(&self, inner: &Command) -> Command {
        mounted(&self.directory(), Path::new("/run/systemd/journal"), inner)
    }

    /// A stream as systemd opens it for a service (`StandardError=journal`), and what names it in `JOURNAL_STREAM`.
    fn stderr(&self) -> (Stdio, String) {
        let mut stream = UnixStream::connect(self.directory().join("stdout")).unwrap();
        // Identifier, unit, priority, prefixes are taken off, forwarding to syslog, to the kernel, to the console.
        stream.write_all(b"keepfresh\n\n6\n1\n0\n0\n0\n").unwrap();
        let fd = OwnedFd::from(stream);
        let found = fs::metadata(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd))).unwrap();
        (Stdio::from(fd), format!("{}:{}", found.dev(), found.ino()))
    }

    /// `journalctl --namespace=NAME ARGS`, with our catalogue for the machine's.
    pub(crate) fn journalctl(&self, args: &[&str]) -> String {
        let mut journalctl = Command::new("journalctl");
        journalctl.arg(format!("--namespace={}", self.name)).args(["--no-pager", "--quiet"]).args(args);
        let output = mounted(&self.catalogue(), Path::new("/var/lib/systemd/catalog"), &journalctl).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The entries that match.
    pub(crate) fn entries(&self, matches: &[&str]) -> Vec<Entry> {
        let args: Vec<&str> = ["-o", "json"].iter().chain(matches).copied().collect();
        self.journalctl(&args).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The first entry that matches, as soon as it is there.
    #[track_caller]
    pub(crate) fn await_entry(&self, matches: &[&str]) -> Entry {
        within(SOON, &format!("an entry {matches:?}"), || self.entries(matches).into_iter().next())
    }

    /// Where the database lies that `journalctl --update-catalog` makes of ours.
    fn catalogue(&self) -> PathBuf {
        let root = self.directory().join("root");
        let databases = root.join("var/lib/systemd/catalog");
        if !databases.exists() {
            let sources = root.join("usr/lib/systemd/catalog");
            fs::create_dir_all(&sources).unwrap();
            let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/keepfresh.catalog");
            fs::copy(ours, sources.join("keepfresh.catalog")).unwrap();
            let update = Command::new("journalctl").arg("--update-catalog").arg("--root").arg(&root).output().unwrap();
            assert!(update.status.success() && update.stderr.is_empty(), "{update:?}");
        }
        databases
    }

    fn directory(&self) -> PathBuf {
        PathBuf::from(format!("/run/systemd/journal.{}", self.name))
    }
}

/// The command as it runs where `directory` is mounted at `at`. It keeps its process id.
fn mounted(directory: &Path, at: &Path, inner: &Command) -> Command {
    fs::create_dir_all(at).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c"]);
    command.arg("mount --bind \"$0\" \"$1\" && shift && exec \"$@\"").arg(directory).arg(at);
    command.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

impl Drop for Journald {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
        let _ = fs::remove_dir_all(self.directory());
        for journals in ["/run/log/journal", "/var/log/journal"] {
            let Ok(entries) = fs::read_dir(journals) else { continue };
            for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(&self.name)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}
