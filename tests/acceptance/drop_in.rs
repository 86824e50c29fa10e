//! What the systemd service must be given for a config: `check` says which commands remain, writes the drop-in and never over a
//! person's, and says nothing of it once the service has it. What systemd would answer comes from a stand-in for `systemctl`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::daemon::{BINARY, Lab};
use crate::support::namespaces::{SharedMounts, is_root};
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::within;

const DROP_IN: &str = "/etc/systemd/system/keepfresh.service.d/keepfresh-check.conf";
/// A group of every Debian, and its number.
const GROUP: &str = "daemon";
const GROUP_NUMBER: u32 = 1;
/// No process with this number is the service's: it does not run.
const NO_PROCESS: u32 = 0;

#[test]
fn check_ends_with_the_commands_that_remain_and_is_silent_once_the_drop_in_is_in_force() {
    let machine = Machine::new();
    machine.publish(&format!("file = \"crm\"\ngroup = \"{GROUP}\""));
    machine.systemd_shows(NO_PROCESS, "");
    let check = format!(
        "keepfresh check --config {}",
        machine.lab.config().display()
    );
    assert_eq!(
        machine.still_to_do(&[]),
        [
            &*format!("{check} --drop-in"),
            "systemctl daemon-reload",
            "systemctl restart keepfresh"
        ]
    );
    assert!(!machine.written().exists(), "nobody asked for it");

    machine.systemd_shows(NO_PROCESS, "NeedDaemonReload=yes\n");
    let said = machine.succeeds(&["--drop-in"]);
    assert!(
        said.contains(&format!("wrote {DROP_IN}"))
            && said.ends_with(
                "\nstill to do:\n  systemctl daemon-reload\n  systemctl restart keepfresh\n"
            ),
        "{said}"
    );
    let found = fs::metadata(machine.written()).unwrap();
    assert_eq!(found.permissions().mode() & 0o7777, 0o644);
    let text = fs::read_to_string(machine.written()).unwrap();
    assert!(
        text.ends_with(&format!("\n[Service]\nSupplementaryGroups={GROUP}\n")),
        "{text}"
    );
    let again = machine.succeeds(&["--drop-in"]);
    assert!(again.contains("is as the config needs it"), "{again}");
    assert_eq!(found.ino(), fs::metadata(machine.written()).unwrap().ino());

    let has_read = format!("SupplementaryGroups={GROUP}\n");
    machine.systemd_shows(NO_PROCESS, &has_read);
    let said = machine.succeeds(&[]);
    assert!(
        !said.contains("drop-in") && !said.contains("still to do") && said.contains("is good"),
        "{said}"
    );
    let service = Process::without_groups();
    machine.systemd_shows(service.0.id(), &has_read);
    assert_eq!(machine.still_to_do(&[]), ["systemctl restart keepfresh"]);
    assert!(machine.has_called_no_server());
}

#[test]
fn what_the_process_of_the_service_has_is_in_force_whoever_gave_it() {
    if !is_root() {
        return; // Only root can start a process in other groups.
    }
    let machine = Machine::new();
    let directory = machine.lab.path("elsewhere");
    fs::create_dir(&directory).unwrap();
    machine.publish(&format!(
        "file = \"{}/crm\"\ngroup = \"{GROUP}\"",
        directory.display()
    ));
    let service = Process::start(Command::new("setpriv").args([
        "--groups",
        &GROUP_NUMBER.to_string(),
        "sleep",
        "60",
    ]));
    service.awaits_group();
    machine.systemd_shows(service.0.id(), "");
    let said = machine.succeeds(&[]);
    assert!(
        !said.contains("drop-in") && !said.contains("still to do"),
        "{said}"
    );
    let said = machine.succeeds(&["--drop-in"]);
    assert!(
        said.contains("is not written") && !machine.written().exists(),
        "{said}"
    );

    // A service that sees the directory, and may not write there.
    let read_only = "mount --bind \"$0\" \"$0\"; mount -o remount,ro,bind \"$0\"; exec sleep 60";
    let service = Process::start(
        Command::new("unshare")
            .args(["--mount", "--", "setpriv", "--groups"])
            .args([&GROUP_NUMBER.to_string(), "sh", "-ec", read_only])
            .arg(&directory),
    );
    service.awaits_group();
    machine.systemd_shows(service.0.id(), "");
    let to_do = within(Duration::from_secs(10), "the mount", || {
        Some(machine.still_to_do(&[])).filter(|to_do| !to_do.is_empty())
    });
    assert_eq!(to_do.len(), 3, "{to_do:?}");
}

