//! No secret gets out: not by servers that repeat what they were sent, not by state on the disk, not by what anybody may ask.

use std::io::BufReader;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use crate::support::daemon::{Lab, Session};
use crate::support::leaks::{Forms, files, lower_escapes};
use crate::support::org::{Endpoint, RefreshTokens, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::wire::{Request, Response, read_request};
use crate::support::{SOON, within};

const FIRST_KEY: &str = "the first key of this state, long enough";
const SECOND_KEY: &str = "the second key of this state, as long";

/// How a server repeats a secret in what it says is wrong.
type Manner = fn(&str) -> String;

const MANNERS: [(&str, Manner); 13] = [
    ("plain", |secret| format!("'{secret}' is wrong")),
    ("bare", ToOwned::to_owned),
    ("percent", |secret| {
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()
    }),
    ("percent-lower", |secret| {
        lower_escapes(&utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string())
    }),
    ("base64", |secret| {
        format!("got {}", STANDARD.encode(format!("app:{secret}")))
    }),
    ("json", |secret| {
        serde_json::to_string(&json!({ "password": secret })).unwrap()
    }),
    ("start", |secret| {
        format!("{}... is wrong", &secret[..secret.len() / 2])
    }),
    ("url", |secret| {
        format!(
            "https://login.example/?token={}&x=1",
            utf8_percent_encode(secret, NON_ALPHANUMERIC)
        )
    }),
    ("unseen", |secret| {
        secret.chars().flat_map(|char| [char, '\u{200b}']).collect()
    }),
    ("entities", |secret| {
        secret.chars().fold(String::new(), |text, char| {
            format!("{text}&#{};", u32::from(char))
        })
    }),
    ("twice", |secret| {
        let once = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        utf8_percent_encode(&once, NON_ALPHANUMERIC).to_string()
    }),
    ("all-but-one", |secret| format!("{} is wrong", &secret[1..])),
    ("late", |secret| format!("{}{secret}", "x".repeat(190))),
];

#[test]
fn a_server_that_repeats_what_it_was_sent_in_any_form_gets_no_secret_into_anything_that_is_shown() {
    for log_target in ["text", "json"] {
        let echoes: Vec<Echo> = MANNERS
            .iter()
            .map(|(_, manner)| Echo::start(*manner))
            .collect();
        let heard: Vec<_> = echoes.iter().map(|echo| Arc::clone(&echo.heard)).collect();
        let server = Arc::new(Salesforce::start(Settings::default()));
        let all = Arc::clone(&server);
        let needles = move || {
            let heard = heard.iter().flat_map(|heard| heard.lock().unwrap().clone());
            heard
                .flat_map(|secret| [secret.clone(), secret[..secret.len() / 2].to_owned()])
                .chain(all.needles())
                .collect()
        };
        let mut lab = Lab::bare(&server.url(), needles);
        lab.log_target = log_target;
        for (name, secret) in [
            ("client-secret", server.client_secret()),
            ("password", server.password()),
        ] {
            lab.secret(name, &secret);
        }
        lab.secret("security-token", &server.security_token());
        lab.secret("key.pem", &crate::support::assertion::private_key_pem());
        let mut sessions: Vec<Session> = Vec::new();
        for ((manner, _), echo) in MANNERS.iter().zip(&echoes) {
            let of = |grant: &str| format!("{grant}-{manner}");
            sessions.extend([
                lab.by_client(&of("post")).url(&echo.url),
                lab.by_client(&of("basic"))
                    .login_key("client_auth", "basic")
                    .url(&echo.url),
                lab.by_password(&of("password"), &of("user")).url(&echo.url),
                lab.by_key(&of("key")).url(&echo.url),
                lab.by_refresh_token(&of("refresh"), "5Aep861a0b1c2d3e4f5a6b7c8d9e0f")
                    .url(&echo.url),
            ]);
        }
        lab.configure(&sessions);
        lab.start();
        within(SOON, "every session to be refused", || {
            let shown = lab.get("/v1/sessions")?.json();
            let refused = shown["sessions"]
                .as_array()?
                .iter()
                .filter(|session| !session["last_error"].is_null());
            (refused.count() == sessions.len()).then_some(())
        });
        let shown = lab.succeeds(&["status", "--json"]) + &lab.succeeds(&["status"]);
        assert!(
            shown.contains("[secret]"),
            "the server's words are shown without the secrets: {shown}"
        );
        lab.run(&["status", "post-plain"]);
        lab.run(&["health", "--json"]);
        let calls: usize = echoes.iter().map(|echo| *echo.calls.lock().unwrap()).sum();
        assert!(calls <= 2 * sessions.len(), "{calls} calls");
    }
}

#[test]
fn a_server_that_is_away_and_repeats_a_password_in_utf_16_gets_it_into_nothing_that_is_shown() {
    let utf_16 = |secret: &str| -> Vec<u8> {
        let said = format!("cannot reach the directory for {secret} now");
        [0xfeff]
            .into_iter()
            .chain(said.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect()
    };
    let echo = Echo::answering(move |secret| Response::text(503, utf_16(secret)));
    let heard = Arc::clone(&echo.heard);
    let mut lab = Lab::bare(&echo.url, move || heard.lock().unwrap().clone());
    for (name, secret) in [
        ("client-secret", "c9f2-kept-quiet-0417"),
        ("password", "correct horse battery"),
        ("security-token", "kQ7"),
    ] {
        lab.secret(name, secret);
    }
    lab.configure(&[lab.by_password("crm", "user"), lab.by_client("erp")]);
    lab.start();
    let shown = within(SOON, "both to have failed", || {
        let shown = lab.get("/v1/sessions")?.json();
        let failed = shown["sessions"]
            .as_array()?
            .iter()
            .all(|session| !session["last_error"].is_null());
        failed.then_some(shown)
    });
    for session in shown["sessions"].as_array().unwrap() {
        let detail = session["last_error"]["detail"].as_str().unwrap();
        assert!(
            detail.contains("“cannot reach the directory for [secret] now”"),
            "{detail}"
        );
    }
    let everything = lab.said() + &shown.to_string() + &lab.succeeds(&["status", "--json"]);
    let seen: String = everything.chars().filter(char::is_ascii_graphic).collect();
    for kept in ["c9f2-kept-quiet-0417", "correcthorsebattery"] {
        assert!(!seen.contains(kept), "{kept}");
    }
    let calls = *echo.calls.lock().unwrap();
    assert!(calls <= 12, "{calls} calls");
}

#[test]
fn a_ping_that_repeats_its_token_gets_it_into_nothing_that_is_shown() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    let sessions: Vec<_> = MANNERS
        .iter()
        .map(|(manner, _)| lab.by_client(manner))
        .collect();
    lab.configure(&sessions);
    lab.start();
    for (name, manner) in MANNERS {
        let said = manner(&lab.await_token(name));
        let body = json!([{ "errorCode": "API_DISABLED", "message": said }]).to_string();
        server.always_for(
            name,
            Endpoint::Data,
            Instead::Say(Response::json(403, body).with("X-Echo", &said)),
        );
        lab.run(&["verify", name, "--wait", "2s"]);
        lab.status(name);
    }
    lab.run(&["status", "--json"]);
    assert!(server.count(Endpoint::Data) <= 4 * MANNERS.len());
}

#[test]
fn the_state_follows_its_key_from_none_to_one_to_another_and_back_without_a_login() {
    let server = Arc::new(Salesforce::start(Settings {
        refresh_tokens: RefreshTokens::Rotated,
        ..Settings::default()
    }));
    let mut lab = Lab::new(&server);
    lab.secret("first", FIRST_KEY);
    lab.secret("second", SECOND_KEY);
    let approved = server.approve("crm");
    let key = |name: &str| format!("state_key = {}\n", lab.source(name));
    let old = |name: &str| format!("state_key_old = {}\n", lab.source(name));
    let steps = [
        (String::new(), false, false),
        (key("first"), true, true),
        (key("first"), true, false),
        (key("second") + &old("first"), true, true),
        (key("second") + &old("first"), true, false),
        (key("second"), true, false),
        (old("second"), false, true),
        (String::new(), false, false),
    ];
    let mut token = None;
    for (keys, sealed, anew) in steps {
        configure(&lab, &approved, &keys);
        let before = lab.said().len();
        lab.start();
        let now = lab.await_token("crm");
        assert_eq!(token.get_or_insert(now.clone()), &now, "{keys}");
        lab.await_state("crm", "alive");
        assert!(lab.stop().success());
        assert_eq!(
            lab.said()[before..].contains("sealed the state anew"),
            anew,
            "{keys}"
        );
        assert_eq!(
            !shows_secrets(&server, &lab.path("state")),
            sealed,
            "{keys}"
        );
    }
    assert_eq!(
        server.count(Endpoint::Token),
        1,
        "no restart cost a login or a renewal"
    );
}

#[test]
fn a_wrong_key_stops_the_start_with_a_remedy_and_leaves_the_state_as_it_was() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.secret("first", FIRST_KEY);
    lab.secret("second", SECOND_KEY);
    lab.secret("short", "too short");
    let approved = server.approve("crm");
    let key = |lab: &Lab, name: &str| format!("state_key = {}\n", lab.source(name));
    configure(&lab, &approved, &key(&lab, "first"));
    lab.start();
    let token = lab.await_token("crm");
    assert!(lab.stop().success());
    let state = |lab: &Lab| {
        [
            files(&lab.path("state/sessions")),
            files(&lab.path("state/accounts")),
        ]
        .concat()
    };
    let before = state(&lab);
    assert_eq!(before.len(), 2, "{before:?}");
    let old = format!("state_key_old = {}\n", lab.source("second"));
    for (keys, remedy) in [
        (key(&lab, "second"), "name that one as state_key_old"),
        (String::new(), "set state_key to the key it was sealed with"),
        (old, "name that one as state_key_old"),
        (
            key(&lab, "short"),
            "use state_key: it is shorter than 16 characters",
        ),
        (key(&lab, "absent"), "read the secret file"),
    ] {
        configure(&lab, &approved, &keys);
        let said = lab.said().len();
        let ended = lab.spawn().ended(SOON).expect("it ends by itself");
        assert_eq!(ended.code(), Some(1), "{keys}");
        assert!(
            lab.said()[said..].contains(remedy),
            "{keys}: {}",
            lab.tail()
        );
        assert_eq!(state(&lab), before, "{keys}");
    }
    configure(&lab, &approved, &key(&lab, "first"));
    lab.start();
    assert_eq!(lab.await_token("crm"), token);
    assert_eq!(server.count(Endpoint::Token), 1);
}

