//! Every answer that servers are known to give, and what it must be taken for.

use super::*;

/// The token endpoint's errors (docs/servers.md, "Errors of the token endpoint"), one a line.
#[test]
fn the_token_endpoints_errors_are_told_apart() {
    for (grant, request, status, error, description, expected) in TOKEN_ENDPOINT {
        let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
        let seen = verdict("salesforce", grant, *request, *status, &[], &body);
        assert_eq!(seen, *expected, "{grant} {request:?} {status} {body}");
    }
}

/// A password that is sent again and again locks its user, while a plain outage must end with it.
#[test]
fn a_password_is_in_doubt_where_an_error_of_the_server_speaks_of_it_and_in_a_plain_outage_it_is_not()
 {
    for (doubt, status, body) in [
        (true, 500, r#"{"error":"invalid_grant"}"#),
        (true, 500, r#"{"message":"Bad credentials","status":500}"#),
        (
            true,
            500,
            r#"{"error":"Internal Server Error","message":"Invalid username or PASSWORD"}"#,
        ),
        (true, 503, r#"{"error":"access_denied"}"#),
        (true, 502, r#"{"code":401,"message":"Unauthorized"}"#),
        (true, 500, "<fault>Authentication failed for alice</fault>"),
        (
            true,
            500,
            "javax.security.auth.login.FailedLoginException: Password Incorrect",
        ),
        (true, 500, "the account is locked"),
        (false, 500, ""),
        (false, 500, r#"{"error":"internal server error"}"#),
        (false, 500, r#"{"error":"server_error"}"#),
        (false, 500, r#"{"message":"database is locked"}"#),
        (false, 500, "<html><form>Password: <input></form></html>"),
        (false, 502, "<html><h1>502 Bad Gateway</h1></html>"),
        (
            false,
            503,
            r#"{"error":"the password service is unavailable"}"#,
        ),
        (
            false,
            504,
            r#"{"message":"authentication failed: timed out"}"#,
        ),
    ] {
        for (grant, is_password) in [("password", true), ("jwt_bearer", false)] {
            let profile = Profile::named("salesforce", None).unwrap();
            let response = Response::new(status, Vec::new(), body.as_bytes(), true);
            let classified = classify(&asked(&profile, grant, Request::Login), &response);
            assert_eq!(
                (classified.verdict.word(), classified.odd),
                ("unavailable", doubt && is_password),
                "{grant} {status} {body}"
            );
        }
    }
}

/// Dead sessions and what only looks like one (docs/servers.md, "Dead sessions and what only looks like one").
#[test]
fn a_dead_session_is_not_taken_for_a_look_alike_nor_the_other_way_round() {
    for (status, code, message, expected) in PING_ERRORS {
        let body = format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#);
        check_ping(*status, &body, expected);
    }
    for (status, body, expected) in PING_BODIES {
        check_ping(*status, body, expected);
    }
}

#[test]
fn what_no_rule_matches_follows_the_protocol() {
    use Request::{Introspect, Login, Logout, Ping, Renew};
    for (request, status, headers, body, expected) in [
        (
            Ping,
            401,
            &[(
                "WWW-Authenticate",
                "Bearer realm=\"x\", error=\"invalid_token\"",
            )][..],
            "",
            "dead, certain",
        ),
        (
            Ping,
            401,
            &[("WWW-Authenticate", "Bearer")],
            "",
            "dead, unsure",
        ),
        (
            Ping,
            403,
            &[("WWW-Authenticate", "Bearer error=insufficient_scope")],
            "",
            "forbidden, certain",
        ),
        (Login, 200, &[], "{}", "unavailable"),
        (Login, 200, &[], "", "unavailable"),
        (
            Login,
            200,
            &[],
            r#"{"error":"invalid_grant"}"#,
            "refused, confirm",
        ),
        (Login, 401, &[], "", "refused, confirm"),
        (Login, 403, &[], "{}", "refused, confirm"),
        (Login, 429, &[], r#"{"error":"invalid_grant"}"#, "throttled"),
        (
            Login,
            404,
            &[("Content-Type", "text/html")],
            "",
            "unavailable",
        ),
        (Login, 307, &[], "", "unavailable"),
        (
            Login,
            200,
            &[("Content-Encoding", "gzip")],
            "\u{1f}",
            "unavailable",
        ),
        (
            Renew,
            200,
            &[("Content-Encoding", "br")],
            "\u{1f}",
            "in_doubt",
        ),
        (
            Ping,
            401,
            &[("Content-Encoding", "gzip")],
            "\u{1f}",
            "dead, unsure",
        ),
        (Renew, 200, &[], "{}", "in_doubt"),
        (Renew, 204, &[], "", "in_doubt"),
        (Renew, 401, &[], "", "in_doubt"),
        (
            Renew,
            400,
            &[],
            r#"{"error":"invalid_grant"}"#,
            "grant_dead",
        ),
        (
            Renew,
            401,
            &[],
            r#"{"error":"invalid_client"}"#,
            "refused, confirm",
        ),
        (Renew, 502, &[], "", "in_doubt"),
        (Renew, 429, &[], "", "throttled"),
        (
            Login,
            200,
            &[],
            r#"{"access_token":"a","expires_in":-12}"#,
            "expired",
        ),
        (
            Renew,
            200,
            &[],
            r#"{"access_token":"a","expires_in":-12}"#,
            "expired",
        ),
        (
            Renew,
            200,
            &[],
            r#"{"access_token":"","error":"invalid_grant"}"#,
            "grant_dead",
        ),
        (
            Login,
            200,
            &[],
            r#"{"access_token":"a","error":""}"#,
            "good",
        ),
        (Introspect, 200, &[], r#"{"active":false}"#, "introspected"),
        (Introspect, 200, &[], r#"{"active":"yes"}"#, "unavailable"),
        (Introspect, 200, &[], "", "unavailable"),
        (
            Introspect,
            401,
            &[],
            r#"{"error":"invalid_client"}"#,
            "forbidden, unsure",
        ),
        (Introspect, 401, &[], "", "forbidden, unsure"),
        (Introspect, 500, &[], "", "unavailable"),
        (Logout, 200, &[], "", "logged_out"),
        (
            Logout,
            200,
            &[("Content-Type", "text/html")],
            "",
            "logged_out",
        ),
        (
            Logout,
            200,
            &[("Content-Type", "text/html")],
            "<html>",
            "unavailable",
        ),
        (
            Logout,
            400,
            &[],
            r#"{"error":"invalid_token"}"#,
            "logged_out",
        ),
        (
            Logout,
            401,
            &[],
            r#"{"error":"invalid_client"}"#,
            "forbidden, certain",
        ),
        (Logout, 503, &[], "", "unavailable"),
        (Ping, 503, &[("Retry-After", "7")], "<html>", "throttled"),
        (Login, 503, &[("Retry-After", "7")], "", "throttled"),
        (Renew, 503, &[("Retry-After", "7")], "", "in_doubt"),
        (Ping, 503, &[("Retry-After", "soon")], "", "unavailable"),
        (Ping, 500, &[("Retry-After", "7")], "", "unavailable"),
    ] {
        let seen = verdict(
            "oauth2",
            "client_credentials",
            request,
            status,
            headers,
            body,
        );
        assert_eq!(seen, expected, "{request:?} {status} {headers:?} {body}");
    }
}

#[test]
fn a_no_under_a_good_status_is_one_by_whatever_name() {
    for body in [
        r#"{"errcode":40001,"errmsg":"invalid credential"}"#,
        r#"{"errcode":"40001"}"#,
        r#"{"errorCode":"INVALID_LOGIN","errorMessage":"unknown user"}"#,
        r#"{"error_description":"wrong password"}"#,
        r#"{"errors":["Bad credentials"]}"#,
        r#"{"error":{"code":17,"message":"no such client"}}"#,
        r#"{"error":true,"message":"no"}"#,
        r#"{"success":false,"message":"Invalid username or password. Please try again."}"#,
        r#"{"success":"false","msg":"bad key"}"#,
        r#"{"ok":false,"detail":"invalid_auth"}"#,
        r#"{"status":"error","message":"bad key"}"#,
        r#"{"Status":"FAILED"}"#,
        r#"{"Result":"failure","Reason":"bad password"}"#,
        r#"{"result":"Access Denied"}"#,
        r#"{"message":"error","data":{"error_code":10002,"description":"param error"}}"#,
        r#"{"Response":{"Error":{"Code":"AuthFailure.SecretIdNotFound","Message":"no such id"}}}"#,
        r#"{"code":401,"msg":"unauthorised"}"#,
        r#"{"statusCode":"403"}"#,
        r#"[{"errorCode":"LOGIN_MUST_USE_SECURITY_TOKEN","message":"no"}]"#,
        r#"{"access_token":"","errcode":40013,"errmsg":"invalid appid"}"#,
        r#"{"access_token":null,"success":false}"#,
    ] {
        for (request, expected) in [
            (Request::Login, "refused, confirm"),
            (Request::Renew, "refused, kept"),
        ] {
            let seen = verdict("oauth2", "client_credentials", request, 200, &[], body);
            assert_eq!(seen, expected, "{request:?} {body}");
        }
    }
    let quoted = Response::new(
        200,
        Vec::new(),
        br#"{"errcode":40001,"errmsg":"invalid credential"}"#,
        true,
    );
    let profile = Profile::named("oauth2", None).unwrap();
    let classified = classify(
        &asked(&profile, "client_credentials", Request::Login),
        &quoted,
    );
    let said = crate::provider::detail::sentence(&quoted, &classified, &[]);
    assert_eq!(
        &*said,
        "the server answered 200 \u{201c}40001\u{201d}, \u{201c}invalid credential\u{201d}"
    );
}

#[test]
fn an_answer_without_a_token_that_decides_nothing_is_no_refusal() {
    for body in [
        r#"{"errcode":-1,"errmsg":"system error, please try again later"}"#,
        r#"{"errcode":45009,"errmsg":"api freq out of limit: too many calls"}"#,
        r#"{"success":false,"message":"The service is temporarily unavailable"}"#,
        r#"{"status":"error","message":"Request timed out"}"#,
        r#"{"status":"error","code":503}"#,
        r#"{"code":429,"status":"error"}"#,
        r#"{"errors":[{"status":"500","detail":"x"}]}"#,
        r#"{"errcode":0,"errmsg":"ok"}"#,
        r#"{"error":null,"errors":[],"success":true}"#,
        r#"{"error":{"code":0,"message":""}}"#,
        r#"{"code":0,"message":"success"}"#,
        r#"{"code":1,"status":"ok"}"#,
        r#"{"code":200,"msg":"done"}"#,
        r#"{"status":"pending"}"#,
        r#"{"message":"Welcome"}"#,
        "[]",
        "\"error\"",
        "error",
    ] {
        for (request, expected) in [
            (Request::Login, "unavailable"),
            (Request::Renew, "in_doubt"),
        ] {
            let seen = verdict("oauth2", "client_credentials", request, 200, &[], body);
            assert_eq!(seen, expected, "{request:?} {body}");
        }
    }
    let beside = r#"{"access_token":"a","errcode":0,"errmsg":"ok","success":true}"#;
    assert_eq!(
        verdict(
            "oauth2",
            "client_credentials",
            Request::Login,
            200,
            &[],
            beside
        ),
        "good"
    );
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let profile = Profile::named("oauth2", None).unwrap();
    for (request, expected) in [
        (Request::Ping, "unavailable"),
        (Request::Login, "unavailable"),
        (Request::Renew, "in_doubt"),
    ] {
        let response = Response::new(400, Vec::new(), br#"{"error":"invalid_grant"}"#, false);
        assert_eq!(
            classify(&asked(&profile, "password", request), &response)
                .verdict
                .word(),
            expected
        );
    }
}

#[test]
fn time_left_is_counted_on_the_servers_own_clock() {
    let profile = Profile::named("oauth2", None).unwrap();
    let date = [(
        "Date".to_owned(),
        "Sun, 06 Nov 1994 08:49:37 GMT".to_owned(),
    )];
    for (exp, expected) in [
        ("784111837", Some(60)),
        ("784111837.5", Some(60)),
        ("\"784111837\"", Some(60)),
        ("784111837000", Some(60)),
        ("784111000", Some(0)),
        ("0", None),
        ("\"x\"", None),
        ("-1", None),
    ] {
        let body = format!(r#"{{"active":true,"exp":{exp}}}"#);
        let response = Response::new(200, date.to_vec(), body.as_bytes(), true);
        let verdict =
            classify(&asked(&profile, "password", Request::Introspect), &response).verdict;
        let Verdict::Introspected {
            active: true,
            remaining,
        } = verdict
        else {
            panic!("{verdict:?}")
        };
        assert_eq!(
            remaining.map(|remaining| remaining.as_secs()),
            expected,
            "{exp}"
        );
    }
}

#[test]
fn an_introspection_that_keeps_truth_and_time_as_text_is_understood() {
    let profile = Profile::named("oauth2", None).unwrap();
    for (body, expected) in [
        (r#"{"active":"true","exp":60}"#, Some((true, Some(60)))),
        (r#"{"active":" True ","exp":"60"}"#, Some((true, Some(60)))),
        (
            r#"{"active":1,"exp":"1970-01-01T00:01:00Z"}"#,
            Some((true, Some(60))),
        ),
        (r#"{"active":"1","exp":null}"#, Some((true, None))),
        (r#"{"active":true,"exp":"soon"}"#, Some((true, None))),
        (r#"{"active":"FALSE"}"#, Some((false, None))),
        (r#"{"active":0}"#, Some((false, None))),
        (r#"{"active":2}"#, None),
        (r#"{"active":"perhaps"}"#, None),
        (r#"{"active":null}"#, None),
        (r#"{"active":[true]}"#, None),
    ] {
        let response = Response::new(200, Vec::new(), body.as_bytes(), true);
        let verdict =
            classify(&asked(&profile, "password", Request::Introspect), &response).verdict;
        let found = if let Verdict::Introspected { active, remaining } = verdict {
            Some((active, remaining.map(|left| left.as_secs())))
        } else {
            None
        };
        assert_eq!(found, expected, "{body}");
    }
}

#[test]
fn a_remedy_goes_with_what_a_person_can_mend() {
    let profile = Profile::named("salesforce", None).unwrap();
    let body =
        br#"{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}"#;
    let response = Response::new(400, Vec::new(), body, true);
    let classified = classify(&asked(&profile, "jwt_bearer", Request::Login), &response);
    assert!(
        classified
            .remedy
            .unwrap()
            .contains("pre-authorise the user's profile or permission set")
    );
}

/// Salesforce, GitHub, Strava, Slack, `WeChat` and others say no in words of their own.
#[test]
fn a_no_to_a_renewal_is_a_no_under_any_name() {
    for (status, body, expected) in [
        (
            400,
            r#"{"error":"app_not_found","error_description":"not installed"}"#,
            "refused, kept",
        ),
        (403, r#"{"error":"access_denied"}"#, "refused, kept"),
        (401, r#"{"error":"invalid_token"}"#, "refused, kept"),
        (400, r#"{"error":"interaction_required"}"#, "refused, kept"),
        (400, r#"{"error":"consent_required"}"#, "refused, kept"),
        (
            200,
            r#"{"ok":false,"error":"account_inactive"}"#,
            "refused, kept",
        ),
        (
            400,
            r#"{"message":"Bad Request","errors":[{"field":"refresh_token","code":"invalid"}]}"#,
            "refused, kept",
        ),
        (
            400,
            r#"{"error":{"code":190,"message":"expired"}}"#,
            "refused, kept",
        ),
        (422, r#"{"message":"no"}"#, "refused, kept"),
        (200, r#"{"error":"bad_refresh_token"}"#, "grant_dead"),
        (401, r#"{"error":"Invalid_Grant"}"#, "grant_dead"),
        (400, r#"{"error":"invalid_refresh_token"}"#, "grant_dead"),
        (400, r#"{"error":"internal_server_error"}"#, "in_doubt"),
        (400, r#"{"error":"too_many_requests"}"#, "throttled"),
        (500, r#"{"error":"access_denied"}"#, "in_doubt"),
        (409, r#"{"message":"another is under way"}"#, "in_doubt"),
        (404, "default backend - 404", "in_doubt"),
        (404, r#"{"message":"no Route matched"}"#, "in_doubt"),
        (404, r#"{"error":"user_not_found"}"#, "refused, kept"),
        (
            200,
            r#"{"errcode":40030,"errmsg":"invalid refresh_token"}"#,
            "refused, kept",
        ),
    ] {
        assert_eq!(
            verdict("oauth2", "refresh_token", Request::Renew, status, &[], body),
            expected,
            "{status} {body}"
        );
    }
}

#[test]
fn a_status_outweighs_a_body_that_contradicts_it_and_what_may_be_anybodys_is_marked() {
    use Request::{Login, Ping, Renew};
    let challenge = ("WWW-Authenticate", "Bearer error=\"invalid_token\"");
    for (request, status, headers, body, whole, expected, odd) in [
        (
            Ping,
            401,
            vec![HTML],
            "<html>401</html>",
            true,
            "dead",
            true,
        ),
        (Ping, 401, vec![HTML], "", true, "dead", false),
        (Ping, 401, vec![], "{\"err", false, "dead", true),
        (
            Ping,
            401,
            vec![HTML, challenge],
            "<html>401</html>",
            true,
            "dead",
            false,
        ),
        (Ping, 401, vec![challenge], "{\"err", false, "dead", false),
        (
            Ping,
            403,
            vec![HTML],
            "<html>403</html>",
            true,
            "unavailable",
            true,
        ),
        (Ping, 302, vec![], "", true, "unavailable", true),
        (
            Ping,
            200,
            vec![HTML],
            "<html>log in</html>",
            true,
            "unavailable",
            true,
        ),
        (
            Ping,
            503,
            vec![HTML],
            "<html>503</html>",
            true,
            "unavailable",
            false,
        ),
        (Ping, 403, vec![], "", true, "forbidden", false),
        (
            Login,
            401,
            vec![HTML],
            "<html>401</html>",
            true,
            "unavailable",
            true,
        ),
        (Login, 200, vec![], "{}", true, "unavailable", true),
        (Login, 502, vec![], "", true, "unavailable", false),
        (
            Renew,
            401,
            vec![HTML],
            "<html>401</html>",
            true,
            "in_doubt",
            true,
        ),
        (
            Renew,
            200,
            vec![HTML],
            "{\"access_token\":\"abc\"}",
            true,
            "good",
            false,
        ),
        (
            Renew,
            400,
            vec![HTML],
            "{\"error\":\"invalid_grant\"}",
            true,
            "grant_dead",
            false,
        ),
        (
            Renew,
            200,
            vec![HTML],
            "{\"access_token\":",
            false,
            "in_doubt",
            true,
        ),
        (Renew, 503, vec![], "", true, "in_doubt", false),
    ] {
        let profile = Profile::named("oauth2", None).unwrap();
        let said = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let response = Response::new(status, said, body.as_bytes(), whole);
        let classified = classify(&asked(&profile, "refresh_token", request), &response);
        let seen = (classified.verdict.word(), classified.odd);
        assert_eq!(
            seen,
            (expected, odd),
            "{request:?} {status} {headers:?} {body}"
        );
    }
}

/// A rule that names nothing but a status may meet the page of a proxy between.
#[test]
fn a_page_with_the_status_of_a_rule_is_looked_at_twice() {
    let page = [HTML];
    let seen = |headers: &[_], body| {
        verdict(
            "github-user",
            "refresh_token",
            Request::Ping,
            401,
            headers,
            body,
        )
    };
    assert_eq!(seen(&page, "<html>401</html>"), "dead, unsure");
    assert_eq!(seen(&[], "{}"), "dead, certain");
}

#[test]
fn a_redirect_says_where_it_leads_and_no_more() {
    for (location, expected) in [
        (
            "https://new.my.salesforce.com/services/oauth2/token",
            "https://new.my.salesforce.com/services/oauth2/token,",
        ),
        (
            "https://me:secret@id.example:8443/a;s=secret?code=secret#secret",
            "https://id.example:8443/a,",
        ),
        (
            "/login?token=secret",
            "https://acme.my.salesforce.com/login,",
        ),
        ("data:secret", "elsewhere"),
        ("https://[", "elsewhere"),
    ] {
        let profile = Profile::named("oauth2", None).unwrap();
        let asked = asked(&profile, "refresh_token", Request::Login);
        let response = Response::new(301, vec![("Location".into(), location.into())], b"", true)
            .answered_by(asked.url);
        let oddity = classify(&asked, &response).oddity.unwrap();
        assert!(
            oddity.contains(expected) && !oddity.contains("secret"),
            "{location}: {oddity}"
        );
    }
}

#[test]
fn a_sign_may_stand_in_any_of_several_headers_of_one_name() {
    let lines = [
        ("WWW-Authenticate", "Negotiate"),
        ("WWW-Authenticate", "Bearer error=\"invalid_token\""),
    ];
    assert_eq!(
        verdict("oauth2", "refresh_token", Request::Ping, 401, &lines, ""),
        "dead, certain"
    );
}

const HTML: (&str, &str) = ("Content-Type", "text/html; charset=UTF-8");

fn verdict(
    profile: &str,
    grant: &str,
    request: Request,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let profile = Profile::named(profile, None).unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let response = Response::new(status, headers, body.as_bytes(), true);
    let verdict = classify(&asked(&profile, grant, request), &response).verdict;
    let addition = match &verdict {
        Verdict::Dead { certain: true, .. } | Verdict::Forbidden { certain: true } => ", certain",
        Verdict::Dead { .. } | Verdict::Forbidden { .. } => ", unsure",
        Verdict::Refused { confirm: true, .. } => ", confirm",
        Verdict::Refused { .. } => ", stop",
        Verdict::Declined => ", kept",
        Verdict::Alive
        | Verdict::Good(_)
        | Verdict::Expired { .. }
        | Verdict::GrantDead
        | Verdict::Throttled { .. }
        | Verdict::Unavailable
        | Verdict::InDoubt
        | Verdict::Concurrent
        | Verdict::Skewed
        | Verdict::LoggedOut
        | Verdict::Introspected { .. } => "",
    };
    format!("{}{addition}", verdict.word())
}

fn asked<'a>(profile: &'a Profile, grant: &'a str, request: Request) -> Asked<'a> {
    static URL: std::sync::LazyLock<Url> =
        std::sync::LazyLock::new(|| Url::parse("https://acme.my.salesforce.com").unwrap());
    Asked {
        profile,
        grant,
        url: &URL,
        request,
        template: (request == Request::Ping)
            .then(|| profile.ping(None))
            .flatten(),
        token: None,
        wall: Timestamp::UNIX_EPOCH,
    }
}

/// Whoever saw the answer: the same rules hold, and what is no death to a ping is none to a job's request.
#[test]
fn a_jobs_answer_tells_of_a_death_what_a_pings_would_and_of_nothing_else() {
    let bodies = PING_ERRORS.iter().map(|(status, code, message, expected)| {
        let body = format!(r#"[{{"message":"{message}","errorCode":"{code}"}}]"#);
        (*status, body, *expected)
    });
    let others = PING_BODIES.iter();
    let others = others.map(|(status, body, expected)| (*status, (*body).to_owned(), *expected));
    for (status, body, expected) in bodies.chain(others) {
        let seen = job_is_told("salesforce", status, &[], &body, true);
        let death = match expected {
            "dead, certain" => Some(true),
            "dead, unsure" => Some(false),
            _ => None,
        };
        assert_eq!(
            death,
            match seen {
                Sign::Dead { certain } => Some(certain),
                Sign::Taken | Sign::Nothing => None,
            },
            "{status} {body}"
        );
    }
}

#[test]
fn of_a_jobs_long_answer_the_beginning_is_enough_and_a_page_proves_nothing() {
    let long = format!(r#"{{"records":["{}"#, "x".repeat(64 * 1024));
    let dead = r#"[{"errorCode":"INVALID_SESSION_ID","message":"Session expired or invalid"}]"#;
    for (status, headers, body, whole, expected) in [
        (200, &[][..], "{}", true, Sign::Taken),
        (204, &[], "", true, Sign::Taken),
        (206, &[], long.as_str(), false, Sign::Taken),
        (200, &[], "id,name\n1,x\n", true, Sign::Taken),
        (200, &[HTML], "<html>", true, Sign::Nothing),
        (200, &[HTML], "<html>", false, Sign::Nothing),
        (200, &[], r#"{"success":false}"#, true, Sign::Nothing),
        (302, &[("Location", "/login")], "", true, Sign::Nothing),
        (404, &[], "", true, Sign::Nothing),
        (403, &[], long.as_str(), false, Sign::Nothing),
        (503, &[], dead, true, Sign::Nothing),
        (401, &[], dead, true, Sign::Dead { certain: true }),
        (
            401,
            &[],
            long.as_str(),
            false,
            Sign::Dead { certain: false },
        ),
    ] {
        let seen = job_is_told("salesforce", status, headers, body, whole);
        let begun: String = body.chars().take(40).collect();
        assert_eq!(seen, expected, "{status} {headers:?} {begun}");
    }
}

fn job_is_told(
    profile: &str,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
    whole: bool,
) -> Sign {
    let profile = Profile::named(profile, None).unwrap();
    let asked = Asked {
        template: None,
        ..asked(&profile, "jwt_bearer", Request::Ping)
    };
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    let response = Response::new(status, headers, body.as_bytes(), whole);
    sign(&asked, &response)
}

fn check_ping(status: u16, body: &str, expected: &str) {
    let seen = verdict("salesforce", "jwt_bearer", Request::Ping, status, &[], body);
    assert_eq!(seen, expected, "{status} {body}");
}

const PING_ERRORS: &[(u16, &str, &str, &str)] = &[
    (
        401,
        "INVALID_SESSION_ID",
        "Session expired or invalid",
        "dead, certain",
    ),
    (
        403,
        "INVALID_SESSION_ID",
        "Session expired or invalid",
        "dead, certain",
    ),
    (
        401,
        "INVALID_SESSION_ID",
        "This session is not valid for use with the REST API",
        "forbidden, certain",
    ),
    (
        401,
        "INVALID_SESSION_ID",
        "This session is not valid for use with the REST API. Needs: api",
        "forbidden, certain",
    ),
    (
        401,
        "X",
        "Connected app is not attached to Agent",
        "forbidden, certain",
    ),
    (
        401,
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD",
        "x",
        "forbidden, certain",
    ),
    (401, "INVALID_AUTH_HEADER", "x", "forbidden, certain"),
    (
        403,
        "REQUEST_LIMIT_EXCEEDED",
        "TotalRequests Limit exceeded.",
        "throttled",
    ),
    (
        403,
        "REQUEST_LIMIT_EXCEEDED",
        "ConcurrentPerOrgLongTxn Limit exceeded.",
        "throttled",
    ),
    (403, "API_CURRENTLY_DISABLED", "x", "forbidden, certain"),
    (403, "API_DISABLED_FOR_ORG", "x", "forbidden, certain"),
    (403, "INSUFFICIENT_ACCESS", "x", "forbidden, certain"),
    (
        403,
        "CLIENT_NOT_ACCESSIBLE_FOR_USER",
        "x",
        "forbidden, certain",
    ),
    (403, "TXN_SECURITY_NO_ACCESS", "x", "forbidden, certain"),
    (403, "TXN_SECURITY_METERING_ERROR", "x", "unavailable"),
    (403, "TXN_SECURITY_END_A_SESSION", "x", "dead, certain"),
    (404, "NOT_FOUND", "x", "forbidden, certain"),
    (410, "UNSUPPORTED_API_VERSION", "x", "forbidden, certain"),
    (400, "InvalidVersion", "x", "forbidden, certain"),
    (429, "X", "x", "throttled"),
    (500, "UNKNOWN_EXCEPTION", "x", "unavailable"),
    (503, "SERVER_UNAVAILABLE", "server too busy", "unavailable"),
    (
        504,
        "INVALID_SESSION_ID",
        "Session expired or invalid",
        "unavailable",
    ),
    (400, "ORG_IN_MAINTENANCE", "x", "unavailable"),
    (
        400,
        "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE",
        "x",
        "unavailable",
    ),
    (400, "UNABLE_TO_LOCK_ROW", "x", "unavailable"),
];

const PING_BODIES: &[(u16, &str, &str)] = &[
    (
        401,
        r#"{"message":"Session expired","errorCode":"INVALID_SESSION_ID"}"#,
        "dead, certain",
    ),
    (
        400,
        r#"{"exceptionCode":"InvalidSessionId","exceptionMessage":"x"}"#,
        "dead, certain",
    ),
    (
        400,
        "<error><exceptionCode>InvalidSessionId</exceptionCode></error>",
        "dead, certain",
    ),
    (403, "Bad_OAuth_Token", "dead, certain"),
    (403, "Missing_OAuth_Token\n", "dead, certain"),
    (401, "", "dead, unsure"),
    (
        500,
        "<faultcode>sf:INVALID_SESSION_ID</faultcode>",
        "unavailable",
    ),
    (406, "", "unavailable"),
    (420, "<html>We are setting things up</html>", "unavailable"),
    (420, "", "unavailable"),
    (502, "", "unavailable"),
    (401, "<!DOCTYPE html><p>INVALID_SESSION_ID", "dead, unsure"),
    (403, "<!DOCTYPE html><p>INVALID_SESSION_ID", "unavailable"),
    (200, "<html>log in</html>", "unavailable"),
    (200, "not json", "unavailable"),
    (200, r#"{"limits":"/x"}"#, "alive"),
    (302, "", "unavailable"),
    (408, "", "unavailable"),
    (403, "", "forbidden, unsure"),
];

const TOKEN_ENDPOINT: &[(&str, Request, u16, &str, &str, &str)] = &[
    (
        "refresh_token",
        Request::Renew,
        400,
        "invalid_grant",
        "expired access/refresh token",
        "grant_dead",
    ),
    (
        "password",
        Request::Login,
        400,
        "invalid_grant",
        "authentication failure",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "authentication failure",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "Inactive User",
        "refused, stop",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "inactive_user",
        "",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "inactive organization",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "ip restricted",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "user hasn't approved this consumer",
        "refused, confirm",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "audience is invalid",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "expired authorization code",
        "skewed",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "invalid_grant",
        "expired authorization code",
        "concurrent",
    ),
    (
        "client_credentials",
        Request::Login,
        400,
        "invalid_grant",
        "expired authorization code",
        "refused, confirm",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_grant",
        "invalid assertion",
        "refused, stop",
    ),
    (
        "client_credentials",
        Request::Login,
        400,
        "invalid_grant",
        "request not supported on this domain",
        "refused, stop",
    ),
    (
        "client_credentials",
        Request::Login,
        400,
        "invalid_grant",
        "no client credentials user enabled",
        "refused, stop",
    ),
    (
        "password",
        Request::Login,
        400,
        "invalid_grant",
        "user is locked",
        "refused, stop",
    ),
    (
        "password",
        Request::Login,
        400,
        "invalid_grant",
        "password expired",
        "refused, stop",
    ),
    (
        "password",
        Request::Login,
        400,
        "invalid_grant",
        "challenge required",
        "refused, stop",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "invalid_grant",
        "the Data Not Available",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_app_access",
        "user is not admin approved",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "invalid_client_id",
        "client identifier invalid",
        "refused, confirm",
    ),
    (
        "client_credentials",
        Request::Login,
        400,
        "invalid_client",
        "invalid client credentials",
        "refused, stop",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "invalid_client",
        "invalid client credentials",
        "refused, stop",
    ),
    (
        "client_credentials",
        Request::Login,
        400,
        "invalid_client",
        "app must be installed into org",
        "refused, stop",
    ),
    (
        "password",
        Request::Login,
        400,
        "unsupported_grant_type",
        "grant type not supported",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "unauthorized_client",
        "",
        "refused, stop",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "rate_limit_exceeded",
        "",
        "throttled",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "rate_limit_exceeded",
        "",
        "throttled",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "x",
        "Login Rate Exceeded",
        "throttled",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "server_error",
        "",
        "unavailable",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "temporarily_unavailable",
        "",
        "unavailable",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "unknown_error",
        "",
        "unavailable",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "unknown_error",
        "",
        "in_doubt",
    ),
    (
        "password",
        Request::Login,
        503,
        "invalid_grant",
        "authentication failure",
        "unavailable",
    ),
    (
        "refresh_token",
        Request::Renew,
        500,
        "invalid_grant",
        "expired access/refresh token",
        "in_doubt",
    ),
    (
        "jwt_bearer",
        Request::Login,
        400,
        "never_heard_of",
        "",
        "refused, confirm",
    ),
    (
        "password",
        Request::Login,
        400,
        "never_heard_of",
        "",
        "refused, stop",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "never_heard_of",
        "",
        "refused, kept",
    ),
    (
        "refresh_token",
        Request::Renew,
        400,
        "invalid_grant",
        "",
        "grant_dead",
    ),
];
