//! What the process does against its own secrets getting out: no dumps, no swapping where that can be had, nothing readable.
//!
//! What leaves memory is wiped by the allocator (`main`), and a unit can do more (`MemorySwapMax=0`, `LimitCORE=0`).

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit, umask,
};
use rustix::thread::{CapabilitySet, capabilities, clear_ambient_capability_set};
use thiserror::Error;

/// Does what this process may do. What could not be done, in words for the log; none of it stops the daemon.
#[must_use]
pub fn harden() -> Vec<String> {
    umask(Mode::from_raw_mode(0o077));
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let steps = [
        (
            "limit core dumps",
            setrlimit(Resource::Core, none).map_err(Problem::from),
        ),
        // Also takes `/proc/PID/environ` and `/proc/PID/mem` from other processes of the same user.
        (
            "forbid core dumps and tracing",
            set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Problem::from),
        ),
        ("keep memory from being swapped", lock_memory()),
        // A unit may give CAP_CHOWN, for files of other owners; the programs of hooks and secrets must not inherit it.
        (
            "keep capabilities from children",
            clear_ambient_capability_set().map_err(Problem::from),
        ),
    ];
    steps
        .into_iter()
        .filter_map(|(step, done)| done.err().map(|error| format!("{step}: {error}")))
        .collect()
}

/// Keeps a client's token out of dumps. The limit is left alone: what `exec` runs would inherit it, but not this.
pub fn forbid_dumps() {
    // A system without it is no reason to give no token.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Locks what is in use now and later, page by page as it is touched, so that it costs no memory.
///
/// Only without a limit: locked memory counts by address space, of which sixteen threads' stacks alone take more than the
/// usual 8 MiB, and an allocation beyond the limit fails, which would end the daemon.
fn lock_memory() -> Result<(), Problem> {
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    let privileged =
        capabilities(None).is_ok_and(|held| held.effective.contains(CapabilitySet::IPC_LOCK));
    if !(unlimited || privileged) {
        return Err(Problem::Limited);
    }
    Ok(mlockall(
        MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT,
    )?)
}

#[derive(Debug, Error)]
enum Problem {
    #[error(transparent)]
    System(#[from] Errno),
    #[error(
        "there is a limit to locked memory; LimitMEMLOCK=infinity lifts it, MemorySwapMax=0 does as well"
    )]
    Limited,
}
