//! Signed assertions by which a user or a client proves itself (RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pkcs8::der::Decode as _;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::{EncryptedPrivateKeyInfo, PrivateKeyInfo, SecretDocument};
use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// How long an assertion lives: the longest that the strictest known servers take (facts.md 1.2).
const LIFETIME_SECONDS: i64 = 180;

/// What an assertion says.
pub(super) struct Claims<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
    /// The server's wall clock now, in seconds.
    pub(super) now: i64,
    pub(super) key_id: Option<&'a str>,
}

/// Why nothing could be signed; names the remedy, never the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum AssertionError {
    #[error("the private key is encrypted in the old PEM way: convert it with `openssl pkcs8 -topk8`")]
    LegacyEncryption,
    #[error("the private key is encrypted: give its private_key_passphrase")]
    PassphraseMissing,
    #[error("the private key does not open: private_key_passphrase is wrong, or its encryption is unknown")]
    PassphraseWrong,
    #[error("the private key is no RSA key in PEM: it begins with -----BEGIN PRIVATE KEY----- or the like")]
    NoKey,
    #[error("the private key cannot sign: an RSA key of 2048 bits or more is needed")]
    CannotSign,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
}

/// Signs `claims` with RS256.
///
/// # Errors
/// When the key cannot be read or used.
pub(super) fn sign(claims: &Claims<'_>, key: &Secret, passphrase: Option<&Secret>) -> Result<Secret, AssertionError> {
    let key = signing_key(key.expose(), passphrase)?;
    let header = Header { kid: claims.key_id.map(str::to_owned), ..Header::new(Algorithm::RS256) };
    let payload = Payload {
        iss: claims.issuer,
        sub: claims.subject,
        aud: claims.audience,
        exp: claims.now.saturating_add(LIFETIME_SECONDS),
        iat: claims.now,
        jti: unique().ok_or(AssertionError::CannotSign)?,
    };
    encode(&header, &payload, &key).map(Secret::new).map_err(|_| AssertionError::CannotSign)
}

/// Signs `claims` under a header of the caller's own members.
///
/// # Errors
/// When the key cannot be read or used.
pub(super) fn sign_claims(
    algorithm: Algorithm,
    mut header: Map<String, Value>,
    claims: &Map<String, Value>,
    key: &Secret,
    passphrase: Option<&Secret>,
) -> Result<Secret, AssertionError> {
    header.insert("alg".to_owned(), serde_json::to_value(algorithm).map_err(|_| AssertionError::CannotSign)?);
    header.entry("typ").or_insert_with(|| Value::from("JWT"));
    let encoded = |members: &Map<String, Value>| {
        serde_json::to_vec(members).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|_| AssertionError::CannotSign)
    };
    let message = Zeroizing::new(format!("{}.{}", encoded(&header)?, encoded(claims)?));
    let key = match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(key.expose().as_bytes()),
        Algorithm::ES256 | Algorithm::ES384 => {
            EncodingKey::from_ec_pem(key.expose().as_bytes()).map_err(|_| AssertionError::NoKey)?
        }
        Algorithm::EdDSA => EncodingKey::from_ed_pem(key.expose().as_bytes()).map_err(|_| AssertionError::NoKey)?,
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => signing_key(key.expose(), passphrase)?,
        _ => return Err(AssertionError::CannotSign),
    };
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm).map_err(|_| AssertionError::CannotSign)?;
    Ok(Secret::new(format!("{}.{signature}", message.as_str())))
}

fn unique() -> Option<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(crate::secret::hex(&bytes))
}

fn signing_key(pem: &str, passphrase: Option<&Secret>) -> Result<EncodingKey, AssertionError> {
    if pem.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(AssertionError::LegacyEncryption);
    }
    if pem.contains(EncryptedPrivateKeyInfo::PEM_LABEL) {
        return decrypted(pem, passphrase.ok_or(AssertionError::PassphraseMissing)?);
    }
    EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| AssertionError::NoKey)
}

