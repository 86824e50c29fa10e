//! Bytes as text: by their byte order mark, by what the header says, or by how they look.

/// How text is written in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    Utf8,
    /// The size of a unit, and whether the first byte is the highest.
    Units {
        size: usize,
        big: bool,
    },
    Latin1,
}

/// The text of a body with this `Content-Type`, without its byte order mark; what is no text is replaced.
pub(super) fn decoded(body: &[u8], content_type: &str) -> String {
    let (charset, mark) = by_mark(body)
        .or_else(|| by_name(body, content_type))
        .unwrap_or((by_look(body), 0));
    let body = body.get(mark..).unwrap_or_default();
    match charset {
        Charset::Utf8 => String::from_utf8_lossy(body).into_owned(),
        Charset::Latin1 => body.iter().map(|byte| char::from(*byte)).collect(),
        Charset::Units { size: 2, big } => {
            let units = units(body, 2, big).filter_map(|unit| u16::try_from(unit).ok());
            char::decode_utf16(units)
                .map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        Charset::Units { size, big } => units(body, size, big)
            .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
    }
}

fn units(body: &[u8], size: usize, big: bool) -> impl Iterator<Item = u32> {
    let add = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
    body.chunks_exact(size).map(move |unit| {
        if big {
            unit.iter().fold(0, add)
        } else {
            unit.iter().rev().fold(0, add)
        }
    })
}

/// The charset, and the length of the mark.
fn by_mark(body: &[u8]) -> Option<(Charset, usize)> {
    match body {
        [0xef, 0xbb, 0xbf, ..] => Some((Charset::Utf8, 3)),
        [0xff, 0xfe, 0, 0, ..] => Some((
            Charset::Units {
                size: 4,
                big: false,
            },
            4,
        )),
        [0, 0, 0xfe, 0xff, ..] => Some((Charset::Units { size: 4, big: true }, 4)),
        [0xff, 0xfe, ..] => Some((
            Charset::Units {
                size: 2,
                big: false,
            },
            2,
        )),
        [0xfe, 0xff, ..] => Some((Charset::Units { size: 2, big: true }, 2)),
        _ => None,
    }
}

/// What the header names. Servers name UTF-16 and send UTF-8, and the other way round: then the bytes are believed.
fn by_name(body: &[u8], content_type: &str) -> Option<(Charset, usize)> {
    let lower = content_type.to_ascii_lowercase();
    let name = lower
        .split("charset")
        .nth(1)?
        .trim_start()
        .strip_prefix('=')?;
    let name = name
        .trim_start_matches([' ', '"', '\''])
        .split([';', '"', '\'', ' ', ','])
        .next()?;
    let is_utf8 = std::str::from_utf8(body).is_ok();
    let wide = |size, big| {
        (by_look(body) == Charset::Utf8 && !is_utf8).then_some((Charset::Units { size, big }, 0))
    };
    match name {
        "utf-16" | "utf-16be" => wide(2, true),
        "utf-16le" | "unicode" => wide(2, false),
        "utf-32" | "utf-32be" => wide(4, true),
        "utf-32le" => wide(4, false),
        "iso-8859-1" | "latin1" | "iso-8859-15" | "windows-1252" | "cp1252" if !is_utf8 => {
            Some((Charset::Latin1, 0))
        }
        _ => None,
    }
}

/// RFC 4627 section 3: text begins with two characters of ASCII, whose other bytes are zero.
fn by_look(body: &[u8]) -> Charset {
    match body {
        [0, 0, 0, 1..=0xff, ..] => Charset::Units { size: 4, big: true },
        [1..=0xff, 0, 0, 0, ..] => Charset::Units {
            size: 4,
            big: false,
        },
        [0, 1..=0xff, 0, 1..=0xff, ..] | [0, 1..=0xff] => Charset::Units { size: 2, big: true },
        [1..=0xff, 0, 1..=0xff, 0, ..] | [1..=0xff, 0] => Charset::Units {
            size: 2,
            big: false,
        },
        _ => Charset::Utf8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_in_its_own_charset_whether_it_says_so_or_not() {
        let text = "naïve: \u{1f511} no";
        let units = |big: bool| -> Vec<u8> {
            text.encode_utf16()
                .flat_map(|unit| {
                    if big {
                        unit.to_be_bytes()
                    } else {
                        unit.to_le_bytes()
                    }
                })
                .collect()
        };
        let marked = |mark: &[u8], body: Vec<u8>| [mark, &body].concat();
        let wide = |big: bool| -> Vec<u8> {
            let bytes = |char| {
                if big {
                    u32::from(char).to_be_bytes()
                } else {
                    u32::from(char).to_le_bytes()
                }
            };
            text.chars().flat_map(bytes).collect()
        };
        for (body, content_type) in [
            (text.as_bytes().to_vec(), "text/plain"),
            (text.as_bytes().to_vec(), "text/plain; charset=utf-16"),
            (text.as_bytes().to_vec(), "text/plain; charset=iso-8859-1"),
            (marked(&[0xef, 0xbb, 0xbf], text.as_bytes().to_vec()), ""),
            (marked(&[0xff, 0xfe], units(false)), "text/plain"),
            (marked(&[0xfe, 0xff], units(true)), "application/json"),
            (units(false), ""),
            (units(true), ""),
            (units(false), "text/plain; charset=\"UTF-16LE\""),
            (marked(&[0xff, 0xfe, 0, 0], wide(false)), ""),
            (wide(true), "text/plain;charset=utf-32"),
        ] {
            assert_eq!(decoded(&body, content_type), text, "{content_type}");
        }
        assert_eq!(
            decoded(b"na\xefve", "text/html; charset=ISO-8859-1"),
            "naïve"
        );
        assert_eq!(decoded(b"na\xefve", "text/html"), "na\u{fffd}ve");
        assert_eq!(decoded(b"", "text/html"), "");
    }
}
