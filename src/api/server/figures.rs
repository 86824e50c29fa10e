//! The figures as an answer: to a caller of the socket what it may see, to scrapers everything.

use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::{mpsc, oneshot};

use crate::api::Ask;
use crate::api::access::Caller;
use crate::metrics::{Form, Snapshot};

/// Sessions whose figures are written in a millisecond.
const FEW: usize = 100;

/// Everything that `caller` may see, page by page, so that no reader of a token waits for it; none when the daemon stops.
pub(crate) async fn collected(
    asks: &mpsc::Sender<Ask>,
    caller: Option<Caller>,
) -> Option<Snapshot> {
    let page = async |after| {
        let (reply, page) = oneshot::channel();
        asks.send(Ask::Metrics {
            caller: caller.clone(),
            after,
            reply,
        })
        .await
        .ok()?;
        page.await.ok()
    };
    let mut snapshot: Snapshot = page(None).await?;
    while let Some(end) = snapshot.end.take() {
        snapshot.extend(page(Some(end)).await?);
    }
    Some(snapshot)
}

/// The exposition as an answer.
pub(crate) async fn answer(form: Form, snapshot: Snapshot) -> Response {
    with_type(form, rendered(snapshot, form).await)
}

/// Which form these headers ask for.
pub(crate) fn form_for(headers: &HeaderMap) -> Form {
    Form::accepted(
        headers
            .get(ACCEPT)
            .and_then(|text| text.to_str().ok())
            .unwrap_or_default(),
    )
}

/// Ten thousand sessions take a moment, and go to another thread; few do not, and are seen even when a disk that hangs
/// holds all those threads.
pub(crate) async fn rendered(snapshot: Snapshot, form: Form) -> Bytes {
    let text = if snapshot.sessions.len() <= FEW {
        snapshot.render(form)
    } else {
        tokio::task::spawn_blocking(move || snapshot.render(form))
            .await
            .unwrap_or_default()
    };
    Bytes::from(text)
}

/// A rendering as an answer.
pub(crate) fn with_type(form: Form, body: Bytes) -> Response {
    (
        [
            (CONTENT_TYPE, form.content_type()),
            (CACHE_CONTROL, "no-store"),
        ],
        Body::from(body),
    )
        .into_response()
}
