//! Runs one program: no shell, no terminal, nothing of the daemon's but what is named here, and not for ever.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::program;

/// Whoever needs longer should start a unit, not wait for it.
const LIMIT: Duration = Duration::from_secs(10);

/// What is left in the pipes when the program has ended; what it left running may hold them open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How much of its output is kept.
const MOST_OUTPUT: usize = 4096;

/// What a program may need of the daemon's environment. The rest may hold secrets, and would let it speak to systemd in
/// the daemon's name.
const INHERITED: [&str; 11] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// How it went.
pub(super) struct Ended {
    /// What it printed, the beginning of it, without control characters but line ends.
    pub(super) output: String,
    /// Why it counts as failed, if it does.
    pub(super) problem: Option<Problem>,
}

/// Why a run counts as failed.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Problem {
    /// It could not be started, or it said so itself.
    #[error("{0}")]
    Failed(String),
    #[error("it took longer than {} s, so keepfresh killed it", LIMIT.as_secs())]
    TooSlow,
}

/// Runs `argv` to its end, or for ten seconds; dropped before, it kills what runs.
pub(super) async fn run(argv: &[String], variables: &[(&str, String)]) -> Ended {
    let mut running = match started(argv, variables).await {
        Ok(running) => running,
        Err(problem) => {
            return Ended {
                output: String::new(),
                problem: Some(problem),
            };
        }
    };
    let heard = Mutex::new(Vec::new());
    let ended = timeout(LIMIT, running.end(&heard)).await;
    let problem = match ended {
        Ok(Ok(status)) if status.success() => None,
        Ok(Ok(status)) => Some(Problem::Failed(format!("it ended with {status}"))),
        Ok(Err(error)) => Some(Problem::Failed(error.to_string())),
        Err(_) => {
            running.kill_group();
            // It is dead: this only takes it off the process table.
            let _ = timeout(LAST_WORDS, running.child.wait()).await;
            Some(Problem::TooSlow)
        }
    };
    running.over = true;
    Ended {
        output: told(heard),
        problem,
    }
}

async fn started(argv: &[String], variables: &[(&str, String)]) -> Result<Running, Problem> {
    let looked = timeout(LIMIT, program::trusted_file(argv, None))
        .await
        .map_err(|_| Problem::TooSlow)?;
    let file = looked.map_err(|error| Problem::Failed(error.to_string()))?;
    Running::spawn(file.as_deref(), argv, variables)
        .map_err(|error| Problem::Failed(error.to_string()))
}

/// A program on its way; its whole process group goes with it.
struct Running {
    child: Child,
    over: bool,
}

impl Running {
    fn spawn(
        file: Option<&Path>,
        argv: &[String],
        variables: &[(&str, String)],
    ) -> io::Result<Self> {
        let (name, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let child = Command::new(file.ok_or(io::ErrorKind::NotFound)?)
            .arg0(name)
            .args(arguments)
            .env_clear()
            .envs(inherited())
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, over: false })
    }

    async fn end(&mut self, heard: &Mutex<Vec<u8>>) -> io::Result<std::process::ExitStatus> {
        let (stdout, stderr) = (self.child.stdout.take(), self.child.stderr.take());
        let listening = async { tokio::join!(listen(stdout, heard), listen(stderr, heard)) };
        let mut listening = pin!(listening);
        tokio::select! {
            status = self.child.wait() => {
                let _ = timeout(LAST_WORDS, listening).await;
                status
            }
            _ = &mut listening => self.child.wait().await,
        }
    }

    fn kill_group(&self) {
        let pid = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may just have ended by itself.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            self.kill_group();
        }
    }
}

fn inherited() -> impl Iterator<Item = (&'static str, OsString)> {
    INHERITED
        .into_iter()
        .filter_map(|name| Some((name, env::var_os(name)?)))
}

/// Reads to the end, so that nobody blocks on a full pipe, and keeps the beginning.
async fn listen(stream: Option<impl AsyncRead + Unpin>, heard: &Mutex<Vec<u8>>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_OUTPUT.saturating_sub(heard.len());
        heard.extend(buffer.iter().take(count.min(room)));
    }
}

/// Where it was cut, the last line goes too: it could be the beginning of a token.
fn told(heard: Mutex<Vec<u8>>) -> String {
    let heard = heard.into_inner().unwrap_or_else(PoisonError::into_inner);
    let text = String::from_utf8_lossy(&heard);
    let whole = match text.rfind('\n') {
        _ if heard.len() < MOST_OUTPUT => &text,
        Some(end) => text.get(..end).unwrap_or_default(),
        None => "",
    };
    whole
        .trim_end()
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .collect()
}
