//! Text with `{placeholders}`, filled in so that a value cannot change the meaning of what surrounds it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What RFC 3986 section 2.3 allows in a path segment as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What begins a text that is to be encoded; a brace ends it.
const BASE64: &str = "{base64:";

/// `Bearer {token}`, or `Basic {base64:{user}:{token}}`, parsed; `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(String),
    /// In the base64 of RFC 4648 section 4, as `Basic` has it.
    Base64(Template),
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TemplateError {
    /// `{` without `}`.
    #[error("a `{{` is never closed: write `{{{{` for a brace")]
    Unclosed,
    /// `}` without `{`.
    #[error("a `}}` closes nothing: write `}}}}` for a brace")]
    Unopened,
    /// `{not a name}`.
    #[error("`{{{0}}}` is no placeholder: a name has letters, digits and `_` only")]
    BadName(String),
}

/// Gives placeholders their values.
pub(crate) type Lookup<'a> = dyn Fn(&str) -> Option<Secret> + 'a;

/// As it is written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Part::Value(name) => write!(f, "{{{name}}}"),
            Part::Base64(inner) => write!(f, "{BASE64}{inner}}}"),
        })
    }
}

impl Template {
    /// Parses `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            rest = if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                after
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                after
            } else {
                let (part, after) = match from.strip_prefix(BASE64) {
                    Some(inner) => encoded(inner)?,
                    None => placeholder(from)?,
                };
                parts.extend(text_part(&mut literal));
                parts.push(part);
                after
            };
        }
        literal.push_str(rest);
        parts.extend(text_part(&mut literal));
        Ok(Self { parts })
    }

    /// The placeholders, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(Part::names)
    }

    /// What the encoded pieces come to: encoding does not hide what is in it.
    pub(super) fn encoded(&self, lookup: &Lookup<'_>) -> Vec<Secret> {
        let pieces = self
            .parts
            .iter()
            .filter(|part| matches!(part, Part::Base64(_)));
        pieces.filter_map(|piece| piece.value(lookup)).collect()
    }

    /// The text as it is written between the placeholders.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Value(_) | Part::Base64(_) => None,
        })
    }

    /// Filled in as it is, for a place whose values are quoted as a whole (form field, JSON string, checked header).
    ///
    /// A placeholder without a value is empty; nothing at all comes of placeholders that all lack theirs.
    pub(crate) fn fill(&self, lookup: &Lookup<'_>) -> Option<Secret> {
        let mut filled = Zeroizing::new(String::new());
        let mut found = self.names().next().is_none();
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(_) | Part::Base64(_) => {
                    if let Some(value) = part.value(lookup) {
                        found = true;
                        filled.push_str(value.expose());
                    }
                }
            }
        }
        found.then(|| Secret::new(filled.as_str()))
    }

    /// Filled in as XML text: values cannot begin or end an element.
    ///
    /// Nothing when any placeholder lacks its value.
    pub(super) fn fill_xml(&self, lookup: &Lookup<'_>) -> Option<Secret> {
        let mut filled = Zeroizing::new(String::new());
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(_) | Part::Base64(_) => {
                    escape_xml(part.value(lookup)?.expose(), &mut filled);
                }
            }
        }
        Some(Secret::new(filled.as_str()))
    }

    /// The placeholder that the text begins with, if it does.
    pub(super) fn leading_name(&self) -> Option<&str> {
        match self.parts.first() {
            Some(Part::Value(name)) => Some(name),
            Some(Part::Text(_) | Part::Base64(_)) | None => None,
        }
    }

    /// The placeholder that is all of the text, if there is one.
    pub(super) fn only_name(&self) -> Option<&str> {
        self.leading_name().filter(|_| self.parts.len() == 1)
    }

    /// Filled in as a URL or path: values are percent-encoded, but one that comes first is a URL by itself.
    ///
    /// Nothing when any placeholder lacks its value.
    pub(super) fn fill_url(&self, lookup: &Lookup<'_>) -> Option<Zeroizing<String>> {
        let mut filled = Zeroizing::new(String::new());
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(name) if index == 0 => filled.push_str(lookup(name)?.expose()),
                Part::Value(_) | Part::Base64(_) => {
                    filled.extend(utf8_percent_encode(
                        part.value(lookup)?.expose(),
                        UNRESERVED,
                    ));
                }
            }
        }
        Some(filled)
    }
}

impl Part {
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::Value(name) => vec![name],
            Self::Base64(inner) => inner.names().collect(),
        }
    }

    /// What is there in the end; none where a value is missing.
    fn value(&self, lookup: &Lookup<'_>) -> Option<Secret> {
        match self {
            Self::Text(text) => Some(Secret::new(text.as_str())),
            Self::Value(name) => lookup(name),
            Self::Base64(inner) => Some(Secret::new(STANDARD.encode(inner.fill(lookup)?.expose()))),
        }
    }
}

/// XML 1.0 section 2.4; quotes as well, for attributes.
fn escape_xml(value: &str, into: &mut String) {
    for char in value.chars() {
        match char {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&apos;"),
            // A parser would turn them into blanks.
            '\n' => into.push_str("&#10;"),
            '\r' => into.push_str("&#13;"),
            '\t' => into.push_str("&#9;"),
            other => into.push(other),
        }
    }
}

