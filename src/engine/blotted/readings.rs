//! All that a text says once it is decoded.

use std::collections::HashSet;

use super::escapes;

/// Escapes of escapes: a proxy, a form and a page each may add theirs to what a server says.
const DEEPEST: usize = 4;
/// The same within base64 or hexadecimal digits.
const DEEPEST_WITHIN: usize = 2;
/// A text that can be read in so many ways is not read to its end.
const MOST_LETTERS: usize = 1 << 18;
/// What is shorter holds no secret of four characters.
const SHORTEST_RUN: usize = 6;

/// One way to read a text.
pub(super) struct Reading {
    pub(super) letters: Vec<Letter>,
    /// Whether characters of the text hold parts of a letter each, as in base64: then the whole run of them goes.
    pub(super) packed: bool,
}

/// A character that was read, and where it is in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) char: char,
    pub(super) from: usize,
    /// Behind its last character.
    pub(super) to: usize,
}

/// `text` as it is, and as what its escapes, its base64 and its hexadecimal digits say; none if that is too much.
pub(super) fn readings(text: &[char]) -> Option<Vec<Reading>> {
    let as_it_is = text
        .iter()
        .enumerate()
        .map(|(at, char)| Letter {
            char: *char,
            from: at,
            to: at + 1,
        })
        .collect();
    let mut found = Found {
        left: MOST_LETTERS,
        seen: HashSet::new(),
        readings: Vec::new(),
    };
    found.add(as_it_is, DEEPEST, false)?;
    for index in 0..found.readings.len() {
        let letters = found
            .readings
            .get(index)
            .map(|reading| reading.letters.clone())
            .unwrap_or_default();
        for packed in (0..4)
            .map(|skipped| base64(&letters, skipped))
            .chain((0..2).map(|skipped| hex(&letters, skipped)))
        {
            found.add(packed, DEEPEST_WITHIN, true)?;
        }
    }
    Some(found.readings)
}

struct Found {
    left: usize,
    seen: HashSet<String>,
    readings: Vec<Reading>,
}

impl Found {
    /// Adds a reading, and what its escapes say, `deeper` times.
    fn add(&mut self, letters: Vec<Letter>, deeper: usize, packed: bool) -> Option<()> {
        let text: String = letters.iter().map(|letter| letter.char).collect();
        if letters.is_empty() || !self.seen.insert(text) {
            return Some(());
        }
        self.left = self.left.checked_sub(letters.len())?;
        if deeper > 0 {
            for decode in escapes::ALL {
                if let Some(decoded) = decode(&letters) {
                    self.add(decoded, deeper - 1, packed)?;
                }
            }
        }
        self.readings.push(Reading { letters, packed });
        Some(())
    }
}

/// What bytes say: UTF-8, or else one character each.
pub(super) fn said(bytes: &[(u8, usize, usize)]) -> Vec<Letter> {
    let plain: Vec<u8> = bytes.iter().map(|(byte, _, _)| *byte).collect();
    let mut letters = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let mut push = |char: char, length: usize| {
        let place = bytes.get(at).zip(bytes.get(at + length - 1));
        letters.extend(place.map(|((_, from, _), (_, _, to))| Letter {
            char,
            from: *from,
            to: *to,
        }));
        at += length;
    };
    for chunk in plain.utf8_chunks() {
        chunk
            .valid()
            .chars()
            .for_each(|char| push(char, char.len_utf8()));
        chunk
            .invalid()
            .iter()
            .for_each(|byte| push(char::from(*byte), 1));
    }
    letters
}

/// Each run of base64, read from its character `skipped` on: RFC 4648 sections 4 and 5, padded or not, on one line or
/// several. What is before it may be glued to it.
fn base64(letters: &[Letter], skipped: usize) -> Vec<Letter> {
    in_runs(
        letters,
        |char| sextet(char).is_some(),
        |run| {
            let mut bytes = Vec::new();
            let (mut bits, mut held, mut since) = (0_u32, 0_u32, 0);
            for letter in run.iter().skip(skipped) {
                if held == 0 {
                    since = letter.from;
                }
                bits = (bits << 6 | sextet(letter.char).unwrap_or_default()) & 0xffff;
                held += 6;
                if held >= 8 {
                    held -= 8;
                    bytes.push((
                        u8::try_from(bits >> held & 0xff).unwrap_or_default(),
                        since,
                        letter.to,
                    ));
                    since = letter.from;
                }
            }
            bytes
        },
    )
}

/// Each run of hexadecimal digits, read from its digit `skipped` on.
fn hex(letters: &[Letter], skipped: usize) -> Vec<Letter> {
    in_runs(
        letters,
        |char| char.is_ascii_hexdigit(),
        |run| {
            let digits: Vec<&Letter> = run.iter().skip(skipped).collect();
            let pairs = digits.chunks_exact(2).filter_map(|pair| {
                let [high, low] = pair else { return None };
                let byte = high.char.to_digit(16)? * 16 + low.char.to_digit(16)?;
                Some((u8::try_from(byte).ok()?, high.from, low.to))
            });
            pairs.collect()
        },
    )
}

/// What `decode` makes of each run of letters that are of it, blanks aside.
fn in_runs(
    letters: &[Letter],
    is_of_it: impl Fn(char) -> bool,
    decode: impl Fn(&[Letter]) -> Vec<(u8, usize, usize)>,
) -> Vec<Letter> {
    let letters: Vec<Letter> = letters
        .iter()
        .filter(|letter| letter.char != ' ')
        .copied()
        .collect();
    let runs = letters
        .split(|letter| !is_of_it(letter.char))
        .filter(|run| run.len() >= SHORTEST_RUN);
    // Of UTF-16 every other byte is none.
    runs.flat_map(|run| said(&decode(run)))
        .filter(|letter| !letter.char.is_control())
        .collect()
}

fn sextet(char: char) -> Option<u32> {
    let code = u32::from(char);
    match char {
        'A'..='Z' => Some(code - u32::from('A')),
        'a'..='z' => Some(code - u32::from('a') + 26),
        '0'..='9' => Some(code - u32::from('0') + 52),
        '+' | '-' => Some(62),
        '/' | '_' => Some(63),
        _ => None,
    }
}
