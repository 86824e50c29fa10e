//! Carries out what an engine asks: reads secrets, makes the call, writes state. Everything comes back as one [`Done`].

mod look;
mod person;
mod work;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;

use crate::api::HealthAsk;
use crate::atomic_file::Stamp;
use crate::blotted::Blotted;
use crate::clock;
use crate::config::SessionConfig;
use crate::provider::{Held, Remote, Secrets};
use crate::publish::Settling;
use crate::secret::Secret;
use crate::secret_source::{SecretError, SecretSource};
use crate::session::Call;
use crate::session::account::Withheld;
use crate::session::answer::{Answer, Refused, Request, Verdict};
use crate::session::presented::Presented;
use crate::store::{Record, Store};
use crate::token::Token;

pub use look::{DirectorySnapshot, ExpectedFiles, look_at_directories, look_at_files};
pub use person::{PersonDone, PersonErrand, PersonStep, person};
pub use work::Work;

/// Beyond its own time-out a call is given so much before it counts as failed.
const GRACE: Duration = Duration::from_secs(2);

/// No disk that is well takes longer for a file; for one that hangs the daemon does not wait.
pub const LONGEST_LANDING: Duration = Duration::from_secs(1);

/// Each may run a program: a machine with a thousand sessions does not start a thousand of them at once.
static LOOKS: Semaphore = Semaphore::const_new(8);

/// Whose work it is: a name may come to stand for another session while the work is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The session's name.
    pub name: Arc<str>,
    /// Tells sessions that had one name after each other apart.
    pub epoch: u64,
}

/// What came of a piece of work.
pub enum Done {
    /// A session's state was written, or why not.
    SessionSaved {
        /// The session.
        of: Ticket,
        /// What went wrong, or the file as it was written.
        written: Result<Stamp, String>,
    },
    /// Files were looked at that only the daemon should touch.
    LookedAtFiles {
        /// Sessions whose state is no longer as it was written.
        states: Vec<Ticket>,
        /// Sessions of which a published file is missing.
        files: Vec<Ticket>,
        /// What tells, if everything was in its place, whether it still is.
        snapshot: Option<DirectorySnapshot>,
    },
    /// The directories of those files were looked at.
    LookedAtDirectories {
        /// None: the files must be looked at.
        snapshot: Option<DirectorySnapshot>,
    },
    /// An account's state was written, or why not.
    AccountSaved {
        /// The account.
        key: String,
        /// What went wrong.
        problem: Option<String>,
    },
    /// A call was answered, or failed.
    Called {
        /// The session.
        of: Ticket,
        /// The host whose queue it used.
        host: String,
        /// What it came to.
        answer: Answer,
        /// What it presented, as far as it was read.
        presented: Option<Presented>,
    },
    /// A step of a person's login came to its end.
    ByPerson {
        /// The session.
        of: Ticket,
        /// The login.
        login: String,
        /// The host whose queue it used.
        host: String,
        /// What it came to.
        came: PersonDone,
    },
    /// The files that a probe asks about were looked at, or waited for long enough.
    LookedForHealth(HealthAsk),
    /// A job no longer holds a session's token.
    Released {
        /// The session.
        of: Ticket,
        /// Which hold.
        hold: u64,
    },
    /// A session's files are as they were wanted, or cannot be for now.
    Landed {
        /// The session.
        of: Ticket,
        /// What was waited for.
        files: Settling,
    },
    /// A login's secrets were read to see whether they changed.
    SecretsRead {
        /// The session.
        name: Arc<str>,
        /// What said where they are.
        config: Arc<SessionConfig>,
        /// What the login presents; none while a secret cannot be read, which says nothing of a change.
        presented: Option<Presented>,
        /// The configured refresh token, where the grant has one.
        seed: Option<Result<Secret, String>>,
    },
}

/// A call with everything it needs, taken from the session when it leaves.
pub struct Errand {
    /// The session.
    pub of: Ticket,
    /// The call.
    pub call: Call,
    /// Its server.
    pub remote: Arc<Remote>,
    /// The host whose queue it uses.
    pub host: String,
    /// The token that the session holds.
    pub token: Option<Arc<Token>>,
    /// The refresh token that the session holds.
    pub refresh_token: Option<Secret>,
    /// The server's wall clock minus ours.
    pub skew_millis: i64,
    /// Where the login's secrets are; none for a ping.
    pub secrets: Vec<(String, SecretSource)>,
    /// The account's salt for fingerprints.
    pub salt: u64,
}

