//! What a session needs: as the flags say, else as a person answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Problem;
use super::terminal::Terminal;
use crate::cli::exit::Exit;
use crate::cli::output::complain;
use crate::config;
use crate::provider::{GrantDescription, Parameter, ParameterKind, Profile};

/// Keys of the session itself that `--set` takes besides those of its login.
const OF_SESSION: [&str; 3] = ["idle_timeout", "owner", "runbook"];

/// The parameter for which a key is made.
const KEY: &str = "private_key";

/// What a client has to show who has no key.
const CLIENT_SECRET: &str = "client_secret";

/// A session as it is to be.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) profile: Arc<Profile>,
    pub(super) url: Option<String>,
    pub(super) grant: GrantDescription,
    /// Keys of the session and of its login, as TOML.
    pub(super) plain: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, SecretFrom>,
}

/// Where a secret comes from.
pub(super) enum SecretFrom {
    /// It is to be written into the file of its own.
    Text(Zeroizing<String>),
    /// A file to be read, or `-` for standard input.
    File(PathBuf),
    /// A key is to be made.
    New,
}

/// What the flags say.
pub(super) struct Given<'g> {
    pub(super) name: Option<&'g str>,
    pub(super) provider: Option<&'g str>,
    pub(super) url: Option<&'g str>,
    pub(super) grant: Option<&'g str>,
    pub(super) set: &'g [String],
    pub(super) secret_file: &'g [String],
    /// Where profiles of one's own are.
    pub(super) providers_dir: PathBuf,
}

/// Asks for what is not given, or takes down what is missing.
pub(super) struct Interview<'i> {
    pub(super) given: Given<'i>,
    pub(super) terminal: Option<&'i Terminal>,
    missing: Vec<String>,
}

impl<'i> Interview<'i> {
    pub(super) fn new(given: Given<'i>, terminal: Option<&'i Terminal>) -> Self {
        Self {
            given,
            terminal,
            missing: Vec::new(),
        }
    }

    /// Name, kind of server, address and grant; none of them needs a secret.
    pub(super) fn begin(
        &mut self,
        is_free: impl Fn(&str) -> Result<(), Problem>,
    ) -> Result<Wanted, Problem> {
        let name = self.answer(self.given.name, "NAME", "Name of the session", None)?;
        if let Some(name) = &name {
            config::check_session_name(name).map_err(Problem::usage)?;
            is_free(name)?;
        }
        let Some(profile) = self.provider()? else {
            self.missing
                .push("and then what `keepfresh providers KIND` says that it needs".into());
            return Err(self.incomplete());
        };
        let description = profile.describe();
        let told_by_issuer = pairs(self.given.set)?
            .iter()
            .any(|(key, _)| *key == "issuer");
        let url = if self.given.url.is_some() || (description.needs_url && !told_by_issuer) {
            self.answer(self.given.url, "--url URL", "URL of the server", None)?
                .map(|url| with_scheme(&url))
        } else {
            None
        };
        let grant = self.grant(&description.grants)?;
        let (Some(name), Some(grant)) = (name, grant) else {
            return Err(self.incomplete());
        };
        Ok(Wanted {
            name,
            profile,
            url,
            grant,
            plain: BTreeMap::new(),
            secrets: BTreeMap::new(),
        })
    }

    /// Takes what the flags say of the login; `--set` and `--secret-file` are not mixed up.
    pub(super) fn take_flags(&self, wanted: &mut Wanted) -> Result<(), Problem> {
        for (key, value) in pairs(self.given.set)? {
            let parameter = wanted.parameter(key);
            if parameter.is_some_and(|parameter| parameter.secret) {
                let text = format!(
                    "{key} is a secret, which other users could read on a command line; replace it at the server, then \
                     write --secret-file {key}=PATH, or {key}=- for standard input"
                );
                return Err(Problem::usage(text));
            }
            if parameter.is_none() && !OF_SESSION.contains(&key) {
                return Err(wanted.unknown("--set", key, |parameter| !parameter.secret));
            }
            let kind = parameter.map_or(ParameterKind::Text, |parameter| parameter.kind);
            wanted
                .plain
                .insert(key.to_owned(), toml_of(key, value, kind)?);
        }
        for (key, path) in pairs(self.given.secret_file)? {
            if wanted
                .parameter(key)
                .is_none_or(|parameter| !parameter.secret)
            {
                return Err(wanted.unknown("--secret-file", key, |parameter| parameter.secret));
            }
            wanted
                .secrets
                .insert(key.to_owned(), SecretFrom::File(PathBuf::from(path)));
        }
        if wanted.parameter(KEY).is_some_and(|key| key.required) {
            wanted
                .secrets
                .entry(KEY.to_owned())
                .or_insert(SecretFrom::New);
        }
        Ok(())
    }

