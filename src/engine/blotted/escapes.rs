//! The escapes of addresses, forms, JSON, programming languages and HTML.

use super::readings::{Letter, said};

/// What `letters` say without the escapes of one kind; none if there are none.
type Decode = fn(&[Letter]) -> Option<Vec<Letter>>;

/// Each by itself: what looks like an escape of one kind may be written in another.
pub(super) const ALL: [Decode; 4] = [percent, form, backslash, entities];

/// Names of HTML's entities for ASCII characters that are no letters, as the standard's list has them; of `lt` and the like
/// the older ones need no semicolon.
const OLD: [(&str, char); 6] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("nbsp", ' '),
    ("shy", '\u{ad}'),
];
const NAMED: [(&str, char); 38] = [
    ("apos", '\''),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("DiacriticalGrave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("vert", '|'),
    ("VerticalLine", '|'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("Tab", ' '),
    ("NewLine", ' '),
    ("ZeroWidthSpace", '\u{200b}'),
];
const LONGEST_NAME: usize = 16;

/// RFC 3986 section 2.1; `%u0068` as older servers write it.
fn percent(letters: &[Letter]) -> Option<Vec<Letter>> {
    decoded(letters, |rest| match rest {
        ['%', 'u' | 'U', digits @ ..] => Some((Piece::Unit(hex(digits, 4)?), 6)),
        ['%', digits @ ..] => Some((Piece::Byte(u8::try_from(hex(digits, 2)?).ok()?), 3)),
        _ => None,
    })
}

/// A plus may stand for a space (application/x-www-form-urlencoded).
fn form(letters: &[Letter]) -> Option<Vec<Letter>> {
    decoded(letters, |rest| {
        rest.starts_with(&['+']).then_some((Piece::Char(' '), 1))
    })
}

/// RFC 8259 section 7, and what C, Python and JavaScript write besides.
fn backslash(letters: &[Letter]) -> Option<Vec<Letter>> {
    decoded(letters, |rest| match rest {
        ['\\', 'u', '{', digits @ ..] => {
            let length = digits
                .iter()
                .position(|char| *char == '}')
                .filter(|length| *length <= 8)?;
            Some((Piece::Unit(hex(digits, length)?), length + 4))
        }
        ['\\', 'u', digits @ ..] => Some((Piece::Unit(hex(digits, 4)?), 6)),
        ['\\', 'U', digits @ ..] => Some((Piece::Unit(hex(digits, 8)?), 10)),
        ['\\', 'x' | 'X', digits @ ..] => {
            Some((Piece::Byte(u8::try_from(hex(digits, 2)?).ok()?), 4))
        }
        [
            '\\',
            high @ '0'..='3',
            middle @ '0'..='7',
            low @ '0'..='7',
            ..,
        ] => {
            let value = [high, middle, low]
                .iter()
                .try_fold(0, |sum, digit| Some(sum * 8 + digit.to_digit(8)?))?;
            Some((Piece::Byte(u8::try_from(value).ok()?), 4))
        }
        ['\\', 'n' | 'r' | 't' | 'b' | 'f' | 'v' | 'a' | '0', ..] => Some((Piece::Char(' '), 2)),
        ['\\', char, ..] => Some((Piece::Char(*char), 2)),
        _ => None,
    })
}

/// HTML's and XML's references, by number or name.
fn entities(letters: &[Letter]) -> Option<Vec<Letter>> {
    decoded(letters, |rest| {
        let (length, piece) = match rest {
            ['&', '#', 'x' | 'X', digits @ ..] => {
                numbered(digits, 16).map(|(length, code)| (length + 3, code))?
            }
            ['&', '#', digits @ ..] => {
                numbered(digits, 10).map(|(length, code)| (length + 2, code))?
            }
            ['&', name @ ..] => return named(name),
            _ => return None,
        };
        let ended = usize::from(rest.get(length) == Some(&';'));
        Some((piece, length + ended))
    })
}

fn numbered(digits: &[char], radix: u32) -> Option<(usize, Piece)> {
    let length = digits
        .iter()
        .take_while(|digit| digit.is_digit(radix))
        .count();
    let value = digits
        .iter()
        .take(length)
        .filter_map(|digit| digit.to_digit(radix));
    let code = value.fold(0_u32, |sum, digit| {
        sum.saturating_mul(radix).saturating_add(digit)
    });
    (length > 0).then_some((length, Piece::Unit(code)))
}

fn named(rest: &[char]) -> Option<(Piece, usize)> {
    let name: String = rest
        .iter()
        .take(LONGEST_NAME + 1)
        .take_while(|char| char.is_ascii_alphanumeric())
        .collect();
    let ended = rest.get(name.len()) == Some(&';');
    let known = OLD
        .iter()
        .chain(&NAMED)
        .find(|(known, _)| ended && known.eq_ignore_ascii_case(&name));
    let known = known.or_else(|| {
        OLD.iter()
            .find(|(known, _)| name.to_ascii_lowercase().starts_with(known))
    });
    known.map(|(known, char)| {
        (
            Piece::Char(*char),
            1 + known.len() + usize::from(ended && known.len() == name.len()),
        )
    })
}

/// What one escape stands for.
#[derive(Clone, Copy)]
enum Piece {
    Char(char),
    /// Part of a character, in UTF-8 or an older encoding.
    Byte(u8),
    /// A code point, or half of a pair that stands for one.
    Unit(u32),
}

/// Replaces whatever `escape` recognises, and says how many letters it takes.
fn decoded(
    letters: &[Letter],
    escape: impl Fn(&[char]) -> Option<(Piece, usize)>,
) -> Option<Vec<Letter>> {
    let chars: Vec<char> = letters.iter().map(|letter| letter.char).collect();
    let mut plain = Plain::default();
    let (mut at, mut found) = (0, false);
    while let (Some(rest), Some(first)) = (chars.get(at..), letters.get(at)) {
        let Some((piece, length)) = escape(rest) else {
            plain.push(*first);
            at += 1;
            continue;
        };
        found = true;
        let to = letters
            .get((at + length).min(letters.len()) - 1)
            .map_or(first.to, |last| last.to);
        plain.add(piece, first.from, to);
        at += length;
    }
    plain.end_bytes();
    found.then_some(plain.letters)
}

/// Text in the making.
#[derive(Default)]
struct Plain {
    letters: Vec<Letter>,
    /// Bytes that are not yet read as characters.
    bytes: Vec<(u8, usize, usize)>,
    /// The first half of a pair (RFC 2781).
    half: Option<(u32, usize)>,
}

impl Plain {
    fn push(&mut self, letter: Letter) {
        self.end_bytes();
        self.letters.push(letter);
    }

    fn end_bytes(&mut self) {
        self.half = None;
        self.letters.extend(said(&std::mem::take(&mut self.bytes)));
    }

    fn add(&mut self, piece: Piece, from: usize, to: usize) {
        match piece {
            Piece::Byte(byte) => {
                self.half = None;
                self.bytes.push((byte, from, to));
            }
            Piece::Char(char) => self.push(Letter { char, from, to }),
            Piece::Unit(unit @ 0xd800..=0xdbff) => {
                self.end_bytes();
                self.half = Some((unit, from));
            }
            Piece::Unit(unit) => {
                let (code, from) = match self.half.filter(|_| (0xdc00..=0xdfff).contains(&unit)) {
                    Some((high, begun)) => {
                        (0x1_0000 + ((high - 0xd800) << 10) + (unit - 0xdc00), begun)
                    }
                    None => (unit, from),
                };
                self.end_bytes();
                self.letters
                    .extend(char::from_u32(code).map(|char| Letter { char, from, to }));
            }
        }
    }
}

fn hex(digits: &[char], length: usize) -> Option<u32> {
    let digits = digits.get(..length).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0_u32, |sum, digit| {
        sum.checked_mul(16)?.checked_add(digit.to_digit(16)?)
    })
}
