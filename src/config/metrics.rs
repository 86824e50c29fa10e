//! `[metrics]`.

use std::net::SocketAddr;
use std::path::Path;

use super::report::At;
use super::table::Table;
use super::value::{Bad, bad};
use super::{MetricsListen, keys, paths};

const REMEDY: &str = "write an address with its port, such as \"127.0.0.1:9464\", or \"unix:metrics.sock\"";

/// Where scrapers are served; nowhere when the table is not there.
pub(super) fn read(main: Option<&Table<'_>>, runtime_dir: &Path) -> Option<MetricsListen> {
    let table = main?.table("metrics")?;
    table.only(keys::METRICS);
    let remote = table.flag("allow_remote").is_some_and(|allowed| allowed.value);
    if !table.has("listen") {
        table.missing("listen", REMEDY);
        return None;
    }
    let listen: At<MetricsListen> = table.parsed("listen", |text| match text.strip_prefix("unix:") {
        Some(path) => paths::below(path, runtime_dir).map(MetricsListen::Unix),
        None => address(text, remote).map(MetricsListen::Address),
    })?;
    Some(listen.value)
}

fn address(text: &str, remote: bool) -> Result<SocketAddr, Bad> {
    let literal = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let address: SocketAddr =
        literal.as_deref().unwrap_or(text).parse().map_err(|_| bad("is no address to listen on", REMEDY))?;
    if address.port() == 0 {
        return Err(bad("leaves the port to chance, where no scraper finds it", REMEDY));
    }
    if !address.ip().is_loopback() && !remote {
        let remedy = "session names and deadlines are shown there to whoever asks: listen on 127.0.0.1, or on \
                      \"unix:metrics.sock\" behind a proxy that knows its callers, or add allow_remote = true";
        return Err(bad("can be reached from other machines", remedy));
    }
    Ok(address)
}
