//! All that the supervisor does to the world. It performs nothing of it by itself: what a turn decides is queued here, and
//! the edge performs it when the turn is over.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::load::AllRunning;
use crate::api::HealthAsk;
use crate::api::access::Guests;
use crate::config::{Config, MetricsListen, SessionConfig};
use crate::driver::{DirectorySnapshot, Errand, ExpectedFiles, PersonErrand, Ticket};
use crate::gateway::Openings;
use crate::hooks::{AlertsConfig, Happening, RunCount};
use crate::publish::{PendingSinks, Publisher, Settling};
use crate::schedule::Calendar;

/// One thing that is to be done. What comes of it comes back as an input.
pub(super) enum Effect {
    /// A call of an engine leaves.
    Call(Box<Errand>),
    /// The call under way of the session with this epoch is dropped.
    Abort(u64),
    /// A step of a person's login leaves.
    Person(Box<PersonErrand>),
    /// A login's secrets are read, to learn whether they changed.
    ReadSecrets {
        name: Arc<str>,
        config: Arc<SessionConfig>,
        /// The account's, for fingerprints.
        salt: u64,
    },
    /// Somebody waits until a job lets go of a token, or for `lasting`.
    AwaitRelease {
        of: Ticket,
        hold: u64,
        lasting: Duration,
        released: oneshot::Receiver<()>,
    },
    /// Somebody waits until a session's files are there, for a while.
    AwaitFiles { of: Ticket, files: Settling },
    /// A probe waits until these files were looked at, for a while.
    AwaitFilesForHealth {
        files: Vec<Settling>,
        ask: HealthAsk,
    },
    /// A session's state is written.
    SaveSession { of: Ticket, bytes: Vec<u8> },
    /// An account's state is written.
    SaveAccount { key: Arc<str>, bytes: Vec<u8> },
    /// Files are looked at that only the daemon should touch.
    LookAtFiles(Vec<ExpectedFiles>),
    /// Their directories are looked at.
    LookAtDirectories(DirectorySnapshot),
    /// Token files are written or removed.
    Publish(PendingSinks),
    /// The files that a session leaves behind are cleared away.
    Retire(Box<Retirement>),
    /// The record of a session that is gone is removed.
    RemoveRecord { number: u64, of: Arc<str> },
    /// A session's programs are started, in the place of those that it had.
    StartHooks {
        of: u64,
        config: Arc<SessionConfig>,
        runs: RunCount,
    },
    /// The programs of the session with this epoch are told what is left to tell, and end.
    EndHooks(u64),
    /// The programs and webhooks of `[alerts]` are started, in the place of those before.
    StartAlerts {
        config: AlertsConfig,
        runs: RunCount,
    },
    /// A session's programs are told.
    Ring { of: u64, happening: Box<Happening> },
    /// Alerts are told.
    Alert(Box<Happening>),
    /// The config is read anew.
    ReadConfig(PathBuf),
    /// What the disk holds of the sessions of a config is read.
    Load {
        config: Box<Config>,
        running: AllRunning,
    },
    /// The service manager is told.
    Notify(Notice),
    /// The calendars are those of all sessions from now on.
    SetCalendars(BTreeMap<String, Calendar>),
    /// The wall clock jumped: calendars are computed anew.
    RearmCalendars,
    /// Scrapers are served elsewhere.
    MoveScrapers(Option<MetricsListen>),
    /// The socket tells those whom the config knows from strangers.
    Admit(Arc<Guests>),
    /// These gateways should be open.
    OpenGateways(Openings),
    /// These variables hold secrets: no program that is started gets them.
    WithholdVariables(Vec<String>),
}

/// What systemd is told.
pub(super) enum Notice {
    /// The start or a reload is over; the status line.
    Ready(String),
    Reloading,
    Stopping,
    Status(String),
    Watchdog,
}

/// The files that a session had.
pub(super) struct Retirement {
    pub(super) number: u64,
    /// They become what is wanted of them last.
    pub(super) files: Publisher,
    /// These are removed after that.
    pub(super) stale: Vec<PathBuf>,
}

/// What is to be done when this turn is over, in this order.
#[derive(Default)]
pub(super) struct Effects(Vec<Effect>);

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    pub(super) fn publish(&mut self, pending: PendingSinks) {
        if !pending.is_empty() {
            self.push(Effect::Publish(pending));
        }
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.push(Effect::Notify(notice));
    }

    /// Takes out all that is to be done.
    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.0)
    }
}
