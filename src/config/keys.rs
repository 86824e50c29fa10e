//! Every key that the reader knows, table by table; what is not here is an unknown key. The schema for editors is made of it too.

use super::{daemon, hooks, http, publish, session};
use crate::hooks::Occasion;

/// The keys of one table.
pub(super) type Keys = &'static [Key];

/// One key, and what may be written under it.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether its table is an error without it.
    pub(super) required: bool,
}

/// What a value may look like, as far as that can be told without the rest of the config and this machine.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Text,
    /// At most 200 characters that can be seen.
    Line,
    Path,
    Url,
    WebAddress,
    Duration,
    /// A duration, or `"none"`.
    DurationOrNone,
    Mode,
    /// A mode that lets only the owner write, and no user execute.
    PublishedMode,
    Rate,
    Flag,
    Proxy,
    /// An address with its port, or `unix:` and a path.
    Listen,
    /// An address of loopback with its port.
    Loopback,
    /// The name of a socket below `gateway`.
    SocketName,
    HeaderName,
    /// Methods of HTTP.
    Methods,
    /// Beginnings of requests' paths.
    RequestPaths,
    /// SHA-256, in base64 or hexadecimal digits.
    Pin,
    VariableName,
    CredentialName,
    /// A user or group, by name or number.
    Account,
    OneOf(Words),
    HostNames,
    CronLines,
    Principals,
    /// An array of these words.
    Several(Words),
    Argv,
    /// An array of argv.
    Commands,
    Secret,
    /// A secret, or in the clear where the receiver's address is no secret.
    SecretOrUrl,
    Provider,
    Table(Keys),
    Tables(Keys),
    /// What the provider's grant takes.
    Login,
    /// A table for each session, by its name.
    Sessions(Keys),
}

/// The words that the reader of a key knows.
pub(super) type Words = fn() -> Vec<&'static str>;

const fn optional(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        required: false,
    }
}

const fn required(name: &'static str, shape: Shape) -> Key {
    Key {
        name,
        shape,
        required: true,
    }
}

/// Whether `word` is one of `keys`.
pub(super) fn knows(keys: Keys, word: &str) -> bool {
    keys.iter().any(|key| key.name == word)
}

pub(super) const ROOT: Keys = &[
    optional("daemon", Shape::Table(DAEMON)),
    optional("socket", Shape::Table(SOCKET)),
    optional("http", Shape::Table(HTTP)),
    optional("metrics", Shape::Table(METRICS)),
    optional("alerts", Shape::Table(ALERTS)),
    optional("sessions", Shape::Sessions(SESSION)),
];
/// What `conf.d/*.toml` may hold.
pub(super) const FRAGMENT: &[&str] = &["sessions"];
pub(super) const DAEMON: Keys = &[
    optional("runtime_dir", Shape::Path),
    optional("state_dir", Shape::Path),
    optional("state_key", Shape::Secret),
    optional("state_key_old", Shape::Secret),
    optional("providers_dir", Shape::Path),
    optional("timezone", Shape::Text),
    optional("log", Shape::OneOf(daemon::log_words)),
];
pub(super) const SOCKET: Keys = &[
    optional("path", Shape::Path),
    optional("mode", Shape::Mode),
    optional("admins", Shape::Principals),
];
pub(super) const HTTP: Keys = &[
    optional("connect_timeout", Shape::Duration),
    optional("request_timeout", Shape::Duration),
    optional("per_host_rate", Shape::Rate),
    optional("ca_file", Shape::Path),
    optional("proxy", Shape::Proxy),
];
pub(super) const METRICS: Keys = &[
    required("listen", Shape::Listen),
    optional("allow_remote", Shape::Flag),
    optional("hosts", Shape::HostNames),
];
pub(super) const SESSION: Keys = &[
    required("provider", Shape::Provider),
    optional("url", Shape::Url),
    optional("idle_timeout", Shape::DurationOrNone),
    optional("max_lifetime", Shape::Duration),
    optional("token_lifetime", Shape::Duration),
    optional("refresh_idle_timeout", Shape::Duration),
    optional("renew_before", Shape::Duration),
    optional("env_prefix", Shape::VariableName),
    optional("logout_on", Shape::Several(session::logout_words)),
    optional("owner", Shape::Line),
    optional("runbook", Shape::WebAddress),
    required("login", Shape::Login),
    optional("keepalive", Shape::Table(KEEPALIVE)),
    optional("publish", Shape::Tables(PUBLISH)),
    optional("hook", Shape::Tables(HOOK)),
    optional("http", Shape::Table(SESSION_HTTP)),
    optional("access", Shape::Table(ACCESS)),
    optional("gateway", Shape::Table(GATEWAY)),
];
pub(super) const KEEPALIVE: Keys = &[
    optional("survive_outage", Shape::Duration),
    optional("ping_every", Shape::Duration),
    optional("verify_at", Shape::CronLines),
    optional("renew_at", Shape::CronLines),
    optional("active", Shape::CronLines),
    optional("introspect", Shape::Flag),
    optional("shared", Shape::Flag),
    optional("ping", Shape::Text),
];
pub(super) const PUBLISH: Keys = &[
    required("file", Shape::Path),
    optional("format", Shape::OneOf(publish::format_words)),
    optional("template", Shape::Text),
    optional("login", Shape::Text),
    optional("mode", Shape::PublishedMode),
    optional("owner", Shape::Account),
    optional("group", Shape::Account),
    optional("on_loss", Shape::OneOf(publish::loss_words)),
    optional("required", Shape::Flag),
];
pub(super) const SESSION_HTTP: Keys = &[
    optional("ca_file", Shape::Path),
    optional("pin_sha256", Shape::Pin),
    optional("client_cert", Shape::Path),
    optional("client_key", Shape::Secret),
    optional("proxy", Shape::Proxy),
    optional("allow_plain_http", Shape::Flag),
    optional("header_names", Shape::OneOf(http::header_words)),
];
pub(super) const HOOK: Keys = &[
    required("on", Shape::Several(Occasion::words)),
    required("command", Shape::Argv),
];
pub(super) const ALERTS: Keys = &[
    optional("on_attention", Shape::Commands),
    optional("webhook", Shape::Tables(WEBHOOK)),
    optional("after", Shape::Duration),
];
pub(super) const WEBHOOK: Keys = &[
    optional("url", Shape::SecretOrUrl),
    required("format", Shape::OneOf(hooks::format_words)),
    optional("routing_key", Shape::Secret),
    optional("allow_plain_http", Shape::Flag),
];
pub(super) const ACCESS: Keys = &[optional("allow", Shape::Principals)];
pub(super) const GATEWAY: Keys = &[
    optional("socket", Shape::SocketName),
    optional("listen", Shape::Loopback),
    optional("header", Shape::HeaderName),
    optional("only", Shape::Flag),
    optional("token_endpoint", Shape::Flag),
    optional("allow", Shape::Tables(GATEWAY_ALLOW)),
];
pub(super) const GATEWAY_ALLOW: Keys = &[
    optional("who", Shape::Principals),
    optional("methods", Shape::Methods),
    optional("paths", Shape::RequestPaths),
];
pub(super) const SECRET: Keys = &[
    optional("file", Shape::Path),
    optional("insecure_mode", Shape::Flag),
    optional("credential", Shape::CredentialName),
    optional("env", Shape::VariableName),
    optional("command", Shape::Argv),
];

