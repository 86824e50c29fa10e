//! By which proxy a call leaves: as the config says, or as the variables do that curl and all others read.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use thiserror::Error;
use url::{Host, Url};

use super::hosts::{HostPattern, is_loopback};

/// By which proxy calls leave; never to loopback.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// As `HTTPS_PROXY` and its like say.
    Variables(Arc<ProxyVariables>),
    /// None, whatever the environment says.
    None,
    /// This one.
    Url(ProxyUrl),
}

/// Where a proxy is, and perhaps by what name and password it lets us through; printed without these.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ProxyUrl(Url);

/// What the environment says of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyVariables {
    https: Option<Named>,
    http: Option<Named>,
    direct: Vec<Direct>,
}

/// What one variable says, or what is wrong with it.
type Named = Result<ProxyUrl, BadVariable>;

/// A variable that names no proxy: no call is made by it, and none past it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
#[error("the variable {name} {problem}: {}", BadVariable::REMEDY)]
pub struct BadVariable {
    /// As it is spelt.
    pub name: String,
    /// What is wrong with it; never its value, which may hold a password.
    pub problem: BadProxy,
}

impl BadVariable {
    /// What to do about it.
    pub const REMEDY: &str =
        "write http://host:port, or set proxy = \"http://host:port\" or \"none\" in [http]";
}

/// Why a text names no proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Error)]
pub enum BadProxy {
    /// No host can be found in it.
    #[error("is no address of a proxy")]
    NoAddress,
    /// It is reached by another protocol than HTTP.
    #[error("names a proxy of the kind `{0}`, which keepfresh cannot use")]
    OtherKind(String),
    /// A proxy has no path: it may be the address of a PAC file.
    #[error("has a path behind host and port, as no proxy does (a PAC file cannot be used)")]
    Path,
    /// The address ended before its host.
    #[error("has a `#` or `?`; in a user name or password it is written %23 or %3F")]
    Unescaped,
}

/// A part of `NO_PROXY`: what is called without a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Direct {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Hosts {
    All,
    /// A host and all below it.
    Domain(String),
    Pattern(HostPattern),
    Network(IpAddr, u8),
}

/// Where a proxy is, for people: without user and password.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyUrl({self})")
    }
}

impl ProxyUrl {
    /// Reads what people write: with quotes and blanks around it, with a slash behind it, without a scheme for http.
    ///
    /// # Errors
    /// What is wrong with it, never the text itself.
    pub fn parse(text: &str) -> Result<Self, BadProxy> {
        let text = unquoted(text);
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let url = Url::parse(&with_scheme).map_err(|_| BadProxy::NoAddress)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BadProxy::OtherKind(url.scheme().to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BadProxy::Unescaped);
        }
        let is_name = |name: &str| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        };
        match url.host() {
            Some(Host::Domain(name)) if !is_name(name) => Err(BadProxy::NoAddress),
            None => Err(BadProxy::NoAddress),
            Some(_) if url.path().trim_matches('/').is_empty() => Ok(Self(url)),
            Some(_) => Err(BadProxy::Path),
        }
    }

    /// Whether it holds a user name or a password.
    pub fn has_credentials(&self) -> bool {
        !self.0.username().is_empty() || self.0.password().is_some()
    }

    /// The URL with user name and password, for the client that connects to it.
    pub(super) fn url(&self) -> &Url {
        &self.0
    }
}

impl Proxy {
    /// The proxy for a call of `url`, if there is one.
    ///
    /// # Errors
    /// The variable that should name it and does not.
    pub fn on_the_way_to(&self, url: &Url) -> Result<Option<&ProxyUrl>, &BadVariable> {
        match self {
            _ if is_loopback(url) => Ok(None),
            Self::None => Ok(None),
            Self::Url(proxy) => Ok(Some(proxy)),
            Self::Variables(variables) => variables.on_the_way_to(url),
        }
    }
}

impl ProxyVariables {
    /// What `variable` says; of two spellings that of capital letters comes first, and an empty one says nothing.
    pub fn read<'v>(variable: impl Fn(&str) -> Option<&'v str>) -> Self {
        let given = |name: &str| {
            let spellings = [name.to_owned(), name.to_ascii_lowercase()];
            spellings.into_iter().find_map(|name| {
                let text = variable(&name).filter(|text| !unquoted(text).is_empty())?;
                Some((name, text))
            })
        };
        let proxy = |name: &str| {
            let (name, text) = given(name).or_else(|| given("ALL_PROXY"))?;
            Some(ProxyUrl::parse(text).map_err(|problem| BadVariable { name, problem }))
        };
        let direct = given("NO_PROXY").map(|(_, text)| text).unwrap_or_default();
        Self {
            https: proxy("HTTPS_PROXY"),
            http: proxy("HTTP_PROXY"),
            direct: no_proxy(direct),
        }
    }

    fn on_the_way_to(&self, url: &Url) -> Result<Option<&ProxyUrl>, &BadVariable> {
        let named = if url.scheme() == "https" {
            &self.https
        } else {
            &self.http
        };
        match named {
            Some(_) if self.direct.iter().any(|direct| direct.is_about(url)) => Ok(None),
            Some(named) => named.as_ref().map(Some),
            None => Ok(None),
        }
    }
}

