//! A netrc line: the token as the password of one host.

use zeroize::Zeroizing;

use super::{FormatError, host, with_room};
use crate::token::Published;

pub(super) fn render(
    published: &Published,
    login: &str,
) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let token = published.token.access_token.expose();
    for (what, value) in [("login", login), ("token", token)] {
        if !is_plain(value) {
            return Err(FormatError::Unlisted { what });
        }
    }
    let (_, host) = host(published)?;
    let mut bytes = with_room(published);
    for part in [
        "machine ",
        &host,
        " login ",
        login,
        " password ",
        token,
        "\n",
    ] {
        bytes.extend_from_slice(part.as_bytes());
    }
    Ok(bytes)
}

/// Whether curl, git and Python read the word alike: quotes and backslashes are escapes for some of them.
pub(crate) fn is_plain(word: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '\\');
    !word.is_empty() && !word.starts_with('#') && !word.contains(odd)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{published, text};
    use super::*;
    use crate::publish::Format;
    use crate::secret::Secret;

    #[test]
    fn the_token_is_the_password_of_its_host_without_a_port() {
        let mut published = published();
        published.base = "https://acme.example:8443".into();
        let netrc = Format::Netrc {
            login: "oauth2".into(),
        };
        assert_eq!(
            text(&published, &netrc).unwrap(),
            "machine acme.example login oauth2 password 00D!t0k3n\n"
        );
    }

    #[test]
    fn what_programs_read_differently_is_refused() {
        for token in ["a\"b", "a'b", "a\\b", "#ab"] {
            let mut published = published();
            Arc::make_mut(&mut published.token).access_token = Secret::new(token);
            let error = text(&published, &Format::Netrc { login: "x".into() }).unwrap_err();
            assert_eq!(error, FormatError::Unlisted { what: "token" });
        }
        let error = text(
            &published(),
            &Format::Netrc {
                login: "two words".into(),
            },
        )
        .unwrap_err();
        assert_eq!(error, FormatError::Unlisted { what: "login" });
    }
}
