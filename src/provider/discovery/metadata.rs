//! What an authorization server says of itself (RFC 8414, `OpenID` Connect Discovery 1.0), and where it says so.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;
use url::{Host, Url};

use crate::provider::hosts::is_loopback;

/// What an authorization server is asked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::provider) enum Endpoint {
    /// RFC 6749 section 3.2.
    Token,
    /// RFC 7662.
    Introspection,
    /// RFC 7009.
    Revocation,
    /// `OpenID` Connect Core section 5.3.
    Userinfo,
    /// RFC 6749 section 3.1.
    Authorization,
    /// RFC 8628.
    DeviceAuthorization,
}

impl Endpoint {
    pub(in crate::provider) const ALL: [Self; 6] = [
        Self::Token,
        Self::Introspection,
        Self::Revocation,
        Self::Userinfo,
        Self::Authorization,
        Self::DeviceAuthorization,
    ];

    /// What it is for, in a word.
    pub(in crate::provider) fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Introspection => "introspection",
            Self::Revocation => "revocation",
            Self::Userinfo => "userinfo",
            Self::Authorization => "authorization",
            Self::DeviceAuthorization => "device_authorization",
        }
    }

    /// The member that names it in the metadata.
    fn member(self) -> &'static str {
        match self {
            Self::Token => "token_endpoint",
            Self::Introspection => "introspection_endpoint",
            Self::Revocation => "revocation_endpoint",
            Self::Userinfo => "userinfo_endpoint",
            Self::Authorization => "authorization_endpoint",
            Self::DeviceAuthorization => "device_authorization_endpoint",
        }
    }
}

/// The metadata of one issuer, believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::provider) struct Metadata {
    endpoints: BTreeMap<Endpoint, Url>,
    /// For clients that show a certificate (RFC 8705 section 5).
    aliases: BTreeMap<Endpoint, Url>,
    /// `token_endpoint_auth_methods_supported`; none where it says nothing.
    pub(in crate::provider) auth_methods: Option<Vec<String>>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub(in crate::provider) names_itself: bool,
    /// `token_endpoint_auth_signing_alg_values_supported`.
    pub(in crate::provider) signing_algorithms: Vec<String>,
}

/// Why a document is not believed; only a person can tell whether the config or the server is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(in crate::provider) enum WrongDocument {
    #[error("it names no issuer")]
    NoIssuer,
    #[error(
        "it names the issuer \u{201c}{0}\u{201d}: set `issuer` to exactly that if it is the right issuer"
    )]
    OtherIssuer(String),
    #[error("its token_endpoint is refused: {0}")]
    TokenEndpoint(&'static str),
}

impl Metadata {
    /// Believes what `document` says of `issuer`, whose own URL is `at`.
    ///
    /// The issuer must be the same to the letter (RFC 8414 section 3.3): else one server could speak for another. An
    /// endpoint that may not be called counts as not named, but without its token endpoint nothing works.
    ///
    /// # Errors
    /// Says what a person has to look at.
    pub(in crate::provider) fn read(
        document: &Map<String, Value>,
        issuer: &str,
        at: &Url,
    ) -> Result<Self, WrongDocument> {
        match document.get("issuer").and_then(Value::as_str) {
            Some(named) if named == issuer => {}
            Some(named) => {
                return Err(WrongDocument::OtherIssuer(
                    named.chars().take(200).collect(),
                ));
            }
            None => return Err(WrongDocument::NoIssuer),
        }
        if let Some(Err(why)) = endpoint(document, Endpoint::Token, at) {
            return Err(WrongDocument::TokenEndpoint(why));
        }
        let aliases = document
            .get("mtls_endpoint_aliases")
            .and_then(Value::as_object);
        Ok(Self {
            endpoints: endpoints(document, at),
            aliases: aliases
                .map(|aliases| endpoints(aliases, at))
                .unwrap_or_default(),
            auth_methods: words(document, "token_endpoint_auth_methods_supported"),
            names_itself: document.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
            signing_algorithms: words(document, "token_endpoint_auth_signing_alg_values_supported")
                .unwrap_or_default(),
        })
    }

    /// Where `endpoint` is, for a client that shows a certificate or one that does not.
    pub(in crate::provider) fn endpoint(
        &self,
        endpoint: Endpoint,
        certified: bool,
    ) -> Option<&Url> {
        let alias = self.aliases.get(&endpoint).filter(|_| certified);
        alias.or_else(|| self.endpoints.get(&endpoint))
    }
}

fn endpoints(document: &Map<String, Value>, at: &Url) -> BTreeMap<Endpoint, Url> {
    let named = Endpoint::ALL
        .into_iter()
        .map(|kind| (kind, endpoint(document, kind, at)));
    named
        .filter_map(|(kind, url)| Some((kind, url?.ok()?)))
        .collect()
}

fn endpoint(
    document: &Map<String, Value>,
    kind: Endpoint,
    at: &Url,
) -> Option<Result<Url, &'static str>> {
    let named = document
        .get(kind.member())
        .filter(|value| !value.is_null())?;
    Some(
        named
            .as_str()
            .and_then(|text| Url::parse(text).ok())
            .ok_or("it is no URL")
            .and_then(|url| callable(url, at)),
    )
}

