//! From a request, the config and what the session holds to the bytes that leave.

mod client;
mod http;
mod oauth;
mod signed;

use std::borrow::Cow;

use jiff::Timestamp;
use thiserror::Error;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::assertion::AssertionError;
use super::discovery::{Endpoint, Metadata};
use super::harvest::Harvest;
use super::profile::Protocol;
use super::request::{Method, RequestTemplate};
use super::settings::{RemoteConfig, Value};
use super::{Held, Secrets};
use crate::secret::Secret;
use crate::secret_source::SecretSource;
use crate::session::answer::Request;
use crate::token::Token;

pub(super) use client::client_secrets;
pub(super) use http::{is_cookie_octet, is_header_octet, is_known, use_headers};
pub(super) use oauth::authorization_url;
pub(super) use signed::JwtTemplate;

/// A request, ready to be sent.
#[derive(Clone)]
pub(super) struct Outgoing {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) body: Option<Body>,
    /// What was made of secrets and must not be seen either, should the answer echo it.
    pub(super) secrets: Vec<Secret>,
}

/// A body and its media type.
#[derive(Clone)]
pub(super) struct Body {
    pub(super) content_type: Cow<'static, str>,
    pub(super) text: Zeroizing<String>,
}

/// Why no request can be made of what there is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum OutgoingError {
    #[error("the session has no token to send")]
    NoToken,
    #[error("the session has no refresh token")]
    NoRefreshToken,
    #[error("`{0}` has no value: set it in the session's login")]
    NoValue(String),
    #[error("this session has no {0}: set its URL if it is a parameter, or do without")]
    NoEndpoint(&'static str),
    /// By the metadata's own name of it (RFC 8414 section 2).
    #[error(
        "the issuer's metadata name no {0}_endpoint: set {0}_url under login, or have the issuer name it"
    )]
    NoUrl(&'static str),
    #[error("this grant needs a person: run `keepfresh login`")]
    ByPerson,
    #[error(
        "the URL that the server handed out in `{0}` leads to a foreign host: keepfresh does not call it; `path = true` in its capture takes the path alone"
    )]
    ForeignUrl(String),
    #[error(
        "`{0}` has `.` or `..` between its slashes, which would lead elsewhere: keepfresh does not call it"
    )]
    Upwards(String),
    #[error("a cookie cannot carry `{0}`: it has a character that ends a cookie")]
    BadCookie(String),
    #[error(
        "the header `{0}` cannot carry its value: it has a line break or another control character"
    )]
    BadHeader(String),
    #[error(transparent)]
    Assertion(#[from] AssertionError),
}

impl OutgoingError {
    /// Whether only a person can put it right.
    pub(super) fn needs_a_person(&self) -> bool {
        match self {
            Self::Assertion(_)
            | Self::NoEndpoint(_)
            | Self::NoUrl(_)
            | Self::ByPerson
            | Self::BadCookie(_)
            | Self::BadHeader(_) => true,
            Self::NoToken
            | Self::NoRefreshToken
            | Self::NoValue(_)
            | Self::ForeignUrl(_)
            | Self::Upwards(_) => false,
        }
    }
}

/// All that a request is made of.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub(super) config: &'a RemoteConfig,
    pub(super) held: &'a Held<'a>,
    /// What the answers to earlier requests of the same login told.
    pub(super) gathered: &'a Harvest,
    pub(super) secrets: &'a Secrets,
    /// What the server says of itself, where that was needed.
    pub(super) metadata: Option<&'a Metadata>,
    /// Our wall clock now.
    pub(super) wall: Timestamp,
}

/// What the profile itself says of how `request` is made; none where the protocol does.
///
/// Of a login of several steps, the first.
pub(super) fn template(config: &RemoteConfig, request: Request) -> Option<&RequestTemplate> {
    match (request, config.profile.protocol) {
        (Request::Ping, _) => config.chosen_ping(),
        (Request::Login, Protocol::Http) => config.profile.login(&config.grant)?.steps.first(),
        (Request::Login, Protocol::Command | Protocol::OAuth2) => None,
        (Request::Renew, _) => config.profile.renew.as_ref(),
        (Request::Introspect, _) => config.profile.introspection.as_ref(),
        (Request::Logout, _) => config.profile.logout.as_ref(),
    }
}

