//! Users and groups of the machine: the principals of a config, their names, and which numbers stand for many.

mod numbers;
mod subordinates;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use numbers::NUMBERS;
pub use subordinates::Subordinates;

/// A user or group that may do something: `user:alice`, `group:ops`, resolved.
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

    /// Its name in `nsswitch.conf(5)`.
    pub fn database(self) -> &'static str {
        match self {
            Self::User => "passwd",
            Self::Group => "group",
        }
    }

    /// The file of the names that belong to this machine alone.
    pub fn file(self) -> PathBuf {
        Path::new("/etc").join(self.database())
    }
}

/// The name of a user or group, where it has one.
pub fn name_of(kind: Kind, number: u32) -> Option<String> {
    let text = fs::read_to_string(kind.file()).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then(|| name.to_owned())
    })
}

/// The third field of the line that `name` begins (passwd(5), group(5)).
pub(crate) fn number_in(text: &str, name: &str) -> Option<u32> {
    let line = text
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
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
    fn a_number_that_is_listed_has_its_name() {
        assert_eq!(name_of(Kind::User, 0).as_deref(), Some("root"));
        assert_eq!(named(Kind::Group, 0), "0 (root)");
    }

    #[test]
    fn only_the_whole_first_field_is_a_name() {
        let text = "rooty:x:5:\nroot:x:0:\nbad\n";
        assert_eq!(number_in(text, "root"), Some(0));
        assert_eq!(number_in(text, "roo"), None);
        assert_eq!(number_in(text, "bad"), None);
    }
}
