//! `OpenBao`, of the same API as Vault: tokens that a renewal prolongs, up to an end.

use std::path::Path;
use std::process::Child;

use tempfile::TempDir;

use super::super::recorder::{Recorder, await_listener, free_port};
use super::super::wire::exchange;
use super::super::{SOON, poll, random_hex};
use super::{directory, dying_with_us};

pub(crate) struct OpenBao {
    child: Child,
    _dir: TempDir,
    root: String,
    pub(crate) password: String,
    pub(crate) front: Recorder,
    aside: Recorder,
}

impl OpenBao {
    /// Starts one whose tokens live for so many seconds, renewed for so many in all; the user is `job`.
    pub(crate) fn start(seconds: u32, in_all: u32) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openbao/.venv/bin/bao");
        assert!(
            Path::new(program).exists(),
            "{program} is missing: `make test` sees to it"
        );
        let dir = directory();
        let address = free_port();
        let root = random_hex(16);
        let child = dying_with_us(program, false)
            .args([
                "server",
                "-dev",
                "-dev-no-store-token",
                "-dev-root-token-id",
                &root,
            ])
            .arg(format!("-dev-listen-address={address}"))
            .env("HOME", dir.path())
            .spawn()
            .unwrap();
        await_listener(address);
        let (front, aside) = (Recorder::before(address), Recorder::before(address));
        let server = Self {
            child,
            _dir: dir,
            root,
            password: random_hex(12),
            front,
            aside,
        };
        poll(SOON, || {
            (server.call("GET", "sys/health", &server.root, "").0 == 200).then_some(())
        })
        .expect("it is up");
        assert_eq!(
            server
                .call(
                    "POST",
                    "sys/auth/userpass",
                    &server.root,
                    r#"{"type":"userpass"}"#
                )
                .0,
            204
        );
        let user = format!(
            r#"{{"password":"{}","token_ttl":"{seconds}s","token_max_ttl":"{in_all}s"}}"#,
            server.password
        );
        assert_eq!(
            server
                .call("POST", "auth/userpass/users/job", &server.root, &user)
                .0,
            204
        );
        server
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.front
            .count(|passed| passed.request.path == format!("/v1/{path}"))
    }

    pub(crate) fn logins(&self) -> usize {
        self.count("auth/userpass/login/job")
    }

    /// Whether the server would serve the bearer of this token; asking extends nothing.
    pub(crate) fn serves(&self, token: &str) -> bool {
        self.call("GET", "auth/token/lookup-self", token, "").0 == 200
    }

    /// Ends the token, as an admin could.
    pub(crate) fn revoke(&self, token: &str) {
        let body = format!(r#"{{"token":"{token}"}}"#);
        assert_eq!(
            self.call("POST", "auth/token/revoke", &self.root, &body).0,
            204
        );
    }

    fn call(&self, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
        let url = format!("{}/v1/{path}", self.aside.url());
        let (status, _, body) =
            exchange(method, &url, &format!("x-vault-token: {token}\r\n"), body).unwrap();
        (status, body)
    }
}

impl Drop for OpenBao {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
