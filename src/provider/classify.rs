//! What an answer means: response in, verdict out, and nothing else.
//!
//! Order: a wait that is asked for, outages (whatever the body claims), the profile's rules, the defaults of RFC 6749.

mod denial;
mod ping;
mod sign;
mod token_endpoint;

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::capture;
use super::harvest::{CaptureError, Captures, Harvest, harvest, refresh_token_beside};
use super::profile::Profile;
use super::request::RequestTemplate;
use super::response::{self, Response, until};
use super::rule::{AnswerRule, RuleVerdict, Seen};
use super::settings::RemoteConfig;
use super::token_answer::moment;
use crate::secret::Secret;
use crate::session::answer::{Refused, Request, Verdict};
use crate::token::Token;
use denial::{says_no, speaks_of_credentials};
use ping::alive;
pub use sign::Sign;
pub(super) use sign::sign;
use token_endpoint::{declined, refusal, refused_by};

/// A server in maintenance may be back sooner than announced; our own back-off waits no longer either.
const LONGEST_MAINTENANCE: Duration = Duration::from_mins(5);

/// What was asked, and of whom.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) profile: &'a Profile,
    pub(super) grant: &'a str,
    pub(super) url: &'a Url,
    pub(super) request: Request,
    /// The profile's own request, where it was one.
    pub(super) template: Option<&'a RequestTemplate>,
    /// What the session held.
    pub(super) token: Option<&'a Token>,
    /// Our wall clock when the answer came.
    pub(super) wall: Timestamp,
}

/// A verdict and, where there is more to say than the answer itself does, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classified {
    pub(super) verdict: Verdict,
    /// What is odd about the answer.
    pub(super) oddity: Option<String>,
    /// What a person can do.
    pub(super) remedy: Option<String>,
    /// Something came, but nothing that the API says: a proxy or portal on the way may have written it.
    pub(super) odd: bool,
}

impl From<Verdict> for Classified {
    fn from(verdict: Verdict) -> Self {
        Self {
            verdict,
            oddity: None,
            remedy: None,
            odd: false,
        }
    }
}

/// The verdict where no usable answer came, though the request may have arrived.
pub(super) fn unusable(request: Request) -> Verdict {
    match request {
        Request::Renew => Verdict::InDoubt,
        Request::Ping | Request::Introspect | Request::Login | Request::Logout => {
            Verdict::Unavailable
        }
    }
}

/// As [`unusable`], where something came that is no answer of the API.
fn odd(request: Request, oddity: impl Into<String>) -> Classified {
    Classified {
        oddity: Some(oddity.into()),
        odd: true,
        ..unusable(request).into()
    }
}

/// A renewal's answer with a token that cannot be used. A refresh token that came beside it is the one to present next.
fn useless_renewal(refresh_token: Option<Secret>, oddity: String) -> Classified {
    let odd = odd(Request::Renew, oddity);
    match refresh_token {
        Some(token) => Classified {
            verdict: Verdict::Expired {
                refresh_token: Some(token),
            },
            ..odd
        },
        None => odd,
    }
}

/// Says what `response` means.
pub(super) fn classify(asked: &Asked<'_>, response: &Response) -> Classified {
    let classified = decided(asked, response).unwrap_or_else(|| by_default(asked, response));
    match (asked.request, &classified.verdict) {
        // The next login says why, to the person who must act.
        (Request::Ping, Verdict::Refused { .. }) => Classified {
            verdict: Verdict::Dead {
                certain: true,
                for_good: true,
            },
            ..classified
        },
        (_, _) => classified,
    }
}

/// What an answer to one request of a login or renewal by the profile's own requests tells, if it is a good one.
///
/// # Errors
/// What it means, if it is not.
pub(super) fn step(
    asked: &Asked<'_>,
    captures: &Captures,
    response: &Response,
) -> Result<Harvest, Classified> {
    if let Some(classified) = decided(asked, response) {
        return Err(classified);
    }
    if !asked.succeeds(response) {
        return Err(refusal_of_step(asked, response));
    }
    harvest(
        captures,
        &asked.profile.hosts,
        asked.url,
        response,
        asked.wall,
    )
    .map_err(|error| {
        let oddity = Some(error.to_string());
        match (asked.request, error) {
            (Request::Ping, _) => Classified {
                oddity,
                ..Verdict::Unavailable.into()
            },
            (_, CaptureError::Expired(refresh_token)) => Classified {
                oddity,
                ..Verdict::Expired { refresh_token }.into()
            },
            (Request::Renew, _) if says_no(response) => Verdict::Declined.into(),
            (Request::Renew, error) => useless_renewal(
                refresh_token_beside(captures, response, asked.wall),
                error.to_string(),
            ),
            (_, _) => Classified {
                oddity,
                ..refusal(asked, Refused::Credential).into()
            },
        }
    })
}