/// Without the quotes and blanks that files of variables leave around a value.
fn unquoted(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_whitespace() || matches!(char, '"' | '\''))
}

/// As curl reads it, and with what other programs know besides: ports, `*.example`, semicolons.
fn no_proxy(text: &str) -> Vec<Direct> {
    let parts = text.split(|char: char| char.is_whitespace() || matches!(char, ',' | ';' | '|'));
    parts
        .map(unquoted)
        .filter(|part| !part.is_empty())
        .map(direct)
        .collect()
}

fn direct(text: &str) -> Direct {
    let text = text
        .split_once("://")
        .map_or(text, |(_, host)| host)
        .trim_end_matches('/');
    if let Some(network) = network(text) {
        return Direct {
            hosts: network,
            port: None,
        };
    }
    let with_port = text
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = with_port.map_or((text, None), |(host, port)| (host, Some(port)));
    let domain = host
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(host);
    let hosts = match network(host) {
        Some(network) => network,
        None if host == "*" => Hosts::All,
        None if domain.contains('*') => Hosts::Pattern(HostPattern::new(domain)),
        None => Hosts::Domain(domain.trim_matches('.').to_ascii_lowercase()),
    };
    Direct { hosts, port }
}

/// `10.0.0.0/8`, `fd00::/8`, or an address by itself, in brackets or without.
fn network(text: &str) -> Option<Hosts> {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()?;
    let whole = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(whole), |length| {
        length.parse().ok().filter(|length| *length <= whole)
    })?;
    Some(Hosts::Network(address, length))
}

impl Direct {
    fn is_about(&self, url: &Url) -> bool {
        let fits = self.port.is_none() || url.port_or_known_default() == self.port;
        fits && url.host().is_some_and(|host| self.hosts.hold(&host))
    }
}

impl Hosts {
    fn hold(&self, host: &Host<&str>) -> bool {
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        };
        let name = host.to_string();
        let name = name.trim_end_matches('.');
        match self {
            Self::All => true,
            Self::Network(network, length) => {
                address.is_some_and(|address| is_within(address, *network, *length))
            }
            Self::Pattern(pattern) => pattern.matches(name),
            Self::Domain(domain) => {
                let rest = name
                    .strip_suffix(domain.as_str())
                    .filter(|_| address.is_none());
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        }
    }
}

