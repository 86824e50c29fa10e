//! What README and docs claim, as far as a machine can check it.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use keepfresh::problem::{Kind, Problem};
use keepfresh::{Credentials, Sandbox, SandboxSettings as Settings};
use keepfresh::{SessionStatus, TokenAnswer};
use serde_json::Value;

/// Pages whose commands and links are tried, beside those of `docs/`.
const PAGES: [&str; 3] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

#[test]
fn every_command_line_parses() {
    let mut seen = 0;
    for page in pages() {
        for line in command_lines(&read(&page)) {
            // Help comes last: whatever the parser does not know before it is an error.
            let own = line
                .split_whitespace()
                .skip(1)
                .take_while(|word| *word != "--");
            let output = keepfresh(own.chain(["--help"]));
            assert!(
                output.status.success(),
                "{page}: {line}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            seen += 1;
        }
    }
    assert!(
        seen > 30,
        "only {seen} command lines found: are they looked for in the right way?"
    );
}

/// Every user can write records with any fields; only the unit is the journal's own word.
#[test]
fn every_look_into_the_journal_asks_for_the_units_records_alone() {
    let mut seen = 0;
    for page in pages() {
        for (number, line) in read(&page).lines().enumerate() {
            let looks = line
                .match_indices("journalctl -")
                .map(|(at, _)| &line[at..]);
            for look in looks.filter(|look| !look.contains("--update-catalog")) {
                assert!(
                    look.contains("-u keepfresh"),
                    "{page}:{}: {line}",
                    number + 1
                );
                seen += 1;
            }
            assert!(!line.contains("journalctl SESSION") && !line.contains("journalctl EVENT"));
        }
    }
    assert!(
        seen > 8,
        "only {seen} found: are they looked for in the right way?"
    );
}

#[test]
fn every_config_is_good() {
    let directory = tempfile::tempdir().unwrap();
    let schema = written_schema(directory.path());
    let credentials = Credentials::generate().unwrap();
    let mut whole = String::new();
    let pages = [
        "README.md",
        "docs/salesforce.md",
        "docs/login.md",
        "docs/oauth2.md",
        "docs/publishing.md",
        "docs/sandbox.md",
    ];
    for page in pages {
        let configs = blocks(&read(page))
            .into_iter()
            .filter(|(language, _)| language == "toml");
        for (_, block) in configs.filter(|(_, block)| !is_profile(block)) {
            let config = fitted(&block);
            // A fragment belongs to the config before it.
            whole = if config.contains("provider") {
                config
            } else {
                format!("{whole}\n{config}")
            };
            let text = format!("[daemon]\nruntime_dir = \"run\"\nstate_dir = \"state\"\n{whole}");
            credentials.write(directory.path(), &text).unwrap();
            let file = directory.path().join("config.toml");
            let output = keepfresh(["check", "--config", &file.to_string_lossy()]);
            assert!(
                output.status.success(),
                "{page}:\n{block}\n{}",
                String::from_utf8_lossy(&output.stderr)
            );
            let output = taplo(&schema, &file);
            assert!(
                output.status.success(),
                "{page}:\n{block}\n{}",
                lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn an_editor_takes_the_example_and_marks_a_mistake_in_it_at_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let schema = written_schema(directory.path());
    let good = read("config.example.toml");
    let file = directory.path().join("config.toml");
    let judged = |text: &str| {
        let mut written = fs::File::create(&file).unwrap();
        written.write_all(text.as_bytes()).unwrap();
        taplo(&schema, &file)
    };
    let output = judged(&good);
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    for (from, to, part) in [
        (
            "survive_outage =",
            "survive_outtage =",
            "'survive_outtage' was unexpected",
        ),
        (
            "idle_timeout = \"2h\"",
            "idle_timeout = 7200",
            "7200 is not of type",
        ),
        (
            "connect_timeout = \"5s\"",
            "connect_timeout = \"5 parsecs\"",
            "5 parsecs",
        ),
        ("log = \"auto\"", "log = \"syslog\"", "syslog"),
        ("client_id =", "clientid =", "'clientid' was unexpected"),
    ] {
        let line = good
            .lines()
            .position(|line| line.starts_with(from))
            .unwrap()
            + 1;
        let output = judged(&good.replacen(from, to, 1));
        let told = lossy(&output.stderr);
        assert!(!output.status.success(), "{to}");
        assert!(told.contains(part), "{to}: {told}");
        assert!(
            told.contains(&format!("config.toml:{line}:")),
            "{to}: {told}"
        );
    }
}

#[test]
fn an_editor_takes_a_profile_of_ones_own_and_marks_a_slip_in_it_at_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema_of(directory.path(), &["schema", "--profile"]);
    let file = directory.path().join("acme.toml");
    let (_, good) = blocks(&read("docs/providers.md"))
        .into_iter()
        .find(|(_, block)| is_profile(block))
        .unwrap();
    for (from, to, part) in [
        ("", "", ""),
        (
            "idle_timeout =",
            "idle_timeot =",
            "'idle_timeot' was unexpected",
        ),
        ("protocol = \"http\"", "protocol = \"htp\"", "\"htp\""),
        ("status = 200", "status = \"200\"", "not of type"),
    ] {
        let line = good.lines().position(|line| line.starts_with(from));
        let mut written = fs::File::create(&file).unwrap();
        let text = good.replacen(from, to, 1);
        written.write_all(text.as_bytes()).unwrap();
        let output = taplo(&schema, &file);
        let told = lossy(&output.stderr);
        assert_eq!(output.status.success(), from.is_empty(), "{to}: {told}");
        let place = format!("acme.toml:{}:", line.unwrap() + 1);
        assert!(
            from.is_empty() || told.contains(part) && told.contains(&place),
            "{to}: {told}"
        );
    }
}

/// What `keepfresh schema` prints, in a file.
fn written_schema(directory: &Path) -> PathBuf {
    schema_of(directory, &["schema"])
}

fn schema_of(directory: &Path, command: &[&str]) -> PathBuf {
    let printed = keepfresh(command.iter().copied());
    assert!(printed.status.success(), "{}", lossy(&printed.stderr));
    let file = directory.join("schema.json");
    let mut written = fs::File::create(&file).unwrap();
    written.write_all(&printed.stdout).unwrap();
    file
}

/// What editors run, on one file.
fn taplo(schema: &Path, config: &Path) -> Output {
    let program = root().join("tests/clients/.venv/bin/taplo");
    assert!(
        program.exists(),
        "run `tests/install test` first, or `make test`"
    );
    Command::new(program)
        .args(["check", "--schema"])
        .arg(format!("file://{}", schema.display()))
        .arg(config)
        .current_dir(config.parent().unwrap())
        .output()
        .unwrap()
}

#[test]
fn every_profile_is_good() {
    let directory = tempfile::tempdir().unwrap();
    let page = read("docs/oauth2.md");
    for (_, block) in blocks(&page)
        .into_iter()
        .filter(|(_, block)| is_profile(block))
    {
        let name = block.split('"').nth(1).unwrap();
        let file = directory.path().join(format!("{name}.toml"));
        fs::File::create(&file)
            .unwrap()
            .write_all(block.as_bytes())
            .unwrap();
        let output = keepfresh(["providers", "--check", &file.to_string_lossy()]);
        assert!(
            output.status.success(),
            "{block}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn every_server_of_the_tests_is_described() {
    let page = read("docs/profiles.md");
    let told: BTreeSet<&str> = page
        .split('`')
        .filter(|it| it.starts_with("session_servers/"))
        .collect();
    let files = fs::read_dir(root().join("tests/acceptance/session_servers")).unwrap();
    let files: BTreeSet<String> = files
        .map(|file| {
            format!(
                "session_servers/{}",
                file.unwrap().file_name().to_string_lossy()
            )
        })
        .collect();
    assert_eq!(told, files.iter().map(String::as_str).collect());
}

#[test]
fn every_target_of_make_that_a_page_names_is_there() {
    let makefile = read("Makefile");
    let mut seen = 0;
    for page in pages() {
        let text = read(&page);
        for span in text.split('`').skip(1).step_by(2) {
            let Some(target) = span.strip_prefix("make ") else {
                continue;
            };
            let target = target.split_whitespace().next().unwrap_or_default();
            let is_there = makefile
                .lines()
                .any(|line| line.starts_with(&format!("{target}:")));
            assert!(is_there, "{page}: make has no target {target}");
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} targets found");
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        for target in links(&read(&page)) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() {
                root().join(&page)
            } else {
                root().join(&page).parent().unwrap().join(file)
            };
            assert!(path.exists(), "{page}: {target}");
            let headings = fs::read_to_string(&path).unwrap();
            let headings: BTreeSet<String> = headings.lines().filter_map(slug).collect();
            assert!(
                anchor.is_empty() || headings.contains(anchor),
                "{page}: no heading for {target}"
            );
        }
    }
}

#[test]
fn the_picture_of_the_readme_has_the_shape_of_the_screen() {
    let directory = tempfile::tempdir().unwrap();
    let drawn = directory.path().join("watch.svg");
    let picture = root().join("packaging/picture");
    let output = Command::new(picture)
        .arg(env!("CARGO_BIN_EXE_keepfresh"))
        .arg(&drawn)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    let (drawn, kept) = (fs::read_to_string(drawn).unwrap(), read("docs/watch.svg"));
    for part in [
        "3 sessions:",
        "1 needs attention",
        ">crm<",
        ">erp<",
        "ping in 31 min",
        ">✖<",
        ">▲<",
        ">◆<",
        ">○<",
        "quits",
    ] {
        assert!(
            drawn.contains(part) && kept.contains(part),
            "{part}: run `make picture`, look at docs/watch.svg"
        );
    }
    let lines = |picture: &str| picture.lines().count();
    let least = lines(&drawn) * 3 / 4;
    assert!(
        lines(&kept) >= least && lines(&kept) * 3 / 4 <= lines(&drawn),
        "run `make picture`"
    );
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let help = String::from_utf8(keepfresh(["--help"]).stdout).unwrap();
    let (_, told) = help.split_once("Exit codes:\n").unwrap();
    let told: BTreeMap<&str, &str> = told
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
        .collect();
    let page = read("docs/troubleshooting.md");
    let table: BTreeMap<&str, &str> = rows(&page, "## Exit codes")
        .into_iter()
        .map(|row| (row[0], row[1]))
        .collect();
    assert_eq!(table, told);
}

#[test]
fn the_problem_types_are_those_of_the_socket() {
    let page = read("docs/api.md");
    let mut documented = BTreeSet::new();
    for row in rows(&page, "## Problems") {
        let name = row[0].trim_matches('`');
        let kind: Kind = serde_json::from_value(name.into()).unwrap();
        assert_ne!(kind, Kind::Unknown, "{name}");
        assert_eq!(Problem::new(kind, "").status.to_string(), row[1], "{name}");
        documented.insert(name.to_owned());
    }
    assert_eq!(documented, kinds());
}

#[test]
fn the_answers_shown_have_exactly_the_fields_of_the_real_ones() {
    let page = read("docs/api.md");
    let status = shown(&page, "\"state\"");
    let read: SessionStatus = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), status);
    let token = shown(&page, "\"access_token\"");
    let read: TokenAnswer = serde_json::from_value(token.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), token);
}

#[test]
fn the_description_has_every_path_of_the_server_and_no_other() {
    let source = read("src/api/server/routes.rs");
    let routes = source
        .split(".route(")
        .filter_map(|route| route.trim_start().strip_prefix('"')?.split_once("\","));
    let served: BTreeSet<(String, String)> = routes
        .flat_map(|(path, handlers)| {
            let methods = ["get", "post", "put", "delete"].into_iter();
            methods
                .filter(|it| handlers.contains(&format!("{it}(")))
                .map(|it| (path.to_owned(), it.to_owned()))
        })
        .collect();
    let description = description();
    let described: BTreeSet<(String, String)> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .keys()
                .map(|method| (path.clone(), method.clone()))
        })
        .filter(|(_, method)| method != "parameters")
        .collect();
    assert!(served.len() > 10, "{served:?}");
    assert_eq!(
        described, served,
        "docs/openapi.json is on the left, the server's routes are on the right"
    );
}

