//! What a TLS connection trusts, and how it names itself.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs as provider};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, OtherError,
    RootCertStore, SignatureScheme,
};

use super::ClientError;
use super::pin::{Pin, PinnedVerifier};
use crate::plain_file;
use crate::provider::pem;
use crate::provider::settings::HttpSettings;
use crate::strangers::Trusted;

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
pub(super) async fn config(
    settings: &HttpSettings,
    https: bool,
    roots: Roots,
) -> Result<ClientConfig, ClientError> {
    let crypto = Arc::new(provider::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&crypto))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls(error.to_string()))?;
    let builder = if https {
        builder
            .dangerous()
            .with_custom_certificate_verifier(verifier(settings, roots, crypto)?)
    } else {
        builder.with_root_certificates(roots)
    };
    let mut config = match identity(settings).await? {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(ClientError::BadIdentity)?,
        None => builder.with_no_client_auth(),
    };
    // What is offered must be what the client can speak: a server that may choose HTTP/2 does.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// A pinned key has been seen by the person who pinned it: no authority need vouch for it.
fn verifier(
    settings: &HttpSettings,
    roots: Roots,
    crypto: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ClientError> {
    let own = own_authorities(settings)?;
    if let Some(pin) = settings.pin_sha256 {
        return Ok(Arc::new(PinnedVerifier::new(
            pin,
            crypto.signature_verification_algorithms,
        )));
    }
    let roots = if own.is_empty() {
        roots
    } else {
        with_own(&own, &roots)?
    };
    if roots.is_empty() {
        return Err(ClientError::NoRoots);
    }
    Ok(Arc::new(Verifier::new(roots, own, crypto)?))
}

fn own_authorities(settings: &HttpSettings) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    settings
        .ca_file
        .as_ref()
        .map_or_else(|| Ok(Vec::new()), |path| certificates("ca_file", path))
}

fn with_own(own: &[CertificateDer<'static>], roots: &Roots) -> Result<Roots, ClientError> {
    let mut all = RootCertStore::clone(roots);
    let (added, _) = all.add_parsable_certificates(own.iter().cloned());
    if added == 0 {
        Err(ClientError::NoAuthority)
    } else {
        Ok(Arc::new(all))
    }
}

async fn identity(
    settings: &HttpSettings,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, ClientError> {
    let Some(path) = &settings.client_cert else {
        return Ok(None);
    };
    let chain = certificates("client_cert", path)?;
    let source = settings
        .client_key
        .as_ref()
        .ok_or(ClientError::KeyMissing)?;
    let key = source.read().await.map_err(ClientError::Key)?;
    let key = pem::private_key(key.expose()).map_err(ClientError::NoKey)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| ClientError::NotPem { key: "client_key" })?;
    Ok(Some((chain, key)))
}

fn certificates(
    key: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let read = plain_file::read_trusted(path, LARGEST_MEBIBYTES, &Trusted::of_this_process());
    let pem = read.map_err(|source| ClientError::Unreadable {
        key,
        path: path.display().to_string(),
        source,
    })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .filter_map(Result::ok)
        .collect();
    if certificates.is_empty() {
        Err(ClientError::NotPem { key })
    } else {
        Ok(certificates)
    }
}

/// Takes a certificate that `ca_file` holds to the letter although it is an authority's: `openssl req -x509` makes servers'
/// certificates that sign themselves so.
#[derive(Debug)]
struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(
        roots: Roots,
        own: Vec<CertificateDer<'static>>,
        crypto: Arc<CryptoProvider>,
    ) -> Result<Self, ClientError> {
        let usual = WebPkiServerVerifier::builder_with_provider(roots, crypto).build();
        let usual = usual.map_err(|error| ClientError::Tls(error.to_string()))?;
        Ok(Self { usual, own })
    }

    /// A certificate whose dates are in order, which webpki looks at first, and which is an authority's.
    fn verify_own(
        &self,
        end_entity: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.own.iter().any(|own| own == end_entity) {
            let what = "the server's certificate is self-signed, and this machine does not trust it; put it into ca_file if it is the right certificate";
            return Err(rustls::Error::General(what.to_owned()));
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }
}

/// A controller's own certificate can be trusted in no other way.
fn with_a_way_out(error: rustls::Error, certificate: &CertificateDer<'_>) -> rustls::Error {
    match Pin::of_key(certificate) {
        Some(pin) => {
            let way = format!(
                "if it is the right server, its key alone can be trusted: http.pin_sha256 = \"{pin}\""
            );
            rustls::Error::General(format!("{}; {way}", in_words(error)))
        }
        None => error,
    }
}

/// What is wrong with a certificate, and what to do.
fn in_words(error: rustls::Error) -> String {
    if let rustls::Error::General(what) = error {
        return what;
    }
    if let rustls::Error::InvalidCertificate(fault) = &error
        && let Some(words) = fault_in_words(fault)
    {
        return words;
    }
    error.to_string()
}

/// The library counts seconds since 1970.
fn fault_in_words(fault: &CertificateError) -> Option<String> {
    if let CertificateError::ExpiredContext { time, not_after } = fault {
        return Some(format!(
            "the server's certificate expired on {}, and this machine's clock says {}; renew the certificate at the server, or set the clock (`timedatectl set-ntp true`)",
            day(*not_after),
            day(*time)
        ));
    }
    if let CertificateError::NotValidYetContext { time, not_before } = fault {
        return Some(format!(
            "the server's certificate is not valid yet: it begins on {}, and this machine's clock says {}; set the clock (`timedatectl set-ntp true`), or wait",
            day(*not_before),
            day(*time)
        ));
    }
    if let CertificateError::NotValidForNameContext {
        expected,
        presented,
    } = fault
    {
        return Some(format!(
            "the server's certificate is not valid for name {}, {}; write a name that it has into the config, or correct the certificate at the server",
            expected.to_str(),
            names(presented)
        ));
    }
    (*fault == CertificateError::UnknownIssuer).then(|| {
        "the server's certificate is signed by an authority that this machine does not trust (UnknownIssuer); name the authority's certificate in ca_file"
            .to_owned()
    })
}

fn day(moment: UnixTime) -> String {
    i64::try_from(moment.as_secs())
        .ok()
        .and_then(|second| Timestamp::from_second(second).ok())
        .map_or_else(String::new, |moment| moment.strftime("%F").to_string())
}

/// So many names of a certificate are told.
const MOST_NAMES: usize = 5;

/// The library writes `DnsName("acme.example")`.
fn names(presented: &[String]) -> String {
    let names: Vec<&str> = presented
        .iter()
        .map(|name| name.split('"').nth(1).unwrap_or(name))
        .collect();
    match names.as_slice() {
        [] => "nor for any other".to_owned(),
        few if few.len() <= MOST_NAMES => format!("only for {}", few.join(", ")),
        many => {
            let first: Vec<&str> = many.iter().take(MOST_NAMES).copied().collect();
            let rest = many.len() - MOST_NAMES;
            format!("only for {} and {rest} more", first.join(", "))
        }
    }
}

fn is_of_an_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error
    else {
        return false;
    };
    cause.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let usual = self.usual.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        let verified = match usual {
            Err(error) if is_of_an_authority(&error) => self.verify_own(end_entity, server_name),
            usual => usual,
        };
        verified.map_err(|error| with_a_way_out(error, end_entity))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Whether the server turned our certificate down: under TLS 1.3 that shows only after the handshake, and so counts as
/// no failure to connect, though the request was never looked at.
pub(in crate::provider) fn is_certificate_refusal(error: &(dyn Error + 'static)) -> bool {
    matches!(tls_error(error), Some(rustls::Error::AlertReceived(alert)) if is_about_certificates(*alert))
}

/// What TLS itself says, where it is the cause.
pub(in crate::provider) fn tls_error<'e>(
    error: &'e (dyn Error + 'static),
) -> Option<&'e rustls::Error> {
    std::iter::successors(Some(error), |error| (*error).source())
        .find_map(|error| unwrapped(error).downcast_ref())
}

