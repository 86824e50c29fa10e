//! Jobs that call through a session's gateway: they hold no token, meet no dead one, and reach nothing else.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::daemon::{Lab, Session};
use crate::support::org::{Endpoint, Settings, session_expired};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::unix::{Answer, exchange, parsed};
use crate::support::untried::can_as_root;
use crate::support::wire::Response;
use crate::support::{SOON, within};

const LIMITS: &str = "/services/data/v62.0/limits";
/// Where records are written.
const ACCOUNTS: &str = "/services/data/v62.0/sobjects/Account/";

#[test]
fn a_job_without_a_token_calls_the_server_with_the_sessions() {
    let (server, lab) = running("");
    let before = server.settled();
    let answer = get(
        &lab,
        LIMITS,
        "authorization: Bearer none\r\nconnection: close, authorization\r\n",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.contains("sobjects"), "{answer:?}");
    let calls = server.calls().split_off(before);
    assert_eq!(calls.len(), 1, "one request is one call");
    let token = &server.issued()[0];
    let sent = &calls[0].request;
    assert_eq!(sent.header("authorization"), format!("Bearer {token}"));
    assert_eq!(
        sent.header("host"),
        server.url().trim_start_matches("http://")
    );
    assert!(!format!("{answer:?}").contains(token));
    // Its success is use: the session's status says so without a ping.
    let status = lab.status("crm");
    assert_eq!(status["state"], "alive");
}

#[test]
fn a_request_that_meets_a_dead_session_is_sent_once_more_and_sees_no_401() {
    for (method, path, body) in [
        ("GET", LIMITS, ""),
        ("POST", ACCOUNTS, "{\"Name\":\"Acme\"}"),
    ] {
        let (server, lab) = running("");
        server.revoke_sessions();
        let before = server.calls().len();
        let answer = ask(&lab, method, path, "", body);
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        let calls = server.calls().split_off(before);
        let ours: Vec<_> = calls
            .iter()
            .filter(|call| call.request.method == method && call.endpoint == Endpoint::Data)
            .filter(|call| call.request.path == path)
            .filter(|call| call.request.body == body.as_bytes())
            .collect();
        assert_eq!(ours.len(), 2, "{method}: {calls:?}");
        let logins = calls
            .iter()
            .filter(|call| call.endpoint == Endpoint::Token)
            .count();
        assert_eq!(logins, 1, "{method}: {calls:?}");
        assert!(calls.len() <= 4, "{method}: {calls:?}");
    }
}

#[test]
fn many_requests_at_a_revocation_cost_one_login_and_none_sees_a_401() {
    let (server, lab) = running("");
    server.allow_calls(1000);
    server.revoke_sessions();
    let logins = server.logins();
    let socket = socket(&lab);
    let jobs: Vec<_> = (0..100)
        .map(|_| {
            let socket = socket.clone();
            thread::spawn(move || exchange(&socket, request("GET", LIMITS, "", "").as_bytes()))
        })
        .collect();
    for job in jobs {
        assert_eq!(job.join().unwrap().unwrap().status, 200);
    }
    assert_eq!(server.logins() - logins, 1);
    let data = server.count(Endpoint::Data);
    assert!(
        data <= 2 * 100 + 5,
        "{data} calls for 100 requests: each is sent twice at most"
    );
}

#[test]
fn a_job_that_calls_again_and_again_keeps_its_session_with_hardly_a_ping() {
    let server = Arc::new(Salesforce::start(Settings {
        idle: Duration::from_secs(8),
        ..Settings::default()
    }));
    let mut lab = Lab::new(&server);
    lab.configure(&[with_gateway(&lab, "").idle_timeout("8s")]);
    lab.start();
    lab.await_state("crm", "alive");
    within(SOON, "the gateway opens", || {
        socket(&lab).exists().then_some(())
    });
    let pings = server.pings();
    for _ in 0..20 {
        assert_eq!(get(&lab, LIMITS, "").status, 200);
        thread::sleep(Duration::from_secs(1));
    }
    let jobs = 20;
    assert!(
        server.pings() - pings <= jobs + 2,
        "{} pings and calls of jobs",
        server.pings() - pings
    );
    assert_eq!((server.idle_deaths(), server.logins()), (0, 1));
    let figures = lab.get("/metrics").unwrap().body;
    let passed = "keepfresh_gateway_requests_total{session=\"crm\",outcome=\"passed\"} 20";
    assert!(figures.contains(passed), "{figures}");
}

