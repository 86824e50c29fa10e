//! Signed assertions by which a user or a client proves itself (RFC 7523).

mod key;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;
use zeroize::Zeroizing;

use super::pem::{self, NoKey};
use crate::secret::Secret;
use key::SigningKey;

/// How long an assertion lives: the longest that the strictest known servers take (docs/servers.md, "How long an assertion may live").
const LIFETIME_SECONDS: i64 = 180;

/// The algorithms that a config may name (RFC 7518 section 3.1, RFC 8037).
pub(super) const ALGORITHMS: [&str; 9] = [
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
];

/// What an assertion says.
pub(super) struct Claims<'a> {
    pub(super) issuer: &'a str,
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
    /// The server's wall clock now, in seconds.
    pub(super) now: i64,
    /// What else it says.
    pub(super) others: Map<String, Value>,
}

/// What signs an assertion, and how the server knows the key.
pub(super) struct Signer<'a> {
    /// PEM.
    pub(super) key: &'a Secret,
    pub(super) passphrase: Option<&'a Secret>,
    pub(super) key_id: Option<&'a str>,
    /// The key's certificate, PEM: for servers that know the key by its thumbprint.
    pub(super) certificate: Option<&'a Secret>,
    /// By its name; none for the first of the key's own that the server takes.
    pub(super) algorithm: Option<&'a str>,
    /// What the server says that it takes; empty where it says nothing.
    pub(super) taken: &'a [String],
}

/// Why nothing could be signed; names the remedy, never the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum AssertionError {
    #[error("the private key {0}")]
    NoKey(#[from] NoKey),
    #[error("the private key is encrypted: give its private_key_passphrase")]
    PassphraseMissing,
    #[error(
        "the private key does not open: private_key_passphrase is wrong, or its encryption is unknown"
    )]
    PassphraseWrong,
    #[error("the private key is of an unknown kind: use RSA, P-256, P-384 or Ed25519")]
    UnknownKind,
    #[error(
        "the private key does not fit its `algorithm`: take `algorithm` out, or use another key"
    )]
    OtherAlgorithm,
    #[error("the private key cannot sign: an RSA key has 2048 bits or more")]
    CannotSign,
    #[error(
        "`certificate` holds no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
    #[serde(flatten)]
    others: &'a Map<String, Value>,
}

/// Signs `claims`.
///
/// # Errors
/// When the key cannot be read or used.
pub(super) fn sign(claims: &Claims<'_>, signer: &Signer<'_>) -> Result<Secret, AssertionError> {
    let key = SigningKey::read(signer.key.expose(), signer.passphrase)?;
    let header = header(signer, key.algorithms)?;
    let payload = Payload {
        iss: claims.issuer,
        sub: claims.subject,
        aud: claims.audience,
        exp: claims.now.saturating_add(LIFETIME_SECONDS),
        iat: claims.now,
        jti: unique().ok_or(AssertionError::CannotSign)?,
        others: &claims.others,
    };
    encode(&header, &payload, &key.key)
        .map(Secret::new)
        .map_err(|_| AssertionError::CannotSign)
}

/// Whether this could sign, and what is wrong where it could not.
///
/// # Errors
/// Names the remedy.
pub(super) fn check(signer: &Signer<'_>) -> Result<(), AssertionError> {
    let claims = Claims {
        issuer: "",
        subject: "",
        audience: "",
        now: 0,
        others: Map::new(),
    };
    sign(&claims, signer).map(drop)
}

fn header(signer: &Signer<'_>, own: &[Algorithm]) -> Result<Header, AssertionError> {
    let mut header = Header {
        kid: signer.key_id.map(str::to_owned),
        ..Header::new(algorithm(signer, own)?)
    };
    if let Some(pem) = signer.certificate {
        let pem = pem::certificate(pem.expose()).ok_or(AssertionError::NoCertificate)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| AssertionError::NoCertificate)?;
        let thumbprint = |by| URL_SAFE_NO_PAD.encode(digest::digest(by, &certificate));
        header.x5t = Some(thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY));
        header.x5t_s256 = Some(thumbprint(&digest::SHA256));
    }
    Ok(header)
}

