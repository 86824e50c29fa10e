//! `kill -9` between any two effects: no session is lost, no spent refresh token presented, no generation given twice, no
//! file torn or older than before, and the server is not called more often for it.
//!
//! strace kills the program itself, unchanged, as it enters the n-th system call of a kind; `KEEPFRESH_KILLS` says how many
//! rounds the loops make (`make soak` sets it).

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use crate::support::daemon::{Lab, Session};
use crate::support::org::{RefreshTokens, Settings};
use crate::support::salesforce::Salesforce;
use crate::support::{SOON, unix, within};

/// Every kind of call by which something outside the process changes: the disk's, and what goes to and fro on sockets.
const EFFECTS: [&str; 8] = [
    "fsync", "renameat", "openat2", "fchmod", "rename", "writev", "recvfrom", "write",
];

#[test]
fn a_kill_right_after_a_rotation_became_visible_loses_no_session() {
    let (server, mut lab) = lab(Settings {
        refresh_kills: true,
        ..rotating()
    });
    let approved = server.approve("crm");
    lab.configure(&[lab.by_refresh_token("crm", &approved)]);
    lab.start();
    let mut token = lab.await_token("crm");
    let rounds = rounds(25);
    for round in 1..=rounds {
        let (mut order, mut given) = (order(&lab, "crm", "renew?wait=20s"), Instant::now());
        token = within(SOON * 3, "another token", || {
            let another = lab.token("crm").filter(|another| *another != token);
            // A disk that does not take the intent within five seconds: nothing was sent, and the order is given again.
            if another.is_none() && order.is_finished() && given.elapsed() > Duration::from_secs(10)
            {
                (order, given) = (self::order(&lab, "crm", "renew?wait=20s"), Instant::now());
            }
            another
        });
        lab.kill();
        let _ = order.join();
        lab.start();
        lab.await_state("crm", "alive");
        assert_eq!(lab.token("crm").as_ref(), Some(&token), "round {round}");
        assert!(server.lives(&token), "round {round}");
    }
    assert_eq!(server.reuse_detected(), 0);
    assert_eq!(
        server.refreshes(),
        rounds + 1,
        "one per order, and the first"
    );
    assert_eq!(server.logins(), 0);
}

#[test]
fn a_kill_at_any_system_call_of_a_renewal_or_a_recovery_is_made_good() {
    // A lab for each, or the hour's budget of logins would be spent.
    let kills: usize = EFFECTS
        .iter()
        .map(|effect| kill_at(effect, rounds(2).min(4)))
        .sum();
    assert!(kills >= EFFECTS.len() / 2, "only {kills} kills");
}

/// How many of the rounds ended in a kill.
fn kill_at(effect: &str, rounds: usize) -> usize {
    let (server, mut lab) = lab(rotating());
    lab.configure(&[
        twice_published(lab.by_client("rotates")),
        twice_published(lab.by_key("plain")),
    ]);
    lab.start();
    let watch = Watch::of(&lab, &["rotates", "plain"]);
    for name in ["rotates", "plain"] {
        lab.await_token(name);
    }
    lab.stop();
    let mut kills = 0;
    let mut before = server.calls().len();
    for round in 0..rounds {
        let nth = 1 + round;
        lab.start_tampered(&[format!("{effect}:signal=KILL:when={nth}")]);
        if comes_to_answer(&mut lab) {
            server.revoke_sessions();
            for (name, what) in [("rotates", "renew?wait=2s"), ("plain", "verify?wait=2s")] {
                let _ = order(&lab, name, what).join();
            }
        }
        if lab.has_ended(Duration::from_millis(300)) {
            kills += 1;
        } else {
            lab.kill();
        }
        lab.start();
        for name in ["rotates", "plain"] {
            // Nothing tells a daemon that was killed before it asked that the server has ended the session.
            lab.run(&["rejected", name]);
            let awaited = format!("{name} to live after {effect} {nth}");
            within(Duration::from_secs(20), &awaited, || {
                lab.token(name).filter(|token| server.lives(token))
            });
        }
        assert_eq!(
            server.reuse_detected(),
            0,
            "{effect} {nth}: a login was at hand"
        );
        assert!(lab.stop().success());
        let calls = server.calls().len();
        assert!(
            calls - before <= 24,
            "{effect} {nth}: {} calls",
            calls - before
        );
        before = calls;
    }
    watch.found_nothing();
    kills
}

#[test]
fn kills_at_random_moments_of_starts_and_recoveries_lose_nothing() {
    let (server, mut lab) = lab(rotating());
    lab.configure(&[
        twice_published(lab.by_client("rotates")),
        twice_published(lab.by_key("plain")),
    ]);
    lab.start();
    for name in ["rotates", "plain"] {
        lab.await_token(name);
    }
    let watch = Watch::of(&lab, &["rotates", "plain"]);
    let rounds = rounds(20);
    for round in 0..rounds {
        // Thrice: an hour has six logins, and one that a kill cut off counts as well.
        if round % rounds.div_ceil(3) == 0 {
            server.revoke_sessions();
        }
        let orders = [
            order(&lab, "rotates", "renew?wait=2s"),
            order(&lab, "plain", "verify?wait=2s"),
        ];
        sleep(Duration::from_millis(
            u64::try_from(round * 13 % 47).unwrap(),
        ));
        lab.kill();
        for order in orders {
            let _ = order.join();
        }
        lab.start();
        if round % 3 != 2 {
            within(SOON, "the daemon to listen", || lab.get("/v1/health"));
        }
    }
    let living = |name: &str| lab.token(name).filter(|it| server.lives(it));
    for name in ["rotates", "plain"] {
        lab.run(&["rejected", name]);
        // Logins that kills cut off count as well, and may have spent the hour's: one by hand is not held back.
        if living(name).is_none() {
            lab.run(&["login", name]);
        }
        within(Duration::from_secs(40), &format!("{name} to live"), || {
            living(name)
        });
    }
    assert_eq!(server.reuse_detected(), 0, "a login was at hand");
    let calls = server.calls().len();
    assert!(
        calls <= 12 * rounds + 20,
        "{calls} calls in {rounds} rounds"
    );
    watch.found_nothing();
}

