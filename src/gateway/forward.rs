//! One request: it waits for a token, goes on with it, its answer is judged, and both stream.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming, SizeHint};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::admission::{Refusal, Rules};
use super::answer::{Beginning, beginning, length, patience};
use super::body::{Along, Passing, collected};
use super::head::Head;
use super::headers::{Way, homeward, onward, session_cookies};
use super::leases::{Lease, Leases};
use super::refusals::Own;
use super::token_endpoint;
use super::traffic::{InFlight, Outcome, Traffic};
use crate::api::{About, Ask, Rejected, Served, Via};
use crate::clock;
use crate::provider::{NotForwarded, Onward, Remote, SeenAnswer, Sign, WireBody};
use crate::secret::Secret;
use crate::serve::Caller;
use crate::time::Instant;

/// A body up to this size is kept, so that it can be sent once more.
const KEPT: u64 = 64 * 1024;
/// A request waits so long for a token, and for a dead one to be replaced.
const TOKEN_WAIT: Duration = Duration::from_secs(30);
/// A request holds its token for so long at most; whoever needs longer is no request.
const LONGEST_HOLD: Duration = Duration::from_hours(1);
/// A server may think about a request for so long.
const ANSWER_SILENCE: Duration = Duration::from_mins(10);
/// Uses of a session are reported no more often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Before a body that cannot be sent twice, a token that was not seen alive for longer is proved by a ping.
const PROOF_LASTS: Duration = Duration::from_mins(1);

/// Says that the session was replaced meanwhile, by the generation that serves now: sent again, the request would succeed.
const RECOVERED: HeaderName = HeaderName::from_static("keepfresh-recovered");

/// What a listener knows of its session.
pub(super) struct Gate {
    pub(super) session: Arc<str>,
    pub(super) rules: Rules,
    pub(super) remote: Arc<Remote>,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) traffic: Arc<Traffic>,
    /// Whether `POST /token` answers the token.
    pub(super) gives_tokens: bool,
    pub(super) leases: Leases,
}

/// A request's body, as far as it decides whether the request can be sent once more.
enum Cargo {
    Kept(Bytes),
    Streamed(Incoming),
}

/// What a request has from when there is a token for it until its answer is out.
struct Going {
    _lease: Arc<Lease>,
    _under_way: InFlight,
}

/// An answer whose beginning was looked at.
struct Judged {
    /// When the request left.
    sent: Instant,
    parts: axum::http::response::Parts,
    body: WireBody,
    beginning: Beginning,
    sign: Sign,
}

