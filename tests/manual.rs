//! The man pages against the argument parser and the two programs that people read them with.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

#[test]
fn every_command_has_a_page_with_all_its_options() {
    let pages = pages();
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        let page = page(&format!("keepfresh-{command}.1"));
        let help = keepfresh(&[&command, "--help"]);
        for option in help.split_whitespace().filter_map(option) {
            let escaped = option.replace('-', "\\-");
            assert!(
                page.contains(&escaped),
                "keepfresh-{command}(1) lacks {option}"
            );
        }
    }
    assert!(
        pages.contains(&"keepfresh.1".to_owned()) && pages.contains(&"keepfresh.5".to_owned()),
        "{pages:?}"
    );
}

#[test]
fn no_page_is_about_a_command_that_is_not_there() {
    let commands = commands();
    for page in pages() {
        if let Some(command) = page
            .strip_prefix("keepfresh-")
            .and_then(|rest| rest.strip_suffix(".1"))
        {
            assert!(commands.iter().any(|known| known == command), "{page}");
        }
    }
}

#[test]
fn every_page_that_a_unit_or_the_catalogue_points_to_is_there() {
    let pages = pages();
    let mut seen = 0;
    for file in [
        "keepfresh.catalog",
        "keepfresh.service",
        "keepfresh.socket",
        "keepfresh-wait@.service",
    ] {
        let text =
            fs::read_to_string(format!("{}/systemd/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        for target in text.split_whitespace().filter_map(|word| {
            word.trim_start_matches("Documentation=")
                .strip_prefix("man:")
        }) {
            let page = target.replace('(', ".").replace(')', "");
            assert!(pages.contains(&page), "{file}: man:{target}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn every_topic_is_a_page_of_man_and_of_the_command_and_is_the_file_in_docs() {
    let help = keepfresh(&["help"]);
    let (_, list) = help.split_once("Topics, ").unwrap();
    let topics: Vec<&str> = list
        .lines()
        .skip(1)
        .filter_map(|row| row.split_whitespace().next())
        .collect();
    assert!(topics.len() > 10, "{topics:?}");
    let docs: Vec<String> = fs::read_dir(format!("{}/docs", env!("CARGO_MANIFEST_DIR")))
        .unwrap()
        .map(|file| fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    for topic in topics {
        let page = page(&format!("keepfresh-{topic}.7"));
        assert!(page.contains("\n.SH DESCRIPTION\n"), "{topic}");
        assert!(docs.contains(&keepfresh(&["help", topic])), "{topic}");
    }
    let unknown = Command::new(env!("CARGO_BIN_EXE_keepfresh"))
        .args(["help", "nonsense"])
        .output()
        .unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn help_on_a_command_is_what_the_command_says_itself() {
    for command in ["status", "exec", "run"] {
        assert_eq!(
            keepfresh(&["help", command]),
            keepfresh(&[command, "--help"])
        );
    }
}

#[test]
fn the_pages_can_be_set_without_a_warning() {
    for name in pages() {
        let page = page(&name);
        for (program, arguments) in [
            ("groff", ["-k", "-man", "-ww", "-z", "-Tutf8"].as_slice()),
            ("mandoc", ["-T", "lint", "-W", "error"].as_slice()),
        ] {
            let said = filter(program, arguments, &page);
            assert!(said.is_empty(), "{program} on {name}:\n{said}");
        }
    }
}

/// The names of the commands, from the list in `--help`.
fn commands() -> Vec<String> {
    let help = keepfresh(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let rows = list.lines().take_while(|line| line.starts_with("  "));
    let names = rows
        .filter(|row| !row.starts_with("   "))
        .filter_map(|row| row.split_whitespace().next());
    names.map(ToOwned::to_owned).collect()
}

fn pages() -> Vec<String> {
    keepfresh(&["manual"])
        .lines()
        .map(ToOwned::to_owned)
        .collect()
}

fn page(name: &str) -> String {
    keepfresh(&["manual", name])
}

/// `--wait` out of `--wait`, `[--wait` or `--wait,`.
fn option(word: &str) -> Option<&str> {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    word.strip_prefix("--")
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|_| word)
}

fn keepfresh(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_keepfresh"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a program says on both channels about a text.
fn filter(program: &str, arguments: &[&str], text: &str) -> String {
    let piped = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child =
        piped.unwrap_or_else(|error| panic!("{program}: {error}; `make test` installs it"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
