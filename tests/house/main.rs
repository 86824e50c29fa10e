//! The rules of the house that a compiler does not hold: where effects may live, which way imports point, what a reader
//! is promised by the docs.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

mod rooms;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use keepfresh::message_id::EVENTS;

/// What the engine may be built from: packages that compute and do nothing else, so that Cargo keeps it from all effects
/// that are not the standard library's.
const PURE: [&str; 7] = [
    "jiff",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "unicode-width",
    "zeroize",
];

/// Clocks, files, sockets, tasks, processes and chance.
const EFFECTS: [&str; 17] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "aws_lc_rs::rand",
    "reqwest",
    "rustix",
    "tokio",
    "tracing",
    "getrandom",
];

/// Kinds of server whose names belong into profiles, not code.
const VENDORS: [&str; 16] = [
    "salesforce",
    "sforce",
    "veeva",
    "snowflake",
    "tableau",
    "vsphere",
    "vmware",
    "redfish",
    "proxmox",
    "jamf",
    "zabbix",
    "okta",
    "splunk",
    "keycloak",
    "qbittorrent",
    "databricks",
];

/// What packages say of their licence, word for word; `make deny` knows what the words mean.
const LICENCES: [&str; 24] = [
    "(Apache-2.0 OR MIT) AND Unicode-3.0",
    "(MIT OR Apache-2.0) AND Unicode-3.0",
    "0BSD OR MIT OR Apache-2.0",
    "Apache-2.0",
    "Apache-2.0 / MIT",
    "Apache-2.0 OR BSL-1.0",
    "Apache-2.0 OR ISC OR MIT",
    "Apache-2.0 OR MIT",
    "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
    "Apache-2.0/MIT",
    "BSD-2-Clause OR Apache-2.0 OR MIT",
    "BSD-3-Clause",
    "CC0-1.0 OR MIT-0 OR Apache-2.0",
    "ISC",
    "ISC AND (Apache-2.0 OR ISC)",
    "ISC AND (Apache-2.0 OR ISC) AND Apache-2.0 AND MIT AND BSD-3-Clause AND (Apache-2.0 OR ISC OR MIT) AND (Apache-2.0 OR ISC OR MIT-0)",
    "MIT",
    "MIT AND BSD-3-Clause",
    "MIT OR Apache-2.0",
    "MIT OR Zlib OR Apache-2.0",
    "MIT-0",
    "MIT/Apache-2.0",
    "Unlicense OR MIT",
    "Zlib OR Apache-2.0 OR MIT",
];

#[test]
fn the_engine_is_pure() {
    let mut found = Vec::new();
    for source in engine() {
        for (number, line) in source.code() {
            if let Some(effect) = EFFECTS.iter().find(|effect| line.contains(**effect)) {
                found.push(format!("{}:{number}: {effect}", source.name()));
            }
        }
    }
    assert_none(
        "the engine has no clock, file, socket, task or chance",
        &found,
    );
}

#[test]
fn the_engine_is_built_from_packages_that_only_compute() {
    let manifest = read("src/engine/Cargo.toml");
    let (program, _) = manifest.split_once("[dev-dependencies]").unwrap();
    let effects = dependencies(program)
        .filter(|name| !PURE.contains(name) && *name != "proptest")
        .map(ToOwned::to_owned);
    assert_none(
        "packages of src/engine/Cargo.toml that are not known to be pure",
        &effects.collect::<Vec<_>>(),
    );
    // It makes lives up for tests, and is no part of the program.
    assert!(manifest.contains("\nsimulation = [\"dep:proptest\""));
    assert!(
        program
            .lines()
            .any(|line| line.starts_with("proptest") && line.contains("optional = true"))
    );
}

#[test]
fn only_the_provider_room_has_an_http_client() {
    let found = lines_with("reqwest", |name| !name.starts_with("src/provider"));
    assert_none("reqwest lives in src/provider only", &found);
}