/// As the config says, else the first of the key's own that the server takes, else the usual one.
fn algorithm(signer: &Signer<'_>, own: &[Algorithm]) -> Result<Algorithm, AssertionError> {
    let named = |word: &str| {
        own.iter()
            .copied()
            .find(|algorithm| format!("{algorithm:?}") == word)
    };
    if let Some(word) = signer.algorithm {
        return named(word).ok_or(AssertionError::OtherAlgorithm);
    }
    let takes = |algorithm: &&Algorithm| signer.taken.contains(&format!("{algorithm:?}"));
    own.iter()
        .find(takes)
        .or(own.first())
        .copied()
        .ok_or(AssertionError::UnknownKind)
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
    header.insert(
        "alg".to_owned(),
        serde_json::to_value(algorithm).map_err(|_| AssertionError::CannotSign)?,
    );
    header.entry("typ").or_insert_with(|| Value::from("JWT"));
    let encoded = |members: &Map<String, Value>| {
        serde_json::to_vec(members)
            .map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
            .map_err(|_| AssertionError::CannotSign)
    };
    let message = Zeroizing::new(format!("{}.{}", encoded(&header)?, encoded(claims)?));
    let key = if matches!(
        algorithm,
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
    ) {
        EncodingKey::from_secret(key.expose().as_bytes())
    } else {
        of_its_kind(SigningKey::read(key.expose(), passphrase)?, algorithm)?
    };
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, algorithm)
        .map_err(|_| AssertionError::CannotSign)?;
    Ok(Secret::new(format!("{}.{signature}", message.as_str())))
}

fn of_its_kind(key: SigningKey, algorithm: Algorithm) -> Result<EncodingKey, AssertionError> {
    if key.algorithms.contains(&algorithm) {
        Ok(key.key)
    } else {
        Err(AssertionError::OtherAlgorithm)
    }
}

