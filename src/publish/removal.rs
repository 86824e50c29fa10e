//! Removes files that no config publishes any more.

use std::path::{Component, Path};

use super::{LARGEST_FILE, is_there};
use crate::atomic_file;
use crate::secret::Secret;

/// Removes a file that a record says was published, if it lies below `tokens` or holds the record's own `token`:
/// a record that was tampered with can have nothing else removed.
pub fn remove_recorded(path: &Path, tokens: &Path, token: Option<&Secret>) {
    if !is_there(path) {
        return;
    }
    let straight = !path
        .components()
        .any(|part| matches!(part, Component::ParentDir));
    let holds_it = |token: &Secret| {
        let token = token.expose().as_bytes();
        let content = atomic_file::content(path, LARGEST_FILE);
        !token.is_empty()
            && content.is_some_and(|content| content.windows(token.len()).any(|part| part == token))
    };
    if (straight && path.starts_with(tokens)) || token.is_some_and(holds_it) {
        remove_stale(path);
    } else {
        tracing::warn!(event = "remove_failed", path = %path.display(), "the state says that an earlier config published this file, but it does not hold the stored token: keepfresh leaves it; remove it if it holds another token");
    }
}

/// Removes a file that an earlier config published and this one does not.
pub fn remove_stale(path: &Path) {
    match atomic_file::remove(path) {
        Ok(false) => {}
        Ok(true) => {
            tracing::info!(event = "file_removed", path = %path.display(), "removed a file no longer configured");
        }
        Err(error) => {
            tracing::warn!(event = "remove_failed", %error, "cannot remove a file that is no longer configured");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_record_has_only_files_removed_that_are_known_to_be_the_daemons() {
        let house = TempDir::new().unwrap();
        let tokens = house.path().join("tokens");
        fs::create_dir(&tokens).unwrap();
        let token = Secret::new("t0k3n");
        let outside = house.path().join("victim");
        for (path, content, known, removed) in [
            (tokens.join("crm"), "what it was", None, true),
            (tokens.join("../victim"), "precious", None, false),
            (tokens.join("../victim"), "precious", Some(&token), false),
            (outside.clone(), "", Some(&token), false),
            (outside.clone(), "header: t0k3n", None, false),
            (outside.clone(), "header: t0k3n", Some(&token), true),
        ] {
            fs::File::create(&path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()))
                .unwrap();
            remove_recorded(&path, &tokens, known);
            assert_eq!(!path.exists(), removed, "{} {content}", path.display());
        }
        fs::File::create(&outside)
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"t0k3n"))
            .unwrap();
        let link = house.path().join("link");
        symlink(&outside, &link).unwrap();
        remove_recorded(&link, &tokens, Some(&token));
        assert!(link.exists() && outside.exists(), "no link is followed");
    }
}
