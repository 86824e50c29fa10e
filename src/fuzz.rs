//! Every parser of foreign bytes, and the engine, as functions of bytes: none may panic, spin, or break its word.
//!
//! `tests/fuzz` steers them by coverage; what it kept is replayed here, each time the tests run.

use crate::{api, cli, config, logging, provider, publish, schedule, session, store};

/// Takes any bytes at all.
pub type Target = fn(&[u8]);

/// Each target by the name of its directory below `tests/fuzz/corpus`.
pub const TARGETS: [(&str, Target); 18] = [
    ("address", provider::fuzz::address),
    ("answer", provider::fuzz::answer),
    ("browser", cli::fuzz::browser),
    ("calendar", schedule::fuzz),
    ("client", api::client::fuzz),
    ("config", config::fuzz),
    ("engine", session::simulation::arbitrary::fuzz),
    ("format", publish::format::fuzz),
    ("identity", provider::fuzz::identity),
    ("key", provider::fuzz::key),
    ("log", logging::fuzz),
    ("metadata", provider::fuzz::metadata),
    ("profile", provider::fuzz::profile),
    ("record", store::fuzz),
    ("redirect", provider::fuzz::redirect),
    ("request", api::server::fuzz),
    ("state", session::simulation::arbitrary::fuzz_stored),
    ("template", provider::fuzz::template),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, target)| *target)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn whatever_the_fuzzer_kept_does_no_harm() {
        for (name, target) in TARGETS {
            let inputs = files(&corpus().join(name));
            assert!(!inputs.is_empty(), "there is no input for {name}");
            for input in inputs {
                let bytes = std::fs::read(&input).unwrap();
                let survived = std::panic::catch_unwind(|| target(&bytes));
                assert!(survived.is_ok(), "{} fails", input.display());
            }
        }
    }

    #[test]
    fn every_directory_of_inputs_has_its_target() {
        let known: BTreeSet<PathBuf> = TARGETS
            .iter()
            .map(|(name, _)| corpus().join(name))
            .collect();
        assert_eq!(files(&corpus()).into_iter().collect::<BTreeSet<_>>(), known);
    }

    fn corpus() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
    }

    fn files(directory: &Path) -> Vec<PathBuf> {
        let entries = directory
            .read_dir()
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}
