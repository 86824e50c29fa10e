//! Users and groups of the machine: whom a config names, what their names are, and which numbers are somebody's.

mod numbers;
mod subordinates;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

pub(crate) use numbers::NUMBERS;
pub use subordinates::Subordinates;

/// A name service that does not answer must not hold up a reload for longer.
const GETENT_LIMIT: Duration = Duration::from_secs(5);

/// Somebody who may do something: `user:alice`, `group:ops`, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A user's number.
    User(u32),
    /// A group's number.
    Group(u32),
}

/// Which of the two lists of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `/etc/passwd`, and whatever the name service adds to it.
    User,
    /// `/etc/group`, and whatever the name service adds to it.
    Group,
}

impl Kind {
    /// `user` or `group`.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }

    fn database(self) -> &'static str {
        match self {
            Self::User => "passwd",
            Self::Group => "group",
        }
    }
}

/// The number of a user or group given by name or number; none when there is no such name.
pub fn resolve(kind: Kind, name: &str) -> Option<u32> {
    if let Ok(number) = name.parse::<u32>() {
        // The highest number means "leave as it is" to chown.
        return Some(number).filter(|number| *number != u32::MAX);
    }
    let file = format!("/etc/{}", kind.database());
    let listed = fs::read_to_string(file)
        .ok()
        .and_then(|text| number_in(&text, name));
    listed.or_else(|| number_in(&getent(kind, name)?, name))
}

/// The name of a user or group, where it has one.
pub fn name_of(kind: Kind, number: u32) -> Option<String> {
    let text = fs::read_to_string(format!("/etc/{}", kind.database())).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
    })
}

/// The third field of the line that `name` begins (passwd(5), group(5)).
fn number_in(text: &str, name: &str) -> Option<u32> {
    let line = text
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

/// What the name service knows beyond the files: directory servers, systemd's dynamic users.
fn getent(kind: Kind, name: &str) -> Option<String> {
    if name.starts_with('-') {
        return None;
    }
    let mut child = Command::new("getent")
        .args([kind.database(), name])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let step = Duration::from_millis(2);
    let mut waited = Duration::ZERO;
    while child.try_wait().ok()?.is_none() {
        if waited >= GETENT_LIMIT {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(step);
        waited += step;
    }
    let output = child.wait_with_output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// A number with its name, where it has one.
pub fn named(kind: Kind, number: u32) -> String {
    name_of(kind, number).map_or_else(|| number.to_string(), |name| format!("{number} ({name})"))
}

/// The number as which the kernel shows everybody outside of this process's user namespace; none where it has all users.
pub fn user_of_many() -> Option<u32> {
    NUMBERS.user_of_many()
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
        assert_eq!(name_of(Kind::User, 0).as_deref(), Some("root"));
    }

    #[test]
    fn only_the_whole_first_field_is_a_name() {
        let text = "rooty:x:5:\nroot:x:0:\nbad\n";
        assert_eq!(number_in(text, "root"), Some(0));
        assert_eq!(number_in(text, "roo"), None);
        assert_eq!(number_in(text, "bad"), None);
    }
}
