//! Who can write the state directory and has no key: older copies of records, copies of others, halves, and forgeries in the
//! midst of a sealing. None is shown before its server has said that it lives.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::SOON;
use crate::support::daemon::{Lab, Session};
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::within;

const KEY: &str = "the key of this state, long enough";
const FORGED: &str = "forged-token-of-a-stranger";
/// So long a daemon is watched while its server hangs.
const WATCHED: Duration = Duration::from_millis(1500);

#[test]
fn an_older_copy_of_a_sealed_record_is_proven_before_it_is_shown() {
    for sealed in [true, false] {
        for attack in [
            Attack {
                files: 1,
                remove: &["run/tokens/crm"],
            },
            Attack {
                files: 1,
                remove: &["run"],
            },
            Attack {
                files: 1,
                remove: &[],
            },
            Attack {
                files: 2,
                remove: &["run/tokens"],
            },
            Attack {
                files: 0,
                remove: &[],
            },
            Attack {
                files: 0,
                remove: &["run"],
            },
        ] {
            put_back(sealed, &attack);
        }
    }
}

/// What is removed beside the record that is put back.
#[derive(Debug)]
struct Attack {
    files: usize,
    remove: &'static [&'static str],
}

fn put_back(sealed: bool, attack: &Attack) {
    let (server, mut lab) = lab();
    configure(
        &lab,
        &[published(lab.by_client("crm"), attack.files)],
        sealed,
    );
    lab.start();
    let first = token_of(&lab);
    assert!(lab.stop().success());
    let older = fs::read(record(&lab, "crm")).unwrap();
    lab.start();
    server.revoke_sessions();
    lab.run(&["rejected", "crm"]);
    let second = within(SOON, "another token", || {
        Some(token_of(&lab)).filter(|token| *token != first)
    });
    assert!(lab.stop().success());
    fs::write(record(&lab, "crm"), &older).unwrap();
    for removed in attack.remove {
        let path = lab.path(removed);
        if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
        .unwrap();
    }
    server.always(Endpoint::Data, Instead::Hang);
    lab.start();
    let shown = watch(&lab);
    assert!(
        !shown.contains(&first),
        "{attack:?}, sealed {sealed}: {}",
        lab.tail()
    );
    server.behave();
    let last = within(SOON * 3, "a token that lives", || {
        Some(token_of(&lab)).filter(|token| server.lives(token))
    });
    assert!(last != first && last != second, "{attack:?}");
    assert_eq!(server.logins(), 3, "{attack:?}");
    assert!(server.pings() <= 8, "{attack:?}: {} pings", server.pings());
}

#[test]
fn an_older_copy_of_a_record_does_not_spend_a_refresh_token_that_was_rotated_since() {
    let server = Arc::new(Salesforce::start(Settings {
        refresh_tokens: RefreshTokens::Rotated,
        refresh_kills: true,
        ..Settings::default()
    }));
    let mut lab = Lab::new(&server);
    lab.secret("key", KEY);
    configure(&lab, &[lab.by_client("crm")], true);
    lab.start();
    token_of(&lab);
    assert!(lab.stop().success());
    let older = fs::read(record(&lab, "crm")).unwrap();
    lab.start();
    lab.succeeds(&["renew", "crm"]);
    assert!(lab.stop().success());
    fs::write(record(&lab, "crm"), &older).unwrap();
    lab.start();
    within(SOON, "a token that lives", || {
        Some(token_of(&lab)).filter(|token| server.lives(token))
    });
    assert_eq!(
        (server.reuse_detected(), server.logins(), server.refreshes()),
        (0, 2, 1)
    );
    assert!(
        lab.said().contains("event=\"state_overtaken\""),
        "{}",
        lab.tail()
    );
}

