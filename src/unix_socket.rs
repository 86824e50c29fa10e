//! Connects to a unix socket within a time limit: its listener may have stopped accepting.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// A limit of zero would be none at all.
const SHORTEST: Duration = Duration::from_millis(1);

/// Connects to `path` within `patience`. The standard library waits without end where the listener's queue is full, as that of a
/// stopped process is after some callers (`SO_SNDTIMEO` in socket(7)).
///
/// # Errors
/// `WouldBlock` when the listener did not accept in time; those of `connect(2)`.
pub fn connect_within(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    set_socket_timeout(&socket, Timeout::Send, Some(patience.max(SHORTEST)))?;
    retry_on_intr(|| connect(&socket, &address))?;
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(UnixStream::from(socket))
}

#[cfg(test)]
pub(crate) mod tests {
    use rustix::net::{bind, listen};

    use super::*;
    use crate::clock;

    #[test]
    fn who_listens_and_takes_nobody_is_not_waited_for_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.sock");
        let _stuck = stuck_listener(&path);
        let begun = clock::boottime();
        let patience = Duration::from_millis(50);
        let refused = connect_within(&path, patience).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        assert!(clock::boottime().since(begun) >= patience);
        assert!(clock::boottime().since(begun) < Duration::from_secs(5));
    }

    /// A listener whose queue is full, and the caller that fills it.
    pub(crate) fn stuck_listener(path: &Path) -> (std::os::fd::OwnedFd, UnixStream) {
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        )
        .unwrap();
        bind(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
        listen(&socket, 0).unwrap();
        let waiting = connect_within(path, SHORTEST).unwrap();
        (socket, waiting)
    }
}
