//! What the daemon will do for each session: calls, deadlines, and what an outage costs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::config::{Config, MetricsListen, SessionConfig, longest_ping_period};
use crate::duration::duration_text;
use crate::hooks::HookConfig;
use crate::publish::SinkConfig;
use crate::schedule::Duty;
use crate::session::policy::{LoginBy, Policy, WindowModel};
use crate::users::{Kind, name_of};

const DAY_SECONDS: f64 = 86_400.0;

/// How many of the coming duties are shown.
const DUTIES_SHOWN: usize = 3;

/// One session's part of the plan. Field names are stable.
#[derive(Serialize)]
pub(super) struct SessionPlan {
    session: String,
    provider: String,
    url: String,
    grant: String,
    account: String,
    /// Whose metadata are asked for when they are first needed, and for what.
    issuer: Option<String>,
    told_by_issuer: Vec<&'static str>,
    /// What a person must run before there is a session; null where the daemon logs in by itself.
    first_login: Option<String>,
    model: WindowModel,
    shared: bool,
    idle_timeout_seconds: Option<f64>,
    /// Not given in the config: the provider's default.
    idle_timeout_assumed: bool,
    ping_every_seconds: Option<f64>,
    pings_per_day: f64,
    replacements_per_day: f64,
    survive_outage_seconds: f64,
    request_timeout_seconds: f64,
    deadlines: Vec<String>,
    after_a_longer_outage: String,
    files: Vec<FilePlan>,
    hooks: Vec<String>,
    next_duties: Vec<String>,
}

#[derive(Serialize)]
struct FilePlan {
    path: PathBuf,
    format: &'static str,
    mode: String,
    owner: Option<String>,
    group: Option<String>,
    on_loss: &'static str,
}

impl SessionPlan {
    /// The plan as it is at `now`.
    pub(super) fn of(session: &SessionConfig, now: Timestamp) -> Self {
        let (policy, remote) = (&session.policy, &session.remote);
        let (period, told) = (ping_period(policy), remote.told_by_issuer());
        Self {
            session: session.name.to_string(),
            provider: remote.profile.name().to_owned(),
            url: remote.url.to_string(),
            grant: remote.grant.to_string(),
            account: remote.account(),
            issuer: told.as_ref().map(|(issuer, _)| issuer.clone()),
            told_by_issuer: told.map(|(_, told)| told).unwrap_or_default(),
            first_login: (policy.login == LoginBy::Person)
                .then(|| format!("keepfresh login {}", session.name)),
            model: policy.model,
            shared: policy.shared,
            idle_timeout_seconds: policy.idle_timeout.map(|t| t.as_secs_f64()),
            idle_timeout_assumed: session.idle_timeout_assumed,
            ping_every_seconds: period.map(|period| period.as_secs_f64()),
            pings_per_day: period.map_or(0.0, per_day),
            replacements_per_day: replacement_period(policy).map_or(0.0, per_day),
            survive_outage_seconds: policy.survive_outage.as_secs_f64(),
            request_timeout_seconds: policy.request_timeout.as_secs_f64(),
            deadlines: deadlines(policy),
            after_a_longer_outage: after_a_longer_outage(policy, &remote.grant),
            files: session.publish.iter().map(FilePlan::of).collect(),
            hooks: session.hooks.iter().map(hook).collect(),
            next_duties: next_duties(session, now),
        }
    }

    /// The plan in lines for people.
    pub(super) fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} at {}",
            self.session, self.provider, self.url
        )];
        let mut say = |what: &str, text: String| lines.push(format!("  {what:<9} {text}"));
        say("login", format!("{}, account {}", self.grant, self.account));
        if let Some(issuer) = &self.issuer {
            say(
                "issuer",
                format!(
                    "{issuer} provides {}; keepfresh asks it when it first needs them",
                    self.told_by_issuer.join(", ")
                ),
            );
        }
        if let Some(command) = &self.first_login {
            say(
                "person",
                format!("must log in first: run `{command}` once the daemon runs"),
            );
        }
        say("window", self.window());
        say("calls", self.calls());
        say("outages", self.outages());
        for deadline in &self.deadlines {
            say("limit", deadline.clone());
        }
        for file in &self.files {
            say("file", file.text());
        }
        for hook in &self.hooks {
            say("hook", hook.clone());
        }
        for duty in &self.next_duties {
            say("duty", duty.clone());
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn window(&self) -> String {
        let model = match self.model {
            WindowModel::HalfWindow if self.shared => {
                "only the second half counts, and others may use the token"
            }
            WindowModel::HalfWindow => "only the second half counts",
            WindowModel::Sliding => "every request counts",
            WindowModel::Explicit => "only the ping counts",
            WindowModel::Fixed => "nothing extends it",
        };
        let assumed = if self.idle_timeout_assumed {
            " (assumed: the config gives no idle_timeout)"
        } else {
            ""
        };
        match self.idle_timeout_seconds {
            Some(seconds) => format!("idle timeout {}{assumed}; {model}", told(seconds)),
            None => format!("never idles out{assumed}"),
        }
    }

    fn calls(&self) -> String {
        let pings = self.ping_every_seconds.map(|period| {
            format!(
                "a ping every {}, {} a day",
                told(period),
                count(self.pings_per_day)
            )
        });
        let replaced = (self.replacements_per_day > 0.0)
            .then(|| format!("{} new tokens a day", count(self.replacements_per_day)));
        let both: Vec<String> = pings.into_iter().chain(replaced).collect();
        if both.is_empty() {
            "only logins, and the times in verify_at and renew_at".to_owned()
        } else {
            both.join(", ")
        }
    }

    fn outages(&self) -> String {
        let longer = &self.after_a_longer_outage;
        if self.survive_outage_seconds > 0.0 {
            format!(
                "harmless up to {}; after a longer one {longer}",
                told(self.survive_outage_seconds)
            )
        } else {
            format!("harmless until the token expires; then {longer}")
        }
    }
}

