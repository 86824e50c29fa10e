//! `PouchDB` Server, of the same API as `CouchDB`: a cookie that tells its own end, and that each answer replaces.

use std::fs;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use super::super::random_hex;
use super::super::recorder::free_port;
use super::{Served, directory, dying_with_us, installed};

pub(crate) struct PouchDb {
    pub(crate) served: Served,
    dir: TempDir,
    pub(crate) password: String,
    settings: String,
}

const SETTINGS: &str = "config.json";

impl PouchDb {
    /// Starts one whose cookies live for so many seconds; the user is `job`.
    pub(crate) fn start(idle_seconds: u32) -> Self {
        installed("pouchdb/node_modules/express-pouchdb");
        let (dir, address, password) = (directory(), free_port(), random_hex(12));
        let settings = json!({
            "admins": { "job": password },
            "couch_httpd_auth": { "timeout": idle_seconds, "secret": random_hex(16) },
        });
        let settings = settings.to_string();
        fs::write(dir.path().join(SETTINGS), &settings).unwrap();
        let mut command: Command = dying_with_us("node", false);
        command
            .arg(installed("pouchdb/server.mjs"))
            .arg(address.port().to_string())
            .current_dir(dir.path());
        Self {
            served: Served::start(address, command),
            dir,
            password,
            settings,
        }
    }

    /// Stops it, and takes from it the salt that it may have stored for its user: no cookie outlives its next start.
    pub(crate) fn stop_and_forget(&mut self) {
        self.served.stop();
        fs::write(self.dir.path().join(SETTINGS), &self.settings).unwrap();
    }

    pub(crate) fn logins(&self) -> usize {
        self.served
            .front
            .count(|passed| passed.request.method == "POST")
    }

    /// Whether it would serve the bearer of this cookie; asking does not renew it.
    pub(crate) fn serves(&self, cookie: &str) -> bool {
        let cookie = format!("cookie: AuthSession={cookie}\r\n");
        self.served
            .call("GET", "/_session", &cookie, "")
            .2
            .contains(r#""name":"job""#)
    }

    /// Ends every cookie that there is, as an admin could.
    pub(crate) fn end_all(&self, cookie: &str) {
        let headers = format!("cookie: AuthSession={cookie}\r\ncontent-type: application/json\r\n");
        let body = format!("\"{}\"", random_hex(16));
        assert_eq!(
            self.served
                .call("PUT", "/_config/couch_httpd_auth/secret", &headers, &body)
                .0,
            200
        );
    }
}