    /// Everything else that the login needs. `dry` runs need no secret.
    pub(super) fn finish(&mut self, wanted: &mut Wanted, dry: bool) -> Result<(), Problem> {
        for parameter in wanted.grant.parameters.clone() {
            let name = &parameter.name;
            let may_prove_client = name == CLIENT_SECRET && !wanted.proves_its_client();
            let needed = parameter.required && parameter.default.is_none()
                || may_prove_client && wanted.grant.name == "client_credentials";
            if wanted.plain.contains_key(name) || wanted.secrets.contains_key(name) {
                continue;
            }
            if let (Some(terminal), false, true, false) =
                (self.terminal, needed, may_prove_client, dry)
            {
                let secret =
                    terminal.ask_secret(&format!("{name}, if the client has one"), true)?;
                if !secret.is_empty() {
                    wanted
                        .secrets
                        .insert(name.clone(), SecretFrom::Text(secret));
                }
            }
            if !needed {
                continue;
            }
            let question = format!("{name}, {}", parameter.about);
            match (self.terminal, parameter.secret) {
                (_, true) if dry => {
                    wanted
                        .secrets
                        .insert(name.clone(), SecretFrom::Text(Zeroizing::default()));
                }
                (Some(terminal), true) => {
                    let secret = terminal.ask_secret(&question, false)?;
                    wanted
                        .secrets
                        .insert(name.clone(), SecretFrom::Text(secret));
                }
                (Some(terminal), false) => {
                    let value = terminal.ask(&question, None)?;
                    wanted
                        .plain
                        .insert(name.clone(), toml_of(name, &value, parameter.kind)?);
                }
                (None, true) => self.missing.push(format!("--secret-file {name}=PATH")),
                (None, false) => self.missing.push(format!("--set {name}=…")),
            }
        }
        if self.missing.is_empty() {
            Ok(())
        } else {
            Err(self.incomplete())
        }
    }

    fn answer(
        &mut self,
        given: Option<&str>,
        flag: &str,
        question: &str,
        default: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        match (given, self.terminal) {
            (Some(given), _) => Ok(Some(given.to_owned())),
            (None, Some(terminal)) => Ok(Some(terminal.ask(question, default)?)),
            (None, None) => {
                self.missing.push(flag.to_owned());
                Ok(None)
            }
        }
    }

    fn provider(&mut self) -> Result<Option<Arc<Profile>>, Problem> {
        let directory = self.given.providers_dir.clone();
        let question = "Kind of server (a word to search for, ? for all)";
        let Some(mut word) = self.answer(self.given.provider, "--provider KIND", question, None)?
        else {
            return Ok(None);
        };
        let Some(terminal) = self.terminal.filter(|_| self.given.provider.is_none()) else {
            return named(&word, &directory).map(Some);
        };
        loop {
            let found = search(&word, &directory);
            match found.as_slice() {
                [(name, title)] => {
                    complain(&format!("  {name}: {title}"));
                    return named(name, &directory).map(Some);
                }
                [] => complain(&format!(
                    "  no kind of server has {word:?} in its name; ? shows all"
                )),
                several => several
                    .iter()
                    .for_each(|(name, title)| complain(&format!("  {name:20} {title}"))),
            }
            word = terminal.ask(question, None)?;
        }
    }

    fn grant(&mut self, grants: &[GrantDescription]) -> Result<Option<GrantDescription>, Problem> {
        let names: Vec<&str> = grants.iter().map(|grant| grant.name.as_str()).collect();
        let find = |word: &str| grants.iter().find(|grant| grant.name == word).cloned();
        if let (None, [only]) = (self.given.grant, grants) {
            return Ok(Some(only.clone()));
        }
        let flag = format!("--grant GRANT (one of {})", names.join(", "));
        let question = "Way to log in, by name or number";
        if self.given.grant.is_none() && self.terminal.is_some() {
            for (number, grant) in (1..).zip(grants) {
                let line = format!("  {number}. {:18} {}", grant.name, grant.about);
                complain(line.trim_end());
            }
        }
        let numbered = |word: &str| {
            let index = word.parse::<usize>().ok()?.checked_sub(1)?;
            grants.get(index).cloned()
        };
        loop {
            let Some(word) =
                self.answer(self.given.grant, &flag, question, names.first().copied())?
            else {
                return Ok(None);
            };
            match (find(&word), self.given.grant) {
                (None, None) if numbered(&word).is_some() => return Ok(numbered(&word)),
                (Some(grant), _) => return Ok(Some(grant)),
                (None, Some(_)) => {
                    let text = format!(
                        "{word:?} is no way to log in there; write one of {}",
                        names.join(", ")
                    );
                    return Err(Problem::usage(text));
                }
                (None, None) => complain(&format!("  write one of {}", names.join(", "))),
            }
        }
    }