#[test]
fn the_description_knows_the_problems_and_fields_of_the_socket() {
    let description = description();
    let schema = |name: &str| description["components"]["schemas"][name].clone();
    let told: BTreeSet<String> =
        serde_json::from_value(schema("Problem")["properties"]["type"]["enum"].clone()).unwrap();
    assert_eq!(told, kinds());
    let fields = |name: &str| {
        schema(name)["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        fields("Token"),
        TokenAnswer::FIELDS.map(ToOwned::to_owned).into()
    );
    let session = shown(&read("docs/api.md"), "\"state\"");
    assert_eq!(
        fields("Session"),
        session.as_object().unwrap().keys().cloned().collect()
    );
}

#[test]
fn the_description_is_openapi() {
    let validator = root().join("tests/clients/.venv/bin/openapi-spec-validator");
    assert!(
        validator.exists(),
        "run `tests/install test` first, or `make test`"
    );
    let output = Command::new(validator)
        .args(["--schema", "3.1", "docs/openapi.json"])
        .current_dir(root())
        .output();
    let output = output.unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        lossy(&output.stdout),
        lossy(&output.stderr)
    );
}

#[tokio::test]
async fn every_control_of_the_drills_is_taken_by_the_sandbox() {
    let sandbox = Sandbox::start(Settings::default()).await.unwrap();
    let page = read("docs/sandbox.md");
    let orders: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("$ sandbox "))
        .collect();
    assert!(orders.len() >= 6, "{orders:?}");
    for order in orders {
        let (control, body) = order.split_once(' ').unwrap_or((order, "'{}'"));
        let body: Value = serde_json::from_str(body.trim_matches('\'')).unwrap();
        sandbox
            .control(control, body)
            .unwrap_or_else(|error| panic!("{order}: {error}"));
    }
    sandbox.stop().await;
}

