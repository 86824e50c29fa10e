//! The machine: this program, its service under systemd as it is in force, and the end of its journal.

use std::collections::BTreeMap;

use super::masked;
use crate::cli::systemctl;
use crate::systemd::{UNIT, manages_the_machine};
use crate::users::{Kind, name_of};

/// So many lines of the journal are shown.
const JOURNAL: &str = "40";

/// Of the unit: how it is, and what was given to it.
const PROPERTIES: &str = "LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,NRestarts,StatusText,\
    ActiveEnterTimestamp,FragmentPath,DropInPaths,NeedDaemonReload,User,Group,SupplementaryGroups,ReadWritePaths,BindPaths,\
    ProtectHome,AmbientCapabilities,Environment";

/// What systemd says of the service.
pub(super) struct System {
    unit: BTreeMap<String, String>,
    text: Vec<String>,
    journal: Vec<String>,
    /// `--user ` for a user's own service.
    pub(super) option: &'static str,
    is_systemd: bool,
}

impl System {
    /// The machine's service, or else this user's own.
    pub(super) fn asked() -> Self {
        let mut system = Self {
            unit: BTreeMap::new(),
            text: Vec::new(),
            journal: Vec::new(),
            option: "",
            is_systemd: manages_the_machine(),
        };
        if !system.is_systemd {
            return system;
        }
        for (option, words) in [("", &[][..]), ("--user ", &["--user"][..])] {
            let with =
                |program: &'static str, rest: &[&'static str]| [&[program], words, rest].concat();
            let unit = systemctl::shown(&with(
                "systemctl",
                &["show", UNIT, "--property", PROPERTIES],
            ));
            let is_there = unit
                .get("LoadState")
                .is_some_and(|state| state != "not-found");
            if is_there || option.is_empty() {
                (system.unit, system.option) = (unit, option);
            }
            if is_there {
                let text = systemctl::printed(&with("systemctl", &["cat", "--no-pager", UNIT]));
                system.text = masked::unit(&text.unwrap_or_default());
                let lines = [
                    "--unit",
                    UNIT,
                    "--lines",
                    JOURNAL,
                    "--no-pager",
                    "--quiet",
                    "--output",
                    "short-iso",
                    "_COMM=keepfresh",
                ];
                let journal = systemctl::printed(&with("journalctl", &lines)).unwrap_or_default();
                system.journal = journal.lines().map(str::to_owned).collect();
                break;
            }
        }
        system
    }

    /// One property of the unit; none where there is no unit, or nothing is said.
    pub(super) fn of_unit(&self, name: &str) -> Option<&str> {
        self.unit
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty() && self.has_unit())
    }

    pub(super) fn has_unit(&self) -> bool {
        self.unit
            .get("LoadState")
            .is_some_and(|state| state != "not-found")
    }

    pub(super) fn unit_lines(&self) -> Vec<String> {
        if !self.is_systemd {
            return vec!["systemd does not manage this machine".to_owned()];
        }
        if !self.has_unit() {
            return vec![format!("systemd knows no {UNIT}")];
        }
        let facts = self.unit.iter().filter(|(_, value)| !value.is_empty());
        let facts = facts.map(|(name, value)| match name.as_str() {
            "Environment" => format!(
                "Environment={} (values not shown)",
                self.variables().join(" ")
            ),
            _ => format!("{name}={value}"),
        });
        facts.chain(self.text.iter().cloned()).collect()
    }

    pub(super) fn journal_lines(&self) -> Vec<String> {
        match self.journal.as_slice() {
            [] if self.is_systemd => {
                vec![
                    "nothing that this user may read: `sudo journalctl -u keepfresh -n 40`"
                        .to_owned(),
                ]
            }
            [] => vec!["systemd does not manage this machine".to_owned()],
            lines => lines.to_vec(),
        }
    }

    /// The names of the variables that the unit sets.
    pub(super) fn variables(&self) -> Vec<String> {
        let given = self.unit.get("Environment").map_or("", String::as_str);
        masked::names(given)
    }
}

/// This program, the machine it runs on, and its user.
pub(super) fn program() -> Vec<String> {
    let kernel = rustix::system::uname();
    let user = rustix::process::geteuid().as_raw();
    let name = name_of(Kind::User, user).unwrap_or_else(|| user.to_string());
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or("unknown", |name| name.trim_matches('"'));
    let program = std::env::current_exe()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let kind = if cfg!(debug_assertions) {
        "debug build"
    } else {
        "release build"
    };
    let libc = if cfg!(target_env = "musl") {
        "musl"
    } else {
        "gnu"
    };
    vec![
        format!(
            "keepfresh {}, {kind} for {}-{libc}, {program}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH
        ),
        format!(
            "{release}, {} {}",
            kernel.sysname().to_string_lossy(),
            kernel.release().to_string_lossy()
        ),
        format!("run by the user {name}"),
    ]
}
