//! Synapse, the Matrix homeserver: logins and renewals in JSON, a refresh token that is good until what it brought is used.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::recorder::free_port;
use super::super::{hex, random_hex};
use super::{Served, directory, dying_with_us, installed};

const API: &str = "/_matrix/client/v3";

pub(crate) struct Synapse {
    pub(crate) served: Served,
    _dir: TempDir,
    pub(crate) password: String,
}

impl Synapse {
    /// Starts one whose access tokens live for so many seconds; the user is `job`.
    pub(crate) fn start(token_seconds: u32) -> Self {
        let python = installed("synapse/.venv/bin/python");
        let dir = directory();
        let (address, shared_secret) = (free_port(), random_hex(12));
        let settings = dir.path().join("homeserver.yaml");
        let here = dir.path().display();
        // JSON is YAML.
        let text = json!({
            "server_name": "localhost",
            "listeners": [{
                "port": address.port(), "type": "http", "bind_addresses": ["127.0.0.1"],
                "resources": [{ "names": ["client"], "compress": false }],
            }],
            "database": { "name": "sqlite3", "args": { "database": format!("{here}/homeserver.db") } },
            "media_store_path": format!("{here}/media"),
            "signing_key_path": format!("{here}/signing.key"),
            "log_config": format!("{here}/log.yaml"),
            "registration_shared_secret": shared_secret,
            "macaroon_secret_key": random_hex(12),
            "form_secret": random_hex(12),
            "report_stats": false,
            "bcrypt_rounds": 4,
            "trusted_key_servers": [],
            "federation_domain_whitelist": [],
            "refreshable_access_token_lifetime": format!("{token_seconds}s"),
        });
        fs::write(&settings, text.to_string()).unwrap();
        let silence = json!({ "version": 1, "root": { "level": "CRITICAL" }, "disable_existing_loggers": true });
        fs::write(dir.path().join("log.yaml"), silence.to_string()).unwrap();
        fs::write(
            dir.path().join("signing.key"),
            format!("ed25519 a_test {}\n", "A".repeat(43)),
        )
        .unwrap();
        let mut command = dying_with_us(&python, false);
        command
            .args(["-m", "synapse.app.homeserver", "-c"])
            .arg(&settings)
            .current_dir(dir.path());
        let server = Self {
            served: Served::start(address, command),
            _dir: dir,
            password: random_hex(12),
        };
        server.register(&shared_secret);
        server
    }

    fn register(&self, shared_secret: &str) {
        let path = "/_synapse/admin/v1/register";
        let nonce = self.call("GET", path, "", &Value::Null).1["nonce"]
            .as_str()
            .unwrap()
            .to_owned();
        let signed = format!("{nonce}\0job\0{}\0notadmin", self.password);
        let key = aws_lc_rs::hmac::Key::new(
            aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            shared_secret.as_bytes(),
        );
        let mac = hex(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref());
        let user = json!({ "nonce": nonce, "username": "job", "password": self.password, "mac": mac, "admin": false });
        assert_eq!(self.call("POST", path, "", &user).0, 200);
    }

    pub(crate) fn count(&self, path: &str, status: u16) -> usize {
        let path = format!("{API}/{path}");
        self.served
            .front
            .count(|passed| passed.request.path == path && passed.status == status)
    }

    /// Whether it would serve the bearer of this token. Asking uses the token, as any job would.
    pub(crate) fn serves(&self, token: &str) -> bool {
        self.call("GET", &format!("{API}/account/whoami"), token, &Value::Null)
            .0
            == 200
    }

    /// Ends the token's device, as another bearer of the token could.
    pub(crate) fn end(&self, token: &str) {
        assert_eq!(
            self.call("POST", &format!("{API}/logout"), token, &json!({}))
                .0,
            200
        );
    }

    fn call(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let token = if token.is_empty() {
            String::new()
        } else {
            format!("authorization: Bearer {token}\r\n")
        };
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let (status, _, answer) = self.served.call(method, path, &token, &body);
        (status, serde_json::from_str(&answer).unwrap_or_default())
    }
}
