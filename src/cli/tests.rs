use super::*;
use crate::api::{Counts, SessionStatus, State};
use jiff::Timestamp;

/// A session whose token was issued at second 160 of the epoch.
pub(super) fn status(name: &str, state: State) -> SessionStatus {
    SessionStatus {
        session: name.to_owned(),
        provider: "salesforce".to_owned(),
        url: "https://acme.my.salesforce.com".to_owned(),
        state,
        reason: "all is well".to_owned(),
        generation: Some(7),
        token_fingerprint: None,
        token_issued_at: Timestamp::from_second(160).ok(),
        instance_url: None,
        published: true,
        persisted: true,
        idle_timeout_seconds: Some(7200.0),
        idle_deadline: None,
        token_expires_at: None,
        refresh_token_expires_at: None,
        max_lifetime_at: None,
        logged_in_at: None,
        last_activity_at: None,
        next: None,
        last_error: None,
        attention: None,
        quotas: Vec::new(),
        counts: Counts::default(),
        files: Vec::new(),
    }
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}
