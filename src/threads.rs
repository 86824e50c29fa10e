//! Whether this process may have the threads that it cannot do without.

use std::io;
use std::sync::mpsc;
use std::thread::Builder;

/// The disk, secrets, names and a host's calls take a thread each while they are busy.
const LEAST: usize = 5;

/// Has as many threads at once as the daemon needs on a quiet day, and lets them go.
///
/// # Errors
/// What the system said when it gave no more: the user's limit, or that of the service or container.
pub fn try_threads() -> io::Result<()> {
    let mut together = Vec::new();
    for _ in 0..LEAST {
        let (let_go, held) = mpsc::channel::<()>();
        let thread = Builder::new()
            .name("trial".to_owned())
            .spawn(move || held.recv())?;
        together.push((let_go, thread));
    }
    for (let_go, thread) in together {
        drop(let_go);
        let _ = thread.join();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_as_many() {
        try_threads().unwrap();
    }
}