#[test]
fn a_restart_shows_at_once_what_was_shown_before_it_while_the_server_hangs() {
    let kinds = [("none", 0), ("one", 1), ("two", 2)];
    for sealed in [true, false] {
        let (server, mut lab) = lab();
        let sessions: Vec<Session> = kinds
            .iter()
            .map(|(name, files)| published(lab.by_client(name), *files))
            .collect();
        configure(&lab, &sessions, sealed);
        lab.start();
        let tokens = kinds.map(|(name, _)| token(&lab, name));
        server.always(Endpoint::Data, Instead::Hang);
        for kill in [false, true, false, true] {
            if kill {
                lab.kill();
            } else {
                assert!(lab.stop().success());
            }
            lab.start();
            let again = kinds.map(|(name, _)| token(&lab, name));
            assert_eq!(again, tokens, "kill {kill}, sealed {sealed}");
        }
        // As after an upgrade from a version that left no digests: the files say it as well.
        assert!(lab.stop().success());
        fs::remove_dir_all(lab.path("run/latest")).unwrap();
        lab.start();
        for (index, (name, files)) in kinds.iter().enumerate().skip(1) {
            assert_eq!(token(&lab, name), tokens[index], "{files} files");
        }
        assert_eq!(server.logins(), kinds.len());
        assert!(
            server.pings() <= 2 * kinds.len(),
            "{} pings",
            server.pings()
        );
    }
}

#[test]
fn after_a_reboot_or_on_another_machine_a_living_token_costs_one_ping_and_no_login() {
    let (server, mut lab) = lab();
    let sessions = |lab: &Lab| {
        vec![
            published(lab.by_client("crm"), 1),
            published(lab.by_client("erp"), 0),
        ]
    };
    configure(&lab, &sessions(&lab), true);
    lab.start();
    let tokens = ["crm", "erp"].map(|name| token(&lab, name));
    server.settled();
    assert!(lab.stop().success());
    let mut other = Lab::new(&server);
    other.secret("key", KEY);
    configure(&other, &sessions(&other), true);
    copy(&lab.path("state"), &other.path("state"));
    fs::remove_dir_all(lab.path("run")).unwrap();
    for lab in [&mut lab, &mut other] {
        let before = server.pings();
        server.always(Endpoint::Data, Instead::Hang);
        lab.start();
        let shown = watch(lab);
        assert!(
            tokens.iter().all(|token| !shown.contains(token)),
            "{}",
            lab.tail()
        );
        server.behave();
        assert_eq!(["crm", "erp"].map(|name| token(lab, name)), tokens);
        assert!(lab.stop().success());
        assert!(
            server.pings() - before <= 8,
            "{} pings",
            server.pings() - before
        );
    }
    assert_eq!(server.logins(), 2);
}

#[test]
fn records_that_change_places_are_cut_or_are_gone_bring_nothing_of_theirs_to_light() {
    let (server, mut lab) = lab();
    let names = ["crm", "erp"];
    configure(&lab, &names.map(|name| lab.by_client(name)), true);
    lab.start();
    let tokens = names.map(|name| token(&lab, name));
    assert!(lab.stop().success());
    let kept = names.map(|name| fs::read(record(&lab, name)).unwrap());
    let attacks: [(&str, [Option<Vec<u8>>; 2]); 6] = [
        ("swapped", [Some(kept[1].clone()), Some(kept[0].clone())]),
        (
            "one for both",
            [Some(kept[0].clone()), Some(kept[0].clone())],
        ),
        (
            "cut",
            [
                Some(kept[0][..kept[0].len() / 2].to_vec()),
                Some(Vec::new()),
            ],
        ),
        (
            "a letter changed",
            [
                Some(altered(&kept[0], "ciphertext")),
                Some(altered(&kept[1], "nonce")),
            ],
        ),
        ("gone", [None, None]),
        (
            "renamed within",
            [
                Some(renamed(&kept[1], "crm")),
                Some(renamed(&kept[0], "erp")),
            ],
        ),
    ];
    for (what, records) in attacks {
        for (name, content) in names.iter().zip(records) {
            let _ = fs::remove_file(record(&lab, name));
            if let Some(content) = content {
                fs::write(record(&lab, name), content).unwrap();
            }
        }
        fs::remove_dir_all(lab.path("run/tokens")).unwrap();
        server.always(Endpoint::Data, Instead::Hang);
        server.always(Endpoint::Token, Instead::Hang);
        lab.start();
        let shown = watch(&lab);
        assert!(shown.is_empty(), "{what}: {}", lab.tail());
        server.behave();
        lab.kill();
        for (name, content) in names.iter().zip(&kept) {
            fs::write(record(&lab, name), content).unwrap();
        }
    }
    lab.start();
    assert_eq!(
        names.map(|name| token(&lab, name)),
        tokens,
        "nothing was lost but time"
    );
    assert!(server.calls().len() <= 60, "{}", server.calls().len());
}

