//! Requests' heads as they came over the wire: what the HTTP library sets right before it hands a request on, two programs on
//! the way could read in two ways, so it is looked at here first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// As much as the library reads of a head.
const LONGEST_HEAD: usize = 64 * 1024;

/// Whether all heads of a connection have one reading so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Soundness(Arc<AtomicBool>);

impl Soundness {
    pub(super) fn holds(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }

    fn is_lost(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Reads the heads in a connection's bytes, as strictly as RFC 9112 allows.
#[derive(Debug, Default)]
pub(super) struct Heads {
    soundness: Soundness,
    part: Part,
    head: Vec<u8>,
}

/// Where in the connection's bytes the next one lies.
#[derive(Debug, Default)]
enum Part {
    #[default]
    Head,
    /// In a body of which so many bytes are left.
    Body(u64),
    /// In a body that says its end itself, the last of its connection, or behind something that is no request.
    Rest,
}

impl Heads {
    pub(super) fn soundness(&self) -> Soundness {
        self.soundness.clone()
    }

    /// Takes in what was read.
    pub(super) fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.part {
                Part::Rest => return,
                Part::Body(left) => {
                    let taken = bytes
                        .len()
                        .min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.part = Part::Head;
                    }
                    bytes = bytes.get(taken..).unwrap_or_default();
                }
                Part::Head => {
                    let Some((byte, rest)) = bytes.split_first() else {
                        return;
                    };
                    bytes = rest;
                    self.see_of_head(*byte);
                }
            }
        }
    }

    fn see_of_head(&mut self, byte: u8) {
        // Blank lines before a request are passed over (RFC 9112 section 2.2).
        if self.head.is_empty() && matches!(byte, b'\r' | b'\n') {
            return;
        }
        self.head.push(byte);
        if self.head.ends_with(b"\r\n\r\n")
            || self.head.ends_with(b"\n\n")
            || self.head.ends_with(b"\n\r\n")
        {
            let head = std::mem::take(&mut self.head);
            self.part = body_of(&head).unwrap_or_else(|| {
                self.soundness.is_lost();
                Part::Rest
            });
        } else if self.head.len() > LONGEST_HEAD {
            self.soundness.is_lost();
            self.part = Part::Rest;
        }
    }
}

/// What follows a head; none where the head has no single reading.
fn body_of(head: &[u8]) -> Option<Part> {
    let mut lengths = Vec::new();
    let mut codings = 0_usize;
    for line in head.split(|byte| *byte == b'\n') {
        if line.is_empty() {
            continue;
        }
        let line = line.strip_suffix(b"\r")?;
        if line.iter().any(|byte| matches!(byte, b'\r' | 0))
            || line.starts_with(b" ")
            || line.starts_with(b"\t")
        {
            return None;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths.push(value.trim_ascii());
        }
        codings += usize::from(name.eq_ignore_ascii_case(b"transfer-encoding"));
    }
    match (lengths.as_slice(), codings) {
        ([], 0) => Some(Part::Head),
        ([], 1) => Some(Part::Rest),
        ([length], 0) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let length: u64 = std::str::from_utf8(length).ok()?.parse().ok()?;
            Some(if length == 0 {
                Part::Head
            } else {
                Part::Body(length)
            })
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_head_with_two_readings_is_known_however_its_bytes_come() {
        const GOOD: &str =
            "POST /a HTTP/1.1\r\nHost: crm\r\nContent-Length: 20\r\n\r\nGET / HTTP/1.1\r\n\r\nab";
        for (bytes, expected) in [
            ("GET / HTTP/1.1\r\nHost: crm\r\n\r\n".to_owned(), true),
            (
                "\r\n\r\nGET / HTTP/1.1\r\nHost: crm\r\n\r\n".to_owned(),
                true,
            ),
            (format!("{GOOD}{GOOD}"), true),
            (
                format!(
                    "{GOOD}GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                ),
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
                    .to_owned(),
                true,
            ),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 3\r\n\r\n"
                    .to_owned(),
                false,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n".to_owned(),
                false,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\n".to_owned(),
                false,
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\n".to_owned(),
                false,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n"
                    .to_owned(),
                false,
            ),
            ("GET / HTTP/1.1\nHost: crm\n\n".to_owned(), false),
            ("GET / HTTP/1.1\r\nHost: crm\n\r\n".to_owned(), false),
            ("GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n".to_owned(), false),
            ("GET / HTTP/1.1\r\nX: a\rb\r\n\r\n".to_owned(), false),
            ("GET / HTTP/1.1\r\nX: a\0b\r\n\r\n".to_owned(), false),
            ("x".repeat(LONGEST_HEAD + 2), false),
        ] {
            for size in [1, 7, bytes.len()] {
                let mut heads = Heads::default();
                for part in bytes.as_bytes().chunks(size) {
                    heads.see(part);
                }
                assert_eq!(
                    heads.soundness().holds(),
                    expected,
                    "by {size}: {}",
                    &bytes[..bytes.len().min(200)]
                );
            }
        }
    }

    proptest! {
        #[test]
        fn however_the_bytes_come_the_judgement_is_the_same_and_nothing_panics(
            bytes in r"((GET|POST) /a HTTP/1\.1\r\n)?(Content-Length: [0-9+]{0,4}\r?\n|Transfer-Encoding: chunked\r\n|[ \tA-Za-z:]{0,9}\r\n){0,4}(\r\n)?[\x00-\x7f]{0,40}",
            size in 1_usize..50,
        ) {
            let judged = |size: usize| {
                let mut heads = Heads::default();
                bytes.as_bytes().chunks(size).for_each(|part| heads.see(part));
                heads.soundness().holds()
            };
            prop_assert_eq!(judged(size), judged(bytes.len().max(1)));
        }
    }
}
