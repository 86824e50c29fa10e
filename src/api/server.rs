//! The server: HTTP/1.1 over a unix socket; it reads requests, hands them on as [`Ask`]s and writes the answers.
//!
//! It decides nothing about sessions. What it sees to is that no client can harm another: every read, every write and
//! every wait has an end, and one user's connections leave room for everybody else's.

mod door;
pub(crate) mod figures;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod listing;
mod login;
mod parameters;
mod refusals;
mod routes;
mod streams;
mod troubles;

use std::future::Future;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::Ask;
use super::access::{Caller, Guests};
use crate::serve::{
    self, Acceptor, AlarmTimer, BindError, Listener, Permit, Rejection, Stream, Terms, bounded,
};
use door::{Admission, Door};
use refusals::{NO_PERMIT, too_many_last};
use troubles::Troubles;

#[cfg(any(test, fuzzing))]
pub(crate) use fuzz::fuzz;

const TERMS: Terms = Terms {
    header_timeout: Duration::from_secs(5),
    write_timeout: Duration::from_secs(5),
    // Ours are under one KiB.
    header_limit: 16 * 1024,
    may_ask_again: true,
};

/// For connections that are still being answered when the daemon stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The socket's file may be removed while no request comes.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A bound socket, not yet served.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
}

impl Server {
    /// Binds `path` with `mode`, or takes over the socket that systemd passed; must be called within the runtime.
    ///
    /// A socket without a listener is replaced, at one stroke: a client sees the old one or the new one with
    /// its mode.
    ///
    /// # Errors
    /// When another daemon answers there, when the path is no socket, or when the directory cannot be written.
    pub fn bind(
        path: &Path,
        mode: u32,
        inherited: Option<StdUnixListener>,
    ) -> Result<Self, BindError> {
        let listener = match inherited {
            Some(socket) => Listener::inherited(path, socket)?,
            None => Listener::bind(path, mode)?,
        };
        Ok(Self { listener })
    }

    /// Serves until `shutdown` resolves, then lets the answers under way finish, for two seconds at most; `guests` are those
    /// for whom there is more than a little room.
    ///
    /// The socket file goes away first, if it is still ours, so that a restarted daemon's clients find no dead one.
    pub async fn serve(
        self,
        asks: mpsc::Sender<Ask>,
        guests: watch::Receiver<Arc<Guests>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (stop, stopped) = watch::channel(false);
        let router = routes::router(asks);
        let mut door = Door::new(guests);
        let mut acceptor = Acceptor::new(self.listener);
        let mut shutdown = pin!(shutdown);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut troubles = Troubles::default();
        let rejection = Rejection::default();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = acceptor.next() => match accepted {
                    Ok(stream) => {
                        troubles.accepted();
                        let mut admission = door.admit(&stream);
                        if matches!(admission, Admission::NoPermit) {
                            // Some connections that hold a permit may have gone, and only their tasks can tell.
                            tokio::task::yield_now().await;
                            admission = door.admit(&stream);
                        }
                        match admission {
                            Admission::Permitted(caller, permit) => {
                                acceptor.spawn(serve_connection(Stream::Unix(stream), caller, permit, router.clone(), stopped.clone()));
                            }
                            Admission::NoPermit | Admission::NoRoomForStrangers => {
                                if let Some(telling) = rejection.tell(stream, NO_PERMIT) {
                                    acceptor.spawn(telling);
                                }
                            }
                            Admission::Nameless => {}
                        }
                    }
                    Err(error) => troubles.accept_failed(&error),
                },
                _ = looks.tick() => troubles.look_at(acceptor.port_mut()),
            }
        }
        let connections = acceptor.close();
        stop.send_replace(true);
        connections.drain(DRAIN_TIMEOUT).await;
    }
}

/// Serves one connection; ends with it, at the latest when the daemon stops and its answer is out.
async fn serve_connection(
    stream: Stream,
    caller: Caller,
    permit: Permit,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) {
    let answering = TowerToHyperService::new(router);
    let patience = AlarmTimer::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        permit.asked();
        request.extensions_mut().insert(caller.clone());
        let waits = waits(request.uri());
        bounded(
            answering.call(request),
            waits,
            &permit,
            &patience,
            too_many_last,
        )
    });
    let stop = ordered(&mut stopped);
    serve::connection(&stream, service, &TERMS, permit.evicted(), stop).await;
}

/// Whether a request asks for more than what is there at once; the rest ends by itself, however busy the daemon is.
fn waits(asked: &Uri) -> bool {
    asked
        .query()
        .is_some_and(|query| query.split('&').any(|part| part.starts_with("wait=")))
}

/// Resolves when the server stops, or is gone.
async fn ordered(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
