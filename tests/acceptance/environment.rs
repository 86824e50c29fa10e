//! A machine that is not as it should be: a sentence that names the thing and the remedy, the right exit code, nothing lost.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::daemon::Lab;
use crate::support::namespaces::with_own_mounts;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::{SOON, within};

/// What is wrong, and what must be said of it.
type Case = (&'static str, fn(&Lab), &'static [&'static str]);

#[test]
fn directories_that_cannot_be_used_are_named_with_a_remedy() {
    let cases: [Case; 4] = [
        (
            "a file for the state directory",
            |lab| fs::write(lab.path("state"), "mine").unwrap(),
            &["/state", "state_dir"],
        ),
        (
            "a file for the runtime directory",
            |lab| fs::write(lab.path("run"), "mine").unwrap(),
            &["/run", "runtime_dir"],
        ),
        (
            "a file where the socket belongs",
            |lab| {
                fs::create_dir(lab.path("run")).unwrap();
                fs::write(lab.socket(), "mine").unwrap();
            },
            &["keepfresh.sock", "not a socket", "move it away"],
        ),
        (
            "a file for the tokens",
            |lab| {
                fs::create_dir(lab.path("run")).unwrap();
                fs::write(lab.path("run/tokens"), "mine").unwrap();
            },
            &["run/tokens", "runtime_dir"],
        ),
    ];
    for (wrong, spoil, parts) in cases {
        let (server, mut lab) = scene();
        spoil(&lab);
        lab.start();
        assert_eq!(lab.ended().code(), Some(1), "{wrong}");
        let said = lab.said();
        let line = said
            .lines()
            .find(|line| line.contains("failed to"))
            .unwrap_or_else(|| panic!("{wrong}: {said}"));
        assert!(
            parts.iter().all(|part| line.contains(part)),
            "{wrong}: {line}"
        );
        assert_eq!(server.logins(), 0, "{wrong}");
        let kept = ["state", "run", "run/tokens", "run/keepfresh.sock"]
            .iter()
            .any(|file| fs::read_to_string(lab.path(file)).is_ok_and(|content| content == "mine"));
        assert!(kept, "{wrong}: what stood in the way is still there");
    }
}

#[test]
fn directories_of_another_user_are_named_with_a_remedy() {
    if !can_as_root("give files away") {
        return;
    }
    for (closed, mode, parts) in [
        ("state", 0o700, ["/state", "own"]),
        ("run", 0o755, ["/run", "own"]),
    ] {
        let (server, mut lab) = scene();
        for directory in ["run", "state"] {
            fs::create_dir(lab.path(directory)).unwrap();
            chown(lab.path(directory), Some(65534), Some(65534)).unwrap();
        }
        chown(lab.path("client-secret"), Some(65534), Some(65534)).unwrap();
        chown(lab.path(closed), Some(0), Some(0)).unwrap();
        fs::set_permissions(lab.path(closed), fs::Permissions::from_mode(mode)).unwrap();
        let mut command = lab.daemon();
        command
            .uid(65534)
            .gid(65534)
            .current_dir("/")
            .stderr(Stdio::piped());
        lab.start_by(command);
        assert_eq!(lab.ended().code(), Some(1), "{closed}");
        let said = lab.said();
        let line = said
            .lines()
            .find(|line| line.contains("failed to"))
            .unwrap_or_else(|| panic!("{closed}: {said}"));
        assert!(
            parts.iter().all(|part| line.contains(part)),
            "{closed}: {line}"
        );
        assert_eq!(server.logins(), 0);
    }
}

#[test]
fn a_read_only_state_directory_is_refused_before_anything_is_asked_of_a_server() {
    let (server, mut lab) = scene();
    fs::create_dir(lab.path("state")).unwrap();
    let mut command = with_own_mounts();
    command
        .args([
            "sh",
            "-c",
            "mount -t tmpfs -o ro,mode=0700 none \"$0\" && exec \"$@\"",
        ])
        .arg(lab.path("state"));
    lab.start_through(command);
    assert_eq!(lab.ended().code(), Some(1));
    let said = lab.said();
    assert!(
        said.contains("Read-only file system") && said.contains("/state"),
        "{said}"
    );
    assert_eq!(server.logins(), 0);
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_replaced() {
    let (server, mut lab) = scene();
    fs::create_dir(lab.path("run")).unwrap();
    drop(UnixListener::bind(lab.socket()).unwrap());
    assert!(fs::metadata(lab.socket()).unwrap().file_type().is_socket());
    lab.start();
    lab.await_token("crm");
    lab.kill();
    assert!(lab.socket().exists(), "nobody removed it");
    lab.start();
    lab.await_state("crm", "alive");
    assert_eq!(server.logins(), 1);
}

#[test]
fn what_others_put_in_the_place_of_the_socket_its_directory_or_a_token_is_named_or_replaced_and_never_followed()
 {
    if !can_as_root("give files away") {
        return;
    }
    let (server, mut lab) = scene();
    let place = lab.path("");
    let make = |script: &str| {
        let made = Command::new("sh")
            .args([
                "-ec",
                &format!("rm -rf run evil; mkdir evil; chown 61012 evil; {script}"),
            ])
            .current_dir(&place)
            .status();
        assert!(made.unwrap().success(), "{script}");
    };
    let cases = [
        (
            "ln -s evil run; chown -h 61012 run",
            "Too many levels of symbolic links",
        ),
        (
            "mkdir run; touch run/keepfresh.sock",
            "there is a file that is not a socket",
        ),
        (
            "mkdir -p run/keepfresh.sock",
            "there is a file that is not a socket",
        ),
        (
            "mkdir run; mkfifo run/keepfresh.sock",
            "there is a file that is not a socket",
        ),
        (
            "mkdir run; ln -s /etc/hostname run/keepfresh.sock",
            "there is a file that is not a socket",
        ),
        (
            "mkdir run; ln -s ../evil/x run/keepfresh.sock",
            "there is a file that is not a socket",
        ),
    ];
    for (script, refusal) in cases {
        make(script);
        let said = lab.said().len();
        lab.start();
        assert_eq!(lab.ended().code(), Some(1), "{script}");
        within(SOON, script, || {
            lab.said()[said..].contains(refusal).then_some(())
        });
    }
    for script in [
        "mkdir -p run/tokens; mkfifo run/tokens/crm",
        "mkdir -p run/tokens; ln -s ../../evil/x run/tokens/crm; chown -h 61012 run/tokens/crm",
        "mkdir -p run/tokens; touch evil/x; ln evil/x run/tokens/crm; chown 61012 run/tokens/crm; chmod 666 run/tokens/crm",
        "mkdir run; ln -s ../evil run/latest; chown -h 61012 run/latest",
    ] {
        make(script);
        lab.start();
        let token = within(SOON, script, || {
            // A pipe would be waited for.
            let is_there =
                fs::symlink_metadata(lab.path("run/tokens/crm")).is_ok_and(|file| file.is_file());
            let token = is_there.then(|| lab.token("crm")).flatten();
            token.filter(|token| !token.is_empty())
        });
        let file = fs::symlink_metadata(lab.path("run/tokens/crm")).unwrap();
        assert!(file.is_file(), "{script}");
        assert_eq!(
            (file.mode() & 0o7777, file.uid(), file.nlink()),
            (0o640, 0, 1),
            "{script}"
        );
        assert!(lab.stop().success(), "{script}");
        for planted in fs::read_dir(lab.path("evil")).unwrap() {
            let text = fs::read_to_string(planted.unwrap().path()).unwrap();
            assert!(!text.contains(&token), "{script}");
        }
    }
    assert!(server.logins() <= 2, "{}", server.logins());
}

#[test]
fn a_second_daemon_is_turned_away_and_the_first_is_not_disturbed() {
    let (server, mut lab) = scene();
    lab.start();
    let token = lab.await_token("crm");
    let first = lab.pid();
    // On the same state.
    let ended = lab.spawn().ended(SOON).expect("it ends by itself");
    assert_eq!(ended.code(), Some(1));
    assert!(
        lab.said().contains("another keepfresh") && lab.said().contains(&first.to_string()),
        "{}",
        lab.said()
    );
    // On a state of its own, at the same socket.
    let config = fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replace(&lab.quoted("state"), &lab.quoted("state2")));
    let ended = lab.spawn().ended(SOON).expect("it ends by itself");
    assert_eq!(ended.code(), Some(1));
    assert!(
        lab.said().contains("another daemon answers there"),
        "{}",
        lab.said()
    );
    assert!(lab.runs());
    assert_eq!(
        lab.get("/v1/sessions/crm/token").unwrap().json()["access_token"],
        token.as_str()
    );
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_wrong_place_for_the_socket_is_told_from_a_daemon_that_is_down() {
    let (server, mut lab) = scene();
    lab.start();
    lab.await_token("crm");
    let file = lab.path("config.toml");
    let deserted = lab.path("deserted.sock");
    drop(UnixListener::bind(&deserted).unwrap());
    let other = lab.path("other.sock");
    let _listening = UnixListener::bind(&other).unwrap();
    let absent = lab.path("absent.sock");
    for (path, code, parts) in [
        (
            &absent,
            69,
            [
                "the daemon is not running (no socket at ",
                "start the daemon of this socket",
            ],
        ),
        (
            &deserted,
            69,
            [
                "the daemon is not running (no daemon listens at ",
                "start the daemon of this socket",
            ],
        ),
        (
            &file,
            1,
            [
                "/config.toml is not a socket",
                "--socket or $KEEPFRESH_SOCKET",
            ],
        ),
        (
            &lab.path("state"),
            1,
            ["/state is not a socket", "--socket or $KEEPFRESH_SOCKET"],
        ),
    ] {
        for args in [
            &["status"][..],
            &["token", "crm", "--wait", "0s"],
            &["used", "crm"],
        ] {
            let output = lab
                .command(args)
                .arg("--socket")
                .arg(path)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(code), "{args:?} {said}");
            assert!(
                parts.iter().all(|part| said.contains(part)) && said.lines().count() == 1,
                "{args:?} {said}"
            );
            assert!(
                !said.contains("systemctl"),
                "a named socket need not be the service's: {said}"
            );
        }
    }
    fs::set_permissions(lab.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    if can_as_root("become another user") {
        let closed = lab.run_as_nobody(&["status"]);
        assert_eq!(closed.status.code(), Some(77), "{closed:?}");
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn run_and_check_find_the_config_that_the_variable_names() {
    let (server, mut lab) = scene();
    let without_file = |mut command: Command, config: &str| {
        command.env("KEEPFRESH_CONFIG", config);
        command
    };
    let named = lab.config().display().to_string();
    let checked = without_file(lab.command(&["check"]), &named)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let absent = lab.path("absent.toml").display().to_string();
    let given = lab.command(&["check", "--config", &named]);
    assert!(
        without_file(given, &absent)
            .output()
            .unwrap()
            .status
            .success(),
        "--config comes first"
    );
    for args in [["check"], ["run"]] {
        let refused = without_file(lab.command(&args), &absent).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(78), "{args:?} {said}");
        assert!(
            said.contains(&absent) && said.contains("$KEEPFRESH_CONFIG"),
            "{args:?} {said}"
        );
    }
    let mut command = without_file(lab.command(&["run"]), &named);
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .stderr(Stdio::piped());
    lab.start_by(command);
    lab.await_token("crm");
    assert_eq!(server.logins(), 1);
}

/// A server, and a directory whose config names the session `crm`.
fn scene() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    (server, lab)
}
