//! The calls of a person's login.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::talk::Talk;
use super::{NoAnswer, Outgoing, OutgoingError, Remote, Response, Told, known_secrets};
use crate::clock;
use crate::provider::classify::{Asked, Judgement, classify};
use crate::provider::clients::Connection;
use crate::provider::detail::{scrubbed, sentence};
use crate::provider::harvest::Harvest;
use crate::provider::hosts::is_loopback;
use crate::provider::outgoing::{Ingredients, authorization_url};
use crate::provider::person::{
    BrowserLogin, DeviceLogin, Expected, Issuer, Once, PersonError, WhoIsIt, checked_claims, who,
};
use crate::provider::token_answer::number;
use crate::provider::{ByPerson, Held, Secrets};
use crate::secret::Secret;
use crate::session::answer::{Answer, Request, Verdict};
use crate::time::Instant;
use crate::token::Token;

/// Between two polls where the server does not say (RFC 8628 section 3.2).
const USUAL_INTERVAL: Duration = Duration::from_secs(5);
/// A device's login lasts no longer, and so long where the server does not say.
const LONGEST_DEVICE_LOGIN: Duration = Duration::from_mins(30);
const USUAL_DEVICE_LOGIN: Duration = Duration::from_mins(10);
/// A code that people type is shorter; so is an address that they can be asked to open.
const LONGEST_CODE: usize = 64;
const LONGEST_ADDRESS: usize = 2048;

/// What one poll of a device's login came to (RFC 8628 section 3.5).
#[derive(Debug)]
pub enum Polled {
    /// Nobody has answered yet.
    Pending,
    /// The same, and the server wants to be asked more rarely from now on.
    SlowDown,
    /// No usable answer: ask again, more rarely.
    Silent,
    /// Done.
    Granted(Box<Answer>),
    /// It will never be done.
    Over(PersonError),
}

/// A call that was answered.
struct Heard {
    response: Response,
    wall: Timestamp,
    sent: Instant,
    known: Vec<Secret>,
}

impl Remote {
    /// How a person logs in here, if one must.
    pub fn by_person(&self) -> Option<ByPerson> {
        self.config.profile.grant_traits(&self.config.grant)?.by_person
    }

    /// Begins a login in a browser. `port` is where the browser's return can be received, unless the config names one.
    ///
    /// # Errors
    /// When there is no authorization endpoint.
    pub async fn begin_browser(&self, port: Option<u16>, timeout: Duration) -> Result<BrowserLogin, PersonError> {
        let metadata = self.told_metadata(timeout, clock::boottime).await;
        let metadata = metadata.map_err(|error| PersonError::Server(error.sentence()))?;
        let once = Once::draw(self.config.asks_for("openid"));
        let once = once.ok_or_else(|| PersonError::Impossible("the system gives no random bytes".to_owned()))?;
        let redirect_uri = self.redirect_uri(port).ok_or_else(|| impossible(&no_redirect_uri()))?;
        let challenge = once.challenge();
        let mut own = vec![("state", once.state()), ("code_challenge", &challenge), ("code_challenge_method", "S256")];
        own.extend(once.nonce().map(|nonce| ("nonce", nonce.expose())));
        let url = authorization_url(&self.config, metadata.as_deref(), &redirect_uri, &own);
        let url = url.map_err(|error| impossible(&error))?.into();
        let always = metadata.is_some_and(|metadata| metadata.names_itself);
        let issuer = self.config.issuer().map(|name| Issuer { name: name.as_str().to_owned(), always });
        Ok(BrowserLogin::new(url, redirect_uri, once, issuer))
    }

    /// RFC 8252 section 7.3: a loopback address without a port gets one.
    fn redirect_uri(&self, port: Option<u16>) -> Option<String> {
        let configured = self.config.plain("redirect_uri")?;
        let mut url = Url::parse(configured).ok()?;
        if url.scheme() != "http" || !is_loopback(&url) || url.port().is_some() || port.is_none() {
            return Some(configured.to_owned());
        }
        url.set_port(port).ok()?;
        Some(url.into())
    }

    /// Exchanges the code that a browser brought.
    ///
    /// # Errors
    /// When no token comes of it, or one that is not the configured user's.
    pub async fn redeem(
        &self,
        login: &BrowserLogin,
        code: &Secret,
        held: Held<'_>,
        secrets: &Secrets,
    ) -> Result<Answer, PersonError> {
        let heard = self.ask(|with| with.redemption(login, code), &held, secrets).await;
        let heard = heard.map_err(|error| PersonError::Server(error.sentence()))?;
        self.accepted(&heard, login.nonce().map(Secret::expose), &held, secrets).await
    }

