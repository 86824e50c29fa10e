//! A session as the socket and `status --json` show it.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::session::answer::Quota;

/// What the server says of a token when it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introspected {
    /// When it was asked.
    pub at: Timestamp,
    /// When the token ends by its word.
    pub ends_at: Timestamp,
}

/// One session as `status --json` and `GET /v1/sessions/{s}` show it. Field names are stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// The session's name.
    pub session: String,
    /// The profile's name.
    pub provider: String,
    /// As configured.
    pub url: String,
    /// How it logs in; absent from an older daemon.
    #[serde(default)]
    pub grant: Option<String>,
    /// Whom the server locks and counts: user (or client) and host; absent from an older daemon.
    #[serde(default)]
    pub account: Option<String>,
    /// How it is.
    pub state: State,
    /// In words: what is the matter, or that all is well.
    pub reason: String,
    /// Of the current token; none before the first.
    pub generation: Option<u64>,
    /// Tells two tokens apart without showing either.
    pub token_fingerprint: Option<String>,
    /// When the current token was issued.
    pub token_issued_at: Option<Timestamp>,
    /// The base of API requests, where the server names one.
    pub instance_url: Option<String>,
    /// Whether the token is published now.
    pub published: bool,
    /// Whether the latest state is on disk.
    pub persisted: bool,
    /// The server's idle timeout as believed now; none where nothing idles out.
    pub idle_timeout_seconds: Option<f64>,
    /// Until when the session certainly lives, unless it is used.
    pub idle_deadline: Option<Timestamp>,
    /// When the token ends by itself.
    pub token_expires_at: Option<Timestamp>,
    /// What the server said when it was last asked about the token; absent unless it named an end.
    pub introspected: Option<Introspected>,
    /// When the refresh token ends, unused.
    pub refresh_token_expires_at: Option<Timestamp>,
    /// When the server ends the session whatever happens.
    pub max_lifetime_at: Option<Timestamp>,
    /// When the last full login was.
    pub logged_in_at: Option<Timestamp>,
    /// When the session was last seen used, by us or by a report.
    pub last_activity_at: Option<Timestamp>,
    /// What happens next by itself.
    pub next: Option<Next>,
    /// What the calendar asks for next, each kind of duty once, the earliest first.
    #[serde(default)]
    pub scheduled: Vec<Scheduled>,
    /// Until when jobs hold the token at most; a renewal or login that can wait does.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
    /// The last thing that went wrong.
    pub last_error: Option<LastError>,
    /// What a person must do, if anything.
    pub attention: Option<Attention>,
    /// What a person should know though nothing is wrong.
    pub notice: Option<String>,
    /// What will need a person later unless it is looked at now, each in one word.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// How many more times the daemon may log in by itself; absent where it does not.
    #[serde(default)]
    pub login_budget: Option<LoginBudget>,
    /// The server's allocations, as its headers told them.
    pub quotas: Vec<Quota>,
    /// Calls since the start.
    pub counts: Counts,
    /// The latest calls and losses, the oldest first.
    pub recent: Vec<Recent>,
    /// The published files.
    pub files: Vec<FileStatus>,
    /// Where jobs call its server without the token; absent where they cannot.
    #[serde(default)]
    pub gateway: Option<GatewayStatus>,
}

/// Where jobs call a session's server without the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// Its unix socket.
    pub socket: PathBuf,
    /// Its port on loopback, with the address.
    pub listen: Option<SocketAddr>,
    /// Whether jobs get the token in no other way.
    pub only: bool,
    /// What the session's variables begin with.
    pub env_prefix: String,
}

/// The states of a session (docs/api.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is known of the token yet.
    Starting,
    /// The token is good.
    Alive,
    /// A new token is being fetched while the old one lives.
    Renewing,
    /// The token is gone, and a new one is on its way.
    Recovering,
    /// A person must do something.
    NeedsAttention,
    /// An admin paused it.
    Paused,
    /// Outside its active minutes.
    Dormant,
}

/// What happens next by itself, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// `ping`, `renew`, `login`, `introspect`.
    pub action: String,
    /// When.
    pub at: Timestamp,
    /// Which deadline or duty asks for it.
    pub why: String,
}

/// A duty of the calendar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// What for.
    pub duty: DutyKind,
    /// When.
    pub at: Timestamp,
    /// The same on the clock of the config's time zone: `Sun 2026-03-29 03:00 CEST`.
    pub local: String,
}

/// What the calendar can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DutyKind {
    /// `verify_at`.
    Verify,
    /// `renew_at`.
    Renew,
    /// So long before the next `active` minute that the session is back when it comes.
    ActiveStarts,
    /// The first minute that is not `active`.
    ActiveEnds,
    /// What a newer daemon knows.
    #[serde(other)]
    Other,
}

/// The last thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// When.
    pub at: Timestamp,
    /// Which kind of call: `ping`, `login`.
    pub request: String,
    /// The verdict's word.
    pub verdict: String,
    /// One sentence, without secrets.
    pub detail: String,
}

/// The automatic logins of an account, which its sessions share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginBudget {
    /// So many fit into an hour.
    pub limit: u32,
    /// So many may leave at once.
    pub left: u32,
    /// When the next may leave, after failures too; absent where that is now.
    pub next_at: Option<Timestamp>,
}

/// What a person must do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// Since when.
    pub since: Timestamp,
    /// What is the matter.
    pub reason: String,
    /// What to do, as a sentence or a command.
    pub remedy: String,
}

/// Calls since the daemon started, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Pings sent.
    pub pings: u64,
    /// Renewals sent.
    pub renewals: u64,
    /// Logins sent.
    pub logins: u64,
    /// Introspections sent.
    pub introspections: u64,
    /// Calls of any kind that did not bring what they were for.
    pub failures: u64,
}

/// A call that was answered lately, or the loss of a token; failures alike in a row are one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// What it was.
    pub what: What,
    /// The verdict's word for a call; `died` or `expired` for a loss.
    pub outcome: String,
    /// Whether it was as it should be.
    pub success: bool,
    /// When; of several, the last.
    pub at: Timestamp,
    /// When the first of several was.
    pub since: Timestamp,
    /// How many they are.
    pub times: u32,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A call that proves the token good and counts as activity.
    Ping,
    /// A question to the authorization server about the token.
    Introspect,
    /// A call for a new token by the refresh token or the provider's renewal.
    Renew,
    /// A full login.
    Login,
    /// A call that ends the session.
    Logout,
    /// The token was good and is no longer.
    Loss,
    /// What a newer daemon knows.
    #[serde(other)]
    Other,
}

/// One published file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStatus {
    /// Where it is.
    pub path: String,
    /// The generation it holds; none when it is absent.
    pub generation: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}
