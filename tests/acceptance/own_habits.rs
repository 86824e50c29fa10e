//! Servers with habits of their own: what every other client makes out is made out here too, and what is a no is taken for one.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::{Value, json};

use crate::rough_answers::{JSON, by_refresh_token, client, date, lab, last_error, seconds};
use crate::support::daemon::{Lab, Session};
use crate::support::rough::{Asked, Rough, answer};
use crate::support::{SOON, within};

#[test]
fn a_renewal_that_comes_compressed_or_in_a_bad_frame_is_read_and_its_refresh_token_is_not_lost() {
    type Wrap = fn(&[u8]) -> Vec<u8>;
    let wraps: [(&str, Wrap); 8] = [
        ("gzip", |body| {
            framed("Content-Encoding: gzip\r\n", &gzip(body), 0)
        }),
        ("gzip that no header names", |body| {
            framed("", &gzip(body), 0)
        }),
        ("deflate", |body| {
            framed("Content-Encoding: deflate\r\n", &zlib(body), 0)
        }),
        ("a length that is too large", |body| framed("", body, 9)),
        ("a chunk that never comes", |body| {
            let head = format!(
                "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n",
                body.len()
            );
            [head.as_bytes(), body].concat()
        }),
        ("three hundred header lines", |body| {
            let lines = "X-Policy: none\r\n".repeat(300);
            framed(&lines, body, 0)
        }),
        ("what is almost JSON", |body| {
            let body = String::from_utf8_lossy(body);
            let odd = r#"{"owner":"O\'Brien \ud83d","quota":NaN,/* by hand */"#;
            framed("", body.replacen('{', odd, 1).as_bytes(), 0)
        }),
        ("a form", |body| {
            let members: Value = serde_json::from_slice(body).unwrap();
            let member =
                |name: &str| format!("{name}={}", members[name].to_string().trim_matches('"'));
            let form = ["access_token", "expires_in", "refresh_token"]
                .map(member)
                .join("&");
            framed(
                "Content-Type: text/html; charset=utf-8\r\n",
                form.as_bytes(),
                0,
            )
        }),
    ];
    for (name, wrap) in wraps {
        let server = Rough::start(move |asked, before| match rotated(asked, before) {
            Some(body) => wrap(body.to_string().as_bytes()),
            None => answer(400, JSON, r#"{"error":"invalid_grant"}"#).into_bytes(),
        });
        let mut lab = lab(&server);
        lab.configure(&[by_refresh_token(&lab, "refresh-0")]);
        lab.start();
        within(SOON, name, || {
            (lab.token("refresh").as_deref() == Some("token-1")).then_some(())
        });
        assert!(lab.status("refresh")["attention"].is_null(), "{name}");
        assert!((2..=3).contains(&server.asked("/token").len()), "{name}");
    }
}

#[test]
fn an_error_in_a_form_calls_a_person_with_the_servers_words() {
    const ERROR: &str =
        "error=bad_refresh_token&error_description=The+token+was+revoked+by+its+owner.";
    let server = Rough::start(|_, _| {
        answer(
            200,
            "Content-Type: application/x-www-form-urlencoded\r\n",
            ERROR,
        )
    });
    let mut lab = lab(&server);
    lab.configure(&[by_refresh_token(&lab, "refresh-0")]);
    lab.start();
    let told = lab.await_state("refresh", "needs_attention");
    assert!(
        told["attention"]["reason"]
            .as_str()
            .unwrap()
            .contains("revoked by its owner"),
        "{told}"
    );
    assert_eq!(server.asked("/token").len(), 1);
}

#[test]
fn the_end_of_a_token_is_known_in_whatever_form_the_server_tells_it() {
    let end = seconds() + 900;
    let in_words = jiff::Timestamp::from_second(end).unwrap();
    for told in [
        json!({"expires_in": end}),
        json!({"expires_in": (end * 1000).to_string()}),
        json!({"expires_in": in_words.to_string()}),
        json!({"expires_in": "15 minutes"}),
        json!({"expires_in": 900_000, "expires_in_sec": 900}),
        json!({"expires_at": end}),
        json!({"expires_on": end.to_string()}),
        json!({"expiry_date": end * 1000}),
        json!({"expires": 900}),
    ] {
        let mut body = told.clone();
        body["access_token"] = "told-token".into();
        let (server, lab) = by_client(move |_, _| {
            answer(
                200,
                &format!("{JSON}Date: {}\r\n", date()),
                &body.to_string(),
            )
        });
        assert_eq!(lab.await_token("api"), "told-token");
        let shown: jiff::Timestamp = lab.status("api")["token_expires_at"]
            .as_str()
            .expect("an end")
            .parse()
            .unwrap();
        assert!((shown.as_second() - end).abs() < 30, "{told}: {shown}");
        assert_eq!(server.asked("/token").len(), 1, "{told}");
    }
}

#[test]
fn a_token_whose_end_was_past_when_it_came_is_not_published_under_any_name_of_the_end() {
    let past = seconds() - 60;
    for told in [
        format!("\"expires_in\":{past}"),
        format!("\"expires_at\":{past}"),
    ] {
        let body = format!("{{\"access_token\":\"past-token\",{told}}}");
        let (server, lab) =
            by_client(move |_, _| answer(200, &format!("{JSON}Date: {}\r\n", date()), &body));
        let error = last_error(&lab, "api");
        assert!(
            error["detail"]
                .as_str()
                .unwrap()
                .contains("had ended before it came"),
            "{error}"
        );
        assert_eq!(lab.token("api"), None);
        assert!(server.asked("/token").len() <= 3, "{told}");
    }
}

#[test]
fn a_renewal_whose_token_cannot_be_used_has_rotated_all_the_same() {
    for odd in [json!("two words"), json!(""), json!(null), json!(["list"])] {
        let name = odd.to_string();
        let server = Rough::start(move |asked, before| match rotated(asked, before) {
            Some(mut body) => {
                if before == 1 {
                    body["access_token"] = odd.clone();
                }
                answer(200, JSON, &body.to_string())
            }
            None => answer(400, JSON, r#"{"error":"invalid_grant"}"#),
        });
        let mut lab = lab(&server);
        lab.configure(&[by_refresh_token(&lab, "refresh-0")]);
        lab.start();
        within(SOON, &name, || {
            (lab.token("refresh").as_deref() == Some("token-2")).then_some(())
        });
        assert!(lab.status("refresh")["attention"].is_null(), "{name}");
        assert!((3..=4).contains(&server.asked("/token").len()), "{name}");
    }
}

#[test]
fn a_token_is_published_without_the_blanks_and_the_type_that_a_server_writes_around_it() {
    for written in [
        "bare-token\\n",
        "  bare-token ",
        "Bearer bare-token",
        "bearer bare-token",
    ] {
        let body = format!("{{\"access_token\":\"{written}\",\"expires_in\":600}}");
        let (server, lab) = by_client(move |_, _| answer(200, JSON, &body));
        assert_eq!(lab.await_token("api"), "bare-token", "{written}");
        assert_eq!(server.asked("/token").len(), 1, "{written}");
    }
}

#[test]
fn a_password_that_brings_neither_a_token_nor_a_known_no_is_sent_twice_and_a_person_reads_the_servers_words()
 {
    for (body, words) in [
        (
            r#"{"errcode":-1,"errmsg":"The system is busy"}"#,
            "The system is busy",
        ),
        (
            r#"{"access_token":null,"message":"The account is disabled"}"#,
            "The account is disabled",
        ),
    ] {
        let server = Rough::start(move |_, _| answer(200, JSON, body));
        let mut lab = lab(&server);
        lab.configure(&[by_password(&lab)]);
        lab.start();
        let told = lab.await_state("api", "needs_attention");
        assert!(
            told["attention"]["reason"]
                .as_str()
                .unwrap()
                .contains(words),
            "{told}"
        );
        assert_eq!(server.asked("/token").len(), 2, "{body}");
    }
}

#[test]
fn a_mended_config_is_tried_at_once_after_answers_that_told_nothing() {
    let (server, lab) = by_client(|asked, _| {
        if asked.body.contains("scope=right") {
            answer(
                200,
                JSON,
                r#"{"access_token":"right-token","expires_in":600}"#,
            )
        } else {
            answer(200, JSON, r#"{"message":"nothing for you"}"#)
        }
    });
    lab.await_state("api", "needs_attention");
    let before = server.asked("/token").len();
    assert!(before <= 3, "{before} logins");
    lab.configure(&[client(&lab, "api")
        .login_key("ping_url", "/ping")
        .login_key("scope", "right")]);
    lab.reload();
    within(
        Duration::from_secs(5),
        "the next try, which would wait for eight seconds",
        || lab.token("api"),
    );
    assert_eq!(server.asked("/token").len(), before + 1);
}

#[test]
fn an_error_of_the_server_under_a_status_that_is_a_no_is_a_no() {
    const BODY: &str = r#"{"error":"server_error","error_description":"access_denied"}"#;
    let server = Rough::start(|_, _| answer(401, JSON, BODY));
    let mut lab = lab(&server);
    lab.configure(&[by_password(&lab)]);
    lab.start();
    lab.await_state("api", "needs_attention");
    assert_eq!(server.asked("/token").len(), 1);

    let server = Rough::start(|_, _| answer(401, JSON, BODY));
    let mut lab = crate::rough_answers::lab(&server);
    lab.configure(&[by_refresh_token(&lab, "refresh-0")]);
    lab.start();
    let told = lab.await_state("refresh", "needs_attention");
    assert!(
        told["attention"]["reason"]
            .as_str()
            .unwrap()
            .contains("access_denied"),
        "{told}"
    );
    assert_eq!(server.asked("/token").len(), 2);
}

#[test]
fn a_reported_token_whose_ping_tells_of_an_error_under_a_good_status_is_replaced_once() {
    for body in [
        r#"{"ok":false,"error":"invalid_auth"}"#,
        r#"{"errors":[{"message":"Unauthenticated"}],"data":null}"#,
        r#"{"errcode":42001,"errmsg":"access_token expired"}"#,
        r#"{"status":"error","message":"Session expired"}"#,
        r#"{"ocs":{"meta":{"status":"failure","statuscode":997,"message":"Current user is not logged in"}}}"#,
    ] {
        let (server, lab) = by_client(move |asked, before| match asked.path.as_str() {
            "/token" => answer(
                200,
                JSON,
                &format!("{{\"access_token\":\"token-{before}\",\"expires_in\":600}}"),
            ),
            _ => answer(200, JSON, body),
        });
        assert_eq!(lab.await_token("api"), "token-0");
        lab.succeeds(&["verify", "api"]);
        assert_eq!(
            server.asked("/token").len(),
            1,
            "{body}: nobody reported it"
        );
        lab.post(
            "/v1/sessions/api/rejected?wait=4s",
            r#"{"token":"token-0"}"#,
        );
        assert_eq!(lab.await_another_token("api", "token-0"), "token-1");
        for _ in 0..3 {
            lab.post(
                "/v1/sessions/api/rejected?wait=1s",
                r#"{"token":"token-1"}"#,
            );
        }
        assert_eq!(
            lab.token("api").as_deref(),
            Some("token-1"),
            "{body}: it is how this server answers"
        );
        assert_eq!(server.asked("/token").len(), 2, "{body}");
        assert!(server.asked("/ping").len() <= 6, "{body}");
    }
}

#[test]
fn a_ping_that_is_answered_without_content_is_alive() {
    let (server, lab) = by_client(|asked, _| match asked.path.as_str() {
        "/token" => answer(
            200,
            JSON,
            r#"{"access_token":"quiet-token","expires_in":600}"#,
        ),
        _ => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned(),
    });
    lab.await_token("api");
    lab.succeeds(&["verify", "api"]);
    assert!(lab.status("api")["last_error"].is_null());
    assert!(server.asked("/ping").len() <= 2);
}

#[test]
fn line_breaks_around_a_secret_are_not_sent_and_a_refused_one_with_more_around_it_is_named() {
    for (stored, said) in [
        ("kept-refresh-token\r\n\r\n", None),
        ("\nkept-refresh-token\n", None),
        ("kept-refresh-token ", Some("begins or ends with a blank")),
        ("\"kept-refresh-token\"", Some("stands in quotes")),
        ("REFRESH_TOKEN=kept-refresh-token", Some("equals sign")),
    ] {
        let server = Rough::start(|asked, _| {
            if asked
                .body
                .split('&')
                .any(|pair| pair == "refresh_token=kept-refresh-token")
            {
                answer(
                    200,
                    JSON,
                    r#"{"access_token":"kept-token","expires_in":600}"#,
                )
            } else {
                answer(400, JSON, r#"{"error":"invalid_grant"}"#)
            }
        });
        let mut lab = lab(&server);
        lab.configure(&[by_refresh_token(&lab, stored)]);
        lab.start();
        match said {
            None => assert_eq!(lab.await_token("refresh"), "kept-token", "{stored:?}"),
            Some(said) => {
                let told = lab.await_state("refresh", "needs_attention");
                assert!(
                    told["attention"]["reason"].as_str().unwrap().contains(said),
                    "{told}"
                );
                assert!(!told.to_string().contains("kept-refresh-token"), "{told}");
            }
        }
        assert_eq!(server.asked("/token").len(), 1, "{stored:?}");
    }
}

/// A session that logs in by itself and pings, and its daemon, which runs.
fn by_client(answers: impl Fn(&Asked, usize) -> String + Send + Sync + 'static) -> (Rough, Lab) {
    let server = Rough::start(answers);
    let mut lab = lab(&server);
    lab.configure(&[client(&lab, "api").login_key("ping_url", "/ping")]);
    lab.start();
    (server, lab)
}

fn by_password(lab: &Lab) -> Session {
    let password = lab.source("password");
    let login = format!(
        "grant = \"password\"\nclient_id = \"c\"\nusername = \"robot\"\npassword = {password}\ntoken_url = \"/token\"\n"
    );
    lab.session("api", &login).provider("oauth2")
}

/// What a server answers that rotates with each renewal; nothing to a refresh token that is spent.
fn rotated(asked: &Asked, before: usize) -> Option<Value> {
    let is_held = asked
        .body
        .contains(&format!("refresh_token=refresh-{before}"));
    let next = format!("refresh-{}", before + 1);
    let lifetime = if before == 0 { 4 } else { 6 };
    is_held.then(|| json!({"access_token": format!("token-{before}"), "expires_in": lifetime, "refresh_token": next}))
}

/// A whole answer whose length is said to be so many bytes more than it is.
fn framed(head: &str, body: &[u8], more: usize) -> Vec<u8> {
    let length = body.len() + more;
    let head =
        format!("HTTP/1.1 200 X\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
