//! `keepfresh check`: is the config good, is all there that it names, and what will the daemon do by it?

mod drop_in;
pub(super) mod live;
mod plan;
mod trial;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::clock;
use crate::config::{self, Config, ConfigError, ConfigErrors};
use crate::descriptors::keep_descriptors_from_children;
use crate::strangers;
use plan::SessionPlan;

/// The exit code of a config that is not good.
const BAD_CONFIG: u8 = 78;

/// Arguments of `keepfresh check`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The configuration, conf.d/*.toml beside it included [default: as for `run`]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Call each host that the sessions use, without logging in: name, connection, certificate, clock
    #[arg(long)]
    pub live: bool,
    /// Print the plan, or the errors, as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `--json` prints. Field names are stable.
#[derive(Serialize)]
struct Outcome {
    ok: bool,
    file: PathBuf,
    errors: Vec<ConfigError>,
    warnings: Vec<String>,
    not_checkable: Vec<String>,
    sessions: Vec<SessionPlan>,
    shared_accounts: Vec<plan::SharedAccount>,
    /// Where scrapers are served, as they would write it; null where nobody is.
    metrics: Option<String>,
    systemd_drop_in: Option<String>,
    /// With `--live`: the hosts, in the order of the sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Vec<live::Host>>,
}

/// Runs the command: errors go to standard error, the plan to standard output.
pub fn run(args: Args) -> ExitCode {
    keep_descriptors_from_children();
    let file = args.config.unwrap_or_else(config::default_path);
    match config::load(&file) {
        Err(errors) => refuse(args.json, file, &errors),
        Ok(config) => {
            if let Some(user) = config.state_owner() {
                strangers::look_for(user);
            }
            report(args.json, args.live, config)
        }
    }
}

fn refuse(json: bool, file: PathBuf, errors: &ConfigErrors) -> ExitCode {
    complain(&errors.render(true));
    if json {
        print_json(&Outcome {
            ok: false,
            file,
            errors: errors.list(),
            warnings: Vec::new(),
            not_checkable: Vec::new(),
            sessions: Vec::new(),
            shared_accounts: Vec::new(),
            metrics: None,
            systemd_drop_in: None,
            live: None,
        });
    }
    count(errors.list().len())
}

fn report(json: bool, live: bool, config: Config) -> ExitCode {
    let outcome = if live {
        let hosts = hosts(&config);
        Outcome::of(config).with(hosts)
    } else {
        Outcome::of(config)
    };
    for error in &outcome.errors {
        complain(&format!("{error}\n"));
    }
    if json {
        print_json(&outcome);
    } else {
        print(&outcome.text());
    }
    let unreachable = outcome
        .live
        .iter()
        .flatten()
        .filter(|host| host.error.is_some())
        .count();
    match (outcome.errors.len() - unreachable, unreachable) {
        (errors, 0) => count(errors),
        (errors, hosts) => {
            count(errors);
            let hosts = if hosts == 1 {
                "1 host".to_owned()
            } else {
                format!("{hosts} hosts")
            };
            complain(&format!("keepfresh: {hosts} cannot be reached"));
            ExitCode::from(BAD_CONFIG)
        }
    }
}

fn count(errors: usize) -> ExitCode {
    match errors {
        0 => ExitCode::SUCCESS,
        1 => {
            complain("keepfresh: 1 error in the configuration");
            ExitCode::from(BAD_CONFIG)
        }
        several => {
            complain(&format!("keepfresh: {several} errors in the configuration"));
            ExitCode::from(BAD_CONFIG)
        }
    }
}

/// What of a session does not work that a good config describes: secrets, keys, and what is made of them.
pub(super) fn errors_of(config: &Config, name: &str) -> Vec<ConfigError> {
    let mut alone = config.clone();
    alone
        .needs
        .retain(|need| need.key.starts_with(&format!("sessions.{name}.")));
    alone.sessions.retain(|session, _| &**session == name);
    alone.alerts.webhooks.clear();
    trial::try_everything(&alone).errors
}

