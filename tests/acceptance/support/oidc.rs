//! The `OpenID` provider of `tests/oidc-provider`, which others wrote and had certified, on a port of its own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::assertion::{private_key_needles, public_key};
use super::random_hex;
use super::wire::ask;

/// One request that it answered.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    /// Of a token request that succeeded.
    pub(crate) grant: String,
}

pub(crate) struct OidcProvider {
    child: Child,
    pub(crate) issuer: String,
    pub(crate) client_secret: String,
    pub(crate) password: String,
}

impl OidcProvider {
    /// Starts one whose access tokens live for so long.
    pub(crate) fn start(token_seconds: u32) -> Self {
        Self::start_with(token_seconds, None)
    }

    /// As [`start`](Self::start), and by mutual TLS with the certificates of that directory.
    pub(crate) fn start_with(token_seconds: u32, tls: Option<&Path>) -> Self {
        let (client_secret, password) = (random_hex(24), random_hex(12));
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc-provider");
        let mut child = Command::new(node())
            .arg("server.mjs")
            .current_dir(directory)
            .env("CLIENT_SECRET", &client_secret)
            .env("USER_PASSWORD", &password)
            .env("CLIENT_KEY", public_key())
            .env("TOKEN_SECONDS", token_seconds.to_string())
            .envs(tls.map(|directory| ("TLS_DIRECTORY", directory)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make test` installs it", node()));
        let mut issuer = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut issuer)
            .unwrap();
        Self {
            child,
            issuer: issuer.trim().to_owned(),
            client_secret,
            password,
        }
    }

    /// What must never be seen in the daemon's output; tokens are looked for by the tests that know them.
    pub(crate) fn needles(&self) -> Vec<String> {
        let mut needles = vec![self.client_secret.clone(), self.password.clone()];
        needles.extend(private_key_needles());
        needles
    }

    /// A refresh token as a person's approval would bring it.
    pub(crate) fn approve(&self, client: &str) -> String {
        let answer = self.control("POST", &format!("/test/approve?client={client}"));
        answer["refresh_token"].as_str().unwrap().to_owned()
    }

    /// The private key of a client that signs.
    pub(crate) fn key(&self, client: &str) -> String {
        let answer = self.control("GET", &format!("/test/key?client={client}"));
        answer["key"].as_str().unwrap().to_owned()
    }

    /// Ends every access token.
    pub(crate) fn revoke_access_tokens(&self) {
        self.control("POST", "/test/revoke");
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        let calls = self.control("GET", "/test/calls");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        calls
            .as_array()
            .unwrap()
            .iter()
            .map(|it| Call {
                path: text(&it["path"]),
                grant: text(&it["grant"]),
            })
            .collect()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.calls().iter().filter(|call| call.path == path).count()
    }

    /// Token requests that this grant won.
    pub(crate) fn granted(&self, grant: &str) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.grant == grant)
            .count()
    }

    /// How often its metadata were had.
    pub(crate) fn discoveries(&self) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.path.contains("/.well-known/"))
            .count()
    }

    /// What the provider itself says of a token.
    pub(crate) fn active(&self, token: &str) -> bool {
        let body = format!(
            "client_id=post&client_secret={}&token={token}",
            self.client_secret
        );
        let (_, answer) = ask(
            "POST",
            &format!("{}/token/introspection", self.issuer),
            "",
            &body,
        )
        .unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()["active"] == true
    }

    /// One refresh by somebody else.
    pub(crate) fn refresh(&self, refresh_token: &str) -> u16 {
        let secret = &self.client_secret;
        let body = format!(
            "grant_type=refresh_token&client_id=post&client_secret={secret}&refresh_token={refresh_token}"
        );
        ask("POST", &format!("{}/token", self.issuer), "", &body)
            .unwrap()
            .0
    }

    fn control(&self, method: &str, path: &str) -> Value {
        let (_, answer) = ask(method, &format!("{}{path}", self.issuer), "", "").unwrap();
        serde_json::from_str(&answer).unwrap()
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The version that the provider is made for; Debian's may be older.
pub(crate) fn node() -> String {
    let machine = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "x64"
    };
    format!(
        "{}/tests/oidc-provider/node_modules/node-linux-{machine}/bin/node",
        env!("CARGO_MANIFEST_DIR")
    )
}
