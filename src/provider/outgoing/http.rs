//! Requests as a profile describes them, with every value put where it cannot mean anything else.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;
use zeroize::Zeroizing;

use super::{Body, Outgoing, OutgoingError, RequestContext, form};
use crate::provider::Secrets;
use crate::provider::profile::Usage;
use crate::provider::request::{BodyTemplate, RequestTemplate};
use crate::provider::settings::{RemoteConfig, below};
use crate::provider::template::{Lookup, Template};
use crate::secret::Secret;
use crate::token::Token;

/// What a login by the profile's own requests sends, and what the requests after it do.
pub(super) fn login_secrets(config: &RemoteConfig) -> Vec<&str> {
    let steps = config
        .profile
        .login(&config.grant)
        .into_iter()
        .flat_map(|login| &login.steps);
    steps
        .chain(&config.profile.after_login)
        .flat_map(|step| secrets(config, step))
        .collect()
}

/// The placeholders of one request; a signed value brings its key along.
pub(super) fn secrets<'a>(config: &'a RemoteConfig, template: &'a RequestTemplate) -> Vec<&'a str> {
    let mut names = template.names();
    if let Some(jwt) = config
        .profile
        .jwt
        .as_ref()
        .filter(|_| names.contains(&"jwt"))
    {
        names.extend(jwt.names());
    }
    names
}

impl RequestContext<'_> {
    /// Fills the request in.
    ///
    /// # Errors
    /// Says which value is missing, or cannot be where it should.
    pub(in crate::provider) fn by_template(
        &self,
        template: &RequestTemplate,
    ) -> Result<Outgoing, OutgoingError> {
        let jwt = if template.names().contains(&"jwt") {
            Some(self.jwt()?)
        } else {
            None
        };
        let lookup = |name: &str| {
            if name == "jwt" {
                jwt.clone()
            } else {
                self.value(name)
            }
        };
        let base = self.base(template);
        let url = url_below(self.config, template, &base, &lookup)?;
        let mut made = Outgoing {
            method: template.method,
            url,
            headers: Vec::new(),
            body: body(template, &self.usage(template), &lookup)?,
            secrets: jwt.iter().cloned().collect(),
        };
        self.carry(template, &lookup, &mut made)?;
        Ok(made)
    }

    /// A login begins at the configured URL, whatever host the former token led to.
    fn base(&self, template: &RequestTemplate) -> String {
        let held = self
            .held
            .token
            .filter(|_| template.carries_token)
            .and_then(|token| token.instance_url.as_deref());
        let known = self.gathered.instance_url.as_deref().or(held);
        known.unwrap_or_else(|| self.config.base()).to_owned()
    }

    fn usage(&self, template: &RequestTemplate) -> Usage {
        if template.carries_token {
            self.config.profile.usage.clone()
        } else {
            Usage::default()
        }
    }

    /// Headers and cookies: those of the token, then the request's own, which win.
    fn carry(
        &self,
        template: &RequestTemplate,
        lookup: &Lookup<'_>,
        made: &mut Outgoing,
    ) -> Result<(), OutgoingError> {
        let usage = self.usage(template);
        if template.carries_token && self.held.token.is_none() && self.gathered.token.is_none() {
            return Err(OutgoingError::NoToken);
        }
        let when_unsafe = usage.unsafe_headers.iter().filter(|_| template.is_unsafe());
        for (name, value) in usage.headers.iter().chain(when_unsafe) {
            made.headers.extend(header(name, value, lookup)?);
            made.secrets.extend(value.encoded(lookup));
        }
        if let Some((username, password)) = &template.basic {
            let credentials = basic(&filled(username, lookup)?, &filled(password, lookup)?);
            made.secrets.push(credentials.clone());
            let value = Secret::new(format!("Basic {}", credentials.expose()));
            made.headers.push(("Authorization".to_owned(), value));
        }
        for (name, value) in &template.headers {
            // Whose only value is a parameter that was not given, it is not sent.
            made.headers.extend(header(name, value, lookup)?);
            made.secrets.extend(value.encoded(lookup));
        }
        let cookies = usage.cookies.iter().chain(&template.cookies);
        made.secrets
            .extend(cookies.clone().flat_map(|(_, value)| value.encoded(lookup)));
        if let Some(cookie) = cookie_header(cookies, lookup)? {
            made.headers.push(("Cookie".to_owned(), cookie));
        }
        Ok(())
    }
}

