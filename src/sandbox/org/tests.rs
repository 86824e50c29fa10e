use std::sync::LazyLock;

use super::super::reply::{Call, Reply};
use super::*;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkcs8::der::Decode as _;
use pkcs8::{PrivateKeyInfo, SecretDocument};
use serde_json::{Value, json};

static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(|| Credentials::generate().unwrap());

const URL: &str = "http://127.0.0.1:1";
const MINUTE: i64 = 60_000;
/// Seconds since the epoch when the org's timers stand at zero.
const EPOCH: i64 = 1_760_000_000;

#[test]
fn the_idle_timer_restarts_as_documented() {
    // Timeout 30 minutes: model, minutes of use, minute at which the session must have died.
    for (model, uses, death) in [
        (Model::HalfWindow, &[][..], 30),
        (Model::HalfWindow, &[10], 30),
        (Model::HalfWindow, &[20], 50),
        (Model::HalfWindow, &[10, 15, 29], 45),
        (Model::HalfWindow, &[14, 28, 42, 56], 86),
        (Model::Sliding, &[10], 40),
        (Model::Sliding, &[10, 35, 60], 90),
        (Model::Fixed, &[10, 20, 29], 30),
    ] {
        let mut org = org(&json!({ "idle_timeout": "30m", "model": model }));
        let token = org.login(&CREDENTIALS.username, at(0)).unwrap().token;
        for minute in uses {
            assert!(
                org.use_token(&token, true, at(minute * MINUTE)),
                "{model:?} {uses:?}: dead at {minute}"
            );
        }
        assert!(
            org.find(&token, at(death * MINUTE - 1)).is_some(),
            "{model:?} {uses:?}: died before {death}"
        );
        assert!(
            org.find(&token, at(death * MINUTE)).is_none(),
            "{model:?} {uses:?}: lives at {death}"
        );
    }
}

#[test]
fn a_maximum_lifetime_ends_a_session_in_use() {
    let mut org = org(&json!({ "idle_timeout": "30m", "model": "sliding", "max_lifetime": "1h" }));
    let token = org.login(&CREDENTIALS.username, at(0)).unwrap().token;
    let alive = [20, 40, 59, 60].map(|minute| org.use_token(&token, true, at(minute * MINUTE)));
    assert_eq!(alive, [true, true, true, false]);
}

#[test]
fn a_spent_refresh_token_ends_the_whole_line() {
    let mut org = org(&json!({ "rotation": true }));
    let first = CREDENTIALS.refresh_token.clone();
    let (session, second) = org.refresh(&first, at(0)).unwrap();
    let second = second.unwrap();
    assert_eq!(org.refresh(&first, at(1)), Err(Refusal::ExpiredToken));
    assert_eq!(org.refresh(&second, at(2)), Err(Refusal::ExpiredToken));
    assert!(org.find(&session.token, at(3)).is_none());
}

#[test]
fn without_rotation_a_refresh_token_stays() {
    let mut org = org(&json!({}));
    let refreshed =
        [0, 1].map(|millis| org.refresh(&CREDENTIALS.refresh_token, at(millis)).unwrap());
    assert!(refreshed.iter().all(|(_, next)| next.is_none()));
    assert!(
        refreshed
            .iter()
            .all(|(session, _)| org.find(&session.token, at(2)).is_some())
    );
}

#[test]
fn a_refresh_may_end_earlier_tokens() {
    let mut org = org(&json!({ "refresh_ends_earlier": true }));
    let [(first, _), (second, _)] =
        [0, 1].map(|millis| org.refresh(&CREDENTIALS.refresh_token, at(millis)).unwrap());
    assert!(org.find(&first.token, at(2)).is_none());
    assert!(org.find(&second.token, at(2)).is_some());
}

#[test]
fn a_sixth_approval_ends_the_first() {
    let mut org = org(&json!({}));
    let approved: Vec<_> = (0..5)
        .map(|millis| org.approve(&CREDENTIALS.username, at(millis)))
        .collect();
    assert!(!org.knows_refresh_token(&CREDENTIALS.refresh_token));
    assert!(approved.iter().all(|token| org.knows_refresh_token(token)));
}

#[test]
fn an_idle_refresh_token_expires() {
    let mut org = org(&json!({ "refresh_idle_timeout": "1h" }));
    let token = &CREDENTIALS.refresh_token;
    let worked = [59, 118, 178].map(|minute| org.refresh(token, at(minute * MINUTE)).is_ok());
    assert_eq!(worked, [true, true, false]);
}

