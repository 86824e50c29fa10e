//! Figures for Prometheus: what is measured, and how it is written.
//!
//! The supervisor gives a [`Snapshot`], which is plain numbers; writing it out happens elsewhere, on a thread that may
//! take its time, so that ten thousand sessions and a dozen scrapers hold nothing up. Labels are session names and words
//! of closed sets: no server can make a series.

mod exposition;
mod families;
mod process;

use std::sync::Arc;

use jiff::Timestamp;

use crate::hooks::Runs;
use crate::publish::Publications;
use crate::session::answer::{Quota, Request};
use crate::session::view::Phase;

pub use exposition::Form;
pub use families::names;

/// The daemon's figures and those of some sessions at one moment, or of all sessions, page by page.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The daemon's own.
    pub daemon: DaemonFigures,
    /// In the order of their names.
    pub sessions: Vec<SessionFigures>,
    /// The last session that it was made of; none on the last page.
    pub end: Option<Arc<str>>,
}

/// What is measured of the daemon.
#[derive(Clone, Debug)]
pub struct DaemonFigures {
    /// When it started.
    pub started: Timestamp,
    /// By how much the scheduler was late at worst, in the last one to two minutes.
    pub scheduler_lag_seconds: f64,
    /// Calls that have left and are not answered.
    pub calls_in_flight: usize,
    /// Whether the config that was read last is in force.
    pub config_good: bool,
    /// When the config in force was read.
    pub config_read: Timestamp,
    /// Times that the wall clock jumped.
    pub clock_jumps: u64,
    /// How runs of the alerts' programs and messages to their webhooks ended; none where there are no alerts.
    pub alert_runs: Option<Runs>,
}

/// What is measured of a session.
#[derive(Clone, Debug)]
pub struct SessionFigures {
    /// The label of all its series.
    pub name: Arc<str>,
    /// As `status` shows it.
    pub phase: Phase,
    /// A token is out that may be used.
    pub ready: bool,
    /// Of the current token.
    pub generation: Option<u64>,
    /// Deadlines and past moments; none where they are not known.
    pub moments: Moments,
    /// The server's idle timeout as the daemon assumes it now.
    pub idle_timeout_seconds: Option<f64>,
    /// How long the refresh token lives unused.
    pub refresh_token_lifetime_seconds: Option<f64>,
    /// The latest state is on disk.
    pub persisted: bool,
    /// Files that are not as they should be.
    pub files_failing: usize,
    /// The server's clock minus ours.
    pub clock_skew_seconds: f64,
    /// Answers by request and verdict.
    pub calls: Vec<(Request, &'static str, u64)>,
    /// What became of files.
    pub publications: Publications,
    /// What passed through its gateway, if it has one.
    pub gateway: Option<GatewayFigures>,
    /// How runs of its hooks ended; none where it has none.
    pub hook_runs: Option<Runs>,
    /// As the server told them last.
    pub quotas: Vec<Quota>,
    /// Early warnings, each with whether it holds.
    pub warnings: Vec<(&'static str, bool)>,
    /// Its engine failed and stands still.
    pub broken: bool,
    /// Who answers for it, as the config says.
    pub owner: Option<Arc<str>>,
    /// Where it is written what to do, as the config says.
    pub runbook: Option<Arc<str>>,
}

/// Requests of jobs through a session's gateway, by outcome, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayFigures {
    /// The server's answer went to the job.
    pub passed: u64,
    /// Likewise, after the request had met a dead session and was sent once more.
    pub sent_again: u64,
    /// It went no further.
    pub refused: u64,
    /// There was no token for it.
    pub without_session: u64,
    /// The server gave no answer.
    pub failed: u64,
    /// Under way now.
    pub in_flight: u64,
    /// Of bodies, from jobs.
    pub bytes_sent: u64,
    /// Of bodies, to jobs.
    pub bytes_received: u64,
}

/// A session's moments.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// When the session idles out if nobody uses it.
    pub idle_deadline: Option<Timestamp>,
    /// When the token ends by itself.
    pub token_expiry: Option<Timestamp>,
    /// When the refresh token ends, unused.
    pub refresh_token_expiry: Option<Timestamp>,
    /// When the server ends the session whatever happens.
    pub login_expiry: Option<Timestamp>,
    /// What happens next by itself, when.
    pub next_action: Option<Timestamp>,
    /// When the token was issued.
    pub token_issued: Option<Timestamp>,
    /// When the last full login was.
    pub login: Option<Timestamp>,
    /// When the session was last seen used.
    pub activity: Option<Timestamp>,
}

impl Snapshot {
    /// Takes the next page in.
    pub fn extend(&mut self, next: Self) {
        self.sessions.extend(next.sessions);
        self.end = next.end;
    }

    /// The exposition as a scraper reads it. Reads `/proc/self`: for a thread that may block.
    pub fn render(&self, form: Form) -> String {
        families::render(self, &process::Process::read(), form)
    }
}
