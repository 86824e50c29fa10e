//! The sandbox's own API below `/sandbox/`: what `keepfresh sandbox --help` lists.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thiserror::Error;

use super::fault::{Aim, Faults, Loss, Outage, Planted, Weather};
use super::log::Log;
use super::lookalike::{self, Lookalike};
use super::org::Org;
use super::server::{Sandboxed, Shared};
use crate::clock;

/// The controls in the words of `--help`.
pub const HELP: &str = "\
Controls, as JSON over HTTP at the printed URL; an empty body is {}:
  GET  /sandbox              settings, credentials, look-alike names
  GET  /sandbox/log          counts by kind, and the requests with their times
  GET  /sandbox/sessions     every session handed out: alive or not, seconds left
  POST /sandbox/settings     {\"idle_timeout\": \"2h\", \"rotation\": true,
                              \"login_refusal\": \"ip_restricted\", ...}: any that GET shows
  POST /sandbox/revoke       {\"what\": \"all\" | \"access\" | \"refresh\"}, or {\"token\": \"...\"}
  POST /sandbox/advance      {\"by\": \"1h\"}: the idle timers run on at once
  POST /sandbox/outage       {\"kind\": \"refuse\" (503) | \"closed\" | \"reset\" | \"hang\" |
                              \"drip\" | \"endless\" | \"html\" | \"slow\",
                              \"seconds\": 10 or \"requests\": 3, \"to\": \"any\"}
  POST /sandbox/answer       {\"to\": \"ping\", \"times\": 1, \"status\": 500,
                              \"headers\": {}, \"body\": \"\", \"delay\": \"2s\"}
  POST /sandbox/lookalike    {\"name\": \"not_for_rest\", \"times\": 1}
  POST /sandbox/lose         {\"to\": \"token\", \"times\": 1}: carried out, but the answer is lost
  POST /sandbox/lock         {\"locked\": true}
  POST /sandbox/password     {\"new\": \"...\"}; the security token stays
  POST /sandbox/secret       {\"new\": \"...\"}: another client secret
  POST /sandbox/approve      a further approval; answers with its refresh token
  POST /sandbox/clear        no more outage, planted answers and losses
  POST /sandbox/reset        as at the start
\"to\" is any, token, login, renew, ping, userinfo, introspect, revoke, versions, api or other.";

/// Why a control did nothing.
#[derive(Debug, Error)]
pub enum ControlError {
    /// There is no control of this name.
    #[error("no control named {0:?}; keepfresh sandbox --help lists them")]
    Unknown(String),
    /// The JSON is not what the control takes.
    #[error("{0}; keepfresh sandbox --help says what this control takes")]
    Body(#[from] serde_json::Error),
    /// A look-alike that is not known.
    #[error("no look-alike named {0:?}; GET /sandbox lists them")]
    Lookalike(String),
    /// A closed port takes no order to open again.
    #[error("an outage of kind \"closed\" needs seconds: no control could end it")]
    Endless,
}

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/sandbox", get(overview))
        .route("/sandbox/log", get(log))
        .route("/sandbox/sessions", get(sessions))
        .route("/sandbox/{control}", post(order))
}

async fn overview(State(shared): State<Arc<Shared>>) -> Response {
    let state = shared.lock();
    let names: Vec<_> = lookalike::ALL
        .iter()
        .map(|lookalike| lookalike.name)
        .collect();
    let Org {
        settings,
        credentials,
        url,
        ..
    } = &state.org;
    answer(
        StatusCode::OK,
        &json!({ "url": url, "settings": settings, "credentials": credentials, "lookalikes": names }),
    )
}

async fn log(State(shared): State<Arc<Shared>>) -> Response {
    answer(StatusCode::OK, &json!(shared.lock().log))
}

async fn sessions(State(shared): State<Arc<Shared>>) -> Response {
    let state = shared.lock();
    answer(StatusCode::OK, &json!(state.org.sessions(state.now().boot)))
}

async fn order(
    State(shared): State<Arc<Shared>>,
    Path(control): Path<String>,
    body: Bytes,
) -> Response {
    let body = if body.is_empty() {
        Ok(json!({}))
    } else {
        serde_json::from_slice(&body)
    };
    match body
        .map_err(ControlError::from)
        .and_then(|body| shared.control(&control, body))
    {
        Ok(said) => answer(StatusCode::OK, &said),
        Err(error @ ControlError::Unknown(_)) => answer(
            StatusCode::NOT_FOUND,
            &json!({ "error": error.to_string() }),
        ),
        Err(error) => answer(
            StatusCode::BAD_REQUEST,
            &json!({ "error": error.to_string() }),
        ),
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (
        status,
        [("content-type", "application/json")],
        format!("{body}\n"),
    )
        .into_response()
}

impl Shared {
    /// Carries a control out; what it answers.
    pub(super) fn control(&self, control: &str, body: Value) -> Result<Value, ControlError> {
        let said = self.lock().control(control, body);
        self.closing.notify_waiters();
        said
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    #[serde(default = "once")]
    times: u64,
    to: Option<Aim>,
}

fn once() -> u64 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    All,
    Access,
    Refresh,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Revocation {
    Kind { what: What },
    Token { token: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lock {
    #[serde(default = "yes")]
    locked: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    new: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    by: Duration,
}

fn read<T: DeserializeOwned>(body: Value) -> Result<T, ControlError> {
    Ok(serde_json::from_value(body)?)
}

impl Sandboxed {
    fn control(&mut self, control: &str, body: Value) -> Result<Value, ControlError> {
        match control {
            "settings" => self.org.settings = self.org.settings.patched(&body)?,
            "revoke" => self.revoke(&read(body)?),
            "advance" => self.advanced = self.advanced.saturating_add(read::<Advance>(body)?.by),
            "outage" => self.outage(read(body)?)?,
            "answer" => self.faults.plant(read(body)?),
            "lookalike" => self.lookalike(read(body)?)?,
            "lose" => self.faults.lose(read::<Loss>(body)?),
            "lock" => self.org.lock(read::<Lock>(body)?.locked),
            "password" => self.org.credentials.password = read::<Replacement>(body)?.new,
            "secret" => self.org.credentials.client_secret = read::<Replacement>(body)?.new,
            "approve" => return Ok(json!({ "refresh_token": self.approve() })),
            "clear" => self.faults = Faults::default(),
            "reset" => self.reset(),
            unknown => return Err(ControlError::Unknown(unknown.to_owned())),
        }
        Ok(json!({ "done": control }))
    }

    fn revoke(&mut self, revocation: &Revocation) {
        let at = self.now().boot;
        match revocation {
            Revocation::Kind { what: What::Access } => self.org.revoke_sessions(),
            Revocation::Kind {
                what: What::Refresh,
            } => self.org.revoke_approvals(),
            Revocation::Kind { what: What::All } => {
                self.org.revoke_sessions();
                self.org.revoke_approvals();
            }
            Revocation::Token { token } => drop(self.org.revoke(token, at)),
        }
    }

    fn outage(&mut self, outage: Outage) -> Result<(), ControlError> {
        if outage.kind == Weather::Closed && outage.seconds.is_none() {
            return Err(ControlError::Endless);
        }
        self.faults.start(outage, clock::boottime());
        Ok(())
    }

    fn lookalike(&mut self, named: Named) -> Result<(), ControlError> {
        let found = Lookalike::named(&named.name).ok_or(ControlError::Lookalike(named.name))?;
        let to = named.to.unwrap_or(Aim::Kind(found.to));
        self.faults.plant(Planted {
            to,
            times: named.times,
            delay: None,
            reply: found.reply(),
        });
        Ok(())
    }

    fn approve(&mut self) -> String {
        let at = self.now().boot;
        let username = self.org.credentials.username.clone();
        self.org.approve(&username, at)
    }

    fn reset(&mut self) {
        self.faults = Faults::default();
        self.advanced = Duration::ZERO;
        self.log = Log::new(clock::boottime());
        self.org.reset(clock::boottime());
    }
}
