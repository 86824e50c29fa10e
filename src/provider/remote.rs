//! One session's server: a request leaves, an answer comes back.

mod exchange;
mod forward;
mod no_answer;
mod notice;
mod person;
mod probe;
mod remedy;
mod seen;

use std::error::Error as _;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue,
};
use thiserror::Error;
use tokio::sync::Semaphore;
use url::Url;
use zeroize::Zeroizing;

use super::clients::Connection;
use super::discovery::{Discovery, DiscoveryError, Metadata, Unreachable};
use super::harvest::Harvest;
use super::outgoing::{self, Outgoing};
use super::profile::QuotaRule;
use super::request::Method;
use super::response::{Response, inflated, is_whole_json};
use super::settings::{ConfigProblem, HttpSettings, RemoteConfig, authority};
use super::{Clients, Held, Secrets};
use crate::blotted::Blotted;
use crate::clock;
use crate::secret::Secret;
use crate::secret_source::SecretSource;
use crate::session::answer::{Answer, Quota, Request, Verdict};
use crate::time::Instant;
use crate::token::{Token, checked_access_token};
use exchange::Exchange;
use no_answer::NoAnswer;

pub use forward::{NotForwarded, Onward};
pub use notice::{Again, Undelivered, check_address, deliver};
pub use person::Polled;
#[cfg(any(test, fuzzing))]
pub(in crate::provider) use person::device_login;
pub use probe::{Probe, Trouble, probe};
pub use seen::SeenAnswer;

/// The longest body that is read: what an API says about a session is a few KiB.
const LONGEST_BODY: usize = 1024 * 1024;

/// Each costs time, however small it is.
const MOST_CHUNKS: usize = 8 * 1024;

/// What is longer is taken apart one at a time: it can become fifty times as many bytes of values, and keep every processor
/// busy. What APIs say of a session is much shorter, and waits for nothing.
const LARGE_BODY: usize = 64 * 1024;

/// Whose turn it is. Never closed.
static LARGE_BODIES: Semaphore = Semaphore::const_new(1);

/// One session's server, ready to be called.
pub struct Remote {
    config: Arc<RemoteConfig>,
    clients: Clients,
    /// Of its issuer, if it has one.
    discovery: Option<Arc<Discovery>>,
}

/// Why a session's server cannot be called at all.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// The config does not fit together.
    #[error(transparent)]
    Problem(#[from] ConfigProblem),
}

