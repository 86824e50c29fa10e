//! What the config says of a person: how one logs in, and whether the token is one's.

use url::Url;

use crate::provider::ByPerson;
use crate::provider::discovery::Endpoint;
use crate::provider::grants::GrantKind;
use crate::provider::hosts::is_loopback;
use crate::provider::settings::{ConfigProblem, RemoteConfig, problem};

impl RemoteConfig {
    /// Whether this is among the scopes that are asked for.
    pub(in crate::provider) fn asks_for(&self, scope: &str) -> bool {
        self.plain("scope")
            .is_some_and(|scopes| scopes.split_whitespace().any(|word| word == scope))
    }

    /// Whether there will be a userinfo endpoint that takes the token: an issuer names it, and the token is a user's.
    pub(in crate::provider) fn expects_userinfo(&self) -> bool {
        let of_user = GrantKind::named(&self.grant).is_some_and(GrantKind::is_for_user);
        self.is_told(Endpoint::Userinfo) && of_user && self.asks_for("openid")
    }

    /// What a person's login lacks.
    pub(in crate::provider) fn wrong_person_login(&self) -> Option<ConfigProblem> {
        let by_person = self.profile.grant_traits(&self.grant)?.by_person?;
        let (key, endpoint) = match by_person {
            ByPerson::Browser => ("authorization_url", Endpoint::Authorization),
            ByPerson::Device => ("device_authorization_url", Endpoint::DeviceAuthorization),
        };
        if self.endpoint(endpoint, None).is_none() && self.issuer().is_none() {
            let message = format!(
                "it is missing: {} begins there; or give the issuer, which tells it",
                self.grant
            );
            return Some(problem(&format!("login.{key}"), message));
        }
        let redirect_uri = self.plain("redirect_uri")?;
        let remedy = match Url::parse(redirect_uri) {
            Err(_) => {
                "is no address: write http://127.0.0.1/callback, or what is registered at the server"
            }
            Ok(url) if url.fragment().is_some() => "must not have a `#`: write it without",
            Ok(url) if url.scheme() == "http" && !is_loopback(&url) => {
                "would show the code to the network: use https, or a loopback address"
            }
            Ok(_) => return None,
        };
        Some(problem(
            "login.redirect_uri",
            format!("`{redirect_uri}` {remedy}"),
        ))
    }
}