#[test]
fn every_metric_is_listed_with_what_it_says() {
    let page = read("docs/operations.md");
    let listed: Vec<(String, String)> = rows(&page, "## Metrics")
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].to_owned()))
        .collect();
    let exposed: Vec<(String, String)> = keepfresh::names_of_metrics()
        .into_iter()
        .map(|(name, help)| (name, help.to_owned()))
        .collect();
    assert_eq!(listed, exposed);
}

#[test]
fn every_alert_has_a_paragraph_on_what_to_do() {
    let rules = read("packaging/prometheus/keepfresh.rules.yml");
    let alerts: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let page = read("docs/operations.md");
    let headings: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    assert_eq!(alerts, headings);
}

#[test]
fn the_map_shows_every_module_and_no_other() {
    let map = read("docs/ARCHITECTURE.md");
    let spans: BTreeSet<&str> = map.split('`').skip(1).step_by(2).collect();
    for module in modules() {
        assert!(
            spans.contains(module.as_str()),
            "{module} is not on the map"
        );
    }
    let mut paths = 0;
    for path in spans.iter().filter(|span| is_module_path(span)) {
        let path = path.trim_end_matches("/*");
        let found = [
            root().join("src").join(path),
            root().join("src").join(format!("{path}.rs")),
            root().join("src/engine").join(path),
            root().join(path),
        ];
        assert!(
            found.iter().any(|path| path.exists()),
            "{path} is on the map, but not there"
        );
        paths += 1;
    }
    assert!(paths > 10, "only {paths} paths found");
}

