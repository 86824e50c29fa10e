//! Profiles by name: compiled in, and overridden or added by files.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::compiled_in::COMPILED_IN;
use super::{Profile, ProfileError};
use crate::plain_file::{self, ReadError};
use crate::provider::examples::misjudged;
use crate::strangers::Trusted;

/// Ours have some kilobytes.
const LARGEST_MEBIBYTES: u64 = 4;

impl Profile {
    /// The profile of this name: `providers_dir/NAME.toml` if there is one, else the compiled-in one.
    ///
    /// # Errors
    /// When there is none, or its file cannot be read or is wrong.
    pub fn named(name: &str, providers_dir: Option<&Path>) -> Result<Arc<Self>, ProfileError> {
        Self::named_for(rustix::process::geteuid().as_raw(), name, providers_dir)
    }

    /// As [`Profile::named`], where files of `user` are obeyed in the place of this process's own.
    ///
    /// # Errors
    /// As [`Profile::named`].
    pub fn named_for(
        user: u32,
        name: &str,
        providers_dir: Option<&Path>,
    ) -> Result<Arc<Self>, ProfileError> {
        let (text, file) = written(user, name, providers_dir)?;
        read(&text, &file, name).map(Arc::new)
    }

    /// The file of this name as it is written, to begin one's own with.
    ///
    /// # Errors
    /// When there is none, or its file cannot be read.
    pub fn source(
        name: &str,
        providers_dir: Option<&Path>,
    ) -> Result<Cow<'static, str>, ProfileError> {
        written(rustix::process::geteuid().as_raw(), name, providers_dir).map(|(text, _)| text)
    }

    /// The profile that a file describes, called by the file's name.
    ///
    /// # Errors
    /// When it cannot be read or is wrong.
    pub fn of_file(path: &Path) -> Result<Self, ProfileError> {
        let text = text_of(path).map_err(|source| ProfileError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let name = path
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        read(&text, &path.display().to_string(), name)
    }

    /// Whether it came with the program, and so changes with it alone.
    pub fn is_compiled_in(&self) -> bool {
        let own = COMPILED_IN.iter().find(|(known, _)| *known == self.name());
        own.is_some_and(|(_, text)| Self::digest_of(text) == self.digest())
    }

    /// All names, sorted.
    pub fn names(providers_dir: Option<&Path>) -> Vec<String> {
        let entries = providers_dir.and_then(|directory| directory.read_dir().ok());
        let files = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| profile_name(&entry.ok()?.path()));
        let names: BTreeSet<String> = COMPILED_IN
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .chain(files)
            .collect();
        names.into_iter().collect()
    }
}

/// The text, and the name of the file that it is of: a user's own, or else the one that comes along.
fn written(
    user: u32,
    name: &str,
    providers_dir: Option<&Path>,
) -> Result<(Cow<'static, str>, String), ProfileError> {
    if let Some(path) = providers_dir
        .filter(|_| is_name(name))
        .map(|directory| directory.join(format!("{name}.toml")))
    {
        match trusted_text_of(user, &path) {
            Ok(text) => return Ok((text.into(), path.display().to_string())),
            Err(ReadError::System(error)) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(ProfileError::Unreadable { path, source }),
        }
    }
    let known = COMPILED_IN.iter().find(|(known, _)| *known == name);
    let unknown = || ProfileError::Unknown {
        name: name.to_owned(),
        known: Profile::names(providers_dir),
    };
    known
        .map(|(name, text)| ((*text).into(), format!("{name}.toml")))
        .ok_or_else(unknown)
}

/// A profile can name a program to run, as the config can: it must be root's or the daemon's own, and so must be the way to it.
fn trusted_text_of(user: u32, path: &Path) -> Result<String, ReadError> {
    let bytes = plain_file::read_trusted(path, LARGEST_MEBIBYTES, &Trusted::to_run().and(user))?;
    String::from_utf8(bytes).map_err(|_| ReadError::NotText)
}

/// Of a file that a person names, to have it looked at: nothing obeys it.
fn text_of(path: &Path) -> Result<String, ReadError> {
    let (bytes, _) = plain_file::read(path, LARGEST_MEBIBYTES)?;
    String::from_utf8(bytes).map_err(|_| ReadError::NotText)
}

/// A profile whose rules take its own examples for something else is wrong, shipped or not.
fn read(text: &str, file: &str, name: &str) -> Result<Profile, ProfileError> {
    let profile = Profile::parse(text, file, name)?;
    match misjudged(&profile) {
        Some((line, message)) => Err(ProfileError::Invalid {
            file: file.to_owned(),
            line,
            message,
        }),
        None => Ok(profile),
    }
}

fn profile_name(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    (path.extension()? == "toml" && is_name(name)).then(|| name.to_owned())
}

/// Keeps a name from leaving the directory.
fn is_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
