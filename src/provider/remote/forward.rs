//! A job's own request, sent on to the session's server over the session's own connections, and the answer as it comes.

use std::time::Duration;

use reqwest::header::HeaderMap;
use thiserror::Error;
use url::Url;

use super::{NoAnswer, Remote, exchange_error};
use crate::provider::clients::Connection;
use crate::provider::profile::Denied;
use crate::provider::rule::{AnswerRule, RuleVerdict};

/// A request with all that it carries; its body may still be coming in.
pub struct Onward {
    /// The method.
    pub method: reqwest::Method,
    /// Where it goes.
    pub url: Url,
    /// Every header line, those with the token among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: reqwest::Body,
}

/// Why no answer came to a request that was sent on.
#[derive(Debug, Error)]
pub enum NotForwarded {
    /// The server was silent for so long.
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    /// It could not be reached, or broke off before it answered.
    #[error("{0}")]
    Failed(String),
}

impl Remote {
    /// Requests that no job may make through keepfresh.
    pub fn denied(&self) -> Vec<Denied> {
        self.config.profile.denied()
    }

    /// Whether a session that is over may be told by an answer whose status is one of success.
    pub fn may_die_in_success(&self) -> bool {
        let ends = |rule: &&AnswerRule| {
            rule.verdict == RuleVerdict::Dead
                && (rule.statuses.is_empty() || rule.statuses.iter().any(|status| *status < 300))
        };
        self.config.profile.answers.iter().any(|rule| ends(&rule))
    }

    /// Whether the server answers this path without a look at the token.
    pub fn answers_anybody(&self, path: &str) -> bool {
        self.config.profile.answers_anybody(path)
    }

    /// Sends a job's request, once, and waits for the beginning of the answer for `silence` at most. A redirect is an answer.
    ///
    /// # Errors
    /// Why there is none; without the URL, which may hold what is the job's own.
    pub async fn forward(
        &self,
        onward: Onward,
        silence: Duration,
    ) -> Result<hyper::Response<reqwest::Body>, NotForwarded> {
        let failed = |error: &NoAnswer| NotForwarded::Failed(error.sentence());
        let client = self
            .clients
            .client(&self.config.http, &onward.url, Connection::Lent)
            .await
            .map_err(|error| failed(&NoAnswer::Client(error)))?;
        let url = onward.url.clone();
        let mut request = reqwest::Request::new(onward.method, onward.url);
        *request.headers_mut() = onward.headers;
        *request.body_mut() = Some(onward.body);
        match tokio::time::timeout(silence, client.execute(request)).await {
            Ok(Ok(answer)) => Ok(answer.into()),
            Ok(Err(error)) => Err(failed(
                &exchange_error(&self.clients, &self.config.http, &url, error).await,
            )),
            Err(_) => Err(NotForwarded::Silent(silence)),
        }
    }
}
