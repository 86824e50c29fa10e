//! Why there is no answer, and what a person can do about it on this machine.

use std::borrow::Cow;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::http::WireError;
use crate::api::problem::{Kind, Problem};
use crate::systemd::manages_the_machine;
use crate::users::{self, named};
use crate::usual_places;

/// Why there is no answer, or not the one hoped for.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No process listens.
    #[error("the daemon is not running ({})", whereabouts(.tried))]
    NotRunning {
        /// Where it was looked for.
        tried: Vec<PathBuf>,
        /// Whether the caller named the socket.
        named: bool,
    },
    /// Something else has this name.
    #[error("{} is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket's mode or a directory above it.
    #[error("permission denied on {}", .0.display())]
    Denied(PathBuf),
    /// A program that may be any user's listens there.
    #[error("the user {} listens at {}, and {why}: it may not be the daemon", named(users::Kind::User, *.uid), .path.display())]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// The user.
        uid: u32,
        /// Who could have put a socket there.
        why: String,
    },
    /// The daemon said no.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The daemon took longer than it promised.
    #[error("the daemon at {} does not answer", .0.display())]
    Silent(PathBuf),
    /// The connection ended before the answer did.
    #[error("the daemon at {} closed the connection before it answered", .0.display())]
    Lost(PathBuf),
    /// What listens there is not the daemon.
    #[error("what listens at {path} is not keepfresh: {what}", path = .path.display())]
    Protocol {
        /// The socket.
        path: PathBuf,
        /// What was wrong with its answer.
        what: String,
    },
    /// The system said no.
    #[error("talk to the daemon at {}: {source}", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ClientError {
    /// What a person can do, where there is something.
    pub fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::NotRunning { named, .. } => Some(how_to_start(*named, manages_the_machine()).into()),
            Self::Denied(_) => {
                Some("check `mode` in [socket] and the permissions of the directories above the socket".into())
            }
            Self::Stranger { uid, .. } => Some(
                format!(
                    "move the socket to a directory where only root and the daemon's user can write, or confirm that this is \
                     the daemon's user: KEEPFRESH_DAEMON_USER={uid}"
                )
                .into(),
            ),
            Self::Problem(problem) => problem.remedy.as_deref().map(Cow::Borrowed),
            Self::Silent(path) | Self::Lost(path) => Some(where_to_look(path, manages_the_machine()).into()),
            Self::NotASocket(_) | Self::Protocol { .. } => {
                Some("name the daemon's socket with --socket or $KEEPFRESH_SOCKET".into())
            }
            Self::System { .. } => None,
        }
    }

    /// Whether the daemon may merely be restarting.
    pub(super) fn passes(&self, repeatable: bool) -> bool {
        match self {
            Self::NotRunning { .. } => true,
            Self::Lost(_) => repeatable,
            Self::Problem(problem) => {
                matches!(problem.kind, Kind::Stopping | Kind::TooManyConnections)
            }
            Self::NotASocket(_)
            | Self::Denied(_)
            | Self::Stranger { .. }
            | Self::Silent(_)
            | Self::Protocol { .. }
            | Self::System { .. } => false,
        }
    }
}

/// What keeps the caller from a daemon that may listen at `path`; none when no process does.
pub(super) fn hindrance(path: &Path, error: io::Error) -> Option<ClientError> {
    let (path, kind) = (path.to_owned(), error.kind());
    if matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory) {
        return None;
    }
    if kind == ErrorKind::ConnectionRefused {
        // Also the kernel's word for a file that is no socket.
        return (!is_socket(&path)).then_some(ClientError::NotASocket(path));
    }
    if kind == ErrorKind::WouldBlock {
        return Some(ClientError::Silent(path));
    }
    let denied = kind == ErrorKind::PermissionDenied;
    Some(if denied {
        ClientError::Denied(path)
    } else {
        ClientError::System {
            path,
            source: error,
        }
    })
}

pub(super) fn wire_error(error: WireError, path: &Path) -> ClientError {
    let path = path.to_owned();
    match error {
        WireError::Ended => ClientError::Lost(path),
        WireError::Silent => ClientError::Silent(path),
        WireError::Malformed(what) => ClientError::Protocol {
            path,
            what: what.to_owned(),
        },
        WireError::System(source) => ClientError::System { path, source },
    }
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

fn whereabouts(tried: &[PathBuf]) -> String {
    let place = |path: &PathBuf| {
        let what = if is_socket(path) {
            "no daemon listens at"
        } else {
            "no socket at"
        };
        format!("{what} {}", path.display())
    };
    tried.iter().map(place).collect::<Vec<_>>().join(", ")
}

fn how_to_start(named: bool, systemd: bool) -> &'static str {
    match (named, systemd) {
        (true, _) => {
            "start the daemon of this socket, or name another with --socket or $KEEPFRESH_SOCKET"
        }
        (false, true) => {
            "start it (systemctl start keepfresh; your own: systemctl --user start keepfresh), \
             or name its socket with --socket"
        }
        (false, false) => "start it (keepfresh run), or name its socket with --socket",
    }
}

fn where_to_look(path: &Path, systemd: bool) -> &'static str {
    if systemd && path == Path::new(usual_places::SOCKET) {
        "look at its log (journalctl -u keepfresh) and try again"
    } else {
        "look at its log and try again"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_names_systemd_only_where_it_runs_and_manages_that_daemon() {
        assert!(how_to_start(false, true).contains("systemctl --user start keepfresh"));
        assert!(how_to_start(false, false).contains("keepfresh run"));
        for systemd in [true, false] {
            assert!(!how_to_start(true, systemd).contains("systemctl"));
            assert!(!where_to_look(Path::new("/home/a/k.sock"), systemd).contains("journalctl"));
        }
        assert!(
            where_to_look(Path::new(usual_places::SOCKET), true)
                .contains("journalctl -u keepfresh")
        );
        assert!(!where_to_look(Path::new(usual_places::SOCKET), false).contains("journalctl"));
    }

    #[test]
    fn an_absent_daemon_a_deserted_socket_and_another_file_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let deserted = directory.path().join("deserted.sock");
        drop(std::os::unix::net::UnixListener::bind(&deserted).unwrap());
        let tried = vec![directory.path().join("absent.sock"), deserted];
        let text = ClientError::NotRunning {
            tried: tried.clone(),
            named: false,
        }
        .to_string();
        let [absent, deserted] = [0, 1].map(|at| tried[at].display());
        assert_eq!(
            text,
            format!(
                "the daemon is not running (no socket at {absent}, no daemon listens at {deserted})"
            )
        );
        let refused = || io::Error::from(ErrorKind::ConnectionRefused);
        assert!(hindrance(&tried[1], refused()).is_none());
        let other = hindrance(directory.path(), refused());
        assert!(matches!(other, Some(ClientError::NotASocket(path)) if path == directory.path()));
    }
}
