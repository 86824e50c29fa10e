//! What a published file says: one generation of a session in one of the formats, checked for what the format can carry.

mod cookies;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod netrc;
pub mod template;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;
pub(crate) use netrc::is_plain;

use super::Format;
use crate::token::{Published, TokenError, checked_access_token};

/// The keys of the `json` format; a capture of the same name does not shadow them.
const JSON_KEYS: [&str; 8] = [
    "session",
    "access_token",
    "token_type",
    "instance_url",
    "generation",
    "issued_at",
    "expires_at",
    "headers",
];

/// Why a generation cannot be written in a format; another try changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// Not fit to be published in any format.
    #[error("{0}; nothing is published")]
    Token(#[from] TokenError),
    /// A value that a shell and systemd would read differently.
    #[error(
        "{variable} has a quote, backslash or control character, which the format env cannot carry; use format json"
    )]
    Unquotable {
        /// The variable that it was meant for.
        variable: String,
    },
    /// A header that would break out of its line.
    #[error(
        "the header {name:?} has a control character, which the format header cannot carry; use format json"
    )]
    BrokenHeader {
        /// The header's name.
        name: String,
    },
    /// The provider sends the token in no header.
    #[error("this provider carries the token in no header; use format token or json")]
    NoHeaders,
    /// The provider sends the token in no cookie.
    #[error("this session's token travels in no cookie; use format header or json")]
    NoCookies,
    /// A cookie that would break out of its line.
    #[error(
        "the cookie {name:?} has a tab or control character, which the format cookies cannot carry; use format json"
    )]
    BrokenCookie {
        /// The cookie's name.
        name: String,
    },
    /// A value that programs would read differently.
    #[error(
        "the {what} has a quote, a backslash or a leading #, which the format netrc cannot carry; use format token"
    )]
    Unlisted {
        /// What it is.
        what: &'static str,
    },
    /// Cookies and netrc lines belong to a host.
    #[error("the session's base URL names no host; use format header or json")]
    NoHost,
    /// The server has not sent what the template asks for.
    #[error("the server sent no `{name}`, which the template asks for; take {{{name}}} out of it")]
    NoValue {
        /// The placeholder.
        name: String,
    },
    /// A value that would break out of its line.
    #[error("`{name}` has a control character, which a template cannot carry; use format json")]
    BrokenValue {
        /// The placeholder.
        name: String,
    },
    /// Never seen; kept so that a fault of the serializer is no panic.
    #[error("the token cannot be written as JSON: {0}")]
    Json(String),
}

/// What the file says, wherever it is.
///
/// # Errors
/// Says which value does not fit the format and which format would do.
pub fn render(published: &Published, format: &Format) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    // Checked where it came in as well; but it may have come from a state file since.
    checked_access_token(published.token.access_token.expose())?;
    match format {
        Format::Token => Ok(Zeroizing::new(published.token.access_token.expose().into())),
        Format::Json => json(published),
        Format::Env { prefix } => env(published, prefix),
        Format::Header => header(published),
        Format::Cookies => cookies::render(published),
        Format::Netrc { login } => netrc::render(published, login),
        Format::Template(template) => template.render(published),
    }
}

/// Scheme and host of what the session's requests go to, without brackets around an address.
fn host(published: &Published) -> Result<(bool, String), FormatError> {
    let url = Url::parse(&published.base).map_err(|_| FormatError::NoHost)?;
    let host = url.host_str().ok_or(FormatError::NoHost)?;
    Ok((
        url.scheme() == "https",
        host.trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
    ))
}

#[derive(Serialize)]
struct Document<'a> {
    session: &'a str,
    access_token: &'a str,
    token_type: &'a str,
    instance_url: Option<&'a str>,
    generation: u64,
    issued_at: Timestamp,
    expires_at: Option<Timestamp>,
    headers: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    captures: BTreeMap<&'a str, &'a str>,
}