#[test]
fn a_large_body_is_sent_once_and_its_401_says_that_the_session_is_back() {
    let (server, lab) = running("");
    server.revoke_sessions();
    let body = "x".repeat(200_000);
    let answer = ask(&lab, "PUT", ACCOUNTS, "", &body);
    assert_eq!(answer.status, 401, "{answer:?}");
    let generation = lab.status("crm")["generation"].to_string();
    assert_eq!(
        answer.header("keepfresh-recovered"),
        generation,
        "{answer:?}"
    );
    let uploads = server
        .calls()
        .into_iter()
        .filter(|call| call.request.method == "PUT");
    let sizes: Vec<usize> = uploads.map(|call| call.request.body.len()).collect();
    assert_eq!(sizes, [200_000]);
    let again = ask(&lab, "PUT", ACCOUNTS, "", &body);
    assert_eq!(again.status, 200, "{again:?}");
}

#[test]
fn what_only_looks_like_a_death_passes_untouched_and_is_sent_once() {
    let (server, lab) = running("");
    for (status, body) in [
        (500, "oops"),
        (502, "<html>proxy</html>"),
        (
            403,
            r#"[{"errorCode":"INSUFFICIENT_ACCESS","message":"no"}]"#,
        ),
        (404, r#"[{"errorCode":"NOT_FOUND","message":"no"}]"#),
        (204, ""),
    ] {
        let before = server.settled();
        server.once(Endpoint::Data, Instead::Say(Response::json(status, body)));
        let answer = get(&lab, LIMITS, "");
        assert_eq!((answer.status, &*answer.body), (status, body), "{answer:?}");
        assert_eq!(answer.header("keepfresh-error"), "");
        assert_eq!(server.calls().len() - before, 1, "{status}");
    }
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_401_of_a_living_session_goes_back_to_the_job() {
    let (server, lab) = running("");
    server.once(Endpoint::Data, Instead::Say(session_expired()));
    let before = server.settled();
    let answer = get(&lab, LIMITS, "");
    assert_eq!(answer.status, 401, "{answer:?}");
    assert!(
        server.calls().len() - before <= 2,
        "the request, and the ping that speaks for the token"
    );
    assert_eq!(server.logins(), 1);
}

#[test]
fn what_has_two_readings_or_comes_from_a_browser_reaches_no_server() {
    let (server, lab) = running("");
    let before = server.settled();
    let head = |line: &str, headers: &str| {
        format!("{line} HTTP/1.1\r\nHost: crm\r\n{headers}Connection: close\r\n\r\n")
    };
    for (bytes, statuses) in [
        (
            head(&format!("GET {LIMITS}"), "Host: crm\r\n"),
            &[400, 421][..],
        ),
        (
            format!("GET {LIMITS} HTTP/1.1\r\nConnection: close\r\n\r\n"),
            &[400, 421],
        ),
        (
            format!("GET {LIMITS} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
            &[421],
        ),
        (
            format!("GET {LIMITS} HTTP/1.1\r\nHost: crm.evil.example\r\nConnection: close\r\n\r\n"),
            &[421],
        ),
        (head(&format!("GET http://crm{LIMITS}"), ""), &[421]),
        (head("CONNECT crm:443", ""), &[400, 421]),
        (head("OPTIONS *", ""), &[400, 421]),
        (head(&format!("TRACE {LIMITS}"), ""), &[405]),
        (
            head(&format!("GET {LIMITS}"), "Upgrade: websocket\r\n"),
            &[421],
        ),
        (
            head(
                &format!("POST {LIMITS}"),
                "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            ) + "0\r\n\r\n",
            &[400],
        ),
        (
            head(
                &format!("POST {LIMITS}"),
                "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            ) + "0\r\n\r\n",
            &[400],
        ),
        (
            head(
                &format!("POST {LIMITS}"),
                "Content-Length: 1\r\nContent-Length: 1\r\n",
            ) + "a",
            &[400],
        ),
        (
            head(
                &format!("POST {LIMITS}"),
                "Content-Length: 1\r\nContent-Length: 2\r\n",
            ) + "ab",
            &[400],
        ),
        (
            head(&format!("POST {LIMITS}"), "Content-Length: +1\r\n") + "a",
            &[400],
        ),
        (
            head(
                &format!("POST {LIMITS}"),
                "Transfer-Encoding: gzip, chunked\r\n",
            ) + "0\r\n\r\n",
            &[400],
        ),
        (
            head(&format!("POST {LIMITS}"), "Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n",
            &[400],
        ),
        (
            head(&format!("POST {LIMITS}"), "Transfer-Encoding : chunked\r\n") + "0\r\n\r\n",
            &[400],
        ),
        (
            head(
                &format!("POST {LIMITS}"),
                "Transfer-Encoding: chunked\r\nTrailer: x\r\n",
            ) + "0\r\nx: y\r\n\r\n",
            &[400],
        ),
        (head(&format!("GET {LIMITS}"), "X: a\r\n b\r\n"), &[400]),
        (
            format!("GET {LIMITS} HTTP/1.1\nHost: crm\nConnection: close\n\n"),
            &[400],
        ),
        (head("GET /services/data/../oauth2/token", ""), &[400]),
        (head("GET /services//data", ""), &[400]),
        (head("GET /services/%2e%2e/secur", ""), &[400]),
        (head("GET /services%2foauth2/token", ""), &[400]),
        (head("GET /services/data;x=1/v62.0", ""), &[400]),
        (head("POST /services/oauth2/token", ""), &[403]),
        (head("POST /SERVICES/OAUTH2/TOKEN", ""), &[403]),
        (head("GET /secur/frontdoor.jsp?retURL=/", ""), &[403]),
        (head("POST /services/Soap/u/62.0", ""), &[403]),
        (
            head(&format!("GET {LIMITS}"), "Origin: http://crm\r\n"),
            &[403],
        ),
        (head(&format!("GET {LIMITS}"), "Origin: null\r\n"), &[403]),
        (
            head(&format!("GET {LIMITS}"), "Sec-Fetch-Site: same-origin\r\n"),
            &[403],
        ),
        (
            head(
                &format!("GET {LIMITS}"),
                "Referer: http://evil.example/\r\n",
            ),
            &[403],
        ),
        (
            head(&format!("GET {LIMITS}"), "X-Forwarded-For: 192.0.2.1\r\n"),
            &[403],
        ),
        (
            head(&format!("GET {LIMITS}"), "Forwarded: for=192.0.2.1\r\n"),
            &[403],
        ),
    ] {
        let answer = exchange(&socket(&lab), bytes.as_bytes());
        let answer = answer.unwrap_or_else(|| panic!("no answer to {bytes}"));
        assert!(statuses.contains(&answer.status), "{bytes}\n{answer:?}");
        assert_ne!(answer.header("access-control-allow-origin"), "*");
    }
    assert_eq!(
        server.calls().len(),
        before,
        "none of these reached the server"
    );
}

#[test]
fn a_second_request_behind_a_smuggled_one_is_not_answered() {
    let (server, lab) = running("");
    let before = server.settled();
    let smuggled = format!(
        "POST {LIMITS} HTTP/1.1\r\nHost: crm\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /services/data/v62.0/hidden HTTP/1.1\r\nHost: crm\r\n\r\n"
    );
    let answer = exchange(&socket(&lab), smuggled.as_bytes()).unwrap();
    assert_eq!(answer.status, 400);
    assert!(!answer.body.contains("HTTP/1.1"), "{answer:?}");
    assert_eq!(server.calls().len(), before);
}

#[test]
fn only_the_gateway_has_the_token_where_the_config_says_so() {
    let (server, lab) = running("only = true");
    assert_eq!(get(&lab, LIMITS, "").status, 200);
    let refused = lab.run(&["token", "crm"]);
    assert_eq!(refused.status.code(), Some(77));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("only = true") && said.contains("--unix-socket"),
        "{said}"
    );
    assert_eq!(
        lab.post("/v1/sessions/crm/rejected", "{\"generation\":1}")
            .status,
        403
    );
    assert_eq!(
        fs::read_dir(lab.path("run/tokens")).map_or(0, Iterator::count),
        0
    );
    server.revoke_sessions();
    assert_eq!(
        get(&lab, LIMITS, "").status,
        200,
        "it recovers all the same"
    );
}

#[test]
fn rules_let_only_their_methods_and_paths_through() {
    let (server, lab) = running("allow = [{ methods = [\"GET\"], paths = [\"/services/data/\"] }]");
    let before = server.settled();
    assert_eq!(get(&lab, LIMITS, "").status, 200);
    for (method, path) in [
        ("POST", LIMITS),
        ("GET", "/services/apexrest/x"),
        ("GET", "/services/database"),
    ] {
        let answer = ask(&lab, method, path, "", "");
        assert_eq!(
            (answer.status, answer.header("keepfresh-error")),
            (403, "not-allowed"),
            "{method} {path}"
        );
    }
    assert_eq!(server.calls().len() - before, 1);
}

#[test]
fn a_user_who_may_not_read_the_session_may_not_call_through_it() {
    if !can_as_root("become another user") {
        return;
    }
    let port = free_port();
    let (server, lab) = running(&format!("listen = \"127.0.0.1:{port}\""));
    let before = server.settled();
    for url in [
        format!("http://127.0.0.1:{port}{LIMITS}"),
        format!("http://crm{LIMITS}"),
    ] {
        let mut curl = std::process::Command::new("curl");
        if url.contains("//crm") {
            curl.arg("--unix-socket").arg(socket(&lab));
        }
        let mut curl = as_nobody(curl);
        let output = curl
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "403", "{url}");
    }
    assert_eq!(server.calls().len(), before);
}

#[test]
fn a_port_is_asked_by_its_own_address_and_with_the_header_that_the_config_wants() {
    let port = free_port();
    let (server, lab) = running(&format!(
        "listen = \"127.0.0.1:{port}\"\nheader = \"X-Keepfresh\""
    ));
    assert_eq!(
        get(&lab, LIMITS, "").status,
        200,
        "the socket needs no header"
    );
    let before = server.settled();
    for (host, header, status) in [
        (format!("127.0.0.1:{port}"), "X-Keepfresh: 1\r\n", 200),
        (format!("localhost:{port}"), "x-keepfresh: \r\n", 200),
        (format!("127.0.0.1:{port}"), "", 403),
        (
            format!("127.0.0.1:{port}.evil.example"),
            "X-Keepfresh: 1\r\n",
            421,
        ),
        ("127.0.0.1".to_owned(), "X-Keepfresh: 1\r\n", 421),
        ("crm".to_owned(), "X-Keepfresh: 1\r\n", 421),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        write!(
            stream,
            "GET {LIMITS} HTTP/1.1\r\nHost: {host}\r\n{header}Connection: close\r\n\r\n"
        )
        .unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let answer = parsed(&bytes).unwrap();
        assert_eq!(answer.status, status, "{host} {header:?}: {answer:?}");
    }
    assert_eq!(server.calls().len() - before, 2);
}

#[test]
fn a_reload_opens_closes_and_changes_gateways_while_requests_pass() {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    lab.await_token("crm");
    assert!(!socket(&lab).exists());
    lab.configure(&[with_gateway(&lab, "")]);
    lab.reload();
    within(SOON, "the gateway opens", || {
        exchange(&socket(&lab), request("GET", LIMITS, "", "").as_bytes())
            .filter(|answer| answer.status == 200)
    });
    lab.configure(&[with_gateway(&lab, "allow = [{ methods = [\"POST\"] }]")]);
    lab.reload();
    within(SOON, "the rule holds", || {
        (get(&lab, LIMITS, "").status == 403).then_some(())
    });
    lab.configure(&[lab.by_client("crm")]);
    lab.reload();
    within(SOON, "the gateway closes", || {
        (!socket(&lab).exists()).then_some(())
    });
    assert_eq!(server.logins(), 1);
}

#[test]
fn a_session_whose_token_only_the_gateway_may_have_from_now_on_loses_its_file() {
    let (_server, lab) = running("");
    assert!(lab.token("crm").is_some());
    lab.configure(&[with_gateway(&lab, "only = true")]);
    lab.reload();
    within(SOON, "the file is gone", || {
        lab.token("crm").is_none().then_some(())
    });
    assert_eq!(get(&lab, LIMITS, "").status, 200);
    assert_eq!(lab.code(&["token", "crm"]), 77);
}

#[test]
fn a_gateways_socket_that_was_removed_is_made_again_and_what_is_under_way_goes_on() {
    let (server, lab) = running("");
    server.once(Endpoint::Data, Instead::Endless);
    let mut stream = UnixStream::connect(socket(&lab)).unwrap();
    stream
        .write_all(request("GET", LIMITS, "", "").as_bytes())
        .unwrap();
    let mut read = vec![0; 65_536];
    stream.read_exact(&mut read).unwrap();
    fs::remove_dir_all(lab.path("run/gateway")).unwrap();
    within(SOON, "the socket is there again", || {
        exchange(&socket(&lab), request("GET", LIMITS, "", "").as_bytes())
            .filter(|answer| answer.status == 200)
    });
    stream.read_exact(&mut read).unwrap();
}

#[test]
fn a_job_that_reads_slowly_holds_the_server_back() {
    let (server, lab) = running("");
    server.once(Endpoint::Data, Instead::Endless);
    let mut stream = UnixStream::connect(socket(&lab)).unwrap();
    stream
        .write_all(request("GET", LIMITS, "", "").as_bytes())
        .unwrap();
    let mut read = vec![0; 1024 * 1024];
    stream.read_exact(&mut read).unwrap();
    // Buffers of the kernel and of both ends fill; then nothing more is sent.
    let sent = within(SOON, "the server is held back", || {
        let before = server.endless_bytes();
        thread::sleep(Duration::from_millis(500));
        (server.endless_bytes() == before).then_some(before)
    });
    assert!(
        sent < 24 * 1024 * 1024,
        "{sent} bytes for a reader of one MiB"
    );
    stream.read_exact(&mut read).unwrap();
}

#[test]
fn an_answer_that_breaks_off_breaks_off_for_the_job_too_and_is_not_asked_for_again() {
    let (server, lab) = running("");
    server.once(Endpoint::Data, Instead::Truncate);
    let before = server.settled();
    let answer = exchange(&socket(&lab), request("GET", LIMITS, "", "").as_bytes());
    let announced = answer
        .as_ref()
        .map(|answer| answer.header("content-length").to_owned());
    let whole =
        answer.is_some_and(|answer| answer.body.len().to_string() == announced.unwrap_or_default());
    assert!(!whole, "half an answer must not look like a whole one");
    for broken in [Instead::Reset, Instead::Lose] {
        server.once(Endpoint::Data, broken);
        let answer = get(&lab, LIMITS, "");
        assert_eq!(
            (answer.status, answer.header("keepfresh-error")),
            (502, "unreachable"),
            "{answer:?}"
        );
    }
    assert_eq!(server.calls().len() - before, 3, "each was sent once");
}

#[test]
fn without_a_session_the_answer_says_why_and_when_to_come_back_and_is_no_401() {
    let (server, lab) = running("");
    server.always(
        Endpoint::Token,
        Instead::Say(Response::json(400, r#"{"error":"invalid_client_id"}"#)),
    );
    server.revoke_sessions();
    let begun = Instant::now();
    let answer = get(&lab, LIMITS, "");
    assert_eq!(
        (answer.status, answer.header("keepfresh-error")),
        (503, "no-session"),
        "{answer:?}"
    );
    assert!(
        answer.header("retry-after").parse::<u64>().is_ok(),
        "{answer:?}"
    );
    assert!(
        answer.json()["detail"]
            .as_str()
            .is_some_and(|detail| !detail.is_empty())
    );
    assert!(begun.elapsed() < Duration::from_secs(35));
    assert!(server.logins() <= 4);
}

#[test]
fn an_upload_is_asked_for_only_once_there_is_a_token() {
    let (server, lab) = running("allow = [{ methods = [\"PUT\"] }]");
    let mut stream = UnixStream::connect(socket(&lab)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head = "Host: crm\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    write!(stream, "PUT {ACCOUNTS} HTTP/1.1\r\n{head}").unwrap();
    let mut seen = [0; 25];
    stream.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    let mut rest = [0; 15];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"HTTP/1.1 200 OK");
    // What is refused is told so without the upload.
    let mut refused = UnixStream::connect(socket(&lab)).unwrap();
    refused.set_read_timeout(Some(SOON)).unwrap();
    write!(refused, "POST {ACCOUNTS} HTTP/1.1\r\n{head}").unwrap();
    refused.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"HTTP/1.1 403 Fo");
    let puts = server
        .calls()
        .into_iter()
        .filter(|call| call.request.method == "PUT");
    assert_eq!(
        puts.map(|call| call.request.body).collect::<Vec<_>>(),
        [b"hello".to_vec()]
    );
}

#[test]
fn a_tool_that_speaks_oauth_only_gets_the_token_with_a_promise_where_the_config_lets_it() {
    let (server, lab) = running("token_endpoint = true");
    let before = server.settled();
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let answer = ask(
        &lab,
        "POST",
        "/token",
        form,
        "grant_type=client_credentials&client_id=x",
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let json = answer.json();
    assert_eq!(json["access_token"], *server.issued()[0]);
    assert!(
        json["expires_in"]
            .as_u64()
            .is_some_and(|seconds| seconds > 0 && seconds <= 7200),
        "{json}"
    );
    let other = ask(&lab, "POST", "/token", form, "grant_type=password");
    assert_eq!(
        (other.status, other.json()["error"].as_str()),
        (400, Some("unsupported_grant_type"))
    );
    assert_eq!(server.calls().len(), before, "no server is called for it");
    // Off unless it is on: the server is asked, and knows no such path.
    lab.configure(&[with_gateway(&lab, "")]);
    lab.reload();
    within(SOON, "the endpoint is gone", || {
        (ask(
            &lab,
            "POST",
            "/token",
            form,
            "grant_type=client_credentials",
        )
        .status
            == 404)
            .then_some(())
    });
}

#[test]
fn a_command_gets_a_port_of_its_own_and_no_token() {
    let (server, lab) = running("only = true");
    let script = format!("env; curl -sS \"$CRM_URL{LIMITS}\"");
    let mut command = lab.command(&["exec", "--gateway", "crm", "--", "sh", "-c", &script]);
    let output = command.env("CRM_TOKEN", "an older one").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(
        said.contains("CRM_URL=http://127.0.0.1:") && said.contains("\"sobjects\""),
        "{said}"
    );
    assert!(
        said.contains(&format!("CRM_SOCKET={}", socket(&lab).display())),
        "{said}"
    );
    assert!(
        !said.contains("CRM_TOKEN") && !said.contains(&server.issued()[0]),
        "{said}"
    );
    let port = said
        .split("CRM_URL=http://127.0.0.1:")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .unwrap();
    assert!(
        TcpStream::connect(("127.0.0.1", port.parse().unwrap())).is_err(),
        "gone with the command"
    );
    lab.configure(&[lab.by_client("crm")]);
    lab.reload();
    let without = within(SOON, "the gateway is gone", || {
        let output = lab.run(&["exec", "--gateway", "crm", "--", "true"]);
        (!output.status.success()).then_some(output)
    });
    let said = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(
        said.contains("[sessions.crm.gateway]") && without.status.code() == Some(125),
        "{said}"
    );
}

fn running(gateway: &str) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(Settings::default()));
    let mut lab = Lab::new(&server);
    lab.configure(&[with_gateway(&lab, gateway)]);
    lab.start();
    lab.await_state("crm", "alive");
    within(SOON, "the gateway opens", || {
        socket(&lab).exists().then_some(())
    });
    (server, lab)
}

fn with_gateway(lab: &Lab, gateway: &str) -> Session {
    lab.by_client("crm").table("gateway", gateway)
}

fn socket(lab: &Lab) -> PathBuf {
    lab.path("run/gateway/crm.sock")
}

fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let close = if headers.contains("connection:") {
        ""
    } else {
        "connection: close\r\n"
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: crm\r\n{headers}{close}content-length: {length}\r\n\r\n{body}"
    )
}

#[track_caller]
fn ask(lab: &Lab, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    exchange(
        &socket(lab),
        request(method, path, headers, body).as_bytes(),
    )
    .unwrap()
}

#[track_caller]
fn get(lab: &Lab, path: &str, headers: &str) -> Answer {
    ask(lab, "GET", path, headers, "")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn as_nobody(mut command: std::process::Command) -> std::process::Command {
    use std::os::unix::process::CommandExt as _;
    command.uid(65534).gid(65534).current_dir("/");
    command
}
