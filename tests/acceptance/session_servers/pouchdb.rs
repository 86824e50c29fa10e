//! A cookie that tells its own end, and that each answer replaces.

use std::thread::sleep;
use std::time::Duration;

use super::{IDLE, TOLD, lab, watch};
use crate::support::daemon::{Lab, Session};
use crate::support::servers::pouchdb::PouchDb;

#[test]
fn a_cookie_that_each_answer_replaces_is_published_anew_by_few_pings() {
    let (mut server, mut lab) = pouchdb();
    lab.configure(&[database(&lab)]);
    lab.start();
    lab.await_token("database");
    let seen = watch(&lab, "database", Duration::from_secs(16), |cookie| {
        server.serves(cookie)
    });
    assert!((3..=6).contains(&seen.len()), "{} cookies", seen.len());
    let calls = server.served.front.passed().len();
    assert!((4..=8).contains(&calls), "{calls} calls");
    assert_eq!(server.logins(), 1);

    server.stop_and_forget();
    sleep(Duration::from_secs(1));
    // An answer on its way to the watch's end may have brought one cookie more.
    let before = lab
        .token("database")
        .unwrap_or_else(|| seen.last().unwrap().clone());
    server.served.start_again();
    let after = lab.await_another_token("database", &before);
    assert!(server.serves(&lab.token("database").unwrap_or(after)));
    assert_eq!(server.logins(), 2);

    // The server signs by another secret: its answer to an old cookie is a good one, without a name.
    let before = lab.token("database").unwrap();
    server.end_all(&before);
    let after = lab.await_another_token("database", &before);
    assert!(server.serves(&after) && !server.serves(&before));
    assert_eq!(server.logins(), 3);
}

#[test]
fn a_wrong_password_at_a_server_that_calls_json_plain_text_is_sent_once() {
    let (server, mut lab) = pouchdb();
    lab.secret("password", "not-the-password");
    lab.configure(&[database(&lab)]);
    lab.start();
    let status = lab.await_state("database", "needs_attention");
    assert!(
        status
            .to_string()
            .contains("user name or password is wrong"),
        "{status}"
    );
    sleep(Duration::from_secs(2));
    assert_eq!(
        (server.logins(), server.served.front.passed().len()),
        (1, 1)
    );
    assert_eq!(lab.token("database"), None);
}

fn pouchdb() -> (PouchDb, Lab) {
    let server = PouchDb::start(IDLE);
    let lab = lab(&server.served.front.url(), &server.password);
    (server, lab)
}

fn database(lab: &Lab) -> Session {
    let login = format!(
        "username = \"job\"\npassword = {}\n",
        lab.source("password")
    );
    lab.session("database", &login)
        .provider("couchdb")
        .idle_timeout(&format!("{TOLD}s"))
}
