//! Whole daemons in virtual time: sessions that share accounts, servers that fail, disks that fill up, hang and forget,
//! readers, orders, reloads, stops and kills at any moment. What must never happen is looked for at every moment; after the
//! last fault every session is good again within its bound.

mod answers;
mod disk;
mod harms;
mod log;
mod menu;
mod readers;
mod script;
mod servers;
mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Incoming, Supervisor};
use crate::api::Order;
use log::{keep_log, last_of_log};
use menu::host_of;
use servers::Trouble;
use world::{Health, World};

/// So long things go wrong.
const TROUBLED: Duration = Duration::from_mins(45);
/// After that every session is good within so long: a login's budget of an hour may be spent.
const BOUND: Duration = Duration::from_mins(65);
/// Without another word.
const SEEDS: u64 = 1_000;

/// So many that fail are enough to look at.
const MOST_FAILURES: usize = 5;

/// What some seed must have met, or the simulation has lost its teeth.
const SOMETIMES: &[&str] = &[
    "starting",
    "alive",
    "renewing",
    "recovering",
    "needs attention",
    "paused",
    "said READY",
    "said RELOADING",
    "said STOPPING",
    "fed the watchdog",
    "killed",
    "killed in the midst of a write",
    "killed in the midst of a call",
    "lost its power",
    "stopped",
    "told to stop twice",
    "stopped in the midst of a call",
    "stopped in the midst of a reload",
    "aborted a call",
    "an answer came to a call that was cut off",
    "a ping succeeded",
    "a ping failed",
    "a login succeeded",
    "a login failed",
    "a renewal succeeded",
    "a renewal failed",
    "logged out",
    "refused",
    "grant_dead",
    "in_doubt",
    "unavailable",
    "dead",
    "a write failed",
    "a token file could not be written",
    "withdrew a token file",
    "kept a dead token's file",
    "a token file was removed by somebody",
    "a session was added",
    "a session was removed",
    "a session was changed",
    "a session was removed and came back",
    "reloaded in the midst of a recovery",
    "read a broken config",
    "a reload was answered",
    "a reload waited for a removal",
    "a reader was given a token",
    "a reader heard that a person is needed",
    "a reader waited in vain",
    "a job held a token",
    "a probe was answered",
    "an order was carried out",
    "a password became wrong",
    "a password was corrected",
    "a server was down",
    "a server hung",
    "a server was sick",
    "a disk hung",
    "a disk was full",
    "the wall clock jumped",
    "a duty fell due",
];

#[test]
fn whatever_befalls_a_daemon_no_token_is_lost_and_every_session_comes_back() {
    let asked = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if let Some(seed) = asked("KEEPFRESH_SEED") {
        keep_log();
        let lived = catch_unwind(AssertUnwindSafe(|| live(seed)));
        assert!(lived.is_ok(), "{}", last_of_log());
        return;
    }
    let seeds = asked("KEEPFRESH_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let marks = Mutex::new(BTreeSet::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || failed.lock().unwrap().len() >= MOST_FAILURES {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| live(seed))) {
                        Ok(met) => marks.lock().unwrap().extend(met),
                        Err(why) => failed.lock().unwrap().push((seed, said(why.as_ref()))),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let repeat = |(seed, why): &(u64, String)| {
        format!("KEEPFRESH_SEED={seed} cargo test --lib whatever_befalls\n    {why}\n")
    };
    assert!(
        failed.is_empty(),
        "some seeds failed; each of these lines repeats one:\n{}",
        failed.iter().map(repeat).collect::<String>()
    );
    let marks = marks.into_inner().unwrap();
    let missed: Vec<_> = SOMETIMES
        .iter()
        .filter(|mark| !marks.contains(*mark))
        .collect();
    assert!(
        seeds < SEEDS || missed.is_empty(),
        "no seed of {seeds} met {missed:?}, only {marks:?}"
    );
}

/// What a panic said.
fn said(why: &(dyn std::any::Any + Send)) -> String {
    let formatted = why.downcast_ref::<String>().cloned();
    let text = formatted.or_else(|| why.downcast_ref::<&str>().map(ToString::to_string));
    text.unwrap_or_else(|| "a panic without words".to_owned())
}

/// One world; what was met in it.
fn live(seed: u64) -> BTreeSet<&'static str> {
    let mut world = World::new(seed);
    world.plan_mishaps();
    world.run_until(world.now.after(TROUBLED));
    world.is_quiet = true;
    world.heal();
    // An admin who has broken the config, paused or logged out, puts it right.
    world.run_until(world.now.after(Duration::from_mins(5)));
    world.order_all(Order::Resume);
    world.ask_to_reload();
    world.run_until(world.now.after(Duration::from_mins(1)));
    // A reload that hung may have spent the person's consent for a session that it then took out of the config.
    world.heal();
    world.log_in_where_logged_out();
    let end = world.now.after(BOUND);
    let mut why = world.why_not_ready();
    while why.is_some() && world.now < end {
        world.run_until(world.now.after(Duration::from_secs(20)));
        why = world.why_not_ready();
    }
    assert_eq!(why, None, "after the last fault");
    world.marks
}

