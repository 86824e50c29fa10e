//! Endpoints that an issuer itself tells: fetched when first needed, kept in memory, shared by all sessions of the issuer.

mod metadata;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use url::Url;

use super::response::Response;
use crate::time::Instant;

pub(super) use metadata::{Endpoint, Metadata, WrongDocument};

/// Servers change their metadata when they are rebuilt, not from one token to the next.
const FRESH: Duration = Duration::from_hours(24);
/// After a failure, old metadata are good for so long again.
const LEFT_ALONE: Duration = Duration::from_hours(1);
/// What is younger than this would be told again if it were asked for again.
const BEYOND_DOUBT: Duration = Duration::from_mins(1);

/// Why there is no metadata.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum DiscoveryError {
    /// The issuer is no URL; the config's own check says so first.
    #[error("the issuer is no URL")]
    NoIssuer,
    /// Nothing came that could be judged: tried again with the next call.
    #[error("cannot fetch the issuer's metadata: {why}")]
    Unavailable {
        /// At which address, and what happened.
        why: String,
        /// What to do, where that is known.
        remedy: Option<String>,
    },
    /// A document came that must not be believed.
    #[error("the metadata at {at} cannot be trusted: {why}")]
    Wrong { at: Url, why: WrongDocument },
}

/// Why an address gave no answer.
pub(super) struct Unreachable {
    /// What happened.
    pub(super) why: String,
    /// What to do, where that is known.
    pub(super) remedy: Option<String>,
}

/// One issuer's metadata, as far as it is known.
#[derive(Default)]
pub(super) struct Discovery {
    known: Mutex<Option<Known>>,
    /// Held by the one who asks the issuer; tells those who waited what came of it.
    turn: tokio::sync::Mutex<Option<Failure>>,
}

struct Known {
    metadata: Arc<Metadata>,
    since: Instant,
    /// When they are asked for again.
    until: Instant,
}

struct Failure {
    error: DiscoveryError,
    at: Instant,
}

impl Discovery {
    /// What is known already, however old.
    pub(super) fn known(&self) -> Option<Arc<Metadata>> {
        self.lock()
            .as_ref()
            .map(|known| Arc::clone(&known.metadata))
    }

    /// An endpoint was not where the metadata said: they are asked for again before the next call.
    pub(super) fn doubt(&self, now: Instant) {
        if let Some(known) = self
            .lock()
            .as_mut()
            .filter(|known| now.since(known.since) >= BEYOND_DOUBT)
        {
            known.until = now;
        }
    }

    /// The metadata, fetched by `fetch` at most once a day: from `named`, or else from where they may be.
    ///
    /// Who waits while another fetches takes what that one got, a failure too. Old metadata stay good while the issuer
    /// does not answer.
    ///
    /// # Errors
    /// When there are none, and none could be had.
    pub(super) async fn metadata<F>(
        &self,
        issuer: &str,
        named: Option<&Url>,
        clock: fn() -> Instant,
        fetch: impl Fn(Url) -> F,
    ) -> Result<Arc<Metadata>, DiscoveryError>
    where
        F: Future<Output = Result<Response, Unreachable>>,
    {
        let asked = clock();
        if let Some(metadata) = self.fresh(asked) {
            return Ok(metadata);
        }
        let mut last_failure = self.turn.lock().await;
        if let Some(metadata) = self.fresh(clock()) {
            return Ok(metadata);
        }
        if let Some(failure) = last_failure.as_ref().filter(|failure| failure.at >= asked) {
            return self.known().ok_or_else(|| failure.error.clone());
        }
        match search(issuer, named, fetch).await {
            Ok(metadata) => Ok(self.learn(metadata, clock())),
            Err(error) => {
                *last_failure = Some(Failure {
                    error: error.clone(),
                    at: clock(),
                });
                self.outlived(clock()).ok_or(error)
            }
        }
    }

    fn fresh(&self, now: Instant) -> Option<Arc<Metadata>> {
        let known = self.lock();
        let known = known.as_ref().filter(|known| now < known.until)?;
        Some(Arc::clone(&known.metadata))
    }

    /// Old metadata are better than none.
    fn outlived(&self, now: Instant) -> Option<Arc<Metadata>> {
        let mut known = self.lock();
        let known = known.as_mut()?;
        known.until = now.after(LEFT_ALONE);
        Some(Arc::clone(&known.metadata))
    }

    fn learn(&self, metadata: Metadata, now: Instant) -> Arc<Metadata> {
        let metadata = Arc::new(metadata);
        *self.lock() = Some(Known {
            metadata: Arc::clone(&metadata),
            since: now,
            until: now.after(FRESH),
        });
        metadata
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks wherever the metadata may be. A document that is wrong is worse news than none.
async fn search<F>(
    issuer: &str,
    named: Option<&Url>,
    fetch: impl Fn(Url) -> F,
) -> Result<Metadata, DiscoveryError>
where
    F: Future<Output = Result<Response, Unreachable>>,
{
    let base = Url::parse(issuer).map_err(|_| DiscoveryError::NoIssuer)?;
    let mut misses = Vec::new();
    let mut wrong = None;
    let addresses = named.map_or_else(|| metadata::addresses(&base), |named| vec![named.clone()]);
    for at in addresses {
        // What cannot be reached at one address cannot be reached at the other.
        let response = fetch(at.clone())
            .await
            .map_err(|Unreachable { why, remedy }| DiscoveryError::Unavailable {
                why: format!("{at}: {why}"),
                remedy,
            })?;
        match document(&response) {
            Ok(document) => match Metadata::read(document, issuer, &base) {
                Ok(metadata) => return Ok(metadata),
                Err(why) => wrong = Some(DiscoveryError::Wrong { at, why }),
            },
            Err(miss) => misses.push(format!("{at} {miss}")),
        }
    }
    Err(wrong.unwrap_or_else(|| DiscoveryError::Unavailable {
        why: misses.join("; "),
        remedy: None,
    }))
}

fn document(response: &Response) -> Result<&serde_json::Map<String, serde_json::Value>, String> {
    match (
        response.status,
        response
            .json
            .as_ref()
            .and_then(serde_json::Value::as_object),
    ) {
        (200..=299, Some(document)) => Ok(document),
        (200..=299, None) if !response.complete => {
            Err("broke off, or was longer than 1 MiB".to_owned())
        }
        (200..=299, None) => Err("is no JSON object".to_owned()),
        (300..=399, _) => Err(match response.leads_to() {
            Some(there) => format!("redirects to {there}, and keepfresh does not follow"),
            None => "redirects elsewhere, and keepfresh does not follow".to_owned(),
        }),
        (status, _) => Err(format!("answers {status}")),
    }
}

#[cfg(test)]
mod tests;
