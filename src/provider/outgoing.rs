//! From a request, the config and what the session holds to the bytes that leave.

mod client;
mod oauth;

use jiff::Timestamp;
use thiserror::Error;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::assertion::AssertionError;
use super::discovery::{Endpoint, Metadata};
use super::request::{BodyTemplate, Method, RequestTemplate};
use super::settings::{RemoteConfig, Value, below};
use super::template::Template;
use super::{Held, Secrets};
use crate::secret::Secret;
use crate::secret::source::SecretSource;
use crate::session::answer::Request;
use crate::token::Token;

pub(super) use oauth::authorization_url;

/// A request, ready to be sent.
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) body: Option<Body>,
    /// What was made of secrets and must not be seen either, should the answer echo it.
    pub(super) secrets: Vec<Secret>,
}

/// A body and its media type.
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) text: Zeroizing<String>,
}

/// Why no request can be made of what there is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum OutgoingError {
    #[error("there is no token to send")]
    NoToken,
    #[error("there is no refresh token to present")]
    NoRefreshToken,
    #[error("`{0}` has no value: set it in the session's login")]
    NoValue(String),
    #[error("this session has no {0} endpoint: set its URL, or do without")]
    NoEndpoint(&'static str),
    #[error("this grant needs a person: run `keepfresh login`")]
    ByPerson,
    #[error(transparent)]
    Assertion(#[from] AssertionError),
}

impl OutgoingError {
    /// Whether only a person can mend it.
    pub(super) fn needs_a_person(&self) -> bool {
        match self {
            Self::Assertion(_) | Self::NoEndpoint(_) | Self::ByPerson => true,
            Self::NoToken | Self::NoRefreshToken | Self::NoValue(_) => false,
        }
    }
}

/// All that a request is made of.
pub(super) struct Ingredients<'a> {
    pub(super) config: &'a RemoteConfig,
    pub(super) held: &'a Held<'a>,
    pub(super) secrets: &'a Secrets,
    /// What the server says of itself, where that was needed.
    pub(super) metadata: Option<&'a Metadata>,
    /// Our wall clock now.
    pub(super) wall: Timestamp,
}

/// The URL that `request` goes to while `token` is held.
pub(super) fn target(
    config: &RemoteConfig,
    metadata: Option<&Metadata>,
    request: Request,
    token: Option<&Token>,
) -> Option<Url> {
    match endpoint(request) {
        Some(endpoint) => config.endpoint(endpoint, metadata),
        None => ping_url(config, token, &|name| found(config, metadata, token, None, name)),
    }
}

/// Whether `request` cannot be put together without the server's metadata.
pub(super) fn needs_metadata(config: &RemoteConfig, request: Request) -> bool {
    if let Some(endpoint) = endpoint(request) {
        return config.is_told(endpoint);
    }
    let by_userinfo = |ping: &RequestTemplate| ping.target.names().any(|name| name == "userinfo_url");
    config.chosen_ping().is_some_and(by_userinfo) && config.is_told(Endpoint::Userinfo)
}

/// Where OAuth 2.0 answers `request`; none for a ping, which goes to the API.
fn endpoint(request: Request) -> Option<Endpoint> {
    match request {
        Request::Ping => None,
        Request::Introspect => Some(Endpoint::Introspection),
        Request::Login | Request::Renew => Some(Endpoint::Token),
        Request::Logout => Some(Endpoint::Revocation),
    }
}

/// The parameters that `request` must have read: those that it sends or signs with.
pub(super) fn secrets_for(config: &RemoteConfig, request: Request) -> Vec<(String, SecretSource)> {
    let wanted: Vec<&str> = match request {
        Request::Ping => config.chosen_ping().map(RequestTemplate::names).unwrap_or_default(),
        Request::Login => oauth::login_secrets(config),
        Request::Introspect | Request::Renew | Request::Logout => client::client_secrets(config),
    };
    let sources = config.values.iter().filter(|(name, _)| wanted.contains(&name.as_str()));
    sources.filter_map(|(name, value)| Some((name.clone(), source(value)?))).collect()
}

fn source(value: &Value) -> Option<SecretSource> {
    match value {
        Value::Plain(_) => None,
        Value::Secret(source) => Some(source.clone()),
    }
}

