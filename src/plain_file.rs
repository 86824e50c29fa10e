//! Reads what people write for the daemon (config, profiles, certificates): regular files of a bounded size, and where
//! their contents are obeyed only such as no stranger can change.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use thiserror::Error;

use crate::strangers::{self, Finding, Trusted};

/// Writing for everybody.
const BY_ANYBODY: u32 = 0o002;

/// Why a file is not read; fits behind the file's name, and [`ReadError::remedy`] behind it.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The system said no.
    #[error("cannot be read: {0}")]
    System(#[from] io::Error),
    /// A directory.
    #[error("is a directory")]
    Directory,
    /// A pipe, a socket or a device, which may never end.
    #[error("is not a regular file")]
    NotAFile,
    /// So many MiB are the most.
    #[error("is larger than {0} MiB")]
    TooLarge(u64),
    /// A stranger could put another in its place.
    #[error("{0}")]
    Exposed(Box<Finding>),
    /// No text.
    #[error("is not UTF-8")]
    NotText,
}

impl ReadError {
    /// What to do about it.
    pub fn remedy(&self) -> String {
        let remedy = match self {
            Self::System(error) if error.kind() == io::ErrorKind::NotFound => {
                "create it, or name another"
            }
            Self::System(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "let the daemon's user read it; to look at it yourself, run the command as that user or as root"
            }
            Self::System(_) => "let the daemon's user read it, and see that the disk is in order",
            Self::Directory => "name the file in it",
            Self::NotAFile => "name a regular file: it is read again at each reload",
            Self::TooLarge(_) => "name the right file, or split it",
            Self::Exposed(finding) => return finding.remedy(),
            Self::NotText => "save it as UTF-8",
        };
        remedy.to_owned()
    }
}

/// The bytes of a regular file of at most `mebibytes`, and whose it is; never waits for the other end of a pipe.
///
/// # Errors
/// When it is something else, or larger.
pub fn read(path: &Path, mebibytes: u64) -> Result<(Vec<u8>, Metadata), ReadError> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(ReadError::Directory);
    }
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    let most = mebibytes << 20;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        Ok((bytes, metadata))
    } else {
        Err(ReadError::TooLarge(mebibytes))
    }
}

/// As [`read`], of a file whose contents are obeyed or believed: one that others than `trusted` could change, or put another
/// in the place of, is refused.
///
/// # Errors
/// When it is something else, larger, or within a stranger's reach.
pub fn read_trusted(path: &Path, mebibytes: u64, trusted: &Trusted) -> Result<Vec<u8>, ReadError> {
    let (bytes, _) = read(path, mebibytes)?;
    match strangers::refusal(path, trusted) {
        Some(finding) => Err(ReadError::Exposed(Box::new(finding))),
        None => Ok(bytes),
    }
}

/// Whether every user can write it.
pub fn is_open_to_all(metadata: &Metadata) -> bool {
    metadata.mode() & BY_ANYBODY != 0
}

fn open(path: &Path) -> io::Result<File> {
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    OpenOptions::new()
        .read(true)
        .custom_flags(nonblock)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_a_regular_file_of_a_bounded_size_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            0o600.into(),
            0,
        )
        .unwrap();
        let large = directory.path().join("large");
        File::create(&large)
            .unwrap()
            .set_len((1 << 20) + 1)
            .unwrap();
        assert!(matches!(read(&pipe, 1), Err(ReadError::NotAFile)));
        assert!(matches!(
            read(Path::new("/dev/zero"), 1),
            Err(ReadError::NotAFile)
        ));
        assert!(matches!(
            read(directory.path(), 1),
            Err(ReadError::Directory)
        ));
        assert!(matches!(read(&large, 1), Err(ReadError::TooLarge(1))));
        assert_eq!(read(&large, 2).unwrap().0.len(), (1 << 20) + 1);
        assert!(
            read(&directory.path().join("absent"), 1)
                .unwrap_err()
                .remedy()
                .contains("create it")
        );
    }

    #[test]
    fn what_is_obeyed_must_not_be_open_to_everybody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.toml");
        File::create(&path).unwrap();
        for (mode, trusted) in [
            (0o600, true),
            (0o644, true),
            (0o664, true),
            (0o666, false),
            (0o602, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                read_trusted(&path, 1, &Trusted::to_run()).is_ok(),
                trusted,
                "{mode:o}"
            );
            assert!(read(&path, 1).is_ok());
        }
    }
}
