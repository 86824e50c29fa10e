//! What went wrong, in one sentence with its remedy, and as an exit code.

use std::borrow::Cow;
use std::io;

use serde_json::{Value, json};
use thiserror::Error;

use super::exit::Exit;
use super::output;
use crate::api::client::ClientError;
use crate::api::problem::Kind;
use crate::publish::format::FormatError;

/// Why a client command ends without what was asked for.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("write the output: {0}")]
    Output(io::Error),
    #[error("read the token from standard input: {0}")]
    Input(io::Error),
    #[error("{0}")]
    Format(#[from] FormatError),
    /// The listener for a browser's return.
    #[error("listen for the browser's return: {0}")]
    Listen(io::Error),
    /// There is nothing to report about.
    #[error("{0} has no token yet")]
    NoToken(String),
    /// Jobs cannot call through the session.
    #[error("{0} has no gateway")]
    NoGateway(String),
    #[error("there is no page {0}")]
    NoSuchPage(String),
    /// The report of `doctor` is not where it should be.
    #[error("{0}")]
    Report(String),
}

impl Failure {
    /// Whether the daemon said that the order makes no sense.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Client(ClientError::Problem(problem)) if problem.kind == Kind::Conflict)
    }

    /// Whether the token is good, and only a file of it is not in its place.
    pub(super) fn is_of_a_file(&self) -> bool {
        matches!(self, Self::Client(ClientError::Problem(problem)) if problem.kind == Kind::Unpublished)
    }

    /// The exit code that scripts see.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => of_client(error),
            Self::Output(_)
            | Self::Input(_)
            | Self::Listen(_)
            | Self::Format(_)
            | Self::NoSuchPage(_)
            | Self::NoGateway(_)
            | Self::Report(_) => Exit::Failed,
            Self::NoToken(_) => Exit::TryAgain,
        }
    }

    /// Says it on standard error, where the command goes on all the same.
    pub(super) fn warn(&self) {
        output::complain(&format!("keepfresh: warning: {}", self.sentence()));
    }

    /// Says it on standard error.
    pub(super) fn report(&self) -> Exit {
        output::complain(&format!("keepfresh: {}", self.sentence()));
        self.exit()
    }

    /// What is the matter, and what to do.
    pub(super) fn sentence(&self) -> String {
        match self.remedy() {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        }
    }

    /// The same for programs: an object with `error` in it.
    pub(super) fn document(&self) -> Value {
        let mut error = match self {
            Self::Client(ClientError::Problem(problem)) => {
                serde_json::to_value(problem).unwrap_or_default()
            }
            Self::Client(_)
            | Self::Output(_)
            | Self::Input(_)
            | Self::Listen(_)
            | Self::Format(_)
            | Self::NoToken(_)
            | Self::NoSuchPage(_)
            | Self::NoGateway(_)
            | Self::Report(_) => json!({ "type": self.word(), "detail": self.to_string() }),
        };
        if let Some(members) = error.as_object_mut() {
            if let Some(remedy) = self.remedy() {
                members.insert("remedy".to_owned(), remedy.into());
            }
            members.insert("exit_code".to_owned(), (self.exit() as u8).into());
        }
        json!({ "error": error })
    }

    /// What `type` says where the daemon did not answer with a problem of its own.
    fn word(&self) -> &'static str {
        match self {
            Self::Client(error) => match error {
                ClientError::NotRunning { .. } => "not-running",
                ClientError::Denied(_) | ClientError::Stranger { .. } => "not-allowed",
                ClientError::Silent(_) | ClientError::Lost(_) => "no-answer",
                ClientError::NotASocket(_) | ClientError::Protocol { .. } => "not-the-daemon",
                ClientError::Problem(_) | ClientError::System { .. } => "failed",
            },
            Self::NoToken(_) => "not-fresh",
            Self::Output(_)
            | Self::Input(_)
            | Self::Listen(_)
            | Self::Format(_)
            | Self::NoSuchPage(_)
            | Self::NoGateway(_)
            | Self::Report(_) => "failed",
        }
    }

    fn remedy(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Client(error) => error.remedy(),
            Self::NoToken(_) => Some("`keepfresh status` says what it waits for".into()),
            Self::NoSuchPage(_) => Some("`keepfresh manual` lists them".into()),
            Self::NoGateway(name) => Some(
                format!("add [sessions.{name}.gateway] to the config, and run `keepfresh reload` (`keepfresh help gateway`)").into(),
            ),
            Self::Output(_)
            | Self::Input(_)
            | Self::Listen(_)
            | Self::Format(_)
            | Self::Report(_) => None,
        }
    }
}

