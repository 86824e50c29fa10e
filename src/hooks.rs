//! Hooks and alerts: programs of the machine's own, and webhooks, that are told what happened to a session.
//!
//! Each has a worker of its own, which tells it one happening at a time; the supervisor waits for none of them. Of several
//! happenings that one of them has still to be told, only the latest of its kind and session is left.

mod child;
mod message;
mod test_alert;
mod webhook;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::blotted::Blotted;
use crate::provider::Clients;
use crate::publish::Settling;
use crate::secret::Secret;
pub use message::Format;
pub use test_alert::send_test;
use webhook::Receiver;
pub use webhook::{Address, WebhookConfig};

/// A disk that hangs must not keep a program from learning of a new token for longer.
const FILES_LIMIT: Duration = Duration::from_secs(5);

/// One `[[sessions.NAME.hook]]`, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookConfig {
    /// What it is told of; not empty.
    pub on: Vec<Occasion>,
    /// The program and its arguments; not empty.
    pub command: Vec<String>,
}

/// `[alerts]`, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertsConfig {
    /// Programs that are told when a person is needed, whichever session it is.
    pub on_attention: Vec<Vec<String>>,
    /// Receivers that are told the same, and when no person is needed any more.
    pub webhooks: Vec<WebhookConfig>,
    /// A session without a good token for so long needs a person, whatever the cause.
    pub after: Option<Duration>,
}

/// What a hook may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// A new token is published.
    Change,
    /// A person is needed.
    Attention,
    /// No person is needed any more.
    Recovered,
}

/// Something that happened, with all that a program is told of it.
#[derive(Clone, Debug)]
pub struct Happening {
    /// The session.
    pub session: String,
    /// What.
    pub occasion: Occasion,
    /// It did not happen: a person tries whether alerts arrive.
    pub is_test: bool,
    /// Of the current token, if there is one.
    pub generation: Option<u64>,
    /// Why, in a sentence.
    pub reason: String,
    /// What a person must do; empty where there is nothing to do.
    pub remedy: String,
    /// When.
    pub at: Timestamp,
    /// Who answers for the session, as the config says.
    pub owner: Option<Arc<str>>,
    /// Where it is written what to do, as the config says.
    pub runbook: Option<Arc<str>>,
    /// The files that must hold the new token first.
    pub files: Option<Settling>,
    /// The current token, which must not get into the log should the program print it.
    pub secret: Option<Secret>,
}

/// Programs that are told the same happenings, each with a worker of its own; most sessions have none.
pub struct Hooks(Option<Box<Running>>);

struct Running {
    bells: Vec<(Vec<Occasion>, Arc<Bell>)>,
    workers: JoinSet<()>,
}

/// How runs of programs and messages to webhooks ended, all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// With success.
    pub succeeded: u64,
    /// By themselves without success, or they could not be started, or the receiver did not take the message.
    pub failed: u64,
    /// Killed, since they took too long.
    pub timed_out: u64,
}

/// The runs of some programs and webhooks, counted while they go on.
#[derive(Clone, Debug, Default)]
pub struct RunCount(Arc<Mutex<Runs>>);

/// What one of them has still to be told.
#[derive(Default)]
struct Bell {
    pending: Mutex<Pending>,
    rung: Notify,
    closing: Notify,
}

#[derive(Default)]
struct Pending {
    happenings: VecDeque<Happening>,
    closed: bool,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Change, Self::Attention, Self::Recovered];

    /// Their words.
    pub fn words() -> Vec<&'static str> {
        Self::ALL.into_iter().map(Self::word).collect()
    }

    /// Its word in the config, and in `KEEPFRESH_EVENT`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Attention => "attention",
            Self::Recovered => "recovered",
        }
    }

    /// Whether the later happening leaves nothing to say of the earlier one.
    fn supersedes(self, earlier: Self) -> bool {
        (self == Self::Change) == (earlier == Self::Change)
    }
}

impl Hooks {
    /// Starts the workers of a session's hooks; must be called within the runtime. The programs find the daemon at
    /// `socket`; how they end is counted in `runs`.
    pub fn start(configs: &[HookConfig], socket: &Path, runs: &RunCount) -> Self {
        let told = configs
            .iter()
            .map(|config| (config.on.clone(), Teller::program(&config.command, socket)));
        Self::of(told.collect(), runs)
    }

    /// Starts the workers of alerts, which are told of every session.
    pub fn start_alerts(
        config: &AlertsConfig,
        socket: &Path,
        clients: &Clients,
        runs: &RunCount,
    ) -> Self {
        let programs = config.on_attention.iter();
        let programs =
            programs.map(|command| (vec![Occasion::Attention], Teller::program(command, socket)));
        let receivers = config.webhooks.iter().enumerate().map(|(index, config)| {
            let receiver = Receiver::new(index + 1, config.clone(), clients.clone());
            (
                vec![Occasion::Attention, Occasion::Recovered],
                Teller::Webhook(Box::new(receiver)),
            )
        });
        Self::of(programs.chain(receivers).collect(), runs)
    }

