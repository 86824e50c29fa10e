//! A kind of server, read from a profile file and checked.

mod check;
mod compiled_in;
mod content;
mod denied;
mod describe;
mod named;
mod raw;
pub(crate) mod schema;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use regex_lite::Regex;
use serde::Serialize;

use super::GrantTraits;
use super::harvest::{Captures, KNOWN};
use super::hosts::{HostPattern, Hosts};
use super::outgoing::JwtTemplate;
use super::path::PathPrefix;
use super::request::RequestTemplate;
use super::rule::{AnswerRule, RuleVerdict};
use super::template::Template;
use crate::plain_file::ReadError;
use crate::secret::hex;
use crate::session::policy::WindowModel;

pub use content::ParameterKind;
use content::{About, ProfileParameter};
pub(super) use content::{
    CommandRules, Endpoints, Example, GrantRules, LoginRules, Protocol, QuotaRule, Usage,
};
pub use denied::Denied;
pub use describe::{Description, GrantDescription};

/// How one kind of server logs in, pings, renews and answers.
#[derive(Clone, Debug)]
pub struct Profile {
    name: String,
    /// Of the file's text: a reload compares it.
    digest: String,
    about: About,
    /// By grant: what a person does at the server before the first login.
    setup: BTreeMap<String, Vec<String>>,
    pub(super) protocol: Protocol,
    /// What the server locks and counts, where it is not the user name or the client.
    pub(super) account: Option<Template>,
    window: WindowDefaults,
    parameters: Vec<ProfileParameter>,
    grants: Vec<GrantRules>,
    logins: Vec<LoginRules>,
    commands: Vec<CommandRules>,
    pub(super) endpoints: Endpoints,
    pub(super) hosts: Hosts,
    /// Whether a token in JWT form ends when it says so; none where its kind decides.
    pub(super) jwt_is_fixed: Option<bool>,
    pub(super) audiences: Vec<(HostPattern, String)>,
    /// What a token endpoint's answer tells beside RFC 6749's members.
    pub(super) captures: Captures,
    pub(super) after_login: Vec<RequestTemplate>,
    pub(super) usage: Usage,
    pub(super) jwt: Option<JwtTemplate>,
    ping: Option<RequestTemplate>,
    pings: BTreeMap<String, RequestTemplate>,
    pub(super) renew: Option<RequestTemplate>,
    pub(super) introspection: Option<RequestTemplate>,
    pub(super) logout: Option<RequestTemplate>,
    /// What jobs may not call through keepfresh, besides the profile's own requests.
    denied: Vec<PathPrefix>,
    /// Paths that the server answers without a look at the token.
    public: Vec<PathPrefix>,
    pub(super) answers: Vec<AnswerRule>,
    pub(super) quotas: Vec<QuotaRule>,
    pub(super) examples: Vec<Example>,
}

