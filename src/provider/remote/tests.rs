//! Against a server on loopback that says what it is told to, and counts.

mod issuer;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use server::{Script, Server, json, offered_protocols};

use super::*;
use crate::named::Named;
use crate::provider::assertion::tests::private_key;
use crate::provider::{HeaderNames, HttpSettings, Profile, Proxy, Sign, Value};
use crate::session::answer::Refused;
use crate::token::Capture;

const TOKEN: &str = r#"{"access_token":"00D!fresh","token_type":"Bearer","scope":"api"}"#;

#[tokio::test]
async fn a_ping_carries_the_token_and_reads_the_quota() {
    let server =
        Server::answering(&json(200, "Sforce-Limit-Info: api-usage=18/5000\r\n", "{}")).await;
    let answer = call(
        &remote(&server, "jwt_bearer", &[]),
        Request::Ping,
        &Secrets::new(),
    )
    .await;
    assert_eq!((answer.verdict, answer.counted), (Verdict::Alive, true));
    assert_eq!(
        answer.quotas,
        [Quota {
            name: "api".into(),
            used: 18,
            limit: 5000
        }]
    );
    let request = server.only_request();
    assert!(
        request.starts_with("GET /services/data/v62.0/ HTTP/1.1\r\n"),
        "{request}"
    );
    for line in [
        "Authorization: Bearer 00D!held",
        "Accept: application/json",
        "User-Agent: keepfresh/",
    ] {
        assert!(request.contains(line), "{line} in {request}");
    }
    assert!(
        !request.contains("cookie") && !request.contains("gzip"),
        "{request}"
    );
}

#[test]
fn an_answer_that_another_program_got_is_judged_without_a_call() {
    let base = "https://acme.my.salesforce.com";
    let config = config_for(base, "jwt_bearer", &[]);
    let remote = Remote::new(config, &mut Clients::default()).unwrap();
    let url = Url::parse(&format!("{base}/services/data/v62.0/limits")).unwrap();
    let seen = |status, body: &'static str| SeenAnswer {
        url: &url,
        status,
        headers: vec![("Sforce-Limit-Info".into(), "api-usage=18/5000".into())],
        body: body.as_bytes(),
        whole: true,
        at: Timestamp::UNIX_EPOCH,
    };
    let dead = r#"[{"errorCode":"INVALID_SESSION_ID","message":"00D!held is over"}]"#;
    let judged = remote.judge(&token(), &seen(401, dead));
    assert_eq!(judged, Sign::Dead { certain: true });
    let judged = remote.judge(&token(), &seen(200, "{}"));
    assert_eq!(judged, Sign::Taken);
}

#[tokio::test]
async fn the_alternative_ping_goes_where_it_says() {
    let server = Server::answering(&json(403, "", "Bad_OAuth_Token")).await;
    let mut config = config(&server, "jwt_bearer", &[]);
    config.ping = Some("userinfo".into());
    let remote = Remote::new(config, &mut Clients::default()).unwrap();
    let answer = call(&remote, Request::Ping, &Secrets::new()).await;
    assert_eq!(
        answer.verdict,
        Verdict::Dead {
            certain: true,
            for_good: false
        }
    );
    assert!(
        server
            .only_request()
            .starts_with("GET /services/oauth2/userinfo ")
    );
}

#[tokio::test]
async fn each_grant_sends_what_it_must() {
    let secrets = secrets(&[
        ("client_secret", "s&cret"),
        ("password", "pass+word"),
        ("security_token", "TOK"),
        ("refresh_token", "5Aep=="),
    ]);
    for (grant, expected) in [
        (
            "client_credentials",
            "grant_type=client_credentials&client_id=3MVG9&client_secret=s%26cret",
        ),
        (
            "password",
            "grant_type=password&username=alice&client_id=3MVG9&client_secret=s%26cret&password=pass%2BwordTOK",
        ),
        (
            "refresh_token",
            "grant_type=refresh_token&refresh_token=5Aep%3D%3D&client_id=3MVG9&client_secret=s%26cret",
        ),
    ] {
        let server = Server::answering(&json(200, "", TOKEN)).await;
        let answer = call(
            &remote(&server, grant, &[("username", "alice")]),
            Request::Login,
            &secrets,
        )
        .await;
        let Verdict::Good(good) = answer.verdict else {
            panic!("{grant}: {}", answer.detail)
        };
        assert_eq!(good.token.access_token.expose(), "00D!fresh");
        let request = server.only_request();
        assert!(
            request.starts_with("POST /services/oauth2/token "),
            "{request}"
        );
        assert_eq!(
            sorted(request.split("\r\n\r\n").nth(1).unwrap()),
            sorted(expected),
            "{grant}"
        );
    }
}

