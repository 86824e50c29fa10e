//! The requests of OAuth 2.0: token endpoint (RFC 6749), introspection (RFC 7662), revocation (RFC 7009).

mod person;

use serde_json::{Map, Value};
use url::Url;

use super::client::client_secrets;
use super::{Outgoing, OutgoingError, RequestContext, form};
use crate::provider::assertion::{Claims, Signer, sign};
use crate::provider::discovery::Endpoint;
use crate::provider::grants::GrantKind;
use crate::provider::request::Method;
use crate::provider::settings::{self, RemoteConfig};
use crate::provider::template::Template;
use crate::secret::Secret;

pub(in crate::provider) use person::authorization_url;

/// A form on its way: its fields, the headers that go with it, and what both hold that must not be seen.
#[derive(Default)]
pub(super) struct Draft {
    fields: Vec<(String, Secret)>,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) secrets: Vec<Secret>,
}

impl Draft {
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(known, _)| known == name)
    }

    pub(super) fn plain(&mut self, name: &str, value: &str) {
        self.fields.push((name.to_owned(), Secret::new(value)));
    }

    pub(super) fn secret(&mut self, name: &str, value: Secret) {
        self.secrets.push(value.clone());
        self.fields.push((name.to_owned(), value));
    }

    fn posted(self, url: Url) -> Outgoing {
        let body = Some(form(&self.fields));
        Outgoing {
            method: Method::Post,
            url,
            headers: self.headers,
            body,
            secrets: self.secrets,
        }
    }
}

/// What a full login sends or signs with.
pub(super) fn login_secrets(config: &RemoteConfig) -> Vec<&str> {
    let rules = config.profile.grant(&config.grant);
    let of_form = rules
        .into_iter()
        .flat_map(|rules| rules.form.iter().flat_map(|(_, template)| template.names()));
    let of_grant: &[&str] = match GrantKind::named(&config.grant) {
        Some(GrantKind::JwtBearer) => &["private_key", "private_key_passphrase", "certificate"],
        Some(GrantKind::Password) => &["password"],
        Some(GrantKind::RefreshToken) => &["refresh_token"],
        Some(GrantKind::TokenExchange) => &["subject_token", "actor_token"],
        Some(
            GrantKind::ClientCredentials | GrantKind::AuthorizationCode | GrantKind::DeviceCode,
        )
        | None => &[],
    };
    let mut names = client_secrets(config);
    names.extend(of_form);
    names.extend(of_grant);
    names
}

