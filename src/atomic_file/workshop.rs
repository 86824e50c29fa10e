//! A directory beside a file, for what can be made by its path alone: nobody else can enter it, whoever may write around it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{directory, is_temporary, split, temporary_name};

/// What is made in it, before it has its place.
const PIECE: &str = "keepfresh.sock";

/// Where the kernel shows this process its descriptors; not in every container.
const DESCRIPTORS: &str = "/proc/self/fd";

const INSIDE: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The directory; gone again when dropped, with what was not put into its place.
pub struct Workshop {
    around: OwnedFd,
    around_path: PathBuf,
    name: String,
    inside: OwnedFd,
}

impl Workshop {
    /// Makes one beside `path`, and sweeps what killed processes left of theirs.
    ///
    /// # Errors
    /// Those of the system.
    pub fn beside(path: &Path) -> io::Result<Self> {
        let (parent, _) = split(path)?;
        let around = open_around(parent)?;
        sweep(&around);
        let name = temporary_name()?;
        rustix::fs::mkdirat(&around, &name, Mode::RWXU)?;
        let inside = rustix::fs::openat(&around, &name, INSIDE, Mode::empty())?;
        if !is_private(&inside) {
            // Whoever may write around it has put another in its place.
            return Err(Errno::ACCESS.into());
        }
        Ok(Self {
            around,
            around_path: parent.to_owned(),
            name,
            inside,
        })
    }

    /// The path of the piece that is made: by the descriptor of the directory, so that nobody can lead it elsewhere.
    pub fn piece(&self) -> PathBuf {
        let by_descriptor = Path::new(DESCRIPTORS).join(self.inside.as_raw_fd().to_string());
        let directory = if by_descriptor.exists() {
            by_descriptor
        } else {
            self.around_path.join(&self.name)
        };
        directory.join(PIECE)
    }

    /// Puts the piece into its place, over whatever has that name.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn put(self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(
            &self.inside,
            PIECE,
            &self.around,
            name,
        )?)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        clear(&self.around, &self.name, &self.inside);
    }
}

/// Where one may write without reading, a descriptor that only names the directory will do.
fn open_around(parent: &Path) -> io::Result<OwnedFd> {
    match directory::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(rustix::fs::openat(
            CWD,
            parent,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?),
        opened => opened,
    }
}

fn is_private(directory: &OwnedFd) -> bool {
    let own = rustix::process::geteuid().as_raw();
    rustix::fs::fstat(directory)
        .is_ok_and(|found| found.st_uid == own && found.st_mode & 0o777 == 0o700)
}

/// What stays behind here is swept by the next.
fn clear(around: &OwnedFd, name: &str, inside: &OwnedFd) {
    let _ = rustix::fs::unlinkat(inside, PIECE, AtFlags::empty());
    let _ = rustix::fs::unlinkat(around, name, AtFlags::REMOVEDIR);
}

fn sweep(around: &OwnedFd) {
    let Ok(entries) = rustix::fs::Dir::read_from(around) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if directory
            && is_temporary(name.to_bytes())
            && let Ok(name) = name.to_str()
            && let Ok(inside) = rustix::fs::openat(around, name, INSIDE, Mode::empty())
            && is_private(&inside)
        {
            clear(around, name, &inside);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_piece_gets_its_place_and_nothing_stays_beside_it_not_even_of_a_killed_process() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("k.sock");
        let left = Workshop::beside(&path).unwrap();
        drop(UnixListener::bind(left.piece()).unwrap());
        std::mem::forget(left);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        let workshop = Workshop::beside(&path).unwrap();
        let _listener = UnixListener::bind(workshop.piece()).unwrap();
        workshop.put(path.file_name().unwrap()).unwrap();
        let names: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["k.sock"]);
    }
}