/// The issuer's word decides which host is called, as its certificate vouches for it; but not this machine's own
/// services, nor an address instead of a name, nor anything unencrypted.
fn callable(url: Url, issuer: &Url) -> Result<Url, &'static str> {
    let same_host = url.host() == issuer.host();
    let same_scheme = url.scheme() == issuer.scheme();
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("it has a user, a password or a fragment");
    }
    if is_loopback(&url) {
        let reachable = is_loopback(issuer) && matches!(url.scheme(), "http" | "https");
        return if reachable {
            Ok(url)
        } else {
            Err("it points to this machine")
        };
    }
    match url.scheme() {
        "https" => {}
        "http" if same_host && same_scheme => {}
        _ => return Err("it is not https"),
    }
    match url.host() {
        Some(Host::Domain(_)) => Ok(url),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) if same_host => Ok(url),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) | None => {
            Err("its host is an address other than the issuer's")
        }
    }
}

fn words(document: &Map<String, Value>, name: &str) -> Option<Vec<String>> {
    let list = document.get(name)?.as_array()?;
    Some(
        list.iter()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect(),
    )
}

/// Where an issuer's metadata may be, in the order in which it is looked for: RFC 8414 section 3 puts the well-known part
/// before the issuer's path, `OpenID` Connect Discovery section 4 behind it.
pub(super) fn addresses(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url
    };
    vec![
        at(format!("/.well-known/oauth-authorization-server{path}")),
        at(format!("{path}/.well-known/openid-configuration")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_well_known_part_stands_before_the_path_for_oauth_and_behind_it_for_openid() {
        for (issuer, expected) in [
            (
                "https://as.example",
                [
                    "https://as.example/.well-known/oauth-authorization-server",
                    "https://as.example/.well-known/openid-configuration",
                ],
            ),
            (
                "https://as.example:8443/realms/acme/",
                [
                    "https://as.example:8443/.well-known/oauth-authorization-server/realms/acme",
                    "https://as.example:8443/realms/acme/.well-known/openid-configuration",
                ],
            ),
        ] {
            let found: Vec<String> = addresses(&url(issuer)).iter().map(Url::to_string).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn only_the_very_issuer_is_believed() {
        for named in [
            "https://as.example/",
            "https://AS.example",
            "https://as.example:443",
            "http://as.example",
            "https://as.example/x",
            "https://evil.example",
        ] {
            let wrong =
                read(&json!({"issuer": named, "token_endpoint": "https://as.example/token"}))
                    .unwrap_err();
            assert_eq!(wrong, WrongDocument::OtherIssuer(named.to_owned()));
            assert!(wrong.to_string().contains(named));
        }
        for document in [
            json!({}),
            json!({"issuer": null}),
            json!({"issuer": ["https://as.example"]}),
        ] {
            assert_eq!(read(&document).unwrap_err(), WrongDocument::NoIssuer);
        }
    }

    #[test]
    fn endpoints_are_https_hosts_and_never_this_machine() {
        for (endpoint, believed) in [
            ("https://as.example/token", true),
            ("https://oauth2.elsewhere.example/token?a=b", true),
            ("https://as.example:8443/token", true),
            ("http://as.example/token", false),
            ("https://127.0.0.1/token", false),
            ("https://localhost/token", false),
            ("https://[::1]/token", false),
            ("http://169.254.169.254/latest", false),
            ("https://10.0.0.1/token", false),
            ("https://user@as.example/token", false),
            ("https://as.example/token#x", false),
            ("file:///etc/shadow", false),
            ("/token", false),
            ("", false),
        ] {
            let document = json!({"issuer": ISSUER, "token_endpoint": endpoint, "revocation_endpoint": endpoint});
            let read = read(&document);
            assert_eq!(read.is_ok(), believed, "{endpoint}");
            let other = json!({"issuer": ISSUER, "revocation_endpoint": endpoint});
            let other =
                super::Metadata::read(other.as_object().unwrap(), ISSUER, &url(ISSUER)).unwrap();
            assert_eq!(
                other.endpoint(Endpoint::Revocation, false).is_some(),
                believed,
                "{endpoint}"
            );
        }
    }

    #[test]
    fn an_issuer_on_loopback_may_name_loopback_and_one_in_the_clear_itself() {
        for (issuer, endpoint, believed) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:9090/token", true),
            ("http://127.0.0.1:8080", "http://as.example/token", false),
            ("http://127.0.0.1:8080", "https://as.example/token", true),
            ("http://as.corp", "http://as.corp/token", true),
            ("http://as.corp", "http://other.corp/token", false),
            ("https://10.0.0.1", "https://10.0.0.1/token", true),
        ] {
            let document = json!({"issuer": issuer, "token_endpoint": endpoint});
            let read = super::Metadata::read(document.as_object().unwrap(), issuer, &url(issuer));
            assert_eq!(read.is_ok(), believed, "{issuer} {endpoint}");
        }
    }

    #[test]
    fn who_shows_a_certificate_goes_to_the_aliases() {
        let metadata = read(&json!({
            "issuer": ISSUER,
            "token_endpoint": "https://as.example/token",
            "introspection_endpoint": "https://as.example/introspect",
            "mtls_endpoint_aliases": { "token_endpoint": "https://mtls.as.example/token" },
        }))
        .unwrap();
        let found = |kind, certified| metadata.endpoint(kind, certified).map(Url::as_str);
        assert_eq!(
            found(Endpoint::Token, false),
            Some("https://as.example/token")
        );
        assert_eq!(
            found(Endpoint::Token, true),
            Some("https://mtls.as.example/token")
        );
        assert_eq!(
            found(Endpoint::Introspection, true),
            Some("https://as.example/introspect")
        );
        assert_eq!(found(Endpoint::Userinfo, false), None);
    }

    const ISSUER: &str = "https://as.example";

    fn read(document: &Value) -> Result<Metadata, WrongDocument> {
        Metadata::read(document.as_object().unwrap(), ISSUER, &url(ISSUER))
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }
}