#[test]
fn a_plain_record_beside_sealed_ones_is_not_believed_and_has_no_file_removed() {
    let (server, mut lab, plain) = forged("https://elsewhere.example");
    let key = format!("state_key = {}\n", lab.source("first"));
    with_keys(&lab, &["crm", "erp"], &key);
    std::fs::remove_dir_all(lab.path("state")).unwrap();
    lab.start();
    let tokens = ["crm", "erp"].map(|name| lab.await_token(name));
    assert!(lab.stop().success());
    std::fs::write(lab.path("state/sessions/crm.json"), &plain).unwrap();
    std::fs::remove_file(lab.path("run/tokens/crm")).unwrap();
    let before = server.logins();
    lab.start();
    let token = lab.await_token("crm");
    assert!(server.lives(&token) && token != FORGED);
    assert_eq!(lab.token("erp"), Some(tokens[1].clone()));
    assert_eq!(
        server.logins(),
        before + 1,
        "it starts afresh, the others go on"
    );
    assert!(
        lab.said().contains("not sealed although others are"),
        "{}",
        lab.tail()
    );
    assert_eq!(
        std::fs::read(lab.path("state/sessions/crm.json.damaged-1")).unwrap(),
        plain.as_bytes()
    );
    assert_eq!(
        std::fs::read_to_string(lab.path("victim")).unwrap(),
        "precious"
    );
}

