//! A private key in any usual form of PEM, and what it can sign with.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING};
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm};
use jsonwebtoken::{Algorithm, EncodingKey};
use pkcs8::der::Decode as _;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::{EncryptedPrivateKeyInfo, ObjectIdentifier, PrivateKeyInfo, SecretDocument};

use super::AssertionError;
use crate::provider::pem::{self, NoKey};
use crate::secret::Secret;

/// RFC 8017 appendix A.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// RFC 5480 section 2.1.1.
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// RFC 8410 section 3.
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What signs, and its own algorithms, the usual one first.
pub(super) struct SigningKey {
    pub(super) key: EncodingKey,
    pub(super) algorithms: &'static [Algorithm],
}

const OF_RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::PS256,
    Algorithm::RS384,
    Algorithm::PS384,
    Algorithm::RS512,
    Algorithm::PS512,
];

impl SigningKey {
    /// Reads PKCS#8, PKCS#1 or SEC 1, the first also encrypted.
    ///
    /// # Errors
    /// Names the remedy.
    pub(super) fn read(pem: &str, passphrase: Option<&Secret>) -> Result<Self, AssertionError> {
        let block = pem::private_key(pem)?;
        let (label, document) = SecretDocument::from_pem(&block).map_err(|_| NoKey::Damaged)?;
        match label {
            EncryptedPrivateKeyInfo::PEM_LABEL => opened(
                document.as_bytes(),
                passphrase.ok_or(AssertionError::PassphraseMissing)?,
            ),
            PrivateKeyInfo::PEM_LABEL => Self::of_pkcs8(document.as_bytes()),
            "RSA PRIVATE KEY" => Ok(Self::rsa(document.as_bytes())),
            "EC PRIVATE KEY" => Self::elliptic(document.as_bytes()),
            _ => Err(AssertionError::UnknownKind),
        }
    }

    fn of_pkcs8(der: &[u8]) -> Result<Self, AssertionError> {
        let info = PrivateKeyInfo::from_der(der).map_err(|_| NoKey::Damaged)?;
        match info.algorithm.oid {
            RSA => Ok(Self::rsa(info.private_key)),
            EC => Self::elliptic(der),
            ED25519 => Ok(Self {
                key: EncodingKey::from_ed_der(der),
                algorithms: &[Algorithm::EdDSA],
            }),
            _ => Err(AssertionError::UnknownKind),
        }
    }

    fn rsa(pkcs1: &[u8]) -> Self {
        Self {
            key: EncodingKey::from_rsa_der(pkcs1),
            algorithms: OF_RSA,
        }
    }

    /// SEC 1 or PKCS#8; the curve is what fits.
    fn elliptic(der: &[u8]) -> Result<Self, AssertionError> {
        let on = |curve: &'static EcdsaSigningAlgorithm, algorithms| {
            let pair = EcdsaKeyPair::from_private_key_der(curve, der).ok()?;
            Some(Self {
                key: EncodingKey::from_ec_der(pair.to_pkcs8v1().ok()?.as_ref()),
                algorithms,
            })
        };
        on(&ECDSA_P256_SHA256_FIXED_SIGNING, &[Algorithm::ES256])
            .or_else(|| on(&ECDSA_P384_SHA384_FIXED_SIGNING, &[Algorithm::ES384]))
            .ok_or(AssertionError::UnknownKind)
    }
}

fn opened(sealed: &[u8], passphrase: &Secret) -> Result<SigningKey, AssertionError> {
    let sealed = EncryptedPrivateKeyInfo::from_der(sealed).map_err(|_| NoKey::Damaged)?;
    let opened = sealed
        .decrypt(passphrase.expose())
        .map_err(|_| AssertionError::PassphraseWrong)?;
    SigningKey::of_pkcs8(opened.as_bytes())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::signature::ECDSA_P521_SHA512_FIXED_SIGNING;

    use super::super::tests::{pem, private_key};
    use super::*;

    #[test]
    fn the_kind_of_a_key_says_how_it_signs() {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let p384 = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        let sec1 = pem(
            "EC PRIVATE KEY",
            p256.private_key().as_der().unwrap().as_ref(),
        );
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
        let ed25519 = aws_lc_rs::signature::Ed25519KeyPair::generate().unwrap();
        for (pem, expected) in [
            (private_key().expose().to_owned(), Algorithm::RS256),
            (
                pem("PRIVATE KEY", p256.to_pkcs8v1().unwrap().as_ref()),
                Algorithm::ES256,
            ),
            (
                pem("PRIVATE KEY", p384.to_pkcs8v1().unwrap().as_ref()),
                Algorithm::ES384,
            ),
            (sec1.clone(), Algorithm::ES256),
            (format!("{parameters}{sec1}"), Algorithm::ES256),
            (
                pem("PRIVATE KEY", ed25519.to_pkcs8v1().unwrap().as_ref()),
                Algorithm::EdDSA,
            ),
        ] {
            let key = SigningKey::read(&pem, None).unwrap();
            assert_eq!(key.algorithms.first(), Some(&expected));
            let header = jsonwebtoken::Header::new(expected);
            assert!(
                jsonwebtoken::encode(&header, &1, &key.key).is_ok(),
                "{expected:?}"
            );
        }
    }

    #[test]
    fn a_curve_that_no_server_asks_for_is_named() {
        let p521 = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let pem = pem("PRIVATE KEY", p521.to_pkcs8v1().unwrap().as_ref());
        assert_eq!(
            SigningKey::read(&pem, None).err(),
            Some(AssertionError::UnknownKind)
        );
    }
}