impl Gate {
    /// Answers one request of `caller`; `sound` is false where its head could be read in two ways.
    pub(super) async fn answer(
        &self,
        caller: Caller,
        request: Request<Incoming>,
        sound: bool,
    ) -> Response<Body> {
        let begun = clock::boottime();
        let (parts, body) = request.into_parts();
        let (method, path, uid) = (
            parts.method.clone(),
            parts.uri.path().to_owned(),
            caller.uid,
        );
        // What follows a body that says its end itself was not looked at as it came.
        let is_last = !sound || parts.headers.contains_key(TRANSFER_ENCODING);
        let answered = self.admitted(caller, parts, body, sound).await;
        let (mut response, outcome, word) = match answered {
            Ok((response, outcome)) => (response, outcome, "passed"),
            Err(own) => {
                let (outcome, word) = (own.outcome(), own.word());
                (own.into_response(), outcome, word)
            }
        };
        self.traffic.ended(outcome);
        if is_last {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        tracing::debug!(
            session = &*self.session,
            event = "gateway_request",
            uid,
            %method,
            path,
            status = response.status().as_u16(),
            outcome = word,
            millis = clock::boottime().since(begun).as_millis(),
            "a job's request"
        );
        response
    }

    async fn admitted(
        &self,
        caller: Caller,
        parts: Parts,
        body: Incoming,
        sound: bool,
    ) -> Result<(Response<Body>, Outcome), Own> {
        if !sound {
            return Err(Own::refused(Refusal::Framing));
        }
        let for_token =
            self.gives_tokens && token_endpoint::is_asked(&parts.method, parts.uri.path());
        let admitted = self.rules.admit(
            &caller,
            &parts.method,
            &parts.uri,
            parts.version,
            &parts.headers,
        );
        match admitted {
            // The server's own endpoint of that name is out of reach all the same.
            Ok(()) | Err(Refusal::Denied) if for_token => {
                return self.grant(&caller, &parts, body).await;
            }
            Ok(()) => {}
            Err(why) => return Err(Own::refused(why)),
        }
        let under_way = self.traffic.begin();
        let mut lease = self.lease(&caller).await?;
        // Only now: until its body is read, a client that expects `100 Continue` sends none of it.
        let cargo = if let Some(announced) = kept_length(&parts.headers, &body) {
            Cargo::Kept(self.kept(body, announced).await?)
        } else {
            if self.prove(&caller).await {
                self.leases.sweep(clock::boottime());
                lease = self.lease(&caller).await?;
            }
            Cargo::Streamed(body)
        };
        let head = Head::of(&parts);
        let served = lease.served.clone();
        let going = Going {
            _lease: lease,
            _under_way: under_way,
        };
        match cargo {
            Cargo::Kept(bytes) => {
                let body = WireBody::from(bytes.clone());
                let first = self.send(&head, &served, body).await?;
                let Sign::Dead { .. } = first.sign else {
                    let response = self.pass(&head, &caller, &served, first, going);
                    return Ok((response, Outcome::Passed));
                };
                let next = self.recovered(&caller, &served).await?;
                if next.published.generation == served.published.generation {
                    let response = self.pass(&head, &caller, &served, first, going);
                    return Ok((response, Outcome::Passed));
                }
                drop(first);
                let second = self.send(&head, &next, WireBody::from(bytes)).await?;
                let response = self.pass(&head, &caller, &next, second, going);
                Ok((response, Outcome::SentAgain))
            }
            Cargo::Streamed(body) => {
                let up = Up(self.traffic.clone());
                let passing = Passing::new(Bytes::new(), body, SizeHint::default(), up);
                let answer = self.send(&head, &served, WireBody::wrap(passing)).await?;
                let recovered = match answer.sign {
                    Sign::Dead { .. } => self.recovered(&caller, &served).await.ok(),
                    Sign::Taken | Sign::Nothing => None,
                };
                let mut response = self.pass(&head, &caller, &served, answer, going);
                let generation = recovered.map(|next| next.published.generation);
                if let Some(generation) =
                    generation.filter(|next| *next != served.published.generation)
                {
                    response.headers_mut().insert(RECOVERED, generation.into());
                }
                Ok((response, Outcome::Passed))
            }
        }
    }

    /// Answers a request for the token itself.
    async fn grant(
        &self,
        caller: &Caller,
        parts: &Parts,
        body: Incoming,
    ) -> Result<(Response<Body>, Outcome), Own> {
        let form = match kept_length(&parts.headers, &body) {
            Some(announced) => self.kept(body, announced).await?,
            None => Bytes::new(),
        };
        if !token_endpoint::asks_rightly(&form) {
            return Ok((token_endpoint::other_grant(), Outcome::Refused));
        }
        let served = self.token(caller, Via::Socket).await?;
        Ok((token_endpoint::granted(&served), Outcome::Passed))
    }

    /// A token that nothing replaces without need while the request is under way.
    async fn lease(&self, caller: &Caller) -> Result<Arc<Lease>, Own> {
        if let Some(lease) = self.leases.of(caller, clock::boottime()) {
            return Ok(lease);
        }
        let mut hold = self
            .ask(|reply| Ask::Hold {
                about: self.about(caller),
                lasting: LONGEST_HOLD,
                wait: TOKEN_WAIT,
                reply,
            })
            .await?;
        let served = match hold.token.take() {
            Some(served) => served,
            None => self.token(caller, Via::Gateway).await?,
        };
        Ok(self.leases.begin(caller, served, hold, clock::boottime()))
    }

    async fn token(&self, caller: &Caller, via: Via) -> Result<Served, Own> {
        self.ask(|reply| Ask::Token {
            about: self.about(caller),
            via,
            min_validity: Duration::ZERO,
            files: false,
            wait: TOKEN_WAIT,
            reply,
        })
        .await
    }

    /// Has the server asked whether the token lives, unless an answer said so a moment ago. True where it was asked: the token
    /// may be another one now. Where it cannot be asked, the request finds out.
    async fn prove(&self, caller: &Caller) -> bool {
        let now = clock::boottime();
        if self.traffic.was_proved_within(PROOF_LASTS, now) {
            return false;
        }
        let asked = self.ask(|reply| Ask::Prove {
            about: self.about(caller),
            within: PROOF_LASTS,
            wait: TOKEN_WAIT,
            reply,
        });
        drop(asked.await);
        true
    }

    /// A token other than the one that died, or the same where it lives after all.
    async fn recovered(&self, caller: &Caller, served: &Served) -> Result<Served, Own> {
        self.leases.end(served.published.generation);
        self.ask(|reply| Ask::Rejected {
            about: self.about(caller),
            via: Via::Gateway,
            which: Rejected::Generation(served.published.generation),
            files: false,
            wait: TOKEN_WAIT,
            reply,
        })
        .await
    }

    async fn ask<T>(&self, ask: impl FnOnce(crate::api::Reply<T>) -> Ask) -> Result<T, Own> {
        let (reply, answer) = oneshot::channel();
        let sent = self.asks.send(ask(reply)).await;
        sent.map_err(|_| Own::stopping())?;
        match answer.await {
            Ok(answer) => answer.map_err(Own::without_token),
            Err(_) => Err(Own::stopping()),
        }
    }

    fn about(&self, caller: &Caller) -> About {
        About {
            caller: caller.clone(),
            name: self.session.to_string(),
        }
    }

    async fn kept(&self, body: Incoming, announced: usize) -> Result<Bytes, Own> {
        let bytes = collected(body, announced).await.map_err(|error| {
            let status = if error.kind() == io::ErrorKind::TimedOut {
                StatusCode::REQUEST_TIMEOUT
            } else {
                StatusCode::BAD_REQUEST
            };
            Own::new(
                status,
                "body",
                "the request's body did not arrive as it was announced",
            )
        })?;
        self.traffic.sent(bytes.len());
        Ok(bytes)
    }

    /// Sends the request once, and judges the beginning of the answer.
    async fn send(&self, head: &Head, served: &Served, body: WireBody) -> Result<Judged, Own> {
        let published = &served.published;
        let unusable = || {
            Own::new(
                StatusCode::BAD_GATEWAY,
                "unusable",
                "the session's token or URL cannot be sent",
            )
        };
        let url = head.url(published).ok_or_else(unusable)?;
        let headers = onward(&head.headers, published).ok_or_else(unusable)?;
        let request = Onward {
            method: head.method.clone(),
            url: url.clone(),
            headers,
            body,
        };
        let sent = clock::boottime();
        let answer =
            self.remote
                .forward(request, ANSWER_SILENCE)
                .await
                .map_err(|error| match error {
                    NotForwarded::Silent(_) => {
                        Own::new(StatusCode::GATEWAY_TIMEOUT, "timeout", error.to_string())
                    }
                    NotForwarded::Failed(_) => {
                        Own::new(StatusCode::BAD_GATEWAY, "unreachable", error.to_string())
                    }
                })?;
        let (parts, mut body) = answer.into_parts();
        let patience = patience(
            parts.status,
            &parts.headers,
            self.remote.may_die_in_success(),
        );
        let beginning = beginning(&mut body, patience).await;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let seen = SeenAnswer {
            url: &url,
            status: parts.status.as_u16(),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: &beginning.bytes,
            whole: beginning.is_whole,
            at: clock::now().wall,
        };
        let sign = self.remote.judge(&published.token, &seen);
        Ok(Judged {
            sent,
            parts,
            body,
            beginning,
            sign,
        })
    }

    /// The answer, on its way to the job.
    fn pass(
        &self,
        head: &Head,
        caller: &Caller,
        served: &Served,
        answer: Judged,
        going: Going,
    ) -> Response<Body> {
        if answer.sign == Sign::Taken && !self.remote.answers_anybody(&head.path) {
            self.report_use(caller, served, answer.sent);
        }
        let published = &served.published;
        let secrets: Vec<&Secret> = published.token.secrets().collect();
        let cookies = session_cookies(published);
        let headers = Url::parse(&published.base).map_or_else(
            |_| HeaderMap::new(),
            |base| {
                let way = Way {
                    host: &head.host,
                    base: &base,
                    secrets: &secrets,
                    cookies: &cookies,
                };
                homeward(&answer.parts.headers, &way)
            },
        );
        let size = headers
            .get(CONTENT_LENGTH)
            .and_then(length)
            .map_or_else(SizeHint::default, SizeHint::with_exact);
        let along = Down {
            traffic: self.traffic.clone(),
            _going: going,
        };
        let body = Passing::new(answer.beginning.bytes, answer.body, size, along);
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = answer.parts.status;
        *response.headers_mut() = headers;
        response
    }

    /// Tells the engine that the server took the token, when the request left.
    fn report_use(&self, caller: &Caller, served: &Served, sent: Instant) {
        let now = clock::boottime();
        if !self.traffic.is_to_be_reported(sent, now, REPORT_EVERY) {
            return;
        }
        let (reply, _) = oneshot::channel();
        // Where the supervisor has more to do than it can, the next use says as much.
        let _ = self.asks.try_send(Ask::Used {
            about: self.about(caller),
            generation: served.published.generation,
            age: Some(now.since(sent)),
            reply,
        });
    }
}

/// The length of a body that is kept; none for one that streams.
fn kept_length(headers: &HeaderMap, body: &Incoming) -> Option<usize> {
    let announced = headers.get(CONTENT_LENGTH).and_then(length);
    let announced = announced.or_else(|| body.is_end_stream().then_some(0));
    announced
        .filter(|length| *length <= KEPT)
        .and_then(|length| usize::try_from(length).ok())
}

struct Up(Arc<Traffic>);

impl Along for Up {
    fn passed(&mut self, bytes: usize) {
        self.0.sent(bytes);
    }
}

struct Down {
    traffic: Arc<Traffic>,
    _going: Going,
}

impl Along for Down {
    fn passed(&mut self, bytes: usize) {
        self.traffic.received(bytes);
    }
}
