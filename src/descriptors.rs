//! How many files and connections the daemon may have open at once, and that no program which it runs gets one of them.

use rustix::process::{Resource, getrlimit, setrlimit};

/// What the unit gives with `LimitNOFILE=`; a crowd of callers and as many calls need no more.
const ENOUGH: u64 = 65536;

/// With fewer, files and connections must wait for each other.
const LEAST: usize = 64;

/// Takes as many as the hard limit allows: a shell's soft one, mostly 1,024, is for programs that cannot count further,
/// and a crowd of readers would be turned away for it.
pub fn raise_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.map_or(ENOUGH, |most| most.min(ENOUGH));
    if limit.current.is_some_and(|current| current < allowed) {
        limit.current = Some(allowed);
        // Refused, the daemon goes on with what it has, and lets in as many callers as that is for.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// The first descriptor behind standard input, output and error.
const FIRST: i32 = 3;

/// Keeps what the starter left open, sockets of systemd's among it, from the programs that this process runs. It stays open
/// here: a script may hold a lock by it for as long as the daemon runs. To be called before any program is started.
pub fn keep_descriptors_from_children() {
    close_fds::set_fds_cloexec(FIRST, &[]);
}

/// How many this process may have open.
pub fn allowed_descriptors() -> usize {
    let current = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    usize::try_from(current.min(ENOUGH)).unwrap_or(usize::MAX)
}

/// How many this process may have open, where that is fewer than a daemon needs; and how many that is.
pub fn missing_descriptors() -> Option<(usize, usize)> {
    let allowed = allowed_descriptors();
    (allowed < LEAST).then_some((allowed, LEAST))
}
