//! Certificates that the config names: without them no call could ever succeed, so their absence is an error at once.

use std::path::Path;

use super::{Config, ConfigError, Needed};
use crate::plain_file;
use crate::strangers::Trusted;

/// A system's whole list has less than one.
const LARGEST_MEBIBYTES: u64 = 16;

/// What is wrong with the certificates of this config.
pub(super) fn unusable(config: &Config) -> Vec<ConfigError> {
    let tried = config.needs.iter().filter_map(|need| match &need.what {
        Needed::Certificates(path) => Some(ConfigError::about(need, &usable(path).err()?)),
        Needed::Secret(_)
        | Needed::PrivateKey(_)
        | Needed::Program(_)
        | Needed::Directory(_)
        | Needed::Published { .. } => None,
    });
    tried.collect()
}

/// Whether the file can be read and holds certificates in PEM.
///
/// # Errors
/// Says what is wrong with it and what to do.
pub fn usable(path: &Path) -> Result<(), String> {
    let shown = path.display();
    let text = plain_file::read_trusted(path, LARGEST_MEBIBYTES, &Trusted::of_this_process())
        .map_err(|error| {
            format!(
                "read the certificates in {shown}: it {error}; {}",
                error.remedy()
            )
        })?;
    if String::from_utf8_lossy(&text).contains("-----BEGIN CERTIFICATE-----") {
        Ok(())
    } else {
        Err(format!(
            "use {shown}: it holds no certificate in PEM; it must have a line -----BEGIN CERTIFICATE-----"
        ))
    }
}
