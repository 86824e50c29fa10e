//! One session's server and login, as the config gives them.

mod problems;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use url::Url;
use zeroize::Zeroizing;

use super::client_auth::ClientAuth;
use super::clients::Pin;
use super::discovery::{Endpoint, Metadata};
use super::profile::Profile;
use super::proxy::Proxy;
use super::request::RequestTemplate;
use super::template::Template;
use crate::named::Named;
use crate::secret::{Secret, hex};
use crate::secret_source::SecretSource;
pub(super) use problems::problem;

/// `[http]` overlaid by `[sessions.NAME.http]`: sessions with equal settings share one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpSettings {
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// Certificates in PEM, added to the system's roots.
    pub ca_file: Option<PathBuf>,
    /// The one key or certificate that a server shows, whichever authority signed it.
    pub pin_sha256: Option<Pin>,
    /// Our certificate and its chain, PEM.
    pub client_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub client_key: Option<SecretSource>,
    /// The way out.
    pub proxy: Proxy,
    /// Whether `http` is allowed beyond this machine.
    pub allow_plain_http: bool,
    /// How the names of headers are spelt.
    pub header_names: HeaderNames,
}

/// How the names of headers are spelt; they mean the same (RFC 9110 section 5.1), but not to every server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeaderNames {
    /// `X-Auth-Token`, as curl and browsers write them: some servers and gateways compare letter by letter.
    #[default]
    Title,
    /// `x-auth-token`.
    Lower,
}

/// The value the config gave a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// As it is in the config.
    Plain(Arc<str>),
    /// A program and its arguments.
    List(Vec<String>),
    /// To be read when needed.
    Secret(SecretSource),
}

/// One session's server and login, checked.
#[derive(Clone)]
pub struct RemoteConfig {
    /// The kind of server.
    pub profile: Arc<Profile>,
    /// The server, as the config names it; many sessions may be at one.
    pub url: Arc<Url>,
    /// How the session logs in.
    pub grant: Arc<str>,
    /// Every parameter that was given or has a default.
    pub values: Named<Value>,
    /// An alternative ping's name.
    pub ping: Option<String>,
    /// How to connect.
    pub http: Arc<HttpSettings>,
}