impl RequestContext<'_> {
    /// A session that lives on a refresh token logs in by the configured one.
    pub(super) fn login(&self) -> Result<Outgoing, OutgoingError> {
        match GrantKind::named(&self.config.grant) {
            Some(GrantKind::RefreshToken) => self.refresh(self.required("refresh_token")?),
            Some(GrantKind::AuthorizationCode | GrantKind::DeviceCode) => {
                Err(OutgoingError::ByPerson)
            }
            Some(kind) => self.grant(kind),
            None => Err(OutgoingError::NoEndpoint("login")),
        }
    }

    /// The refresh token that is held is newer than the configured one.
    pub(super) fn renew(&self) -> Result<Outgoing, OutgoingError> {
        let held = self
            .held
            .refresh_token
            .cloned()
            .or_else(|| self.secrets.get("refresh_token").cloned());
        self.refresh(held.ok_or(OutgoingError::NoRefreshToken)?)
    }

    pub(super) fn introspection(&self) -> Result<Outgoing, OutgoingError> {
        self.about_token(self.endpoint(Endpoint::Introspection, "introspection")?)
    }

    /// The access token only: a refresh token may be all that a person left us.
    pub(super) fn revocation(&self) -> Result<Outgoing, OutgoingError> {
        self.about_token(self.endpoint(Endpoint::Revocation, "revocation")?)
    }

    fn about_token(&self, url: Url) -> Result<Outgoing, OutgoingError> {
        let mut draft = Draft::default();
        draft.secret("token", self.token()?.access_token.clone());
        draft.plain("token_type_hint", "access_token");
        self.prove_client(&mut draft, &url)?;
        Ok(draft.posted(url))
    }

    fn token_endpoint(&self) -> Result<Url, OutgoingError> {
        self.endpoint(Endpoint::Token, "token")
    }

    fn refresh(&self, refresh_token: Secret) -> Result<Outgoing, OutgoingError> {
        let url = self.token_endpoint()?;
        let mut draft = Draft::default();
        draft.plain("grant_type", GrantKind::RefreshToken.grant_type());
        draft.secret("refresh_token", refresh_token);
        self.optional(&mut draft, "scope");
        self.resources(&mut draft);
        self.fields_of_config(&mut draft);
        self.prove_client(&mut draft, &url)?;
        Ok(draft.posted(url))
    }

    fn grant(&self, kind: GrantKind) -> Result<Outgoing, OutgoingError> {
        let url = self.token_endpoint()?;
        let mut draft = Draft::default();
        draft.plain("grant_type", kind.grant_type());
        match kind {
            GrantKind::JwtBearer => draft.secret("assertion", self.user_assertion(&url)?),
            GrantKind::ClientCredentials => self.optional(&mut draft, "audience"),
            GrantKind::Password => {
                draft.plain("username", self.required("username")?.expose());
                draft.secret("password", self.required("password")?);
            }
            GrantKind::RefreshToken => {
                draft.secret("refresh_token", self.required("refresh_token")?);
            }
            GrantKind::AuthorizationCode | GrantKind::DeviceCode => {
                return Err(OutgoingError::ByPerson);
            }
            GrantKind::TokenExchange => self.exchanged(&mut draft)?,
        }
        self.optional(&mut draft, "scope");
        self.resources(&mut draft);
        self.own_fields(&mut draft);
        self.fields_of_config(&mut draft);
        self.prove_client(&mut draft, &url)?;
        Ok(draft.posted(url))
    }

    /// RFC 8693 section 2.1.
    fn exchanged(&self, draft: &mut Draft) -> Result<(), OutgoingError> {
        draft.secret("subject_token", self.required("subject_token")?);
        if let Ok(actor_token) = self.required("actor_token") {
            draft.secret("actor_token", actor_token);
        }
        for name in [
            "subject_token_type",
            "actor_token_type",
            "requested_token_type",
        ] {
            if let Some(word) = self.config.plain(name) {
                draft.plain(name, &token_type(word));
            }
        }
        self.optional(draft, "audience");
        Ok(())
    }

    /// RFC 8707 section 2: one field each.
    fn resources(&self, draft: &mut Draft) {
        for resource in self
            .config
            .plain("resource")
            .unwrap_or_default()
            .split_whitespace()
        {
            draft.plain("resource", resource);
        }
    }

    /// The profile's fields replace the protocol's of the same name; all may hold secrets.
    fn own_fields(&self, draft: &mut Draft) {
        let rules = self.config.profile.grant(&self.config.grant);
        for (name, template) in rules.map(|rules| rules.form.as_slice()).unwrap_or_default() {
            if let Some(value) = template.fill(&|name| self.value(name)) {
                draft.fields.retain(|(known, _)| known != name);
                draft.secret(name, value);
            }
        }
    }

    /// What the config sends besides, in the place of whatever has the same name.
    fn fields_of_config(&self, draft: &mut Draft) {
        for (name, value) in self.config.values.iter() {
            if let (Some(name), settings::Value::Plain(text)) = (name.strip_prefix("form."), value)
            {
                draft.fields.retain(|(known, _)| known != name);
                draft.plain(name, text);
            }
        }
    }

    fn user_assertion(&self, endpoint: &Url) -> Result<Secret, OutgoingError> {
        let client_id = self.required("client_id")?;
        let username = self.required("username")?;
        let audience = self.config.plain("audience").map(str::to_owned);
        let audience = audience.unwrap_or_else(|| self.default_audience(endpoint));
        self.assertion(
            client_id.expose(),
            username.expose(),
            &audience,
            self.own_claims(),
        )
    }

    /// What the profile lets an assertion say; a claim without a value is left out.
    fn own_claims(&self) -> Map<String, Value> {
        let rules = self.config.profile.grant(&self.config.grant);
        let claims = rules
            .map(|rules| rules.claims.as_slice())
            .unwrap_or_default();
        let filled = |(name, template): &(String, Template)| {
            Some((
                name.clone(),
                Value::from(template.fill(&|name| self.value(name))?.expose()),
            ))
        };
        claims.iter().filter_map(filled).collect()
    }

    /// The profile's rule for the login host, else the endpoint itself (RFC 7523 section 3).
    pub(super) fn default_audience(&self, endpoint: &Url) -> String {
        let host = endpoint.host_str().unwrap_or_default();
        let rule = self
            .config
            .profile
            .audiences
            .iter()
            .find(|(pattern, _)| pattern.matches(host));
        rule.map_or_else(|| endpoint.to_string(), |(_, audience)| audience.clone())
    }

    pub(super) fn assertion(
        &self,
        issuer: &str,
        subject: &str,
        audience: &str,
        others: Map<String, Value>,
    ) -> Result<Secret, OutgoingError> {
        let millis = self
            .wall
            .as_millisecond()
            .saturating_add(self.held.skew_millis);
        let claims = Claims {
            issuer,
            subject,
            audience,
            now: millis.div_euclid(1000),
            others,
        };
        let key = self.required("private_key")?;
        let signer = Signer {
            key: &key,
            passphrase: self.secrets.get("private_key_passphrase"),
            key_id: self.config.plain("key_id"),
            certificate: self.secrets.get("certificate"),
            algorithm: self.config.plain("algorithm"),
            taken: self
                .metadata
                .map(|metadata| metadata.signing_algorithms.as_slice())
                .unwrap_or_default(),
        };
        Ok(sign(&claims, &signer)?)
    }

    pub(super) fn required(&self, name: &str) -> Result<Secret, OutgoingError> {
        let plain = self.config.plain(name).map(Secret::new);
        plain
            .or_else(|| self.secrets.get(name).cloned())
            .ok_or_else(|| no_value(name))
    }

    fn optional(&self, draft: &mut Draft, name: &str) {
        if let Some(value) = self.config.plain(name) {
            draft.plain(name, value);
        }
    }
}

/// RFC 8693 section 3; a word of its registry stands for its URN.
fn token_type(word: &str) -> String {
    let registered = [
        "access_token",
        "refresh_token",
        "id_token",
        "jwt",
        "saml1",
        "saml2",
    ]
    .contains(&word);
    if registered {
        format!("urn:ietf:params:oauth:token-type:{word}")
    } else {
        word.to_owned()
    }
}

pub(super) fn no_value(name: &str) -> OutgoingError {
    OutgoingError::NoValue(name.to_owned())
}