#[test]
fn what_the_first_sealing_finds_is_proven_before_it_is_shown_and_has_no_file_removed() {
    let (server, mut lab, plain) = forged("");
    let key = format!("state_key = {}\n", lab.source("first"));
    with_keys(&lab, &["crm"], &key);
    std::fs::remove_file(lab.path("run/tokens/crm")).unwrap();
    std::fs::write(lab.path("state/sessions/crm.json"), &plain).unwrap();
    server.always(Endpoint::Data, Instead::Hang);
    // The second start finds it sealed: by whom, it still knows.
    for _ in 0..2 {
        let running = lab.spawn();
        assert!(
            running
                .ended(std::time::Duration::from_millis(1500))
                .is_none(),
            "{}",
            lab.tail()
        );
        assert_eq!(lab.token("crm"), None, "{}", lab.tail());
        assert!(
            !std::fs::read_to_string(lab.path("state/sessions/crm.json"))
                .unwrap()
                .contains(FORGED)
        );
    }
    server.behave();
    lab.start();
    let token = lab.await_token("crm");
    assert!(server.lives(&token) && token != FORGED);
    assert_eq!(
        std::fs::read_to_string(lab.path("victim")).unwrap(),
        "precious"
    );
    assert_eq!(server.logins(), 2);
    assert!(server.calls().len() <= 8, "{}", server.calls().len());
}

