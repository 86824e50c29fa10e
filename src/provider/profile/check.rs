//! From the file's words to a profile: everything that can be wrong is found here, with its place.

mod answers;
mod captures;
mod endpoints;
mod foreign;
mod names;
mod requests;
mod sense;
mod wire;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use regex_lite::Regex;
use toml::Spanned;

use super::content::{
    About, CommandRules, GrantRules, LoginRules, ParameterKind, ProfileParameter, Protocol,
};
use super::raw::{
    LoginForm, Logins, RawAudience, RawEndpoints, RawGrant, RawHosts, RawKind, RawParameter,
    RawProfile, RawRequest, RawWindow,
};
use super::{Parameter, Profile, ProfileError, WindowDefaults};
use crate::duration;
use crate::provider::ByPerson;
use crate::provider::grants::GrantKind;
use crate::provider::harvest::Captures;
use crate::provider::hosts::{HostPattern, Hosts};
use crate::provider::request::Expect;
use names::Names;
use requests::{Reader, Role};

/// What is wrong, and where.
pub(super) struct Wrong {
    at: Place,
    pub(super) message: String,
}

/// A place in the file.
enum Place {
    Offset(usize),
    Line(usize),
}

type Checked<T> = Result<T, Wrong>;

/// The file's text, which turns offsets into lines.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl Text<'_> {
    /// From one.
    fn line(self, offset: usize) -> usize {
        self.0
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1
    }
}

impl Profile {
    /// Reads a profile from the text of `file`, which must call itself `name`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub(in crate::provider) fn parse(
        text: &str,
        file: &str,
        name: &str,
    ) -> Result<Self, ProfileError> {
        read(text)
            .and_then(|raw| profile(raw, name, Text(text)))
            .map_err(|wrong| ProfileError::Invalid {
                file: file.to_owned(),
                line: match wrong.at {
                    Place::Offset(offset) => Text(text).line(offset),
                    Place::Line(line) => line,
                },
                message: wrong.message,
            })
    }
}

/// `[login]` is a request, or holds one for each grant.
pub(super) fn read(text: &str) -> Checked<RawProfile<Logins>> {
    let kind: RawKind = toml::from_str(text).unwrap_or_default();
    if kind.has_login_by_grant() {
        parsed::<BTreeMap<Spanned<String>, Spanned<RawRequest>>>(text)
    } else {
        parsed::<Spanned<RawRequest>>(text)
    }
}

fn parsed<L: LoginForm + serde::de::DeserializeOwned>(text: &str) -> Checked<RawProfile<Logins>> {
    toml::from_str(text)
        .map(RawProfile::<L>::with_logins)
        .map_err(misread)
}

/// An error shows its keys only where it has no text to show.
fn misread(mut error: toml::de::Error) -> Wrong {
    error.set_input(None);
    let (message, shown) = (error.message().trim(), error.to_string());
    let keys = shown
        .trim_end()
        .rsplit_once("\nin `")
        .and_then(|(_, keys)| keys.strip_suffix('`'));
    let unknown = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    let path = keys
        .into_iter()
        .chain(unknown)
        .collect::<Vec<_>>()
        .join(".");
    let message = if path.is_empty() {
        message.to_owned()
    } else {
        format!("{path}: {message}")
    };
    wrong(&error.span().unwrap_or_default(), message)
}

