//! What the headers of an answer say where its body says nothing.

use percent_encoding::percent_decode_str;

use super::is_opaque;
use super::words::Found;

/// A code and a sentence: those of a challenge (RFC 6750 section 3), a warning (RFC 7234 section 5.5), or a header that is
/// named for an error or a reason.
pub(super) fn told(headers: &[(String, String)]) -> Found {
    let mut found = Found::default();
    for (_, challenge) in headers
        .iter()
        .filter(|(name, _)| name == "www-authenticate")
    {
        found.code = found.code.or_else(|| parameter(challenge, "error"));
        let description = parameter(challenge, "error_description");
        found.sentences.extend(description);
    }
    let others = headers.iter().filter(|(name, _)| is_about_an_error(name));
    found
        .sentences
        .extend(others.filter_map(|(name, value)| sentence(name, value)));
    found.sentences.truncate(1);
    found
}

fn is_about_an_error(name: &str) -> bool {
    let parts: Vec<&str> = name.split(['-', '_']).collect();
    let is = |word: &str| {
        parts
            .iter()
            .any(|part| *part == word || part.starts_with("error") && word == "error")
    };
    let may_be_secret = ["token", "cookie", "session", "key", "ticket", "secret"]
        .into_iter()
        .any(is);
    let is_id = ["id", "code", "count", "type", "uri", "url", "link"]
        .into_iter()
        .any(is);
    let is_told = name == "warning" || name == "grpc-message" || is("error") || is("reason");
    is_told && !may_be_secret && !is_id
}

fn sentence(name: &str, value: &str) -> Option<String> {
    let value = match name {
        "warning" => value.split('"').nth(1).unwrap_or_default().to_owned(),
        "grpc-message" => percent_decode_str(value).decode_utf8_lossy().into_owned(),
        _ => value.trim().to_owned(),
    };
    (!value.is_empty() && !is_opaque(&value)).then_some(value)
}

/// The value of `name` among the parameters of a challenge (RFC 9110 section 11.2), quoted or not.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let starts = challenge.match_indices(name).map(|(at, _)| at);
    let mut values = starts.filter_map(|at| {
        let before = challenge.get(..at)?.chars().next_back();
        let value = challenge
            .get(at + name.len()..)?
            .trim_start()
            .strip_prefix('=')?
            .trim_start();
        before
            .is_none_or(|char| char == ',' || char.is_whitespace())
            .then_some(value)
    });
    let value = values.next()?;
    let text = match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted),
        None => value
            .split([',', ' '])
            .next()
            .unwrap_or_default()
            .to_owned(),
    };
    (!text.is_empty()).then_some(text)
}

/// Up to the closing quote, without the backslashes.
fn unquoted(quoted: &str) -> String {
    let mut chars = quoted.chars();
    let mut text = String::new();
    while let Some(char) = chars.next().filter(|char| *char != '"') {
        text.extend(if char == '\\' {
            chars.next()
        } else {
            Some(char)
        });
    }
    text
}