/// The URL of a request by a profile while `token` is held.
pub(super) fn url(
    config: &RemoteConfig,
    template: &RequestTemplate,
    token: Option<&Token>,
    lookup: &Lookup<'_>,
) -> Result<Url, OutgoingError> {
    let base = token
        .and_then(|token| token.instance_url.as_deref())
        .unwrap_or_else(|| config.base());
    url_below(config, template, base, lookup)
}

/// A path lies below `base`; a URL that a server handed out must lead to one of its own hosts.
fn url_below(
    config: &RemoteConfig,
    template: &RequestTemplate,
    base: &str,
    lookup: &Lookup<'_>,
) -> Result<Url, OutgoingError> {
    let missing = || {
        template
            .target
            .names()
            .find(|name| lookup(name).is_none())
            .unwrap_or("url")
            .to_owned()
    };
    let leads = |name: &&str| lookup(name).is_some_and(|value| leads_upwards(value.expose()));
    if let Some(name) = template
        .target
        .names()
        .filter(|name| !is_trusted(config, name))
        .find(leads)
    {
        return Err(OutgoingError::Upwards(name.to_owned()));
    }
    let target = template
        .target
        .fill_url(lookup)
        .ok_or_else(|| OutgoingError::NoValue(missing()))?;
    let handed_out = template
        .target
        .leading_name()
        .filter(|name| !is_trusted(config, name));
    let path = handed_out.map_or(target.as_str(), |_| within(base, &target));
    let url = below(base, path).ok_or_else(|| OutgoingError::NoValue(missing()))?;
    match handed_out {
        Some(name)
            if config
                .profile
                .hosts
                .accept(&url.origin().ascii_serialization(), &config.url)
                .is_err() =>
        {
            Err(OutgoingError::ForeignUrl(name.to_owned()))
        }
        Some(_) | None => Ok(url),
    }
}

/// A server that knows the path below which it lies names paths with it.
fn within<'t>(base: &str, target: &'t str) -> &'t str {
    let own = Url::parse(base)
        .map(|base| base.path().trim_end_matches('/').to_owned())
        .unwrap_or_default();
    target
        .strip_prefix(own.as_str())
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(target)
}

