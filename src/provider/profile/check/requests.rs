//! The parts of a profile that describe requests.

use std::ops::Range;
use std::time::Duration;

use jsonwebtoken::Algorithm;
use serde_json::Value;
use toml::Spanned;

use super::captures::captures;
use super::names::Names;
use super::{Checked, duration, filled, wire, wrong};
use crate::provider::outgoing::JwtTemplate;
use crate::provider::profile::content::{CommandRules, LoginRules, Usage};
use crate::provider::profile::raw::{
    Logins, RawBasic, RawJwt, RawRedirect, RawRequest, RawUse, Texts,
};
use crate::provider::request::{BodyTemplate, Expect, JsonTemplate, Method, RequestTemplate};
use crate::provider::template::Template;

/// The grant of a profile that has one login, without a name.
const ONLY_LOGIN: &str = "login";

/// What one request is for, as far as it matters to how it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It opens the session: it carries no token yet, and must bring what it captures.
    Login,
    /// It is made with the token, and what it captures must be there.
    Upkeep,
    /// It is made with the token, and may tell something.
    Telling,
}

/// Reads requests of one profile.
pub(super) struct Reader<'a> {
    pub(super) names: &'a Names,
    /// What a ping's success looks like unless it says so.
    pub(super) expect: Expect,
    /// Whether captures may find nothing unless they say otherwise.
    pub(super) lenient: bool,
}

