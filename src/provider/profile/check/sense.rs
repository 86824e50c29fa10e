//! What is wrong with a profile as a whole: rules that can never match, requests that nothing makes, lifetimes that nothing states.

use std::time::Duration;

use super::{Checked, Place, Wrong};
use crate::provider::profile::Profile;
use crate::provider::profile::content::Protocol;
use crate::provider::request::RequestTemplate;
use crate::provider::rule::{AnswerRule, RuleVerdict};
use crate::session::answer::Request;
use crate::session::policy::WindowModel;

/// What one request can be.
const REQUESTS: [Request; 5] = [
    Request::Ping,
    Request::Introspect,
    Request::Renew,
    Request::Login,
    Request::Logout,
];

/// Looks at everything together.
pub(super) fn check(profile: &Profile) -> Checked<()> {
    for (index, rule) in profile.answers.iter().enumerate() {
        fits(profile, rule)?;
        can_match(profile, rule)?;
        let earlier = profile.answers.iter().take(index);
        if let Some(before) = earlier.clone().find(|before| before.takes_all_of(rule)) {
            return Err(at(rule.line, taken_before(before, rule)));
        }
    }
    has_a_wrong_password(profile)?;
    can_use_refresh_tokens(profile)?;
    knows_how_long_tokens_live(profile)?;
    can_be_kept_alive(profile)
}

/// A verdict must mean something for at least one of the requests that the rule is about, and the profile makes.
fn fits(profile: &Profile, rule: &AnswerRule) -> Checked<()> {
    let about: Vec<Request> = REQUESTS
        .into_iter()
        .filter(|request| rule.to.is_empty() || rule.to.contains(request))
        .collect();
    if !about.iter().any(|request| makes(profile, *request)) {
        return Err(at(
            rule.line,
            "answer: it can never match: the profile makes no such request".to_owned(),
        ));
    }
    if !about.iter().any(|request| means(rule.verdict, *request)) {
        let message = format!(
            "answer: `{}` is no verdict on such an answer",
            rule.verdict.word()
        );
        return Err(at(rule.line, message));
    }
    if rule.refused.is_some() && rule.verdict != RuleVerdict::Refused {
        return Err(at(
            rule.line,
            "answer: `refused` goes with verdict = \"refused\" only".to_owned(),
        ));
    }
    if rule.for_good && rule.verdict != RuleVerdict::Dead {
        return Err(at(
            rule.line,
            "answer: next = \"login\" goes with verdict = \"dead\" only".to_owned(),
        ));
    }
    Ok(())
}

fn makes(profile: &Profile, request: Request) -> bool {
    let own = |template: &Option<RequestTemplate>| {
        template.is_some() || profile.protocol == Protocol::OAuth2
    };
    match request {
        Request::Ping => profile.has_ping(),
        Request::Login => true,
        Request::Renew => own(&profile.renew),
        Request::Introspect => own(&profile.introspection),
        Request::Logout => own(&profile.logout),
    }
}

/// What `classify` makes something of.
fn means(verdict: RuleVerdict, request: Request) -> bool {
    let is_login = matches!(request, Request::Login | Request::Renew);
    match verdict {
        RuleVerdict::Alive => request == Request::Ping,
        RuleVerdict::Dead => request != Request::Login,
        RuleVerdict::Refused => is_login || request == Request::Ping,
        RuleVerdict::GrantDead => is_login,
        RuleVerdict::Forbidden => !is_login,
        RuleVerdict::Concurrent | RuleVerdict::InDoubt => request == Request::Renew,
        RuleVerdict::Skewed => request == Request::Login,
        RuleVerdict::LoggedOut => request == Request::Logout,
        RuleVerdict::Throttled | RuleVerdict::Unavailable => true,
    }
}

/// A program's status is any number.
fn can_match(profile: &Profile, rule: &AnswerRule) -> Checked<()> {
    if profile.protocol == Protocol::Command {
        return Ok(());
    }
    let is_outage = |status: &u16| matches!(status, 0..=199 | 408 | 429 | 500..);
    match rule.statuses.iter().find(|status| is_outage(status)) {
        Some(status) => Err(at(
            rule.line,
            format!(
                "answer: it can never match: {status} is always an outage or a request to wait"
            ),
        )),
        None => Ok(()),
    }
}

fn taken_before(before: &AnswerRule, rule: &AnswerRule) -> String {
    if before.verdict == rule.verdict {
        return format!(
            "answer: it can never match: the rule in line {} takes all its answers",
            before.line
        );
    }
    format!(
        "answer: it conflicts with the rule in line {}, which takes all its answers first and says `{}`: put the \
         narrower one first",
        before.line,
        before.verdict.word()
    )
}

/// A profile that logs in with a password must say what a wrong one looks like, or repeated tries lock the user out.
fn has_a_wrong_password(profile: &Profile) -> Checked<()> {
    let is_one = |example: &crate::provider::profile::Example| {
        example.to == Request::Login && example.verdict == "refused"
    };
    if profile.protocol == Protocol::Command || profile.examples.iter().any(is_one) {
        return Ok(());
    }
    let message =
        "example: there must be one of a wrong password: to = \"login\", verdict = \"refused\"";
    Err(at(1, message.to_owned()))
}

fn knows_how_long_tokens_live(profile: &Profile) -> Checked<()> {
    let says = |template: &RequestTemplate| {
        ["expires_in", "expires_at"]
            .iter()
            .any(|name| template.captures.contains_key(*name))
    };
    let known = profile.protocol != Protocol::Http
        || profile.window.model != WindowModel::Fixed
        || profile.window.token_lifetime.is_some()
        || profile
            .logins
            .iter()
            .any(|login| login.steps.iter().any(says))
        || profile.after_login.iter().any(says);
    if known {
        return Ok(());
    }
    let message = "window: model = \"fixed\" needs to know how long a token lives: capture `expires_in` or \
                   `expires_at` at login, or give token_lifetime";
    Err(at(1, message.to_owned()))
}

fn can_use_refresh_tokens(profile: &Profile) -> Checked<()> {
    let captured = profile
        .logins
        .iter()
        .flat_map(|login| &login.steps)
        .chain(&profile.after_login);
    let in_vain = profile.renew.is_none()
        && captured
            .into_iter()
            .any(|step| step.captures.contains_key("refresh_token"));
    if in_vain {
        let message =
            "renew: it is missing: a `refresh_token` is captured, and nothing presents it";
        return Err(at(1, message.to_owned()));
    }
    Ok(())
}

fn can_be_kept_alive(profile: &Profile) -> Checked<()> {
    let idles_out = profile
        .window
        .idle_timeout
        .is_some_and(|timeout| timeout > Duration::ZERO);
    let needs_ping = idles_out
        && profile.window.model != WindowModel::Fixed
        && profile.protocol == Protocol::Http;
    if needs_ping && !profile.has_ping() {
        let message =
            "ping: it is missing: a session that idles out needs a request that keeps it alive";
        return Err(at(1, message.to_owned()));
    }
    Ok(())
}

fn at(line: usize, message: String) -> Wrong {
    Wrong {
        at: Place::Line(line),
        message,
    }
}
