//! The words of scripts and transcripts.

use std::time::Duration;

use jiff::Timestamp;

use crate::blotted::Blotted;
use crate::named::Named;
use crate::secret::Secret;
use crate::session::answer::{Answer, Grant, Quota, Refused, Request, Verdict};
use crate::session::event::Event;
use crate::session::policy::{LoginBy, Policy, WindowModel};
use crate::session::presented::Presented;
use crate::session::state::State;
use crate::session::{Call, Order};
use crate::time::Instant;
use crate::token::{RefreshTokenError, Token};

pub(super) const REQUESTS: [Request; 5] = [
    Request::Ping,
    Request::Introspect,
    Request::Renew,
    Request::Login,
    Request::Logout,
];

pub(super) fn word(request: Request) -> &'static str {
    match request {
        Request::Ping => "ping",
        Request::Introspect => "introspect",
        Request::Renew => "renew",
        Request::Login => "login",
        Request::Logout => "logout",
    }
}

pub(super) fn order(word: &str) -> Order {
    match word {
        "verify" => Order::Verify,
        "renew" => Order::Renew,
        "renew_when_free" => Order::RenewWhenFree,
        "login" => Order::Login,
        "logout" => Order::Logout,
        "logout_until_start" => Order::LogoutUntilStart,
        "pause" => Order::Pause,
        "resume" => Order::Resume,
        _ => panic!("no such order: {word}"),
    }
}

pub(super) fn answer(
    call: &Call,
    sent: Instant,
    received: Instant,
    words: &[&str],
    state: &State,
) -> Option<Answer> {
    let option = |key: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    };
    let verdict = match words[0] {
        "alive" => Verdict::Alive,
        "dead" => Verdict::Dead {
            certain: true,
            for_good: false,
        },
        "gone" => Verdict::Dead {
            certain: true,
            for_good: true,
        },
        "dead?" => Verdict::Dead {
            certain: false,
            for_good: false,
        },
        "good" => Verdict::Good(Box::new(grant(words, &option, state))),
        "expired" => Verdict::Expired {
            refresh_token: option("refresh").map(Secret::new),
        },
        "refused" => Verdict::Refused {
            confirm: false,
            what: refused(words),
        },
        "refused?" => Verdict::Refused {
            confirm: true,
            what: refused(words),
        },
        "grant_dead" => Verdict::GrantDead,
        "declined" => Verdict::Declined,
        "throttled" => Verdict::Throttled {
            retry_after: words.get(1).map(|wait| duration(wait)),
        },
        "unavailable" => Verdict::Unavailable,
        "forbidden" => Verdict::Forbidden { certain: true },
        "forbidden?" => Verdict::Forbidden { certain: false },
        "in_doubt" => Verdict::InDoubt,
        "concurrent" => Verdict::Concurrent,
        "skewed" => Verdict::Skewed,
        "logged_out" => Verdict::LoggedOut,
        "introspected" => Verdict::Introspected {
            active: true,
            remaining: words.get(1).map(|left| duration(left)),
        },
        "inactive" => Verdict::Introspected {
            active: false,
            remaining: None,
        },
        _ => return None,
    };
    let (counted, odd) = (!words.contains(&"uncounted"), words.contains(&"odd"));
    let skew_millis = option("skew").map(|skew| skew.parse::<i64>().unwrap() * 1000);
    let detail = Blotted::new(words[0], &[]);
    let quotas = option("quota")
        .map(|name| Quota {
            name: name.to_owned(),
            used: 1,
            limit: 2,
        })
        .into_iter()
        .collect();
    Some(Answer {
        call: call.id,
        sent,
        received,
        verdict,
        detail,
        remedy: None,
        counted,
        skew_millis,
        odd,
        quotas,
    })
}

/// `refused`, `refused client`: without a word, what proves the user.
fn refused(words: &[&str]) -> Refused {
    match words.get(1) {
        Some(&"client") => Refused::Client,
        Some(&"user") => Refused::User,
        Some(&"request") => Refused::Request,
        Some(_) | None => Refused::Credential,
    }
}

/// `secret`, `another client=b config=new`: the one secret that proves the user, and what goes with it.
pub(super) fn presented(words: &[&str]) -> Presented {
    let option = |key: &str| {
        words
            .iter()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    };
    let mut presented = Presented::of(words[0]);
    if let Some(client) = option("client") {
        presented.client = Some(client.to_owned());
        presented.secrets = Some(format!("{} {client}", words[0]));
    }
    if let Some(config) = option("config") {
        config.clone_into(&mut presented.config);
    }
    presented
}

/// A call that found itself about to present what was refused to another session.
pub(super) fn unsent(call: &Call, now: Instant, detail: &str, what: Refused) -> Answer {
    let detail = Blotted::new(detail, &[]);
    let verdict = Verdict::Refused {
        confirm: false,
        what,
    };
    let (sent, received) = (now, now);
    Answer {
        call: call.id,
        sent,
        received,
        verdict,
        detail,
        remedy: None,
        counted: false,
        skew_millis: None,
        odd: false,
        quotas: vec![],
    }
}

