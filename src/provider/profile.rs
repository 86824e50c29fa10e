//! A kind of server, read from a profile file and checked.

mod check;
mod named;
mod raw;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use regex_lite::Regex;

use super::GrantTraits;
use super::capture::CaptureRule;
use super::discovery::Endpoint;
use super::grants::GrantKind;
use super::hosts::{HostPattern, Hosts};
use super::request::RequestTemplate;
use super::rule::AnswerRule;
use super::template::Template;
use crate::session::answer::Request;
use crate::session::policy::WindowModel;

/// How one kind of server logs in, pings, renews and answers.
#[derive(Clone, Debug)]
pub struct Profile {
    name: String,
    /// Of the file's text: a reload compares it.
    digest: String,
    title: String,
    documentation: String,
    window: WindowDefaults,
    parameters: Vec<ProfileParameter>,
    grants: Vec<GrantRules>,
    pub(super) endpoints: Endpoints,
    pub(super) hosts: Hosts,
    pub(super) jwt_is_fixed: bool,
    pub(super) audiences: Vec<(HostPattern, String)>,
    pub(super) captures: BTreeMap<String, CaptureRule>,
    pub(super) use_headers: Vec<(String, Template)>,
    ping: Option<RequestTemplate>,
    pings: BTreeMap<String, RequestTemplate>,
    pub(super) answers: Vec<AnswerRule>,
    pub(super) quotas: Vec<QuotaRule>,
    pub(super) examples: Vec<Example>,
}

/// Where the OAuth 2.0 requests go: paths below the login host, or whole URLs; an issuer tells the rest.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    pub(super) issuer: Option<Template>,
    pub(super) known: BTreeMap<Endpoint, Template>,
}

/// What a profile adds to one grant.
#[derive(Clone, Debug)]
pub(super) struct GrantRules {
    pub(super) kind: GrantKind,
    /// Form fields that replace the protocol's or join them.
    pub(super) form: Vec<(String, Template)>,
    /// What an assertion says besides its usual claims.
    pub(super) claims: Vec<(String, Template)>,
    /// Login hosts on which the grant does not work.
    pub(super) not_on: Vec<HostPattern>,
    /// What to do instead.
    pub(super) not_on_because: String,
}

/// A parameter of the profile's own.
#[derive(Clone, Debug)]
struct ProfileParameter {
    parameter: Parameter,
    /// What its value must look like.
    pattern: Option<Regex>,
    /// The grants that take it; empty for all.
    grants: Vec<String>,
}

/// How a header tells an allocation: the expression's groups `used` and `limit`.
#[derive(Clone, Debug)]
pub(super) struct QuotaRule {
    pub(super) name: String,
    pub(super) header: String,
    pub(super) regex: Regex,
}

/// A recorded or documented answer, and what it must be taken for.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) line: usize,
    pub(super) to: Request,
    pub(super) grant: String,
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) verdict: String,
}

/// The window as the profile knows it, which the config may override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowDefaults {
    /// What restarts the idle timer.
    pub model: WindowModel,
    /// The idle timeout; none when such a session never idles out.
    pub idle_timeout: Option<Duration>,
    /// The values a server can be set to, ascending; empty where unknown.
    pub idle_timeouts: Vec<Duration>,
    /// The absolute limit of one login.
    pub max_lifetime: Option<Duration>,
    /// The token's life where the server does not say.
    pub token_lifetime: Option<Duration>,
    /// How long the refresh token may go unused.
    pub refresh_idle_timeout: Option<Duration>,
    /// A login may hand out a session that already exists.
    pub login_may_reuse: bool,
    /// A renewal may kill the token that jobs hold.
    pub renewal_kills: bool,
}

/// One key of `[sessions.NAME.login]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The key.
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// Must be given as a secret source, never in the clear.
    pub secret: bool,
    /// Must be given.
    pub required: bool,
    /// What holds when it is not given.
    pub default: Option<String>,
    /// The values it may take; empty for any.
    pub one_of: Vec<String>,
}

/// Why there is no such profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No file and nothing compiled in has the name.
    #[error("there is no provider `{name}`: known are {}; or put `{name}.toml` into providers_dir", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The file is there and cannot be read.
    #[error("the provider file {} cannot be read: give the daemon's user access to it", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something wrong.
    #[error("{file}:{line}: {message}")]
    Invalid {
        /// The file, as it was named.
        file: String,
        /// The line, from one.
        line: usize,
        /// Names the key and what to do.
        message: String,
    },
}

