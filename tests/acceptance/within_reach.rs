//! What a stranger could have put in the place of what the daemon obeys, believes or runs: judged along the whole way, not used,
//! and told of with what to change.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use crate::support::SOON;
use crate::support::daemon::{BINARY, Lab};
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::within;

/// Nobody's user on any Debian.
const STRANGER: u32 = 61_041;
/// As whom some of it runs.
const USER: u32 = 61_042;

/// How a directory `deep/er` with a file, reached by `link`, comes into a stranger's reach: what is changed, the mode and the owner
/// that it gets, and what is said of it.
const REACHES: [(&str, u32, u32, &str); 6] = [
    (
        "deep/er",
        0o777,
        0,
        "lies in a directory in which every user can write",
    ),
    (
        "deep",
        0o777,
        0,
        "lies in a directory in which every user can write",
    ),
    (
        "deep/er",
        0o755,
        STRANGER,
        "lies in a directory of another user",
    ),
    (
        "deep",
        0o755,
        STRANGER,
        "lies in a directory of another user",
    ),
    (
        "link",
        0o777,
        STRANGER,
        "is reached by a link of another user",
    ),
    ("deep/er/file", 0o700, STRANGER, "belongs to the user 61041"),
];

#[test]
fn a_secret_within_a_strangers_reach_is_neither_sent_nor_passed_over_in_silence() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, mut lab) = scene();
    fs::copy(lab.path("client-secret"), lab.path("deep/er/file")).unwrap();
    lab.configure(&[lab.by_client("crm").with_secret("client-secret", "link")]);
    for (place, mode, owner, said) in REACHES {
        let _back = Changed::new(&lab, place, mode, owner);
        refused(&lab, &check(&lab), said);
        lab.start();
        within(SOON, "the status to say it, and what to type", || {
            let status = lab.get("/v1/sessions/crm")?.body;
            let types = status.contains("chmod o-w") || status.contains("chown");
            (status.contains(said) && types).then_some(())
        });
        within(SOON, "the log to say it", || {
            lab.said().contains("the secret file").then_some(())
        });
        lab.kill();
        // The next daemon must not know why this one stopped the session.
        fs::remove_dir_all(lab.path("state")).unwrap();
        assert_eq!(server.logins(), 0, "{place} {mode:o} {owner}");
    }
    let everything_back = check(&lab);
    assert!(everything_back.status.success(), "{everything_back:?}");
    let _open = Changed::new(&lab, "deep/er", 0o777, 0);
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replace("/link\" }", "/link\", insecure_mode = true }"));
    let checked = check(&lab);
    assert!(
        checked.status.success()
            && text(&checked).contains("lies in a directory in which every user"),
        "{checked:?}"
    );
}

