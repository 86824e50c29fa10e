//! Writes the drop-in that a config needs, and says what an operator still has to do before it is in force.

use std::io;
use std::path::{Path, PathBuf};

use super::drop_in::{DropIn, credential_file};
use super::service::Service;
use super::typed::shell_word;
use crate::atomic_file::{self, Attributes};
use crate::secret::fingerprint;

/// Where systemd looks for drop-ins of the administrator.
const DIRECTORY: &str = "/etc/systemd/system/keepfresh.service.d";
/// The only one that is ever written or removed here.
const NAME: &str = "keepfresh-check.conf";
/// No drop-in is longer.
const LARGEST: u64 = 64 * 1024;

const FIRST_LINE: &str = "# Written by `keepfresh check --drop-in`, which also replaces and removes it. Put lines of your own into another file.";
const SECOND_LINE: &str = "# Checksum of what follows: ";

/// What happened to the file.
pub(super) enum Applied {
    Written,
    Removed,
    /// It holds what the config needs already.
    AsItIs,
    /// The service has all that the config needs without this file.
    NotNeeded,
}

impl Applied {
    pub(super) fn sentence(&self) -> String {
        let file = file().display().to_string();
        match self {
            Self::Written => format!("wrote {file}"),
            Self::Removed => format!("removed {file}: the service needs no drop-in any more"),
            Self::AsItIs => format!("{file} is as the config needs it"),
            Self::NotNeeded => {
                format!("the service has all that the config needs; {file} is not written")
            }
        }
    }
}

/// The file that `--drop-in` writes.
pub(super) fn file() -> PathBuf {
    Path::new(DIRECTORY).join(NAME)
}

/// Makes the file what the config needs.
///
/// # Errors
/// Says what to do where a person wrote the file, or this user may not write it.
pub(super) fn apply(needed: Option<&DropIn>, service: &Service) -> Result<Applied, String> {
    let file = file();
    let found = Found::at(&file);
    let needed = needed
        .map(|needed| loadable(needed, service))
        .filter(|needed| !needed.is_empty());
    let Some(needed) = needed else {
        return match found {
            Found::Ours(_) => atomic_file::remove(&file)
                .map(|_| Applied::Removed)
                .map_err(|error| failed(&error)),
            Found::Nothing | Found::Foreign => Ok(Applied::NotNeeded),
        };
    };
    let text = needed.text();
    match found {
        Found::Ours(lines) if lines == text => Ok(Applied::AsItIs),
        Found::Nothing if service.has(&needed) => Ok(Applied::NotNeeded),
        Found::Foreign => Err(format!(
            "{} was written or changed by hand, and is not overwritten: give it another name ending in .conf (mv {} {DIRECTORY}/local.conf), then run this again",
            file.display(),
            file.display()
        )),
        found @ (Found::Nothing | Found::Ours(_)) => {
            write(&file, &text, matches!(found, Found::Ours(_))).map(|()| Applied::Written)
        }
    }
}

/// The commands that remain until the service has what the config needs; none where it has. `check` is the command line that
/// was typed, without its options for output.
pub(super) fn still_to_do(
    needed: Option<&DropIn>,
    service: &Service,
    applied: Option<&Applied>,
    check: &str,
) -> Vec<String> {
    let is_changed = matches!(applied, Some(Applied::Written | Applied::Removed));
    let needed = needed.filter(|needed| !service.has(needed));
    let mut commands = Vec::new();
    let mut is_stale = is_changed || service.must_be_read_anew();
    if let Some(needed) = needed {
        let missing = || credentials_to_place(needed, service);
        commands.extend(missing().map(|name| {
            let place = credential_file(name);
            let (file, place) = (format!("FILE-WITH-{name}"), place.display().to_string());
            format!(
                "install -m 0400 {} {}",
                shell_word(&file),
                shell_word(&place)
            )
        }));
        let text = loadable(needed, service).text();
        let is_written = matches!(Found::at(&file()), Found::Ours(lines) if lines == text);
        if missing().next().is_some() || !(is_written || service.has_read(needed)) {
            commands.push(format!("{check} --drop-in"));
            is_stale = true;
        }
        // Of a first drop-in systemd may not know before it reads the unit again.
        is_stale |= !service.has_read(needed);
    } else if !is_changed {
        return commands;
    }
    if is_stale {
        commands.push("systemctl daemon-reload".to_owned());
    }
    commands.push("systemctl restart keepfresh".to_owned());
    commands
}

/// Without the credentials whose file is not there, for which the service would not start, and those that come from elsewhere.
fn loadable(needed: &DropIn, service: &Service) -> DropIn {
    let own: Vec<String> = match Found::at(&file()) {
        Found::Ours(lines) => lines.lines().map(str::to_owned).collect(),
        Found::Nothing | Found::Foreign => Vec::new(),
    };
    let is_own = |name: &str| {
        let line = format!("LoadCredential={name}:");
        own.iter().any(|own| own.starts_with(&line))
    };
    let credentials = needed
        .credentials
        .iter()
        .filter(|name| credential_file(name).exists() && (is_own(name) || !service.gives(name)));
    DropIn {
        groups: needed.groups.clone(),
        directories: needed.directories.clone(),
        gives_files_away: needed.gives_files_away,
        credentials: credentials.cloned().collect(),
    }
}

fn credentials_to_place<'a>(
    needed: &'a DropIn,
    service: &'a Service,
) -> impl Iterator<Item = &'a String> {
    needed
        .credentials
        .iter()
        .filter(|name| !service.gives(name) && !credential_file(name).exists())
}

/// What lies in the file's place.
enum Found {
    Nothing,
    /// Written here and not changed since: its lines.
    Ours(String),
    Foreign,
}

impl Found {
    fn at(file: &Path) -> Self {
        if let Err(error) = file.symlink_metadata()
            && error.kind() == io::ErrorKind::NotFound
        {
            return Self::Nothing;
        }
        let content = atomic_file::content(file, LARGEST);
        let text = content.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
        let ours = text.and_then(|text| {
            let rest = text.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?;
            let (checksum, lines) = rest.strip_prefix(SECOND_LINE)?.split_once('\n')?;
            (fingerprint(lines.as_bytes()) == checksum).then(|| lines.to_owned())
        });
        ours.map_or(Self::Foreign, Self::Ours)
    }
}

fn write(file: &Path, lines: &str, over_ours: bool) -> Result<(), String> {
    let checksum = fingerprint(lines.as_bytes());
    let text = format!("{FIRST_LINE}\n{SECOND_LINE}{checksum}\n{lines}");
    let attributes = Attributes {
        mode: 0o644,
        owner: None,
        group: None,
    };
    atomic_file::create_directory(Path::new(DIRECTORY), 0o755)
        .map_err(|error| format!("failed to create {DIRECTORY}: {error}{}", as_root()))?;
    let written = if over_ours {
        atomic_file::replace(file, text.as_bytes(), attributes).map(drop)
    } else {
        atomic_file::create(file, text.as_bytes(), attributes)
    };
    written.map_err(|error| failed(&error))
}

fn failed(error: &atomic_file::FileError) -> String {
    format!("failed to {error}{}", as_root())
}

fn as_root() -> &'static str {
    if rustix::process::geteuid().is_root() {
        ""
    } else {
        "; only root may write drop-ins: run it as root"
    }
}
