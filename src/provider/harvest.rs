//! What the `capture` tables of a profile take from answers, and the token that it comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use url::Url;

use super::capture::{CaptureRule, Unit};
use super::hosts::{ForeignUrl, Hosts};
use super::response::{Response, until};
use crate::blotted::is_visible;
use crate::named::Named;
use crate::secret::Secret;
use crate::session::answer::Grant;
use crate::token::{Capture, MAX_TOKEN_BYTES, Token, TokenError, checked_access_token};

/// The rules of one request, by name.
pub(super) type Captures = BTreeMap<String, CaptureRule>;

/// Names with a meaning of their own; all others are captured values.
pub(super) const KNOWN: [&str; 10] = [
    "token",
    "token_type",
    "instance_url",
    "issued_at",
    "expires_in",
    "expires_at",
    "refresh_token",
    "refresh_expires_in",
    "idle_timeout",
    "max_lifetime",
];

/// RFC 8693 section 2.2.1: the type of a token that is no access token of OAuth.
pub(super) const NOT_APPLICABLE: &str = "N_A";

/// What one or more answers told.
#[derive(Clone, Debug, Default)]
pub(super) struct Harvest {
    pub(super) token: Option<Secret>,
    token_type: Option<String>,
    pub(super) instance_url: Option<String>,
    pub(super) captures: Named<Capture>,
    issued_at: Option<Timestamp>,
    pub(super) lifetime: Option<Duration>,
    pub(super) refresh_token: Option<Secret>,
    refresh_lifetime: Option<Duration>,
    idle_timeout: Option<Duration>,
    max_lifetime: Option<Duration>,
}

/// Why an answer is not what the profile expects.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Barren {
    #[error("the answer has no `{0}` where the profile looks for it")]
    Missing(String),
    #[error("{0}")]
    BadToken(#[from] TokenError),
    #[error("the refresh token is not visible ASCII of at most 64 KiB")]
    BadRefreshToken,
    #[error("the instance URL is refused: {0}")]
    BadInstanceUrl(ForeignUrl),
    #[error("nothing in the answer is a token")]
    NoToken,
    #[error("the token had ended before it came: by the server's own word, or its clock is wrong")]
    Expired,
}

/// Takes everything that `rules` name out of `response`, which came when our clock said `wall`.
///
/// # Errors
/// When something that must be there is not, or cannot be what it is named.
pub(super) fn harvest(
    rules: &Captures,
    hosts: &Hosts,
    configured: &Url,
    response: &Response,
    wall: Timestamp,
) -> Result<Harvest, Barren> {
    if let Some((name, _)) = rules.iter().find(|(_, rule)| !rule.optional && rule.text(response).is_none()) {
        return Err(Barren::Missing(name.clone()));
    }
    let reader = Reader { rules, response, wall };
    reader.refuse_useless_ends()?;
    let instance_url = reader.text("instance_url").map(|url| hosts.accept(&url, configured)).transpose();
    let refresh_token = reader.text("refresh_token").map(|token| checked_access_token(&token)).transpose();
    Ok(Harvest {
        token: reader.text("token").map(|token| checked_access_token(&token)).transpose()?,
        token_type: reader.text("token_type"),
        instance_url: instance_url.map_err(Barren::BadInstanceUrl)?,
        captures: captured(rules, response),
        issued_at: rules.get("issued_at").and_then(|rule| rule.instant(response)),
        lifetime: reader.duration("expires_in").or_else(|| reader.until("expires_at")),
        refresh_token: refresh_token.map_err(|_| Barren::BadRefreshToken)?,
        refresh_lifetime: reader.duration("refresh_expires_in"),
        idle_timeout: reader.duration("idle_timeout"),
        max_lifetime: reader.duration("max_lifetime"),
    })
}

/// The values without a meaning of their own: strings, numbers and truth values that can be seen.
pub(super) fn captured(rules: &Captures, response: &Response) -> Named<Capture> {
    let others = rules.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    others.filter_map(|(name, rule)| Some((name.as_str(), capture(rule, response)?))).collect()
}

