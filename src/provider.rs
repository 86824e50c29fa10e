//! How one kind of server logs in, pings, renews and answers: profiles as data, and the only room with an HTTP client.
//!
//! No server's name is in this code; what is peculiar to one is in its file below `profiles/`.

mod assertion;
mod capture;
mod classify;
mod client_auth;
mod clients;
mod command;
mod detail;
mod discovery;
mod dry_run;
mod examples;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod grants;
mod harvest;
mod hosts;
mod outgoing;
mod path;
mod pem;
mod person;
mod presented;
mod profile;
mod proxy;
mod remote;
mod request;
mod response;
mod rule;
mod settings;
pub(crate) mod template;
mod token_answer;
mod xml;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::secret::Secret;
use crate::token::Token;

pub use classify::Sign;
pub use clients::{Clients, Pin};
pub use path::{PathPrefix, has_one_reading};
pub use pem::{NoKey, private_key};
pub use person::{BrowserLogin, DeviceLogin, PersonError, PersonGrant, RedirectProblem};
pub(crate) use profile::schema::{DIALECT as SCHEMA_DIALECT, schema as profile_schema};
pub use profile::{
    Denied, Description, GrantDescription, Parameter, ParameterKind, Profile, ProfileError,
};
pub use proxy::{Proxy, ProxyUrl, ProxyVariables};
pub use remote::{
    Again, NotForwarded, Onward, Polled, Probe, Remote, RemoteError, SeenAnswer, Trouble,
    Undelivered, check_address, deliver, probe,
};
pub use reqwest::Body as WireBody;
pub use settings::{HeaderNames, HttpSettings, RemoteConfig, Value};

/// How a person logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByPerson {
    /// In a browser that comes back with a code (RFC 6749 section 4.1).
    Browser,
    /// On any device, with a short code (RFC 8628).
    Device,
}

/// What one grant asks of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantTraits {
    /// The daemon can log in alone (`jwt_bearer`, `client_credentials`, `password`, a profile's own login).
    pub unattended: bool,
    /// A refusal may be confirmed by one more try (not where a password is sent).
    pub confirm: bool,
    /// A person logs in, in this way.
    pub by_person: Option<ByPerson>,
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
