//! What is wrong with the values of a session taken together.

use url::Url;

use super::{ConfigProblem, RemoteConfig};
use crate::provider::discovery::Endpoint;
use crate::provider::grants::GrantKind;
use crate::provider::hosts::is_loopback;
use crate::provider::outgoing::{is_cookie_octet, is_header_octet};
use crate::provider::profile::Protocol;
use crate::provider::request::RequestTemplate;

impl RemoteConfig {
    /// Everything that is wrong with the values taken together.
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = self.wrong_urls();
        problems.extend(self.wrong_hosts());
        problems.extend(self.wrong_values());
        problems.extend(self.unsendable());
        problems.extend(self.wrong_client_auth());
        problems.extend(self.wrong_person_login());
        problems.extend(self.wrong_proxy());
        let is_oauth = self.profile.protocol == Protocol::OAuth2;
        if is_oauth
            && self.endpoint(Endpoint::Token, None).is_none()
            && self.issuer().is_none()
            && problems.is_empty()
        {
            let message = "it is missing: the issuer tells where to get tokens; or give the URL itself, as token_url";
            problems.push(problem("login.issuer", message.to_owned()));
        }
        if self.plain("metadata_url").is_some() && self.issuer().is_none() {
            let message = "it is missing: the document at metadata_url must name it to the letter";
            problems.push(problem("login.issuer", message.to_owned()));
        }
        if let Some(name) = self
            .ping
            .as_deref()
            .filter(|name| self.profile.ping(Some(name)).is_none())
        {
            let known = self.profile.alternative_pings().join(", ");
            problems.push(problem(
                "keepalive.ping",
                format!("there is no ping `{name}`: known are {known}"),
            ));
        }
        problems
    }

    fn wrong_urls(&self) -> Vec<ConfigProblem> {
        let parameters = self.values.keys().filter(|name| name.ends_with("_url"));
        let given =
            parameters.filter_map(|name| Some((format!("login.{name}"), self.plain(name)?)));
        let all = std::iter::once(("url".to_owned(), self.url.as_str())).chain(given);
        let wrong = all.filter_map(|(key, text)| Some(problem(&key, self.wrong_url(text)?)));
        let issuer = self
            .plain("issuer")
            .and_then(|issuer| self.wrong_issuer(issuer));
        wrong
            .chain(issuer.map(|message| problem("login.issuer", message)))
            .collect()
    }

    /// RFC 8414 section 2: a URL without query and fragment.
    fn wrong_issuer(&self, issuer: &str) -> Option<String> {
        let with_more =
            Url::parse(issuer).is_ok_and(|url| url.query().is_some() || url.fragment().is_some());
        if with_more || issuer.starts_with('/') {
            return Some(
                "it is no issuer: write https://host/path as in the server's metadata".to_owned(),
            );
        }
        self.wrong_url(issuer)
    }

    fn wrong_url(&self, text: &str) -> Option<String> {
        if text.starts_with('/') {
            return None;
        }
        let Ok(url) = Url::parse(text) else {
            return Some(format!("`{text}` is no URL: write https://host"));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Some("user and password do not belong in a URL: take them out".to_owned());
        }
        match url.scheme() {
            "https" => None,
            "command" if !self.profile.needs_url() => None,
            "http" if is_loopback(&url) || self.http.allow_plain_http => None,
            "http" => Some(
                "plain http would show the token to the network: use https, or set http.allow_plain_http".to_owned(),
            ),
            other => Some(format!("`{other}` is not supported: use https")),
        }
    }

    /// What cannot be read of the environment must not lead past the proxy.
    fn wrong_proxy(&self) -> Option<ConfigProblem> {
        let login_url = self.login_url().unwrap_or_else(|| Url::clone(&self.url));
        let called = [&*self.url, &login_url]
            .into_iter()
            .filter(|url| url.has_host());
        let bad = called
            .map(|url| self.http.proxy.on_the_way_to(url))
            .find_map(Result::err)?;
        Some(problem("http.proxy", bad.to_string()))
    }

    fn wrong_hosts(&self) -> Vec<ConfigProblem> {
        let hosts = &self.profile.hosts;
        let mut problems = Vec::new();
        if self
            .url
            .host_str()
            .is_some_and(|host| hosts.is_not_api(host))
        {
            problems.push(problem(
                "url",
                format!("this host serves no API: {}", hosts.not_api_because),
            ));
        }
        if self.doubles_path() {
            let path = self.url.path();
            let message =
                format!("its path `{path}` would be twice in the URL: write scheme and host alone");
            problems.push(problem("url", message));
        }
        let login_host = self
            .login_url()
            .and_then(|url| url.host_str().map(str::to_owned))
            .unwrap_or_default();
        let rules = self.profile.grant(&self.grant);
        if let Some(rules) =
            rules.filter(|rules| rules.not_on.iter().any(|host| host.matches(&login_host)))
        {
            let key = if self.plain("login_url").is_some() {
                "login.login_url"
            } else {
                "url"
            };
            let message = format!(
                "{} does not work on {login_host}: {}",
                self.grant, rules.not_on_because
            );
            problems.push(problem(key, message));
        }
        problems
    }

    /// Whether the provider's own paths begin as the configured URL ends: then the URL is the pasted address of a call.
    fn doubles_path(&self) -> bool {
        let first = |path: &str| {
            path.split('/')
                .find(|part| !part.is_empty())
                .map(str::to_owned)
        };
        let ping = self
            .chosen_ping()
            .filter(|ping| ping.target.leading_name().is_none());
        let begins = ping.and_then(|ping| first(ping.target.literals().next()?));
        begins.is_some() && begins == first(self.url.path())
    }

    fn wrong_values(&self) -> Vec<ConfigProblem> {
        let wrong = |name: &str| {
            let (value, pattern) = (self.plain(name)?, self.profile.pattern(name)?);
            let message = || {
                format!(
                    "`{value}` does not look right: it must match {}",
                    pattern.as_str()
                )
            };
            (!pattern.is_match(value)).then(|| problem(&format!("login.{name}"), message()))
        };
        self.values.keys().filter_map(wrong).collect()
    }

    /// Values that a header or cookie of the profile's requests cannot carry.
    fn unsendable(&self) -> Vec<ConfigProblem> {
        let profile = &self.profile;
        let steps = profile
            .login(&self.grant)
            .into_iter()
            .flat_map(|login| &login.steps)
            .chain(&profile.after_login);
        let others = [&profile.renew, &profile.introspection, &profile.logout]
            .into_iter()
            .flatten();
        let requests: Vec<&RequestTemplate> =
            steps.chain(self.chosen_ping()).chain(others).collect();
        let usage = &profile.usage;
        let headers = requests.iter().flat_map(|request| &request.headers);
        let headers = headers.chain(&usage.headers).chain(&usage.unsafe_headers);
        let cookies = requests
            .iter()
            .flat_map(|request| &request.cookies)
            .chain(&usage.cookies);
        let headers =
            headers.map(|(name, value)| ("header", name, value, is_header_octet as fn(u8) -> bool));
        let all = headers.chain(
            cookies.map(|(name, value)| ("cookie", name, value, is_cookie_octet as fn(u8) -> bool)),
        );
        let mut problems: Vec<ConfigProblem> = all
            .flat_map(|(kind, carrier, template, fits)| {
                let unfit = move |name: &&str| {
                    self.plain(name)
                        .is_some_and(|value| !value.bytes().all(fits))
                };
                let message = move || {
                    format!("the {kind} `{carrier}` cannot carry it: take odd characters out")
                };
                template
                    .names()
                    .filter(unfit)
                    .map(move |name| problem(&format!("login.{name}"), message()))
            })
            .collect();
        problems.dedup();
        problems
    }

    fn wrong_client_auth(&self) -> Option<ConfigProblem> {
        let missing = |name: &str, why: &str| {
            (!self.values.contains_key(name))
                .then(|| problem(&format!("login.{name}"), format!("it is missing: {why}")))
        };
        match (self.plain("client_auth")?, GrantKind::named(&self.grant)?) {
            ("basic", _) => missing("client_secret", "client_auth = \"basic\" sends it"),
            ("post", GrantKind::ClientCredentials) => {
                missing("client_secret", "the client has nothing else to log in by")
            }
            ("private_key_jwt", _) => missing(
                "private_key",
                "client_auth = \"private_key_jwt\" signs with it",
            ),
            ("tls", _) if self.http.client_cert.is_none() => {
                let message = "it is missing: client_auth = \"tls\" shows it";
                Some(problem("http.client_cert", message.to_owned()))
            }
            ("none", GrantKind::ClientCredentials) => Some(problem(
                "login.client_auth",
                "client_credentials needs a client that proves itself".to_owned(),
            )),
            (_, _) => None,
        }
    }
}

pub(in crate::provider) fn problem(key: &str, message: String) -> ConfigProblem {
    ConfigProblem {
        key: key.to_owned(),
        message,
    }
}
