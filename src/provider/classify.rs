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
    if let Some(oddity) = outage(response) {
        return Judgement { oddity, ..unusable(asked.request).into() };
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

/// Whether no server answered, but something on the way or a page for people.
fn outage(response: &Response) -> Option<Option<String>> {
    let said = |text: &str| Some(Some(text.to_owned()));
    match response.status {
        300..=399 => said("the server redirects elsewhere, which is not followed"),
        100..=199 | 408 | 500.. => Some(None),
        _ if !response.complete => said("the answer broke off, or was longer than 1 MiB"),
        _ if response.is_html() => said("an HTML page came instead of an answer"),
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
        RuleVerdict::Dead if is_ping => Verdict::Dead { certain: rule.certain },
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
        401 => Verdict::Dead { certain: false }.into(),
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
mod tests {
    use super::*;

    /// The token endpoint's errors (facts.md 1.6), one a line.
    #[test]
    fn the_token_endpoints_errors_are_told_apart() {
        use Request::{Login, Renew};
        for (grant, request, status, error, description, expected) in [
            ("refresh_token", Renew, 400, "invalid_grant", "expired access/refresh token", "grant_dead"),
            ("password", Login, 400, "invalid_grant", "authentication failure", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_grant", "authentication failure", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_grant", "Inactive User", "refused, stop"),
            ("refresh_token", Renew, 400, "inactive_user", "", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_grant", "inactive organization", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_grant", "ip restricted", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_grant", "user hasn't approved this consumer", "refused, confirm"),
            ("jwt_bearer", Login, 400, "invalid_grant", "audience is invalid", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_grant", "expired authorization code", "skewed"),
            ("refresh_token", Renew, 400, "invalid_grant", "expired authorization code", "concurrent"),
            ("client_credentials", Login, 400, "invalid_grant", "expired authorization code", "refused, confirm"),
            ("jwt_bearer", Login, 400, "invalid_grant", "invalid assertion", "refused, stop"),
            (
                "client_credentials",
                Login,
                400,
                "invalid_grant",
                "request not supported on this domain",
                "refused, stop",
            ),
            ("client_credentials", Login, 400, "invalid_grant", "no client credentials user enabled", "refused, stop"),
            ("password", Login, 400, "invalid_grant", "user is locked", "refused, stop"),
            ("password", Login, 400, "invalid_grant", "password expired", "refused, stop"),
            ("password", Login, 400, "invalid_grant", "challenge required", "refused, stop"),
            ("refresh_token", Renew, 400, "invalid_grant", "the Data Not Available", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_app_access", "user is not admin approved", "refused, stop"),
            ("jwt_bearer", Login, 400, "invalid_client_id", "client identifier invalid", "refused, confirm"),
            ("client_credentials", Login, 400, "invalid_client", "invalid client credentials", "refused, stop"),
            ("refresh_token", Renew, 400, "invalid_client", "invalid client credentials", "refused, stop"),
            ("client_credentials", Login, 400, "invalid_client", "app must be installed into org", "refused, stop"),
            ("password", Login, 400, "unsupported_grant_type", "grant type not supported", "refused, stop"),
            ("jwt_bearer", Login, 400, "unauthorized_client", "", "refused, stop"),
            ("jwt_bearer", Login, 400, "rate_limit_exceeded", "", "throttled"),
            ("refresh_token", Renew, 400, "rate_limit_exceeded", "", "throttled"),
            ("jwt_bearer", Login, 400, "x", "Login Rate Exceeded", "throttled"),
            ("jwt_bearer", Login, 400, "server_error", "", "unavailable"),
            ("jwt_bearer", Login, 400, "temporarily_unavailable", "", "unavailable"),
            ("jwt_bearer", Login, 400, "unknown_error", "", "unavailable"),
            ("refresh_token", Renew, 400, "unknown_error", "", "in_doubt"),
            ("password", Login, 503, "invalid_grant", "authentication failure", "unavailable"),
            ("refresh_token", Renew, 500, "invalid_grant", "expired access/refresh token", "in_doubt"),
            ("jwt_bearer", Login, 400, "never_heard_of", "", "refused, confirm"),
            ("password", Login, 400, "never_heard_of", "", "refused, stop"),
            ("refresh_token", Renew, 400, "never_heard_of", "", "in_doubt"),
            ("refresh_token", Renew, 400, "invalid_grant", "", "grant_dead"),
        ] {
            let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
            let seen = verdict("salesforce", grant, request, status, &[], &body);
            assert_eq!(seen, expected, "{grant} {request:?} {status} {body}");
        }
    }

    /// Dead sessions and what only looks like one (facts.md 2.1, 2.2).
    #[test]
    fn a_dead_session_is_not_taken_for_a_look_alike_nor_the_other_way_round() {
        let error = |code: &str, message: &str| format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#);
        for (status, body, expected) in [
            (401, error("INVALID_SESSION_ID", "Session expired or invalid"), "dead, certain"),
            (401, r#"{"message":"Session expired","errorCode":"INVALID_SESSION_ID"}"#.into(), "dead, certain"),
            (403, error("INVALID_SESSION_ID", "Session expired or invalid"), "dead, certain"),
            (400, r#"{"exceptionCode":"InvalidSessionId","exceptionMessage":"x"}"#.into(), "dead, certain"),
            (400, "<error><exceptionCode>InvalidSessionId</exceptionCode></error>".into(), "dead, certain"),
            (403, "Bad_OAuth_Token".into(), "dead, certain"),
            (403, "Missing_OAuth_Token\n".into(), "dead, certain"),
            (401, String::new(), "dead, unsure"),
            (500, "<faultcode>sf:INVALID_SESSION_ID</faultcode>".into(), "unavailable"),
            (
                401,
                error("INVALID_SESSION_ID", "This session is not valid for use with the REST API"),
                "forbidden, certain",
            ),
            (
                401,
                error("INVALID_SESSION_ID", "This session is not valid for use with the REST API. Needs: api"),
                "forbidden, certain",
            ),
            (401, error("X", "Connected app is not attached to Agent"), "forbidden, certain"),
            (401, error("INVALID_OPERATION_WITH_EXPIRED_PASSWORD", "x"), "forbidden, certain"),
            (401, error("INVALID_AUTH_HEADER", "x"), "forbidden, certain"),
            (403, error("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), "throttled"),
            (403, error("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."), "throttled"),
            (403, error("API_CURRENTLY_DISABLED", "x"), "forbidden, certain"),
            (403, error("API_DISABLED_FOR_ORG", "x"), "forbidden, certain"),
            (403, error("INSUFFICIENT_ACCESS", "x"), "forbidden, certain"),
            (403, error("CLIENT_NOT_ACCESSIBLE_FOR_USER", "x"), "forbidden, certain"),
            (403, error("TXN_SECURITY_NO_ACCESS", "x"), "forbidden, certain"),
            (403, error("TXN_SECURITY_METERING_ERROR", "x"), "unavailable"),
            (403, error("TXN_SECURITY_END_A_SESSION", "x"), "dead, certain"),
            (404, error("NOT_FOUND", "x"), "forbidden, certain"),
            (406, String::new(), "unavailable"),
            (410, error("UNSUPPORTED_API_VERSION", "x"), "forbidden, certain"),
            (400, error("InvalidVersion", "x"), "forbidden, certain"),
            (420, "<html>We are setting things up</html>".into(), "unavailable"),
            (420, String::new(), "unavailable"),
            (429, error("X", "x"), "throttled"),
            (500, error("UNKNOWN_EXCEPTION", "x"), "unavailable"),
            (502, String::new(), "unavailable"),
            (503, error("SERVER_UNAVAILABLE", "server too busy"), "unavailable"),
            (504, error("INVALID_SESSION_ID", "Session expired or invalid"), "unavailable"),
            (400, error("ORG_IN_MAINTENANCE", "x"), "unavailable"),
            (400, error("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", "x"), "unavailable"),
            (400, error("UNABLE_TO_LOCK_ROW", "x"), "unavailable"),
            (401, "<!DOCTYPE html><p>INVALID_SESSION_ID".into(), "unavailable"),
            (200, "<html>log in</html>".into(), "unavailable"),
            (200, "not json".into(), "unavailable"),
            (200, r#"{"limits":"/x"}"#.into(), "alive"),
            (302, String::new(), "unavailable"),
            (408, String::new(), "unavailable"),
            (403, String::new(), "forbidden, unsure"),
        ] {
            assert_eq!(
                verdict("salesforce", "jwt_bearer", Request::Ping, status, &[], &body),
                expected,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn what_no_rule_matches_follows_the_protocol() {
        use Request::{Introspect, Login, Logout, Ping, Renew};
        for (request, status, headers, body, expected) in [
            (
                Ping,
                401,
                &[("WWW-Authenticate", "Bearer realm=\"x\", error=\"invalid_token\"")][..],
                "",
                "dead, certain",
            ),
            (Ping, 401, &[("WWW-Authenticate", "Bearer")], "", "dead, unsure"),
            (Ping, 403, &[("WWW-Authenticate", "Bearer error=insufficient_scope")], "", "forbidden, certain"),
            (Login, 200, &[], "{}", "unavailable"),
            (Login, 200, &[], "", "unavailable"),
            (Login, 200, &[], r#"{"error":"invalid_grant"}"#, "refused, confirm"),
            (Login, 401, &[], "", "refused, confirm"),
            (Login, 403, &[], "{}", "refused, confirm"),
            (Login, 429, &[], r#"{"error":"invalid_grant"}"#, "throttled"),
            (Login, 404, &[("Content-Type", "text/html")], "", "unavailable"),
            (Login, 307, &[], "", "unavailable"),
            (Renew, 200, &[], "{}", "in_doubt"),
            (Renew, 204, &[], "", "in_doubt"),
            (Renew, 401, &[], "", "in_doubt"),
            (Renew, 400, &[], r#"{"error":"invalid_grant"}"#, "grant_dead"),
            (Renew, 401, &[], r#"{"error":"invalid_client"}"#, "refused, confirm"),
            (Renew, 502, &[], "", "in_doubt"),
            (Renew, 429, &[], "", "throttled"),
            (Introspect, 200, &[], r#"{"active":false}"#, "introspected"),
            (Introspect, 200, &[], r#"{"active":"yes"}"#, "unavailable"),
            (Introspect, 200, &[], "", "unavailable"),
            (Introspect, 401, &[], r#"{"error":"invalid_client"}"#, "forbidden, unsure"),
            (Introspect, 401, &[], "", "forbidden, unsure"),
            (Introspect, 500, &[], "", "unavailable"),
            (Logout, 200, &[], "", "logged_out"),
            (Logout, 400, &[], r#"{"error":"invalid_token"}"#, "logged_out"),
            (Logout, 401, &[], r#"{"error":"invalid_client"}"#, "forbidden, certain"),
            (Logout, 503, &[], "", "unavailable"),
        ] {
            let seen = verdict("oauth2", "client_credentials", request, status, headers, body);
            assert_eq!(seen, expected, "{request:?} {status} {headers:?} {body}");
        }
    }

    #[test]
    fn an_answer_that_breaks_off_is_no_answer() {
        let profile = Profile::named("oauth2", None).unwrap();
        for (request, expected) in
            [(Request::Ping, "unavailable"), (Request::Login, "unavailable"), (Request::Renew, "in_doubt")]
        {
            let response = Response::new(400, Vec::new(), br#"{"error":"invalid_grant"}"#, false);
            assert_eq!(classify(&asked(&profile, "password", request), &response).verdict.word(), expected);
        }
    }

    #[test]
    fn time_left_is_counted_on_the_servers_own_clock() {
        let profile = Profile::named("oauth2", None).unwrap();
        let date = [("Date".to_owned(), "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())];
        for (exp, expected) in [
            ("784111837", Some(60)),
            ("784111837.5", Some(60)),
            ("\"784111837\"", Some(60)),
            ("0", Some(0)),
            ("\"x\"", None),
            ("-1", None),
        ] {
            let body = format!(r#"{{"active":true,"exp":{exp}}}"#);
            let response = Response::new(200, date.to_vec(), body.as_bytes(), true);
            let verdict = classify(&asked(&profile, "password", Request::Introspect), &response).verdict;
            let Verdict::Introspected { active: true, remaining } = verdict else { panic!("{verdict:?}") };
            assert_eq!(remaining.map(|remaining| remaining.as_secs()), expected, "{exp}");
        }
    }

    #[test]
    fn a_remedy_goes_with_what_a_person_can_mend() {
        let profile = Profile::named("salesforce", None).unwrap();
        let body = br#"{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}"#;
        let response = Response::new(400, Vec::new(), body, true);
        let judgement = classify(&asked(&profile, "jwt_bearer", Request::Login), &response);
        assert!(judgement.remedy.unwrap().contains("pre-authorise the user's profile or permission set"));
    }

    fn verdict(
        profile: &str,
        grant: &str,
        request: Request,
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let profile = Profile::named(profile, None).unwrap();
        let headers = headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let response = Response::new(status, headers, body.as_bytes(), true);
        let verdict = classify(&asked(&profile, grant, request), &response).verdict;
        let addition = match &verdict {
            Verdict::Dead { certain: true } | Verdict::Forbidden { certain: true } => ", certain",
            Verdict::Dead { .. } | Verdict::Forbidden { .. } => ", unsure",
            Verdict::Refused { confirm: true } => ", confirm",
            Verdict::Refused { .. } => ", stop",
            _ => "",
        };
        format!("{}{addition}", verdict.word())
    }

    fn asked<'a>(profile: &'a Profile, grant: &'a str, request: Request) -> Asked<'a> {
        static URL: std::sync::LazyLock<Url> =
            std::sync::LazyLock::new(|| Url::parse("https://acme.my.salesforce.com").unwrap());
        Asked { profile, grant, url: &URL, request, expect: Expect::Json, wall: Timestamp::UNIX_EPOCH }
    }
}
