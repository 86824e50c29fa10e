//! Programs that are told, each a small shell script in a directory of its own.

use std::fs;

use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn a_program_is_told_what_happened_and_inherits_nothing_else() {
    let house = House::new();
    let _secret_file = fs::File::create(house.dir.path().join("open")).unwrap();
    let hooks = house.hooks(
        "env | sort > told; ls -l /proc/self/fd > descriptors; pwd > where",
        &[Occasion::Change],
    );
    hooks.ring(&happening("crm", Occasion::Change, "renewed"));
    hooks.finish().await;
    let told = house.read("told");
    for line in [
        "KEEPFRESH_SESSION=crm",
        "KEEPFRESH_EVENT=change",
        "KEEPFRESH_GENERATION=7",
        "KEEPFRESH_REASON=renewed",
        "KEEPFRESH_OWNER=crm team",
        "KEEPFRESH_RUNBOOK=",
    ] {
        assert!(told.lines().any(|told| told == line), "{told}");
    }
    let expected = |name: &str| INHERITED_AND_OWN.contains(&name) || name.starts_with("KEEPFRESH_");
    let strange: Vec<&str> = told
        .lines()
        .filter(|line| !expected(line.split('=').next().unwrap()))
        .collect();
    assert!(strange.is_empty(), "{strange:?}");
    let descriptors = house.read("descriptors");
    let numbers = descriptors
        .lines()
        .filter(|line| !line.contains("/proc/"))
        .filter_map(|line| {
            line.split_once(" -> ")?
                .0
                .rsplit(' ')
                .next()?
                .parse::<u32>()
                .ok()
        });
    let own: Vec<u32> = numbers
        .filter(|number| *number > 2 && !is_handed_down(*number))
        .collect();
    assert!(own.is_empty(), "{own:?} of {descriptors}");
    assert!(!told.contains("t0k3n"), "{told}");
}

#[tokio::test]
async fn only_what_it_is_for_is_told() {
    let house = House::new();
    let hooks = house.hooks(
        "echo $KEEPFRESH_EVENT >> told",
        &[Occasion::Attention, Occasion::Recovered],
    );
    hooks.ring(&happening("crm", Occasion::Change, ""));
    hooks.finish().await;
    assert!(!house.dir.path().join("told").exists());
}

#[tokio::test]
async fn the_latest_of_a_kind_wins_and_other_kinds_and_sessions_are_not_lost() {
    let house = House::new();
    let script = "echo $KEEPFRESH_SESSION $KEEPFRESH_EVENT $KEEPFRESH_REASON >> told; while [ ! -e go ]; do sleep 0.01; done";
    let hooks = house.hooks(
        script,
        &[Occasion::Change, Occasion::Attention, Occasion::Recovered],
    );
    hooks.ring(&happening("crm", Occasion::Change, "first"));
    house.until_told(1).await;
    for (session, occasion, reason) in [
        ("crm", Occasion::Change, "second"),
        ("crm", Occasion::Attention, "trouble"),
        ("erp", Occasion::Attention, "trouble"),
        ("crm", Occasion::Change, "third"),
        ("crm", Occasion::Recovered, "well"),
    ] {
        hooks.ring(&happening(session, occasion, reason));
    }
    fs::File::create(house.dir.path().join("go")).unwrap();
    hooks.finish().await;
    assert_eq!(
        house.runs.runs(),
        Runs {
            succeeded: 4,
            ..Runs::default()
        }
    );
    assert_eq!(
        house.read("told"),
        "crm change first\nerp attention trouble\ncrm change third\ncrm recovered well\n"
    );
}

