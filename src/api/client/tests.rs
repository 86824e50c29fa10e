use std::io;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;

use super::*;
use crate::api::{SessionList, TokenAnswer, fake};

#[test]
fn a_token_is_fetched_bare_or_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.sock");
    let (stop, stopped) = oneshot::channel();
    let (_fake, thread) = fake::daemon(&path, stopped);
    let client = Client::find(Some(&path));
    let bare = client.text(&Call {
        path: "/v1/sessions/crm/token".to_owned(),
        plain: true,
        ..Call::default()
    });
    assert_eq!(bare.unwrap().as_str(), "00Dtoken");
    let whole: TokenAnswer = client.json(&get("/v1/sessions/crm/token")).unwrap();
    assert_eq!(whole.generation, 7);
    assert!(
        !format!("{whole:?}").contains("00Dtoken"),
        "no token in what may be logged"
    );
    match client.json::<TokenAnswer>(&get("/v1/sessions/stuck/token")) {
        Err(ClientError::Problem(problem)) => {
            assert_eq!(problem.remedy.as_deref(), Some("check the key"));
        }
        other => panic!("{other:?}"),
    }
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn without_a_daemon_the_places_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let stale = directory.path().join("stale.sock");
    drop(UnixListener::bind(&stale).unwrap());
    for path in [directory.path().join("absent.sock"), stale] {
        let error = Client::find(Some(&path))
            .text(&get("/v1/sessions"))
            .unwrap_err();
        assert!(
            matches!(&error, ClientError::NotRunning { tried, named: true } if *tried == [path]),
            "{error}"
        );
    }
}

#[test]
fn a_wait_for_an_absent_daemon_is_announced_once() {
    static HEARD: AtomicUsize = AtomicUsize::new(0);
    let directory = tempfile::tempdir().unwrap();
    let client = Client::find(Some(&directory.path().join("absent.sock"))).announcing(|waiting| {
        let Waiting::ForDaemon { error, at_most } = waiting else {
            panic!("{waiting:?}")
        };
        assert!(matches!(error, ClientError::NotRunning { .. }));
        assert!(*at_most < Duration::from_secs(3), "{at_most:?}");
        HEARD.fetch_add(1, Ordering::Relaxed);
    });
    for (seconds, heard) in [(1, 0), (4, 1)] {
        let call = Call {
            wait: Duration::from_secs(seconds),
            ..get("/v1/sessions")
        };
        client.text(&call).unwrap_err();
        assert_eq!(HEARD.load(Ordering::Relaxed), heard);
    }
}

#[test]
fn a_wait_spans_a_restart_of_the_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.sock");
    let client = Client::find(Some(&path));
    let call = Call {
        wait: Duration::from_secs(20),
        plain: true,
        ..get("/v1/sessions/crm/token")
    };
    let fetching = thread::spawn(move || client.text(&call));
    // One that dies in the middle of its answer comes first.
    let dying = UnixListener::bind(&path).unwrap();
    drop(dying.accept().unwrap());
    drop(dying);
    std::fs::remove_file(&path).unwrap();
    let (stop, stopped) = oneshot::channel();
    let (_fake, thread) = fake::daemon(&path, stopped);
    assert_eq!(fetching.join().unwrap().unwrap().as_str(), "00Dtoken");
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn an_order_that_may_have_been_carried_out_is_not_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("k.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let client = Client::find(Some(&path));
    let call = Call {
        post: true,
        wait: Duration::from_secs(20),
        repeatable: false,
        ..get("/v1/sessions/crm/login")
    };
    let ordering = thread::spawn(move || client.text(&call));
    drop(listener.accept().unwrap());
    assert!(matches!(
        ordering.join().unwrap(),
        Err(ClientError::Lost(_))
    ));
}

#[test]
fn a_stranger_at_the_socket_is_recognised() {
    for bytes in [
        b"SSH-2.0-x\r\n".as_slice(),
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("k.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let client = Client::find(Some(&path));
        let asking = thread::spawn(move || client.json::<SessionList>(&get("/v1/sessions")));
        let (mut stream, _) = listener.accept().unwrap();
        io::Write::write_all(&mut stream, bytes).unwrap();
        assert!(matches!(
            asking.join().unwrap(),
            Err(ClientError::Protocol { .. })
        ));
    }
}

#[test]
fn the_query_is_encoded_and_carries_what_is_left_of_the_wait() {
    let call = Call {
        query: vec![("session", "a&b".to_owned())],
        wait: Duration::from_secs(9),
        ..get("/v1/health")
    };
    let head = head(&call, Duration::from_millis(1500));
    assert!(
        head.starts_with("GET /v1/health?session=a%26b&wait=1500ms HTTP/1.1\r\n"),
        "{head}"
    );
}

fn get(path: &str) -> Call<'static> {
    Call {
        path: path.to_owned(),
        repeatable: true,
        ..Call::default()
    }
}