/// `good`, `good t2`, `good same`: without a name, the token is one that was never seen.
pub(super) fn grant<'a>(
    words: &[&str],
    option: &dyn Fn(&str) -> Option<&'a str>,
    state: &State,
) -> Grant {
    let named = words
        .get(1)
        .filter(|word| !word.contains('=') && **word != "uncounted");
    let access_token = match named {
        Some(&"same") => state.token.as_ref().unwrap().access_token.clone(),
        Some(name) => Secret::new(*name),
        None => Secret::new(format!("t{}", state.generation + 1)),
    };
    let token = Token {
        access_token,
        token_type: "Bearer".into(),
        instance_url: option("url").map(str::to_owned),
        captures: Named::default(),
        issued_at: Timestamp::UNIX_EPOCH,
        expires_at: None,
    };
    Grant {
        token,
        refresh_token: option("refresh").map(Secret::new),
        odd_refresh_token: words
            .contains(&"odd_refresh")
            .then_some(RefreshTokenError::BadCharacter),
        lifetime: option("life").map(duration),
        refresh_lifetime: option("refresh_life").map(duration),
        idle_timeout: option("idle").map(duration),
        max_lifetime: option("max").map(duration),
        fixed: words.contains(&"fixed"),
    }
}

pub(super) fn describe(event: &Event) -> String {
    let word = event.word();
    match event {
        Event::LoggedIn { generation }
        | Event::Renewed { generation }
        | Event::Expired { generation } => {
            format!("{word} {generation}")
        }
        Event::Died {
            unexplained: true, ..
        } => format!("{word} unexplained"),
        Event::Learned { from, to } => format!("{word} {}, not {}", short(*to), short(*from)),
        Event::Failing { failures, .. } | Event::Answering { failures } => {
            format!("{word} {failures}")
        }
        Event::Throttled { wait, .. } => format!("{word} {}", short(*wait)),
        Event::Refused { stopped: true, .. } => format!("{word}, stopped"),
        Event::Doubtful { why } => format!("{word} {why:?}"),
        Event::Skewed { millis } => format!("{word} {}s", millis / 1000),
        Event::LoggedOut {
            problem: Some(problem),
        } => format!("{word}: {problem}"),
        Event::Died { .. }
        | Event::SameToken
        | Event::SameDeadToken
        | Event::Refused { .. }
        | Event::GrantDead { .. }
        | Event::InDoubt { .. }
        | Event::RefreshTokenOdd { .. }
        | Event::Forbidden { .. }
        | Event::Allowed
        | Event::Proven
        | Event::BudgetSpent { .. }
        | Event::Seeded
        | Event::Reopened
        | Event::LoggedOut { problem: None }
        | Event::Paused
        | Event::Resumed
        | Event::Dormant
        | Event::Woken => word.to_owned(),
    }
}

/// Salesforce by `jwt_bearer`: what the profile and a short config come to.
pub(super) fn salesforce() -> Policy {
    Policy {
        origin: "https://acme.example".into(),
        model: WindowModel::HalfWindow,
        idle_timeout: Some(duration("2h")),
        idle_timeouts: ["15m", "30m", "1h", "2h", "4h", "8h", "12h", "24h"]
            .map(duration)
            .into(),
        max_lifetime: None,
        token_lifetime: None,
        refresh_idle_timeout: None,
        renew_before: None,
        survive_outage: duration("12m"),
        request_timeout: duration("20s"),
        shared: true,
        has_ping: true,
        login_may_reuse: false,
        renew_by_profile: false,
        renewal_needs_life: false,
        renewal_needs_refresh_token: false,
        renewal_kills: false,
        login: LoginBy::Daemon { confirm: true },
        introspect: false,
    }
}

pub(super) fn configure(policy: &mut Policy, setting: &str) {
    let (key, value) = setting.split_once('=').unwrap();
    let maybe = || (value != "none").then(|| duration(value));
    match key {
        "model" => policy.model = model(value),
        "idle" => policy.idle_timeout = maybe(),
        "max" => policy.max_lifetime = maybe(),
        "life" => policy.token_lifetime = maybe(),
        "refresh_idle" => policy.refresh_idle_timeout = maybe(),
        "renew_before" => policy.renew_before = maybe(),
        "survive" => policy.survive_outage = duration(value),
        "request_timeout" => policy.request_timeout = duration(value),
        "shared" => policy.shared = value == "true",
        "ping" => policy.has_ping = value == "true",
        "reuse" => policy.login_may_reuse = value == "true",
        "renew_by_profile" => policy.renew_by_profile = value == "true",
        "renewal_kills" => policy.renewal_kills = value == "true",
        "renewal_needs_life" => policy.renewal_needs_life = value == "true",
        "renewal_needs_refresh_token" => policy.renewal_needs_refresh_token = value == "true",
        "introspect" => policy.introspect = value == "true",
        "login" => policy.login = login(value),
        _ => panic!("no such setting: {setting}"),
    }
}

pub(super) fn model(word: &str) -> WindowModel {
    match word {
        "half_window" => WindowModel::HalfWindow,
        "sliding" => WindowModel::Sliding,
        "explicit" => WindowModel::Explicit,
        "fixed" => WindowModel::Fixed,
        _ => panic!("no such model: {word}"),
    }
}

pub(super) fn login(word: &str) -> LoginBy {
    match word {
        "jwt" => LoginBy::Daemon { confirm: true },
        "password" => LoginBy::Daemon { confirm: false },
        "seed" => LoginBy::Seed,
        "person" => LoginBy::Person,
        _ => panic!("no such login: {word}"),
    }
}

/// `1d2h30m15s`, `250ms`.
pub(super) fn duration(text: &str) -> Duration {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or_else(|| panic!("no unit in {text}"));
        let (number, after) = rest.split_at(digits);
        let letters = after
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let number: u64 = number
            .parse()
            .unwrap_or_else(|_| panic!("no number in {text}"));
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => panic!("no such unit in {text}"),
        };
        total += Duration::from_millis(number * millis);
        rest = after;
    }
    total
}

/// `0:12:48`: hours, minutes and seconds since the script began.
pub(super) fn clock(moment: Instant) -> String {
    let seconds = moment.as_millis() / 1000;
    format!(
        "{}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

pub(super) fn short(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