/// `docs/PAGE.md, "HEADING"` in a comment is where a fact comes from.
#[test]
fn what_a_comment_cites_is_a_page_and_a_heading_of_this_repository() {
    let mut code = String::new();
    for directory in ["src", "tests/acceptance"] {
        gather(&root().join(directory), &mut code);
    }
    let mut cited = 0;
    for rest in code.split("(docs/").skip(1) {
        let Some((citation, _)) = rest.split_once(')') else {
            continue;
        };
        // A long one goes on in the next line of its comment.
        let citation = citation
            .lines()
            .map(|line| line.trim_start().trim_start_matches('/').trim())
            .collect::<Vec<_>>()
            .join(" ");
        let (page, heading) = match citation.split_once(", \"") {
            Some((page, heading)) => (page, heading.trim_end_matches('"')),
            None => (citation.as_str(), ""),
        };
        if Path::new(page).extension() != Some("md".as_ref()) {
            continue;
        }
        let text = read(&format!("docs/{page}"));
        let is_there = heading.is_empty() || text.contains(&format!("\n## {heading}\n"));
        assert!(is_there, "docs/{page} has no heading {heading:?}");
        cited += 1;
    }
    assert!(cited > 6, "only {cited} citations found");
    for elsewhere in ["facts.md", "(facts ", "design section", "design.md"] {
        assert!(
            !code.contains(elsewhere),
            "{elsewhere} is not in this repository: cite a page of docs/"
        );
    }
}