impl Reader<'_> {
    /// Checks the request under `key`, if there is one.
    pub(super) fn optional(
        &self,
        key: &str,
        raw: Option<Spanned<RawRequest>>,
        role: Role,
    ) -> Checked<Option<RequestTemplate>> {
        raw.map(|raw| self.request(key, raw, role)).transpose()
    }

    /// One of `[pings]`.
    pub(super) fn ping(
        &self,
        name: String,
        raw: Spanned<RawRequest>,
    ) -> Checked<(String, RequestTemplate)> {
        let ping = self.request(&format!("pings.{name}"), raw, Role::Telling)?;
        Ok((name, ping))
    }

    /// Checks the request under `key`.
    pub(super) fn request(
        &self,
        key: &str,
        raw: Spanned<RawRequest>,
        role: Role,
    ) -> Checked<RequestTemplate> {
        let span = raw.span();
        let raw = raw.into_inner();
        refuse_login_keys(key, &raw)?;
        let body = self.body(key, &span, &raw)?;
        let usual = if matches!(body, BodyTemplate::None) {
            Method::Get
        } else {
            Method::Post
        };
        let content_type = raw.content_type.as_ref();
        let content_type =
            content_type.map(|text| wire::media_type(&format!("{key}.content_type"), text, true));
        let target = self.target(key, &span, &raw)?;
        let statuses = filled(&format!("{key}.status"), raw.status)?;
        Ok(RequestTemplate {
            method: raw.method.unwrap_or(usual),
            target,
            headers: wire::headers(self.names, &format!("{key}.headers"), &raw.headers)?,
            cookies: wire::cookies(self.names, &format!("{key}.cookies"), &raw.cookies)?,
            basic: raw
                .basic
                .as_ref()
                .map(|basic| self.basic(key, basic))
                .transpose()?,
            body,
            content_type: content_type.transpose()?,
            carries_token: raw.carries_token.unwrap_or(role != Role::Login),
            statuses: statuses
                .iter()
                .map(|status| good_status(key, status))
                .collect::<Checked<_>>()?,
            expect: raw.expect.unwrap_or(self.expect),
            repeats: raw.redirect == Some(RawRedirect::Repeat),
            captures: captures(
                key,
                raw.capture.unwrap_or_default(),
                self.lenient || role == Role::Telling,
            )?,
        })
    }

    fn target(&self, key: &str, span: &Range<usize>, raw: &RawRequest) -> Checked<Template> {
        let (word, target) = match (&raw.path, &raw.url) {
            (Some(path), None) if path.get_ref().starts_with('/') => ("path", path),
            (None, Some(url)) => ("url", url),
            (Some(path), None) => {
                return Err(wrong(
                    &path.span(),
                    format!("{key}.path: it starts with `/`"),
                ));
            }
            (Some(path), Some(_)) => {
                return Err(wrong(
                    &path.span(),
                    format!("{key}: give `path` or `url`, not both"),
                ));
            }
            (None, None) => return Err(wrong(span, format!("{key}: `path` or `url` is missing"))),
        };
        let key = format!("{key}.{word}");
        let template = self.names.template(&key, target)?;
        self.names
            .keep_secrets_out(&key, &target.span(), &template, raw.secret_in_url)?;
        Ok(template)
    }

    fn basic(&self, key: &str, raw: &RawBasic) -> Checked<(Template, Template)> {
        let username = self
            .names
            .template(&format!("{key}.basic.username"), &raw.username)?;
        Ok((
            username,
            self.names
                .template(&format!("{key}.basic.password"), &raw.password)?,
        ))
    }

    pub(super) fn templates(&self, key: &str, texts: &Texts) -> Checked<Vec<(String, Template)>> {
        let one = |(name, text): (&String, &Spanned<String>)| {
            Ok((
                name.clone(),
                self.names.template(&format!("{key}.{name}"), text)?,
            ))
        };
        texts.iter().map(one).collect()
    }

    fn body(&self, key: &str, span: &Range<usize>, raw: &RawRequest) -> Checked<BodyTemplate> {
        match (&raw.form, &raw.json, &raw.xml, &raw.text) {
            (None, None, None, None) => Ok(BodyTemplate::None),
            (Some(form), None, None, None) => Ok(BodyTemplate::Form(
                self.templates(&format!("{key}.form"), form)?,
            )),
            (None, Some(json), None, None) => Ok(BodyTemplate::Json(self.json(
                &format!("{key}.json"),
                json,
                json.get_ref(),
            )?)),
            (None, None, Some(xml), None) => Ok(BodyTemplate::Xml(
                self.names.template(&format!("{key}.xml"), xml)?,
            )),
            (None, None, None, Some(text)) => Ok(BodyTemplate::Text(
                self.names.template(&format!("{key}.text"), text)?,
            )),
            (_, _, _, _) => Err(wrong(
                span,
                format!("{key}: give one of `form`, `json`, `xml` and `text`"),
            )),
        }
    }

    fn json(
        &self,
        key: &str,
        place: &Spanned<toml::Value>,
        value: &toml::Value,
    ) -> Checked<JsonTemplate> {
        match value {
            toml::Value::String(text) => {
                let template = self
                    .names
                    .template(key, &Spanned::new(place.span(), text.clone()))?;
                let bare = self.names.is_bare(&template);
                Ok(if bare {
                    JsonTemplate::Bare(template)
                } else {
                    JsonTemplate::Text(template)
                })
            }
            toml::Value::Array(elements) => {
                let elements = elements
                    .iter()
                    .map(|element| self.json(key, place, element));
                Ok(JsonTemplate::List(elements.collect::<Checked<_>>()?))
            }
            toml::Value::Table(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), self.json(key, place, value)?)));
                Ok(JsonTemplate::Object(members.collect::<Checked<_>>()?))
            }
            toml::Value::Integer(_)
            | toml::Value::Float(_)
            | toml::Value::Boolean(_)
            | toml::Value::Datetime(_) => json_value(key, place, value).map(JsonTemplate::Literal),
        }
    }

    /// Without `[use]`, RFC 6750 section 2.1 holds.
    pub(super) fn usage(&self, raw: Option<&RawUse>) -> Checked<Usage> {
        let Some(raw) = raw else {
            let bearer = Spanned::new(0..0, "Bearer {token}".to_owned());
            let headers = vec![(
                "Authorization".to_owned(),
                self.names.template("use.headers", &bearer)?,
            )];
            return Ok(Usage {
                headers,
                ..Usage::default()
            });
        };
        Ok(Usage {
            headers: wire::headers(self.names, "use.headers", &raw.headers)?,
            cookies: wire::cookies(self.names, "use.cookies", &raw.cookies)?,
            json: self.templates("use.json", &raw.json)?,
            unsafe_headers: wire::headers(
                self.names,
                "use.unsafe.headers",
                &raw.when_unsafe.headers,
            )?,
        })
    }

    /// The ways to log in by requests.
    pub(super) fn logins(&self, raw: Logins) -> Checked<Vec<LoginRules>> {
        raw.into_iter()
            .map(|(name, login)| self.login(name, login))
            .collect()
    }

    fn login(
        &self,
        name: Option<Spanned<String>>,
        raw: Spanned<RawRequest>,
    ) -> Checked<LoginRules> {
        let key = name.as_ref().map_or_else(
            || "login".to_owned(),
            |name| format!("login.{}", name.get_ref()),
        );
        let span = raw.span();
        let mut raw = raw.into_inner();
        let about = raw
            .about
            .take()
            .map(Spanned::into_inner)
            .unwrap_or_default();
        let confirm = raw.confirm.take().filter(|confirm| *confirm.get_ref());
        let steps = std::mem::take(&mut raw.step);
        let steps = if steps.is_empty() {
            vec![self.request(&key, Spanned::new(span.clone(), raw), Role::Login)?]
        } else {
            if raw.path.is_some() || raw.url.is_some() {
                return Err(wrong(
                    &span,
                    format!("{key}: give a request of its own or [[{key}.step]], not both"),
                ));
            }
            let steps = steps
                .into_iter()
                .map(|step| self.request(&format!("{key}.step"), step, Role::Login));
            steps.collect::<Checked<_>>()?
        };
        if !steps.iter().any(|step| step.captures.contains_key("token")) {
            return Err(wrong(
                &span,
                format!("{key}.capture: nothing captures `token`: say where it is"),
            ));
        }
        let password = self
            .names
            .password(steps.iter().flat_map(RequestTemplate::names));
        if let (Some(confirm), Some(password)) = (&confirm, password) {
            let message = format!(
                "{key}.confirm: `{{{password}}}` is sent: a second try could lock its user out"
            );
            return Err(wrong(&confirm.span(), message));
        }
        let word = name.map_or_else(|| ONLY_LOGIN.to_owned(), Spanned::into_inner);
        Ok(LoginRules {
            word,
            about,
            confirm: confirm.is_some(),
            steps,
        })
    }

    /// The ways to log in by a program.
    pub(super) fn commands(&self, raw: Logins) -> Checked<Vec<CommandRules>> {
        raw.into_iter()
            .map(|(name, login)| self.command(name, login))
            .collect()
    }

    fn command(
        &self,
        name: Option<Spanned<String>>,
        raw: Spanned<RawRequest>,
    ) -> Checked<CommandRules> {
        let span = raw.span();
        let raw = raw.into_inner();
        let Some(command) = raw.command.filter(|command| !command.get_ref().is_empty()) else {
            return Err(wrong(
                &span,
                "login.command: it is missing: the program and its arguments".to_owned(),
            ));
        };
        let argument = |text: &Spanned<String>| {
            let template = self.names.template("login.command", text)?;
            self.names
                .keep_secrets_out_of_argv(&text.span(), &template)?;
            Ok(template)
        };
        let timeout = raw
            .timeout
            .as_ref()
            .map(|text| duration("login.timeout", text))
            .transpose()?
            .flatten();
        let env = self.templates("login.env", &raw.env)?;
        let sends_password = self
            .names
            .password(env.iter().flat_map(|(_, value)| value.names()))
            .is_some();
        Ok(CommandRules {
            confirm: !sends_password,
            word: name.map_or_else(|| ONLY_LOGIN.to_owned(), Spanned::into_inner),
            about: raw.about.map(Spanned::into_inner).unwrap_or_default(),
            argv: command
                .get_ref()
                .iter()
                .map(argument)
                .collect::<Checked<_>>()?,
            env,
            timeout,
            captures: captures("login", raw.capture.unwrap_or_default(), false)?,
        })
    }

    /// `[jwt]`.
    pub(super) fn jwt(&self, raw: &Spanned<RawJwt>) -> Checked<JwtTemplate> {
        const LIFETIME: Duration = Duration::from_mins(3);
        let (span, raw) = (raw.span(), raw.get_ref());
        if !self.names.is_secret_parameter(raw.key.get_ref()) {
            let message = format!(
                "jwt.key: `{}` is no parameter with secret = true",
                raw.key.get_ref()
            );
            return Err(wrong(&raw.key.span(), message));
        }
        let algorithm = match &raw.algorithm {
            Some(word) => word.get_ref().parse().map_err(|_| {
                wrong(
                    &word.span(),
                    format!(
                        "jwt.algorithm: `{}` is unknown: RS256, ES256, HS256 …",
                        word.get_ref()
                    ),
                )
            })?,
            None => Algorithm::RS256,
        };
        let lifetime = raw
            .lifetime
            .as_ref()
            .map(|text| duration("jwt.lifetime", text))
            .transpose()?
            .flatten();
        let empty = Spanned::new(span, toml::Value::Table(toml::Table::new()));
        let header = raw.header.as_ref().unwrap_or(&empty);
        Ok(JwtTemplate {
            key: raw.key.get_ref().clone(),
            algorithm,
            lifetime: lifetime.unwrap_or(LIFETIME),
            claims: self.json("jwt.claims", &raw.claims, raw.claims.get_ref())?,
            header: self.json("jwt.header", header, header.get_ref())?,
        })
    }
}

