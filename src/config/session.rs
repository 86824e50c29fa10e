//! One `[sessions.NAME]`, from its tables to what the engine and the edges take.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::global::Context;
use super::keepalive::{self, Given, IdleTimeout, Keepalive};
use super::report::{At, Place};
use super::table::Table;
use super::value::{Bad, bad, is_variable_name};
use super::{GatewayConfig, SessionConfig, gateway, hooks, http, keys, login, principals, publish};
use crate::blotted::is_visible;
use crate::duration::duration_text;
use crate::hooks::HookConfig;
use crate::provider::{GrantTraits, Profile, RemoteConfig};
use crate::publish::SinkConfig;
use crate::schedule::Calendar;
use crate::session::policy::{LoginBy, Policy, WindowModel};
use crate::users::Principal;

/// A session, with the places that later checks may name.
pub(super) struct Placed {
    pub(super) name: String,
    pub(super) env_prefix: Arc<str>,
    /// None when something is wrong without which there is no session.
    pub(super) config: Option<SessionConfig>,
    pub(super) sinks: Vec<At<SinkConfig>>,
    pub(super) prefix_place: Place,
    pub(super) gateway: Option<gateway::Placed>,
}

/// Reads a session as far as it can be read.
pub(super) fn read(name: &str, table: &Table<'_>, context: &Context<'_>) -> Placed {
    let profile = login::profile(table, context);
    let known: Vec<&str> = keys::SESSION.iter().map(|key| key.name).collect();
    table.only_here(&known, |word| {
        let of_login = profile
            .as_ref()
            .is_some_and(|profile| login::is_parameter(profile, word));
        if of_login {
            Some(format!("[{}]", table.name("login")))
        } else {
            keys::home(&table.path, word)
        }
    });
    let prefix = env_prefix(table, name).map(Arc::<str>::from);
    let owner = publish::Owner {
        name,
        env_prefix: &prefix.value,
        profile: profile.as_deref(),
    };
    let gateway = gateway::read(table, name, &context.daemon.runtime_dir);
    let shares = gateway.as_ref().is_none_or(|gateway| !gateway.config.only);
    let sinks = if shares {
        publish::read(table, &owner, context)
    } else {
        Vec::new()
    };
    let contact = |key: &str, parse: fn(&str) -> Result<(), Bad>| {
        table
            .parsed(key, |text| {
                parse(text).map(|()| context.words.share(Arc::from(text)))
            })
            .map(|given| given.value)
    };
    let local = Local {
        owner: contact("owner", one_line),
        runbook: contact("runbook", web_address),
        env_prefix: prefix.value.clone(),
        publish: sinks.iter().map(|sink| sink.value.clone()).collect(),
        hooks: hooks::read(table, context.needs).into(),
        access: access(table)
            .unwrap_or_else(|| publish::readers(&sinks, context))
            .into(),
        gateway: gateway.as_ref().map(|gateway| gateway.config.clone()),
        logout_on: logout_on(table),
    };
    let config = server(table, profile, shares, context)
        .map(|server| config(name, table, server, local, context));
    Placed {
        name: name.to_owned(),
        env_prefix: prefix.value,
        config,
        sinks,
        prefix_place: prefix.place,
        gateway,
    }
}

/// What concerns this machine only.
struct Local {
    owner: Option<Arc<str>>,
    runbook: Option<Arc<str>>,
    env_prefix: Arc<str>,
    publish: Arc<[SinkConfig]>,
    hooks: Box<[HookConfig]>,
    access: Box<[Principal]>,
    gateway: Option<Arc<GatewayConfig>>,
    /// On removal, and on stop.
    logout_on: (bool, bool),
}

/// What concerns the server.
struct Server {
    remote: RemoteConfig,
    traits: GrantTraits,
    given: Given,
    keepalive: Keepalive,
}

