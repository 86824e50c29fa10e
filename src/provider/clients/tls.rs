//! What a TLS connection trusts, and how it names itself.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{AlertDescription, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::ClientError;
use crate::plain_file;
use crate::provider::settings::HttpSettings;

/// A system's whole list of authorities has less than one.
const LARGEST_MEBIBYTES: u64 = 16;

/// Certificate authorities, shared by all clients that add none.
pub(super) type Roots = Arc<RootCertStore>;

/// The certificate authorities that this machine trusts; what cannot be read is left out.
pub(super) async fn system_roots() -> Roots {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Arc::new(roots)
}

/// No authority at all, for plain http.
pub(super) fn no_roots() -> Roots {
    Arc::new(RootCertStore::empty())
}

/// The TLS settings that `settings` ask for; `https` says whether they will be used at all.
pub(super) async fn config(settings: &HttpSettings, https: bool, roots: Roots) -> Result<ClientConfig, ClientError> {
    let roots = if https { with_own_roots(settings, roots)? } else { roots };
    if https && roots.is_empty() {
        return Err(ClientError::NoRoots);
    }
    let crypto = Arc::new(provider::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&crypto))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    let builder = match settings.pin_sha256.as_ref().filter(|_| https) {
        Some(pin) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned::new(pin, roots, crypto)?)),
        None => builder.with_root_certificates(roots),
    };
    let mut config = match identity(settings).await? {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(ClientError::BadIdentity)?,
        None => builder.with_no_client_auth(),
    };
    // What is offered must be what the client can speak: a server that may choose HTTP/2 does.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn with_own_roots(settings: &HttpSettings, roots: Roots) -> Result<Roots, ClientError> {
    let Some(path) = &settings.ca_file else { return Ok(roots) };
    let own = certificates("ca_file", path)?;
    let mut all = RootCertStore::clone(&roots);
    let (added, _) = all.add_parsable_certificates(own);
    if added == 0 { Err(ClientError::NotPem { key: "ca_file" }) } else { Ok(Arc::new(all)) }
}

async fn identity(
    settings: &HttpSettings,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, ClientError> {
    let Some(path) = &settings.client_cert else { return Ok(None) };
    let chain = certificates("client_cert", path)?;
    let source = settings.client_key.as_ref().ok_or(ClientError::KeyMissing)?;
    let key = source.read().await.map_err(ClientError::Key)?;
    let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes())
        .map_err(|_| ClientError::NotPem { key: "client_key" })?;
    Ok(Some((chain, key)))
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let (pem, _) = plain_file::read(path, LARGEST_MEBIBYTES).map_err(|source| ClientError::Unreadable {
        key,
        path: path.display().to_string(),
        source,
    })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    if certificates.is_empty() { Err(ClientError::NotPem { key }) } else { Ok(certificates) }
}

/// Asks for the pinned key on top of all that is asked anyway.
#[derive(Debug)]
struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    pin: Vec<u8>,
}

impl Pinned {
    fn new(pin: &str, roots: Roots, crypto: Arc<CryptoProvider>) -> Result<Self, ClientError> {
        let usual = WebPkiServerVerifier::builder_with_provider(roots, crypto).build();
        let usual = usual.map_err(|error| ClientError::Tls(error.to_string()))?;
        let pin = STANDARD.decode(pin.trim()).ok().filter(|pin| pin.len() == digest::SHA256_OUTPUT_LEN);
        Ok(Self { usual, pin: pin.ok_or(ClientError::BadPin)? })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        let key = ParsedCertificate::try_from(end_entity)?.subject_public_key_info();
        if digest::digest(&digest::SHA256, &key).as_ref() == self.pin.as_slice() {
            return Ok(verified);
        }
        Err(rustls::Error::General("the server's key is not the one that pin_sha256 names".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether the server turned our certificate down: under TLS 1.3 that shows only after the handshake, and so counts as
/// no failure to connect, though the request was never looked at.
pub(in crate::provider) fn is_certificate_refusal(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref().or_else(|| wrapped.and_then(|inner| inner.downcast_ref()));
        if let Some(rustls::Error::AlertReceived(alert)) = tls {
            return is_about_certificates(*alert);
        }
        next = error.source();
    }
    false
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    [
        AlertDescription::CertificateRequired,
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
    ]
    .contains(&alert)
}