fn capture(rule: &CaptureRule, response: &Response) -> Option<Capture> {
    let text = rule.text(response)?;
    let printable = text.len() <= MAX_TOKEN_BYTES && is_visible(&text);
    printable.then(|| Capture { value: Secret::new(text), public: rule.public })
}

struct Reader<'a> {
    rules: &'a Captures,
    response: &'a Response,
    wall: Timestamp,
}

impl Reader<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.rules.get(name)?.text(self.response)
    }

    /// What is no time, or not a positive one, counts as unsaid: servers send 0 and -1 for "never".
    fn duration(&self, name: &str) -> Option<Duration> {
        self.rules.get(name)?.duration(self.response, self.wall).filter(|life| !life.is_zero())
    }

    /// A token that has ended already, or whose end must be known and cannot be read, would never be looked at again.
    fn refuse_useless_ends(&self) -> Result<(), Barren> {
        let now = self.response.date().unwrap_or(self.wall);
        let end = self.rules.get("expires_at").and_then(|rule| rule.instant(self.response));
        let by_instant = self.rules.get("expires_in").filter(|rule| rule.unit == Unit::Time);
        let end = end.or_else(|| by_instant.and_then(|rule| rule.instant(self.response)));
        if end.is_some_and(|end| end <= now && end > Timestamp::UNIX_EPOCH) {
            return Err(Barren::Expired);
        }
        let must = |name: &str| self.rules.get(name).is_some_and(|rule| !rule.optional);
        let number_of = |name: &str| self.text(name).and_then(|text| text.trim().parse::<f64>().ok());
        let unread = must("expires_in") && by_instant.is_none() && number_of("expires_in").is_none();
        if unread { Err(Barren::Missing("expires_in".to_owned())) } else { Ok(()) }
    }

    fn until(&self, name: &str) -> Option<Duration> {
        let end = self.rules.get(name)?.instant(self.response)?;
        Some(until(end, self.response.date().unwrap_or(self.wall))).filter(|life| !life.is_zero())
    }
}

impl Harvest {
    /// What was taken, by name, as an example in a profile spells it: durations in seconds.
    pub(super) fn spelt(&self, name: &str) -> Option<String> {
        let seconds = |life: Option<Duration>| life.map(|life| life.as_secs_f64().to_string());
        let exposed = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        match name {
            "token" => exposed(&self.token),
            "token_type" => self.token_type.clone(),
            "instance_url" => self.instance_url.clone(),
            "issued_at" => self.issued_at.map(|at| at.to_string()),
            "expires_in" | "expires_at" => seconds(self.lifetime),
            "refresh_token" => exposed(&self.refresh_token),
            "refresh_expires_in" => seconds(self.refresh_lifetime),
            "idle_timeout" => seconds(self.idle_timeout),
            "max_lifetime" => seconds(self.max_lifetime),
            other => self.captures.get(other).map(|capture| capture.value.expose().to_owned()),
        }
    }

    /// What a grant by another protocol brought.
    pub(super) fn of(grant: &Grant) -> Self {
        Self {
            token: Some(grant.token.access_token.clone()),
            token_type: Some(grant.token.token_type.clone()),
            instance_url: grant.token.instance_url.clone(),
            captures: grant.token.captures.clone(),
            issued_at: Some(grant.token.issued_at),
            lifetime: grant.lifetime,
            refresh_token: grant.refresh_token.clone(),
            refresh_lifetime: grant.refresh_lifetime,
            idle_timeout: grant.idle_timeout,
            max_lifetime: grant.max_lifetime,
        }
    }