fn profile(raw: RawProfile<Logins>, name: &str, text: Text<'_>) -> Checked<Profile> {
    if raw.name.get_ref() != name {
        let message = format!(
            "name: `{}` must be `{name}`, as the file is called",
            raw.name.get_ref()
        );
        return Err(wrong(&raw.name.span(), message));
    }
    foreign::refuse(&raw)?;
    let names = Names::of(&raw);
    let is_oauth = *raw.protocol.get_ref() == Protocol::OAuth2;
    let expect = if is_oauth { Expect::Json } else { Expect::Any };
    let reader = Reader {
        names: &names,
        expect,
        lenient: is_oauth,
    };
    let oauth = (raw.grant, raw.endpoints.as_ref());
    let ways = ways(
        *raw.protocol.get_ref(),
        raw.login,
        oauth,
        &raw.protocol.span(),
        &reader,
    )?;
    let words = ways.words();
    if let Some((grant, _)) = raw
        .setup
        .iter()
        .find(|(grant, _)| !words.contains(grant.get_ref()))
    {
        let message = format!(
            "setup.{}: no grant of this profile; write one of {}",
            grant.get_ref(),
            words.join(", ")
        );
        return Err(Wrong {
            at: Place::Offset(grant.span().start),
            message,
        });
    }
    let parameters = raw
        .parameters
        .into_iter()
        .map(|entry| parameter(entry, &words));
    let steps = raw
        .after_login
        .into_iter()
        .map(|step| reader.request("after_login", step, Role::Telling));
    let pings = raw
        .pings
        .into_iter()
        .map(|(name, ping)| reader.ping(name, ping));
    let profile = Profile {
        name: raw.name.into_inner(),
        digest: Profile::digest_of(text.0),
        about: About::new(
            raw.title,
            raw.documentation,
            [raw.sources, raw.unverified, raw.notes],
            raw.proved,
        ),
        setup: raw
            .setup
            .into_iter()
            .map(|(grant, steps)| (grant.into_inner(), steps))
            .collect(),
        protocol: raw.protocol.into_inner(),
        account: raw
            .account
            .as_ref()
            .map(|account| names.template("account", account))
            .transpose()?,
        window: window(&raw.window)?,
        parameters: parameters.collect::<Checked<_>>()?,
        grants: ways.grants,
        logins: ways.logins,
        commands: ways.commands,
        endpoints: raw
            .endpoints
            .map(|raw| endpoints::endpoints(&raw, &names))
            .transpose()?
            .unwrap_or_default(),
        hosts: hosts(raw.hosts)?,
        jwt_is_fixed: raw.token.jwt_is_fixed.map(Spanned::into_inner),
        audiences: raw
            .audience
            .into_iter()
            .map(audience)
            .collect::<Checked<_>>()?,
        captures: ways.captures,
        after_login: steps.collect::<Checked<_>>()?,
        usage: reader.usage(raw.usage.as_ref())?,
        jwt: raw.jwt.as_ref().map(|jwt| reader.jwt(jwt)).transpose()?,
        ping: reader.optional("ping", raw.ping, Role::Telling)?,
        pings: pings.collect::<Checked<_>>()?,
        renew: reader.optional("renew", raw.renew, Role::Upkeep)?,
        introspection: reader.optional("introspection", raw.introspection, Role::Telling)?,
        logout: reader.optional("logout", raw.logout, Role::Telling)?,
        denied: raw
            .gateway
            .deny
            .iter()
            .map(|path| wire::path("gateway.deny", path))
            .collect::<Checked<_>>()?,
        public: raw
            .gateway
            .public
            .iter()
            .map(|path| wire::path("gateway.public", path))
            .collect::<Checked<_>>()?,
        answers: raw
            .answer
            .into_iter()
            .map(|rule| answers::answer(rule, &words, text))
            .collect::<Checked<_>>()?,
        quotas: raw
            .quota
            .into_iter()
            .map(answers::quota)
            .collect::<Checked<_>>()?,
        examples: raw
            .example
            .into_iter()
            .map(|one| answers::example(one, &words, text))
            .collect::<Checked<_>>()?,
    };
    sense::check(&profile)?;
    Ok(profile)
}

/// How sessions are opened: by the protocol's grants, the profile's requests, or a program.
#[derive(Default)]
struct Ways {
    grants: Vec<GrantRules>,
    captures: Captures,
    logins: Vec<LoginRules>,
    commands: Vec<CommandRules>,
}

impl Ways {
    /// What `grant = "…"` may say.
    fn words(&self) -> Vec<String> {
        let grants = self.grants.iter().map(|rules| rules.kind.word().to_owned());
        let logins = self.logins.iter().map(|login| login.word.clone());
        grants
            .chain(logins)
            .chain(self.commands.iter().map(|command| command.word.clone()))
            .collect()
    }
}

fn ways(
    protocol: Protocol,
    login: Option<Logins>,
    (grant, endpoints): (
        BTreeMap<Spanned<String>, RawGrant>,
        Option<&Spanned<RawEndpoints>>,
    ),
    at: &Range<usize>,
    reader: &Reader<'_>,
) -> Checked<Ways> {
    let missing = || {
        wrong(
            at,
            "login: it is missing: say how a session is opened".to_owned(),
        )
    };
    match protocol {
        Protocol::OAuth2 => {
            let captures = captures_of_oauth(login.as_ref())?;
            Ok(Ways {
                grants: grants(grant, endpoints, reader)?,
                captures,
                ..Ways::default()
            })
        }
        Protocol::Http => Ok(Ways {
            logins: reader.logins(login.ok_or_else(missing)?)?,
            ..Ways::default()
        }),
        Protocol::Command => Ok(Ways {
            commands: reader.commands(login.ok_or_else(missing)?)?,
            ..Ways::default()
        }),
    }
}

