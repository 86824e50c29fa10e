//! What a profile's file says of requests.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::Texts;
use crate::provider::capture::Unit;
use crate::provider::request::{Expect, Method};

/// The keys of a request: a `[login]` with none of them holds one table for each grant.
pub(in crate::provider::profile) const KEYS: [&str; 22] = [
    "about",
    "basic",
    "capture",
    "command",
    "confirm",
    "content_type",
    "cookies",
    "env",
    "expect",
    "form",
    "headers",
    "json",
    "method",
    "path",
    "redirect",
    "secret_in_url",
    "status",
    "step",
    "text",
    "timeout",
    "url",
    "xml",
];

/// One request, with everything that any of them may have; what does not belong is refused later, by name.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawRequest {
    pub(in crate::provider::profile) method: Option<Method>,
    pub(in crate::provider::profile) path: Option<Spanned<String>>,
    pub(in crate::provider::profile) url: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::provider::profile) headers: Texts,
    #[serde(default)]
    pub(in crate::provider::profile) cookies: Texts,
    pub(in crate::provider::profile) basic: Option<RawBasic>,
    pub(in crate::provider::profile) form: Option<Texts>,
    pub(in crate::provider::profile) json: Option<Spanned<toml::Value>>,
    pub(in crate::provider::profile) xml: Option<Spanned<String>>,
    pub(in crate::provider::profile) text: Option<Spanned<String>>,
    pub(in crate::provider::profile) content_type: Option<Spanned<String>>,
    #[serde(rename = "use")]
    pub(in crate::provider::profile) carries_token: Option<bool>,
    pub(in crate::provider::profile) status: Option<Spanned<Vec<Spanned<u16>>>>,
    pub(in crate::provider::profile) expect: Option<Expect>,
    pub(in crate::provider::profile) redirect: Option<RawRedirect>,
    #[serde(default)]
    pub(in crate::provider::profile) secret_in_url: bool,
    pub(in crate::provider::profile) capture: Option<BTreeMap<String, Spanned<RawCapture>>>,
    #[serde(default)]
    pub(in crate::provider::profile) step: Vec<Spanned<RawRequest>>,
    pub(in crate::provider::profile) about: Option<Spanned<String>>,
    pub(in crate::provider::profile) confirm: Option<Spanned<bool>>,
    pub(in crate::provider::profile) command: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(in crate::provider::profile) env: Texts,
    pub(in crate::provider::profile) timeout: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawBasic {
    pub(in crate::provider::profile) username: Spanned<String>,
    pub(in crate::provider::profile) password: Spanned<String>,
}

/// What a redirect is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::provider::profile) enum RawRedirect {
    Repeat,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawCapture {
    pub(in crate::provider::profile) json: Option<Spanned<String>>,
    pub(in crate::provider::profile) header: Option<Spanned<String>>,
    pub(in crate::provider::profile) cookie: Option<String>,
    pub(in crate::provider::profile) xml: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::provider::profile) body: bool,
    #[serde(default)]
    pub(in crate::provider::profile) origin: bool,
    pub(in crate::provider::profile) regex: Option<Spanned<String>>,
    pub(in crate::provider::profile) path: Option<bool>,
    pub(in crate::provider::profile) or: Option<Spanned<Vec<Spanned<RawPlace>>>>,
    pub(in crate::provider::profile) jwt: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::provider::profile) unit: Unit,
    pub(in crate::provider::profile) minus: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::provider::profile) public: bool,
    pub(in crate::provider::profile) optional: Option<bool>,
}

/// Where a value may be as well.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawPlace {
    pub(in crate::provider::profile) json: Option<Spanned<String>>,
    pub(in crate::provider::profile) header: Option<Spanned<String>>,
    pub(in crate::provider::profile) cookie: Option<String>,
    pub(in crate::provider::profile) xml: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::provider::profile) body: bool,
    #[serde(default)]
    pub(in crate::provider::profile) origin: bool,
    pub(in crate::provider::profile) regex: Option<Spanned<String>>,
}

impl RawCapture {
    /// Whether it says where to look.
    pub(in crate::provider::profile) fn has_place(&self) -> bool {
        let named = [&self.json, &self.header, &self.xml]
            .iter()
            .any(|place| place.is_some());
        named || self.cookie.is_some() || self.body || self.origin
    }

    /// This rule, which looks where `other` looks.
    pub(in crate::provider::profile) fn placed_as(self, other: &Self) -> Self {
        let other = other.clone();
        Self {
            json: other.json,
            header: other.header,
            cookie: other.cookie,
            xml: other.xml,
            body: other.body,
            origin: other.origin,
            regex: other.regex,
            or: other.or,
            ..self
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawUse {
    #[serde(default)]
    pub(in crate::provider::profile) headers: Texts,
    #[serde(default)]
    pub(in crate::provider::profile) cookies: Texts,
    #[serde(default)]
    pub(in crate::provider::profile) json: Texts,
    #[serde(default, rename = "unsafe")]
    pub(in crate::provider::profile) when_unsafe: RawUnsafe,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawUnsafe {
    #[serde(default)]
    pub(in crate::provider::profile) headers: Texts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawJwt {
    pub(in crate::provider::profile) key: Spanned<String>,
    pub(in crate::provider::profile) algorithm: Option<Spanned<String>>,
    pub(in crate::provider::profile) lifetime: Option<Spanned<String>>,
    pub(in crate::provider::profile) claims: Spanned<toml::Value>,
    pub(in crate::provider::profile) header: Option<Spanned<toml::Value>>,
}
