//! Runs a command that prints a secret: no shell, no terminal, bounded in time and output.

use std::collections::BTreeSet;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::SecretError;
use crate::systemd::PRIVATE_VARIABLES;

/// A password manager that needs longer waits for a person, and there is none.
const LIMIT: Duration = Duration::from_secs(10);

/// How much of a failed command's last line is told.
const LONGEST_COMPLAINT: usize = 200;

/// What `argv` prints, at most one byte more than `largest`.
pub(super) async fn output(argv: &[String], largest: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let program = argv.first().cloned().unwrap_or_default();
    let failed = |reason: String| SecretError::Command { program: program.clone(), reason };
    let mut child = spawn(argv).map_err(|error| failed(error.to_string()))?;
    match timeout(LIMIT, finish(&mut child, largest)).await {
        Err(_) => {
            kill_group(&child);
            Err(failed("it took longer than 10 s".to_owned()))
        }
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(outcome)) if outcome.status.success() || outcome.printed.len() > largest => Ok(outcome.printed),
        Ok(Ok(outcome)) => Err(failed(outcome.complaint())),
    }
}

/// No command that prints one secret finds another in these variables; those of an earlier config stay withheld.
pub fn withhold_from_children(variables: impl IntoIterator<Item = String>) {
    WITHHELD.lock().unwrap_or_else(PoisonError::into_inner).extend(variables);
}

/// As the environment belongs to the process, so does this.
static WITHHELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn spawn(argv: &[String]) -> io::Result<Child> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    // It must not speak to systemd in the daemon's name.
    for name in PRIVATE_VARIABLES {
        command.env_remove(name);
    }
    for name in WITHHELD.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

struct Outcome {
    status: ExitStatus,
    printed: Zeroizing<Vec<u8>>,
    complained: Zeroizing<Vec<u8>>,
}

async fn finish(child: &mut Child, largest: usize) -> io::Result<Outcome> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // A pipe that is closed at its limit ends a command that prints without end.
    let (printed, complained) = tokio::join!(bounded(stdout, largest + 1), bounded(stderr, largest));
    Ok(Outcome { status: child.wait().await?, printed: printed?, complained: complained? })
}

async fn bounded(stream: Option<impl AsyncRead + Unpin>, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    if let Some(stream) = stream {
        stream.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Whatever the command started goes with it.
fn kill_group(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may just have ended by itself.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

impl Outcome {
    /// How it ended, with the last line of its standard error unless that repeats what it printed.
    fn complaint(&self) -> String {
        let complained = String::from_utf8_lossy(&self.complained);
        let last = complained.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let printed = String::from_utf8_lossy(&self.printed);
        let repeats = printed.lines().any(|line| !line.trim().is_empty() && last.contains(line.trim()));
        if last.is_empty() || repeats {
            return format!("it ended with {}", self.status);
        }
        let told: String = last.chars().filter(|character| !character.is_control()).take(LONGEST_COMPLAINT).collect();
        format!("it ended with {} and said: {told}", self.status)
    }
}
