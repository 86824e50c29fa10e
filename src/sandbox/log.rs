//! What was asked of the sandbox: counts by kind for ever, the requests themselves as far back as memory should reach.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::reply::{Call, Kind};
use crate::time::Instant;

const KEPT: usize = 10_000;

/// One request and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Milliseconds since the sandbox started, or was last reset.
    pub at_millis: i64,
    /// What it was about.
    pub kind: Kind,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The form's `grant_type`, where there is one.
    pub grant: Option<String>,
    /// The status it was answered with; none when it was not, or not whole.
    pub status: Option<u16>,
}

/// The record of all requests but the controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    #[serde(skip)]
    started: Instant,
    /// How many requests of each kind there were.
    pub counts: BTreeMap<Kind, u64>,
    /// The last ten thousand of them.
    pub requests: VecDeque<Entry>,
}

impl Log {
    /// An empty one.
    pub fn new(started: Instant) -> Self {
        Self {
            started,
            counts: BTreeMap::new(),
            requests: VecDeque::new(),
        }
    }

    /// Adds a request; `status` as it was answered, none when it was not.
    pub fn add(&mut self, call: &Call, status: Option<u16>, at: Instant) {
        let count = self.counts.entry(call.kind).or_default();
        *count = count.saturating_add(1);
        if self.requests.len() >= KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(Entry {
            at_millis: at.as_millis().saturating_sub(self.started.as_millis()),
            kind: call.kind,
            method: call.method.clone(),
            path: call.path.clone(),
            grant: call.form.get("grant_type").cloned(),
            status,
        });
    }

    /// How many requests of this kind there were.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }
}
