//! The service as systemd has it in force: what of a drop-in its process has, and what systemd has read of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::StatVfsMountFlags;

use super::drop_in::DropIn;
use crate::cli::systemctl;
use crate::systemd::UNIT;

/// `CAP_CHOWN` among the bits of capabilities.
const CAP_CHOWN: u64 = 1;

/// What is asked for. Names that a version of systemd does not know are left out of its answer.
const PROPERTIES: &str = "--property=LoadState,MainPID,NeedDaemonReload,ExecStart,SupplementaryGroups,ReadWritePaths,\
                          BindPaths,AmbientCapabilities,LoadCredential,LoadCredentialEncrypted,SetCredential,\
                          SetCredentialEncrypted";

/// The unit `keepfresh.service` of the system.
pub(super) struct Service {
    properties: BTreeMap<String, String>,
    /// None while it does not run.
    process: Option<Process>,
}

/// The daemon that systemd runs.
struct Process {
    /// Below /proc.
    place: PathBuf,
    groups: BTreeSet<u32>,
    capabilities: u64,
}

impl Service {
    /// Asks systemd; none where it does not run, or does not know the unit.
    pub(super) fn find() -> Option<Self> {
        let properties = systemctl::shown(&["systemctl", "show", UNIT, PROPERTIES]);
        let property = |name: &str| properties.get(name).map(String::as_str);
        let process = property("MainPID")
            .and_then(|number| number.parse().ok())
            .and_then(Process::find);
        (property("LoadState") == Some("loaded")).then_some(Self {
            properties,
            process,
        })
    }

    /// Whether the service reads this config.
    pub(super) fn reads(&self, config: &Path) -> bool {
        let command = self.property("ExecStart");
        let mut words = command
            .split(';')
            .find_map(|part| part.trim().strip_prefix("argv[]="))
            .unwrap_or_default()
            .split_whitespace()
            .skip_while(|word| *word != "--config");
        let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        words
            .nth(1)
            .is_none_or(|named| real(Path::new(named)) == real(config))
    }

    /// Whether files of the unit have changed since systemd has read them.
    pub(super) fn must_be_read_anew(&self) -> bool {
        self.property("NeedDaemonReload") == "yes"
    }

    /// Whether all of it is in force: in the process that runs, or else for the next one.
    pub(super) fn has(&self, needed: &DropIn) -> bool {
        match &self.process {
            Some(process) => process.has(needed, |directory| self.lets_write(directory)),
            None => self.has_read(needed),
        }
    }

    /// Whether systemd has read all of it, so that a restart brings it into force.
    pub(super) fn has_read(&self, needed: &DropIn) -> bool {
        let is_listed = |property: &str, wanted: &str| {
            self.property(property)
                .split_whitespace()
                .any(|word| word == wanted)
        };
        let mut groups = needed.groups.iter();
        let has_groups = groups.all(|(name, number)| {
            is_listed("SupplementaryGroups", name)
                || is_listed("SupplementaryGroups", &number.to_string())
        });
        let mut directories = needed.directories.iter();
        has_groups
            && directories.all(|directory| self.lets_write(directory))
            && (!needed.gives_files_away || is_listed("AmbientCapabilities", "cap_chown"))
            && needed.credentials.iter().all(|name| self.gives(name))
    }

    /// Whether systemd has read a drop-in by which the daemon may write in this directory.
    fn lets_write(&self, directory: &Path) -> bool {
        let listed = |property: &str| -> Vec<PathBuf> {
            self.property(property)
                .split_whitespace()
                .map(|word| word.trim_start_matches(['-', '+']))
                // Of what is bound, the place where it is seen.
                .map(|word| word.split(':').nth(1).unwrap_or(word).into())
                .collect()
        };
        ["ReadWritePaths", "BindPaths"]
            .into_iter()
            .flat_map(listed)
            .any(|place| directory.starts_with(place))
    }

    /// Whether systemd has read from where this credential comes.
    pub(super) fn gives(&self, credential: &str) -> bool {
        [
            "LoadCredential",
            "LoadCredentialEncrypted",
            "SetCredential",
            "SetCredentialEncrypted",
        ]
        .into_iter()
        .flat_map(|property| self.property(property).split_whitespace())
        .any(|word| word.split(':').next() == Some(credential))
    }

    fn property(&self, name: &str) -> &str {
        self.properties
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }
}

impl Process {
    fn find(number: u32) -> Option<Self> {
        let place = Path::new("/proc").join(number.to_string());
        let status = fs::read_to_string(place.join("status"))
            .ok()
            .filter(|_| number > 0)?;
        let line = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or_default()
        };
        Some(Self {
            groups: [line("Gid:"), line("Groups:")]
                .into_iter()
                .flat_map(str::split_whitespace)
                .filter_map(|number| number.parse().ok())
                .collect(),
            capabilities: u64::from_str_radix(line("CapEff:").trim(), 16).unwrap_or_default(),
            place,
        })
    }

    /// What this user may not see of the process is left to `is_read`, what systemd has read.
    fn has(&self, needed: &DropIn, is_read: impl Fn(&Path) -> bool) -> bool {
        let root = self.place.join("root");
        let can_be_seen = fs::metadata(&root).is_ok();
        let mut directories = needed.directories.iter();
        let mut credentials = needed.credentials.iter();
        needed
            .groups
            .iter()
            .all(|(_, number)| self.groups.contains(number))
            && (!needed.gives_files_away || self.capabilities & CAP_CHOWN != 0)
            && directories.all(|directory| {
                if can_be_seen {
                    is_writable_below(&root, directory)
                } else {
                    is_read(directory)
                }
            })
            && (!can_be_seen
                || credentials.all(|name| {
                    root.join("run/credentials/keepfresh.service")
                        .join(name)
                        .exists()
                }))
    }
}

/// Whether the directory is the same one below the root of a process, on a mount that can be written.
fn is_writable_below(root: &Path, directory: &Path) -> bool {
    // A link in its path would lead out of that root.
    let Ok(real) = fs::canonicalize(directory) else {
        return false;
    };
    let seen = root.join(real.strip_prefix("/").unwrap_or(&real));
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let is_same =
        matches!((identity(&real), identity(&seen)), (Ok(one), Ok(other)) if one == other);
    is_same
        && rustix::fs::statvfs(&seen)
            .is_ok_and(|mount| !mount.f_flag.contains(StatVfsMountFlags::RDONLY))
}
