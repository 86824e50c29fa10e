//! Answers that are keepfresh's own: marked by a header, so that no job takes them for the server's, and never a 401, for which
//! clients would log in.

use axum::body::Body;
use axum::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse as _;
use serde::Serialize;

use super::admission;
use super::traffic::Outcome;
use crate::api::Refusal;
use crate::api::problem::Problem;

/// Says that an answer is keepfresh's own, and why in a word.
pub(super) const ERROR: HeaderName = HeaderName::from_static("keepfresh-error");

/// Why a job gets no answer of the server.
pub(super) struct Own {
    status: StatusCode,
    word: &'static str,
    outcome: Outcome,
    detail: String,
    remedy: Option<String>,
    retry_after: Option<u64>,
}

/// As the socket's problem documents are (RFC 9457).
#[derive(Serialize)]
struct Document<'o> {
    r#type: &'o str,
    title: &'static str,
    status: u16,
    detail: &'o str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'o str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

impl Own {
    pub(super) fn new(status: StatusCode, word: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            word,
            outcome: Outcome::Failed,
            detail: detail.into(),
            remedy: None,
            retry_after: None,
        }
    }

    /// How it is counted.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The word of [`ERROR`].
    pub(super) fn word(&self) -> &'static str {
        self.word
    }

    /// A request that goes no further.
    pub(super) fn refused(why: admission::Refusal) -> Self {
        use admission::Refusal::{
            Browser, Denied, Framing, Header, Host, NotAllowed, Path, Trace, Tunnel,
        };
        let (detail, remedy) = match why {
            Host => (
                "the request's Host is none of this gateway's names",
                "ask http://NAME/ with the session's name on its socket, or the address and port of `listen`",
            ),
            Browser => (
                "a browser's page or a proxy sent this request, and the gateway is for jobs of this machine",
                "call it from the job itself",
            ),
            Header => (
                "the request lacks the header that the session's gateway asks for",
                "send the header that `header` in [sessions.NAME.gateway] names, with any value",
            ),
            Tunnel => (
                "the gateway opens no tunnel, changes no protocol and takes no URL of another host",
                "ask for a path of the session's server over plain HTTP/1.1",
            ),
            Trace => ("TRACE would send the token back", "use another method"),
            Framing => (
                "the request's length could be read in two ways",
                "send one Content-Length, or Transfer-Encoding: chunked, and no trailers",
            ),
            Path => (
                "the request's path could be read in two ways",
                "send it without empty segments, dots that climb, `;`, and encoded slashes, dots or control characters",
            ),
            Denied => (
                "this path gives out tokens or ends the session, which keepfresh does itself",
                "leave logins and logouts to keepfresh",
            ),
            NotAllowed => (
                "no rule in `allow` of the session's gateway lets this caller make this request",
                "add one to [[sessions.NAME.gateway.allow]], with the method and the beginning of the path",
            ),
        };
        Self {
            remedy: Some(remedy.to_owned()),
            outcome: Outcome::Refused,
            ..Self::new(why.status(), why.word(), detail)
        }
    }

    /// There is no token for the request.
    pub(super) fn without_token(refusal: Refusal) -> Self {
        let forbidden = matches!(
            refusal,
            Refusal::NotAllowed { .. } | Refusal::NoSuchSession { .. }
        );
        let problem = Problem::from(refusal);
        let (status, word, outcome) = if forbidden {
            (StatusCode::FORBIDDEN, "not-allowed", Outcome::Refused)
        } else {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "no-session",
                Outcome::WithoutSession,
            )
        };
        Self {
            outcome,
            remedy: problem.remedy.map(String::from),
            retry_after: (!forbidden).then(|| problem.retry_after.unwrap_or(LATER).max(1)),
            ..Self::new(status, word, String::from(problem.detail))
        }
    }

    /// The daemon is about to end, or has begun.
    pub(super) fn stopping() -> Self {
        Self {
            outcome: Outcome::WithoutSession,
            retry_after: Some(2),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                "the daemon is stopping",
            )
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let document = Document {
            r#type: self.word,
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            remedy: self.remedy.as_deref(),
            retry_after: self.retry_after,
        };
        let mut response = (self.status, axum::Json(&document)).into_response();
        let headers = response.headers_mut();
        headers.insert(ERROR, HeaderValue::from_static(self.word));
        headers.insert(
            axum::http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// When a person is needed, or it is not known when it is worth another try.
const LATER: u64 = 30;
