//! Blots out what is secret, however a server repeats it: as it is, encoded, or cut off.

use std::collections::HashSet;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;

use crate::secret::Secret;

/// Shorter ones would blot out ordinary words, and are no secrets.
const SHORTEST_SECRET: usize = 4;

/// So much of a secret is too much. Ordinary words are spared, since a piece counts only with a digit in it.
const PIECE: usize = 12;

/// More of a text is not looked at, and not shown either.
const LONGEST_TEXT: usize = 16 * 1024;

/// What stands in the place of a secret.
const BLOT: &str = "[secret]";

/// Basic credentials (RFC 7617), and the parts of a signed assertion (RFC 7515), padded or not.
const BASE64: [GeneralPurpose; 2] =
    [GeneralPurpose::new(&alphabet::STANDARD, LENIENT), GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT)];
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// `text`, as far as anybody would read it, without any of `secrets`.
pub(super) fn blotted(text: &str, secrets: &[Secret]) -> String {
    let text: String = text.chars().take(LONGEST_TEXT).collect();
    let known = secrets.iter().map(Secret::expose).filter(|secret| secret.len() >= SHORTEST_SECRET);
    let mut known: Vec<&str> = known.collect();
    if known.is_empty() {
        return text;
    }
    // The longest first, else one that holds another would leave its rest.
    known.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
    let whole = known.iter().fold(text, |text, secret| text.replace(secret, BLOT));
    without_pieces(&without_encoded(&whole, &known), &known)
}

/// Word by word: what decodes to something secret goes as a whole.
fn without_encoded(text: &str, known: &[&str]) -> String {
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let bare = word.trim_end();
        if betrays(bare, known) { word.replace(bare, BLOT) } else { word.to_owned() }
    });
    words.collect()
}

fn betrays(word: &str, known: &[&str]) -> bool {
    let holds = |decoded: &str| known.iter().any(|secret| decoded.contains(secret));
    let percent = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let as_form = word.contains(['%', '+']).then(|| percent(&word.replace('+', " ")));
    let as_path = word.contains('%').then(|| percent(word));
    let as_json = word.contains('\\').then(|| unescaped(word));
    let as_html = word.contains('&').then(|| without_entities(word));
    let simple = [as_form, as_path, as_json, as_html].into_iter().flatten();
    simple.chain(base64_in(word)).any(|decoded| holds(&decoded))
}

/// What any run of characters in `word` says, read as base64.
fn base64_in(word: &str) -> impl Iterator<Item = String> {
    let is_of_it = |char: char| char.is_ascii_alphanumeric() || "+/-_=".contains(char);
    let runs = word.split(move |char| !is_of_it(char)).filter(|run| run.len() >= SHORTEST_SECRET);
    runs.flat_map(|run| BASE64.iter().filter_map(move |base64| base64.decode(run).ok()))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Without the escapes of a JSON string (RFC 8259 section 7).
fn unescaped(word: &str) -> String {
    let mut chars = word.chars();
    let mut plain = String::new();
    while let Some(char) = chars.next() {
        if char != '\\' {
            plain.push(char);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                plain.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            Some('t') => plain.push('\t'),
            Some('n') => plain.push('\n'),
            other => plain.extend(other),
        }
    }
    plain
}

fn without_entities(word: &str) -> String {
    let named = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        ("&#x27;", "'"),
    ];
    let plain = named.iter().fold(word.to_owned(), |text, (entity, char)| text.replace(entity, char));
    plain.replace("&amp;", "&")
}

/// Without longer pieces of a secret: some servers repeat the first half of a token.
fn without_pieces(text: &str, known: &[&str]) -> String {
    let secrets: Vec<Vec<char>> = known.iter().map(|secret| secret.chars().collect()).collect();
    let pieces = secrets.iter().flat_map(|secret| secret.windows(PIECE));
    let pieces: HashSet<&[char]> = pieces.filter(|piece| piece.iter().any(char::is_ascii_digit)).collect();
    let chars: Vec<char> = text.chars().collect();
    let mut secret = vec![false; chars.len()];
    for (at, window) in chars.windows(PIECE).enumerate().filter(|(_, window)| pieces.contains(window)) {
        secret.iter_mut().skip(at).take(window.len()).for_each(|is_secret| *is_secret = true);
    }
    let mut before = false;
    let mut shown = String::with_capacity(text.len());
    for (char, is_secret) in chars.into_iter().zip(secret) {
        match (is_secret, before) {
            (false, _) => shown.push(char),
            (true, false) => shown.push_str(BLOT),
            (true, true) => {}
        }
        before = is_secret;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_blotted_out_in_whatever_form_it_is_repeated() {
        for echoed in [
            "hunter2/pass word",
            "hunter2%2Fpass%20word",
            "hunter2%2fpass+word",
            "hunter2\\/pass\\u0020word",
            "Basic YXBwOmh1bnRlcjIvcGFzcyB3b3Jk",
            "Basic:YXBwOmh1bnRlcjIvcGFzcyB3b3Jk,",
            "e30.eyJwIjoiaHVudGVyMi9wYXNzIHdvcmQifQ.c2ln",
            "\"aHVudGVyMi9wYXNzIHdvcmQ=\"",
        ] {
            let said = blotted(&format!("wrong: {echoed} !"), &[Secret::new("hunter2/pass word")]);
            assert!(said.contains(BLOT) && said.starts_with("wrong: ") && said.ends_with(" !"), "{echoed}: {said}");
            for part in ["hunter2", "YXBwOmh1", "aHVudGVy", "pass"] {
                assert!(!said.contains(part), "{echoed}: {said}");
            }
        }
        let said = blotted("a&lt;b&amp;&quot;c is wrong", &[Secret::new("a<b&\"c")]);
        assert_eq!(said, "[secret] is wrong");
    }

    #[test]
    fn a_longer_piece_of_a_token_goes_too_and_ordinary_words_stay() {
        let token = Secret::new("00D5g000004Xyzw!AQ8AQKpLmN0pQrStUvWxYz");
        let said = blotted("session 00D5g000004Xyzw!AQ8AQK... is gone, 4Xyzw too", &[token]);
        assert_eq!(said, "session [secret]... is gone, 4Xyzw too");
        let key = Secret::new("-----BEGIN PRIVATE KEY-----\nMIIB1234567890");
        let advice = "it must begin with -----BEGIN PRIVATE KEY-----";
        assert_eq!(blotted(advice, &[key]), advice);
    }

    #[test]
    fn one_secret_within_another_leaves_no_rest() {
        let secrets = [Secret::new("abcd"), Secret::new("abcdefgh"), Secret::new("xy")];
        assert_eq!(blotted("abcdefgh abcd xy", &secrets), "[secret] [secret] xy");
    }

    #[test]
    fn what_is_too_long_to_be_read_is_not_shown() {
        let said = blotted(&"x".repeat(1_000_000), &[Secret::new("hunter2hunter2")]);
        assert_eq!(said.len(), LONGEST_TEXT);
    }
}
