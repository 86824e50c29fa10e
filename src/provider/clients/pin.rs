//! A server that is known by its key alone, whatever its certificate says and whichever authority signed it.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RsaParameters, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use webpki::RawPublicKeyEntity;

use super::certificate::public_key;

/// SHA-256 of a server's public key (RFC 7469 section 2.4), or of its whole certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pin([u8; digest::SHA256_OUTPUT_LEN]);

/// As `openssl` and base64 write it.
impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl Pin {
    /// Reads base64, as RFC 7469 has it and curl with `sha256//` before it; or hexadecimal digits, with colons or without,
    /// as browsers show a certificate's fingerprint.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bare = ["sha256//", "sha256/"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        let digest = STANDARD
            .decode(bare)
            .ok()
            .filter(|digest| digest.len() == digest::SHA256_OUTPUT_LEN);
        digest
            .or_else(|| hexadecimal(bare))?
            .try_into()
            .ok()
            .map(Self)
    }

    /// Of the key in this certificate; none where no key can be found in it.
    pub(super) fn of_key(certificate: &CertificateDer<'_>) -> Option<Self> {
        public_key(certificate).map(Self::of)
    }

    fn of(bytes: &[u8]) -> Self {
        let mut own = [0; digest::SHA256_OUTPUT_LEN];
        own.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(own)
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<char> = text.chars().filter(|char| *char != ':').collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).ok());
    let whole =
        digits.len() == 2 * digest::SHA256_OUTPUT_LEN && digits.iter().all(char::is_ascii_hexdigit);
    pairs.collect::<Option<Vec<u8>>>().filter(|_| whole)
}

/// Takes the server whose key or certificate the pin names, and no other.
#[derive(Debug)]
pub(super) struct PinnedVerifier {
    pin: Pin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedVerifier {
    pub(super) fn new(pin: Pin, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { pin, algorithms }
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = Pin::of_key(end_entity).ok_or(CertificateError::BadEncoding)?;
        if key == self.pin || Pin::of(end_entity) == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let what = format!(
            "the server's key is not the one that pin_sha256 names: it has the pin {key}; write that if the server was \
             given a new key, and only then"
        );
        Err(rustls::Error::General(what))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        if self.is_signed(key, message, signature)
            || is_signed_by_short_key(key, message, signature)
        {
            return Ok(HandshakeSignatureValid::assertion());
        }
        Err(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        verify_tls13_signature_with_raw_key(
            message,
            &SubjectPublicKeyInfoDer::from(key),
            signature,
            &self.algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl PinnedVerifier {
    fn is_signed(&self, key: &[u8], message: &[u8], signature: &DigitallySignedStruct) -> bool {
        let key = SubjectPublicKeyInfoDer::from(key);
        let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
            return false;
        };
        let schemes = self
            .algorithms
            .mapping
            .iter()
            .filter(|(scheme, _)| *scheme == signature.scheme);
        let mut algorithms = schemes.flat_map(|(_, algorithms)| algorithms.iter());
        algorithms.any(|algorithm| {
            key.verify_signature(*algorithm, message, signature.signature())
                .is_ok()
        })
    }
}

/// Controllers were delivered with RSA keys of 1024 bits, which no authority signs any more; a pin names just this one.
fn is_signed_by_short_key(key: &[u8], message: &[u8], signature: &DigitallySignedStruct) -> bool {
    let known: [(SignatureScheme, &'static RsaParameters); 2] = [
        (
            SignatureScheme::RSA_PKCS1_SHA256,
            &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        ),
        (
            SignatureScheme::RSA_PKCS1_SHA512,
            &RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        ),
    ];
    let Some((_, parameters)) = known
        .into_iter()
        .find(|(scheme, _)| *scheme == signature.scheme)
    else {
        return false;
    };
    UnparsedPublicKey::new(parameters, key)
        .verify(message, signature.signature())
        .is_ok()
}