/// Sends the errand on its way. Its task always ends with [`Done::Called`], whatever happens, unless it is aborted.
pub fn call(work: &mut Work, errand: Errand) -> AbortHandle {
    let (request, host) = (errand.call.request, errand.host.clone());
    let (of, id, begun) = (errand.of.clone(), errand.call.id, clock::boottime());
    work.call(&host, async move {
        let host = errand.host.clone();
        let limit = errand.call.timeout + GRACE;
        let attempt = AssertUnwindSafe(tokio::time::timeout(limit, make(&errand)))
            .catch_unwind()
            .await;
        let (answer, presented) = match attempt {
            Ok(Ok(made)) => made,
            Ok(Err(_)) => (
                lost(id, request, begun, "no answer within the time-out"),
                None,
            ),
            Err(_) => (
                lost(
                    id,
                    request,
                    begun,
                    "an internal error; please report it with the log",
                ),
                None,
            ),
        };
        Done::Called {
            of,
            host,
            answer,
            presented,
        }
    })
}

async fn make(errand: &Errand) -> (Answer, Option<Presented>) {
    let Errand {
        call, remote, salt, ..
    } = errand;
    let (mut secrets, begun) = (Secrets::new(), clock::boottime());
    for (name, source) in &errand.secrets {
        let left = call.timeout.saturating_sub(clock::boottime().since(begun));
        match tokio::time::timeout(left, source.read_parameter(name)).await {
            Ok(Ok(secret)) => secrets.insert(name.clone(), secret),
            Ok(Err(error)) => {
                return (
                    unread(call, name, &error),
                    Some(errand.remote.unread(name, *salt)),
                );
            }
            Err(_) => return (late(call, name, source), None),
        };
    }
    let presented = match call.request {
        Request::Login | Request::Renew => Some(remote.presented(&secrets, *salt)),
        Request::Ping | Request::Introspect | Request::Logout => None,
    };
    let same = |presented: &Presented| {
        call.withheld
            .iter()
            .find(|withheld| withheld.is_in(presented))
    };
    if let Some(withheld) = presented.as_ref().and_then(same) {
        return (withhold(call, withheld), presented);
    }
    let held = Held {
        call: call.id,
        token: errand.token.as_deref(),
        refresh_token: errand.refresh_token.as_ref(),
        skew_millis: errand.skew_millis,
        timeout: call.timeout,
    };
    (
        remote
            .call(call.request, held, &secrets, clock::boottime)
            .await,
        presented,
    )
}

/// Reads a login's secrets anew, to learn whether a person has changed something; a few sessions' at a time.
pub fn read_secrets(work: &mut Work, name: Arc<str>, config: Arc<SessionConfig>, salt: u64) {
    work.read(async move {
        // Never closed; calls read their secrets without this, so no login waits for a look.
        let _turn = LOOKS.acquire().await;
        let mut secrets = Secrets::new();
        let mut complete = true;
        for (name, source) in config.remote.login_secrets() {
            match source.read_parameter(&name).await {
                Ok(secret) => {
                    secrets.insert(name, secret);
                }
                Err(_) => complete = false,
            }
        }
        let seed = match config.remote.seed() {
            Some(source) => Some(
                source
                    .read()
                    .await
                    .map_err(|error| format!("cannot read the refresh token: {error}")),
            ),
            None => None,
        };
        let presented = complete.then(|| config.remote.presented(&secrets, salt));
        Done::SecretsRead {
            name,
            config,
            presented,
            seed,
        }
    });
}

/// Waits until a job lets go, or for `lasting`.
pub fn hold(
    work: &mut Work,
    of: Ticket,
    hold: u64,
    lasting: Duration,
    released: oneshot::Receiver<()>,
) {
    work.wait(async move {
        let _ = tokio::time::timeout(lasting, released).await;
        Done::Released { of, hold }
    });
}

/// Waits until a session's files were written, or could not be.
pub fn land(work: &mut Work, of: Ticket, files: Settling) {
    work.wait(async move {
        let _ = tokio::time::timeout(LONGEST_LANDING, files.done()).await;
        Done::Landed { of, files }
    });
}

