//! Who is told when a person is needed, and with `--test-alerts` whether a message arrives.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::blotted::Blotted;
use crate::clock;
use crate::config::{Config, ConfigError, Needed};
use crate::duration::duration_text;
use crate::hooks::{self, Address, WebhookConfig};
use crate::secret_source::SecretSource;
use crate::users::{self, Kind};

/// What `[alerts]` asks for. Field names are stable.
#[derive(Serialize)]
pub(super) struct AlertsPlan {
    /// The programs, then the webhooks, each in the order of the config.
    receivers: Vec<Recipient>,
    /// A session without a good token for so long is an alert too.
    after_seconds: Option<f64>,
}

/// One program or webhook.
#[derive(Serialize)]
struct Recipient {
    /// `program /usr/bin/logger`, or `webhook N` by its place in the config from 1: its address is secret.
    receiver: String,
    /// What a webhook understands; null for a program.
    format: Option<&'static str>,
    /// Where a webhook's secret is.
    secret: Option<String>,
    /// What came of a test; null where none was sent.
    test: Option<Test>,
    #[serde(skip)]
    place: Place,
}

/// Where the config names it.
struct Place {
    file: PathBuf,
    line: usize,
    column: usize,
}

#[derive(Serialize)]
struct Test {
    accepted: bool,
    problem: Option<String>,
    remedy: Option<String>,
    /// The config's own errors say it: its secret cannot be read.
    #[serde(skip)]
    is_said: bool,
}

/// Why a test did not arrive.
struct Failure {
    problem: String,
    /// None where it depends on the receiver.
    remedy: Option<String>,
}

impl AlertsPlan {
    /// The plan of a config; none where nothing is told of.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let alerts = &config.alerts;
        let programs = alerts.on_attention.iter().map(|command| Recipient {
            receiver: format!(
                "program {}",
                command.first().map(String::as_str).unwrap_or_default()
            ),
            format: None,
            secret: None,
            test: None,
            place: Place::of(config, &Needed::Program(command.clone())),
        });
        let webhooks = alerts.webhooks.iter().zip(1..);
        let webhooks = webhooks.map(|(webhook, number)| Recipient {
            receiver: format!("webhook {number}"),
            format: Some(webhook.format.word()),
            secret: secret_source(webhook).map(SecretSource::describe),
            test: None,
            place: secret_source(webhook).map_or_else(
                || Place::of_file(config),
                |source| Place::of(config, &Needed::Secret(source.clone())),
            ),
        });
        let receivers: Vec<Recipient> = programs.chain(webhooks).collect();
        (!receivers.is_empty()).then(|| Self {
            receivers,
            after_seconds: alerts.after.map(|after| after.as_secs_f64()),
        })
    }

    /// Sends everybody a test, and notes what came of it.
    pub(super) fn test(&mut self, config: &Config) {
        for (receiver, answer) in self.receivers.iter_mut().zip(answers(config)) {
            receiver.test = Some(Test {
                accepted: answer.is_ok(),
                remedy: answer.as_ref().err().map(|failure| {
                    let remedy = failure.remedy.clone();
                    remedy.unwrap_or_else(|| receiver.remedy())
                }),
                problem: answer.err().map(|failure| failure.problem),
                is_said: false,
            });
        }
    }

    /// An error that the config has reported already is not said again.
    pub(super) fn leave_out(&mut self, said: &[ConfigError]) {
        for Recipient { test, place, .. } in &mut self.receivers {
            let at = |error: &&ConfigError| {
                (&error.file, error.line, error.column) == (&place.file, place.line, place.column)
            };
            if let (Some(test), Some(error)) = (test, said.iter().find(at)) {
                test.is_said = true;
                test.remedy = Some(error.remedy.clone());
            }
        }
    }

    /// How many did not take the test.
    pub(super) fn failures(&self) -> usize {
        let tests = self.receivers.iter().filter_map(|it| it.test.as_ref());
        tests.filter(|test| !test.accepted).count()
    }

    /// Those that did not take the test, at the place where the config names them.
    pub(super) fn errors(&self) -> Vec<ConfigError> {
        let failed = self.receivers.iter().filter_map(|receiver| {
            let test = receiver.test.as_ref().filter(|test| !test.is_said)?;
            let (problem, remedy) = test.problem.as_ref().zip(test.remedy.as_ref())?;
            Some(ConfigError {
                file: receiver.place.file.clone(),
                line: receiver.place.line,
                column: receiver.place.column,
                message: format!(
                    "the test alert did not reach {}: {problem}",
                    receiver.text()
                ),
                remedy: remedy.clone(),
            })
        });
        failed.collect()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let receivers = self.receivers.iter().map(|receiver| {
            let test = match &receiver.test {
                Some(Test { accepted: true, .. }) => ": it took the test alert",
                Some(Test { .. }) => ": the test alert FAILED",
                None => "",
            };
            format!("alert to {}{test}", receiver.text())
        });
        let after = self.after_seconds.map(|seconds| {
            let after = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            format!(
                "alert when a session has had no good token for {} too",
                duration_text(after)
            )
        });
        receivers.chain(after).collect()
    }
}

