//! The cookies that an answer sets and takes away (RFC 6265 section 5), as far as one answer tells.

use std::iter;

use jiff::Timestamp;
use url::Url;

use super::dates::http_date;

/// What is to have ended before this was never meant to live, whatever the clock of this machine says.
const LONG_PAST: Timestamp = Timestamp::constant(946_684_800, 0);

/// One cookie of a `Set-Cookie` line.
#[derive(Debug)]
struct SetCookie<'a> {
    name: &'a str,
    value: &'a str,
    domain: Option<String>,
    path: Option<&'a str>,
    /// By `Max-Age`, which counts before `Expires`.
    is_to_live: Option<bool>,
    expires: Option<Timestamp>,
}

/// All cookies of one name.
pub(super) struct Cookies<'a> {
    jar: Vec<SetCookie<'a>>,
    /// The URL that answered, and the server's clock, where they are known.
    url: Option<&'a Url>,
    now: Option<Timestamp>,
}

impl<'a> Cookies<'a> {
    /// What `lines` say of the cookie `name`; of two with the same domain and path, the later one counts.
    pub(super) fn named(
        name: &str,
        lines: impl Iterator<Item = &'a str>,
        url: Option<&'a Url>,
        now: Option<Timestamp>,
    ) -> Self {
        let mut jar: Vec<SetCookie<'a>> = Vec::new();
        for cookie in lines
            .flat_map(unfolded)
            .filter_map(SetCookie::read)
            .filter(|cookie| cookie.name == name)
        {
            jar.retain(|known| known.domain != cookie.domain || known.path != cookie.path);
            jar.push(cookie);
        }
        Self { jar, url, now }
    }

    /// The value of the last that lives; one whose domain is another host's only where there is no other.
    pub(super) fn living(&self) -> Option<&'a str> {
        let living = || self.jar.iter().filter(|cookie| cookie.lives(self.now));
        let own = living().rfind(|cookie| cookie.is_for_host(self.url));
        own.or_else(|| living().next_back())
            .map(|cookie| cookie.value)
    }

    /// Whether one with this value lives.
    pub(super) fn keep(&self, value: &str) -> bool {
        self.jar
            .iter()
            .any(|cookie| cookie.value == value && cookie.lives(self.now))
    }

    /// Whether a browser that sent it to this URL would send none any more.
    pub(super) fn taken_away(&self) -> bool {
        let here =
            |cookie: &&SetCookie<'_>| cookie.is_for_host(self.url) && cookie.is_for_path(self.url);
        self.living().is_none() && self.jar.iter().any(|cookie| here(&cookie))
    }
}

impl<'a> SetCookie<'a> {
    /// RFC 6265 section 5.2.
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let mut cookie = Self {
            name: name.trim(),
            value: value.trim(),
            domain: None,
            path: None,
            is_to_live: None,
            expires: None,
        };
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" => {
                    cookie.domain = Some(value.trim_start_matches('.').to_ascii_lowercase());
                }
                "path" => cookie.path = Some(value).filter(|path| path.starts_with('/')),
                "max-age" => cookie.is_to_live = max_age(value).or(cookie.is_to_live),
                "expires" => cookie.expires = http_date(value).or(cookie.expires),
                _ => {}
            }
        }
        Some(cookie)
    }

    fn lives(&self, now: Option<Timestamp>) -> bool {
        let by_date = || {
            self.expires
                .is_none_or(|end| end > now.unwrap_or(LONG_PAST))
        };
        !matches!(self.value, "" | "\"\"") && self.is_to_live.unwrap_or_else(by_date)
    }

    /// RFC 6265 section 5.1.3.
    fn is_for_host(&self, url: Option<&Url>) -> bool {
        let (Some(domain), Some(host)) = (self.domain.as_deref(), url.and_then(Url::host_str))
        else {
            return true;
        };
        let above = || {
            host.strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        domain.is_empty() || host == domain || above()
    }

    /// RFC 6265 section 5.1.4.
    fn is_for_path(&self, url: Option<&Url>) -> bool {
        let (Some(path), Some(url)) = (self.path, url) else {
            return true;
        };
        let below = || {
            url.path()
                .strip_prefix(path)
                .is_some_and(|rest| path.ends_with('/') || rest.starts_with('/'))
        };
        url.path() == path || below()
    }
}

/// Whether the cookie is to live on; none where that is no number (RFC 6265 section 5.2.2).
fn max_age(text: &str) -> Option<bool> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.len() == text.len() && digits.bytes().any(|byte| byte != b'0'))
}

/// The names and values of the cookies that a line sets.
pub(super) fn all(line: &str) -> impl Iterator<Item = (&str, &str)> {
    unfolded(line)
        .filter_map(SetCookie::read)
        .map(|cookie| (cookie.name, cookie.value))
}

