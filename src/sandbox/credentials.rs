//! Made-up credentials that open this sandbox and nothing else, and the config that uses them.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::{digest, error::Unspecified, rand};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;

use crate::secret::hex;

/// What a client needs to log in.
#[derive(Clone, Serialize)]
pub struct Credentials {
    /// The consumer key.
    pub client_id: String,
    /// The consumer secret.
    pub client_secret: String,
    /// The first user; `integration+anything@sandbox.example` are further ones with the same password.
    pub username: String,
    /// The user's password.
    pub password: String,
    /// Goes behind the password.
    pub security_token: String,
    /// Of the approval that exists from the start.
    pub refresh_token: String,
    /// Signs assertions: PKCS#8 as PEM.
    pub private_key: String,
    /// Fifteen characters that start every access token.
    #[serde(skip)]
    pub organization: String,
    /// PKCS#1 DER, as verification wants it.
    #[serde(skip)]
    pub public_key: Vec<u8>,
    #[serde(skip)]
    seed: [u8; 32],
}

impl Credentials {
    /// New ones.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> io::Result<Self> {
        let failed =
            |Unspecified| io::Error::other("no random bytes for a key; is /dev/urandom there?");
        let mut seed = [0; 32];
        rand::fill(&mut seed).map_err(failed)?;
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
        let derive = |label: &str, length: usize| {
            derived(&seed, label)
                .chars()
                .take(length)
                .collect::<String>()
        };
        Ok(Self {
            client_id: format!("3MVG9{}", derive("client_id", 60)),
            client_secret: derive("client_secret", 64).to_uppercase(),
            username: "integration@sandbox.example".to_owned(),
            password: derive("password", 16),
            security_token: derive("security_token", 24),
            refresh_token: format!("5Aep861{}", derive("refresh_token", 64)),
            private_key: pem(der.as_ref()),
            organization: format!("00D{}", derive("organization", 12)),
            public_key: key.public_key().as_ref().to_vec(),
            seed,
        })
    }

    /// What the password grant sends.
    pub fn password_with_token(&self) -> String {
        format!("{}{}", self.password, self.security_token)
    }

    /// A value that follows from these credentials and `label`, and that cannot be guessed without them.
    pub fn derive(&self, label: &str) -> String {
        derived(&self.seed, label)
    }

    /// A config for `keepfresh run`, to be written into `directory` by [`Self::write`]: secrets, state and published
    /// files lie there too, away from any other daemon's. `keepalive` goes to its end.
    pub fn config(
        &self,
        url: &str,
        idle_timeout: Duration,
        directory: &Path,
        keepalive: &str,
    ) -> String {
        let Self {
            client_id,
            username,
            ..
        } = self;
        let idle =
            jiff::SignedDuration::try_from(idle_timeout).unwrap_or(jiff::SignedDuration::MAX);
        format!(
            "[daemon]\n\
             runtime_dir = {:?}\n\
             state_dir = {:?}\n\
             log = \"text\"\n\n\
             [sessions.demo]\n\
             provider = \"salesforce\"\n\
             url = \"{url}\"\n\
             idle_timeout = \"{idle:#}\"\n\n\
             [sessions.demo.login]\n\
             grant = \"jwt_bearer\"\n\
             client_id = \"{client_id}\"\n\
             username = \"{username}\"\n\
             audience = \"{url}\"\n\
             private_key = {{ file = \"private-key.pem\" }}\n{keepalive}",
            directory.join("run").to_string_lossy(),
            directory.join("state").to_string_lossy(),
        )
    }

    /// Writes `config.toml` and the secrets, each readable by its owner only.
    ///
    /// # Errors
    /// When the directory cannot be made, or a file cannot be written.
    pub fn write(&self, directory: &Path, config: &str) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        for (name, text) in [
            ("config.toml", config),
            ("private-key.pem", &self.private_key),
            ("client-secret", &self.client_secret),
            ("password", &self.password),
            ("security-token", &self.security_token),
            ("refresh-token", &self.refresh_token),
        ] {
            write_private(&directory.join(name), text)?;
        }
        Ok(())
    }
}

/// Another program reads these files only after they are complete, and no run leaves half of one over an older.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

fn derived(seed: &[u8], label: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(seed);
    context.update(label.as_bytes());
    hex(context.finish().as_ref())
}

/// RFC 7468: base64 in lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let encoded: Vec<_> = BASE64_STANDARD.encode(der).chars().collect();
    let lines: Vec<String> = encoded
        .chunks(64)
        .map(|line| line.iter().collect())
        .collect();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    )
}
