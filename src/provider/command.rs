//! Logins by a program that prints a token as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value as Json;
use thiserror::Error;
use tracing::debug;

use super::Secrets;
use super::capture::{CaptureRule, Place, Unit};
use super::harvest::{CaptureError, Captures, Harvest, harvest};
use super::profile::{CommandRules, Profile};
use super::response::Response;
use super::rule::{RuleVerdict, Seen};
use super::settings::{RemoteConfig, Value};
use super::template::Template;
use crate::blotted::Blotted;
use crate::clock;
use crate::program::{self, Inherits, Outcome, Program, ProgramError};
use crate::secret::Secret;
use crate::session::answer::{Grant, Refused, Request, Verdict};

/// What a program may print: as much as a token may have, and what goes with it.
const LARGEST: usize = 256 * 1024;
/// How much of its standard error is logged.
const MOST_LINES: usize = 20;

/// Why a program brought no token.
#[derive(Debug, Error)]
pub(super) enum CommandError {
    #[error("`{0}` has no value: set it in the session's login")]
    NoValue(String),
    #[error("the program {program} cannot be run: {error}")]
    NotRun {
        program: String,
        error: ProgramError,
    },
    #[error("the program {program} failed: {complaint}")]
    Failed {
        program: String,
        complaint: Blotted,
        status: u16,
        text: String,
    },
    #[error(
        "the program {0} printed no JSON object with a token: run it by hand to see its output"
    )]
    NoJson(String),
    #[error("the program {program} printed no usable token: {error}")]
    NoUsableToken {
        program: String,
        error: CaptureError,
    },
}

impl CommandError {
    /// What the login came to: a rule of the profile's may know better than that it failed for now.
    pub(super) fn verdict(&self, profile: &Profile, grant: &str) -> Verdict {
        match self {
            Self::NotRun {
                error: ProgramError::NotStarted(_) | ProgramError::WithinReach(_),
                ..
            } => Verdict::Refused {
                confirm: false,
                what: Refused::Request,
            },
            Self::NotRun {
                error: ProgramError::TookTooLong(_) | ProgramError::Broken(_),
                ..
            }
            | Self::NoUsableToken {
                error: CaptureError::Expired(_),
                ..
            } => Verdict::Unavailable,
            Self::Failed { status, text, .. } => by_rule(profile, grant, *status, text),
            Self::NoValue(_) | Self::NoJson(_) | Self::NoUsableToken { .. } => Verdict::Refused {
                confirm: may_confirm(profile, grant),
                what: Refused::Request,
            },
        }
    }
}

/// A password that is sent twice can lock its user out.
fn may_confirm(profile: &Profile, grant: &str) -> bool {
    profile
        .grant_traits(grant)
        .is_some_and(|traits| traits.confirm)
}

/// The exit status and the standard error take the places of an answer's status and text.
fn by_rule(profile: &Profile, grant: &str, status: u16, text: &str) -> Verdict {
    let seen = Seen {
        request: Request::Login,
        grant,
        status,
        content_type: "",
        headers: &[],
        text,
        json: None,
    };
    let rule = profile.answers.iter().find(|rule| rule.matches(&seen));
    let what = rule
        .and_then(|rule| rule.refused)
        .unwrap_or(Refused::Credential);
    match rule.map(|rule| (rule.verdict, rule.confirm.unwrap_or(true))) {
        Some((RuleVerdict::Refused | RuleVerdict::GrantDead, confirm)) => Verdict::Refused {
            confirm: confirm && may_confirm(profile, grant),
            what,
        },
        Some((RuleVerdict::Throttled, _)) => Verdict::Throttled { retry_after: None },
        Some(_) | None => Verdict::Unavailable,
    }
}

