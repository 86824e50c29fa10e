//! Problem documents (RFC 9457): what the socket answers when the answer is no.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Refusal;

/// One problem document; `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The problem type: what scripts should look at.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The kind in words for people, without particulars.
    pub title: Box<str>,
    /// The HTTP status.
    pub status: u16,
    /// What is the matter this time.
    pub detail: Box<str>,
    /// The session in question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Box<str>>,
    /// What a person can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Box<str>>,
    /// Seconds after which it is worth asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Seconds for which a token can be promised at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u64>,
}

/// The problem types; relative references, resolved against nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// 404: the config has no such session.
    NoSuchSession,
    /// 403: this caller may not do this.
    NotAllowed,
    /// 503: no token good enough within the wait.
    NotFresh,
    /// 409: a person is needed.
    NeedsAttention,
    /// 503: a file that must hold the token does not.
    Unpublished,
    /// 422: no token of this session can be promised for so long.
    CannotPromise,
    /// 409: the order not possible now.
    Conflict,
    /// 502: the order was carried out and did not succeed.
    Failed,
    /// 404: this person's login is not, or no longer, under way.
    NoSuchLogin,
    /// 422: the config is broken, and the old one stays in force.
    BadConfig,
    /// 503: the daemon is stopping, or starting.
    Stopping,
    /// 503: the daemon did not decide in time.
    NoAnswer,
    /// 400: the query or the body is not understood.
    BadRequest,
    /// 404: there is no such path.
    NoSuchPath,
    /// 405: the path has other methods, see `Allow`.
    WrongMethod,
    /// 408: the body did not arrive in time.
    TooSlow,
    /// 413: the body is larger than 64 KiB.
    TooLarge,
    /// 503: this user, or everybody together, holds too many connections.
    TooManyConnections,
    /// A type that a newer daemon knows.
    #[serde(other)]
    Unknown,
}

impl Kind {
    /// The status and the title that go with the type.
    fn status_and_title(self) -> (u16, &'static str) {
        match self {
            Self::NoSuchSession => (404, "no such session"),
            Self::NotAllowed => (403, "not allowed"),
            Self::NotFresh => (503, "not fresh yet"),
            Self::NeedsAttention => (409, "a person is needed"),
            Self::Unpublished => (503, "a token file is not in its place"),
            Self::CannotPromise => (422, "no token can be promised for so long"),
            Self::Conflict => (409, "not possible now"),
            Self::Failed => (502, "the server said no"),
            Self::NoSuchLogin => (404, "no such login"),
            Self::BadConfig => (422, "the configuration is broken"),
            Self::Stopping => (503, "the daemon is stopping"),
            Self::NoAnswer => (503, "the daemon did not decide in time"),
            Self::BadRequest => (400, "the request is wrong"),
            Self::NoSuchPath => (404, "no such path"),
            Self::WrongMethod => (405, "wrong method"),
            Self::TooSlow => (408, "the request took too long"),
            Self::TooLarge => (413, "the request is too large"),
            Self::TooManyConnections => (503, "too many connections"),
            Self::Unknown => (500, "unknown problem"),
        }
    }
}

impl Problem {
    /// A problem of this kind; `detail` is one sentence for people.
    pub fn new(kind: Kind, detail: impl Into<Box<str>>) -> Self {
        let (status, title) = kind.status_and_title();
        let detail = detail.into();
        Self {
            kind,
            title: title.into(),
            status,
            detail,
            session: None,
            remedy: None,
            retry_after: None,
            longest: None,
        }
    }

    /// The problem, with what a person can do about it.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<Box<str>>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn about(mut self, session: String) -> Self {
        self.session = Some(session.into());
        self
    }
}