#[test]
fn three_wrong_passwords_lock_the_user_with_the_same_words() {
    let mut org = org(&json!({}));
    let refused = refused(400, "invalid_grant", "authentication failure");
    for _ in 0..3 {
        assert_eq!(ask(&mut org, &password("wrong"), 0), refused);
    }
    let right = password(&CREDENTIALS.password_with_token());
    assert_eq!(ask(&mut org, &right, 0), refused);
    assert_eq!(ask(&mut org, &right, 15 * 60).0, 200);
}

#[test]
fn two_wrong_passwords_are_forgotten_after_a_right_one() {
    let mut org = org(&json!({}));
    let right = CREDENTIALS.password_with_token();
    let statuses = ["wrong", "wrong", &right, "wrong", "wrong", &right]
        .map(|one| ask(&mut org, &password(one), 0).0);
    assert_eq!(statuses, [400, 400, 200, 400, 400, 200]);
}

#[test]
fn logins_are_limited_by_the_hour() {
    let mut org = org(&json!({ "logins_per_hour": 2 }));
    let login = client_credentials();
    let limited = refused(400, "rate_limit_exceeded", "login rate exceeded");
    assert_eq!(
        [0, 1800].map(|second| ask(&mut org, &login, second).0),
        [200, 200]
    );
    assert_eq!(ask(&mut org, &login, 3599), limited);
    assert_eq!(ask(&mut org, &login, 3600).0, 200);
}

#[test]
fn a_login_may_return_the_living_session() {
    let mut org = org(&json!({ "same_token": true, "idle_timeout": "30m" }));
    let token = |org: &mut Org, minute| {
        org.login(&CREDENTIALS.username, at(minute * MINUTE))
            .unwrap()
            .token
    };
    let tokens = [0, 29, 30].map(|minute| token(&mut org, minute));
    assert_eq!(tokens[0], tokens[1], "a living session is handed out again");
    assert_ne!(
        tokens[1], tokens[2],
        "and the login did not restart its timer"
    );
}

#[test]
fn a_success_has_the_documented_fields_and_no_expires_in() {
    let (status, body) = ask(
        &mut org(&json!({ "rotation": true })),
        &refresh(&CREDENTIALS.refresh_token),
        7,
    );
    assert_eq!(status, 200);
    let names: Vec<_> = body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let expected = [
        "access_token",
        "id",
        "instance_url",
        "issued_at",
        "refresh_token",
        "scope",
        "signature",
        "token_type",
    ];
    assert_eq!(names, expected);
    assert_eq!(body["issued_at"], json!(((EPOCH + 7) * 1000).to_string()));
    assert!(body["access_token"].as_str().unwrap().starts_with("00D"));
}

#[test]
fn assertions_are_judged() {
    let good = json!({
        "iss": CREDENTIALS.client_id, "sub": CREDENTIALS.username, "aud": "https://login.salesforce.com",
        "exp": EPOCH + 180,
    });
    for (change, expected) in [
        (json!({}), None),
        (json!({ "aud": URL }), None),
        (json!({ "exp": (EPOCH + 180).to_string() }), None),
        (json!({ "exp": EPOCH }), Some(Refusal::ExpiredCode)),
        (
            json!({ "aud": "https://elsewhere.example" }),
            Some(Refusal::WrongAudience),
        ),
        (json!({ "iss": "somebody" }), Some(Refusal::UnknownClient)),
        (
            json!({ "sub": "nobody@sandbox.example" }),
            Some(Refusal::NotApproved),
        ),
    ] {
        let mut claims = good.clone();
        claims
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let said = ask(
            &mut org(&json!({})),
            &bearer_grant(&signed(&claims, &CREDENTIALS.private_key)),
            0,
        );
        match expected {
            None => assert_eq!(said.0, 200, "{change}: {said:?}"),
            Some(refusal) => assert_eq!(said, parsed(&refusal.reply()), "{change}"),
        }
    }
}

#[test]
fn a_foreign_key_and_rubbish_are_invalid_assertions() {
    let claims = json!({ "iss": CREDENTIALS.client_id, "sub": CREDENTIALS.username, "aud": URL, "exp": EPOCH + 180 });
    let foreign = signed(&claims, &Credentials::generate().unwrap().private_key);
    for assertion in [foreign.as_str(), "", "a.b.c", "bm8.bm8.bm8"] {
        let said = ask(&mut org(&json!({})), &bearer_grant(assertion), 0);
        assert_eq!(
            said,
            parsed(&Refusal::InvalidAssertion.reply()),
            "{assertion}"
        );
    }
}

