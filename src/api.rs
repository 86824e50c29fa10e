//! The socket: HTTP/1.1 over a unix socket, who may ask what, and the client that the command line uses.

pub mod access;
pub mod client;
pub mod duration;
mod event;
#[cfg(test)]
pub(crate) mod fake;
mod login;
pub mod problem;
mod served;
pub mod server;
mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::metrics::Snapshot;
use access::Caller;

pub use event::{Event, Kind as EventKind};
pub use login::{LoginAsk, LoginBegun, LoginDone, LoginHow};
pub use served::Served;
pub use status::{
    Attention, Counts, DutyKind, FileStatus, GatewayStatus, Introspected, LastError, LoginBudget,
    Next, Recent, Scheduled, SessionStatus, State, What,
};

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A question about one session.
#[derive(Debug)]
pub struct About {
    /// Who asks.
    pub caller: Caller,
    /// The session's name.
    pub name: String,
}

/// What a caller asks of the supervisor, with where the answer goes.
#[derive(Debug)]
pub enum Ask {
    /// The sessions that the caller may see, some at a time: others want to be answered meanwhile.
    Sessions {
        /// Who asks.
        caller: Caller,
        /// The page after this one; none for the first.
        after: Option<PageEnd>,
        /// Where the answer goes.
        reply: oneshot::Sender<Page>,
    },
    /// One session.
    Session {
        /// Which, and who asks.
        about: About,
        /// Where the answer goes.
        reply: Reply<SessionStatus>,
    },
    /// The token, once it is good for `min_validity`.
    Token {
        /// Of which session, and who asks.
        about: About,
        /// Where the token goes.
        via: Via,
        /// For how long it must be good; zero for as long as it is.
        min_validity: Duration,
        /// Whether it must be in the session's files as well.
        files: bool,
        /// How long the caller waits.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<Served>,
    },
    /// A job used the token with success.
    Used {
        /// Of which session, and who says so.
        about: About,
        /// Which token.
        generation: u64,
        /// How long ago, where the job knows.
        age: Option<Duration>,
        /// Where the answer goes.
        reply: Reply<SessionStatus>,
    },
    /// A job is about to send what it can send only once: answered when the token was seen alive within `within`, or a ping
    /// has said what it is.
    Prove {
        /// Of which session, and who asks.
        about: About,
        /// How old the last proof may be.
        within: Duration,
        /// How long the caller waits.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<SessionStatus>,
    },
    /// A job needs the token to stay as it is while it runs.
    Hold {
        /// Of which session, and who asks.
        about: About,
        /// For how long at most.
        lasting: Duration,
        /// How long the caller waits for a renewal under way.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<Held>,
    },
    /// What happens, from now on or from an earlier moment.
    Events {
        /// Who asks.
        caller: Caller,
        /// Of which sessions; of all that the caller may see when empty.
        names: Vec<String>,
        /// The number of the last event that the caller knows.
        from: Option<u64>,
        /// Where the answer goes.
        reply: Reply<Following>,
    },
    /// A job saw "session expired"; answered once confirmed or recovered.
    Rejected {
        /// Of which session, and who says so.
        about: About,
        /// Where another token goes.
        via: Via,
        /// Which token.
        which: Rejected,
        /// Whether the answer must be in the session's files as well.
        files: bool,
        /// How long the caller waits.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<Served>,
    },
    /// An admin's order; answered when it is carried out.
    Order {
        /// To which session, and by whom.
        about: About,
        /// What to do.
        order: Order,
        /// How long the caller waits.
        wait: Duration,
        /// Where the answer goes.
        reply: Reply<SessionStatus>,
    },
    /// An admin's part in a person's login.
    Login(LoginAsk),
    /// Read the config again; answered once it is taken over, or found broken. Admins only.
    Reload {
        /// Who asks.
        caller: Caller,
        /// Where the answer goes.
        reply: Reply<Reloaded>,
    },
    /// Is the daemon well, and are these sessions good?
    Health(HealthAsk),
    /// The figures of a page of sessions, for a scraper or a person who measures.
    Metrics {
        /// Who asks, and sees what it may see; none for the listener of scrapers, which sees everything.
        caller: Option<Caller>,
        /// The page after this one; none for the first.
        after: Option<PageEnd>,
        /// Where the answer goes.
        reply: oneshot::Sender<Snapshot>,
    },
}

/// Where a token goes: into a job's hands, or no further than the request that the gateway sends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// To the caller.
    Socket,
    /// To the server, with a caller's request.
    Gateway,
    /// Nowhere: the caller is told that there is one, and for how long.
    Nowhere,
}