    /// None at all.
    pub fn none() -> Self {
        Self(None)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn of(told: Vec<(Vec<Occasion>, Teller)>, runs: &RunCount) -> Self {
        if told.is_empty() {
            return Self::none();
        }
        let mut workers = JoinSet::new();
        let mut bells = Vec::with_capacity(told.len());
        for (on, teller) in told {
            let bell = Arc::<Bell>::default();
            workers.spawn(
                Worker {
                    teller,
                    bell: Arc::clone(&bell),
                    runs: runs.clone(),
                }
                .run(),
            );
            bells.push((on, bell));
        }
        Self(Some(Box::new(Running { bells, workers })))
    }

    /// Tells all who want to know. Returns at once.
    pub fn ring(&self, happening: &Happening) {
        let bells = self.0.iter().flat_map(|running| &running.bells);
        for (_, bell) in bells.filter(|(on, _)| on.contains(&happening.occasion)) {
            bell.ring(happening.clone());
        }
    }

    /// Tells what is still to be told, and ends. Dropped before, it kills what runs.
    pub async fn finish(self) {
        let Some(mut running) = self.0 else { return };
        for (_, bell) in &running.bells {
            bell.close();
        }
        while running.workers.join_next().await.is_some() {}
    }
}

impl RunCount {
    /// How they ended so far.
    pub fn runs(&self) -> Runs {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AlertsConfig {
    /// Whether there is a hook to tell.
    pub fn tells_somebody(&self) -> bool {
        !self.on_attention.is_empty() || !self.webhooks.is_empty()
    }
}

impl Bell {
    fn ring(&self, happening: Happening) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending
            .happenings
            .retain(|earlier| !happening.supersedes(earlier));
        pending.happenings.push_back(happening);
        self.rung.notify_one();
    }

    /// Whether something came that leaves nothing to say of `happening`.
    fn has_moved_on_from(&self, happening: &Happening) -> bool {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending
            .happenings
            .iter()
            .any(|later| later.supersedes(happening))
    }

    fn close(&self) {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed = true;
        self.rung.notify_one();
        self.closing.notify_one();
    }

    /// The next happening; none when there will be no more.
    async fn next(&self) -> Option<Happening> {
        loop {
            {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                match pending.happenings.pop_front() {
                    Some(happening) => return Some(happening),
                    None if pending.closed => return None,
                    None => {}
                }
            }
            self.rung.notified().await;
        }
    }
}

/// Tells one of them, one happening at a time.
struct Worker {
    teller: Teller,
    bell: Arc<Bell>,
    runs: RunCount,
}

/// How a hook is told.
enum Teller {
    Program(Program),
    Webhook(Box<Receiver>),
}

struct Program {
    command: Vec<String>,
    socket: PathBuf,
}

/// How the telling of one happening ended.
enum Ended {
    Succeeded,
    Failed,
    TimedOut,
    /// Something that happened since left nothing to say.
    Overtaken,
}

impl Teller {
    fn program(command: &[String], socket: &Path) -> Self {
        Self::Program(Program {
            command: command.to_vec(),
            socket: socket.to_owned(),
        })
    }
}

impl Worker {
    async fn run(self) {
        let Self { teller, bell, runs } = self;
        let count = |ended| {
            runs.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .count(&ended);
        };
        match teller {
            Teller::Program(program) => {
                while let Some(happening) = bell.next().await {
                    if let Some(files) = &happening.files {
                        let _ = tokio::time::timeout(FILES_LIMIT, files.done()).await;
                    }
                    count(program.tell(&happening).await);
                }
            }
            Teller::Webhook(receiver) => {
                let tell_all = async {
                    while let Some(happening) = bell.next().await {
                        count(receiver.tell(&happening, &bell).await);
                    }
                };
                tokio::select! {
                    () = tell_all => {}
                    () = bell.end_of_patience() => receiver.give_up(),
                }
            }
        }
    }
}

impl Program {
    async fn tell(&self, happening: &Happening) -> Ended {
        let ended = child::run(&self.command, &self.variables(happening)).await;
        let outcome = match ended.problem {
            None => Ended::Succeeded,
            Some(child::Problem::Failed(_)) => Ended::Failed,
            Some(child::Problem::TooSlow) => Ended::TimedOut,
        };
        self.report(happening, ended);
        outcome
    }

    fn variables(&self, happening: &Happening) -> Vec<(&'static str, String)> {
        // A socket of systemd's lies where systemd says; then the usual places must do.
        let socket = self.socket.exists().then_some(&*self.socket);
        message::variables(happening, socket)
    }

    fn report(&self, happening: &Happening, ended: child::Ended) {
        let program = self.command.first().map(String::as_str).unwrap_or_default();
        let (session, occasion) = (happening.session.as_str(), happening.occasion.word());
        let output = happening.without_secret(&ended.output);
        match ended.problem {
            None => tracing::debug!(
                session,
                program,
                on = occasion,
                output = output.as_str(),
                "a hook has run"
            ),
            Some(problem) => {
                let problem = problem.to_string();
                tracing::warn!(
                    session,
                    event = "hook_failed",
                    program,
                    on = occasion,
                    problem,
                    "a hook failed"
                );
                tracing::debug!(
                    session,
                    program,
                    output = output.as_str(),
                    "output of the failed hook"
                );
            }
        }
    }
}

impl Runs {
    fn count(&mut self, ended: &Ended) {
        match ended {
            Ended::Succeeded => self.succeeded += 1,
            Ended::Failed => self.failed += 1,
            Ended::TimedOut => self.timed_out += 1,
            Ended::Overtaken => {}
        }
    }
}

impl Happening {
    /// Whether this leaves nothing to say of what happened to the same session `earlier`.
    fn supersedes(&self, earlier: &Self) -> bool {
        self.session == earlier.session && self.occasion.supersedes(earlier.occasion)
    }

    fn without_secret(&self, text: &str) -> Blotted {
        Blotted::new(text, self.secret.as_slice())
    }
}

#[cfg(test)]
mod tests;
