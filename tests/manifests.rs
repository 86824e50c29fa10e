//! What runs the image: the Kubernetes manifests and the compose file, against schemas that others wrote.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "nobody reads the test's copies while they are written"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use keepfresh::Credentials;
use tempfile::TempDir;

const KUBERNETES: [&str; 2] = [
    "packaging/kubernetes/keepfresh.yaml",
    "packaging/kubernetes/secret.yaml",
];
const COMPOSE: &str = "packaging/compose/compose.yaml";

/// Validates a compose file, as YAML 1.2 has it, by the schema of its specification.
const BY_THE_COMPOSE_SCHEMA: &str = "
import json, sys, jsonschema, yaml
schema, file = (open(path) for path in sys.argv[1:])
jsonschema.validate(yaml.safe_load(file), json.load(schema))
";

#[test]
fn a_cluster_knows_every_key_of_the_kubernetes_manifests() {
    for manifest in KUBERNETES {
        let output = by_kubernetes(&root().join(manifest));
        assert!(output.status.success(), "{manifest}: {}", said(&output));
    }
    let (_kept, misspelt) = changed(KUBERNETES[0], "replicas:", "replica:");
    let output = by_kubernetes(&misspelt);
    assert!(!output.status.success());
    assert!(said(&output).contains("'replica'"), "{}", said(&output));
}

#[test]
fn composes_schema_knows_every_key_of_the_compose_file() {
    let output = by_compose(&root().join(COMPOSE));
    assert!(output.status.success(), "{}", said(&output));
    let (_kept, misspelt) = changed(COMPOSE, "read_only:", "readonly:");
    let output = by_compose(&misspelt);
    assert!(!output.status.success());
    assert!(said(&output).contains("'readonly'"), "{}", said(&output));
}

#[test]
fn the_config_of_the_kubernetes_manifest_is_good() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config.toml");
    let config = config_of_the_manifest().replace("/etc/keepfresh/secrets/crm-key", "private-key");
    let text = format!("[daemon]\nruntime_dir = \"run\"\nstate_dir = \"state\"\n{config}");
    Credentials::generate()
        .unwrap()
        .write(directory.path(), &text)
        .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_keepfresh"))
        .args(["check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_manifests_run_the_image_of_this_version() {
    let image = concat!("keepfresh:", env!("CARGO_PKG_VERSION"));
    for manifest in [KUBERNETES[0], COMPOSE] {
        let text = read(manifest);
        let named = text
            .lines()
            .filter(|line| line.contains("image:") && line.contains("keepfresh"));
        let named: Vec<&str> = named.collect();
        assert!(
            named.len() == 1 && named[0].ends_with(image),
            "{manifest}: {named:?}"
        );
    }
}

/// The text that the `ConfigMap` holds, less its indentation.
fn config_of_the_manifest() -> String {
    let manifest = read(KUBERNETES[0]);
    let (_, from_the_first_line) = manifest.split_once("  config.toml: |\n").unwrap();
    let (indented, _) = from_the_first_line.split_once("\n---").unwrap();
    let lines = indented.lines().map(str::trim_start);
    lines.collect::<Vec<_>>().join("\n")
}

fn by_kubernetes(manifest: &Path) -> Output {
    Command::new(installed(".venv/bin/kubernetes-validate"))
        .args(["--strict", "--kubernetes-version", "1.37.0"])
        .arg(manifest)
        .output()
        .unwrap()
}

fn by_compose(file: &Path) -> Output {
    Command::new(installed(".venv/bin/python"))
        .args(["-c", BY_THE_COMPOSE_SCHEMA])
        .arg(installed("node_modules/dclint/schemas/compose.schema.json"))
        .arg(file)
        .output()
        .unwrap()
}

/// What tests/install has brought.
fn installed(path: &str) -> PathBuf {
    let path = root().join("tests/clients").join(path);
    assert!(
        path.exists(),
        "run `tests/install test` first, or `make test`"
    );
    path
}

/// A copy of a file with a mistake in it, and the directory that it is gone with.
fn changed(file: &str, from: &str, to: &str) -> (TempDir, PathBuf) {
    let text = read(file);
    assert!(text.contains(from), "{file} has no {from}");
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("changed.yaml");
    fs::write(&copy, text.replacen(from, to, 1)).unwrap();
    (directory, copy)
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
