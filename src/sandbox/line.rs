//! A connection that a handler can cut, and a port that can be closed for a while.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::server::Shared;
use crate::serve::{self, Stream, Terms};

/// After a failed `accept` or `bind`: descriptors are short, or the port is still taken.
const PAUSE: Duration = Duration::from_millis(20);

/// Of a server that lets its clients take their time: what is tried out here is not the sandbox's patience.
const TERMS: Terms = Terms {
    header_timeout: Duration::from_hours(1),
    write_timeout: Duration::from_hours(1),
    // A token may have 64 KiB.
    header_limit: 512 * 1024,
    may_ask_again: true,
};

/// Cuts the connection it came with: nothing more is written, and the peer sees a reset.
#[derive(Clone, Debug, Default)]
pub(super) struct Scissors(Arc<Cut>);

#[derive(Debug, Default)]
struct Cut {
    made: AtomicBool,
    notice: Notify,
}

impl Scissors {
    /// Cuts; whatever else would have been answered is not.
    pub(super) async fn cut(&self) -> ! {
        self.0.made.store(true, Ordering::Relaxed);
        self.0.notice.notify_one();
        pending().await
    }
}

/// Serves one connection, until it ends or is cut.
pub(super) async fn serve_connection(stream: TcpStream, router: Router) {
    let stream = Stream::Tcp(stream);
    let scissors = Scissors::default();
    let answering = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(scissors.clone());
        answering.call(request)
    });
    let cut = scissors.0.notice.notified();
    serve::connection(&stream, service, &TERMS, cut, pending()).await;
    if scissors.0.made.load(Ordering::Relaxed) {
        stream.reset_at_close();
    }
}

/// A listening port that closes when an outage says so, and opens again on the same address.
pub(super) struct Port {
    /// None while the port is closed.
    listener: Option<TcpListener>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Port {
    pub(super) fn new(listener: TcpListener, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
            shared,
        })
    }

    async fn reopen(&mut self) {
        match TcpListener::bind(self.address).await {
            Ok(listener) => self.listener = Some(listener),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

impl serve::Port for Port {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let shared = Arc::clone(&self.shared);
        loop {
            let closing = shared.closing.notified();
            if let Some(left) = shared.closed_for() {
                self.listener = None;
                tokio::time::sleep(left).await;
            }
            let Some(listener) = &self.listener else {
                self.reopen().await;
                continue;
            };
            tokio::select! {
                () = closing => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => return Ok(stream),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
            }
        }
    }
}