#[test]
fn a_drop_in_that_a_person_wrote_changed_or_masked_is_never_overwritten_nor_removed() {
    let machine = Machine::new();
    let needy = format!("file = \"crm\"\ngroup = \"{GROUP}\"");
    machine.publish(&needy);
    machine.systemd_shows(NO_PROCESS, "");
    let directory = machine.written().parent().unwrap().to_owned();
    fs::create_dir(&directory).unwrap();
    let refuses = || {
        let output = machine.check(&["--drop-in"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains(DROP_IN) && said.contains("not overwritten"),
            "{said}"
        );
    };
    for text in ["", "[Service]\nMemoryMax=1G\n", "\u{fffd}\0"] {
        fs::write(machine.written(), text).unwrap();
        refuses();
        assert_eq!(fs::read_to_string(machine.written()).unwrap(), text);
        fs::remove_file(machine.written()).unwrap();
    }
    symlink("/dev/null", machine.written()).unwrap();
    refuses();
    assert!(machine.written().is_symlink());
    fs::remove_file(machine.written()).unwrap();

    machine.succeeds(&["--drop-in"]);
    let own = fs::read_to_string(machine.written()).unwrap();
    let changed = format!("{own}MemoryMax=1G\n");
    fs::write(machine.written(), &changed).unwrap();
    machine.publish("file = \"crm\"\ngroup = \"sys\"");
    refuses();
    machine.publish("file = \"crm\"");
    let said = machine.succeeds(&["--drop-in"]);
    assert!(said.contains("is not written"), "{said}");
    assert_eq!(fs::read_to_string(machine.written()).unwrap(), changed);

    fs::write(machine.written(), own).unwrap();
    machine.publish("file = \"crm\"\ngroup = \"sys\"");
    machine.succeeds(&["--drop-in"]);
    let text = fs::read_to_string(machine.written()).unwrap();
    assert!(text.contains("SupplementaryGroups=sys"), "{text}");
    machine.publish("file = \"crm\"");
    let said = machine.succeeds(&["--drop-in"]);
    assert!(
        said.contains(&format!("removed {DROP_IN}"))
            && said.ends_with("\n  systemctl daemon-reload\n  systemctl restart keepfresh\n"),
        "{said}"
    );
    assert!(!machine.written().exists());
    let left = fs::read_dir(directory).unwrap().count();
    assert_eq!(left, 0, "files beside it");
}

#[test]
fn no_drop_in_is_written_for_a_config_in_error_or_for_one_that_the_service_does_not_read() {
    let machine = Machine::new();
    machine.publish(&format!("file = \"crm\"\ngroup = \"{GROUP}\""));
    machine.systemd_shows(NO_PROCESS, "");
    let secret = machine.lab.path("client-secret");
    fs::rename(&secret, machine.lab.path("away")).unwrap();
    let output = machine.check(&["--drop-in"]);
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    assert!(!machine.written().exists());
    fs::rename(machine.lab.path("away"), secret).unwrap();

    for shown in [
        "LoadState=loaded\nMainPID=0\nExecStart={ path=/usr/bin/keepfresh ; argv[]=/usr/bin/keepfresh run --config /etc/keepfresh/config.toml ; }\n",
        "LoadState=not-found\nMainPID=0\n",
        "",
        "no answer of systemd's",
    ] {
        machine.systemctl(&format!("cat <<'END'\n{shown}\nEND"));
        machine.refuses_without_a_service(shown);
    }
    machine.systemctl("echo 'System has not been booted with systemd as init system' >&2; exit 1");
    machine.refuses_without_a_service("a container without systemd");
    machine.systemctl("exec sleep 60");
    let begun = Instant::now();
    machine.refuses_without_a_service("a systemd that hangs");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_credential_without_its_file_is_still_to_do_and_not_in_the_drop_in_that_is_written() {
    let machine = Machine::new();
    let login = "grant = \"client_credentials\"\nclient_id = \"crm\"\nclient_secret = { credential = \"crm-secret\" }\n";
    let session = machine.lab.session("crm", login);
    machine
        .lab
        .configure(&[session.publish(&format!("file = \"crm\"\ngroup = \"{GROUP}\""))]);
    machine.systemd_shows(NO_PROCESS, "");
    let to_do = machine.still_to_do(&[]);
    assert!(
        to_do[0].starts_with("install -m 0400")
            && to_do[0].contains("/etc/keepfresh/secrets/crm-secret"),
        "{to_do:?}"
    );
    machine.succeeds(&["--drop-in"]);
    let text = fs::read_to_string(machine.written()).unwrap();
    assert!(
        text.contains("SupplementaryGroups") && !text.contains("LoadCredential"),
        "the service would not start: {text}"
    );
    let elsewhere = "LoadCredentialEncrypted=crm-secret:/etc/keepfresh/crm.cred\n";
    machine.systemd_shows(
        NO_PROCESS,
        &format!("SupplementaryGroups={GROUP}\n{elsewhere}"),
    );
    assert_eq!(machine.still_to_do(&[]), <[&str; 0]>::default());
}

#[test]
fn the_json_of_check_has_the_drop_in_what_was_done_and_what_remains() {
    let machine = Machine::new();
    machine.publish(&format!("file = \"crm\"\ngroup = \"{GROUP}\""));
    machine.systemd_shows(NO_PROCESS, "");
    let json = |args: &[&str]| -> serde_json::Value {
        serde_json::from_str(&machine.succeeds(&[&["--json"], args].concat())).unwrap()
    };
    let before = json(&[]);
    assert_eq!(
        before["still_to_do"].as_array().unwrap().len(),
        3,
        "{before}"
    );
    assert!(before["drop_in_file"].is_null());
    let after = json(&["--drop-in"]);
    assert_eq!(after["still_to_do"].as_array().unwrap().len(), 2, "{after}");
    assert_eq!(after["drop_in_file"], format!("wrote {DROP_IN}"));
    assert_eq!(after["systemd_drop_in"], before["systemd_drop_in"]);
}

/// A machine whose /etc/systemd is empty, with a config and a stand-in for systemctl.
struct Machine {
    lab: Lab,
    server: Arc<Salesforce>,
    mounts: SharedMounts,
}

impl Machine {
    fn new() -> Self {
        let server = Arc::new(Salesforce::start(Settings::default()));
        let lab = Lab::new(&server);
        fs::create_dir(lab.path("bin")).unwrap();
        let mounts = SharedMounts::made_by(
            "mount -t tmpfs tmpfs /etc/systemd; mkdir /etc/systemd/system",
            &[],
        );
        Self {
            lab,
            server,
            mounts,
        }
    }

    /// A config with one session that publishes so.
    fn publish(&self, publish: &str) {
        self.lab
            .configure(&[self.lab.by_client("crm").publish(publish)]);
    }

    /// From now on systemctl is this script.
    fn systemctl(&self, script: &str) {
        let path = self.lab.path("bin/systemctl");
        let fresh = self.lab.path("bin/fresh");
        fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    fn systemd_shows(&self, process: u32, more: &str) {
        let config = self.lab.config();
        self.systemctl(&format!(
            "cat <<'END'\nLoadState=loaded\nMainPID={process}\nExecStart={{ path=/usr/bin/keepfresh ; argv[]=/usr/bin/keepfresh run \
             --config {} ; ignore_errors=no ; }}\n{more}END",
            config.display()
        ));
    }

    fn check(&self, args: &[&str]) -> Output {
        let path = std::env::var("PATH").unwrap();
        let mut command = self.mounts.enter();
        command
            .args([BINARY, "check", "--config"])
            .arg(self.lab.config())
            .args(args)
            .env("PATH", format!("{}:{path}", self.lab.path("bin").display()))
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    #[track_caller]
    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.check(args);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn still_to_do(&self, args: &[&str]) -> Vec<String> {
        let said = self.succeeds(args);
        let listed = said
            .split_once("\nstill to do:\n")
            .map(|(_, listed)| listed);
        let lines = listed.unwrap_or_default().lines();
        lines.map(|line| line.trim().to_owned()).collect()
    }

    #[track_caller]
    fn refuses_without_a_service(&self, what: &str) {
        let output = self.check(&["--drop-in"]);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{what}: {complaint}");
        assert!(
            complaint.contains("no drop-in is written"),
            "{what}: {complaint}"
        );
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains("SupplementaryGroups") && !said.contains("still to do"),
            "{what}: {said}"
        );
        assert!(!self.written().exists(), "{what}");
    }

    /// Where the drop-in lies, as seen from here.
    fn written(&self) -> PathBuf {
        self.mounts.seen_from_outside(DROP_IN)
    }

    fn has_called_no_server(&self) -> bool {
        self.server.calls().is_empty()
    }
}

/// A stand-in for the service's process, ended with the test.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// One that is in no group but its own.
    fn without_groups() -> Self {
        Self::start(Command::new("sleep").arg("60"))
    }

    fn awaits_group(&self) {
        let status = Path::new("/proc")
            .join(self.0.id().to_string())
            .join("status");
        within(Duration::from_secs(10), "the groups", || {
            let text = fs::read_to_string(&status).unwrap();
            let groups = text.lines().find_map(|line| line.strip_prefix("Groups:"))?;
            (groups.trim() == GROUP_NUMBER.to_string()).then_some(())
        });
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
