//! Against answers that are made up.

use std::cell::{Cell, RefCell};

use super::*;
use crate::clock;

const ISSUER: &str = "https://as.example/acme";
const GOOD: &str =
    r#"{"issuer":"https://as.example/acme","token_endpoint":"https://as.example/acme/token"}"#;
const FOREIGN: &str =
    r#"{"issuer":"https://evil.example","token_endpoint":"https://evil.example/token"}"#;

#[tokio::test]
async fn the_second_address_is_tried_when_the_first_has_nothing_to_say() {
    for (first, second, expected) in [
        ((200, GOOD), None, Ok(())),
        ((404, ""), Some((200, GOOD)), Ok(())),
        ((401, "{}"), Some((200, GOOD)), Ok(())),
        ((500, GOOD), Some((200, GOOD)), Ok(())),
        ((200, "<html>"), Some((200, GOOD)), Ok(())),
        ((200, FOREIGN), Some((200, GOOD)), Ok(())),
        ((200, FOREIGN), Some((404, "")), Err("cannot be trusted")),
        (
            (404, ""),
            Some((200, FOREIGN)),
            Err("set `issuer` to exactly that"),
        ),
        ((404, ""), Some((404, "")), Err("cannot fetch the issuer")),
        ((301, ""), Some((302, "")), Err("redirects elsewhere")),
        ((200, "<html>"), Some((200, "[]")), Err("is no JSON object")),
        (
            (200, "{\"issuer\":1,\"issuer\":2}"),
            Some((503, "")),
            Err("cannot be trusted"),
        ),
    ] {
        let server = Server::new([Some(first), second].into_iter().flatten());
        let found = server.ask(&Discovery::default()).await;
        match expected {
            Ok(()) => assert!(found.is_ok(), "{first:?} {second:?}: {found:?}"),
            Err(expected) => assert!(
                found.unwrap_err().to_string().contains(expected),
                "{first:?} {second:?}"
            ),
        }
        assert_eq!(
            server.asked.borrow().len(),
            1 + usize::from(second.is_some())
        );
    }
}

#[tokio::test]
async fn metadata_that_are_not_below_their_issuer_are_asked_for_where_the_config_says_and_must_name_it_all_the_same()
 {
    let elsewhere = "https://docs.example/acme/metadata.json";
    for (answer, good) in [
        ((200, GOOD), true),
        ((200, FOREIGN), false),
        ((404, ""), false),
    ] {
        let server = Server {
            named: Url::parse(elsewhere).ok(),
            ..Server::new([answer])
        };
        assert_eq!(
            server.ask(&Discovery::default()).await.is_ok(),
            good,
            "{answer:?}"
        );
        assert_eq!(*server.asked.borrow(), [elsewhere]);
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_asked_once() {
    let server = Server::new([]);
    let error = server.ask(&Discovery::default()).await.unwrap_err();
    let told = error.to_string();
    let address = "https://as.example/.well-known/";
    assert!(
        told.contains(address) && told.ends_with("nobody listens"),
        "{told}"
    );
    assert_eq!(server.asked.borrow().len(), 1);
}

#[tokio::test]
async fn an_oversized_document_is_no_document() {
    let cut = Response::new(200, Vec::new(), GOOD.as_bytes(), false);
    assert!(document(&cut).unwrap_err().contains("1 MiB"));
}

#[tokio::test]
async fn metadata_are_asked_for_once_a_day_and_after_a_doubt() {
    let server = Server::new([(200, GOOD); 3]);
    let discovery = Discovery::default();
    for (moment, asked) in [
        (0, 1),
        (1000, 1),
        (86_399_000, 1),
        (86_401_000, 2),
        (86_500_000, 2),
    ] {
        NOW.set(moment);
        server.ask_at(&discovery, now).await.unwrap();
        assert_eq!(server.asked.borrow().len(), asked, "after {moment} ms");
    }
    discovery.doubt(now());
    server.ask_at(&discovery, now).await.unwrap();
    assert_eq!(server.asked.borrow().len(), 3);
    discovery.doubt(now());
    server.ask_at(&discovery, now).await.unwrap();
    assert_eq!(
        server.asked.borrow().len(),
        3,
        "just told: it would be told again"
    );
}

#[tokio::test]
async fn old_metadata_outlive_an_issuer_that_fails() {
    let server = Server::new([(200, GOOD), (503, ""), (200, FOREIGN)]);
    let discovery = Discovery::default();
    NOW.set(0);
    server.ask_at(&discovery, now).await.unwrap();
    for (moment, asked) in [(90_000_000, 3), (93_000_000, 3), (94_000_000, 4)] {
        NOW.set(moment);
        assert!(server.ask_at(&discovery, now).await.is_ok());
        assert_eq!(server.asked.borrow().len(), asked, "after {moment} ms");
    }
}

#[tokio::test]
async fn those_who_wait_share_one_answer_and_one_failure() {
    for (answers, good) in [
        (vec![(200, GOOD)], true),
        (vec![(404, ""), (404, "")], false),
    ] {
        let server = Server::new(answers.clone());
        let discovery = Discovery::default();
        let askers = (0..20).map(|_| server.ask_at(&discovery, ticking));
        let found = futures_util::future::join_all(askers).await;
        assert!(found.iter().all(|found| found.is_ok() == good));
        assert_eq!(server.asked.borrow().len(), answers.len());
    }
}

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn now() -> Instant {
    Instant::from_millis(NOW.get())
}

fn ticking() -> Instant {
    NOW.set(NOW.get() + 1);
    now()
}

/// Answers in turn, and then cannot be reached.
struct Server {
    answers: RefCell<Vec<(u16, &'static str)>>,
    asked: RefCell<Vec<String>>,
    /// Where the config says that they are.
    named: Option<Url>,
}

impl Server {
    fn new(answers: impl IntoIterator<Item = (u16, &'static str)>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self {
            answers: RefCell::new(answers),
            asked: RefCell::default(),
            named: None,
        }
    }

    async fn ask(&self, discovery: &Discovery) -> Result<Arc<Metadata>, DiscoveryError> {
        self.ask_at(discovery, clock::boottime).await
    }

    async fn ask_at(
        &self,
        discovery: &Discovery,
        clock: fn() -> Instant,
    ) -> Result<Arc<Metadata>, DiscoveryError> {
        let fetch = async |at: Url| {
            self.asked.borrow_mut().push(at.to_string());
            tokio::task::yield_now().await;
            let next = self.answers.borrow_mut().pop();
            let (status, body) = next.ok_or_else(|| Unreachable {
                why: "nobody listens".to_owned(),
                remedy: None,
            })?;
            Ok(Response::new(status, Vec::new(), body.as_bytes(), true))
        };
        discovery
            .metadata(ISSUER, self.named.as_ref(), clock, fetch)
            .await
    }
}