#[test]
fn the_diagrams_of_a_session_name_every_state_that_the_code_has() {
    let mut code = String::new();
    gather(&root().join("src"), &mut code);
    let page = read("docs/ARCHITECTURE.md");
    let (_, of_phases) = page.split_once("## The session's phases").unwrap();
    for kind in ["Health", "Doubt", "Phase"] {
        let variants = variants(&code, &format!("\npub enum {kind}"));
        assert!(variants.len() > 2, "{kind}: {variants:?}");
        for variant in variants {
            let named = of_phases
                .split(|it: char| !it.is_alphanumeric())
                .any(|word| word == variant);
            assert!(named, "docs/ARCHITECTURE.md draws no {kind}::{variant}");
        }
    }
}

#[test]
fn all_that_goes_into_the_supervisor_and_comes_out_is_on_its_page() {
    let page = read("docs/ARCHITECTURE.md");
    let (_, table) = page.split_once("What goes in and what comes out").unwrap();
    let (table, _) = table.split_once("### The walk of a token").unwrap();
    let named: BTreeSet<&str> = table.split('`').skip(1).step_by(2).collect();
    for (file, kind) in [
        ("src/supervisor.rs", "Incoming"),
        ("src/supervisor/effect.rs", "Effect"),
    ] {
        let variants = variants(&read(file), &format!("enum {kind}"));
        assert!(variants.len() > 8, "{kind}: {variants:?}");
        for variant in &variants {
            assert!(
                named.contains(variant.as_str()),
                "docs/ARCHITECTURE.md names no {kind}::{variant}"
            );
        }
    }
}

/// The variants of an enum, as rustfmt sets them.
fn variants(code: &str, kind: &str) -> Vec<String> {
    let (_, body) = code.split_once(&format!("{kind} {{\n")).unwrap();
    let (body, _) = body.split_once("\n}\n").unwrap();
    let variant = |line: &str| {
        let line = line.strip_prefix("    ")?;
        let name: String = line.chars().take_while(|it| it.is_alphanumeric()).collect();
        line.starts_with(char::is_uppercase).then_some(name)
    };
    body.lines().filter_map(variant).collect()
}

#[test]
fn every_test_that_holds_a_promise_is_there() {
    let mut code = read("tests/manifests.rs");
    for directory in ["src", "tests/acceptance"] {
        gather(&root().join(directory), &mut code);
    }
    for (page, least) in [("docs/reliability.md", 40), ("docs/security.md", 20)] {
        let text = read(page);
        let named: BTreeSet<&str> = text
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|span| is_test_name(span))
            .collect();
        assert!(named.len() > least, "{page}: {named:?}");
        let gone: Vec<&&str> = named
            .iter()
            .filter(|name| !code.contains(&format!("fn {name}(")))
            .collect();
        assert!(
            gone.is_empty(),
            "{page} names tests that are not there: {gone:?}"
        );
    }
}

fn is_test_name(span: &str) -> bool {
    span.matches('_').count() >= 3
        && span
            .chars()
            .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
}

/// Every Rust file below `directory`.
fn gather(directory: &Path, code: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, code);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

/// README and the like, and all that is below `docs/`.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|file| file.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let docs = docs.map(|path| format!("docs/{}", path.file_name().unwrap().to_string_lossy()));
    PAGES
        .map(ToOwned::to_owned)
        .into_iter()
        .chain(docs)
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

fn keepfresh<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keepfresh"));
    command
        .args(arguments)
        .env_remove("KEEPFRESH_SOCKET")
        .output()
        .unwrap()
}

