//! What a person at a terminal is told while a command waits: for what, until when, and why.

use super::{output, words};
use crate::api::client::Waiting;
use crate::api::{SessionStatus, State};

pub(super) fn say(waiting: &Waiting<'_>) {
    output::complain(&format!("keepfresh: {}", sentence(waiting)));
}

fn sentence(waiting: &Waiting<'_>) -> String {
    match waiting {
        Waiting::ForDaemon { error, at_most } => {
            format!("{error}; waiting for it, {} at most", words::span(*at_most))
        }
        Waiting::ForSession { status, at_most } => format!(
            "waiting for {}, {} at most: {}",
            status.session,
            words::span(*at_most),
            reason(status)
        ),
    }
}

/// A session that is good may be waited for all the same: for a call that was ordered, or for its files.
fn reason(status: &SessionStatus) -> String {
    let out_of_place = status.files.iter().find_map(|file| {
        let error = file.error.as_ref()?;
        Some(format!("{}: {error}", file.path))
    });
    let is_failing = status
        .last_error
        .as_ref()
        .is_some_and(|error| error.detail == status.reason);
    match (out_of_place, status.state) {
        (Some(file), State::Alive) => file,
        (None, State::Alive | State::Renewing) if !is_failing => {
            format!("{} has not answered yet", status.url)
        }
        (_, _) => status.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::{FileStatus, fake};

    #[test]
    fn a_wait_is_told_with_its_end_and_its_reason() {
        let said = |status: &SessionStatus| {
            sentence(&Waiting::ForSession {
                status,
                at_most: Duration::from_secs(29),
            })
        };
        let mut crm = fake::status("crm");
        crm.url = "https://acme.example/".to_owned();
        crm.state = State::Starting;
        crm.reason = "logging in".to_owned();
        assert_eq!(said(&crm), "waiting for crm, 29 s at most: logging in");
        crm.state = State::Alive;
        crm.reason = "the session is good".to_owned();
        let silent = "waiting for crm, 29 s at most: https://acme.example/ has not answered yet";
        assert_eq!(said(&crm), silent);
        crm.files = vec![FileStatus {
            path: "/run/crm".to_owned(),
            generation: None,
            error: Some("the disk is full".to_owned()),
        }];
        let full = "waiting for crm, 29 s at most: /run/crm: the disk is full";
        assert_eq!(said(&crm), full);
    }
}
