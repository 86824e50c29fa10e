//! `[http]`, and `[sessions.NAME.http]` that overlays it.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::Needed;
use super::global::{Context, Needs};
use super::keys;
use super::paths;
use super::secret;
use super::surroundings::Surroundings;
use super::table::Table;
use super::value::{self, Bad, bad};
use crate::provider::{HeaderNames, HttpSettings, Pin, Proxy, ProxyUrl, ProxyVariables};
use crate::secret_source::SecretSource;

/// `[http]`.
pub(super) struct GlobalHttp {
    connect_timeout: Duration,
    /// As given; a session whose window is short has a shorter default.
    pub(super) request_timeout: Option<Duration>,
    ca_file: Option<PathBuf>,
    proxy: Proxy,
}

impl GlobalHttp {
    /// What holds where nothing else is said.
    pub(super) fn settings(&self) -> HttpSettings {
        HttpSettings {
            connect_timeout: self.connect_timeout,
            ca_file: self.ca_file.clone(),
            pin_sha256: None,
            client_cert: None,
            client_key: None,
            proxy: self.proxy.clone(),
            allow_plain_http: false,
            header_names: HeaderNames::default(),
        }
    }
}

/// The rate of calls to one host, a second: a thousand sessions that die together take two thousand calls, a ping and a
/// login each, and are back within half a minute. The limits that servers state are by the hour or on calls in flight.
const PER_HOST_RATE: f64 = 100.0;

/// Reads `[http]` of the main file, and the rate per host.
pub(super) fn global(
    main: Option<&Table<'_>>,
    needs: &Needs<'_>,
    surroundings: &Surroundings,
) -> (GlobalHttp, f64) {
    let table = main.and_then(|main| main.table("http"));
    let table = table.as_ref().inspect(|table| table.only(keys::HTTP));
    let duration = |key: &str| {
        table
            .and_then(|table| table.duration(key))
            .map(|duration| duration.value)
    };
    let by_variables =
        || Proxy::Variables(ProxyVariables::read(|name| surroundings.variable(name)).into());
    let http = GlobalHttp {
        connect_timeout: duration("connect_timeout").unwrap_or(Duration::from_secs(5)),
        request_timeout: duration("request_timeout"),
        ca_file: table.and_then(|table| certificates(table, "ca_file", needs)),
        proxy: table.and_then(proxy).unwrap_or_else(by_variables),
    };
    let rate =
        table.and_then(|table| table.quoted("per_host_rate", value::rate_as_number, value::rate));
    (http, rate.map_or(PER_HOST_RATE, |rate| rate.value))
}

/// Reads `[sessions.NAME.http]` over what holds for all.
pub(super) fn session(session: &Table<'_>, context: &Context<'_>) -> HttpSettings {
    let mut settings = context.http.settings();
    let Some(table) = session.table("http") else {
        return settings;
    };
    table.only(keys::SESSION_HTTP);
    settings.ca_file = certificates(&table, "ca_file", context.needs).or(settings.ca_file);
    settings.pin_sha256 = table.parsed("pin_sha256", pin).map(|pin| pin.value);
    settings.client_cert = certificates(&table, "client_cert", context.needs);
    settings.client_key = client_key(&table, context.needs);
    settings.proxy = proxy(&table).unwrap_or(settings.proxy);
    settings.allow_plain_http = table
        .flag("allow_plain_http")
        .is_some_and(|flag| flag.value);
    settings.header_names = table
        .parsed("header_names", header_names)
        .map(|names| names.value)
        .unwrap_or_default();
    both_or_none(&table);
    settings
}

fn certificates(table: &Table<'_>, key: &str, needs: &Needs<'_>) -> Option<PathBuf> {
    let path = paths::read(table, key)?;
    needs.add(
        table.name(key),
        &path.place,
        Needed::Certificates(path.value.clone()),
    );
    Some(path.value)
}

fn client_key(table: &Table<'_>, needs: &Needs<'_>) -> Option<SecretSource> {
    let key = secret::read(table, "client_key")?;
    needs.add(
        table.name("client_key"),
        &key.place,
        Needed::PrivateKey(key.value.clone()),
    );
    Some(key.value)
}

fn both_or_none(table: &Table<'_>) {
    for (given, missing) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        if table.has(given) && !table.has(missing) {
            table.missing(missing, &format!("`{given}` is of no use without it"));
        }
    }
}

fn pin(text: &str) -> Result<Pin, Bad> {
    let remedy = "write the 44 characters that this prints: openssl s_client -connect HOST:443 </dev/null 2>/dev/null | \
                  openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64";
    Pin::parse(text).ok_or_else(|| bad("is no SHA-256 in base64 or hexadecimal digits", remedy))
}

const HEADER_NAMES: [(&str, HeaderNames); 2] =
    [("title", HeaderNames::Title), ("lower", HeaderNames::Lower)];

/// The words of `header_names`.
pub(super) fn header_words() -> Vec<&'static str> {
    HEADER_NAMES.into_iter().map(|(word, _)| word).collect()
}

fn header_names(text: &str) -> Result<HeaderNames, Bad> {
    let known = HEADER_NAMES.into_iter().find(|(word, _)| *word == text);
    known.map(|(_, names)| names).ok_or_else(|| {
        bad(
            "is no way to spell them",
            "write \"title\" for X-Auth-Token, or \"lower\" for x-auth-token",
        )
    })
}

fn proxy(table: &Table<'_>) -> Option<Proxy> {
    table.parsed("proxy", proxy_of).map(|proxy| proxy.value)
}

fn proxy_of(text: &str) -> Result<Proxy, Bad> {
    if text == "none" {
        return Ok(Proxy::None);
    }
    let remedy = "write \"http://host:port\", \"https://host:port\" or \"none\"";
    let url = Url::parse(text).map_err(|_| bad("is no URL", remedy))?;
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = "take user and password out; for a proxy that needs them set HTTPS_PROXY, in an environment file that only keepfresh can read";
        return Err(bad("holds a user or password in the clear", remedy));
    }
    match url.scheme() {
        "http" | "https" if url.host_str().is_some() => ProxyUrl::parse(text)
            .map(Proxy::Url)
            .map_err(|problem| bad(problem.to_string(), remedy)),
        _ => Err(bad("is no proxy that keepfresh can use", remedy)),
    }
}
