//! The OAuth part against a certified provider that others wrote: what it accepts and refuses is not ours to define.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::assertion::{claims, private_key_pem};
use crate::support::daemon::{Lab, Session};
use crate::support::oidc::OidcProvider;
use crate::support::{SOON, within};

#[test]
fn client_credentials_work_by_basic_by_post_and_by_signature() {
    let (provider, mut lab) = lab(600);
    lab.configure(&[
        session(
            &lab,
            "basic",
            "client_credentials",
            "client_auth = \"basic\"\nclient_secret = SECRET",
        ),
        session(
            &lab,
            "post",
            "client_credentials",
            "client_auth = \"post\"\nclient_secret = SECRET",
        ),
        session(
            &lab,
            "signed",
            "client_credentials",
            "client_auth = \"private_key_jwt\"\nprivate_key = KEY",
        ),
    ]);
    lab.start();
    for name in ["basic", "post", "signed"] {
        assert!(provider.active(&lab.await_token(name)), "{name}");
    }
    assert_eq!(provider.granted("client_credentials"), 3);
    assert_eq!(provider.count("/token"), 3);
}

#[test]
fn jwt_bearer_and_password_log_in_once() {
    let (provider, mut lab) = lab(600);
    let signed =
        "username = \"job\"\nprivate_key = KEY\nclient_auth = \"post\"\nclient_secret = SECRET";
    let audience = format!("{signed}\naudience = \"{}\"", provider.issuer);
    lab.configure(&[
        session(&lab, "bearer", "jwt_bearer", &audience),
        session(
            &lab,
            "post",
            "password",
            "username = \"job\"\npassword = PASSWORD\nclient_secret = SECRET",
        ),
    ]);
    lab.start();
    for name in ["bearer", "post"] {
        assert!(provider.active(&lab.await_token(name)), "{name}");
    }
    assert_eq!(provider.count("/token"), 2);
}

#[test]
fn a_wrong_password_is_sent_once() {
    let (provider, mut lab) = lab(600);
    lab.secret("password", "wrong");
    lab.configure(&[session(
        &lab,
        "post",
        "password",
        "username = \"job\"\npassword = PASSWORD\nclient_secret = SECRET",
    )]);
    lab.start();
    lab.await_state("post", "needs_attention");
    // The answer is on disk a moment after it is known; a kill within that moment is another test's.
    sleep(Duration::from_millis(500));
    lab.kill();
    lab.start();
    lab.await_state("post", "needs_attention");
    sleep(Duration::from_secs(1));
    assert_eq!(provider.count("/token"), 1);
}

#[test]
fn expiring_tokens_are_replaced_before_their_end() {
    let (provider, mut lab) = lab(6);
    let by_secret = session(
        &lab,
        "basic",
        "client_credentials",
        "client_auth = \"basic\"\nclient_secret = SECRET",
    );
    // The provider counts in whole seconds: a token's life may be a second shorter than it says.
    lab.configure(&[by_secret.key("renew_before = \"2s\"")]);
    lab.start();
    lab.await_token("basic");
    let started = Instant::now();
    let mut seen = std::collections::BTreeSet::new();
    while started.elapsed() < Duration::from_secs(11) {
        let token = lab.token("basic").expect("never withdrawn");
        assert!(
            provider.active(&token),
            "a dead token after {:?}",
            started.elapsed()
        );
        seen.insert(token);
        sleep(Duration::from_millis(50));
    }
    assert!(seen.len() >= 3, "{} tokens", seen.len());
    assert!(
        provider.count("/token") <= 6,
        "{} logins",
        provider.count("/token")
    );
}

#[test]
fn refreshes_rotate_and_survive_kills() {
    let (provider, mut lab) = lab(4);
    lab.secret("refresh-token", &provider.approve("post"));
    lab.configure(&[session(
        &lab,
        "post",
        "refresh_token",
        "refresh_token = REFRESH\nclient_secret = SECRET",
    )]);
    lab.start();
    let mut token = lab.await_token("post");
    for round in 0..3 {
        token = lab.await_another_token("post", &token);
        assert!(provider.active(&token), "round {round}");
        lab.kill();
        lab.start();
    }
    let last = lab.await_another_token("post", &token);
    assert!(
        provider.active(&last),
        "the family lives: no spent refresh token was ever presented"
    );
    let refreshes = provider.count("/token");
    assert!((5..=8).contains(&refreshes), "{refreshes} refreshes");
}

