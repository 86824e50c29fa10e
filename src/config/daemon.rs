//! `[daemon]` and `[socket]`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::global::Needs;
use super::report::{Place, Report};
use super::surroundings::Surroundings;
use super::table::Table;
use super::value::{self, bad};
use super::{DaemonConfig, Needed, SocketConfig, keys, paths, principals, secret, zone_named};
use crate::logging::LogTarget;
use crate::secret_source::SecretSource;

/// What `sockaddr_un` holds (unix(7)), less the closing NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// Reads `[daemon]` of the main file and fills in the defaults.
pub(super) fn daemon(
    file: &Path,
    main: Option<&Table<'_>>,
    report: &Report,
    surroundings: &Surroundings,
    needs: &Needs<'_>,
) -> DaemonConfig {
    let table = main.and_then(|main| main.table("daemon"));
    let table = table.as_ref().inspect(|table| table.only(keys::DAEMON));
    let path = |key: &str| {
        table
            .and_then(|table| paths::read_directory(table, key))
            .map(|path| path.value)
    };
    let directory = |key: &str, default: Option<PathBuf>| match path(key).or(default) {
        Some(path) => {
            if let Some(main) = main {
                let place = main.place_within(&["daemon", key]);
                needs.add(
                    format!("daemon.{key}"),
                    &place,
                    Needed::Directory(path.clone()),
                );
            }
            path
        }
        // What a file lacks that cannot be read is not known.
        None if main.is_none_or(|main| main.broken) => PathBuf::from("/"),
        None => no_directory(key, table, report),
    };
    let beside = file.parent().unwrap_or(Path::new("/")).join("providers");
    DaemonConfig {
        runtime_dir: directory("runtime_dir", surroundings.runtime_dir()),
        state_dir: directory("state_dir", surroundings.state_dir()),
        state_key: table.and_then(|table| state_key(table, "state_key", needs)),
        state_key_old: table.and_then(|table| state_key(table, "state_key_old", needs)),
        providers_dir: path("providers_dir")
            .inspect(|path| warn_of_none(path, report))
            .unwrap_or(beside),
        timezone: table.and_then(timezone),
        log: table.and_then(log_target).unwrap_or(LogTarget::Auto),
    }
}

/// A path that is a directory means what lies in it.
fn warn_of_none(providers_dir: &Path, report: &Report) {
    if !providers_dir.is_dir() {
        let shown = providers_dir.display();
        report.warn(format!("daemon.providers_dir: {shown} is no directory: only the compiled-in providers are known"));
    }
}

fn no_directory(key: &str, table: Option<&Table<'_>>, report: &Report) -> PathBuf {
    if table.is_none_or(|table| !table.has(key)) {
        let place = table.map_or(
            Place {
                document: 0,
                span: None,
            },
            |table| table.place.clone(),
        );
        let variable = if key == "state_dir" {
            "$XDG_STATE_HOME nor $HOME"
        } else {
            "$XDG_RUNTIME_DIR"
        };
        let none = if key == "state_dir" { "neither" } else { "no" };
        let help = format!(
            "there is {none} {variable}: set it, or write {key} = \"/path\" under [daemon]"
        );
        report.problem(&place, format!("missing key `daemon.{key}`"), help);
    }
    PathBuf::from("/")
}

fn state_key(table: &Table<'_>, name: &str, needs: &Needs<'_>) -> Option<SecretSource> {
    let key = secret::read(table, name)?;
    needs.add(
        table.name(name),
        &key.place,
        Needed::Secret(key.value.clone()),
    );
    Some(key.value)
}

fn timezone(table: &Table<'_>) -> Option<String> {
    let zone = table.parsed("timezone", |text| match zone_named(Some(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(bad(
            "is no time zone that this machine knows",
            "write an IANA name, such as \"Europe/Vienna\"",
        )),
    });
    zone.map(|zone| zone.value)
}

const LOG_TARGETS: [(&str, LogTarget); 4] = [
    ("auto", LogTarget::Auto),
    ("journald", LogTarget::Journald),
    ("text", LogTarget::Text),
    ("json", LogTarget::Json),
];

/// The words of `log`.
pub(super) fn log_words() -> Vec<&'static str> {
    LOG_TARGETS.into_iter().map(|(word, _)| word).collect()
}

fn log_target(table: &Table<'_>) -> Option<LogTarget> {
    table.one_of("log", &LOG_TARGETS).map(|target| target.value)
}

/// Reads `[socket]` of the main file and fills in the defaults.
pub(super) fn socket(
    main: Option<&Table<'_>>,
    runtime_dir: &Path,
    report: &Report,
) -> SocketConfig {
    let table = main.and_then(|main| main.table("socket"));
    let table = table.as_ref().inspect(|table| table.only(keys::SOCKET));
    let path = table.and_then(|table| paths::read_below(table, "path", runtime_dir));
    let place = path.as_ref().map_or(
        Place {
            document: 0,
            span: None,
        },
        |path| path.place.clone(),
    );
    let path = path.map_or_else(|| runtime_dir.join("keepfresh.sock"), |path| path.value);
    if path.as_os_str().as_bytes().len() > LONGEST_SOCKET_PATH {
        let title = format!(
            "`socket.path` is too long for a unix socket: {}",
            path.display()
        );
        report.problem(
            &place,
            title,
            "use at most 107 bytes in all: set socket.path or daemon.runtime_dir",
        );
    }
    let mode = table
        .and_then(|table| table.quoted("mode", value::mode_as_number, value::mode))
        .map_or(0o666, |mode| mode.value);
    let admins = table
        .and_then(|table| principals::read(table, "admins"))
        .unwrap_or_default();
    SocketConfig { path, mode, admins }
}
