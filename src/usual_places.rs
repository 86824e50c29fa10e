//! Where things are on a machine on which a package installed keepfresh.

/// The config that the service reads.
pub const CONFIG: &str = "/etc/keepfresh/config.toml";

/// What the administrator wrote: config, secrets, profiles.
pub const CONFIG_DIR: &str = "/etc/keepfresh";

/// Profiles that the administrator added.
pub const PROVIDERS_DIR: &str = "/etc/keepfresh/providers";

/// Holds the socket and the tokens while the service runs.
pub const RUNTIME_DIR: &str = "/run/keepfresh";

/// Where the service answers.
pub const SOCKET: &str = "/run/keepfresh/keepfresh.sock";

/// Holds what a restart must know.
pub const STATE_DIR: &str = "/var/lib/keepfresh";
