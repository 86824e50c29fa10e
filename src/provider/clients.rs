//! HTTP clients: one per distinct settings and thread, made when first needed, and made again when a file that they need
//! has changed.

mod certificate;
mod files;
mod names;
mod pin;
mod refusals;
mod tls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use rustls::ClientConfig;
use thiserror::Error;
use tokio::sync::OnceCell;
use url::Url;

use super::discovery::Discovery;
use super::pem::NoKey;
use super::proxy::{BadVariable, ProxyUrl};
use super::settings::{HeaderNames, HttpSettings};
use crate::plain_file::ReadError;
use crate::secret_source::SecretError;

pub(in crate::provider) use certificate::not_after;
use files::FileStamp;
use names::Names;
pub use pin::Pin;
use refusals::Refusals;
pub(super) use tls::{is_certificate_refusal, tls_error};

/// Idle sessions hold no connection, and none is kept so long that a server, or a proxy before it, forgets it.
const POOL_IDLE: Duration = Duration::from_secs(2);

/// Portals send more than the library's hundred, a line for each cookie and policy; their bytes are bounded anyway.
const MOST_HEADERS: usize = 512;

thread_local! {
    /// A connection lives and ends with the thread that made it, so none is lent to calls on another.
    static CLIENTS: RefCell<HashMap<(Kind, Connection), Ready>> = RefCell::default();
}

/// A client, and the TLS settings that tell whether it is still the one.
type Ready = (Arc<ClientConfig>, reqwest::Client);

/// An issuer, where it speaks of itself if that is said, and the way to reach it.
type Source = (String, Option<Url>, HttpSettings);

/// Which connection a request goes out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Connection {
    /// One that an earlier request left open, where there is one: the server may close it at that very moment.
    Kept,
    /// One of its own: what can be presented only once must not be lost to a server that has just had enough of a connection.
    Own,
    /// One of its own too, whose certificate is looked at.
    Observed,
    /// One of many that carry jobs' own requests.
    Lent,
}

impl Connection {
    /// How many may wait for the next request.
    fn kept_idle(self) -> usize {
        match self {
            Self::Kept => 2,
            Self::Own | Self::Observed => 0,
            Self::Lent => 64,
        }
    }
}

/// HTTP clients, one per distinct [`HttpSettings`].
#[derive(Clone, Default)]
pub struct Clients {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    tls: Mutex<HashMap<Kind, Arc<Slot>>>,
    /// Loading the system's roots takes milliseconds and memory, so once, and only for https.
    roots: OnceCell<tls::Roots>,
    names: Names,
    refusals: Refusals,
    /// What issuers say of themselves.
    issuers: Mutex<HashMap<Source, Arc<Discovery>>>,
}

/// The TLS settings of one kind of client.
#[derive(Default)]
struct Slot {
    made: Mutex<Option<Made>>,
    /// Held only while they are made; a call that finds them made does not wait.
    making: tokio::sync::Mutex<()>,
}

/// TLS settings, and what their files were when they were made.
#[derive(Clone)]
struct Made {
    tls: Arc<ClientConfig>,
    files: Vec<FileStamp>,
}

/// What tells one client from another.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Kind {
    settings: HttpSettings,
    https: bool,
    proxy: Option<ProxyUrl>,
}

/// Why there is no client; names the file or setting and the remedy.
#[derive(Debug, Error)]
pub(super) enum ClientError {
    #[error("{key} {path} {source}; {}", source.remedy())]
    Unreadable {
        key: &'static str,
        path: String,
        source: ReadError,
    },
    #[error("{key} holds no certificate or key in PEM: check that it is the right file")]
    NotPem { key: &'static str },
    #[error("client_cert needs a client_key")]
    KeyMissing,
    #[error("client_key cannot be read")]
    Key(#[source] SecretError),
    #[error("client_key {0}")]
    NoKey(NoKey),
    #[error("client_cert and client_key do not fit together: {0}")]
    BadIdentity(rustls::Error),
    #[error(
        "ca_file holds no certificate that can vouch for a server (X.509 version 1 cannot); name the server's own key with pin_sha256"
    )]
    NoAuthority,
    #[error("no certificate authority is known: install ca-certificates, or set ca_file")]
    NoRoots,
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error(transparent)]
    Proxy(BadVariable),
    #[error("the HTTP client cannot be set up: {0}")]
    Builder(String),
}

