//! Who connected by a unix socket, as the kernel vouches for it.

use std::io;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerPidfd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::UnixStream;
use tokio::net::unix::UCred;

use crate::users::{NUMBERS, Principal};

/// The process at the other end of the socket, by `SO_PEERCRED` and its supplementary groups when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its effective user; the overflow number where it is a user outside the daemon's user namespace.
    pub uid: u32,
    /// Its effective group; likewise.
    pub gid: u32,
    /// Its supplementary groups; empty where they cannot be known or cannot matter (root, the daemon's own user).
    pub groups: Vec<u32>,
    /// None when it lives in a foreign process namespace.
    pub pid: Option<i32>,
}

/// No group has this number (`chown(2)`: it means "leave it as it is").
const GROUP_OF_NONE: u32 = u32::MAX;

impl Caller {
    /// Asks the kernel who connected to `socket`; `daemon_uid` may do everything, so its groups are not looked up.
    ///
    /// # Errors
    /// When the descriptor is not a connected unix socket.
    pub fn of(socket: &UnixStream, daemon_uid: u32) -> io::Result<Self> {
        let (seen, peer) = Self::seen(socket)?;
        let groups = match seen.pid {
            Some(pid) if seen.uid != 0 && seen.uid != daemon_uid => {
                let life = Life::of(socket);
                let groups = supplementary_groups(pid, peer.uid(), peer.gid());
                if life.lasts() { groups } else { Vec::new() }
            }
            Some(_) | None => Vec::new(),
        };
        let groups = groups
            .into_iter()
            .map(|group| NUMBERS.group(group, seen.pid))
            .collect();
        Ok(Self { groups, ..seen })
    }

    /// The same without its supplementary groups, which cost more than all the rest.
    ///
    /// # Errors
    /// Those of [`Caller::of`].
    pub fn at_sight(socket: &UnixStream) -> io::Result<Self> {
        Self::seen(socket).map(|(seen, _)| seen)
    }

    /// A user of whom nothing else is known: its groups count for nothing.
    pub(crate) fn known_by_user(uid: u32) -> Self {
        Self {
            uid,
            gid: GROUP_OF_NONE,
            groups: Vec::new(),
            pid: None,
        }
    }

    fn seen(socket: &UnixStream) -> io::Result<(Self, UCred)> {
        let peer = socket.peer_cred()?;
        let pid = peer.pid().filter(|pid| *pid > 0);
        let (uid, gid) = (
            NUMBERS.user(peer.uid(), pid),
            NUMBERS.group(peer.gid(), pid),
        );
        Ok((
            Self {
                uid,
                gid,
                groups: Vec::new(),
                pid,
            },
            peer,
        ))
    }

    /// Whether `principal` names this caller.
    pub fn is(&self, principal: Principal) -> bool {
        match principal {
            Principal::User(uid) => self.uid == uid,
            Principal::Group(gid) => self.gid == gid || self.groups.contains(&gid),
        }
    }
}

/// The groups of process `pid`, read once when it connects.
///
/// The kernel tells them by `SO_PEERGROUPS` too, but no safe binding exists. The process may have ended since and its
/// number gone to another, so the groups count only if it lives ([`Life`]), and user and group are still those that the
/// kernel vouched for: what it runs since may be another user's program.
fn supplementary_groups(pid: i32, uid: u32, gid: u32) -> Vec<u32> {
    match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        Ok(status) => groups_in(&status, uid, gid),
        Err(error) => {
            tracing::debug!(pid, %error, "a caller's groups cannot be read; only its primary group counts");
            Vec::new()
        }
    }
}

/// Whether the process that connected still has its number (`SO_PEERPIDFD`, since Linux 6.5).
enum Life {
    /// It had it when this was opened.
    Seen(OwnedFd),
    /// It was over by then.
    Over,
    /// The kernel does not tell.
    Unknowable,
}

impl Life {
    fn of(socket: &UnixStream) -> Self {
        match getsockopt(socket, PeerPidfd) {
            Ok(process) => Self::Seen(process),
            Err(Errno::ENOPROTOOPT) => Self::Unknowable,
            Err(_) => Self::Over,
        }
    }

    /// To be asked after what was read of the process. A descriptor of one that ended is readable (`pidfd_open(2)`).
    fn lasts(&self) -> bool {
        match self {
            Self::Seen(process) => {
                let mut polled = [PollFd::new(process, PollFlags::IN)];
                poll(&mut polled, Some(&Timespec::default())).is_ok_and(|ended| ended == 0)
            }
            Self::Over => false,
            Self::Unknowable => true,
        }
    }
}

/// The `Groups:` line of a `/proc/PID/status` (proc(5)), if the effective user and group in it are these.
fn groups_in(status: &str, uid: u32, gid: u32) -> Vec<u32> {
    let ids = |label: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(label));
        line.unwrap_or_default()
            .split_ascii_whitespace()
            .filter_map(|id| id.parse().ok())
            .collect()
    };
    // Four numbers each: real, effective, saved, file system.
    if ids("Uid:").get(1) == Some(&uid) && ids("Gid:").get(1) == Some(&gid) {
        ids("Groups:")
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_says_who_connected() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let caller = Caller::of(&ours, 4_000_000_000).unwrap();
        assert_eq!(caller.uid, rustix::process::geteuid().as_raw());
        assert_eq!(caller.pid, i32::try_from(std::process::id()).ok());
    }

    #[test]
    fn groups_count_only_while_the_process_is_still_the_one_that_connected() {
        let status = "Name:\tsh\nUid:\t1000\t1001\t1000\t1000\nGid:\t100\t101\t100\t100\nGroups:\t4 27 1000 \n";
        assert_eq!(groups_in(status, 1001, 101), [4, 27, 1000]);
        assert_eq!(
            groups_in(status, 1000, 101),
            [0_u32; 0],
            "another user has the number now"
        );
        assert_eq!(groups_in(status, 1001, 100), [0_u32; 0], "another group");
        assert_eq!(groups_in("", 0, 0), [0_u32; 0]);
    }
}
