//! Which placeholders a profile may use, and which of them are secret.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::{Checked, wrong};
use crate::provider::grants::GrantKind;
use crate::provider::profile::content::{ParameterKind, Protocol};
use crate::provider::profile::raw::{Logins, RawCapture, RawProfile, RawRequest};
use crate::provider::template::Template;

/// What the reader itself gives a value.
const BUILT_IN: [&str; 11] = [
    "token",
    "token_type",
    "instance_url",
    "url",
    "userinfo_url",
    "refresh_token",
    "uuid",
    "now",
    "jwt",
    "code",
    "device_code",
];
/// Those of them that prove who asks.
const SECRET_BUILT_IN: [&str; 5] = ["token", "refresh_token", "jwt", "code", "device_code"];

/// The placeholders that have a meaning in one profile.
pub(super) struct Names {
    known: BTreeSet<String>,
    /// Parameters that are given as secrets.
    secret_parameters: BTreeSet<String>,
    /// Captured values that are not public.
    secret_values: BTreeSet<String>,
    kinds: BTreeMap<String, ParameterKind>,
}

impl Names {
    /// Collects them from everything that the file says.
    pub(super) fn of(raw: &RawProfile<Logins>) -> Self {
        let mut names = Self {
            known: BUILT_IN.map(str::to_owned).into(),
            secret_parameters: BTreeSet::new(),
            secret_values: SECRET_BUILT_IN.map(str::to_owned).into(),
            kinds: BTreeMap::new(),
        };
        if *raw.protocol.get_ref() == Protocol::OAuth2 {
            names.add_those_of_oauth();
        }
        if raw.jwt.is_none() {
            names.known.remove("jwt");
        }
        for (name, parameter) in &raw.parameters {
            names.parameter(name, parameter.secret, parameter.kind);
        }
        for request in requests(raw) {
            names.captured(request);
        }
        names
    }

    fn add_those_of_oauth(&mut self) {
        for parameter in GrantKind::ALL.into_iter().flat_map(GrantKind::parameters) {
            self.parameter(&parameter.name, parameter.secret, ParameterKind::Text);
        }
    }

    fn parameter(&mut self, name: &str, secret: bool, kind: ParameterKind) {
        self.known.insert(name.to_owned());
        self.kinds.insert(name.to_owned(), kind);
        if secret {
            self.secret_parameters.insert(name.to_owned());
        }
    }

    fn captured(&mut self, request: &RawRequest) {
        let rules = request.capture.iter().flatten();
        for (name, rule) in rules.filter(|(name, _)| !BUILT_IN.contains(&name.as_str())) {
            self.known.insert(name.clone());
            if !rule.get_ref().public {
                self.secret_values.insert(name.clone());
            }
        }
    }

    /// Parses a text whose placeholders must all be known.
    pub(super) fn template(&self, key: &str, value: &Spanned<String>) -> Checked<Template> {
        let template = Template::parse(value.get_ref())
            .map_err(|error| wrong(&value.span(), format!("{key}: {error}")))?;
        if let Some(name) = template.names().find(|name| !self.known.contains(*name)) {
            return Err(wrong(&value.span(), self.unknown(key, name)));
        }
        Ok(template)
    }

    fn unknown(&self, key: &str, name: &str) -> String {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        format!(
            "{key}: `{{{name}}}` is no parameter and nothing that is captured: known are {}",
            known.join(", ")
        )
    }

    /// Refuses what would appear in logs of servers and proxies.
    pub(super) fn keep_secrets_out(
        &self,
        key: &str,
        at: &Range<usize>,
        target: &Template,
        token: bool,
    ) -> Checked<()> {
        if let Some(name) = target
            .names()
            .find(|name| self.secret_parameters.contains(*name))
        {
            let message = format!(
                "{key}: the secret `{{{name}}}` must not be part of a URL: send it in a header or body"
            );
            return Err(wrong(at, message));
        }
        match target
            .names()
            .find(|name| !token && self.secret_values.contains(*name))
        {
            Some(name) => Err(wrong(
                at,
                format!(
                    "{key}: `{{{name}}}` is secret and would be part of a URL: capture it as `public = true` if it is \
                     not, or say `secret_in_url = true` if the server wants it so"
                ),
            )),
            None => Ok(()),
        }
    }

    /// Refuses what everybody on this machine would see in the list of processes.
    pub(super) fn keep_secrets_out_of_argv(
        &self,
        at: &Range<usize>,
        argument: &Template,
    ) -> Checked<()> {
        let is_secret = |name: &&str| {
            self.secret_parameters.contains(*name) || self.secret_values.contains(*name)
        };
        match argument.names().find(is_secret) {
            Some(name) => Err(wrong(
                at,
                format!(
                    "login.command: the secret `{{{name}}}` must not be an argument: put it into env"
                ),
            )),
            None => Ok(()),
        }
    }

