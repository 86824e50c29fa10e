//! Whether the files that a client was made of are still the same.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::provider::settings::HttpSettings;
use crate::secret_source::SecretSource;

/// A disk that takes longer says nothing; what was read before is good.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// A file's place on the disk, its size and when it was written; none of it while it cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileStamp {
    path: PathBuf,
    identity: Option<(u64, u64, u64, i64, i64)>,
}

/// Of the certificates and the key that `settings` name.
pub(super) async fn stamps(settings: &HttpSettings) -> Vec<FileStamp> {
    let key = match &settings.client_key {
        Some(SecretSource::File { path, .. }) => Some(path),
        Some(SecretSource::Credential(_) | SecretSource::Env(_) | SecretSource::Command(_))
        | None => None,
    };
    let paths: Vec<PathBuf> = [
        settings.ca_file.as_ref(),
        settings.client_cert.as_ref(),
        key,
    ]
    .into_iter()
    .flatten()
    .cloned()
    .collect();
    if paths.is_empty() {
        return Vec::new();
    }
    let unseen = paths
        .iter()
        .cloned()
        .map(|path| FileStamp {
            path,
            identity: None,
        })
        .collect();
    let looking = tokio::task::spawn_blocking(move || paths.into_iter().map(stamp).collect());
    match tokio::time::timeout(LONGEST_LOOK, looking).await {
        Ok(Ok(stamps)) => stamps,
        Ok(Err(_)) | Err(_) => unseen,
    }
}

fn stamp(path: PathBuf) -> FileStamp {
    let seen = std::fs::metadata(&path).ok();
    let identity = seen.map(|seen| {
        (
            seen.dev(),
            seen.ino(),
            seen.size(),
            seen.mtime(),
            seen.mtime_nsec(),
        )
    });
    FileStamp { path, identity }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::provider::settings::tests::config;

    #[tokio::test]
    async fn a_file_that_is_written_anew_or_replaced_is_another() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let mut settings = HttpSettings::clone(&config("oauth2", "client_credentials", &[]).http);
        assert_eq!(stamps(&settings).await, []);
        settings.ca_file = Some(path.clone());
        let mut seen = vec![stamps(&settings).await];
        std::fs::File::create(&path)
            .unwrap()
            .write_all(b"one")
            .unwrap();
        seen.push(stamps(&settings).await);
        std::fs::File::create(&path)
            .unwrap()
            .write_all(b"three")
            .unwrap();
        seen.push(stamps(&settings).await);
        let next = directory.path().join("next.pem");
        std::fs::File::create(&next)
            .unwrap()
            .write_all(b"seven")
            .unwrap();
        std::fs::rename(&next, &path).unwrap();
        seen.push(stamps(&settings).await);
        assert_eq!(
            seen.last(),
            Some(&stamps(&settings).await),
            "nothing has changed"
        );
        for (index, before) in seen.iter().enumerate() {
            assert!(
                seen.iter().skip(index + 1).all(|after| after != before),
                "{seen:?}"
            );
        }
    }
}
