//! What was meant by a command line that is not right: JSON or words, a name that nothing has, a command without `--`.

use std::ffi::OsString;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::Cli;
use super::failure::Failure;
use crate::api::SessionList;
use crate::api::client::{Call, Client, ClientError};
use crate::api::problem::Kind;
use crate::config::closest;

/// A suggestion is worth no longer wait.
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether `--json` was asked for; what follows `--` belongs to another program.
pub(super) fn json(words: &[OsString]) -> bool {
    words
        .iter()
        .take_while(|word| *word != "--")
        .any(|word| word == "--json")
}

/// The parser's error, or a better one where it cannot know what was meant.
pub(super) fn explained(error: clap::Error, words: &[OsString]) -> clap::Error {
    let words: Vec<String> = words
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut command = Cli::command();
    command.build();
    match (
        exec_without_dashes(&words),
        command.find_subcommand_mut("exec"),
    ) {
        (Some(message), Some(exec)) if error.use_stderr() => {
            exec.error(ErrorKind::MissingRequiredArgument, message)
        }
        (_, _) => error,
    }
}

/// `exec crm sh -c …`: without `--`, sessions and command cannot be told apart. Arguments of the command may be secret.
fn exec_without_dashes(words: &[String]) -> Option<String> {
    let at = words.iter().position(|word| word == "exec")?;
    let only_options = words
        .iter()
        .take(at)
        .all(|word| word.starts_with("--socket") || word.contains('/'));
    let rest = words.get(at + 1..)?;
    if !only_options || rest.iter().any(|word| word == "--") {
        return None;
    }
    let mut names = Vec::new();
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "--used" | "--gateway" => {}
            option if option.starts_with("--") && option.contains('=') => {}
            option if option.starts_with("--") => drop(rest.next()),
            option if option.starts_with('-') => break,
            name => names.push(name.to_owned()),
        }
    }
    let [session, program, ..] = names.as_slice() else {
        return None;
    };
    Some(format!(
        "`--` is missing before the command; if {session} is the session and {program} the command:\n\n  \
         keepfresh exec {session} -- {program} ..."
    ))
}

/// The failure, with the session that was probably meant where there is none of this name.
pub(super) fn meant(client: &Client, failure: Failure) -> Failure {
    let Failure::Client(ClientError::Problem(mut problem)) = failure else {
        return failure;
    };
    let unknown = matches!(problem.kind, Kind::NoSuchSession | Kind::NotAllowed);
    if let Some(name) = problem.session.as_ref().filter(|_| unknown) {
        let call = Call {
            path: "/v1/sessions".to_owned(),
            ..Call::default()
        };
        let list = client.impatient(PATIENCE).json::<SessionList>(&call);
        let sessions = list.map(|list| list.sessions).unwrap_or_default();
        let known: Vec<&str> = sessions
            .iter()
            .map(|session| session.session.as_str())
            .collect();
        if let Some(meant) = closest(name, &known).filter(|meant| **meant != **name) {
            problem.remedy =
                Some(format!("did you mean {meant}? `keepfresh status` lists the sessions").into());
        }
    }
    Failure::Client(ClientError::Problem(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_dashes_asks_nothing_of_us() {
        let asks = |line: &str| json(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert!(asks("keepfresh status --json") && asks("keepfresh status --json -- x"));
        assert!(
            !asks("keepfresh exec crm -- tool --json")
                && !asks("keepfresh token crm --format json")
        );
    }

    #[test]
    fn exec_without_dashes_is_explained_and_shows_no_argument_of_the_command() {
        let said = |line: &str| {
            exec_without_dashes(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
        };
        for line in [
            "exec crm sh -c s3cret",
            "exec --used crm sh",
            "--socket /run/x exec --wait 5s crm sh -c s3cret",
        ] {
            let message = said(line).unwrap();
            assert!(
                message.contains("keepfresh exec crm -- sh ...") && !message.contains("s3cret"),
                "{message}"
            );
        }
        for line in ["exec crm", "exec crm -- sh", "status exec crm", "exec -x"] {
            assert_eq!(said(line), None, "{line}");
        }
    }
}