/// Keys of `[sessions.NAME.login]` that profiles define and whose values are no secrets, whatever the profile.
const LOGIN: Keys = &[
    optional("grant", Shape::Text),
    optional("client_id", Shape::Text),
    optional("username", Shape::Text),
    optional("audience", Shape::Text),
    optional("scope", Shape::Text),
    optional("issuer", Shape::Text),
    optional("login_url", Shape::Text),
    optional("client_auth", Shape::Text),
    optional("api_version", Shape::Text),
];

/// The tables of a session, by how their headers are written behind its name; the grants' own keys are in `login`.
const OF_SESSIONS: [(&str, &str, Keys); 9] = [
    ("[", "]", SESSION),
    ("[", ".login]", LOGIN),
    ("[", ".keepalive]", KEEPALIVE),
    ("[", ".http]", SESSION_HTTP),
    ("[", ".access]", ACCESS),
    ("[[", ".publish]]", PUBLISH),
    ("[[", ".hook]]", HOOK),
    ("[", ".gateway]", GATEWAY),
    ("[[", ".gateway.allow]]", GATEWAY_ALLOW),
];
/// The other tables.
const OF_ALL: [(&str, Keys); 6] = [
    ("[daemon]", DAEMON),
    ("[socket]", SOCKET),
    ("[http]", HTTP),
    ("[metrics]", METRICS),
    ("[alerts]", ALERTS),
    ("[[alerts.webhook]]", WEBHOOK),
];

/// The header of the table in which `word` is known, for one who wrote it in the table `path`.
pub(super) fn home(path: &str, word: &str) -> Option<String> {
    if knows(ROOT, word) {
        return Some(format!("a header of its own, [{word}]"));
    }
    let mut parts = path.split('.');
    let session = parts
        .next()
        .filter(|first| *first == "sessions")
        .and_then(|_| parts.next());
    let header = |open: &str, close: &str, name: &str| format!("{open}sessions.{name}{close}");
    let of_sessions = OF_SESSIONS.iter().filter(|(_, _, keys)| knows(keys, word));
    let of_all = OF_ALL
        .iter()
        .filter(|(_, keys)| knows(keys, word))
        .map(|(table, _)| (*table).to_owned());
    match session {
        Some(name) => of_sessions
            .map(|(open, close, _)| header(open, close, name))
            .chain(of_all)
            .next(),
        None => of_all
            .chain(of_sessions.map(|(open, close, _)| header(open, close, "NAME")))
            .next(),
    }
}

/// Keys whose values may hold, or be mistaken for, a secret.
const CONFIDENTIAL: &[&str] = &[
    "state_key",
    "state_key_old",
    "client_key",
    "credential",
    "env",
    "command",
    "on_attention",
    "routing_key",
];

/// Keys whose values error messages may quote.
pub(super) fn quotable() -> impl Iterator<Item = &'static str> {
    let all = [
        ROOT,
        DAEMON,
        SOCKET,
        HTTP,
        METRICS,
        SESSION,
        KEEPALIVE,
        PUBLISH,
        HOOK,
        ALERTS,
        WEBHOOK,
        SESSION_HTTP,
        ACCESS,
        GATEWAY,
        GATEWAY_ALLOW,
        SECRET,
        LOGIN,
    ];
    all.into_iter()
        .flatten()
        .map(|key| key.name)
        .filter(|key| !CONFIDENTIAL.contains(key))
}