impl Remote {
    /// Takes a checked config.
    ///
    /// # Errors
    /// The first of [`RemoteConfig::problems`].
    pub fn new(
        config: impl Into<Arc<RemoteConfig>>,
        clients: &mut Clients,
    ) -> Result<Self, RemoteError> {
        let config = config.into();
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(problem.into());
        }
        let discovery = config
            .issuer()
            .map(|issuer| clients.discovery(&issuer, config.metadata_url(), &config.http));
        Ok(Self {
            config,
            clients: clients.clone(),
            discovery,
        })
    }

    pub(super) fn config(&self) -> &RemoteConfig {
        &self.config
    }

    /// Host and port that the request would go to: what the limit of calls in flight counts by.
    pub fn host(&self, request: Request, token: Option<&Token>) -> String {
        let metadata = self
            .discovery
            .as_ref()
            .and_then(|discovery| discovery.known());
        let target = outgoing::target(&self.config, metadata.as_deref(), request, token);
        authority(
            &target
                .or_else(|| self.config.login_url())
                .unwrap_or_else(|| Url::clone(&self.config.url)),
        )
    }

    /// Which parameters must be read for this request: none for a usual ping, the client's for a renewal.
    pub fn secrets_for(&self, request: Request) -> Vec<(String, SecretSource)> {
        outgoing::secrets_for(&self.config, request)
    }

    /// Whether this session's server could have handed out `token`: what was stored is judged as an answer is.
    pub fn admits(&self, token: &Token) -> bool {
        let url = token.instance_url.as_ref();
        checked_access_token(token.access_token.expose()).is_ok()
            && url.is_none_or(|url| {
                self.config
                    .profile
                    .hosts
                    .accept(url, &self.config.url)
                    .is_ok()
            })
    }

    /// The headers that a request with this token carries.
    pub fn headers(&self, token: &Token) -> Vec<(String, Secret)> {
        outgoing::use_headers(&self.config, token)
    }

    /// Makes the call and says what the answer means. Never longer than `held.timeout`; reads at most 1 MiB an answer.
    ///
    /// A session of the grant `refresh_token` logs in by presenting the configured refresh token; [`Request::Renew`]
    /// presents the one that is held, or else the configured one if it is among `secrets`.
    pub async fn call(
        &self,
        request: Request,
        held: Held<'_>,
        secrets: &Secrets,
        clock: fn() -> Instant,
    ) -> Answer {
        let begun = clock();
        let mut known = known_secrets(&held, secrets);
        let metadata = self.metadata(request, held.timeout, clock).await;
        let sent = clock();
        let left = held.timeout.saturating_sub(sent.since(begun));
        let outcome = match metadata {
            Ok(metadata) => {
                let mut exchange = Exchange {
                    remote: self,
                    held: &held,
                    secrets,
                    metadata,
                    known: &mut known,
                    gathered: Harvest::default(),
                    connection: if request == Request::Renew {
                        Connection::Own
                    } else {
                        Connection::Kept
                    },
                };
                let outcome = tokio::time::timeout(left, exchange.about(request)).await;
                outcome.unwrap_or_else(|_| {
                    let silent = NoAnswer::Silent(self.host(request, held.token), held.timeout);
                    CallOutcome::without_answer(request, &silent, &known)
                })
            }
            Err(error) => CallOutcome::without_answer(request, &error, &known),
        };
        let CallOutcome {
            verdict,
            detail,
            remedy,
            counted,
            skew_millis,
            odd,
            quotas,
        } = outcome;
        Answer {
            call: held.call,
            sent,
            received: clock(),
            verdict,
            detail,
            remedy: remedy.map(Box::new),
            counted,
            skew_millis,
            odd,
            quotas,
        }
    }

    /// What the server says of itself, if `request` needs it.
    async fn metadata(
        &self,
        request: Request,
        timeout: Duration,
        clock: fn() -> Instant,
    ) -> Result<Option<Arc<Metadata>>, NoAnswer> {
        if outgoing::needs_metadata(&self.config, request) {
            self.told_metadata(timeout, clock).await
        } else {
            Ok(None)
        }
    }

    /// What the server says of itself; none where it has no issuer.
    async fn told_metadata(
        &self,
        timeout: Duration,
        clock: fn() -> Instant,
    ) -> Result<Option<Arc<Metadata>>, NoAnswer> {
        let (Some(discovery), Some(issuer)) = (&self.discovery, self.config.issuer()) else {
            return Ok(None);
        };
        let fetch = async |url| {
            let asked = Outgoing {
                method: Method::Get,
                url,
                headers: Vec::new(),
                body: None,
                secrets: Vec::new(),
            };
            let answer = self.exchange(asked, Connection::Kept).await;
            answer
                .map(|(response, _)| response)
                .map_err(|error| Unreachable {
                    why: error.sentence(),
                    remedy: error.remedy(),
                })
        };
        let named = self.config.metadata_url();
        let found = tokio::time::timeout(
            timeout,
            discovery.metadata(&issuer, named.as_ref(), clock, fetch),
        )
        .await;
        let late = |_| DiscoveryError::Unavailable {
            why: format!("the issuer did not answer within {timeout:?}"),
            remedy: Some(remedy::SILENT.to_owned()),
        };
        Ok(Some(found.map_err(late)??))
    }

    /// Where nothing is, something may have been when the metadata were written.
    fn doubt_metadata(&self, status: u16, now: Instant) {
        if let Some(discovery) = self
            .discovery
            .as_ref()
            .filter(|_| matches!(status, 404 | 410))
        {
            discovery.doubt(now);
        }
    }

    async fn exchange(
        &self,
        outgoing: Outgoing,
        connection: Connection,
    ) -> Result<(Response, Timestamp), NoAnswer> {
        let host = authority(&outgoing.url);
        exchange(&self.clients, &self.config.http, outgoing, connection)
            .await
            .map_err(|error| error.of_host(host))
    }

    fn quotas(&self, response: &Response) -> Vec<Quota> {
        let quota = |rule: &QuotaRule| {
            response.header_lines(&rule.header).iter().find_map(|line| {
                let found = rule.regex.captures(line)?;
                let number = |group| found.name(group)?.as_str().parse().ok();
                Some(Quota {
                    name: rule.name.clone(),
                    used: number("used")?,
                    limit: number("limit")?,
                })
            })
        };
        self.config
            .profile
            .quotas
            .iter()
            .filter_map(quota)
            .collect()
    }
}

