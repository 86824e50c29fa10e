//! Answers that do not come at once, or do not end: a user's seats are not all for them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONNECTION, CONTENT_LENGTH};
use axum::http::{HeaderValue, Response, Uri};
use axum::response::IntoResponse as _;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::rt::Timer as _;

use super::connections::{Lasting, Seat};
use crate::api::problem::{Kind, Problem};
use crate::serve::AlarmTimer;

/// What is answered later than this was waited for.
const AT_ONCE: Duration = Duration::from_millis(250);

/// Whether somebody asks for more than what is there at once; the rest ends by itself, however busy the daemon is.
pub(super) fn waits(asked: &Uri) -> bool {
    asked
        .query()
        .is_some_and(|query| query.split('&').any(|part| part.starts_with("wait=")))
}

/// The answer, unless it would last and too many of this user's do: then that, and the connection ends.
pub(super) async fn bounded<E>(
    answer: impl Future<Output = Result<Response<Body>, E>>,
    waits: bool,
    seat: &Seat,
    timer: &AlarmTimer,
) -> Result<Response<Body>, E> {
    let mut answer = pin!(answer);
    let at_once = tokio::select! {
        biased;
        answered = answer.as_mut() => Some(answered?),
        () = timer.sleep(AT_ONCE), if waits => None,
    };
    let answered = match at_once {
        Some(answered) if ends_by_itself(&answered) => return Ok(answered),
        other => other,
    };
    let Some(leave) = seat.lasts() else {
        return Ok(refusal());
    };
    let answered = match answered {
        Some(answered) => answered,
        None => answer.await?,
    };
    let lasts = !ends_by_itself(&answered);
    Ok(if lasts {
        answered.map(|body| {
            Body::new(Guarded {
                body,
                _leave: leave,
            })
        })
    } else {
        answered
    })
}

/// An answer of a known length ends by itself.
fn ends_by_itself(answered: &Response<Body>) -> bool {
    answered.headers().contains_key(CONTENT_LENGTH) || answered.body().size_hint().exact().is_some()
}

fn refusal() -> Response<Body> {
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

/// A body for as long as which the leave counts.
struct Guarded {
    body: Body,
    _leave: Lasting,
}

impl hyper::body::Body for Guarded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
