//! The key pair of the tests, and a JWT-bearer assertion as a strict server checks it (RFC 7523 section 3).

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

/// The audience that the tests' sessions are configured with.
pub(crate) const AUDIENCE: &str = "https://login.salesforce.com";

/// The far end that Salesforce's own clients stay under, with a little for slow machines.
const LONGEST_LIFE_SECONDS: i64 = 300;

fn key_pair() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate(KeySize::Rsa2048).unwrap())
}

/// The private key as PKCS#8 PEM.
pub(crate) fn private_key_pem() -> String {
    let der = AsDer::<Pkcs8V1Der<'static>>::as_der(key_pair()).unwrap();
    let encoded = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}

/// The public key as PKCS#1 DER in base64.
pub(crate) fn public_key() -> String {
    STANDARD.encode(key_pair().public_key().as_ref())
}

/// Lines of the private key that only the key has.
pub(crate) fn private_key_needles() -> Vec<String> {
    private_key_pem()
        .lines()
        .skip(2)
        .filter(|line| line.len() == 64)
        .map(ToOwned::to_owned)
        .collect()
}

/// The claims, unverified.
pub(crate) fn claims(assertion: &str) -> Option<Value> {
    let payload = assertion.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// The claims of an assertion that holds, or the `error_description` for one that does not.
pub(crate) fn verified(assertion: &str) -> Result<Value, &'static str> {
    let (signed, signature) = assertion.rsplit_once('.').ok_or("invalid assertion")?;
    let signature = URL_SAFE_NO_PAD
        .decode(signature)
        .map_err(|_| "invalid assertion")?;
    UnparsedPublicKey::new(
        &RSA_PKCS1_2048_8192_SHA256,
        key_pair().public_key().as_ref(),
    )
    .verify(signed.as_bytes(), &signature)
    .map_err(|_| "invalid assertion")?;
    let claims = claims(assertion).ok_or("invalid assertion")?;
    if claims["aud"] != AUDIENCE {
        return Err("audience is invalid");
    }
    if claims["sub"].as_str().unwrap_or_default().is_empty() {
        return Err("user hasn't approved this consumer");
    }
    let now = i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
    .unwrap();
    match claims["exp"].as_i64() {
        Some(exp) if exp > now && exp <= now + LONGEST_LIFE_SECONDS => Ok(claims),
        _ => Err("expired authorization code"),
    }
}