/// Runs the session's program and takes the token out of what it prints.
///
/// # Errors
/// Says what happened, with the last line of its standard error.
pub(super) async fn run(
    config: &RemoteConfig,
    secrets: &Secrets,
    limit: Duration,
) -> Result<Grant, CommandError> {
    let rules = config.profile.command(&config.grant);
    let rules = rules.ok_or_else(|| CommandError::NoValue("command".to_owned()))?;
    let argv = argv(config, rules)?;
    let lookup = |name: &str| {
        config
            .plain(name)
            .map(Secret::new)
            .or_else(|| secrets.get(name).cloned())
    };
    let env = rules
        .env
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.fill(&lookup)?)));
    let env: Vec<(String, Secret)> = env.collect();
    let env: Vec<(&str, &str)> = env
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose()))
        .collect();
    let name = argv.first().cloned().unwrap_or_default();
    // Before the call's own end, which would leave the program's children behind.
    let limit = rules
        .timeout
        .map_or(limit, |own| own.min(limit))
        .min(limit.mul_f64(0.9));
    let ran = program::run(&Program {
        argv: &argv,
        inherits: Inherits::All,
        env: &env,
        directory: None,
        limit,
        largest: LARGEST,
    })
    .await;
    let outcome = ran.map_err(|error| CommandError::NotRun {
        program: name.clone(),
        error,
    })?;
    log(&name, &outcome, secrets);
    token(config, rules, &name, &outcome)
}

/// The arguments; one that is a list stands for all of it, and one without a value is left out.
fn argv(config: &RemoteConfig, rules: &CommandRules) -> Result<Vec<String>, CommandError> {
    let lookup = |name: &str| config.plain(name).map(Secret::new);
    let one = |template: &Template| match template
        .only_name()
        .and_then(|name| config.values.get(name))
    {
        Some(Value::List(parts)) => parts.clone(),
        Some(Value::Plain(_) | Value::Secret(_)) | None => template
            .fill(&lookup)
            .map(|text| text.expose().to_owned())
            .into_iter()
            .collect(),
    };
    let argv: Vec<String> = rules.argv.iter().flat_map(one).collect();
    if argv.is_empty() {
        Err(CommandError::NoValue("command".to_owned()))
    } else {
        Ok(argv)
    }
}

fn log(program: &str, outcome: &Outcome, secrets: &Secrets) {
    let known: Vec<Secret> = secrets.values().cloned().collect();
    let complained = String::from_utf8_lossy(&outcome.complained);
    for line in complained
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(MOST_LINES)
    {
        debug!(
            program,
            line = Blotted::new(line, &known).as_str(),
            "a login program wrote to its standard error"
        );
    }
}

fn token(
    config: &RemoteConfig,
    rules: &CommandRules,
    name: &str,
    outcome: &Outcome,
) -> Result<Grant, CommandError> {
    if !outcome.status.success() {
        return Err(CommandError::Failed {
            program: name.to_owned(),
            complaint: outcome.complaint(),
            status: outcome
                .status
                .code()
                .and_then(|code| u16::try_from(code).ok())
                .unwrap_or(u16::MAX),
            text: String::from_utf8_lossy(&outcome.complained).into_owned(),
        });
    }
    let wall = clock::now().wall;
    let printed = Response::new(
        200,
        Vec::new(),
        &outcome.printed,
        outcome.printed.len() <= LARGEST,
    );
    let captures =
        captures(rules, &printed).ok_or_else(|| CommandError::NoJson(name.to_owned()))?;
    let told = harvest(
        &captures,
        &config.profile.hosts,
        &config.url,
        &printed,
        wall,
    );
    let grant = told.and_then(|told| told.grant(None, wall));
    grant.map_err(|error| CommandError::NoUsableToken {
        program: name.to_owned(),
        error,
    })
}

fn captures(rules: &CommandRules, printed: &Response) -> Option<Captures> {
    if rules.captures.is_empty() {
        known_form(printed)
    } else {
        Some(rules.captures.clone())
    }
}

