//! `[sessions.NAME.keepalive]`: how rarely the session may be touched, and which outage must not cost it.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::global::Context;
use super::keys;
use super::report::At;
use super::table::Table;
use super::value::bad;
use crate::duration::duration_text;
use crate::provider::{GrantTraits, RemoteConfig};
use crate::schedule::{Calendar, Line, LineError};
use crate::session::policy::{Policy, WindowModel};

/// What `idle_timeout` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdleTimeout {
    /// It is not given.
    Assumed,
    /// `"none"`.
    Never,
    After(Duration),
}

/// What the session's own keys say of its lifetimes.
pub(super) struct Given {
    pub(super) idle_timeout: IdleTimeout,
    pub(super) max_lifetime: Option<Duration>,
    pub(super) token_lifetime: Option<Duration>,
    pub(super) refresh_idle_timeout: Option<Duration>,
    pub(super) renew_before: Option<At<Duration>>,
}

/// The table as written, with defaults where they do not depend on anything else.
pub(super) struct Keepalive {
    survive_outage: Option<At<Duration>>,
    ping_every: Option<At<Duration>>,
    pub(super) introspect: bool,
    pub(super) shared: bool,
    pub(super) ping: Option<String>,
    pub(super) calendar: Calendar,
}

/// Reads the table; all of it is optional.
pub(super) fn read(session: &Table<'_>, context: &Context<'_>) -> Keepalive {
    let table = session.table("keepalive");
    let table = table.as_ref().inspect(|table| table.only(keys::KEEPALIVE));
    let flag = |key: &str| {
        table
            .and_then(|table| table.flag(key))
            .map(|flag| flag.value)
    };
    let lines = |key: &str| table.map_or_else(Vec::new, |table| lines(table, key));
    let (verify, renew, active) = (lines("verify_at"), lines("renew_at"), lines("active"));
    let has_duties = !(verify.is_empty() && renew.is_empty() && active.is_empty());
    let zone = if has_duties {
        context.zone()
    } else {
        TimeZone::UTC
    };
    if let Some(table) = table.filter(|table| {
        table
            .texts("active")
            .is_some_and(|lines| lines.value.is_empty())
    }) {
        let always = "is empty, as if it were not there: the session is always active";
        table
            .report
            .warn(format!("{} {always}", table.name("active")));
    }
    Keepalive {
        survive_outage: table.and_then(|table| table.duration("survive_outage")),
        ping_every: table.and_then(|table| table.duration("ping_every")),
        introspect: flag("introspect").unwrap_or(false),
        shared: flag("shared").unwrap_or(true),
        ping: table
            .and_then(|table| table.text("ping"))
            .map(|ping| ping.value.to_owned()),
        calendar: Calendar {
            verify,
            renew,
            active,
            ..Calendar::empty(zone)
        },
    }
}

fn lines(table: &Table<'_>, key: &str) -> Vec<Line> {
    let texts = table
        .texts(key)
        .map(|texts| texts.value)
        .unwrap_or_default();
    let parse = |text: At<&str>| match Line::parse(text.value) {
        Ok(line) => Some(line),
        Err(error) => {
            let remedy = match error {
                LineError::Malformed(_) => {
                    "write minute, hour, day of month, month and day of week, such as \"55 * * * *\""
                }
                LineError::Without(_) => "write `*` for every one",
                LineError::Never => "no date matches: correct day and month",
            };
            table.bad(
                key,
                &text.place,
                bad(format!("\"{}\" {error}", text.value), remedy),
            );
            None
        }
    };
    texts.into_iter().filter_map(parse).collect()
}

/// The longest time between pings that keeps a session of timeout `t`, if nothing ever fails; none where pings extend nothing.
pub(crate) fn longest_ping_period(
    model: WindowModel,
    shared: bool,
    t: Duration,
) -> Option<Duration> {
    match model {
        // While others use the token unseen, a success proves only half a window.
        WindowModel::HalfWindow if shared => Some(t / 2),
        WindowModel::HalfWindow | WindowModel::Sliding | WindowModel::Explicit => Some(t),
        WindowModel::Fixed => None,
    }
}

/// A tenth of the window, when nothing is given.
const MARGIN: u32 = 10;

impl Keepalive {
    /// The margin that the engine keeps: as given, or what `ping_every` leaves of the period, or the default.
    pub(super) fn survive_outage(
        &self,
        model: WindowModel,
        idle_timeout: Option<Duration>,
    ) -> Duration {
        let longest = idle_timeout.and_then(|t| longest_ping_period(model, self.shared, t));
        let by_period = self
            .ping_every
            .as_ref()
            .zip(longest)
            .map(|(every, longest)| longest.saturating_sub(every.value));
        let given = self.survive_outage.as_ref().map(|outage| outage.value);
        given
            .or(by_period)
            .or(idle_timeout.map(|t| t / MARGIN))
            .unwrap_or_default()
    }
}