impl Ingredients<'_> {
    /// Puts `request` together.
    ///
    /// # Errors
    /// Says what is missing.
    pub(super) fn outgoing(&self, request: Request) -> Result<Outgoing, OutgoingError> {
        match request {
            Request::Ping => self.ping(),
            Request::Login => self.login(),
            Request::Renew => self.renew(),
            Request::Introspect => self.introspection(),
            Request::Logout => self.revocation(),
        }
    }

    fn token(&self) -> Result<&Token, OutgoingError> {
        self.held.token.ok_or(OutgoingError::NoToken)
    }

    fn value(&self, name: &str) -> Option<Secret> {
        found(self.config, self.metadata, self.held.token, Some(self.secrets), name)
    }

    fn endpoint(&self, endpoint: Endpoint, name: &'static str) -> Result<Url, OutgoingError> {
        self.config.endpoint(endpoint, self.metadata).ok_or(OutgoingError::NoEndpoint(name))
    }

    fn ping(&self) -> Result<Outgoing, OutgoingError> {
        let template = self.config.chosen_ping().ok_or(OutgoingError::NoEndpoint("ping"))?;
        let token = self.token()?;
        let lookup = |name: &str| self.value(name);
        let url = ping_url(self.config, Some(token), &lookup).ok_or(OutgoingError::NoEndpoint("ping"))?;
        let mut headers = if template.carries_token { use_headers(self.config, token) } else { Vec::new() };
        for (name, header) in &template.headers {
            headers.push((name.clone(), self.filled(name, header)?));
        }
        let body = body(&template.body, &lookup);
        Ok(Outgoing { method: template.method, url, headers, body, secrets: Vec::new() })
    }

    fn filled(&self, name: &str, template: &Template) -> Result<Secret, OutgoingError> {
        template.fill(&|name| self.value(name)).ok_or_else(|| OutgoingError::NoValue(name.to_owned()))
    }
}

/// A path stands below the URL that the server handed out, else below the configured one.
fn ping_url(config: &RemoteConfig, token: Option<&Token>, lookup: &super::template::Lookup<'_>) -> Option<Url> {
    let target = config.chosen_ping()?.target.fill_url(lookup)?;
    let base = token.and_then(|token| token.instance_url.as_deref()).unwrap_or_else(|| config.base());
    below(base, &target)
}

/// The headers that a request with `token` carries; one whose values are missing is left out.
pub(super) fn use_headers(config: &RemoteConfig, token: &Token) -> Vec<(String, Secret)> {
    let filled = |(name, template): &(String, Template)| {
        let value = template.fill(&|name| value(config, Some(token), None, name))?;
        Some((name.clone(), value))
    };
    config.profile.use_headers.iter().filter_map(filled).collect()
}

/// As [`value`], for a request that may go where the server's metadata say.
fn found(
    config: &RemoteConfig,
    metadata: Option<&Metadata>,
    token: Option<&Token>,
    secrets: Option<&Secrets>,
    name: &str,
) -> Option<Secret> {
    if name == "userinfo_url" {
        return config.endpoint(Endpoint::Userinfo, metadata).map(|url| Secret::new(url.as_str()));
    }
    value(config, token, secrets, name)
}

/// What a placeholder stands for: the token's parts, then what was captured, then the session's parameters.
fn value(config: &RemoteConfig, token: Option<&Token>, secrets: Option<&Secrets>, name: &str) -> Option<Secret> {
    let base = || Secret::new(config.base());
    match name {
        "token" => return token.map(|token| token.access_token.clone()),
        "token_type" => return token.map(|token| Secret::new(token.token_type.as_str())),
        "instance_url" => return token?.instance_url.as_deref().map(Secret::new).or_else(|| Some(base())),
        "url" => return Some(base()),
        _ => {}
    }
    let captured = || token?.captures.get(name).map(|capture| capture.value.clone());
    let plain = || config.plain(name).map(Secret::new);
    captured().or_else(plain).or_else(|| secrets?.get(name).cloned())
}

fn body(template: &BodyTemplate, lookup: &super::template::Lookup<'_>) -> Option<Body> {
    match template {
        BodyTemplate::None => None,
        BodyTemplate::Form(fields) => {
            let filled = fields.iter().filter_map(|(name, field)| Some((name.clone(), field.fill(lookup)?)));
            Some(form(&filled.collect::<Vec<_>>()))
        }
        BodyTemplate::Json(json) => {
            let text = Zeroizing::new(json.fill(lookup).to_string());
            Some(Body { content_type: "application/json", text })
        }
    }
}

/// `application/x-www-form-urlencoded`, as the URL standard has it.
fn form(fields: &[(String, Secret)]) -> Body {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        serializer.append_pair(name, value.expose());
    }
    Body { content_type: "application/x-www-form-urlencoded", text: Zeroizing::new(serializer.finish()) }
}