impl<'a> Asked<'a> {
    /// What a session of `config` asked with `token`; `template` is the profile's own request, where it was one.
    pub(super) fn of(
        config: &'a RemoteConfig,
        request: Request,
        template: Option<&'a RequestTemplate>,
        token: Option<&'a Token>,
        wall: Timestamp,
    ) -> Self {
        let (profile, grant, url) = (&config.profile, &*config.grant, &*config.url);
        Self {
            profile,
            grant,
            url,
            request,
            template,
            token,
            wall,
        }
    }
}

impl Asked<'_> {
    fn succeeds(&self, response: &Response) -> bool {
        self.template.map_or_else(
            || is_success(response),
            |template| template.succeeds_with(response.status),
        )
    }

    /// Whether the profile expects just this status, which would be no answer otherwise.
    fn expects(&self, status: u16) -> bool {
        self.template
            .is_some_and(|template| template.statuses.contains(&status))
    }
}

/// What a wait that is asked for, an outage or a rule decides, in this order.
fn decided(asked: &Asked<'_>, response: &Response) -> Option<Classified> {
    if response.status == 429 {
        return Some(throttled(asked, response).into());
    }
    if let Some(wait) = maintenance(asked, response) {
        return Some(
            Verdict::Throttled {
                retry_after: Some(wait),
            }
            .into(),
        );
    }
    let outage = outage(asked, response).filter(|_| !asked.expects(response.status));
    if let Some(outage) = outage.as_ref().filter(|_| !may_be_meant(asked, response)) {
        return Some(outage.judged(asked, response));
    }
    let content_type = response.content_type();
    let seen = Seen {
        request: asked.request,
        grant: asked.grant,
        status: response.status,
        content_type: &content_type,
        headers: &response.headers,
        text: &response.text,
        json: response.json.as_ref(),
    };
    let may_hold = |rule: &AnswerRule| {
        outage.is_none()
            || rule.is_about_odd(&seen) && (response.complete || !rule.reads_the_body())
    };
    let mut rules = asked.profile.answers.iter();
    let rule = rules.find(|rule| may_hold(rule) && rule.matches(&seen));
    match (rule, outage) {
        (Some(rule), outage) => Some(judged_by_rule(asked, rule, response, outage.is_some())),
        (None, outage) => outage.map(|outage| outage.judged(asked, response)),
    }
}

/// A page of a proxy on the way may bear the status that a rule names.
fn judged_by_rule(
    asked: &Asked<'_>,
    rule: &AnswerRule,
    response: &Response,
    odd: bool,
) -> Classified {
    let is_death = asked.request == Request::Ping && rule.verdict == RuleVerdict::Dead;
    let odd = odd && is_death && !rule.is_evident();
    let verdict = if odd {
        Verdict::Dead {
            certain: false,
            for_good: rule.for_good,
        }
    } else {
        by_rule(asked, rule, response)
    };
    Classified {
        remedy: rule.remedy.clone(),
        odd,
        ..verdict.into()
    }
}

/// How long a server that is away for a while asks to be left alone (RFC 9110 section 15.6.4).
///
/// Not of a renewal: it may have spent its refresh token, whatever comes of the wait.
fn maintenance(asked: &Asked<'_>, response: &Response) -> Option<Duration> {
    let away = response.status == 503 && asked.request != Request::Renew;
    let wait = away.then(|| response.retry_after(asked.wall)).flatten()?;
    Some(wait.min(LONGEST_MAINTENANCE))
}

/// A redirect or a page can be a server's way to say something, where a rule names it.
fn may_be_meant(asked: &Asked<'_>, response: &Response) -> bool {
    let whole = response.complete || is_no_to_a_ping(asked, response);
    whole && (200..500).contains(&response.status) && response.status != 408
}

/// The status alone says it, whatever becomes of the body.
fn is_no_to_a_ping(asked: &Asked<'_>, response: &Response) -> bool {
    asked.request == Request::Ping && response.status == 401
}

/// Why this is no answer of the API at all, whatever its body claims.
struct Outage {
    oddity: Cow<'static, str>,
    /// Something came all the same, which a server that cannot answer would not have said.
    odd: bool,
}

