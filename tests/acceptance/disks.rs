//! Disks that are full, read-only, slow, faulty, removed, or hold what they should not: below state, tokens and socket.
//!
//! What mounts something runs in a mount namespace of its own: `in_a_namespace` starts this program once more for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::daemon::Lab;
use crate::support::namespaces::with_own_mounts;
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::Salesforce;
use crate::support::{SOON, unix, within};

/// The daemon tries a failed write again after half a minute at most.
const HEALED: Duration = Duration::from_secs(40);

#[test]
fn disks_in_a_mount_namespace_of_their_own() {
    let output = with_own_mounts()
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "disks::in_a_namespace", "--test-threads", "4"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("4 passed"), "{said}");
}

mod in_a_namespace {
    use std::time::Duration;

    use super::{Disk, HEALED, Trouble, lab, order, read};
    use crate::support::org::Endpoint;
    use crate::support::salesforce::Instead;
    use crate::support::{SOON, within};

    #[test]
    #[ignore = "started by the test above"]
    fn a_rotated_token_that_cannot_be_stored_is_served_said_and_written_once_that_is_possible() {
        for trouble in [
            Trouble::Full,
            Trouble::ReadOnly,
            Trouble::Emptied,
            Trouble::Unmounted,
        ] {
            let (server, mut lab) = lab();
            let disk = Disk::mount(&lab, "state");
            let approved = server.approve("crm");
            lab.configure(&[lab.by_refresh_token("crm", &approved)]);
            lab.start();
            let first = lab.await_token("crm");
            server.settled();
            server.once(Endpoint::Token, Instead::Late(Duration::from_millis(700)));
            let order = order(&lab, "crm", "renew");
            within(SOON, "the renewal to arrive", || {
                (server.refreshes() == 2).then_some(())
            });
            disk.suffer(trouble);
            let second = lab.await_another_token("crm", &first);
            order.join().unwrap();
            // Of the other two the daemon makes good what it can: below the missing disk.
            if matches!(trouble, Trouble::Full | Trouble::ReadOnly) {
                assert_eq!(lab.status("crm")["persisted"], false, "{trouble:?}");
                assert!(lab.said().contains("event=\"unpersisted\""), "{trouble:?}");
            }
            disk.recover(trouble);
            within(
                HEALED,
                &format!("the state to be written, {trouble:?}"),
                || {
                    let file = read(&lab.path("state/sessions/crm.json"));
                    (file.is_some() && lab.status("crm")["persisted"] == true).then_some(())
                },
            );
            lab.kill();
            lab.start();
            lab.await_state("crm", "alive");
            assert_eq!(lab.token("crm"), Some(second), "{trouble:?}");
            lab.succeeds(&["renew", "crm"]);
            assert_eq!(
                (server.reuse_detected(), server.logins(), server.refreshes()),
                (0, 0, 3),
                "{trouble:?}"
            );
        }
    }

    #[test]
    #[ignore = "started by the test above"]
    fn a_token_that_was_published_and_never_stored_is_not_overwritten_by_the_older_one_after_a_kill()
     {
        let (server, mut lab) = lab();
        let disk = Disk::mount(&lab, "state");
        lab.configure(&[lab.by_key("crm")]);
        lab.start();
        let first = lab.await_token("crm");
        let generation = lab.status("crm")["generation"].as_u64().unwrap();
        disk.suffer(Trouble::Full);
        server.revoke_sessions();
        lab.run(&["rejected", "crm"]);
        let second = lab.await_another_token("crm", &first);
        lab.kill();
        lab.start();
        lab.await_state("crm", "alive");
        // What nothing remembers is replaced, by something newer.
        let third = lab.await_another_token("crm", &second);
        assert!(server.lives(&third));
        assert!(lab.status("crm")["generation"].as_u64().unwrap() > generation + 1);
        assert!(lab.said().contains("event=\"state_overtaken\""));
        assert!(server.logins() <= 3, "{}", server.logins());
    }

