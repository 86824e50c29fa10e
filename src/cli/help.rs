//! `keepfresh help`: a command's options, or a page of the documentation, without a network and without `man`.

use std::fmt::Write as _;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use super::exit::Exit;
use super::failure::Failure;
use super::status::Paper;
use super::topics::{self, TOPICS};
use super::{Cli, fold, output};

/// What `help` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// A command, or a topic; without it, both lists
    #[arg(value_name = "COMMAND|TOPIC", add = candidates())]
    subject: Option<String>,
}

fn candidates() -> clap_complete::engine::ArgValueCandidates {
    clap_complete::engine::ArgValueCandidates::new(|| {
        let topic = |topic: &topics::Topic| {
            clap_complete::engine::CompletionCandidate::new(topic.name)
                .help(Some(topic.about.into()))
        };
        TOPICS.iter().map(topic).collect()
    })
}

/// Prints what was asked for; a name that is neither is an error of the command line.
pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let Some(subject) = &args.subject else {
        print_help_of(None);
        return output::print_prose(&format!("\n{}", list()));
    };
    if Cli::command().find_subcommand(subject).is_some() {
        print_help_of(Some(subject));
        return Ok(Exit::Done);
    }
    if let Some(topic) = topics::find(subject) {
        return output::print(&fold::page(topic.text, &Paper::of_stdout()));
    }
    let message =
        format!("there is no command and no topic '{subject}'; `keepfresh help` lists both");
    let _ = Cli::command()
        .error(ErrorKind::InvalidValue, message)
        .print();
    Ok(Exit::Usage)
}

/// The same as `--help` there.
fn print_help_of(command: Option<&str>) {
    let words = ["keepfresh"].into_iter().chain(command).chain(["--help"]);
    if let Err(help) = Cli::try_parse_from(words) {
        let _ = help.print();
    }
}

fn list() -> String {
    let mut text = "Topics, for `keepfresh help TOPIC` or `man keepfresh-TOPIC`:\n".to_owned();
    let width = TOPICS
        .iter()
        .map(|topic| topic.name.len())
        .max()
        .unwrap_or_default();
    for topic in &TOPICS {
        // A String takes everything.
        let _ = writeln!(text, "  {:width$}  {}", topic.name, topic.about);
    }
    text
}
