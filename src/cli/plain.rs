//! `keepfresh token` as scripts write it, read without building what else the program could be told: that takes longer
//! than the daemon's answer.
//!
//! Only what is certain is taken here. All else, and whatever is wrong, is left to the full parser, which knows what to say.

use std::ffi::OsString;

use clap::ValueEnum as _;

use super::token::{Args, Printed, WAIT};
use super::{Cli, ClientCommand, Command, parse_duration};

/// The command line, if it is a plain one; its first word is the program's own name.
pub(super) fn parse(words: &[OsString]) -> Option<Cli> {
    let words: Vec<&str> = words.iter().skip(1).map(|word| word.to_str()).collect::<Option<_>>()?;
    let (first, words) = words.split_first()?;
    if *first != "token" {
        return None;
    }
    let plain = Plain::of(words)?;
    let args = Args {
        name: plain.name?.to_owned(),
        min_validity: plain.min_validity.map(parse_duration).transpose().ok()?,
        wait: plain.wait.map_or(Ok(WAIT), parse_duration).ok()?,
        format: plain.format.map_or(Some(Printed::default()), |word| Printed::from_str(word, false).ok())?,
    };
    Some(Cli { socket: plain.socket.map(Into::into), command: Command::Client(ClientCommand::Token(args)) })
}

/// The words of `token`, each at most once.
#[derive(Default)]
struct Plain<'a> {
    name: Option<&'a str>,
    socket: Option<&'a str>,
    min_validity: Option<&'a str>,
    wait: Option<&'a str>,
    format: Option<&'a str>,
}

impl<'a> Plain<'a> {
    fn of(words: &[&'a str]) -> Option<Self> {
        let mut plain = Self::default();
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let (place, value) = match word.split_once('=') {
                Some((option, value)) if word.starts_with("--") => (plain.option(option)?, value),
                Some(_) | None if word.starts_with('-') => (plain.option(word)?, words.next()?),
                Some(_) | None => (&mut plain.name, word),
            };
            if value.is_empty() || value.starts_with('-') || place.replace(value).is_some() {
                return None;
            }
        }
        Some(plain)
    }

    fn option(&mut self, option: &str) -> Option<&mut Option<&'a str>> {
        match option {
            "--socket" => Some(&mut self.socket),
            "--min-validity" => Some(&mut self.min_validity),
            "--wait" => Some(&mut self.wait),
            "--format" => Some(&mut self.format),
            _ => None,
        }
    }
}

/// A command line, a word a line, for `crate::fuzz`: what is taken here the full parser takes alike.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    use clap::Parser as _;
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<OsString> = std::iter::once("keepfresh").chain(text.split('\n')).map(OsString::from).collect();
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
        ] {
            let words = words(&line.split(' ').collect::<Vec<_>>());
            let read = parse(&words).map(|cli| format!("{cli:?}"));
            assert_eq!(read, Some(format!("{:?}", Cli::try_parse_from(&words).unwrap())), "{line}");
        }
    }

    #[test]
    fn all_else_is_left_to_the_full_parser() {
        for line in
            ["", "status", "token", "token crm erp", "token crm --help", "token crm --wait soon", "token crm -h"]
        {
            assert!(parse(&words(&line.split(' ').collect::<Vec<_>>())).is_none(), "{line}");
        }
        assert!(parse(&[]).is_none());
    }

    proptest! {
        #[test]
        fn both_parsers_agree_on_what_both_take(line in proptest::collection::vec(word(), 0..7)) {
            let words = words(&std::iter::once("token").chain(line).collect::<Vec<_>>());
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
        ])
    }

    fn words(line: &[&str]) -> Vec<OsString> {
        std::iter::once("keepfresh").chain(line.iter().copied()).map(OsString::from).collect()
    }
}