/// The URL that `request` goes to while `token` is held.
pub(super) fn target(
    config: &RemoteConfig,
    metadata: Option<&Metadata>,
    request: Request,
    token: Option<&Token>,
) -> Option<Url> {
    if let Some(template) = template(config, request) {
        let token = token.filter(|_| request != Request::Login);
        return http::url(config, template, token, &|name| {
            found(config, metadata, token, None, name)
        })
        .ok();
    }
    config.endpoint(endpoint(request)?, metadata)
}

/// Whether `request` cannot be put together without the server's metadata.
pub(super) fn needs_metadata(config: &RemoteConfig, request: Request) -> bool {
    match template(config, request) {
        Some(template) => {
            template.target.names().any(|name| name == "userinfo_url")
                && config.is_told(Endpoint::Userinfo)
        }
        None => endpoint(request).is_some_and(|endpoint| config.is_told(endpoint)),
    }
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

/// As [`http::value`], for a request that may go where the server's metadata say.
fn found(
    config: &RemoteConfig,
    metadata: Option<&Metadata>,
    token: Option<&Token>,
    secrets: Option<&Secrets>,
    name: &str,
) -> Option<Secret> {
    if name == "userinfo_url" {
        return config
            .endpoint(Endpoint::Userinfo, metadata)
            .map(|url| Secret::new(url.as_str()));
    }
    http::value(config, token, secrets, name)
}

/// The parameters that `request` must have read: those that it sends or signs with.
pub(super) fn secrets_for(config: &RemoteConfig, request: Request) -> Vec<(String, SecretSource)> {
    let wanted: Vec<&str> = match (template(config, request), request) {
        (Some(_), Request::Login) => http::login_secrets(config),
        (Some(template), _) => http::secrets(config, template),
        (None, Request::Ping) => Vec::new(),
        (None, Request::Login) => oauth::login_secrets(config),
        (None, Request::Introspect | Request::Renew | Request::Logout) => {
            client::client_secrets(config)
        }
    };
    let sources = config
        .values
        .iter()
        .filter(|(name, _)| wanted.contains(name));
    sources
        .filter_map(|(name, value)| Some((name.to_owned(), source(value)?)))
        .collect()
}

fn source(value: &Value) -> Option<SecretSource> {
    match value {
        Value::Plain(_) | Value::List(_) => None,
        Value::Secret(source) => Some(source.clone()),
    }
}

fn word(request: Request) -> &'static str {
    match request {
        Request::Ping => "ping",
        Request::Introspect => "introspection",
        Request::Renew => "renew request",
        Request::Login => "login request",
        Request::Logout => "logout request",
    }
}

impl RequestContext<'_> {
    /// Puts `request` together; of a login of several steps, the first.
    ///
    /// # Errors
    /// Says what is missing.
    pub(super) fn outgoing(&self, request: Request) -> Result<Outgoing, OutgoingError> {
        if let Some(template) = template(self.config, request) {
            return self.by_template(template);
        }
        if self.config.profile.protocol != Protocol::OAuth2 {
            return Err(OutgoingError::NoEndpoint(word(request)));
        }
        match request {
            Request::Ping => Err(OutgoingError::NoEndpoint(word(request))),
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
        match name {
            "token" => self.gathered.token.clone(),
            "refresh_token" => self
                .gathered
                .refresh_token
                .as_ref()
                .or(self.held.refresh_token)
                .cloned(),
            "instance_url" => self.gathered.instance_url.as_deref().map(Secret::new),
            "now" => Some(Secret::new(self.server_seconds().to_string())),
            "uuid" => signed::uuid(),
            other => self
                .gathered
                .captures
                .get(other)
                .map(|capture| capture.value.clone()),
        }
        .or_else(|| {
            found(
                self.config,
                self.metadata,
                self.held.token,
                Some(self.secrets),
                name,
            )
        })
    }

    fn endpoint(&self, endpoint: Endpoint, name: &'static str) -> Result<Url, OutgoingError> {
        self.config
            .endpoint(endpoint, self.metadata)
            .ok_or(OutgoingError::NoUrl(name))
    }

    /// Unix seconds on the server's clock, as far as it is known.
    fn server_seconds(&self) -> i64 {
        self.wall
            .as_millisecond()
            .saturating_add(self.held.skew_millis)
            .div_euclid(1000)
    }
}

/// `application/x-www-form-urlencoded`, as the URL standard has it.
fn form(fields: &[(String, Secret)]) -> Body {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        serializer.append_pair(name, value.expose());
    }
    Body {
        content_type: Cow::Borrowed("application/x-www-form-urlencoded"),
        text: Zeroizing::new(serializer.finish()),
    }
}