#[test]
fn a_stolen_refresh_token_ends_the_family_and_calls_a_person() {
    let (provider, mut lab) = lab(600);
    let stolen = provider.approve("post");
    lab.secret("refresh-token", &stolen);
    lab.configure(&[session(
        &lab,
        "post",
        "refresh_token",
        "refresh_token = REFRESH\nclient_secret = SECRET\nping_url = \"/me\"",
    )]);
    lab.start();
    lab.await_token("post");
    assert_eq!(
        provider.refresh(&stolen),
        400,
        "spent by the daemon, presented by a thief"
    );
    lab.run(&["rejected", "post"]);
    lab.await_state("post", "needs_attention");
    lab.await_no_token("post");
    sleep(Duration::from_secs(1));
    let calls = provider.count("/token");
    assert!(calls <= 4, "{calls} token requests");
}

#[test]
fn a_revoked_access_token_is_renewed_by_the_refresh_token() {
    let (provider, mut lab) = lab(600);
    lab.secret("refresh-token", &provider.approve("post"));
    lab.configure(&[session(
        &lab,
        "post",
        "refresh_token",
        "refresh_token = REFRESH\nclient_secret = SECRET\nping_url = \"/me\"",
    )]);
    lab.start();
    let first = lab.await_token("post");
    lab.succeeds(&["verify", "post"]);
    provider.revoke_access_tokens();
    lab.succeeds(&["rejected", "post"]);
    let second = lab.await_another_token("post", &first);
    assert!(provider.active(&second));
    assert_eq!(provider.granted("refresh_token"), 2);
    assert!(provider.count("/me") <= 4);
}

#[test]
fn introspection_is_asked_by_either_way_of_authentication() {
    let (provider, mut lab) = lab(600);
    let introspecting = |name: &str, auth: &str| {
        let keys = format!(
            "client_auth = \"{auth}\"\nclient_secret = SECRET\nintrospection_url = \"/token/introspection\""
        );
        session(&lab, name, "client_credentials", &keys).table("keepalive", "introspect = true")
    };
    let sessions = [
        introspecting("basic", "basic"),
        introspecting("post", "post"),
    ];
    lab.configure(&sessions);
    lab.start();
    for name in ["basic", "post"] {
        lab.await_token(name);
        within(SOON, "an introspection", || {
            (lab.status(name)["counts"]["introspections"] == 1).then_some(())
        });
        assert_eq!(
            lab.status(name)["counts"]["failures"],
            0,
            "{name}: {}",
            lab.status(name)
        );
        assert_eq!(lab.status(name)["state"], "alive");
    }
    assert_eq!(provider.count("/token/introspection"), 2);
}

#[test]
fn logout_revokes_at_the_provider() {
    let (provider, mut lab) = lab(600);
    lab.configure(&[session(
        &lab,
        "post",
        "client_credentials",
        "client_secret = SECRET\nrevocation_url = \"/token/revocation\"",
    )]);
    lab.start();
    let token = lab.await_token("post");
    lab.succeeds(&["logout", "post"]);
    assert!(!provider.active(&token));
    assert_eq!(lab.token("post"), None);
    assert_eq!(provider.count("/token/revocation"), 1);
    assert_eq!(provider.count("/token"), 1);
}

#[test]
fn a_fixed_token_is_not_promised_for_longer_than_any_will_live() {
    let (provider, mut lab) = lab(600);
    lab.configure(&[session(
        &lab,
        "post",
        "client_credentials",
        "client_secret = SECRET",
    )]);
    lab.start();
    lab.await_token("post");
    let ready = lab.get("/v1/sessions/post/ready?min_validity=1h").unwrap();
    assert_eq!(ready.status, 422, "{ready:?}");
    let answer = lab.get("/v1/sessions/post/token?min_validity=1h").unwrap();
    assert_eq!(answer.status, 422, "{answer:?}");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/problem+json"),
        "{answer:?}"
    );
    assert_eq!(
        lab.get("/v1/sessions/post/token?min_validity=5m")
            .unwrap()
            .status,
        200
    );
    assert_eq!(provider.count("/token"), 1);
}

#[test]
fn an_issuer_a_client_and_its_secret_suffice() {
    let (provider, mut lab) = lab(600);
    let introspecting = discovered(
        &provider,
        &lab,
        "post",
        "client_credentials",
        "client_secret = SECRET",
    );
    let keys = "client_auth = \"basic\"\nclient_secret = SECRET";
    lab.configure(&[
        introspecting.table("keepalive", "introspect = true"),
        discovered(&provider, &lab, "basic", "client_credentials", keys),
    ]);
    lab.start();
    for name in ["post", "basic"] {
        assert!(provider.active(&lab.await_token(name)), "{name}");
    }
    within(SOON, "an introspection", || {
        (provider.count("/token/introspection") >= 3).then_some(())
    });
    lab.succeeds(&["logout", "post"]);
    assert_eq!(
        (
            provider.count("/token"),
            provider.count("/token/revocation")
        ),
        (2, 1)
    );
    assert_eq!(provider.discoveries(), 1, "{:?}", provider.calls());
}