#[test]
fn certificates_that_a_stranger_could_replace_are_not_believed() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, mut lab) = scene();
    fs::write(lab.path("deep/er/file"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    let files = [(
        "deep/er/file",
        0o666,
        0,
        "can be changed by every user (mode 0666)",
    )];
    for key in ["ca_file", "client_cert"] {
        let other = if key == "ca_file" {
            String::new()
        } else {
            format!("client_key = {}\n", lab.source("key.pem"))
        };
        let table = format!("{key} = {}\n{other}", lab.quoted("link"));
        lab.configure(&[lab.by_client("crm").table("http", &table)]);
        for (place, mode, owner, said) in REACHES.into_iter().chain(files) {
            let _back = Changed::new(&lab, place, mode, owner);
            refused(&lab, &check(&lab), said);
            lab.start();
            assert_eq!(lab.ended().code(), Some(78), "{key} {place} {mode:o}");
            within(SOON, "the daemon to say it", || {
                lab.said().contains(said).then_some(())
            });
        }
    }
    assert!(server.calls().is_empty());
}

#[test]
fn a_program_within_a_strangers_reach_is_run_neither_for_a_secret_nor_as_a_hook() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, mut lab) = scene();
    let ran = lab.path("ran");
    let script = format!(
        "#!/bin/sh\ntouch {}\ncat {}\n",
        ran.display(),
        lab.path("client-secret").display()
    );
    fs::write(lab.path("deep/er/file"), script).unwrap();
    fs::set_permissions(lab.path("deep/er/file"), fs::Permissions::from_mode(0o755)).unwrap();
    let login = "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = ";
    let direct = format!("[{}]", lab.quoted("link"));
    let interpreted = format!("[\"sh\", {}]", lab.quoted("link"));
    let hook = |argv: &str| format!("on = [\"change\"]\ncommand = {argv}");
    for argv in [&direct, &interpreted] {
        let sessions = [
            (
                lab.session("crm", &format!("{login}{{ command = {argv} }}")),
                "needs_attention",
            ),
            (lab.by_client("crm").table("[hook]", &hook(argv)), "alive"),
        ];
        for (session, state) in sessions {
            lab.configure(&[session]);
            let files = [(
                "deep/er/file",
                0o757,
                0,
                "can be changed by every user (mode 0757)",
            )];
            for (place, mode, owner, said) in REACHES.into_iter().chain(files) {
                let mode = if place == "deep/er/file" {
                    mode | 0o055
                } else {
                    mode
                };
                let _back = Changed::new(&lab, place, mode, owner);
                refused(&lab, &check(&lab), said);
                if place != "deep" {
                    continue; // One of them is enough for the daemon, which judges by the same code.
                }
                let known = lab.said().len();
                lab.start();
                lab.await_state("crm", state);
                within(SOON, "the daemon to say it", || {
                    lab.said().get(known..)?.contains(said).then_some(())
                });
                assert!(lab.stop().success());
                let _ = fs::remove_dir_all(lab.path("state"));
            }
            assert!(!ran.exists(), "{argv}");
            assert!(check(&lab).status.success());
            let _ = fs::remove_file(&ran);
        }
    }
    assert!(server.logins() <= 4, "{}", server.logins());
}

#[test]
fn a_name_that_path_finds_in_a_directory_where_every_user_can_write_is_not_run() {
    let (server, mut lab) = scene();
    let planted = lab.path("deep/er/fetch-secret");
    fs::write(
        &planted,
        format!("#!/bin/sh\ntouch {}\n", lab.path("ran").display()),
    )
    .unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).unwrap();
    let login = "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = { command = [\"fetch-secret\"] }";
    lab.configure(&[lab.session("crm", login)]);
    let _open = Changed::new(&lab, "deep/er", 0o777, 0);
    let mut command = lab.daemon();
    let path = format!(
        "{}:{}",
        lab.path("deep/er").display(),
        std::env::var("PATH").unwrap()
    );
    command
        .env("PATH", path)
        .stderr(std::process::Stdio::piped());
    lab.start_by(command);
    lab.await_state("crm", "needs_attention");
    within(SOON, "the log to say it", || {
        lab.said().contains("and so is not run").then_some(())
    });
    assert!(!lab.path("ran").exists());
    assert_eq!(server.logins(), 0);
}

#[test]
fn root_and_any_other_user_run_nothing_of_a_config_that_a_stranger_could_have_written() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, lab) = scene();
    let config = config_that_runs(&lab);
    write_readable(&lab, "deep/er/file", &config);
    let in_main = REACHES.into_iter().chain([(
        "deep/er/file",
        0o666,
        0,
        "can be changed by every user (mode 0666)",
    )]);
    for (place, mode, owner, said) in in_main {
        let mode = if place == "deep/er/file" {
            mode | 0o044
        } else {
            mode
        };
        let _back = Changed::new(&lab, place, mode, owner);
        // Where the state lies must not make the stranger the one whom root looks for.
        chown(lab.path("state"), Some(STRANGER), None).unwrap();
        is_refused_to_everybody(&lab, "link", said);
    }
    assert!(server.calls().is_empty());
}