fn json(published: &Published) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let token = &published.token;
    let document = Document {
        session: &published.session,
        access_token: token.access_token.expose(),
        token_type: &token.token_type,
        instance_url: token.instance_url.as_deref(),
        generation: published.generation,
        issued_at: token.issued_at,
        expires_at: token.expires_at,
        headers: published
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect(),
        captures: public_captures(published),
    };
    let mut bytes = with_room(published);
    serde_json::to_writer(&mut *bytes, &document)
        .map_err(|error| FormatError::Json(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn public_captures(published: &Published) -> BTreeMap<&str, &str> {
    published
        .token
        .captures
        .iter()
        .filter(|(name, capture)| capture.public && !JSON_KEYS.contains(name))
        .map(|(name, capture)| (name, capture.value.expose()))
        .collect()
}

fn env(published: &Published, prefix: &str) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let mut bytes = with_room(published);
    assign(
        &mut bytes,
        format!("{prefix}_TOKEN"),
        published.token.access_token.expose(),
    )?;
    if let Some(url) = &published.token.instance_url {
        assign(&mut bytes, format!("{prefix}_INSTANCE_URL"), url)?;
    }
    bytes.extend_from_slice(format!("{prefix}_GENERATION={}\n", published.generation).as_bytes());
    Ok(bytes)
}

/// Shells, systemd's `EnvironmentFile=` and compose agree on single quotes only as long as nothing in them needs escaping;
/// `docker run --env-file` takes quotes for part of the value, so that there are none where none are needed.
fn assign(bytes: &mut Vec<u8>, variable: String, value: &str) -> Result<(), FormatError> {
    if value.contains(|c: char| matches!(c, '\'' | '\\') || c.is_control()) {
        return Err(FormatError::Unquotable { variable });
    }
    let quote = if is_plain_to_all(value) { "" } else { "'" };
    for part in [&variable, "=", quote, value, quote, "\n"] {
        bytes.extend_from_slice(part.as_bytes());
    }
    Ok(())
}

/// Whether every reader of variables takes the value as it is: no blank, nothing that expands, begins a remark or is a quote.
fn is_plain_to_all(value: &str) -> bool {
    // Of a leading `=` zsh makes the path of a program.
    !value.starts_with('=')
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._/:=+,@%!".contains(&byte))
}

fn header(published: &Published) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    if published.headers.is_empty() {
        return Err(FormatError::NoHeaders);
    }
    let mut bytes = with_room(published);
    for (name, value) in &published.headers {
        if name.contains(char::is_control) || value.expose().contains(char::is_control) {
            return Err(FormatError::BrokenHeader { name: name.clone() });
        }
        for part in [name, ": ", value.expose(), "\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    Ok(bytes)
}

/// Room for everything from the start: a buffer that grows leaves copies of the token behind.
fn with_room(published: &Published) -> Zeroizing<Vec<u8>> {
    let captures = published
        .token
        .captures
        .iter()
        .map(|(name, capture)| name.len() + capture.value.expose().len());
    let headers = published
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.expose().len());
    let values: usize = captures.chain(headers).map(|length| length + 16).sum();
    Zeroizing::new(Vec::with_capacity(
        1024 + 2 * values + published.token.access_token.expose().len(),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::named::Named;
    use crate::secret::Secret;
    use crate::token::{Capture, Token};

    #[test]
    fn each_format_is_exactly_as_documented() {
        let json = concat!(
            r#"{"session":"crm","access_token":"00D!t0k3n","token_type":"Bearer","#,
            r#""instance_url":"https://acme.my.salesforce.com","generation":7,"issued_at":"2026-01-02T03:04:05Z","#,
            r#""expires_at":null,"headers":{"Authorization":"Bearer 00D!t0k3n","X-Org":"1"},"id":"005"}"#,
            "\n"
        );
        let env = "CRM_TOKEN=00D!t0k3n\nCRM_INSTANCE_URL=https://acme.my.salesforce.com\nCRM_GENERATION=7\n";
        let header = "Authorization: Bearer 00D!t0k3n\nX-Org: 1\n";
        for (format, expected) in [
            (Format::Token, "00D!t0k3n"),
            (Format::Json, json),
            (env_format(), env),
            (Format::Header, header),
        ] {
            assert_eq!(text(&published(), &format).unwrap(), expected);
        }
    }

    #[test]
    fn captures_appear_in_json_only_if_public_and_never_in_the_place_of_a_key() {
        let mut published = published();
        for (name, public) in [
            ("headers", true),
            ("access_token", true),
            ("csrf", false),
            ("scope", true),
        ] {
            Arc::make_mut(&mut published.token)
                .captures
                .insert(name, capture("captured", public));
        }
        let text = text(&published, &Format::Json).unwrap();
        assert_eq!(text.matches("captured").count(), 1, "{text}");
        assert!(text.contains(r#""scope":"captured""#), "{text}");
    }

    #[test]
    fn json_shows_when_the_token_ends_and_that_there_is_no_instance_url() {
        let mut published = published();
        Arc::make_mut(&mut published.token).instance_url = None;
        Arc::make_mut(&mut published.token).expires_at =
            Some("2026-01-02T05:04:05Z".parse().unwrap());
        let text = text(&published, &Format::Json).unwrap();
        assert!(text.contains(r#""instance_url":null"#), "{text}");
        assert!(
            text.contains(r#""expires_at":"2026-01-02T05:04:05Z""#),
            "{text}"
        );
    }

    #[test]
    fn env_omits_an_instance_url_that_there_is_not() {
        let mut published = published();
        Arc::make_mut(&mut published.token).instance_url = None;
        assert_eq!(
            text(&published, &env_format()).unwrap(),
            "CRM_TOKEN=00D!t0k3n\nCRM_GENERATION=7\n"
        );
    }

    #[test]
    fn env_has_quotes_only_around_what_a_shell_would_not_take_as_it_is() {
        for (token, expected) in [
            (
                "00Dxx0000001gPL!AQ8AQH0.dMHZEz_x5Ge.B7OQ4Bx-9",
                "00Dxx0000001gPL!AQ8AQH0.dMHZEz_x5Ge.B7OQ4Bx-9",
            ),
            ("eyJhbGciOi.J9-_/+==", "eyJhbGciOi.J9-_/+=="),
            ("a$b", "'a$b'"),
            ("a#b", "'a#b'"),
            ("~a", "'~a'"),
            ("a;b", "'a;b'"),
            ("a&b", "'a&b'"),
            ("a\"b", "'a\"b'"),
            ("a`b", "'a`b'"),
            ("=a", "'=a'"),
            ("{a,b}", "'{a,b}'"),
        ] {
            let mut published = published();
            Arc::make_mut(&mut published.token).access_token = Secret::new(token);
            let text = text(&published, &env_format()).unwrap();
            assert_eq!(
                text.lines().next(),
                Some(format!("CRM_TOKEN={expected}").as_str())
            );
        }
    }

    #[test]
    fn env_refuses_what_readers_would_read_differently() {
        for hostile in ["a'b", "a\\b"] {
            let mut published = published();
            Arc::make_mut(&mut published.token).access_token = Secret::new(hostile);
            let error = text(&published, &env_format()).unwrap_err();
            assert_eq!(
                error,
                FormatError::Unquotable {
                    variable: "CRM_TOKEN".into()
                }
            );
            assert_eq!(text(&published, &Format::Token).unwrap(), hostile);
        }
        for hostile in [
            "https://a/'",
            "https://a/\n",
            "https://a/\0",
            "https://a/\\",
        ] {
            let mut published = published();
            Arc::make_mut(&mut published.token).instance_url = Some(hostile.into());
            let error = text(&published, &env_format()).unwrap_err();
            assert_eq!(
                error,
                FormatError::Unquotable {
                    variable: "CRM_INSTANCE_URL".into()
                }
            );
        }
    }

    #[test]
    fn a_header_cannot_break_out_of_its_line() {
        for (name, value) in [("X-A", "b\r\nX-B: c"), ("X-A\n", "b"), ("X-A", "b\0")] {
            let mut published = published();
            published.headers = vec![(name.into(), Secret::new(value))];
            let error = text(&published, &Format::Header).unwrap_err();
            assert_eq!(error, FormatError::BrokenHeader { name: name.into() });
            assert!(!error.to_string().contains("X-B"), "{error}");
        }
        let mut published = published();
        published.headers.clear();
        assert_eq!(
            text(&published, &Format::Header).unwrap_err(),
            FormatError::NoHeaders
        );
    }

    #[test]
    fn no_format_carries_what_is_not_a_token() {
        for (hostile, error) in [
            (String::new(), TokenError::Empty),
            ("a b".into(), TokenError::BadCharacter),
            ("a\nb".into(), TokenError::BadCharacter),
            ("é".into(), TokenError::BadCharacter),
            ("a".repeat(64 * 1024 + 1), TokenError::TooLong),
        ] {
            for format in [Format::Token, Format::Json, env_format(), Format::Header] {
                let mut published = published();
                Arc::make_mut(&mut published.token).access_token = Secret::new(hostile.clone());
                assert_eq!(
                    text(&published, &format).unwrap_err(),
                    FormatError::Token(error)
                );
            }
        }
    }

    pub(in crate::publish) fn text(
        published: &Published,
        format: &Format,
    ) -> Result<String, FormatError> {
        render(published, format).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    fn env_format() -> Format {
        Format::Env {
            prefix: "CRM".into(),
        }
    }

    pub(in crate::publish) fn published() -> Published {
        Published {
            session: "crm".into(),
            generation: 7,
            token: Arc::new(Token {
                access_token: Secret::new("00D!t0k3n"),
                token_type: "Bearer".into(),
                instance_url: Some("https://acme.my.salesforce.com".into()),
                captures: Named::from([("id", capture("005", true))]),
                issued_at: "2026-01-02T03:04:05Z".parse().unwrap(),
                expires_at: None,
            }),
            headers: vec![
                ("Authorization".into(), Secret::new("Bearer 00D!t0k3n")),
                ("X-Org".into(), Secret::new("1")),
            ],
            base: "https://acme.my.salesforce.com".into(),
        }
    }

    pub(in crate::publish) fn capture(value: &str, public: bool) -> Capture {
        Capture {
            value: Secret::new(value),
            public,
        }
    }
}
