//! A cookie jar in Netscape's format: the cookies of the session's `Cookie` header, for its own host only.

use zeroize::Zeroizing;

use super::{FormatError, host, with_room};
use crate::token::Published;

/// Without this line some programs (Python's `MozillaCookieJar`) refuse the file.
const HEAD: &str = "# Netscape HTTP Cookie File\n";

/// One line a cookie: domain, whether subdomains get it, path, whether https only, expiry, name, value.
///
/// The expiry is the token's, or 0, which marks a session cookie, where the server names no end.
pub(super) fn render(published: &Published) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let cookies: Vec<(&str, &str)> = cookies(published).collect();
    if cookies.is_empty() {
        return Err(FormatError::NoCookies);
    }
    let (secure, host) = host(published)?;
    let secure = if secure { "TRUE" } else { "FALSE" };
    let expiry = published
        .token
        .expires_at
        .map_or(0, jiff::Timestamp::as_second)
        .to_string();
    let mut bytes = with_room(published);
    bytes.extend_from_slice(HEAD.as_bytes());
    for (name, value) in cookies {
        if name.is_empty() || name.contains(char::is_control) || value.contains(char::is_control) {
            return Err(FormatError::BrokenCookie {
                name: name.to_owned(),
            });
        }
        for part in [
            &host,
            "\tFALSE\t/\t",
            secure,
            "\t",
            &expiry,
            "\t",
            name,
            "\t",
            value,
            "\n",
        ] {
            bytes.extend_from_slice(part.as_bytes());
        }
    }
    Ok(bytes)
}

/// Names and values of every `Cookie` header (RFC 6265 section 4.2).
fn cookies(published: &Published) -> impl Iterator<Item = (&str, &str)> {
    let headers = published
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let pairs = headers
        .flat_map(|(_, value)| value.expose().split(';'))
        .map(str::trim);
    pairs
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or(("", pair)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{published, text};
    use super::*;
    use crate::publish::Format;
    use crate::secret::Secret;

    #[test]
    fn every_cookie_stands_on_a_line_for_its_own_host() {
        let mut published = published();
        published
            .headers
            .push(("cookie".into(), Secret::new("sid=00D!x=y; csrf=1")));
        assert_eq!(
            text(&published, &Format::Cookies).unwrap(),
            "# Netscape HTTP Cookie File\n\
             acme.my.salesforce.com\tFALSE\t/\tTRUE\t0\tsid\t00D!x=y\n\
             acme.my.salesforce.com\tFALSE\t/\tTRUE\t0\tcsrf\t1\n"
        );
        Arc::make_mut(&mut published.token).expires_at =
            Some("2026-01-02T04:04:05Z".parse().unwrap());
        published.base = "http://[::1]:8089".into();
        let line = text(&published, &Format::Cookies)
            .unwrap()
            .lines()
            .nth(1)
            .unwrap()
            .to_owned();
        assert_eq!(line, "::1\tFALSE\t/\tFALSE\t1767326645\tsid\t00D!x=y");
    }

    #[test]
    fn a_session_without_cookies_says_so_and_a_broken_one_makes_no_line() {
        assert_eq!(
            text(&published(), &Format::Cookies).unwrap_err(),
            FormatError::NoCookies
        );
        for (header, name) in [("sid=a\tb", "sid"), ("s\nid=a", "s\nid"), ("lonely", "")] {
            let mut published = published();
            published.headers = vec![("Cookie".into(), Secret::new(header))];
            let error = text(&published, &Format::Cookies).unwrap_err();
            assert_eq!(error, FormatError::BrokenCookie { name: name.into() });
        }
    }
}