fn unique() -> Option<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(crate::secret::hex(&bytes))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use aws_lc_rs::signature::KeyPair as _;
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::{DecodingKey, Validation, decode};
    use pkcs8::PrivateKeyInfo;
    use pkcs8::der::Decode as _;
    use pkcs8::pkcs5::pbes2::Parameters;

    use super::*;

    #[test]
    fn every_usual_form_of_an_rsa_key_signs() {
        let pkcs8 = PrivateKeyInfo::from_der(KEY.pkcs8.as_slice()).unwrap();
        let encrypted = encrypted(&pkcs8, "open sesame");
        for (pem, passphrase) in [
            (pem("PRIVATE KEY", &KEY.pkcs8), None),
            (pem("RSA PRIVATE KEY", pkcs8.private_key), None),
            (
                pem("ENCRYPTED PRIVATE KEY", &encrypted),
                Some(Secret::new("open sesame")),
            ),
        ] {
            let key = Secret::new(pem);
            let signed = sign(
                &claims(),
                &Signer {
                    passphrase: passphrase.as_ref(),
                    ..signer(&key)
                },
            )
            .unwrap();
            let payload = verified(signed.expose());
            assert_eq!(payload["iss"], "client");
            assert_eq!(payload["sub"], "alice@acme.example");
            assert_eq!(payload["aud"], "https://login.example");
            assert_eq!(
                (&payload["exp"], &payload["scope"]),
                (&1_700_000_180.into(), &"api".into())
            );
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_with_its_remedy() {
        let key = PrivateKeyInfo::from_der(KEY.pkcs8.as_slice()).unwrap();
        let encrypted = pem("ENCRYPTED PRIVATE KEY", &encrypted(&key, "x"));
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAA==\n";
        for (pem, passphrase, expected) in [
            (legacy, Some("x"), NoKey::LegacyEncryption.into()),
            (&encrypted, None, AssertionError::PassphraseMissing),
            (&encrypted, Some("y"), AssertionError::PassphraseWrong),
            ("hello", None, NoKey::NoPem.into()),
            ("", None, NoKey::Empty.into()),
        ] {
            let (key, passphrase) = (Secret::new(pem), passphrase.map(Secret::new));
            let error = check(&Signer {
                passphrase: passphrase.as_ref(),
                ..signer(&key)
            })
            .unwrap_err();
            assert_eq!(error, expected);
        }
        assert!(
            AssertionError::from(NoKey::LegacyEncryption)
                .to_string()
                .contains("openssl pkcs8 -topk8")
        );
    }

    #[test]
    fn two_assertions_are_never_the_same() {
        let key = private_key();
        assert_ne!(
            sign(&claims(), &signer(&key)).unwrap(),
            sign(&claims(), &signer(&key)).unwrap()
        );
    }

    #[test]
    fn the_algorithm_is_the_configs_or_one_that_the_server_takes() {
        let key = private_key();
        let list = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        for (algorithm, taken, expected) in [
            (None, list(&[]), Ok("RS256")),
            (None, list(&["ES256", "PS256"]), Ok("PS256")),
            (None, list(&["RS512", "RS256"]), Ok("RS256")),
            (None, list(&["ES256"]), Ok("RS256")),
            (Some("PS384"), list(&["RS256"]), Ok("PS384")),
            (
                Some("ES256"),
                list(&[]),
                Err(AssertionError::OtherAlgorithm),
            ),
        ] {
            let signed = sign(
                &claims(),
                &Signer {
                    algorithm,
                    taken: &taken,
                    ..signer(&key)
                },
            );
            let header =
                signed.map(|signed| header_of(&signed)["alg"].as_str().unwrap().to_owned());
            assert_eq!(header.as_deref(), expected.as_ref().copied());
        }
        assert!(
            ALGORITHMS
                .iter()
                .all(|word| word.parse::<Algorithm>().is_ok())
        );
    }

    #[test]
    fn a_certificate_tells_the_key_by_its_thumbprints() {
        let key = private_key();
        // SHA-1 and SHA-256 of the bytes "certificate", as openssl computes them.
        let certificate = Secret::new(pem("CERTIFICATE", b"certificate"));
        let signed = sign(
            &claims(),
            &Signer {
                certificate: Some(&certificate),
                ..signer(&key)
            },
        )
        .unwrap();
        assert_eq!(header_of(&signed)["x5t"], "c1rVccGJ17qERkv0qfHSKAF1sSg");
        assert_eq!(
            header_of(&signed)["x5t#S256"],
            "A9Zt0Ig1wco_EozOrNHzGslBYwlrIPRFroQoW8CDLXI"
        );
        let nothing = Secret::new("nothing");
        let error = check(&Signer {
            certificate: Some(&nothing),
            ..signer(&key)
        })
        .unwrap_err();
        assert_eq!(error, AssertionError::NoCertificate);
    }

    /// A key to sign with, for tests of logins.
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
        Key {
            pkcs8: pkcs8.as_ref().to_vec(),
            public: pair.public_key().as_ref().to_vec(),
        }
    });

    fn claims() -> Claims<'static> {
        Claims {
            issuer: "client",
            subject: "alice@acme.example",
            audience: "https://login.example",
            now: 1_700_000_000,
            others: Map::from_iter([("scope".to_owned(), Value::from("api"))]),
        }
    }

    fn signer(key: &Secret) -> Signer<'_> {
        Signer {
            key,
            passphrase: None,
            key_id: Some("k1"),
            certificate: None,
            algorithm: None,
            taken: &[],
        }
    }

    fn header_of(token: &Secret) -> Value {
        let header = token.expose().split('.').next().unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()
    }

    fn verified(token: &str) -> Value {
        let header: Value = serde_json::from_slice(
            &URL_SAFE_NO_PAD
                .decode(token.split('.').next().unwrap())
                .unwrap(),
        )
        .unwrap();
        assert_eq!(
            (&header["alg"], &header["kid"]),
            (&"RS256".into(), &"k1".into())
        );
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        decode::<Value>(token, &DecodingKey::from_rsa_der(&KEY.public), &validation)
            .unwrap()
            .claims
    }

    fn encrypted(key: &PrivateKeyInfo<'_>, passphrase: &str) -> Vec<u8> {
        let parameters = Parameters::pbkdf2_sha256_aes256cbc(1000, b"saltsalt", &[7; 16]).unwrap();
        key.encrypt_with_params(parameters, passphrase)
            .unwrap()
            .as_bytes()
            .to_vec()
    }

    pub(super) fn pem(label: &str, der: &[u8]) -> String {
        let base64 = STANDARD.encode(der);
        let lines: Vec<&str> = base64
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        format!(
            "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
            lines.join("\n")
        )
    }
}