#[tokio::test]
async fn a_program_that_hangs_is_killed_with_its_children() {
    let house = House::new();
    let hooks = house.hooks("sleep 1000 & echo $! > child; wait", &[Occasion::Change]);
    hooks.ring(&happening("crm", Occasion::Change, ""));
    house.until("child").await;
    let child = house.read("child");
    drop(hooks);
    let gone = || {
        !std::path::Path::new(&format!("/proc/{}/stat", child.trim())).exists()
            || is_zombie(child.trim())
    };
    for _ in 0..500 {
        if gone() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{child} still runs");
}

#[tokio::test]
async fn output_is_bounded_and_shows_no_token() {
    let variables = [("A", "b".to_owned())];
    let flood = child::run(
        &[
            "sh".into(),
            "-c".into(),
            "yes 00D!t0k3n | head -100000".into(),
        ],
        &variables,
    )
    .await;
    assert_eq!(flood.problem, None);
    assert!(
        (3000..=4096).contains(&flood.output.len()),
        "{}",
        flood.output.len()
    );
    assert!(
        flood.output.lines().all(|line| line == "00D!t0k3n"),
        "no line is cut"
    );
    let told = happening("crm", Occasion::Change, "").without_secret(&flood.output);
    assert!(
        !told.contains("t0k3n") && told.contains("[secret]"),
        "{told}"
    );
}

#[tokio::test]
async fn what_it_leaves_running_holds_nobody_up() {
    let begun = crate::clock::boottime();
    let ended = child::run(
        &["sh".into(), "-c".into(), "sleep 30 & echo left".into()],
        &[],
    )
    .await;
    assert_eq!((ended.output.as_str(), ended.problem), ("left", None));
    assert!(crate::clock::boottime().since(begun) < Duration::from_secs(5));
}

#[tokio::test]
async fn every_failure_is_named() {
    for (argv, problem) in [
        (vec!["/nonexistent/program"], "No such file"),
        (vec!["false"], "it ended with exit status: 1"),
        (vec!["sh", "-c", "kill -9 $$"], "it ended with signal: 9"),
    ] {
        let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
        let ended = child::run(&argv, &[]).await;
        assert!(
            ended
                .problem
                .as_ref()
                .unwrap()
                .to_string()
                .contains(problem),
            "{:?}",
            ended.problem
        );
    }
}

const INHERITED_AND_OWN: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS", // The shell's own.
    "PWD",
    "SHLVL",
    "_",
];

struct House {
    dir: TempDir,
    runs: RunCount,
}

impl House {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            runs: RunCount::default(),
        }
    }

    fn hooks(&self, script: &str, on: &[Occasion]) -> Hooks {
        let path = self.dir.path().join("hook");
        let text = format!("cd {}; unset OLDPWD\n{script}\n", self.dir.path().display());
        std::io::Write::write_all(&mut fs::File::create(&path).unwrap(), text.as_bytes()).unwrap();
        let command = vec!["sh".to_owned(), path.display().to_string()];
        Hooks::start(
            &[HookConfig {
                on: on.to_vec(),
                command,
            }],
            Path::new("/nonexistent/keepfresh.sock"),
            &self.runs,
        )
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    async fn until(&self, name: &str) {
        for _ in 0..1000 {
            if fs::read_to_string(self.dir.path().join(name)).is_ok_and(|text| text.ends_with('\n'))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{name} did not appear");
    }

    async fn until_told(&self, lines: usize) {
        self.until("told").await;
        assert_eq!(self.read("told").lines().count(), lines);
    }
}

/// Whether this process was given the descriptor to hand it on to whatever it starts.
fn is_handed_down(descriptor: u32) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = info
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .unwrap_or("2000000");
    u32::from_str_radix(flags.trim(), 8).unwrap() & CLOSE_ON_EXEC == 0
}

fn is_zombie(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

fn happening(session: &str, occasion: Occasion, reason: &str) -> Happening {
    Happening {
        session: session.to_owned(),
        occasion,
        is_test: false,
        generation: Some(7),
        reason: reason.to_owned(),
        remedy: String::new(),
        at: jiff::Timestamp::UNIX_EPOCH,
        owner: Some("crm team".into()),
        runbook: None,
        files: None,
        secret: Some(Secret::new("00D!t0k3n")),
    }
}
