//! What the config and the profile say of one session, checked: the engine's constants.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What restarts the server's idle timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowModel {
    /// Activity counts only in the second half of the window (Salesforce).
    HalfWindow,
    /// Every authenticated request.
    Sliding,
    /// The profile's ping only.
    Explicit,
    /// Nothing: only a renewal helps.
    Fixed,
}

/// How a dead token is replaced without the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LoginBy {
    /// A grant that the daemon can carry out alone.
    Daemon {
        /// One confirming try after a refusal is harmless: true unless a password is sent, which may lock the account.
        confirm: bool,
    },
    /// A refresh token in a secret, which only a person can replace.
    Seed,
    /// A person, in a browser: `keepfresh login` leads through it.
    Person,
}

/// What the engine needs to know of one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one answer to one question of the config or the profile"
)]
pub struct Policy {
    /// Scheme, host and port of the configured URL.
    pub origin: String,
    /// What restarts the idle timer.
    pub model: WindowModel,
    /// The idle timeout T; none when the session never idles out.
    pub idle_timeout: Option<Duration>,
    /// The values that a server of this kind can be set to, ascending; empty where unknown.
    pub idle_timeouts: Arc<[Duration]>,
    /// The absolute limit of one login.
    pub max_lifetime: Option<Duration>,
    /// The token's life where the server does not say.
    pub token_lifetime: Option<Duration>,
    /// How long the refresh token may go unused.
    pub refresh_idle_timeout: Option<Duration>,
    /// How long before a fixed end the token is replaced.
    pub renew_before: Option<Duration>,
    /// The longest outage that must not cost the session; under T/2 for a shared half window.
    pub survive_outage: Duration,
    /// The longest time a call may take.
    pub request_timeout: Duration,
    /// Whether others use the token unseen.
    pub shared: bool,
    /// Whether there is a ping that proves the token good.
    pub has_ping: bool,
    /// Whether a login may hand out a session that already exists, so that it proves nothing of the window.
    pub login_may_reuse: bool,
    /// Whether a renewal is possible: `refresh_token` held, or the profile has a renew request.
    pub renew_by_profile: bool,
    /// Whether the profile's renew request proves itself by the token, so that a dead one cannot be renewed.
    pub renewal_needs_life: bool,
    /// Whether the profile's renew request presents a refresh token, so that nothing can be renewed without one.
    pub renewal_needs_refresh_token: bool,
    /// Whether a renewal kills the token that jobs hold.
    pub renewal_kills: bool,
    /// How a full login happens.
    pub login: LoginBy,
    /// Whether an introspection follows logins and pings to learn the true end.
    pub introspect: bool,
}
