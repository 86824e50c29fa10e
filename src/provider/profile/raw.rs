//! A profile as its file says it; nothing is believed yet.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::provider::capture::Unit;
use crate::provider::request::{Expect, Method};
use crate::provider::rule::RuleVerdict;
use crate::session::answer::Request;
use crate::session::policy::WindowModel;

/// Texts by name, each with its place in the file.
pub(super) type Texts = BTreeMap<String, Spanned<String>>;
/// What must stand where, unchecked.
pub(super) type Conditions = BTreeMap<String, Spanned<toml::Value>>;

/// What tells which other keys there may be.
#[derive(Deserialize)]
pub(super) struct RawKind {
    pub(super) protocol: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile {
    pub(super) name: Spanned<String>,
    pub(super) title: String,
    #[serde(default)]
    pub(super) documentation: String,
    #[serde(rename = "protocol")]
    _protocol: IgnoredAny,
    pub(super) endpoints: RawEndpoints,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, RawParameter>,
    #[serde(default)]
    pub(super) hosts: RawHosts,
    pub(super) window: RawWindow,
    #[serde(default)]
    pub(super) token: RawToken,
    #[serde(default)]
    pub(super) audience: Vec<RawAudience>,
    #[serde(default)]
    pub(super) grant: BTreeMap<Spanned<String>, RawGrant>,
    #[serde(default)]
    pub(super) login: RawLogin,
    #[serde(default, rename = "use")]
    pub(super) usage: RawUse,
    pub(super) ping: Option<RawRequest>,
    #[serde(default)]
    pub(super) pings: BTreeMap<String, RawRequest>,
    #[serde(default)]
    pub(super) answer: Vec<RawAnswer>,
    #[serde(default)]
    pub(super) quota: Vec<RawQuota>,
    #[serde(default)]
    pub(super) example: Vec<RawExample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEndpoints {
    pub(super) issuer: Option<Spanned<String>>,
    pub(super) token: Option<Spanned<String>>,
    pub(super) introspection: Option<Spanned<String>>,
    pub(super) revocation: Option<Spanned<String>>,
    pub(super) userinfo: Option<Spanned<String>>,
    pub(super) authorization: Option<Spanned<String>>,
    pub(super) device_authorization: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawParameter {
    pub(super) about: String,
    #[serde(default)]
    pub(super) secret: bool,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<String>,
    #[serde(default)]
    pub(super) one_of: Vec<String>,
    pub(super) pattern: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) grants: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHosts {
    #[serde(default)]
    pub(super) own: Vec<String>,
    #[serde(default)]
    pub(super) not_api: Vec<String>,
    #[serde(default)]
    pub(super) not_api_because: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWindow {
    pub(super) model: WindowModel,
    pub(super) idle_timeout: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) idle_timeouts: Vec<Spanned<String>>,
    pub(super) max_lifetime: Option<Spanned<String>>,
    pub(super) token_lifetime: Option<Spanned<String>>,
    pub(super) refresh_idle_timeout: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) login_may_reuse: bool,
    #[serde(default)]
    pub(super) renewal_kills: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawToken {
    #[serde(default)]
    pub(super) jwt_is_fixed: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudience {
    pub(super) host: String,
    pub(super) audience: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrant {
    #[serde(default)]
    pub(super) form: Texts,
    #[serde(default)]
    pub(super) claims: Texts,
    #[serde(default)]
    pub(super) not_on: Vec<String>,
    #[serde(default)]
    pub(super) not_on_because: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLogin {
    #[serde(default)]
    pub(super) capture: BTreeMap<String, Spanned<RawCapture>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCapture {
    pub(super) json: Option<Spanned<String>>,
    pub(super) header: Option<String>,
    #[serde(default)]
    pub(super) body: bool,
    #[serde(default)]
    pub(super) unit: Unit,
    #[serde(default)]
    pub(super) public: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUse {
    #[serde(default)]
    pub(super) headers: Texts,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRequest {
    #[serde(default)]
    pub(super) method: Method,
    pub(super) path: Option<Spanned<String>>,
    pub(super) url: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) headers: Texts,
    pub(super) form: Option<Texts>,
    pub(super) json: Option<Spanned<toml::Value>>,
    #[serde(default = "yes", rename = "use")]
    pub(super) carries_token: bool,
    #[serde(default)]
    pub(super) expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAnswer {
    #[serde(default)]
    pub(super) to: Vec<Request>,
    #[serde(default)]
    pub(super) grants: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) status: Vec<u16>,
    pub(super) content_type: Option<String>,
    #[serde(default)]
    pub(super) headers: Conditions,
    #[serde(default)]
    pub(super) json: Conditions,
    pub(super) text: Option<Spanned<toml::Value>>,
    pub(super) verdict: RuleVerdict,
    #[serde(default = "yes")]
    pub(super) certain: bool,
    pub(super) confirm: Option<bool>,
    pub(super) remedy: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuota {
    pub(super) name: String,
    pub(super) header: String,
    pub(super) regex: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExample {
    pub(super) to: Spanned<Request>,
    pub(super) grant: Option<Spanned<String>>,
    pub(super) status: u16,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) body: String,
    pub(super) verdict: String,
}

fn yes() -> bool {
    true
}
