//! What a request must carry, as a server handed it out and as it is published.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::named::Named;
use crate::secret::Secret;

/// The longest access token that is published.
pub const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// One login's result: the access token and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The value that requests carry; checked by [`checked_access_token`].
    #[serde(with = "crate::secret::exposed")]
    pub access_token: Secret,
    /// `Bearer`, unless the server said otherwise.
    pub token_type: String,
    /// The base of API requests where the server names one: scheme, host and port, no trailing slash.
    pub instance_url: Option<String>,
    /// Whatever else the profile captures: `id`, `scope`, a CSRF token.
    pub captures: Named<Capture>,
    /// When the server issued it, by the server's word or else by our clock.
    pub issued_at: Timestamp,
    /// When it ends by the server's word, corrected for skew; none where only idleness or an admin ends it.
    pub expires_at: Option<Timestamp>,
}

impl Token {
    /// All of it that must not be shown: the value, and what else was captured and is not public.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        let captures = self.captures.values().filter(|capture| !capture.public);
        captures
            .map(|capture| &capture.value)
            .chain([&self.access_token])
    }

    /// Whether a reader is as well served by `other`: the value, the place and everything secret that goes with it are
    /// the same. What is public (an issue time, a signature) may differ.
    pub fn serves_like(&self, other: &Self) -> bool {
        let secrets = |token: &Self| {
            let captures = token.captures.iter().filter(|(_, capture)| !capture.public);
            captures
                .map(|(name, capture)| (name.to_owned(), capture.value.clone()))
                .collect::<Vec<_>>()
        };
        self.access_token == other.access_token
            && self.instance_url == other.instance_url
            && secrets(self) == secrets(other)
    }
}

/// A captured value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// What was captured.
    #[serde(with = "crate::secret::exposed")]
    pub value: Secret,
    /// Public captures appear in the `json` format.
    pub public: bool,
}

/// A token with all that its readers need; one generation of a session as files and the socket show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The session's name.
    pub session: Arc<str>,
    /// Rises with each new token or instance URL.
    pub generation: u64,
    /// The token itself.
    pub token: Arc<Token>,
    /// The headers that a request carries, ready to send.
    pub headers: Vec<(String, Secret)>,
    /// What requests go to: the `instance_url`, or the configured URL where the server names none.
    pub base: String,
}

/// Why an access token cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// There is nothing in it.
    #[error("the access token is empty")]
    Empty,
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("the access token is longer than 64 KiB")]
    TooLong,
    /// A space, a control character or anything outside ASCII.
    #[error("the access token has a character that is not visible ASCII")]
    BadCharacter,
}

/// Accepts visible ASCII without spaces, at most 64 KiB (RFC 6750 section 2.1 is narrower than what servers send).
///
/// # Errors
/// Says what is wrong with the value, without showing it.
pub fn checked_access_token(value: &str) -> Result<Secret, TokenError> {
    if value.is_empty() {
        return Err(TokenError::Empty);
    }
    if value.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::BadCharacter);
    }
    Ok(Secret::new(value))
}

/// Why a refresh token cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RefreshTokenError {
    /// A number, a list or anything else that is no text.
    #[error("it is no text")]
    NotText,
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("it is longer than 64 KiB")]
    TooLong,
    /// What RFC 6749 (appendix A.17) does not let a refresh token hold.
    #[error("it has a character that is neither visible ASCII nor a blank")]
    BadCharacter,
}

/// Accepts visible ASCII and blanks, at most 64 KiB (RFC 6749 appendix A.17).
///
/// # Errors
/// Says what is wrong with the value, without showing it.
pub fn checked_refresh_token(value: &str) -> Result<Secret, RefreshTokenError> {
    if value.len() > MAX_TOKEN_BYTES {
        return Err(RefreshTokenError::TooLong);
    }
    if !value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
    {
        return Err(RefreshTokenError::BadCharacter);
    }
    Ok(Secret::new(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_visible_ascii_of_at_most_64_kib() {
        for good in ["a", "00D!x.y-z", "~", &"x".repeat(65_536)] {
            assert_eq!(checked_access_token(good).unwrap().expose(), good);
        }
        assert_eq!(checked_access_token(""), Err(TokenError::Empty));
        assert_eq!(
            checked_access_token(&"x".repeat(65_537)),
            Err(TokenError::TooLong)
        );
        for bad in ["a b", " ", "a\n", "\u{7f}", "t\u{f6}k"] {
            assert_eq!(
                checked_access_token(bad),
                Err(TokenError::BadCharacter),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_refresh_token_is_visible_ascii_and_blanks_of_at_most_64_kib() {
        for good in ["", "a b", "~!", &"x".repeat(65_536)] {
            assert_eq!(checked_refresh_token(good).unwrap().expose(), good);
        }
        assert_eq!(
            checked_refresh_token(&"x".repeat(65_537)),
            Err(RefreshTokenError::TooLong)
        );
        for bad in ["a\n", "a\tb", "\u{7f}", "t\u{f6}k"] {
            assert_eq!(
                checked_refresh_token(bad),
                Err(RefreshTokenError::BadCharacter),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_token_serves_like_another_with_the_same_value_place_and_secrets() {
        let token = token("t", None, &[("csrf", "c", false), ("id", "1", true)]);
        assert!(token.serves_like(&self::token(
            "t",
            None,
            &[("csrf", "c", false), ("id", "2", true)]
        )));
        for other in [
            self::token("u", None, &[("csrf", "c", false)]),
            self::token("t", Some("https://a.example"), &[("csrf", "c", false)]),
            self::token("t", None, &[("csrf", "d", false)]),
            self::token("t", None, &[]),
        ] {
            assert!(!token.serves_like(&other), "{other:?}");
        }
    }

    fn token(value: &str, url: Option<&str>, captures: &[(&str, &str, bool)]) -> Token {
        let capture = |value: &str, public| Capture {
            value: Secret::new(value),
            public,
        };
        Token {
            access_token: Secret::new(value),
            token_type: "Bearer".into(),
            instance_url: url.map(str::to_owned),
            captures: captures
                .iter()
                .map(|(name, value, public)| ((*name).to_owned(), capture(value, *public)))
                .collect(),
            issued_at: Timestamp::UNIX_EPOCH,
            expires_at: None,
        }
    }
}