    #[test]
    #[ignore = "started by the test above"]
    fn a_start_on_a_full_disk_goes_on_from_memory() {
        let (server, mut lab) = lab();
        let disk = Disk::mount(&lab, "state");
        lab.configure(&[lab.by_client("crm")]);
        lab.start();
        let token = lab.await_token("crm");
        lab.stop();
        disk.suffer(Trouble::Full);
        lab.start();
        lab.await_state("crm", "alive");
        assert_eq!(lab.token("crm"), Some(token.clone()));
        // A renewal over a living token does not leave while its intent cannot be stored.
        assert_ne!(lab.post("/v1/sessions/crm/renew?wait=3s", "").status, 200);
        assert_eq!(
            (lab.token("crm"), server.refreshes()),
            (Some(token.clone()), 0)
        );
        disk.recover(Trouble::Full);
        within(HEALED, "a renewal", || {
            (lab.post("/v1/sessions/crm/renew?wait=3s", "").status == 200).then_some(())
        });
        lab.await_another_token("crm", &token);
        assert_eq!((server.logins(), server.reuse_detected()), (1, 0));
        assert!(server.calls().len() <= 8, "{}", server.calls().len());
    }

    #[test]
    #[ignore = "started by the test above"]
    fn a_disk_for_tokens_that_fails_leaves_the_socket_and_every_other_file_alone_and_heals() {
        for trouble in [Trouble::Full, Trouble::ReadOnly, Trouble::Unmounted] {
            let (server, mut lab) = lab();
            let disk = Disk::mount(&lab, "elsewhere");
            let elsewhere = lab.path("elsewhere/crm");
            let crm = lab
                .by_key("crm")
                .publish(&format!("file = \"{}\"", elsewhere.display()))
                .publish("file = \"crm\"");
            lab.configure(&[crm]);
            lab.start();
            let first = lab.await_token("crm");
            within(SOON, "the file elsewhere", || read(&elsewhere));
            disk.suffer(trouble);
            server.revoke_sessions();
            let answer = lab.post(
                "/v1/sessions/crm/rejected?wait=8s",
                &format!("{{\"token\":\"{first}\"}}"),
            );
            assert_eq!(answer.status, 200, "{trouble:?}: {answer:?}");
            let second = lab.await_another_token("crm", &first);
            assert_eq!(answer.json()["access_token"], *second);
            disk.recover(trouble);
            within(HEALED, &format!("the file elsewhere, {trouble:?}"), || {
                read(&elsewhere).filter(|token| *token == second)
            });
            assert_eq!(server.logins(), 2, "{trouble:?}");
        }
    }
}

