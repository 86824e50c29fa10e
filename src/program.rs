//! The one place that runs other people's programs: no shell, no terminal, bounded in time and output.

mod found;

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::blotted::Blotted;
use crate::secret::Secret;
use crate::strangers::Trusted;
use crate::systemd::PRIVATE_VARIABLES;

pub use found::{WithinReach, files, found};

/// What is left in the pipes when the program has ended; what it left running may hold them open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How much of a failed program's last line is told.
const LONGEST_COMPLAINT: usize = 200;

/// What is to be run.
pub struct Program<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// What it has of the daemon's environment.
    pub inherits: Inherits,
    /// What is added to its environment.
    pub env: &'a [(&'a str, &'a str)],
    /// Where it runs; none for where the daemon does.
    pub directory: Option<&'a Path>,
    /// How long it may take; then it is killed, with whatever it started.
    pub limit: Duration,
    /// How much of what it prints is kept.
    pub largest: usize,
}

/// What a program has of the daemon's environment.
#[derive(Clone, Copy, Debug)]
pub enum Inherits {
    /// All but what systemd meant for the daemon alone, and what holds a secret.
    All,
    /// Only what is named here.
    Only(&'static [&'static str]),
}

/// Why a program did not run to its end.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// It is not there, or may not be run.
    #[error("{0}")]
    NotStarted(io::Error),
    /// A stranger could have had a hand in it.
    #[error(transparent)]
    WithinReach(Box<WithinReach>),
    /// It was killed.
    #[error("it took longer than {} s", .0.as_secs())]
    TookTooLong(Duration),
    /// Its output could not be read.
    #[error("{0}")]
    Broken(io::Error),
}

/// How a program ended.
pub struct Outcome {
    /// Its status.
    pub status: ExitStatus,
    /// What it wrote to its standard output, at most one byte more than allowed.
    pub printed: Zeroizing<Vec<u8>>,
    /// What it wrote to its standard error, as far as that was allowed.
    pub complained: Zeroizing<Vec<u8>>,
}

/// Runs the program until it ends; what it leaves running in the background is not waited for. A program that prints more
/// than it may finds its output closed. A call that is dropped kills the program.
///
/// # Errors
/// When it does not start, takes too long, or its output breaks off; not when it ends with a failure.
pub async fn run(program: &Program<'_>) -> Result<Outcome, ProgramError> {
    let printed = Heard::at_most(program.largest + 1, Full::Close);
    let complained = Heard::at_most(program.largest, Full::Close);
    let status = until_its_end(program, &printed, &complained).await?;
    Ok(Outcome {
        status,
        printed: printed.taken(),
        complained: complained.taken(),
    })
}

/// As [`run`], for a program whose output is only shown: returns the beginning of what it wrote to both its outputs,
/// however it ended. A program that prints more runs on.
///
/// # Errors
/// Those of [`run`].
pub async fn run_and_show(
    program: &Program<'_>,
) -> (Result<ExitStatus, ProgramError>, Zeroizing<Vec<u8>>) {
    let heard = Heard::at_most(program.largest, Full::Drop);
    let ended = until_its_end(program, &heard, &heard).await;
    (ended, heard.taken())
}

/// As [`run`], for a caller outside of a runtime.
///
/// # Errors
/// Those of [`run`]; and when no runtime can be built.
pub fn run_blocking(program: &Program<'_>) -> Result<Outcome, ProgramError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ProgramError::NotStarted)?;
    let ran = runtime.block_on(run(program));
    // The search for the program may still hang on its disk: the caller does not wait for it.
    runtime.shutdown_background();
    ran
}

async fn until_its_end(
    program: &Program<'_>,
    stdout: &Heard,
    stderr: &Heard,
) -> Result<ExitStatus, ProgramError> {
    let path = program
        .env
        .iter()
        .rev()
        .find(|(name, _)| *name == "PATH")
        .map(|(_, path)| path.into());
    let looking = timeout(program.limit, trusted_file(program.argv, path)).await;
    let file = looking
        .map_err(|_| ProgramError::TookTooLong(program.limit))?
        .map_err(ProgramError::WithinReach)?;
    let child = spawn(program, file.as_deref()).map_err(ProgramError::NotStarted)?;
    let mut running = Running { child, over: false };
    let Ok(ended) = timeout(program.limit, running.end(stdout, stderr)).await else {
        running.kill();
        // It is dead: this only takes it off the process table.
        let _ = timeout(LAST_WORDS, running.child.wait()).await;
        running.over = true;
        return Err(ProgramError::TookTooLong(program.limit));
    };
    let status = ended.map_err(ProgramError::Broken)?;
    running.over = true;
    Ok(status)
}

/// As [`found()`], for this process to run it, on a thread that may block: the file may lie on a disk that hangs.
///
/// # Errors
/// Those of [`found()`].
pub async fn trusted_file(
    argv: &[String],
    path: Option<OsString>,
) -> Result<Option<PathBuf>, Box<WithinReach>> {
    let argv = argv.to_vec();
    let look = move || found(&argv, path.as_deref().map(OsStr::new), &Trusted::to_run());
    // A search that breaks off has found nothing, and the start of the program says what is wrong.
    tokio::task::spawn_blocking(look).await.unwrap_or(Ok(None))
}

/// No program that is run finds a secret in these variables that it was not given; those of an earlier config stay withheld.
pub fn withhold_from_children(variables: impl IntoIterator<Item = String>) {
    WITHHELD
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .extend(variables);
}

