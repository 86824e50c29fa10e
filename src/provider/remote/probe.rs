//! The way to a server, tried without logging in: its name, a connection, TLS, and whether anything answers.
//!
//! The request is a HEAD of the bare host, by the client that calls would use: it carries nothing of a session, shows the
//! server's clock, and finds servers that turn our certificate down only after the handshake, as TLS 1.3 has it.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::tls::TlsInfo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use super::no_answer::{cause, is_without_route, tls_failure};
use super::{NoAnswer, received, remedy};
use crate::clock;
use crate::provider::clients::{Connection, not_after, tls_error};
use crate::provider::outgoing;
use crate::provider::settings::{HttpSettings, RemoteConfig, authority};
use crate::provider::{Clients, ProxyUrl};
use crate::session::answer::Request;

/// A person waits for it, whatever `connect_timeout` says.
const LONGEST_CONNECT: Duration = Duration::from_secs(10);
/// For a connection that is open already.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// To find out at which step a connection hung.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// What was found on the way to one server.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    /// The proxy on the way, without user name and password.
    pub proxy: Option<String>,
    /// Of the server, or of the proxy where there is one.
    pub addresses: Vec<IpAddr>,
    /// When the server's certificate ends.
    pub certificate_ends: Option<Timestamp>,
    /// The server's clock minus ours; zero where they agree within two seconds.
    pub skew_millis: Option<i64>,
    /// What is in the way.
    pub trouble: Option<Trouble>,
}

/// Why a server cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How far it went.
    pub step: Step,
    /// What is wrong, as a sentence without its beginning.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// The steps to an answer, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// What the config says of certificates, keys and proxies.
    Settings,
    /// The name of the host.
    Name,
    /// The proxy.
    Proxy,
    /// TCP.
    Connection,
    /// The handshake, with certificates of both sides.
    Tls,
    /// HTTP.
    Answer,
}

impl Step {
    /// As JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Name => "dns",
            Self::Proxy => "proxy",
            Self::Connection => "connect",
            Self::Tls => "tls",
            Self::Answer => "answer",
        }
    }
}

impl Trouble {
    fn new(step: Step, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            step,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// Of a message whose remedy follows the first semicolon.
    fn of(step: Step, message: &str, remedy: &str) -> Self {
        match message.split_once("; ") {
            Some((problem, remedy)) => Self::new(step, problem, remedy),
            None => Self::new(step, message, remedy),
        }
    }
}

impl RemoteConfig {
    /// Scheme, host and port of every server that calls of this session go to, as far as the config alone says.
    pub fn servers(&self) -> Vec<Url> {
        let requests = [
            Request::Login,
            Request::Renew,
            Request::Ping,
            Request::Introspect,
            Request::Logout,
        ];
        let mut servers: Vec<Url> = requests
            .into_iter()
            .filter_map(|request| outgoing::target(self, None, request, None))
            .chain(self.metadata_server())
            .collect();
        // Where a login only tells the address of the API, the configured one is called first.
        if servers.is_empty() || self.has_ping() {
            servers.push(Url::clone(&self.url));
        }
        let mut seen = BTreeSet::new();
        servers
            .into_iter()
            .filter_map(|server| bare(&server))
            .filter(|server| seen.insert(server.to_string()))
            .collect()
    }

