//! What to do about each thing that keeps a server out of reach: told with a call that failed, and by `check --live`.

pub(super) const REFUSED: &str = "see whether the server runs, whether the port in the config is right, and what a firewall refuses";
pub(super) const NO_ROUTE: &str =
    "see `ip route`, or set `proxy` in [http] where only a proxy leads out";
pub(super) const DROPPED: &str = "see the firewall between this machine and the server, or set `proxy` in [http] where only a proxy leads out";
pub(super) const SILENT: &str = "ask those who run the server, and see whether something between, a firewall say, holds the connection up";
pub(super) const NO_PROPER_ANSWER: &str =
    "see whether the port in the config is the one of its web service";
pub(super) const TLS: &str = "see whether host and port in the config are those of an https server, and what stands before it";
pub(super) const UNCONNECTED: &str = "see firewall and routes between this machine and the server";
pub(super) const PROXY: &str = "correct `proxy` in [http], or the variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the service";
pub(super) const SETTINGS: &str = "correct the file or the key";

/// Where the resolver does not know a name.
pub(super) fn of_name(name: &str) -> String {
    format!("compare the name in the config with `getent hosts {name}`, and see /etc/resolv.conf")
}
