//! From what was found to what is wrong and what to type, the gravest first.

use serde::Serialize;

use super::clock::Clock;
use super::daemon::Daemon;
use super::examined::{Examined, count};
use super::system::System;
use crate::api::client::ClientError;
use crate::api::{SessionStatus, State};
use crate::cli::check::live::Host;

/// One thing that is wrong.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    pub(super) problem: String,
    pub(super) remedy: Option<String>,
}

impl Verdict {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// All that verdicts are made of.
pub(super) struct Seen<'a> {
    pub(super) examined: &'a Examined,
    pub(super) daemon: &'a Daemon,
    pub(super) system: &'a System,
    pub(super) clock: &'a Clock,
    /// The session that was asked for.
    pub(super) asked: Option<&'a str>,
}

impl Seen<'_> {
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        if let Some(name) = self.unknown() {
            verdicts.push(Verdict::new(
                format!("there is no session {name}, or none that you may see"),
                "keepfresh status (lists the sessions)",
            ));
        }
        verdicts.extend(self.of_config());
        verdicts.extend(self.of_service());
        verdicts.extend(
            self.clock
                .trouble
                .clone()
                .map(|(problem, remedy)| Verdict::new(problem, remedy)),
        );
        let is_of_the_clock = |host: &Host, warning: &String| host.clock.as_ref() == Some(warning);
        verdicts.extend(self.warned(is_of_the_clock));
        verdicts.extend(self.of_hosts());
        let sessions = self.daemon.sessions.iter();
        verdicts.extend(sessions.flat_map(|session| of_session(session, self.is_cut_off(session))));
        if self.examined.config.is_some() {
            verdicts.extend(self.of_errors());
        }
        verdicts.extend(self.warned(|host, warning| !is_of_the_clock(host, warning)));
        verdicts
    }

    /// The session that was asked for, where neither config nor daemon knows it.
    pub(super) fn unknown(&self) -> Option<&str> {
        self.asked
            .filter(|name| !self.examined.knows(name) && !self.daemon.knows(name))
    }

    /// A config that cannot be used: no daemon starts by it.
    fn of_config(&self) -> Option<Verdict> {
        if self.examined.config.is_some() {
            return None;
        }
        let first = self.examined.errors.first()?;
        let file = self.examined.file.display();
        if self.examined.is_missing {
            let remedy = "write it (keepfresh help install), or name another: keepfresh doctor --config FILE";
            return Some(Verdict::new(
                format!("there is no config at {file}"),
                remedy,
            ));
        }
        let more = match self.examined.errors.len() {
            1 => String::new(),
            several => format!(
                " (and {}: keepfresh check --config {file})",
                count(several - 1, "more error")
            ),
        };
        let (place, line) = (first.file.display(), first.line);
        Some(Verdict::new(
            format!(
                "the config is wrong: {place}:{line}: {}{more}",
                first.message
            ),
            format!("{}, then {}", first.remedy, self.start_or_reload()),
        ))
    }

    fn start_or_reload(&self) -> String {
        let option = self.system.option;
        match (&self.daemon.health, self.system.has_unit()) {
            (Ok(_), _) => "keepfresh reload".to_owned(),
            (Err(_), true) => format!("systemctl {option}restart keepfresh"),
            (Err(_), false) => "start the daemon again".to_owned(),
        }
    }

    fn of_service(&self) -> Vec<Verdict> {
        let option = self.system.option;
        let mut verdicts = Vec::new();
        if self.system.of_unit("NeedDaemonReload") == Some("yes") {
            verdicts.push(Verdict::new(
                "the unit or a drop-in was changed, and systemd has not read it yet",
                format!("systemctl {option}daemon-reload && systemctl {option}restart keepfresh"),
            ));
        }
        match &self.daemon.health {
            Ok(health) if !health.live => verdicts.push(Verdict::new(
                "the daemon makes no progress",
                format!("systemctl {option}restart keepfresh, and report it with this text"),
            )),
            Ok(_) => verdicts.extend(self.daemon.no_status.clone().map(|problem| Verdict {
                problem,
                remedy: Some("sudo keepfresh doctor".to_owned()),
            })),
            Err(error) => verdicts.push(self.not_answering(error)),
        }
        verdicts
    }

    fn not_answering(&self, error: &ClientError) -> Verdict {
        let remedy = error.remedy().map(std::borrow::Cow::into_owned);
        let is_absent = matches!(error, ClientError::NotRunning { .. });
        if !is_absent || !self.system.has_unit() {
            return Verdict {
                problem: error.to_string(),
                remedy,
            };
        }
        let option = self.system.option;
        let state = self.system.of_unit("ActiveState").unwrap_or_default();
        let log = format!("journalctl {option}-u keepfresh -p err -n 20");
        match (state, self.system.of_unit("ExecMainStatus")) {
            ("failed", Some("78"))
                if self.examined.config.is_some() && self.examined.errors.is_empty() =>
            {
                Verdict::new(
                    "the service has stopped: its config was wrong (exit code 78), and no error is left in it",
                    format!("systemctl {option}restart keepfresh"),
                )
            }
            ("failed", Some("78")) => Verdict::new(
                "the service has stopped: its config is wrong (exit code 78)",
                format!(
                    "correct every error below CONFIG, then systemctl {option}restart keepfresh"
                ),
            ),
            ("failed" | "activating", Some(code)) if code != "0" => Verdict::new(
                format!("the service does not stay up: exit code {code}"),
                format!(
                    "{log} (its last line names the cause), then systemctl {option}restart keepfresh"
                ),
            ),
            ("failed", _) => Verdict::new(
                format!(
                    "the service has failed: {}",
                    self.system.of_unit("Result").unwrap_or("no cause is known")
                ),
                format!(
                    "{log} (its last line names the cause), then systemctl {option}restart keepfresh"
                ),
            ),
            ("active" | "activating" | "reloading", _) => Verdict::new(
                format!("the service runs and no daemon listens: {error}"),
                "name its socket with --socket (socket.path in the config)",
            ),
            (_, _) => Verdict::new(
                "the daemon is not running: the service is stopped",
                format!("systemctl {option}enable --now keepfresh"),
            ),
        }
    }

    fn of_hosts(&self) -> Vec<Verdict> {
        let hosts = self.examined.hosts.iter();
        hosts
            .filter_map(|host| {
                let error = host.error.as_ref()?;
                Some(Verdict::new(host.unreachable(error), &*error.remedy))
            })
            .collect()
    }

    /// Whether a host that the session needs cannot be reached, which is said with the host.
    fn is_cut_off(&self, session: &SessionStatus) -> bool {
        let mut hosts = self.examined.hosts.iter();
        hosts.any(|host| host.error.is_some() && host.sessions.contains(&session.session))
    }

    /// What the hosts have to be watched for: a wrong clock explains other troubles, the end of a certificate is to come.
    fn warned(&self, wanted: impl Fn(&Host, &String) -> bool) -> Vec<Verdict> {
        let hosts = self.examined.hosts.iter();
        let warned = hosts.flat_map(|host| {
            let warnings = host.warnings.iter();
            warnings.map(move |warning| (host, warning))
        });
        warned
            .filter(|(host, warning)| wanted(host, warning))
            .map(|(Host { server, .. }, warning)| {
                let (problem, remedy) = warning.split_once(": ").unwrap_or((warning, "see HOSTS"));
                Verdict::new(format!("{server}: {problem}"), remedy)
            })
            .collect()
    }

    /// What a config names that can be read and cannot be used.
    fn of_errors(&self) -> Vec<Verdict> {
        let errors = self.examined.errors.iter();
        errors
            .map(|error| {
                let (file, line) = (error.file.display(), error.line);
                Verdict::new(format!("{file}:{line}: {}", error.message), &*error.remedy)
            })
            .collect()
    }

    /// What this user may not look at, and facts that may mislead.
    pub(super) fn not_seen(&self) -> Vec<String> {
        let mut lines = self.examined.not_seen.clone();
        let configured = self
            .examined
            .config
            .iter()
            .flat_map(|config| config.sessions.keys());
        let hidden: Vec<&str> = configured
            .map(|name| &**name)
            .filter(|name| !self.daemon.knows(name))
            .collect();
        let all =
            self.asked.is_none() && self.daemon.health.is_ok() && self.daemon.no_status.is_none();
        if all && !hidden.is_empty() {
            lines.push(format!(
                "the status of {}: the daemon does not show it to you (sudo keepfresh doctor), or has not read the config yet (keepfresh reload)",
                hidden.join(", ")
            ));
        }
        let proxies: Vec<String> = self
            .system
            .variables()
            .into_iter()
            .filter(|name| name.to_ascii_lowercase().ends_with("_proxy"))
            .filter(|name| std::env::var_os(name).is_none())
            .collect();
        if !proxies.is_empty() {
            lines.push(format!(
                "the hosts by the proxy of the service: its unit sets {}, and your environment does not",
                proxies.join(" ")
            ));
        }
        if self.clock.synchronised == Some(false) {
            lines.push(
                "whether the clock is right: nothing synchronises it (timedatectl set-ntp true)"
                    .to_owned(),
            );
        }
        lines
    }
}