#[test]
fn a_first_sealing_that_is_killed_in_between_loses_nothing_leaves_nothing_plain_and_takes_no_forgery()
 {
    let server = Arc::new(Salesforce::start(Settings::default()));
    server.allow_calls(200);
    let mut lab = Lab::new(&server);
    lab.secret("key", KEY);
    let names = ["crm", "erp", "hrm"];
    let sessions = names.map(|name| lab.by_client(name));
    configure(&lab, &sessions, false);
    lab.start();
    let tokens = names.map(|name| token(&lab, name));
    assert!(lab.stop().success());
    configure(&lab, &sessions, true);
    copy(&lab.path("state"), &lab.path("plain"));
    copy(&lab.path("run/tokens"), &lab.path("shown"));
    let mut halves = 0;
    // One says that it began, then come three sessions and three accounts.
    for nth in 1..=7 {
        for forge in [false, true] {
            let _ = fs::remove_dir_all(lab.path("state"));
            copy(&lab.path("plain"), &lab.path("state"));
            let _ = fs::remove_dir_all(lab.path("run"));
            copy(&lab.path("shown"), &lab.path("run/tokens"));
            start_and_kill_at_rename(&mut lab, nth);
            let plain: Vec<&str> = names
                .into_iter()
                .filter(|name| is_plain(&record(&lab, name)))
                .collect();
            halves += usize::from(!plain.is_empty() && plain.len() < names.len());
            if let Some(victim) = plain.last().filter(|_| forge) {
                forge_record(&record(&lab, victim));
                fs::remove_file(lab.path(&format!("run/tokens/{victim}"))).unwrap();
            }
            server.always(Endpoint::Data, Instead::Hang);
            lab.start();
            let shown = watch_all(&lab, &names);
            assert!(
                !shown.iter().any(|token| token == FORGED),
                "{nth}: {}",
                lab.tail()
            );
            for (name, token) in names.iter().zip(&tokens) {
                let is_forged = forge && plain.last() == Some(name);
                assert!(
                    is_forged || shown.contains(token),
                    "{nth}: {name} was lost: {}",
                    lab.tail()
                );
                assert!(!is_plain(&record(&lab, name)), "{nth}: {name}");
            }
            assert!(!lab.path("state/sealing.json").exists(), "{nth}");
            server.behave();
            lab.kill();
        }
    }
    assert!(halves >= 4, "only {halves} sealings were ended half-way");
    assert_eq!(server.logins(), names.len());
}

#[test]
fn check_foretells_that_a_plain_record_among_sealed_ones_will_be_set_aside() {
    let (server, mut lab) = lab();
    configure(&lab, &["crm", "erp"].map(|name| lab.by_client(name)), true);
    lab.start();
    for name in ["crm", "erp"] {
        token(&lab, name);
    }
    assert!(lab.stop().success());
    let config = lab.config();
    let check = ["check", "--config", config.to_str().unwrap()];
    assert!(!lab.succeeds(&check).contains("plain among sealed"));
    let path = record(&lab, "crm");
    fs::write(&path, r#"{"version":1,"record":"session/crm","data":{}}"#).unwrap();
    let said = lab.succeeds(&check);
    assert!(
        said.contains(&format!(
            "warning: {}: it is plain among sealed records",
            path.display()
        )),
        "{said}"
    );
    lab.start();
    token(&lab, "crm");
    assert!(lab.path("state/sessions/crm.json.damaged-1").exists());
    assert!(!lab.succeeds(&check).contains("plain among sealed"));
    assert_eq!(server.logins(), 3);
}

/// Traced from its very first call on, which [`Lab::start_tampered`] does not promise.
fn start_and_kill_at_rename(lab: &mut Lab, nth: usize) {
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        "trace=renameat",
        "-e",
    ]);
    strace.arg(format!("inject=renameat:signal=KILL:when={nth}"));
    lab.start_through(strace);
    assert!(lab.has_ended(SOON), "{nth}: {}", lab.tail());
}