#[test]
fn the_packages_that_were_agreed_upon_are_used() {
    let agreed = [
        "tokio",
        "tokio_cron_scheduler",
        "reqwest",
        "serde",
        "toml",
        "tracing",
        "tracing_subscriber",
        "signal_hook",
        "sd_notify",
    ];
    let unused: Vec<String> = agreed
        .iter()
        .filter(|package| lines_with(&format!("{package}::"), |_| true).is_empty())
        .map(|package| (*package).to_owned())
        .collect();
    assert_none("the packages that users were told of", &unused);
}

#[test]
fn only_the_clock_reads_clocks() {
    let clocks = [
        "clock_gettime",
        "Timestamp::now",
        "Zoned::now",
        "Instant::now",
        "SystemTime::now",
    ];
    let found: Vec<String> = clocks
        .iter()
        .flat_map(|clock| lines_with(clock, |name| name != "src/clock.rs"))
        .collect();
    assert_none("clocks are read in src/clock.rs", &found);
}

#[test]
fn the_supervisor_reads_the_clock_where_its_loop_waits_and_nowhere_else() {
    // One waits, the other is on its own thread for as long as a disk takes.
    let may = |name: &str| ["src/supervisor/edge.rs", "src/supervisor/disk.rs"].contains(&name);
    let applies = |name: &str| name.starts_with("src/supervisor") && !may(name);
    let found: Vec<String> = ["clock::now", "clock::boottime"]
        .iter()
        .flat_map(|clock| lines_with(clock, applies))
        .collect();
    assert_none("time comes into the supervisor with each turn", &found);
}

#[test]
fn vendors_are_data() {
    // The lists of the files that come along have to name them.
    let is_list =
        |name: &str| ["src/provider/profile/compiled_in.rs", "src/cli/topics.rs"].contains(&name);
    let mut found = Vec::new();
    for source in sources() {
        if source.name().starts_with("src/sandbox") || is_list(&source.name()) {
            continue;
        }
        for (number, line) in source.code() {
            let line = line.to_lowercase();
            let vendor = VENDORS.iter().find(|vendor| line.contains(**vendor));
            found.extend(vendor.map(|vendor| format!("{}:{number}: {vendor}", source.name())));
        }
    }
    assert_none("a new kind of server is a file, not code", &found);
}

#[test]
fn nothing_is_left_lying_about() {
    let litter = [
        "todo!(",
        "unimplemented!(",
        "dbg!(",
        "#[allow(",
        "#![allow(",
        "TODO",
        "FIXME",
        "XXX",
    ];
    let found: Vec<String> = litter
        .iter()
        .flat_map(|it| lines_with(it, |_| true))
        .collect();
    assert_none(
        "no stubs, no notes to self, no lint silenced without a reason",
        &found,
    );
    let modules: Vec<String> = sources()
        .iter()
        .map(Source::name)
        .filter(|name| name.ends_with("/mod.rs"))
        .collect();
    assert_none("foo.rs beside foo/, not mod.rs", &modules);
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = manifests();
    let reasons = read("docs/dependencies.md");
    let named: BTreeSet<&str> = reasons
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let direct: BTreeSet<&str> = dependencies(&manifest).collect();
    assert_none(
        "dependencies without a reason",
        &owned(direct.difference(&named)),
    );
    assert_none(
        "reasons without a dependency",
        &owned(named.difference(&direct)),
    );
}

#[test]
fn every_dependency_is_used() {
    // Chooses by its version what another package builds on.
    const CHOOSES: [&str; 1] = ["idna_adapter"];
    let manifest = manifests();
    let mut paths = Vec::new();
    for room in ["src", "tests", "benches"] {
        walk(&root().join(room), &mut paths);
    }
    let code: String = paths
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let used = |name: &str| {
        let name = name.replace('-', "_");
        CHOOSES.contains(&name.as_str())
            || code.contains(&format!("{name}::"))
            || code.contains(&format!("use {name}"))
    };
    let unused: Vec<String> = dependencies(&manifest)
        .filter(|name| !used(name))
        .map(ToOwned::to_owned)
        .collect();
    assert_none("dependencies that nothing uses", &unused);
}

/// A lock file of its own fell behind, and for weeks the fuzzer was not built. With one, `--locked` refuses what lags.
#[test]
fn what_fuzzes_is_locked_with_what_is_fuzzed() {
    assert!(
        read("Cargo.lock").contains("\nname = \"keepfresh-fuzz\"\n"),
        "run `cargo metadata` to bring it in"
    );
    assert!(
        !root().join("tests/fuzz/Cargo.lock").exists(),
        "remove it: the workspace has one"
    );
}

