//! What a profile's file says of answers.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::provider::rule::RuleVerdict;
use crate::session::answer::{Refused, Request};

/// Which value must be in which place, unchecked.
pub(in crate::provider::profile) type Conditions = BTreeMap<String, Spanned<toml::Value>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawAnswer {
    pub(in crate::provider::profile) to: Option<Spanned<Vec<Request>>>,
    pub(in crate::provider::profile) grants: Option<Spanned<Vec<Spanned<String>>>>,
    pub(in crate::provider::profile) status: Option<Spanned<Vec<u16>>>,
    pub(in crate::provider::profile) content_type: Option<Spanned<String>>,
    #[serde(default)]
    pub(in crate::provider::profile) headers: Conditions,
    #[serde(default)]
    pub(in crate::provider::profile) json: Conditions,
    #[serde(default)]
    pub(in crate::provider::profile) xml: Conditions,
    pub(in crate::provider::profile) text: Option<Spanned<toml::Value>>,
    pub(in crate::provider::profile) verdict: Spanned<RuleVerdict>,
    pub(in crate::provider::profile) next: Option<NextStep>,
    #[serde(default = "super::yes")]
    pub(in crate::provider::profile) certain: bool,
    pub(in crate::provider::profile) confirm: Option<bool>,
    pub(in crate::provider::profile) refused: Option<Refused>,
    pub(in crate::provider::profile) remedy: Option<String>,
}

/// What a rule says must follow a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::provider::profile) enum NextStep {
    Login,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawQuota {
    pub(in crate::provider::profile) name: String,
    pub(in crate::provider::profile) header: Spanned<String>,
    pub(in crate::provider::profile) regex: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::provider::profile) struct RawExample {
    pub(in crate::provider::profile) to: Spanned<Request>,
    pub(in crate::provider::profile) grant: Option<Spanned<String>>,
    pub(in crate::provider::profile) step: Option<Spanned<usize>>,
    pub(in crate::provider::profile) status: u16,
    #[serde(default)]
    pub(in crate::provider::profile) headers: BTreeMap<String, OneOrSeveral>,
    #[serde(default)]
    pub(in crate::provider::profile) body: String,
    pub(in crate::provider::profile) verdict: String,
    #[serde(default)]
    pub(in crate::provider::profile) yields: BTreeMap<String, Spanned<String>>,
}

/// A header's value, or the values of one that is sent more than once.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a header's value is a text, or a list of texts where it is sent more than once"
)]
pub(in crate::provider::profile) enum OneOrSeveral {
    One(String),
    Several(Vec<String>),
}
