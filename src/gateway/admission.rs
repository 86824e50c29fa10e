//! Which requests go on to the server: what a request says, before anything of its body is read, and whether that may pass.
//!
//! Pure. What could be read in two ways is refused and not set right, so that no two programs on the way can read it
//! differently.

use axum::http::header::{
    CONTENT_LENGTH, HOST, HeaderMap, HeaderName, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{Method, StatusCode, Uri, Version};

use crate::config::Allow;
use crate::provider::{Denied, has_one_reading};
use crate::serve::Caller;

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It came by another name, or by none, or by several.
    Host,
    /// A page in a browser, or a proxy, sent it.
    Browser,
    /// It came over a port, without the header that the config asks for.
    Header,
    /// It asks for a connection through this, or for another protocol.
    Tunnel,
    /// It would have its own head, token and all, sent back.
    Trace,
    /// Its length could be read in two ways.
    Framing,
    /// Its path could be read in two ways.
    Path,
    /// The profile keeps this path from jobs: it gives out tokens, or ends the session.
    Denied,
    /// No rule of the config allows it to this caller.
    NotAllowed,
}

/// What is known of a listener's session.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Names by which the listener is asked, in lower case, with the port where there is one.
    pub hosts: Vec<String>,
    /// Whether they may come with a port: no page of a browser reaches a unix socket.
    pub any_port: bool,
    /// A header that must be there, in lower case.
    pub header: Option<String>,
    /// Requests that the profile keeps from jobs.
    pub denied: Vec<Denied>,
    /// What the config allows; empty for everything.
    pub allow: Vec<Allow>,
}

impl Refusal {
    /// The answer's status: never 401, for which clients would log in.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Tunnel => StatusCode::MISDIRECTED_REQUEST,
            Self::Browser | Self::Header | Self::Denied | Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::Trace => StatusCode::METHOD_NOT_ALLOWED,
            Self::Framing | Self::Path => StatusCode::BAD_REQUEST,
        }
    }

    /// Its word, in `Keepfresh-Error`, in events and in figures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Browser => "browser",
            Self::Header => "header",
            Self::Tunnel => "tunnel",
            Self::Trace => "trace",
            Self::Framing => "framing",
            Self::Path => "path",
            Self::Denied => "denied",
            Self::NotAllowed => "not-allowed",
        }
    }
}

impl Rules {
    /// Whether a request of `caller` may go on.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn admit(
        &self,
        caller: &Caller,
        method: &Method,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        // Neither `http://HOST/path` nor `HOST:PORT` nor `*`: there is one server behind this, and no choice of it.
        if *method == Method::CONNECT
            || uri.authority().is_some()
            || headers.contains_key(UPGRADE)
            || version == Version::HTTP_09
        {
            return Err(Refusal::Tunnel);
        }
        if !self.is_own_host(headers) {
            return Err(Refusal::Host);
        }
        if headers.keys().any(is_of_a_browser) {
            return Err(Refusal::Browser);
        }
        let asked_for = |header: &String| !headers.contains_key(header.as_str());
        if self.header.as_ref().is_some_and(asked_for) {
            return Err(Refusal::Header);
        }
        if *method == Method::TRACE {
            return Err(Refusal::Trace);
        }
        if !is_framed_once(headers, version) {
            return Err(Refusal::Framing);
        }
        let path = uri.path();
        if !has_one_reading(path) {
            return Err(Refusal::Path);
        }
        let denied = |denied: &Denied| denied.holds(method.as_str(), path);
        if self.denied.iter().any(denied) {
            return Err(Refusal::Denied);
        }
        let allowed = |rule: &Allow| allows(rule, caller, method, path);
        if self.allow.is_empty() || self.allow.iter().any(allowed) {
            Ok(())
        } else {
            Err(Refusal::NotAllowed)
        }
    }

    /// A page that lets a name of its own point here (DNS rebinding) is known by that name.
    fn is_own_host(&self, headers: &HeaderMap) -> bool {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return false;
        };
        let Ok(host) = host.to_str() else {
            return false;
        };
        let host = match host.rsplit_once(':') {
            Some((name, port))
                if self.any_port && port.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                name
            }
            Some(_) | None => host,
        };
        self.hosts.contains(&host.to_ascii_lowercase())
    }
}

