//! What a config is read against: the environment, who runs the daemon, and the machine's users and groups.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The environment and the accounts that a config is checked against.
#[derive(Clone, Debug)]
pub struct Surroundings {
    variables: BTreeMap<String, String>,
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// Whether nothing is going to run by the config, so that root may obey what the daemon's user may.
    pub only_looking: bool,
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

/// A name service that does not answer must not hold up a reload for longer.
const GETENT_LIMIT: Duration = Duration::from_secs(5);

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        Self {
            variables,
            uid,
            gid,
            only_looking: false,
        }
    }

    /// The same, for a config by which nothing is going to run.
    #[must_use]
    pub fn only_to_look(self) -> Self {
        Self {
            only_looking: true,
            ..self
        }
    }

    /// Made up, for tests.
    pub fn made_up(variables: &[(&str, &str)], uid: u32, gid: u32) -> Self {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Self {
            variables,
            uid,
            gid,
            only_looking: false,
        }
    }

    /// The value of an environment variable, unless it is unset or empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether root runs the daemon.
    pub fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// The first directory of a variable that systemd sets, where several are separated by colons.
    pub fn directory(&self, name: &str) -> Option<PathBuf> {
        let first = self
            .variable(name)?
            .split(':')
            .next()
            .filter(|path| path.starts_with('/'))?;
        Some(PathBuf::from(first))
    }

    /// Where the socket and the tokens go when the config does not say.
    pub fn runtime_dir(&self) -> Option<PathBuf> {
        if let Some(given) = self.directory("RUNTIME_DIRECTORY") {
            return Some(given);
        }
        if self.is_root() {
            return Some(PathBuf::from("/run/keepfresh"));
        }
        Some(self.directory("XDG_RUNTIME_DIR")?.join("keepfresh"))
    }

    /// Where the state goes when the config does not say.
    pub fn state_dir(&self) -> Option<PathBuf> {
        if let Some(given) = self.directory("STATE_DIRECTORY") {
            return Some(given);
        }
        if self.is_root() {
            return Some(PathBuf::from("/var/lib/keepfresh"));
        }
        Some(
            self.xdg("XDG_STATE_HOME", ".local/state")?
                .join("keepfresh"),
        )
    }

    /// An XDG directory, or its default below the home directory.
    pub fn xdg(&self, name: &str, below_home: &str) -> Option<PathBuf> {
        self.directory(name)
            .or_else(|| Some(self.directory("HOME")?.join(below_home)))
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