/// Whether a part of a path is one that goes up or stays, however it is written (WHATWG URL section 4.4).
fn leads_upwards(value: &str) -> bool {
    let path = value
        .split(['?', '#'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
        .replace("%2e", ".");
    path.split(['/', '\\'])
        .any(|part| matches!(part, "." | ".."))
}

/// The config's own URLs were checked when it was read, and the instance URL when it came.
fn is_trusted(config: &RemoteConfig, name: &str) -> bool {
    matches!(name, "url" | "instance_url" | "userinfo_url") || config.values.contains_key(name)
}

/// What a placeholder stands for: the token's parts, then what was captured, then the session's parameters.
pub(super) fn value(
    config: &RemoteConfig,
    token: Option<&Token>,
    secrets: Option<&Secrets>,
    name: &str,
) -> Option<Secret> {
    let base = || Secret::new(config.base());
    match name {
        "token" => return token.map(|token| token.access_token.clone()),
        "token_type" => return token.map(|token| Secret::new(token.token_type.as_str())),
        "instance_url" => {
            return token
                .and_then(|token| token.instance_url.as_deref())
                .map(Secret::new)
                .or_else(|| Some(base()));
        }
        "url" => return Some(base()),
        _ => {}
    }
    let captured = || {
        token?
            .captures
            .get(name)
            .map(|capture| capture.value.clone())
    };
    let plain = || config.plain(name).map(Secret::new);
    captured()
        .or_else(plain)
        .or_else(|| secrets?.get(name).cloned())
}

/// Whether a placeholder has a value while `token` is held.
pub(in crate::provider) fn is_known(config: &RemoteConfig, token: &Token, name: &str) -> bool {
    value(config, Some(token), None, name).is_some() || config.values.contains_key(name)
}

/// The headers that any request with `token` carries, cookies and what writes need included; one whose values are
/// missing is left out.
pub(in crate::provider) fn use_headers(
    config: &RemoteConfig,
    token: &Token,
) -> Vec<(String, Secret)> {
    let lookup = |name: &str| value(config, Some(token), None, name);
    let usage = &config.profile.usage;
    let headers = usage.headers.iter().chain(&usage.unsafe_headers);
    let mut filled: Vec<(String, Secret)> = headers
        .filter_map(|(name, template)| Some((name.clone(), template.fill(&lookup)?)))
        .collect();
    let cookie = cookie_header(usage.cookies.iter(), &lookup).ok().flatten();
    filled.extend(cookie.map(|cookie| ("Cookie".to_owned(), cookie)));
    filled.shrink_to_fit();
    filled
}

fn filled(template: &Template, lookup: &Lookup<'_>) -> Result<Secret, OutgoingError> {
    let missing = || template.names().next().unwrap_or_default().to_owned();
    template
        .fill(lookup)
        .ok_or_else(|| OutgoingError::NoValue(missing()))
}

/// RFC 7617 section 2.
fn basic(username: &Secret, password: &Secret) -> Secret {
    let pair = Zeroizing::new(format!("{}:{}", username.expose(), password.expose()));
    Secret::new(STANDARD.encode(pair.as_bytes()))
}

/// One header; none if its values are missing.
fn header(
    name: &str,
    value: &Template,
    lookup: &Lookup<'_>,
) -> Result<Option<(String, Secret)>, OutgoingError> {
    let Some(value) = value.fill(lookup) else {
        return Ok(None);
    };
    if value.expose().bytes().all(is_header_octet) {
        return Ok(Some((name.to_owned(), value)));
    }
    Err(OutgoingError::BadHeader(name.to_owned()))
}

/// RFC 9110 section 5.5: line breaks and other controls would begin a header of their own.
pub(in crate::provider) fn is_header_octet(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// RFC 6265 section 4.2; a cookie whose values are missing is left out.
fn cookie_header<'a>(
    cookies: impl Iterator<Item = &'a (String, Template)>,
    lookup: &Lookup<'_>,
) -> Result<Option<Secret>, OutgoingError> {
    let mut header = Zeroizing::new(String::new());
    for (name, template) in cookies {
        let Some(value) = template.fill(lookup) else {
            continue;
        };
        if !value.expose().bytes().all(is_cookie_octet) {
            return Err(OutgoingError::BadCookie(name.clone()));
        }
        if !header.is_empty() {
            header.push_str("; ");
        }
        header.push_str(name);
        header.push('=');
        header.push_str(value.expose());
    }
    Ok((!header.is_empty()).then(|| Secret::new(header.as_str())))
}

/// RFC 6265 section 4.1.1, and the quotes, commas and backslashes that servers use all the same.
pub(in crate::provider) fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && byte != b';'
}

fn body(
    template: &RequestTemplate,
    usage: &Usage,
    lookup: &Lookup<'_>,
) -> Result<Option<Body>, OutgoingError> {
    let usual = |content_type: &'static str| {
        template
            .content_type
            .clone()
            .map_or(Cow::Borrowed(content_type), Cow::Owned)
    };
    let text = |content_type, text: &str| {
        Some(Body {
            content_type: usual(content_type),
            text: Zeroizing::new(text.to_owned()),
        })
    };
    Ok(match &template.body {
        BodyTemplate::None => None,
        BodyTemplate::Form(fields) => {
            let filled = fields
                .iter()
                .filter_map(|(name, field)| Some((name.clone(), field.fill(lookup)?)));
            let form = form(&filled.collect::<Vec<_>>());
            Some(Body {
                content_type: usual("application/x-www-form-urlencoded"),
                ..form
            })
        }
        BodyTemplate::Json(json) => {
            let mut json = json.fill(lookup).unwrap_or_default();
            if let Some(members) = json.as_object_mut() {
                members.extend(usage.json.iter().filter_map(|(name, value)| {
                    Some((
                        name.clone(),
                        serde_json::Value::from(value.fill(lookup)?.expose()),
                    ))
                }));
            }
            text(
                "application/json",
                Zeroizing::new(json.to_string()).as_str(),
            )
        }
        BodyTemplate::Xml(xml) => {
            let missing = || {
                xml.names()
                    .find(|name| lookup(name).is_none())
                    .unwrap_or_default()
                    .to_owned()
            };
            let filled = xml
                .fill_xml(lookup)
                .ok_or_else(|| OutgoingError::NoValue(missing()))?;
            text("text/xml; charset=utf-8", filled.expose())
        }
        BodyTemplate::Text(template) => text(
            "text/plain; charset=utf-8",
            filled(template, lookup)?.expose(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_a_server_hands_out_leads_no_further_up() {
        for (path, upwards) in [
            ("/api/sessions/7", false),
            ("/api/v1.2/..x/.well-known", false),
            ("https://as.example/a?next=/../b#/..", false),
            ("/api/../admin", true),
            ("..", true),
            ("/a/./b", true),
            ("/a/%2E%2e/b", true),
            ("/a/.%2e", true),
            ("\\..\\b", true),
        ] {
            assert_eq!(leads_upwards(path), upwards, "{path}");
        }
    }
}
