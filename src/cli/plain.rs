//! The commands that jobs run, as scripts write them, read without building what else the program could be told: that takes
//! longer than the daemon's answer.
//!
//! Only what is certain is taken here. All else, and whatever is wrong, is left to the full parser, which knows what to say.

use std::ffi::OsString;
use std::time::Duration;

use clap::ValueEnum as _;

use super::token::{Printed, WAIT};
use super::{Cli, ClientCommand, Command, exec, parse_duration, report, token, wait};
use crate::api::duration::DurationError;

/// The words of a command, each option at most once.
#[derive(Default)]
struct Line<'a> {
    names: Vec<&'a str>,
    given: Vec<(&'static str, &'a str)>,
    flags: Vec<&'static str>,
    /// What follows `--`.
    program: Option<&'a [OsString]>,
}

/// The options of a command that have a value, and those that have none; none for commands that are not read here.
fn options(command: &str) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match command {
        "token" => Some((&["--socket", "--min-validity", "--wait", "--format"], &[])),
        "wait" => Some((&["--socket", "--min-validity", "--wait"], &["--json"])),
        "used" => Some((&["--socket", "--generation", "--age"], &["--json"])),
        "rejected" => Some((
            &["--socket", "--generation", "--wait"],
            &["--token-stdin", "--print", "--json"],
        )),
        "exec" => Some((
            &["--socket", "--min-validity", "--wait", "--hold"],
            &["--used"],
        )),
        _ => None,
    }
}

/// The command line, if it is a plain one; its first word is the program's own name.
pub(super) fn parse(words: &[OsString]) -> Option<Cli> {
    let (first, words) = words.get(1..)?.split_first()?;
    let first = first.to_str()?;
    let line = Line::of(options(first)?, words)?;
    if line.program.is_some() != (first == "exec") {
        return None;
    }
    let command = match first {
        "exec" => Command::Exec(line.exec()?),
        "token" => Command::Client(ClientCommand::Token(line.token()?)),
        "wait" => Command::Client(ClientCommand::Wait(line.wait()?)),
        "used" => Command::Client(ClientCommand::Used(line.used()?)),
        "rejected" => Command::Client(ClientCommand::Rejected(line.rejected()?)),
        _ => return None,
    };
    Some(Cli {
        socket: line.value("--socket").map(Into::into),
        command,
    })
}