fn is_within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 4),
        IpAddr::V6(address) => (address.to_bits(), 6),
    };
    let ((address, kind), (network, of_network)) = (bits(address), bits(network));
    let beyond = 128_u32.saturating_sub(u32::from(length));
    kind == of_network && (address ^ network).checked_shr(beyond).unwrap_or_default() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_variable_is_obeyed_as_people_write_it_or_called_wrong_and_never_passed_by() {
        use BadProxy::{NoAddress, OtherKind, Path, Unescaped};
        for (text, expected) in [
            ("http://proxy.example:3128", Ok("http://proxy.example:3128")),
            ("proxy.example:3128", Ok("http://proxy.example:3128")),
            ("172.31.2.4:8080/", Ok("http://172.31.2.4:8080")),
            (
                "\"http://proxy.example:3128\"",
                Ok("http://proxy.example:3128"),
            ),
            (
                " 'http://proxy.example:3128/' \n",
                Ok("http://proxy.example:3128"),
            ),
            ("https://proxy.example", Ok("https://proxy.example")),
            (
                "HTTP://Proxy.Example:3128//",
                Ok("http://proxy.example:3128"),
            ),
            ("http://[fd00::1]:3128", Ok("http://[fd00::1]:3128")),
            (
                "bob:p%40ss@proxy.example:3128",
                Ok("http://proxy.example:3128"),
            ),
            (
                "http://bob:p@ss@proxy.example:3128",
                Ok("http://proxy.example:3128"),
            ),
            (
                "socks5h://proxy.example:1080",
                Err(OtherKind("socks5h".into())),
            ),
            ("http//proxy.example:3128", Err(Path)),
            ("http:/proxy.example:3128", Err(Path)),
            ("http://http://proxy.example:3128", Err(Path)),
            ("http://proxy.example/proxy.pac", Err(Path)),
            ("http://proxy.example:port", Err(NoAddress)),
            ("http://proxy .example:3128", Err(NoAddress)),
            ("${PROXY}", Err(NoAddress)),
            ("$PROXY", Err(NoAddress)),
            ("http://", Err(NoAddress)),
            ("http://bob:12#x@proxy.example:3128", Err(Unescaped)),
            ("http://bob:12?x@proxy.example:3128", Err(Unescaped)),
        ] {
            let found = ProxyUrl::parse(text).map(|proxy| proxy.to_string());
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{text}");
            let variables = ProxyVariables::read(|name| (name == "https_proxy").then_some(text));
            let bad = Proxy::Variables(variables.into())
                .on_the_way_to(&url("https://a.example"))
                .err()
                .cloned();
            assert_eq!(bad.is_some(), expected.is_err(), "{text}");
            let said = bad.map(|bad| bad.to_string()).unwrap_or_default();
            assert!(
                said.is_empty() || said.starts_with("the variable https_proxy "),
                "{said}"
            );
            assert!(!said.contains("bob") && !said.contains("12"), "{said}");
        }
    }

    #[test]
    fn the_variable_of_the_scheme_comes_before_that_of_all_and_an_empty_one_says_nothing() {
        for (given, https, http) in [
            (
                &[("HTTPS_PROXY", "a:1"), ("ALL_PROXY", "b:2")][..],
                Some("http://a:1"),
                Some("http://b:2"),
            ),
            (
                &[("https_proxy", "a:1"), ("http_proxy", "c:3")],
                Some("http://a:1"),
                Some("http://c:3"),
            ),
            (
                &[("HTTPS_PROXY", ""), ("https_proxy", "a:1")],
                Some("http://a:1"),
                None,
            ),
            (
                &[("HTTPS_PROXY", "\"\""), ("all_proxy", "b:2")],
                Some("http://b:2"),
                Some("http://b:2"),
            ),
            (
                &[("HTTPS_PROXY", "a:1"), ("https_proxy", "b:2")],
                Some("http://a:1"),
                None,
            ),
            (
                &[("HTTPS_PROXY", "a:1"), ("all_proxy", "socks://b:2")],
                Some("http://a:1"),
                Some("bad"),
            ),
            (&[], None, None),
        ] {
            let proxy = Proxy::Variables(ProxyVariables::read(|name| value(given, name)).into());
            for (scheme, expected) in [("https", https), ("http", http)] {
                let found = match proxy.on_the_way_to(&url(&format!("{scheme}://x.example"))) {
                    Ok(found) => found.map(ToString::to_string),
                    Err(_) => Some("bad".to_owned()),
                };
                assert_eq!(found.as_deref(), expected, "{given:?} {scheme}");
            }
            assert_eq!(proxy.on_the_way_to(&url("https://127.0.0.1:1")), Ok(None));
        }
    }

    #[test]
    fn no_proxy_is_read_in_every_form_that_programs_know() {
        for (no_proxy, target, direct) in [
            ("acme.example", "https://acme.example", true),
            ("acme.example", "https://crm.acme.example", true),
            ("acme.example", "https://notacme.example", false),
            (".acme.example", "https://crm.acme.example", true),
            ("*.acme.example", "https://crm.acme.example", true),
            ("*.ACME.example", "https://crm.acme.example.", true),
            ("crm-*.example", "https://crm-7.example", true),
            ("*", "https://anything.example", true),
            ("other.example, acme.example", "https://acme.example", true),
            ("other.example acme.example", "https://acme.example", true),
            (
                "\"other.example;acme.example\"",
                "https://acme.example",
                true,
            ),
            ("https://acme.example/", "https://acme.example", true),
            ("acme.example:8443", "https://acme.example:8443", true),
            ("acme.example:8443", "https://acme.example", false),
            ("acme.example:443", "https://acme.example", true),
            ("10.0.0.0/8", "https://10.1.2.3", true),
            ("10.0.0.0/8", "https://11.1.2.3", false),
            ("10.1.2.3", "https://10.1.2.3", true),
            ("10.1.2.3:8443", "https://10.1.2.3:8443", true),
            ("0.0.0.0/0", "https://10.1.2.3", true),
            ("0.0.0.0/0", "https://[fd00::1]", false),
            ("192.168.*", "https://192.168.7.1", true),
            ("fd00::/8", "https://[fd12::1]", true),
            ("[fd12::1]:8443", "https://[fd12::1]:8443", true),
            ("::/0", "https://[fd12::1]", true),
            ("2.3", "https://10.1.2.3", false),
            ("", "https://acme.example", false),
        ] {
            let given = [("HTTPS_PROXY", "proxy:1"), ("no_proxy", no_proxy)];
            let proxy = Proxy::Variables(ProxyVariables::read(|name| value(&given, name)).into());
            assert_eq!(
                proxy.on_the_way_to(&url(target)).unwrap().is_none(),
                direct,
                "{no_proxy} {target}"
            );
        }
    }

    #[test]
    fn a_proxy_is_printed_without_user_and_password() {
        let proxy = ProxyUrl::parse("http://bob:hunter2@proxy.example:3128").unwrap();
        assert!(proxy.has_credentials());
        assert_eq!(
            format!("{proxy} {proxy:?}"),
            "http://proxy.example:3128 ProxyUrl(http://proxy.example:3128)"
        );
    }

    fn value<'v>(given: &[(&str, &'v str)], name: &str) -> Option<&'v str> {
        given
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }
}
