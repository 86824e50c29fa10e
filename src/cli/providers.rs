//! `keepfresh providers`: which kinds of server there are, what one of them needs, and whether a file describes one.

mod show;

use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use super::exit::Exit;
use super::failure::Failure;
use super::output::{self, complain};
use crate::config::closest;
use crate::provider::{Profile, ProfileError};
use crate::usual_places::PROVIDERS_DIR;

/// What `providers` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The provider to show [default: a list of all]
    #[arg(value_name = "NAME", conflicts_with = "check")]
    name: Option<String>,
    /// Check a profile's file, and replay its examples
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Print the profile's file, to start your own from
    #[arg(long, requires = "name", conflicts_with = "json")]
    source: bool,
    /// The directory of your own profiles
    #[arg(long, value_name = "DIRECTORY", default_value = PROVIDERS_DIR)]
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    match (&args.check, &args.name) {
        (Some(file), _) => check(file, args.json),
        (None, Some(name)) if args.source => match Profile::source(name, Some(&args.dir)) {
            Ok(text) => output::print(&text),
            Err(error) => refuse(&error, args.json),
        },
        (None, Some(name)) => match Profile::named(name, Some(&args.dir)) {
            Ok(profile) if args.json => output::print_json(&profile.describe()),
            Ok(profile) => output::print_prose(&show::in_words(&profile.describe())),
            Err(error) => refuse(&error, args.json),
        },
        (None, None) => list(args),
    }
}

/// One line of the list.
#[derive(Serialize)]
struct Line {
    name: String,
    title: String,
    protocol: &'static str,
    grants: Vec<String>,
    proved: String,
    unverified: usize,
}

fn list(args: &Args) -> Result<Exit, Failure> {
    let mut lines = Vec::new();
    let mut wrong = false;
    for name in Profile::names(Some(&args.dir)) {
        match Profile::named(&name, Some(&args.dir)) {
            Ok(profile) => lines.push(line(&profile)),
            Err(error) => {
                complain(&format!("keepfresh: {error}"));
                wrong = true;
            }
        }
    }
    if args.json {
        output::print_json(&lines)?
    } else {
        output::print_prose(&table(&lines))?
    };
    Ok(if wrong { Exit::Config } else { Exit::Done })
}

fn line(profile: &Profile) -> Line {
    Line {
        name: profile.name().to_owned(),
        title: profile.title().to_owned(),
        protocol: profile.protocol_word(),
        grants: profile.grants().into_iter().map(str::to_owned).collect(),
        proved: profile.proved().to_owned(),
        unverified: profile.unverified().len(),
    }
}

fn table(lines: &[Line]) -> String {
    let width =
        |of: fn(&Line) -> usize, least: usize| lines.iter().map(of).max().unwrap_or(0).max(least);
    let name = width(|line| line.name.len(), 4);
    let title = width(|line| line.title.chars().count(), 5);
    let row = |line: &Line| {
        let proved = if line.proved.is_empty() {
            "by its examples"
        } else {
            &line.proved
        };
        let doubts = if line.unverified == 0 {
            String::new()
        } else {
            format!(" ({} unverified)", line.unverified)
        };
        format!(
            "{:name$}  {:title$}  {:8}  {proved}{doubts}",
            line.name, line.title, line.protocol
        )
    };
    let head = format!(
        "{:name$}  {:title$}  {:8}  PROVED",
        "NAME", "TITLE", "PROTOCOL"
    );
    let rows: Vec<String> = std::iter::once(head).chain(lines.iter().map(row)).collect();
    rows.join("\n") + "\n\n`keepfresh providers NAME` shows what one of them needs.\n"
}

fn check(file: &std::path::Path, json: bool) -> Result<Exit, Failure> {
    match Profile::of_file(file) {
        Ok(profile) if json => output::print_json(&line(&profile)),
        Ok(profile) => {
            let (examples, name) = (profile.example_count(), profile.name());
            output::print(&format!(
                "{name}: OK, all {examples} examples give the expected verdict\n"
            ))
        }
        Err(error) => refuse(&error, json),
    }
}

fn refuse(error: &ProfileError, json: bool) -> Result<Exit, Failure> {
    let (exit, word) = match error {
        ProfileError::Unknown { .. } => (Exit::Failed, "no-such-provider"),
        ProfileError::Unreadable { .. } | ProfileError::Invalid { .. } => {
            (Exit::Config, "bad-profile")
        }
    };
    let detail = sentence(error);
    if json {
        output::print_json(
            &json!({ "error": { "type": word, "detail": detail, "exit_code": exit as u8 } }),
        )?;
    }
    complain(&format!("keepfresh: {detail}"));
    Ok(exit)
}

/// Names the one that was probably meant rather than all that there are.
fn sentence(error: &ProfileError) -> String {
    let ProfileError::Unknown { name, known } = error else {
        return error.to_string();
    };
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    match closest(name, &known) {
        Some(meant) => {
            format!(
                "there is no provider `{name}`; did you mean `{meant}`? `keepfresh providers` lists all of them"
            )
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_can_be_shown_with_a_config_to_start_from() {
        for name in Profile::names(None) {
            let profile = Profile::named(&name, None).unwrap();
            let text = show::in_words(&profile.describe());
            assert!(text.contains(&format!("provider = \"{name}\"")), "{text}");
            assert!(serde_json::to_string(&profile.describe()).is_ok());
        }
    }

    #[test]
    fn a_client_that_proves_itself_by_a_secret_is_shown_with_one() {
        for (name, shown) in [("docusign", true), ("workday", true), ("salesforce", false)] {
            let text = show::in_words(&Profile::named(name, None).unwrap().describe());
            assert_eq!(text.contains("\nclient_secret = { file ="), shown, "{text}");
        }
    }
}
