//! What people are told: one event for each transition, with what they need to know and nothing secret.

use std::time::Duration;

use super::answer::Request;
use super::state::Doubt;
use crate::blotted::Blotted;

/// A transition worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A full login brought a token.
    LoggedIn {
        /// Its generation.
        generation: u64,
    },
    /// A renewal brought a token.
    Renewed {
        /// Its generation.
        generation: u64,
    },
    /// A login or renewal handed out the token that we hold already.
    SameToken,
    /// A login or renewal handed out a token that is known dead.
    SameDeadToken,
    /// The server no longer knows the token.
    Died {
        /// Of which generation.
        generation: u64,
        /// Nothing that we know explains it: an admin's doing, or a shorter timeout than believed.
        unexplained: bool,
        /// What the server said.
        detail: Blotted,
    },
    /// The token reached its fixed end before it could be replaced.
    Expired {
        /// Of which generation.
        generation: u64,
    },
    /// The idle timeout must be shorter than configured.
    Learned {
        /// What was believed.
        from: Duration,
        /// What is believed now.
        to: Duration,
    },
    /// Calls of this kind fail, though nothing speaks against the session.
    Failing {
        /// Which calls.
        request: Request,
        /// What came instead of an answer.
        detail: Blotted,
        /// How many in a row.
        failures: u32,
    },
    /// Calls succeed again.
    Answering {
        /// How many had failed.
        failures: u32,
    },
    /// The server asks to wait.
    Throttled {
        /// For how long.
        wait: Duration,
        /// What it said.
        detail: Blotted,
    },
    /// The server's no to a login or renewal; logins and renewals of the account stop when `stopped`.
    Refused {
        /// What it said.
        detail: Blotted,
        /// Whether a person must act now.
        stopped: bool,
    },
    /// The refresh token is dead.
    GrantDead {
        /// What the server said.
        detail: Blotted,
    },
    /// A renewal has no usable answer: it is not presented again while the token lives.
    InDoubt {
        /// What came instead.
        detail: Blotted,
    },
    /// The server gave a new refresh token that cannot be kept.
    RefreshTokenOdd {
        /// Why, and what is kept in its place.
        detail: String,
    },
    /// The server forbids what the ping asks; the session itself is left alone.
    Forbidden {
        /// What it said.
        detail: Blotted,
    },
    /// The ping is allowed again.
    Allowed,
    /// Whether the token still works must be found out first.
    Doubtful {
        /// Why.
        why: Doubt,
    },
    /// The doubt is gone.
    Proven,
    /// The login must wait for the account's budget.
    BudgetSpent {
        /// For how long.
        wait: Duration,
        /// How many logins an hour the account has.
        logins_an_hour: u32,
    },
    /// The server's clock differs from ours.
    Skewed {
        /// Server minus ours.
        millis: i64,
    },
    /// The configured refresh token was taken up.
    Seeded,
    /// A corrected secret, or a person, ended the account's stop.
    Reopened,
    /// An admin logged the session out.
    LoggedOut {
        /// What the server said, when it did not simply agree.
        problem: Option<Blotted>,
    },
    /// An admin paused the session.
    Paused,
    /// An admin ended the pause.
    Resumed,
    /// The active hours ended.
    Dormant,
    /// A reader needs the token, or the active hours begin.
    Woken,
}

impl Event {
    /// The fixed word for it in logs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::LoggedIn { .. } => "logged_in",
            Self::Renewed { .. } => "renewed",
            Self::SameToken => "same_token",
            Self::SameDeadToken => "same_dead_token",
            Self::Died { .. } => "died",
            Self::Expired { .. } => "expired",
            Self::Learned { .. } => "learned",
            Self::Failing { .. } => "failing",
            Self::Answering { .. } => "answering",
            Self::Throttled { .. } => "throttled",
            Self::Refused { .. } => "refused",
            Self::GrantDead { .. } => "grant_dead",
            Self::InDoubt { .. } => "in_doubt",
            Self::RefreshTokenOdd { .. } => "refresh_token_odd",
            Self::Forbidden { .. } => "forbidden",
            Self::Allowed => "allowed",
            Self::Doubtful { .. } => "doubtful",
            Self::Proven => "proven",
            Self::BudgetSpent { .. } => "budget_spent",
            Self::Skewed { .. } => "skewed",
            Self::Seeded => "seeded",
            Self::Reopened => "reopened",
            Self::LoggedOut { .. } => "logged_out",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Dormant => "dormant",
            Self::Woken => "woken",
        }
    }
}
