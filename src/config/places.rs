//! What may not lie in the place of something else: files that would be written over what the daemon reads, devices,
//! names that no disk takes.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::report::{Report, Source};
use super::session::Placed;
use super::table::Table;
use super::{DaemonConfig, MetricsListen, Need, Needed, SocketConfig};
use crate::secret_source::SecretSource;

/// `NAME_MAX` of every file system in use.
const LONGEST_NAME: usize = 255;
/// `PATH_MAX`, less the closing NUL.
const LONGEST_PATH: usize = 4095;
/// What the kernel makes up: nothing lasting can be written there.
const NO_DISKS: [&str; 3] = ["/dev", "/proc", "/sys"];

/// What is taken, by `[daemon]`, `[socket]`, `[metrics]` and the config itself.
pub(super) struct Taken<'c> {
    pub(super) main: &'c Table<'c>,
    pub(super) daemon: &'c DaemonConfig,
    pub(super) socket: &'c SocketConfig,
    pub(super) metrics: Option<&'c MetricsListen>,
    pub(super) sources: &'c [Source],
    pub(super) needs: &'c [Need],
}

impl Taken<'_> {
    /// Reports every published file that lies where it must not, and directories that get into each other's way.
    pub(super) fn report(&self, sessions: &[Placed], report: &Report) {
        self.report_sockets(report);
        self.report_directories(report);
        let read = self.read_by_the_daemon();
        for sink in sessions.iter().flat_map(|placed| &placed.sinks) {
            let path = &sink.value.path;
            if let Some(wrong) = never(path)
                .map(str::to_owned)
                .or_else(|| self.taken(path, &read))
            {
                report.problem(
                    &sink.place,
                    format!("`publish.file`: {} {wrong}", path.display()),
                    "name another file",
                );
            }
        }
    }

    fn report_directories(&self, report: &Report) {
        let (runtime, state) = (&self.daemon.runtime_dir, &self.daemon.state_dir);
        for (key, path) in [("runtime_dir", runtime), ("state_dir", state)] {
            if let Some(wrong) = never(path) {
                let place = self.main.place_within(&["daemon", key]);
                report.problem(
                    &place,
                    format!("`daemon.{key}`: {} {wrong}", path.display()),
                    "name another directory",
                );
            }
        }
        // Directories that are not known are no root: that they are missing is said already.
        let is_known = state.parent().is_some();
        let wrong = if state == runtime && is_known {
            "is the runtime directory too, which others must be able to enter"
        } else if state.starts_with(runtime.join("tokens")) {
            "lies among the token files"
        } else {
            return;
        };
        let place = self.main.place_within(&["daemon", "state_dir"]);
        let title = format!("`daemon.state_dir`: {} {wrong}", state.display());
        report.problem(
            &place,
            title,
            "name a directory that only the daemon may enter",
        );
    }

    fn report_sockets(&self, report: &Report) {
        let (socket, tokens) = (&self.socket.path, self.daemon.runtime_dir.join("tokens"));
        if tokens.starts_with(socket) {
            let title = format!(
                "`socket.path`: {} is the directory of tokens, or holds it",
                socket.display()
            );
            let place = self.main.place_within(&["socket", "path"]);
            report.problem(
                &place,
                title,
                "name another file, such as \"keepfresh.sock\"",
            );
        }
        if let Some(metrics) = self
            .metrics_socket()
            .filter(|path| *path == socket || tokens.starts_with(path))
        {
            let title = format!(
                "`metrics.listen`: {} is taken by the daemon itself",
                metrics.display()
            );
            let place = self.main.place_within(&["metrics", "listen"]);
            report.problem(
                &place,
                title,
                "name another file, such as \"unix:metrics.sock\"",
            );
        }
    }

    /// Files whose contents are obeyed, by what they are; not the tokens, which one session may take from another.
    fn read_by_the_daemon(&self) -> BTreeMap<PathBuf, &'static str> {
        let configs = self
            .sources
            .iter()
            .map(|source| (source.path.clone(), "is a file of the config"));
        let named = self.needs.iter().filter_map(|need| match &need.what {
            Needed::Secret(SecretSource::File { path, .. }) if self.is_a_token(need, path) => None,
            Needed::Secret(SecretSource::File { path, .. })
            | Needed::PrivateKey(SecretSource::File { path, .. }) => {
                Some((path.clone(), "holds a secret that the config names"))
            }
            Needed::Certificates(path) => {
                Some((path.clone(), "holds certificates that the config names"))
            }
            Needed::Program(argv) => Some((
                PathBuf::from(argv.first()?),
                "is a program that the config names",
            )),
            Needed::Secret(_)
            | Needed::PrivateKey(_)
            | Needed::Directory(_)
            | Needed::Published { .. } => None,
        });
        configs.chain(named).collect()
    }

    /// One session's token may be what another logs in with.
    fn is_a_token(&self, need: &Need, path: &Path) -> bool {
        let exchanged = [".subject_token", ".actor_token"]
            .iter()
            .any(|key| need.key.ends_with(key));
        exchanged || path.starts_with(self.daemon.runtime_dir.join("tokens"))
    }

    fn taken(&self, path: &Path, read: &BTreeMap<PathBuf, &'static str>) -> Option<String> {
        let (runtime, state) = (&self.daemon.runtime_dir, &self.daemon.state_dir);
        if let Some(what) = read.get(path) {
            return Some((*what).to_owned());
        }
        let in_state = path.starts_with(state) && !runtime.starts_with(state);
        if in_state
            || ["sessions", "accounts", "lock"]
                .iter()
                .any(|own| path.starts_with(state.join(own)))
        {
            return Some("lies in the state directory, which only the daemon may enter".to_owned());
        }
        if runtime.join("tokens").starts_with(path) || state.starts_with(path) {
            return Some("is a directory of the daemon, or holds one".to_owned());
        }
        if path.starts_with(&self.daemon.providers_dir) {
            return Some("lies among the provider profiles, which keepfresh reads".to_owned());
        }
        (self.metrics_socket() == Some(path)).then(|| "is the socket for scrapers".to_owned())
    }

    fn metrics_socket(&self) -> Option<&Path> {
        match self.metrics {
            Some(MetricsListen::Unix(path)) => Some(path),
            Some(MetricsListen::Address { .. }) | None => None,
        }
    }
}

/// What no file or directory can be.
fn never(path: &Path) -> Option<&'static str> {
    if NO_DISKS.iter().any(|root| path.starts_with(root)) && !path.starts_with("/dev/shm") {
        return Some("lies in a file system of the kernel (/dev, /proc, /sys) that keeps no files");
    }
    let too_long = path
        .components()
        .any(|part| part.as_os_str().as_bytes().len() > LONGEST_NAME);
    (too_long || path.as_os_str().as_bytes().len() > LONGEST_PATH)
        .then_some("is too long a name for any disk")
}