/// An error of the system may be one of another kind in a wrapping, or in two, and its source is what is behind that one.
fn unwrapped<'e>(mut error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    while let Some(inner) = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
    {
        error = inner;
    }
    error
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// As `openssl req -x509` makes it for a server: for acme.example, from November 2026 for a hundred years.
    const AUTHORITY: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBnTCCAUSgAwIBAgIUT5fdUA5QBfGx1bZrFPKoePx07GkwCgYIKoZIzj0EAwIw\n\
FzEVMBMGA1UEAwwMYWNtZS5leGFtcGxlMCAXDTI2MTEyMTE5MzA0NloYDzIxMjYx\n\
MDI4MTkzMDQ2WjAXMRUwEwYDVQQDDAxhY21lLmV4YW1wbGUwWTATBgcqhkjOPQIB\n\
BggqhkjOPQMBBwNCAASJdFHh8HOGEZ/Z0e+kfnniDbRVw9lcx38NhTQPcK1dzMhp\n\
KBBuKngdmofpXEN8aMHg8Uu5IKkNYW2NfMHjaT5/o2wwajAdBgNVHQ4EFgQUjKbJ\n\
eW1ZWM/4+FBGDsVAaPt64iEwHwYDVR0jBBgwFoAUjKbJeW1ZWM/4+FBGDsVAaPt6\n\
4iEwDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggxhY21lLmV4YW1wbGUwCgYI\n\
KoZIzj0EAwIDRwAwRAIgINN1Wb/f2QvCO4VXX1uBSuuf9fVGG0gex7mJD1ehnLUC\n\
IDKUbiQskKMXzoMPusyO8kd5Q5BpSYgw3URg9U4IwbBH\n\
-----END CERTIFICATE-----";
    /// The same with `CA:FALSE`.
    const LEAF: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBmzCCAUGgAwIBAgIUKHUoxcRi152qmKwRhRpIy06Y30wwCgYIKoZIzj0EAwIw\n\
