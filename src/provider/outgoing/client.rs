//! The client's proof, put into a form or the headers beside it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use url::{Url, form_urlencoded};

use super::oauth::{Draft, no_value};
use super::{OutgoingError, RequestContext};
use crate::provider::client_auth::ClientAuth;
use crate::provider::discovery::Endpoint;
use crate::provider::grants::GrantKind;
use crate::provider::settings::RemoteConfig;
use crate::secret::Secret;

const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What the client proves itself by; read before the server has said which it takes.
pub(in crate::provider) fn client_secrets(config: &RemoteConfig) -> Vec<&'static str> {
    match ClientAuth::of(config, None) {
        ClientAuth::PrivateKeyJwt => vec!["private_key", "private_key_passphrase", "certificate"],
        ClientAuth::Post | ClientAuth::Basic | ClientAuth::Tls | ClientAuth::None => {
            vec!["client_secret"]
        }
    }
}

impl RequestContext<'_> {
    pub(super) fn prove_client(
        &self,
        draft: &mut Draft,
        endpoint: &Url,
    ) -> Result<(), OutgoingError> {
        let Some(client_id) = self.config.plain("client_id") else {
            return self.without_client();
        };
        match ClientAuth::of(self.config, self.metadata) {
            ClientAuth::Basic => return self.basic(draft, client_id),
            // The assertion names the client already; a request without one must name the client itself.
            ClientAuth::None if draft.has("assertion") => return Ok(()),
            ClientAuth::PrivateKeyJwt => {
                draft.plain("client_assertion_type", CLIENT_ASSERTION_TYPE);
                let audience = self.client_audience(endpoint)?;
                draft.secret(
                    "client_assertion",
                    self.assertion(client_id, client_id, &audience, Map::new())?,
                );
            }
            ClientAuth::Post | ClientAuth::None => {
                if let Some(client_secret) = self.secrets.get("client_secret") {
                    draft.secret("client_secret", client_secret.clone());
                }
            }
            ClientAuth::Tls => {}
        }
        draft.plain("client_id", client_id);
        Ok(())
    }

    /// Who exchanges a token may be no client at all.
    fn without_client(&self) -> Result<(), OutgoingError> {
        match GrantKind::named(&self.config.grant) {
            Some(GrantKind::TokenExchange) => Ok(()),
            Some(_) | None => Err(no_value("client_id")),
        }
    }

    /// Most servers want to see their token endpoint, whichever endpoint is asked; newer ones their issuer, so that no
    /// other server can use what was meant for them.
    fn client_audience(&self, endpoint: &Url) -> Result<String, OutgoingError> {
        match self.config.plain("client_assertion_audience") {
            Some("issuer") => self
                .config
                .issuer()
                .map(|issuer| issuer.to_string())
                .ok_or_else(|| no_value("issuer")),
            Some("token_endpoint") | None => {
                let token_endpoint = self.config.endpoint(Endpoint::Token, self.metadata);
                Ok(self.default_audience(token_endpoint.as_ref().unwrap_or(endpoint)))
            }
            Some(text) => Ok(text.to_owned()),
        }
    }

    /// RFC 6749 section 2.3.1: both halves are form-encoded first.
    fn basic(&self, draft: &mut Draft, client_id: &str) -> Result<(), OutgoingError> {
        let client_secret = self.required("client_secret")?;
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = Secret::new(format!(
            "{}:{}",
            encoded(client_id),
            encoded(client_secret.expose())
        ));
        let credentials = Secret::new(STANDARD.encode(pair.expose()));
        draft.headers.push((
            "Authorization".to_owned(),
            Secret::new(format!("Basic {}", credentials.expose())),
        ));
        draft.secrets.push(credentials);
        Ok(())
    }
}
