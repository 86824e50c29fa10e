//! Text with `{placeholders}`, filled in so that a value cannot change the meaning of what surrounds it.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// What RFC 3986 section 2.3 lets stand in a path segment as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// `Bearer {token}`, parsed; `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(String),
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
                let (name, after) = placeholder(from)?;
                parts.extend(text_part(&mut literal));
                parts.push(Part::Value(name));
                after
            };
        }
        literal.push_str(rest);
        parts.extend(text_part(&mut literal));
        Ok(Self { parts })
    }

    /// The placeholders, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value(name) => Some(name.as_str()),
        })
    }

    /// What stands as it is written between the placeholders.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Value(_) => None,
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
                Part::Value(name) => {
                    if let Some(value) = lookup(name) {
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
                Part::Value(name) => escape_xml(lookup(name)?.expose(), &mut filled),
            }
        }
        Some(Secret::new(filled.as_str()))
    }

    /// The placeholder that the text begins with, if it does.
    pub(super) fn leading_name(&self) -> Option<&str> {
        match self.parts.first() {
            Some(Part::Value(name)) => Some(name),
            Some(Part::Text(_)) | None => None,
        }
    }

    /// The placeholder that is all of the text, if there is one.
    pub(super) fn only_name(&self) -> Option<&str> {
        self.leading_name().filter(|_| self.parts.len() == 1)
    }

    /// Filled in as a URL or path: values are percent-encoded, but one that stands first is a URL by itself.
    ///
    /// Nothing when any placeholder lacks its value.
    pub(super) fn fill_url(&self, lookup: &Lookup<'_>) -> Option<Zeroizing<String>> {
        let mut filled = Zeroizing::new(String::new());
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(name) if index == 0 => filled.push_str(lookup(name)?.expose()),
                Part::Value(name) => filled.extend(utf8_percent_encode(lookup(name)?.expose(), UNRESERVED)),
            }
        }
        Some(filled)
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

fn placeholder(from: &str) -> Result<(String, &str), TemplateError> {
    let inner = from.strip_prefix('{').ok_or(TemplateError::Unopened)?;
    let (name, after) = inner.split_once('}').ok_or(TemplateError::Unclosed)?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_name { Ok((name.to_owned(), after)) } else { Err(TemplateError::BadName(name.to_owned())) }
}

fn text_part(literal: &mut String) -> Option<Part> {
    (!literal.is_empty()).then(|| Part::Text(std::mem::take(literal)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_a_path_cannot_leave_its_segment() {
        let filled = template("/v{version}/x").fill_url(&|_| Some(Secret::new("1/../?a=b&c#d"))).unwrap();
        assert_eq!(filled.as_str(), "/v1%2F..%2F%3Fa%3Db%26c%23d/x");
    }

    #[test]
    fn a_value_in_xml_stays_text() {
        let filled = template("<p a=\"{v}\">{v}</p>").fill_xml(&|_| Some(Secret::new("<&\"'>"))).unwrap();
        assert_eq!(filled.expose(), "<p a=\"&lt;&amp;&quot;&apos;&gt;\">&lt;&amp;&quot;&apos;&gt;</p>");
        assert!(template("<p>{v}</p>").fill_xml(&|_| None).is_none());
    }

    #[test]
    fn a_url_that_stands_first_stays_a_url() {
        let filled = template("{base}/token").fill_url(&|_| Some(Secret::new("https://a.example/x"))).unwrap();
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
    fn doubled_braces_are_braces_and_lone_ones_are_errors() {
        assert_eq!(template("{{x}}").fill(&|_| None), Some(Secret::new("{x}")));
        assert_eq!(Template::parse("a{b"), Err(TemplateError::Unclosed));
        assert_eq!(Template::parse("a}b"), Err(TemplateError::Unopened));
        assert_eq!(Template::parse("{a b}"), Err(TemplateError::BadName("a b".into())));
        assert_eq!(Template::parse("{}"), Err(TemplateError::BadName(String::new())));
    }

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }
}