    /// Everything in it that must not be seen.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let captures = self.captures.values().filter(|capture| !capture.public).map(|capture| &capture.value);
        self.token.iter().chain(&self.refresh_token).chain(captures).cloned().collect()
    }

    /// Whether anything was told at all.
    pub(super) fn tells(&self) -> bool {
        let values = self.token.is_some() || self.refresh_token.is_some() || self.instance_url.is_some();
        values || self.lifetime.is_some() || !self.captures.is_empty()
    }

    /// Adds what a further answer told; the later word wins.
    pub(super) fn add(&mut self, later: Self) {
        self.token = later.token.or_else(|| self.token.take());
        self.token_type = later.token_type.or_else(|| self.token_type.take());
        self.instance_url = later.instance_url.or_else(|| self.instance_url.take());
        self.captures.extend(later.captures);
        self.issued_at = later.issued_at.or(self.issued_at);
        self.lifetime = later.lifetime.or(self.lifetime);
        self.refresh_token = later.refresh_token.or_else(|| self.refresh_token.take());
        self.refresh_lifetime = later.refresh_lifetime.or(self.refresh_lifetime);
        self.idle_timeout = later.idle_timeout.or(self.idle_timeout);
        self.max_lifetime = later.max_lifetime.or(self.max_lifetime);
    }

    /// A token of a login, or what `held` becomes by a renewal or keep-alive: what was not said anew stays.
    ///
    /// # Errors
    /// When there is no token, old or new.
    pub(super) fn grant(self, held: Option<&Token>, wall: Timestamp) -> Result<Grant, Barren> {
        let access_token = self.token.or_else(|| held.map(|held| held.access_token.clone())).ok_or(Barren::NoToken)?;
        let same = held.filter(|held| held.access_token == access_token);
        let mut captures = held.map(|held| held.captures.clone()).unwrap_or_default();
        captures.extend(self.captures);
        let end = self.lifetime.and_then(|lifetime| wall.checked_add(lifetime).ok());
        Ok(Grant {
            token: Token {
                access_token,
                token_type: self
                    .token_type
                    .or_else(|| held.map(|held| held.token_type.clone()))
                    .unwrap_or_else(|| NOT_APPLICABLE.to_owned()),
                instance_url: self.instance_url.or_else(|| held?.instance_url.clone()),
                captures,
                issued_at: self.issued_at.or_else(|| same.map(|held| held.issued_at)).unwrap_or(wall),
                expires_at: end.or_else(|| same?.expires_at),
            },
            refresh_token: self.refresh_token,
            lifetime: self.lifetime,
            refresh_lifetime: self.refresh_lifetime,
            idle_timeout: self.idle_timeout,
            max_lifetime: self.max_lifetime,
            fixed: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_past_or_cannot_be_read_is_no_end_that_never_comes() {
        let past = Some(Barren::Expired);
        for (name, body, unit, expected) in [
            ("expires_at", r#"{"t":"x","e":"2020-01-01T00:00:00Z"}"#, Unit::Time, past.clone()),
            ("expires_at", r#"{"t":"x","e":1577836800}"#, Unit::Seconds, past.clone()),
            ("expires_in", r#"{"t":"x","e":"2020-01-01T00:00:00Z"}"#, Unit::Time, past),
            ("expires_in", r#"{"t":"x","e":"soon"}"#, Unit::Seconds, Some(Barren::Missing("expires_in".into()))),
            ("expires_in", r#"{"t":"x","e":600}"#, Unit::Seconds, None),
            ("expires_in", r#"{"t":"x","e":0}"#, Unit::Seconds, None),
        ] {
            let end = CaptureRule { unit, optional: false, ..CaptureRule::json("/e") };
            let rules = Captures::from([("token".into(), CaptureRule::json("/t")), (name.into(), end)]);
            let response = Response::new(200, Vec::new(), body.as_bytes(), true);
            let url = Url::parse("https://example.invalid").unwrap();
            let now = "2026-01-01T00:00:00Z".parse().unwrap();
            let found = harvest(&rules, &Hosts::default(), &url, &response, now).err();
            assert_eq!(found, expected, "{name} {body}");
        }
    }
    #[test]
    fn what_cannot_be_seen_or_ends_a_line_is_captured_nowhere() {
        for (value, taken) in [
            ("/a/b", true),
            ("Gr\u{fc}\u{df}e \u{a0}!", true),
            ("/a\u{2028}b", false),
            ("a\u{202e}b", false),
            ("a\u{200b}b", false),
        ] {
            let rules = Captures::from([("path".into(), CaptureRule::json("/p"))]);
            let body = serde_json::json!({ "p": value }).to_string();
            let response = Response::new(200, Vec::new(), body.as_bytes(), true);
            assert_eq!(captured(&rules, &response).get("path").is_some(), taken, "{value:?}");
        }
    }
}
