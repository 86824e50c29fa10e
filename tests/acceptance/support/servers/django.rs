//! Django OAuth Toolkit: an `OpenID` provider whose refresh tokens are good once; a second use of one ends the whole family.

use tempfile::TempDir;

use super::super::random_hex;
use super::super::recorder::{Recorder, free_port};
use super::{FORM, Served, directory, dying_with_us, installed};

pub(crate) struct Django {
    pub(crate) served: Served,
    _dir: TempDir,
    pub(crate) client_secret: String,
    pub(crate) password: String,
}

impl Django {
    /// Starts one whose access tokens live for so many seconds; user and client are `job`.
    pub(crate) fn start(token_seconds: u32) -> Self {
        let (dir, address) = (directory(), free_port());
        let front = Recorder::before(address);
        let (client_secret, password) = (random_hex(24), random_hex(12));
        let mut command = dying_with_us(&installed("django/.venv/bin/python"), false);
        command
            .arg(installed("django/server.py"))
            .args([&address.port().to_string(), &token_seconds.to_string()])
            .current_dir(dir.path())
            .env("CLIENT_SECRET", &client_secret)
            .env("USER_PASSWORD", &password)
            .env("ISSUER", format!("{}/o", front.url()));
        Self {
            served: Served::start_behind(front, address, command),
            _dir: dir,
            client_secret,
            password,
        }
    }

    pub(crate) fn issuer(&self) -> String {
        format!("{}/o", self.served.front.url())
    }

    /// Token requests by this grant that were answered so.
    pub(crate) fn count(&self, grant: &str, status: u16) -> usize {
        self.served.front.count(|passed| {
            passed.status == status
                && passed
                    .request
                    .form()
                    .get("grant_type")
                    .is_some_and(|it| it == grant)
        })
    }

    /// Whether it would serve the bearer of this token.
    pub(crate) fn serves(&self, token: &str) -> bool {
        self.served
            .call(
                "GET",
                "/o/userinfo/",
                &format!("authorization: Bearer {token}\r\n"),
                "",
            )
            .0
            == 200
    }

    /// Ends this access token, or this refresh token with its access token, as the client could.
    pub(crate) fn revoke(&self, token: &str) {
        let form = format!(
            "client_id=job&client_secret={}&token={token}",
            self.client_secret
        );
        assert_eq!(
            self.served.call("POST", "/o/revoke_token/", FORM, &form).0,
            200
        );
    }

    /// Presents a refresh token, as somebody who found it would.
    pub(crate) fn refresh(&self, refresh_token: &str) -> u16 {
        let form = format!(
            "grant_type=refresh_token&client_id=job&client_secret={}&refresh_token={refresh_token}",
            self.client_secret
        );
        self.served.call("POST", "/o/token/", FORM, &form).0
    }

    /// The refresh tokens that the daemon sent, in their order.
    pub(crate) fn presented(&self) -> Vec<String> {
        self.served
            .front
            .passed()
            .iter()
            .filter_map(|passed| passed.request.form().remove("refresh_token"))
            .collect()
    }
}