fn hosts(raw: RawHosts) -> Checked<Hosts> {
    let not_api = wire::hosts("hosts.not_api", &raw.not_api)?;
    Ok(Hosts {
        own: wire::own_hosts(&raw.own)?,
        not_api,
        not_api_because: raw.not_api_because,
    })
}

fn audience(raw: RawAudience) -> Checked<(HostPattern, String)> {
    Ok((wire::host("audience.host", &raw.host)?, raw.audience))
}

fn captures_of_oauth(login: Option<&Logins>) -> Checked<Captures> {
    let Some((_, login)) = login.and_then(|logins| logins.first()) else {
        return Ok(Captures::new());
    };
    captures::captures_of_oauth(login.get_ref().capture.clone().unwrap_or_default())
}

fn window(raw: &RawWindow) -> Checked<WindowDefaults> {
    let lasting = |key, value: &Option<Spanned<String>>| match value {
        Some(value) => duration(key, value),
        None => Ok(None),
    };
    let idle_timeouts = raw
        .idle_timeouts
        .iter()
        .map(|value| duration("window.idle_timeouts", value));
    let mut idle_timeouts: Vec<Duration> = idle_timeouts
        .collect::<Checked<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    idle_timeouts.sort_unstable();
    Ok(WindowDefaults {
        model: raw.model,
        idle_timeout: lasting("window.idle_timeout", &raw.idle_timeout)?,
        idle_timeouts: idle_timeouts.into(),
        max_lifetime: lasting("window.max_lifetime", &raw.max_lifetime)?,
        token_lifetime: lasting("window.token_lifetime", &raw.token_lifetime)?,
        refresh_idle_timeout: lasting("window.refresh_idle_timeout", &raw.refresh_idle_timeout)?,
        login_may_reuse: raw.login_may_reuse,
        renewal_kills: raw.renewal_kills,
    })
}

fn duration(key: &str, value: &Spanned<String>) -> Checked<Option<Duration>> {
    if value.get_ref() == "none" {
        return Ok(None);
    }
    let parsed = duration::parse(value.get_ref())
        .ok()
        .filter(|duration| !duration.is_zero());
    let message = || {
        format!(
            "{key}: `{}` is no duration: write \"90s\", \"2h\" or \"none\"",
            value.get_ref()
        )
    };
    parsed
        .map(Some)
        .ok_or_else(|| wrong(&value.span(), message()))
}

fn parameter((name, raw): (String, RawParameter), words: &[String]) -> Checked<ProfileParameter> {
    let key = format!("parameters.{name}");
    if matches!(
        name.as_str(),
        "token" | "token_type" | "instance_url" | "uuid" | "now" | "jwt" | "grant"
    ) {
        return Err(Wrong {
            at: Place::Offset(raw.about.span().start),
            message: format!("{key}: the name is taken"),
        });
    }
    let pattern = raw
        .pattern
        .as_ref()
        .map(|pattern| regex(&key, pattern))
        .transpose()?;
    if let Some(grant) = raw
        .grants
        .iter()
        .find(|grant| !words.contains(grant.get_ref()))
    {
        let message = format!(
            "{key}: there is no grant `{}`: known are {}",
            grant.get_ref(),
            words.join(", ")
        );
        return Err(wrong(&grant.span(), message));
    }
    let one_of = filled(&format!("{key}.one_of"), raw.one_of)?;
    let default = raw.default.as_ref().map(|value| {
        let text = default(&key, value, raw.kind)?;
        possible(&key, value, &text, (&one_of, pattern.as_ref()))
    });
    let default = default.transpose()?;
    Ok(ProfileParameter {
        parameter: Parameter {
            name,
            about: raw.about.into_inner(),
            secret: raw.secret,
            required: raw.required,
            default,
            one_of,
            kind: raw.kind,
        },
        pattern,
        grants: raw.grants.into_iter().map(Spanned::into_inner).collect(),
    })
}

