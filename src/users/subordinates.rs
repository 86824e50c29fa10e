//! Whose the numbers are that a user may take besides its own (subuid(5)): where users are counted, all of them are one.

use std::fs;

use super::number_in;

/// The ranges of `/etc/subuid`, each with its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subordinates {
    ranges: Vec<Range>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u32,
    owner: u32,
}

impl Subordinates {
    /// Those of this machine; none where it has no such file.
    pub(crate) fn read() -> Self {
        let [ranges, users] =
            ["/etc/subuid", "/etc/passwd"].map(|path| fs::read_to_string(path).unwrap_or_default());
        Self::of(&ranges, &users)
    }

    fn of(ranges: &str, users: &str) -> Self {
        let range = |line: &str| {
            let mut fields = line.trim().split(':');
            let (owner, first, count) = (
                fields.next()?,
                fields.next()?.parse().ok()?,
                fields.next()?.parse().ok()?,
            );
            // Of an owner that the files do not know, the range is one user all the same.
            let owner = owner
                .parse()
                .ok()
                .or_else(|| number_in(users, owner))
                .unwrap_or(first);
            Some(Range {
                first,
                count,
                owner,
            })
        };
        Self {
            ranges: ranges.lines().filter_map(range).collect(),
        }
    }

    /// The user who may be `uid`: itself, unless it is another user's subordinate.
    pub fn owner(&self, uid: u32) -> u32 {
        let of = self.ranges.iter().find(|range| {
            uid.checked_sub(range.first)
                .is_some_and(|at| at < range.count)
        });
        of.map_or(uid, |range| range.owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_numbers_that_a_user_may_take_are_that_user() {
        let users = "root:x:0:0::/:\nalice:x:1000:1000::/:\n";
        let known = Subordinates::of(
            "alice:100000:65536\n1001:165536:10\nldap:300000:5\nbroken\n:x:y\n",
            users,
        );
        for (uid, owner) in [
            (0, 0),
            (1000, 1000),
            (99_999, 99_999),
            (100_000, 1000),
            (165_535, 1000),
            (165_536, 1001),
            (165_546, 165_546),
            (300_004, 300_000),
            (u32::MAX, u32::MAX),
        ] {
            assert_eq!(known.owner(uid), owner, "{uid}");
        }
    }
}