#[tokio::test]
async fn a_signed_login_says_who_for_whom_and_when_by_the_servers_clock() {
    for (values, audience) in [
        (&[("username", "alice")][..], "https://login.salesforce.com"),
        (
            &[
                ("username", "alice"),
                ("audience", "https://test.salesforce.com"),
            ],
            "https://test.salesforce.com",
        ),
    ] {
        let server = Server::answering(&json(200, "", TOKEN)).await;
        let held = Held {
            skew_millis: 3_600_000,
            ..held()
        };
        let secrets = Secrets::from([("private_key".to_owned(), private_key())]);
        let now = clock::now().wall.as_second();
        let answer = remote(&server, "jwt_bearer", values)
            .call(Request::Login, held, &secrets, clock::boottime)
            .await;
        assert_eq!(answer.verdict.word(), "good", "{}", answer.detail);
        let request = server.only_request();
        let (_, form) = request.split_once("\r\n\r\n").unwrap();
        let assertion = form
            .strip_prefix(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
            )
            .unwrap_or_else(|| panic!("{form}"));
        let claims = claims(assertion);
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&"3MVG9".into(), &"alice".into())
        );
        assert_eq!(claims["aud"], audience);
        assert!((0..10).contains(&(claims["exp"].as_i64().unwrap() - now - 3600 - 180)));
    }
}