fn lab() -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let lab = Lab::new(&server);
    lab.secret("key", KEY);
    (server, lab)
}

fn configure(lab: &Lab, sessions: &[Session], sealed: bool) {
    lab.configure(sessions);
    if sealed {
        let config = fs::read_to_string(lab.config()).unwrap();
        lab.write_config(&config.replacen(
            "[daemon]\n",
            &format!("[daemon]\nstate_key = {}\n", lab.source("key")),
            1,
        ));
    }
}

/// With so many files: none, the token alone, and beside it one in JSON.
fn published(session: Session, files: usize) -> Session {
    let named = session.name().to_owned();
    match files {
        0 => session.key("publish = []"),
        1 => session,
        _ => session
            .publish(&format!("file = \"{named}\""))
            .publish(&format!("file = \"{named}.json\"\nformat = \"json\"")),
    }
}

fn record(lab: &Lab, session: &str) -> std::path::PathBuf {
    lab.path(&format!("state/sessions/{session}.json"))
}

fn token_of(lab: &Lab) -> String {
    token(lab, "crm")
}

/// As the socket has it.
fn token(lab: &Lab, session: &str) -> String {
    within(SOON * 2, "a token over the socket", || {
        on_the_socket(lab, session)
    })
}

fn on_the_socket(lab: &Lab, session: &str) -> Option<String> {
    let answer = lab
        .get(&format!("/v1/sessions/{session}/token"))
        .filter(|answer| answer.status == 200)?;
    answer.json()["access_token"].as_str().map(str::to_owned)
}

/// All tokens that the socket or a file of `crm` and `erp` shows for a while.
fn watch(lab: &Lab) -> Vec<String> {
    watch_all(lab, &["crm", "erp"])
}

fn watch_all(lab: &Lab, sessions: &[&str]) -> Vec<String> {
    let mut seen = Vec::new();
    for _ in 0..WATCHED.as_millis() / 50 {
        sleep(Duration::from_millis(50));
        for session in sessions {
            seen.extend(on_the_socket(lab, session));
            seen.extend(fs::read_to_string(lab.path(&format!("run/tokens/{session}"))).ok());
            let file = fs::read_to_string(lab.path(&format!("run/tokens/{session}.json"))).ok();
            let whole = file.and_then(|file| serde_json::from_str::<Value>(&file).ok());
            seen.extend(whole.and_then(|whole| whole["access_token"].as_str().map(str::to_owned)));
        }
    }
    seen.sort();
    seen.dedup();
    seen
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn is_plain(path: &Path) -> bool {
    fs::read_to_string(path).unwrap().contains("access_token")
}

fn forge_record(path: &Path) {
    let mut whole: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    whole["data"]["state"]["token"]["access_token"] = json!(FORGED);
    fs::write(path, whole.to_string()).unwrap();
}

fn altered(record: &[u8], member: &str) -> Vec<u8> {
    let mut whole: Value = serde_json::from_slice(record).unwrap();
    let text = whole["sealed"][member].as_str().unwrap();
    let other = if text.starts_with('A') { "B" } else { "A" };
    whole["sealed"][member] = json!(format!("{other}{}", &text[1..]));
    whole.to_string().into_bytes()
}

fn renamed(record: &[u8], session: &str) -> Vec<u8> {
    let mut whole: Value = serde_json::from_slice(record).unwrap();
    whole["record"] = json!(format!("session/{session}"));
    whole.to_string().into_bytes()
}
