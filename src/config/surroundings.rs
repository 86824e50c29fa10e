//! What a config is read against: the environment, and who runs the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::usual_places;

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
    /// Whether the directories are the machine's for another user than root too.
    of_the_machine: bool,
}

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
            of_the_machine: false,
        }
    }

    /// These surroundings, for a config that is only looked at: nothing will run by it.
    #[must_use]
    pub fn only_to_look(self) -> Self {
        Self {
            only_looking: true,
            ..self
        }
    }

    /// These surroundings, with the directories that systemd gives to the machine's service.
    #[must_use]
    pub fn of_the_machine(self) -> Self {
        Self {
            of_the_machine: true,
            ..self
        }
    }

    /// Made up, for tests.
    #[cfg(test)]
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
            of_the_machine: false,
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
        if self.is_root() || self.of_the_machine {
            return Some(PathBuf::from(usual_places::RUNTIME_DIR));
        }
        Some(self.directory("XDG_RUNTIME_DIR")?.join("keepfresh"))
    }

    /// Where the state goes when the config does not say.
    pub fn state_dir(&self) -> Option<PathBuf> {
        if let Some(given) = self.directory("STATE_DIRECTORY") {
            return Some(given);
        }
        if self.is_root() || self.of_the_machine {
            return Some(PathBuf::from(usual_places::STATE_DIR));
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
