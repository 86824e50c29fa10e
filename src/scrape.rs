//! Serves `GET /metrics` to scrapers on loopback, or on a unix socket of its own.
//!
//! Whoever can connect may read, but for pages in browsers: there are session names and numbers, and nothing secret.
//! Scrapers share one rendering a second, and none can keep a place for longer than its connection may last.

mod hosts;

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hyper::service::{Service as _, service_fn};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use crate::api::Ask;
use crate::api::server::figures::{collected, form_for, rendered, with_type};
use crate::clock;
use crate::config::MetricsListen;
use crate::metrics::Form;
use crate::serve::{
    self, Asked, BindError, Entrance, Limits, Listener, Stream, Terms, serve_crowd,
};
use crate::time::Instant;
use hosts::Hosts;

/// A server of Prometheus connects every fifteen seconds or so, and is answered within milliseconds.
const LIMITS: Limits = Limits {
    silent: 16,
    asking: 64,
};
/// For a whole scrape: what Prometheus allows itself by default (`scrape_timeout`).
const PATIENCE: Duration = Duration::from_secs(10);
/// All of it within that, on a connection for one scrape.
const TERMS: Terms = Terms {
    header_timeout: PATIENCE,
    write_timeout: PATIENCE,
    header_limit: 64 * 1024,
    may_ask_again: false,
};
/// A rendering serves everybody who asks within this time.
const FRESH: Duration = Duration::from_secs(1);
/// The socket of `unix:` is for everybody, as loopback is.
const SOCKET_MODE: u32 = 0o666;

/// Why nobody can scrape.
#[derive(Debug, Error)]
pub enum ScrapeError {
    /// The address cannot be had.
    #[error(
        "listen for scrapers on {address}: {error}; name a free address of this machine in metrics.listen"
    )]
    Address {
        /// As configured.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// The socket cannot be had.
    #[error("listen for scrapers: {0}")]
    Socket(#[from] BindError),
}

/// A reload wants scrapers to be served elsewhere.
#[derive(Debug)]
pub struct MoveScrapers {
    /// Where; nowhere for none.
    pub to: Option<MetricsListen>,
    /// Told where they are served now, or why not there.
    pub told: oneshot::Sender<Result<Option<MetricsListen>, String>>,
}

/// A bound listener, not yet served.
#[derive(Debug)]
pub struct Scrapers {
    listener: Entrance,
    hosts: Hosts,
}

impl Scrapers {
    /// Listens where the config says.
    ///
    /// # Errors
    /// When the address or the path is not free.
    pub async fn bind(listen: &MetricsListen) -> Result<Self, ScrapeError> {
        let (listener, hosts) = match listen {
            MetricsListen::Address { address, hosts } => {
                let bound = TcpListener::bind(address).await;
                let bound = bound.map_err(|error| ScrapeError::Address {
                    address: *address,
                    error,
                })?;
                (Entrance::Tcp(bound), Hosts::only(hosts))
            }
            MetricsListen::Unix(path) => (
                Entrance::Unix(Listener::bind(path, SOCKET_MODE)?),
                Hosts::default(),
            ),
        };
        Ok(Self { listener, hosts })
    }

    /// Serves without end; scrapes under way end when this is dropped.
    pub async fn serve(self, asks: mpsc::Sender<Ask>) {
        let router = router(asks, self.hosts);
        serve_crowd(self.listener, LIMITS, |stream, asked| {
            serve_connection(stream, router.clone(), asked)
        })
        .await;
    }
}

/// Serves scrapers where the config says, and elsewhere after a reload that says so, until `moves` ends.
pub async fn keep_serving(
    mut at: Option<MetricsListen>,
    first: Option<Scrapers>,
    asks: mpsc::Sender<Ask>,
    mut moves: mpsc::UnboundedReceiver<MoveScrapers>,
) {
    let mut serving = JoinSet::new();
    let begin = |serving: &mut JoinSet<()>, scrapers: Scrapers| {
        serving.spawn(scrapers.serve(asks.clone()));
    };
    if let Some(scrapers) = first {
        begin(&mut serving, scrapers);
    }
    while let Some(wanted) = moves.recv().await {
        // The new address may be the old one with other hosts.
        serving.shutdown().await;
        let outcome = match bound(wanted.to.as_ref()).await {
            Ok(scrapers) => {
                if let Some(scrapers) = scrapers {
                    begin(&mut serving, scrapers);
                }
                at = wanted.to;
                Ok(at.clone())
            }
            Err(error) => {
                let back = bound(at.as_ref()).await.ok().flatten();
                if let Some(scrapers) = back {
                    begin(&mut serving, scrapers);
                }
                Err(error.to_string())
            }
        };
        if let Err(error) = &outcome {
            tracing::error!(
                event = "scrapers_not_moved",
                error,
                "scrapers are served where they were"
            );
        }
        // Whoever reloaded may have gone.
        let _ = wanted.told.send(outcome);
    }
    serving.shutdown().await;
}

async fn bound(listen: Option<&MetricsListen>) -> Result<Option<Scrapers>, ScrapeError> {
    match listen {
        Some(listen) => Scrapers::bind(listen).await.map(Some),
        None => Ok(None),
    }
}

/// One scrape, and the connection ends.
async fn serve_connection(stream: Stream, router: Router, asked: Asked) {
    let service = TowerToHyperService::new(router);
    let service = service_fn(move |request| {
        asked.set();
        service.call(request)
    });
    let connection = serve::connection(&stream, service, &TERMS, pending(), pending());
    if tokio::time::timeout(PATIENCE, connection).await.is_err() {
        tracing::debug!("a scraper took too long");
    }
}

/// The latest rendering of each form, and when it was made.
#[derive(Default)]
struct Cache {
    latest: Mutex<Vec<(Form, Instant, Bytes)>>,
}

type Scraping = State<(mpsc::Sender<Ask>, Arc<Cache>, Arc<Hosts>)>;

fn router(asks: mpsc::Sender<Ask>, hosts: Hosts) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state((
        asks,
        Arc::default(),
        Arc::new(hosts),
    ))
}

/// Whoever comes while a rendering is being made waits for it.
async fn metrics(
    State((asks, cache, hosts)): Scraping,
    asked: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = hosts.refusal(&asked, &headers) {
        return refusal;
    }
    let form = form_for(&headers);
    let mut latest = cache.latest.lock().await;
    let now = clock::boottime();
    latest.retain(|(_, made, _)| now.since(*made) < FRESH);
    if let Some((_, _, body)) = latest.iter().find(|(cached, _, _)| *cached == form) {
        return with_type(form, body.clone());
    }
    let Some(snapshot) = collected(&asks, None).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let body = rendered(snapshot, form).await;
    latest.push((form, clock::boottime(), body.clone()));
    with_type(form, body)
}
