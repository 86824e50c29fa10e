//! Who besides the daemon could change what it obeys and what it writes: legal, since it may be meant, and said.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::{Config, MetricsListen, Need, Needed};
use crate::plain_file;
use crate::program;
use crate::secret_source::SecretSource;
use crate::strangers::{self, Finding, Trusted, Who};
use crate::users::{Kind, named};

/// The bits of a mode.
const BY_GROUP: u32 = 0o020;
const STICKY: u32 = 0o1000;
/// A disk that hangs must not hold up a start or a reload: then nothing is said.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// What is told of that which is refused when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// All of it: a daemon says at its start what it will not use.
    Said,
    /// Nothing: a check reports it as errors.
    SaidElsewhere,
}

/// What is dubious about the modes and owners of all that the config names, in sentences; `daemon` is the user it runs as.
pub(super) fn warnings(config: &Config, daemon: u32, refused: Refused) -> Vec<String> {
    let (files, needs, written) = (config.files.clone(), config.needs.clone(), written(config));
    let (tell, told) = mpsc::channel();
    let look = move || {
        let known = Known {
            daemon,
            passwd: read("/etc/passwd"),
            group: read("/etc/group"),
        };
        // The receiver is gone if the look took too long.
        let _ = tell.send(known.sentences(&used(&files, &needs), &written, refused));
    };
    let started = std::thread::Builder::new()
        .name("modes".to_owned())
        .spawn(look);
    started
        .ok()
        .and_then(|_| told.recv_timeout(LONGEST_LOOK).ok())
        .unwrap_or_default()
}

/// The user that the daemon runs as, as far as a check can know it: root may look for another user.
pub(super) fn presumed_user(state_dir: &Path) -> u32 {
    let own = rustix::process::geteuid();
    own.is_root()
        .then(|| owner(state_dir))
        .flatten()
        .unwrap_or(own.as_raw())
}

/// Whose a directory is.
pub(super) fn owner(directory: &Path) -> Option<u32> {
    fs::metadata(directory).ok().map(|found| found.uid())
}

/// A file that is obeyed, believed or run.
struct Used {
    /// What it is to the daemon.
    what: &'static str,
    /// What a user who changes it can do.
    harm: &'static str,
    /// Whether it is used however it lies there, since the config says so.
    in_any_case: bool,
}

fn used(files: &[PathBuf], needs: &[Need]) -> BTreeMap<PathBuf, Used> {
    let runs = "a user who does can make keepfresh run programs";
    let mut all = BTreeMap::new();
    for file in files {
        all.insert(
            file.clone(),
            Used {
                what: "the config",
                harm: runs,
                in_any_case: false,
            },
        );
    }
    for need in needs {
        match &need.what {
            Needed::Secret(SecretSource::File {
                path,
                insecure_mode: in_any_case,
            })
            | Needed::PrivateKey(SecretSource::File {
                path,
                insecure_mode: in_any_case,
            }) => {
                let (what, harm) = (
                    "the secret file",
                    "a user who does can make the daemon log in as another user",
                );
                all.insert(
                    path.clone(),
                    Used {
                        what,
                        harm,
                        in_any_case: *in_any_case,
                    },
                );
            }
            Needed::Secret(SecretSource::Command(argv))
            | Needed::PrivateKey(SecretSource::Command(argv))
            | Needed::Program(argv) => {
                let program = || Used {
                    what: "the program",
                    harm: runs,
                    in_any_case: false,
                };
                all.extend(
                    program::files(argv, None)
                        .into_iter()
                        .map(|file| (file, program())),
                );
            }
            Needed::Certificates(path) => {
                let (what, harm) = (
                    "the file of certificates",
                    "a user who does can pose as a server",
                );
                all.insert(
                    path.clone(),
                    Used {
                        what,
                        harm,
                        in_any_case: false,
                    },
                );
            }
            Needed::Secret(SecretSource::Credential(_) | SecretSource::Env(_))
            | Needed::PrivateKey(SecretSource::Credential(_) | SecretSource::Env(_))
            | Needed::Directory(_)
            | Needed::Published { .. } => {}
        }
    }
    all
}

/// A directory that the daemon writes in.
struct Written {
    /// What it is to the daemon.
    what: &'static str,
    /// Who may own it besides root and the daemon.
    owner: Option<u32>,
    /// What a user who changes it can do.
    harm: &'static str,
}

fn written(config: &Config) -> BTreeMap<PathBuf, Written> {
    let mut all = BTreeMap::new();
    let hands_out = "a user who does can replace the token";
    for sink in config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter())
    {
        if let Some(directory) = sink.path.parent() {
            let what = "the directory of token files";
            all.insert(
                directory.to_owned(),
                Written {
                    what,
                    owner: sink.owner,
                    harm: hands_out,
                },
            );
        }
    }
    let daemon = &config.daemon;
    let socket = "a user who does can replace the socket";
    let scraped = match &config.metrics {
        Some(MetricsListen::Unix(path)) => Some(path),
        Some(MetricsListen::Address { .. }) | None => None,
    };
    let sockets = [
        ("the socket's directory", Some(&config.socket.path)),
        ("the directory of the socket for scrapers", scraped),
    ];
    for (what, path) in sockets {
        if let Some(directory) = path.and_then(|path| path.parent()) {
            all.insert(
                directory.to_owned(),
                Written {
                    what,
                    owner: None,
                    harm: socket,
                },
            );
        }
    }
    let runtime = Written {
        what: "the runtime directory",
        owner: None,
        harm: socket,
    };
    all.insert(daemon.runtime_dir.clone(), runtime);
    let harm = "a user who does can remove the state";
    all.insert(
        daemon.state_dir.clone(),
        Written {
            what: "the state directory",
            owner: None,
            harm,
        },
    );
    all
}