#[test]
fn every_package_comes_from_the_registry_under_a_licence_that_was_read() {
    let lock = read("Cargo.lock");
    let sources = lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "));
    let foreign = sources.filter(|source| !source.contains("github.com/rust-lang/crates.io-index"));
    assert_none(
        "packages from elsewhere than crates.io",
        &foreign.map(ToOwned::to_owned).collect::<Vec<_>>(),
    );
    let found = licences()
        .into_iter()
        .filter(|(_, licence)| !LICENCES.contains(&licence.as_str()));
    let found: Vec<String> = found
        .map(|(package, licence)| format!("{package}: {licence}"))
        .collect();
    assert_none(
        "licences that nobody has read yet: `make deny` judges them, then they go on the list",
        &found,
    );
}

#[test]
fn every_line_of_the_log_has_an_event_that_the_catalogue_explains() {
    let known: BTreeSet<&str> = EVENTS.iter().map(|(word, _)| *word).collect();
    assert!(
        EVENTS.is_sorted(),
        "EVENTS is searched: keep it in the order of the alphabet"
    );
    let words = read("src/engine/session/event.rs") + &read("src/supervisor/slot/warnings.rs");
    let mut said: BTreeSet<String> = quoted_after(&words, "=> \"").collect();
    let mut without = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.name().starts_with("src/sandbox"))
    {
        let code: String = source.code().flat_map(|(_, line)| [line, "\n"]).collect();
        for call in log_calls(&code) {
            if !call.contains("event = ") {
                without.push(format!("{}: {call}", source.name()));
            }
        }
        said.extend(quoted_after(&code, "event = \""));
        said.extend(quoted_after(&code, "(\"event\", Value::Text(\""));
    }
    assert_none("log lines above DEBUG without `event = …`", &without);
    let unknown: Vec<String> = said
        .iter()
        .filter(|word| !known.contains(word.as_str()))
        .cloned()
        .collect();
    assert_none(
        "events without a MESSAGE_ID in src/logging/message_id.rs (`systemd-id128 new` makes one)",
        &unknown,
    );
    let unsaid: Vec<String> = known
        .iter()
        .filter(|word| !said.contains(**word))
        .map(|it| (*it).to_owned())
        .collect();
    assert_none(
        "events in src/logging/message_id.rs that nothing says",
        &unsaid,
    );
}

#[test]
fn the_catalogue_has_cause_and_remedy_of_every_event() {
    let catalogue = read("systemd/keepfresh.catalog");
    let mut entries = BTreeSet::new();
    let mut poor = Vec::new();
    for entry in catalogue.split("\n\n# ").skip(1) {
        let (word, rest) = entry.split_once("\n-- ").unwrap();
        let (id, rest) = rest.split_once('\n').unwrap();
        entries.insert(format!("{word} {id}"));
        let has_head = rest.starts_with("Subject: ") && rest.contains("\nDefined-By: keepfresh\n");
        let body = rest.split_once("\n\n").map_or("", |(_, body)| body);
        if !has_head || body.starts_with("To do:") || !body.contains("\n\nTo do: ") {
            poor.push(word.to_owned());
        }
    }
    assert_none("entries without subject, cause and remedy", &poor);
    let table: BTreeSet<String> = EVENTS
        .iter()
        .map(|(word, id)| format!("{word} {id}"))
        .collect();
    let differ: Vec<String> = table.symmetric_difference(&entries).cloned().collect();
    assert_none(
        "not both in src/logging/message_id.rs and in systemd/keepfresh.catalog",
        &differ,
    );
    let ids: BTreeSet<&str> = EVENTS.iter().map(|(_, id)| *id).collect();
    assert_eq!(
        ids.len(),
        EVENTS.len(),
        "every event has a number of its own"
    );
}

/// What is in quotes behind each `start`.
fn quoted_after<'t>(text: &'t str, start: &'t str) -> impl Iterator<Item = String> + 't {
    text.split(start)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .map(ToOwned::to_owned)
}