#[test]
fn a_skewed_server_finds_a_good_assertion_expired() {
    let claims = json!({ "iss": CREDENTIALS.client_id, "sub": CREDENTIALS.username, "aud": URL, "exp": EPOCH + 180 });
    let mut org = org(&json!({ "skew_millis": 200_000 }));
    let said = ask(
        &mut org,
        &bearer_grant(&signed(&claims, &CREDENTIALS.private_key)),
        0,
    );
    assert_eq!(
        said,
        refused(400, "invalid_grant", "expired authorization code")
    );
}

#[test]
fn clients_are_refused_in_the_documented_words() {
    let mut org = org(&json!({}));
    for (body, expected) in [
        (
            "grant_type=client_credentials&client_id=x",
            refused(400, "invalid_client_id", "client identifier invalid"),
        ),
        (
            "grant_type=magic",
            refused(400, "unsupported_grant_type", "grant type not supported"),
        ),
        (
            &*format!(
                "grant_type=client_credentials&client_id={}",
                CREDENTIALS.client_id
            ),
            wrong_secret(),
        ),
        (
            &*format!(
                "grant_type=refresh_token&client_id={}&client_secret=x",
                CREDENTIALS.client_id
            ),
            wrong_secret(),
        ),
        (
            &*refresh("unknown"),
            refused(400, "invalid_grant", "expired access/refresh token"),
        ),
    ] {
        assert_eq!(ask(&mut org, body, 0), expected, "{body}");
    }
}

#[test]
fn every_refusal_can_be_ordered() {
    for (name, status, error, description) in [
        ("ip_restricted", 400, "invalid_grant", Some("ip restricted")),
        ("inactive_user", 400, "invalid_grant", Some("inactive user")),
        (
            "not_admin_approved",
            400,
            "invalid_app_access",
            Some("user is not admin approved to access this app"),
        ),
        ("unauthorized_client", 400, "unauthorized_client", None),
        (
            "outage_as_invalid_grant",
            503,
            "invalid_grant",
            Some("expired access/refresh token"),
        ),
    ] {
        let (seen, body) = ask(
            &mut org(&json!({ "login_refusal": name })),
            &client_credentials(),
            0,
        );
        assert_eq!(
            (
                seen,
                body["error"].as_str(),
                body["error_description"].as_str()
            ),
            (status, Some(error), description)
        );
    }
}

#[test]
fn data_calls_are_answered_by_session_and_version() {
    let mut org = org(&json!({ "idle_timeout": "30m" }));
    let token = org.login(&CREDENTIALS.username, at(0)).unwrap().token;
    let good = format!("Bearer {token}");
    let dead =
        json!([{ "errorCode": "INVALID_SESSION_ID", "message": "Session expired or invalid" }]);
    for (path, authorization, status, code) in [
        (
            "/services/data/v65.0/",
            Some(good.as_str()),
            200,
            Value::Null,
        ),
        (
            "/services/data/v65.0",
            Some(good.as_str()),
            200,
            Value::Null,
        ),
        (
            "/services/data/v65.0/limits/",
            Some(good.as_str()),
            200,
            Value::Null,
        ),
        ("/services/data/", None, 200, Value::Null),
        (
            "/services/data/v65.0/",
            None,
            401,
            dead[0]["errorCode"].clone(),
        ),
        (
            "/services/data/v65.0/",
            Some("Bearer x"),
            401,
            dead[0]["errorCode"].clone(),
        ),
        (
            "/services/data/v65.0/",
            Some("Gibberish"),
            401,
            json!("INVALID_AUTH_HEADER"),
        ),
        (
            "/services/data/v999.0/",
            Some(good.as_str()),
            404,
            json!("NOT_FOUND"),
        ),
        (
            "/services/data/v29.0/",
            Some(good.as_str()),
            410,
            json!("UNSUPPORTED_API_VERSION"),
        ),
    ] {
        let reply = org.answer(&Call::new("GET", path, "", authorization, ""), &now(0));
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        let seen = body
            .get(0)
            .and_then(|first| first.get("errorCode"))
            .cloned()
            .unwrap_or_default();
        assert_eq!(
            (reply.status, seen),
            (status, code),
            "{path} {authorization:?}"
        );
    }
}

#[test]
fn each_data_call_tells_the_quota_until_it_is_used_up() {
    let mut org = org(&json!({ "api_requests": 1 }));
    let token = org.login(&CREDENTIALS.username, at(0)).unwrap().token;
    let seen = [0, 1].map(|second| {
        let reply = ping(&mut org, &token, second);
        (reply.status, reply.headers["sforce-limit-info"].clone())
    });
    assert_eq!(
        seen,
        [
            (200, "api-usage=1/1".to_owned()),
            (403, "api-usage=2/1".to_owned())
        ]
    );
}

