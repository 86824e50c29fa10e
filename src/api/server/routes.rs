//! The paths of the socket, and what each hands to the supervisor.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::figures;
use super::listing::Listing;
use super::login;
use super::parameters::{Query, RejectedBody, UsedBody, json};
use super::streams;
use crate::api::access::Caller;
use crate::api::problem::{Kind, Problem};
use crate::api::{About, Ask, HealthAsk, Order, Ready, Refusal, Served, TokenAnswer, Via};

/// What the supervisor may take beyond the caller's wait; it answers in microseconds unless something is very wrong.
const DECISION_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Asks = State<mpsc::Sender<Ask>>;
pub(super) type CalledBy = Extension<Caller>;

/// The routes of version 1.
pub(super) fn router(asks: mpsc::Sender<Ask>) -> Router {
    Router::new()
        .route("/v1/sessions", get(sessions))
        .route("/v1/sessions/{session}", get(session))
        .route("/v1/sessions/{session}/token", get(token))
        .route("/v1/sessions/{session}/ready", get(ready))
        .route("/v1/sessions/{session}/used", post(used))
        .route("/v1/sessions/{session}/rejected", post(rejected))
        .route("/v1/sessions/{session}/verify", post(verify))
        .route("/v1/sessions/{session}/introspect", post(introspect))
        .route("/v1/sessions/{session}/renew", post(renew))
        .route("/v1/sessions/{session}/login", post(login::begin))
        .route(
            "/v1/sessions/{session}/login/{login}",
            get(login::outcome).post(login::complete),
        )
        .route("/v1/sessions/{session}/logout", post(logout))
        .route("/v1/sessions/{session}/pause", post(pause))
        .route("/v1/sessions/{session}/resume", post(resume))
        .route("/v1/reload", post(reload))
        .route("/v1/sessions/{session}/hold", post(streams::hold))
        .route("/v1/events", get(streams::events))
        .route("/v1/health", get(health))
        .route("/metrics", get(metrics))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(asks)
}

async fn sessions(asks: Asks, Extension(caller): CalledBy, uri: Uri) -> Result<Response, Problem> {
    Query::of(&uri).end()?;
    let mut listing = Listing::default();
    let mut after = None;
    loop {
        let ask = |reply| Ask::Sessions {
            caller: caller.clone(),
            after,
            reply,
        };
        let page = decided(&asks, Duration::ZERO, ask).await?;
        listing.add(&page);
        after = page.end;
        if after.is_none() {
            return Ok(listing.answer());
        }
    }
}

async fn session(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri).end()?;
    let status = decided(&asks, Duration::ZERO, |reply| Ask::Session {
        about: About { caller, name },
        reply,
    })
    .await??;
    Ok(answer(&status))
}

async fn token(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let token = awaited(&asks, About { caller, name }, &uri, Via::Socket).await?;
    Ok(token_answer(&token, &headers))
}

async fn ready(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let token = awaited(&asks, About { caller, name }, &uri, Via::Nowhere).await?;
    Ok(answer(&Ready::from(TokenAnswer::from(&token))))
}

/// The token, once it is as good as the query wants it.
async fn awaited(asks: &Asks, about: About, uri: &Uri, via: Via) -> Result<Served, Problem> {
    let mut query = Query::of(uri);
    let min_validity = query.take_duration("min_validity")?;
    let files = query.take_flag("files")?;
    let wait = query.take_duration("wait")?;
    query.end()?;
    let ask = |reply| Ask::Token {
        via,
        about,
        min_validity,
        files,
        wait,
        reply,
    };
    Ok(decided(asks, wait, ask).await??)
}

async fn used(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    Query::of(request.uri()).end()?;
    let UsedBody { generation, age } = json(request).await?;
    let age = age.map(|age| age.0);
    let ask = |reply| Ask::Used {
        about: About { caller, name },
        generation,
        age,
        reply,
    };
    Ok(answer(&decided(&asks, Duration::ZERO, ask).await??))
}

async fn rejected(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let mut query = Query::of(request.uri());
    let files = query.take_flag("files")?;
    let wait = query.take_duration("wait")?;
    query.end()?;
    let headers = request.headers().clone();
    let which = json::<RejectedBody>(request).await?.which()?;
    let ask = |reply| Ask::Rejected {
        via: Via::Socket,
        about: About { caller, name },
        which,
        files,
        wait,
        reply,
    };
    let token = decided(&asks, wait, ask).await??;
    Ok(token_answer(&token, &headers))
}

