//! `--live`: whether the hosts that the sessions call can be reached from here, without logging in anywhere.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::cli::words;
use crate::clock;
use crate::config::{Config, ConfigError, SessionConfig, Written};
use crate::provider::{Clients, HttpSettings, Probe, Trouble, probe};

/// So many hosts are tried at a time.
const AT_A_TIME: usize = 64;
/// A certificate that ends sooner is worth a word.
const SOON: Duration = Duration::from_hours(14 * 24);
/// Servers refuse what is signed by a clock that is further off.
const MOST_SKEW: Duration = Duration::from_mins(1);

/// One host, and what was found on the way to it. Field names are stable.
#[derive(Serialize)]
pub(in crate::cli) struct Host {
    /// Scheme, host and port.
    pub(in crate::cli) server: String,
    pub(in crate::cli) sessions: Vec<String>,
    proxy: Option<String>,
    addresses: Vec<IpAddr>,
    certificate_ends: Option<Timestamp>,
    /// The server's clock minus ours.
    skew_seconds: Option<f64>,
    pub(in crate::cli) error: Option<HostError>,
    pub(in crate::cli) warnings: Vec<String>,
    /// Which of the warnings says that one of the clocks is wrong.
    #[serde(skip)]
    pub(in crate::cli) clock: Option<String>,
    #[serde(skip)]
    written: Written,
}

/// Why a host cannot be reached.
#[derive(Serialize)]
pub(in crate::cli) struct HostError {
    /// `settings`, `dns`, `proxy`, `connect`, `tls`, `answer`.
    pub(in crate::cli) step: &'static str,
    pub(in crate::cli) message: String,
    pub(in crate::cli) remedy: String,
}

/// A host to be tried, under settings of which sessions may have their own.
struct Way {
    url: Url,
    settings: Arc<HttpSettings>,
    sessions: Vec<String>,
    written: Written,
}

/// Tries every host that a session would call, all at once.
///
/// # Errors
/// When the system gives no means to call anybody.
pub(in crate::cli) fn hosts<'a>(
    sessions: impl Iterator<Item = &'a Arc<SessionConfig>>,
) -> std::io::Result<Vec<Host>> {
    let ways = ways(sessions);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let clients = Clients::default();
    let hosts = runtime.block_on(async {
        let tried = ways.into_iter().map(async |way| {
            let found = probe(&clients, &way.settings, &way.url).await;
            Host::of(way, found, clock::now().wall)
        });
        stream::iter(tried).buffered(AT_A_TIME).collect().await
    });
    // The system's resolver cannot be interrupted.
    runtime.shutdown_background();
    Ok(hosts)
}

/// Root runs no program by the word of a user who could have written the config.
pub(in crate::cli) fn may_be_tried(config: &Config, session: &SessionConfig) -> bool {
    config.written_by.is_none() || session.remote.http.client_key.is_none()
}

fn ways<'a>(sessions: impl Iterator<Item = &'a Arc<SessionConfig>>) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for session in sessions {
        for url in session.remote.servers() {
            let settings = &session.remote.http;
            let known = ways
                .iter_mut()
                .find(|way| way.url == url && way.settings == *settings);
            match known {
                Some(way) => way.sessions.push(session.name.to_string()),
                None => ways.push(Way {
                    url,
                    settings: Arc::clone(settings),
                    sessions: vec![session.name.to_string()],
                    written: session.written.clone(),
                }),
            }
        }
    }
    ways
}

impl Host {
    fn of(way: Way, found: Probe, now: Timestamp) -> Self {
        let clock = clock_warning(&found);
        let warnings = end_warning(&found, now)
            .into_iter()
            .chain(clock.clone())
            .collect();
        Self {
            server: way.url.origin().ascii_serialization(),
            sessions: way.sessions,
            proxy: found.proxy,
            addresses: found.addresses,
            certificate_ends: found.certificate_ends,
            skew_seconds: found
                .skew_millis
                .map(|millis| Duration::from_millis(millis.unsigned_abs()).as_secs_f64())
                .zip(found.skew_millis)
                .map(|(seconds, millis)| if millis < 0 { -seconds } else { seconds }),
            error: found.trouble.map(HostError::of),
            warnings,
            clock,
            written: way.written,
        }
    }