/// The window as the profile knows it, which the config may override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowDefaults {
    /// What restarts the idle timer.
    pub model: WindowModel,
    /// The idle timeout; none when such a session never idles out.
    pub idle_timeout: Option<Duration>,
    /// The values a server can be set to, ascending; empty where unknown.
    pub idle_timeouts: Arc<[Duration]>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// What its value is.
    pub kind: ParameterKind,
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
    #[error("the provider file {} {source}: {}", path.display(), source.remedy())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ReadError,
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

    fn digest_of(text: &str) -> String {
        hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
    }

    /// What people call such a server.
    pub fn title(&self) -> &str {
        &self.about.title
    }

    /// The window as far as the profile knows it.
    pub fn window(&self) -> &WindowDefaults {
        &self.window
    }

    /// The values that come beside the token, by name.
    pub fn captured(&self) -> Vec<&str> {
        let steps = self.logins.iter().flat_map(|login| &login.steps);
        let others = [&self.ping, &self.renew].into_iter().flatten();
        let requests = steps
            .chain(others)
            .chain(&self.after_login)
            .map(|request| &request.captures);
        let programs = self.commands.iter().map(|command| &command.captures);
        let all = std::iter::once(&self.captures)
            .chain(requests)
            .chain(programs);
        let names: BTreeSet<&str> = all
            .flat_map(|captures| captures.keys())
            .map(String::as_str)
            .collect();
        names
            .into_iter()
            .filter(|name| !KNOWN.contains(name))
            .collect()
    }

    /// Whether requests carry the token, or a part of it, in a cookie.
    pub fn sends_cookie(&self) -> bool {
        let by_header = self
            .usage
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        by_header || !self.usage.cookies.is_empty()
    }

    /// What is not confirmed yet, a sentence each.
    pub fn unverified(&self) -> &[String] {
        &self.about.unverified
    }

    /// Whether a session must name its server; a program knows by itself.
    pub fn needs_url(&self) -> bool {
        self.protocol != Protocol::Command || self.has_ping()
    }

    /// How many examples its file has.
    pub fn example_count(&self) -> usize {
        self.examples.len()
    }

    /// What it was tried against; empty where only against the examples in its file.
    pub fn proved(&self) -> &str {
        &self.about.proved
    }

    /// `oauth2`, `http` or `command`.
    pub fn protocol_word(&self) -> &'static str {
        match self.protocol {
            Protocol::OAuth2 => "oauth2",
            Protocol::Http => "http",
            Protocol::Command => "command",
        }
    }

    /// The grants it knows, in the order in which it documents them.
    pub fn grants(&self) -> Vec<&str> {
        let of_oauth = self.grants.iter().map(|grant| grant.kind.word());
        let own = self.logins.iter().map(|login| login.word.as_str());
        let commands = self.commands.iter().map(|command| command.word.as_str());
        of_oauth.chain(own).chain(commands).collect()
    }

    /// What a grant of the profile's own is, in a few words; empty where it says nothing.
    pub fn about_grant(&self, grant: &str) -> &str {
        let own = self.login(grant).map(|login| login.about.as_str());
        own.or_else(|| self.command(grant).map(|command| command.about.as_str()))
            .unwrap_or_default()
    }

    /// What a person does at the server before the first login by `grant`, step by step; empty where nothing is known.
    pub fn setup(&self, grant: &str) -> &[String] {
        self.setup.get(grant).map(Vec::as_slice).unwrap_or_default()
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
        let mut parameters = match self.grant(grant) {
            Some(rules) => rules.kind.parameters(),
            None if self.login(grant).is_some() || self.command(grant).is_some() => Vec::new(),
            None => return None,
        };
        parameters.retain(|parameter| own.iter().all(|own| own.name != parameter.name));
        parameters.extend(own.into_iter().cloned());
        Some(parameters)
    }

    /// What `grant` asks of the engine; none for an unknown grant.
    pub fn grant_traits(&self, grant: &str) -> Option<GrantTraits> {
        let own = |confirm| GrantTraits {
            unattended: true,
            confirm,
            by_person: None,
            refresh_token_parameter: None,
        };
        let of_oauth = self.grant(grant).map(|rules| rules.kind.traits());
        let of_login = || self.login(grant).map(|login| own(login.confirm));
        of_oauth
            .or_else(of_login)
            .or_else(|| self.command(grant).map(|command| own(command.confirm)))
    }

    /// Names of the alternative pings (`keepalive.ping = "userinfo"`).
    pub fn alternative_pings(&self) -> Vec<&str> {
        self.pings.keys().map(String::as_str).collect()
    }

    /// Whether such a server has a ping; whether a session has one, [`super::RemoteConfig::has_ping`] says.
    pub fn has_ping(&self) -> bool {
        self.ping.is_some() || !self.pings.is_empty()
    }

    /// Whether a request of the profile's own, other than the refresh grant, yields a new token or a longer life.
    ///
    /// In the `oauth2` protocol renewing is the refresh grant's work.
    pub fn has_renew_request(&self) -> bool {
        self.renew.is_some()
    }

    /// Whether a session can ever hold something to renew by: in the `oauth2` protocol a login tells.
    pub fn can_renew(&self) -> bool {
        self.protocol == Protocol::OAuth2 || self.has_renew_request()
    }

    /// Whether the renew request proves itself by the token, so that only a living one can be renewed.
    pub fn renewal_needs_life(&self) -> bool {
        self.renew.as_ref().is_some_and(|renew| renew.carries_token)
    }

    /// Whether the renew request presents a refresh token.
    pub fn renewal_needs_refresh_token(&self) -> bool {
        self.renew
            .as_ref()
            .is_some_and(|renew| renew.names().contains(&"refresh_token"))
    }

    /// Whether the rules spell out what a living session's answer looks like.
    pub(super) fn says_alive(&self) -> bool {
        let on_success =
            |statuses: &[u16]| statuses.is_empty() || statuses.iter().any(|status| *status < 300);
        self.answers
            .iter()
            .any(|rule| rule.verdict == RuleVerdict::Alive && on_success(&rule.statuses))
    }

    /// The profile's own way to log in of that name.
    pub(super) fn login(&self, word: &str) -> Option<&LoginRules> {
        self.logins.iter().find(|login| login.word == word)
    }

    /// The program that logs in, of that name.
    pub(super) fn command(&self, word: &str) -> Option<&CommandRules> {
        self.commands.iter().find(|command| command.word == word)
    }

    /// What the renewal's answer tells: as the login's does, where the profile does not say.
    pub(super) fn renewal_captures(&self, grant: &str) -> Captures {
        let own = self
            .renew
            .as_ref()
            .map(|renew| renew.captures.clone())
            .filter(|captures| !captures.is_empty());
        let of_login = || {
            self.login(grant)?
                .steps
                .last()
                .map(|step| step.captures.clone())
        };
        own.or_else(of_login).unwrap_or_default()
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

    /// Whether the name is a key that a session's login can set.
    pub(super) fn takes(&self, name: &str) -> bool {
        let own = self.parameters.iter().any(|own| own.parameter.name == name);
        let of_oauth = || {
            self.grants
                .iter()
                .flat_map(|rules| rules.kind.parameters())
                .any(|known| known.name == name)
        };
        own || of_oauth()
    }

    pub(super) fn first_alternative_ping(&self) -> Option<&RequestTemplate> {
        self.pings.values().next()
    }

    /// The expression that values of the parameter must match.
    pub(super) fn pattern(&self, parameter: &str) -> Option<&Regex> {
        self.parameters
            .iter()
            .find(|own| own.parameter.name == parameter)?
            .pattern
            .as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_password_is_never_tried_twice_and_a_refresh_token_needs_a_person() {
        let profile = Profile::named("salesforce", None).unwrap();
        let unattended = ["jwt_bearer", "client_credentials", "password"];
        let by_person = ["refresh_token", "authorization_code", "device_code"];
        assert_eq!(profile.grants(), [unattended, by_person].concat());
        for (grant, unattended, confirm, parameter) in [
            ("jwt_bearer", true, true, None),
            ("client_credentials", true, true, None),
            ("password", true, false, None),
            ("refresh_token", false, true, Some("refresh_token")),
            ("authorization_code", false, true, None),
            ("device_code", false, true, None),
        ] {
            let traits = profile.grant_traits(grant).unwrap();
            let seen = (
                traits.unattended,
                traits.confirm,
                traits.refresh_token_parameter.as_deref(),
            );
            assert_eq!(seen, (unattended, confirm, parameter), "{grant}");
        }
        assert!(
            profile.grant_traits("telepathy").is_none()
                && profile.parameters("telepathy").is_none()
        );
    }

    #[test]
    fn a_parameter_of_one_grant_is_unknown_to_the_others() {
        let profile = Profile::named("salesforce", None).unwrap();
        let takes = |grant: &str, name: &str| {
            profile
                .parameters(grant)
                .unwrap()
                .iter()
                .any(|parameter| parameter.name == name)
        };
        assert!(takes("password", "security_token") && !takes("jwt_bearer", "security_token"));
        assert!(takes("jwt_bearer", "api_version") && takes("refresh_token", "api_version"));
    }

    #[test]
    fn a_users_file_adds_a_provider_and_overrides_one() {
        let directory = tempfile::tempdir().unwrap();
        place(directory.path(), "acme.toml", &minimal("acme"));
        place(directory.path(), "salesforce.toml", &minimal("salesforce"));
        let names = Profile::names(Some(directory.path()));
        assert_eq!(
            names
                .iter()
                .filter(|name| ["acme", "salesforce"].contains(&name.as_str()))
                .count(),
            2,
            "{names:?}"
        );
        assert_eq!(
            Profile::named("acme", Some(directory.path()))
                .unwrap()
                .title(),
            "Minimal"
        );
        assert_eq!(
            Profile::named("salesforce", Some(directory.path()))
                .unwrap()
                .title(),
            "Minimal"
        );
        let unknown = Profile::named("../acme", Some(directory.path()))
            .unwrap_err()
            .to_string();
        assert!(
            unknown.contains("known are acme, ") && unknown.contains(", salesforce, "),
            "{unknown}"
        );
    }

    #[test]
    fn what_is_wrong_in_a_file_is_said_with_its_line_and_key() {
        let good = minimal("acme");
        for (from, to, expected) in [
            (
                "title = \"Minimal\"",
                "title = 7",
                "acme.toml:2: title: invalid type",
            ),
            (
                "title = \"Minimal\"",
                "titel = \"x\"",
                "acme.toml:2: titel: unknown field",
            ),
            (
                "name = \"acme\"",
                "name = \"other\"",
                "acme.toml:1: name: `other` must be `acme`",
            ),
            (
                "\"oauth2\"",
                "\"http\"",
                "acme.toml:4: endpoints: it belongs to protocol",
            ),
            (
                "\"oauth2\"",
                "\"ftp\"",
                "acme.toml:3: protocol: unknown variant `ftp`",
            ),
            (
                "\"20m\"",
                "\"soon\"",
                "acme.toml:8: window.idle_timeout: `soon` is no duration",
            ),
            (
                "\"/token\"",
                "\"/{token\"",
                "acme.toml:5: endpoints.token: a `{` is never closed",
            ),
            (
                "\"sliding\"",
                "\"slippery\"",
                "acme.toml:7: window.model: unknown variant `slippery`",
            ),
            (
                "verdict = \"dead\"",
                "verdict = \"ill\"",
                "acme.toml:13: answer.verdict: unknown variant `ill`",
            ),
            (
                "\"GONE\"",
                "{ like = \"GONE\" }",
                "acme.toml:12: answer.json.\"/code\": write a value",
            ),
            (
                "verdict = \"refused\"",
                "verdict = \"good\"",
                "acme.toml:1: example: there must be one of a wrong",
            ),
            (
                "path = \"/me\"",
                "path = \"me\"",
                "acme.toml:10: ping.path: it starts with `/`",
            ),
        ] {
            let text = good.replace(from, to);
            let error = Profile::parse(&text, "acme.toml", "acme")
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(expected), "{to}: {error}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_profile_of_requests_is_said_when_it_is_read() {
        for (from, to, expected) in [
            (
                "{password}",
                "{pasword}",
                "`{pasword}` is no parameter and nothing that is captured",
            ),
            ("{password}", "{jwt}", "`{jwt}` is no parameter"),
            (
                "path = \"/api/login\"",
                "path = \"/api/login?p={password}\"",
                "must not be part of a URL",
            ),
            (
                "path = \"/api/ping\"",
                "path = \"/api/ping/{token}\"",
                "is secret and would be part of a URL",
            ),
            (
                "path = \"/api/login\"",
                "path = \"/api/login\"\nconfirm = true",
                "a second try could lock its user out",
            ),
            (
                "{ cookie = \"ACMESID\" }",
                "{ cookie = \"A\", header = \"B\" }",
                "give one of",
            ),
            (
                "{ cookie = \"ACMESID\" }",
                "{ cookie = \"OTHER\" }",
                "has no `token` where the profile looks for it",
            ),
            (
                "yields = { token = \"abc\"",
                "yields = { token = \"xyz\"",
                "the answer yields `abc`, not `xyz`",
            ),
            (
                "\"NO_SESSION\" }",
                "\"NO_SESSION\" }\nstatus = [503]",
                "always an outage",
            ),
            (
                "verdict = \"alive\"\n\n[[example]]",
                "verdict = \"alive\"\n\n[[answer]]\nto = [\"ping\"]\njson = { \"/ok\" = true }\nverdict = \"dead\"\n\n[[example]]",
                "it conflicts with the rule in line",
            ),
            (
                "model = \"sliding\"",
                "model = \"fixed\"",
                "needs to know how long a token lives",
            ),
            (
                "protocol = \"http\"",
                "protocol = \"http\"\nendpoints = { token = \"/t\" }",
                "it belongs to protocol",
            ),
            (
                "protocol = \"http\"",
                "protocol = \"http\"\ngrant.password.form = {}",
                "write [login.NAME] for each",
            ),
            (
                "protocol = \"http\"",
                "protocol = \"http\"\naudience = [{ host = \"a.example\", audience = \"x\" }]",
                "acme.toml:5: audience: it belongs to protocol = \"oauth2\"",
            ),
            (
                "protocol = \"http\"",
                "protocol = \"http\"\n\ntoken.jwt_is_fixed = true",
                "acme.toml:6: token.jwt_is_fixed: it belongs to protocol = \"oauth2\": take the end out of the token",
            ),
            (
                "[login]",
                "[login]\ntimeout = \"5s\"",
                "login.timeout: it belongs to protocol = \"command\"",
            ),
            (
                "[login]",
                "[login]\nenv = { A = \"{password}\" }",
                "login.env: it belongs to protocol = \"command\"",
            ),
            (
                "csrf = { json = \"/csrf\" }",
                "csrf = { json = \"/csrf\", jwt = \"exp\", minus = \"/x\" }",
                "`minus` is for",
            ),
            (
                "path = \"/api/ping\"",
                "path = \"/api/ping\"\ncapture.x = { jwt = \"x\" }",
                "say where the JWT is",
            ),
        ] {
            let text = manual().replacen(from, to, 1);
            let directory = tempfile::tempdir().unwrap();
            place(directory.path(), "acme.toml", &text);
            let error = Profile::named("acme", Some(directory.path()))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{to}: {error}");
        }
    }

    #[test]
    fn what_only_requests_have_is_refused_where_a_program_or_the_protocol_logs_in() {
        for (login, expected) in [
            (
                "login = { command = [\"x\"], form = { a = \"b\" } }",
                "login.form: it belongs to protocol = \"http\"",
            ),
            (
                "login = { command = [\"x\"], headers = { A = \"b\" } }",
                "login.headers: it belongs to protocol = \"http\"",
            ),
            (
                "login = { command = [\"x\"], path = \"/x\" }",
                "login.path: it belongs to protocol = \"http\"",
            ),
            (
                "login = { command = [\"x\"] }\nafter_login = [{ path = \"/x\" }]",
                "the program must print",
            ),
            (
                "login = { command = [\"x\"] }\ntoken.jwt_is_fixed = true",
                "take the end out of the token",
            ),
        ] {
            let text = minimal("acme")
                .replace("\"oauth2\"", "\"command\"")
                .replace("[endpoints]\ntoken = \"/token\"", login);
            let error = Profile::parse(&text, "acme.toml", "acme")
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{login}: {error}");
        }
        for login in [
            "login.form = { a = \"b\" }",
            "login.timeout = \"5s\"",
            "login.pat = { path = \"/x\" }",
        ] {
            let text = minimal("acme").replace("[endpoints]", &format!("{login}\n[endpoints]"));
            let error = Profile::parse(&text, "acme.toml", "acme")
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("acme.toml:4: login: in \"oauth2\" the protocol logs in"),
                "{login}: {error}"
            );
        }
    }

    /// The profile that docs/providers.md teaches by.
    fn manual() -> String {
        let page = include_str!("../../docs/providers.md");
        let (_, from) = page.split_once("```toml\nname = \"acme\"").unwrap();
        format!("name = \"acme\"{}", from.split_once("```").unwrap().0)
    }

    #[test]
    fn a_profile_must_take_its_own_examples_for_what_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let text = minimal("acme").replace("status = 400", "status = 500");
        place(directory.path(), "acme.toml", &text);
        let error = Profile::named("acme", Some(directory.path()))
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(
                "acme.toml:15: example: by the rules this answer is `unavailable`, not `refused`"
            ),
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
        std::fs::File::create(directory.join(name))
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    }
}