/// As the environment belongs to the process, so does this.
static WITHHELD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

fn spawn(program: &Program<'_>, file: Option<&Path>) -> io::Result<Child> {
    let (name, arguments) = program
        .argv
        .split_first()
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(file.ok_or(io::ErrorKind::NotFound)?);
    command.arg0(name).args(arguments);
    match program.inherits {
        Inherits::All => {
            // It must not speak to systemd in the daemon's name.
            for name in PRIVATE_VARIABLES {
                command.env_remove(name);
            }
            for name in WITHHELD
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
            {
                command.env_remove(name);
            }
        }
        Inherits::Only(names) => {
            let values = names
                .iter()
                .filter_map(|name| Some((name, env::var_os(name)?)));
            command.env_clear().envs(values);
        }
    }
    if let Some(directory) = program.directory {
        command.current_dir(directory);
    }
    command
        .envs(program.env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// A program on its way; unless it comes to its end, its whole process group goes with it.
struct Running {
    child: Child,
    over: bool,
}

impl Running {
    async fn end(&mut self, stdout: &Heard, stderr: &Heard) -> io::Result<ExitStatus> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let mut listening =
            pin!(async { tokio::try_join!(stdout.listen(out), stderr.listen(err)) });
        tokio::select! {
            status = self.child.wait() => {
                if let Ok(heard) = timeout(LAST_WORDS, listening).await {
                    heard?;
                }
                status
            }
            // A pipe that is closed at its limit ends a command that prints without end.
            heard = &mut listening => {
                heard?;
                self.child.wait().await
            }
        }
    }

    fn kill(&self) {
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
            self.kill();
        }
    }
}

/// What was read so far, and never moves: its room is its limit.
struct Heard {
    bytes: Mutex<Zeroizing<Vec<u8>>>,
    full: Full,
}

/// What becomes of a program that prints more than is kept.
#[derive(Clone, Copy)]
enum Full {
    /// Its pipe is closed.
    Close,
    /// The rest is read, and dropped.
    Drop,
}

impl Heard {
    fn at_most(limit: usize, full: Full) -> Self {
        Self {
            bytes: Mutex::new(Zeroizing::new(Vec::with_capacity(limit))),
            full,
        }
    }

    fn taken(&self) -> Zeroizing<Vec<u8>> {
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads to the end; where the pipe is to be closed at the limit, only so far.
    async fn listen(&self, stream: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
        let Some(mut stream) = stream else {
            return Ok(());
        };
        // Not in the future itself: every call that may have to run a program would carry it.
        let mut buffer = Zeroizing::new(vec![0; 4096]);
        loop {
            let count = stream.read(&mut buffer).await?;
            let mut heard = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
            let room = heard.capacity() - heard.len();
            heard.extend(buffer.iter().take(count.min(room)));
            let is_full = match self.full {
                Full::Close => count >= room,
                Full::Drop => false,
            };
            if count == 0 || is_full {
                return Ok(());
            }
        }
    }
}

impl Outcome {
    /// How it ended, with the last line of its standard error: without what it printed, and without words that look like a
    /// password or a key, since what a program for secrets says of its failure may be one, and nobody here knows it.
    pub fn complaint(&self) -> Blotted {
        let complained = String::from_utf8_lossy(&self.complained);
        let last = complained
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        let printed = String::from_utf8_lossy(&self.printed);
        let printed: Vec<Secret> = printed
            .lines()
            .map(|line| Secret::new(line.trim()))
            .collect();
        let told = Blotted::new(last, &printed)
            .hiding(is_suspect)
            .cut(LONGEST_COMPLAINT);
        let ended = Blotted::new(&format!("it ended with {}", self.status), &[]);
        if told.trim().is_empty() {
            ended
        } else {
            Blotted::concat([ended, " and said: ".into(), told])
        }
    }
}

/// A word with letters and digits from eight characters on, any other from 24; paths are none.
fn is_suspect(word: &str) -> bool {
    let length = word.chars().count();
    let is_mixed =
        word.contains(|char: char| char.is_ascii_digit()) && word.contains(char::is_alphabetic);
    let is_path = word.starts_with(['/', '.']) && word.contains('/');
    !is_path && (is_mixed && length >= 8 || length >= 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeping(argv: &[String], largest: usize) -> Program<'_> {
        Program {
            argv,
            inherits: Inherits::Only(&["PATH"]),
            env: &[],
            directory: None,
            limit: Duration::from_secs(20),
            largest,
        }
    }

    #[test]
    fn an_answer_that_is_larger_than_a_pipe_is_read_whole_and_up_to_its_limit() {
        let argv = ["head", "-c", "300000", "/dev/zero"].map(str::to_owned);
        let printed = |largest| {
            let outcome = run_blocking(&keeping(&argv, largest)).unwrap();
            outcome.printed.len()
        };
        assert_eq!(printed(4 << 20), 300_000);
        assert_eq!(printed(100_000), 100_001);
    }

    #[test]
    fn a_program_whose_output_is_only_shown_is_not_ended_by_its_length() {
        let argv = ["sh", "-c", "seq 100000; exit 3"].map(str::to_owned);
        let program = keeping(&argv, 4);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (ended, heard) = runtime.block_on(run_and_show(&program));
        assert_eq!(ended.unwrap().code(), Some(3));
        assert_eq!(&heard[..], b"1\n2\n");
    }
}