    /// Begins a login on any device.
    ///
    /// # Errors
    /// When the server gives no code for it.
    pub async fn begin_device(&self, held: Held<'_>, secrets: &Secrets) -> Result<DeviceLogin, PersonError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is of one lifetime only")]
        let heard = self.ask(|with| with.device_authorization(), &held, secrets).await;
        let heard = heard.map_err(|error| PersonError::Server(error.sentence()))?;
        let odd = || PersonError::Server(self.told(&heard, "the answer begins no device login").detail);
        device_login(&heard.response).filter(|_| (200..300).contains(&heard.response.status)).ok_or_else(odd)
    }

    /// Asks whether a device's login is done.
    pub async fn poll_device(&self, login: &DeviceLogin, held: Held<'_>, secrets: &Secrets) -> Polled {
        let heard = match self.ask(|with| with.device_poll(login.device_code()), &held, secrets).await {
            Ok(heard) => heard,
            Err(NoAnswer::Outgoing(error)) => return Polled::Over(impossible(&error)),
            Err(_) => return Polled::Silent,
        };
        match heard.response.string_at("/error") {
            _ if heard.response.status >= 500 || heard.response.is_html() => Polled::Silent,
            Some("authorization_pending") => Polled::Pending,
            Some("slow_down") => Polled::SlowDown,
            _ if heard.response.status == 429 => Polled::SlowDown,
            Some("access_denied") => over("the login was declined"),
            Some("expired_token") => over("nobody logged in while the code was good"),
            Some(_) | None => match self.accepted(&heard, None, &held, secrets).await {
                Ok(answer) => Polled::Granted(Box::new(answer)),
                Err(error) => Polled::Over(error),
            },
        }
    }

