//! Owner and mode of every step to what the config names: most faults of a first day are among them.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::config::{Config, Needed};
use crate::secret_source::SecretSource;
use crate::users::{Kind, name_of};
use crate::usual_places;

/// Where things are when no config can be read.
const USUAL: [&str; 3] = [
    usual_places::CONFIG_DIR,
    usual_places::SOCKET,
    usual_places::STATE_DIR,
];

/// What was seen, by path.
pub(super) struct Paths {
    steps: BTreeMap<PathBuf, String>,
    /// The file that was written last, and when.
    pub(super) newest: Option<(PathBuf, Timestamp)>,
}

impl Paths {
    /// Of the config in `file`, and of all that it names, if it can be read.
    pub(super) fn seen(file: &Path, config: Option<&Config>) -> Self {
        let mut paths = Self {
            steps: BTreeMap::new(),
            newest: None,
        };
        paths.see(file);
        match config {
            None => USUAL.iter().for_each(|path| paths.see(Path::new(path))),
            Some(config) => named(config).iter().for_each(|path| paths.see(path)),
        }
        paths
    }

    fn see(&mut self, path: &Path) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let steps: Vec<&Path> = path.ancestors().collect();
        for step in steps.into_iter().rev() {
            match self.steps.get(step) {
                Some(words) if words.ends_with(':') => break,
                Some(_) => continue,
                None => {}
            }
            let seen = fs::symlink_metadata(step);
            self.note_time(step, seen.as_ref().ok());
            let is_end = seen.is_err();
            self.steps.insert(step.to_owned(), words(step, seen));
            // What was seen is not seen again, so that links in a ring come to an end.
            if let (Ok(target), Some(directory)) = (fs::read_link(step), step.parent()) {
                self.see(&directory.join(target));
            }
            if is_end {
                break;
            }
        }
    }

    fn note_time(&mut self, path: &Path, seen: Option<&fs::Metadata>) {
        let written = seen
            .filter(|seen| seen.is_file())
            .and_then(|seen| Timestamp::from_second(seen.mtime()).ok());
        if let Some(written) = written
            && self
                .newest
                .as_ref()
                .is_none_or(|(_, newest)| *newest < written)
        {
            self.newest = Some((path.to_owned(), written));
        }
    }

    /// `drwxr-x--- root:keepfresh /etc/keepfresh`.
    pub(super) fn lines(&self) -> Vec<String> {
        self.steps
            .iter()
            .map(|(path, words)| format!("{words} {}", path.display()))
            .collect()
    }
}

fn named(config: &Config) -> Vec<PathBuf> {
    let daemon = &config.daemon;
    let mut paths = config.files.clone();
    paths.extend([
        daemon.runtime_dir.clone(),
        daemon.state_dir.clone(),
        config.socket.path.clone(),
    ]);
    for need in &config.needs {
        paths.extend(match &need.what {
            Needed::Secret(SecretSource::File { path, .. })
            | Needed::PrivateKey(SecretSource::File { path, .. })
            | Needed::Certificates(path)
            | Needed::Directory(path)
            | Needed::Published { path, .. } => Some(path.clone()),
            Needed::Program(argv) => argv
                .first()
                .map(PathBuf::from)
                .filter(|program| program.is_absolute()),
            Needed::Secret(_) | Needed::PrivateKey(_) => None,
        });
    }
    let sinks = config
        .sessions
        .values()
        .flat_map(|session| session.publish.iter());
    paths.extend(sinks.map(|sink| sink.path.clone()));
    paths
}

fn words(path: &Path, seen: std::io::Result<fs::Metadata>) -> String {
    let seen = match seen {
        Ok(seen) => seen,
        Err(error) if error.kind() == ErrorKind::NotFound => return "missing:".to_owned(),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return "not seen (run `sudo keepfresh doctor`):".to_owned();
        }
        Err(error) => return format!("not seen ({error}):"),
    };
    let name = |kind, number| name_of(kind, number).unwrap_or_else(|| number.to_string());
    let link = fs::read_link(path)
        .map(|target| format!(" (a link to {})", target.display()))
        .unwrap_or_default();
    format!(
        "{}{} {}:{}{link}",
        letter(&seen),
        mode(seen.mode()),
        name(Kind::User, seen.uid()),
        name(Kind::Group, seen.gid())
    )
}

fn letter(seen: &fs::Metadata) -> char {
    let kind = seen.file_type();
    match () {
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_socket() => 's',
        () if kind.is_fifo() => 'p',
        () if kind.is_char_device() => 'c',
        () if kind.is_block_device() => 'b',
        () => '-',
    }
}

/// As `ls -l` has it.
fn mode(mode: u32) -> String {
    let bit = |mask: u32, letter: char| if mode & mask == 0 { '-' } else { letter };
    let run = |mask: u32, special: u32, letter: char| match (mode & mask != 0, mode & special != 0)
    {
        (true, true) => letter,
        (false, true) => letter.to_ascii_uppercase(),
        (true, false) => 'x',
        (false, false) => '-',
    };
    [
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        run(0o100, 0o4000, 's'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        run(0o010, 0o2000, 's'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        run(0o001, 0o1000, 't'),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_ls_writes_them() {
        for (bits, text) in [
            (0o755, "rwxr-xr-x"),
            (0o600, "rw-------"),
            (0o1777, "rwxrwxrwt"),
            (0o4711, "rws--x--x"),
            (0o2640, "rw-r-S---"),
        ] {
            assert_eq!(mode(bits), text, "{bits:o}");
        }
    }

    #[test]
    fn each_step_is_told_once_and_the_way_ends_where_something_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let mut paths = Paths {
            steps: BTreeMap::new(),
            newest: None,
        };
        paths.see(&directory.path().join("a/b/c"));
        paths.see(&directory.path().join("a/b"));
        paths.see(&directory.path().join("d"));
        let lines = paths.lines();
        let ends = |tail: &str| lines.iter().filter(|line| line.ends_with(tail)).count();
        assert_eq!(
            (ends("/a"), ends("/a/b"), ends(" /")),
            (1, 0, 1),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|line| line.starts_with("missing: ")),
            "{lines:?}"
        );
    }
}
