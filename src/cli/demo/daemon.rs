//! The real daemon as a child process, in a directory of its own that goes when the demo goes.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::sandbox::Sandbox;

/// How long the daemon may take to finish what it is doing.
const DRAIN: Duration = Duration::from_secs(3);
const LAST_WORDS: usize = 20;

/// Config, secrets, state and runtime directory of the daemon; removed when dropped.
pub(super) struct Home(PathBuf);

impl Home {
    /// Makes it, with a config for this sandbox; nobody else may look in.
    pub(super) fn make(sandbox: &Sandbox, idle_timeout: Duration) -> io::Result<Self> {
        let credentials = sandbox.credentials();
        let unique: String = credentials.derive("directory").chars().take(8).collect();
        let path = std::env::temp_dir().join(format!("keepfresh-demo-{unique}"));
        DirBuilder::new().mode(0o700).create(&path)?;
        let home = Self(path);
        let survive = (idle_timeout / 6).as_millis();
        let keepalive = format!("\n[sessions.demo.keepalive]\nsurvive_outage = \"{survive}ms\"\n");
        credentials.write(
            &home.0,
            &credentials.config(sandbox.url(), idle_timeout, &home.0, &keepalive),
        )?;
        Ok(home)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// What a job would read.
    pub(super) fn token_file(&self) -> PathBuf {
        self.0.join("run/tokens/demo")
    }

    /// The end of the daemon's log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LAST_WORDS));
        last.fold("the daemon's last words:\n".to_owned(), |text, line| {
            text + "  " + line + "\n"
        })
    }

    fn log(&self) -> PathBuf {
        self.0.join("daemon.log")
    }
}

impl AsRef<Path> for Home {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The daemon; killed when dropped, asked to stop by [`Daemon::stop`].
pub(super) struct Daemon(Child);

impl Daemon {
    pub(super) fn spawn(home: &Home) -> io::Result<Self> {
        let log = File::create(home.log())?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("run")
            .arg("--config")
            .arg(home.config())
            .current_dir(home);
        // The demo may itself be a service; its notifications and sockets are not this daemon's.
        for name in [
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "LISTEN_FDS",
            "LISTEN_PID",
            "CREDENTIALS_DIRECTORY",
        ] {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true);
        command.spawn().map(Self)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Asks it to finish and waits; kills it when it does not. None when it had to be killed.
    pub(super) async fn stop(&mut self) -> Option<ExitStatus> {
        let pid = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if let Ok(status) = timeout(DRAIN, self.0.wait()).await {
            return status.ok();
        }
        let _ = self.0.kill().await;
        None
    }
}