impl Clients {
    /// The client for `url` under `settings`; a new one when certificates or keys were renewed in their files.
    ///
    /// While the new ones do not fit together, as in the middle of a renewal, the old client serves.
    ///
    /// # Errors
    /// When a file it needs is missing or wrong; asked again, it tries again.
    pub(super) async fn client(
        &self,
        settings: &HttpSettings,
        url: &Url,
        connection: Connection,
    ) -> Result<reqwest::Client, ClientError> {
        let proxy = settings
            .proxy
            .on_the_way_to(url)
            .map_err(|bad| ClientError::Proxy(bad.clone()))?
            .cloned();
        let kind = Kind {
            settings: settings.clone(),
            https: url.scheme() == "https",
            proxy,
        };
        let tls = self.tls(&kind).await?;
        let key = (kind, connection);
        CLIENTS.with_borrow_mut(|clients| {
            if let Some((_, client)) = clients
                .get(&key)
                .filter(|(made_of, _)| Arc::ptr_eq(made_of, &tls))
            {
                return Ok(client.clone());
            }
            let client = self.build(&key.0, connection, &tls)?;
            clients.insert(key, (tls, client.clone()));
            Ok(client)
        })
    }

    /// The addresses that the system's resolver has for `name`.
    pub(super) async fn look_up(&self, name: &str) -> Result<Vec<SocketAddr>, Arc<io::Error>> {
        self.shared.names.look_up(name).await
    }

    /// The proxy on the way to `url`, and what it did where it is to blame for `error`.
    pub(super) async fn proxy_to_blame(
        &self,
        settings: &HttpSettings,
        url: &Url,
        error: &reqwest::Error,
    ) -> Option<(ProxyUrl, String)> {
        let proxy = settings.proxy.on_the_way_to(url).ok()??;
        let told = self.shared.refusals.told(proxy, url, error).await?;
        Some((proxy.clone(), told))
    }

    async fn tls(&self, kind: &Kind) -> Result<Arc<ClientConfig>, ClientError> {
        let files = files::stamps(&kind.settings).await;
        let slot = self.slot(kind);
        let current = || {
            slot.made()
                .filter(|made| made.files == files)
                .map(|made| made.tls)
        };
        if let Some(tls) = current() {
            return Ok(tls);
        }
        let _turn = slot.making.lock().await;
        if let Some(tls) = current() {
            return Ok(tls);
        }
        match (self.make_tls(kind).await, slot.made()) {
            (Ok(tls), _) => Ok(slot.keep(Made {
                tls: Arc::new(tls),
                files,
            })),
            (Err(_), Some(old)) => Ok(old.tls),
            (Err(error), None) => Err(error),
        }
    }

    /// What is known of `issuer` to all who ask at the same place under `settings`.
    pub(super) fn discovery(
        &self,
        issuer: &str,
        named: Option<Url>,
        settings: &HttpSettings,
    ) -> Arc<Discovery> {
        let mut issuers = self
            .shared
            .issuers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            issuers
                .entry((issuer.to_owned(), named, settings.clone()))
                .or_default(),
        )
    }

    fn slot(&self, kind: &Kind) -> Arc<Slot> {
        let mut slots = self
            .shared
            .tls
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(kind.clone()).or_default())
    }

    async fn make_tls(&self, kind: &Kind) -> Result<ClientConfig, ClientError> {
        let roots = if kind.https {
            self.shared
                .roots
                .get_or_init(tls::system_roots)
                .await
                .clone()
        } else {
            tls::no_roots()
        };
        tls::config(&kind.settings, kind.https, roots).await
    }

    fn build(
        &self,
        kind: &Kind,
        connection: Connection,
        tls: &ClientConfig,
    ) -> Result<reqwest::Client, ClientError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls.clone())
            .dns_resolver(Arc::new(self.shared.names.clone()))
            .connect_timeout(kind.settings.connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(connection.kept_idle())
            // What old servers send and every other client reads (RFC 9112 section 5): folded lines, a blank before the colon,
            // and lines that are no header at all.
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_max_headers(MOST_HEADERS)
            .tls_info(connection == Connection::Observed)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .user_agent(concat!("keepfresh/", env!("CARGO_PKG_VERSION")));
        if kind.settings.header_names == HeaderNames::Title {
            builder = builder.http1_title_case_headers();
        }
        let unfit = |error: reqwest::Error| ClientError::Builder(error.without_url().to_string());
        // The library would read the environment by itself, and pass by what it cannot read.
        builder = builder.no_proxy();
        if let Some(proxy) = &kind.proxy {
            builder = builder.proxy(reqwest::Proxy::all(proxy.url().clone()).map_err(unfit)?);
        }
        builder.build().map_err(unfit)
    }
}

impl Slot {
    fn made(&self) -> Option<Made> {
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, made: Made) -> Arc<ClientConfig> {
        let tls = Arc::clone(&made.tls);
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        tls
    }
}
