//! The JWT that the bearer grant presents (RFC 7523), checked as Salesforce does: signature, issuer, audience, expiry.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use super::refusal::Refusal;

/// What the assertion must fit.
pub(super) struct Expected<'a> {
    /// The app's consumer key.
    pub client_id: &'a str,
    /// PKCS#1 DER of the app's certificate.
    pub public_key: &'a [u8],
    /// Any of these may be the audience.
    pub audiences: &'a [String],
    /// The server's wall clock, in seconds.
    pub now: i64,
}

/// The user name that a good assertion names.
///
/// # Errors
/// The first thing that is wrong with it, as Salesforce would say.
pub(super) fn subject(assertion: &str, expected: &Expected<'_>) -> Result<String, Refusal> {
    let claims = verified(assertion, expected)?;
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let audience = claim("aud").trim_end_matches('/');
    if !expected
        .audiences
        .iter()
        .any(|accepted| accepted.trim_end_matches('/') == audience)
    {
        return Err(Refusal::WrongAudience);
    }
    if expiry(&claims).is_none_or(|expiry| expiry <= expected.now) {
        return Err(Refusal::ExpiredCode);
    }
    Ok(claim("sub").to_owned())
}

/// The issuer decides whose certificate is asked, so it comes before the signature.
fn verified(assertion: &str, expected: &Expected<'_>) -> Result<Value, Refusal> {
    let (signed, signature) = assertion
        .rsplit_once('.')
        .ok_or(Refusal::InvalidAssertion)?;
    let (header, claims) = signed.split_once('.').ok_or(Refusal::InvalidAssertion)?;
    let claims = json(claims)?;
    if json(header)?.get("alg").and_then(Value::as_str) != Some("RS256") {
        return Err(Refusal::InvalidAssertion);
    }
    if claims.get("iss").and_then(Value::as_str) != Some(expected.client_id) {
        return Err(Refusal::UnknownClient);
    }
    let signature = BASE64_URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| Refusal::InvalidAssertion)?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, expected.public_key)
        .verify(signed.as_bytes(), &signature)
        .map_err(|_| Refusal::InvalidAssertion)?;
    Ok(claims)
}

/// Some clients send `exp` as a string, and it is accepted (docs/servers.md, "How long an assertion may live").
fn expiry(claims: &Value) -> Option<i64> {
    let exp = claims.get("exp")?;
    exp.as_i64().or_else(|| exp.as_str()?.parse().ok())
}

fn json(part: &str) -> Result<Value, Refusal> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Refusal::InvalidAssertion)?;
    serde_json::from_slice(&bytes).map_err(|_| Refusal::InvalidAssertion)
}