#[test]
fn a_daemon_that_is_killed_at_its_first_write_every_time_never_logs_in() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_key("crm")]);
    for round in 0..6 {
        lab.start_tampered(&["fsync:signal=KILL:when=1".to_owned()]);
        assert!(lab.has_ended(SOON), "round {round}");
    }
    assert_eq!(
        server.calls().len(),
        0,
        "what would not be counted is not done"
    );
    lab.start();
    lab.await_token("crm");
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_kill_leaves_no_lock_no_socket_and_no_temporary_file_in_the_way() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_key("crm")]);
    lab.start();
    lab.await_token("crm");
    for (effect, nth) in [
        ("renameat", 1),
        ("renameat", 2),
        ("renameat", 3),
        ("fchmod", 1),
        ("fchmod", 2),
        ("bind", 1),
    ] {
        lab.kill();
        fs::remove_dir_all(lab.path("state")).unwrap();
        lab.start_tampered(&[format!("{effect}:signal=KILL:when={nth}")]);
        if !lab.has_ended(Duration::from_secs(1)) {
            lab.kill();
        }
        lab.start();
        lab.await_state("crm", "alive");
        // What the daemon is just writing has such a name as well, for a moment.
        within(SOON, &format!("no leftovers after {effect} {nth}"), || {
            leftovers(&lab).is_empty().then_some(())
        });
    }
    assert!(server.logins() <= 13, "{}", server.logins());
}

fn leftovers(lab: &Lab) -> Vec<PathBuf> {
    let is_left = |path: &PathBuf| {
        path.display().to_string().contains("/.keepfresh-")
            || path.extension().is_some_and(|it| it == "new")
    };
    [
        "run",
        "run/tokens",
        "state",
        "state/sessions",
        "state/accounts",
    ]
    .iter()
    .flat_map(|directory| fs::read_dir(lab.path(directory)).unwrap())
    .map(|entry| entry.unwrap().path())
    .filter(is_left)
    .collect()
}

/// Whether the daemon comes to answer before it is killed.
fn comes_to_answer(lab: &mut Lab) -> bool {
    crate::support::poll(SOON, || {
        let answers = lab
            .get("/v1/health")
            .is_some_and(|answer| answer.status == 200);
        (answers || !lab.runs()).then_some(answers)
    })
    .unwrap_or(false)
}

/// An order that nobody minds if the daemon dies over it.
fn order(lab: &Lab, session: &str, what: &str) -> JoinHandle<()> {
    let (socket, path) = (lab.socket(), format!("/v1/sessions/{session}/{what}"));
    std::thread::spawn(move || {
        let _ = unix::request(&socket, "POST", &path, "application/json", "");
    })
}

fn twice_published(session: Session) -> Session {
    let named = session.name().to_owned();
    session
        .publish(&format!("file = \"{named}\""))
        .publish(&format!("file = \"{named}.json\"\nformat = \"json\""))
}

fn rotating() -> Settings {
    Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    }
}

fn rounds(usual: usize) -> usize {
    std::env::var("KEEPFRESH_KILLS")
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(usual)
}

fn lab(settings: Settings) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(settings));
    server.allow_calls(100.max(12 * rounds(0) + 20));
    let lab = Lab::new(&server);
    (server, lab)
}

/// Reads published files without pause: each is absent or whole, generations rise, and each stands for one token.
struct Watch {
    stop: Arc<AtomicBool>,
    reader: JoinHandle<Vec<String>>,
}

impl Watch {
    fn of(lab: &Lab, names: &[&str]) -> Self {
        let files: Vec<PathBuf> = names
            .iter()
            .map(|name| lab.path(&format!("run/tokens/{name}.json")))
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reader = std::thread::spawn(move || {
            let mut found = Vec::new();
            let mut seen: Vec<BTreeMap<u64, String>> = vec![BTreeMap::new(); files.len()];
            while !stopped.load(Ordering::Relaxed) {
                for (file, seen) in files.iter().zip(&mut seen) {
                    if let Ok(content) = fs::read_to_string(file) {
                        found.extend(judge(&content, seen));
                    }
                }
                sleep(Duration::from_millis(1));
            }
            found
        });
        Self { stop, reader }
    }

    #[track_caller]
    fn found_nothing(self) {
        self.stop.store(true, Ordering::Relaxed);
        let found = self.reader.join().unwrap();
        assert!(found.is_empty(), "{found:?}");
    }
}

fn judge(content: &str, seen: &mut BTreeMap<u64, String>) -> Option<String> {
    let Ok(whole) = serde_json::from_str::<serde_json::Value>(content) else {
        return Some("torn".into());
    };
    let (Some(generation), Some(token)) =
        (whole["generation"].as_u64(), whole["access_token"].as_str())
    else {
        return Some(format!("not whole: {} bytes", content.len()));
    };
    let newest = seen.last_key_value().map_or(0, |(newest, _)| *newest);
    if generation < newest {
        return Some(format!("{generation} after {newest}"));
    }
    let known = seen.entry(generation).or_insert_with(|| token.to_owned());
    (known != token).then(|| format!("{generation} stands for two tokens"))
}