#[test]
fn root_and_any_other_user_run_nothing_of_a_fragment_that_a_stranger_could_have_written() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, lab) = scene();
    let config = config_that_runs(&lab);
    let (rest, fragment) = config.split_at(config.find("[sessions.crm]").unwrap());
    fs::create_dir(lab.path("deep/er/conf.d")).unwrap();
    write_readable(&lab, "deep/er/file", rest);
    write_readable(&lab, "deep/er/conf.d/crm.toml", fragment);
    for (place, mode, owner, said) in [
        (
            "deep/er/conf.d",
            0o777,
            0,
            "lies in a directory in which every user can write",
        ),
        (
            "deep/er/conf.d",
            0o755,
            STRANGER,
            "lies in a directory of another user",
        ),
        (
            "deep/er/conf.d/crm.toml",
            0o644,
            STRANGER,
            "belongs to the user 61041",
        ),
    ] {
        let _back = Changed::new(&lab, place, mode, owner);
        is_refused_to_everybody(&lab, "deep/er/file", said);
    }
    // Of the daemon's own user it may be, but then root only reads it.
    chown(lab.path("state"), Some(STRANGER), None).unwrap();
    let _back = Changed::new(&lab, "deep/er/conf.d/crm.toml", 0o644, STRANGER);
    let checked = as_user(0, "check", &lab.path("deep/er/file"));
    assert!(
        checked.status.success() && !lab.path("ran/it").exists(),
        "{checked:?}"
    );
    assert!(
        text(&checked).contains("run `keepfresh check` as the user 61041"),
        "{}",
        text(&checked)
    );
    assert!(server.calls().is_empty());
}

#[test]
fn root_runs_no_program_of_the_daemons_user_when_it_checks_for_it() {
    if !can_as_root("give files away") {
        return;
    }
    let (server, lab) = scene();
    fs::write(
        lab.path("deep/er/file"),
        format!("#!/bin/sh\ntouch {}\necho x\n", lab.path("ran").display()),
    )
    .unwrap();
    let login = "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = ";
    lab.configure(&[lab.session(
        "crm",
        &format!("{login}{{ command = [{}] }}", lab.quoted("link")),
    )]);
    fs::create_dir(lab.path("state")).unwrap();
    for owned in ["state", "deep/er/file"] {
        fs::set_permissions(lab.path(owned), fs::Permissions::from_mode(0o700)).unwrap();
        chown(lab.path(owned), Some(USER), None).unwrap();
    }
    let checked = check(&lab);
    assert!(checked.status.success(), "{checked:?}");
    assert!(
        text(&checked).contains("cannot check here")
            && text(&checked).contains("as the user 61042"),
        "{checked:?}"
    );
    assert!(!lab.path("ran").exists());
    assert_eq!(server.logins(), 0);
}

