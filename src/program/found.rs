//! Which file a program's name leads to, and whether a stranger could have put it there: then it is not run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use thiserror::Error;

use crate::strangers::{self, Finding, Trusted};

/// Where programs are looked for where nothing says (`execvp(3)`).
const USUAL_PATH: &str = "/bin:/usr/bin";

/// Programs that run the file which is their first argument.
const INTERPRETERS: [&str; 12] = [
    "ash", "bash", "busybox", "dash", "ksh", "node", "perl", "php", "python", "ruby", "sh", "zsh",
];

/// A program that a stranger could have had a hand in.
#[derive(Debug, Error)]
#[error("{} {finding}, and so is not run: {}", .file.display(), .finding.remedy())]
pub struct WithinReach {
    /// The file that would be run.
    pub file: PathBuf,
    /// Who could, and where.
    pub finding: Finding,
}

/// The file that `argv` would run: its first word as it is where that holds a slash, else the first of that name in `path`;
/// none where there is none. It must be run by this path: a search for the name could find another one a moment later.
///
/// # Errors
/// When others than `trusted` could put another in the place of it, or of the script that it interprets.
pub fn found(
    argv: &[String],
    path: Option<&OsStr>,
    trusted: &Trusted,
) -> Result<Option<PathBuf>, Box<WithinReach>> {
    let Some((name, arguments)) = argv.split_first() else {
        return Ok(None);
    };
    let Some(file) = looked_up(name, path) else {
        return Ok(None);
    };
    for file in [Some(file.as_path()), script(&file, arguments)]
        .into_iter()
        .flatten()
    {
        if let Some(finding) = strangers::refusal(file, trusted) {
            return Err(Box::new(WithinReach {
                file: file.to_owned(),
                finding,
            }));
        }
    }
    Ok(Some(file))
}

/// All files that `argv` would run, for `check` and `doctor`, which look at more than whether it may run.
pub fn files(argv: &[String], path: Option<&OsStr>) -> Vec<PathBuf> {
    let Some((name, arguments)) = argv.split_first() else {
        return Vec::new();
    };
    let Some(file) = looked_up(name, path) else {
        return Vec::new();
    };
    let script = script(&file, arguments).map(Path::to_owned);
    std::iter::once(file).chain(script).collect()
}

fn looked_up(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let path = path
        .map(OsStr::to_owned)
        .or_else(|| env::var_os("PATH"))
        .unwrap_or_else(|| OsString::from(USUAL_PATH));
    let mut places = env::split_paths(&path).map(|directory| directory.join(name));
    places.find(|place| place.is_file() && access(place, Access::EXEC_OK).is_ok())
}

/// The file that an interpreter would run, as far as it is named by its whole path.
fn script<'a>(file: &Path, arguments: &'a [String]) -> Option<&'a Path> {
    let name = file.file_name().and_then(OsStr::to_str)?;
    let name = name.trim_end_matches(|end: char| end.is_ascii_digit() || end == '.');
    let mut arguments = arguments.iter().map(Path::new);
    // A directory is an option's, as of `perl -I`.
    let script = arguments.find(|argument| argument.is_absolute() && argument.is_file());
    script.filter(|_| INTERPRETERS.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_program_or_script_that_everybody_can_write_is_not_run_under_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tool");
        fs::File::create(&file).unwrap();
        symlink("/bin/sh", directory.path().join("python3.12")).unwrap();
        let argv = |words: &[&str]| -> Vec<String> {
            words.iter().map(|word| (*word).to_owned()).collect()
        };
        let path = directory.path().as_os_str();
        let (by_path, link) = (file.to_str().unwrap(), directory.path().join("python3.12"));
        for (mode, refused) in [(0o755, false), (0o757, true)] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let ways = [
                argv(&["tool", "x"]),
                argv(&[by_path]),
                argv(&["/bin/sh", "-e", by_path, "/x"]),
                argv(&[link.to_str().unwrap(), by_path]),
                argv(&["/bin/sh", "-o", "/usr", by_path]),
            ];
            for way in &ways {
                assert_eq!(
                    found(way, Some(path), &Trusted::to_run()).is_err(),
                    refused,
                    "{mode:o} {way:?}"
                );
            }
            assert!(
                found(&argv(&["/bin/cat", by_path]), None, &Trusted::to_run()).is_ok(),
                "what it reads is no program"
            );
        }
        assert!(
            found(&argv(&["absent"]), Some(path), &Trusted::to_run())
                .unwrap()
                .is_none()
        );
    }
}
