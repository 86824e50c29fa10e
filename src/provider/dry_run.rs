//! What can be tried of a session without a call: whether its key signs, and whether its TLS settings make a
//! client.

use std::error::Error as _;

use super::assertion::{self, Signer};
use super::clients::Connection;
use super::settings::{ConfigProblem, RemoteConfig, Value};
use super::{Clients, Secrets};
use crate::secret_source::SecretSource;

impl RemoteConfig {
    /// Everything that a first call would find wrong with keys, certificates and pins.
    ///
    /// A file that cannot be read is left out: the reader of secrets reports it.
    pub async fn dry_run(&self, clients: &Clients) -> Vec<ConfigProblem> {
        let signing = self.try_signing().await;
        signing
            .into_iter()
            .chain(self.try_client(clients).await)
            .collect()
    }

    async fn try_signing(&self) -> Option<ConfigProblem> {
        let mut secrets = Secrets::new();
        for name in ["private_key", "private_key_passphrase", "certificate"] {
            if let Some(Value::Secret(source)) = self.values.get(name) {
                secrets.insert(name.to_owned(), source.read().await.ok()?);
            }
        }
        let signer = Signer {
            key: secrets.get("private_key")?,
            passphrase: secrets.get("private_key_passphrase"),
            key_id: None,
            certificate: secrets.get("certificate"),
            algorithm: self.plain("algorithm"),
            taken: &[],
        };
        let error = assertion::check(&signer).err()?;
        Some(ConfigProblem {
            key: "login.private_key".to_owned(),
            message: error.to_string(),
        })
    }

    async fn try_client(&self, clients: &Clients) -> Option<ConfigProblem> {
        let http = &self.http;
        let key = match (&http.client_cert, &http.ca_file, &http.pin_sha256) {
            (Some(_), _, _) => "http.client_cert",
            (None, Some(_), _) => "http.ca_file",
            (None, None, Some(_)) => "http.pin_sha256",
            (None, None, None) => return None,
        };
        if http
            .client_key
            .as_ref()
            .is_some_and(SecretSource::only_in_service)
        {
            return None;
        }
        let error = clients
            .client(http, &self.url, Connection::Kept)
            .await
            .err()?;
        let causes = std::iter::successors(error.source(), |error| (*error).source())
            .map(ToString::to_string);
        let message = std::iter::once(error.to_string())
            .chain(causes)
            .collect::<Vec<_>>()
            .join(": ");
        Some(ConfigProblem {
            key: key.to_owned(),
            message,
        })
    }
}