/// Reports what contradicts itself or cannot be done at this server.
pub(super) fn check(
    session: &Table<'_>,
    given: &Given,
    keepalive: &Keepalive,
    policy: &Policy,
    remote: &RemoteConfig,
    traits: &GrantTraits,
) {
    check_abilities(session, keepalive, remote, traits);
    check_lifetimes(session, given, policy);
}

/// Reports a margin or a period that the window, where it is known, leaves no room for.
pub(super) fn check_margin(
    session: &Table<'_>,
    keepalive: &Keepalive,
    window: Option<(WindowModel, Option<Duration>)>,
) {
    let name = |key: &str| session.name(&format!("keepalive.{key}"));
    if let (Some(_), Some(every)) = (&keepalive.survive_outage, &keepalive.ping_every) {
        let title = format!(
            "`{}` and `survive_outage` are both given",
            name("ping_every")
        );
        session.report.problem(
            &every.place,
            title,
            "keep one of them: each follows from the other",
        );
        return;
    }
    let Some((model, idle_timeout)) = window else {
        return;
    };
    let longest =
        idle_timeout.and_then(|t| Some((t, longest_ping_period(model, keepalive.shared, t)?)));
    let Some((t, longest)) = longest else {
        report_idle_pings(session, keepalive, model);
        return;
    };
    let margins = [
        (&keepalive.survive_outage, "survive_outage", "is impossible"),
        (
            &keepalive.ping_every,
            "ping_every",
            "would lose the session",
        ),
    ];
    for (given, key, what) in margins {
        if let Some(given) = given.as_ref().filter(|given| given.value >= longest) {
            let title = format!("`{}` {what}: {}", name(key), duration_text(given.value));
            session
                .report
                .problem(&given.place, title, bound(longest, t));
        }
    }
}

/// Pings that extend nothing.
fn report_idle_pings(session: &Table<'_>, keepalive: &Keepalive, model: WindowModel) {
    let Some(every) = &keepalive.ping_every else {
        return;
    };
    let title = format!(
        "`{}` has no effect here",
        session.name("keepalive.ping_every")
    );
    let help = match model {
        WindowModel::Fixed => {
            "pings do not extend a session of this kind: take it out, or set renew_before"
        }
        WindowModel::HalfWindow | WindowModel::Sliding | WindowModel::Explicit => {
            "the session never idles out: take it out, or give the idle_timeout"
        }
    };
    session.report.problem(&every.place, title, help);
}

fn bound(longest: Duration, t: Duration) -> String {
    let (limit, whole) = (duration_text(longest), duration_text(t));
    if longest < t {
        format!(
            "write less than {limit}, half the idle_timeout of {whole}: a ping may fall into a first half, where it does not \
             count; or set shared = false if no other program uses the token"
        )
    } else {
        format!("write less than {whole}, the idle_timeout")
    }
}

fn check_abilities(
    session: &Table<'_>,
    keepalive: &Keepalive,
    remote: &RemoteConfig,
    traits: &GrantTraits,
) {
    let Some(table) = session.table("keepalive") else {
        return;
    };
    if !keepalive.calendar.active.is_empty() && !traits.unattended {
        let title = format!(
            "`{}` needs a login that the daemon can do alone",
            table.name("active")
        );
        let help = format!(
            "a session of grant {} cannot come back by itself: take `active` out, or use another grant",
            remote.grant
        );
        table.report.problem(&table.place_of("active"), title, help);
    }
    if keepalive.introspect && !remote.can_introspect() {
        let title = format!(
            "`{}` cannot be done for this session",
            table.name("introspect")
        );
        let help = "the provider needs an introspection endpoint, and the client a secret or a key: take it out, or add client_secret";
        table
            .report
            .problem(&table.place_of("introspect"), title, help);
    }
    check_duties(&table, keepalive, remote);
}

fn check_duties(table: &Table<'_>, keepalive: &Keepalive, remote: &RemoteConfig) {
    if !keepalive.calendar.verify.is_empty() && !remote.has_ping() {
        let title = format!("`{}` has no effect here", table.name("verify_at"));
        let help = "the provider has no ping that this session can make: take it out, or describe one in the profile";
        table
            .report
            .problem(&table.place_of("verify_at"), title, help);
    }
    if !keepalive.calendar.renew.is_empty() && !remote.profile.can_renew() {
        let title = format!("`{}` has no effect here", table.name("renew_at"));
        let help = "the provider has no request that renews a token: take it out; a login follows when the token ends";
        table
            .report
            .problem(&table.place_of("renew_at"), title, help);
    }
}

fn check_lifetimes(session: &Table<'_>, given: &Given, policy: &Policy) {
    let shortest = [policy.token_lifetime, policy.max_lifetime]
        .into_iter()
        .flatten()
        .min();
    if let (Some(before), Some(life)) = (&given.renew_before, shortest)
        && before.value >= life
    {
        let title = format!(
            "`{}` is not shorter than the lifetime of {}",
            session.name("renew_before"),
            duration_text(life)
        );
        session.report.problem(
            &before.place,
            title,
            "write less: the token would be renewed without end",
        );
    }
}