/// What is wrong with a session's server or login, beyond what single keys show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct ConfigProblem {
    /// The key below `[sessions.NAME]`: `url`, `login.client_secret`.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl RemoteConfig {
    /// Stands for the URL of a session that calls no server: no host, and nothing below it.
    pub fn no_server() -> Option<Url> {
        Url::parse("command:").ok()
    }

    /// What the state belongs to: a digest over profile, URLs, grant and every plain parameter that is not a default.
    ///
    /// Secrets take no part, so that a changed one keeps the tokens.
    pub fn identity(&self) -> String {
        let defaults = self.profile.parameters(&self.grant).unwrap_or_default();
        let is_default = |name: &str, value: &str| {
            defaults
                .iter()
                .any(|known| known.name == name && known.default.as_deref() == Some(value))
        };
        let mut digest = digest::Context::new(&digest::SHA256);
        for part in [self.profile.name(), self.base(), &self.grant] {
            absorb(&mut digest, part);
        }
        for (name, value) in self.values.iter() {
            match value {
                // A client stays who it is, however it proves that; and so does a session, whatever way leads to it.
                Value::Plain(_)
                    if matches!(
                        name,
                        "client_auth" | "redirect_uri" | "authorization_query" | "metadata_url"
                    ) => {}
                Value::Plain(text) if !is_default(name, text) => {
                    absorb(&mut digest, name);
                    absorb(&mut digest, text);
                }
                Value::List(parts) => {
                    absorb(&mut digest, name);
                    for part in parts {
                        absorb(&mut digest, part);
                    }
                }
                Value::Plain(_) | Value::Secret(_) => {}
            }
        }
        hex(digest.finish().as_ref())
    }

    /// Where the configured refresh token is, for a grant that has one.
    pub fn seed(&self) -> Option<SecretSource> {
        let name = self
            .profile
            .grant_traits(&self.grant)?
            .refresh_token_parameter?;
        match self.values.get(&name)? {
            Value::Secret(source) => Some(source.clone()),
            Value::Plain(_) | Value::List(_) => None,
        }
    }

    /// Where everything else is that a login or renewal sends and that is secret, by parameter.
    pub fn login_secrets(&self) -> Vec<(String, SecretSource)> {
        let seed = self
            .profile
            .grant_traits(&self.grant)
            .and_then(|traits| traits.refresh_token_parameter);
        let secret = |(name, value): (&str, &Value)| match value {
            Value::Secret(source) if Some(name) != seed.as_deref() => {
                Some((name.to_owned(), source.clone()))
            }
            Value::Secret(_) | Value::Plain(_) | Value::List(_) => None,
        };
        self.values.iter().filter_map(secret).collect()
    }

    /// Token host and user (or client): what a server locks and counts.
    pub fn account(&self) -> String {
        let host = self
            .endpoint(Endpoint::Token, None)
            .or_else(|| self.login_url())
            .unwrap_or_else(|| Url::clone(&self.url));
        format!("{}@{}", self.who(), authority(&host))
    }

    /// Whom the server locks, as the profile says or else as the usual parameters do.
    fn who(&self) -> String {
        let by_profile = || {
            self.profile
                .account
                .as_ref()?
                .fill(&|name| self.plain(name).map(Secret::new))
        };
        let named = ["username", "user", "client_id"]
            .iter()
            .find_map(|name| self.plain(name));
        let by_profile = by_profile().map(|account| account.expose().to_owned());
        by_profile
            .or_else(|| named.map(str::to_owned))
            .unwrap_or_else(|| self.nameless())
    }

    /// A user without a name is told apart by all that the config says of it, and by where its secrets are.
    fn nameless(&self) -> String {
        let mut digest = digest::Context::new(&digest::SHA256);
        for (name, value) in self.values.iter() {
            absorb(&mut digest, name);
            match value {
                Value::Plain(text) => absorb(&mut digest, text),
                Value::List(parts) => absorb(&mut digest, &parts.join("\0")),
                Value::Secret(source) => absorb(&mut digest, &format!("{source:?}")),
            }
        }
        let digits: String = hex(digest.finish().as_ref()).chars().take(8).collect();
        format!("{}-{digits}", self.grant)
    }

    /// Whether this session has a ping that proves its token good.
    pub fn has_ping(&self) -> bool {
        self.chosen_ping()
            .is_some_and(|ping| self.values_for(ping.target.names()))
    }

    /// The ping that the config chose, else the profile's usual one, else another for which all is there.
    pub(super) fn chosen_ping(&self) -> Option<&RequestTemplate> {
        let usual = self.profile.ping(self.ping.as_deref());
        let complete = |ping: &&RequestTemplate| self.values_for(ping.target.names());
        if self.ping.is_some() || usual.as_ref().is_some_and(complete) {
            return usual;
        }
        let names = self.profile.alternative_pings();
        let mut others = names
            .into_iter()
            .filter_map(|name| self.profile.ping(Some(name)));
        others.find(complete).or(usual)
    }

    /// Whether this session may ask the server about its token: there is an endpoint, and the client can prove itself.
    pub fn can_introspect(&self) -> bool {
        if let Some(own) = &self.profile.introspection {
            return self.values_for(own.target.names());
        }
        let somewhere =
            self.endpoint(Endpoint::Introspection, None).is_some() || self.issuer().is_some();
        let proven = match ClientAuth::of(self, None) {
            ClientAuth::PrivateKeyJwt => self.values.contains_key("private_key"),
            ClientAuth::Tls => true,
            ClientAuth::Post | ClientAuth::Basic | ClientAuth::None => {
                self.values.contains_key("client_secret")
            }
        };
        somewhere && proven
    }

    /// The value of a parameter that is no secret.
    pub(super) fn plain(&self, name: &str) -> Option<&str> {
        match self.values.get(name)? {
            Value::Plain(text) => Some(&**text),
            Value::Secret(_) | Value::List(_) => None,
        }
    }

    /// The configured URL, without a trailing slash.
    pub fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The host that logs in: as the config says, else the issuer's, else the session's own.
    pub(super) fn login_url(&self) -> Option<Url> {
        if let Some(text) = self.plain("login_url") {
            return Url::parse(text).ok();
        }
        self.issuer().map_or_else(
            || Some(Url::clone(&self.url)),
            |issuer| Url::parse(&issuer).ok(),
        )
    }

    /// Where `endpoint` is: as the config says, else the profile, else the server's own metadata.
    ///
    /// A path lies below the login host; anything else is a URL by itself.
    pub(super) fn endpoint(&self, endpoint: Endpoint, metadata: Option<&Metadata>) -> Option<Url> {
        let said = self
            .profile
            .endpoints
            .known
            .get(&endpoint)
            .and_then(|template| self.filled(template));
        match said {
            Some(said) => below(self.login_url()?.as_str(), &said),
            None => metadata?
                .endpoint(endpoint, self.shows_certificate())
                .cloned(),
        }
    }

    /// Who tells the endpoints that neither config nor profile say (RFC 8414 section 2).
    pub(super) fn issuer(&self) -> Option<Zeroizing<String>> {
        self.filled(self.profile.endpoints.issuer.as_ref()?)
    }

    /// Where the issuer's metadata are, if that is said; else they are looked for where the standards put them.
    pub(super) fn metadata_url(&self) -> Option<Url> {
        let said = self.filled(self.profile.endpoints.metadata.as_ref()?)?;
        below(self.login_url()?.as_str(), &said)
    }

    /// The issuer, if there is one, and what its metadata are to tell since neither config nor profile does.
    pub fn told_by_issuer(&self) -> Option<(String, Vec<&'static str>)> {
        let issuer = self.issuer()?.to_string();
        let told = Endpoint::ALL
            .into_iter()
            .filter(|endpoint| self.is_told(*endpoint))
            .map(Endpoint::word);
        let mut told: Vec<&str> = told.collect();
        if self.is_told(Endpoint::Token) && self.plain("client_auth").is_none() {
            told.push("client_auth");
        }
        Some((issuer, told))
    }

    /// Whether only the issuer can tell where `endpoint` is.
    pub(super) fn is_told(&self, endpoint: Endpoint) -> bool {
        self.issuer().is_some() && self.endpoint(endpoint, None).is_none()
    }

    fn filled(&self, template: &Template) -> Option<Zeroizing<String>> {
        template.fill_url(&|name| match name {
            "url" => Some(Secret::new(self.base())),
            _ => self.plain(name).map(Secret::new),
        })
    }

    /// Whether the client proves itself by the certificate of its connection.
    fn shows_certificate(&self) -> bool {
        ClientAuth::of(self, None) == ClientAuth::Tls
    }

    fn values_for<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> bool {
        names.all(|name| match name {
            "userinfo_url" => {
                self.endpoint(Endpoint::Userinfo, None).is_some() || self.expects_userinfo()
            }
            name => !self.profile.takes(name) || self.values.contains_key(name),
        })
    }
}

