//! `POST /token` for tools that speak OAuth 2.0 only: the session's token, as a server of client credentials would hand it
//! out (RFC 6749 section 4.4). Who calls is known by the kernel, so that the client's credentials are not looked at.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use axum::response::IntoResponse as _;
use serde::Serialize;

use crate::api::Served;

/// Where it is.
const PATH: &str = "/token";
const GRANT: &str = "client_credentials";

/// RFC 6749 section 5.1.
#[derive(Serialize)]
struct Granted<'s> {
    access_token: &'s str,
    token_type: &'s str,
    /// For how long the token is promised, in whole seconds; absent where nothing ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<u64>,
}

/// Whether a request is one for a token.
pub(super) fn is_asked(method: &Method, path: &str) -> bool {
    *method == Method::POST && path == PATH
}

/// Whether a form asks by the one grant that there is.
pub(super) fn asks_rightly(form: &[u8]) -> bool {
    url::form_urlencoded::parse(form).any(|(name, value)| name == "grant_type" && value == GRANT)
}

/// RFC 6749 section 5.2: the form asks for something else.
pub(super) fn other_grant() -> Response<Body> {
    let error = serde_json::json!({
        "error": "unsupported_grant_type",
        "error_description": "write grant_type=client_credentials",
    });
    unstored((StatusCode::BAD_REQUEST, axum::Json(error)).into_response())
}

/// The token.
pub(super) fn granted(served: &Served) -> Response<Body> {
    let token = &served.published.token;
    let granted = Granted {
        access_token: token.access_token.expose(),
        token_type: &token.token_type,
        expires_in: served.valid_for.map(|promised| promised.as_secs()),
    };
    unstored(axum::Json(&granted).into_response())
}

fn unstored(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
