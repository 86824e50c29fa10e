//! Jobs' requests to a session's server, sent on with its token: a job calls the session's socket, and holds no token.
//!
//! Each session with a gateway has listeners of its own. They are served on one thread beside the socket's, so that gigabytes
//! of a job's data keep no reader of a token waiting. Who may read the token may call; what the token is, and what to do when
//! it is dead, the supervisor says by the same questions that the socket asks.

mod admission;
mod answer;
mod body;
mod forward;
mod head;
mod headers;
mod heads;
mod leases;
mod listeners;
mod refusals;
mod token_endpoint;
mod traffic;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::api::Ask;
use crate::config::GatewayConfig;
use crate::host_threads::apart;
use crate::provider::Remote;
pub use traffic::Traffic;

/// One session's gateway, as it should be.
#[derive(Clone)]
pub struct Opening {
    /// The session.
    pub session: Arc<str>,
    /// Where and for whom.
    pub config: Arc<GatewayConfig>,
    /// The session's server.
    pub remote: Arc<Remote>,
    /// What passes is counted here.
    pub traffic: Arc<Traffic>,
}

/// All gateways, as they should be.
pub type Openings = Arc<[Opening]>;

/// Serves the gateways that there should be, on a thread of their own from the first one on, until `shutdown` resolves and
/// what was under way has had its time.
pub async fn serve(
    mut openings: watch::Receiver<Openings>,
    asks: mpsc::Sender<Ask>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let mut shutdown = Box::pin(shutdown);
    let first = openings.wait_for(|openings| !openings.is_empty());
    tokio::select! {
        there = first => {
            if there.is_err() {
                return;
            }
        }
        () = &mut shutdown => return,
    }
    if apart(listeners::keep_open(openings, asks, shutdown))
        .await
        .is_none()
    {
        tracing::error!(
            event = "gateway_ended",
            "an internal error: no gateway is open until the next start"
        );
    }
}
