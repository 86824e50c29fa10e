//! The HTTP exchange of one call: mostly one request and its answer, but a login may take several.

use std::sync::Arc;

use jiff::Timestamp;

use super::{CallOutcome, NoAnswer, Remote};
use crate::blotted::Blotted;
use crate::clock;
use crate::provider::classify::{Asked, Classified, classify, step};
use crate::provider::clients::Connection;
use crate::provider::detail::{sentence, suspicion};
use crate::provider::discovery::Metadata;
use crate::provider::grants::GrantKind;
use crate::provider::harvest::{Captures, Harvest};
use crate::provider::outgoing::{self, Outgoing, OutgoingError, RequestContext};
use crate::provider::profile::Protocol;
use crate::provider::request::RequestTemplate;
use crate::provider::response::Response;
use crate::provider::settings::below;
use crate::provider::{Held, Secrets};
use crate::secret::Secret;
use crate::session::answer::{Grant, Refused, Request, Verdict};
use crate::token::Token;

/// A request is repeated at no more places than these.
const MOST_REDIRECTS: usize = 3;

/// One call under way.
pub(super) struct Exchange<'a> {
    pub(super) remote: &'a Remote,
    pub(super) held: &'a Held<'a>,
    pub(super) secrets: &'a Secrets,
    /// What the server says of itself, where that was needed.
    pub(super) metadata: Option<Arc<Metadata>>,
    /// What must not be seen, should the server echo it.
    pub(super) known: &'a mut Vec<Secret>,
    /// What the answers so far brought.
    pub(super) gathered: Harvest,
    /// What each request goes out on.
    pub(super) connection: Connection,
}

/// One request's answer.
struct HttpAnswer {
    response: Response,
    wall: Timestamp,
}

