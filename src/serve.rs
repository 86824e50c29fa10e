//! Serving HTTP, whatever is answered: listeners, who connects, how many connections there may be, and when each ends.
//!
//! A listener accepts with an `Acceptor`. Where its callers are known it gives each connection a `Permit`, of which no
//! user can take them all; where they are not, `serve_crowd` ends the oldest. `connection` then serves one of them, and ends
//! with its client, or when that stalls.

mod accept;
mod alarm;
mod caller;
mod crowd;
mod hangup;
mod lasting;
mod listener;
mod pace;
mod peer;
mod permits;
mod rejection;
mod stall;
mod stream;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub(crate) use accept::{Acceptor, Port};
pub(crate) use alarm::AlarmTimer;
pub use caller::Caller;
pub(crate) use crowd::{Asked, Limits, serve_crowd};
use hangup::hung_up;
pub(crate) use lasting::bounded;
pub use listener::{BindError, Listener};
pub(crate) use pace::Pace;
pub(crate) use peer::Peer;
pub use permits::Standing;
pub(crate) use permits::{Permit, Permits};
pub(crate) use rejection::Rejection;
use stall::StallGuard;
pub(crate) use stream::Stream;

/// Where callers come in.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// An address.
    Tcp(TcpListener),
    /// A file.
    Unix(Listener),
}

impl Port for Entrance {
    type Connection = Stream;

    async fn accept(&mut self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
            Self::Unix(listener) => Stream::Unix(listener.accept().await?),
        })
    }
}

/// What a client is granted.
pub(crate) struct Terms {
    /// For a request's line and headers, and between two requests.
    pub(crate) header_timeout: Duration,
    /// For a write of which it takes nothing.
    pub(crate) write_timeout: Duration,
    /// Bytes of a request's line and headers together.
    pub(crate) header_limit: usize,
    /// Whether it may ask again on the same connection.
    pub(crate) may_ask_again: bool,
}

/// Serves one connection until the client has gone or broken the terms, or `ended` resolves; when `stop` resolves, the answer
/// under way goes out first.
pub(crate) async fn connection<S>(
    stream: &Stream,
    service: S,
    terms: &Terms,
    ended: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    watched_connection(stream, service, terms, |_: &[u8]| (), ended, stop).await;
}

/// As [`connection`], and shows `seen` all that is read, before it is understood.
pub(crate) async fn watched_connection<S>(
    stream: &Stream,
    service: S,
    terms: &Terms,
    seen: impl FnMut(&[u8]) + Unpin,
    ended: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<Body>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut http = http1::Builder::new();
    http.timer(AlarmTimer::default())
        .header_read_timeout(terms.header_timeout)
        .max_buf_size(terms.header_limit)
        .keep_alive(terms.may_ask_again)
        .half_close(true);
    let io = TokioIo::new(StallGuard::new(stream, terms.write_timeout, seen));
    let mut connection = pin!(http.serve_connection(io, service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = hung_up(stream) => return,
        () = ended => return,
        () = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::trace!(%error, "a connection ended early");
    }
}