fn server(
    table: &Table<'_>,
    profile: Option<Arc<Profile>>,
    shares: bool,
    context: &Context<'_>,
) -> Option<Server> {
    let url = login::url(table, profile.as_deref());
    let login = profile
        .as_ref()
        .and_then(|profile| login::read(table, profile, context));
    let http = http::session(table, context);
    let given = given(table);
    let mut keepalive = keepalive::read(table, context);
    keepalive.shared &= shares;
    keepalive::check_margin(
        table,
        &keepalive,
        profile.as_deref().map(|profile| window(&given, profile)),
    );
    let (Some(profile), Some(url), Some(login)) = (profile, url.as_ref(), login) else {
        login::report_plain_http(table, url.as_ref(), &http);
        return None;
    };
    let remote = RemoteConfig {
        profile,
        url: context.urls.share(url.value.clone()),
        grant: login.grant.clone(),
        values: login.values.clone(),
        ping: keepalive.ping.clone(),
        http: context.https.share(http),
    };
    login::report_problems(table, &login, &remote);
    Some(Server {
        remote,
        traits: login.traits,
        given,
        keepalive,
    })
}

fn config(
    name: &str,
    table: &Table<'_>,
    server: Server,
    local: Local,
    context: &Context<'_>,
) -> SessionConfig {
    let Server {
        remote,
        traits,
        given,
        keepalive,
    } = server;
    let policy = policy(&given, &keepalive, &remote, &traits, context);
    keepalive::check(table, &given, &keepalive, &policy, &remote, &traits);
    warn(table, &remote, &policy, &given);
    let (logout_on_removal, logout_on_stop) = local.logout_on;
    SessionConfig {
        name: name.into(),
        written: context
            .needs
            .written(&table.place_within(&["url"]), &context.words),
        remote: Arc::new(remote),
        publish: local.publish,
        hooks: local.hooks,
        access: local.access,
        schedule: calendar(keepalive.calendar, policy.survive_outage, context),
        policy: context.policies.share(policy),
        env_prefix: local.env_prefix,
        owner: local.owner,
        runbook: local.runbook,
        gateway: local.gateway,
        logout_on_removal,
        logout_on_stop,
        idle_timeout_assumed: given.idle_timeout == IdleTimeout::Assumed,
    }
}

/// Most sessions have no duties: those share one calendar.
fn calendar(calendar: Calendar, lead: Duration, context: &Context<'_>) -> Arc<Calendar> {
    if calendar.is_empty() {
        context.no_duties.clone()
    } else {
        Arc::new(Calendar { lead, ..calendar })
    }
}

/// The server's idle timer as config and profile together tell it.
fn window(given: &Given, profile: &Profile) -> (WindowModel, Option<Duration>) {
    let window = profile.window();
    let idle_timeout = match given.idle_timeout {
        IdleTimeout::Assumed => window.idle_timeout,
        IdleTimeout::Never => None,
        IdleTimeout::After(timeout) => Some(timeout),
    };
    (window.model, idle_timeout)
}

fn given(table: &Table<'_>) -> Given {
    let duration = |key: &str| table.duration(key).map(|duration| duration.value);
    Given {
        idle_timeout: idle_timeout(table),
        max_lifetime: duration("max_lifetime"),
        token_lifetime: duration("token_lifetime"),
        refresh_idle_timeout: duration("refresh_idle_timeout"),
        renew_before: table.duration("renew_before"),
    }
}

/// `"none"`: the session never idles out.
fn idle_timeout(table: &Table<'_>) -> IdleTimeout {
    if table
        .value("idle_timeout")
        .is_some_and(|found| found.value.as_str() == Some("none"))
    {
        return IdleTimeout::Never;
    }
    table
        .duration("idle_timeout")
        .map_or(IdleTimeout::Assumed, |duration| {
            IdleTimeout::After(duration.value)
        })
}

fn policy(
    given: &Given,
    keepalive: &Keepalive,
    remote: &RemoteConfig,
    traits: &GrantTraits,
    context: &Context<'_>,
) -> Policy {
    let window = remote.profile.window();
    let (model, idle_timeout) = self::window(given, &remote.profile);
    let survive_outage = keepalive.survive_outage(model, idle_timeout);
    let by_daemon = LoginBy::Daemon {
        confirm: traits.confirm,
    };
    let login = match traits {
        GrantTraits {
            unattended: true, ..
        } => by_daemon,
        GrantTraits {
            by_person: Some(_), ..
        } => LoginBy::Person,
        GrantTraits { .. } => LoginBy::Seed,
    };
    Policy {
        origin: remote.url.origin().ascii_serialization(),
        model,
        idle_timeout,
        idle_timeouts: window.idle_timeouts.clone(),
        max_lifetime: given.max_lifetime.or(window.max_lifetime),
        token_lifetime: given.token_lifetime.or(window.token_lifetime),
        refresh_idle_timeout: given.refresh_idle_timeout.or(window.refresh_idle_timeout),
        renew_before: given.renew_before.as_ref().map(|duration| duration.value),
        survive_outage,
        request_timeout: context
            .http
            .request_timeout
            .unwrap_or_else(|| request_timeout(idle_timeout)),
        shared: keepalive.shared,
        has_ping: remote.has_ping(),
        login_may_reuse: window.login_may_reuse,
        renew_by_profile: remote.profile.has_renew_request(),
        renewal_needs_life: remote.profile.renewal_needs_life(),
        renewal_needs_refresh_token: remote.profile.renewal_needs_refresh_token(),
        renewal_kills: window.renewal_kills,
        login,
        introspect: keepalive.introspect,
    }
}

