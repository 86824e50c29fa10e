//! What the `capture` tables of a profile take from answers, and the token that it comes to.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use url::Url;

use super::capture::{CaptureRule, Life, Place, is_idle};
use super::hosts::{ForeignUrl, Hosts};
use super::response::Response;
use super::token_answer::{Ended, lifetime, number, token_type};
use crate::blotted::is_visible;
use crate::named::Named;
use crate::secret::Secret;
use crate::session::answer::Grant;
use crate::token::{
    Capture, MAX_TOKEN_BYTES, RefreshTokenError, Token, TokenError, checked_access_token,
    checked_refresh_token,
};

/// The rules of one request, by name.
pub(super) type Captures = BTreeMap<String, CaptureRule>;

/// Names with a meaning of their own; all others are captured values.
pub(super) const KNOWN: [&str; 11] = [
    "token",
    "token_type",
    "instance_url",
    "issued_at",
    "expires_in",
    "expires_at",
    "refresh_token",
    "refresh_expires_in",
    "refresh_expires_at",
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
    odd_refresh_token: Option<RefreshTokenError>,
    refresh_lifetime: Option<Duration>,
    idle_timeout: Option<Duration>,
    max_lifetime: Option<Duration>,
    /// That pings do not extend the token.
    fixed: bool,
}

/// Why an answer is not what the profile expects.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum CaptureError {
    #[error("the answer has no `{0}` where the profile looks for it")]
    Missing(String),
    #[error("the answer takes the cookie `{cookie}` away, where the profile looks for `{name}`")]
    TakenAway { name: String, cookie: String },
    #[error("{0}")]
    BadToken(#[from] TokenError),
    #[error("the instance URL is refused: {0}")]
    BadInstanceUrl(ForeignUrl),
    #[error("nothing in the answer is a token")]
    NoToken,
    /// With the refresh token that came beside it, if one did.
    #[error(
        "the token had ended before it came: the server's own session is at its end, or a clock is wrong"
    )]
    Expired(Option<Secret>),
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
) -> Result<Harvest, CaptureError> {
    if let Some((name, rule)) = rules
        .iter()
        .find(|(_, rule)| !rule.optional && rule.text(response).is_none())
    {
        return Err(missing(name, rule, response));
    }
    let reader = Reader {
        rules,
        response,
        wall,
    };
    let (refresh_token, odd_refresh_token) = match reader.refresh_token() {
        Ok(token) => (token, None),
        Err(why) => (None, Some(why)),
    };
    let lifetime = match reader.life() {
        Some(Life::Over) => return Err(CaptureError::Expired(refresh_token)),
        Some(Life::Lasts(life)) => Some(life),
        None if reader.has_unread_end() => {
            return Err(CaptureError::Missing("expires_in".to_owned()));
        }
        None => None,
    };
    let instance_url = reader
        .said("instance_url")
        .map(|url| hosts.accept(&url, configured))
        .transpose();
    Ok(Harvest {
        token: reader
            .text("token")
            .map(|token| checked_access_token(token.trim()))
            .transpose()?,
        token_type: reader.said("token_type").and_then(|text| token_type(&text)),
        instance_url: instance_url.map_err(CaptureError::BadInstanceUrl)?,
        captures: captured(rules, response),
        issued_at: rules
            .get("issued_at")
            .and_then(|rule| rule.instant(response)),
        lifetime,
        refresh_token,
        odd_refresh_token,
        refresh_lifetime: reader.refresh_lifetime(),
        idle_timeout: reader.duration("idle_timeout"),
        max_lifetime: reader.duration("max_lifetime"),
        fixed: false,
    })
}

/// The refresh token in an answer of which nothing else can be used: the one before it may be spent.
pub(super) fn refresh_token_beside(
    rules: &Captures,
    response: &Response,
    wall: Timestamp,
) -> Option<Secret> {
    Reader {
        rules,
        response,
        wall,
    }
    .refresh_token()
    .ok()
    .flatten()
}

fn missing(name: &str, rule: &CaptureRule, response: &Response) -> CaptureError {
    match &rule.place {
        Place::Cookie(cookie) if response.takes_away(cookie) => CaptureError::TakenAway {
            name: name.to_owned(),
            cookie: cookie.clone(),
        },
        Place::Json(_)
        | Place::Header(_)
        | Place::Cookie(_)
        | Place::Xml(_)
        | Place::Body
        | Place::Origin => CaptureError::Missing(name.to_owned()),
    }
}

/// The values without a meaning of their own: strings, numbers and truth values that can be seen.
pub(super) fn captured(rules: &Captures, response: &Response) -> Named<Capture> {
    let others = rules
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&name.as_str()));
    others
        .filter_map(|(name, rule)| Some((name.as_str(), capture(rule, response)?)))
        .collect()
}

