//! The listening socket and its file: made at one stroke, removed only while it is ours.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};

use super::accept::Port;
use crate::atomic_file;
use crate::unix_socket::connect_within;

/// As the start makes the runtime directory: everybody may reach the socket, whose callers are known by their credentials.
const DIRECTORY_MODE: u32 = 0o755;

/// Who listens at the path already has so long to take a caller: nothing else goes on meanwhile.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why there is no socket.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("bind {}: another daemon answers there; stop it, or set another path in the config", .0.display())]
    InUse(PathBuf),
    /// Another process listens there.
    #[error(
        "bind {}: the user {uid} listens there, and is neither root nor keepfresh's own user: set another path in \
         the config, in a directory where only the daemon can write", .path.display()
    )]
    Squatted {
        /// The socket's path.
        path: PathBuf,
        /// The user.
        uid: u32,
    },
    /// Another process listens there and takes no caller.
    #[error(
        "bind {}: a process listens there and takes no connection, as a stopped daemon does: end it (`ss -xlp` names it), \
         or set another path in the config", .0.display()
    )]
    Stuck(PathBuf),
    /// Something that is no socket is there.
    #[error("bind {}: there is a file that is not a socket; move it away, or set another path in the config", .0.display())]
    NotASocket(PathBuf),
    /// The system said no.
    #[error("bind {}: {source}; {}, or set another path in the config", .path.display(), atomic_file::directory_remedy(.source))]
    System {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A listening socket; dropping it removes its file, if that is still the one it made.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    /// None for a socket that systemd owns.
    file: Option<OwnFile>,
}

#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    mode: u32,
    device: u64,
    inode: u64,
}

impl Listener {
    /// Listens on a new socket at `path`.
    ///
    /// # Errors
    /// When a process answers there, when another kind of file is there, or when the system refuses.
    pub fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        check_free(path)?;
        create(path, mode).map_err(|source| BindError::System {
            path: path.to_owned(),
            source,
        })
    }

    /// Listens on a socket that systemd made and keeps.
    pub(crate) fn inherited(path: &Path, socket: StdUnixListener) -> Result<Self, BindError> {
        let adopt = || {
            socket.set_nonblocking(true)?;
            UnixListener::from_std(socket)
        };
        match adopt() {
            Ok(socket) => Ok(Self { socket, file: None }),
            Err(source) => Err(BindError::System {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Whether the file is still the one that was made; a socket that systemd owns is its matter.
    pub fn is_in_place(&self) -> bool {
        self.file.as_ref().is_none_or(OwnFile::is_ours)
    }

    /// Listens anew where the file was removed, or the directory it was in.
    ///
    /// # Errors
    /// Those of [`Listener::bind`].
    pub fn bind_again(&mut self) -> Result<(), BindError> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let (path, mode) = (file.path.clone(), file.mode);
        if let Some(directory) = path.parent() {
            atomic_file::create_directory(directory, DIRECTORY_MODE).map_err(|source| {
                BindError::System {
                    path: path.clone(),
                    source,
                }
            })?;
        }
        *self = Self::bind(&path, mode)?;
        Ok(())
    }
}

impl Port for Listener {
    type Connection = UnixStream;

    async fn accept(&mut self) -> io::Result<UnixStream> {
        self.socket.accept().await.map(|(stream, _)| stream)
    }
}

/// Nothing there, or a socket on which no process listens.
fn check_free(path: &Path) -> Result<(), BindError> {
    let system = |source| BindError::System {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(system(error)),
        Ok(there) if !there.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        Ok(_) => match connect_within(path, PATIENCE) {
            Ok(there) => Err(taken(path, &there)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(BindError::Stuck(path.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(system(error)),
        },
    }
}

/// Who listens there already.
fn taken(path: &Path, there: &StdUnixStream) -> BindError {
    let path = path.to_owned();
    let uid = getsockopt(there, PeerCredentials).map_or(0, |peer| peer.uid());
    if uid == 0 || uid == rustix::process::geteuid().as_raw() {
        BindError::InUse(path)
    } else {
        BindError::Squatted { path, uid }
    }
}

/// Binds where no other user can write, sets the mode, then renames: clients never see the socket with another mode, or a
/// gap in its place, and no link that a stranger sets is followed.
fn create(path: &Path, mode: u32) -> io::Result<Listener> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let workshop = atomic_file::Workshop::beside(path)?;
    let piece = workshop.piece();
    let socket = UnixListener::bind(&piece)?;
    fs::set_permissions(&piece, Permissions::from_mode(mode))?;
    let file = fs::symlink_metadata(&piece)?;
    workshop.put(name)?;
    let file = OwnFile {
        path: path.to_owned(),
        mode,
        device: file.dev(),
        inode: file.ino(),
    };
    Ok(Listener {
        socket,
        file: Some(file),
    })
}

impl OwnFile {
    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|there| there.dev() == self.device && there.ino() == self.inode)
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::debug!(%error, path = %self.path.display(), "the socket file stays behind");
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        drop(self.file.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_has_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.sock");
        drop(StdUnixListener::bind(&path).unwrap());
        let _listener = Listener::bind(&path, 0o600).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[tokio::test]
    async fn a_live_socket_and_a_file_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("live.sock");
        let _first = Listener::bind(&live, 0o666).unwrap();
        assert!(matches!(
            Listener::bind(&live, 0o666),
            Err(BindError::InUse(_))
        ));
        let file = directory.path().join("file");
        fs::File::create(&file).unwrap();
        assert!(matches!(
            Listener::bind(&file, 0o666),
            Err(BindError::NotASocket(_))
        ));
        assert!(file.exists());
        let nowhere = directory.path().join("absent").join("k.sock");
        assert!(matches!(
            Listener::bind(&nowhere, 0o666),
            Err(BindError::System { .. })
        ));
    }

    #[tokio::test]
    async fn a_listener_that_takes_nobody_is_named_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.sock");
        let _stuck = crate::unix_socket::tests::stuck_listener(&path);
        let refused = Listener::bind(&path, 0o666);
        assert!(matches!(refused, Err(BindError::Stuck(_))), "{refused:?}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_file_goes_with_its_listener_unless_it_is_another_daemons() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.sock");
        drop(Listener::bind(&path, 0o666).unwrap());
        assert!(!path.exists());
        let first = Listener::bind(&path, 0o666).unwrap();
        fs::remove_file(&path).unwrap();
        let _second = Listener::bind(&path, 0o666).unwrap();
        drop(first);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_socket_whose_file_or_directory_is_gone_is_made_again_with_its_mode() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/k.sock");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let mut listener = Listener::bind(&path, 0o600).unwrap();
        assert!(listener.is_in_place());
        for directory in [false, true] {
            if directory {
                fs::remove_dir_all(path.parent().unwrap()).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
            }
            assert!(!listener.is_in_place());
            listener.bind_again().unwrap();
            assert!(listener.is_in_place());
            assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
            StdUnixStream::connect(&path).unwrap();
        }
        fs::remove_file(&path).unwrap();
        let _other = Listener::bind(&path, 0o600).unwrap();
        assert!(
            matches!(listener.bind_again(), Err(BindError::InUse(_))),
            "another daemon has taken the place"
        );
    }

    #[tokio::test]
    async fn a_socket_from_systemd_keeps_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.sock");
        let inherited = StdUnixListener::bind(&path).unwrap();
        drop(Listener::inherited(&path, inherited).unwrap());
        assert!(path.exists());
    }
}