/// The arguments of every `info!`, `warn!` and `error!`.
fn log_calls(code: &str) -> Vec<&str> {
    let names = ["info!(", "warn!(", "error!("];
    let starts = names
        .iter()
        .flat_map(|name| code.match_indices(name).map(|(at, _)| at + name.len()));
    starts
        .filter_map(|start| code.get(start..))
        .map(arguments)
        .collect()
}

/// Up to the parenthesis that closes the one before `text`; those in messages come in pairs.
fn arguments(text: &str) -> &str {
    let mut depth = 1_usize;
    let end = text.find(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    text.get(..end.unwrap_or(text.len())).unwrap()
}

/// A file below `src`.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Its path as `src/…`.
    fn name(&self) -> String {
        self.path
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .into_owned()
    }

    /// Its lines up to the module of tests.
    fn before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_marker = |line: &&str| line.trim() == "#[cfg(test)]";
        let lines: Vec<&str> = self.text.lines().collect();
        // A test module in a file of its own ends nothing, nor does a function for tests: only a module that opens here does.
        let end = lines
            .iter()
            .enumerate()
            .position(|(index, line)| {
                let opens = |next: &&str| next.contains("mod ") && next.ends_with('{');
                is_marker(line) && lines.get(index + 1).is_some_and(opens)
            })
            .unwrap_or(lines.len());
        (1..).zip(lines.into_iter().take(end))
    }

    /// The same without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.before_tests()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

/// Every file below `src` that is part of the program: those of modules that only tests have are left out.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths.sort();
    let all: Vec<Source> = paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path,
        })
        .collect();
    let only_tests: Vec<PathBuf> = all.iter().flat_map(test_modules).collect();
    let is_test = |path: &Path| {
        only_tests
            .iter()
            .any(|module| path.starts_with(module) || path == module.with_extension("rs").as_path())
    };
    all.into_iter()
        .filter(|source| !is_test(&source.path))
        .collect()
}

/// The modules that this file declares under `#[cfg(test)]`, as paths without extension.
fn test_modules(source: &Source) -> Vec<PathBuf> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    lines
        .windows(2)
        .filter(|pair| pair.first() == Some(&"#[cfg(test)]"))
        .filter_map(|pair| pair.last()?.split("mod ").nth(1)?.strip_suffix(';'))
        .map(|module| source.path.with_extension("").join(module))
        .collect()
}

fn engine() -> Vec<Source> {
    let engine: Vec<Source> = sources()
        .into_iter()
        .filter(|source| source.name().starts_with("src/engine/"))
        .collect();
    assert!(engine.len() > 5, "the engine is not where it was");
    engine
}

fn lines_with(needle: &str, applies: impl Fn(&str) -> bool) -> Vec<String> {
    let sources = sources();
    let lines = sources
        .iter()
        .filter(|source| applies(&source.name()))
        .flat_map(|source| {
            source
                .code()
                .filter(|(_, line)| line.contains(needle))
                .map(|(number, _)| (source.name(), number))
        });
    lines
        .map(|(name, number)| format!("{name}:{number}: {needle}"))
        .collect()
}

/// Every package that is built here, with what its manifest says of its licence.
fn licences() -> Vec<(String, String)> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges=normal,build,dev",
            "--prefix=none",
            "--format={p}|{l}",
        ])
        .args([
            "--target",
            &format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let tree = String::from_utf8(tree.stdout).unwrap();
    let packages = tree
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'));
    packages
        .map(|(package, licence)| (package.to_owned(), licence.to_owned()))
        .collect()
}

/// Direct dependencies, those of tests included.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut in_table = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            in_table = line.ends_with("dependencies]");
            return None;
        }
        let (name, _) = line.split_once('=')?;
        let ours = line.contains("path = ");
        (in_table && !ours && !line.starts_with('#')).then_some(name.trim())
    })
}

/// Those of the program and of its engine.
fn manifests() -> String {
    read("Cargo.toml") + "\n" + &read("src/engine/Cargo.toml")
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn owned<'a>(names: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    names.map(|name| (*name).to_owned()).collect()
}

#[track_caller]
fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
