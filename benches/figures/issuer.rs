//! A session server that costs next to nothing: logs in, refreshes, answers pings, and remembers who asked when.
//!
//! Its paths are Salesforce's, and an `OpenID` issuer's beside them, so that other programs can be measured against it. It
//! listens on several addresses of loopback, each of which is a host of its own to its callers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;

use crate::support::random_hex;

pub(crate) const SECRET: &str = "the-secret-of-every-client";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ping,
    Token,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) kind: Kind,
    pub(crate) client: String,
}

struct Living {
    client: String,
    restarted: Instant,
}

#[derive(Default)]
struct Org {
    living: HashMap<String, Living>,
    /// In order.
    issued: Vec<String>,
    /// Sessions end when they are not used for so long; use counts in the second half only.
    idle: Option<Duration>,
    idle_deaths: usize,
    seen: Vec<Seen>,
    in_flight: usize,
    most_in_flight: usize,
    delay: Duration,
    /// `expires_in`, where it is said.
    life: Option<u64>,
    hanging: Option<String>,
}

impl Org {
    fn client_of(&self, token: &str) -> String {
        self.living
            .get(token)
            .map(|living| living.client.clone())
            .unwrap_or_default()
    }

    /// One use of a token; false when it is dead.
    fn is_used(&mut self, token: &str) -> bool {
        let Some(living) = self.living.get_mut(token) else {
            return false;
        };
        let since = living.restarted.elapsed();
        if self.idle.is_some_and(|idle| since >= idle) {
            self.living.remove(token);
            self.idle_deaths += 1;
            return false;
        }
        if self.idle.is_some_and(|idle| since >= idle / 2) {
            living.restarted = Instant::now();
        }
        true
    }
}

#[derive(Default)]
struct Shared {
    org: Mutex<Org>,
    stopped: Notify,
}