/// The cookies of one line. None should hold two, but proxies and libraries fold them by commas; a date has a comma too, and so
/// may a value.
fn unfolded(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    iter::from_fn(move || {
        let text = rest?;
        let (cookie, after) = match seam(text) {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = after;
        Some(cookie)
    })
}

/// The comma between two cookies: a name and `=` follow it, and it is not part of a value.
fn seam(text: &str) -> Option<usize> {
    let (mut quoted, mut is_value) = (false, true);
    for (at, char) in text.char_indices() {
        let after = || text.get(at + 1..).unwrap_or_default();
        match char {
            '"' if is_value => quoted = !quoted && after().contains('"'),
            ';' => (quoted, is_value) = (false, false),
            ',' if !quoted && begins_cookie(after(), is_value) => return Some(at),
            _ => {}
        }
    }
    None
}

/// Within a value only a comma and a blank can be the end of it.
fn begins_cookie(text: &str, within_value: bool) -> bool {
    let begin = text.trim_start();
    let apart = !within_value || begin.len() < text.len();
    let name = begin
        .split_once('=')
        .map(|(name, _)| name)
        .unwrap_or_default();
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b";,\"".contains(&byte));
    apart && is_name
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GONE: &str = "SID=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/";

    #[test]
    fn of_several_cookies_of_one_name_the_last_that_lives_is_taken() {
        for (lines, expected) in [
            (&["SID=a=b; Path=/; HttpOnly"][..], Some("a=b")),
            (&["SID=a; Path=/", "SID=b; Path=/"], Some("b")),
            (&["SID=a", "sid=b", "SIDE=c"], Some("a")),
            (&[GONE, "SID=a; path=/admin"], Some("a")),
            (&["SID=a; path=/admin", GONE], Some("a")),
            (&["SID=a; Path=/", "SID=deleted; Path=/; Max-Age=0"], None),
            (
                &[
                    "SID=a; Path=/",
                    "SID=b; Path=/x; Max-Age=0",
                    "SID=c; Path=/; Max-Age=-1",
                ],
                None,
            ),
            (
                &[
                    "SID=a; Domain=other.example",
                    "SID=b; domain=.Acme.Example",
                    "SID=c; Domain=cme.example",
                ],
                Some("b"),
            ),
            (&["SID=a; Domain=other.example"], Some("a")),
            (&["SID=a; Expires=Sun, 29 Nov 2026 12:00:01 GMT"], Some("a")),
            (&["SID=a; Expires=Sun, 29 Nov 2026 12:00:00 GMT"], None),
            (&["SID=a; Expires=Sun Nov 29 11:59:59 2026"], None),
            (&["SID=a; Expires=Sunday, 29-Nov-26 11:59:59 GMT"], None),
            (
                &["SID=a; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=600"],
                Some("a"),
            ),
            (&["SID=a; Max-Age=soon"], Some("a")),
            (&["SID=a; Expires=never"], Some("a")),
            (&["SID=a; Max-Age=000"], None),
            (&["SID=; Path=/"], None),
            (&["SID=\"\"; Path=/"], None),
            (&["SID=\"a b\"; Path=/"], Some("\"a b\"")),
            (&["SID"], None),
            (&["=a"], None),
        ] {
            let cookies = cookies(lines, "https://www.acme.example/api/login");
            assert_eq!(cookies.living(), expected, "{lines:?}");
        }
    }

    #[test]
    fn two_cookies_in_one_line_are_two() {
        for (line, expected) in [
            ("A=1; Path=/, SID=x; Path=/", Some("x")),
            (
                "A=1; Expires=Wed, 30 Dec 2026 12:00:00 GMT, SID=x; HttpOnly",
                Some("x"),
            ),
            (
                "A=1; Expires=Wed, 30-Dec-2026 12:00:00 GMT,SID=x",
                Some("x"),
            ),
            ("A=1, SID=x", Some("x")),
            ("SID=x; Path=/, SID=deleted; Path=/; Max-Age=0", None),
            ("SID=a,b=c; Path=/", Some("a,b=c")),
            ("SID=\"a, b=c\"; Path=/", Some("\"a, b=c\"")),
            ("SID=a,; Path=/", Some("a,")),
            ("A=1;,SID=x", Some("x")),
        ] {
            assert_eq!(
                cookies(&[line], "https://acme.example/").living(),
                expected,
                "{line}"
            );
        }
    }

    #[test]
    fn a_cookie_is_taken_away_only_where_it_would_be_sent() {
        for (lines, expected) in [
            (&[GONE][..], true),
            (&["SID=; Path=/api"], true),
            (&["SID=; Path=/api/"], true),
            (&["SID=; Path=/ap"], false),
            (&["SID=; Path=/old"], false),
            (&["SID=; Domain=other.example"], false),
            (&["SID=; Domain=acme.example"], true),
            (&[GONE, "SID=a; Path=/api"], false),
            (&["OTHER=; Path=/"], false),
            (&[], false),
        ] {
            assert_eq!(
                cookies(lines, "https://www.acme.example/api/ping").taken_away(),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn without_a_clock_only_what_ended_long_ago_is_taken_away() {
        for (line, expected) in [
            ("SID=0; expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/", None),
            (
                "SID=0; expires=Sat, 01-Jan-2022 00:00:01 GMT; path=/",
                Some("0"),
            ),
        ] {
            assert_eq!(
                Cookies::named("SID", iter::once(line), None, None).living(),
                expected,
                "{line}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_cookie_that_is_folded_behind_others_is_the_same(
            others in proptest::collection::vec("[a-z]{1,5}=[a-z0-9]{0,5}(; Path=/[a-z]{0,3})?(; Expires=Wed, 30 Dec 2026 12:00:00 GMT)?", 0..4),
            value in "[!#-+./0-:<-\\[\\]-~-]{1,20}",
        ) {
            let own = format!("SID={value}; Path=/; HttpOnly");
            let folded = others.iter().chain([&own]).cloned().collect::<Vec<_>>().join(", ");
            prop_assert_eq!(cookies(&[&folded], "https://acme.example/").living(), Some(value.as_str()));
        }

        #[test]
        fn no_line_makes_it_panic(line in "[ -~]{0,60}|\\PC{0,30}") {
            let cookies = cookies(&[&line], "https://acme.example/");
            let _ = (cookies.living(), cookies.taken_away());
        }
    }

    fn cookies<'a>(lines: &[&'a str], url: &str) -> Cookies<'a> {
        let now = "2026-11-29T12:00:00Z".parse().ok();
        let url: &'static Url = Box::leak(Box::new(Url::parse(url).unwrap()));
        Cookies::named("SID", lines.iter().copied(), Some(url), now)
    }
}
