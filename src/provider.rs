//! How one kind of server logs in, pings, renews and answers: profiles as data, and the only room with an HTTP client.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::secret::Secret;
use crate::secret::source::SecretSource;
use crate::session::answer::{Answer, Request};
use crate::session::policy::WindowModel;
use crate::time::Instant;
use crate::token::Token;

pub struct Profile {}

/// The window as the profile knows it, which the config may override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowDefaults {
    pub model: WindowModel,
    pub idle_timeout: Option<Duration>,
    pub idle_timeouts: Vec<Duration>,
    pub max_lifetime: Option<Duration>,
    pub token_lifetime: Option<Duration>,
    pub refresh_idle_timeout: Option<Duration>,
    /// A login may hand out a session that already exists.
    pub login_may_reuse: bool,
}

/// One key of `[sessions.NAME.login]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub about: String,
    /// Must be given as a secret source, never in the clear.
    pub secret: bool,
    pub required: bool,
    pub default: Option<String>,
    /// The values it may take; empty for any.
    pub one_of: Vec<String>,
}

/// The value the config gave a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Plain(String),
    Secret(SecretSource),
}

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

impl Profile {
    /// The compiled-in or overridden profile of this name.
    pub fn named(_name: &str, _providers_dir: Option<&std::path::Path>) -> Result<Arc<Self>, ProfileError> {
        todo!()
    }
    /// All names, sorted.
    pub fn names(_providers_dir: Option<&std::path::Path>) -> Vec<String> {
        todo!()
    }
    pub fn name(&self) -> &str {
        todo!()
    }
    pub fn title(&self) -> &str {
        todo!()
    }
    pub fn window(&self) -> &WindowDefaults {
        todo!()
    }
    /// The grants it knows, in the order in which it documents them.
    pub fn grants(&self) -> Vec<&str> {
        todo!()
    }
    /// The keys that `[sessions.NAME.login]` takes for `grant`, besides `grant` itself; none for an unknown grant.
    pub fn parameters(&self, _grant: &str) -> Option<Vec<Parameter>> {
        todo!()
    }
    pub fn grant_traits(&self, _grant: &str) -> Option<GrantTraits> {
        todo!()
    }
    /// Names of the alternative pings (`keepalive.ping = "userinfo"`).
    pub fn alternative_pings(&self) -> Vec<&str> {
        todo!()
    }
    pub fn has_ping(&self) -> bool {
        todo!()
    }
    pub fn has_renew_request(&self) -> bool {
        todo!()
    }
    pub fn can_introspect(&self) -> bool {
        todo!()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ProfileError {}

/// `[http]` overlaid by `[sessions.NAME.http]`: sessions with equal settings share one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpSettings {
    pub connect_timeout: Duration,
    pub ca_file: Option<PathBuf>,
    /// Base64 of SHA-256 of the server's SubjectPublicKeyInfo, as in HPKP (RFC 7469).
    pub pin_sha256: Option<String>,
    pub client_cert: Option<PathBuf>,
    pub client_key: Option<SecretSource>,
    pub proxy: Proxy,
    pub allow_plain_http: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// `HTTPS_PROXY` and friends.
    System,
    None,
    Url(String),
}

/// One session's server and login, checked.
#[derive(Clone)]
pub struct RemoteConfig {
    pub profile: Arc<Profile>,
    pub url: Url,
    pub grant: String,
    /// Every parameter that was given or has a default.
    pub values: BTreeMap<String, Value>,
    /// An alternative ping's name.
    pub ping: Option<String>,
    pub http: HttpSettings,
}

impl RemoteConfig {
    /// What the state belongs to: a digest over profile, URLs, grant, client, user, audience, scope and plain parameters.
    pub fn identity(&self) -> String {
        todo!()
    }
    /// Token host + user (or client): what a server locks and counts.
    pub fn account(&self) -> String {
        todo!()
    }
}

/// The secrets of one login, read just before the call, by parameter name.
pub type Secrets = BTreeMap<String, Secret>;

/// What the session holds when a call leaves.
pub struct Held<'a> {
    pub call: u64,
    pub token: Option<&'a Token>,
    pub refresh_token: Option<&'a Secret>,
    /// The server's wall clock minus ours, for signed assertions.
    pub skew_millis: i64,
    pub timeout: Duration,
}

/// HTTP clients, one per distinct [`HttpSettings`].
#[derive(Default)]
pub struct Clients {}

/// One session's server, ready to be called.
pub struct Remote {}

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
    pub fn secrets_for(&self, _request: Request) -> Vec<(String, SecretSource)> {
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