/// The time from one ping to the next when nothing fails; none where pings extend nothing, or are not possible.
fn ping_period(policy: &Policy) -> Option<Duration> {
    let t = policy.idle_timeout.filter(|_| policy.has_ping)?;
    Some(longest_ping_period(policy.model, policy.shared, t)?.saturating_sub(policy.survive_outage))
}

/// The time from one token to the next where a lifetime, not idleness, ends it.
fn replacement_period(policy: &Policy) -> Option<Duration> {
    let fixed = policy
        .idle_timeout
        .filter(|_| policy.model == WindowModel::Fixed || !policy.has_ping);
    let life = [policy.token_lifetime, policy.max_lifetime, fixed]
        .into_iter()
        .flatten()
        .min()?;
    Some(life.saturating_sub(policy.renew_before.unwrap_or(policy.survive_outage)))
}

fn per_day(period: Duration) -> f64 {
    if period.is_zero() {
        0.0
    } else {
        DAY_SECONDS / period.as_secs_f64()
    }
}

fn deadlines(policy: &Policy) -> Vec<String> {
    let said = [
        (policy.token_lifetime, "a token ends", "replaced before"),
        (policy.max_lifetime, "a login ends", "repeated before"),
        (
            policy.refresh_idle_timeout,
            "the refresh token ends unused",
            "used before",
        ),
    ];
    said.into_iter()
        .filter_map(|(limit, what, then)| {
            Some(format!("{what} after {}: {then}", duration_text(limit?)))
        })
        .collect()
}

fn after_a_longer_outage(policy: &Policy, grant: &str) -> String {
    match policy.login {
        LoginBy::Daemon { .. } => {
            format!("the daemon logs in again if the session has ended ({grant})")
        }
        LoginBy::Seed => format!(
            "the daemon renews by refresh token; if that is gone too, a person must provide a new one ({grant})"
        ),
        LoginBy::Person => {
            format!(
                "the daemon renews by refresh token; if that is gone too, a person must log in again ({grant})"
            )
        }
    }
}

impl FilePlan {
    fn of(sink: &SinkConfig) -> Self {
        let name = |kind, number: Option<u32>| {
            number.map(|number| name_of(kind, number).unwrap_or_else(|| number.to_string()))
        };
        Self {
            path: sink.path.clone(),
            format: sink.format.word(),
            mode: format!("{:04o}", sink.mode),
            owner: name(Kind::User, sink.owner),
            group: name(Kind::Group, sink.group),
            on_loss: if sink.keep_on_loss { "keep" } else { "remove" },
        }
    }

    fn text(&self) -> String {
        let owner = self.owner.as_ref().map_or_else(
            || "the daemon's user".to_owned(),
            |name| format!("user {name}"),
        );
        let group = self.group.as_ref().map_or_else(
            || "the daemon's group".to_owned(),
            |name| format!("group {name}"),
        );
        let loss = if self.on_loss == "keep" {
            "kept"
        } else {
            "removed"
        };
        let Self {
            path, format, mode, ..
        } = self;
        let path = path.display();
        format!(
            "{path} ({format}), mode {mode}, owned by {owner} and {group}, {loss} when the token is dead"
        )
    }
}

/// The program alone: its arguments may say more than a plan should.
fn hook(hook: &HookConfig) -> String {
    let on: Vec<&str> = hook.on.iter().map(|occasion| occasion.word()).collect();
    let program = hook.command.first().map(String::as_str).unwrap_or_default();
    format!("{program}, on {}", on.join(", "))
}

