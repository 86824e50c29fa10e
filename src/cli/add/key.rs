//! A new key, and a certificate that says whose it is: signed by itself, as servers take it that are told of a client's key.

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use pkcs8::der::pem::{LineEnding, encode_string};
use zeroize::Zeroizing;

/// A private key and its certificate, both in PEM.
pub(super) struct Pair {
    pub(super) private_key: Zeroizing<String>,
    pub(super) certificate: String,
}

/// Nobody renews it in time who is not told to, and the key is what is trusted.
const YEARS: i64 = 10;

/// sha256WithRSAEncryption and no parameters (RFC 4055 section 5), as DER.
const SIGNED_BY: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
];

/// id-at-commonName (RFC 5280 appendix A.1), as DER.
const COMMON_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x04, 0x03];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// Makes both; `name` is what the certificate is called, 64 characters at most.
pub(super) fn make(name: &str, now: Timestamp) -> Result<Pair, Unspecified> {
    let key = KeyPair::generate(KeySize::Rsa2048)?;
    let public: PublicKeyX509Der<'_> = key.public_key().as_der()?;
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial)?;
    // Positive, and as long as it looks.
    serial[0] = serial[0] & 0x3f | 0x40;
    let subject = name_of(name);
    let body = element(
        SEQUENCE,
        &[
            &element(VERSION, &[&element(INTEGER, &[&[2]])]),
            &element(INTEGER, &[&serial]),
            SIGNED_BY,
            &subject,
            &element(SEQUENCE, &[&moment(now, 0), &moment(now, YEARS)]),
            &subject,
            public.as_ref(),
        ],
    );
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        &body,
        &mut signature,
    )?;
    let whole = element(
        SEQUENCE,
        &[&body, SIGNED_BY, &element(BIT_STRING, &[&[0], &signature])],
    );
    let private: Pkcs8V1Der<'_> = key.as_der()?;
    let pem = |label: &'static str, der: &[u8]| {
        encode_string(label, LineEnding::LF, der).map_err(|_| Unspecified)
    };
    Ok(Pair {
        private_key: Zeroizing::new(pem("PRIVATE KEY", private.as_ref())?),
        certificate: pem("CERTIFICATE", &whole)?,
    })
}

/// One relative name: CN=…
fn name_of(name: &str) -> Vec<u8> {
    let pair = element(
        SEQUENCE,
        &[COMMON_NAME, &element(UTF8_STRING, &[name.as_bytes()])],
    );
    element(SEQUENCE, &[&element(SET, &[&pair])])
}

/// So many years after `now`; two digits of the year until 2049 (RFC 5280 section 4.1.2.5).
fn moment(now: Timestamp, years: i64) -> Vec<u8> {
    let now = now.to_zoned(TimeZone::UTC);
    let then = now.checked_add(years.years()).unwrap_or(now);
    if then.year() < 2050 {
        element(
            UTC_TIME,
            &[then.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()],
        )
    } else {
        element(
            GENERALIZED_TIME,
            &[then.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()],
        )
    }
}

/// Tag, length and content (X.690 section 8.1).
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut whole = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => whole.push(short),
        Ok(_) | Err(_) => {
            whole.push(0x80 | u8::try_from(significant.len()).unwrap_or(0x7f));
            whole.extend_from_slice(&significant);
        }
    }
    for part in parts {
        whole.extend_from_slice(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_certificate_fit_together_and_can_sign() {
        for now in ["2026-11-30T12:00:00Z", "2045-02-28T00:00:00Z"] {
            let pair = make("keepfresh crm", now.parse().unwrap()).unwrap();
            assert!(crate::provider::private_key(&pair.private_key).is_ok());
            assert!(
                pair.certificate
                    .starts_with("-----BEGIN CERTIFICATE-----\n")
            );
            assert!(pair.certificate.ends_with("-----END CERTIFICATE-----\n"));
        }
    }

    #[test]
    fn lengths_are_as_short_as_they_can_be() {
        for (length, head) in [
            (0, vec![4, 0]),
            (127, vec![4, 127]),
            (128, vec![4, 0x81, 128]),
            (300, vec![4, 0x82, 1, 44]),
        ] {
            let made = element(4, &[&vec![7; length]]);
            assert_eq!(
                (&made[..head.len()], made.len()),
                (&head[..], head.len() + length)
            );
        }
    }
}
