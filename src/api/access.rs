//! Who may see, read and order what: rules about callers, as pure functions.

mod guests;

use crate::users::Principal;

pub use crate::serve::Caller;
pub use guests::Guests;

/// Whether `caller` may order: root, the daemon's own user, and the users whom the config names.
pub fn is_admin(caller: &Caller, daemon_uid: u32, admins: &[Principal]) -> bool {
    caller.uid == 0 || caller.uid == daemon_uid || admins.iter().any(|admin| caller.is(*admin))
}

/// Whether one of a session's `access` principals names `caller`; admins may read without being listed.
pub fn may_read(caller: &Caller, access: &[Principal]) -> bool {
    access.iter().any(|principal| caller.is(*principal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_the_daemons_user_and_listed_principals_are_admins() {
        let admins = [Principal::User(1001), Principal::Group(50)];
        for (uid, gid, groups, expected) in [
            (0, 0, vec![], true),
            (900, 900, vec![], true),
            (1001, 1001, vec![], true),
            (1002, 50, vec![], true),
            (1002, 1002, vec![7, 50], true),
            (1002, 1002, vec![7, 51], false),
            (50, 1001, vec![1001], false),
        ] {
            let caller = caller(uid, gid, groups);
            assert_eq!(is_admin(&caller, 900, &admins), expected, "{caller:?}");
        }
    }

    #[test]
    fn only_listed_users_and_groups_may_read() {
        let access = [Principal::User(33), Principal::Group(44)];
        assert!(may_read(&caller(33, 1, vec![]), &access));
        assert!(may_read(&caller(1, 44, vec![]), &access));
        assert!(may_read(&caller(1, 1, vec![2, 44]), &access));
        assert!(!may_read(&caller(44, 33, vec![33]), &access));
        assert!(!may_read(&caller(33, 44, vec![]), &[]));
    }

    fn caller(uid: u32, gid: u32, groups: Vec<u32>) -> Caller {
        Caller {
            uid,
            gid,
            groups,
            pid: None,
        }
    }
}