#[test]
fn a_secret_of_the_daemons_own_user_in_its_home_and_one_as_kubernetes_mounts_it_are_in_order() {
    if !can_as_root("become another user") {
        return;
    }
    let (server, mut lab) = scene();
    // As kubelet lays out a Secret: everybody may write beside root's links, and nobody may move them.
    fs::create_dir_all(lab.path("mounted/..2026_01_01")).unwrap();
    fs::copy(
        lab.path("client-secret"),
        lab.path("mounted/..2026_01_01/client-secret"),
    )
    .unwrap();
    symlink("..2026_01_01", lab.path("mounted/..data")).unwrap();
    symlink("..data/client-secret", lab.path("mounted/client-secret")).unwrap();
    fs::set_permissions(lab.path("mounted"), fs::Permissions::from_mode(0o1777)).unwrap();
    let secret = lab.path("mounted/..2026_01_01/client-secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o440)).unwrap();
    chown(&secret, None, Some(USER)).unwrap();
    fs::create_dir_all(lab.path("home/.config")).unwrap();
    fs::copy(lab.path("client-secret"), lab.path("home/.config/secret")).unwrap();
    for owned in ["home", "home/.config", "home/.config/secret"] {
        let mode = if owned.ends_with("secret") {
            0o600
        } else {
            0o700
        };
        fs::set_permissions(lab.path(owned), fs::Permissions::from_mode(mode)).unwrap();
        chown(lab.path(owned), Some(USER), Some(USER)).unwrap();
    }
    for directory in ["run", "state"] {
        fs::create_dir(lab.path(directory)).unwrap();
        chown(lab.path(directory), Some(USER), Some(USER)).unwrap();
    }
    lab.configure(&[
        lab.by_client("crm")
            .with_secret("client-secret", "mounted/client-secret"),
        lab.by_client("erp")
            .with_secret("client-secret", "home/.config/secret"),
    ]);
    let mut command = lab.daemon();
    command
        .uid(USER)
        .gid(USER)
        .current_dir("/")
        .stderr(std::process::Stdio::piped());
    lab.start_by(command);
    lab.await_token("crm");
    lab.await_token("erp");
    assert!(!lab.said().contains("config_warning"), "{}", lab.said());
    assert_eq!(server.logins(), 2);
}

/// A config whose secret's command leaves `ran/it` behind, whoever runs it.
fn config_that_runs(lab: &Lab) -> String {
    for directory in ["ran", "state", "run"] {
        fs::create_dir(lab.path(directory)).unwrap();
    }
    fs::set_permissions(lab.path("ran"), fs::Permissions::from_mode(0o777)).unwrap();
    let script = format!("touch {}; echo secret", lab.path("ran/it").display());
    let login = "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = ";
    lab.configure(&[lab.session(
        "crm",
        &format!("{login}{{ command = [\"sh\", \"-c\", {script:?}] }}"),
    )]);
    fs::read_to_string(lab.config()).unwrap()
}

fn write_readable(lab: &Lab, file: &str, text: &str) {
    fs::write(lab.path(file), text).unwrap();
    fs::set_permissions(lab.path(file), fs::Permissions::from_mode(0o644)).unwrap();
}

fn as_user(user: u32, order: &str, config: &Path) -> Output {
    let mut command = Command::new(BINARY);
    command
        .args([order, "--config"])
        .arg(config)
        .uid(user)
        .gid(user)
        .current_dir("/")
        .env("HOME", "/nonexistent");
    command.env_remove("INVOCATION_ID").output().unwrap()
}

#[track_caller]
fn is_refused_to_everybody(lab: &Lab, config: &str, said: &str) {
    for user in [0, USER] {
        for order in ["check", "run"] {
            refused(lab, &as_user(user, order, &lab.path(config)), said);
            assert!(!lab.path("ran/it").exists(), "{user} {order} {said}");
        }
    }
}

/// A change of mode and owner, taken back at its end.
struct Changed {
    path: std::path::PathBuf,
    mode: u32,
}

impl Changed {
    fn new(lab: &Lab, place: &str, mode: u32, owner: u32) -> Self {
        let path = lab.path(place);
        let found = fs::symlink_metadata(&path).unwrap();
        lchown(&path, Some(owner), None).unwrap();
        if !found.is_symlink() {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
        Self {
            path,
            mode: found.permissions().mode(),
        }
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        lchown(&self.path, Some(rustix::process::geteuid().as_raw()), None).unwrap();
        if !self.path.is_symlink() {
            fs::set_permissions(&self.path, fs::Permissions::from_mode(self.mode)).unwrap();
        }
    }
}

fn check(lab: &Lab) -> Output {
    lab.run(&["check", "--config", lab.config().to_str().unwrap()])
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// With the code of a broken config, what is wrong, and what to change.
#[track_caller]
fn refused(lab: &Lab, output: &Output, said: &str) {
    let told = text(output);
    lab.also_said(&told);
    assert_eq!(output.status.code(), Some(78), "{said}: {told}");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains(said), "{said}: {told}");
    assert!(
        told.contains("chmod o-w /") || told.contains("chown "),
        "{said}: {told}"
    );
}

/// A directory `deep/er` with a file that `link` leads to.
fn scene() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    fs::create_dir_all(lab.path("deep/er")).unwrap();
    fs::write(lab.path("deep/er/file"), "").unwrap();
    fs::set_permissions(lab.path("deep/er/file"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink(lab.path("deep/er/file"), lab.path("link")).unwrap();
    (server, lab)
}