impl Profile {
    /// Its name, which `provider = "…"` gives.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Equal for profiles that say the same.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What people call such a server.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where its maker describes it; empty where unknown.
    pub fn documentation(&self) -> &str {
        &self.documentation
    }

    /// The window as far as the profile knows it.
    pub fn window(&self) -> &WindowDefaults {
        &self.window
    }

    /// The values that come beside the token, by name.
    pub fn captured(&self) -> Vec<&str> {
        let names = self.captures.keys().map(String::as_str);
        names.filter(|name| !super::token_answer::KNOWN.contains(name)).collect()
    }

    /// Whether requests carry the token, or a part of it, in a cookie.
    pub fn sends_cookie(&self) -> bool {
        self.use_headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("cookie"))
    }

    /// The grants it knows, in the order in which it documents them.
    pub fn grants(&self) -> Vec<&str> {
        self.grants.iter().map(|grant| grant.kind.word()).collect()
    }

    /// The keys that `[sessions.NAME.login]` takes for `grant`, besides `grant` itself; none for an unknown grant.
    ///
    /// A key of the profile's own replaces the protocol's of the same name.
    pub fn parameters(&self, grant: &str) -> Option<Vec<Parameter>> {
        let own: Vec<&Parameter> = self
            .parameters
            .iter()
            .filter(|own| own.grants.is_empty() || own.grants.iter().any(|taker| taker == grant))
            .map(|own| &own.parameter)
            .collect();
        let mut parameters = self.grant(grant)?.kind.parameters();
        parameters.retain(|parameter| own.iter().all(|own| own.name != parameter.name));
        parameters.extend(own.into_iter().cloned());
        Some(parameters)
    }

    /// What `grant` asks of the engine; none for an unknown grant.
    pub fn grant_traits(&self, grant: &str) -> Option<GrantTraits> {
        self.grant(grant).map(|rules| rules.kind.traits())
    }

    /// Names of the alternative pings (`keepalive.ping = "userinfo"`).
    pub fn alternative_pings(&self) -> Vec<&str> {
        self.pings.keys().map(String::as_str).collect()
    }

    /// Whether such a server has a ping; whether a session has one, [`super::RemoteConfig::has_ping`] says.
    pub fn has_ping(&self) -> bool {
        self.ping.is_some() || !self.pings.is_empty()
    }

    /// Whether a request of the profile's own, other than the refresh grant, yields a new token.
    ///
    /// In the `oauth2` protocol renewing is the refresh grant's work.
    pub fn has_renew_request(&self) -> bool {
        false
    }

    /// Whether such a server introspects; whether a session can, [`super::RemoteConfig::can_introspect`] says.
    pub fn can_introspect(&self) -> bool {
        self.endpoints.issuer.is_some() || self.endpoints.known.contains_key(&Endpoint::Introspection)
    }

    pub(super) fn grant(&self, word: &str) -> Option<&GrantRules> {
        self.grants.iter().find(|grant| grant.kind.word() == word)
    }

    /// The ping of that name, or the usual one.
    pub(super) fn ping(&self, name: Option<&str>) -> Option<&RequestTemplate> {
        match name {
            Some(name) => self.pings.get(name),
            None => self.ping.as_ref(),
        }
    }

    /// The expression that values of the parameter must match.
    pub(super) fn pattern(&self, parameter: &str) -> Option<&Regex> {
        self.parameters.iter().find(|own| own.parameter.name == parameter)?.pattern.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_profile_that_comes_along_is_well_formed() {
        for name in Profile::names(None) {
            let profile = Profile::named(&name, None).unwrap();
            assert_eq!(profile.name(), name);
            assert!(profile.has_ping() && profile.can_introspect() && !profile.has_renew_request(), "{name}");
        }
    }

    #[test]
    fn a_password_is_never_tried_twice_and_a_refresh_token_needs_a_person() {
        let profile = Profile::named("salesforce", None).unwrap();
        assert_eq!(profile.grants(), ["jwt_bearer", "client_credentials", "password", "refresh_token"]);
        for (grant, unattended, confirm, parameter) in [
            ("jwt_bearer", true, true, None),
            ("client_credentials", true, true, None),
            ("password", true, false, None),
            ("refresh_token", false, true, Some("refresh_token")),
        ] {
            let traits = profile.grant_traits(grant).unwrap();
            let seen = (traits.unattended, traits.confirm, traits.refresh_token_parameter.as_deref());
            assert_eq!(seen, (unattended, confirm, parameter), "{grant}");
        }
        assert!(profile.grant_traits("telepathy").is_none() && profile.parameters("telepathy").is_none());
    }

    #[test]
    fn a_parameter_of_one_grant_is_unknown_to_the_others() {
        let profile = Profile::named("salesforce", None).unwrap();
        let takes =
            |grant: &str, name: &str| profile.parameters(grant).unwrap().iter().any(|parameter| parameter.name == name);
        assert!(takes("password", "security_token") && !takes("jwt_bearer", "security_token"));
        assert!(takes("jwt_bearer", "api_version") && takes("refresh_token", "api_version"));
    }

    #[test]
    fn a_users_file_adds_a_provider_and_overrides_one() {
        let directory = tempfile::tempdir().unwrap();
        place(directory.path(), "acme.toml", &minimal("acme"));
        place(directory.path(), "salesforce.toml", &minimal("salesforce"));
        assert_eq!(Profile::names(Some(directory.path())), ["acme", "oauth2", "salesforce"]);
        assert_eq!(Profile::named("acme", Some(directory.path())).unwrap().title(), "Minimal");
        assert_eq!(Profile::named("salesforce", Some(directory.path())).unwrap().title(), "Minimal");
        let unknown = Profile::named("../acme", Some(directory.path())).unwrap_err().to_string();
        assert!(unknown.contains("acme, oauth2, salesforce"), "{unknown}");
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_with_its_line_and_key() {
        let good = minimal("acme");
        for (from, to, expected) in [
            ("title = \"Minimal\"", "title = 7", "acme.toml:2: title: invalid type"),
            ("title = \"Minimal\"", "titel = \"x\"", "acme.toml:2: titel: unknown field"),
            ("name = \"acme\"", "name = \"other\"", "acme.toml:1: name: `other` must be `acme`"),
            ("\"oauth2\"", "\"http\"", "acme.toml:3: protocol: `http` is not supported here"),
            ("\"20m\"", "\"soon\"", "acme.toml:8: window.idle_timeout: `soon` is no duration"),
            ("\"/token\"", "\"/{token\"", "acme.toml:5: endpoints.token: a `{` is never closed"),
            ("\"sliding\"", "\"slippery\"", "acme.toml:7: window.model: unknown variant `slippery`"),
            ("verdict = \"dead\"", "verdict = \"ill\"", "acme.toml:13: answer[0].verdict: unknown variant `ill`"),
            ("\"GONE\"", "{ like = \"GONE\" }", "acme.toml:12: answer.json.\"/code\": write a value"),
            ("verdict = \"refused\"", "verdict = \"good\"", "acme.toml:1: example: there must be one of a wrong"),
            ("path = \"/me\"", "path = \"me\"", "acme.toml:10: ping.path: it starts with `/`"),
        ] {
            let text = good.replace(from, to);
            let error = Profile::parse(&text, "acme.toml", "acme").unwrap_err().to_string();
            assert!(error.starts_with(expected), "{to}: {error}");
        }
    }

    #[test]
    fn a_profile_must_take_its_own_examples_for_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let text = minimal("acme").replace("status = 400", "status = 500");
        place(directory.path(), "acme.toml", &text);
        let error = Profile::named("acme", Some(directory.path())).unwrap_err().to_string();
        assert!(
            error.ends_with("acme.toml:15: example: the rules take this answer for `unavailable`, not `refused`"),
            "{error}"
        );
    }

    fn minimal(name: &str) -> String {
        format!(
            r#"name = "{name}"
title = "Minimal"
protocol = "oauth2"
[endpoints]
token = "/token"
[window]
model = "sliding"
idle_timeout = "20m"
[ping]
path = "/me"
[[answer]]
json = {{ "/code" = "GONE" }}
verdict = "dead"
[[example]]
to = "login"
status = 400
body = "{{}}"
verdict = "refused"
"#
        )
    }

    fn place(directory: &Path, name: &str, text: &str) {
        use std::io::Write as _;
        std::fs::File::create(directory.join(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }
}
