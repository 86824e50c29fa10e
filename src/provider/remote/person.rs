//! The calls of a person's login.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::exchange::Exchange;
use super::{CallOutcome, NoAnswer, Outgoing, Remote, Response, known_secrets};
use crate::blotted::Blotted;
use crate::clock;
use crate::provider::classify::{Asked, classify};
use crate::provider::clients::Connection;
use crate::provider::detail::sentence;
use crate::provider::harvest::Harvest;
use crate::provider::hosts::is_loopback;
use crate::provider::outgoing::{OutgoingError, RequestContext, authorization_url};
use crate::provider::person::{
    BrowserLogin, DeviceLogin, Expected, Issuer, Once, PersonError, PersonGrant, WhoIsIt,
    checked_claims, named, subject, who,
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
const LONGEST_NAME: usize = 200;
const NO_DEVICE_LOGIN: &str = "the answer begins no device login";
const LONGEST_ADDRESS: usize = 2048;

/// What one poll of a device's login came to (RFC 8628 section 3.5).
#[derive(Debug)]
pub enum Polled {
    /// The person has not answered yet.
    Pending,
    /// The person has not answered yet, and the server wants to be asked more rarely from now on.
    SlowDown,
    /// No usable answer: ask again, more rarely.
    Silent,
    /// Done.
    Granted(Box<PersonGrant>),
    /// It will never be done.
    Over(PersonError),
}

/// A call that was answered.
struct HttpAnswer {
    response: Response,
    wall: Timestamp,
    sent: Instant,
    known: Vec<Secret>,
}

impl Remote {
    /// How a person logs in here, if one must.
    pub fn by_person(&self) -> Option<ByPerson> {
        self.config
            .profile
            .grant_traits(&self.config.grant)?
            .by_person
    }

    /// Begins a login in a browser. `port` is where the browser's return can be received, unless the config names one.
    ///
    /// # Errors
    /// When there is no authorization endpoint.
    pub async fn begin_browser(
        &self,
        port: Option<u16>,
        timeout: Duration,
    ) -> Result<BrowserLogin, PersonError> {
        let metadata = self.told_metadata(timeout, clock::boottime).await;
        let metadata = metadata.map_err(|error| unanswered(&error, &[]))?;
        let once = Once::draw(self.config.asks_for("openid"));
        let once = once.ok_or_else(|| {
            PersonError::Impossible("the system gives no random bytes".to_owned())
        })?;
        let redirect_uri = self
            .redirect_uri(port)
            .ok_or_else(|| impossible(&no_redirect_uri()))?;
        let challenge = once.challenge();
        let mut own = vec![
            ("state", once.state()),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        own.extend(once.nonce().map(|nonce| ("nonce", nonce.expose())));
        let url = authorization_url(&self.config, metadata.as_deref(), &redirect_uri, &own);
        let url = url.map_err(|error| impossible(&error))?;
        let always = metadata.is_some_and(|metadata| metadata.names_itself);
        let issuer = self.config.issuer().map(|name| Issuer {
            name: name.as_str().to_owned(),
            always,
        });
        let foreign_host = self.foreign_host(&url);
        let login = BrowserLogin::new(url.into(), redirect_uri, once, issuer);
        Ok(login.at_foreign(foreign_host))
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
    ) -> Result<PersonGrant, PersonError> {
        let answered = self
            .ask(|with| with.redemption(login, code), &held, secrets)
            .await;
        let answered =
            answered.map_err(|error| unanswered(&error, &known_secrets(&held, secrets)))?;
        self.accepted(&answered, login.nonce().map(Secret::expose), &held, secrets)
            .await
    }

    /// Begins a login on any device.
    ///
    /// # Errors
    /// When the server gives no code for it.
    pub async fn begin_device(
        &self,
        held: Held<'_>,
        secrets: &Secrets,
    ) -> Result<DeviceLogin, PersonError> {
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method itself is of one lifetime only"
        )]
        let answered = self
            .ask(|with| with.device_authorization(), &held, secrets)
            .await;
        let answered =
            answered.map_err(|error| unanswered(&error, &known_secrets(&held, secrets)))?;
        if !(200..300).contains(&answered.response.status) {
            return Err(PersonError::Server(
                self.failure(&answered, NO_DEVICE_LOGIN).detail,
            ));
        }
        let begun = device_login(&answered.response)
            .map_err(|odd| PersonError::Server(self.failure(&answered, odd).detail))?;
        let foreign_host = Url::parse(&begun.verification_uri)
            .ok()
            .and_then(|address| self.foreign_host(&address));
        Ok(begun.at_foreign(foreign_host))
    }

    /// The host of `address`, where neither the config nor the provider knows it: a person should look twice.
    fn foreign_host(&self, address: &Url) -> Option<String> {
        let host = address.host_str()?;
        let issuer = self
            .config
            .issuer()
            .and_then(|issuer| Url::parse(&issuer).ok());
        let configured = [
            Some(Url::clone(&self.config.url)),
            self.config.login_url(),
            issuer,
        ];
        let is_same = |known: &Url| {
            known
                .host_str()
                .is_some_and(|known| is_part_of(host, known) || is_part_of(known, host))
        };
        let is_known =
            configured.iter().flatten().any(is_same) || self.config.profile.hosts.is_own(host);
        (!is_known).then(|| host.to_owned())
    }

    /// Asks whether a device's login is done.
    pub async fn poll_device(
        &self,
        login: &DeviceLogin,
        held: Held<'_>,
        secrets: &Secrets,
    ) -> Polled {
        let answered = match self
            .ask(|with| with.device_poll(login.device_code()), &held, secrets)
            .await
        {
            Ok(answered) => answered,
            Err(NoAnswer::Outgoing(error)) => return Polled::Over(impossible(&error)),
            Err(_) => return Polled::Silent,
        };
        match answered.response.string_at("/error") {
            _ if answered.response.status >= 500 || answered.response.is_html() => Polled::Silent,
            Some("authorization_pending") => Polled::Pending,
            Some("slow_down") => Polled::SlowDown,
            _ if answered.response.status == 429 => Polled::SlowDown,
            Some("access_denied") => over("the login was declined"),
            Some("expired_token") => over("the person did not log in before the code expired"),
            Some(_) | None => match self.accepted(&answered, None, &held, secrets).await {
                Ok(granted) => Polled::Granted(Box::new(granted)),
                Err(error) => Polled::Over(error),
            },
        }
    }

    async fn ask(
        &self,
        outgoing: impl Fn(&RequestContext<'_>) -> Result<Outgoing, OutgoingError>,
        held: &Held<'_>,
        secrets: &Secrets,
    ) -> Result<HttpAnswer, NoAnswer> {
        let exchange = async {
            let metadata = self.told_metadata(held.timeout, clock::boottime).await?;
            let (metadata, wall, gathered) =
                (metadata.as_deref(), clock::now().wall, &Harvest::default());
            let made = outgoing(&RequestContext {
                config: &self.config,
                held,
                gathered,
                secrets,
                metadata,
                wall,
            })?;
            let mut known = known_secrets(held, secrets);
            known.extend(made.secrets.iter().cloned());
            let sent = clock::boottime();
            let (response, wall) = self.exchange(made, Connection::Own).await?;
            self.doubt_metadata(response.status, clock::boottime());
            Ok(HttpAnswer {
                response,
                wall,
                sent,
                known,
            })
        };
        tokio::time::timeout(held.timeout, exchange)
            .await
            .map_err(|_| NoAnswer::TimedOut(held.timeout))?
    }

    /// The token, once it is clear that it belongs to this login and to the configured user.
    async fn accepted(
        &self,
        answered: &HttpAnswer,
        nonce: Option<&str>,
        held: &Held<'_>,
        secrets: &Secrets,
    ) -> Result<PersonGrant, PersonError> {
        let mut known = answered.known.clone();
        let (remote, gathered) = (self, Harvest::default());
        let connection = Connection::Kept;
        let mut exchange = Exchange {
            remote,
            held,
            secrets,
            metadata: None,
            known: &mut known,
            gathered,
            connection,
        };
        let outcome = exchange.after_login_of_oauth(self.outcome(answered)).await;
        let CallOutcome {
            verdict,
            detail,
            remedy: _,
            counted,
            skew_millis,
            odd,
            quotas,
        } = outcome;
        let Verdict::Good(grant) = &verdict else {
            return Err(PersonError::Server(detail));
        };
        let claims = self.identity_claims(answered, nonce)?;
        let who = self
            .checked_user(claims, &grant.token, held, secrets)
            .await?;
        let (sent, received) = (answered.sent, clock::boottime());
        let answer = Answer {
            call: held.call,
            sent,
            received,
            verdict,
            detail,
            remedy: None,
            counted,
            skew_millis,
            odd,
            quotas,
        };
        Ok(PersonGrant { answer, who })
    }

    fn failure(&self, answered: &HttpAnswer, oddity: &'static str) -> CallOutcome {
        let mut outcome = self.outcome(answered);
        if outcome.verdict.is_success() || (200..300).contains(&answered.response.status) {
            outcome.detail = oddity.into();
        }
        outcome
    }

    fn outcome(&self, answered: &HttpAnswer) -> CallOutcome {
        let (wall, response) = (answered.wall, &answered.response);
        let asked = Asked::of(&self.config, Request::Login, None, None, wall);
        let classified = classify(&asked, response);
        let detail = sentence(response, &classified, &answered.known);
        let (skew_millis, quotas) = (response.skew_millis(wall), self.quotas(response));
        CallOutcome {
            verdict: classified.verdict,
            detail,
            remedy: None,
            counted: true,
            skew_millis,
            odd: classified.odd,
            quotas,
        }
    }

    /// Whoever asks for `openid` in a browser gets an ID token, unless the server says that it granted less; a device need
    /// not get one, since `OpenID` Connect does not know its flow.
    fn identity_claims(
        &self,
        answered: &HttpAnswer,
        nonce: Option<&str>,
    ) -> Result<Option<Value>, PersonError> {
        if !self.config.asks_for("openid") {
            return Ok(None);
        }
        let untrusted = |problem: &str| PersonError::Untrusted(problem.to_owned());
        let Some(id_token) = answered.response.string_at("/id_token") else {
            let scope = answered.response.string_at("/scope");
            let less =
                scope.is_some_and(|scope| !scope.split_whitespace().any(|word| word == "openid"));
            let missing = "`openid` was asked for and no ID token came; leave `openid` out of scope if there is none";
            return if less || nonce.is_none() {
                Ok(None)
            } else {
                Err(untrusted(missing))
            };
        };
        let skew = answered
            .response
            .skew_millis(answered.wall)
            .unwrap_or_default();
        let issuer = self.config.issuer();
        let expected = Expected {
            issuer: issuer.as_ref().map(|issuer| issuer.as_str()),
            client_id: self.config.plain("client_id").unwrap_or_default(),
            nonce,
            now: answered
                .wall
                .as_millisecond()
                .saturating_add(skew)
                .div_euclid(1000),
        };
        checked_claims(id_token, &expected)
            .map(Some)
            .map_err(untrusted)
    }

    /// Who logged in, once it is clear that it is the configured user. Userinfo is asked only where the ID token does not tell.
    async fn checked_user(
        &self,
        claims: Option<Value>,
        token: &Token,
        held: &Held<'_>,
        secrets: &Secrets,
    ) -> Result<Option<Blotted>, PersonError> {
        let shown = |name: &str| {
            let known: Vec<Secret> = known_secrets(held, secrets)
                .into_iter()
                .chain([token.access_token.clone()])
                .collect();
            Blotted::new(name, &known).cut(LONGEST_NAME)
        };
        let Some(expected) = self.config.plain("username") else {
            return Ok(claims.as_ref().and_then(named).map(shown));
        };
        let mut found = claims
            .as_ref()
            .map_or(WhoIsIt::Unknown, |claims| who(claims, expected));
        if found == WhoIsIt::Unknown {
            let userinfo = self.userinfo(token, claims.as_ref(), held, secrets).await?;
            found = userinfo.map_or(WhoIsIt::Unknown, |userinfo| who(&userinfo, expected));
        }
        match found {
            WhoIsIt::TheUser => Ok(Some(shown(expected))),
            WhoIsIt::Unverified { called } => Err(PersonError::UnverifiedUser {
                expected: expected.to_owned(),
                remedy: remedy_of_unverified(called.as_deref().map(shown)),
            }),
            WhoIsIt::Unknown => Err(self.unknown_user(expected)),
            WhoIsIt::Somebody(found) => Err(PersonError::WrongUser {
                found: shown(&found),
                expected: expected.to_owned(),
            }),
        }
    }

    /// What the server's userinfo says, if it answers, of the very user whom the ID token is about (`OpenID` Connect Core
    /// section 5.3.2).
    async fn userinfo(
        &self,
        token: &Token,
        id_token: Option<&Value>,
        held: &Held<'_>,
        secrets: &Secrets,
    ) -> Result<Option<Value>, PersonError> {
        let answered = self.ask(|with| with.userinfo(token), held, secrets).await;
        let good = answered
            .ok()
            .filter(|answered| (200..300).contains(&answered.response.status));
        let Some(userinfo) = good.and_then(|answered| answered.response.json) else {
            return Ok(None);
        };
        match (subject(&userinfo), id_token.and_then(subject)) {
            (Some(told), Some(expected)) if told != expected => Err(PersonError::Untrusted(
                "the server's userinfo is about another user than its ID token".to_owned(),
            )),
            (_, _) => Ok(Some(userinfo)),
        }
    }

    fn unknown_user(&self, expected: &str) -> PersonError {
        let scopes = ["openid", "profile", "email"]
            .into_iter()
            .filter(|scope| !self.config.asks_for(scope));
        let missing_scopes = scopes.collect::<Vec<_>>().join(" ");
        tracing::warn!(
            event = "login_user_unknown",
            expected,
            missing_scopes,
            "the server does not tell who logged in"
        );
        let remedy = if missing_scopes.is_empty() {
            "take `username` out of the session's login, unless the server's userinfo merely did not answer".to_owned()
        } else {
            format!(
                "add `{missing_scopes}` to `scope` in the session's login, or take `username` out, and reload"
            )
        };
        PersonError::UnknownUser {
            expected: expected.to_owned(),
            remedy,
        }
    }
}

fn remedy_of_unverified(called: Option<Blotted>) -> Blotted {
    match called {
        Some(name) => Blotted::concat([
            "set `username` to what the server calls that user, ".into(),
            name,
            ", and reload, or have the address verified there".into(),
        ]),
        None => "have the address verified at the server".into(),
    }
}

/// Why no answer came, in the words of whoever else had a part in it.
fn unanswered(error: &NoAnswer, known: &[Secret]) -> PersonError {
    let sentence = [Some(error.sentence()), error.remedy()];
    let sentence = sentence
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ");
    PersonError::Server(Blotted::new(&sentence, known))
}

fn impossible(error: &OutgoingError) -> PersonError {
    PersonError::Impossible(error.to_string())
}

fn no_redirect_uri() -> OutgoingError {
    OutgoingError::NoValue("redirect_uri".to_owned())
}

fn over(why: &'static str) -> Polled {
    Polled::Over(PersonError::Server(why.into()))
}

/// Whether the host is the other one, or a name below it.
fn is_part_of(host: &str, other: &str) -> bool {
    host == other
        || host
            .strip_suffix(other)
            .is_some_and(|rest| rest.ends_with('.') && other.contains('.'))
}

/// RFC 8628 section 3.2; some servers say `verification_url`.
///
/// # Errors
/// Says what is missing, or where nobody is sent.
pub(in crate::provider) fn device_login(response: &Response) -> Result<DeviceLogin, &'static str> {
    let text = |pointer: &str, longest: usize| {
        let text = response
            .string_at(pointer)
            .filter(|text| (1..=longest).contains(&text.len()))?;
        (!text.chars().any(char::is_control)).then(|| text.to_owned())
    };
    let seconds = |pointer: &str| {
        let seconds = number(response.json.as_ref()?.pointer(pointer)?)?;
        Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|duration| !duration.is_zero())
    };
    let named = text("/verification_uri", LONGEST_ADDRESS)
        .or_else(|| text("/verification_url", LONGEST_ADDRESS));
    let verification_uri = address(&named.ok_or(NO_DEVICE_LOGIN)?)?;
    let complete =
        text("/verification_uri_complete", LONGEST_ADDRESS).and_then(|named| address(&named).ok());
    // What a phone reads must lead to where the person was told.
    let complete = complete.filter(|complete| complete.origin() == verification_uri.origin());
    Ok(DeviceLogin::new(
        Secret::new(text("/device_code", crate::token::MAX_TOKEN_BYTES).ok_or(NO_DEVICE_LOGIN)?),
        Blotted::new(
            &text("/user_code", LONGEST_CODE).ok_or(NO_DEVICE_LOGIN)?,
            &[],
        ),
        verification_uri.into(),
        complete.map(String::from),
        seconds("/expires_in")
            .unwrap_or(USUAL_DEVICE_LOGIN)
            .min(LONGEST_DEVICE_LOGIN),
        seconds("/interval")
            .unwrap_or(USUAL_INTERVAL)
            .clamp(Duration::from_secs(1), LONGEST_DEVICE_LOGIN),
    ))
}

