//! A token on its way from the supervisor to a caller: shared until it is written out, for most callers want one field of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::TokenAnswer;
use crate::token::Published;

/// What readers of a session's token are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The token with all that goes with it.
    pub published: Arc<Published>,
    /// What the session's variables begin with.
    pub env_prefix: Arc<str>,
    /// For how long it is promised; none when nothing ends it.
    pub valid_for: Option<Duration>,
}

impl From<&Served> for TokenAnswer {
    fn from(served: &Served) -> Self {
        let Served {
            published,
            env_prefix,
            valid_for,
        } = served;
        let token = &published.token;
        let shown = |name: &str| !Self::FIELDS.contains(&name);
        let public = token
            .captures
            .iter()
            .filter(|(name, capture)| capture.public && shown(name));
        let header = |(name, value): &(String, crate::secret::Secret)| {
            (name.clone(), value.expose().to_owned())
        };
        Self {
            session: published.session.to_string(),
            access_token: token.access_token.clone(),
            token_type: token.token_type.clone(),
            instance_url: token.instance_url.clone(),
            base_url: published.base.clone(),
            env_prefix: env_prefix.to_string(),
            generation: published.generation,
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            headers: published.headers.iter().map(header).collect(),
            valid_for_seconds: valid_for.map(|valid| valid.as_secs_f64()),
            captures: public
                .map(|(name, capture)| (name.to_owned(), capture.value.expose().to_owned()))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}
