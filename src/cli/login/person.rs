//! The users as whom the person at this terminal may run a browser.

use std::env;
use std::fs;
use std::io::{stderr, stdin};
use std::os::fd::AsFd;

use crate::serve::Peer;

/// No login has this number: nobody did log in (`loginuid` of proc(5)).
const NO_LOGIN: u32 = u32::MAX;

/// The users as whom the person at this terminal may run a browser.
pub(super) struct Person {
    users: Vec<u32>,
}

impl Person {
    /// Whoever began this: also before `sudo` or `su`.
    pub(super) fn here() -> Self {
        let mut users = vec![
            rustix::process::geteuid().as_raw(),
            rustix::process::getuid().as_raw(),
        ];
        users.extend(
            ["SUDO_UID", "PKEXEC_UID"]
                .iter()
                .filter_map(|name| env::var(name).ok()?.parse::<u32>().ok()),
        );
        let login = fs::read_to_string("/proc/self/loginuid")
            .ok()
            .and_then(|uid| uid.trim().parse::<u32>().ok());
        users.extend(login.filter(|uid| *uid != NO_LOGIN));
        users.extend([owner(stdin()), owner(stderr())].into_iter().flatten());
        // There the browser is one of Windows, and a process of root's brings its connections.
        if env::var_os("WSL_DISTRO_NAME").is_some() {
            users.push(0);
        }
        Self { users }
    }

    /// Whether the address of the login may be given to who asks from there.
    pub(super) fn may_be_told(&self, peer: Peer) -> bool {
        matches!(peer, Peer::User(uid) if self.users.contains(&uid))
    }

    /// Whether a browser may come back from there, with what nobody else was told. Root carries other machines' browsers.
    pub(super) fn may_return(&self, peer: Peer) -> bool {
        match peer {
            Peer::User(uid) => uid == 0 || self.users.contains(&uid),
            Peer::Unlisted => false,
            Peer::Unknowable => true,
        }
    }
}

/// Whose the terminal is.
fn owner(file: impl AsFd) -> Option<u32> {
    rustix::termios::isatty(&file)
        .then(|| rustix::fs::fstat(&file).ok().map(|found| found.st_uid))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_told_to_the_person_alone_and_root_may_carry_the_return() {
        let person = Person {
            users: vec![1000, 33],
        };
        for (peer, told, returns) in [
            (Peer::User(1000), true, true),
            (Peer::User(33), true, true),
            (Peer::User(0), false, true),
            (Peer::User(1001), false, false),
            (Peer::Unlisted, false, false),
            (Peer::Unknowable, false, true),
        ] {
            assert_eq!(
                (person.may_be_told(peer), person.may_return(peer)),
                (told, returns),
                "{peer:?}"
            );
        }
    }
}