fn capture(rule: &CaptureRule, response: &Response) -> Option<Capture> {
    let text = rule.text(response)?;
    let printable = text.len() <= MAX_TOKEN_BYTES && is_visible(&text);
    printable.then(|| Capture {
        value: Secret::new(text),
        public: rule.public,
    })
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

    /// What is there, if it says something.
    fn said(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// A new one, where the server gave one; of other types than text, only a number can be meant.
    fn refresh_token(&self) -> Result<Option<Secret>, RefreshTokenError> {
        let Some(rule) = self.rules.get("refresh_token") else {
            return Ok(None);
        };
        let said = rule.value(self.response).filter(|token| !is_idle(token));
        match rule.text(self.response).filter(|_| said.is_some()) {
            Some(token) => checked_refresh_token(&token).map(Some),
            None if said.is_some() => Err(RefreshTokenError::NotText),
            None => Ok(None),
        }
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        self.rules.get(name)?.duration(self.response, self.wall)
    }

    /// How long the token lives: a token that has ended already would never be looked at again.
    fn life(&self) -> Option<Life> {
        let rule_of = |name: &str| self.rules.get(name);
        let stated = rule_of("expires_in").and_then(|rule| {
            self.by_jwt(rule)
                .or_else(|| rule.life(self.response, self.wall))
        });
        stated.or_else(|| {
            let rule = rule_of("expires_at")?;
            self.by_jwt(rule)
                .or_else(|| rule.life_until(self.response, self.wall))
        })
    }

    /// A JWT that says when it was made tells its life whatever the clock that signed it.
    fn by_jwt(&self, rule: &CaptureRule) -> Option<Life> {
        match lifetime(
            None,
            Some(rule.jwt_times(self.response)?),
            self.response.date(),
        ) {
            Ok(life) => life.map(Life::Lasts),
            Err(Ended) => Some(Life::Over),
        }
    }

    /// An end that must be known and cannot be read is none that never comes.
    fn has_unread_end(&self) -> bool {
        let must = self
            .rules
            .get("expires_in")
            .filter(|rule| !rule.optional && !rule.is_instant());
        must.is_some_and(|rule| {
            rule.value(self.response)
                .as_ref()
                .and_then(number)
                .is_none()
        })
    }

    fn refresh_lifetime(&self) -> Option<Duration> {
        let by_instant = || {
            self.rules
                .get("refresh_expires_at")?
                .life_until(self.response, self.wall)?
                .lasting()
        };
        self.duration("refresh_expires_in").or_else(by_instant)
    }
}

impl Harvest {
    /// What was taken, by name, as an example in a profile spells it: durations in seconds.
    pub(super) fn spelt(&self, name: &str) -> Option<String> {
        let seconds = |life: Option<Duration>| life.map(|life| life.as_secs_f64().to_string());
        let exposed =
            |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        match name {
            "token" => exposed(&self.token),
            "token_type" => self.token_type.clone(),
            "instance_url" => self.instance_url.clone(),
            "issued_at" => self.issued_at.map(|at| at.to_string()),
            "expires_in" | "expires_at" => seconds(self.lifetime),
            "refresh_token" => exposed(&self.refresh_token),
            "refresh_expires_in" | "refresh_expires_at" => seconds(self.refresh_lifetime),
            "idle_timeout" => seconds(self.idle_timeout),
            "max_lifetime" => seconds(self.max_lifetime),
            other => self
                .captures
                .get(other)
                .map(|capture| capture.value.expose().to_owned()),
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
            odd_refresh_token: grant.odd_refresh_token,
            refresh_lifetime: grant.refresh_lifetime,
            idle_timeout: grant.idle_timeout,
            max_lifetime: grant.max_lifetime,
            fixed: grant.fixed,
        }
    }

    /// Everything in it that must not be seen.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let captures = self
            .captures
            .values()
            .filter(|capture| !capture.public)
            .map(|capture| &capture.value);
        self.token
            .iter()
            .chain(&self.refresh_token)
            .chain(captures)
            .cloned()
            .collect()
    }

    /// Whether anything was told at all.
    pub(super) fn tells(&self) -> bool {
        let values =
            self.token.is_some() || self.refresh_token.is_some() || self.instance_url.is_some();
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
        self.odd_refresh_token = later.odd_refresh_token.or(self.odd_refresh_token);
        self.refresh_lifetime = later.refresh_lifetime.or(self.refresh_lifetime);
        self.idle_timeout = later.idle_timeout.or(self.idle_timeout);
        self.max_lifetime = later.max_lifetime.or(self.max_lifetime);
        self.fixed |= later.fixed;
    }

    /// A token of a login, or what `held` becomes by a renewal or keep-alive: what was not said anew stays.
    ///
    /// # Errors
    /// When there is no token, old or new.
    pub(super) fn grant(
        self,
        held: Option<&Token>,
        wall: Timestamp,
    ) -> Result<Grant, CaptureError> {
        let access_token = self
            .token
            .or_else(|| held.map(|held| held.access_token.clone()))
            .ok_or(CaptureError::NoToken)?;
        let same = held.filter(|held| held.access_token == access_token);
        let mut captures = held.map(|held| held.captures.clone()).unwrap_or_default();
        captures.extend(self.captures);
        let end = self
            .lifetime
            .and_then(|lifetime| wall.checked_add(lifetime).ok());
        Ok(Grant {
            token: Token {
                access_token,
                token_type: self
                    .token_type
                    .or_else(|| held.map(|held| held.token_type.clone()))
                    .unwrap_or_else(|| NOT_APPLICABLE.to_owned()),
                instance_url: self.instance_url.or_else(|| held?.instance_url.clone()),
                captures,
                issued_at: self
                    .issued_at
                    .or_else(|| same.map(|held| held.issued_at))
                    .unwrap_or(wall),
                expires_at: end.or_else(|| same?.expires_at),
            },
            refresh_token: self.refresh_token,
            odd_refresh_token: self.odd_refresh_token,
            lifetime: self.lifetime,
            refresh_lifetime: self.refresh_lifetime,
            idle_timeout: self.idle_timeout,
            max_lifetime: self.max_lifetime,
            fixed: self.fixed,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;
    use crate::provider::capture::Unit;

    #[test]
    fn an_end_that_is_past_or_cannot_be_read_is_no_end_that_never_comes() {
        let past = Some(CaptureError::Expired(None));
        for (name, body, unit, expected) in [
            (
                "expires_at",
                r#"{"t":"x","e":"2020-01-01T00:00:00Z"}"#,
                Unit::Time,
                past.clone(),
            ),
            (
                "expires_at",
                r#"{"t":"x","e":1577836800}"#,
                Unit::Seconds,
                past.clone(),
            ),
            (
                "expires_in",
                r#"{"t":"x","e":"2020-01-01T00:00:00Z"}"#,
                Unit::Time,
                past,
            ),
            (
                "expires_in",
                r#"{"t":"x","e":"soon"}"#,
                Unit::Seconds,
                Some(CaptureError::Missing("expires_in".into())),
            ),
            ("expires_in", r#"{"t":"x","e":600}"#, Unit::Seconds, None),
            ("expires_in", r#"{"t":"x","e":0}"#, Unit::Seconds, None),
            ("expires_in", r#"{"t":"x","e":-1}"#, Unit::Seconds, None),
            (
                "expires_in",
                r#"{"t":"x","e":-12}"#,
                Unit::Seconds,
                Some(CaptureError::Expired(None)),
            ),
        ] {
            let end = CaptureRule {
                unit,
                optional: false,
                ..CaptureRule::json("/e")
            };
            let rules = Captures::from([
                ("token".into(), CaptureRule::json("/t")),
                (name.into(), end),
            ]);
            assert_eq!(taken(&rules, &[], body).err(), expected, "{name} {body}");
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
            assert_eq!(
                captured(&rules, &response).get("path").is_some(),
                taken,
                "{value:?}"
            );
        }
    }

    #[test]
    fn a_token_in_jwt_form_tells_its_own_end_where_the_profile_takes_it() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let rules = |optional| {
            let end = CaptureRule {
                claim: Some("exp".into()),
                optional,
                ..CaptureRule::json("/t")
            };
            Captures::from([
                ("token".into(), CaptureRule::json("/t")),
                ("expires_at".into(), end),
            ])
        };
        let date = [("Date", "Thu, 01 Jan 2026 00:00:00 GMT")];
        for (token, headers, expected) in [
            (jwt(r#"{"exp":1767225900}"#), &date[..], Ok(Some(300))),
            (jwt(r#"{"exp":1767225900}"#), &[], Ok(Some(300))),
            (jwt(r#"{"exp":"1767225900"}"#), &date, Ok(Some(300))),
            (jwt(r#"{"exp":1767225900000}"#), &date, Ok(Some(300))),
            (
                jwt(r#"{"iat":1767200000,"exp":1767200600}"#),
                &date,
                Ok(Some(600)),
            ),
            (
                jwt(r#"{"exp":1767225500}"#),
                &date,
                Err(CaptureError::Expired(None)),
            ),
            (
                jwt(r#"{"iat":1767225600,"exp":1767225500}"#),
                &[],
                Err(CaptureError::Expired(None)),
            ),
            (
                jwt(r#"{"sub":"x"}"#),
                &date,
                Err(CaptureError::Missing("expires_at".into())),
            ),
            (
                "opaque".into(),
                &date,
                Err(CaptureError::Missing("expires_at".into())),
            ),
        ] {
            let body = format!(r#"{{"t":"{token}"}}"#);
            let found = taken(&rules(false), headers, &body)
                .map(|told| told.lifetime.map(|life| life.as_secs()));
            assert_eq!(found, expected, "{token}");
            let optional = taken(&rules(true), headers, &body)
                .map(|told| told.lifetime.is_some())
                .ok();
            assert_eq!(
                optional.is_some(),
                !matches!(expected, Err(CaptureError::Expired(_))),
                "{token}"
            );
        }
    }

    #[test]
    fn what_is_empty_beside_a_token_says_nothing_and_what_is_odd_costs_only_itself() {
        let rule = CaptureRule::json;
        let rules = Captures::from([
            ("token".into(), rule("/t")),
            (
                "refresh_token".into(),
                CaptureRule {
                    optional: false,
                    ..rule("/r")
                },
            ),
            ("token_type".into(), rule("/k")),
            ("instance_url".into(), rule("/u")),
            ("issued_at".into(), rule("/i")),
            ("csrf".into(), rule("/c")),
        ]);
        for (body, refresh_token, odd) in [
            (r#"{"t":"x","r":""}"#, None, None),
            (
                r#"{"t":"x","r":" ","k":"","u":"","i":"soon","c":["a"]}"#,
                None,
                None,
            ),
            (
                r#"{"t":"x","r":"a b","k":"two words","c":{}}"#,
                Some("a b"),
                None,
            ),
            (r#"{"t":"x","r":7}"#, Some("7"), None),
            (
                r#"{"t":"x","r":"r\n"}"#,
                None,
                Some(RefreshTokenError::BadCharacter),
            ),
        ] {
            let told = taken(&rules, &[], body).unwrap();
            assert_eq!(
                told.refresh_token.as_ref().map(Secret::expose),
                refresh_token,
                "{body}"
            );
            assert_eq!(told.odd_refresh_token, odd, "{body}");
            assert_eq!(
                (
                    told.instance_url,
                    told.token_type,
                    told.captures.keys().count()
                ),
                (None, None, 0),
                "{body}"
            );
        }
        let foreign = taken(
            &rules,
            &[],
            r#"{"t":"x","r":"","u":"https://evil.example"}"#,
        )
        .err();
        assert_eq!(
            foreign,
            Some(CaptureError::BadInstanceUrl(ForeignUrl::Foreign))
        );
    }

    #[test]
    fn a_refresh_token_can_tell_its_end_as_an_instant() {
        let end = |unit| {
            Captures::from([
                ("token".into(), CaptureRule::json("/t")),
                (
                    "refresh_expires_at".into(),
                    CaptureRule {
                        unit,
                        ..CaptureRule::json("/e")
                    },
                ),
            ])
        };
        for (unit, body, expected) in [
            (
                Unit::Time,
                r#"{"t":"x","e":"2026-01-01T00:10:00Z"}"#,
                Some(600),
            ),
            (Unit::Seconds, r#"{"t":"x","e":1767226200}"#, Some(600)),
            (
                Unit::Milliseconds,
                r#"{"t":"x","e":1767226200000}"#,
                Some(600),
            ),
            (Unit::Time, r#"{"t":"x","e":"0001-01-01T00:00:00Z"}"#, None),
            (Unit::Time, r#"{"t":"x","e":"never"}"#, None),
        ] {
            let life = taken(&end(unit), &[], body).unwrap().refresh_lifetime;
            assert_eq!(life.map(|life| life.as_secs()), expected, "{body}");
        }
    }

    #[test]
    fn a_cookie_that_is_only_taken_away_is_no_token_and_is_said_to_be() {
        let cookie = CaptureRule {
            place: Place::Cookie("SID".into()),
            optional: false,
            ..CaptureRule::json("")
        };
        let rules = Captures::from([("token".into(), cookie)]);
        for (line, expected) in [
            (
                "SID=deleted; Max-Age=0",
                "the answer takes the cookie `SID` away, where the profile looks for `token`",
            ),
            (
                "OTHER=x",
                "the answer has no `token` where the profile looks for it",
            ),
        ] {
            let error = taken(&rules, &[("Set-Cookie", line)], "")
                .err()
                .map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(expected), "{line}");
        }
    }

    /// At the beginning of 2026.
    fn taken(
        rules: &Captures,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Harvest, CaptureError> {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let response = Response::new(200, headers, body.as_bytes(), true);
        let url = Url::parse("https://example.invalid").unwrap();
        harvest(
            rules,
            &Hosts::default(),
            &url,
            &response,
            "2026-01-01T00:00:00Z".parse().unwrap(),
        )
    }
}
