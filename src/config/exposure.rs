//! Who besides the daemon could change what it obeys and what it writes: legal, since it may be meant, and said.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::surroundings::{Kind, name_of};
use super::{Config, MetricsListen, Needed};
use crate::plain_file;
use crate::secret::source::SecretSource;

/// The bits of a mode.
const BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;
/// A disk that hangs must not hold up a start or a reload: then nothing is said.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// What is dubious about the modes and owners of all that the config names, in sentences; `daemon` is the user it runs as.
pub(super) fn warnings(config: &Config, daemon: u32) -> Vec<String> {
    let objects = objects(config);
    let (tell, told) = mpsc::channel();
    let look = move || {
        let known = Known { daemon, passwd: read("/etc/passwd"), group: read("/etc/group") };
        // Nobody waits any more if the look took too long.
        let _ = tell.send(objects.iter().filter_map(|(path, object)| object.finding(path, &known)).collect());
    };
    let started = std::thread::Builder::new().name("modes".to_owned()).spawn(look);
    started.ok().and_then(|_| told.recv_timeout(LONGEST_LOOK).ok()).unwrap_or_default()
}

/// The user that the daemon runs as, as far as a check can know it: root may look for another user.
pub(super) fn presumed_user(state_dir: &Path) -> u32 {
    let own = rustix::process::geteuid();
    let of_state = || fs::metadata(state_dir).ok().map(|found| found.uid());
    own.is_root().then(of_state).flatten().unwrap_or(own.as_raw())
}

/// What is looked at.
struct Object {
    /// What it is to the daemon.
    what: &'static str,
    /// Who may own it besides root and the daemon.
    owner: Option<u32>,
    /// What whoever changes it can do.
    harm: &'static str,
    /// Whether a directory in which everybody may make files, but not touch those of others, will do.
    sticky_will_do: bool,
}

fn objects(config: &Config) -> BTreeMap<PathBuf, Object> {
    let mut all = BTreeMap::new();
    for need in &config.needs {
        if let Needed::Secret(SecretSource::File { path, .. }) | Needed::PrivateKey(SecretSource::File { path, .. }) =
            &need.what
        {
            let harm = "who does logs the daemon in as somebody else";
            all.insert(path.clone(), Object { what: "the secret file", owner: None, harm, sticky_will_do: false });
        }
    }
    let runs = "who does has keepfresh run programs";
    for file in &config.files {
        all.insert(file.clone(), Object { what: "the config", owner: None, harm: runs, sticky_will_do: false });
        if let Some(directory) = file.parent() {
            let object = Object { what: "the config's directory", owner: None, harm: runs, sticky_will_do: true };
            all.insert(directory.to_owned(), object);
        }
    }
    let hands_out = "who does can put another token in the place of this one";
    for sink in config.sessions.values().flat_map(|session| session.publish.iter()) {
        if let Some(directory) = sink.path.parent() {
            let what = "the directory of token files";
            let object = Object { what, owner: sink.owner, harm: hands_out, sticky_will_do: false };
            all.insert(directory.to_owned(), object);
        }
    }
    let daemon = &config.daemon;
    let socket = "who does can put another socket in the place of this one";
    let scraped = match &config.metrics {
        Some(MetricsListen::Unix(path)) => Some(path),
        Some(MetricsListen::Address { .. }) | None => None,
    };
    let sockets =
        [("the socket's directory", Some(&config.socket.path)), ("the directory of the socket for scrapers", scraped)];
    for (what, path) in sockets {
        if let Some(directory) = path.and_then(|path| path.parent()) {
            let object = Object { what, owner: None, harm: socket, sticky_will_do: false };
            all.insert(directory.to_owned(), object);
        }
    }
    let object = Object { what: "the runtime directory", owner: None, harm: socket, sticky_will_do: false };
    all.insert(daemon.runtime_dir.clone(), object);
    let state = "who does can take the state away";
    let object = Object { what: "the state directory", owner: None, harm: state, sticky_will_do: false };
    all.insert(daemon.state_dir.clone(), object);
    all
}

