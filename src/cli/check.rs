//! `keepfresh check`: is the config good, is all there that it names, and what will the daemon do by it?

mod alerts;
mod apply;
mod drop_in;
pub(super) mod live;
mod plan;
mod service;
mod trial;
mod typed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::exit::Exit;
use super::fold;
use super::output::{self, complain};
use super::status::Paper;
use crate::clock;
use crate::config::{self, Config, ConfigError, ConfigErrors};
use crate::descriptors::keep_descriptors_from_children;
use crate::strangers;
use crate::users::{self, Kind};
use crate::usual_places;
use alerts::AlertsPlan;
use apply::Applied;
use drop_in::DropIn;
use plan::SessionPlan;
use service::Service;
use typed::shell_word;

/// The exit code of a config that is not good.
const BAD_CONFIG: u8 = 78;

/// Arguments of `keepfresh check`.
#[derive(clap::Args, Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct Args {
    /// The configuration, conf.d/*.toml beside it included [default: as for `run`]
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Call each host that the sessions use, without logging in: name, connection, certificate, clock
    #[arg(long)]
    pub live: bool,
    /// Send one test alert to each program and each webhook that the config names, and say what came of it
    #[arg(long)]
    pub test_alerts: bool,
    /// Print the plan, or the errors, as JSON
    #[arg(long)]
    pub json: bool,
    /// Write the drop-in by which the systemd service may do what the config asks (as root; replaces none of yours)
    #[arg(long)]
    pub drop_in: bool,
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
    /// Who is told when a person is needed; null where the config names no one.
    alerts: Option<AlertsPlan>,
    /// What the service needs for this config, whether it has it or not.
    systemd_drop_in: Option<String>,
    /// With `--live`: the hosts, in the order of the sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Vec<live::Host>>,
    /// What was done with the file of the drop-in; null where that was not asked for.
    drop_in_file: Option<String>,
    /// Commands that bring the drop-in into force.
    still_to_do: Vec<String>,
}

/// The drop-in of a config, and the service that it is for.
struct Unit {
    needed: Option<DropIn>,
    /// None where systemd does not run here, knows no such service, or has it read another config.
    service: Option<Service>,
}

/// Runs the command: errors go to standard error, the plan to standard output.
pub fn run(args: &Args) -> ExitCode {
    keep_descriptors_from_children();
    let file = args.config.clone().unwrap_or_else(config::default_path);
    match config::load(&file) {
        Err(errors) => refuse(args.json, file, &errors),
        Ok(config) => {
            if let Some(user) = config.state_owner() {
                strangers::look_for(user);
            }
            report(args, config)
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
            alerts: None,
            systemd_drop_in: None,
            live: None,
            drop_in_file: None,
            still_to_do: Vec::new(),
        });
    }
    count(errors.list().len())
}

fn report(args: &Args, config: Config) -> ExitCode {
    let unit = Unit::of(&config);
    let hosts = args.live.then(|| hosts(&config));
    let alerts = AlertsPlan::of(&config).map(|mut alerts| {
        if args.test_alerts {
            alerts.test(&config);
        }
        alerts
    });
    let nothing_to_test = args.test_alerts && alerts.is_none();
    let mut outcome = Outcome::of(config, &unit).with_alerts(alerts);
    if let Some(hosts) = hosts {
        outcome = outcome.with_hosts(hosts);
    }
    for error in &outcome.errors {
        complain(&format!("{error}\n"));
    }
    let mut refused = None;
    if args.drop_in && outcome.ok {
        match unit.write(&outcome.file) {
            Ok(applied) => outcome.is_applied(&applied, &unit),
            Err(why) => refused = Some(why),
        }
    }
    if args.json {
        print_json(&outcome);
    } else {
        // A reader that has gone away is no failure.
        let _ = output::print(&outcome.text(&unit, &Paper::of_stdout()));
    }
    if let Some(why) = refused {
        complain(&format!("keepfresh: {why}"));
        return Exit::Failed.into();
    }
    if nothing_to_test && outcome.ok {
        complain(
            "keepfresh: no test alert was sent, since the config has no [alerts]; add one (docs/publishing.md)",
        );
        return Exit::Failed.into();
    }
    conclude(&outcome)
}