#[test]
fn a_users_token_is_pinged_at_the_discovered_userinfo() {
    let (provider, mut lab) = lab(600);
    lab.secret("refresh-token", &provider.approve("post"));
    let keys = "refresh_token = REFRESH\nclient_secret = SECRET\nscope = \"openid offline_access\"";
    lab.configure(&[discovered(&provider, &lab, "post", "refresh_token", keys)]);
    lab.start();
    let first = lab.await_token("post");
    lab.succeeds(&["verify", "post"]);
    provider.revoke_access_tokens();
    lab.succeeds(&["rejected", "post"]);
    assert!(provider.active(&lab.await_another_token("post", &first)));
    assert_eq!(
        provider.count("/me"),
        2,
        "verified, and looked at once after the report"
    );
    assert_eq!(
        (provider.granted("refresh_token"), provider.discoveries()),
        (2, 1)
    );
}

#[test]
fn a_client_without_a_secret_says_who_it_is() {
    let (provider, mut lab) = lab(600);
    lab.secret("refresh-token", &provider.approve("public"));
    lab.configure(&[discovered(
        &provider,
        &lab,
        "public",
        "refresh_token",
        "refresh_token = REFRESH",
    )]);
    lab.start();
    assert!(provider.active(&lab.await_token("public")));
    assert_eq!(
        (provider.granted("refresh_token"), provider.count("/token")),
        (1, 1)
    );
}

#[test]
fn an_issuer_that_calls_itself_otherwise_is_never_sent_a_secret() {
    let (provider, mut lab) = lab(600);
    let session = discovered(
        &provider,
        &lab,
        "post",
        "client_credentials",
        "client_secret = SECRET",
    );
    let other = provider.issuer.replace("127.0.0.1", "localhost");
    lab.configure(&[session.login_key("issuer", &other)]);
    lab.start();
    lab.await_state("post", "needs_attention");
    let status = lab.status("post").to_string();
    assert!(
        status.contains(&provider.issuer),
        "says what the server calls itself: {status}"
    );
    assert_eq!(provider.count("/token"), 0);
    assert!(provider.calls().len() <= 4, "{:?}", provider.calls());
}

#[test]
fn a_client_signs_as_its_key_can() {
    let (provider, mut lab) = lab(600);
    let names = ["es256", "es384", "eddsa", "ps256"];
    let sessions = names.map(|name| {
        lab.secret(&format!("{name}.pem"), &provider.key(name));
        let more = match name {
            "ps256" => "algorithm = \"PS256\"\nkey_id = \"ps256\"",
            "es256" => "client_assertion_audience = \"issuer\"",
            _ => "client_auth = \"private_key_jwt\"",
        };
        let keys = format!(
            "private_key = {}\n{more}",
            lab.source(&format!("{name}.pem"))
        );
        discovered(&provider, &lab, name, "client_credentials", &keys)
    });
    lab.configure(&sessions);
    lab.start();
    for name in names {
        assert!(provider.active(&lab.await_token(name)), "{name}");
    }
    assert_eq!(
        (
            provider.granted("client_credentials"),
            provider.count("/token")
        ),
        (4, 4)
    );
    assert_eq!(provider.discoveries(), 1);
}