impl Outage {
    /// A 401 stays one under any body, until a second look.
    fn judged(&self, asked: &Asked<'_>, response: &Response) -> Classified {
        let verdict = if is_no_to_a_ping(asked, response) {
            Verdict::Dead {
                certain: false,
                for_good: false,
            }
        } else {
            unusable(asked.request)
        };
        Classified {
            oddity: Some(self.oddity.clone().into_owned()),
            odd: self.odd,
            ..verdict.into()
        }
    }
}

fn outage(asked: &Asked<'_>, response: &Response) -> Option<Outage> {
    let request = asked.request;
    let away = |oddity: &'static str| {
        Some(Outage {
            oddity: oddity.into(),
            odd: false,
        })
    };
    let odd = |oddity: Cow<'static, str>| Some(Outage { oddity, odd: true });
    match response.status {
        300..=399 => odd(redirected(response)),
        100..=199 => away("that is not a final answer"),
        500.. if sends_password(asked) && speaks_of_credentials(response) => odd(
            "it cannot answer at the moment, but speaks of the login, so it may have counted a wrong password".into(),
        ),
        408 | 500.. => away("it cannot answer at the moment"),
        407 => odd("a proxy on the way asks for credentials".into()),
        // RFC 9110 section 15.5.20, RFC 8470 section 5.2: it was not looked at, another connection may do.
        421 | 425 => away("it asks to be called again on another connection"),
        _ if !response.complete => odd("the answer broke off, or was longer than 1 MiB".into()),
        // A revocation is answered by the status alone (RFC 7009 section 2.2); some call the empty body HTML.
        _ if request == Request::Logout && response.text.is_empty() => None,
        401 if request == Request::Ping && response.text.trim().is_empty() => None,
        _ if response.is_html() => odd("an HTML page came instead of an answer".into()),
        // What it says cannot be read, so it is no refusal either.
        200..=299 if request != Request::Ping && response.encoding().is_some() => {
            odd("it cannot be read".into())
        }
        _ => None,
    }
}

fn redirected(response: &Response) -> Cow<'static, str> {
    match response.leads_to() {
        Some(there) => format!(
            "it redirects to {there}, and keepfresh does not follow; if the server has moved there, set the URL to it"
        )
        .into(),
        None => "it redirects elsewhere, and keepfresh does not follow".into(),
    }
}

fn throttled(asked: &Asked<'_>, response: &Response) -> Verdict {
    Verdict::Throttled {
        retry_after: response.retry_after(asked.wall),
    }
}

/// A rule can say what does not fit the request; then nothing is certain.
fn by_rule(asked: &Asked<'_>, rule: &AnswerRule, response: &Response) -> Verdict {
    let is_ping = asked.request == Request::Ping;
    let is_login = matches!(asked.request, Request::Login | Request::Renew);
    match rule.verdict {
        RuleVerdict::Alive if is_ping => alive(asked, response),
        RuleVerdict::Dead if is_ping => Verdict::Dead {
            certain: rule.certain,
            for_good: rule.for_good,
        },
        RuleVerdict::Dead => dead_elsewhere(asked),
        RuleVerdict::Refused if is_login || is_ping => {
            let confirm = is_login && rule.confirm.unwrap_or(true) && may_confirm(asked);
            Verdict::Refused {
                confirm,
                what: rule.refused.unwrap_or_else(|| refused_by(response)),
            }
        }
        RuleVerdict::GrantDead if is_login => grant_dead(asked),
        RuleVerdict::Throttled => throttled(asked, response),
        RuleVerdict::Forbidden if !is_login => Verdict::Forbidden {
            certain: rule.certain,
        },
        RuleVerdict::Concurrent if asked.request == Request::Renew => Verdict::Concurrent,
        RuleVerdict::Skewed if asked.request == Request::Login => Verdict::Skewed,
        RuleVerdict::LoggedOut if asked.request == Request::Logout => Verdict::LoggedOut,
        RuleVerdict::Alive
        | RuleVerdict::Refused
        | RuleVerdict::GrantDead
        | RuleVerdict::Unavailable
        | RuleVerdict::Forbidden
        | RuleVerdict::InDoubt
        | RuleVerdict::Concurrent
        | RuleVerdict::Skewed
        | RuleVerdict::LoggedOut => unusable(asked.request),
    }
}

/// A death that another request than the ping was told of.
fn dead_elsewhere(asked: &Asked<'_>) -> Verdict {
    match asked.request {
        Request::Renew => Verdict::GrantDead,
        Request::Introspect => Verdict::Introspected {
            active: false,
            remaining: None,
        },
        Request::Logout => Verdict::LoggedOut,
        Request::Ping | Request::Login => unusable(asked.request),
    }
}

