//! What an answer means: response in, verdict out, and nothing else.
//!
//! Order: a wait that is asked for, outages (whatever the body claims), the profile's rules, the defaults of RFC 6749.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use url::Url;

use super::profile::Profile;
use super::request::Expect;
use super::response::{Response, until};
use super::rule::{AnswerRule, RuleVerdict, Seen};
use super::token_answer::{self, number};
use crate::session::answer::{Request, Verdict};

/// What was asked, and of whom.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) profile: &'a Profile,
    pub(super) grant: &'a str,
    pub(super) url: &'a Url,
    pub(super) request: Request,
    /// The shape of a ping's success.
    pub(super) expect: Expect,
    /// Our wall clock when the answer came.
    pub(super) wall: Timestamp,
}

/// A verdict and, where there is more to say than the answer itself does, why and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    /// What is odd about the answer.
    pub(super) oddity: Option<String>,
    /// What a person can do.
    pub(super) remedy: Option<String>,
}

impl From<Verdict> for Judgement {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, oddity: None, remedy: None }
    }
}

/// The verdict where no usable answer came, though the request may have arrived.
pub(super) fn unusable(request: Request) -> Verdict {
    match request {
        Request::Renew => Verdict::InDoubt,
        Request::Ping | Request::Introspect | Request::Login | Request::Logout => Verdict::Unavailable,
    }
}

/// Says what `response` means.
pub(super) fn classify(asked: &Asked<'_>, response: &Response) -> Judgement {
    if response.status == 429 {
        return throttled(asked, response).into();
    }
    if let Some(oddity) = outage(asked.request, response) {
        return Judgement { oddity: Some(oddity.to_owned()), ..unusable(asked.request).into() };
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
    match asked.profile.answers.iter().find(|rule| rule.matches(&seen)) {
        Some(rule) => Judgement { remedy: rule.remedy.clone(), ..by_rule(asked, rule, response).into() },
        None => by_default(asked, response),
    }
}

/// The first of a profile's examples that its rules take for something else: its line, and what is wrong.
pub(super) fn misjudged(profile: &Profile) -> Option<(usize, String)> {
    let url = Url::parse("https://example.invalid").ok()?;
    profile.examples.iter().find_map(|example| {
        let expect = profile.ping(None).map_or(Expect::Json, |ping| ping.expect);
        let (grant, request, wall) = (example.grant.as_str(), example.to, Timestamp::UNIX_EPOCH);
        let asked = Asked { profile, grant, url: &url, request, expect, wall };
        let response = Response::new(example.status, example.headers.clone(), example.body.as_bytes(), true);
        let (expected, seen) = (&example.verdict, classify(&asked, &response).verdict);
        let message = || format!("example: the rules take this answer for `{}`, not `{expected}`", seen.word());
        (seen.word() != expected).then(|| (example.line, message()))
    })
}

/// Why this is no answer of the API at all, whatever its body claims.
fn outage(request: Request, response: &Response) -> Option<&'static str> {
    match response.status {
        300..=399 => Some("it redirects elsewhere, which is not followed"),
        100..=199 => Some("that is no final answer"),
        408 | 500.. => Some("it cannot answer at the moment"),
        _ if !response.complete => Some("the answer broke off, or was longer than 1 MiB"),
        // A revocation is answered by the status alone (RFC 7009 section 2.2); some call the empty body HTML.
        _ if request == Request::Logout && response.text.is_empty() => None,
        _ if response.is_html() => Some("an HTML page came instead of an answer"),
        _ => None,
    }
}

fn throttled(asked: &Asked<'_>, response: &Response) -> Verdict {
    Verdict::Throttled { retry_after: response.retry_after(asked.wall) }
}

