//! What a reload changes, and what it cannot.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::api::Reloaded;
use crate::config::{Config, DaemonConfig, SessionConfig, SocketConfig};
use crate::supervisor::Slots;

/// Compares the config that is in force with the one that is to be.
pub(super) fn between(
    slots: &Slots,
    old: &Config,
    new: &Config,
    restart_command: Option<&str>,
) -> Reloaded {
    let restart_for = needing_restart(old, new);
    let mut changes = Reloaded {
        sessions: new.sessions.len(),
        restart_needed: !restart_for.is_empty(),
        restart_command: (!restart_for.is_empty())
            .then(|| restart_command.map(str::to_owned))
            .flatten(),
        restart_for,
        changed_tables: changed_tables(old, new),
        ..Reloaded::default()
    };
    changes.compare_sessions(slots, &new.sessions);
    changes
}

impl Reloaded {
    fn compare_sessions(&mut self, slots: &Slots, new: &BTreeMap<Arc<str>, Arc<SessionConfig>>) {
        let gone = slots
            .iter()
            .filter(|(name, slot)| !slot.is_leaving() && !new.contains_key(*name));
        self.removed = gone.map(|(name, _)| name.to_string()).collect();
        for (name, config) in new {
            match slots.get(name).filter(|slot| !slot.is_leaving()) {
                None => self.added.push(name.to_string()),
                Some(slot) if slot.config() != config => self.changed.push(name.to_string()),
                Some(_) => {}
            }
        }
    }
}

/// What holds for all sessions; a change of `[http]` shows in each session that it comes to.
fn changed_tables(old: &Config, new: &Config) -> Vec<String> {
    let differs = [
        ("socket", old.socket.admins != new.socket.admins),
        ("metrics", old.metrics != new.metrics),
        ("alerts", old.alerts != new.alerts),
        (
            "http",
            (old.per_host_rate - new.per_host_rate).abs() > f64::EPSILON,
        ),
    ];
    differs
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(table, _)| (*table).to_owned())
        .collect()
}

/// Keys whose values the running daemon stands on: directories, locks, descriptors.
fn needing_restart(old: &Config, new: &Config) -> Vec<String> {
    // Named one by one, so that a new key must be thought of here. Profiles and cron lines are read with each config.
    let DaemonConfig {
        runtime_dir,
        state_dir,
        state_key,
        state_key_old,
        providers_dir: _,
        timezone: _,
        log,
    } = &new.daemon;
    let SocketConfig {
        path,
        mode,
        admins: _,
    } = &new.socket;
    let differs = [
        ("daemon.runtime_dir", *runtime_dir != old.daemon.runtime_dir),
        ("daemon.state_dir", *state_dir != old.daemon.state_dir),
        ("daemon.state_key", *state_key != old.daemon.state_key),
        (
            "daemon.state_key_old",
            *state_key_old != old.daemon.state_key_old,
        ),
        ("daemon.log", *log != old.daemon.log),
        ("socket.path", *path != old.socket.path),
        ("socket.mode", *mode != old.socket.mode),
    ];
    differs
        .iter()
        .filter(|(_, differs)| *differs)
        .map(|(key, _)| (*key).to_owned())
        .collect()
}