    async fn ask(
        &self,
        outgoing: impl Fn(&Ingredients<'_>) -> Result<Outgoing, OutgoingError>,
        held: &Held<'_>,
        secrets: &Secrets,
    ) -> Result<Heard, NoAnswer> {
        let exchange = async {
            let metadata = self.told_metadata(held.timeout, clock::boottime).await?;
            let (metadata, wall, gathered) = (metadata.as_deref(), clock::now().wall, &Harvest::default());
            let made = outgoing(&Ingredients { config: &self.config, held, gathered, secrets, metadata, wall })?;
            let mut known = known_secrets(held, secrets);
            known.extend(made.secrets.iter().cloned());
            let sent = clock::boottime();
            let (response, wall) = self.exchange(made, Connection::Own).await?;
            self.doubt_metadata(response.status, clock::boottime());
            Ok(Heard { response, wall, sent, known })
        };
        tokio::time::timeout(held.timeout, exchange).await.map_err(|_| NoAnswer::TimedOut(held.timeout))?
    }

    /// The token, once it is clear that it belongs to this login and to the configured user.
    async fn accepted(
        &self,
        heard: &Heard,
        nonce: Option<&str>,
        held: &Held<'_>,
        secrets: &Secrets,
    ) -> Result<Answer, PersonError> {
        let mut known = heard.known.clone();
        let (remote, gathered) = (self, Harvest::default());
        let connection = Connection::Kept;
        let mut talk = Talk { remote, held, secrets, metadata: None, known: &mut known, gathered, connection };
        let told = talk.after_login_of_oauth(self.told_by(heard)).await;
        let Told { verdict, detail, counted, skew_millis, odd, quotas } = told;
        let Verdict::Good(grant) = &verdict else { return Err(PersonError::Server(detail)) };
        let claims = self.identity_claims(heard, nonce)?;
        self.check_user(claims, &grant.token, held, secrets).await?;
        let (sent, received) = (heard.sent, clock::boottime());
        Ok(Answer { call: held.call, sent, received, verdict, detail, counted, skew_millis, odd, quotas })
    }

    fn told(&self, heard: &Heard, oddity: &str) -> Told {
        let mut told = self.told_by(heard);
        if told.verdict.is_success() || (200..300).contains(&heard.response.status) {
            oddity.clone_into(&mut told.detail);
        }
        told
    }

    fn told_by(&self, heard: &Heard) -> Told {
        let (profile, grant, url) = (&self.config.profile, &*self.config.grant, &self.config.url);
        let (request, wall, response) = (Request::Login, heard.wall, &heard.response);
        let asked = Asked { profile, grant, url, request, template: None, token: None, wall };
        let Judgement { verdict, oddity, remedy, odd } = classify(&asked, response);
        let detail = sentence(response, oddity.as_deref(), remedy.as_deref(), &heard.known);
        let (skew_millis, quotas) = (response.skew_millis(wall), self.quotas(response));
        Told { verdict, detail, counted: true, skew_millis, odd, quotas }
    }

    /// Whoever asks for `openid` in a browser gets an ID token, unless the server says that it granted less; a device need
    /// not get one, since `OpenID` Connect does not know its flow.
    fn identity_claims(&self, heard: &Heard, nonce: Option<&str>) -> Result<Option<Value>, PersonError> {
        if !self.config.asks_for("openid") {
            return Ok(None);
        }
        let untrusted = |problem: &str| PersonError::Untrusted(problem.to_owned());
        let Some(id_token) = heard.response.string_at("/id_token") else {
            let scope = heard.response.string_at("/scope");
            let less = scope.is_some_and(|scope| !scope.split_whitespace().any(|word| word == "openid"));
            let missing = "`openid` was asked for and no ID token came; leave `openid` out of scope if there is none";
            return if less || nonce.is_none() { Ok(None) } else { Err(untrusted(missing)) };
        };
        let skew = heard.response.skew_millis(heard.wall).unwrap_or_default();
        let issuer = self.config.issuer();
        let expected = Expected {
            issuer: issuer.as_ref().map(|issuer| issuer.as_str()),
            client_id: self.config.plain("client_id").unwrap_or_default(),
            nonce,
            now: heard.wall.as_millisecond().saturating_add(skew).div_euclid(1000),
        };
        checked_claims(id_token, &expected).map(Some).map_err(untrusted)
    }

    /// Userinfo is asked only where the ID token does not tell.
    async fn check_user(
        &self,
        claims: Option<Value>,
        token: &Token,
        held: &Held<'_>,
        secrets: &Secrets,
    ) -> Result<(), PersonError> {
        let Some(expected) = self.config.plain("username") else { return Ok(()) };
        let mut found = claims.map_or(WhoIsIt::Unknown, |claims| who(&claims, expected));
        if found == WhoIsIt::Unknown {
            let heard = self.ask(|with| with.userinfo(token), held, secrets).await.ok();
            let told = heard.and_then(|heard| heard.response.json).map(|claims| who(&claims, expected));
            found = told.unwrap_or(WhoIsIt::Unknown);
        }
        match found {
            WhoIsIt::TheUser => Ok(()),
            WhoIsIt::Unknown => {
                let scopes = ["openid", "profile", "email"].into_iter().filter(|scope| !self.config.asks_for(scope));
                let missing_scopes = scopes.collect::<Vec<_>>().join(" ");
                tracing::info!(
                    event = "login_user_unknown",
                    expected,
                    missing_scopes,
                    "the server does not tell who logged in; `username` was not compared: ask for more in `scope`"
                );
                Ok(())
            }
            WhoIsIt::Somebody(found) => {
                Err(PersonError::WrongUser { found: scrubbed(&found, &[]), expected: expected.to_owned() })
            }
        }
    }
}

fn impossible(error: &OutgoingError) -> PersonError {
    PersonError::Impossible(error.to_string())
}

fn no_redirect_uri() -> OutgoingError {
    OutgoingError::NoValue("redirect_uri".to_owned())
}

fn over(why: &str) -> Polled {
    Polled::Over(PersonError::Server(why.to_owned()))
}

/// RFC 8628 section 3.2; some servers say `verification_url`.
pub(in crate::provider) fn device_login(response: &Response) -> Option<DeviceLogin> {
    let text = |pointer: &str, longest: usize| {
        let text = response.string_at(pointer).filter(|text| (1..=longest).contains(&text.len()))?;
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    let address = |pointer: &str| text(pointer, LONGEST_ADDRESS).filter(|address| is_address(address));
    let seconds = |pointer: &str| {
        let seconds = number(response.json.as_ref()?.pointer(pointer)?)?;
        Duration::try_from_secs_f64(seconds).ok().filter(|duration| !duration.is_zero())
    };
    let verification_uri = address("/verification_uri").or_else(|| address("/verification_url"))?;
    Some(DeviceLogin::new(
        Secret::new(text("/device_code", crate::token::MAX_TOKEN_BYTES)?),
        scrubbed(&text("/user_code", LONGEST_CODE)?, &[]),
        verification_uri,
        address("/verification_uri_complete"),
        seconds("/expires_in").unwrap_or(USUAL_DEVICE_LOGIN).min(LONGEST_DEVICE_LOGIN),
        seconds("/interval").unwrap_or(USUAL_INTERVAL).clamp(Duration::from_secs(1), LONGEST_DEVICE_LOGIN),
    ))
}

/// Something that a browser opens, and nothing else.
fn is_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}