    fn metadata_server(&self) -> Option<Url> {
        let (issuer, told) = self.told_by_issuer()?;
        if told.is_empty() {
            return None;
        }
        self.metadata_url().or_else(|| Url::parse(&issuer).ok())
    }
}

/// No path and no query, which may hold secrets; none for what is no server.
fn bare(url: &Url) -> Option<Url> {
    let web = matches!(url.scheme(), "http" | "https") && url.has_host();
    let mut bare = web.then(|| url.clone())?;
    bare.set_path("/");
    bare.set_query(None);
    bare.set_fragment(None);
    let plain = bare.set_username("").is_ok() && bare.set_password(None).is_ok();
    plain.then_some(bare)
}

/// Tries the way to the host of `url`; takes a quarter of a minute at most.
pub async fn probe(clients: &Clients, settings: &HttpSettings, url: &Url) -> Probe {
    let mut probe = Probe::default();
    let trouble = tried(clients, settings, url, &mut probe).await;
    probe.trouble = trouble.err();
    probe
}

async fn tried(
    clients: &Clients,
    settings: &HttpSettings,
    url: &Url,
    probe: &mut Probe,
) -> Result<(), Trouble> {
    let proxy = settings
        .proxy
        .on_the_way_to(url)
        .map_err(|bad| Trouble::of(Step::Settings, &bad.to_string(), "correct it"))?;
    probe.proxy = proxy.map(ToString::to_string);
    let limit = settings.connect_timeout.min(LONGEST_CONNECT);
    let near = proxy.map_or(url, ProxyUrl::url);
    let addresses = addresses(clients, near, limit, proxy.is_some()).await?;
    probe.addresses = addresses.iter().map(SocketAddr::ip).collect();
    probe.addresses.dedup();
    let client = clients
        .client(settings, url, Connection::Observed)
        .await
        .map_err(|error| {
            let sentence = NoAnswer::Client(error).sentence();
            Trouble::of(Step::Settings, &sentence, remedy::SETTINGS)
        })?;
    let asked = reqwest::Request::new(reqwest::Method::HEAD, url.clone());
    match timeout(limit + LONGEST_ANSWER, client.execute(asked)).await {
        Ok(Ok(answer)) => {
            let wall = clock::now().wall;
            let tls = answer.extensions().get::<TlsInfo>();
            probe.certificate_ends = tls.and_then(TlsInfo::peer_certificate).and_then(not_after);
            let response = received(answer).await;
            probe.skew_millis = response.skew_millis(wall);
            match proxy.filter(|_| url.scheme() == "http" && response.status == 407) {
                Some(proxy) => Err(by_proxy(
                    proxy,
                    "refused the request with 407: it wants a user name and a password",
                )),
                None => Ok(()),
            }
        }
        Ok(Err(error)) => {
            let blamed = match proxy.filter(|_| error.is_connect()) {
                Some(_) => clients.proxy_to_blame(settings, url, &error).await,
                None => None,
            };
            Err(match blamed {
                Some((proxy, what)) => by_proxy(&proxy, &what),
                None => failed(error, url, near, &addresses, limit).await,
            })
        }
        Err(_) => Err(silent(url, &addresses, limit + LONGEST_ANSWER).await),
    }
}

async fn addresses(
    clients: &Clients,
    near: &Url,
    limit: Duration,
    is_proxy: bool,
) -> Result<Vec<SocketAddr>, Trouble> {
    let port = near.port_or_known_default().unwrap_or_default();
    let name = match near.host() {
        Some(Host::Ipv4(address)) => return Ok(vec![(address, port).into()]),
        Some(Host::Ipv6(address)) => return Ok(vec![(address, port).into()]),
        Some(Host::Domain(name)) => name,
        None => "",
    };
    let whose = if is_proxy {
        "the proxy's name"
    } else {
        "the name"
    };
    let where_to_look = remedy::of_name(name);
    match timeout(limit, clients.look_up(name)).await {
        Ok(Ok(found)) if !found.is_empty() => Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address.ip(), port))
            .collect()),
        Ok(Ok(_)) => Err(Trouble::new(
            Step::Name,
            format!("{whose} {name} has no address"),
            where_to_look,
        )),
        Ok(Err(error)) => Err(Trouble::new(
            Step::Name,
            format!(
                "{whose} {name} is not found ({})",
                error
                    .to_string()
                    .trim_start_matches("failed to lookup address information: ")
            ),
            where_to_look,
        )),
        Err(_) => Err(Trouble::new(
            Step::Name,
            format!("the resolver did not find {name} within {limit:?}"),
            "see whether the name servers in /etc/resolv.conf answer",
        )),
    }
}

fn by_proxy(proxy: &ProxyUrl, what: &str) -> Trouble {
    Trouble::new(
        Step::Proxy,
        format!("the proxy {proxy} {what}"),
        remedy::PROXY,
    )
}

/// What a failure of the HTTP library means.
async fn failed(
    error: reqwest::Error,
    url: &Url,
    near: &Url,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Trouble {
    let host = authority(near);
    if let Some(failure) = tls_failure(&error).filter(|_| !error.is_timeout()) {
        return Trouble::of(Step::Tls, &failure, "");
    }
    let of_tls = tls_error(&error).is_some();
    let kind = cause::<io::Error>(&error).map(io::Error::kind);
    let hung = error.is_timeout();
    let (connecting, sentence) = (error.is_connect(), NoAnswer::Transport(error).sentence());
    let cause = sentence
        .trim_start_matches("the call to the server failed: ")
        .trim_start_matches("invalid peer certificate: ");
    if !connecting {
        return Trouble::new(
            Step::Answer,
            format!("the server takes the connection and sends no proper answer ({cause})"),
            remedy::NO_PROPER_ANSWER,
        );
    }
    if hung {
        return silent(url, addresses, limit).await;
    }
    if let Some(trouble) = kind.and_then(|kind| not_connected(kind, &host, cause)) {
        return trouble;
    }
    if of_tls || url.scheme() == "https" && connects(addresses).await {
        return Trouble::of(Step::Tls, cause, remedy::TLS);
    }
    Trouble::of(Step::Connection, cause, remedy::UNCONNECTED)
}

/// What the system says of a connection that it could not make.
fn not_connected(kind: ErrorKind, host: &str, cause: &str) -> Option<Trouble> {
    if kind == ErrorKind::ConnectionRefused {
        return Some(Trouble::new(
            Step::Connection,
            format!("nothing listens there: {host} refuses the connection"),
            remedy::REFUSED,
        ));
    }
    is_without_route(kind).then(|| {
        Trouble::new(
            Step::Connection,
            format!("there is no route to {host} ({cause})"),
            remedy::NO_ROUTE,
        )
    })
}

/// Something hung: what it was decides what to do.
async fn silent(url: &Url, addresses: &[SocketAddr], limit: Duration) -> Trouble {
    let limit = limit.as_secs();
    if !connects(addresses).await {
        let host = authority(url);
        return Trouble::new(
            Step::Connection,
            format!("{host} does not answer at all: packets are dropped on the way"),
            remedy::DROPPED,
        );
    }
    let step = if url.scheme() == "https" {
        Step::Tls
    } else {
        Step::Answer
    };
    Trouble::new(
        step,
        format!("the server takes the connection and then says nothing for {limit} s"),
        remedy::SILENT,
    )
}

async fn connects(addresses: &[SocketAddr]) -> bool {
    timeout(LONGEST_LOOK, TcpStream::connect(addresses))
        .await
        .is_ok_and(|connected| connected.is_ok())
}
