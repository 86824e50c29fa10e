//! From the file's words to a profile: everything that can be wrong is found here, with its place.

mod parts;

use std::ops::Range;
use std::time::Duration;

use aws_lc_rs::digest;
use jiff::SignedDuration;
use regex_lite::Regex;
use toml::Spanned;

use super::raw::{RawExample, RawGrant, RawKind, RawParameter, RawProfile, RawQuota, RawWindow};
use super::{Example, GrantRules, Parameter, Profile, ProfileError, ProfileParameter, QuotaRule, WindowDefaults};
use crate::provider::grants::GrantKind;
use crate::provider::hosts::{HostPattern, Hosts};
use crate::provider::template::Template;
use crate::secret::hex;
use crate::session::answer::Request;

/// What is wrong, and where.
struct Wrong {
    at: Range<usize>,
    message: String,
}

type Checked<T> = Result<T, Wrong>;

impl Profile {
    /// Reads a profile from the text of `file`, which must call itself `name`.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub(in crate::provider) fn parse(text: &str, file: &str, name: &str) -> Result<Self, ProfileError> {
        read(text).and_then(|raw| profile(raw, name, text)).map_err(|wrong| ProfileError::Invalid {
            file: file.to_owned(),
            line: line_of(text, wrong.at.start),
            message: wrong.message,
        })
    }
}

/// The protocol is looked at first, so that a file for another one is not blamed for its keys.
fn read(text: &str) -> Checked<RawProfile> {
    let kind: RawKind = toml::from_str(text).map_err(|error| syntax("", &error))?;
    if let Some(protocol) = kind.protocol.filter(|protocol| protocol.get_ref() != "oauth2") {
        let message = format!("protocol: `{}` is not supported here: use \"oauth2\"", protocol.get_ref());
        return Err(wrong(&protocol.span(), message));
    }
    let deserializer = toml::Deserializer::parse(text).map_err(|error| syntax("", &error))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        // A `Spanned` shows itself as a field of its own.
        let path = error.path().to_string().replace(".$__serde_spanned_private_value", "");
        syntax(&path, error.inner())
    })
}

fn syntax(path: &str, error: &toml::de::Error) -> Wrong {
    let place = if path.is_empty() || path == "." { String::new() } else { format!("{path}: ") };
    wrong(&error.span().unwrap_or_default(), format!("{place}{}", error.message().trim()))
}

fn profile(raw: RawProfile, name: &str, text: &str) -> Checked<Profile> {
    if raw.name.get_ref() != name {
        let message = format!("name: `{}` must be `{name}`, as the file is called", raw.name.get_ref());
        return Err(wrong(&raw.name.span(), message));
    }
    let grants = grants(raw.grant)?;
    let fallback = grants.first().map(|rules| rules.kind.word()).unwrap_or_default();
    let examples = raw.example.into_iter().map(|example| checked_example(example, fallback, text));
    let examples = examples.collect::<Checked<Vec<_>>>()?;
    if !examples.iter().any(|example| example.to == Request::Login && example.verdict == "refused") {
        let message = "example: there must be one of a wrong password: to = \"login\", verdict = \"refused\"";
        return Err(wrong(&(0..0), message.to_owned()));
    }
    Ok(Profile {
        name: raw.name.into_inner(),
        digest: hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref()),
        title: raw.title,
        documentation: raw.documentation,
        window: window(&raw.window)?,
        parameters: raw.parameters.into_iter().map(parameter).collect::<Checked<_>>()?,
        grants,
        endpoints: parts::endpoints(&raw.endpoints)?,
        hosts: Hosts {
            own: patterns(&raw.hosts.own),
            not_api: patterns(&raw.hosts.not_api),
            not_api_because: raw.hosts.not_api_because,
        },
        jwt_is_fixed: raw.token.jwt_is_fixed,
        audiences: raw.audience.into_iter().map(|rule| (HostPattern::new(&rule.host), rule.audience)).collect(),
        captures: parts::captures(raw.login.capture)?,
        use_headers: parts::use_headers(&raw.usage)?,
        ping: raw.ping.as_ref().map(|ping| parts::request("ping", ping)).transpose()?,
        pings: parts::pings(raw.pings)?,
        answers: raw.answer.into_iter().map(parts::answer).collect::<Checked<_>>()?,
        quotas: raw.quota.into_iter().map(quota).collect::<Checked<_>>()?,
        examples,
    })
}

