//! What is answered where a user has too many connections.

use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response};
use axum::response::IntoResponse as _;

use crate::api::problem::{Kind, Problem};

/// The whole answer to a connection for which there is no permit.
pub(super) const NO_PERMIT: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "content-type: application/problem+json\r\n",
    "content-length: 182\r\n",
    "retry-after: 1\r\n",
    "connection: close\r\n\r\n",
    r#"{"type":"too-many-connections","title":"too many connections","status":503,"#,
    r#""detail":"too many connections of this user, or of users who may see no session, are open","retry_after":1}"#,
);

/// The answer to a request that would last, where too many of this user's do; the connection ends with it.
pub(super) fn too_many_last() -> Response<Body> {
    let mut problem = Problem::new(
        Kind::TooManyConnections,
        "too many connections of this user wait or follow events; the rest is kept for short requests",
    );
    problem.retry_after = Some(1);
    let mut response = problem.into_response();
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_reads_a_whole_problem_document() {
        let (head, body) = NO_PERMIT.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{}",
            body.len()
        );
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!(problem.kind, Kind::TooManyConnections);
    }
}
