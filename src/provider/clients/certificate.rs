//! The few things that are read out of a certificate (RFC 5280 section 4.1), of whichever version.

use jiff::Timestamp;
use pkcs8::der::asn1::{AnyRef, GeneralizedTime, UtcTime};
use pkcs8::der::{Decode as _, Reader as _, SliceReader};

/// The `SubjectPublicKeyInfo`.
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    let mut fields = fields(certificate)?;
    for _signature_issuer_validity_subject in 0..4 {
        fields.tlv_bytes().ok()?;
    }
    fields.tlv_bytes().ok()
}

/// The last moment at which it is valid.
pub(in crate::provider) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let mut fields = fields(certificate)?;
    for _signature_issuer in 0..2 {
        fields.tlv_bytes().ok()?;
    }
    let mut validity = contents(fields.tlv_bytes().ok()?)?;
    let _not_before = validity.tlv_bytes().ok()?;
    let end = validity.tlv_bytes().ok()?;
    let since_epoch = UtcTime::from_der(end)
        .map(|end| end.to_unix_duration())
        .or_else(|_| GeneralizedTime::from_der(end).map(|end| end.to_unix_duration()));
    let seconds = i64::try_from(since_epoch.ok()?.as_secs()).ok()?;
    Timestamp::from_second(seconds).ok()
}

/// What is behind the serial number.
fn fields(certificate: &[u8]) -> Option<SliceReader<'_>> {
    /// The context's own tag 0, which no serial number has.
    const VERSION: u8 = 0xa0;
    let mut certificate = contents(certificate)?;
    let mut fields = contents(certificate.tlv_bytes().ok()?)?;
    if fields.tlv_bytes().ok()?.first() == Some(&VERSION) {
        let _serial_number = fields.tlv_bytes().ok()?;
    }
    Some(fields)
}

fn contents(der: &[u8]) -> Option<SliceReader<'_>> {
    SliceReader::new(AnyRef::from_der(der).ok()?.value()).ok()
}
