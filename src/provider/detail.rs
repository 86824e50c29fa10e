//! One sentence for people about an answer: its status, the server's own words, what is odd, and the remedy.

mod bodies;
mod headers;
mod packing;
mod words;

use super::classify::Classified;
use super::response::Response;
use crate::blotted::Blotted;
use crate::secret::Secret;
pub(super) use packing::suspicion;
use words::{Found, Trust};

/// How much of each of a server's own words is shown.
const LONGEST_QUOTE: usize = 200;
const LONGEST_CODE: usize = 64;

/// What is as long, and neither a word nor a number, may be a token.
const LONGEST_WORD: usize = 24;

/// Status, the server's own code and words, what is odd, and the remedy.
pub(super) fn sentence(
    response: &Response,
    classified: &Classified,
    secrets: &[Secret],
) -> Blotted {
    let Found { code, sentences } = found(response, classified);
    let longest = code
        .iter()
        .map(|_| LONGEST_CODE)
        .chain(std::iter::repeat(LONGEST_QUOTE));
    let quotes = Blotted::each(code.iter().chain(&sentences).map(String::as_str), secrets);
    let mut parts = vec![Blotted::new(
        &format!("the server answered {}", response.status),
        &[],
    )];
    let mut between = " \u{201c}";
    for (quote, longest) in quotes.into_iter().zip(longest) {
        parts.extend([
            between.into(),
            quote.hiding(is_opaque).cut(longest),
            "\u{201d}".into(),
        ]);
        between = ", \u{201c}";
    }
    if let Some(encoding) = response.encoding() {
        let encoding = Blotted::new(encoding, secrets).cut(LONGEST_CODE);
        parts.extend([
            " encoded as ".into(),
            encoding,
            ", though asked not to".into(),
        ]);
    }
    if let Some(oddity) = &classified.oddity {
        parts.extend([": ".into(), Blotted::new(oddity, secrets)]);
    }
    // The profile's own words hold no secret, whatever word a password happens to be.
    if let Some(remedy) = &classified.remedy {
        parts.extend([": ".into(), Blotted::new(remedy, &[])]);
    }
    Blotted::concat(parts)
}

/// For a status under which some servers say that a token has ended, and others that it may not do this.
pub(super) fn how_to_teach(profile: &str, status: u16) -> String {
    format!(
        "if that is how it answers a token that has ended, say so in a profile of your own: \
         `keepfresh providers {profile} --source` prints the one in use; add \
         [[answer]] to = [\"ping\"] status = [{status}] verdict = \"dead\" in lines of their own, save it as {profile}.toml in \
         providers_dir, and run `keepfresh reload`"
    )
}

/// A good answer may hold what is secret and not yet known: RFC 6749's members of it are quoted, no more. One that is a no
/// all the same says so in words.
fn found(response: &Response, classified: &Classified) -> Found {
    let trust = match (classified.verdict.is_success(), response.status) {
        (true, _) => Trust::ErrorsOnly,
        (false, 400..) => Trust::Refusal,
        (false, _) => Trust::Sentences,
    };
    let mut found = match bodies::members(response) {
        Some(members) => words::in_members(&members, response.status, trust),
        None => Found {
            code: None,
            sentences: plain(response, classified, trust).into_iter().collect(),
        },
    };
    if trust != Trust::ErrorsOnly && found.sentences.is_empty() {
        let told = headers::told(&response.headers);
        found.code = found.code.or(told.code);
        found.sentences = told.sentences;
    }
    found
}

/// What a body that has no members says.
fn plain(response: &Response, classified: &Classified, trust: Trust) -> Option<String> {
    if trust == Trust::ErrorsOnly || response.encoding().is_some() {
        return None;
    }
    if response.is_html() {
        return bodies::title(&response.text);
    }
    // Where nothing but a rule of the profile says what a good status means, the rule knows the text; else it may be a token.
    let known = trust == Trust::Refusal
        || classified.oddity.is_none() && words::is_sentence(&response.text, trust);
    let text = response.text.trim();
    (known && !text.is_empty()).then(|| text.to_owned())
}

/// Whether a word looks like a token that keepfresh does not know: long, of large and small letters and digits, or of hexadecimal
/// digits only. What people write has no such words; the numbers by which servers find an incident have dashes.
pub(super) fn is_opaque(word: &str) -> bool {
    let of = |is: fn(&char) -> bool| word.chars().any(|char| is(&char));
    let is_dense = word
        .chars()
        .all(|char| char.is_ascii_alphanumeric() || "-_+/=.~".contains(char));
    let mixed =
        of(char::is_ascii_digit) && of(char::is_ascii_lowercase) && of(char::is_ascii_uppercase);
    let is_hex = word.chars().all(|char| char.is_ascii_hexdigit()) && of(char::is_ascii_digit);
    let is_path = word.starts_with(['/', '.']) || word.contains("//");
    is_dense && !is_path && word.len() >= LONGEST_WORD && (mixed || is_hex)
        || word.starts_with("eyJ") && word.len() > 16
}

#[cfg(test)]
mod tests;