/// Waits until files are as wanted, or were tried, or were waited for long enough.
pub fn look_for_health(work: &mut Work, files: Vec<Settling>, ask: HealthAsk) {
    work.wait(async move {
        let all = futures_util::future::join_all(files.iter().map(Settling::done));
        let _ = tokio::time::timeout(LONGEST_LANDING, all).await;
        Done::LookedForHealth(ask)
    });
}

/// Writes a session's state on a thread that may block.
pub fn save_session(work: &mut Work, store: &Store, of: Ticket, bytes: Vec<u8>) {
    let store = store.clone();
    work.write(move || {
        let record = Record::Session(of.name.as_ref().to_owned());
        let written = save(&store, &record, &bytes);
        Done::SessionSaved { of, written }
    });
}

/// Writes an account's state on a thread that may block.
pub fn save_account(work: &mut Work, store: &Store, key: &str, bytes: Vec<u8>) {
    let (store, key) = (store.clone(), key.to_owned());
    work.write(move || {
        let problem = save(&store, &Record::Account(key.clone()), &bytes).err();
        Done::AccountSaved { key, problem }
    });
}

/// A write that never came back would keep its record from being written for ever.
fn save(store: &Store, record: &Record, bytes: &[u8]) -> Result<Stamp, String> {
    let written = catch_unwind(AssertUnwindSafe(|| store.write(record, bytes)));
    match written {
        Ok(written) => written.map_err(|error| error.to_string()),
        Err(_) => Err("an internal error; please report it with the log".to_owned()),
    }
}

/// A secret that cannot be read: nothing was sent, and nothing will be until it can.
fn unread(call: &Call, name: &str, error: &SecretError) -> Answer {
    let verdict = match call.request {
        Request::Login | Request::Renew if !error.is_passing() => Verdict::Refused {
            confirm: false,
            what: Refused::Request,
        },
        Request::Login | Request::Renew | Request::Ping | Request::Introspect | Request::Logout => {
            Verdict::Unavailable
        }
    };
    let problem = format!("{name}: cannot {}", error.problem());
    if !matches!(verdict, Verdict::Refused { .. }) {
        return unsent(call, verdict, &format!("{problem}; {}", error.remedy()));
    }
    Answer {
        remedy: Some(Box::new(Blotted::new(&error.remedy(), &[]))),
        ..unsent(call, verdict, &problem)
    }
}

/// What another session was refused with is not sent again by this one.
fn withhold(call: &Call, withheld: &Withheld) -> Answer {
    let what = match withheld.what {
        Refused::Credential => "with the same secret",
        Refused::Client => "as the same client",
        Refused::User | Refused::Request => "with the same",
    };
    let detail = format!(
        "not sent: session {} was refused {what}, and its status says how",
        withheld.of
    );
    unsent(
        call,
        Verdict::Refused {
            confirm: false,
            what: withheld.what,
        },
        &detail,
    )
}

/// A secret that did not come in time: nothing was sent, and the next try may be luckier.
fn late(call: &Call, name: &str, source: &SecretSource) -> Answer {
    let detail = format!(
        "cannot read {name}: {} did not come within {:?} (request_timeout): see what it waits for",
        source.describe(),
        call.timeout
    );
    unsent(call, Verdict::Unavailable, &detail)
}

/// What kept it here is this machine's matter: a program that was asked for a secret is quoted without it.
fn unsent(call: &Call, verdict: Verdict, detail: &str) -> Answer {
    let now = clock::boottime();
    Answer {
        call: call.id,
        sent: now,
        received: now,
        verdict,
        detail: Blotted::new(detail, &[]),
        remedy: None,
        counted: false,
        skew_millis: None,
        odd: false,
        quotas: vec![],
    }
}

fn lost(call: u64, request: Request, sent: crate::time::Instant, detail: &'static str) -> Answer {
    let verdict = if request == Request::Renew {
        Verdict::InDoubt
    } else {
        Verdict::Unavailable
    };
    let received = clock::boottime();
    Answer {
        call,
        sent,
        received,
        verdict,
        detail: detail.into(),
        remedy: None,
        counted: true,
        skew_millis: None,
        odd: false,
        quotas: vec![],
    }
}
