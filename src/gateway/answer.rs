//! The beginning of an answer: as much of it as it takes to tell a session that is over from anything else.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use hyper::body::Body;

use super::body::next_data;

/// No server says at length that a session is over.
const LONGEST_LOOK: usize = 64 * 1024;
/// For the rest of a refusal.
const PATIENCE: Duration = Duration::from_secs(2);
/// For the rest of an answer that looks like a success, and may be one that a job waits for.
const SHORT_PATIENCE: Duration = Duration::from_millis(250);

/// What was read of a body before any of it was passed on.
pub(super) struct Beginning {
    pub(super) bytes: Bytes,
    /// Whether that is all of it.
    pub(super) is_whole: bool,
}

/// For how long a body's beginning is waited for; none where it says nothing of the session.
pub(super) fn patience(
    status: StatusCode,
    headers: &HeaderMap,
    may_die_in_success: bool,
) -> Option<Duration> {
    if status.is_client_error() || status.is_server_error() {
        return Some(PATIENCE);
    }
    let says = |start: &str| {
        let text = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        text.is_some_and(|text| text.trim().to_ascii_lowercase().starts_with(start))
    };
    let announced = headers.get(CONTENT_LENGTH).and_then(length);
    let is_short = announced.is_none_or(|length| length <= LONGEST_LOOK as u64);
    (may_die_in_success && status.is_success() && is_short && !says("text/event-stream"))
        .then_some(SHORT_PATIENCE)
}

pub(super) fn length(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.trim().parse().ok()
}

/// Reads the beginning of `body`, until it ends, is long enough, breaks off or is silent for `patience`.
pub(super) async fn beginning<B>(body: &mut B, patience: Option<Duration>) -> Beginning
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut read = Vec::new();
    let mut is_whole = body.is_end_stream();
    if let Some(patience) = patience {
        while !is_whole && read.len() < LONGEST_LOOK {
            match tokio::time::timeout(patience, next_data(body)).await {
                Ok(Some(Ok(data))) => read.extend_from_slice(&data),
                Ok(None) => is_whole = true,
                // What broke off breaks off again when it is passed on.
                Ok(Some(Err(_))) | Err(_) => break,
            }
        }
    }
    Beginning {
        bytes: read.into(),
        is_whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_tell_of_a_death_is_looked_at() {
        for (status, headers, may_die, expected) in [
            (401, &[][..], false, Some(PATIENCE)),
            (503, &[], false, Some(PATIENCE)),
            (302, &[], true, None),
            (200, &[], false, None),
            (200, &[], true, Some(SHORT_PATIENCE)),
            (
                200,
                &[("content-length", "65536")],
                true,
                Some(SHORT_PATIENCE),
            ),
            (200, &[("content-length", "65537")], true, None),
            (
                200,
                &[("content-type", "text/event-stream; charset=utf-8")],
                true,
                None,
            ),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                patience(status, &headers, may_die),
                expected,
                "{status} {headers:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_beginning_of_a_long_answer_is_held_back() {
        let mut body = axum::body::Body::from(vec![b'x'; 100]);
        let seen = beginning(&mut body, Some(PATIENCE)).await;
        assert_eq!((seen.bytes.len(), seen.is_whole), (100, true));
        let mut unread = axum::body::Body::from("y");
        let seen = beginning(&mut unread, None).await;
        assert_eq!((seen.bytes.len(), seen.is_whole), (0, false));
    }
}
