//! Completions: the shell asks this program while somebody types, and it knows the sessions because it asks the daemon.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use clap::Command;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::exit::Exit;
use super::failure::Failure;
use super::output;
use crate::api::SessionList;
use crate::api::client::{Call, Client};

/// Set by the scripts that [`script`] prints, to the name of the shell.
const VARIABLE: &str = "KEEPFRESH_COMPLETE";

/// Nobody waits longer for a completion.
const PATIENCE: Duration = Duration::from_millis(500);

/// For every argument that names a session.
pub(super) fn sessions() -> ArgValueCandidates {
    ArgValueCandidates::new(names)
}

/// Those that the caller may see; none, and no complaint, where no daemon answers.
fn names() -> Vec<CompletionCandidate> {
    let client = Client::find(None).impatient(PATIENCE);
    let call = Call {
        path: "/v1/sessions".to_owned(),
        ..Call::default()
    };
    let list = client.json::<SessionList>(&call).unwrap_or(SessionList {
        sessions: Vec::new(),
    });
    let candidate = |session: crate::api::SessionStatus| {
        CompletionCandidate::new(session.session)
            .help(Some(super::status::state_word(session.state).into()))
    };
    list.sessions.into_iter().map(candidate).collect()
}

/// Whether a shell asks for completions, as its script said; then they are printed.
pub(super) fn answer(command: fn() -> Command) -> Option<Exit> {
    env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let words: Vec<OsString> = env::args_os().collect();
    let outcome = CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(words, env::current_dir().ok().as_deref());
    // A shell in the middle of a line has no place for complaints.
    Some(if matches!(outcome, Ok(true)) {
        Exit::Done
    } else {
        Exit::Failed
    })
}

/// What makes a shell ask.
pub(super) fn script(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    if let Some(shell) = Shells::builtins().completer(&shell.to_string()) {
        shell
            .write_registration(VARIABLE, "keepfresh", "keepfresh", "keepfresh", &mut script)
            .map_err(Failure::Output)?;
    }
    output::print_raw(&script)
}
