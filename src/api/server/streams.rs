//! Answers that last: events as they happen, and holds. Both end with their connection, and with the daemon.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::parameters::Query;
use super::routes::{Asks, CalledBy, decided};
use crate::api::problem::{Kind, Problem};
use crate::api::{About, Ask, Event, Following};

/// So often something is written even when nothing happens: who has gone is noticed, and who listens knows that we live.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Server-sent events (WHATWG HTML, section 9.2), from now on or from what the caller knows last.
pub(super) async fn events(
    asks: Asks,
    Extension(caller): CalledBy,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let names = query.take_all("session");
    let given = query.take_number("from")?;
    query.end()?;
    // A browser repeats the address of its first request, and says in the header where it really is.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let from = match last {
        Some(id) => Some(
            id.trim()
                .parse()
                .map_err(|_| bad("Last-Event-ID: not the number of an event"))?,
        ),
        None => given,
    };
    let following = decided(&asks, Duration::ZERO, |reply| Ask::Events {
        caller,
        names,
        from,
        reply,
    })
    .await??;
    let Following { past, coming } = following;
    let events = stream::unfold((VecDeque::from(past), coming), next_event);
    let answer = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT));
    Ok(([(CACHE_CONTROL, "no-store")], answer).into_response())
}

type Followed = (VecDeque<Arc<Event>>, mpsc::Receiver<Arc<Event>>);

async fn next_event(
    (mut past, mut coming): Followed,
) -> Option<(Result<sse::Event, Infallible>, Followed)> {
    let event = match past.pop_front() {
        Some(event) => event,
        None => coming.recv().await?,
    };
    let data = serde_json::to_string(&*event).unwrap_or_default();
    let sent = sse::Event::default()
        .id(event.id.to_string())
        .event(event.event.word())
        .data(data);
    Some((Ok(sent), (past, coming)))
}

/// Holds a session's token for as long as the connection lasts, and no longer than `for`.
pub(super) async fn hold(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let lasting = query.take_duration("for")?;
    let wait = query.take_duration("wait")?;
    query.end()?;
    if lasting.is_zero() {
        return Err(bad("for: give the longest time, such as for=1h"));
    }
    let ask = |reply| Ask::Hold {
        about: About { caller, name },
        lasting,
        wait,
        reply,
    };
    let held = decided(&asks, wait, ask).await??;
    let first = json!({ "session": held.session, "held_until": held.until }).to_string();
    let body = Body::from_stream(stream::unfold((Some(first), held.guard), next_beat));
    Ok((
        [
            (CACHE_CONTROL, "no-store"),
            (CONTENT_TYPE, "application/json"),
        ],
        body,
    )
        .into_response())
}

type Holding = (Option<String>, oneshot::Sender<()>);

/// The document, then an empty line now and then, until the hold is over.
async fn next_beat((first, mut guard): Holding) -> Option<(Result<Bytes, Infallible>, Holding)> {
    if let Some(first) = first {
        return Some((Ok(Bytes::from(format!("{first}\n"))), (None, guard)));
    }
    match tokio::time::timeout(HEARTBEAT, guard.closed()).await {
        Ok(()) => None,
        Err(_) => Some((Ok(Bytes::from_static(b"\n")), (None, guard))),
    }
}

fn bad(detail: &str) -> Problem {
    Problem::new(Kind::BadRequest, detail)
}