/// `target` as a URL; a path is put below `base`.
pub(super) fn below(base: &str, target: &str) -> Option<Url> {
    if target.starts_with('/') {
        return Url::parse(&format!("{}{target}", base.trim_end_matches('/'))).ok();
    }
    Url::parse(target).ok()
}

/// Host and port.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Length first, so that no two lists of parts are the same bytes.
fn absorb(digest: &mut digest::Context, part: &str) {
    digest.update(&part.len().to_le_bytes());
    digest.update(part.as_bytes());
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn a_changed_secret_keeps_the_identity_and_a_changed_user_does_not() {
        let base = config("salesforce", "jwt_bearer", &[("username", "a@x")]);
        let mut secret = base.clone();
        secret.values.insert(
            "private_key",
            Value::Secret(SecretSource::Env("KEY".into())),
        );
        assert_eq!(base.identity(), secret.identity());
        let mut default = base.clone();
        default
            .values
            .insert("api_version", Value::Plain("62.0".into()));
        assert_eq!(
            base.identity(),
            default.identity(),
            "a default that is spelt out"
        );
        let mut way = config("salesforce", "authorization_code", &[]);
        let person = way.identity();
        way.values.insert(
            "redirect_uri",
            Value::Plain("http://localhost:1717/x".into()),
        );
        assert_eq!(person, way.identity(), "the way to the login");
        for changed in [
            config("salesforce", "jwt_bearer", &[("username", "b@x")]),
            config("salesforce", "password", &[("username", "a@x")]),
            config("oauth2", "jwt_bearer", &[("username", "a@x")]),
            config(
                "salesforce",
                "jwt_bearer",
                &[("username", "a@x"), ("audience", "z")],
            ),
            RemoteConfig {
                url: Url::parse("https://other.my.salesforce.com")
                    .unwrap()
                    .into(),
                ..base.clone()
            },
        ] {
            assert_ne!(base.identity(), changed.identity());
        }
    }

    #[test]
    fn an_account_is_a_user_at_a_token_host() {
        for (values, expected) in [
            (
                &[("username", "a@x"), ("client_id", "c")][..],
                "a@x@acme.my.salesforce.com",
            ),
            (&[("client_id", "c")], "c@acme.my.salesforce.com"),
            (
                &[("client_id", "c"), ("login_url", "http://127.0.0.1:81/")],
                "c@127.0.0.1:81",
            ),
        ] {
            assert_eq!(
                config("salesforce", "jwt_bearer", values).account(),
                expected
            );
        }
    }

    #[test]
    fn a_value_that_a_header_cannot_carry_is_said_with_its_key() {
        for (namespace, expected) in [
            ("team/a", ""),
            ("grün", ""),
            (
                "a\r\nEvil: 1",
                "login.namespace: the header `X-Vault-Namespace` cannot carry it: take odd characters out",
            ),
            (
                "a\0",
                "login.namespace: the header `X-Vault-Namespace` cannot carry it: take odd characters out",
            ),
        ] {
            let problems = config("vault", "approle", &[("namespace", namespace)]).problems();
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            assert_eq!(said.join("; "), expected, "{namespace:?}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_said_with_its_key() {
        for (grant, url, values, expected) in [
            (
                "jwt_bearer",
                "https://acme.my.salesforce.com",
                &[][..],
                None,
            ),
            (
                "jwt_bearer",
                "http://acme.my.salesforce.com",
                &[],
                Some("url: plain http"),
            ),
            ("jwt_bearer", "http://127.0.0.1:1234", &[], None),
            (
                "jwt_bearer",
                "https://u:p@acme.my.salesforce.com",
                &[],
                Some("url: user and password"),
            ),
            (
                "jwt_bearer",
                "ftp://acme.my.salesforce.com",
                &[],
                Some("url: `ftp` is not supported"),
            ),
            (
                "jwt_bearer",
                "https://acme.lightning.force.com",
                &[],
                Some("url: this host serves no API"),
            ),
            (
                "jwt_bearer",
                "https://a.my.salesforce.com/services/data",
                &[],
                Some("url: its path `/services/data`"),
            ),
            ("jwt_bearer", "https://a.my.salesforce.com/site", &[], None),
            (
                "jwt_bearer",
                "https://a.my.salesforce.com",
                &[("login_url", "login")],
                Some("login.login_url: `login`"),
            ),
            (
                "jwt_bearer",
                "https://a.my.salesforce.com",
                &[("api_version", "v62")],
                Some("login.api_version: `v62`"),
            ),
            (
                "client_credentials",
                "https://login.salesforce.com",
                SECRET,
                Some("url: client_credentials does not"),
            ),
            (
                "client_credentials",
                "https://a.my.salesforce.com",
                SECRET,
                None,
            ),
            (
                "client_credentials",
                "https://a.my.salesforce.com",
                POST,
                Some("login.client_secret: it is missing"),
            ),
            ("refresh_token", "https://a.my.salesforce.com", POST, None),
            (
                "refresh_token",
                "https://a.my.salesforce.com",
                BASIC,
                Some("login.client_secret: it is missing"),
            ),
            (
                "authorization_code",
                "https://a.my.salesforce.com",
                POST,
                None,
            ),
            (
                "authorization_code",
                "https://a.my.salesforce.com",
                &[("redirect_uri", "https://localhost/")],
                None,
            ),
            (
                "authorization_code",
                "https://a.my.salesforce.com",
                &[("redirect_uri", "app:/back")],
                None,
            ),
            (
                "authorization_code",
                "https://a.my.salesforce.com",
                &[("redirect_uri", "callback")],
                Some("login.redirect_uri: `callback` is no address"),
            ),
            (
                "authorization_code",
                "https://a.my.salesforce.com",
                &[("redirect_uri", "http://a.example/")],
                Some("login.redirect_uri: `http://a.example/` would show the code"),
            ),
            (
                "authorization_code",
                "https://a.my.salesforce.com",
                &[("redirect_uri", "http://127.0.0.1/#x")],
                Some("login.redirect_uri: `http://127.0.0.1/#x` must not have a `#`"),
            ),
        ] {
            let config = RemoteConfig {
                url: Url::parse(url).unwrap().into(),
                ..config("salesforce", grant, values)
            };
            let problems = config.problems();
            let said = problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
            match expected {
                Some(expected) => {
                    assert!(said.starts_with(expected) && problems.len() == 1, "{said}");
                }
                None => assert_eq!(said, "", "{grant} {url}"),
            }
        }
    }

    #[test]
    fn a_session_has_the_endpoints_that_it_was_given() {
        let bare = config(
            "oauth2",
            "client_credentials",
            &[("token_url", "/t"), ("client_secret", "!")],
        );
        assert_eq!(
            bare.endpoint(Endpoint::Token, None).unwrap().as_str(),
            "https://acme.my.salesforce.com/t"
        );
        assert!(
            !bare.has_ping()
                && !bare.can_introspect()
                && bare.endpoint(Endpoint::Revocation, None).is_none()
        );
        let full = [
            ("ping_url", "/me"),
            ("introspection_url", "https://i.example/x"),
            ("client_secret", "!"),
        ];
        let full = config("oauth2", "client_credentials", &full);
        assert!(full.has_ping() && full.can_introspect());
        assert_eq!(
            full.endpoint(Endpoint::Introspection, None)
                .unwrap()
                .as_str(),
            "https://i.example/x"
        );
    }

    const POST: &[(&str, &str)] = &[("client_auth", "post")];
    const BASIC: &[(&str, &str)] = &[("client_auth", "basic")];
    const SECRET: &[(&str, &str)] = &[("client_auth", "post"), ("client_secret", "!")];

    /// A session, as the config would hand it over; `!` stands for a secret.
    pub(in crate::provider) fn config(
        profile: &str,
        grant: &str,
        values: &[(&str, &str)],
    ) -> RemoteConfig {
        let value = |text: &str| match text {
            "!" => Value::Secret(SecretSource::Env("SECRET".into())),
            text => Value::Plain(text.into()),
        };
        RemoteConfig {
            profile: Profile::named(profile, None).unwrap(),
            url: Url::parse("https://acme.my.salesforce.com/")
                .unwrap()
                .into(),
            grant: grant.into(),
            values: values
                .iter()
                .map(|(name, text)| (*name, value(text)))
                .collect(),
            ping: None,
            http: Arc::new(HttpSettings {
                connect_timeout: Duration::from_secs(5),
                ca_file: None,
                pin_sha256: None,
                client_cert: None,
                client_key: None,
                proxy: Proxy::None,
                allow_plain_http: false,
                header_names: HeaderNames::Title,
            }),
        }
    }
}
