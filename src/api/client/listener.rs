//! Whether who listens at the socket's place can be the daemon: the kernel says which user it is, and the directories say who
//! else could have put a socket there.

use std::env;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::error::ClientError;
use crate::name_service::resolve;
use crate::users::{Kind, named, user_of_many};

/// Names the daemon's user where the place of the socket does not tell.
const DAEMON_USER: &str = "KEEPFRESH_DAEMON_USER";

/// The bits of a mode.
const BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Fails where a stranger may listen: tokens of his would be taken for the daemon's, and ours would be reported to him.
pub(super) fn check(stream: &UnixStream, path: &Path) -> Result<(), ClientError> {
    let peer = getsockopt(stream, PeerCredentials);
    let system = |source| ClientError::System {
        path: path.to_owned(),
        source,
    };
    let uid = peer.map_err(|error| system(error.into()))?.uid();
    let own = rustix::process::geteuid().as_raw();
    if uid == 0 || uid == own || is_named(uid) {
        return Ok(());
    }
    let known = Known {
        own,
        peer: uid,
        outside: user_of_many(),
    };
    match known.doubt(path) {
        None => Ok(()),
        Some(why) => Err(ClientError::Stranger {
            path: path.to_owned(),
            uid,
            why,
        }),
    }
}

fn is_named(uid: u32) -> bool {
    let name = env::var(DAEMON_USER).ok().filter(|name| !name.is_empty());
    name.is_some_and(|name| resolve(Kind::User, &name) == Some(uid))
}

/// Who may have a hand in what lies on the way to the socket.
struct Known {
    own: u32,
    peer: u32,
    /// All who are outside of a container, root among them.
    outside: Option<u32>,
}

impl Known {
    /// Why it may be any program; none where only root, this user or who listens could put a socket there.
    fn doubt(&self, path: &Path) -> Option<String> {
        let written = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let resolved = written.canonicalize().unwrap_or_else(|_| written.clone());
        [&written, &resolved]
            .into_iter()
            .find_map(|path| self.doubt_on_the_way(path))
    }

    fn doubt_on_the_way(&self, path: &Path) -> Option<String> {
        let mut inner = fs::symlink_metadata(path).ok();
        for directory in path.ancestors().skip(1) {
            let Ok(found) = fs::metadata(directory) else {
                continue;
            };
            if found.mode() & BY_OTHERS != 0 && !self.is_held(&found, inner.as_ref()) {
                return Some(format!("every user can write in {}", shown(directory)));
            }
            let owner = found.uid();
            if ![0, self.own, self.peer].contains(&owner) && Some(owner) != self.outside {
                return Some(format!(
                    "{} belongs to the user {}",
                    shown(directory),
                    named(Kind::User, owner)
                ));
            }
            inner = fs::symlink_metadata(directory).ok();
        }
        None
    }

    /// Whether only root and this user can have put `inner` into a directory in which everybody can write.
    fn is_held(&self, directory: &Metadata, inner: Option<&Metadata>) -> bool {
        directory.mode() & STICKY != 0
            && inner.is_some_and(|inner| inner.uid() == 0 || inner.uid() == self.own)
    }
}

fn shown(directory: &Path) -> String {
    PathBuf::from(directory).display().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::untried::can_as_root;

    const DAEMON: u32 = 61_021;
    const OTHER: u32 = 61_022;

    #[test]
    fn a_listener_is_doubted_where_others_than_root_itself_and_the_caller_could_have_put_it() {
        if !can_as_root("give directories away") {
            return;
        }
        // Not below /tmp, in which everybody can write.
        let root = tempfile::Builder::new()
            .prefix("keepfresh-")
            .tempdir_in("/run")
            .unwrap();
        fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
        let directory = root.path().join("d");
        fs::create_dir(&directory).unwrap();
        let path = directory.join("k.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        symlink(&path, root.path().join("link")).unwrap();
        chown(&path, Some(DAEMON), None).unwrap();
        let known = Known {
            own: 1000,
            peer: DAEMON,
            outside: None,
        };
        for (mode, owner, doubted) in [
            (0o755, 0, None),
            (0o755, DAEMON, None),
            (0o775, DAEMON, None),
            (0o755, 1000, None),
            (0o755, OTHER, Some("belongs to the user 61022")),
            (0o777, DAEMON, Some("every user can write in")),
            (0o1777, 0, Some("every user can write in")),
        ] {
            chown(&directory, Some(owner), None).unwrap();
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            for path in [&path, &root.path().join("link")] {
                let doubt = known.doubt(path);
                assert_eq!(
                    doubt.is_some(),
                    doubted.is_some(),
                    "{mode:o} {owner}: {doubt:?}"
                );
                assert!(
                    doubt
                        .unwrap_or_default()
                        .contains(doubted.unwrap_or_default())
                );
            }
        }
        chown(&directory, Some(OTHER), None).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let inside = Known {
            outside: Some(OTHER),
            ..known
        };
        assert_eq!(
            inside.doubt(&path),
            None,
            "who is outside of a container decides what is in it"
        );
    }

    #[test]
    fn a_directory_of_the_listeners_own_is_no_better_where_everybody_could_have_made_it() {
        if !can_as_root("give directories away") {
            return;
        }
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let path = directory.path().join("k.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        for (owner, doubted) in [(DAEMON, true), (0, false)] {
            chown(directory.path(), Some(owner), None).unwrap();
            let known = Known {
                own: 1000,
                peer: DAEMON,
                outside: None,
            };
            assert_eq!(known.doubt(&path).is_some(), doubted, "{owner}");
        }
    }
}
