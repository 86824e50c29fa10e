//! The unit files against systemd's own judges, which need no systemd that runs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "nobody reads the test's copies while they are written"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The exposure that systemd-analyze may find at most, from 0 (safe) to 10.
const MOST_EXPOSED: f64 = 1.5;

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let directory = made_local();
    let mut units = files(directory.path());
    units.retain(|unit| !["catalog", "conf", "sysusers", "tmpfiles"].contains(&extension(unit)));
    assert!(units.len() > 5, "{units:?}");
    let output = analyze(&["verify", "--man=no"], &units);
    assert!(
        output.status.success() && said(&output).is_empty(),
        "{}",
        said(&output)
    );
}

#[test]
fn systemd_has_nothing_to_say_about_the_users_unit() {
    let directory = made_local();
    let output = analyze(
        &["verify", "--user", "--man=no"],
        &files(&directory.path().join("user")),
    );
    assert!(
        output.status.success() && said(&output).is_empty(),
        "{}",
        said(&output)
    );
}

#[test]
fn a_misspelt_key_would_be_noticed() {
    let directory = made_local();
    let unit = directory.path().join("keepfresh.service");
    let text = fs::read_to_string(&unit).unwrap();
    fs::write(&unit, text.replace("WatchdogSec=", "WatchDogSecs=")).unwrap();
    let output = analyze(&["verify", "--man=no"], &[unit]);
    assert!(said(&output).contains("WatchDogSecs"), "{}", said(&output));
}

#[test]
fn the_services_are_hardly_exposed() {
    let directory = made_local();
    for name in ["keepfresh.service", "keepfresh-wait@.service"] {
        let output = analyze(
            &["security", "--offline=yes", "--no-pager"],
            &[directory.path().join(name)],
        );
        let text = said(&output);
        let line = text
            .lines()
            .find(|line| line.contains("Overall exposure level"))
            .unwrap_or_else(|| panic!("{text}"));
        let exposure: f64 = line
            .split(": ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(exposure <= MOST_EXPOSED, "{text}");
    }
}

/// The units in a directory of their own, the examples among them, with programs that are there for those that are not.
fn made_local() -> TempDir {
    let directory = TempDir::new().unwrap();
    fs::create_dir(directory.path().join("user")).unwrap();
    for (from, to) in [("", ""), ("examples", ""), ("user", "user")] {
        for unit in files(&root().join("systemd").join(from)) {
            let text = fs::read_to_string(&unit).unwrap();
            let text = text.replace("/usr/bin/keepfresh", env!("CARGO_BIN_EXE_keepfresh"));
            let text = text.replace("/usr/local/bin/nightly-export", "/bin/true");
            fs::write(
                directory.path().join(to).join(unit.file_name().unwrap()),
                text,
            )
            .unwrap();
        }
    }
    directory
}

/// The files of a directory, those below it left out.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).collect()
}

fn extension(path: &Path) -> &str {
    path.extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default()
}

fn analyze(arguments: &[&str], units: &[PathBuf]) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).args(units).env("NO_COLOR", "1");
    // A user's manager wants to know where the user's things are, whether or not there are any.
    command
        .env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"))
        .env("HOME", env!("CARGO_TARGET_TMPDIR"));
    let output = command.output();
    output.unwrap_or_else(|error| panic!("systemd-analyze: {error}; `make test` installs it"))
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