/// A rule can say what does not fit the request; then nothing is certain.
fn by_rule(asked: &Asked<'_>, rule: &AnswerRule, response: &Response) -> Verdict {
    let is_ping = asked.request == Request::Ping;
    let is_login = matches!(asked.request, Request::Login | Request::Renew);
    match rule.verdict {
        RuleVerdict::Alive if is_ping => Verdict::Alive,
        RuleVerdict::Dead if is_ping => Verdict::Dead { certain: rule.certain, for_good: rule.for_good },
        RuleVerdict::Refused if is_login => {
            Verdict::Refused { confirm: rule.confirm.unwrap_or(true) && may_confirm(asked) }
        }
        RuleVerdict::GrantDead if is_login => grant_dead(asked),
        RuleVerdict::Throttled => throttled(asked, response),
        RuleVerdict::Forbidden if !is_login => Verdict::Forbidden { certain: rule.certain },
        RuleVerdict::Concurrent if asked.request == Request::Renew => Verdict::Concurrent,
        RuleVerdict::Skewed if asked.request == Request::Login => Verdict::Skewed,
        RuleVerdict::LoggedOut if asked.request == Request::Logout => Verdict::LoggedOut,
        RuleVerdict::Alive
        | RuleVerdict::Dead
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

fn may_confirm(asked: &Asked<'_>) -> bool {
    asked.profile.grant_traits(asked.grant).is_some_and(|traits| traits.confirm)
}

/// A login has no grant that could die, only one that is refused.
fn grant_dead(asked: &Asked<'_>) -> Verdict {
    match asked.request {
        Request::Renew => Verdict::GrantDead,
        Request::Ping | Request::Introspect | Request::Login | Request::Logout => {
            Verdict::Refused { confirm: may_confirm(asked) }
        }
    }
}

fn by_default(asked: &Asked<'_>, response: &Response) -> Judgement {
    match asked.request {
        Request::Ping => ping(asked, response),
        Request::Login | Request::Renew => login(asked, response),
        Request::Introspect => introspection(asked, response),
        Request::Logout => logout(response).into(),
    }
}

fn is_success(response: &Response) -> bool {
    (200..300).contains(&response.status)
}

fn ping(asked: &Asked<'_>, response: &Response) -> Judgement {
    match response.status {
        200..=299 if asked.expect == Expect::Any || response.json.is_some() => Verdict::Alive.into(),
        200..=299 => Judgement { oddity: Some("the answer is not JSON".to_owned()), ..Verdict::Unavailable.into() },
        401 => Verdict::Dead { certain: false, for_good: false }.into(),
        _ => Verdict::Forbidden { certain: false }.into(),
    }
}

fn login(asked: &Asked<'_>, response: &Response) -> Judgement {
    let error = response.string_at("/error").filter(|error| !error.is_empty());
    match error {
        Some(error) if !is_success(response) || response.string_at("/access_token").is_none() => {
            oauth_error(asked, error, response).into()
        }
        Some(_) | None if is_success(response) => token(asked, response),
        Some(_) | None => refusal(asked).into(),
    }
}

fn token(asked: &Asked<'_>, response: &Response) -> Judgement {
    match token_answer::grant(asked.profile, asked.url, response, asked.wall) {
        Ok(grant) => Verdict::Good(Box::new(grant)).into(),
        Err(odd) => Judgement { oddity: Some(odd.to_string()), ..unusable(asked.request).into() },
    }
}

/// An error without a name: a login was answered with no, of a renewal nobody knows.
fn refusal(asked: &Asked<'_>) -> Verdict {
    match asked.request {
        Request::Renew => Verdict::InDoubt,
        Request::Ping | Request::Introspect | Request::Login | Request::Logout => {
            Verdict::Refused { confirm: may_confirm(asked) }
        }
    }
}

/// RFC 6749 sections 4.1.2.1 and 5.2, RFC 8628 section 3.5.
fn oauth_error(asked: &Asked<'_>, error: &str, response: &Response) -> Verdict {
    match error {
        "server_error" | "temporarily_unavailable" => unusable(asked.request),
        "slow_down" => throttled(asked, response),
        "invalid_grant" => grant_dead(asked),
        "invalid_client" | "unauthorized_client" | "unsupported_grant_type" | "invalid_scope" => {
            Verdict::Refused { confirm: may_confirm(asked) }
        }
        _ => refusal(asked),
    }
}

/// Never says dead: an introspection that fails tells of the client that asks, not of the token.
fn introspection(asked: &Asked<'_>, response: &Response) -> Judgement {
    let member = |name: &str| response.json.as_ref()?.get(name);
    match (response.status, member("active")) {
        (200..=299, Some(Value::Bool(active))) => {
            Verdict::Introspected { active: *active, remaining: remaining(asked, response, member("exp")) }.into()
        }
        (200..=299, _) => {
            let oddity = Some("the answer does not say whether the token is active".to_owned());
            Judgement { oddity, ..Verdict::Unavailable.into() }
        }
        (_, _) => Verdict::Forbidden { certain: false }.into(),
    }
}

fn remaining(asked: &Asked<'_>, response: &Response, exp: Option<&Value>) -> Option<Duration> {
    let since_epoch = Duration::try_from_secs_f64(number(exp?)?).ok()?;
    let end = Timestamp::UNIX_EPOCH.checked_add(since_epoch).ok()?;
    Some(until(end, response.date().unwrap_or(asked.wall)))
}

/// RFC 7009 section 2.2: a token that is gone already is as good as revoked.
fn logout(response: &Response) -> Verdict {
    let gone = matches!(response.string_at("/error"), Some("invalid_token" | "invalid_grant"));
    if is_success(response) || gone { Verdict::LoggedOut } else { Verdict::Forbidden { certain: true } }
}

#[cfg(test)]
mod tests;
