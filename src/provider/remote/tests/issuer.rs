//! Servers that say of themselves where their endpoints are, and those that do not.

use super::*;

#[tokio::test]
async fn an_issuer_that_fails_spends_no_refresh_token_and_one_that_is_another_stops() {
    let other =
        r#"{"issuer":"https://other.example","token_endpoint":"https://other.example/token"}"#;
    let html =
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>Welcome";
    let moved = "HTTP/1.1 302 Found\r\nLocation: https://other.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    for (script, expected, calls) in [
        (Script::Say(json(200, "", other)), "refused", 2),
        (Script::Say(json(404, "", "{}")), "unavailable", 2),
        (Script::Say(json(503, "", "")), "unavailable", 2),
        (Script::Say(html.to_owned()), "unavailable", 2),
        (Script::Say(moved.to_owned()), "unavailable", 2),
        (Script::Hang, "unavailable", 1),
    ] {
        let server = Server::start(script.clone()).await;
        let refresh_token = Secret::new("spend-me-not");
        let held = Held {
            timeout: Duration::from_millis(900),
            refresh_token: Some(&refresh_token),
            ..held()
        };
        let answer = issued(&server)
            .call(Request::Renew, held, &Secrets::new(), clock::boottime)
            .await;
        assert_eq!(
            answer.verdict.word(),
            expected,
            "{script:?}: {}",
            answer.detail
        );
        assert!(
            !answer.counted && answer.detail.contains("metadata"),
            "{script:?}: {}",
            answer.detail
        );
        assert_eq!(server.requests().len(), calls, "{script:?}");
        assert!(
            server
                .requests()
                .iter()
                .all(|request| !request.contains("spend-me-not")),
            "{script:?}"
        );
    }
}

fn issued(server: &Server) -> Remote {
    let profile = Profile::named("oauth2", None).unwrap();
    let values = [
        ("client_id", Value::Plain("app".into())),
        ("issuer", Value::Plain(server.url.as_str().into())),
    ];
    let values = values.into_iter().collect();
    let config = RemoteConfig {
        profile,
        values,
        ..config(server, "refresh_token", &[])
    };
    Remote::new(config, &mut Clients::default()).unwrap()
}
