//! Values that are made anew for each request: random ones, and JWTs that a profile describes.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{OutgoingError, RequestContext};
use crate::provider::assertion;
use crate::provider::request::JsonTemplate;
use crate::secret::{Secret, hex};

/// Servers whose clock is a little behind refuse what was signed in their future.
const LEEWAY: i64 = 30;

/// `[jwt]`: what `{jwt}` stands for.
#[derive(Clone, Debug)]
pub(in crate::provider) struct JwtTemplate {
    /// The secret parameter that holds the key.
    pub(in crate::provider) key: String,
    /// `RS256`, `HS256`, …
    pub(in crate::provider) algorithm: jsonwebtoken::Algorithm,
    /// How long it is good; `iat` and `exp` are added.
    pub(in crate::provider) lifetime: Duration,
    /// What it says.
    pub(in crate::provider) claims: JsonTemplate,
    /// The header's own members (`kid`, `iss`).
    pub(in crate::provider) header: JsonTemplate,
}

impl JwtTemplate {
    /// Every placeholder in it, and the parameters of its key.
    pub(in crate::provider) fn names(&self) -> Vec<&str> {
        let mut names = self.claims.names();
        names.extend(self.header.names());
        names.extend([self.key.as_str(), "private_key_passphrase"]);
        names
    }
}

impl RequestContext<'_> {
    /// The JWT that the profile describes, signed anew.
    pub(super) fn jwt(&self) -> Result<Secret, OutgoingError> {
        let template = self
            .config
            .profile
            .jwt
            .as_ref()
            .ok_or(OutgoingError::NoEndpoint("signed value"))?;
        let lookup = |name: &str| self.value(name);
        let members = |json: &JsonTemplate| match json.fill(&lookup) {
            Some(Value::Object(members)) => members,
            Some(_) | None => Map::new(),
        };
        let now = self.server_seconds();
        let mut claims = members(&template.claims);
        claims.insert("iat".to_owned(), Value::from(now.saturating_sub(LEEWAY)));
        let lifetime = i64::try_from(template.lifetime.as_secs()).unwrap_or(i64::MAX);
        claims.insert("exp".to_owned(), Value::from(now.saturating_add(lifetime)));
        let key = self
            .secrets
            .get(&template.key)
            .ok_or_else(|| OutgoingError::NoValue(template.key.clone()))?;
        let passphrase = self.secrets.get("private_key_passphrase");
        Ok(assertion::sign_claims(
            template.algorithm,
            members(&template.header),
            &claims,
            key,
            passphrase,
        )?)
    }
}

/// A random UUID (RFC 9562 version 4).
pub(super) fn uuid() -> Option<Secret> {
    let mut bytes = [0_u8; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    // Bytes 6 and 8 hold version and variant.
    let [_, _, _, _, _, _, sixth, _, eighth, ..] = &mut bytes;
    *sixth = (*sixth & 0x0f) | 0x40;
    *eighth = (*eighth & 0x3f) | 0x80;
    let digits = hex(&bytes);
    let parts = [
        digits.get(..8)?,
        digits.get(8..12)?,
        digits.get(12..16)?,
        digits.get(16..20)?,
        digits.get(20..)?,
    ];
    Some(Secret::new(parts.join("-")))
}
