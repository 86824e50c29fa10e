//! Which parts of a text repeat a secret, or so much of it that the rest is soon guessed.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::ops::Range;

use super::readings::{Letter, Reading};
use super::visible::{is_mark, visible};
use crate::secret::Secret;

/// Shorter ones would blot out ordinary words, and are no secrets.
const SHORTEST_SECRET: usize = 4;

/// A secret that is no longer is looked for as a whole only.
const WHOLE: usize = 8;

/// So much of a secret is too much, and all but two characters of a shorter one.
const PIECE: usize = 12;

/// With a digit in it, fewer are too much: no word has one.
const PIECE_WITH_DIGIT: usize = 8;

/// All that must not be found in a text, by its length; a digest of each, since a long token has thousands.
pub(super) struct Pieces {
    by_length: BTreeMap<usize, HashSet<u64>>,
    digest: RandomState,
    /// Characters of secrets that are otherwise taken for ornament.
    unusual: HashSet<char>,
}

impl Pieces {
    pub(super) fn of(secrets: &[Secret]) -> Self {
        let mut pieces = Self {
            by_length: BTreeMap::new(),
            digest: RandomState::new(),
            unusual: HashSet::new(),
        };
        for secret in secrets {
            let body = body(secret.expose());
            let letters: Vec<char> = visible(&body)
                .filter(|char| *char != ' ')
                .map(folded)
                .collect();
            pieces
                .unusual
                .extend(letters.iter().filter(|char| !is_usual(**char)));
            // Who takes a plus for a space repeats it without.
            let without_plus: Vec<char> = letters
                .iter()
                .copied()
                .filter(|char| *char != '+')
                .collect();
            if without_plus.len() < letters.len() {
                pieces.add(&without_plus);
            }
            pieces.add(&letters);
        }
        pieces
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_length.is_empty()
    }

    fn add(&mut self, secret: &[char]) {
        match secret.len() {
            0..SHORTEST_SECRET => {}
            length @ SHORTEST_SECRET..=WHOLE => self.add_windows(secret, length, |_| true),
            length => {
                self.add_windows(secret, (length - 2).clamp(WHOLE, PIECE), |_| true);
                self.add_windows(secret, PIECE_WITH_DIGIT, |piece| {
                    piece.iter().any(char::is_ascii_digit)
                });
            }
        }
    }

    fn add_windows(&mut self, secret: &[char], length: usize, counts: impl Fn(&[char]) -> bool) {
        let pieces = secret
            .windows(length)
            .filter(|piece| counts(piece))
            .map(|piece| self.digest.hash_one(piece));
        self.by_length.entry(length).or_default().extend(pieces);
    }

    /// Where `reading` of `text` repeats one of them.
    pub(super) fn found_in(&self, reading: &Reading, text: &[char]) -> Vec<Range<usize>> {
        let letters: Vec<&Letter> = reading
            .letters
            .iter()
            .filter(|letter| self.counts(folded(letter.char)))
            .collect();
        let chars: Vec<char> = letters.iter().map(|letter| folded(letter.char)).collect();
        let mut found = Vec::new();
        for (length, pieces) in &self.by_length {
            let is_one =
                |(_, window): &(usize, &[char])| pieces.contains(&self.digest.hash_one(*window));
            for (at, _) in chars.windows(*length).enumerate().filter(is_one) {
                let place = letters.get(at).zip(letters.get(at + length - 1));
                found.extend(
                    place.map(|(first, last)| first.from.min(last.from)..last.to.max(first.to)),
                );
            }
        }
        if reading.packed {
            for range in &mut found {
                widen(range, text);
            }
        }
        found
    }

    /// Blanks and ornament between the letters of a secret do not hide it.
    fn counts(&self, char: char) -> bool {
        char != ' ' && (is_usual(char) || self.unusual.contains(&char))
    }
}

/// What a secret says that others do not: the first and the last line of a key are the same in all (RFC 7468).
fn body(secret: &str) -> String {
    if !secret.contains("-----BEGIN") {
        return secret.to_owned();
    }
    secret
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect()
}

fn is_usual(char: char) -> bool {
    char.is_ascii_graphic() || char.is_alphanumeric() && !is_mark(char)
}

/// Small and capital letters alike, those that East Asian fonts have in full width too.
fn folded(char: char) -> char {
    let narrow = match char {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(char) - 0xfee0).unwrap_or(char),
        _ => char,
    };
    narrow.to_lowercase().next().unwrap_or(narrow)
}

/// The rest of the run that holds it goes too: its neighbours share bits with it, and cannot be read.
fn widen(range: &mut Range<usize>, text: &[char]) {
    let is_of_it = |char: &char| char.is_ascii_alphanumeric() || "+/-_=".contains(*char);
    let before = text
        .iter()
        .take(range.start)
        .rev()
        .take_while(|char| is_of_it(char))
        .count();
    let after = text
        .iter()
        .skip(range.end)
        .take_while(|char| is_of_it(char))
        .count();
    *range = range.start - before..range.end + after;
}