/// A probe's question.
#[derive(Debug)]
pub struct HealthAsk {
    /// Who asks.
    pub caller: Caller,
    /// Which sessions; all that the caller may see when empty.
    pub names: Vec<String>,
    /// Where the answer goes.
    pub reply: Reply<Health>,
}

/// The last session that a page was made of; its name comes before those of all further pages.
pub type PageEnd = Arc<str>;

/// Some of the sessions, in the order of their names.
#[derive(Debug)]
pub struct Page {
    /// As many as the caller may see of those that the page was made of.
    pub sessions: Vec<SessionStatus>,
    /// Where the next one goes on; none on the last.
    pub end: Option<PageEnd>,
}

/// Which token was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// By its generation.
    Generation(u64),
    /// By its value.
    Token(crate::secret::Secret),
}

/// What an admin may order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Ping now.
    Verify,
    /// Ask the server about the token now (RFC 7662, or the profile's own question).
    Introspect,
    /// A new token by the refresh token, or by the profile's renew request.
    Renew,
    /// Authenticate fully, also after a stop.
    Login,
    /// End the session at the server.
    Logout,
    /// Leave the session alone.
    Pause,
    /// Take it up again.
    Resume,
}

/// Why the answer is no. Each has its own status, problem type and exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 404 `no-such-session`, exit 80; only admins are told so, for others it is 403 like every session that they may not read.
    NoSuchSession { name: String },
    /// 403 `not-allowed`, exit 77: the caller may not read the session, if there is one.
    NotAllowed { name: String },
    /// 403 `not-allowed`, exit 77: the caller may read the session, but not give it orders.
    NotOrdered { name: String },
    /// 403 `not-allowed`, exit 77: the gateway alone has the session's token (`only = true`).
    OnlyByGateway { name: String, socket: String },
    /// 503 `not-fresh` with `Retry-After`, exit 75.
    NotFresh {
        name: String,
        reason: String,
        retry_after: Option<Duration>,
    },
    /// 409 `needs-attention`, exit 79: says what a person must do.
    NeedsAttention {
        name: String,
        reason: String,
        remedy: String,
    },
    /// 503 `unpublished`, exit 79: the token is good, but a file that must hold it does not.
    Unpublished { name: String, reason: String },
    /// 422 `cannot-promise`: no token of this session can be promised for so long; `longest` can.
    CannotPromise { name: String, longest: Duration },
    /// 409 `conflict`: the order not possible now (renew without a refresh token, resume when not paused).
    Conflict { name: String, reason: String },
    /// 502 `failed`, exit 1: the order was carried out and the server said no, or did not answer.
    Failed {
        name: String,
        reason: String,
        remedy: Option<String>,
    },
    /// 404 `no-such-login`, exit 1: a newer login replaced it, or a restart ended it.
    NoSuchLogin { name: String, reason: String },
    /// 400 `bad-request`, exit 1: what was handed in is something else.
    NotUnderstood { name: String, reason: String },
    /// 403 `not-allowed`, exit 77: about the daemon as a whole.
    NotAdmin,
    /// 422 `bad-config`, exit 78: nothing has changed.
    BadConfig { errors: String },
    /// 503 `stopping`, exit 75.
    Stopping,
}

/// A hold that was placed; it lasts as long as the guard, and no longer than `until`.
#[derive(Debug)]
pub struct Held {
    /// The session.
    pub session: String,
    /// When it ends at the latest.
    pub until: Timestamp,
    /// The token that is held, where it is good; for the gateway, which needs both at once. The socket does not show it.
    pub token: Option<Served>,
    /// Closed when the hold is over; dropping it ends the hold.
    pub guard: oneshot::Sender<()>,
}

/// What a follower gets: first what it has missed, then what happens.
#[derive(Debug)]
pub struct Following {
    /// Of the past, as far as it is still known.
    pub past: Vec<Arc<Event>>,
    /// From now on; ends when the follower is too slow, or the daemon stops.
    pub coming: mpsc::Receiver<Arc<Event>>,
}

