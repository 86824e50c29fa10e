//! The HTTP around the org: takes requests apart, lets faults happen, and sends answers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::any;
use futures_util::stream;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::sync::Notify;

use super::controls;
use super::fault::{Fault, Faults, Weather};
use super::line::Scissors;
use super::log::Log;
use super::lookalike::Lookalike;
use super::org::Org;
use super::reply::{Call, Reply};
use crate::clock;
use crate::time::{Instant, Now};

/// As much of a request's body as is read.
const BODY_LIMIT: usize = 1 << 20;
const SLOW: Duration = Duration::from_secs(3);

/// What both ports and the controls share.
pub(super) struct Shared {
    state: Mutex<Sandboxed>,
    /// Tells the ports that they may have to close.
    pub(super) closing: Notify,
}

/// Everything that a request can change.
pub(super) struct Sandboxed {
    pub(super) org: Org,
    pub(super) faults: Faults,
    pub(super) log: Log,
    /// How far the org's timers were moved ahead of the clock.
    pub(super) advanced: Duration,
}

/// What is done about one request.
enum Outcome {
    Answer(Reply, Duration),
    Cut,
    Hang,
    Drip,
    Endless,
}

impl Shared {
    pub(super) fn new(org: Org) -> Self {
        let log = Log::new(clock::boottime());
        let state = Sandboxed {
            org,
            faults: Faults::default(),
            log,
            advanced: Duration::ZERO,
        };
        Self {
            state: Mutex::new(state),
            closing: Notify::new(),
        }
    }

    /// A panic elsewhere leaves the org as it was between two requests.
    pub(super) fn lock(&self) -> MutexGuard<'_, Sandboxed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn closed_for(&self) -> Option<Duration> {
        self.lock().faults.closed_for(clock::boottime())
    }
}

impl Sandboxed {
    /// Both clocks, with the org's timers moved ahead as far as was asked.
    pub(super) fn now(&self) -> Now {
        let now = clock::now();
        Now {
            boot: now.boot.after(self.advanced),
            ..now
        }
    }

    fn meet(&mut self, call: &Call, at: Instant) -> Outcome {
        let fault = self.faults.next(call.kind, at);
        let outcome = match fault {
            None => Outcome::Answer(self.carry_out(call), Duration::ZERO),
            Some(Fault::Answer(reply, delay)) => Outcome::Answer(reply, delay.unwrap_or_default()),
            Some(Fault::Lost) => {
                self.carry_out(call);
                Outcome::Cut
            }
            Some(Fault::Weather(weather)) => self.storm(weather, call),
        };
        let status = if let Outcome::Answer(reply, _) = &outcome {
            Some(reply.status)
        } else {
            None
        };
        self.log.add(call, status, at);
        outcome
    }

    fn storm(&mut self, weather: Weather, call: &Call) -> Outcome {
        match weather {
            Weather::Refuse => {
                let reply = Lookalike::named("unavailable").map(Lookalike::reply);
                Outcome::Answer(
                    reply.unwrap_or_else(|| Reply::html(503, "Unavailable")),
                    Duration::ZERO,
                )
            }
            Weather::Html => {
                Outcome::Answer(Reply::html(503, "Scheduled maintenance"), Duration::ZERO)
            }
            Weather::Slow => Outcome::Answer(self.carry_out(call), SLOW),
            Weather::Closed | Weather::Reset => Outcome::Cut,
            Weather::Hang => Outcome::Hang,
            Weather::Drip => Outcome::Drip,
            Weather::Endless => Outcome::Endless,
        }
    }

    fn carry_out(&mut self, call: &Call) -> Reply {
        let now = self.now();
        self.org.answer(call, &now)
    }

    fn date(&self) -> Option<HeaderValue> {
        let wall = Timestamp::from_millisecond(self.org.wall_millis(&clock::now())).ok()?;
        HeaderValue::try_from(
            DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&wall)
                .ok()?,
        )
        .ok()
    }
}

pub(super) fn router(shared: Arc<Shared>) -> Router {
    controls::routes().fallback(any(serve)).with_state(shared)
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    Extension(scissors): Extension<Scissors>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, Body::empty());
    };
    let authorization = head
        .headers
        .get(header::AUTHORIZATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let query = head.uri.query().unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let call = Call::new(
        head.method.as_str(),
        head.uri.path(),
        query,
        authorization.as_deref(),
        &text,
    );
    let (outcome, date) = {
        let mut state = shared.lock();
        (state.meet(&call, clock::boottime()), state.date())
    };
    let mut response = perform(outcome, &scissors).await;
    if let Some(date) = date {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

async fn perform(outcome: Outcome, scissors: &Scissors) -> Response {
    match outcome {
        Outcome::Answer(reply, delay) => {
            tokio::time::sleep(delay).await;
            response(&reply)
        }
        Outcome::Cut => scissors.cut().await,
        Outcome::Hang => std::future::pending().await,
        Outcome::Drip => plain(StatusCode::OK, Body::from_stream(drops())),
        Outcome::Endless => plain(StatusCode::OK, Body::from_stream(flood())),
    }
}

/// A reply that HTTP cannot carry (an impossible status, a header with a newline) becomes a plain 500.
fn response(reply: &Reply) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status, Body::from(reply.body.clone()));
    response.headers_mut().clear();
    for (name, value) in &reply.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name),
            HeaderValue::from_bytes(value.as_bytes()),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn plain(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=UTF-8"),
    );
    response
}

fn drops() -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok(Bytes::from_static(b" ")), ()))
    })
}

fn flood() -> impl stream::Stream<Item = Result<Bytes, Infallible>> {
    stream::repeat(Ok(Bytes::from_static(&[b' '; 16 * 1024])))
}
