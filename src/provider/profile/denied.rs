//! What jobs may not call with a token that they do not hold: requests that give out tokens, or end the session.

use super::Profile;
use crate::provider::discovery::Endpoint;
use crate::provider::path::PathPrefix;
use crate::provider::request::{Method, RequestTemplate};
use crate::provider::template::Template;

/// Requests that no job may make through keepfresh.
#[derive(Clone, Debug)]
pub struct Denied {
    /// In capitals; none for every method.
    method: Option<&'static str>,
    path: PathPrefix,
}

impl Denied {
    /// Whether this is one of them.
    pub fn holds(&self, method: &str, path: &str) -> bool {
        self.method.is_none_or(|own| own == method) && self.path.holds_in_any_case(path)
    }
}

impl Profile {
    /// What the profile keeps from jobs: it says so, or keepfresh itself logs in, renews or logs out by it. Where one path
    /// serves everything, as with RPC, such a request cannot be told apart by its path.
    pub fn denied(&self) -> Vec<Denied> {
        let all = |path| Denied { method: None, path };
        let own = self
            .own_requests()
            .filter(|(method, path)| !self.pings_below(Some(*method), path))
            .map(|(method, path)| Denied {
                method: Some(method.word()),
                path,
            });
        let named = self.denied.iter().cloned().chain(self.own_endpoints());
        named.map(all).chain(own).collect()
    }

    /// Whether the server answers this path without a look at the token, so that its answer proves nothing.
    pub(in crate::provider) fn answers_anybody(&self, path: &str) -> bool {
        self.public.iter().any(|public| public.is(path))
    }

    fn own_requests(&self) -> impl Iterator<Item = (Method, PathPrefix)> {
        let steps = self.logins.iter().flat_map(|login| &login.steps);
        let others = [&self.renew, &self.introspection, &self.logout];
        steps
            .chain(others.into_iter().flatten())
            .filter_map(|request| Some((request.method, literal_path(&request.target)?)))
    }

    fn own_endpoints(&self) -> impl Iterator<Item = PathPrefix> {
        let secret = |endpoint: &Endpoint| *endpoint != Endpoint::Userinfo;
        self.endpoints
            .known
            .iter()
            .filter(move |(endpoint, _)| secret(endpoint))
            .filter_map(|(_, target)| literal_path(target))
            .filter(|path| !self.pings_below(None, path))
    }

    /// Whether a ping, by this method where one is given, goes to that path or below it.
    fn pings_below(&self, method: Option<Method>, prefix: &PathPrefix) -> bool {
        let below = |ping: &RequestTemplate| {
            method.is_none_or(|method| ping.method == method)
                && literal_path(&ping.target).is_some_and(|path| prefix.holds(path.as_str()))
        };
        self.ping.iter().chain(self.pings.values()).any(below)
    }
}

/// The path of a target, as far as it is the same for all sessions; none where that is no more than the root.
fn literal_path(target: &Template) -> Option<PathPrefix> {
    let begins_with_host = target.leading_name().is_some();
    let first = target.literals().next()?;
    let is_last = target.names().count() == usize::from(begins_with_host);
    let path = match first.split_once("://") {
        Some((_, rest)) => rest.get(rest.find('/')?..)?,
        None => first,
    };
    let (path, is_whole) = match path.split_once('?') {
        Some((path, _)) => (path, true),
        None => (path, is_last),
    };
    let whole = if is_whole {
        path
    } else {
        path.get(..path.rfind('/')?)?
    };
    (!whole.trim_matches('/').is_empty()).then(|| PathPrefix::parse(whole))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_does_by_itself_is_denied_to_jobs_and_its_ping_is_not() {
        for (profile, method, path, expected) in [
            ("salesforce", "POST", "/services/oauth2/token", true),
            ("salesforce", "POST", "/Services/OAuth2/Token", true),
            ("salesforce", "POST", "/services/oauth2/revoke", true),
            ("salesforce", "POST", "/services/Soap/u/62.0", true),
            ("salesforce", "GET", "/secur/logout.jsp", true),
            ("salesforce", "GET", "/services/data/v62.0/limits", false),
            ("salesforce", "GET", "/services/oauth2x", false),
            ("couchdb", "POST", "/_session", true),
            ("couchdb", "DELETE", "/_session", true),
            ("couchdb", "GET", "/_session", false),
            ("couchdb", "GET", "/db/_all_docs", false),
            ("zabbix", "POST", "/api_jsonrpc.php", false),
            ("vault", "GET", "/v1/secret/data/a", false),
        ] {
            let seen = is_denied(&Profile::named(profile, None).unwrap(), method, path);
            assert_eq!(seen, expected, "{profile}: {method} {path}");
        }
    }

    #[test]
    fn no_profile_denies_its_own_ping_or_the_root() {
        for name in Profile::names(None) {
            let profile = Profile::named(&name, None).unwrap();
            assert!(!is_denied(&profile, "GET", "/"), "{name}");
            for ping in profile.ping.iter().chain(profile.pings.values()) {
                let path = literal_path(&ping.target);
                let denied =
                    path.is_some_and(|path| is_denied(&profile, ping.method.word(), path.as_str()));
                assert!(!denied, "{name}: {:?}", ping.target);
            }
        }
    }

    #[test]
    fn the_path_that_all_sessions_share_is_known() {
        for (target, expected) in [
            ("/login", Some("/login")),
            ("{login_url}/oauth/token", Some("/oauth/token")),
            ("https://api.example/v1/token?x=1", Some("/v1/token")),
            ("/sessions/{token}", Some("/sessions")),
            ("/api?user={user}", Some("/api")),
            ("{token_url}", None),
            ("{url}", None),
            ("/{tenant}/token", None),
        ] {
            let seen = literal_path(&Template::parse(target).unwrap());
            assert_eq!(seen, expected.and_then(PathPrefix::parse), "{target}");
        }
    }

    fn is_denied(profile: &Profile, method: &str, path: &str) -> bool {
        profile
            .denied()
            .iter()
            .any(|denied| denied.holds(method, path))
    }
}