#[tokio::test]
async fn basic_authentication_encodes_both_halves() {
    let server = Server::answering(&json(200, "", TOKEN)).await;
    let remote = remote(
        &server,
        "client_credentials",
        &[("client_auth", "basic"), ("client_id", "a:b")],
    );
    call(
        &remote,
        Request::Login,
        &secrets(&[("client_secret", "c%d")]),
    )
    .await;
    let request = server.only_request();
    assert!(
        request.contains("Authorization: Basic YSUzQWI6YyUyNWQ=\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with("\r\n\r\ngrant_type=client_credentials"),
        "{request}"
    );
}

#[tokio::test]
async fn a_held_refresh_token_wins_over_the_configured_one() {
    let server = Server::answering(&json(200, "", TOKEN)).await;
    let newer = Secret::new("newer");
    let held = Held {
        refresh_token: Some(&newer),
        ..held()
    };
    let remote = remote(&server, "refresh_token", &[]);
    let answer = remote
        .call(
            Request::Renew,
            held,
            &secrets(&[("refresh_token", "older")]),
            clock::boottime,
        )
        .await;
    assert_eq!(answer.verdict.word(), "good");
    let request = server.only_request();
    assert!(
        request.contains("refresh_token=newer") && !request.contains("older"),
        "{request}"
    );
}

#[tokio::test]
async fn introspection_and_logout_prove_the_client_and_name_the_token() {
    for (request, path, body, expected) in [
        (
            Request::Introspect,
            "introspect",
            r#"{"active":true}"#,
            "introspected",
        ),
        (Request::Logout, "revoke", "", "logged_out"),
    ] {
        let server = Server::answering(&json(200, "", body)).await;
        let remote = remote(&server, "client_credentials", &[]);
        let answer = call(&remote, request, &secrets(&[("client_secret", "s")])).await;
        assert_eq!(answer.verdict.word(), expected);
        let seen = server.only_request();
        assert!(
            seen.starts_with(&format!("POST /services/oauth2/{path} ")),
            "{seen}"
        );
        assert!(
            seen.contains("token=00D%21held") && seen.contains("client_secret=s"),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_server_that_never_ends_is_given_up_in_time_and_called_once() {
    for script in [
        Script::Hang,
        Script::Drip,
        Script::Endless,
        Script::Close,
        Script::CutShort,
    ] {
        for (request, expected) in [
            (Request::Ping, "unavailable"),
            (Request::Login, "unavailable"),
            (Request::Renew, "in_doubt"),
        ] {
            let server = Server::start(script.clone()).await;
            let refresh_token = Secret::new("r");
            let held = Held {
                timeout: Duration::from_millis(400),
                refresh_token: Some(&refresh_token),
                ..held()
            };
            let remote = remote(&server, "client_credentials", &[]);
            let started = clock::boottime();
            let answer = remote
                .call(
                    request,
                    held,
                    &secrets(&[("client_secret", "s")]),
                    clock::boottime,
                )
                .await;
            assert_eq!(
                answer.verdict.word(),
                expected,
                "{script:?} {request:?}: {}",
                answer.detail
            );
            assert!(answer.counted, "{script:?} {request:?}");
            assert!(
                clock::boottime().since(started) < Duration::from_secs(3),
                "{script:?}"
            );
            assert_eq!(server.requests().len(), 1, "{script:?} {request:?}");
        }
    }
}

#[tokio::test]
async fn a_renewal_goes_out_on_a_connection_of_its_own() {
    let answer = json(200, "", TOKEN).replace("Connection: close\r\n", "");
    let server = Server::start(Script::SayOnce(answer)).await;
    let refresh_token = Secret::new("spend-me-once");
    let remote = remote(&server, "jwt_bearer", &[]);
    assert_eq!(
        call(&remote, Request::Ping, &Secrets::new()).await.verdict,
        Verdict::Alive
    );
    for renewals in 1..3 {
        let held = Held {
            token: None,
            refresh_token: Some(&refresh_token),
            ..held()
        };
        let answer = remote
            .call(Request::Renew, held, &Secrets::new(), clock::boottime)
            .await;
        assert_eq!(answer.verdict.word(), "good", "{}", answer.detail);
        assert_eq!(server.requests().len(), 1 + renewals);
    }
}

#[tokio::test]
async fn what_never_arrived_is_known_not_to_have() {
    let server = Server::answering("").await;
    let url = server.url.clone();
    drop(server);
    for (url, request) in [
        (url.as_str(), Request::Renew),
        ("http://localhost:1", Request::Login),
    ] {
        let mut config = config_for(url, "client_credentials", &[]);
        config
            .values
            .insert("client_secret", Value::Plain("s".into()));
        let remote = Remote::new(config, &mut Clients::default()).unwrap();
        let refresh_token = Secret::new("r");
        let held = Held {
            refresh_token: Some(&refresh_token),
            ..held()
        };
        let answer = remote
            .call(request, held, &Secrets::new(), clock::boottime)
            .await;
        assert_eq!(
            (answer.verdict, answer.counted),
            (Verdict::Unavailable, false),
            "{}",
            answer.detail
        );
    }
}

#[tokio::test]
async fn tls_that_fails_is_no_call() {
    let server = Server::answering("no TLS here").await;
    let url = server.url.replace("http:", "https:");
    let remote = Remote::new(
        config_for(&url, "refresh_token", &[]),
        &mut Clients::default(),
    )
    .unwrap();
    let answer = call(&remote, Request::Login, &secrets(&[("refresh_token", "r")])).await;
    assert_eq!(
        (answer.verdict, answer.counted),
        (Verdict::Unavailable, false),
        "{}",
        answer.detail
    );
}

#[tokio::test]
async fn no_server_is_offered_a_version_of_http_that_is_not_spoken() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let offered = std::thread::spawn(move || offered_protocols(&mut listener.accept().unwrap().0));
    let remote = Remote::new(
        config_for(&url, "refresh_token", &[]),
        &mut Clients::default(),
    )
    .unwrap();
    call(&remote, Request::Login, &secrets(&[("refresh_token", "r")])).await;
    assert_eq!(offered.join().unwrap(), ["http/1.1"]);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server = Server::answering(
        "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let answer = call(
        &remote(&server, "jwt_bearer", &[]),
        Request::Ping,
        &Secrets::new(),
    )
    .await;
    assert_eq!(answer.verdict, Verdict::Unavailable);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_secret_that_the_server_echoes_is_not_in_the_detail() {
    let body = r#"{"error":"invalid_grant","error_description":"bad hunter2hunter2 and s3cr3t for 00D!held"}"#;
    let server = Server::answering(&json(400, "", body)).await;
    let secrets = secrets(&[("password", "hunter2hunter2"), ("client_secret", "s3cr3t")]);
    let answer = call(
        &remote(&server, "password", &[("username", "alice")]),
        Request::Login,
        &secrets,
    )
    .await;
    assert_eq!(
        answer.verdict,
        Verdict::Refused {
            confirm: false,
            what: Refused::Credential
        }
    );
    assert!(
        !answer.detail.contains("hunter2") && !answer.detail.contains("s3cr3t"),
        "{}",
        answer.detail
    );
    assert!(!answer.detail.contains("00D!held"), "{}", answer.detail);
}

#[tokio::test]
async fn a_key_that_cannot_sign_needs_a_person_and_sends_nothing() {
    let server = Server::answering(&json(200, "", TOKEN)).await;
    let remote = remote(&server, "jwt_bearer", &[("username", "alice")]);
    let answer = call(
        &remote,
        Request::Login,
        &secrets(&[("private_key", "nonsense")]),
    )
    .await;
    assert_eq!(
        (answer.verdict, answer.counted),
        (
            Verdict::Refused {
                confirm: false,
                what: Refused::Request
            },
            false
        )
    );
    assert!(answer.detail.contains("no key in PEM"), "{}", answer.detail);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_skewed_clock_is_told_by_the_date() {
    let server =
        Server::answering(&json(200, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", "{}")).await;
    let answer = call(
        &remote(&server, "jwt_bearer", &[]),
        Request::Ping,
        &Secrets::new(),
    )
    .await;
    assert!(answer.skew_millis.unwrap() < -1_000_000_000);
}

#[test]
fn only_what_is_sent_is_read() {
    let config = config_for(
        "https://acme.my.salesforce.com",
        "password",
        &[
            ("client_secret", "!"),
            ("password", "!"),
            ("security_token", "!"),
            ("private_key", "!"),
        ],
    );
    let remote = Remote::new(config, &mut Clients::default()).unwrap();
    for (request, expected) in [
        (Request::Ping, &[][..]),
        (
            Request::Login,
            &["client_secret", "password", "security_token"],
        ),
        (Request::Renew, &["client_secret"]),
        (Request::Introspect, &["client_secret"]),
    ] {
        let names: Vec<String> = remote
            .secrets_for(request)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, expected, "{request:?}");
    }
    assert_eq!(remote.host(Request::Login, None), "acme.my.salesforce.com");
    let moved = Token {
        instance_url: Some("https://eu7.salesforce.com".into()),
        ..token()
    };
    assert_eq!(
        remote.host(Request::Ping, Some(&moved)),
        "eu7.salesforce.com"
    );
    let headers = remote.headers(&token());
    assert_eq!(
        headers,
        [("Authorization".to_owned(), Secret::new("Bearer 00D!held"))]
    );
}

async fn call(remote: &Remote, request: Request, secrets: &Secrets) -> Answer {
    let token = token();
    remote
        .call(
            request,
            Held {
                token: Some(&token),
                ..held()
            },
            secrets,
            clock::boottime,
        )
        .await
}

fn held() -> Held<'static> {
    static TOKEN: std::sync::LazyLock<Token> = std::sync::LazyLock::new(token);
    Held {
        call: 7,
        token: Some(&TOKEN),
        refresh_token: None,
        skew_millis: 0,
        timeout: Duration::from_secs(10),
    }
}

fn token() -> Token {
    Token {
        access_token: Secret::new("00D!held"),
        token_type: "Bearer".into(),
        instance_url: None,
        captures: Named::<Capture>::default(),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    }
}

#[tokio::test]
async fn a_request_for_a_token_says_all_that_the_config_wants_said() {
    for (grant, values, expected) in [
        (
            "token_exchange",
            &[
                ("subject_token_type", "jwt"),
                ("requested_token_type", "urn:x:y"),
                ("audience", "a"),
            ][..],
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=sub&actor_token=act&\
             subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&requested_token_type=urn%3Ax%3Ay&audience=a",
        ),
        (
            "client_credentials",
            &[
                ("client_id", "app"),
                ("client_auth", "tls"),
                ("resource", "https://a/ https://b/"),
                ("form.realm", "x y"),
            ],
            "grant_type=client_credentials&resource=https%3A%2F%2Fa%2F&resource=https%3A%2F%2Fb%2F&realm=x+y&client_id=app",
        ),
        (
            "refresh_token",
            &[
                ("client_id", "app"),
                ("scope", "s"),
                ("form.scope", "other"),
                ("resource", "https://a/"),
            ],
            "grant_type=refresh_token&refresh_token=r&scope=other&resource=https%3A%2F%2Fa%2F&client_id=app",
        ),
    ] {
        let server = Server::answering(&json(200, "", TOKEN)).await;
        let plain = values
            .iter()
            .map(|(name, text)| (*name, Value::Plain((*text).into())));
        let mut all: Named<Value> = plain.collect();
        all.insert("token_url", Value::Plain("/token".into()));
        let profile = Profile::named("oauth2", None).unwrap();
        let config = RemoteConfig {
            profile,
            grant: grant.into(),
            values: all,
            ..config(&server, "password", &[])
        };
        let remote = Remote {
            config: config.into(),
            clients: Clients::default(),
            discovery: None,
        };
        let secrets = secrets(&[
            ("subject_token", "sub"),
            ("actor_token", "act"),
            ("refresh_token", "r"),
        ]);
        let answer = call(&remote, Request::Login, &secrets).await;
        assert_eq!(answer.verdict.word(), "good", "{}", answer.detail);
        assert_eq!(
            sorted(server.only_request().split("\r\n\r\n").nth(1).unwrap()),
            sorted(expected),
            "{grant}"
        );
    }
}

fn remote(server: &Server, grant: &str, values: &[(&str, &str)]) -> Remote {
    Remote::new(config(server, grant, values), &mut Clients::default()).unwrap()
}

fn config(server: &Server, grant: &str, values: &[(&str, &str)]) -> RemoteConfig {
    config_for(&server.url, grant, values)
}

/// With every default, as the config hands it over.
fn config_for(url: &str, grant: &str, values: &[(&str, &str)]) -> RemoteConfig {
    let profile = Profile::named("salesforce", None).unwrap();
    let defaults = profile.parameters(grant).unwrap().into_iter();
    let mut all: Named<Value> = defaults
        .filter_map(|known| Some((known.name, Value::Plain(known.default?.into()))))
        .collect();
    for (name, value) in [("client_id", "3MVG9"), ("client_secret", "!")]
        .iter()
        .chain(values)
    {
        let source = || Value::Secret(SecretSource::Env("UNUSED".into()));
        all.insert(
            *name,
            if *value == "!" {
                source()
            } else {
                Value::Plain((*value).into())
            },
        );
    }
    RemoteConfig {
        profile,
        url: Url::parse(url).unwrap().into(),
        grant: grant.into(),
        values: all,
        ping: None,
        http: Arc::new(HttpSettings {
            connect_timeout: Duration::from_secs(2),
            ca_file: None,
            pin_sha256: None,
            client_cert: None,
            client_key: None,
            proxy: Proxy::None,
            allow_plain_http: false,
            header_names: HeaderNames::Title,
        }),
    }
}

fn claims(assertion: &str) -> serde_json::Value {
    let payload = URL_SAFE_NO_PAD
        .decode(assertion.split('.').nth(1).unwrap())
        .unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn secrets(values: &[(&str, &str)]) -> Secrets {
    values
        .iter()
        .map(|(name, value)| ((*name).into(), Secret::new(*value)))
        .collect()
}

fn sorted(form: &str) -> Vec<&str> {
    let mut fields: Vec<&str> = form.split('&').collect();
    fields.sort_unstable();
    fields
}
