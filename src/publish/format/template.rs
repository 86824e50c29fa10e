//! A file in the words of its config: `template = "user = me\npassword = {token}\n"`.

use thiserror::Error;
use zeroize::Zeroizing;

use super::FormatError;
use crate::provider::template::{Template as Text, TemplateError};
use crate::secret::Secret;
use crate::token::{Published, Token};

/// What any session can fill in; every value that its provider captures comes beside these.
const KNOWN: [&str; 7] = [
    "token",
    "instance_url",
    "token_type",
    "generation",
    "issued_at",
    "expires_at",
    "session",
];

/// A text with placeholders, all of which a session of its kind can fill in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Text);

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadTemplate {
    /// Braces that do not fit.
    #[error("{0}")]
    Syntax(String),
    /// Nothing will ever fill it in.
    #[error("there is nothing to put in place of {{{name}}}")]
    Unknown {
        /// The placeholder.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
}

impl From<TemplateError> for BadTemplate {
    fn from(error: TemplateError) -> Self {
        Self::Syntax(error.to_string())
    }
}

impl Template {
    /// Parses `text`; `captured` are the values that the session's provider captures.
    ///
    /// # Errors
    /// When a brace has no partner, or a placeholder is neither captured nor one that every session has.
    pub fn parse(text: &str, captured: &[&str]) -> Result<Self, BadTemplate> {
        let template = Text::parse(text)?;
        let known = |name: &&str| KNOWN.contains(name) || captured.contains(name);
        if let Some(name) = template.names().find(|name| !known(name)) {
            let known = KNOWN
                .iter()
                .chain(captured)
                .map(|name| (*name).to_owned())
                .collect();
            return Err(BadTemplate::Unknown {
                name: name.to_owned(),
                known,
            });
        }
        Ok(Self(template))
    }

    /// The text with every value as it is: what would have to be escaped is unknown here.
    pub(super) fn render(&self, published: &Published) -> Result<Zeroizing<Vec<u8>>, FormatError> {
        for name in self.0.names() {
            let value = value(published, name).ok_or_else(|| FormatError::NoValue {
                name: name.to_owned(),
            })?;
            if value.expose().contains(char::is_control) {
                return Err(FormatError::BrokenValue {
                    name: name.to_owned(),
                });
            }
        }
        let filled = self.0.fill(&|name| value(published, name));
        Ok(Zeroizing::new(
            filled.map_or_else(Vec::new, |text| text.expose().into()),
        ))
    }
}

/// An end that is not known is empty, since many a token has none; anything else must be there.
fn value(published: &Published, name: &str) -> Option<Secret> {
    let Published {
        session,
        generation,
        token,
        base,
        ..
    } = published;
    let Token {
        access_token,
        token_type,
        captures,
        issued_at,
        expires_at,
        ..
    } = &**token;
    let plain = match name {
        "token" => return Some(access_token.clone()),
        "instance_url" => base.clone(),
        "token_type" => token_type.clone(),
        "generation" => generation.to_string(),
        "issued_at" => issued_at.to_string(),
        "expires_at" => expires_at.map(|end| end.to_string()).unwrap_or_default(),
        "session" => session.to_string(),
        _ => return captures.get(name).map(|capture| capture.value.clone()),
    };
    Some(Secret::new(plain))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{capture, published, text};
    use super::*;
    use crate::publish::Format;

    #[test]
    fn every_placeholder_is_filled_in_and_doubled_braces_are_braces() {
        let mut published = published();
        Arc::make_mut(&mut published.token)
            .captures
            .insert("csrf", capture("s3cret", false));
        let words = "{session} {token} {token_type} {instance_url} {generation} {issued_at} <{expires_at}> {id} {csrf}";
        assert_eq!(
            filled(words, &published).unwrap(),
            "crm 00D!t0k3n Bearer https://acme.my.salesforce.com 7 2026-01-02T03:04:05Z <> 005 s3cret"
        );
        assert_eq!(
            filled("{{\"t\": \"{token}\"}}\n", &published).unwrap(),
            "{\"t\": \"00D!t0k3n\"}\n"
        );
        assert_eq!(
            filled("no placeholder", &published).unwrap(),
            "no placeholder"
        );
    }

    #[test]
    fn the_base_stands_in_for_an_instance_url_that_the_server_does_not_name() {
        let mut published = published();
        Arc::make_mut(&mut published.token).instance_url = None;
        published.base = "https://acme.example/api".into();
        assert_eq!(
            filled("{instance_url}", &published).unwrap(),
            "https://acme.example/api"
        );
    }

    #[test]
    fn a_value_that_is_missing_or_would_break_a_line_is_named() {
        let mut published = published();
        assert_eq!(
            filled("{csrf}", &published).unwrap_err(),
            FormatError::NoValue {
                name: "csrf".into()
            }
        );
        Arc::make_mut(&mut published.token)
            .captures
            .insert("csrf", capture("a\nb = c", false));
        assert_eq!(
            filled("{csrf}", &published).unwrap_err(),
            FormatError::BrokenValue {
                name: "csrf".into()
            }
        );
    }

    #[test]
    fn what_nothing_can_fill_in_is_an_error_from_the_start() {
        for (text, message) in [
            (
                "{nonsense}",
                "there is nothing to put in place of {nonsense}",
            ),
            ("{token", "a `{` is never closed: write `{{` for a brace"),
            ("token}", "a `}` closes nothing: write `}}` for a brace"),
        ] {
            assert_eq!(
                Template::parse(text, &["id"]).unwrap_err().to_string(),
                message,
                "{text}"
            );
        }
    }

    fn filled(words: &str, published: &Published) -> Result<String, FormatError> {
        text(
            published,
            &Format::Template(Template::parse(words, &["id", "csrf"]).unwrap()),
        )
    }
}