/// What lets a caller give orders.
const ADMINS: &str = "ask an admin to add your user or group to `admins` in [socket]";

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoSuchSession { name } => Self::new(Kind::NoSuchSession, format!("there is no session {name:?}"))
                .with_remedy("`keepfresh status` lists the sessions")
                .about(name),
            Refusal::NotAllowed { name } => Self::new(Kind::NotAllowed, format!("you may not read {name}"))
                .with_remedy(format!(
                    "`keepfresh status` lists what you may read; if there is such a session, have your user or group added to \
                     `allow` in [sessions.{name}.access]"
                ))
                .about(name),
            Refusal::NotOrdered { name } => Self::new(Kind::NotAllowed, format!("only admins may do this with {name}"))
                .with_remedy(ADMINS)
                .about(name),
            Refusal::OnlyByGateway { name, socket } => {
                Self::new(Kind::NotAllowed, format!("no job holds the token of {name}: the config says `only = true`"))
                    .with_remedy(format!(
                        "call the server through its gateway: curl --unix-socket {socket} http://{name}/, or `keepfresh exec --gateway {name} -- COMMAND`"
                    ))
                    .about(name)
            }
            Refusal::NotFresh { name, reason, retry_after } => {
                let mut problem = Self::new(Kind::NotFresh, reason).about(name);
                problem.retry_after = retry_after.map(whole_seconds);
                problem
            }
            Refusal::NeedsAttention { name, reason, remedy } => {
                Self::new(Kind::NeedsAttention, reason).with_remedy(remedy).about(name)
            }
            Refusal::Unpublished { name, reason } => Self::new(Kind::Unpublished, reason)
                .with_remedy(format!(
                    "if no job needs the file, write `required = false` in its [[sessions.{name}.publish]]"
                ))
                .about(name),
            Refusal::CannotPromise { name, longest } => cannot_promise(name, longest),
            Refusal::Conflict { name, reason } => Self::new(Kind::Conflict, reason).about(name),
            Refusal::Failed { name, reason, remedy } => {
                let problem = Self::new(Kind::Failed, reason).about(name);
                match remedy {
                    Some(remedy) => problem.with_remedy(remedy),
                    None => problem,
                }
            }
            Refusal::NoSuchLogin { name, reason } => Self::new(Kind::NoSuchLogin, reason)
                .with_remedy(format!("begin again with `keepfresh login {name}`"))
                .about(name),
            Refusal::NotUnderstood { name, reason } => Self::new(Kind::BadRequest, reason).about(name),
            Refusal::NotAdmin => Self::new(Kind::NotAllowed, "only admins may do this").with_remedy(ADMINS),
            Refusal::BadConfig { errors } => {
                Self::new(Kind::BadConfig, format!("the config is broken; the daemon goes on with the old one:\n{errors}"))
            }
            Refusal::Stopping => {
                let mut problem = Self::new(Kind::Stopping, "the daemon is stopping");
                problem.retry_after = Some(1);
                problem
            }
        }
    }
}

fn cannot_promise(name: String, longest: Duration) -> Problem {
    let seconds = longest.as_secs();
    let detail = format!("a token of {name} can be promised for {seconds} s at most");
    let mut problem = Problem::new(Kind::CannotPromise, detail)
        .with_remedy(format!("ask for a min_validity of {seconds}s or less"))
        .about(name);
    problem.longest = Some(seconds);
    problem
}

/// `duration` in seconds, rounded up, so that no caller comes back too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_type_and_status() {
        let name = || "crm".to_owned();
        let cases = [
            (
                Refusal::NoSuchSession { name: name() },
                "no-such-session",
                404,
            ),
            (Refusal::NotAllowed { name: name() }, "not-allowed", 403),
            (Refusal::NotOrdered { name: name() }, "not-allowed", 403),
            (
                Refusal::NotFresh {
                    name: name(),
                    reason: String::new(),
                    retry_after: None,
                },
                "not-fresh",
                503,
            ),
            (
                Refusal::NeedsAttention {
                    name: name(),
                    reason: String::new(),
                    remedy: String::new(),
                },
                "needs-attention",
                409,
            ),
            (
                Refusal::Unpublished {
                    name: name(),
                    reason: String::new(),
                },
                "unpublished",
                503,
            ),
            (
                Refusal::CannotPromise {
                    name: name(),
                    longest: Duration::from_secs(7),
                },
                "cannot-promise",
                422,
            ),
            (
                Refusal::Conflict {
                    name: name(),
                    reason: String::new(),
                },
                "conflict",
                409,
            ),
            (
                Refusal::Failed {
                    name: name(),
                    reason: String::new(),
                    remedy: None,
                },
                "failed",
                502,
            ),
            (
                Refusal::NoSuchLogin {
                    name: name(),
                    reason: String::new(),
                },
                "no-such-login",
                404,
            ),
            (
                Refusal::NotUnderstood {
                    name: name(),
                    reason: String::new(),
                },
                "bad-request",
                400,
            ),
            (Refusal::NotAdmin, "not-allowed", 403),
            (
                Refusal::BadConfig {
                    errors: String::new(),
                },
                "bad-config",
                422,
            ),
            (Refusal::Stopping, "stopping", 503),
        ];
        for (refusal, kind, status) in cases {
            let json = serde_json::to_value(Problem::from(refusal)).unwrap();
            assert_eq!(
                (json["type"].as_str(), json["status"].as_u64()),
                (Some(kind), Some(status))
            );
        }
    }

    #[test]
    fn a_retry_is_asked_for_late_rather_than_early() {
        let refusal = Refusal::NotFresh {
            name: "crm".to_owned(),
            reason: "the server does not answer".to_owned(),
            retry_after: Some(Duration::from_millis(1001)),
        };
        assert_eq!(Problem::from(refusal).retry_after, Some(2));
    }

    #[test]
    fn a_type_of_a_newer_daemon_is_understood_as_unknown() {
        let text = r#"{"type":"brand-new","title":"t","status":418,"detail":"d"}"#;
        let problem: Problem = serde_json::from_str(text).unwrap();
        assert_eq!((problem.kind, problem.status), (Kind::Unknown, 418));
    }
}