/// One handler per order, so that the paths are in the router and nowhere else.
macro_rules! orders {
    ($($handler:ident => $order:ident),*) => {$(
        async fn $handler(asks: Asks, caller: CalledBy, name: Path<String>, uri: Uri) -> Result<Response, Problem> {
            order(asks, caller, name, uri, Order::$order).await
        }
    )*};
}

orders!(verify => Verify, introspect => Introspect, renew => Renew, logout => Logout, pause => Pause, resume => Resume);

async fn order(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    uri: Uri,
    order: Order,
) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let wait = query.take_duration("wait")?;
    query.end()?;
    let ask = |reply| Ask::Order {
        about: About { caller, name },
        order,
        wait,
        reply,
    };
    let status = decided(&asks, wait, ask).await??;
    let done = !wait.is_zero() || matches!(order, Order::Pause | Order::Resume);
    Ok((
        if done {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        },
        answer(&status),
    )
        .into_response())
}

/// Answers once the config is in force, or found broken.
async fn reload(asks: Asks, Extension(caller): CalledBy, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let wait = query.take_duration("wait")?;
    query.end()?;
    Ok(answer(
        &decided(&asks, wait, |reply| Ask::Reload { caller, reply }).await??,
    ))
}

/// 200 while the daemon makes progress, else 503; whether sessions are ready is in the body.
async fn health(asks: Asks, Extension(caller): CalledBy, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let names = query.take_all("session");
    query.end()?;
    let health = decided(&asks, Duration::ZERO, |reply| {
        Ask::Health(HealthAsk {
            caller,
            names,
            reply,
        })
    })
    .await??;
    let status = if health.live {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok((status, answer(&health)).into_response())
}

/// The figures of what the caller may see, in the format that it accepts.
async fn metrics(
    asks: Asks,
    Extension(caller): CalledBy,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Query::of(&uri).end()?;
    let snapshot = figures::collected(&asks, Some(caller))
        .await
        .ok_or(Refusal::Stopping)?;
    Ok(figures::answer(figures::form_for(&headers), snapshot).await)
}

async fn no_such_path(uri: Uri) -> Problem {
    Problem::new(Kind::NoSuchPath, format!("there is no {}", uri.path()))
        .with_remedy("GET /v1/sessions lists the sessions; docs/api.md lists the paths")
}

async fn wrong_method(uri: Uri) -> Problem {
    Problem::new(
        Kind::WrongMethod,
        format!("{} takes another method", uri.path()),
    )
    .with_remedy("see the Allow header")
}

/// Asks the supervisor and waits for its decision. When the caller goes away, so does the receiver, and it knows.
pub(super) async fn decided<T>(
    asks: &mpsc::Sender<Ask>,
    wait: Duration,
    ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
) -> Result<T, Problem> {
    let (reply, answer) = oneshot::channel();
    let decision = async {
        asks.send(ask(reply)).await.ok()?;
        answer.await.ok()
    };
    match tokio::time::timeout(wait.saturating_add(DECISION_TIMEOUT), decision).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err(Refusal::Stopping.into()),
        Err(_) => Err(Problem::new(
            Kind::NoAnswer,
            "the daemon did not decide in time",
        )),
    }
}

/// JSON that no cache keeps.
pub(super) fn answer(body: &impl Serialize) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// The token as JSON or bare, with its generation as entity tag.
fn token_answer(served: &Served, request: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", served.published.generation);
    let mut response = if names(request, &IF_NONE_MATCH, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else if names(request, &ACCEPT, "text/plain") {
        Body::from(served.published.token.access_token.expose().to_owned()).into_response()
    } else {
        Json(TokenAnswer::from(served)).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    if !headers.contains_key(CONTENT_TYPE) && response.status() == StatusCode::OK {
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=us-ascii"),
        );
    }
    response
}

/// Whether the first word of a comma-separated header is `value`; a client that prefers JSON names that first.
fn names(headers: &HeaderMap, header: &axum::http::HeaderName, value: &str) -> bool {
    let text = headers
        .get(header)
        .and_then(|text| text.to_str().ok())
        .unwrap_or_default();
    let first = text.split([',', ';']).next().unwrap_or_default().trim();
    first == value
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