/// The same for a command line that is wrong.
pub(super) fn usage_document(rendered: &str) -> Value {
    let detail = rendered.trim_start_matches("error: ").trim_end();
    json!({ "error": { "type": "usage", "detail": detail, "exit_code": Exit::Usage as u8 } })
}

fn of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::NotRunning { .. } => Exit::NotRunning,
        ClientError::Denied(_) | ClientError::Stranger { .. } => Exit::NotAllowed,
        ClientError::Problem(problem) => of_problem(problem.kind),
        ClientError::Silent(_) | ClientError::Lost(_) => Exit::TryAgain,
        ClientError::NotASocket(_) | ClientError::Protocol { .. } | ClientError::System { .. } => {
            Exit::Failed
        }
    }
}

fn of_problem(kind: Kind) -> Exit {
    match kind {
        Kind::NoSuchSession => Exit::NoSuchSession,
        Kind::NotAllowed => Exit::NotAllowed,
        Kind::BadConfig => Exit::Config,
        Kind::NeedsAttention | Kind::Unpublished => Exit::NeedsPerson,
        Kind::NotFresh
        | Kind::Stopping
        | Kind::NoAnswer
        | Kind::TooSlow
        | Kind::TooManyConnections => Exit::TryAgain,
        Kind::CannotPromise
        | Kind::Conflict
        | Kind::Failed
        | Kind::NoSuchLogin
        | Kind::BadRequest
        | Kind::NoSuchPath
        | Kind::WrongMethod
        | Kind::TooLarge
        | Kind::Unknown => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::api::problem::Problem;

    #[test]
    fn for_programs_a_failure_is_an_object_with_its_type_and_exit_code() {
        let absent = Failure::from(ClientError::NotRunning {
            tried: vec![PathBuf::from("/run/x")],
            named: true,
        });
        let error = absent.document()["error"].clone();
        assert_eq!(
            (&error["type"], &error["exit_code"]),
            (&"not-running".into(), &69.into()),
            "{error}"
        );
        assert!(
            error["remedy"].as_str().unwrap().contains("--socket"),
            "{error}"
        );
        let problem = Problem::new(Kind::NoSuchSession, "there is no session").with_remedy("look");
        let error =
            Failure::from(ClientError::Problem(Box::new(problem))).document()["error"].clone();
        assert_eq!(
            (&error["type"], &error["exit_code"]),
            (&"no-such-session".into(), &80.into()),
            "{error}"
        );
        assert_eq!(
            (&error["detail"], &error["remedy"]),
            (&"there is no session".into(), &"look".into()),
            "{error}"
        );
    }

    #[test]
    fn every_kind_of_no_has_the_exit_code_that_scripts_rely_on() {
        for (kind, code) in [
            (Kind::NoSuchSession, 80),
            (Kind::NotAllowed, 77),
            (Kind::NotFresh, 75),
            (Kind::NeedsAttention, 79),
            (Kind::Unpublished, 79),
            (Kind::CannotPromise, 1),
            (Kind::Conflict, 1),
            (Kind::Failed, 1),
            (Kind::BadConfig, 78),
            (Kind::Stopping, 75),
        ] {
            let failure = Failure::from(ClientError::Problem(Box::new(Problem::new(kind, "no"))));
            assert_eq!(failure.exit() as u8, code, "{kind:?}");
        }
        let absent = Failure::from(ClientError::NotRunning {
            tried: vec![PathBuf::from("/run/x")],
            named: true,
        });
        assert_eq!(absent.exit() as u8, 69);
        assert_eq!(
            Failure::from(ClientError::Denied(PathBuf::from("/run/x"))).exit() as u8,
            77
        );
    }
}
