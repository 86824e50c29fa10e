//! When sessions are to be looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::time::Instant;

/// One moment for each session, at most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Instant, Arc<str>)>,
    by_name: BTreeMap<Arc<str>, Instant>,
}

impl Timers {
    /// The session is to be looked at then, or not at all.
    pub(super) fn set(&mut self, name: &Arc<str>, at: Option<Instant>) {
        if self.by_name.get(name).copied() == at {
            return;
        }
        if let Some(old) = self.by_name.remove(name) {
            self.by_time.remove(&(old, name.clone()));
        }
        if let Some(at) = at {
            self.by_name.insert(name.clone(), at);
            self.by_time.insert((at, name.clone()));
        }
    }

    /// When the first of them is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// A session whose time has come; it has no timer any more.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Arc<str>> {
        self.by_time.first().filter(|(at, _)| *at <= now)?;
        let (_, name) = self.by_time.pop_first()?;
        self.by_name.remove(&name);
        Some(name)
    }
}
