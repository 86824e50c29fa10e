//! The gateways' sockets and ports: opened and closed as the config says, each request of theirs answered by its session's gate.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::admission::Rules;
use super::forward::Gate;
use super::heads::Heads;
use super::leases::Leases;
use super::{Opening, Openings};
use crate::api::Ask;
use crate::atomic_file;
use crate::clock;
use crate::serve::{
    self, Acceptor, BindError, Caller, Entrance, Listener, Peer, Permits, Standing, Stream, Terms,
};

/// Everybody may connect; what a caller may do, the kernel's word for who it is decides.
const SOCKET_MODE: u32 = 0o666;
/// What could not be opened or was removed is made again, and tokens that no request uses are let go.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// For requests that are under way when the daemon stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

const TERMS: Terms = Terms {
    header_timeout: Duration::from_mins(1),
    write_timeout: Duration::from_mins(10),
    header_limit: 64 * 1024,
    may_ask_again: true,
};

/// Where a gateway is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Socket(PathBuf),
    Port(SocketAddr),
}

#[derive(Debug, Error)]
enum OpenError {
    #[error("create {path}: {error}; {}", atomic_file::directory_remedy(.error))]
    Directory { path: PathBuf, error: io::Error },
    #[error(transparent)]
    Socket(#[from] BindError),
    #[error(
        "listen on {0}: {1}; name a free port in the session's gateway, or stop what listens there"
    )]
    Port(SocketAddr, io::Error),
}

/// A listener that is open.
struct Open {
    gate: watch::Sender<Arc<Gate>>,
    stop: watch::Sender<bool>,
}

/// Keeps open what there should be, until `shutdown` resolves.
pub(super) async fn keep_open(
    mut openings: watch::Receiver<Openings>,
    asks: mpsc::Sender<Ask>,
    shutdown: impl Future<Output = ()>,
) {
    let mut shutdown = pin!(shutdown);
    let mut open = BTreeMap::<Place, Open>::new();
    let mut said = BTreeMap::new();
    let mut serving = JoinSet::new();
    let mut due = true;
    loop {
        if due {
            let wanted = openings.borrow_and_update().clone();
            follow(&wanted, &mut open, &mut said, &asks, &mut serving);
        }
        tokio::select! {
            () = &mut shutdown => break,
            changed = openings.changed() => {
                if changed.is_err() {
                    break;
                }
                due = true;
            }
            Some(_) = serving.join_next() => {}
            () = tokio::time::sleep(LOOK_EVERY) => due = !said.is_empty(),
        }
        for open in open.values() {
            open.gate.borrow().leases.sweep(clock::boottime());
        }
    }
    drop(open);
    while serving.join_next().await.is_some() {}
}