/// When none is given: 20 s, but where the window is so short that a hanging call would cost it, half of it.
fn request_timeout(idle_timeout: Option<Duration>) -> Duration {
    const USUAL: Duration = Duration::from_secs(20);
    idle_timeout.map_or(USUAL, |timeout| {
        (timeout / 2).clamp(Duration::from_secs(5), USUAL)
    })
}

fn env_prefix(table: &Table<'_>, name: &str) -> At<String> {
    let wrong = || {
        bad(
            "cannot begin a variable's name",
            "write letters, digits and `_`, not beginning with a digit",
        )
    };
    let parse = |text: &str| {
        is_variable_name(text)
            .then(|| text.to_owned())
            .ok_or_else(wrong)
    };
    let given = table.parsed("env_prefix", parse);
    given.unwrap_or_else(|| At {
        value: name.to_uppercase().replace('-', "_"),
        place: table.place.clone(),
    })
}

fn one_line(text: &str) -> Result<(), Bad> {
    let fits = is_visible(text) && text.chars().count() <= 200;
    fits.then_some(()).ok_or_else(|| {
        bad(
            "is not one line of at most 200 characters",
            "write a name, or an address",
        )
    })
}

fn web_address(text: &str) -> Result<(), Bad> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    let fits = url.is_some() && is_visible(text) && !text.contains(' ') && text.len() <= 2000;
    fits.then_some(()).ok_or_else(|| {
        bad(
            "is no address of a page",
            "write \"https://wiki.example/keepfresh-crm\"",
        )
    })
}

fn access(table: &Table<'_>) -> Option<Vec<Principal>> {
    let access = table.table("access")?;
    access.only(keys::ACCESS);
    principals::read(&access, "allow")
}

const REMOVAL: &str = "removal";
const STOP: &str = "stop";

/// The words of `logout_on`.
pub(super) fn logout_words() -> Vec<&'static str> {
    vec![REMOVAL, STOP]
}

/// Whether the session ends at the server when it leaves the config, and when the daemon stops.
fn logout_on(table: &Table<'_>) -> (bool, bool) {
    let Some(events) = table.texts("logout_on") else {
        return (false, false);
    };
    for event in events
        .value
        .iter()
        .filter(|event| !logout_words().contains(&event.value))
    {
        let title = format!(
            "`{}`: \"{}\" is no event",
            table.name("logout_on"),
            event.value
        );
        table
            .report
            .problem(&event.place, title, "write \"removal\", \"stop\" or both");
    }
    let has = |word: &str| events.value.iter().any(|event| event.value == word);
    (has(REMOVAL), has(STOP))
}

fn warn(table: &Table<'_>, remote: &RemoteConfig, policy: &Policy, given: &Given) {
    if remote.url.scheme() == "http" && remote.http.allow_plain_http {
        table.report.warn(format!(
            "{}: plain http shows login and token to the network",
            table.path
        ));
    }
    let IdleTimeout::After(timeout) = given.idle_timeout else {
        return;
    };
    if !policy.idle_timeouts.is_empty() && !policy.idle_timeouts.contains(&timeout) {
        let values: Vec<String> = policy
            .idle_timeouts
            .iter()
            .map(|value| duration_text(*value))
            .collect();
        let title = remote.profile.title();
        let (path, odd) = (&table.path, duration_text(timeout));
        table.report.warn(format!(
            "{path}: {title} cannot be set to an idle_timeout of {odd}, only to {}",
            values.join(", ")
        ));
    }
}
