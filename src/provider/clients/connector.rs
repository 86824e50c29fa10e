//! The way to a server: straight or by a proxy, encrypted or not.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use thiserror::Error as ErrorEnum;
use tower_service::Service;

use super::names::Names;
use super::wire::Wire;

/// Idle sessions hold no connection, and none is kept that a server may have closed meanwhile.
const POOL_IDLE: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;
type Direct = HttpsConnector<HttpConnector<Names>>;

/// An HTTP/1.1 client with connections of its own. It follows no redirect and repeats no request that may have left.
#[derive(Clone)]
pub(in crate::provider) struct Client {
    http: legacy::Client<Connector, Full<Bytes>>,
    proxies: Option<Arc<Matcher>>,
}

/// What went wrong on the way, besides what the system and TLS say.
#[derive(Debug, ErrorEnum)]
pub(in crate::provider) enum WayError {
    #[error("no connection within {0:?}")]
    TimedOut(Duration),
    #[error("by the proxy")]
    ByProxy(#[source] BoxError),
}

impl Client {
    /// A client that connects as these say; `timeout` is for connecting, encryption included.
    pub(super) fn new(names: Names, tls: ClientConfig, proxies: Option<Matcher>, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(names);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(timeout));
        let (tls, proxies) = (Arc::new(tls), proxies.map(Arc::new));
        let direct = HttpsConnector::from((tcp, Arc::clone(&tls)));
        let connector = Connector { direct, tls, proxies: proxies.clone(), timeout };
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(2)
            .build(connector);
        Self { http, proxies }
    }

    /// The answer's head; its body is still to be read.
    pub(in crate::provider) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        if let Some(who) = self.proxy_authorization(request.uri()) {
            request.headers_mut().insert(PROXY_AUTHORIZATION, who);
        }
        self.http.request(request).await
    }

    /// What a proxy is told that reads the request itself; one that only tunnels is told when it is asked to.
    fn proxy_authorization(&self, to: &Uri) -> Option<HeaderValue> {
        let plain = to.scheme_str() == Some("http");
        let proxy = self.proxies.as_ref().filter(|_| plain)?.intercept(to)?;
        proxy.basic_auth().cloned()
    }
}

/// Makes the connections of a [`Client`].
#[derive(Clone)]
struct Connector {
    direct: Direct,
    tls: Arc<ClientConfig>,
    proxies: Option<Arc<Matcher>>,
    timeout: Duration,
}

impl Connector {
    async fn connect(mut self, to: Uri) -> Result<Wire, BoxError> {
        let proxy = self.proxies.as_ref().and_then(|proxies| proxies.intercept(&to));
        match proxy {
            None => Ok(Wire::new(self.direct.call(to).await?, false)),
            Some(proxy) if to.scheme_str() == Some("https") => self.tunnel(&proxy, to).await,
            Some(proxy) => {
                let stream = self.direct.call(proxy.uri().clone()).await.map_err(WayError::ByProxy)?;
                Ok(Wire::new(stream, true))
            }
        }
    }

    async fn tunnel(self, proxy: &Intercept, to: Uri) -> Result<Wire, BoxError> {
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.direct);
        if let Some(who) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(who.clone());
        }
        let stream = HttpsConnector::from((tunnel, self.tls)).call(to).await;
        Ok(Wire::new(stream.map_err(WayError::ByProxy)?, false))
    }
}

impl Service<Uri> for Connector {
    type Response = Wire;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Wire, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connector, timeout) = (self.clone(), self.timeout);
        Box::pin(async move {
            let connected = tokio::time::timeout(timeout, connector.connect(to)).await;
            connected.map_err(|_| WayError::TimedOut(timeout))?
        })
    }
}
