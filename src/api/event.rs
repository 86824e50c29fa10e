//! What `GET /v1/events` tells: one happening of one session, with nothing secret in it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One event. Field names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "`event` is the word that users of the socket rely on"
)]
pub struct Event {
    /// Rises with each event, over restarts of the daemon too.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// The session; none for what concerns the follower itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What.
    pub event: Kind,
    /// Of the token that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// Of a call: `ping`, `login`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Of a call: what its answer was taken for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// One sentence, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Who answers for the session, where the config says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Arc<str>>,
    /// Where it is written what to do, where the config says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<Arc<str>>,
}

/// The closed set of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Missed,
    Call,
    Published,
    Withdrawn,
    NeedsAttention,
    Recovered,
    LoggedIn,
    Renewed,
    SameToken,
    SameDeadToken,
    Died,
    Expired,
    Learned,
    Failing,
    Answering,
    Throttled,
    Refused,
    GrantDead,
    InDoubt,
    RefreshTokenOdd,
    Forbidden,
    Allowed,
    Doubtful,
    Proven,
    BudgetSpent,
    Skewed,
    Seeded,
    Reopened,
    LoggedOut,
    Paused,
    Resumed,
    Dormant,
    Woken,
    /// One that a newer daemon knows.
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// All that this version knows.
    pub const ALL: [Self; 33] = [
        Self::Missed,
        Self::Call,
        Self::Published,
        Self::Withdrawn,
        Self::NeedsAttention,
        Self::Recovered,
        Self::LoggedIn,
        Self::Renewed,
        Self::SameToken,
        Self::SameDeadToken,
        Self::Died,
        Self::Expired,
        Self::Learned,
        Self::Failing,
        Self::Answering,
        Self::Throttled,
        Self::Refused,
        Self::GrantDead,
        Self::InDoubt,
        Self::RefreshTokenOdd,
        Self::Forbidden,
        Self::Allowed,
        Self::Doubtful,
        Self::Proven,
        Self::BudgetSpent,
        Self::Skewed,
        Self::Seeded,
        Self::Reopened,
        Self::LoggedOut,
        Self::Paused,
        Self::Resumed,
        Self::Dormant,
        Self::Woken,
    ];

    /// Its name on the wire.
    pub fn word(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| Some(value.as_str()?.to_owned()))
            .unwrap_or_default()
    }
}
