//! Every recipe of `docs/recipes.md`, taken from the page and run against `keepfresh sandbox`, with a token that lives and
//! with one that was revoked.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::untried::say_untried;
use crate::support::{SOON, within};

const BINARY: &str = env!("CARGO_BIN_EXE_keepfresh");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// simple-salesforce speaks nothing but https, the sandbox nothing but http.
const WITHOUT_TLS: &str = "\
import requests.adapters
send = requests.adapters.HTTPAdapter.send
def plainly(self, request, **options):
    request.url = request.url.replace('https://127.0.0.1', 'http://127.0.0.1')
    return send(self, request, **options)
requests.adapters.HTTPAdapter.send = plainly
";

#[test]
fn every_recipe_works() {
    let stage = Stage::start();
    let python = format!("{ROOT}/tests/clients/.venv/bin/python");
    assert!(
        Path::new(&python).exists(),
        "run `tests/install test` first, or `make test`"
    );
    for (heading, revoked) in [
        ("curl with a file", false),
        ("curl with the socket", false),
        ("A cron line", false),
    ] {
        stage.tries(heading, revoked, |recipe| {
            let line = recipe.strip_prefix("5 * * * *").unwrap_or(recipe);
            stage.command("sh").args(["-c", line]).output().unwrap()
        });
    }
    for revoked in [false, true] {
        stage.tries("A shell loop", revoked, |recipe| {
            let limits = "/services/data/v62.0/limits";
            stage
                .command("sh")
                .arg(stage.script("loop.sh", recipe))
                .args([limits, limits])
                .output()
                .unwrap()
        });
        for heading in ["Python: requests", "Python: simple-salesforce"] {
            stage.tries(heading, revoked, |recipe| {
                fs::write(stage.path("sitecustomize.py"), WITHOUT_TLS).unwrap();
                let script = stage.script("recipe.py", recipe);
                stage
                    .command(&python)
                    .arg(script)
                    .env("PYTHONPATH", stage.path(""))
                    .output()
                    .unwrap()
            });
        }
        stage.tries("Node: jsforce", revoked, |recipe| {
            let modules = stage.path("node_modules");
            if !modules.exists() {
                std::os::unix::fs::symlink(format!("{ROOT}/tests/clients/node_modules"), modules)
                    .unwrap();
            }
            stage
                .command("node")
                .arg(stage.script("recipe.mjs", recipe))
                .output()
                .unwrap()
        });
    }
}

#[test]
fn the_units_of_the_recipes_are_good() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        say_untried("there is no systemd-analyze");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let units = blocks("A systemd timer");
    assert_eq!(units.len(), 2);
    for (name, unit) in ["crm-export.service", "crm-export.timer"].iter().zip(units) {
        fs::write(directory.path().join(name), unit).unwrap();
    }
    let timer = directory.path().join("crm-export.timer");
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&timer)
        .output()
        .unwrap();
    assert!(
        output.status.success() && !said(&output).contains("crm-export"),
        "{}",
        said(&output)
    );
}

/// A sandbox and a daemon, both as a user starts them.
struct Stage {
    directory: TempDir,
    url: String,
    processes: Vec<Child>,
}

impl Stage {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut sandbox = Command::new(BINARY)
            .args(["sandbox", "--write-config"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(sandbox.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        let url = lines.find_map(|line| {
            let (_, rest) = line.split_once("http://127.0.0.1:")?;
            Some(format!(
                "http://127.0.0.1:{}",
                rest.split(|c: char| !c.is_ascii_digit()).next()?
            ))
        });
        std::thread::spawn(move || lines.for_each(drop));
        let config = directory.path().join("config.toml");
        let text = within(SOON, "the sandbox's config", || {
            fs::read_to_string(&config).ok()
        });
        let files = blocks("Recipes").concat().replace("group  = \"etl\"", "");
        fs::write(
            &config,
            format!("{}\n{files}", text.replace("sessions.demo", "sessions.crm")),
        )
        .unwrap();
        let daemon = Command::new(BINARY)
            .args(["run", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stage = Self {
            directory,
            url: url.unwrap(),
            processes: vec![sandbox, daemon],
        };
        within(SOON, "the files", || {
            stage.path("run/tokens/crm.json").exists().then_some(())
        });
        stage
    }

    fn path(&self, below: &str) -> PathBuf {
        self.directory.path().join(below)
    }

    /// With `keepfresh` where a shell finds it.
    fn command(&self, program: &str) -> Command {
        let binaries = Path::new(BINARY).parent().unwrap().display().to_string();
        let mut command = Command::new(program);
        command
            .env(
                "PATH",
                format!("{binaries}:{}", std::env::var("PATH").unwrap()),
            )
            .env("KEEPFRESH_SOCKET", self.path("run/keepfresh.sock"));
        command
    }

    /// The recipe for this machine.
    fn recipe(&self, heading: &str) -> String {
        let run = self.path("run").display().to_string();
        let recipe = blocks(heading).remove(0);
        recipe
            .replace("/run/keepfresh", &run)
            .replace("https://acme.my.salesforce.com", &self.url)
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[track_caller]
    fn tries(&self, heading: &str, revoked: bool, run: impl Fn(&str) -> Output) {
        if revoked {
            let control = format!("{}/sandbox/revoke", self.url);
            let output = Command::new("curl")
                .args([
                    "-sSf",
                    "-X",
                    "POST",
                    &control,
                    "-d",
                    "{\"what\":\"access\"}",
                ])
                .output();
            assert!(output.unwrap().status.success());
            // The budget of logins is not what is tried here.
        }
        let output = run(&self.recipe(heading));
        assert!(
            output.status.success(),
            "{heading}, revoked: {revoked}: {}",
            said(&output)
        );
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            shown.contains("DailyApiRequests") || heading == "A cron line",
            "{heading}: {shown}"
        );
        within(SOON, "the file to follow", || {
            let held = fs::read_to_string(self.path("run/tokens/crm")).ok()?;
            let answer = self
                .command(BINARY)
                .args(["token", "crm"])
                .output()
                .unwrap();
            (held == String::from_utf8_lossy(&answer.stdout).trim()).then_some(())
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The fenced blocks below a heading of the page.
fn blocks(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(format!("{ROOT}/docs/recipes.md")).unwrap();
    let (_, below) = page
        .split_once(&format!("# {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading:?}"));
    let section = below.split("\n## ").next().unwrap();
    let fenced = section.split("\n```").skip(1).step_by(2);
    fenced
        .map(|block| block.split_once('\n').unwrap().1.to_owned() + "\n")
        .collect()
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