impl Shared {
    fn org(&self) -> MutexGuard<'_, Org> {
        self.org
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub(crate) struct Issuer {
    shared: Arc<Shared>,
    pub(crate) urls: Vec<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Issuer {
    pub(crate) fn start(hosts: u8) -> Arc<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let bound = (1..=hosts).map(|host| {
            runtime.block_on(async {
                tokio::net::TcpListener::bind(format!("127.0.0.{host}:0"))
                    .await
                    .unwrap()
            })
        });
        let listeners: Vec<_> = bound.collect();
        let urls = listeners
            .iter()
            .map(|it| format!("http://{}", it.local_addr().unwrap()))
            .collect();
        let shared = Arc::new(Shared::default());
        let router = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                let mut served = JoinSet::new();
                for listener in listeners {
                    let router = router.clone();
                    served.spawn(async move { axum::serve(listener, router).await });
                }
                let _ = stopped.await;
            });
        });
        Arc::new(Self {
            shared,
            urls,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// How long each answer takes at least.
    pub(crate) fn delay(&self, delay: Duration) {
        self.shared.org().delay = delay;
    }

    /// What it says of the life of tokens from now on; they do end then.
    pub(crate) fn life(&self, seconds: u64) {
        self.shared.org().life = Some(seconds);
    }

    /// This client's calls are not answered any more.
    pub(crate) fn hang(&self, client: &str) {
        self.shared.org().hanging = Some(client.into());
    }

    /// Every session's timer starts now, and this is its length.
    pub(crate) fn idle(&self, timeout: Duration) {
        let mut org = self.shared.org();
        org.idle = Some(timeout);
        org.living
            .values_mut()
            .for_each(|living| living.restarted = Instant::now());
    }

    pub(crate) fn idle_deaths(&self) -> usize {
        self.shared.org().idle_deaths
    }

    /// All tokens so far, in order.
    pub(crate) fn issued(&self) -> Vec<String> {
        self.shared.org().issued.clone()
    }

    pub(crate) fn revoke(&self, token: &str) {
        self.shared.org().living.remove(token);
    }

    pub(crate) fn revoke_all(&self) {
        self.shared.org().living.clear();
    }

    pub(crate) fn lives(&self, token: &str) -> bool {
        self.shared.org().living.contains_key(token)
    }

    /// Forgets what it saw, and gives it.
    pub(crate) fn take_seen(&self) -> Vec<Seen> {
        let mut org = self.shared.org();
        org.most_in_flight = org.in_flight;
        std::mem::take(&mut org.seen)
    }

    pub(crate) fn most_in_flight(&self) -> usize {
        self.shared.org().most_in_flight
    }

    /// Waits until nobody has asked anything for half a second.
    pub(crate) fn settled(&self) {
        let mut before = usize::MAX;
        while before != self.shared.org().seen.len() {
            before = self.shared.org().seen.len();
            thread::sleep(Duration::from_millis(500));
        }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.shared.stopped.notify_waiters();
        self.thread.take().map(thread::JoinHandle::join);
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let base = format!("http://{}", text(header::HOST));
    let bearer = text(header::AUTHORIZATION)
        .trim_start_matches("Bearer ")
        .to_owned();
    let kind = match uri.path() {
        "/.well-known/openid-configuration" => return says(200, &metadata(&base)),
        path if path.ends_with("/token") => Kind::Token,
        path if path.starts_with("/services/data/v") => Kind::Ping,
        _ => return says(404, &json!([{"errorCode": "NOT_FOUND"}])),
    };
    let client = match kind {
        Kind::Ping => shared.org().client_of(&bearer),
        Kind::Token => client_of(&text(header::AUTHORIZATION), &body),
    };
    let (delay, hangs) = arrived(&shared, kind, &client);
    if hangs {
        shared.stopped.notified().await;
    }
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut org = shared.org();
    org.in_flight -= 1;
    match kind {
        Kind::Token => says(200, &issue(&mut org, &client, &base)),
        Kind::Ping if org.is_used(&bearer) => {
            says(200, &json!({"sobjects": "/services/data/sobjects"}))
        }
        Kind::Ping => says(
            401,
            &json!([{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]),
        ),
    }
}

/// The client of a token request, by the Basic header or the form.
fn client_of(authorization: &str, body: &[u8]) -> String {
    if let Some(encoded) = authorization.strip_prefix("Basic ") {
        let pair = STANDARD.decode(encoded).unwrap_or_default();
        return String::from_utf8_lossy(&pair)
            .split(':')
            .next()
            .unwrap_or_default()
            .to_owned();
    }
    let field = url::form_urlencoded::parse(body).find(|(name, _)| name == "client_id");
    field
        .map(|(_, client)| client.into_owned())
        .unwrap_or_default()
}

/// Takes down the call; how long it takes, and whether it ends at all.
fn arrived(shared: &Shared, kind: Kind, client: &str) -> (Duration, bool) {
    let mut org = shared.org();
    org.seen.push(Seen {
        at: Instant::now(),
        kind,
        client: client.to_owned(),
    });
    org.in_flight += 1;
    org.most_in_flight = org.most_in_flight.max(org.in_flight);
    (org.delay, org.hanging.as_deref() == Some(client))
}

fn issue(org: &mut Org, client: &str, base: &str) -> Value {
    let token = format!("00D5g0000042abc!AQ{}", random_hex(24));
    org.living.insert(
        token.clone(),
        Living {
            client: client.to_owned(),
            restarted: Instant::now(),
        },
    );
    org.issued.push(token.clone());
    let mut grant = json!({
        "access_token": token,
        "token_type": "Bearer",
        "instance_url": base,
        "scope": "api openid offline_access",
        "refresh_token": format!("5Aep861-of-{client}"),
    });
    if let Some(seconds) = org.life {
        grant["expires_in"] = seconds.into();
    }
    grant
}

/// RFC 8414, `OpenID` Connect Discovery 1.0.
fn metadata(base: &str) -> Value {
    json!({
        "issuer": format!("{base}/"),
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwks"),
        "scopes_supported": ["openid", "offline_access"],
        "grant_types_supported": ["refresh_token", "authorization_code"],
        "response_types_supported": ["code"],
    })
}

fn says(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