/// What is wrong with one session: its own trouble, and files that are not in their place.
fn of_session(session: &SessionStatus, is_cut_off: bool) -> Vec<Verdict> {
    let name = &session.session;
    let mut verdicts = Vec::new();
    let last = session.last_error.as_ref();
    match (session.state, &session.attention) {
        (_, Some(attention)) => verdicts.push(Verdict::new(
            format!("{name} needs attention: {}", attention.reason),
            &*attention.remedy,
        )),
        (State::Recovering | State::Starting, None) if is_cut_off => {}
        (State::Recovering | State::Starting, None) => {
            let why = last.map_or_else(|| session.reason.clone(), |last| last.detail.clone());
            verdicts.push(Verdict::new(
                format!("{name} has no good token: {why}"),
                format!("wait: the daemon tries again by itself; keepfresh login {name} tries now"),
            ));
        }
        (
            State::Alive | State::Renewing | State::Paused | State::Dormant | State::NeedsAttention,
            None,
        ) => {}
    }
    if session.state == State::Paused {
        verdicts.push(Verdict::new(
            format!("{name} is paused: the daemon makes no calls for it"),
            format!("keepfresh resume {name}, if that is over"),
        ));
    }
    if !session.persisted {
        verdicts.push(Verdict::new(
            format!("the state of {name} is not on disk: a restart now would lose it"),
            "make room or rights in state_dir (see PATHS)",
        ));
    }
    let failed = session
        .files
        .iter()
        .filter_map(|file| Some((&file.path, file.error.as_ref()?)));
    verdicts.extend(failed.map(|(path, error)| {
        let (problem, remedy) = error.split_once("; ").unwrap_or((
            error,
            "see PATHS, and the drop-in that keepfresh check prints",
        ));
        Verdict::new(format!("{name}: {path} is not written: {problem}"), remedy)
    }));
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Attention, FileStatus, fake};

    #[test]
    fn a_session_in_trouble_is_told_with_what_to_type() {
        let mut crm = fake::status("crm");
        crm.state = State::Alive;
        crm.attention = None;
        crm.persisted = true;
        crm.files.clear();
        assert_eq!(of_session(&crm, false), []);
        crm.state = State::NeedsAttention;
        crm.attention = Some(Attention {
            since: jiff::Timestamp::UNIX_EPOCH,
            reason: "the server refused the login".to_owned(),
            remedy: "run `keepfresh login crm`".to_owned(),
        });
        crm.files = vec![FileStatus {
            path: "/run/x".to_owned(),
            generation: None,
            error: Some("no such directory; make it".to_owned()),
        }];
        let told: Vec<_> = of_session(&crm, false)
            .into_iter()
            .map(|verdict| (verdict.problem, verdict.remedy.unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "crm needs attention: the server refused the login".to_owned(),
                    "run `keepfresh login crm`".to_owned()
                ),
                (
                    "crm: /run/x is not written: no such directory".to_owned(),
                    "make it".to_owned()
                ),
            ]
        );
        crm.attention = None;
        crm.files.clear();
        crm.state = State::Recovering;
        assert_eq!(of_session(&crm, false).len(), 1);
        assert_eq!(of_session(&crm, true), [], "its host is to blame");
        crm.state = State::Paused;
        let paused = of_session(&crm, false).remove(0);
        assert!(paused.remedy.unwrap().contains("keepfresh resume crm"));
    }
}