/// Who the daemon is, and who else there is.
struct Known {
    daemon: u32,
    passwd: String,
    group: String,
}

impl Object {
    /// The sentence, if there is something to say; what is not there yet is made in order.
    fn finding(&self, path: &Path, known: &Known) -> Option<String> {
        let found = fs::metadata(path).ok().filter(|_| !plain_file::is_on_read_only_mount(path))?;
        let (who, remedy) = self.stranger(&found, known)?;
        let does = if found.is_dir() { "can write there" } else { "can change it" };
        let mode = found.mode() & 0o7777;
        Some(format!("{} {}: {who} {does} (mode {mode:04o}): {}: {remedy}", self.what, path.display(), self.harm))
    }

    fn stranger(&self, found: &Metadata, known: &Known) -> Option<(String, &'static str)> {
        let (owner, group, mode) = (found.uid(), found.gid(), found.mode());
        if owner != 0 && owner != known.daemon && Some(owner) != self.owner {
            return Some((shown(Kind::User, owner), "give it to root, or to the daemon's user"));
        }
        let harmless = self.sticky_will_do && found.is_dir() && mode & STICKY != 0;
        if plain_file::is_open_to_all(found) && mode & STICKY != 0 && !harmless {
            return Some(("every user".to_owned(), "name a directory below it, which only the daemon can write in"));
        }
        if plain_file::is_open_to_all(found) && !harmless {
            return Some(("every user".to_owned(), "take that away with `chmod o-w`"));
        }
        if mode & BY_GROUP != 0 && group != 0 && !known.is_private(group, owner) && !harmless {
            return Some((shown(Kind::Group, group), "take that away with `chmod g-w`"));
        }
        None
    }
}

impl Known {
    /// Whether nobody but the owner and the daemon is in the group, as far as the files tell.
    fn is_private(&self, group: u32, owner: u32) -> bool {
        let trusted = |user: Option<u32>| user.is_some_and(|user| user == owner || user == self.daemon || user == 0);
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let number = |fields: &[String], at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
        let users: Vec<Vec<String>> = self.passwd.lines().map(fields).collect();
        let primary = users.iter().filter(|user| number(user, 3) == Some(group));
        let members = self.group.lines().map(fields).filter(|entry| number(entry, 2) == Some(group));
        let members = members.filter_map(|entry| entry.get(3).cloned()).collect::<Vec<_>>().join(",");
        let named = |name: &str| users.iter().find(|user| user.first().is_some_and(|known| known == name));
        primary.into_iter().all(|user| trusted(number(user, 2)))
            && members
                .split(',')
                .filter(|name| !name.is_empty())
                .all(|name| trusted(named(name).and_then(|user| number(user, 2))))
    }
}

fn shown(kind: Kind, number: u32) -> String {
    let name = name_of(kind, number).map(|name| format!(" ({name})")).unwrap_or_default();
    format!("the {} {number}{name}", kind.word())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_private_while_nobody_else_is_in_it() {
        let known = |group: &str| Known {
            daemon: 7,
            passwd: "root:x:0:0::/:\nkf:x:7:7::/:\nalice:x:1000:1000::/:\nbob:x:1001:50::/:\n".to_owned(),
            group: group.to_owned(),
        };
        for (group, number, owner, expected) in [
            ("alice:x:1000:\n", 1000, 1000, true),
            ("alice:x:1000:alice,kf\n", 1000, 1000, true),
            ("alice:x:1000:bob\n", 1000, 1000, false),
            ("alice:x:1000:unknown\n", 1000, 1000, false),
            ("staff:x:50:\n", 50, 1000, false),
            ("staff:x:50:\n", 50, 1001, true),
            ("", 4711, 1000, true),
        ] {
            assert_eq!(known(group).is_private(number, owner), expected, "{group} {number} {owner}");
        }
    }
}
