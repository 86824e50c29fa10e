//! A person's login over the socket: begun, brought to its end, waited for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{About, Reply, SessionStatus};
use crate::secret::Secret;

/// What an admin asks of a person's login; admins only, as any order.
#[derive(Debug)]
pub enum LoginAsk {
    /// Begins one; none where the daemon logs in by itself.
    Begin {
        /// To which session, and who asks.
        about: About,
        /// Where the caller listens for the browser's return.
        port: Option<u16>,
        /// How long the caller waits.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<Option<LoginBegun>>,
    },
    /// Hands in the address that the browser was sent to; answered once the token is stored.
    Complete {
        /// To which session, and who asks.
        about: About,
        /// Which login.
        login: String,
        /// The address, or what follows its `?`.
        redirected: Secret,
        /// How long the caller waits.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<LoginDone>,
    },
    /// Waits until the login is over.
    Outcome {
        /// To which session, and who asks.
        about: About,
        /// Which login.
        login: String,
        /// How long the caller waits.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<LoginDone>,
    },
}

/// What `POST …/login` answers where a person must go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginBegun {
    /// The session's name.
    pub session: String,
    /// Names this login; the latest of a session wins.
    pub login: String,
    /// What the person does.
    #[serde(flatten)]
    pub how: LoginHow,
    /// The host that the person is sent to, where it is neither the configured server's nor the provider's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_host: Option<String>,
    /// Seconds until it lapses.
    pub expires_in: u64,
}

/// What a person's login came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoginDone {
    /// The session.
    #[serde(flatten)]
    pub status: SessionStatus,
    /// Who logged in, where the server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logged_in_as: Option<String>,
}

/// What a person does to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LoginHow {
    /// Opens `url`; the browser comes back to `redirect_uri`, and what it brings is handed in.
    AuthorizationCode {
        /// Holds nothing that could be used without the daemon.
        url: String,
        /// The beginning of the address to hand in.
        redirect_uri: String,
    },
    /// Opens `verification_uri` on any device and types `user_code`; the daemon notices by itself.
    DeviceCode {
        /// A short code.
        user_code: String,
        /// Where to type it.
        verification_uri: String,
        /// The address with the code in it, for a QR code.
        verification_uri_complete: Option<String>,
    },
}