fn conclude(outcome: &Outcome) -> ExitCode {
    let unreachable = outcome
        .live
        .iter()
        .flatten()
        .filter(|host| host.error.is_some())
        .count();
    let of_tests = outcome.alerts.iter().flat_map(AlertsPlan::errors).count();
    let code = count(outcome.errors.len() - unreachable - of_tests);
    match unreachable {
        0 => {}
        1 => complain("keepfresh: 1 host cannot be reached"),
        several => complain(&format!("keepfresh: {several} hosts cannot be reached")),
    }
    match outcome.alerts.as_ref().map_or(0, AlertsPlan::failures) {
        0 => {}
        1 => complain("keepfresh: 1 test alert did not arrive"),
        several => complain(&format!("keepfresh: {several} test alerts did not arrive")),
    }
    if outcome.ok {
        code
    } else {
        ExitCode::from(BAD_CONFIG)
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
    fn of(config: Config, unit: &Unit) -> Self {
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
            alerts: None,
            live: None,
            systemd_drop_in: unit.needed.as_ref().map(DropIn::text),
            drop_in_file: None,
            still_to_do: unit.still_to_do(None, &config.file),
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

    /// The same, and who is told of trouble, with what came of a test.
    fn with_alerts(mut self, mut alerts: Option<AlertsPlan>) -> Self {
        if let Some(alerts) = &mut alerts {
            alerts.leave_out(&self.errors);
        }
        self.errors
            .extend(alerts.iter().flat_map(AlertsPlan::errors));
        self.alerts = alerts;
        self.ok = self.errors.is_empty();
        self
    }

    /// The same, and what came of the calls.
    fn with_hosts(mut self, hosts: Hosts) -> Self {
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

    fn is_applied(&mut self, applied: &Applied, before: &Unit) {
        self.drop_in_file = Some(applied.sentence());
        // Systemd knows by now that the file has changed.
        self.still_to_do = before.again().still_to_do(Some(applied), &self.file);
    }

    fn text(&self, unit: &Unit, paper: &Paper) -> String {
        let mut lines: Vec<String> = self.sessions.iter().map(SessionPlan::text).collect();
        lines.extend(self.shared_accounts.iter().map(plan::SharedAccount::text));
        lines.extend(
            self.metrics
                .iter()
                .map(|address| format!("metrics: {address}")),
        );
        lines.extend(self.alerts.iter().flat_map(AlertsPlan::lines));
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
        // The drop-in and the commands are there to be copied.
        let mut lines = vec![fold::folded(&lines.join("\n"), paper)];
        lines.retain(|text| !text.is_empty());
        if let Some(drop_in) = &self.systemd_drop_in {
            if unit.service.is_none() {
                lines.push(format!(
                    "\nthe systemd service needs a drop-in (systemctl edit keepfresh):\n\n{drop_in}"
                ));
            } else if !self.still_to_do.is_empty() {
                lines.push(format!(
                    "\nthe systemd service needs a drop-in:\n\n{drop_in}"
                ));
            }
        }
        lines.extend(self.drop_in_file.clone());
        let good = if self.ok {
            "is good"
        } else {
            "can be read, but see the errors"
        };
        let good = format!("{} {good}\n", self.file.display());
        lines.push(fold::folded(&good, paper));
        if !self.still_to_do.is_empty() {
            lines.push(format!(
                "still to do:\n  {}\n",
                self.still_to_do.join("\n  ")
            ));
        }
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
        .map(|user| users::named(Kind::User, user))
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

impl Unit {
    fn of(config: &Config) -> Self {
        let needed = DropIn::needed_by(config);
        let service = Service::find().filter(|service| service.reads(&config.file));
        Self { needed, service }
    }

    fn again(&self) -> Self {
        Self {
            needed: self.needed.clone(),
            service: Service::find(),
        }
    }

    fn write(&self, config: &Path) -> Result<Applied, String> {
        let Some(service) = &self.service else {
            return Err(format!(
                "no drop-in is written: systemd runs no service keepfresh here that reads {}; install the package, or check the service's own config",
                config.display()
            ));
        };
        apply::apply(self.needed.as_ref(), service)
    }

    fn still_to_do(&self, applied: Option<&Applied>, config: &Path) -> Vec<String> {
        let check = if config == Path::new(usual_places::CONFIG) {
            "keepfresh check".to_owned()
        } else {
            let config = config.display().to_string();
            format!("keepfresh check --config {}", shell_word(&config))
        };
        self.service
            .iter()
            .flat_map(|service| apply::still_to_do(self.needed.as_ref(), service, applied, &check))
            .collect()
    }
}

/// A reader that has gone away is no failure.
fn print_json(outcome: &Outcome) {
    let _ = output::print_json(outcome);
}

#[cfg(test)]
mod tests;