fn may_confirm(asked: &Asked<'_>) -> bool {
    asked
        .profile
        .grant_traits(asked.grant)
        .is_some_and(|traits| traits.confirm)
}

/// A login that may lock its user if what it sends is wrong.
fn sends_password(asked: &Asked<'_>) -> bool {
    asked.request == Request::Login && !may_confirm(asked)
}

/// A login has no grant that could die, only one that is refused.
fn grant_dead(asked: &Asked<'_>) -> Verdict {
    match asked.request {
        Request::Renew => Verdict::GrantDead,
        Request::Ping | Request::Introspect | Request::Login | Request::Logout => {
            Verdict::Refused {
                confirm: may_confirm(asked),
                what: Refused::Credential,
            }
        }
    }
}

fn by_default(asked: &Asked<'_>, response: &Response) -> Classified {
    match asked.request {
        Request::Ping => ping::judged(asked, response),
        Request::Login | Request::Renew => token_endpoint::judged(asked, response),
        Request::Introspect if asked.template.is_some() => {
            introspection_by_profile(asked, response).into()
        }
        Request::Introspect => introspection(asked, response),
        Request::Logout => logout(asked, response).into(),
    }
}

fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

/// The server's no to a request of the profile's own.
fn refusal_of_step(asked: &Asked<'_>, response: &Response) -> Classified {
    match (asked.request, response.status) {
        (Request::Renew, 401) => Verdict::GrantDead.into(),
        (Request::Renew, _) => declined(response),
        (Request::Ping, _) => Verdict::Forbidden { certain: false }.into(),
        (Request::Introspect | Request::Login | Request::Logout, _) => {
            refusal(asked, Refused::Credential).into()
        }
    }
}

/// What is left of the token's life, by the profile's own question.
fn introspection_by_profile(asked: &Asked<'_>, response: &Response) -> Verdict {
    if response.status == 401 {
        return Verdict::Introspected {
            active: false,
            remaining: None,
        };
    }
    if !asked.succeeds(response) {
        return Verdict::Forbidden { certain: false };
    }
    let rules = asked
        .template
        .map(|template| template.captures.clone())
        .unwrap_or_default();
    match harvest(
        &rules,
        &asked.profile.hosts,
        asked.url,
        response,
        asked.wall,
    ) {
        Ok(told) => Verdict::Introspected {
            active: told
                .spelt("active")
                .and_then(|active| truth(&Value::from(active)))
                .unwrap_or(true),
            remaining: told.lifetime,
        },
        Err(CaptureError::Expired(_)) => Verdict::Introspected {
            active: false,
            remaining: None,
        },
        Err(_) => Verdict::Unavailable,
    }
}

/// Never says dead: an introspection that fails tells of the client that asks, not of the token.
fn introspection(asked: &Asked<'_>, response: &Response) -> Classified {
    let member = |name: &str| response.json.as_ref()?.get(name);
    match (response.status, member("active").and_then(truth)) {
        (200..=299, Some(active)) => Verdict::Introspected {
            active,
            remaining: remaining(asked, response, member("exp")),
        }
        .into(),
        (200..=299, _) => {
            let oddity = Some("the answer does not say whether the token is active".to_owned());
            Classified {
                oddity,
                ..Verdict::Unavailable.into()
            }
        }
        (_, _) => Verdict::Forbidden { certain: false }.into(),
    }
}

/// RFC 7662 section 2.2 has a Boolean; servers that keep everything as text have it so here.
fn truth(value: &Value) -> Option<bool> {
    match capture::scalar(value)?.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn remaining(asked: &Asked<'_>, response: &Response, exp: Option<&Value>) -> Option<Duration> {
    let exp = exp?;
    let end = moment(exp).or_else(|| response::moment(exp.as_str()?.trim()))?;
    Some(until(end, response.date().unwrap_or(asked.wall)))
}

/// RFC 7009 section 2.2: a token that is gone already is as good as revoked.
fn logout(asked: &Asked<'_>, response: &Response) -> Verdict {
    if asked.template.is_some()
        && (asked.succeeds(response) || matches!(response.status, 401 | 404))
    {
        return Verdict::LoggedOut;
    }
    let gone = matches!(
        response.string_at("/error"),
        Some("invalid_token" | "invalid_grant")
    );
    if is_success(response) || gone {
        Verdict::LoggedOut
    } else {
        Verdict::Forbidden { certain: true }
    }
}

#[cfg(test)]
mod tests;