FzEVMBMGA1UEAwwMYWNtZS5leGFtcGxlMCAXDTI2MTEyMTE5MzA0NloYDzIxMjYx\n\
MDI4MTkzMDQ2WjAXMRUwEwYDVQQDDAxhY21lLmV4YW1wbGUwWTATBgcqhkjOPQIB\n\
BggqhkjOPQMBBwNCAAQhW2ZTD7AkxBNJbFeslRM2CTlnYnewZKjMdeM/q3o9WwGY\n\
IFZa7W2Z6l0X8mHZwDCVF9X55ocdSdhYH/6Q+/y6o2kwZzAdBgNVHQ4EFgQUxmpG\n\
2qIGpqMK1yarAUnK5SMTTHUwHwYDVR0jBBgwFoAUxmpG2qIGpqMK1yarAUnK5SMT\n\
THUwFwYDVR0RBBAwDoIMYWNtZS5leGFtcGxlMAwGA1UdEwEB/wQCMAAwCgYIKoZI\n\
zj0EAwIDSAAwRQIhAPQ9vZNCikQgJBam5wrlWm+aksLaetU62eaF6SapI8YAAiA3\n\
Ffz24YNdUY1B/ayOFesTi07nycUPrOQ+60YW5m2+BQ==\n\
-----END CERTIFICATE-----";
    /// Of the key of `AUTHORITY`.
    const PIN: &str = "QIQ+8z/r7aG208U83iJqx3gl1nXG+X+PqKQqfUHfIio=";
    const IN_TIME: u64 = 1_800_000_000;

    #[test]
    fn a_certificate_that_signs_itself_is_taken_where_ca_file_holds_it_for_its_name_and_in_its_time()
     {
        for (own, shown, name, seconds, expected) in [
            (AUTHORITY, AUTHORITY, "acme.example", IN_TIME, Ok(())),
            (LEAF, LEAF, "acme.example", IN_TIME, Ok(())),
            (
                LEAF,
                AUTHORITY,
                "acme.example",
                IN_TIME,
                Err("put it into ca_file"),
            ),
            (LEAF, AUTHORITY, "acme.example", IN_TIME, Err(PIN)),
            (
                AUTHORITY,
                LEAF,
                "acme.example",
                IN_TIME,
                Err("BadSignature"),
            ),
            (
                AUTHORITY,
                AUTHORITY,
                "other.example",
                IN_TIME,
                Err("not valid for name"),
            ),
            (
                AUTHORITY,
                AUTHORITY,
                "acme.example",
                1,
                Err("not valid yet"),
            ),
            (
                AUTHORITY,
                AUTHORITY,
                "acme.example",
                9_999_999_999,
                Err("expired"),
            ),
        ] {
            let found = verified(own, shown, name, seconds);
            match expected {
                Ok(()) => assert_eq!(found, Ok(()), "{name} {seconds}"),
                Err(what) => assert!(
                    found.as_ref().is_err_and(|error| error.contains(what)),
                    "{what}: {found:?}"
                ),
            }
        }
    }

    #[test]
    fn a_pinned_key_is_taken_whatever_name_time_and_authority_and_another_is_named() {
        let leaf = certificate(LEAF);
        let whole = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &leaf);
        let fingerprint: Vec<String> = whole
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect();
        let curl = format!("sha256//{PIN}");
        for (pin, shown, expected) in [
            (PIN, AUTHORITY, Ok(())),
            (curl.as_str(), AUTHORITY, Ok(())),
            (PIN, LEAF, Err(Pin::of_key(&leaf).unwrap().to_string())),
            (fingerprint.join(":").as_str(), LEAF, Ok(())),
            (fingerprint.concat().to_lowercase().as_str(), LEAF, Ok(())),
            (
                fingerprint.concat().as_str(),
                AUTHORITY,
                Err(PIN.to_owned()),
            ),
        ] {
            let algorithms = provider::default_provider().signature_verification_algorithms;
            let verifier = PinnedVerifier::new(Pin::parse(pin).unwrap(), algorithms);
            let (name, now) = (
                ServerName::try_from("10.0.0.1").unwrap(),
                UnixTime::since_unix_epoch(Duration::ZERO),
            );
            let found = verifier.verify_server_cert(&certificate(shown), &[], &name, &[], now);
            match expected {
                Ok(()) => assert!(found.is_ok(), "{pin}: {found:?}"),
                Err(pin) => assert!(found.unwrap_err().to_string().contains(&pin), "{pin}"),
            }
        }
        for no_pin in [
            "",
            "abc",
            "QIQ+8z/r7aG208U83iJqx3gl1nXG+X+PqKQqfUHfIi=",
            "+1+1",
            &"AB:".repeat(31),
            &"é".repeat(32),
        ] {
            assert_eq!(Pin::parse(no_pin), None, "{no_pin}");
        }
    }

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    fn verified(own: &str, shown: &str, name: &str, seconds: u64) -> Result<(), String> {
        let own = vec![certificate(own)];
        let roots = with_own(&own, &no_roots()).unwrap();
        let verifier = Verifier::new(roots, own, Arc::new(provider::default_provider())).unwrap();
        let (name, now) = (
            ServerName::try_from(name).unwrap(),
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
        );
        let outcome = verifier.verify_server_cert(&certificate(shown), &[], &name, &[], now);
        outcome.map(|_| ()).map_err(|error| error.to_string())
    }
}