    /// The same among the errors of the config, at the place where the server is named.
    pub(super) fn config_error(&self) -> Option<ConfigError> {
        let error = self.error.as_ref()?;
        Some(ConfigError {
            file: self.written.file.as_ref().into(),
            line: self.written.line,
            column: self.written.column,
            message: self.unreachable(error),
            remedy: error.remedy.clone(),
        })
    }

    /// `cannot reach https://acme.example for crm: …`.
    pub(in crate::cli) fn unreachable(&self, error: &HostError) -> String {
        let (server, sessions) = (&self.server, some(&self.sessions));
        format!("cannot reach {server} for {sessions}: {}", error.message)
    }

    /// `https://acme.example: reached at 192.0.2.1, certificate good until …`.
    pub(in crate::cli) fn text(&self, now: Timestamp) -> String {
        let server = &self.server;
        let proxy = self
            .proxy
            .as_ref()
            .map(|proxy| format!(" through the proxy {proxy}"))
            .unwrap_or_default();
        if let Some(error) = &self.error {
            return format!(
                "{server}: FAILED at {}{proxy}: {}",
                error.step, error.message
            );
        }
        let at = match self.addresses.as_slice() {
            [] => String::new(),
            [first, rest @ ..] => {
                let more = if rest.is_empty() {
                    String::new()
                } else {
                    format!(" and {} more", rest.len())
                };
                format!(" at {first}{more}")
            }
        };
        let certificate = self.certificate_ends.map(|end| {
            let left = words::ahead(end, now).replacen("in ", "", 1);
            format!("certificate good until {} ({left})", end.strftime("%F"))
        });
        let clock = self.skew_seconds.map(|skew| {
            if skew == 0.0 {
                "clock agrees".to_owned()
            } else {
                skewed(skew)
            }
        });
        let facts: Vec<String> = certificate.into_iter().chain(clock).collect();
        let facts = if facts.is_empty() {
            String::new()
        } else {
            format!("; {}", facts.join("; "))
        };
        let reached = if self.proxy.is_some() {
            format!("reached{proxy}{at}")
        } else {
            format!("reached{at}")
        };
        format!("{server}: {reached}{facts} [{}]", some(&self.sessions))
    }
}

impl HostError {
    fn of(trouble: Trouble) -> Self {
        Self {
            step: trouble.step.word(),
            message: trouble.problem,
            remedy: trouble.remedy,
        }
    }
}

fn end_warning(found: &Probe, now: Timestamp) -> Option<String> {
    let ends = found.certificate_ends.filter(|end| {
        found.trouble.is_none() && end.duration_since(now).as_secs() < SOON.as_secs().cast_signed()
    });
    ends.map(|end| {
        format!(
            "its certificate ends {} ({}): have it renewed at the server",
            words::ahead(end, now),
            end.strftime("%F")
        )
    })
}

/// The remedy follows the first colon.
fn clock_warning(found: &Probe) -> Option<String> {
    let limit = i64::try_from(MOST_SKEW.as_millis()).unwrap_or(i64::MAX);
    let skew = found.skew_millis.filter(|skew| skew.abs() > limit);
    skew.map(|millis| {
        let skew = Duration::from_millis(millis.unsigned_abs()).as_secs_f64();
        format!(
            "{}, and under a wrong clock certificates look expired and signed logins are refused: set this machine's clock (`timedatectl set-ntp true`), or \
             the server's if `timedatectl` says that this one is synchronised",
            skewed(if millis < 0 { -skew } else { skew })
        )
    })
}

/// `its clock is 3 min ahead of this machine's`.
fn skewed(skew: f64) -> String {
    let span = words::span(Duration::try_from_secs_f64(skew.abs()).unwrap_or_default());
    let side = if skew < 0.0 { "behind" } else { "ahead of" };
    format!("its clock is {span} {side} this machine's")
}

/// So many sessions are named.
const MOST_NAMED: usize = 5;

fn some(sessions: &[String]) -> String {
    let named: Vec<&str> = sessions
        .iter()
        .take(MOST_NAMED)
        .map(String::as_str)
        .collect();
    match sessions.len().saturating_sub(MOST_NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
