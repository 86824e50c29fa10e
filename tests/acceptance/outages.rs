//! A server that does not answer is no reason to lose a token, to withdraw it or to knock without end.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::daemon::Lab;
use crate::support::org::{Endpoint, Settings};
use crate::support::salesforce::{Instead, Salesforce};
use crate::support::wire::Response;
use crate::support::{SOON, within};

fn faults() -> [(&'static str, Instead); 7] {
    [
        ("reset", Instead::Reset),
        ("hang", Instead::Hang),
        ("drip", Instead::Drip),
        ("endless", Instead::Endless),
        (
            "html",
            Instead::Say(Response::html(200, "<html>maintenance</html>")),
        ),
        ("truncate", Instead::Truncate),
        (
            "unavailable",
            Instead::Say(Response::text(503, "try later")),
        ),
    ]
}

#[test]
fn pings_without_an_answer_keep_the_token() {
    let (server, mut lab) = lab(Settings::default());
    let names = faults().map(|(name, _)| name);
    lab.configure(&names.map(|name| lab.by_client(name)));
    lab.start();
    let tokens = names.map(|name| lab.await_token(name));
    for (name, fault) in faults() {
        server.always_for(name, Endpoint::Data, fault);
    }
    for name in names {
        lab.post(&format!("/v1/sessions/{name}/verify?wait=1s"), "");
    }
    sleep(Duration::from_secs(4));
    for (name, token) in names.iter().zip(&tokens) {
        assert_eq!(lab.token(name).as_ref(), Some(token), "{name}");
        assert_eq!(server.count_of(name, Endpoint::Token), 1, "{name}");
        let pings = server.count_of(name, Endpoint::Data);
        assert!((1..=8).contains(&pings), "{name}: {pings} pings");
        assert!(!lab.status(name)["last_error"].is_null(), "{name}");
    }
    server.behave();
    for name in names {
        lab.succeeds(&["verify", name]);
    }
    assert_eq!(server.logins(), names.len());
}

#[test]
fn logins_without_an_answer_back_off_and_succeed_in_the_end() {
    let (server, mut lab) = lab(Settings::default());
    let names = faults().map(|(name, _)| name);
    for (name, fault) in faults() {
        server.always_for(name, Endpoint::Token, fault);
    }
    lab.configure(&names.map(|name| lab.by_key(name)));
    lab.start();
    sleep(Duration::from_secs(4));
    for name in names {
        assert_eq!(lab.token(name), None, "{name}");
        let logins = server.count_of(name, Endpoint::Token);
        assert!((1..=5).contains(&logins), "{name}: {logins} logins");
    }
    assert!(
        server.endless_bytes() < 64 << 20,
        "a mebibyte is read of an answer, the rest stays in the pipe"
    );
    server.behave();
    for name in names {
        // An order joins a login that is under way, and that one may still hang.
        within(SOON, "an ordered login to succeed", || {
            lab.run(&["login", name]).status.success().then_some(())
        });
        assert!(server.lives(&lab.await_token(name)), "{name}");
    }
}

#[test]
fn a_server_that_is_down_at_the_start_is_met_when_it_comes() {
    let (server, mut lab) = lab(Settings::default());
    server.refuse();
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    sleep(Duration::from_secs(2));
    assert_eq!(lab.token("crm"), None);
    assert_eq!(lab.code(&["token", "crm", "--wait", "1s"]), 75);
    server.accept_again();
    lab.await_token("crm");
    assert_eq!(server.logins(), 1);
}

#[test]
fn an_outage_shorter_than_promised_costs_no_session() {
    for fault in [None, Some(Instead::Hang)] {
        let (server, mut lab) = lab(Settings {
            idle: Duration::from_secs(12),
            ..Settings::default()
        });
        let session = lab
            .by_client("crm")
            .idle_timeout("12s")
            .table("keepalive", "survive_outage = \"5s\"");
        lab.configure(&[session]);
        lab.start();
        let token = lab.await_token("crm");
        within(SOON, "the first ping", || {
            (server.pings() >= 1).then_some(())
        });
        // The next ping is due within T/2 - 5 s = 1 s: it and its retries fall into the outage.
        match &fault {
            None => server.refuse(),
            Some(fault) => server.always(Endpoint::Data, fault.clone()),
        }
        // On a busy machine it lasts longer than it should.
        sleep(Duration::from_millis(3500));
        match fault {
            None => server.accept_again(),
            Some(_) => server.behave(),
        }
        sleep(Duration::from_secs(6));
        assert!(server.lives(&token));
        assert_eq!((server.idle_deaths(), server.logins()), (0, 1));
        assert_eq!(lab.token("crm"), Some(token));
        assert!(server.pings() <= 20, "{} pings", server.pings());
    }
}

#[test]
fn a_session_that_idles_out_in_a_long_outage_is_replaced_after_it() {
    let (server, mut lab) = lab(Settings {
        idle: Duration::from_secs(3),
        ..Settings::default()
    });
    lab.configure(&[lab.by_client("crm").idle_timeout("3s")]);
    lab.start();
    let first = lab.await_token("crm");
    server.refuse();
    sleep(Duration::from_secs(4));
    server.accept_again();
    let second = within(Duration::from_secs(15), "a living token", || {
        lab.token("crm")
            .filter(|token| *token != first && server.lives(token))
    });
    assert_ne!(first, second);
    assert_eq!(server.logins(), 2);
}

#[test]
fn one_host_that_hangs_delays_no_other() {
    let (hanging, mut lab) = lab(Settings::default());
    let healthy = Salesforce::start(Settings {
        idle: Duration::from_secs(4),
        ..Settings::default()
    });
    hanging.always(Endpoint::Token, Instead::Hang);
    lab.secret("other-secret", &healthy.client_secret());
    let login = format!(
        "grant = \"client_credentials\"\nclient_id = \"good\"\nclient_secret = {}\n",
        lab.source("other-secret")
    );
    let mut sessions: Vec<_> = (0..30)
        .map(|number| lab.by_client(&format!("stuck{number}")))
        .collect();
    sessions.push(
        lab.session("good", &login)
            .url(&healthy.url())
            .idle_timeout("4s"),
    );
    lab.configure(&sessions);
    let started = Instant::now();
    lab.start();
    lab.await_token("good");
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    sleep(Duration::from_secs(5));
    assert_eq!((healthy.idle_deaths(), healthy.logins()), (0, 1));
    assert!(hanging.logins() <= 30 * 6);
}

#[test]
fn a_throttling_server_is_left_alone_for_as_long_as_it_says() {
    let (server, mut lab) = lab(Settings::default());
    let answer = Response::json(429, "{}").with("Retry-After", "3");
    server.always(Endpoint::Token, Instead::Say(answer));
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    within(SOON, "the first login", || {
        (server.logins() >= 1).then_some(())
    });
    sleep(Duration::from_millis(2500));
    assert_eq!(server.logins(), 1);
    server.behave();
    lab.await_token("crm");
    assert_eq!(server.logins(), 2);
}

#[test]
fn twenty_readers_of_a_dead_token_cause_one_login() {
    let (server, mut lab) = lab(Settings::default());
    lab.configure(&[lab.by_client("crm")]);
    lab.start();
    let first = lab.await_token("crm");
    let generation = lab.status("crm")["generation"].clone();
    server.revoke_sessions();
    let reports: Vec<_> = (0..20)
        .map(|_| {
            let (socket, body) = (lab.socket(), format!("{{\"generation\":{generation}}}"));
            std::thread::spawn(move || {
                let path = "/v1/sessions/crm/rejected?wait=10s";
                crate::support::unix::request(&socket, "POST", path, "application/json", &body)
                    .unwrap()
            })
        })
        .collect();
    for report in reports {
        let answer = report.join().unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_ne!(answer.json()["access_token"], *first);
    }
    assert_eq!(server.logins(), 2);
    assert!(server.pings() <= 3, "{} pings", server.pings());
    assert_eq!(server.max_in_flight(), 1);
}

fn lab(settings: Settings) -> (Arc<Salesforce>, Lab) {
    let server = Arc::new(Salesforce::start(settings));
    let lab = Lab::new(&server);
    (server, lab)
}
