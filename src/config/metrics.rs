//! `[metrics]`.

use std::net::SocketAddr;
use std::path::Path;

use super::report::At;
use super::table::Table;
use super::value::{Bad, bad};
use super::{MetricsListen, keys, paths};

const REMEDY: &str =
    "write an address with its port, such as \"127.0.0.1:9464\", or \"unix:metrics.sock\"";

/// Where scrapers are served; nowhere when the table is not there.
pub(super) fn read(main: Option<&Table<'_>>, runtime_dir: &Path) -> Option<MetricsListen> {
    let table = main?.table("metrics")?;
    table.only(keys::METRICS);
    let remote = table
        .flag("allow_remote")
        .is_some_and(|allowed| allowed.value);
    if !table.has("listen") {
        table.missing("listen", REMEDY);
        return None;
    }
    let listen: At<MetricsListen> =
        table.parsed("listen", |text| match text.strip_prefix("unix:") {
            Some(path) => paths::below(path, runtime_dir).map(MetricsListen::Unix),
            None => address(text, remote).map(|address| MetricsListen::Address {
                address,
                hosts: hosts(&table),
            }),
        })?;
    if matches!(listen.value, MetricsListen::Unix(_)) && table.has("hosts") {
        let remedy = "leave it out: every client of the socket may ask by any name";
        table.bad(
            "hosts",
            &table.place_of("hosts"),
            bad("means nothing on a unix socket", remedy),
        );
    }
    Some(listen.value)
}

/// The names of `hosts`, as they are compared.
fn hosts(table: &Table<'_>) -> Vec<String> {
    let named = table
        .texts("hosts")
        .map(|hosts| hosts.value)
        .unwrap_or_default();
    let host = |name: &At<&str>| {
        let plain = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
        if name.value.chars().all(plain) {
            return Some(name.value.trim_end_matches('.').to_ascii_lowercase());
        }
        let what = format!("names `{}`, which is no host's name", name.value);
        table.bad(
            "hosts",
            &name.place,
            bad(what, "write it as scrapers do, without scheme and port"),
        );
        None
    };
    named.iter().filter_map(host).collect()
}

fn address(text: &str, remote: bool) -> Result<SocketAddr, Bad> {
    let literal = text
        .strip_prefix("localhost:")
        .map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = literal
        .as_deref()
        .unwrap_or(text)
        .parse()
        .map_err(|_| bad("is no address to listen on", REMEDY))?;
    if address.port() == 0 {
        return Err(bad("has port 0, so no scraper would find it", REMEDY));
    }
    if !address.ip().is_loopback() && !remote {
        let remedy = "it shows session names and deadlines to every caller: listen on 127.0.0.1, or on \
                      \"unix:metrics.sock\" behind a proxy that knows its callers, or add allow_remote = true";
        return Err(bad("can be reached from other machines", remedy));
    }
    Ok(address)
}