#[test]
fn a_stored_instance_url_of_a_strange_host_is_not_used() {
    let (server, mut lab, plain) = forged("https://elsewhere.example");
    std::fs::remove_file(lab.path("run/tokens/crm")).unwrap();
    std::fs::write(lab.path("state/sessions/crm.json"), &plain).unwrap();
    lab.start();
    let token = lab.await_token("crm");
    assert!(server.lives(&token) && token != FORGED);
    assert!(
        lab.said()
            .contains("its instance_url belongs to another host"),
        "{}",
        lab.tail()
    );
    assert_eq!(
        std::fs::read_to_string(lab.path("victim")).unwrap(),
        "precious"
    );
    assert_eq!(server.logins(), 2);
}

const FORGED: &str = "forged-token-of-a-stranger";

/// A lab that has run without a key, and its record with another token, a file to be removed, and another place if not
/// empty.
fn forged(instance_url: &str) -> (Arc<Salesforce>, Lab, String) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.secret("first", FIRST_KEY);
    with_keys(&lab, &["crm"], "");
    lab.start();
    lab.await_token("crm");
    assert!(lab.stop().success());
    std::fs::write(lab.path("victim"), "precious").unwrap();
    let plain = std::fs::read_to_string(lab.path("state/sessions/crm.json")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&plain).unwrap();
    let data = &mut record["data"];
    data["paths"]
        .as_array_mut()
        .unwrap()
        .push(json!(lab.path("victim")));
    data["state"]["token"]["access_token"] = json!(FORGED);
    if !instance_url.is_empty() {
        data["state"]["token"]["instance_url"] = json!(instance_url);
    }
    (server, lab, record.to_string())
}

fn with_keys(lab: &Lab, sessions: &[&str], keys: &str) {
    lab.configure(
        &sessions
            .iter()
            .map(|name| lab.by_client(name))
            .collect::<Vec<_>>(),
    );
    let config = std::fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replacen("[daemon]\n", &format!("[daemon]\n{keys}"), 1));
}

fn configure(lab: &Lab, approved: &str, keys: &str) {
    lab.configure(&[lab.by_refresh_token("crm", approved)]);
    let config = std::fs::read_to_string(lab.config()).unwrap();
    lab.write_config(&config.replacen("[daemon]\n", &format!("[daemon]\n{keys}"), 1));
}

fn shows_secrets(server: &Salesforce, dir: &Path) -> bool {
    let forms = Forms::of(&server.needles());
    files(dir).iter().any(|(_, content)| forms.are_in(content))
}

/// A server that refuses every login and repeats, in its own manner, the most secret thing that it was sent.
struct Echo {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
    calls: Arc<Mutex<usize>>,
}

impl Echo {
    fn start(manner: Manner) -> Self {
        Self::answering(move |secret| {
            let body = json!({ "error": "invalid_grant", "error_description": manner(secret) });
            Response::json(400, body.to_string())
        })
    }

    fn answering(answer: impl Fn(&str) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (heard, calls) = (
            Arc::<Mutex<Vec<String>>>::default(),
            Arc::<Mutex<usize>>::default(),
        );
        let (hearing, counting) = (Arc::clone(&heard), Arc::clone(&calls));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read_request(&mut BufReader::new(stream.try_clone().unwrap()))
                else {
                    continue;
                };
                *counting.lock().unwrap() += 1;
                let secret = most_secret(&request);
                hearing.lock().unwrap().push(secret.clone());
                answer(&secret)
                    .with("Connection", "close")
                    .send(&mut stream);
            }
        });
        Self { url, heard, calls }
    }
}

fn most_secret(request: &Request) -> String {
    let form = request.form();
    let named = ["assertion", "refresh_token", "password", "client_secret"]
        .iter()
        .find_map(|name| form.get(*name));
    let basic = request
        .header("authorization")
        .strip_prefix("Basic ")
        .map(ToOwned::to_owned);
    named
        .cloned()
        .or(basic)
        .unwrap_or_else(|| panic!("{request:?}"))
}
