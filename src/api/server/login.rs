//! `…/login`: an order like the others where the daemon logs in by itself, else a person's login in two or three calls.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, Request};
use axum::http::header::CACHE_CONTROL;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::parameters::{BeginBody, Query, RedirectedBody, json, json_if_any};
use super::routes::{Asks, CalledBy, answer, decided};
use crate::api::problem::Problem;
use crate::api::{About, Ask, LoginAsk, LoginBegun, Order};
use crate::secret::Secret;

/// 202 where a person must go on, else the status once it is done.
pub(super) async fn begin(
    asks: Asks,
    Extension(caller): CalledBy,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let wait = only_wait(request.uri())?;
    let port = json_if_any::<BeginBody>(request).await?.redirect_port;
    let about = || About {
        caller: caller.clone(),
        name: name.clone(),
    };
    let ask = |reply| {
        Ask::Login(LoginAsk::Begin {
            about: about(),
            port,
            wait,
            reply,
        })
    };
    if let Some(begun) = decided(&asks, wait, ask).await?? {
        return Ok(accepted(&begun));
    }
    let ask = |reply| Ask::Order {
        about: about(),
        order: Order::Login,
        wait,
        reply,
    };
    Ok(answer(&decided(&asks, wait, ask).await??))
}

/// Takes the address that the browser was sent to.
pub(super) async fn complete(
    asks: Asks,
    Extension(caller): CalledBy,
    Path((name, login)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let wait = only_wait(request.uri())?;
    let redirected = Secret::new(json::<RedirectedBody>(request).await?.redirected);
    let about = About { caller, name };
    let ask = |reply| {
        Ask::Login(LoginAsk::Complete {
            about,
            login,
            redirected,
            wait,
            reply,
        })
    };
    Ok(answer(&decided(&asks, wait, ask).await??))
}

/// The status once the login is over.
pub(super) async fn outcome(
    asks: Asks,
    Extension(caller): CalledBy,
    Path((name, login)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let wait = only_wait(&uri)?;
    let ask = |reply| {
        Ask::Login(LoginAsk::Outcome {
            about: About { caller, name },
            login,
            wait,
            reply,
        })
    };
    Ok(answer(&decided(&asks, wait, ask).await??))
}

fn only_wait(uri: &Uri) -> Result<Duration, Problem> {
    let mut query = Query::of(uri);
    let wait = query.take_duration("wait")?;
    query.end()?;
    Ok(wait)
}

fn accepted(begun: &LoginBegun) -> Response {
    (
        StatusCode::ACCEPTED,
        [(CACHE_CONTROL, "no-store")],
        Json(begun),
    )
        .into_response()
}