#[test]
fn an_account_whose_last_session_is_gone_is_written_and_holds_up_no_stop() {
    let mut world = World::well([("app", 0), ("feed", 0)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    if let Some(server) = world.servers.get_mut(&host_of("feed")) {
        server.change_password();
    }
    world.order_of(&["feed".to_owned()], Order::Login);
    world.run_until(world.now.after(Duration::from_secs(20)));
    assert!(world.marks.contains("refused"));
    world.wanted.remove("feed");
    world.handle(Incoming::Reload);
    world.run_until(world.now.after(Duration::from_secs(5)));
    world.stop();
    world.run_until(world.now.after(Duration::from_millis(500)));
    assert!(world.daemon.is_none(), "it has stopped");
}

#[test]
fn a_file_that_another_identity_leaves_is_removed_even_if_the_daemon_is_killed_over_it() {
    let mut world = World::well([("app", 1)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    let before = world.disk.paths();
    world.token_disk = Health::Hangs;
    world.wanted.insert("app", 2);
    world.handle(Incoming::Reload);
    world.run_until(world.now.after(Duration::from_millis(2_500)));
    assert_eq!(
        world.disk.paths(),
        before,
        "the disk has removed nothing yet"
    );
    world.kill(false);
    world.token_disk = Health::Well;
    world.run_until(world.now.after(Duration::from_mins(2)));
    assert!(
        world.why_not_ready().is_none(),
        "{:?}",
        world.why_not_ready()
    );
    assert_ne!(world.disk.paths(), before);
}

#[test]
fn a_stop_takes_back_the_renewal_whose_record_is_still_being_written() {
    let mut world = World::well([("seeded", 0)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    world.marks.clear();
    world.state_disk = Health::Slow;
    world.order_of(&["seeded".to_owned()], Order::Renew);
    world.stop();
    world.state_disk = Health::Well;
    world.run_until(world.now.after(Duration::from_secs(30)));
    assert!(!world.marks.contains("a renewal succeeded"));
    world.run_until(world.now.after(Duration::from_mins(3)));
    let slot = world.daemon.as_ref().and_then(|it| it.slots.get("seeded"));
    assert!(
        slot.is_some_and(|slot| !slot.session().state().in_doubt),
        "the next run need not doubt a renewal that never left"
    );
    assert_eq!(world.why_not_ready(), None);
}

#[test]
fn the_sessions_of_an_account_do_not_wait_for_the_login_of_one_that_is_gone() {
    let mut world = World::well([("crm", 0), ("crm2", 0)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    if let Some(server) = world.servers.get_mut(&host_of("crm")) {
        server.trouble = Trouble::Hangs;
        server.revoke_sessions();
    }
    world.order_of(&["crm".to_owned()], Order::Login);
    world.run_until(world.now.after(Duration::from_secs(2)));
    assert!(!world.calls.is_empty(), "crm logs in");
    world.wanted.remove("crm");
    world.handle(Incoming::Reload);
    world.run_until(world.now.after(Duration::from_secs(2)));
    world.heal();
    world.order_of(&["crm2".to_owned()], Order::Login);
    world.run_until(world.now.after(Duration::from_mins(1)));
    assert_eq!(world.why_not_ready(), None);
}

#[test]
fn a_write_that_hangs_does_not_bring_back_the_record_of_a_session_that_is_gone() {
    let mut world = World::well([("app", 0), ("feed", 0)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    world.state_disk = Health::Hangs;
    world.order_of(&["feed".to_owned()], Order::Pause);
    world.state_disk = Health::Well;
    world.wanted.remove("feed");
    world.handle(Incoming::Reload);
    world.run_until(world.now.after(Duration::from_mins(5)));
    assert_eq!(world.disk.sessions(), ["app"]);
}

#[test]
fn who_reads_files_and_is_answered_finds_them_there_although_a_reload_moves_them() {
    let mut world = World::well([("app", 0)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    world.token_disk = Health::Slow;
    world.order_of(&["app".to_owned()], Order::Login);
    world.wanted.insert("app", 1);
    world.ask_to_reload();
    for _ in 0..200 {
        world.run_until(world.now.after(Duration::from_millis(10)));
        world.read_files("app");
    }
    world.run_until(world.now.after(Duration::from_secs(2)));
    assert!(world.marks.contains("a reader was given a token"));
    assert!(!world.marks.contains("a reader heard that a file lacks"));
}

#[test]
fn a_file_that_stays_when_its_token_is_lost_does_not_go_on_to_show_that_of_another_identity() {
    let mut world = World::well([("app", 4)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    if let Some(server) = world.servers.get_mut(&host_of("app")) {
        server.trouble = Trouble::Hangs;
    }
    world.wanted.insert("app", 5);
    world.handle(Incoming::Reload);
    world.run_until(world.now.after(Duration::from_secs(10)));
    assert!(world.disk.paths().is_empty(), "{:?}", world.disk.paths());
}

#[test]
fn a_file_that_a_disk_takes_late_does_not_go_on_to_show_the_token_of_another_identity() {
    let mut world = World::well([("app", 4)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    world.token_disk = Health::Hangs;
    world.order_of(&["app".to_owned()], Order::Login);
    world.run_until(world.now.after(Duration::from_secs(2)));
    let before = world.generation_of("app");
    world.token_disk = Health::Well;
    world.wanted.insert("app", 5);
    world.handle(Incoming::Reload);
    // The server answers no login of the new identity.
    for _ in 0..90 {
        if let Some(server) = world.servers.get_mut(&host_of("app")) {
            server.trouble = Trouble::Hangs;
        }
        world.run_until(world.now.after(Duration::from_secs(2)));
    }
    let paths = world.disk.paths();
    let mut files = paths.iter().filter_map(|path| world.disk.published(path));
    assert!(files.all(|file| file.generation > before), "{paths:?}");
}

#[test]
fn a_session_is_not_stored_by_a_late_write_of_the_one_that_it_replaces() {
    let mut world = World::well([("app", 0)].into());
    world.run_until(world.now.after(Duration::from_secs(20)));
    world.state_disk = Health::Hangs;
    world.order_of(&["app".to_owned()], Order::Pause);
    world.state_disk = Health::Well;
    world.wanted.insert("app", 2);
    world.handle(Incoming::Reload);
    world.run_until(world.now.after(Duration::from_mins(5)));
    assert_eq!(world.why_not_ready(), None);
}

impl Supervisor {
    fn awaits_files_of_a_reload(&self) -> bool {
        self.reloading.wake().is_some()
    }

    fn is_reloading(&self) -> bool {
        self.reloading.is_under_way()
    }
}