    fn incomplete(&self) -> Problem {
        Problem::usage(format!(
            "no questions are asked where standard input or standard error is no terminal; these are missing: {}",
            self.missing.join(", ")
        ))
    }
}

impl Wanted {
    pub(super) fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.grant
            .parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// Whether it is said how the client proves who it is.
    fn proves_its_client(&self) -> bool {
        let shown = [CLIENT_SECRET, KEY]
            .iter()
            .any(|secret| self.secrets.contains_key(*secret));
        shown || self.plain.contains_key("client_auth")
    }

    /// Whether a key is to be made.
    pub(super) fn needs_key(&self) -> bool {
        self.secrets
            .values()
            .any(|secret| matches!(secret, SecretFrom::New))
    }

    fn unknown(&self, flag: &str, key: &str, fits: impl Fn(&Parameter) -> bool) -> Problem {
        let known: Vec<&str> = self
            .grant
            .parameters
            .iter()
            .filter(|it| fits(it))
            .map(|parameter| parameter.name.as_str())
            .collect();
        let known = if known.is_empty() {
            "nothing".to_owned()
        } else {
            known.join(", ")
        };
        Problem::usage(format!(
            "{flag} {key}: grant {} takes {known} by {flag}",
            self.grant.name
        ))
    }

    /// The fragment of the config; each secret is in its own file below `secrets`.
    pub(super) fn toml(&self, secrets: &Path) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut lines = vec![
            format!("[sessions.{}]", self.name),
            format!("provider = {}", quoted(self.profile.name())),
        ];
        lines.extend(self.url.iter().map(|url| format!("url = {}", quoted(url))));
        let (of_session, of_login): (Vec<_>, Vec<_>) = self
            .plain
            .iter()
            .partition(|(key, _)| self.parameter(key).is_none());
        lines.extend(
            of_session
                .into_iter()
                .map(|(key, value)| format!("{key} = {value}")),
        );
        lines.extend([String::new(), format!("[sessions.{}.login]", self.name)]);
        lines.push(format!("grant = {}", quoted(&self.grant.name)));
        lines.extend(
            of_login
                .into_iter()
                .map(|(key, value)| format!("{key} = {value}")),
        );
        let file = |key: &str| quoted(&self.secret_file(secrets, key).to_string_lossy());
        lines.extend(
            self.secrets
                .keys()
                .map(|key| format!("{key} = {{ file = {} }}", file(key))),
        );
        lines.join("\n") + "\n"
    }

    /// Where a secret of the session lies.
    pub(super) fn secret_file(&self, secrets: &Path, key: &str) -> PathBuf {
        let end = if key == KEY { ".pem" } else { "" };
        secrets.join(format!("{}-{}{end}", self.name, key.replace('_', "-")))
    }
}

fn named(name: &str, directory: &Path) -> Result<Arc<Profile>, Problem> {
    Profile::named(name, Some(directory)).map_err(|error| Problem {
        exit: Exit::Usage,
        text: error.to_string(),
    })
}

/// The kinds of server with `word` in name or title; the one that is called so exactly, alone.
fn search(word: &str, directory: &Path) -> Vec<(String, String)> {
    let named = |name: String| {
        let profile = Profile::named(&name, Some(directory)).ok()?;
        Some((name, profile.title().to_owned()))
    };
    let all: Vec<_> = Profile::names(Some(directory))
        .into_iter()
        .filter_map(named)
        .collect();
    if word == "?" {
        return all;
    }
    let word = word.to_lowercase();
    if let Some(exact) = all.iter().find(|(name, _)| *name == word) {
        return vec![exact.clone()];
    }
    let has = |text: &str| text.to_lowercase().contains(&word);
    all.into_iter()
        .filter(|(name, title)| has(name) || has(title))
        .collect()
}

/// `KEY=VALUE`, each.
fn pairs(given: &[String]) -> Result<Vec<(&str, &str)>, Problem> {
    // It may be a secret, so it is not repeated.
    let wrong =
        || Problem::usage("--set and --secret-file take KEY=VALUE: there is one without `=`");
    given
        .iter()
        .map(|text| text.split_once('=').ok_or_else(wrong))
        .collect()
}

fn with_scheme(url: &str) -> String {
    if url.contains("://") {
        url.to_owned()
    } else {
        format!("https://{url}")
    }
}

/// A value as the config writes it.
fn toml_of(key: &str, value: &str, kind: ParameterKind) -> Result<String, Problem> {
    if kind == ParameterKind::Text {
        return Ok(toml::Value::from(value).to_string());
    }
    let is_one = format!("v = {value}")
        .parse::<toml::Table>()
        .is_ok_and(|table| table.len() == 1);
    is_one.then(|| value.to_owned()).ok_or_else(|| {
        Problem::usage(format!(
            "{key}: {value:?} is no value of that kind; write it as in the config: 1, true, [\"a\"]"
        ))
    })
}
