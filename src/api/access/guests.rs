//! Whom the config names: what a caller is to the daemon, before anything that it asks is read.
//!
//! It decides about room alone. What a caller may see and do, the supervisor decides for each question.

use std::collections::HashSet;

use super::{Caller, is_admin};
use crate::serve::Standing;
use crate::users::{Principal, Subordinates};

/// All whom the config names.
#[derive(Clone, Debug, Default)]
pub struct Guests {
    daemon: u32,
    admins: Vec<Principal>,
    readers: HashSet<Principal>,
    subordinates: Subordinates,
}

impl Guests {
    /// The daemon's user, its admins, and every user who may read the token of any session.
    pub fn new(
        daemon: u32,
        admins: &[Principal],
        readers: impl Iterator<Item = Principal>,
        subordinates: &Subordinates,
    ) -> Self {
        let subordinates = subordinates.clone();
        Self {
            daemon,
            admins: admins.to_vec(),
            readers: readers.collect(),
            subordinates,
        }
    }

    /// What `caller` is, as far as its groups are known.
    pub fn standing(&self, caller: &Caller) -> Standing {
        let mut groups = caller.groups.iter().chain([&caller.gid]);
        if is_admin(caller, self.daemon, &self.admins) {
            Standing::Admin
        } else if self.readers.contains(&Principal::User(caller.uid))
            || groups.any(|group| self.readers.contains(&Principal::Group(*group)))
        {
            Standing::Reader
        } else {
            Standing::Stranger
        }
    }

    /// The daemon's own user.
    pub fn daemon(&self) -> u32 {
        self.daemon
    }

    /// Whether a group can make a difference.
    pub fn name_a_group(&self) -> bool {
        self.readers
            .iter()
            .chain(&self.admins)
            .any(|known| matches!(known, Principal::Group(_)))
    }

    /// The user that `uid` counts for.
    pub fn user(&self, uid: u32) -> u32 {
        self.subordinates.owner(uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_no_session_and_no_list_names_is_a_stranger() {
        let readers = [Principal::User(33), Principal::Group(44)];
        let guests = Guests::new(
            900,
            &[Principal::Group(50)],
            readers.into_iter(),
            &Subordinates::default(),
        );
        for (uid, gid, groups, expected) in [
            (0, 0, vec![], Standing::Admin),
            (900, 1, vec![], Standing::Admin),
            (1, 50, vec![], Standing::Admin),
            (1, 1, vec![44, 50], Standing::Admin),
            (33, 1, vec![], Standing::Reader),
            (1, 44, vec![], Standing::Reader),
            (1, 1, vec![7, 44], Standing::Reader),
            (44, 33, vec![33], Standing::Stranger),
        ] {
            let caller = Caller {
                uid,
                gid,
                groups,
                pid: None,
            };
            assert_eq!(guests.standing(&caller), expected, "{caller:?}");
        }
        assert!(guests.name_a_group());
    }
}