#[test]
fn what_somebody_removes_under_the_daemon_is_there_again_within_half_a_minute() {
    let (server, mut lab) = lab();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    let calls = server.settled();
    fs::remove_dir_all(lab.path("state")).unwrap();
    fs::remove_dir_all(lab.path("run")).unwrap();
    within(HEALED, "the token's file", || {
        lab.token("crm").filter(|read| *read == token)
    });
    within(HEALED, "the socket", || {
        lab.get("/v1/health").filter(|answer| answer.status == 200)
    });
    within(HEALED, "the state", || {
        read(&lab.path("state/sessions/crm.json"))
    });
    // Its lock is there again as well.
    let second = lab.spawn().ended(SOON).expect("a second daemon ends");
    assert_eq!(second.code(), Some(1));
    lab.kill();
    lab.start();
    lab.await_state("crm", "alive");
    assert_eq!(lab.token("crm"), Some(token));
    assert!(
        server.calls().len() <= calls + 2,
        "{} calls",
        server.calls().len() - calls
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_report_and_its_recovery_wait_for_no_slow_disk() {
    let (server, mut lab) = lab();
    lab.configure(&[lab.by_key("crm")]);
    lab.start_tampered(&["fsync:delay_enter=1500000".to_owned()]);
    let first = within(Duration::from_secs(20), "a token", || lab.token("crm"));
    // All writes of the start are over.
    sleep(Duration::from_secs(4));
    server.revoke_sessions();
    let asked = Instant::now();
    let answer = lab.post(
        "/v1/sessions/crm/rejected?wait=10s",
        &format!("{{\"token\":\"{first}\"}}"),
    );
    let took = asked.elapsed();
    assert!(
        server.lives(answer.json()["access_token"].as_str().expect("a token")),
        "{answer:?}"
    );
    assert!(
        took < Duration::from_millis(1400),
        "{took:?}, so something was written first"
    );
    assert_eq!((server.logins(), server.pings() <= 3), (2, true));
}

#[test]
fn a_disk_that_hangs_while_a_reload_adds_a_hundred_sessions_keeps_no_reader_waiting() {
    let (server, mut lab) = lab();
    // A login of each, its ping where one follows, and some to spare.
    server.allow_calls(250);
    lab.configure(&[lab.by_client("crm")]);
    lab.start_through(hanging_at(&lab.path("state/sessions/new050.json")));
    let token = lab.await_token("crm");
    let added = (0..100).map(|number| lab.by_client(&format!("new{number:03}")));
    lab.configure(
        &[lab.by_client("crm")]
            .into_iter()
            .chain(added)
            .collect::<Vec<_>>(),
    );
    let reload = lab.command(&["reload"]).stdout(Stdio::null()).spawn();
    let mut reload = Ended(reload.unwrap());
    // The config is read by then, and the loading of its sessions hangs.
    sleep(Duration::from_secs(1));
    let hangs = Instant::now();
    let mut slowest = Duration::ZERO;
    while hangs.elapsed() + Duration::from_secs(3) < HANGS {
        for path in [
            "/v1/sessions/crm/token",
            "/v1/sessions/crm",
            "/v1/health",
            "/v1/sessions",
        ] {
            let asked = Instant::now();
            let answer = lab.get(path).unwrap();
            slowest = slowest.max(asked.elapsed());
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
        sleep(Duration::from_millis(50));
    }
    assert!(
        reload.0.try_wait().unwrap().is_none(),
        "the disk did not hang"
    );
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(lab.token("crm"), Some(token));
    assert!(reload.0.wait().unwrap().success());
    assert!(server.lives(&lab.await_token("new050")));
    assert!(server.lives(&lab.await_token("new099")));
    assert_eq!(server.count_of("crm", Endpoint::Token), 1);
    assert!(server.logins() <= 101, "{}", server.logins());
}

#[test]
fn a_disk_that_answers_with_io_errors_costs_no_token() {
    let (server, mut lab) = lab();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let first = lab.await_token("crm");
    lab.stop();
    lab.start_tampered(&["fsync:error=EIO".to_owned()]);
    lab.await_state("crm", "alive");
    assert_eq!(lab.token("crm"), Some(first.clone()));
    assert_ne!(
        lab.post("/v1/sessions/crm/renew?wait=3s", "").status,
        200,
        "its intent cannot be stored"
    );
    server.revoke_sessions();
    let answer = lab.post(
        "/v1/sessions/crm/rejected?wait=8s",
        &format!("{{\"token\":\"{first}\"}}"),
    );
    assert!(
        server.lives(answer.json()["access_token"].as_str().expect("a token")),
        "{answer:?}"
    );
    let status = lab.status("crm");
    assert_eq!(status["persisted"], false, "{status}");
    within(SOON, "the file's error", || {
        lab.status("crm")["files"][0]["error"]
            .as_str()?
            .contains("Input/output error")
            .then_some(())
    });
    assert!(server.calls().len() <= 8, "{}", server.calls().len());
}

#[test]
fn what_stands_in_the_place_of_a_state_file_is_put_aside_or_stops_the_start_but_is_never_lost() {
    let whole =
        |kind: &str| format!("{{\"version\":1,\"record\":\"session/{kind}\",\"data\":{{}}}}");
    let aside: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("noise", vec![0xff; 3000]),
        ("truncated", whole("crm").into_bytes()[..30].to_vec()),
        ("another session's", whole("erp").into_bytes()),
        ("without sense", whole("crm").into_bytes()),
    ];
    for (what, content) in aside {
        let (server, mut lab) = lab();
        lab.configure(&[lab.by_key("crm")]);
        let file = place(&lab);
        fs::write(&file, &content).unwrap();
        lab.start();
        assert!(server.lives(&lab.await_token("crm")), "{what}");
        assert_eq!(
            fs::read(lab.path("state/sessions/crm.json.damaged-1")).unwrap(),
            content,
            "{what}"
        );
        assert_eq!(server.logins(), 1, "{what}");
    }
    let stops: [(&str, Put); 4] = [
        ("a later version", |file| {
            fs::write(file, r#"{"version":99,"new":1}"#).unwrap();
        }),
        ("a directory", |file| fs::create_dir(file).unwrap()),
        ("a pipe", |file| {
            assert!(Command::new("mkfifo").arg(file).status().unwrap().success());
        }),
        ("a link to a device", |file| {
            std::os::unix::fs::symlink("/dev/zero", file).unwrap();
        }),
    ];
    for (what, put) in stops {
        let (server, mut lab) = lab();
        lab.configure(&[lab.by_key("crm")]);
        let file = place(&lab);
        put(&file);
        lab.start();
        assert_eq!(lab.ended().code(), Some(1), "{what}");
        assert!(file.symlink_metadata().is_ok(), "{what} was touched");
        assert!(lab.said().contains("crm.json"), "{what}: the file is named");
        assert_eq!(server.calls().len(), 0, "{what}");
    }
}

/// Puts something in the place of a file.
type Put = fn(&Path);

/// How long a disk hangs that comes back.
const HANGS: Duration = Duration::from_secs(9);

/// Runs a program for which the file at `path` hangs when it is opened.
fn hanging_at(path: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-qqq", "-o", "/dev/null", "-P"]);
    strace.arg(path).args(["-e", "trace=openat", "-e"]);
    strace.arg(format!("inject=openat:delay_enter={}", HANGS.as_micros()));
    strace
}

/// A program that ends with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the state of `crm` will be looked for.
fn place(lab: &Lab) -> PathBuf {
    let directory = lab.path("state/sessions");
    fs::create_dir_all(&directory).unwrap();
    fs::set_permissions(lab.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    directory.join("crm.json")
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn order(lab: &Lab, session: &str, what: &str) -> std::thread::JoinHandle<()> {
    let (socket, path) = (
        lab.socket(),
        format!("/v1/sessions/{session}/{what}?wait=3s"),
    );
    std::thread::spawn(move || {
        let _ = unix::request(&socket, "POST", &path, "application/json", "");
    })
}

fn lab() -> (Arc<Salesforce>, Lab) {
    let settings = Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    };
    let server = Arc::new(Salesforce::start(settings));
    let lab = Lab::new(&server);
    (server, lab)
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Full,
    ReadOnly,
    /// Everything on it is removed.
    Emptied,
    /// It is gone, and an empty one comes back.
    Unmounted,
}

/// A small disk in memory, mounted below a lab's directory.
struct Disk {
    path: PathBuf,
}

impl Disk {
    fn mount(lab: &Lab, below: &str) -> Self {
        let path = lab.path(below);
        fs::create_dir_all(&path).unwrap();
        let disk = Self { path };
        disk.mount_fresh();
        disk
    }

    fn mount_fresh(&self) {
        self.call(
            "mount",
            &["-t", "tmpfs", "-o", "size=256k,mode=0755", "tmpfs"],
        );
    }

    fn call(&self, program: &str, args: &[&str]) {
        let status = Command::new(program)
            .args(args)
            .arg(&self.path)
            .status()
            .unwrap();
        assert!(status.success(), "{program} {args:?}");
    }

    fn suffer(&self, trouble: Trouble) {
        match trouble {
            Trouble::Full => {
                let mut file = fs::File::create(self.path.join("fill")).unwrap();
                while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
            }
            // Of the mount, not of the disk: the daemon has its lock file open.
            Trouble::ReadOnly => {
                let path = self.path.display().to_string();
                self.call("mount", &["--bind", &path]);
                self.call("mount", &["-o", "remount,bind,ro"]);
            }
            Trouble::Emptied => {
                for entry in fs::read_dir(&self.path).unwrap() {
                    let path = entry.unwrap().path();
                    let _ = if path.is_dir() {
                        fs::remove_dir_all(path)
                    } else {
                        fs::remove_file(path)
                    };
                }
            }
            Trouble::Unmounted => self.call("umount", &["--lazy"]),
        }
    }

    fn recover(&self, trouble: Trouble) {
        match trouble {
            Trouble::Full => fs::remove_file(self.path.join("fill")).unwrap(),
            Trouble::ReadOnly => self.call("mount", &["-o", "remount,bind,rw"]),
            Trouble::Emptied => {}
            Trouble::Unmounted => self.mount_fresh(),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        while Command::new("umount")
            .args(["--lazy", "--quiet"])
            .arg(&self.path)
            .output()
            .unwrap()
            .status
            .success()
        {}
    }
}
