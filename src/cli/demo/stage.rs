//! What the demo looks at while it waits: the server's log, the token file, the daemon.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use super::DemoError;
use super::daemon::{Daemon, Home};
use super::narrator::{Narrator, Voice};
use crate::clock;
use crate::sandbox::{Entry, Kind, Sandbox};
use crate::secret::Secret;
use crate::time::Instant;

const LOOK: Duration = Duration::from_millis(20);

/// Everybody who plays, and what was seen of them so far.
pub(super) struct Stage {
    pub(super) sandbox: Sandbox,
    pub(super) daemon: Daemon,
    pub(super) home: Home,
    pub(super) narrator: Narrator,
    pub(super) idle_timeout: Duration,
    /// What the token file held when last looked at.
    pub(super) held: Option<Secret>,
    /// For how long there was no token file since there first was one.
    pub(super) without: Duration,
    /// For how long the token file held a token that the server had ended.
    pub(super) stale: Duration,
    token_file: PathBuf,
    ever_held: bool,
    told: usize,
    looked: Instant,
}

impl Stage {
    pub(super) fn new(
        sandbox: Sandbox,
        daemon: Daemon,
        home: Home,
        narrator: Narrator,
        idle_timeout: Duration,
    ) -> Self {
        let (without, stale) = (Duration::ZERO, Duration::ZERO);
        let (held, ever_held, told, looked) = (None, false, 0, clock::boottime());
        let token_file = home.token_file();
        Self {
            sandbox,
            daemon,
            home,
            narrator,
            idle_timeout,
            held,
            without,
            stale,
            token_file,
            ever_held,
            told,
            looked,
        }
    }

    /// Looks on until `happened`, telling what is seen.
    ///
    /// # Errors
    /// When it did not happen within `patience`, or the daemon ended.
    pub(super) async fn until(
        &mut self,
        expected: &str,
        patience: Duration,
        happened: impl Fn(&Self) -> bool,
    ) -> Result<(), DemoError> {
        let deadline = clock::boottime().after(patience);
        loop {
            self.look()?;
            if happened(self) {
                return Ok(());
            }
            if let Some(status) = self.daemon.ended() {
                return Err(DemoError::DaemonEnded(status));
            }
            if clock::boottime() >= deadline {
                return Err(DemoError::Unexpected(expected.to_owned()));
            }
            sleep(LOOK).await;
        }
    }

    /// Tells what is new in the server's log and in the token file.
    pub(super) fn look(&mut self) -> Result<(), DemoError> {
        let now = clock::boottime();
        let passed = now.since(self.looked);
        self.looked = now;
        let log = self.sandbox.log();
        for entry in log.requests.iter().skip(self.told) {
            self.narrator.say(Voice::Server, &described(entry))?;
        }
        self.told = log.requests.len();
        let holds = std::fs::read_to_string(&self.token_file)
            .ok()
            .map(Secret::new);
        if holds != self.held {
            self.narrator.say(Voice::File, &shown(holds.as_ref()))?;
            self.held = holds;
        }
        self.ever_held |= self.held.is_some();
        match (&self.held, self.ever_held) {
            (None, true) => self.without += passed,
            (Some(token), _) if !self.is_alive(token) => self.stale += passed,
            (None, false) | (Some(_), _) => {}
        }
        Ok(())
    }

    /// Whether the server would take this token.
    pub(super) fn is_alive(&self, token: &Secret) -> bool {
        self.sandbox
            .sessions()
            .iter()
            .any(|session| session.alive && session.access_token == token.expose())
    }

    /// Whether the token file holds a token that works.
    pub(super) fn file_is_good(&self) -> bool {
        self.held.as_ref().is_some_and(|token| self.is_alive(token))
    }

    /// Requests of this kind that were answered with this status.
    pub(super) fn answered(&self, kind: Kind, status: u16) -> usize {
        let log = self.sandbox.log();
        log.requests
            .iter()
            .filter(|entry| entry.kind == kind && entry.status == Some(status))
            .count()
    }
}

fn described(entry: &Entry) -> String {
    let what = match entry.kind {
        Kind::Login => "login",
        Kind::Renew => "renewal",
        Kind::Ping => "ping",
        Kind::Introspect => "introspection",
        Kind::Revoke => "revocation",
        Kind::Userinfo => "userinfo",
        Kind::Versions | Kind::Api | Kind::Other => "request",
    };
    let status = entry
        .status
        .map_or("no answer".to_owned(), |status| status.to_string());
    format!("{what:<8} {} {} -> {status}", entry.method, entry.path)
}

/// Never the token itself: demos get recorded.
fn shown(token: Option<&Secret>) -> String {
    match token {
        Some(token) => format!(
            "holds token {} ({} characters)",
            token.fingerprint(),
            token.expose().len()
        ),
        None => "is gone".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let said = shown(Some(&Secret::new("00Dxx!secret")));
        assert!(
            !said.contains("secret") && said.contains("12 characters"),
            "{said}"
        );
    }
}
