//! A profile as its file says it; nothing is believed yet.

mod answer;
mod request;

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::content::{ParameterKind, Protocol};
use crate::session::policy::WindowModel;
pub(super) use answer::{Conditions, NextStep, OneOrSeveral, RawAnswer, RawExample, RawQuota};
pub(super) use request::{
    KEYS as REQUEST_KEYS, RawBasic, RawCapture, RawJwt, RawPlace, RawRedirect, RawRequest, RawUse,
};

/// Texts by name, each with its place in the file.
pub(super) type Texts = BTreeMap<String, Spanned<String>>;
/// The requests of a login by the grant's name; one without a name is all there is.
pub(super) type Logins = Vec<(Option<Spanned<String>>, Spanned<RawRequest>)>;

/// What tells which other keys there may be.
#[derive(Default, Deserialize)]
pub(super) struct RawKind {
    pub(super) login: Option<toml::Table>,
}

impl RawKind {
    /// Whether `[login]` holds no request, but one table for each grant.
    pub(super) fn has_login_by_grant(&self) -> bool {
        self.login
            .as_ref()
            .is_some_and(|login| !login.keys().any(|key| REQUEST_KEYS.contains(&key.as_str())))
    }
}

/// How a file gives its login: as one request, or by grant.
pub(super) trait LoginForm {
    fn logins(self) -> Logins;
}

impl LoginForm for Spanned<RawRequest> {
    fn logins(self) -> Logins {
        vec![(None, self)]
    }
}

impl LoginForm for BTreeMap<Spanned<String>, Spanned<RawRequest>> {
    fn logins(self) -> Logins {
        self.into_iter()
            .map(|(grant, login)| (Some(grant), login))
            .collect()
    }
}

impl LoginForm for Logins {
    fn logins(self) -> Logins {
        self
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProfile<L> {
    pub(super) name: Spanned<String>,
    pub(super) title: String,
    #[serde(default)]
    pub(super) documentation: String,
    #[serde(default)]
    pub(super) sources: Vec<String>,
    #[serde(default)]
    pub(super) unverified: Vec<String>,
    #[serde(default)]
    pub(super) notes: Vec<String>,
    /// By grant: what a person does at the server before the first login.
    #[serde(default)]
    pub(super) setup: BTreeMap<Spanned<String>, Vec<String>>,
    pub(super) proved: Option<String>,
    pub(super) protocol: Spanned<Protocol>,
    pub(super) account: Option<Spanned<String>>,
    pub(super) endpoints: Option<Spanned<RawEndpoints>>,
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
    pub(super) login: Option<L>,
    #[serde(default)]
    pub(super) after_login: Vec<Spanned<RawRequest>>,
    #[serde(rename = "use")]
    pub(super) usage: Option<RawUse>,
    pub(super) jwt: Option<Spanned<RawJwt>>,
    pub(super) ping: Option<Spanned<RawRequest>>,
    #[serde(default)]
    pub(super) pings: BTreeMap<String, Spanned<RawRequest>>,
    pub(super) renew: Option<Spanned<RawRequest>>,
    pub(super) introspection: Option<Spanned<RawRequest>>,
    pub(super) logout: Option<Spanned<RawRequest>>,
    #[serde(default)]
    pub(super) gateway: RawGateway,
    #[serde(default)]
    pub(super) answer: Vec<Spanned<RawAnswer>>,
    #[serde(default)]
    pub(super) quota: Vec<RawQuota>,
    #[serde(default)]
    pub(super) example: Vec<RawExample>,
}

impl<L: LoginForm> RawProfile<L> {
    /// The profile with its logins in one form.
    pub(super) fn with_logins(self) -> RawProfile<Logins> {
        RawProfile {
            name: self.name,
            title: self.title,
            documentation: self.documentation,
            sources: self.sources,
            unverified: self.unverified,
            notes: self.notes,
            setup: self.setup,
            proved: self.proved,
            protocol: self.protocol,
            account: self.account,
            endpoints: self.endpoints,
            parameters: self.parameters,
            hosts: self.hosts,
            window: self.window,
            token: self.token,
            audience: self.audience,
            grant: self.grant,
            login: self.login.map(LoginForm::logins),
            after_login: self.after_login,
            usage: self.usage,
            jwt: self.jwt,
            ping: self.ping,
            pings: self.pings,
            renew: self.renew,
            introspection: self.introspection,
            logout: self.logout,
            gateway: self.gateway,
            answer: self.answer,
            quota: self.quota,
            example: self.example,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEndpoints {
    pub(super) issuer: Option<Spanned<String>>,
    pub(super) metadata: Option<Spanned<String>>,
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
    pub(super) about: Spanned<String>,
    #[serde(default)]
    pub(super) secret: bool,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) default: Option<Spanned<toml::Value>>,
    pub(super) one_of: Option<Spanned<Vec<String>>>,
    #[serde(default, rename = "type")]
    pub(super) kind: ParameterKind,
    pub(super) pattern: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) grants: Vec<Spanned<String>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHosts {
    #[serde(default)]
    pub(super) own: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) not_api: Vec<Spanned<String>>,
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
    pub(super) jwt_is_fixed: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudience {
    pub(super) host: Spanned<String>,
    pub(super) audience: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrant {
    #[serde(default)]
    pub(super) form: Texts,
    #[serde(default)]
    pub(super) begin: Texts,
    #[serde(default)]
    pub(super) claims: Texts,
    #[serde(default)]
    pub(super) not_on: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) not_on_because: String,
}

/// What need not be said.
pub(super) fn yes() -> bool {
    true
}

/// `[gateway]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGateway {
    /// Paths that no job may call through keepfresh: they give out tokens, or end the session.
    #[serde(default)]
    pub(super) deny: Vec<Spanned<String>>,
    /// Paths that the server answers without a look at the token: such an answer proves nothing.
    #[serde(default)]
    pub(super) public: Vec<Spanned<String>>,
}
