//! Every key that the reader knows, table by table; what is not here is an unknown key.

pub(super) const ROOT: &[&str] = &["daemon", "socket", "http", "metrics", "alerts", "sessions"];
/// What `conf.d/*.toml` may hold.
pub(super) const FRAGMENT: &[&str] = &["sessions"];
pub(super) const DAEMON: &[&str] = &[
    "runtime_dir",
    "state_dir",
    "state_key",
    "state_key_old",
    "providers_dir",
    "timezone",
    "log",
];
pub(super) const SOCKET: &[&str] = &["path", "mode", "admins"];
pub(super) const HTTP: &[&str] = &[
    "connect_timeout",
    "request_timeout",
    "per_host_rate",
    "ca_file",
    "proxy",
];
pub(super) const METRICS: &[&str] = &["listen", "allow_remote", "hosts"];
pub(super) const SESSION: &[&str] = &[
    "provider",
    "url",
    "idle_timeout",
    "max_lifetime",
    "token_lifetime",
    "refresh_idle_timeout",
    "renew_before",
    "env_prefix",
    "logout_on",
    "owner",
    "runbook",
    "login",
    "keepalive",
    "publish",
    "hook",
    "http",
    "access",
];
pub(super) const KEEPALIVE: &[&str] = &[
    "survive_outage",
    "ping_every",
    "verify_at",
    "renew_at",
    "active",
    "introspect",
    "shared",
    "ping",
];
pub(super) const PUBLISH: &[&str] = &[
    "file", "format", "template", "login", "mode", "owner", "group", "on_loss", "required",
];
pub(super) const SESSION_HTTP: &[&str] = &[
    "ca_file",
    "pin_sha256",
    "client_cert",
    "client_key",
    "proxy",
    "allow_plain_http",
    "header_names",
];
pub(super) const HOOK: &[&str] = &["on", "command"];
pub(super) const ALERTS: &[&str] = &["on_attention", "webhook", "after"];
pub(super) const WEBHOOK: &[&str] = &["url", "format", "routing_key", "allow_plain_http"];
pub(super) const ACCESS: &[&str] = &["allow"];
pub(super) const SECRET: &[&str] = &["file", "insecure_mode", "credential", "env", "command"];

/// Keys of `[sessions.NAME.login]` that profiles define and whose values are no secrets, whatever the profile.
const LOGIN: &[&str] = &[
    "grant",
    "client_id",
    "username",
    "audience",
    "scope",
    "issuer",
    "login_url",
    "client_auth",
    "api_version",
];

/// The tables of a session, by how their headers are written behind its name; the grants' own keys stand in `login`.
const OF_SESSIONS: [(&str, &str, &[&str]); 7] = [
    ("[", "]", SESSION),
    ("[", ".login]", LOGIN),
    ("[", ".keepalive]", KEEPALIVE),
    ("[", ".http]", SESSION_HTTP),
    ("[", ".access]", ACCESS),
    ("[[", ".publish]]", PUBLISH),
    ("[[", ".hook]]", HOOK),
];
/// The other tables.
const OF_ALL: [(&str, &[&str]); 6] = [
    ("[daemon]", DAEMON),
    ("[socket]", SOCKET),
    ("[http]", HTTP),
    ("[metrics]", METRICS),
    ("[alerts]", ALERTS),
    ("[[alerts.webhook]]", WEBHOOK),
];

/// The header of the table in which `word` is known, for one who wrote it in the table `path`.
pub(super) fn home(path: &str, word: &str) -> Option<String> {
    if ROOT.contains(&word) {
        return Some(format!("a header of its own, [{word}]"));
    }
    let mut parts = path.split('.');
    let session = parts
        .next()
        .filter(|first| *first == "sessions")
        .and_then(|_| parts.next());
    let header = |open: &str, close: &str, name: &str| format!("{open}sessions.{name}{close}");
    let of_sessions = OF_SESSIONS
        .iter()
        .filter(|(_, _, keys)| keys.contains(&word));
    let of_all = OF_ALL
        .iter()
        .filter(|(_, keys)| keys.contains(&word))
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
        SECRET,
        LOGIN,
    ];
    all.into_iter()
        .flatten()
        .copied()
        .filter(|key| !CONFIDENTIAL.contains(key))
}
