//! The socket: HTTP/1.1 over a unix socket, who may ask what, and the client that the command line uses.

pub mod access;
pub mod client;
pub mod duration;
#[cfg(test)]
pub(crate) mod fake;
pub mod problem;
pub mod server;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::session::answer::Quota;
use access::Caller;

/// What a caller asks of the supervisor; each carries who asks and where the answer goes.
#[derive(Debug)]
pub enum Ask {
    /// All sessions that the caller may see.
    Sessions { caller: Caller, reply: oneshot::Sender<Vec<SessionStatus>> },
    /// One session.
    Session { caller: Caller, name: String, reply: oneshot::Sender<Result<SessionStatus, Refusal>> },
    /// The token, once it is good for `min_validity`, within `wait`.
    Token {
        caller: Caller,
        name: String,
        min_validity: Duration,
        wait: Duration,
        reply: oneshot::Sender<Result<TokenAnswer, Refusal>>,
    },
    /// A job used the token with success.
    Used {
        caller: Caller,
        name: String,
        generation: u64,
        age: Option<Duration>,
        reply: oneshot::Sender<Result<SessionStatus, Refusal>>,
    },
    /// A job saw "session expired"; answered once confirmed or recovered, within `wait`.
    Rejected {
        caller: Caller,
        name: String,
        which: Rejected,
        wait: Duration,
        reply: oneshot::Sender<Result<TokenAnswer, Refusal>>,
    },
    /// An admin's order; answered when carried out, within `wait`.
    Order {
        caller: Caller,
        name: String,
        order: Order,
        wait: Duration,
        reply: oneshot::Sender<Result<SessionStatus, Refusal>>,
    },
    /// Is the daemon well, and are these sessions (all, when empty) good?
    Health { caller: Caller, names: Vec<String>, reply: oneshot::Sender<Result<Health, Refusal>> },
}

/// Which token was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// By its generation.
    Generation(u64),
    /// By its value.
    Token(crate::secret::Secret),
}

/// What an admin may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    Verify,
    Renew,
    Login,
    Logout,
    Pause,
    Resume,
}

/// Why the answer is no. Each has its own status, problem type and exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 404 `no-such-session`, exit 80. A session that the caller may not see is 403 instead.
    NoSuchSession { name: String },
    /// 403 `not-allowed`, exit 77.
    NotAllowed { name: String },
    /// 503 `not-fresh` with `Retry-After`, exit 75.
    NotFresh { name: String, reason: String, retry_after: Option<Duration> },
    /// 409 `needs-attention`, exit 79: says what a person must do.
    NeedsAttention { name: String, reason: String, remedy: String },
    /// 422 `cannot-promise`: no token of this session can be promised for so long; `longest` can.
    CannotPromise { name: String, longest: Duration },
    /// 409 `conflict`: the order makes no sense now (renew without a refresh token, resume when not paused).
    Conflict { name: String, reason: String },
    /// 502 `failed`, exit 1: the order was carried out and the server said no, or did not answer.
    Failed { name: String, reason: String },
    /// 503 `stopping`, exit 75.
    Stopping,
}

/// What `GET /v1/sessions` and `status --json` answer: an object, so that more can stand beside the list one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionList {
    /// In the order of their names.
    pub sessions: Vec<SessionStatus>,
}

/// One session as `status --json` and `GET /v1/sessions/{s}` show it. Field names are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    pub session: String,
    pub provider: String,
    pub url: String,
    pub state: State,
    /// In words: what is the matter, or that all is well.
    pub reason: String,
    pub generation: Option<u64>,
    pub token_fingerprint: Option<String>,
    /// When the current token was issued.
    pub token_issued_at: Option<Timestamp>,
    pub instance_url: Option<String>,
    /// Whether the token is published now.
    pub published: bool,
    /// Whether the latest state is on disk.
    pub persisted: bool,
    pub idle_timeout_seconds: Option<f64>,
    pub idle_deadline: Option<Timestamp>,
    pub token_expires_at: Option<Timestamp>,
    pub refresh_token_expires_at: Option<Timestamp>,
    pub max_lifetime_at: Option<Timestamp>,
    pub logged_in_at: Option<Timestamp>,
    pub last_activity_at: Option<Timestamp>,
    pub next: Option<Next>,
    pub last_error: Option<LastError>,
    pub attention: Option<Attention>,
    pub quotas: Vec<Quota>,
    pub counts: Counts,
    pub files: Vec<FileStatus>,
}

/// The states of design section 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Starting,
    Alive,
    Renewing,
    Recovering,
    NeedsAttention,
    Paused,
    Dormant,
}

/// What happens next by itself, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// `ping`, `renew`, `login`, `introspect`.
    pub action: String,
    pub at: Timestamp,
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    pub at: Timestamp,
    pub request: String,
    pub verdict: String,
    pub detail: String,
}

/// What a person must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    pub since: Timestamp,
    pub reason: String,
    pub remedy: String,
}

/// Calls since the daemon started, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub pings: u64,
    pub renewals: u64,
    pub logins: u64,
    pub introspections: u64,
    pub failures: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    pub path: String,
    pub generation: Option<u64>,
    pub error: Option<String>,
}

/// A token as `GET /v1/sessions/{s}/token` gives it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenAnswer {
    pub session: String,
    #[serde(with = "crate::secret::exposed")]
    pub access_token: crate::secret::Secret,
    pub token_type: String,
    pub instance_url: Option<String>,
    pub generation: u64,
    pub issued_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    /// Ready to send.
    pub headers: BTreeMap<String, String>,
    /// For how long the token is promised: capped at what one ping proves; absent when nothing ends it.
    pub valid_for_seconds: Option<f64>,
    /// The captures not marked secret.
    #[serde(flatten)]
    pub captures: BTreeMap<String, String>,
}

/// `GET /v1/health`: live and ready apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The scheduler makes progress.
    pub live: bool,
    /// Every named session has a good token published.
    pub ready: bool,
    /// Those that have not, with the reason.
    pub not_ready: BTreeMap<String, String>,
    pub version: String,
}