impl<'a> Line<'a> {
    fn of(options: (&[&'static str], &[&'static str]), words: &'a [OsString]) -> Option<Self> {
        let mut line = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_str()? {
                "--" => {
                    line.program = Some(words.as_slice());
                    break;
                }
                word if word.starts_with('-') => line.option(options, word, &mut words)?,
                "" => return None,
                name => line.names.push(name),
            }
        }
        Some(line)
    }

    fn option(
        &mut self,
        (valued, flags): (&[&'static str], &[&'static str]),
        word: &'a str,
        rest: &mut std::slice::Iter<'a, OsString>,
    ) -> Option<()> {
        if let Some(flag) = flags.iter().find(|flag| **flag == word) {
            self.flags.push(flag);
            return (self.flags.iter().filter(|given| *given == flag).count() == 1).then_some(());
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None => (word, rest.next()?.to_str()?),
        };
        let name = valued.iter().find(|option| **option == name)?;
        let fits = !value.is_empty() && !value.starts_with('-') && self.value(name).is_none();
        self.given.push((name, value));
        fits.then_some(())
    }

    fn value(&self, option: &str) -> Option<&'a str> {
        self.given
            .iter()
            .find(|(name, _)| *name == option)
            .map(|(_, value)| *value)
    }

    fn read<T, E>(
        &self,
        option: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, E> {
        self.value(option).map(parse).transpose()
    }

    fn duration(&self, option: &str) -> Result<Option<Duration>, DurationError> {
        self.read(option, parse_duration)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    fn name(&self) -> Option<String> {
        let [name] = self.names.as_slice() else {
            return None;
        };
        Some((*name).to_owned())
    }

    fn names(&self) -> Option<Vec<String>> {
        (!self.names.is_empty()).then(|| self.names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn token(&self) -> Option<token::Args> {
        Some(token::Args {
            name: self.name()?,
            min_validity: self.duration("--min-validity").ok()?,
            wait: self.duration("--wait").ok()?.unwrap_or(WAIT),
            format: self
                .read("--format", |word| Printed::from_str(word, false))
                .ok()?
                .unwrap_or_default(),
        })
    }

    fn wait(&self) -> Option<wait::Args> {
        Some(wait::Args {
            names: self.names()?,
            min_validity: self.duration("--min-validity").ok()?,
            wait: self.duration("--wait").ok()?.unwrap_or(WAIT),
            json: self.has("--json"),
        })
    }

    fn used(&self) -> Option<report::UsedArgs> {
        Some(report::UsedArgs {
            name: self.name()?,
            generation: self.read("--generation", str::parse).ok()?,
            age: self.duration("--age").ok()?,
            json: self.has("--json"),
        })
    }

    fn rejected(&self) -> Option<report::RejectedArgs> {
        let (generation, token_stdin) = (
            self.read("--generation", str::parse).ok()?,
            self.has("--token-stdin"),
        );
        if generation.is_some() && token_stdin {
            return None;
        }
        Some(report::RejectedArgs {
            name: self.name()?,
            generation,
            token_stdin,
            print: self.has("--print"),
            wait: self.duration("--wait").ok()?.unwrap_or(WAIT),
            json: self.has("--json"),
        })
    }

    fn exec(&self) -> Option<exec::Args> {
        Some(exec::Args {
            names: self.names()?,
            min_validity: self.duration("--min-validity").ok()?,
            wait: self.duration("--wait").ok()?.unwrap_or(WAIT),
            hold: self.read("--hold", exec::parse_hold).ok()?,
            used: self.has("--used"),
            command: self.program.filter(|program| !program.is_empty())?.to_vec(),
        })
    }
}

/// A command line, a word a line, for `crate::fuzz`: what is taken here the full parser takes alike.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    use clap::Parser as _;
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<OsString> = std::iter::once("keepfresh")
        .chain(text.split('\n'))
        .map(OsString::from)
        .collect();
    if let Some(read) = parse(&words) {
        let full = Cli::try_parse_from(&words).map(|cli| format!("{cli:?}"));
        assert_eq!(full.ok(), Some(format!("{read:?}")), "{words:?}");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_scripts_write_is_read_without_the_full_parser() {
        for line in [
            "token crm",
            "token crm --wait 5s",
            "token --min-validity=10m crm --format json",
            "token --socket /run/x.sock --format=env --wait=0 --min-validity 2d crm",
            "token a=b --socket=/run/a=b",
            "wait crm erp --wait 5m --min-validity=10m",
            "wait --socket /x crm",
            "used crm",
            "used crm --json",
            "wait crm --json erp",
            "rejected --json crm --print",
            "used crm --generation 7 --age 90s",
            "rejected crm --print",
            "rejected --token-stdin crm --wait=5s",
            "rejected --generation=18446744073709551615 crm",
            "exec crm -- true",
            "exec --hold 1h --used crm erp -- sh -c exit --used --",
            "exec crm --wait 5s erp --min-validity=1m -- -x",
        ] {
            let words = words(&line.split(' ').collect::<Vec<_>>());
            let read = parse(&words).map(|cli| format!("{cli:?}"));
            assert_eq!(
                read,
                Some(format!("{:?}", Cli::try_parse_from(&words).unwrap())),
                "{line}"
            );
        }
    }

    #[test]
    fn all_else_is_left_to_the_full_parser() {
        for line in [
            "",
            "status",
            "token",
            "token crm erp",
            "token crm --help",
            "token crm --wait soon",
            "token crm -h",
            "token -- crm",
            "wait",
            "wait crm --",
            "used crm --generation -1",
            "used crm --age 1s --age 2s",
            "rejected crm --print --print",
            "rejected crm --print=yes",
            "rejected crm --generation 7 --token-stdin",
            "exec crm",
            "exec crm --",
            "exec -- true",
            "exec crm true",
            "exec crm --hold 0s -- true",
        ] {
            assert!(
                parse(&words(&line.split(' ').collect::<Vec<_>>())).is_none(),
                "{line}"
            );
        }
        assert!(parse(&[]).is_none());
    }

    proptest! {
        #[test]
        fn both_parsers_agree_on_what_both_take(
            command in prop::sample::select(vec!["token", "wait", "used", "rejected", "exec"]),
            line in proptest::collection::vec(word(), 0..7),
        ) {
            let words = words(&std::iter::once(command).chain(line).collect::<Vec<_>>());
            if let Some(read) = parse(&words) {
                let full = Cli::try_parse_from(&words).map(|cli| format!("{cli:?}")).map_err(|error| error.to_string());
                prop_assert_eq!(full, Ok(format!("{read:?}")));
            }
        }
    }

    fn word() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "crm",
            "token",
            "help",
            "",
            "-",
            "--",
            "-h",
            "--help",
            "--socket",
            "--socket=",
            "--socket=/x",
            "/x",
            "--wait",
            "--wait=5s",
            "--wait=-5s",
            "-5s",
            "5s",
            "soon",
            "--min-validity",
            "--min-validity=1h 30m",
            "--format",
            "--format=json",
            "--format=JSON",
            "cookies",
            "--json",
            "--wai",
            "a=b",
            "erp",
            "--generation",
            "--generation=7",
            "+7",
            "18446744073709551616",
            "--age",
            "--age=5s",
            "--token-stdin",
            "--print",
            "--hold=1h",
            "--hold=0s",
            "true",
            "--used",
        ])
    }

    fn words(line: &[&str]) -> Vec<OsString> {
        std::iter::once("keepfresh")
            .chain(line.iter().copied())
            .map(OsString::from)
            .collect()
    }
}
