use proptest::prelude::*;

use super::*;
use crate::session::answer::{Refused, Verdict};

/// A status, a body, and what is quoted of it.
const SENTENCES: &[(u16, &str, &str)] = &[
    (
        400,
        r#"{"errors":["invalid role or secret ID: CIDR mismatch"]}"#,
        "“invalid role or secret ID: CIDR mismatch”",
    ),
    (
        401,
        r#"{"error":{"summary":"Signin Error","detail":"Disabled on site MarketingTeam.","code":"401001"}}"#,
        "“401001”, “Disabled on site MarketingTeam.”, “Signin Error”",
    ),
    (
        401,
        r#"{"error":{"code":-304,"message":{"lang":"en-us","value":"Fail to get DB Credentials"}}}"#,
        "“-304”, “Fail to get DB Credentials”",
    ),
    (
        200,
        r#"{"jsonrpc":"2.0","error":{"code":-32500,"message":"Application error.","data":"No permissions for system access."},"id":1}"#,
        "“-32500”, “Application error.”, “No permissions for system access.”",
    ),
    (
        401,
        r#"{"errorCode":"E0000004","errorSummary":"Authentication failed","errorCauses":[]}"#,
        "“E0000004”, “Authentication failed”",
    ),
    (
        401,
        r#"{"imdata":[{"error":{"attributes":{"code":"401","text":"FAILED LDAP bind"}}}]}"#,
        "“FAILED LDAP bind”",
    ),
    (
        401,
        r#"{"error_type":"UNAUTHENTICATED","messages":[{"args":[],"default_message":"Identity source unreachable.","id":"x"}]}"#,
        "“UNAUTHENTICATED”, “Identity source unreachable.”",
    ),
    (
        401,
        r#"{"type":"x","value":{"messages":[{"default_message":"It is locked.","id":"y"}]}}"#,
        "“x”, “It is locked.”",
    ),
    (
        401,
        r#"{"error":{"code":"Base.1.8.GeneralError","message":"See ExtendedInfo","@Message.ExtendedInfo":[{"MessageId":"RAC0212","Message":"Login failed. Verify it."}]}}"#,
        "“Base.1.8.GeneralError”, “See ExtendedInfo”, “Login failed. Verify it.”",
    ),
    (
        401,
        r#"{"messages":[{"type":"WARN","text":"user is locked out"}]}"#,
        "“WARN”, “user is locked out”",
    ),
    (
        401,
        r#"{"errors":[{"code":"INVALID","description":"LDAP server 4 does not answer","field":null}]}"#,
        "“INVALID”, “LDAP server 4 does not answer”",
    ),
    (
        200,
        r#"{"data":null,"code":"390195","message":"MFA is required.","success":false}"#,
        "“390195”, “MFA is required.”",
    ),
    (
        403,
        r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"Not from this address."}"#,
        "“about:blank”, “Not from this address.”, “Forbidden”",
    ),
    (
        400,
        r#"{"message":{"email":["is not an address"]}}"#,
        "“is not an address”",
    ),
    (
        400,
        r#"[{"message":"expired token","errorCode":"INVALID_SESSION_ID"}]"#,
        "“INVALID_SESSION_ID”, “expired token”",
    ),
    (
        401,
        r#"{"timestamp":"2026-01-01","status":401,"error":"Unauthorized","message":"Full authentication is required","path":"/x"}"#,
        "“Unauthorized”, “Full authentication is required”",
    ),
    (
        400,
        r#"{"error": {"reason": "no such realm"}}"#,
        "“no such realm”",
    ),
    (
        400,
        "error=bad_code&error_description=It+has+expired.",
        "“bad_code”, “It has expired.”",
    ),
    (
        500,
        r#"<?xml version="1.0"?><s:Envelope xmlns:s="x"><s:Body><s:Fault><faultcode>sf:INVALID_LOGIN</faultcode><faultstring>Invalid username, or user locked out.</faultstring></s:Fault></s:Body></s:Envelope>"#,
        "“sf:INVALID_LOGIN”, “Invalid username, or user locked out.”",
    ),
    (
        401,
        r#"<tsResponse xmlns="y"><error code="401001"><summary>Signin Error</summary><detail>Bad login.</detail></error></tsResponse>"#,
        "“401001”, “Bad login.”, “Signin Error”",
    ),
    (
        401,
        r#"<response><messages><msg type="WARN">Login failed</msg></messages></response>"#,
        "“WARN”, “Login failed”",
    ),
    (
        401,
        "<html><head><title>401 Authorization\nRequired</title></head></html>",
        "“401 Authorization Required”",
    ),
];