/// The fenced blocks, each with its language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let parts = page.split("```").skip(1).step_by(2);
    parts
        .filter_map(|part| part.split_once('\n'))
        .map(|(language, text)| (language.into(), text.into()))
        .collect()
}

/// Every command line of ours: in code spans, at prompts, and in scripts.
fn command_lines(page: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let prose: String = page.split("```").step_by(2).collect();
    let spans = prose.split('`').skip(1).step_by(2);
    lines.extend(
        spans
            .filter(|span| span.starts_with("keepfresh "))
            .map(str::to_owned),
    );
    for (language, block) in blocks(page) {
        let commands = block.lines().filter_map(|line| match language.as_str() {
            "console" => line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")),
            // There, keepfresh is the unit's name.
            "sh" if !line.starts_with(['#', 'j']) => Some(line),
            _ => None,
        });
        lines.extend(commands.filter_map(ours));
    }
    lines
}

/// The part of a shell's line that calls keepfresh.
fn ours(line: &str) -> Option<String> {
    let at = line.match_indices("keepfresh ").map(|(at, _)| at);
    let start = at.into_iter().find(|at| {
        line[..*at]
            .chars()
            .next_back()
            .is_none_or(|before| " (".contains(before))
    })?;
    let end = line[start..]
        .find([';', '|', ')', '>', '&', '#'])
        .map_or(line.len(), |end| start + end);
    Some(line[start..end].trim_end().to_owned())
}

fn is_profile(block: &str) -> bool {
    block.starts_with("name = ")
}

/// The config with secrets that are there, and without the groups of another machine.
fn fitted(block: &str) -> String {
    let lines = block.lines().filter(|line| !line.starts_with("group"));
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("/etc/keepfresh/secrets/crm-key.pem", "private-key.pem")
        .replace("/etc/keepfresh/secrets/api-client-secret", "client-secret")
        .replace(
            "{ file = \"/etc/keepfresh/secrets/slack-url\" }",
            "{ command = [\"echo\", \"https://hooks.example/x\"] }",
        )
        .replace("/etc/keepfresh/secrets/pagerduty-key", "client-secret")
        .replace("/var/run/secrets/tokens/sts", "refresh-token")
}

/// What machines read of the socket.
fn description() -> Value {
    serde_json::from_str(&read("docs/openapi.json")).unwrap()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The targets of links within this repository.
fn links(page: &str) -> Vec<String> {
    let targets = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned());
    targets
        .filter(|target| !target.starts_with("http"))
        .collect()
}

/// A heading's anchor, as forges make it.
fn slug(line: &str) -> Option<String> {
    let heading = line
        .strip_prefix('#')?
        .trim_start_matches('#')
        .trim()
        .to_lowercase();
    Some(
        heading
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>()
            .replace(' ', "-"),
    )
}

/// The cells of the first table below a heading.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let (_, below) = page.split_once(heading).unwrap();
    let table = below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    table
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The names of all problem types, from the source: an enum cannot be asked.
fn kinds() -> BTreeSet<String> {
    let source = read("src/api/problem.rs");
    let (_, body) = source.split_once("pub enum Kind {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let variants = body
        .lines()
        .map(str::trim)
        .filter(|line| line.ends_with(',') && !line.starts_with("//"));
    variants
        .map(|variant| kebab(variant.trim_end_matches(',')))
        .filter(|name| name != "unknown")
        .collect()
}

fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The JSON object below a prompt whose block shows this key in a line of its own.
fn shown(page: &str, key: &str) -> Value {
    let blocks = blocks(page);
    let (_, block) = blocks
        .iter()
        .find(|(_, block)| block.contains(&format!("\n  {key}")))
        .unwrap();
    let object: Vec<&str> = block
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with('$'))
        .collect();
    serde_json::from_str(&object.join("\n")).unwrap()
}

/// The top-level modules.
fn modules() -> Vec<String> {
    let entries = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let sources = entries
        .filter(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs"));
    let names = sources.filter_map(|path| {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    });
    names.filter(|name| name != "lib").collect()
}

fn is_module_path(span: &str) -> bool {
    let plain = span
        .chars()
        .all(|c| c.is_ascii_lowercase() || "/_.*".contains(c));
    plain && span.contains('/') && !span.starts_with('/')
}
