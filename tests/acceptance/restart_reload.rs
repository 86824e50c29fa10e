//! Restarts that nobody notices, reloads that change what was changed, and the second daemon that must not be.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::Salesforce;
use crate::support::untried::can_as_root;
use crate::support::{SOON, within};

#[test]
fn a_restart_with_a_living_token_logs_in_nowhere_and_leaves_no_gap() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    let generation = lab.status("crm")["generation"].clone();
    let watch = Watch::of(&lab, "crm", &token);
    for kill in [false, true, false, true] {
        if kill {
            lab.kill();
        } else {
            assert!(lab.stop().success());
        }
        lab.start();
        lab.await_state("crm", "alive");
    }
    assert_eq!(watch.gaps(), 0);
    assert_eq!(lab.status("crm")["generation"], generation);
    assert_eq!(server.count(Endpoint::Token), 1);
    assert!(server.pings() <= 4, "{} pings", server.pings());
}

#[test]
fn a_restart_past_the_idle_deadline_pings_before_it_logs_in() {
    let (server, mut lab) = lab(Settings {
        idle: Duration::from_secs(2),
        ..Settings::default()
    });
    lab.configure(&[lab.by_client("crm").idle_timeout("2s")]);
    lab.start();
    let first = lab.await_token("crm");
    lab.stop();
    sleep(Duration::from_millis(2500));
    let before = server.calls().len();
    lab.start();
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    let calls = server.calls();
    assert_eq!(
        calls[before].endpoint,
        Endpoint::Data,
        "the old token is asked after first"
    );
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_token_that_others_kept_alive_is_kept_past_our_own_deadline() {
    let (server, mut lab) = lab(Settings {
        idle: Duration::from_secs(2),
        ..Settings::default()
    });
    lab.configure(&[lab.by_client("crm").idle_timeout("2s")]);
    lab.start();
    let token = lab.await_token("crm");
    lab.stop();
    for _ in 0..12 {
        sleep(Duration::from_millis(250));
        server.use_unseen();
    }
    lab.start();
    lab.await_state("crm", "alive");
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.logins(), 1);
}

#[test]
fn without_its_state_a_daemon_starts_afresh_with_a_higher_generation() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    let first = lab.status("crm")["generation"].as_u64().unwrap();
    lab.stop();
    fs::remove_dir_all(lab.path("state")).unwrap();
    sleep(Duration::from_millis(1100));
    lab.start();
    let second = lab.await_state("crm", "alive")["generation"]
        .as_u64()
        .unwrap();
    assert!(second > first, "{second} after {first}");
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_damaged_state_file_is_set_aside_and_the_session_recovers() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    lab.stop();
    let files = state_files(&lab);
    assert!(!files.is_empty());
    for file in &files {
        let bytes = fs::read(file).unwrap();
        fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    }
    lab.start();
    lab.await_state("crm", "alive");
    assert!(server.lives(&lab.await_token("crm")));
    assert_eq!(server.logins(), 2);
    assert!(
        state_files(&lab).len() > files.len(),
        "set aside, not deleted"
    );
}

#[test]
fn another_client_discards_the_old_token() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let first = lab.await_token("crm");
    let renamed = format!(
        "client_id = \"other\"\nclient_secret = {}",
        lab.source("client-secret")
    );
    lab.configure(&[lab.session(
        "crm",
        &format!("grant = \"client_credentials\"\n{renamed}\n"),
    )]);
    lab.reload();
    let second = lab.await_another_token("crm", &first);
    assert!(server.lives(&second));
    assert_eq!(server.count_of("other", Endpoint::Token), 1);
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_changed_secret_keeps_the_token() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    lab.secret("client-secret", "another secret of the same client");
    lab.reload();
    sleep(Duration::from_secs(1));
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_reload_is_a_diff() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("stays"), lab.by_client("goes")]);
    lab.start();
    let stays = lab.await_token("stays");
    lab.await_token("goes");
    server.settled();
    let pings = server.count_of("stays", Endpoint::Data);
    let watch = Watch::of(&lab, "stays", &stays);
    lab.configure(&[lab.by_client("stays"), lab.by_client("comes")]);
    lab.reload();
    let comes = lab.await_token("comes");
    lab.await_no_token("goes");
    assert!(server.lives(&comes));
    assert_eq!(watch.gaps(), 0);
    assert_eq!(server.count_of("stays", Endpoint::Token), 1);
    assert_eq!(
        server.count_of("stays", Endpoint::Data),
        pings,
        "an unchanged session is not even pinged"
    );
    assert_eq!(server.count(Endpoint::Revoke), 0);
    assert_eq!(lab.get("/v1/sessions/goes").unwrap().status, 404);
}

