//! The command's process: signals are passed on to it, a stop of it is a stop of ours, and its end is waited for.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, getpid, kill_process, waitid};
use signal_hook::consts::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGUSR1, SIGUSR2,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;

use super::Stopped;
use crate::signals::is_ignored;

const PASSED_ON: [(i32, Signal); 8] = [
    (SIGHUP, Signal::HUP),
    (SIGINT, Signal::INT),
    (SIGQUIT, Signal::QUIT),
    (SIGTERM, Signal::TERM),
    (SIGUSR1, Signal::USR1),
    (SIGUSR2, Signal::USR2),
    (SIGTSTP, Signal::TSTP),
    (SIGCONT, Signal::CONT),
];

/// What stops a job of a shell. A debugger's `SIGSTOP` is between it and the command.
const JOB_STOPS: [i32; 3] = [SIGTSTP, SIGTTIN, SIGTTOU];

/// Runs the command to its end.
pub(super) fn run(command: &mut Command, program: &OsStr) -> Result<ExitStatus, Stopped> {
    let mut signals = signals().map_err(Stopped::System)?;
    let mut child = command
        .spawn()
        .map_err(|error| Stopped::Command(program.to_owned(), error))?;
    watch(&mut child, &mut signals).map_err(Stopped::System)
}

/// What nohup(1) or a shell had us ignore stays ignored, for the command too.
fn signals() -> io::Result<SignalsInfo<WithOrigin>> {
    let wanted = PASSED_ON
        .iter()
        .map(|(number, _)| *number)
        .filter(|number| !is_ignored(*number));
    SignalsInfo::with_exfiltrator(wanted.chain([SIGCHLD]), WithOrigin::default())
}

/// Only this loop takes the child off the process table, so a signal never reaches another process of its number.
fn watch(child: &mut Child, signals: &mut SignalsInfo<WithOrigin>) -> io::Result<ExitStatus> {
    for origin in signals.forever() {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else {
            continue;
        };
        // A terminal's Ctrl-C and Ctrl-Z reach the command by themselves.
        let by_kernel = origin.process.is_none();
        let passed = PASSED_ON
            .iter()
            .find(|(number, _)| *number == origin.signal && !by_kernel);
        if let Some((_, signal)) = passed {
            let _ = kill_process(pid, *signal);
        }
        stop_along(pid);
    }
    child.wait()
}

/// Stops where the command was stopped, and not before it: a shell sees one job. Its `SIGCONT` lets both go on.
fn stop_along(command: Pid) {
    let looked = waitid(
        WaitId::Pid(command),
        WaitIdOptions::STOPPED | WaitIdOptions::NOHANG,
    );
    let by = looked
        .ok()
        .flatten()
        .and_then(|status| status.stopping_signal());
    if by.is_some_and(|signal| JOB_STOPS.contains(&signal)) {
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// As a shell has it: 128 and the number of the signal that ended it.
pub(super) fn code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_what_a_shell_would_say() {
        for (raw, expected) in [(0, 0), (7 << 8, 7), (15, 143), (9, 137)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), expected);
        }
    }
}
