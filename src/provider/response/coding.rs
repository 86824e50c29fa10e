//! Bodies that a server has compressed though it was asked not to.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use zeroize::Zeroizing;

/// How gzip begins (RFC 1952 section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The body before gzip or deflate (RFC 9110 section 8.4.1), where it was compressed by them and is no longer than `longest`.
///
/// What begins as gzip does is gzip, whatever `coding` names: a proxy may have lost the header, and no text begins so. Of
/// deflate, both forms are in use: with the frame of zlib and without.
pub(in crate::provider) fn inflated(
    body: &[u8],
    coding: &str,
    longest: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    if body.starts_with(&GZIP) {
        return read(MultiGzDecoder::new(body), longest);
    }
    let is_deflate = coding.trim().eq_ignore_ascii_case("deflate");
    let read = || {
        read(ZlibDecoder::new(body), longest).or_else(|| read(DeflateDecoder::new(body), longest))
    };
    is_deflate.then(read).flatten()
}

fn read(decoder: impl Read, longest: usize) -> Option<Zeroizing<Vec<u8>>> {
    let limit = u64::try_from(longest).ok()?.saturating_add(1);
    let mut plain = Zeroizing::new(Vec::new());
    decoder.take(limit).read_to_end(&mut plain).ok()?;
    (plain.len() <= longest).then_some(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_gzip_and_deflate_is_read_and_nothing_else_is_taken_for_one() {
        let text = br#"{"access_token":"a"}"#;
        for (body, coding, expected) in [
            (gzip(text), "gzip", true),
            (gzip(text), "x-gzip", true),
            (gzip(text), "", true),
            (zlib(text), "deflate", true),
            (deflate(text), "Deflate ", true),
            (zlib(text), "", false),
            (text.to_vec(), "gzip", false),
            (text.to_vec(), "deflate", false),
            (text.to_vec(), "", false),
            (gzip(text)[..20].to_vec(), "gzip", false),
            (vec![0x1f, 0x8b], "gzip", false),
        ] {
            let plain = inflated(&body, coding, 1024);
            assert_eq!(
                plain.as_deref().map(Vec::as_slice),
                expected.then_some(text.as_slice()),
                "{coding:?} {body:?}"
            );
        }
    }

    #[test]
    fn what_grows_beyond_any_answer_is_not_read() {
        let bomb = gzip(&vec![b' '; 64 * 1024]);
        assert!(bomb.len() < 1024);
        assert_eq!(inflated(&bomb, "gzip", 64 * 1024 - 1), None);
        assert!(inflated(&bomb, "gzip", 64 * 1024).is_some());
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(begin in prop::sample::select(vec![&[][..], &GZIP, &[0x78, 0x9c]]), rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let body = [begin, &rest].concat();
            let _ = inflated(&body, "deflate", 4096);
        }
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }
}
