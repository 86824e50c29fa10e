//! Answers that do not come at once, or do not end: not all permits of a user are for them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use axum::http::header::CONTENT_LENGTH;
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::rt::Timer as _;

use super::AlarmTimer;
use super::permits::{Lasting, Permit};

/// What is answered later than this was waited for.
const AT_ONCE: Duration = Duration::from_millis(250);

/// The answer, unless it would last and too many of this user's answers do: then `refusal`.
pub(crate) async fn bounded<E>(
    answer: impl Future<Output = Result<Response<Body>, E>>,
    waits: bool,
    permit: &Permit,
    timer: &AlarmTimer,
    refusal: impl FnOnce() -> Response<Body>,
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
    let Some(lasting) = permit.acquire_lasting() else {
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
                _lasting: lasting,
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

/// A body that holds its permission for as long as it lasts.
struct Guarded {
    body: Body,
    _lasting: Lasting,
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