/// What came of a reload. Field names are stable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// How many sessions there are now.
    pub sessions: usize,
    /// Whether something differs that only a restart takes over.
    pub restart_needed: bool,
    /// The sessions that are new.
    #[serde(default)]
    pub added: Vec<String>,
    /// The sessions that are gone.
    #[serde(default)]
    pub removed: Vec<String>,
    /// The sessions whose config differs.
    #[serde(default)]
    pub changed: Vec<String>,
    /// The tables beside the sessions that differ and were taken over.
    #[serde(default)]
    pub changed_tables: Vec<String>,
    /// The keys that only a restart takes over.
    #[serde(default)]
    pub restart_for: Vec<String>,
    /// How to restart, where a service manager runs the daemon.
    #[serde(default)]
    pub restart_command: Option<String>,
    /// What could not be carried out, as sentences with their remedy; the rest is in force.
    #[serde(default)]
    pub problems: Vec<String>,
}

impl Reloaded {
    /// The changes in one line: `+new −gone ~changed`; empty where nothing differs.
    pub fn diff(&self) -> String {
        let some = |mark: char, names: &[String]| {
            let more = names.len().saturating_sub(NAMED_IN_A_DIFF);
            let named = names
                .iter()
                .take(NAMED_IN_A_DIFF)
                .map(move |name| format!("{mark}{name}"));
            named
                .chain((more > 0).then(|| format!("{mark}({more} more)")))
                .collect::<Vec<_>>()
        };
        let tables = self
            .changed_tables
            .iter()
            .map(|table| format!("~[{table}]"));
        let sessions = [
            ('+', &self.added),
            ('\u{2212}', &self.removed),
            ('~', &self.changed),
        ];
        sessions
            .iter()
            .flat_map(|(mark, names)| some(*mark, names))
            .chain(tables)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Of each kind of change: a change of `[http]` comes to all sessions, who may be thousands.
const NAMED_IN_A_DIFF: usize = 20;

/// What `GET /v1/sessions` and `status --json` answer: an object, so that more can join the list one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionList {
    /// In the order of their names.
    pub sessions: Vec<SessionStatus>,
}

/// A token as `GET /v1/sessions/{s}/token` gives it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The session's name.
    pub session: String,
    /// The value that requests carry.
    #[serde(with = "crate::secret::exposed")]
    pub access_token: crate::secret::Secret,
    /// `Bearer`, unless the server said otherwise.
    pub token_type: String,
    /// The base of API requests, where the server names one.
    pub instance_url: Option<String>,
    /// What requests go to: `instance_url`, or the configured URL where the server names none.
    pub base_url: String,
    /// What the session's variables begin with.
    pub env_prefix: String,
    /// Rises with each new token.
    pub generation: u64,
    /// When the server issued it.
    pub issued_at: Timestamp,
    /// When it ends by itself; absent where only idleness or an admin ends it.
    pub expires_at: Option<Timestamp>,
    /// Ready to send.
    pub headers: BTreeMap<String, String>,
    /// For how long the token is promised: capped at what one ping proves; absent when nothing ends it.
    pub valid_for_seconds: Option<f64>,
    /// The captures not marked secret.
    #[serde(flatten)]
    pub captures: BTreeMap<String, String>,
}

impl TokenAnswer {
    /// The fields that every answer has; a capture of the same name does not shadow them.
    pub const FIELDS: [&str; 11] = [
        "session",
        "access_token",
        "token_type",
        "instance_url",
        "base_url",
        "env_prefix",
        "generation",
        "issued_at",
        "expires_at",
        "headers",
        "valid_for_seconds",
    ];
}

/// Leaves out the headers, which carry the token in the clear.
impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            session,
            generation,
            access_token,
            ..
        } = self;
        write!(f, "TokenAnswer({session} #{generation} {access_token})")
    }
}

/// What is told of a token that is good, without the token: `GET /v1/sessions/{s}/ready`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// The session's name.
    pub session: String,
    /// Rises with each new token.
    pub generation: u64,
    /// When the server issued it.
    pub issued_at: Timestamp,
    /// When it ends by itself; absent where only idleness or an admin ends it.
    pub expires_at: Option<Timestamp>,
    /// For how long the token is promised; absent when nothing ends it.
    pub valid_for_seconds: Option<f64>,
}

impl From<TokenAnswer> for Ready {
    fn from(answer: TokenAnswer) -> Self {
        let TokenAnswer {
            session,
            generation,
            issued_at,
            expires_at,
            valid_for_seconds,
            ..
        } = answer;
        Self {
            session,
            generation,
            issued_at,
            expires_at,
            valid_for_seconds,
        }
    }
}

/// `GET /v1/health`: live and ready apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The scheduler makes progress.
    pub live: bool,
    /// Every named session has a good token, in each file that must hold it.
    pub ready: bool,
    /// Those that have not, with the reason.
    pub not_ready: BTreeMap<String, String>,
    /// The daemon's.
    pub version: String,
}
