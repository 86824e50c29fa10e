//! Which hosts a session's calls and tokens may go to.

use url::{Host, Url};

/// A host name in which `*` stands for one or more characters, dots included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HostPattern(String);

impl HostPattern {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.to_ascii_lowercase())
    }

    pub(super) fn matches(&self, host: &str) -> bool {
        matches(self.0.as_bytes(), host.as_bytes())
    }
}

fn matches(pattern: &[u8], host: &[u8]) -> bool {
    match pattern.split_first() {
        None => host.is_empty(),
        Some((b'*', rest)) => {
            (1..=host.len()).any(|taken| host.get(taken..).is_some_and(|host| matches(rest, host)))
        }
        Some((byte, rest)) => host
            .split_first()
            .is_some_and(|(first, host)| first == byte && matches(rest, host)),
    }
}

/// What a profile says of hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// Where URLs that the server hands out may point, besides the configured host.
    pub(super) own: Vec<HostPattern>,
    /// Hosts that look right and serve no API.
    pub(super) not_api: Vec<HostPattern>,
    /// What to do when the configured host is one of those.
    pub(super) not_api_because: String,
}

/// Why a handed-out URL is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ForeignUrl {
    #[error("it is no plain https URL of a host")]
    Malformed,
    #[error("its host is neither the configured one nor one of the provider's own")]
    Foreign,
}

impl Hosts {
    pub(super) fn is_own(&self, host: &str) -> bool {
        any(&self.own, host) && !any(&self.not_api, host)
    }

    pub(super) fn is_not_api(&self, host: &str) -> bool {
        any(&self.not_api, host)
    }

    /// Takes a base URL that the server handed out: scheme, host and port, without a trailing slash.
    ///
    /// Accepted are the configured origin; https on the default port to the provider's own domains; and, when the
    /// configured host is loopback, loopback at any port.
    pub(super) fn accept(&self, handed_out: &str, configured: &Url) -> Result<String, ForeignUrl> {
        let url = bare_origin(handed_out).ok_or(ForeignUrl::Malformed)?;
        let host = url.host_str().unwrap_or_default();
        let same = url.origin() == configured.origin();
        let own = url.scheme() == "https" && url.port().is_none() && self.is_own(host);
        let local = is_loopback(&url) && is_loopback(configured);
        if same || own || local {
            Ok(url.origin().ascii_serialization())
        } else {
            Err(ForeignUrl::Foreign)
        }
    }
}

fn any(patterns: &[HostPattern], host: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(host))
}

/// A URL of http or https with nothing but a host and perhaps a port.
fn bare_origin(text: &str) -> Option<Url> {
    let visible = text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'@');
    let url = visible.then(|| Url::parse(text).ok()).flatten()?;
    let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let plain = url.username().is_empty() && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && bare && plain).then_some(url)
}

/// Whether the URL's host is this machine, by name or address.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_or_more_characters() {
        for (pattern, host, expected) in [
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.example.com.evil.org", false),
            ("*.example.com", "aexample.com", false),
            ("*--*.my.example.com", "acme--dev.my.example.com", true),
            ("*--*.my.example.com", "acme.my.example.com", false),
            ("LOGIN.example.com", "login.example.com", true),
        ] {
            assert_eq!(
                HostPattern::new(pattern).matches(host),
                expected,
                "{pattern} against {host}"
            );
        }
    }

    #[test]
    fn only_the_servers_own_hosts_are_followed() {
        for (handed_out, expected) in [
            (
                "https://acme.my.example.com",
                Some("https://acme.my.example.com"),
            ),
            ("https://eu7.example.com/", Some("https://eu7.example.com")),
            (
                "https://EU7.example.com:443",
                Some("https://eu7.example.com"),
            ),
            ("http://acme.my.example.com", None),
            ("https://acme.my.example.com:8443", None),
            ("https://acme.my.example.com@evil.org", None),
            ("https://user@acme.my.example.com", None),
            ("https://evil.org", None),
            ("https://acme.my.example.com.evil.org", None),
            ("https://evil.org/acme.my.example.com", None),
            ("https://evil.org\\.example.com", None),
            ("https://a.lightning.example.com", None),
            ("https://10.0.0.1", None),
            ("https://127.0.0.1", None),
            ("https://localhost", None),
            ("https://[::1]", None),
            ("https://acme.my.example.com/x", None),
            ("https://acme.my.example.com?x", None),
            ("https://acme.my.example.com#x", None),
            ("https://acme.my.example.com\n", None),
            ("https://acme.my.example.com.", None),
            ("javascript:alert(1)", None),
            ("acme.my.example.com", None),
            ("", None),
        ] {
            let accepted = hosts().accept(handed_out, &url("https://acme.my.example.com"));
            assert_eq!(accepted.ok().as_deref(), expected, "{handed_out:?}");
        }
    }

    #[test]
    fn loopback_may_lead_to_loopback_and_nowhere_else() {
        for (handed_out, expected) in [
            ("http://127.0.0.1:9999", true),
            ("http://localhost:9999", true),
            ("http://[::1]:9", true),
            ("http://10.0.0.1:8080", false),
            ("http://evil.org", false),
        ] {
            let accepted = hosts().accept(handed_out, &url("http://127.0.0.1:8080"));
            assert_eq!(accepted.is_ok(), expected, "{handed_out:?}");
        }
    }

    #[test]
    fn the_configured_origin_is_always_followed() {
        let configured = url("https://intranet.corp:8443");
        assert!(
            hosts()
                .accept("https://intranet.corp:8443/", &configured)
                .is_ok()
        );
        assert!(
            hosts()
                .accept("https://intranet.corp", &configured)
                .is_err()
        );
        assert!(
            hosts()
                .accept("http://intranet.corp:8443", &configured)
                .is_err()
        );
    }

    fn hosts() -> Hosts {
        Hosts {
            own: vec![HostPattern::new("*.example.com")],
            not_api: vec![HostPattern::new("*.lightning.example.com")],
            not_api_because: String::new(),
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }
}
