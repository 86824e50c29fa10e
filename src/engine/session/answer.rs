//! What one call to a server came to: the closed set of verdicts, and the facts that go with them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::blotted::Blotted;
use crate::secret::Secret;
use crate::time::Instant;
use crate::token::{RefreshTokenError, Token};

/// What can be asked of a server, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// The cheapest authenticated request that counts as activity.
    Ping,
    /// Ask the authorization server about the token (RFC 7662).
    Introspect,
    /// A new token by the refresh token, or by the profile's renew request.
    Renew,
    /// Authenticate fully.
    Login,
    /// End the session at the server.
    Logout,
}

/// What an answer says of session, grant or server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A ping succeeded as expected.
    Alive,
    /// The server no longer knows the token; `certain` when a documented sign said so, else a second ping confirms.
    Dead {
        /// Whether a documented sign said so.
        certain: bool,
        /// Whether only a login helps: the server said that renewing cannot.
        for_good: bool,
    },
    /// A login or renewal brought a token; a ping that did so proves it alive as well.
    Good(Box<Grant>),
    /// A login or renewal brought a token that had ended already, and perhaps a refresh token beside it.
    Expired {
        /// The new refresh token, where the server sent one.
        refresh_token: Option<Secret>,
    },
    /// The server's no to a login, or to our client; `confirm` allows one more try before a person is called.
    Refused {
        /// Whether one confirming try may follow.
        confirm: bool,
        /// What must not be shown to the server again as it is.
        what: Refused,
    },
    /// The refresh token is expired, revoked or spent.
    GrantDead,
    /// The server refused a renewal with an error that is not known. It may be put right at the server, so nothing is
    /// thrown away.
    Declined,
    /// The server asks to wait.
    Throttled {
        /// `Retry-After`, where given.
        retry_after: Option<Duration>,
    },
    /// No usable answer: connection, TLS, time-out, 408, 5xx, 3xx, HTML.
    Unavailable,
    /// The session may well live, but this user or client may not do this; `certain` skips the confirming retry.
    Forbidden {
        /// Whether a documented sign said so.
        certain: bool,
    },
    /// A renewal that may have reached the server, with no usable answer.
    InDoubt,
    /// Another renewal of the same refresh token is under way.
    Concurrent,
    /// The server's clock and ours disagree so much that it took our assertion for expired.
    Skewed,
    /// A logout was accepted, or the token was already gone.
    LoggedOut,
    /// An introspection's answer.
    Introspected {
        /// `active`, which proves nothing when false unless it was seen true for the same token.
        active: bool,
        /// Time left by `exp`, on the server's own clock where it sent `Date`.
        remaining: Option<Duration>,
    },
}

/// What a server's no was about: only what could bring on the same no again is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// What proves the user: a password, the key of an assertion, a token to exchange.
    Credential,
    /// The client, or how it proves itself; its renewals present that too.
    Client,
    /// The user, whatever is sent for him and by whichever client: he is locked or inactive.
    User,
    /// What this session asks for, or how it does: a scope, a grant, or what cannot even be put together.
    Request,
}

/// A verdict's kind, without what goes with it: what is left of an answer once it has been acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each stands for the verdict of its name")]
pub enum Outcome {
    Alive,
    Dead,
    Good,
    Expired,
    Refused,
    GrantDead,
    Throttled,
    Unavailable,
    Forbidden,
    InDoubt,
    Concurrent,
    Skewed,
    LoggedOut,
    Introspected,
}

impl Outcome {
    /// The word that design, logs and metrics use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Dead => "dead",
            Self::Good => "good",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::GrantDead => "grant_dead",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Forbidden => "forbidden",
            Self::InDoubt => "in_doubt",
            Self::Concurrent => "concurrent",
            Self::Skewed => "skewed",
            Self::LoggedOut => "logged_out",
            Self::Introspected => "introspected",
        }
    }

    /// Whether the call brought what it was made for.
    pub fn is_success(self) -> bool {
        match self {
            Self::Alive | Self::Good | Self::LoggedOut | Self::Introspected => true,
            Self::Dead
            | Self::Expired
            | Self::Refused
            | Self::GrantDead
            | Self::Throttled
            | Self::Unavailable
            | Self::Forbidden
            | Self::InDoubt
            | Self::Concurrent
            | Self::Skewed => false,
        }
    }
}

impl Verdict {
    /// Its kind.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Alive => Outcome::Alive,
            Self::Dead { .. } => Outcome::Dead,
            Self::Good(_) => Outcome::Good,
            Self::Expired { .. } => Outcome::Expired,
            Self::Refused { .. } | Self::Declined => Outcome::Refused,
            Self::GrantDead => Outcome::GrantDead,
            Self::Throttled { .. } => Outcome::Throttled,
            Self::Unavailable => Outcome::Unavailable,
            Self::Forbidden { .. } => Outcome::Forbidden,
            Self::InDoubt => Outcome::InDoubt,
            Self::Concurrent => Outcome::Concurrent,
            Self::Skewed => Outcome::Skewed,
            Self::LoggedOut => Outcome::LoggedOut,
            Self::Introspected { .. } => Outcome::Introspected,
        }
    }

    /// The word that design, logs and metrics use.
    pub fn word(&self) -> &'static str {
        self.outcome().word()
    }

    /// Whether the call brought what it was made for.
    pub fn is_success(&self) -> bool {
        self.outcome().is_success()
    }
}

/// What a successful login or renewal brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The token, already checked.
    pub token: Token,
    /// A new refresh token, where the server sent one.
    pub refresh_token: Option<Secret>,
    /// Why a new refresh token that came cannot be kept.
    pub odd_refresh_token: Option<RefreshTokenError>,
    /// How long the token lives by the server's word (`expires_in`, a JWT's `exp`).
    pub lifetime: Option<Duration>,
    /// How long the refresh token lives unused, where the server says so.
    pub refresh_lifetime: Option<Duration>,
    /// The idle timeout, where the answer tells it.
    pub idle_timeout: Option<Duration>,
    /// The absolute limit of this login, where the answer tells it.
    pub max_lifetime: Option<Duration>,
    /// That the token's end is fixed whatever the profile's window says (a JWT-format Salesforce token).
    pub fixed: bool,
}

/// One answer, or the lack of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The call this answers.
    pub call: u64,
    /// When the request left.
    pub sent: Instant,
    /// When the answer was complete, or given up.
    pub received: Instant,
    /// What it says.
    pub verdict: Verdict,
    /// One sentence for people: status, error code, what to do.
    pub detail: Blotted,
    /// What a person must do, where this machine kept the call back and knows better than the verdict tells.
    pub remedy: Option<Box<Blotted>>,
    /// Whether the server may have counted the attempt: false for refused connections, unread secrets and 5xx,
    /// except where a 5xx speaks of the password.
    pub counted: bool,
    /// The server's wall clock minus ours, in milliseconds, from `Date`.
    pub skew_millis: Option<i64>,
    /// Something came, but nothing that the API says (a page, a redirect, a body that breaks off): a proxy between may
    /// have written it, status and all.
    pub odd: bool,
    /// Quotas that the answer's headers told.
    pub quotas: Vec<Quota>,
}

/// A server-side allocation, as a header told it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// The profile's name for it, `api` say.
    pub name: String,
    /// How much is used.
    pub used: u64,
    /// Of how much.
    pub limit: u64,
}