impl Exchange<'_> {
    /// Makes the requests that `request` takes.
    pub(super) async fn about(&mut self, request: Request) -> CallOutcome {
        let profile = &self.remote.config.profile;
        match (request, profile.protocol) {
            (Request::Login, Protocol::Http) => self.login().await,
            (Request::Login, Protocol::Command) => self.command().await,
            (Request::Renew, Protocol::Http | Protocol::Command) => self.renewal().await,
            (Request::Login, Protocol::OAuth2) if !profile.after_login.is_empty() => {
                let outcome = self.single(request).await;
                self.after_login_of_oauth(outcome).await
            }
            (_, _) => self.single(request).await,
        }
    }

    async fn single(&mut self, request: Request) -> CallOutcome {
        let remote = self.remote;
        let template = outgoing::template(&remote.config, request);
        let made = self.context().outgoing(request);
        match self.send(template, made).await {
            Ok(answer) => {
                let classified = classify(
                    &self.asked(request, template, answer.wall),
                    &answer.response,
                );
                self.outcome(classified, &answer)
            }
            Err(error) => CallOutcome::without_answer(request, &error, self.known),
        }
    }

    /// The profile's own requests, in order; then those that are made with the new token.
    async fn login(&mut self) -> CallOutcome {
        let remote = self.remote;
        let config = &remote.config;
        let steps = config
            .profile
            .login(&config.grant)
            .map(|login| login.steps.as_slice())
            .unwrap_or_default();
        let mut last = None;
        for request in steps {
            match self.step(Request::Login, request, &request.captures).await {
                Ok(answer) => last = Some(answer),
                Err(outcome) => return outcome,
            }
        }
        let Some(answer) = last else {
            return CallOutcome::without_answer(
                Request::Login,
                &OutgoingError::NoEndpoint("login").into(),
                self.known,
            );
        };
        match self.gathered.clone().grant(None, answer.wall) {
            Ok(grant) => {
                let outcome = self.outcome(good(grant), &answer);
                self.after_login(outcome).await
            }
            Err(error) => {
                let classified = Classified {
                    oddity: Some(error.to_string()),
                    ..refused(false, Refused::Credential).into()
                };
                self.outcome(classified, &answer)
            }
        }
    }

    async fn renewal(&mut self) -> CallOutcome {
        let remote = self.remote;
        let config = &remote.config;
        let Some(request) = &config.profile.renew else {
            return CallOutcome::without_answer(
                Request::Renew,
                &OutgoingError::NoEndpoint("renew request").into(),
                self.known,
            );
        };
        let captures = config.profile.renewal_captures(&config.grant);
        match self.step(Request::Renew, request, &captures).await {
            Ok(answer) => match self.gathered.clone().grant(self.held.token, answer.wall) {
                Ok(grant) => self.outcome(good(grant), &answer),
                Err(error) => {
                    let classified = Classified {
                        oddity: Some(error.to_string()),
                        odd: true,
                        ..Verdict::InDoubt.into()
                    };
                    self.outcome(classified, &answer)
                }
            },
            Err(outcome) => outcome,
        }
    }

    async fn step(
        &mut self,
        request: Request,
        template: &RequestTemplate,
        captures: &Captures,
    ) -> Result<HttpAnswer, CallOutcome> {
        let made = self.context().by_template(template);
        let answer = match self.send(Some(template), made).await {
            Ok(answer) => answer,
            Err(error) => return Err(CallOutcome::without_answer(request, &error, self.known)),
        };
        match step(
            &self.asked(request, Some(template), answer.wall),
            captures,
            &answer.response,
        ) {
            Ok(harvest) => {
                // A later step's answer may echo what this one handed out.
                self.known.extend(harvest.secrets());
                self.gathered.add(harvest);
                Ok(answer)
            }
            Err(classified) => Err(self.outcome(classified, &answer)),
        }
    }

    /// What a second look tells with the new token: without it the login still counts, unless the token cannot be used.
    async fn after_login(&mut self, outcome: CallOutcome) -> CallOutcome {
        let Verdict::Good(grant) = &outcome.verdict else {
            return outcome;
        };
        let token = grant.token.clone();
        let mut missed = None;
        let remote = self.remote;
        for request in &remote.config.profile.after_login {
            match self.with_token(&token, request).await {
                Ok(()) => {}
                // A token for which a rule sends for a person is of no use to another call.
                Err(failed) if matches!(failed.verdict, Verdict::Refused { .. }) => return failed,
                Err(failed) => missed = Some(failed.detail),
            }
        }
        let Ok(grant) = self
            .gathered
            .clone()
            .grant(Some(&token), grant.token.issued_at)
        else {
            return outcome;
        };
        match missed.filter(|_| self.lacks_what_use_needs(&grant.token)) {
            Some(missed) => CallOutcome {
                verdict: Verdict::Unavailable,
                detail: Blotted::concat([
                    "the login worked, but what its requests need besides the token is missing: "
                        .into(),
                    missed,
                ]),
                ..outcome
            },
            None => CallOutcome {
                verdict: Verdict::Good(Box::new(grant)),
                ..outcome
            },
        }
    }

    pub(super) async fn after_login_of_oauth(&mut self, outcome: CallOutcome) -> CallOutcome {
        if let Verdict::Good(grant) = &outcome.verdict {
            self.gathered = Harvest::of(grant);
        }
        self.after_login(outcome).await
    }

    /// A request with a token that the session does not hold yet.
    async fn with_token(
        &mut self,
        token: &Token,
        template: &RequestTemplate,
    ) -> Result<(), CallOutcome> {
        self.known.push(token.access_token.clone());
        let held = Held {
            token: Some(token),
            ..*self.held
        };
        let gathered = self.gathered.clone();
        let context = RequestContext {
            held: &held,
            gathered: &gathered,
            ..self.context()
        };
        let made = context.by_template(template);
        let answer = match self.send(Some(template), made).await {
            Ok(answer) => answer,
            Err(error) => {
                return Err(CallOutcome::without_answer(
                    Request::Ping,
                    &error,
                    self.known,
                ));
            }
        };
        let asked = Asked {
            token: Some(token),
            ..self.asked(Request::Ping, Some(template), answer.wall)
        };
        match step(&asked, &template.captures, &answer.response) {
            Ok(harvest) => {
                self.gathered.add(harvest);
                Ok(())
            }
            Err(classified) => Err(self.outcome(classified, &answer)),
        }
    }

    fn lacks_what_use_needs(&self, token: &Token) -> bool {
        let usage = &self.remote.config.profile.usage;
        let needed = usage
            .headers
            .iter()
            .chain(&usage.cookies)
            .flat_map(|(_, template)| template.names());
        let known = |name: &str| outgoing::is_known(&self.remote.config, token, name);
        needed.into_iter().any(|name| !known(name))
    }

    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            config: &self.remote.config,
            held: self.held,
            gathered: &self.gathered,
            secrets: self.secrets,
            metadata: self.metadata.as_deref(),
            wall: clock::now().wall,
        }
    }

    fn asked<'b>(
        &'b self,
        request: Request,
        template: Option<&'b RequestTemplate>,
        wall: Timestamp,
    ) -> Asked<'b> {
        let config = &self.remote.config;
        let request = if template.is_some() {
            request
        } else {
            self.remote.asked_for(request)
        };
        Asked::of(config, request, template, self.held.token, wall)
    }

    /// Sends what was made, and once more where a redirect leads and the profile says so.
    async fn send(
        &mut self,
        template: Option<&RequestTemplate>,
        made: Result<Outgoing, OutgoingError>,
    ) -> Result<HttpAnswer, NoAnswer> {
        let mut made = made?;
        self.known.extend(made.secrets.iter().cloned());
        let repeats = template.is_some_and(|template| template.repeats);
        for _ in 0..MOST_REDIRECTS {
            let next = made.clone();
            let (response, wall) = self.remote.exchange(made, self.connection).await?;
            self.remote
                .doubt_metadata(response.status, clock::boottime());
            match self.elsewhere(&next, &response).filter(|_| repeats) {
                Some(there) => made = there,
                None => return Ok(HttpAnswer { response, wall }),
            }
        }
        let (response, wall) = self.remote.exchange(made, self.connection).await?;
        Ok(HttpAnswer { response, wall })
    }

    /// The same request where the answer redirects it to, if that is a host of the server's own.
    fn elsewhere(&self, made: &Outgoing, response: &Response) -> Option<Outgoing> {
        let location = response
            .header("location")
            .filter(|_| matches!(response.status, 301 | 302 | 307 | 308))?;
        let url = made
            .url
            .join(location)
            .ok()
            .or_else(|| below(made.url.as_str(), location))?;
        let config = &self.remote.config;
        let own = config
            .profile
            .hosts
            .accept(&url.origin().ascii_serialization(), &config.url)
            .is_ok();
        let is_bare = url.username().is_empty() && url.password().is_none();
        (own && is_bare).then(|| Outgoing {
            url,
            ..made.clone()
        })
    }

    fn outcome(&self, classified: Classified, answer: &HttpAnswer) -> CallOutcome {
        let response = &answer.response;
        CallOutcome {
            detail: self.with_suspicion(
                sentence(response, &classified, self.known),
                &classified.verdict,
            ),
            remedy: None,
            counted: match response.status {
                200..=299 => !response.is_html(),
                400..=499 => true,
                500.. => classified.odd,
                _ => false,
            },
            verdict: classified.verdict,
            skew_millis: response.skew_millis(answer.wall),
            odd: classified.odd,
            quotas: self.remote.quotas(response),
        }
    }

    /// What was refused may be a secret that was stored with more around it than was meant.
    fn with_suspicion(&self, sentence: Blotted, verdict: &Verdict) -> Blotted {
        let is_no = matches!(
            verdict,
            Verdict::Refused { .. } | Verdict::GrantDead | Verdict::Declined
        );
        let held = self
            .held
            .refresh_token
            .map(|token| ("refresh_token", token));
        let secrets = self
            .secrets
            .iter()
            .map(|(name, secret)| (name.as_str(), secret))
            .chain(held);
        match suspicion(secrets).filter(|_| is_no) {
            Some(suspicion) => {
                Blotted::concat([sentence, ": ".into(), Blotted::new(&suspicion, &[])])
            }
            None => sentence,
        }
    }

    /// The output of a program takes the place of an answer.
    async fn command(&mut self) -> CallOutcome {
        let config = &self.remote.config;
        let ran = crate::provider::command::run(config, self.secrets, self.held.timeout).await;
        let (verdict, detail) = match ran {
            Ok(grant) => (
                Verdict::Good(Box::new(grant)),
                "the program printed a token".into(),
            ),
            Err(failed) => {
                let said = Blotted::new(&failed.to_string(), self.known);
                (failed.verdict(&config.profile, &config.grant), said)
            }
        };
        CallOutcome {
            verdict,
            detail,
            remedy: None,
            counted: true,
            skew_millis: None,
            odd: false,
            quotas: Vec::new(),
        }
    }
}

fn refused(confirm: bool, what: Refused) -> Verdict {
    Verdict::Refused { confirm, what }
}

fn good(grant: Grant) -> Classified {
    Verdict::Good(Box::new(grant)).into()
}

impl Remote {
    /// Presenting a refresh token is a renewal, whatever it is for.
    fn asked_for(&self, request: Request) -> Request {
        let by_refresh_token =
            GrantKind::named(&self.config.grant) == Some(GrantKind::RefreshToken);
        if request == Request::Login && by_refresh_token {
            Request::Renew
        } else {
            request
        }
    }
}
