//! The requests of a person's login: authorization (RFC 6749 section 4.1, RFC 7636), device (RFC 8628), who it was.

use url::{Url, form_urlencoded};

use super::{Draft, Outgoing, OutgoingError, RequestContext};
use crate::provider::discovery::{Endpoint, Metadata};
use crate::provider::grants::GrantKind;
use crate::provider::outgoing::use_headers;
use crate::provider::person::BrowserLogin;
use crate::provider::request::Method;
use crate::provider::settings::RemoteConfig;
use crate::provider::template::Template;
use crate::secret::Secret;
use crate::token::Token;

/// The address that a person's browser opens, without the parts that make it this login's.
pub(in crate::provider) fn authorization_url(
    config: &RemoteConfig,
    metadata: Option<&Metadata>,
    redirect_uri: &str,
    once: &[(&str, &str)],
) -> Result<Url, OutgoingError> {
    let endpoint = config.endpoint(Endpoint::Authorization, metadata);
    let mut url = endpoint.ok_or(OutgoingError::NoUrl("authorization"))?;
    let client_id = config
        .plain("client_id")
        .ok_or_else(|| super::no_value("client_id"))?;
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
    ];
    query.extend(
        ["scope", "audience"]
            .iter()
            .filter_map(|name| Some((*name, config.plain(name)?))),
    );
    let resources = config
        .plain("resource")
        .unwrap_or_default()
        .split_whitespace();
    query.extend(resources.map(|resource| ("resource", resource)));
    query.extend(
        config
            .plain("username")
            .map(|username| ("login_hint", username)),
    );
    // Without it no refresh token follows (`OpenID` Connect Core section 11).
    query.extend(
        config
            .asks_for("offline_access")
            .then_some(("prompt", "consent")),
    );
    query.extend(once);
    let mut query: Vec<(String, String)> = query
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let rules = config
        .profile
        .grant(&config.grant)
        .map(|rules| rules.begin.as_slice())
        .unwrap_or_default();
    let lookup = |name: &str| config.plain(name).map(Secret::new);
    let of_profile = rules
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.fill(&lookup)?.expose().into())));
    let configured = config
        .plain("authorization_query")
        .unwrap_or_default()
        .trim_start_matches('?');
    let configured = form_urlencoded::parse(configured.as_bytes()).into_owned();
    for (name, value) in of_profile.chain(configured) {
        // Nothing replaces what keeps this login apart from others.
        if once.iter().all(|(own, _)| *own != name) {
            query.retain(|(known, _)| *known != name);
            query.push((name, value));
        }
    }
    url.query_pairs_mut().extend_pairs(query);
    Ok(url)
}

impl RequestContext<'_> {
    /// RFC 6749 section 4.1.3, RFC 7636 section 4.5.
    pub(in crate::provider) fn redemption(
        &self,
        login: &BrowserLogin,
        code: &Secret,
    ) -> Result<Outgoing, OutgoingError> {
        let url = self.token_endpoint()?;
        let mut draft = Draft::default();
        draft.plain("grant_type", GrantKind::AuthorizationCode.grant_type());
        draft.secret("code", code.clone());
        draft.plain("redirect_uri", &login.redirect_uri);
        draft.secret("code_verifier", login.verifier().clone());
        self.resources(&mut draft);
        self.replaced(&mut draft, self.form_of_profile(), code);
        self.prove_client(&mut draft, &url)?;
        Ok(draft.posted(url))
    }

    /// RFC 8628 section 3.1.
    pub(in crate::provider) fn device_authorization(&self) -> Result<Outgoing, OutgoingError> {
        let url = self.endpoint(Endpoint::DeviceAuthorization, "device_authorization")?;
        let mut draft = Draft::default();
        self.optional(&mut draft, "scope");
        self.optional(&mut draft, "audience");
        self.resources(&mut draft);
        let rules = self.config.profile.grant(&self.config.grant);
        let begin = rules
            .map(|rules| rules.begin.as_slice())
            .unwrap_or_default();
        self.replaced(&mut draft, begin, &Secret::new(""));
        self.prove_client(&mut draft, &url)?;
        Ok(draft.posted(url))
    }

    /// RFC 8628 section 3.4.
    pub(in crate::provider) fn device_poll(
        &self,
        device_code: &Secret,
    ) -> Result<Outgoing, OutgoingError> {
        let url = self.token_endpoint()?;
        let mut draft = Draft::default();
        draft.plain("grant_type", GrantKind::DeviceCode.grant_type());
        draft.secret("device_code", device_code.clone());
        self.replaced(&mut draft, self.form_of_profile(), device_code);
        self.prove_client(&mut draft, &url)?;
        Ok(draft.posted(url))
    }

    /// `OpenID` Connect Core section 5.3.1.
    pub(in crate::provider) fn userinfo(&self, token: &Token) -> Result<Outgoing, OutgoingError> {
        let (url, headers) = (
            self.endpoint(Endpoint::Userinfo, "userinfo")?,
            use_headers(self.config, token),
        );
        Ok(Outgoing {
            method: Method::Get,
            url,
            headers,
            body: None,
            secrets: Vec::new(),
        })
    }

    fn form_of_profile(&self) -> &[(String, Template)] {
        let rules = self.config.profile.grant(&self.config.grant);
        rules.map(|rules| rules.form.as_slice()).unwrap_or_default()
    }

    /// The profile's fields replace the protocol's of the same name, and an empty one takes it away.
    fn replaced(&self, draft: &mut Draft, fields: &[(String, Template)], code: &Secret) {
        let lookup = |name: &str| match name {
            "code" | "device_code" => Some(code.clone()),
            _ => self.value(name),
        };
        for (name, template) in fields {
            let Some(value) = template.fill(&lookup) else {
                continue;
            };
            draft.fields.retain(|(known, _)| known != name);
            if !value.expose().is_empty() {
                draft.secret(name, value);
            }
        }
    }
}
