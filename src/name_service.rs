//! The number that belongs to the name of a user or group, asked of the machine's files first and of its name service (NSS)
//! next: directory servers, systemd's dynamic users.

use std::fs;
use std::time::Duration;

use crate::program::{self, Inherits, Program};
use crate::users::{Kind, number_in};

/// A name service that does not answer must not hold up a reload for longer.
const LIMIT: Duration = Duration::from_secs(5);

/// How much of an answer is read: a group of 100,000 members takes about 1 MB.
const LARGEST: usize = 4 << 20;

/// The number of a user or group given by name or number; none when there is no such name.
pub fn resolve(kind: Kind, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse::<u32>() {
        // The highest number means "leave as it is" to chown.
        return Some(number).filter(|number| *number != u32::MAX);
    }
    let listed = fs::read_to_string(kind.file())
        .ok()
        .and_then(|text| number_in(&text, name));
    listed.or_else(|| number_in(&getent(kind, name)?, name))
}

fn getent(kind: Kind, name: &str) -> Option<String> {
    if name.starts_with('-') {
        return None;
    }
    let argv = ["getent", kind.database(), name].map(str::to_owned);
    let program = Program {
        argv: &argv,
        inherits: Inherits::Only(&[]),
        env: &[("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")],
        directory: None,
        limit: LIMIT,
        largest: LARGEST,
    };
    let outcome = program::run_blocking(&program).ok()?;
    String::from_utf8(outcome.printed.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_resolve_and_unknown_names_do_not() {
        assert_eq!(resolve(Kind::User, "root"), Some(0));
        assert_eq!(resolve(Kind::Group, "root"), Some(0));
        assert_eq!(resolve(Kind::User, "12345"), Some(12345));
        assert_eq!(resolve(Kind::User, "4294967295"), None);
        assert_eq!(resolve(Kind::Group, "no-such-group-here"), None);
        assert_eq!(resolve(Kind::User, "-s"), None);
    }
}