#[test]
fn the_servers_words_are_quoted_and_the_remedy_follows() {
    let body = r#"{"error":"invalid_grant","error_description":"user hasn't approved"}"#;
    let advised = Classified {
        remedy: Some("approve it".to_owned()),
        ..refused()
    };
    assert_eq!(
        &*sentence(&response(400, body), &advised, &[]),
        "the server answered 400 “invalid_grant”, “user hasn't approved”: approve it"
    );
    assert_eq!(
        said(403, "Bad_OAuth_Token\n"),
        "the server answered 403 “Bad_OAuth_Token”"
    );
    assert_eq!(said_oddly(200, "secret"), "the server answered 200: odd");
    assert_eq!(said(503, "<html>x</html>"), "the server answered 503");
}

#[test]
fn the_servers_own_sentence_is_found_wherever_it_puts_it() {
    for (status, body, expected) in SENTENCES {
        assert_eq!(
            said(*status, body),
            format!("the server answered {status} {expected}"),
            "{body}"
        );
    }
}

#[test]
fn where_the_body_says_nothing_the_headers_may() {
    for (name, value, expected) in [
        (
            "WWW-Authenticate",
            r#"Bearer realm="x", error="invalid_token", error_description="The \"token\" expired""#,
            " “invalid_token”, “The \"token\" expired”",
        ),
        (
            "WWW-Authenticate",
            "Bearer error=insufficient_scope",
            " “insufficient_scope”",
        ),
        (
            "X-Error-Message",
            "The licence has run out",
            " “The licence has run out”",
        ),
        (
            "X-Authentication-Denied-Reason",
            "CAPTCHA_CHALLENGE",
            " “CAPTCHA_CHALLENGE”",
        ),
        (
            "Warning",
            r#"299 - "This key is retired""#,
            " “This key is retired”",
        ),
        ("Grpc-Message", "no%20such%20user", " “no such user”"),
        ("X-Session-Error", "abc", ""),
        ("X-Error-Token", "abc", ""),
        ("Server", "an error", ""),
    ] {
        let response = Response::new(401, vec![(name.to_owned(), value.to_owned())], b"", true);
        assert_eq!(
            &*sentence(&response, &refused(), &[]),
            &format!("the server answered 401{expected}"),
            "{name}"
        );
    }
}

