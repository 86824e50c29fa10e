//! A probe that is green says that jobs find the token where they read it: in the files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::SOON;
use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;

const PATIENCE: &str = "a probe must not wait out --wait for a file that a person must see to";

#[test]
fn no_probe_is_green_while_a_published_file_is_not_in_its_place() {
    for (what, spoil, mend) in OBSTACLES {
        let (server, mut lab) = lab();
        let path = lab.path("elsewhere/deep/tok");
        lab.configure(&[lab
            .by_client("crm")
            .publish(&format!("file = \"{}\"", path.display()))]);
        spoil(&path);
        lab.start();
        lab.await_state("crm", "alive");
        for (probe, code) in [
            (&["wait", "crm"][..], 79),
            (&["exec", "crm", "--", "true"], 125),
            (&["health", "--ready"], 79),
            (&["rejected", "crm"], 79),
        ] {
            let asked = Instant::now();
            let output = lab.run(probe);
            let said =
                String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{what}, {probe:?}: {said}"
            );
            assert!(
                said.contains(path.to_str().unwrap()) && said.contains("; "),
                "{what}, {probe:?}: {said}"
            );
            assert!(
                asked.elapsed() < Duration::from_secs(5),
                "{what}, {probe:?}: {PATIENCE}"
            );
        }
        let health = lab.get("/v1/health").unwrap().json();
        assert_eq!(health["ready"], false, "{what}");
        // Whoever reads it here needs no file.
        let printed = lab.run(&["token", "crm"]);
        assert!(
            printed.status.success() && !printed.stdout.is_empty(),
            "{what}: {printed:?}"
        );
        assert!(
            String::from_utf8_lossy(&printed.stderr).contains("warning"),
            "{what}: {printed:?}"
        );
        mend(&path);
        lab.succeeds(&["wait", "crm"]);
        assert!(path.is_file(), "{what}: told to be there");
        lab.succeeds(&["health", "--ready"]);
        lab.succeeds(&["exec", "crm", "--", "true"]);
        assert!(
            server.logins() == 1 && server.calls().len() <= 4,
            "{what}: {} calls",
            server.calls().len()
        );
    }
}

type Act = fn(&Path);
const OBSTACLES: [(&str, Act, Act); 4] = [
    (
        "a directory that is missing",
        |_| (),
        |path| fs::create_dir_all(path.parent().unwrap()).unwrap(),
    ),
    (
        "a directory in the file's place",
        |path| fs::create_dir_all(path.join("full")).unwrap(),
        |path| fs::remove_dir_all(path).unwrap(),
    ),
    (
        "a file in the directory's place",
        |path| {
            fs::create_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
            fs::File::create(path.parent().unwrap()).unwrap();
        },
        |path| {
            fs::remove_file(path.parent().unwrap()).unwrap();
            fs::create_dir(path.parent().unwrap()).unwrap();
        },
    ),
    (
        "a link that leads nowhere in the directory's place",
        |path| {
            fs::create_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
            symlink("nowhere", path.parent().unwrap()).unwrap();
        },
        |path| {
            fs::remove_file(path.parent().unwrap()).unwrap();
            fs::create_dir(path.parent().unwrap()).unwrap();
        },
    ),
];

#[test]
fn a_file_that_somebody_removed_is_there_again_before_a_probe_says_that_it_is() {
    let (server, mut lab) = lab();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    let path = lab.path("run/tokens/crm");
    for probe in [
        &["wait", "crm"][..],
        &["wait", "crm", "--wait", "0s"],
        &["exec", "crm", "--", "true"],
        &["health", "--ready"],
    ] {
        let tampers: [Act; 4] = [
            |path| fs::remove_file(path).unwrap(),
            |path| fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap(),
            |path| drop(fs::File::create(path).unwrap()),
            |path| {
                fs::remove_file(path).unwrap();
                symlink("/etc/passwd", path).unwrap();
            },
        ];
        for (number, tamper) in tampers.into_iter().enumerate() {
            tamper(&path);
            lab.succeeds(probe);
            let found = fs::symlink_metadata(&path).unwrap();
            assert!(
                found.is_file() && found.permissions().mode() & 0o777 == 0o640,
                "{probe:?}, tamper {number}"
            );
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                token,
                "{probe:?}, tamper {number}"
            );
        }
    }
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(lab.run(&["health", "--ready"]).status.code(), Some(79));
    assert_eq!(lab.run(&["wait", "crm"]).status.code(), Some(79));
    assert!(
        server.logins() == 1 && server.calls().len() <= 3,
        "{} calls",
        server.calls().len()
    );
}

#[test]
fn a_file_that_no_job_needs_is_said_to_be_missing_and_fails_no_probe() {
    let (server, mut lab) = lab();
    let path = lab.path("elsewhere/tok");
    let publish = format!("file = \"{}\"\nrequired = false", path.display());
    lab.configure(&[lab
        .by_client("crm")
        .publish("file = \"crm\"")
        .publish(&publish)]);
    let checked = lab.run(&["check", "--config", lab.config().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(
        checked.status.success()
            && said.contains("warning")
            && said.contains(path.to_str().unwrap()),
        "{said}"
    );
    lab.start();
    lab.succeeds(&["wait", "crm"]);
    lab.succeeds(&["exec", "crm", "--", "true"]);
    lab.succeeds(&["health", "--ready"]);
    assert!(
        lab.status("crm")["files"][1]["error"]
            .as_str()
            .unwrap()
            .contains("create the directory")
    );
    assert!(server.calls().len() <= 3);
}

#[test]
fn check_fails_on_a_file_that_cannot_be_put_in_its_place_and_names_the_remedy() {
    for (what, spoil, mend) in OBSTACLES {
        let (_server, lab) = lab();
        let path = lab.path("elsewhere/deep/tok");
        lab.configure(&[lab
            .by_client("crm")
            .publish(&format!("file = \"{}\"", path.display()))]);
        spoil(&path);
        let config = lab.config();
        let check = || lab.run(&["check", "--config", config.to_str().unwrap()]);
        let output = check();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{what}: {said}");
        let directory = path.parent().unwrap().to_str().unwrap();
        assert!(
            said.contains(directory) && said.contains("sessions.crm.publish.file"),
            "{what}: {said}"
        );
        if !path.parent().unwrap().is_dir() {
            let plan = String::from_utf8_lossy(&output.stdout);
            assert!(
                !plan.contains("Paths="),
                "{what}, a drop-in for what is not there: {plan}"
            );
        }
        mend(&path);
        assert!(check().status.success(), "{what}");
    }
}

#[test]
fn the_status_of_the_unit_names_the_file_that_is_not_in_its_place() {
    let (_server, mut lab) = lab();
    let path = lab.path("elsewhere/tok");
    lab.configure(&[lab
        .by_client("crm")
        .publish(&format!("file = \"{}\"", path.display()))]);
    let manager = UnixDatagram::bind(lab.path("notify")).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let mut daemon = lab.daemon();
    daemon
        .env("NOTIFY_SOCKET", lab.path("notify"))
        .stderr(std::process::Stdio::piped());
    lab.start_by(daemon);
    let mut buffer = [0; 1024];
    let ready = loop {
        let length = manager.recv(&mut buffer).unwrap();
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if message.starts_with("READY=1") {
            break message;
        }
    };
    assert!(
        ready.contains("0 of 1 sessions good") && ready.contains(path.to_str().unwrap()),
        "{ready}"
    );
    assert!(ready.contains("create the directory"), "{ready}");
}

fn lab() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    (server, lab)
}
