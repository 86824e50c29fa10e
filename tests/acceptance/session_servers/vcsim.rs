//! A session of vCenter's older REST endpoint. This one takes whatever password comes, so none is refused here.

use std::thread::sleep;
use std::time::Duration;

use super::{IDLE, lab, watch};
use crate::support::daemon::{Lab, Session};
use crate::support::servers::vcsim::Vcsim;

/// Without this, the other would prove nothing.
#[test]
fn a_simulated_vcenter_ends_a_session_that_nobody_uses() {
    let server = Vcsim::start(2);
    let session = server.log_in();
    assert!(server.serves(&session));
    sleep(Duration::from_secs(5));
    assert!(!server.serves(&session));
}

#[test]
fn a_session_of_a_vcenter_lives_through_several_idle_timeouts_its_end_and_a_restart_of_its_server()
{
    let mut server = Vcsim::start(IDLE);
    let mut lab = lab(&server.served.front.url(), "any-password");
    lab.configure(&[center(&lab)]);
    lab.start();
    let first = lab.await_token("center");
    // To ask the server itself would extend the session.
    let seen = watch(&lab, "center", Duration::from_secs(14), |_| true);
    assert_eq!(seen, [first.as_str()]);
    let pings = server.count("GET", 200);
    assert!((2..=5).contains(&pings), "{pings} pings");
    assert!(server.serves(&first));

    server.end(&first);
    lab.succeeds(&["rejected", "center"]);
    let second = lab.await_another_token("center", &first);
    assert!(server.serves(&second));
    assert_eq!(
        (server.count("POST", 200), server.count("GET", 401)),
        (2, 1)
    );

    // It forgets its sessions, and answers the next ping accordingly.
    server.served.stop();
    sleep(Duration::from_secs(1));
    server.served.start_again();
    let third = lab.await_another_token("center", &second);
    assert!(server.serves(&third));
    assert_eq!(server.count("POST", 200), 3);
    lab.succeeds(&["logout", "center"]);
    assert!(!server.serves(&third));
    let calls = server.served.front.passed().len();
    assert!(calls <= 16, "{calls} calls");
}

fn center(lab: &Lab) -> Session {
    let login = format!(
        "username = \"job@vsphere.local\"\npassword = {}\napi = \"/rest/com/vmware/cis\"\n",
        lab.source("password")
    );
    lab.session("center", &login)
        .provider("vsphere")
        .idle_timeout(&format!("{IDLE}s"))
}
