//! One request as the org sees it, and one answer: plain values, so that the rules need no HTTP.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a request is about; the log counts by it and faults are aimed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The token endpoint, any grant but the refresh token.
    Login,
    /// The token endpoint with a refresh token.
    Renew,
    /// `/services/oauth2/introspect`.
    Introspect,
    /// `/services/oauth2/revoke`.
    Revoke,
    /// `/services/oauth2/userinfo`.
    Userinfo,
    /// `/services/data/`, which takes no token.
    Versions,
    /// `/services/data/vNN.0/`.
    Ping,
    /// Anything below `/services/data/vNN.0/`.
    Api,
    /// Anything else.
    Other,
}

/// A request, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it is about.
    pub kind: Kind,
    /// `GET`, `POST`, …
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// Fields of query and form, decoded.
    pub form: BTreeMap<String, String>,
}

impl Call {
    /// Takes a request apart; `body` is read as a form.
    pub fn new(
        method: &str,
        path: &str,
        query: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> Self {
        let mut form = fields(query);
        form.extend(fields(body));
        Self {
            kind: kind(path, &form),
            method: method.to_owned(),
            path: path.to_owned(),
            authorization: authorization.map(str::to_owned),
            form,
        }
    }

    /// A field's value, empty when it is absent.
    pub fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }

    /// Client id and secret, from a Basic header or the form.
    pub fn client(&self) -> (String, String) {
        self.basic().unwrap_or_else(|| {
            (
                self.field("client_id").to_owned(),
                self.field("client_secret").to_owned(),
            )
        })
    }

    fn basic(&self) -> Option<(String, String)> {
        let encoded = self.authorization.as_deref()?.strip_prefix("Basic ")?;
        let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (id, secret) = text.split_once(':')?;
        Some((decoded(id), decoded(secret)))
    }
}

fn kind(path: &str, form: &BTreeMap<String, String>) -> Kind {
    let path = path.trim_end_matches('/');
    match path {
        "/services/oauth2/token"
            if form
                .get("grant_type")
                .is_some_and(|grant| grant == "refresh_token") =>
        {
            Kind::Renew
        }
        "/services/oauth2/token" => Kind::Login,
        "/services/oauth2/introspect" => Kind::Introspect,
        "/services/oauth2/revoke" => Kind::Revoke,
        "/services/oauth2/userinfo" => Kind::Userinfo,
        "/services/data" => Kind::Versions,
        _ => match path.strip_prefix("/services/data/") {
            Some(rest) if rest.contains('/') => Kind::Api,
            Some(_) => Kind::Ping,
            None => Kind::Other,
        },
    }
}

fn fields(text: &str) -> BTreeMap<String, String> {
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, `content-type` among them.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The whole body.
    #[serde(default)]
    pub body: String,
}

impl Reply {
    /// A body of any kind.
    pub fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        let headers = BTreeMap::from([("content-type".to_owned(), content_type.to_owned())]);
        Self {
            status,
            headers,
            body: body.into(),
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json;charset=UTF-8", body.to_string())
    }

    /// A page, where JSON is due.
    pub fn html(status: u16, title: &str) -> Self {
        Self::new(
            status,
            "text/html;charset=UTF-8",
            format!("<html><head><title>{title}</title></head></html>"),
        )
    }

    /// With one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_path_and_grant() {
        for (path, body, expected) in [
            ("/services/oauth2/token", "grant_type=password", Kind::Login),
            (
                "/services/oauth2/token",
                "grant_type=refresh_token",
                Kind::Renew,
            ),
            ("/services/oauth2/introspect", "", Kind::Introspect),
            ("/services/oauth2/revoke", "", Kind::Revoke),
            ("/services/oauth2/userinfo", "", Kind::Userinfo),
            ("/services/data", "", Kind::Versions),
            ("/services/data/", "", Kind::Versions),
            ("/services/data/v65.0", "", Kind::Ping),
            ("/services/data/v65.0/", "", Kind::Ping),
            ("/services/data/v65.0/limits/", "", Kind::Api),
            ("/", "", Kind::Other),
        ] {
            assert_eq!(
                Call::new("POST", path, "", None, body).kind,
                expected,
                "{path} {body}"
            );
        }
    }

    #[test]
    fn a_client_may_stand_in_the_form_or_in_a_basic_header() {
        let expected = ("id".to_owned(), "a b".to_owned());
        let form = Call::new("POST", "/", "", None, "client_id=id&client_secret=a+b");
        let basic = Call::new("POST", "/", "", Some("Basic aWQ6YSUyMGI="), "");
        assert_eq!(
            (form.client(), basic.client()),
            (expected.clone(), expected)
        );
    }
}