/// What a login may have besides, and no other request.
fn refuse_login_keys(key: &str, raw: &RawRequest) -> Checked<()> {
    let foreign = [
        ("step", raw.step.first().map(Spanned::span)),
        ("about", raw.about.as_ref().map(Spanned::span)),
        ("confirm", raw.confirm.as_ref().map(Spanned::span)),
        ("command", raw.command.as_ref().map(Spanned::span)),
        ("timeout", raw.timeout.as_ref().map(Spanned::span)),
        ("env", raw.env.values().next().map(Spanned::span)),
    ];
    match foreign
        .into_iter()
        .find_map(|(word, span)| Some((word, span?)))
    {
        Some((word, span)) => Err(wrong(
            &span,
            format!("{key}.{word}: it belongs to [login] only"),
        )),
        None => Ok(()),
    }
}

/// Those that are outages whatever the profile says cannot be good.
fn good_status(key: &str, status: &Spanned<u16>) -> Checked<u16> {
    let status_is_final =
        (200..300).contains(status.get_ref()) || (300..500).contains(status.get_ref());
    if status_is_final && !matches!(status.get_ref(), 408 | 429) {
        return Ok(*status.get_ref());
    }
    Err(wrong(
        &status.span(),
        format!("{key}.status: {} is never a good answer", status.get_ref()),
    ))
}

pub(super) fn json_value(
    key: &str,
    place: &Spanned<toml::Value>,
    value: &toml::Value,
) -> Checked<Value> {
    serde_json::to_value(value).map_err(|error| wrong(&place.span(), format!("{key}: {error}")))
}