#[test]
fn a_fragment_adds_sessions() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("main")]);
    lab.start();
    lab.await_token("main");
    fs::create_dir(lab.path("conf.d")).unwrap();
    let fragment = format!(
        "[sessions.extra]\nprovider = \"salesforce\"\nurl = {:?}\n[sessions.extra.login]\ngrant = \"client_credentials\"\n\
         client_id = \"extra\"\nclient_secret = {}\n",
        server.url(),
        lab.source("client-secret")
    );
    fs::write(lab.path("conf.d/extra.toml"), fragment).unwrap();
    lab.reload();
    lab.await_token("extra");
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_broken_file_changes_nothing() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    let watch = Watch::of(&lab, "crm", &token);
    for broken in ["[daemon", "[sessions.crm]\nprovider = \"nobody\"\n", ""] {
        lab.write_config(broken);
        lab.reload();
        sleep(Duration::from_millis(700));
        assert!(lab.runs(), "{}", lab.tail());
        // An empty file is no broken one: it may take the session away, as it says.
        if !broken.is_empty() {
            assert_eq!(lab.token("crm"), Some(token.clone()));
            assert_eq!(watch.gaps(), 0);
        }
    }
    assert!(lab.said().contains("config.toml"), "the log names the file");
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_reload_by_command_waits_for_the_outcome() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    lab.configure(&[lab.by_client("crm"), lab.by_client("erp")]);
    assert_eq!(lab.succeeds(&["reload"]), "reloaded: 2 sessions; +erp\n");
    assert_eq!(
        lab.code(&["status", "erp"]),
        0,
        "the new session is there as soon as the command ends"
    );
    lab.await_token("erp");
    lab.write_config("[sessions.crm]\nprovider = \"nobody\"\n");
    let refused = lab.run(&["reload"]);
    assert_eq!(refused.status.code(), Some(78));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("config.toml") && said.contains("goes on with the old one"),
        "{said}"
    );
    if can_as_root("become another user") {
        assert_eq!(lab.run_as_nobody(&["reload"]).status.code(), Some(77));
    }
    assert_eq!(lab.code(&["status", "erp"]), 0);
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_reload_says_what_differs_moves_the_metrics_and_names_what_needs_a_restart() {
    let (server, mut lab) = lab(Settings::default());
    let ports = [free_port(), free_port()];
    let at = |port: u16| format!("127.0.0.1:{port}");
    let answers = |port: u16| TcpStream::connect(at(port)).is_ok();
    lab.configure(&[lab.by_client("crm"), lab.by_client("billing")]);
    lab.start();
    lab.await_token("crm");
    lab.await_token("billing");
    assert_eq!(
        lab.succeeds(&["reload"]),
        "reloaded: 2 sessions; nothing changed\n"
    );
    let sessions = [
        lab.by_client("crm").idle_timeout("1h"),
        lab.by_client("billing2"),
    ];
    lab.configure(&sessions);
    lab.listen_for_scrapers(&at(ports[0]));
    let diff = "+billing2 \u{2212}billing ~crm ~[metrics]";
    assert_eq!(
        lab.succeeds(&["reload"]),
        format!("reloaded: 2 sessions; {diff}\n")
    );
    within(SOON, "the same in the log", || {
        lab.said().contains(diff).then_some(())
    });
    assert!(answers(ports[0]), "as soon as the command ends");
    lab.configure(&sessions);
    lab.listen_for_scrapers(&at(ports[1]));
    assert_eq!(
        lab.succeeds(&["reload"]),
        "reloaded: 2 sessions; ~[metrics]\n"
    );
    assert_eq!((answers(ports[0]), answers(ports[1])), (false, true));
    let taken = TcpListener::bind(at(ports[0])).unwrap();
    lab.configure(&sessions);
    lab.listen_for_scrapers(&at(ports[0]));
    for _ in 0..2 {
        let output = lab.run(&["reload"]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.contains("not done: listen for scrapers on") && said.contains("in use"),
            "{said}"
        );
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(answers(ports[1]), "where they were");
    }
    drop(taken);
    lab.log_target = "json";
    lab.configure(&sessions);
    let output = lab.succeeds(&["reload"]);
    assert!(
        output.contains("only a restart takes over daemon.log: stop the daemon and start it again"),
        "{output}"
    );
    assert!(!answers(ports[1]), "gone with its table");
    assert_eq!(server.logins(), 3);
}

