//! By which names scrapers may ask over TCP.
//!
//! A page in a browser on this machine can let a name of its own point to loopback, and then reads what listens there as if
//! it were the page's server (DNS rebinding). By that name it is known.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};

/// So much of a name is shown.
const SHOWN: usize = 100;

/// The names besides addresses and `localhost`; on a unix socket any will do.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    named: Option<Vec<String>>,
    told: AtomicBool,
}

impl Hosts {
    /// For a listener at an address.
    pub(super) fn only(named: &[String]) -> Self {
        Self {
            named: Some(named.to_vec()),
            told: AtomicBool::new(false),
        }
    }

    /// The answer to a client that asks by another name. A client that gives none is no browser.
    pub(super) fn refusal(&self, asked: &Uri, headers: &HeaderMap) -> Option<Response> {
        let named = self.named.as_ref()?;
        // A whole address in the request's line goes before the header (RFC 9112 section 3.2.2).
        let in_line = asked.authority().map(|host| host.as_str().into());
        let hosts = headers
            .get_all(HOST)
            .iter()
            .map(|host| String::from_utf8_lossy(host.as_bytes()));
        let unknown = in_line
            .into_iter()
            .chain(hosts)
            .find(|host| !is_known(host, named))?;
        let host: String = unknown
            .chars()
            .filter(char::is_ascii_graphic)
            .take(SHOWN)
            .collect();
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                event = "unknown_host",
                host,
                "a scraper asked by a name that is not known and was turned away, as all such will be: if it is one of \
                 yours, add the name to `hosts` in [metrics], or let it ask by the address"
            );
        }
        let text = format!(
            "{host} is not a known name of this address, so the caller may be a page in a browser.\n\
             Ask by the address, or add the name to `hosts` in [metrics] of keepfresh's config.\n"
        );
        Some(
            (
                StatusCode::MISDIRECTED_REQUEST,
                [(CONTENT_TYPE, "text/plain; charset=utf-8")],
                text,
            )
                .into_response(),
        )
    }
}

/// Whether the value of a `Host` header is an address, `localhost`, or one of `named`.
fn is_known(host: &str, named: &[String]) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest
            .split_once(']')
            .filter(|(_, port)| port.is_empty() || is_port(port));
        return address.is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    }
    let name = host.split_once(':').map_or(Some(host), |(name, port)| {
        is_port(&format!(":{port}")).then_some(name)
    });
    let Some(name) = name.map(|name| name.trim_end_matches('.').to_ascii_lowercase()) else {
        return false;
    };
    name.parse::<IpAddr>().is_ok() || name == "localhost" || named.contains(&name)
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':')
        .is_some_and(|digits| digits.chars().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_configured_names_are_known() {
        let named = ["metrics.example".to_owned()];
        for (host, expected) in [
            ("127.0.0.1:9464", true),
            ("127.0.0.1", true),
            ("192.0.2.7:80", true),
            ("[::1]:9464", true),
            ("[::1]", true),
            ("localhost:9464", true),
            ("LOCALHOST.", true),
            ("Metrics.Example:9464", true),
            ("metrics.example.", true),
            ("evil.example:9464", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("evil.example@127.0.0.1", false),
            ("127.0.0.1:9464@evil.example", false),
            ("[::1]evil.example", false),
            ("[evil.example]", false),
            ("x.metrics.example", false),
            ("", false),
        ] {
            assert_eq!(is_known(host, &named), expected, "{host}");
        }
    }

    #[test]
    fn who_gives_no_name_is_no_browser_and_a_unix_socket_is_out_of_reach_of_one() {
        let mut headers = HeaderMap::new();
        let plain = Uri::from_static("/metrics");
        let (whole, foreign) = (
            Uri::from_static("http://127.0.0.1:9464/metrics"),
            Uri::from_static("http://evil.example/metrics"),
        );
        assert!(Hosts::only(&[]).refusal(&plain, &headers).is_none());
        assert!(Hosts::only(&[]).refusal(&whole, &headers).is_none());
        assert!(Hosts::only(&[]).refusal(&foreign, &headers).is_some());
        headers.insert(HOST, "evil.example".parse().unwrap());
        assert!(Hosts::default().refusal(&plain, &headers).is_none());
        headers.append(HOST, "127.0.0.1".parse().unwrap());
        let refusal = Hosts::only(&[]).refusal(&plain, &headers).unwrap();
        assert_eq!(refusal.status(), StatusCode::MISDIRECTED_REQUEST);
    }
}
