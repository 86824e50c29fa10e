//! The server: HTTP/1.1 over a unix socket; it reads requests, hands them on as [`Ask`]s and writes the answers.
//!
//! It decides nothing about sessions. What it sees to is that no client can harm another: every read, every write and
//! every wait has an end, and one user's connections leave room for everybody else's.

mod connections;
mod door;
pub(crate) mod figures;
#[cfg(any(test, fuzzing))]
mod fuzz;
mod lasting;
mod listing;
mod login;
mod pace;
mod parameters;
mod routes;
mod streams;
mod troubles;
mod turned_away;

use std::future::Future;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::Ask;
use super::access::{Caller, Guests};
use crate::serve::{self, AlarmTimer, BindError, Listener, Stream, Terms};
use connections::Seat;
use door::{Admission, Door};
use lasting::{bounded, waits};
use troubles::Troubles;
use turned_away::TurnedAway;

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

/// Somebody may remove the socket's file while nobody asks.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// A bound socket, not yet served.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
}

impl Server {
    /// Binds `path` with `mode`, or takes over the socket that systemd passed; must be called within the runtime.
    ///
    /// A socket that nobody listens on is replaced, at one stroke: whoever looks sees the old one or the new one with
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
        mut self,
        asks: mpsc::Sender<Ask>,
        guests: watch::Receiver<Arc<Guests>>,
        shutdown: impl Future<Output = ()>,
    ) {
        let (stop, stopped) = watch::channel(false);
        let router = routes::router(asks);
        let mut door = Door::new(guests);
        let mut tasks = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut troubles = Troubles::default();
        let turned_away = TurnedAway::default();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => match accepted {
                    Ok(stream) => {
                        troubles.accepted();
                        // Whoever connects without end must not leave ever more ended tasks behind.
                        while tasks.try_join_next().is_some() {}
                        let mut admission = door.admit(&stream);
                        if matches!(admission, Admission::FullHouse) {
                            // Some of those who have a seat may have gone, and only their tasks can tell.
                            tokio::task::yield_now().await;
                            admission = door.admit(&stream);
                        }
                        match admission {
                            Admission::Seat(caller, seat) => {
                                tasks.spawn(serve_connection(Stream::Unix(stream), caller, seat, router.clone(), stopped.clone()));
                            }
                            Admission::FullHouse | Admission::NoRoomForStrangers => {
                                turned_away.tell(stream, &mut tasks);
                            }
                            Admission::Nameless => {}
                        }
                    }
                    Err(error) => troubles.accept_failed(&error).await,
                },
                _ = looks.tick() => troubles.look_at(&mut self.listener),
                Some(_) = tasks.join_next() => {}
            }
        }
        drop(self.listener);
        stop.send_replace(true);
        serve::drain(tasks, DRAIN_TIMEOUT).await;
    }
}

/// Serves one connection; ends with it, at the latest when the daemon stops and its answer is out.
async fn serve_connection(
    stream: Stream,
    caller: Caller,
    seat: Seat,
    router: axum::Router,
    mut stopped: watch::Receiver<bool>,
) {
    let answering = TowerToHyperService::new(router);
    let patience = AlarmTimer::default();
    let service = service_fn(|mut request: Request<Incoming>| {
        seat.speaks();
        request.extensions_mut().insert(caller.clone());
        let waits = waits(request.uri());
        bounded(answering.call(request), waits, &seat, &patience)
    });
    let stop = ordered(&mut stopped);
    serve::connection(&stream, service, &TERMS, seat.lost(), stop).await;
}

/// Resolves when the server stops, or is gone.
async fn ordered(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