/// The answer, and our wall clock when its head came.
async fn exchange(
    clients: &Clients,
    settings: &HttpSettings,
    outgoing: Outgoing,
    connection: Connection,
) -> Result<(Response, Timestamp), NoAnswer> {
    let client = clients
        .client(settings, &outgoing.url, connection)
        .await
        .map_err(NoAnswer::Client)?;
    let url = outgoing.url.clone();
    let error = match client.execute(wire(outgoing)?).await {
        Ok(answer) => {
            let wall = clock::now().wall;
            return Ok((received(answer).await.answered_by(&url), wall));
        }
        Err(error) => error,
    };
    Err(exchange_error(clients, settings, &url, error).await)
}

/// Whose fault it is that no answer came. URLs stay out of errors: a profile may put a token into one.
async fn exchange_error(
    clients: &Clients,
    settings: &HttpSettings,
    url: &Url,
    error: reqwest::Error,
) -> NoAnswer {
    match clients
        .proxy_to_blame(settings, url, &error)
        .await
        .filter(|_| error.is_connect())
    {
        Some((proxy, what)) => NoAnswer::Proxy(proxy, what),
        None => NoAnswer::Transport(error.without_url()),
    }
}

/// What must not be seen, should a server echo it.
fn known_secrets(held: &Held<'_>, secrets: &Secrets) -> Vec<Secret> {
    let of_token = held.token.into_iter().flat_map(Token::secrets);
    secrets
        .values()
        .chain(held.refresh_token)
        .chain(of_token)
        .cloned()
        .collect()
}

/// What an answer, or its absence, tells.
struct CallOutcome {
    verdict: Verdict,
    detail: Blotted,
    /// What to do, where something on the way to the server is to blame.
    remedy: Option<Blotted>,
    /// Whether the server may have counted the attempt.
    counted: bool,
    skew_millis: Option<i64>,
    /// A proxy or portal on the way may have written it.
    odd: bool,
    quotas: Vec<Quota>,
}

impl CallOutcome {
    fn without_answer(request: Request, error: &NoAnswer, known: &[Secret]) -> Self {
        Self {
            verdict: error.verdict(request),
            detail: Blotted::new(&error.sentence(), known),
            remedy: error.remedy().map(|remedy| Blotted::new(&remedy, known)),
            counted: error.reached(),
            skew_millis: None,
            odd: false,
            quotas: Vec::new(),
        }
    }
}

fn wire(outgoing: Outgoing) -> Result<reqwest::Request, NoAnswer> {
    let mut request = reqwest::Request::new(method(outgoing.method), outgoing.url);
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(body) = &outgoing.body {
        let content_type =
            HeaderValue::try_from(body.content_type.as_ref()).map_err(|_| NoAnswer::BadHeader)?;
        headers.insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in &outgoing.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| NoAnswer::BadHeader)?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| NoAnswer::BadHeader)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    *request.body_mut() = outgoing
        .body
        .map(|body| body.text.as_bytes().to_vec().into());
    Ok(request)
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

/// Reads the body as far as it is of any use.
async fn received(mut answer: reqwest::Response) -> Response {
    let status = answer.status().as_u16();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect();
    let coding = answer
        .headers()
        .get(CONTENT_ENCODING)
        .map(text)
        .unwrap_or_default();
    let announced = answer
        .content_length()
        .and_then(|length| usize::try_from(length).ok())
        .unwrap_or_default();
    let mut body = Zeroizing::new(Vec::with_capacity(announced.min(LONGEST_BODY)));
    let (mut complete, mut broke_off) = (false, false);
    for _ in 0..MOST_CHUNKS {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= LONGEST_BODY => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => break,
            Ok(None) => {
                complete = true;
                break;
            }
            Err(error) => {
                broke_off = is_end_of_connection(&error);
                break;
            }
        }
    }
    // Its buffers are not needed while this waits.
    drop(answer);
    if let Some(plain) = inflated(&body, &coding, LONGEST_BODY) {
        headers.retain(|(name, _)| name != CONTENT_ENCODING.as_str());
        body = plain;
    }
    let _turn = if body.len() > LARGE_BODY {
        LARGE_BODIES.acquire().await.ok()
    } else {
        None
    };
    Response::new(
        status,
        headers,
        &body,
        complete || broke_off && is_whole_json(&body),
    )
}

/// A connection may end before the body should: a length that is too large, a last chunk that never comes, TLS without its goodbye.
/// No part of a JSON object is a JSON object, so that it says itself whether it is whole.
fn is_end_of_connection(error: &reqwest::Error) -> bool {
    let causes = std::iter::successors(error.source(), |error| (*error).source());
    let mut kinds = causes
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .map(std::io::Error::kind);
    kinds.any(|kind| matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset))
}

#[cfg(test)]
mod tests;