/// Opens, closes and changes what differs.
fn follow(
    wanted: &[Opening],
    open: &mut BTreeMap<Place, Open>,
    said: &mut BTreeMap<Place, String>,
    asks: &mpsc::Sender<Ask>,
    serving: &mut JoinSet<()>,
) {
    let places = |opening: &Opening| {
        let port = opening.config.listen.map(Place::Port);
        [Some(Place::Socket(opening.config.socket.clone())), port]
            .into_iter()
            .flatten()
    };
    let all: Vec<(Place, &Opening)> = wanted
        .iter()
        .flat_map(|opening| places(opening).map(move |place| (place, opening)))
        .collect();
    open.retain(|place, _| all.iter().any(|(wanted, _)| wanted == place));
    for (place, opening) in all {
        if let Some(open) = open.get(&place) {
            open.gate
                .send_replace(Arc::new(gate(&place, opening, asks)));
            continue;
        }
        match entrance(&place) {
            Ok(entrance) => {
                said.remove(&place);
                let (gate, gates) = watch::channel(Arc::new(gate(&place, opening, asks)));
                let (stop, stopped) = watch::channel(false);
                serving.spawn(serve_entrance(entrance, gates, stopped));
                open.insert(place, Open { gate, stop });
            }
            Err(error) => {
                let error = error.to_string();
                if said.get(&place) != Some(&error) {
                    tracing::error!(
                        session = &*opening.session,
                        event = "gateway_closed",
                        error,
                        "cannot open the gateway; trying again"
                    );
                    said.insert(place, error);
                }
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn gate(place: &Place, opening: &Opening, asks: &mpsc::Sender<Ask>) -> Gate {
    let name = &opening.session;
    let (hosts, header) = match place {
        Place::Socket(_) => {
            let hosts = [&**name, "localhost", "127.0.0.1"];
            (hosts.map(str::to_owned).to_vec(), None)
        }
        Place::Port(address) => {
            let named = format!("localhost:{}", address.port());
            (
                vec![address.to_string(), named],
                opening.config.header.clone(),
            )
        }
    };
    Gate {
        session: name.clone(),
        rules: Rules {
            hosts,
            any_port: matches!(place, Place::Socket(_)),
            header,
            denied: opening.remote.denied(),
            allow: opening.config.allow.clone(),
        },
        remote: opening.remote.clone(),
        asks: asks.clone(),
        traffic: opening.traffic.clone(),
        gives_tokens: opening.config.token_endpoint,
        leases: Leases::default(),
    }
}

fn entrance(place: &Place) -> Result<Entrance, OpenError> {
    match place {
        Place::Socket(path) => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            let failed = |error| OpenError::Directory {
                path: directory.to_owned(),
                error,
            };
            atomic_file::create_directory(directory, 0o755).map_err(failed)?;
            Ok(Entrance::Unix(Listener::bind(path, SOCKET_MODE)?))
        }
        Place::Port(address) => {
            let failed = |error| OpenError::Port(*address, error);
            let listener = std::net::TcpListener::bind(address).map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            TcpListener::from_std(listener)
                .map(Entrance::Tcp)
                .map_err(failed)
        }
    }
}

/// Serves one listener until `stopped`; then what is under way gets some time.
async fn serve_entrance(
    entrance: Entrance,
    gates: watch::Receiver<Arc<Gate>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut acceptor = Acceptor::new(entrance);
    let mut permits = Permits::new();
    let mut stop = stopped.clone();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = looks.tick() => look_at(acceptor.port_mut(), &gates.borrow().session),
            accepted = acceptor.next() => {
                let Ok(stream) = accepted else { continue };
                let Some(caller) = caller_of(&stream) else { continue };
                let now = clock::boottime();
                let Some(permit) = permits.acquire(caller.uid, Standing::Reader, now) else { continue };
                let (gates, mut stopped) = (gates.clone(), stopped.clone());
                acceptor.spawn(async move {
                    let mut heads = Heads::default();
                    let soundness = heads.soundness();
                    let service = service_fn(|request: Request<Incoming>| {
                        permit.asked();
                        let (gate, caller) = (gates.borrow().clone(), caller.clone());
                        let sound = soundness.holds();
                        async move { Ok::<_, io::Error>(gate.answer(caller, request, sound).await) }
                    });
                    let stop = async { drop(stopped.wait_for(|stop| *stop).await) };
                    let seen = |bytes: &[u8]| heads.see(bytes);
                    serve::watched_connection(&stream, service, &TERMS, seen, permit.evicted(), stop).await;
                });
            }
        }
    }
    let _ = stopped.borrow_and_update();
    acceptor.close().drain(DRAIN_TIMEOUT).await;
}

/// Makes a socket again whose file was removed.
fn look_at(entrance: &mut Entrance, session: &str) {
    let Entrance::Unix(listener) = entrance else {
        return;
    };
    if listener.is_in_place() {
        return;
    }
    // Where that fails, it is tried again at the next look.
    match listener.bind_again() {
        Ok(()) => tracing::warn!(
            session,
            event = "socket_remade",
            "the gateway's socket was removed; the daemon made it again"
        ),
        Err(error) => tracing::error!(
            session,
            event = "gateway_closed",
            %error,
            "the gateway's socket is gone; trying again"
        ),
    }
}

/// Who calls, by the kernel's word; none where it does not say.
fn caller_of(stream: &Stream) -> Option<Caller> {
    match stream {
        Stream::Unix(stream) => Caller::of(stream, rustix::process::geteuid().as_raw()).ok(),
        Stream::Tcp(stream) => {
            let (theirs, ours) = (stream.peer_addr().ok()?, stream.local_addr().ok()?);
            match Peer::of(theirs, ours) {
                Peer::User(uid) => Some(Caller::known_by_user(uid)),
                Peer::Unlisted | Peer::Unknowable => None,
            }
        }
    }
}