/// Whether only a browser's page or another proxy sends a header of this name: neither is the job that this gateway is for.
fn is_of_a_browser(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "origin" | "referer" | "forwarded")
        || name.starts_with("sec-fetch-")
        || name.starts_with("x-forwarded-")
}

fn allows(rule: &Allow, caller: &Caller, method: &Method, path: &str) -> bool {
    (rule.who.is_empty() || rule.who.iter().any(|who| caller.is(*who)))
        && (rule.methods.is_empty() || rule.methods.iter().any(|one| one == method.as_str()))
        && (rule.paths.is_empty() || rule.paths.iter().any(|prefix| prefix.holds(path)))
}

/// Whether a body's length is said in one way, or there is none (RFC 9112 section 6.3); trailers would come after what was
/// judged.
fn is_framed_once(headers: &HeaderMap, version: Version) -> bool {
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let chunked = coding.is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    let framed = match (lengths, coding) {
        (0 | 1, None) => true,
        (0, Some(_)) => chunked && codings.next().is_none() && version == Version::HTTP_11,
        (_, _) => false,
    };
    framed && !headers.contains_key(TRAILER) && !headers.contains_key(TE)
}

/// Whether a header is for this connection alone: by its own name, or since `Connection` names it (RFC 9110 section 7.6.1).
pub fn is_hop_by_hop(name: &HeaderName, headers: &HeaderMap) -> bool {
    const NAMES: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let named = headers
        .get_all("connection")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|option| option.trim().eq_ignore_ascii_case(name.as_str()));
    named || NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{PathPrefix, Profile};
    use crate::users::Principal;

    #[test]
    fn what_could_be_read_in_two_ways_goes_no_further() {
        for (method, uri, headers, expected) in [
            ("GET", "/services/data/", &[][..], Ok(())),
            (
                "POST",
                "/services/data/",
                &[("content-length", "3")],
                Ok(()),
            ),
            ("POST", "/a", &[("transfer-encoding", "chunked")], Ok(())),
            ("POST", "/a", &[("Transfer-Encoding", "Chunked")], Ok(())),
            ("CONNECT", "crm:443", &[], Err(Refusal::Tunnel)),
            ("TRACE", "/a", &[], Err(Refusal::Trace)),
            ("GET", "http://crm/a", &[], Err(Refusal::Tunnel)),
            ("GET", "http://evil/a", &[], Err(Refusal::Tunnel)),
            (
                "GET",
                "/a",
                &[("upgrade", "websocket")],
                Err(Refusal::Tunnel),
            ),
            ("GET", "/a", &[("host", "crm")], Err(Refusal::Host)),
            (
                "POST",
                "/a",
                &[("content-length", "3"), ("transfer-encoding", "chunked")],
                Err(Refusal::Framing),
            ),
            (
                "POST",
                "/a",
                &[("content-length", "3"), ("content-length", "3")],
                Err(Refusal::Framing),
            ),
            (
                "POST",
                "/a",
                &[("transfer-encoding", "gzip, chunked")],
                Err(Refusal::Framing),
            ),
            (
                "POST",
                "/a",
                &[
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                Err(Refusal::Framing),
            ),
            ("POST", "/a", &[("trailer", "x")], Err(Refusal::Framing)),
            ("GET", "/a", &[("te", "trailers")], Err(Refusal::Framing)),
            ("GET", "/a", &[("origin", "null")], Err(Refusal::Browser)),
            (
                "GET",
                "/a",
                &[("sec-fetch-site", "none")],
                Err(Refusal::Browser),
            ),
            (
                "GET",
                "/a",
                &[("x-forwarded-for", "192.0.2.1")],
                Err(Refusal::Browser),
            ),
        ] {
            let seen = rules(&[]).admit(
                &caller(1000),
                &Method::from_bytes(method.as_bytes()).unwrap(),
                &uri.parse().unwrap(),
                Version::HTTP_11,
                &with_host("crm", headers),
            );
            assert_eq!(seen, expected, "{method} {uri} {headers:?}");
        }
    }

    #[test]
    fn only_the_listeners_own_name_is_a_host() {
        for (host, expected) in [
            ("crm", true),
            ("CRM", true),
            ("crm.", false),
            ("crm:80", false),
            ("127.0.0.1:8701", true),
            ("127.0.0.1", false),
            ("127.0.0.1:8701.evil.example", false),
            ("evil.example", false),
            ("", false),
        ] {
            let headers = with_host(host, &[]);
            let seen = get(&rules(&[]), "/a", &headers, 1000);
            let expected = if expected { Ok(()) } else { Err(Refusal::Host) };
            assert_eq!(seen, expected, "{host}");
        }
        assert_eq!(
            get(&rules(&[]), "/a", &HeaderMap::new(), 1000),
            Err(Refusal::Host)
        );
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_or_that_the_profile_denies_goes_no_further() {
        for (path, expected) in [
            ("/services/data", Ok(())),
            ("/a/../b", Err(Refusal::Path)),
            ("/a%2fb", Err(Refusal::Path)),
            ("/services/oauth2/token", Err(Refusal::Denied)),
            ("/Services/OAuth2/token", Err(Refusal::Denied)),
            ("/services/oauth2x", Ok(())),
        ] {
            let seen = get(&rules(&[]), path, &with_host("crm", &[]), 1000);
            assert_eq!(seen, expected, "{path}");
        }
    }

    #[test]
    fn the_header_that_the_config_asks_for_must_be_there() {
        let rules = Rules {
            header: Some("x-keepfresh".to_owned()),
            ..rules(&[])
        };
        let without = get(&rules, "/a", &with_host("crm", &[]), 1000);
        assert_eq!(without, Err(Refusal::Header));
        let with = with_host("crm", &[("X-Keepfresh", "1")]);
        assert_eq!(get(&rules, "/a", &with, 1000), Ok(()));
    }

    #[test]
    fn a_rule_allows_its_callers_methods_and_paths_and_no_others() {
        let allow = [
            Allow {
                who: vec![Principal::User(1000)],
                methods: vec!["GET".to_owned()],
                paths: vec![PathPrefix::parse("/services/data/").unwrap()],
            },
            Allow {
                who: vec![Principal::Group(50)],
                methods: Vec::new(),
                paths: Vec::new(),
            },
        ];
        let rules = rules(&allow);
        for (user, method, path, expected) in [
            (1000, "GET", "/services/data/v62.0", true),
            (1000, "GET", "/services/data", true),
            (1000, "GET", "/services/database", false),
            (1000, "POST", "/services/data/v62.0", false),
            (1000, "GET", "/services/apexrest", false),
            (1001, "GET", "/services/data/v62.0", false),
            (50, "DELETE", "/anything", true),
        ] {
            let seen = rules.admit(
                &caller(user),
                &Method::from_bytes(method.as_bytes()).unwrap(),
                &path.parse().unwrap(),
                Version::HTTP_11,
                &with_host("crm", &[]),
            );
            let expected = if expected {
                Ok(())
            } else {
                Err(Refusal::NotAllowed)
            };
            assert_eq!(seen, expected, "{user} {method} {path}");
        }
    }

    #[test]
    fn a_header_that_connection_names_is_for_this_connection_alone() {
        let headers = with_host(
            "crm",
            &[("connection", "close, Authorization"), ("te", "x")],
        );
        for (name, expected) in [
            ("authorization", true),
            ("te", true),
            ("connection", true),
            ("transfer-encoding", true),
            ("accept", false),
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(is_hop_by_hop(&name, &headers), expected, "{name}");
        }
    }

    fn rules(allow: &[Allow]) -> Rules {
        Rules {
            hosts: vec!["crm".into(), "127.0.0.1:8701".into()],
            any_port: false,
            header: None,
            denied: Profile::named("salesforce", None).unwrap().denied(),
            allow: allow.to_vec(),
        }
    }

    fn get(rules: &Rules, path: &str, headers: &HeaderMap, user: u32) -> Result<(), Refusal> {
        let uri = path.parse().unwrap();
        rules.admit(&caller(user), &Method::GET, &uri, Version::HTTP_11, headers)
    }

    fn with_host(host: &str, more: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", host)].iter().chain(more) {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        headers
    }

    fn caller(number: u32) -> Caller {
        Caller {
            uid: number,
            gid: number,
            groups: Vec::new(),
            pid: None,
        }
    }
}
