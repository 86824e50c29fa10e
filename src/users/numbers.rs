//! Which of the numbers that the kernel shows belong to a user: in a container's user namespace, every user outside of it is
//! shown as one and the same user (`overflowuid` in `user_namespaces(7)`), who must not be taken for the one of that number inside.

use std::fs;
use std::sync::LazyLock;

/// No user and no group has it: to chown(2) it means "leave as it is", and no config can name it.
pub(crate) const NOBODY: u32 = u32::MAX;
/// All numbers but that one.
const ALL: u64 = u32::MAX as u64;
/// The first process namespace of a machine (`PROC_PID_INIT_INO` in the kernel's `proc_ns.h`).
const OF_THE_MACHINE: &str = "pid:[4026531836]";

/// What is known of this process's namespaces; they are for life.
pub(crate) static NUMBERS: LazyLock<Numbers> = LazyLock::new(|| {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let processes = fs::read_link("/proc/self/ns/pid").ok();
    let map = read("/proc/self/uid_map");
    Numbers {
        user: shared(&map, &read("/proc/sys/kernel/overflowuid")),
        group: shared(
            &read("/proc/self/gid_map"),
            &read("/proc/sys/kernel/overflowgid"),
        ),
        processes_are_own: processes
            .is_some_and(|link| link.to_str().is_some_and(|link| link != OF_THE_MACHINE)),
        map,
    }
});

/// The numbers that stand for many.
pub(crate) struct Numbers {
    /// Of all users outside, where there are some.
    user: Option<u32>,
    /// Of all groups outside.
    group: Option<u32>,
    /// Whether the machine's other processes have no number here.
    processes_are_own: bool,
    /// The `uid_map` of this process's user namespace.
    map: String,
}

impl Numbers {
    /// `uid` if it is one user's; `pid` is the caller's, where it has one here.
    pub(crate) fn user(&self, uid: u32, pid: Option<i32>) -> u32 {
        self.certain(uid, self.user, pid)
    }

    /// As [`Self::user`], of a group.
    pub(crate) fn group(&self, gid: u32, pid: Option<i32>) -> u32 {
        self.certain(gid, self.group, pid)
    }

    /// The number that stands for all users outside.
    pub(crate) fn user_of_many(&self) -> Option<u32> {
        self.user
    }

    fn certain(&self, number: u32, shared: Option<u32>, pid: Option<i32>) -> u32 {
        if Some(number) == shared && !pid.is_some_and(|pid| self.is_inside(pid)) {
            NOBODY
        } else {
            number
        }
    }

    /// Whether process `pid` is of this user namespace: a user namespace within a container shares the container's processes.
    /// The kernel shows the map of another namespace as seen from here, where this one's is seen from its parent.
    fn is_inside(&self, pid: i32) -> bool {
        let map = fs::read_to_string(format!("/proc/{pid}/uid_map"));
        self.processes_are_own && map.is_ok_and(|map| map == self.map)
    }
}

/// The number of all who are not in `map`; none where everybody is, or where the kernel has no such maps.
fn shared(map: &str, overflow: &str) -> Option<u32> {
    let counts = map
        .lines()
        .filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok());
    let mapped: u64 = counts.fold(0, u64::saturating_add);
    // The kernel's own default (`DEFAULT_OVERFLOWUID`), where it does not tell.
    (!map.is_empty() && mapped < ALL).then(|| overflow.trim().parse().unwrap_or(65_534))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_map_that_leaves_somebody_out_has_a_number_for_many() {
        for (map, overflow, expected) in [
            ("         0          0 4294967295\n", "65534\n", None),
            ("0 0 1000\n1000 1000 4294966295\n", "65534\n", None),
            ("", "65534\n", None),
            (
                "         0     100000      65536\n",
                "65534\n",
                Some(65_534),
            ),
            ("0 1000 1\n1 100000 65536\n", "99\n", Some(99)),
            ("0 1000 1\n", "", Some(65_534)),
        ] {
            assert_eq!(shared(map, overflow), expected, "{map:?}");
        }
    }

    #[test]
    fn the_number_for_many_is_somebody_only_among_processes_of_the_same_container_and_user_namespace()
     {
        let this = std::process::id().cast_signed();
        let own_map = fs::read_to_string("/proc/self/uid_map").unwrap();
        let numbers = |processes_are_own, map: &str| Numbers {
            user: Some(65_534),
            group: Some(65_533),
            processes_are_own,
            map: map.to_owned(),
        };
        for (own, map, pid, expected) in [
            (true, own_map.as_str(), Some(this), 65_534),
            (true, own_map.as_str(), None, NOBODY),
            (true, "0 100000 65536\n", Some(this), NOBODY),
            (true, own_map.as_str(), Some(i32::MAX), NOBODY),
            (false, own_map.as_str(), Some(this), NOBODY),
            (false, own_map.as_str(), None, NOBODY),
        ] {
            let numbers = numbers(own, map);
            assert_eq!(numbers.user(65_534, pid), expected, "{own} {map} {pid:?}");
            assert_eq!(numbers.user(1000, pid), 1000);
            assert_eq!(numbers.group(65_534, pid), 65_534);
        }
        assert_eq!(numbers(false, &own_map).group(65_533, Some(this)), NOBODY);
        let whole = Numbers {
            user: None,
            group: None,
            ..numbers(false, &own_map)
        };
        assert_eq!(
            (whole.user(65_534, None), whole.group(65_534, None)),
            (65_534, 65_534)
        );
    }
}