/// Something that a browser opens, and nothing else: written in ASCII, it cannot look like another.
fn address(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    let url = url.ok_or(NO_DEVICE_LOGIN)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "the server's address for the login holds a user name, as addresses do that imitate others: keepfresh does not show it",
        );
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_a_person_opens_is_shown_in_ascii_and_none_with_a_user_in_it() {
        for (named, shown) in [
            (
                "https://id.example/device",
                Some("https://id.example/device"),
            ),
            (
                "https://раypal.example/a",
                Some("https://xn--ypal-43d9g.example/a"),
            ),
            (
                "https://id.example/\u{202e}ecived\u{2028}x",
                Some("https://id.example/%E2%80%AEecived%E2%80%A8x"),
            ),
            ("https://id.example\u{202e}/x", None),
            ("https://id.example@evil.example/x", None),
            ("https://user:pass@id.example/x", None),
            ("javascript:alert(1)", None),
        ] {
            let body = serde_json::json!({"device_code": "d", "user_code": "W\u{202e}DJB", "verification_uri": named});
            let response = Response::new(200, Vec::new(), body.to_string().as_bytes(), true);
            let begun = device_login(&response).ok();
            assert_eq!(
                begun.as_ref().map(|begun| begun.verification_uri.as_str()),
                shown,
                "{named}"
            );
            assert!(begun.is_none_or(|begun| &*begun.user_code == "WDJB"));
        }
    }

    #[test]
    fn a_picture_leads_nowhere_else_than_the_address() {
        for (complete, kept) in [
            ("https://id.example/d?c=1", true),
            ("https://evil.example/d?c=1", false),
        ] {
            let body = serde_json::json!({
                "device_code": "d", "user_code": "WDJB", "verification_uri": "https://id.example/d",
                "verification_uri_complete": complete,
            });
            let response = Response::new(200, Vec::new(), body.to_string().as_bytes(), true);
            assert_eq!(
                device_login(&response)
                    .unwrap()
                    .verification_uri_complete
                    .is_some(),
                kept,
                "{complete}"
            );
        }
    }

    #[test]
    fn a_name_below_another_is_part_of_it() {
        for (host, other, expected) in [
            ("id.example.com", "example.com", true),
            ("example.com", "example.com", true),
            ("evilexample.com", "example.com", false),
            ("example.com", "com", false),
        ] {
            assert_eq!(is_part_of(host, other), expected, "{host} {other}");
        }
    }
}
