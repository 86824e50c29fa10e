//! How one kind of server logs in, pings, renews and answers: profiles as data, and the only room with an HTTP client.
//!
//! No server's name stands in this code; what is peculiar to one is in its file below `profiles/`.

mod capture;
mod grants;
mod hosts;
mod profile;
mod request;
mod rule;
mod settings;
mod template;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::secret::Secret;
use crate::session::answer::{Answer, Request};
use crate::time::Instant;
use crate::token::Token;

pub use profile::{Parameter, Profile, ProfileError, WindowDefaults};
pub use settings::{ConfigProblem, HttpSettings, Proxy, RemoteConfig, Value};

/// What one grant asks of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTraits {
    /// The daemon can log in alone (`jwt_bearer`, `client_credentials`, `password`, a profile's own login).
    pub unattended: bool,
    /// A refusal may be confirmed by one more try (not where a password is sent).
    pub confirm: bool,
    /// Parameter that holds the first refresh token (`refresh_token`), if any.
    pub refresh_token_parameter: Option<String>,
}

/// The secrets of one login, read just before the call, by parameter name.
pub type Secrets = BTreeMap<String, Secret>;

/// What the session holds when a call leaves.
pub struct Held<'a> {
    /// The call's number, which its answer carries.
    pub call: u64,
    /// The current token, if there is one.
    pub token: Option<&'a Token>,
    /// The current refresh token, if there is one; it wins over the configured one.
    pub refresh_token: Option<&'a Secret>,
    /// The server's wall clock minus ours, for signed assertions.
    pub skew_millis: i64,
    /// How long the whole call may take, the body included.
    pub timeout: Duration,
}

/// HTTP clients, one per distinct [`HttpSettings`].
#[derive(Default)]
pub struct Clients {}

/// One session's server, ready to be called.
pub struct Remote {}

/// Why a session's server cannot be called at all.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {}

impl Remote {
    pub fn new(_config: RemoteConfig, _clients: &mut Clients) -> Result<Self, RemoteError> {
        todo!()
    }
    /// Host and port that the request would go to: what the limit of calls in flight counts by.
    pub fn host(&self, _request: Request, _token: Option<&Token>) -> String {
        todo!()
    }
    /// Which parameters must be read for this request (none for a ping).
    pub fn secrets_for(&self, _request: Request) -> Vec<(String, crate::secret::source::SecretSource)> {
        todo!()
    }
    /// Makes the call and says what the answer means. Never longer than `held.timeout`; reads at most 1 MiB.
    pub async fn call(
        &self,
        _request: Request,
        _held: Held<'_>,
        _secrets: &Secrets,
        _clock: fn() -> Instant,
    ) -> Answer {
        todo!()
    }
    /// The headers that a request with this token carries.
    pub fn headers(&self, _token: &Token) -> Vec<(String, Secret)> {
        todo!()
    }
}
