//! `[sessions.NAME.gateway]`: jobs call the server through keepfresh, and hold no token.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::report::At;
use super::table::Table;
use super::value::{Bad, bad};
use super::{keys, principals};
use crate::provider::PathPrefix;
use crate::users::Principal;

/// One session's gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Its unix socket, absolute.
    pub socket: PathBuf,
    /// Its port on loopback, if it has one.
    pub listen: Option<SocketAddr>,
    /// A header that calls of the port must have, in lower case.
    pub header: Option<String>,
    /// Whether jobs get the token in no other way.
    pub only: bool,
    /// Whether `POST /token` answers the token.
    pub token_endpoint: bool,
    /// What jobs may call; everything where it is empty.
    pub allow: Vec<Allow>,
}

/// One `[[sessions.NAME.gateway.allow]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// Whom it is about; empty for all who may read the session.
    pub who: Vec<Principal>,
    /// What they may do, in capitals; empty for every method.
    pub methods: Vec<String>,
    /// Where; empty for everywhere.
    pub paths: Vec<PathPrefix>,
}

/// A gateway, with the places that later checks may name.
pub(super) struct Placed {
    pub(super) config: Arc<GatewayConfig>,
    pub(super) socket: At<()>,
    pub(super) listen: At<()>,
}

/// Reads the gateway of the session `name`, if it has one.
pub(super) fn read(session: &Table<'_>, name: &str, runtime_dir: &Path) -> Option<Placed> {
    let table = session.table("gateway")?;
    table.only(keys::GATEWAY);
    let called = table.parsed("socket", |text| socket_name(text).map(str::to_owned));
    let called = called.map_or_else(|| name.to_owned(), |socket| socket.value);
    let listen = table.parsed("listen", address);
    let header = table.parsed("header", header);
    if let Some(header) = header.as_ref().filter(|_| !table.has("listen")) {
        let remedy = "leave it out: only a port on loopback can be reached by a page or a server that a job was tricked into";
        table.bad("header", &header.place, bad("needs `listen`", remedy));
    }
    let only = table.flag("only").is_some_and(|only| only.value);
    if only {
        refuse_beside_only(session, &table);
    }
    let token_endpoint = table.flag("token_endpoint");
    let allow = table.tables("allow").unwrap_or_default();
    let at = |key: &str| At {
        value: (),
        place: table.place_within(&[key]),
    };
    Some(Placed {
        config: Arc::new(GatewayConfig {
            socket: runtime_dir.join("gateway").join(format!("{called}.sock")),
            listen: listen.map(|listen| listen.value),
            header: header.map(|header| header.value),
            only,
            token_endpoint: token_endpoint.is_some_and(|endpoint| endpoint.value),
            allow: allow.iter().map(rule).collect(),
        }),
        socket: at("socket"),
        listen: at("listen"),
    })
}

fn refuse_beside_only(session: &Table<'_>, table: &Table<'_>) {
    let only = table.place_of("only");
    if session.has("publish") {
        let remedy = format!("take out [[{}]], or only = true", session.name("publish"));
        table.bad(
            "only",
            &only,
            bad(
                "says that no file holds the token, and there is one",
                remedy,
            ),
        );
    }
    let endpoint = table.flag("token_endpoint");
    if endpoint.is_some_and(|endpoint| endpoint.value) {
        let remedy = "take one of them out: the endpoint hands out what `only` keeps";
        table.bad(
            "only",
            &only,
            bad("and `token_endpoint = true` cannot both hold", remedy),
        );
    }
    let shared = session
        .table("keepalive")
        .and_then(|keepalive| keepalive.flag("shared"));
    if shared.is_some_and(|shared| shared.value) {
        let remedy = "take one of them out: with `only`, no other program has the token";
        table.bad(
            "only",
            &only,
            bad("and `shared = true` cannot both hold", remedy),
        );
    }
}

fn rule(table: &Table<'_>) -> Allow {
    table.only(keys::GATEWAY_ALLOW);
    let methods = table.texts("methods").map(|methods| methods.value);
    let method = |text: &At<&str>| {
        let plain =
            !text.value.is_empty() && text.value.bytes().all(|byte| byte.is_ascii_uppercase());
        if !plain {
            let what = format!("names `{}`, which is no method", text.value);
            table.bad(
                "methods",
                &text.place,
                bad(what, "write \"GET\", \"POST\" and so on, in capitals"),
            );
        }
        plain.then(|| text.value.to_owned())
    };
    let paths = table.texts("paths").map(|paths| paths.value);
    let path = |text: &At<&str>| {
        let prefix = PathPrefix::parse(text.value);
        if prefix.is_none() {
            let what = format!(
                "names `{}`, which no request's path begins with",
                text.value
            );
            let remedy = "write it from the first slash, without `?`, dots that climb or encoded slashes: \"/services/data/\"";
            table.bad("paths", &text.place, bad(what, remedy));
        }
        prefix
    };
    Allow {
        who: principals::read(table, "who").unwrap_or_default(),
        methods: methods
            .unwrap_or_default()
            .iter()
            .filter_map(method)
            .collect(),
        paths: paths.unwrap_or_default().iter().filter_map(path).collect(),
    }
}

fn socket_name(text: &str) -> Result<&str, Bad> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) {
        return Ok(text);
    }
    Err(bad(
        "is not the name of a socket",
        "write letters, digits, `-` and `_`: \"crm\" is gateway/crm.sock below runtime_dir",
    ))
}

fn address(text: &str) -> Result<SocketAddr, Bad> {
    const REMEDY: &str = "write an address of loopback with a port of this session's own, such as \"127.0.0.1:8701\"";
    let address: SocketAddr = text
        .parse()
        .map_err(|_| bad("is no address to listen on", REMEDY))?;
    if !address.ip().is_loopback() {
        return Err(bad("can be reached from other machines", REMEDY));
    }
    if address.port() == 0 {
        return Err(bad("has port 0, so no job would find it", REMEDY));
    }
    Ok(address)
}

fn header(text: &str) -> Result<String, Bad> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !text.is_empty() && text.bytes().all(plain) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(bad(
        "is no name of a header",
        "write one such as \"X-Keepfresh\"",
    ))
}
