//! A Salesforce-like session server on loopback, for the demo, tests, benches and users' own drills.
//!
//! `sandbox/org.rs` holds the rules and is pure; `sandbox/server.rs` is the HTTP around it; `sandbox/controls.rs` the API
//! by which a drill bends it.

mod assertion;
mod controls;
mod credentials;
mod endpoints;
mod fault;
mod line;
mod log;
mod lookalike;
mod org;
mod refusal;
mod reply;
mod server;
mod settings;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use controls::{ControlError, HELP};
pub use credentials::Credentials;
pub use log::{Entry, Log};
pub use org::SessionView;
pub use reply::Kind;
pub use settings::{Model, Settings};

use line::{Port, serve_connection};
use org::Org;
use server::Shared;

use crate::serve::Acceptor;

/// A running sandbox; it ends when this is dropped.
pub struct Sandbox {
    shared: Arc<Shared>,
    url: String,
    second_url: String,
    credentials: Credentials,
    ports: JoinSet<()>,
}

impl Sandbox {
    /// Starts one on a free port of 127.0.0.1; must be called within a tokio runtime.
    ///
    /// # Errors
    /// When no port can be had, or no random bytes for a key.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), settings).await
    }

    /// Starts one on this address, and on a further port of the same host for drills in which `instance_url` moves.
    ///
    /// # Errors
    /// When the address cannot be had, or no random bytes for a key.
    pub async fn start_at(address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let credentials = Credentials::generate()?;
        let first = TcpListener::bind(address).await?;
        let second = TcpListener::bind((address.ip(), 0)).await?;
        let url = format!("http://{}", first.local_addr()?);
        let second_url = format!("http://{}", second.local_addr()?);
        let org = Org::new(
            settings,
            credentials.clone(),
            url.clone(),
            crate::clock::boottime(),
        );
        let shared = Arc::new(Shared::new(org));
        let mut ports = JoinSet::new();
        for listener in [first, second] {
            let router = server::router(Arc::clone(&shared));
            let port = Port::new(listener, Arc::clone(&shared))?;
            ports.spawn(serve_port(port, router));
        }
        Ok(Self {
            shared,
            url,
            second_url,
            credentials,
            ports,
        })
    }

    /// Where it listens, without a trailing slash.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its second port: the same org under another `instance_url`.
    pub fn second_url(&self) -> &str {
        &self.second_url
    }

    /// What opens it, as at the start.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Carries a control out as `POST /sandbox/{control}` does.
    ///
    /// # Errors
    /// When there is no such control, or it does not take this body.
    pub fn control(&self, control: &str, body: Value) -> Result<Value, ControlError> {
        self.shared.control(control, body)
    }

    /// What was asked so far.
    pub fn log(&self) -> Log {
        self.shared.lock().log.clone()
    }

    /// How many requests of this kind there were.
    pub fn count(&self, kind: Kind) -> u64 {
        self.shared.lock().log.count(kind)
    }

    /// Every session that was handed out, the newest last.
    pub fn sessions(&self) -> Vec<SessionView> {
        let state = self.shared.lock();
        state.org.sessions(state.now().boot)
    }

    /// Serves until the ports fail, which they do not.
    pub async fn run(&mut self) {
        while self.ports.join_next().await.is_some() {}
    }

    /// Closes the ports, and with them the connections that are open.
    pub async fn stop(mut self) {
        self.ports.shutdown().await;
    }
}

/// Serves all who connect, without end.
async fn serve_port(port: Port, router: Router) {
    let mut acceptor = Acceptor::new(port);
    loop {
        if let Ok(stream) = acceptor.next().await {
            acceptor.spawn(serve_connection(stream, router.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