fn next_duties(session: &SessionConfig, now: Timestamp) -> Vec<String> {
    let mut told = Vec::new();
    let mut moment = now;
    while let Some((at, duties)) = session
        .schedule
        .next_after(moment)
        .filter(|_| told.len() < DUTIES_SHOWN)
    {
        let words: Vec<&str> = duties.iter().map(|duty| word(*duty)).collect();
        told.push(format!(
            "{} {}",
            session.schedule.local(at),
            words.join(", ")
        ));
        moment = at;
    }
    told
}

fn word(duty: Duty) -> &'static str {
    match duty {
        Duty::Verify => "verify",
        Duty::Renew => "renew",
        Duty::ActiveStarts => "must be alive from here",
        Duty::ActiveEnds => "may end from here",
    }
}

/// Where scrapers find the figures.
pub(super) fn metrics(listen: &MetricsListen) -> String {
    match listen {
        MetricsListen::Address { address, .. } => format!("http://{address}/metrics"),
        MetricsListen::Unix(path) => format!("/metrics on the unix socket {}", path.display()),
    }
}

/// Sessions that log in as one: what the server locks or counts for one, it does for all.
#[derive(Serialize)]
pub(super) struct SharedAccount {
    account: String,
    sessions: Vec<String>,
}

impl SharedAccount {
    pub(super) fn text(&self) -> String {
        format!(
            "{} share the account {}: one login at a time, one budget, one stop",
            self.sessions.join(", "),
            self.account
        )
    }
}

/// Accounts that more than one session uses.
pub(super) fn shared_accounts(config: &Config) -> Vec<SharedAccount> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for session in config.sessions.values() {
        all.entry(session.remote.account())
            .or_default()
            .push(session.name.to_string());
    }
    let shared = all.into_iter().filter(|(_, sessions)| sessions.len() > 1);
    shared
        .map(|(account, sessions)| SharedAccount { account, sessions })
        .collect()
}

fn told(seconds: f64) -> String {
    duration_text(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// A rate with as many digits as help.
fn count(number: f64) -> String {
    if number >= 10.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_follow_from_the_window() {
        let hours = |hours| Some(Duration::from_hours(hours));
        let minutes = Duration::from_mins;
        let cases = [
            (
                WindowModel::HalfWindow,
                true,
                hours(2),
                minutes(12),
                Some(minutes(48)),
                30.0,
            ),
            (
                WindowModel::HalfWindow,
                false,
                hours(2),
                minutes(12),
                Some(minutes(108)),
                13.0,
            ),
            (
                WindowModel::Sliding,
                true,
                hours(2),
                minutes(12),
                Some(minutes(108)),
                13.0,
            ),
            (
                WindowModel::Explicit,
                true,
                hours(1),
                minutes(6),
                Some(minutes(54)),
                27.0,
            ),
            (WindowModel::Fixed, true, hours(1), minutes(6), None, 0.0),
            (
                WindowModel::HalfWindow,
                true,
                None,
                Duration::ZERO,
                None,
                0.0,
            ),
        ];
        for (model, shared, idle_timeout, survive_outage, period, pings) in cases {
            let policy = Policy {
                model,
                idle_timeout,
                survive_outage,
                shared,
                ..policy()
            };
            assert_eq!(ping_period(&policy), period, "{model:?}");
            assert!(
                (period.map_or(0.0, per_day).round() - pings).abs() < 0.1,
                "{model:?}"
            );
        }
    }

    #[test]
    fn fixed_tokens_are_replaced_before_they_end() {
        let token = |token_lifetime, renew_before| {
            let model = WindowModel::Fixed;
            replacement_period(&Policy {
                model,
                idle_timeout: None,
                token_lifetime,
                renew_before,
                ..policy()
            })
        };
        let hour = Duration::from_hours(1);
        assert_eq!(token(Some(hour), None), Some(Duration::from_mins(48)));
        assert_eq!(
            token(Some(hour), Some(Duration::from_mins(5))),
            Some(Duration::from_mins(55))
        );
        assert_eq!(token(None, None), None);
        assert_eq!(replacement_period(&policy()), None);
    }

    fn policy() -> Policy {
        Policy {
            origin: "https://acme.my.salesforce.com".into(),
            model: WindowModel::HalfWindow,
            idle_timeout: Some(Duration::from_hours(2)),
            idle_timeouts: [].into(),
            max_lifetime: None,
            token_lifetime: None,
            refresh_idle_timeout: None,
            renew_before: None,
            survive_outage: Duration::from_mins(12),
            request_timeout: Duration::from_secs(20),
            shared: true,
            has_ping: true,
            login_may_reuse: false,
            renew_by_profile: false,
            renewal_needs_life: false,
            renewal_needs_refresh_token: false,
            renewal_kills: false,
            login: LoginBy::Seed,
            introspect: false,
        }
    }
}
