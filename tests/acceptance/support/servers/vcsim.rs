//! vCenter as govmomi simulates it: a session of its REST endpoint, kept by any call, that takes whatever password comes.

use super::super::recorder::free_port;
use super::{Served, dying_with_us, installed};

const SESSION: &str = "/rest/com/vmware/cis/session";

pub(crate) struct Vcsim {
    pub(crate) served: Served,
}

impl Vcsim {
    /// Starts one that looks every so many seconds which sessions were not used since it last did.
    pub(crate) fn start(idle_seconds: u32) -> Self {
        let address = free_port();
        let mut command = dying_with_us(&installed("vcsim/program/vcsim"), false);
        command
            .arg(address.to_string())
            .arg(format!("{idle_seconds}s"));
        Self {
            served: Served::start(address, command),
        }
    }

    pub(crate) fn count(&self, method: &str, status: u16) -> usize {
        self.served.front.count(|passed| {
            passed.request.path == SESSION
                && passed.request.method == method
                && passed.status == status
        })
    }

    /// A session of somebody else.
    pub(crate) fn log_in(&self) -> String {
        let (status, _, body) = self.served.call(
            "POST",
            SESSION,
            "authorization: Basic am9iOnNlY3JldA==\r\n",
            "",
        );
        assert_eq!(status, 200, "{body}");
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        answer["value"].as_str().unwrap().to_owned()
    }

    /// Whether it would serve the bearer of this session; asking extends it.
    pub(crate) fn serves(&self, session: &str) -> bool {
        self.call("GET", session) == 200
    }

    /// Ends the session, as another bearer of it could.
    pub(crate) fn end(&self, session: &str) {
        assert_eq!(self.call("DELETE", session), 200);
    }

    fn call(&self, method: &str, session: &str) -> u16 {
        self.served
            .call(
                method,
                SESSION,
                &format!("vmware-api-session-id: {session}\r\n"),
                "",
            )
            .0
    }
}