/// What a program that ends with `status` comes to, having printed `text` (to its standard error, if it failed).
pub(super) fn example(
    profile: &Profile,
    grant: &str,
    status: u16,
    text: &str,
) -> (&'static str, Option<Harvest>) {
    if status != 0 {
        return (by_rule(profile, grant, status, text).word(), None);
    }
    let printed = Response::new(200, Vec::new(), text.as_bytes(), true);
    let captures = profile
        .command(grant)
        .and_then(|rules| captures(rules, &printed));
    let told = captures
        .zip(RemoteConfig::no_server())
        .and_then(|(captures, url)| {
            harvest(
                &captures,
                &profile.hosts,
                &url,
                &printed,
                Timestamp::UNIX_EPOCH,
            )
            .ok()
        });
    (if told.is_some() { "good" } else { "refused" }, told)
}

/// The forms in which programs print credentials: AWS's `credential_process`, Kubernetes' `ExecCredential`
/// (client.authentication.k8s.io), and an OAuth token answer or anything like it.
fn known_form(printed: &Response) -> Option<Captures> {
    let json = printed.json.as_ref().filter(|json| json.is_object())?;
    let has = |pointer: &str| json.pointer(pointer).is_some();
    if has("/SecretAccessKey") {
        // Lasting keys come without a session token: then the key itself is what proves a request.
        let token = if has("/SessionToken") {
            "/SessionToken"
        } else {
            "/SecretAccessKey"
        };
        return Some(rules(&[
            ("token", token, Unit::Seconds, false),
            ("access_key_id", "/AccessKeyId", Unit::Seconds, true),
            (
                "secret_access_key",
                "/SecretAccessKey",
                Unit::Seconds,
                false,
            ),
            ("expires_at", "/Expiration", Unit::Time, false),
        ]));
    }
    if json.pointer("/kind").and_then(Json::as_str) == Some("ExecCredential") {
        return Some(rules(&[
            ("token", "/status/token", Unit::Seconds, false),
            (
                "expires_at",
                "/status/expirationTimestamp",
                Unit::Time,
                false,
            ),
        ]));
    }
    let token = ["/access_token", "/accessToken", "/token", "/id_token"]
        .into_iter()
        .find(|place| has(place))?;
    let place = |names: &[&'static str]| names.iter().copied().find(|place| has(place));
    let mut entries = vec![
        ("token", token, Unit::Seconds, false),
        (
            "token_type",
            place(&["/token_type", "/tokenType"]).unwrap_or("/token_type"),
            Unit::Seconds,
            true,
        ),
        (
            "instance_url",
            place(&["/instance_url", "/instanceUrl"]).unwrap_or("/instance_url"),
            Unit::Seconds,
            true,
        ),
        (
            "expires_in",
            place(&["/expires_in", "/expiresIn"]).unwrap_or("/expires_in"),
            Unit::Seconds,
            true,
        ),
    ];
    if let Some(end) = place(&[
        "/expires_at",
        "/expiresAt",
        "/expiresOn",
        "/expiration",
        "/expiry",
        "/token_expiry",
    ]) {
        let is_number = json
            .pointer(end)
            .is_some_and(|end| super::token_answer::number(end).is_some());
        entries.push((
            "expires_at",
            end,
            if is_number { Unit::Seconds } else { Unit::Time },
            false,
        ));
    }
    Some(rules(&entries))
}

/// Everything but the token may be missing.
fn rules(entries: &[(&str, &str, Unit, bool)]) -> Captures {
    let rule = |(name, pointer, unit, public): &(&str, &str, Unit, bool)| {
        let place = Place::Json((*pointer).to_owned());
        let (optional, others) = (*name != "token", Vec::new());
        let (unit, public) = (*unit, *public);
        let rule = CaptureRule {
            place,
            regex: None,
            others,
            path: false,
            claim: None,
            unit,
            minus: None,
            public,
            optional,
        };
        ((*name).to_owned(), rule)
    };
    entries.iter().map(rule).collect::<BTreeMap<_, _>>()
}
