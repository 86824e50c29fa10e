//! A job's request without its body.

use axum::http::Method;
use axum::http::header::{HOST, HeaderMap};
use axum::http::request::Parts;
use url::Url;

use crate::token::Published;

/// What is needed of a request's head each time that it is sent.
pub(super) struct Head {
    pub(super) method: Method,
    /// Path and query, as they came.
    target: String,
    pub(super) path: String,
    /// By what the job asks.
    pub(super) host: String,
    pub(super) headers: HeaderMap,
}

impl Head {
    pub(super) fn of(parts: &Parts) -> Self {
        let target = parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        Self {
            method: parts.method.clone(),
            target: target.to_owned(),
            path: parts.uri.path().to_owned(),
            host: host.unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
        }
    }

    /// Where the request goes, with the token of `published`.
    pub(super) fn url(&self, published: &Published) -> Option<Url> {
        let base = Url::parse(&published.base).ok()?;
        let origin = base.origin().ascii_serialization();
        Url::parse(&format!(
            "{origin}{}{}",
            base.path().trim_end_matches('/'),
            self.target
        ))
        .ok()
        .filter(|url| url.origin() == base.origin())
    }
}
