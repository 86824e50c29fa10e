//! The way to journald: one datagram per entry (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::entry::entry;
use super::recorder::Record;

/// Where journald listens; for a service with `LogNamespace=`, systemd mounts that namespace's socket here.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How long journald may take for one entry; its queue is full when it hangs, or for a moment when much is said.
const PATIENCE: Duration = Duration::from_secs(1);

/// A way to journald that outlives journald: it is addressed anew with each entry.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// It took nothing in time; until it does, no line waits for it.
    stuck: bool,
}

impl Journal {
    /// Finds out whether journald listens.
    pub(super) fn reach() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            stuck: false,
        })
    }

    /// Hands one entry over.
    ///
    /// # Errors
    /// When journald does not listen, when it takes nothing for a second, or when the entry is too long for a datagram.
    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        let sent = self.socket.send_to(&entry(record), &self.path).map(drop);
        let stuck = sent
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if stuck != self.stuck {
            self.stuck = stuck;
            self.socket.set_nonblocking(stuck)?;
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::entry::tests::record;

    #[test]
    fn a_journal_that_takes_nothing_is_waited_for_once_and_taken_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(&path).unwrap();
        while journal.write(&record("crm")).is_ok() {}
        assert!(journal.stuck);
        let before = crate::clock::boottime();
        for _ in 0..20 {
            assert!(journal.write(&record("crm")).is_err());
        }
        assert!(
            crate::clock::boottime().since(before) < PATIENCE,
            "nobody waits for it any more"
        );
        let mut taken = [0; 4096];
        while !journal.stuck || journal.write(&record("crm")).is_err() {
            journald.recv(&mut taken).unwrap();
        }
        assert!(!journal.stuck);
    }

    #[test]
    fn a_restarted_journald_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(&path).unwrap();
        journal.write(&record("crm")).unwrap();
        drop(journald);
        assert!(journal.write(&record("crm")).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(journal.write(&record("crm")).is_err() && Journal::at(&path).is_err());
        let journald = UnixDatagram::bind(&path).unwrap();
        journal.write(&record("crm")).unwrap();
        let mut taken = [0; 4096];
        assert!(journald.recv(&mut taken).unwrap() > 0);
    }
}