impl Recipient {
    fn text(&self) -> String {
        match self.format {
            Some(format) => format!("{} ({format})", self.receiver),
            None => self.receiver.clone(),
        }
    }

    fn remedy(&self) -> String {
        match &self.secret {
            None => "run it by hand as the daemon's user, or name another program".to_owned(),
            Some(secret) => format!(
                "compare {secret} with what the receiver's settings show, and see whether this machine reaches the receiver: through a proxy, if [http] or your shell names one"
            ),
        }
    }
}

impl Place {
    fn of(config: &Config, what: &Needed) -> Self {
        let needs = config.needs.iter();
        let mut needs = needs.filter(|need| need.key.starts_with("alerts."));
        needs.find(|need| need.what == *what).map_or_else(
            || Self::of_file(config),
            |need| Self {
                file: need.file.clone(),
                line: need.line,
                column: need.column,
            },
        )
    }

    fn of_file(config: &Config) -> Self {
        Self {
            file: config.file.clone(),
            line: 1,
            column: 1,
        }
    }
}

/// Where the secret is by which a webhook is reached.
fn secret_source(webhook: &WebhookConfig) -> Option<&SecretSource> {
    match (&webhook.routing_key, &webhook.url) {
        (Some(secret), _) | (None, Address::Secret(secret)) => Some(secret),
        (None, Address::Public(_)) => None,
    }
}

/// Why each of them did not take a test, if it did not. Root does nothing by the word of a user who could have written the
/// config.
fn answers(config: &Config) -> Vec<Result<(), Failure>> {
    let failed = |problem: &str, remedy: Option<String>| {
        let receivers = config.alerts.on_attention.len() + config.alerts.webhooks.len();
        let failure = || Failure {
            problem: problem.to_owned(),
            remedy: remedy.clone(),
        };
        std::iter::repeat_with(|| Err(failure()))
            .take(receivers)
            .collect()
    };
    if let Some(user) = config.written_by {
        let user = users::named(Kind::User, user);
        let problem = format!(
            "it was not sent, since root runs and reads nothing by a config that the user {user} could change"
        );
        let remedy = format!("run `keepfresh check --test-alerts` as the user {user}");
        return failed(&problem, Some(remedy));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string(), None),
    };
    let at = clock::now().wall;
    let answers = runtime.block_on(hooks::send_test(&config.alerts, &config.socket.path, at));
    // A disk that hangs cannot be interrupted.
    runtime.shutdown_background();
    let failure = |problem: Blotted| Failure {
        problem: problem.as_str().to_owned(),
        remedy: None,
    };
    answers
        .into_iter()
        .map(|answer| answer.map_err(failure))
        .collect()
}