#[test]
fn nothing_of_an_answer_is_quoted_that_may_be_secret() {
    for (status, body) in [
        (401, r#"{"token":{"message":"kept quiet here"}}"#),
        (
            401,
            r#"{"session":"kept quiet","detail":{"sessionId":"kept quiet here"}}"#,
        ),
        (
            401,
            r#"{"errors":[{"password":"kept quiet here"}],"cookie":["kept quiet"]}"#,
        ),
        (
            401,
            r#"{"message":{"apiKey":"kept quiet here","ticket":"kept quiet here"}}"#,
        ),
        (200, "kept quiet here"),
        (
            200,
            r#"{"value":"kept quiet here","result":{"id":"kept quiet here"}}"#,
        ),
        (200, r#"{"message":"7f3akeptquiet9"}"#),
        (200, r#"{"code":"keptquiet4Xyzw0pQrS"}"#),
    ] {
        let said = said_oddly(status, body);
        assert_eq!(said, format!("the server answered {status}: odd"), "{body}");
    }
    let good = Classified::from(Verdict::Alive);
    let body = r#"{"message":"Welcome back, your number is 1234"}"#;
    assert_eq!(
        &*sentence(&response(200, body), &good, &[]),
        "the server answered 200"
    );
    let said = said(
        401,
        r#"{"message":"the token eyJhbGciOiJSUzI1NiJ9.eyJzdWIi.c2ln is bad, so is 0123456789abcdef0123456789abcdef"}"#,
    );
    assert_eq!(
        said,
        "the server answered 401 “the token [hidden] is bad, so is [hidden]”"
    );
    let incident = "Trace ID: 3f2504e0-4f89-41d3-9a0c-0305e82c3301 Timestamp: 2026-01-01 10:00:00Z";
    assert!(
        self::said(401, incident).contains(incident),
        "the numbers of incidents stay"
    );
}

#[test]
fn a_password_in_utf_16_is_in_nothing_that_is_said() {
    let secrets = [
        Secret::new("hunter2!Sommer"),
        Secret::new("correct horse battery staple"),
    ];
    for secret in &secrets {
        let text = format!("cannot log in with {} today", secret.expose());
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for body in [
            [&[0xff, 0xfe][..], &little].concat(),
            [&[0xfe, 0xff][..], &big].concat(),
            little,
            big,
        ] {
            for content_type in [
                "text/plain",
                "text/plain; charset=utf-16",
                "application/octet-stream",
            ] {
                let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
                let said = sentence(
                    &Response::new(503, headers, &body, true),
                    &refused(),
                    &secrets,
                );
                assert_eq!(
                    &*said,
                    "the server answered 503 “cannot log in with [secret] today”"
                );
            }
        }
    }
}

#[test]
fn an_encoding_that_nobody_asked_for_is_named() {
    for (encoding, expected) in [
        (
            "gzip",
            "the server answered 401 encoded as gzip, though asked not to: odd",
        ),
        (
            "identity",
            "the server answered 401 \u{201c}\u{fffd}\u{201d}: odd",
        ),
    ] {
        let headers = vec![("Content-Encoding".to_owned(), encoding.to_owned())];
        let response = Response::new(401, headers, &[0x1f, 0x8b], true);
        assert_eq!(&*sentence(&response, &odd(), &[]), expected);
    }
}

#[test]
fn a_secret_that_a_server_echoes_is_blotted_out_even_at_the_cut() {
    let secrets = [Secret::new("hunter2!")];
    for echoed in ["hunter2!", "hunter2%21"] {
        let body = format!(
            r#"{{"error":"x","error_description":"{}{echoed}"}}"#,
            "a".repeat(195)
        );
        let said = sentence(&response(400, &body), &refused(), &secrets);
        assert!(!said.contains("hunt"), "{said}");
    }
}

proptest! {
    #[test]
    fn no_answer_can_garble_a_terminal(body in any::<Vec<u8>>(), status in 100_u16..600) {
        let response = Response::new(status, Vec::new(), &body, true);
        let said = sentence(&response, &refused(), &[]);
        prop_assert!(said.chars().all(|char| !char.is_control()));
        prop_assert!(said.chars().count() < 600);
    }
}

fn said(status: u16, body: &str) -> String {
    sentence(&response(status, body), &refused(), &[]).into()
}

fn said_oddly(status: u16, body: &str) -> String {
    sentence(&response(status, body), &odd(), &[]).into()
}

fn refused() -> Classified {
    Verdict::Refused {
        confirm: false,
        what: Refused::Credential,
    }
    .into()
}

fn odd() -> Classified {
    Classified {
        oddity: Some("odd".to_owned()),
        ..refused()
    }
}

fn response(status: u16, body: &str) -> Response {
    Response::new(status, Vec::new(), body.as_bytes(), true)
}