#[test]
fn introspection_needs_the_privilege() {
    for (privilege, active) in [(true, true), (false, false)] {
        let mut org = org(&json!({ "introspection_privilege": privilege, "idle_timeout": "2h" }));
        let token = org.login(&CREDENTIALS.username, at(0)).unwrap().token;
        let (status, body) = introspect(&mut org, &token, 60);
        assert_eq!((status, body["active"].as_bool()), (200, Some(active)));
        assert_eq!(body["exp"].as_i64(), active.then_some(EPOCH + 7200));
    }
}

#[test]
fn a_wrong_client_may_not_introspect() {
    let call = Call::new(
        "POST",
        "/services/oauth2/introspect",
        "",
        None,
        "token=x&client_id=x",
    );
    assert_eq!(
        org(&json!({})).answer(&call, &now(0)),
        Refusal::UnknownClient.reply()
    );
}

#[test]
fn userinfo_says_dead_and_missing_in_plain_text() {
    for (authorization, expected) in [
        (None, "Missing_OAuth_Token"),
        (Some("Bearer x"), "Bad_OAuth_Token"),
    ] {
        let call = Call::new("GET", "/services/oauth2/userinfo", "", authorization, "");
        let reply = org(&json!({})).answer(&call, &now(0));
        assert_eq!((reply.status, reply.body.as_str()), (403, expected));
    }
}

#[test]
fn revoking_ends_what_the_token_opens() {
    let mut org = org(&json!({}));
    let (refreshed, _) = org.refresh(&CREDENTIALS.refresh_token, at(0)).unwrap();
    let other = org.login(&CREDENTIALS.username, at(0)).unwrap();
    let revoke = |org: &mut Org, token: &str| {
        org.answer(
            &Call::new(
                "POST",
                "/services/oauth2/revoke",
                "",
                None,
                &format!("token={token}"),
            ),
            &now(0),
        )
        .status
    };
    assert_eq!(revoke(&mut org, &CREDENTIALS.refresh_token), 200);
    assert!(
        org.find(&refreshed.token, at(1)).is_none(),
        "an access token dies with its refresh token"
    );
    assert!(org.find(&other.token, at(1)).is_some());
    assert_eq!([200, 400], [(); 2].map(|()| revoke(&mut org, &other.token)));
}

fn org(settings: &Value) -> Org {
    let settings = Settings::default().patched(settings).unwrap();
    Org::new(settings, CREDENTIALS.clone(), URL.to_owned(), at(0))
}

fn at(millis: i64) -> Instant {
    Instant::from_millis(millis)
}

fn now(second: i64) -> Now {
    Now {
        boot: at(second * 1000),
        wall: Timestamp::from_second(EPOCH + second).unwrap(),
    }
}

fn ask(org: &mut Org, body: &str, second: i64) -> (u16, Value) {
    parsed(&org.answer(
        &Call::new("POST", "/services/oauth2/token", "", None, body),
        &now(second),
    ))
}

fn ping(org: &mut Org, token: &str, second: i64) -> Reply {
    let authorization = format!("Bearer {token}");
    org.answer(
        &Call::new("GET", "/services/data/v65.0/", "", Some(&authorization), ""),
        &now(second),
    )
}

fn introspect(org: &mut Org, token: &str, second: i64) -> (u16, Value) {
    let body = format!("token={token}&{}", client());
    parsed(&org.answer(
        &Call::new("POST", "/services/oauth2/introspect", "", None, &body),
        &now(second),
    ))
}

fn parsed(reply: &Reply) -> (u16, Value) {
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

fn refused(status: u16, error: &str, description: &str) -> (u16, Value) {
    (
        status,
        json!({ "error": error, "error_description": description }),
    )
}

fn wrong_secret() -> (u16, Value) {
    refused(400, "invalid_client", "invalid client credentials")
}

fn client() -> String {
    format!(
        "client_id={}&client_secret={}",
        CREDENTIALS.client_id, CREDENTIALS.client_secret
    )
}

fn client_credentials() -> String {
    format!("grant_type=client_credentials&{}", client())
}

fn password(password: &str) -> String {
    format!(
        "grant_type=password&{}&username={}&password={password}",
        client(),
        CREDENTIALS.username
    )
}

fn refresh(token: &str) -> String {
    format!(
        "grant_type=refresh_token&{}&refresh_token={token}",
        client()
    )
}

fn bearer_grant(assertion: &str) -> String {
    format!("grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer&assertion={assertion}")
}

fn signed(claims: &Value, key: &str) -> String {
    let (_, document) = SecretDocument::from_pem(key).unwrap();
    let key = EncodingKey::from_rsa_der(
        PrivateKeyInfo::from_der(document.as_bytes())
            .unwrap()
            .private_key,
    );
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), claims, &key).unwrap()
}