/// Who the daemon is, and who else there is.
struct Known {
    daemon: u32,
    passwd: String,
    group: String,
}

impl Known {
    /// Each place is told of once, under the first that it matters to.
    fn sentences(
        &self,
        used: &BTreeMap<PathBuf, Used>,
        written: &BTreeMap<PathBuf, Written>,
        refused: Refused,
    ) -> Vec<String> {
        let trusted = Trusted::to_run().and(self.daemon);
        let mut told = BTreeSet::new();
        let mut sentences = Vec::new();
        for (path, directory) in written {
            if let Some(sentence) = directory.finding(path, self) {
                told.insert(path.clone());
                sentences.push(sentence);
            }
        }
        let mut tell = |what: &str, path: &Path, harm: &str, finding: &Finding| {
            if self.is_dubious(finding) && told.insert(finding.place.clone()) {
                let (path, remedy) = (path.display(), finding.remedy());
                sentences.push(format!("{what} {path} {finding}: {harm}: {remedy}"));
            }
        };
        for (path, file) in used {
            let findings = strangers::findings(path, &trusted).into_iter();
            let said = |finding: &Finding| {
                !finding.is_refused() || file.in_any_case || refused == Refused::Said
            };
            findings
                .filter(said)
                .for_each(|finding| tell(file.what, path, file.harm, &finding));
        }
        for (path, directory) in written {
            let above = path
                .parent()
                .map(|above| strangers::findings(above, &trusted))
                .unwrap_or_default();
            let its_own = |finding: &Finding| {
                directory
                    .owner
                    .is_some_and(|owner| finding.who == Who::User(owner))
            };
            above
                .iter()
                .filter(|it| !its_own(it))
                .for_each(|it| tell(directory.what, path, directory.harm, it));
        }
        sentences
    }

    fn is_dubious(&self, finding: &Finding) -> bool {
        match finding.who {
            Who::Everybody | Who::User(_) => true,
            Who::Group(group) => !self.is_private(group, finding.owner),
        }
    }
}

impl Written {
    /// The sentence, if there is something to say; what is not there yet is made in order.
    fn finding(&self, path: &Path, known: &Known) -> Option<String> {
        let found = fs::metadata(path)
            .ok()
            .filter(|_| !strangers::is_on_read_only_mount(path))?;
        let (who, remedy) = self.stranger(&found, known)?;
        let mode = found.mode() & 0o7777;
        Some(format!(
            "{} {}: {who} can write there (mode {mode:04o}): {}: {remedy}",
            self.what,
            path.display(),
            self.harm
        ))
    }

    fn stranger(&self, found: &Metadata, known: &Known) -> Option<(String, &'static str)> {
        let (owner, group, mode) = (found.uid(), found.gid(), found.mode());
        if owner != 0 && owner != known.daemon && Some(owner) != self.owner {
            let remedy = "give it to root, or to the daemon's user";
            return Some((format!("the user {}", named(Kind::User, owner)), remedy));
        }
        if plain_file::is_open_to_all(found) && mode & STICKY != 0 {
            return Some((
                "every user".to_owned(),
                "name a directory below it, which only the daemon can write in",
            ));
        }
        if plain_file::is_open_to_all(found) {
            return Some(("every user".to_owned(), "take that away with `chmod o-w`"));
        }
        if mode & BY_GROUP != 0 && group != 0 && !known.is_private(group, owner) {
            let remedy = "take that away with `chmod g-w`";
            return Some((format!("the group {}", named(Kind::Group, group)), remedy));
        }
        None
    }
}

impl Known {
    /// Whether the group has no members but the owner and the daemon, as far as the files tell.
    fn is_private(&self, group: u32, owner: u32) -> bool {
        let trusted = |user: Option<u32>| {
            user.is_some_and(|user| user == owner || user == self.daemon || user == 0)
        };
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let number =
            |fields: &[String], at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok());
        let users: Vec<Vec<String>> = self.passwd.lines().map(fields).collect();
        let primary = users.iter().filter(|user| number(user, 3) == Some(group));
        let members = self
            .group
            .lines()
            .map(fields)
            .filter(|entry| number(entry, 2) == Some(group));
        let members = members
            .filter_map(|entry| entry.get(3).cloned())
            .collect::<Vec<_>>()
            .join(",");
        let named = |name: &str| {
            users
                .iter()
                .find(|user| user.first().is_some_and(|known| known == name))
        };
        primary.into_iter().all(|user| trusted(number(user, 2)))
            && members
                .split(',')
                .filter(|name| !name.is_empty())
                .all(|name| trusted(named(name).and_then(|user| number(user, 2))))
    }
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
            passwd: "root:x:0:0::/:\nkf:x:7:7::/:\nalice:x:1000:1000::/:\nbob:x:1001:50::/:\n"
                .to_owned(),
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
            assert_eq!(
                known(group).is_private(number, owner),
                expected,
                "{group} {number} {owner}"
            );
        }
    }
}