#[test]
fn files_no_longer_configured_are_removed() {
    let (server, mut lab) = lab(Settings::default());
    let with = |files: &[&str]| {
        files.iter().fold(lab.by_client("crm"), |session, file| {
            session.publish(&format!("file = \"{file}\""))
        })
    };
    let (before, after, restarted) = (
        with(&["one", "two"]),
        with(&["two", "three"]),
        with(&["three"]),
    );
    lab.configure(&[before]);
    lab.start();
    lab.await_token("one");
    lab.await_token("two");
    lab.configure(&[after]);
    lab.reload();
    lab.await_token("three");
    lab.await_no_token("one");
    lab.stop();
    lab.configure(&[restarted]);
    lab.start();
    lab.await_no_token("two");
    lab.await_token("three");
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_session_removed_while_the_daemon_was_down_is_withdrawn_at_its_start() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("stays"), lab.by_client("goes")]);
    lab.start();
    lab.await_token("stays");
    lab.await_token("goes");
    lab.kill();
    lab.configure(&[lab.by_client("stays")]);
    lab.start();
    lab.await_no_token("goes");
    lab.await_token("stays");
    assert_eq!(server.logins(), 2);
}

#[test]
fn a_second_daemon_on_the_same_state_fails_clearly() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let token = lab.await_token("crm");
    let said = lab.said().len();
    let status = lab.spawn().ended(Duration::from_secs(5));
    assert!(status.is_some_and(|status| !status.success()), "{status:?}");
    let complaint = within(SOON, "a complaint", || {
        let said = lab.said()[said..].to_owned();
        said.contains(&*lab.path("state").to_string_lossy())
            .then_some(said)
    });
    assert!(complaint.to_lowercase().contains("another"), "{complaint}");
    lab.succeeds(&["verify", "crm"]);
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.logins(), 1);
}

#[test]
fn sealed_state_holds_no_secret_and_opens_again() {
    let (server, mut lab) = lab(Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    });
    lab.secret("state-key", &crate::support::random_hex(32));
    let sessions = format!(
        "[sessions.crm]\nprovider = \"salesforce\"\nurl = {:?}\n[sessions.crm.login]\ngrant = \"client_credentials\"\n\
         client_id = \"crm\"\nclient_secret = {}\n",
        server.url(),
        lab.source("client-secret")
    );
    let daemon = format!(
        "[daemon]\nruntime_dir = {}\nstate_dir = {}\nstate_key = {}\nlog = \"text\"\n",
        lab.quoted("run"),
        lab.quoted("state"),
        lab.source("state-key")
    );
    lab.write_config(&format!("{daemon}{sessions}"));
    lab.start();
    let token = lab.await_token("crm");
    lab.stop();
    for file in state_files(&lab) {
        let bytes = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let shown = server
            .needles()
            .into_iter()
            .find(|needle| text.contains(needle.as_str()));
        assert_eq!(shown, None, "{}", file.display());
    }
    lab.start();
    lab.await_state("crm", "alive");
    assert_eq!(lab.token("crm"), Some(token));
    assert_eq!(server.logins(), 1);

    lab.stop();
    lab.secret("state-key", &crate::support::random_hex(32));
    let files = state_files(&lab);
    lab.start();
    assert!(
        !lab.ended().success(),
        "another key opens nothing, and destroys nothing"
    );
    assert_eq!(state_files(&lab), files);
    assert_eq!(server.logins(), 1);
}

#[test]
fn state_is_nobody_elses_business() {
    use std::os::unix::fs::PermissionsExt as _;
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&lab.path("state")), 0o700);
    for file in state_files(&lab) {
        assert_eq!(mode(&file) & 0o077, 0, "{}", file.display());
    }
    let environ = fs::read_to_string(format!("/proc/{}/cmdline", lab.pid())).unwrap();
    assert!(!environ.contains(&server.client_secret()));
    assert_eq!(server.logins(), 1);
}

/// Reads a file again and again and counts when it is not there or is not what it should be.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<usize>>,
    gaps: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Watch {
    fn of(lab: &Lab, session: &str, token: &str) -> Self {
        let (path, token) = (lab.path(&format!("run/tokens/{session}")), token.to_owned());
        let (stop, gaps) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(std::sync::atomic::AtomicUsize::new(0)),
        );
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&gaps));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if fs::read_to_string(&path).ok().as_ref() != Some(&token) {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                sleep(Duration::from_micros(200));
            }
            0
        });
        Self {
            stop,
            thread: Some(thread),
            gaps,
        }
    }

    fn gaps(&self) -> usize {
        self.gaps.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn state_files(lab: &Lab) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![lab.path("state")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.len() > 0 {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

fn lab(settings: Settings) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(settings));
    let lab = Lab::new(&server);
    (server, lab)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