fn decrypted(pem: &str, passphrase: &Secret) -> Result<EncodingKey, AssertionError> {
    let (_, document) = SecretDocument::from_pem(pem.trim()).map_err(|_| AssertionError::NoKey)?;
    let sealed = EncryptedPrivateKeyInfo::from_der(document.as_bytes()).map_err(|_| AssertionError::NoKey)?;
    let opened = sealed.decrypt(passphrase.expose()).map_err(|_| AssertionError::PassphraseWrong)?;
    let key = PrivateKeyInfo::from_der(opened.as_bytes()).map_err(|_| AssertionError::PassphraseWrong)?;
    Ok(EncodingKey::from_rsa_der(key.private_key))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::KeyPair as _;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use pkcs8::pkcs5::pbes2::Parameters;
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_usual_form_of_an_rsa_key_signs() {
        let pkcs8 = PrivateKeyInfo::from_der(KEY.pkcs8.as_slice()).unwrap();
        let encrypted = encrypted(&pkcs8, "open sesame");
        for (pem, passphrase) in [
            (pem("PRIVATE KEY", &KEY.pkcs8), None),
            (pem("RSA PRIVATE KEY", pkcs8.private_key), None),
            (pem("ENCRYPTED PRIVATE KEY", &encrypted), Some(Secret::new("open sesame"))),
        ] {
            let signed = sign(&claims(), &Secret::new(pem), passphrase.as_ref()).unwrap();
            let payload = verified(signed.expose());
            assert_eq!(payload["iss"], "client");
            assert_eq!(payload["sub"], "alice@acme.example");
            assert_eq!(payload["aud"], "https://login.example");
            assert_eq!(payload["exp"], 1_700_000_180);
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_with_its_remedy() {
        let key = PrivateKeyInfo::from_der(KEY.pkcs8.as_slice()).unwrap();
        let encrypted = pem("ENCRYPTED PRIVATE KEY", &encrypted(&key, "x"));
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAA==\n";
        for (pem, passphrase, expected) in [
            (legacy, Some("x"), AssertionError::LegacyEncryption),
            (&encrypted, None, AssertionError::PassphraseMissing),
            (&encrypted, Some("y"), AssertionError::PassphraseWrong),
            ("hello", None, AssertionError::NoKey),
            ("", None, AssertionError::NoKey),
        ] {
            let passphrase = passphrase.map(Secret::new);
            let error = sign(&claims(), &Secret::new(pem), passphrase.as_ref()).unwrap_err();
            assert_eq!(error, expected);
        }
        assert!(AssertionError::LegacyEncryption.to_string().contains("openssl pkcs8 -topk8"));
    }

    #[test]
    fn two_assertions_are_never_the_same() {
        let key = private_key();
        assert_ne!(sign(&claims(), &key, None).unwrap(), sign(&claims(), &key, None).unwrap());
    }

    /// A key to sign with, for whoever tests a login.
    pub(in crate::provider) fn private_key() -> Secret {
        Secret::new(pem("PRIVATE KEY", &KEY.pkcs8))
    }

    struct Key {
        pkcs8: Vec<u8>,
        public: Vec<u8>,
    }

    static KEY: LazyLock<Key> = LazyLock::new(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        Key { pkcs8: pkcs8.as_ref().to_vec(), public: pair.public_key().as_ref().to_vec() }
    });

    fn claims() -> Claims<'static> {
        Claims {
            issuer: "client",
            subject: "alice@acme.example",
            audience: "https://login.example",
            now: 1_700_000_000,
            key_id: Some("k1"),
        }
    }

    fn verified(token: &str) -> Value {
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
        assert_eq!((&header["alg"], &header["kid"]), (&"RS256".into(), &"k1".into()));
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        decode::<Value>(token, &DecodingKey::from_rsa_der(&KEY.public), &validation).unwrap().claims
    }

    fn encrypted(key: &PrivateKeyInfo<'_>, passphrase: &str) -> Vec<u8> {
        let parameters = Parameters::pbkdf2_sha256_aes256cbc(1000, b"saltsalt", &[7; 16]).unwrap();
        key.encrypt_with_params(parameters, passphrase).unwrap().as_bytes().to_vec()
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let base64 = STANDARD.encode(der);
        let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }
}