fn window(raw: &RawWindow) -> Checked<WindowDefaults> {
    let lasting = |key, value: &Option<Spanned<String>>| match value {
        Some(value) => duration(key, value),
        None => Ok(None),
    };
    let idle_timeouts = raw.idle_timeouts.iter().map(|value| duration("window.idle_timeouts", value));
    let mut idle_timeouts: Vec<Duration> = idle_timeouts.collect::<Checked<Vec<_>>>()?.into_iter().flatten().collect();
    idle_timeouts.sort_unstable();
    Ok(WindowDefaults {
        model: raw.model,
        idle_timeout: lasting("window.idle_timeout", &raw.idle_timeout)?,
        idle_timeouts,
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
    let parsed = value.get_ref().parse::<SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok()).filter(|duration| !duration.is_zero());
    let message = || format!("{key}: `{}` is no duration: write \"90s\", \"2h\" or \"none\"", value.get_ref());
    parsed.map(Some).ok_or_else(|| wrong(&value.span(), message()))
}

fn parameter((name, raw): (String, RawParameter)) -> Checked<ProfileParameter> {
    let key = format!("parameters.{name}");
    let pattern = raw.pattern.as_ref().map(|pattern| regex(&key, pattern)).transpose()?;
    for grant in &raw.grants {
        grant_named(&key, grant)?;
    }
    Ok(ProfileParameter {
        parameter: Parameter {
            name,
            about: raw.about,
            secret: raw.secret,
            required: raw.required,
            default: raw.default,
            one_of: raw.one_of,
        },
        pattern,
        grants: raw.grants.into_iter().map(Spanned::into_inner).collect(),
    })
}

/// A profile that names no grant knows all of the protocol's.
fn grants(raw: impl IntoIterator<Item = (Spanned<String>, RawGrant)>) -> Checked<Vec<GrantRules>> {
    let named = raw.into_iter().map(|(name, rules)| grant(&name, rules));
    let mut named = named.collect::<Checked<Vec<_>>>()?;
    if named.is_empty() {
        let bare = |kind| GrantRules {
            kind,
            form: Vec::new(),
            claims: Vec::new(),
            not_on: Vec::new(),
            not_on_because: String::new(),
        };
        return Ok(GrantKind::ALL.into_iter().map(bare).collect());
    }
    named.sort_by_key(|rules| GrantKind::ALL.iter().position(|kind| *kind == rules.kind));
    Ok(named)
}

fn grant(name: &Spanned<String>, raw: RawGrant) -> Checked<GrantRules> {
    let kind = grant_named("grant", name)?;
    let form = parts::templates(&format!("grant.{}.form", kind.word()), &raw.form)?;
    let claims = parts::templates(&format!("grant.{}.claims", kind.word()), &raw.claims)?;
    Ok(GrantRules { kind, form, claims, not_on: patterns(&raw.not_on), not_on_because: raw.not_on_because })
}

fn grant_named(key: &str, name: &Spanned<String>) -> Checked<GrantKind> {
    let known = || GrantKind::ALL.map(GrantKind::word).join(", ");
    let message = || format!("{key}: there is no grant `{}`: known are {}", name.get_ref(), known());
    GrantKind::named(name.get_ref()).ok_or_else(|| wrong(&name.span(), message()))
}

fn quota(raw: RawQuota) -> Checked<QuotaRule> {
    let regex = regex(&format!("quota.{}", raw.name), &raw.regex)?;
    let has = |group| regex.capture_names().flatten().any(|name| name == group);
    if !has("used") || !has("limit") {
        let message = format!("quota.{}: the regex must have the groups (?<used>…) and (?<limit>…)", raw.name);
        return Err(wrong(&raw.regex.span(), message));
    }
    Ok(QuotaRule { name: raw.name, header: raw.header, regex })
}

fn checked_example(raw: RawExample, fallback: &str, text: &str) -> Checked<Example> {
    if let Some(grant) = &raw.grant {
        grant_named("example.grant", grant)?;
    }
    Ok(Example {
        line: line_of(text, raw.to.span().start),
        to: raw.to.into_inner(),
        grant: raw.grant.map_or_else(|| fallback.to_owned(), Spanned::into_inner),
        status: raw.status,
        headers: raw.headers.into_iter().collect(),
        body: raw.body,
        verdict: raw.verdict,
    })
}

fn patterns(hosts: &[String]) -> Vec<HostPattern> {
    hosts.iter().map(|host| HostPattern::new(host)).collect()
}

fn template(key: &str, value: &Spanned<String>) -> Checked<Template> {
    Template::parse(value.get_ref()).map_err(|error| wrong(&value.span(), format!("{key}: {error}")))
}

fn regex(key: &str, value: &Spanned<String>) -> Checked<Regex> {
    Regex::new(value.get_ref()).map_err(|error| wrong(&value.span(), format!("{key}: {error}")))
}

fn wrong(at: &Range<usize>, message: String) -> Wrong {
    Wrong { at: at.clone(), message }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