/// What `keepfresh doctor` takes from a check.
pub(super) struct Examination {
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
    pub(super) not_checkable: Vec<String>,
}

/// Tries everything that a good config names.
pub(super) fn examine(config: &Config) -> Examination {
    let trial = trial::try_everything(config);
    let warnings = config.warnings.iter().cloned().chain(config.exposed());
    Examination {
        errors: trial.errors,
        warnings: warnings.chain(trial.warnings).collect(),
        not_checkable: trial.not_checkable,
    }
}

impl Outcome {
    /// Tries everything that a good config names, and plans.
    fn of(config: Config) -> Self {
        let trial = trial::try_everything(&config);
        let now = clock::now().wall;
        Self {
            ok: trial.errors.is_empty(),
            errors: trial.errors,
            not_checkable: trial.not_checkable,
            sessions: config
                .sessions
                .values()
                .map(|session| SessionPlan::of(session, now))
                .collect(),
            shared_accounts: plan::shared_accounts(&config),
            metrics: config.metrics.as_ref().map(plan::metrics),
            systemd_drop_in: drop_in::needed_by(&config),
            live: None,
            warnings: config
                .warnings
                .iter()
                .cloned()
                .chain(config.exposed())
                .chain(trial.warnings)
                .collect(),
            file: config.file,
        }
    }

    /// The same, and what came of the calls.
    fn with(mut self, hosts: Hosts) -> Self {
        self.not_checkable.extend(hosts.not_checkable);
        match hosts.tried {
            Ok(hosts) => {
                self.errors
                    .extend(hosts.iter().filter_map(live::Host::config_error));
                let warnings = hosts.iter().flat_map(|host| {
                    host.warnings
                        .iter()
                        .map(|warning| format!("{}: {warning}", host.server))
                });
                self.warnings.extend(warnings);
                self.live = Some(hosts);
            }
            Err(error) => self
                .warnings
                .push(format!("cannot call any host from here: {error}")),
        }
        self.ok = self.errors.is_empty();
        self
    }

    fn text(&self) -> String {
        let mut lines: Vec<String> = self.sessions.iter().map(SessionPlan::text).collect();
        lines.extend(self.shared_accounts.iter().map(plan::SharedAccount::text));
        lines.extend(
            self.metrics
                .iter()
                .map(|address| format!("metrics: {address}")),
        );
        let now = clock::now().wall;
        let hosts = self.live.iter().flatten();
        lines.extend(hosts.map(|host| format!("host: {}", host.text(now))));
        lines.extend(
            self.not_checkable
                .iter()
                .map(|name| format!("cannot check here: {name}")),
        );
        lines.extend(
            self.warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        if let Some(drop_in) = &self.systemd_drop_in {
            lines.push(format!(
                "\nthe systemd service needs a drop-in (systemctl edit keepfresh):\n\n{drop_in}"
            ));
        }
        let good = if self.ok {
            "is good"
        } else {
            "can be read, but see the errors"
        };
        lines.push(format!("{} {good}\n", self.file.display()));
        lines.join("\n")
    }
}

/// What came of the calls that `--live` makes.
struct Hosts {
    tried: std::io::Result<Vec<live::Host>>,
    not_checkable: Vec<String>,
}

fn hosts(config: &Config) -> Hosts {
    let (tried, left_out): (Vec<_>, Vec<_>) = config
        .sessions
        .values()
        .partition(|session| live::may_be_tried(config, session));
    let user = config
        .written_by
        .map(|user| strangers::named(config::Kind::User, user))
        .unwrap_or_default();
    Hosts {
        tried: live::hosts(tried.into_iter()),
        not_checkable: left_out
            .iter()
            .map(|session| {
                format!(
                    "the host of {} (its client_key; run `keepfresh check --live` as the user {user})",
                    session.name
                )
            })
            .collect(),
    }
}

/// A reader that has gone away is no failure.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn print_json(outcome: &Outcome) {
    if let Ok(text) = serde_json::to_string_pretty(outcome) {
        print(&format!("{text}\n"));
    }
}

/// Loses its colours where standard error is no terminal.
fn complain(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests;