fn default(key: &str, value: &Spanned<toml::Value>, kind: ParameterKind) -> Checked<String> {
    let text = match (value.get_ref(), kind) {
        (toml::Value::String(text), ParameterKind::Text) => Some(text.clone()),
        (toml::Value::Integer(number), ParameterKind::Integer) => Some(number.to_string()),
        (toml::Value::Boolean(truth), ParameterKind::Boolean) => Some(truth.to_string()),
        (_, _) => None,
    };
    text.ok_or_else(|| {
        wrong(
            &value.span(),
            format!("{key}.default: it is not of the parameter's type"),
        )
    })
}

/// A default must be what a session could set.
fn possible(
    key: &str,
    at: &Spanned<toml::Value>,
    text: &str,
    (one_of, pattern): (&[String], Option<&Regex>),
) -> Checked<String> {
    if !one_of.is_empty() && !one_of.iter().any(|known| known == text) {
        let message = format!(
            "{key}.default: `{text}` is not one of them: {}",
            one_of.join(", ")
        );
        return Err(wrong(&at.span(), message));
    }
    if let Some(pattern) = pattern.filter(|pattern| !pattern.is_match(text)) {
        let message = format!(
            "{key}.default: `{text}` does not match the pattern {}",
            pattern.as_str()
        );
        return Err(wrong(&at.span(), message));
    }
    Ok(text.to_owned())
}

/// A profile that names no grant knows all of the protocol's that its endpoints allow.
fn grants(
    raw: BTreeMap<Spanned<String>, RawGrant>,
    endpoints: Option<&Spanned<RawEndpoints>>,
    reader: &Reader<'_>,
) -> Checked<Vec<GrantRules>> {
    let named = raw
        .into_iter()
        .map(|(name, rules)| grant(&name, rules, reader));
    let mut named = named.collect::<Checked<Vec<_>>>()?;
    if named.is_empty() {
        let bare = |kind| GrantRules {
            kind,
            form: Vec::new(),
            begin: Vec::new(),
            claims: Vec::new(),
            not_on: Vec::new(),
            not_on_because: String::new(),
        };
        let tells = |told: fn(&RawEndpoints) -> bool| {
            endpoints.is_some_and(|raw| told(raw.get_ref()) || raw.get_ref().issuer.is_some())
        };
        let possible = |kind: &GrantKind| match kind.by_person() {
            Some(ByPerson::Browser) => tells(|raw| raw.authorization.is_some()),
            Some(ByPerson::Device) => tells(|raw| raw.device_authorization.is_some()),
            None => true,
        };
        return Ok(GrantKind::ALL
            .into_iter()
            .filter(possible)
            .map(bare)
            .collect());
    }
    named.sort_by_key(|rules| GrantKind::ALL.iter().position(|kind| *kind == rules.kind));
    Ok(named)
}

fn grant(name: &Spanned<String>, raw: RawGrant, reader: &Reader<'_>) -> Checked<GrantRules> {
    let known = || GrantKind::ALL.map(GrantKind::word).join(", ");
    let message = || {
        format!(
            "grant: there is no grant `{}`: known are {}",
            name.get_ref(),
            known()
        )
    };
    let kind = GrantKind::named(name.get_ref()).ok_or_else(|| wrong(&name.span(), message()))?;
    let form = reader.templates(&format!("grant.{}.form", kind.word()), &raw.form)?;
    let begin = reader.templates(&format!("grant.{}.begin", kind.word()), &raw.begin)?;
    let claims = reader.templates(&format!("grant.{}.claims", kind.word()), &raw.claims)?;
    let not_on = wire::hosts(&format!("grant.{}.not_on", kind.word()), &raw.not_on)?;
    Ok(GrantRules {
        kind,
        form,
        begin,
        claims,
        not_on,
        not_on_because: raw.not_on_because,
    })
}

/// A list that says something, if there is one.
fn filled<T>(key: &str, list: Option<Spanned<Vec<T>>>) -> Checked<Vec<T>> {
    match list {
        Some(list) if list.get_ref().is_empty() => Err(wrong(
            &list.span(),
            format!("{key}: it is empty: leave it out, or name one"),
        )),
        Some(list) => Ok(list.into_inner()),
        None => Ok(Vec::new()),
    }
}

fn regex(key: &str, value: &Spanned<String>) -> Checked<Regex> {
    Regex::new(value.get_ref()).map_err(|error| wrong(&value.span(), format!("{key}: {error}")))
}

fn wrong(at: &Range<usize>, message: String) -> Wrong {
    Wrong {
        at: Place::Offset(at.start),
        message,
    }
}