#[test]
fn a_client_shows_its_certificate_where_the_metadata_say() {
    let certificates = tempfile::tempdir().unwrap();
    let directory = certificates.path();
    openssl(directory, "server", "-addext subjectAltName=IP:127.0.0.1");
    openssl(directory, "client", "");
    let (provider, mut lab) = lab_of(OidcProvider::start_with(600, Some(directory)));
    lab.secret(
        "client-key.pem",
        &std::fs::read_to_string(directory.join("client-key.pem")).unwrap(),
    );
    let http = |name: &str| {
        let (ca, certificate) = (directory.join("server.pem"), directory.join(name));
        let key = lab.source("client-key.pem");
        format!("ca_file = {ca:?}\nclient_cert = {certificate:?}\nclient_key = {key}")
    };
    let session = discovered(&provider, &lab, "tls", "client_credentials", "")
        .table("http", &http("client.pem"));
    lab.configure(&[session]);
    lab.succeeds(&["check", "--config", lab.config().to_str().unwrap()]);
    lab.start();
    let first = lab.await_token("tls");
    assert!(provider.active(&first));
    // Another client's certificate in the same files: the server turns it down, so it was shown.
    openssl(directory, "client", "");
    lab.secret(
        "client-key.pem",
        &std::fs::read_to_string(directory.join("client-key.pem")).unwrap(),
    );
    let refused = lab.run(&["login", "tls"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("invalid_client"),
        "{refused:?}"
    );
    assert_eq!(
        (
            provider.granted("client_credentials"),
            provider.discoveries()
        ),
        (1, 1)
    );
    assert!(
        (2..=3).contains(&provider.count("/token")),
        "{:?}",
        provider.calls()
    );
}

#[test]
fn a_token_is_exchanged_for_another_and_read_anew_each_time() {
    let (provider, mut lab) = lab(600);
    let subject = || session(&lab, "post", "client_credentials", "client_secret = SECRET");
    let keys = format!(
        "subject_token = {{ file = {} }}\nclient_secret = SECRET\naudience = \"warehouse\"\n\
         requested_token_type = \"access_token\"",
        lab.quoted("run/tokens/post")
    );
    let exchanging = discovered(&provider, &lab, "exchange", "token_exchange", &keys);
    let both = [
        subject(),
        exchanging.publish("file = \"exchange\"\nformat = \"json\""),
    ];
    lab.configure(&[subject()]);
    lab.start();
    lab.await_token("post");
    lab.configure(&both);
    lab.reload();
    let published: serde_json::Value = within(SOON, "an exchanged token", || {
        serde_json::from_str(&lab.token("exchange")?).ok()
    });
    assert!(provider.active(published["access_token"].as_str().unwrap()));
    assert_eq!(
        published["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    assert_eq!(
        provider.granted("urn:ietf:params:oauth:grant-type:token-exchange"),
        1
    );
    assert_eq!(provider.count("/token"), 2);
}

#[test]
fn a_token_is_for_the_resource_that_is_named() {
    let (provider, mut lab) = lab(600);
    let keys = "client_secret = SECRET\nresource = \"https://api.example/v1\"\nscope = \"read\"";
    lab.configure(&[discovered(
        &provider,
        &lab,
        "post",
        "client_credentials",
        keys,
    )]);
    lab.start();
    let token = lab.await_token("post");
    assert_eq!(claims(&token).unwrap()["aud"], "https://api.example/v1");
    assert_eq!(provider.count("/token"), 1);
}

/// A certificate that signs itself, `NAME.pem`, and its key.
fn openssl(directory: &Path, name: &str, more: &str) {
    let arguments = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} \
         -keyout {name}-key.pem -out {name}.pem {more}"
    );
    let made = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn lab(token_seconds: u32) -> (Arc<OidcProvider>, Lab) {
    lab_of(OidcProvider::start(token_seconds))
}

fn lab_of(provider: OidcProvider) -> (Arc<OidcProvider>, Lab) {
    let provider = Arc::new(provider);
    let asked = Arc::clone(&provider);
    let mut lab = Lab::bare(&provider.issuer, move || asked.needles());
    // It starts slowly and answers slowly where many tests run at once; a renewal given up is a renewal in doubt.
    lab.request_timeout = "10s";
    lab.secret("client-secret", &provider.client_secret);
    lab.secret("password", &provider.password);
    lab.secret("key.pem", &private_key_pem());
    (provider, lab)
}

/// A session whose client is its name; SECRET, PASSWORD, KEY and REFRESH stand for the files that hold them.
fn session(lab: &Lab, name: &str, grant: &str, keys: &str) -> Session {
    let keys = keys
        .replace("SECRET", &lab.source("client-secret"))
        .replace("PASSWORD", &lab.source("password"))
        .replace("KEY", &lab.source("key.pem"))
        .replace("REFRESH", &lab.source("refresh-token"));
    let login =
        format!("grant = \"{grant}\"\nclient_id = \"{name}\"\ntoken_url = \"/token\"\n{keys}\n");
    lab.session(name, &login).provider("oauth2")
}

/// A session that knows nothing of the server but its issuer.
fn discovered(provider: &OidcProvider, lab: &Lab, name: &str, grant: &str, keys: &str) -> Session {
    session(lab, name, grant, keys)
        .login_key("issuer", &provider.issuer)
        .without_login_key("token_url")
        .url("")
}
