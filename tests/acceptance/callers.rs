//! Who is let in: the kernel says which user and which groups connect, from whatever namespace, and the config decides.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::Value;

use crate::support::daemon::Lab;
use crate::support::org::Settings;
use crate::support::salesforce::Salesforce;
use crate::support::untried::{can_as_root, say_untried};

/// Numbers that no account of a test machine has.
const READER: u32 = 61_001;
const READERS: u32 = 61_002;
const ADMIN: u32 = 61_003;
const ADMINS: u32 = 61_004;
const OWNER: u32 = 61_005;
const OWNERS: u32 = 61_006;
const STRANGER: u32 = 61_007;

/// A user, its group, and the others it is in.
type Who = (u32, u32, &'static [u32]);

#[test]
fn each_caller_sees_and_reads_the_sessions_that_name_it_and_no_other() {
    let Some((server, lab)) = scene() else { return };
    let seen: [(Who, &[&str]); 12] = [
        ((READER, STRANGER, &[]), &["by-name"]),
        ((STRANGER, READERS, &[]), &["by-name"]),
        ((STRANGER, STRANGER, &[READERS]), &["by-name"]),
        (
            (STRANGER, STRANGER, &[60_000, READERS, 60_001]),
            &["by-name"],
        ),
        // A number means the one or the other, never both.
        ((READERS, STRANGER, &[]), &[]),
        ((STRANGER, READER, &[READER]), &[]),
        ((OWNER, STRANGER, &[]), &["by-files"]),
        ((STRANGER, STRANGER, &[OWNERS]), &["by-files"]),
        ((STRANGER, OWNERS, &[READERS]), &["by-files", "by-name"]),
        ((STRANGER, STRANGER, &[]), &[]),
        ((ADMIN, STRANGER, &[]), &["by-files", "by-name", "unnamed"]),
        (
            (STRANGER, STRANGER, &[ADMINS]),
            &["by-files", "by-name", "unnamed"],
        ),
    ];
    for (who, expected) in seen {
        let list: Value =
            serde_json::from_slice(&run_as(&lab, &[], who, &["status", "--json"]).stdout).unwrap();
        let names: Vec<&str> = list["sessions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|session| session["session"].as_str().unwrap())
            .collect();
        assert_eq!(names, expected, "{who:?}");
        for name in ["by-files", "by-name", "unnamed"] {
            let code = if expected.contains(&name) { 0 } else { 77 };
            assert_eq!(
                run_as(&lab, &[], who, &["token", name]).status.code(),
                Some(code),
                "{who:?} reads {name}"
            );
        }
        // Only who may see all is told that there is none.
        let code = if expected.len() == 3 { 80 } else { 77 };
        assert_eq!(
            run_as(&lab, &[], who, &["token", "nope"]).status.code(),
            Some(code),
            "{who:?}"
        );
    }
    assert_eq!(server.logins(), 3);
}

#[test]
fn only_admins_may_order_and_each_no_names_what_would_help() {
    let Some((server, lab)) = scene() else { return };
    for (who, code) in [
        ((READER, STRANGER, &[][..]), 77),
        ((STRANGER, STRANGER, &[OWNERS]), 77),
        ((ADMIN, STRANGER, &[]), 0),
        ((STRANGER, STRANGER, &[ADMINS]), 0),
    ] {
        for order in ["verify", "pause", "resume"] {
            assert_eq!(
                run_as(&lab, &[], who, &[order, "by-name"]).status.code(),
                Some(code),
                "{who:?} {order}"
            );
        }
        assert_eq!(
            run_as(&lab, &[], who, &["reload"]).status.code(),
            Some(code),
            "{who:?}"
        );
    }
    let said = |who, args: &[&str]| {
        String::from_utf8_lossy(&run_as(&lab, &[], who, args).stderr).into_owned()
    };
    let reading = said((STRANGER, STRANGER, &[]), &["token", "by-name"]);
    assert!(
        reading.contains("`allow` in [sessions.by-name.access]") && !reading.contains("admins"),
        "{reading}"
    );
    let ordering = said((READER, STRANGER, &[]), &["login", "by-name"]);
    assert!(
        ordering.contains("`admins` in [socket]") && !ordering.contains("allow"),
        "{ordering}"
    );
    assert_eq!(server.logins(), 3, "nobody's no reached the server");
}

#[test]
fn a_job_in_namespaces_of_its_own_is_known_by_all_its_groups() {
    let Some((_server, lab)) = scene() else {
        return;
    };
    for namespaces in [
        &["unshare", "--pid", "--fork"][..],
        &["unshare", "--pid", "--fork", "--mount-proc"],
    ] {
        if !Command::new(namespaces[0])
            .args(&namespaces[1..])
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            say_untried("this machine lets nobody make namespaces");
            return;
        }
        for (who, code) in [
            ((STRANGER, STRANGER, &[READERS][..]), 0),
            ((STRANGER, STRANGER, &[]), 77),
        ] {
            let output = run_as(&lab, namespaces, who, &["token", "by-name"]);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{namespaces:?} {who:?}: {output:?}"
            );
        }
    }
}

/// Sessions that are opened in each way, and who administers them; nothing where nobody can become somebody else.
fn scene() -> Option<(Arc<Salesforce>, Lab)> {
    if !can_as_root("become another user") {
        return None;
    }
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let allow = format!("allow = [\"user:{READER}\", \"group:{READERS}\"]");
    let files =
        format!("file = \"by-files\"\nowner = \"{OWNER}\"\ngroup = \"{OWNERS}\"\nmode = \"0440\"");
    lab.configure(&[
        lab.by_client("by-name").table("access", &allow),
        lab.by_client("by-files").publish(&files),
        lab.by_client("unnamed").key("publish = []"),
    ]);
    let config = std::fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&format!(
        "{config}\n[socket]\nadmins = [\"user:{ADMIN}\", \"group:{ADMINS}\"]\n"
    ));
    lab.start();
    for name in ["by-name", "by-files", "unnamed"] {
        lab.await_state(name, "alive");
    }
    server.settled();
    Some((server, lab))
}

/// `keepfresh ARGS` as somebody else, by way of the words in `before`.
fn run_as(lab: &Lab, before: &[&str], (user, group, groups): Who, args: &[&str]) -> Output {
    let keepfresh = lab.command(args);
    let mut words: Vec<String> = before.iter().map(|word| (*word).to_owned()).collect();
    words.extend([
        "setpriv".to_owned(),
        format!("--reuid={user}"),
        format!("--regid={group}"),
    ]);
    let list = groups
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(",");
    words.push(if list.is_empty() {
        "--clear-groups".to_owned()
    } else {
        format!("--groups={list}")
    });
    let environment: BTreeMap<_, _> = keepfresh
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    Command::new(&words[0])
        .args(&words[1..])
        .arg(keepfresh.get_program())
        .args(keepfresh.get_args())
        .envs(environment)
        .current_dir("/")
        .output()
        .unwrap()
}
