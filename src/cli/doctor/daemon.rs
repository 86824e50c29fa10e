//! What the running daemon says, if one runs.

use std::time::Duration;

use crate::api::client::{Call, Client, ClientError};
use crate::api::{Event, Health, SessionList, SessionStatus};
use crate::cli::events::Teller;
use crate::cli::status::Paper;
use crate::cli::{session_path, status};
use crate::clock;

/// A daemon that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(3);
/// The events that are known come at once.
const SILENCE: Duration = Duration::from_millis(500);
/// So many of the latest events are shown.
const EVENTS: usize = 60;
/// More than the daemon keeps.
const MOST_EVENTS: usize = 20_000;

/// Its answers, or why there are none.
pub(super) struct Daemon {
    pub(super) health: Result<Health, ClientError>,
    pub(super) sessions: Vec<SessionStatus>,
    /// What it said instead of a status.
    pub(super) no_status: Option<String>,
    events: Vec<String>,
}

impl Daemon {
    /// Asks for one session or for all.
    pub(super) fn asked(client: &Client, session: Option<&str>, paper: Paper) -> Self {
        let client = client.impatient(PATIENCE);
        let call = |path: String| Call {
            path,
            repeatable: true,
            ..Call::default()
        };
        let mut daemon = Self {
            health: client.json(&call("/v1/health".to_owned())),
            sessions: Vec::new(),
            no_status: None,
            events: Vec::new(),
        };
        if daemon.health.is_err() {
            return daemon;
        }
        let sessions = match session {
            None => client
                .json(&call("/v1/sessions".to_owned()))
                .map(|list: SessionList| list.sessions),
            Some(name) => client
                .json(&call(session_path(name, "")))
                .map(|session| vec![session]),
        };
        match sessions {
            Ok(sessions) => daemon.sessions = sessions,
            Err(error) => daemon.no_status = Some(error.to_string()),
        }
        daemon.events = events(&client, session, paper);
        daemon
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.sessions.iter().any(|session| session.session == name)
    }

    pub(super) fn status_lines(&self, paper: &Paper) -> Vec<String> {
        let health = match &self.health {
            Err(error) => return vec![error.to_string()],
            Ok(health) => health,
        };
        let mut lines = vec![format!("the daemon runs, version {}", health.version)];
        lines.extend(self.no_status.clone());
        let pages = status::in_full(&self.sessions, clock::now().wall, paper);
        lines.extend(pages.lines().map(str::to_owned));
        lines
    }

    pub(super) fn event_lines(&self) -> Vec<String> {
        if self.events.is_empty() {
            vec!["none is known".to_owned()]
        } else {
            self.events.clone()
        }
    }
}

/// The latest that the daemon remembers.
fn events(client: &Client, session: Option<&str>, paper: Paper) -> Vec<String> {
    let names = session.map(|name| ("session", name.to_owned()));
    let call = Call {
        path: "/v1/events".to_owned(),
        query: names
            .into_iter()
            .chain([("from", "0".to_owned())])
            .collect(),
        repeatable: true,
        ..Call::default()
    };
    let Ok(mut lines) = client.lines(&call, Duration::ZERO) else {
        return Vec::new();
    };
    let (mut teller, mut told) = (Teller::on(paper), Vec::new());
    let until = clock::boottime().after(PATIENCE);
    while told.len() < MOST_EVENTS && clock::boottime() < until {
        let Ok(line) = lines.next(SILENCE) else { break };
        let event = line
            .strip_prefix("data:")
            .and_then(|data| serde_json::from_str::<Event>(data.trim()).ok());
        told.extend(event.map(|event| plain(&teller.line(&event))));
    }
    let latest = told.split_off(told.len().saturating_sub(EVENTS));
    latest
        .iter()
        .flat_map(|text| text.lines())
        .map(str::to_owned)
        .collect()
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