    /// The password among the placeholders, if there is one: sent twice, it can lock its user out.
    pub(super) fn password<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let is_password = |name: &str| {
            ["password", "passwd", "pwd", "passcode"]
                .iter()
                .any(|word| name.contains(word))
        };
        names
            .into_iter()
            .find(|name| self.secret_parameters.contains(*name) && is_password(name))
    }

    /// Whether the text is one parameter that JSON writes without quotes.
    pub(super) fn is_bare(&self, template: &Template) -> bool {
        match template.only_name().and_then(|name| self.kinds.get(name)) {
            Some(ParameterKind::Integer | ParameterKind::Boolean) => true,
            Some(ParameterKind::Text | ParameterKind::List | ParameterKind::Fields) | None => false,
        }
    }

    /// Whether the name is a parameter that must be given as a secret.
    pub(super) fn is_secret_parameter(&self, name: &str) -> bool {
        self.secret_parameters.contains(name)
    }
}

/// Every request of the file that may capture something.
fn requests(raw: &RawProfile<Logins>) -> impl Iterator<Item = &RawRequest> {
    let logins = raw.login.iter().flatten().map(|(_, login)| login.get_ref());
    let steps = logins
        .clone()
        .flat_map(|login| login.step.iter().map(Spanned::get_ref));
    let others = [&raw.ping, &raw.renew, &raw.introspection]
        .into_iter()
        .flatten()
        .map(Spanned::get_ref);
    let after = raw
        .after_login
        .iter()
        .chain(raw.pings.values())
        .map(Spanned::get_ref);
    logins.chain(steps).chain(others).chain(after)
}

/// A rule as it is written, by name.
pub(super) type RawCaptures = BTreeMap<String, Spanned<RawCapture>>;

#[cfg(test)]
mod tests {
    use crate::provider::Profile;

    #[test]
    fn no_profile_puts_a_secret_of_the_config_into_a_url_or_a_token_without_saying_so() {
        let never = "must not be part of a URL: send it in a header or body";
        let unless_said = "say `secret_in_url = true` if the server wants it so";
        for (line, expected) in [
            (r#"ping.path = "/ping?p={password}""#, never),
            (r#"ping.path = "/{password}/ping""#, never),
            (r#"ping.url = "https://api.example/{password}""#, never),
            (r#"ping.url = "https://{password}@api.example/""#, never),
            (
                r#"ping = { path = "/{password}", secret_in_url = true }"#,
                never,
            ),
            (r#"ping.path = "/ping?t={token}""#, unless_said),
            (r#"ping.path = "/ping?c={csrf}""#, unless_said),
            (r#"ping.url = "https://{csrf}.example/""#, unless_said),
        ] {
            refused(HTTP, line, expected);
        }
        for (line, expected) in [
            (r#"logout.path = "/out?p={password}""#, never),
            (r#"logout.path = "/out?t={token}""#, unless_said),
            (r#"renew.path = "/renew?r={refresh_token}""#, unless_said),
            (r#"pings.other.path = "/other/{token}""#, unless_said),
        ] {
            refused(&format!("ping.path = \"/ping\"\n{HTTP}"), line, expected);
        }
        for line in [
            r#"ping = { path = "/ping?t={token}", secret_in_url = true }"#,
            r#"ping.path = "/ping?u={username}&s={shown}""#,
        ] {
            let parsed = Profile::parse(&format!("{line}\n{HTTP}"), "acme.toml", "acme");
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
    }

    #[test]
    fn no_profile_puts_a_secret_among_the_arguments_of_a_program() {
        let never = "must not be an argument: put it into env";
        for argument in [
            "{password}",
            "--password={password}",
            "--refresh={refresh_token}",
            "{token}",
        ] {
            let line = format!("login.command = [\"/opt/get\", \"{argument}\"]");
            refused(COMMAND, &line, never);
        }
        let line =
            r#"login = { command = ["/opt/get", "{username}"], env = { P = "{password}" } }"#;
        let parsed = Profile::parse(&format!("{line}\n{COMMAND}"), "acme.toml", "acme");
        assert!(parsed.is_ok(), "{:?}", parsed.err());
    }

    fn refused(rest: &str, line: &str, expected: &str) {
        let error = Profile::parse(&format!("{line}\n{rest}"), "acme.toml", "acme")
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("acme.toml:1: ") && error.contains(expected),
            "{line}: {error}"
        );
    }

    const HTTP: &str = r#"
name = "acme"
title = "Acme"
protocol = "http"
parameters.username = { about = "u" }
parameters.password = { secret = true, about = "p" }
window = { model = "sliding", idle_timeout = "20m" }
example = [{ to = "login", status = 401, verdict = "refused" }]
[login]
path = "/login"
form = { p = "{password}" }
[login.capture]
token = { json = "/t" }
csrf = { json = "/c" }
shown = { json = "/s", public = true }
"#;

    const COMMAND: &str = r#"
name = "acme"
title = "Acme"
protocol = "command"
parameters.username = { about = "u" }
parameters.password = { secret = true, about = "p" }
window = { model = "fixed", idle_timeout = "none" }
"#;
}