/// The text up to the brace that ends it; braces within it come in pairs.
fn encoded(inner: &str) -> Result<(Part, &str), TemplateError> {
    let mut depth = 0_usize;
    for (at, char) in inner.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => {
                let (text, after) = (
                    inner.get(..at).unwrap_or_default(),
                    inner.get(at + 1..).unwrap_or_default(),
                );
                return Ok((Part::Base64(Template::parse(text)?), after));
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    Err(TemplateError::Unclosed)
}

fn placeholder(from: &str) -> Result<(Part, &str), TemplateError> {
    let inner = from.strip_prefix('{').ok_or(TemplateError::Unopened)?;
    let (name, after) = inner.split_once('}').ok_or(TemplateError::Unclosed)?;
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name {
        Ok((Part::Value(name.to_owned()), after))
    } else {
        Err(TemplateError::BadName(name.to_owned()))
    }
}

fn text_part(literal: &mut String) -> Option<Part> {
    (!literal.is_empty()).then(|| Part::Text(std::mem::take(literal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_path_cannot_leave_its_segment() {
        let filled = template("/v{version}/x")
            .fill_url(&|_| Some(Secret::new("1/../?a=b&c#d")))
            .unwrap();
        assert_eq!(filled.as_str(), "/v1%2F..%2F%3Fa%3Db%26c%23d/x");
    }

    #[test]
    fn a_value_in_xml_stays_text() {
        let filled = template("<p a=\"{v}\">{v}</p>")
            .fill_xml(&|_| Some(Secret::new("<&\"'>")))
            .unwrap();
        assert_eq!(
            filled.expose(),
            "<p a=\"&lt;&amp;&quot;&apos;&gt;\">&lt;&amp;&quot;&apos;&gt;</p>"
        );
        assert!(template("<p>{v}</p>").fill_xml(&|_| None).is_none());
    }

    #[test]
    fn a_url_that_stands_first_stays_a_url() {
        let filled = template("{base}/token")
            .fill_url(&|_| Some(Secret::new("https://a.example/x")))
            .unwrap();
        assert_eq!(filled.as_str(), "https://a.example/x/token");
    }

    #[test]
    fn what_has_no_value_is_empty_and_a_url_without_it_is_none() {
        let known = |name: &str| (name == "a").then(|| Secret::new("A"));
        assert_eq!(template("{a}{b}").fill(&known), Some(Secret::new("A")));
        assert_eq!(template("{b}").fill(&known), None);
        assert_eq!(template("plain").fill(&known), Some(Secret::new("plain")));
        assert!(template("/{a}/{b}").fill_url(&known).is_none());
    }

    #[test]
    fn several_values_can_stand_in_one_base64() {
        let known = |name: &str| {
            ["user", "id", "token"]
                .contains(&name)
                .then(|| Secret::new(name))
        };
        for (text, expected) in [
            (
                "Session {base64:{user}:{id}:{token}}",
                Some("Session dXNlcjppZDp0b2tlbg=="),
            ),
            ("{base64:{user}}{base64:{id}}", Some("dXNlcg==aWQ=")),
            ("{base64:{{{user}}}}", Some("e3VzZXJ9")),
            ("{base64:{base64:{user}}}", Some("ZFhObGNnPT0=")),
            ("{base64:{missing}}", None),
            ("{base64:{missing}:{id}}", Some("Omlk")),
            ("{base64:}", Some("")),
        ] {
            let parsed = template(text);
            assert_eq!(parsed.to_string(), text);
            assert_eq!(
                parsed.fill(&known).as_ref().map(Secret::expose),
                expected,
                "{text}"
            );
        }
        let parsed = template("Session {base64:{user}:{id}}");
        assert_eq!(parsed.names().collect::<Vec<_>>(), ["user", "id"]);
        assert_eq!(parsed.encoded(&known), [Secret::new("dXNlcjppZA==")]);
        assert_eq!(
            template("/x/{base64:{user}}")
                .fill_url(&known)
                .unwrap()
                .as_str(),
            "/x/dXNlcg%3D%3D"
        );
        for (text, expected) in [
            ("{base64:{user}", TemplateError::Unclosed),
            ("{base64:{a b}}", TemplateError::BadName("a b".into())),
            (
                "{base32:{user}}",
                TemplateError::BadName("base32:{user".into()),
            ),
        ] {
            assert_eq!(Template::parse(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn doubled_braces_are_braces_and_lone_ones_are_errors() {
        assert_eq!(template("{{x}}").fill(&|_| None), Some(Secret::new("{x}")));
        assert_eq!(Template::parse("a{b"), Err(TemplateError::Unclosed));
        assert_eq!(Template::parse("a}b"), Err(TemplateError::Unopened));
        assert_eq!(
            Template::parse("{a b}"),
            Err(TemplateError::BadName("a b".into()))
        );
        assert_eq!(
            Template::parse("{}"),
            Err(TemplateError::BadName(String::new()))
        );
    }

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }
}
