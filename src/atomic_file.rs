//! Replaces a file so that a reader sees the old one or the new one, whole, whatever breaks in between.
//!
//! The new file is made beside the old one, gets its bytes, owner and mode while only this process can read it, and is
//! then renamed over it. Nothing else in the program writes a file.

mod directory;
mod stamp;
mod workshop;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, StatVfsMountFlags, Timespec, Timestamps,
    UTIME_OMIT, Uid,
};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::hex;

pub use directory::create_directory;
pub use stamp::{Stamp, StatCache, directory_stamp, stamp};
pub use workshop::Workshop;

/// How the names of temporary files begin; 16 hexadecimal digits follow.
const TEMPORARY_PREFIX: &str = ".keepfresh-";

/// What the file's metadata must be, whatever the umask and whatever was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits, as for `chmod`.
    pub mode: u32,
    /// User id; none for this process's own.
    pub owner: Option<u32>,
    /// Group id; none for what a new file gets there.
    pub group: Option<u32>,
}

/// What is done to replace a file, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Open the directory, trusting no link that a stranger may have set.
    OpenDirectory,
    /// Create the temporary file, exclusively and readable by its owner alone.
    Create,
    /// Write every byte.
    Write,
    /// Set owner and group.
    Own,
    /// Set the mode.
    SetMode,
    /// Bring the bytes to the disk.
    Sync,
    /// Put the new file in the old one's place.
    Rename,
    /// Bring the directory's entry to the disk.
    SyncDirectory,
    /// Remove the file.
    Remove,
}

/// Why a file could not be replaced or removed; unless it failed in [`Step::SyncDirectory`], the old one is untouched.
#[derive(Debug, Error)]
#[error("{} {}: {error}; {}", .step.phrase(), .path.display(), remedy(*.step, .error))]
pub struct FileError {
    /// The file that was to be replaced or removed.
    pub path: PathBuf,
    /// What failed.
    pub step: Step,
    /// How.
    pub error: io::Error,
}

/// Replaces `path` by a file that holds `bytes`; a symbolic link of that name is replaced, not followed. Blocks on the disk.
///
/// # Errors
/// Names path, step and remedy; no temporary file stays behind.
pub fn replace(path: &Path, bytes: &[u8], attributes: Attributes) -> Result<Stamp, FileError> {
    replace_observed(path, bytes, attributes, |_| Ok(()))
}

/// Makes `path`, a file that holds `bytes`; whatever has that name already stays as it is. Blocks on the disk.
///
/// # Errors
/// Names path, step and remedy; no temporary file stays behind.
pub fn create(path: &Path, bytes: &[u8], attributes: Attributes) -> Result<(), FileError> {
    let mut reached = Step::OpenDirectory;
    let made = attempt(path, bytes, attributes, false, |step| {
        reached = step;
        Ok(())
    });
    made.map(drop).map_err(|error| FileError {
        path: path.to_owned(),
        step: reached,
        error,
    })
}

/// Removes `path`, durably; says whether there was something to remove. A symbolic link is removed, not followed.
///
/// # Errors
/// Names path and remedy. That the directory is missing is no error.
pub fn remove(path: &Path) -> Result<bool, FileError> {
    let failed = |step| {
        move |error: io::Error| FileError {
            path: path.to_owned(),
            step,
            error,
        }
    };
    let (parent, name) = split(path).map_err(failed(Step::Remove))?;
    let directory = match directory::open(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(failed(Step::OpenDirectory))?,
    };
    match rustix::fs::unlinkat(&directory, name, AtFlags::empty()) {
        Ok(()) => sync_directory(&directory)
            .map(|()| true)
            .map_err(failed(Step::SyncDirectory)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(failed(Step::Remove)(errno.into())),
    }
}

/// Whether a file could be put at `path` as far as can be told without writing; says what [`replace`] would say.
///
/// # Errors
/// Names path, step and remedy.
pub fn has_room_at(path: &Path) -> Result<(), FileError> {
    let failed = |step| {
        move |error: io::Error| FileError {
            path: path.to_owned(),
            step,
            error,
        }
    };
    let (parent, name) = split(path).map_err(failed(Step::OpenDirectory))?;
    let directory = directory::open(parent).map_err(failed(Step::OpenDirectory))?;
    let disk = rustix::fs::fstatvfs(&directory)
        .map_err(|errno| failed(Step::OpenDirectory)(errno.into()))?;
    if disk.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(failed(Step::Create)(Errno::ROFS.into()));
    }
    // Some file systems count no blocks.
    if disk.f_blocks > 0 && disk.f_bfree == 0 {
        return Err(failed(Step::Write)(Errno::NOSPC.into()));
    }
    let found = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
    if found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_dir()) {
        return Err(failed(Step::Rename)(Errno::ISDIR.into()));
    }
    Ok(())
}

/// The stamp of `path` if it is a plain file under this one name that holds exactly `bytes` with exactly `attributes`.
pub fn matching(path: &Path, bytes: &[u8], attributes: Attributes) -> Option<Stamp> {
    let (parent, name) = split(path).ok()?;
    let directory = directory::open(parent).ok()?;
    let whereabouts = rustix::fs::fstat(&directory).ok()?;
    let could_be = |found: &Stat| {
        fits(found, &whereabouts, attributes)
            && u64::try_from(found.st_size) == u64::try_from(bytes.len())
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let found = match rustix::fs::openat(&directory, name, flags, Mode::empty()) {
        Ok(file) => {
            let found = rustix::fs::fstat(&file).ok().filter(could_be)?;
            read(file, bytes.len())
                .is_ok_and(|content| *content == bytes)
                .then_some(found)
        }
        // Given away, and closed to this process: what was left in its time must do.
        Err(Errno::ACCESS) => {
            let found = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .ok()
                .filter(could_be)?;
            (i64::try_from(found.st_mtime_nsec) == Ok(checksum(bytes))).then_some(found)
        }
        Err(_) => None,
    };
    found.as_ref().map(Stamp::of)
}

/// What the plain file at `path` holds, if it can be read and is no longer than `most` bytes; never waits for a pipe.
pub fn content(path: &Path, most: u64) -> Option<Zeroizing<Vec<u8>>> {
    let (parent, name) = split(path).ok()?;
    let directory = directory::open(parent).ok()?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, name, flags, Mode::empty()).ok()?;
    let found = rustix::fs::fstat(&file).ok()?;
    let length = u64::try_from(found.st_size)
        .ok()
        .filter(|length| *length <= most)?;
    let plain = FileType::from_raw_mode(found.st_mode).is_file();
    plain
        .then(|| read(file, usize::try_from(length).unwrap_or(usize::MAX)))?
        .ok()
}

/// Removes the temporary files that a killed process left in `directory`; says how many.
///
/// # Errors
/// When the directory cannot be read; a missing one has none.
pub fn sweep(directory: &Path) -> io::Result<usize> {
    let directory = match directory::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened?,
    };
    let mut removed = 0;
    for entry in rustix::fs::Dir::read_from(&directory)? {
        let entry = entry?;
        let plain = matches!(entry.file_type(), FileType::RegularFile | FileType::Unknown);
        if plain && is_temporary(entry.file_name().to_bytes()) {
            rustix::fs::unlinkat(&directory, entry.file_name(), AtFlags::empty())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// [`replace`], with `observe` called before each step, so that tests can let each one fail or kill the process there.
fn replace_observed(
    path: &Path,
    bytes: &[u8],
    attributes: Attributes,
    observe: impl Fn(Step) -> io::Result<()>,
) -> Result<Stamp, FileError> {
    let mut reached = Step::OpenDirectory;
    attempt(path, bytes, attributes, true, |step| {
        reached = step;
        observe(step)
    })
    .map_err(|error| FileError {
        path: path.to_owned(),
        step: reached,
        error,
    })
}

fn attempt(
    path: &Path,
    bytes: &[u8],
    attributes: Attributes,
    over_another: bool,
    mut enter: impl FnMut(Step) -> io::Result<()>,
) -> io::Result<Stamp> {
    enter(Step::OpenDirectory)?;
    let (parent, name) = split(path)?;
    let directory = directory::open(parent)?;
    enter(Step::Create)?;
    let mut temporary = Temporary::create(&directory)?;
    enter(Step::Write)?;
    write_all(&temporary.file, bytes)?;
    enter(Step::Own)?;
    own(&temporary.file, None, attributes.group)?;
    enter(Step::SetMode)?;
    rustix::fs::fchmod(&temporary.file, Mode::from_raw_mode(attributes.mode))?;
    // Last: mode and time of a file that was given away are the new owner's to set.
    enter(Step::Own)?;
    if attributes
        .owner
        .is_some_and(|owner| owner != rustix::process::geteuid().as_raw())
    {
        leave_checksum(&temporary.file, bytes);
    }
    own(&temporary.file, attributes.owner, None)?;
    enter(Step::Sync)?;
    rustix::fs::fsync(&temporary.file)?;
    enter(Step::Rename)?;
    temporary.put(name, over_another)?;
    enter(Step::SyncDirectory)?;
    sync_directory(&directory)?;
    // Only now: the rename itself changes the stamp.
    Ok(Stamp::of(&rustix::fs::fstat(&temporary.file)?))
}

/// A file that is unlinked when dropped before it was renamed.
struct Temporary<'a> {
    directory: &'a OwnedFd,
    name: String,
    file: OwnedFd,
    renamed: bool,
}

impl<'a> Temporary<'a> {
    fn create(directory: &'a OwnedFd) -> io::Result<Self> {
        let name = temporary_name()?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self {
            directory,
            name,
            file,
            renamed: false,
        })
    }

    fn put(&mut self, name: &OsStr, over_another: bool) -> io::Result<()> {
        if over_another {
            rustix::fs::renameat(self.directory, &self.name, self.directory, name)?;
            self.renamed = true;
        } else {
            // Its first name goes when this is dropped.
            rustix::fs::linkat(
                self.directory,
                &self.name,
                self.directory,
                name,
                AtFlags::empty(),
            )?;
        }
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            // The failure that led here is reported; what stays behind now is swept at the next start.
            let _ = rustix::fs::unlinkat(self.directory, &self.name, AtFlags::empty());
        }
    }
}

fn temporary_name() -> io::Result<String> {
    // The crypto library's own source takes 40 ms to begin, which a start would wait for.
    let mut random = [0; 8];
    getrandom(&mut random, GetRandomFlags::empty())?;
    Ok(format!("{TEMPORARY_PREFIX}{}", hex(&random)))
}

fn is_temporary(name: &[u8]) -> bool {
    name.strip_prefix(TEMPORARY_PREFIX.as_bytes())
        .is_some_and(|digits| digits.len() == 16 && digits.iter().all(u8::is_ascii_hexdigit))
}

fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Ok((parent, name)),
        (None, _) | (_, None) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "this is not the path of a file",
        )),
    }
}

fn write_all(file: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Reads one byte more than is expected at most, so that a file that grew meanwhile is seen to differ.
fn read(file: OwnedFd, expected: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut content = Zeroizing::new(Vec::with_capacity(expected.saturating_add(1)));
    let limit = u64::try_from(expected)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    io::Read::read_to_end(
        &mut io::Read::take(std::fs::File::from(file), limit),
        &mut content,
    )?;
    Ok(content)
}

/// Puts a checksum of the content into the fraction of the file's second, by which [`matching`] knows it again when this
/// process may not read it. Where times are coarser, it is not known again, and written once more.
fn leave_checksum(file: impl AsFd, bytes: &[u8]) {
    let Ok(found) = rustix::fs::fstat(&file) else {
        return;
    };
    let unchanged = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_OMIT,
    };
    let marked = Timespec {
        tv_sec: found.st_mtime,
        tv_nsec: checksum(bytes),
    };
    let _ = rustix::fs::futimens(
        file,
        &Timestamps {
            last_access: unchanged,
            last_modification: marked,
        },
    );
}

/// Of a secret it tells less than thirty bits.
fn checksum(bytes: &[u8]) -> i64 {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().fold(0, |sum, byte| {
        (sum * 256 + i64::from(*byte)) % 1_000_000_000
    })
}

/// Calls `fchown` only where it changes something: without the right to it, a service's filter may kill the process.
fn own(file: impl AsFd, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    let found = rustix::fs::fstat(&file)?;
    let owner = owner.filter(|&owner| owner != found.st_uid);
    let group = group.filter(|&group| group != found.st_gid);
    if owner.is_some() || group.is_some() {
        rustix::fs::fchown(&file, owner.map(Uid::from_raw), group.map(Gid::from_raw))?;
    }
    Ok(())
}

/// Some file systems have no way to sync a directory and say so; their renames are as durable as they get.
fn sync_directory(directory: impl AsFd) -> io::Result<()> {
    match rustix::fs::fsync(directory) {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn fits(found: &Stat, directory: &Stat, attributes: Attributes) -> bool {
    let own_group = rustix::process::getegid().as_raw();
    let group_fits = attributes.group.map_or_else(
        || found.st_gid == own_group || found.st_gid == directory.st_gid,
        |group| found.st_gid == group,
    );
    FileType::from_raw_mode(found.st_mode).is_file()
        && found.st_nlink == 1
        && found.st_mode & 0o7777 == attributes.mode
        && found.st_uid
            == attributes
                .owner
                .unwrap_or_else(|| rustix::process::geteuid().as_raw())
        && group_fits
}

impl Step {
    fn phrase(self) -> &'static str {
        match self {
            Self::OpenDirectory => "open the directory of",
            Self::Create => "create a temporary file beside",
            Self::Write => "write the new content of",
            Self::Own => "set owner and group of",
            Self::SetMode => "set the mode of",
            Self::Sync => "sync to the disk",
            Self::Rename => "replace",
            Self::SyncDirectory => "sync the directory of",
            Self::Remove => "remove",
        }
    }
}

/// What to do about a directory of the daemon's own that cannot be used.
pub fn directory_remedy(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => "free space there",
        Some(Errno::ROFS) => "mount it writable, name it in ReadWritePaths= of the service",
        Some(Errno::NOTDIR | Errno::LOOP) => {
            "every part of its path must be a directory, or a link set by root"
        }
        Some(Errno::MFILE) => "raise LimitNOFILE= of the service: 64 are the least",
        Some(_) | None => "give it to the daemon's user (chown)",
    }
}

/// What to do about it; chosen by the error first, for a full disk is a full disk at every step.
fn remedy(step: Step, error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => "free space there",
        Some(Errno::ROFS) => {
            "mount it writable, or name it in ReadWritePaths= of the service: `keepfresh check` prints the drop-in"
        }
        Some(Errno::MFILE) => {
            "too many files and connections are open: raise LimitNOFILE= of the service"
        }
        Some(Errno::NOENT) => "create the directory",
        Some(Errno::NOTDIR | Errno::LOOP) => {
            "every part of its directory must be a directory, or a link set by root"
        }
        Some(Errno::ISDIR) => "there is a directory of that name: remove it or choose another name",
        Some(Errno::PERM) if step == Step::Own => {
            "the service must be a member of that group (SupplementaryGroups=), another owner takes CAP_CHOWN: \
             `keepfresh check` prints the drop-in"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "let the daemon's user write to that directory; where the unit hides it, `keepfresh check` prints \
             the drop-in"
        }
        Some(_) | None => "check that file system",
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    use std::process::{Command, Output};
    use std::sync::atomic::{AtomicBool, Ordering};

    use tempfile::TempDir;

    use super::*;
    use crate::untried::can_as_root;

    const PRIVATE: Attributes = Attributes {
        mode: 0o600,
        owner: None,
        group: None,
    };
    const EVERY_STEP: [Step; 8] = [
        Step::OpenDirectory,
        Step::Create,
        Step::Write,
        Step::Own,
        Step::SetMode,
        Step::Sync,
        Step::Rename,
        Step::SyncDirectory,
    ];
    /// Tells the test binary, run again as a child, where to die: `directory:step`.
    const KILL_AT: &str = "KEEPFRESH_TEST_KILL_AT";

    #[test]
    fn the_content_is_exact_and_nothing_else_is_left_in_the_directory() {
        let dir = TempDir::new().unwrap();
        for content in [Vec::new(), vec![b'x'], vec![0xff; 200_000]] {
            replace(&dir.path().join("token"), &content, PRIVATE).unwrap();
            assert_eq!(fs::read(dir.path().join("token")).unwrap(), content);
            assert_eq!(names(dir.path()), ["token"]);
        }
    }

    #[test]
    fn the_mode_is_exact_whatever_the_umask_and_whatever_the_file_before_had() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        for umask in [0o000, 0o022, 0o077, 0o777] {
            for mode in [0o600, 0o640, 0o444, 0o666] {
                let child = in_child(
                    "write_under_umask",
                    &format!("{}:{umask}:{mode}", path.display()),
                );
                assert!(child.status.success(), "{child:?}");
                assert_eq!(
                    fs::metadata(&path).unwrap().mode() & 0o7777,
                    mode,
                    "umask {umask:o}"
                );
            }
        }
    }

    #[test]
    fn owner_and_group_are_exact_where_the_process_may_set_them() {
        if !can_as_root("give files away") {
            return;
        }
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        let attributes = Attributes {
            mode: 0o640,
            owner: Some(12_345),
            group: Some(23_456),
        };
        let stamp = replace(&path, b"x", attributes).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(
            (found.uid(), found.gid(), found.mode() & 0o7777),
            (12_345, 23_456, 0o640)
        );
        assert_eq!(matching(&path, b"x", attributes), Some(stamp));
        assert_eq!(
            matching(
                &path,
                b"x",
                Attributes {
                    owner: None,
                    ..attributes
                }
            ),
            None
        );
        assert_eq!(
            matching(
                &path,
                b"x",
                Attributes {
                    group: Some(1),
                    ..attributes
                }
            ),
            None
        );
    }

    #[test]
    fn a_file_that_was_given_away_and_is_closed_to_this_process_is_known_again() {
        if !can_as_root("give files away") {
            return;
        }
        let dir = TempDir::new().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = dir.path().join("token");
        let attributes = Attributes {
            mode: 0o600,
            owner: Some(12_345),
            group: None,
        };
        replace(&path, b"secret", attributes).unwrap();
        for (bytes, mode, known) in [
            ("secret", 0o600, true),
            ("Secret", 0o600, false),
            ("secre", 0o600, false),
            ("secret", 0o400, false),
        ] {
            let asked = format!("{}:{bytes}:{mode}:{known}", path.display());
            assert!(
                in_child("look_as_a_stranger", &asked).status.success(),
                "{asked}"
            );
        }
        io::Write::write_all(
            &mut fs::OpenOptions::new().write(true).open(&path).unwrap(),
            b"forged",
        )
        .unwrap();
        let asked = format!("{}:secret:{}:false", path.display(), 0o600);
        assert!(
            in_child("look_as_a_stranger", &asked).status.success(),
            "somebody wrote to it"
        );
    }

    #[test]
    fn a_planted_link_is_replaced_and_what_it_pointed_to_is_untouched() {
        let dir = TempDir::new().unwrap();
        let victim = dir.path().join("victim");
        fs::hard_link(file(&victim, b"mine"), dir.path().join("hard")).unwrap();
        symlink(&victim, dir.path().join("soft")).unwrap();
        symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
        for name in ["hard", "soft", "dangling"] {
            let path = dir.path().join(name);
            replace(&path, b"token", PRIVATE).unwrap();
            assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{name}");
            assert_eq!(fs::read(&path).unwrap(), b"token", "{name}");
        }
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        assert_eq!(names(dir.path()), ["dangling", "hard", "soft", "victim"]);
    }

    #[test]
    fn a_directory_behind_a_link_is_used_only_if_root_or_this_user_set_the_link() {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("real/deep")).unwrap();
        symlink("./real/../real", dir.path().join("link")).unwrap();
        let path = dir.path().join("link/deep/token");
        replace(&path, b"x", PRIVATE).unwrap();
        assert_eq!(fs::read(dir.path().join("real/deep/token")).unwrap(), b"x");
        if can_as_root("give files away") {
            std::os::unix::fs::lchown(dir.path().join("link"), Some(12_345), None).unwrap();
            let error = replace(&path, b"y", PRIVATE).unwrap_err();
            assert_eq!(error.step, Step::OpenDirectory);
            assert_eq!(fs::read(dir.path().join("real/deep/token")).unwrap(), b"x");
        }
    }

    #[test]
    fn links_in_a_circle_are_an_error_and_no_endless_walk() {
        let dir = TempDir::new().unwrap();
        symlink(dir.path().join("b"), dir.path().join("a")).unwrap();
        symlink(dir.path().join("a"), dir.path().join("b")).unwrap();
        assert_eq!(
            replace(&dir.path().join("a/token"), b"x", PRIVATE)
                .unwrap_err()
                .step,
            Step::OpenDirectory
        );
    }

    #[test]
    fn whichever_step_fails_the_old_file_stays_whole_and_no_temporary_is_left() {
        for failing in EVERY_STEP {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("token");
            replace(&path, b"old", PRIVATE).unwrap();
            let fail = |step| {
                if step == failing {
                    Err(Errno::NOSPC.into())
                } else {
                    Ok(())
                }
            };
            let error = replace_observed(&path, b"new", PRIVATE, fail).unwrap_err();
            assert_eq!(error.step, failing);
            assert_eq!(names(dir.path()), ["token"], "{failing:?}");
            let expected: &[u8] = if failing == Step::SyncDirectory {
                b"new"
            } else {
                b"old"
            };
            assert_eq!(fs::read(&path).unwrap(), expected, "{failing:?}");
            assert!(
                error.to_string().contains("token: No space left on device"),
                "{error}"
            );
            assert!(error.to_string().ends_with("; free space there"), "{error}");
        }
    }

    #[test]
    fn a_process_killed_at_any_step_leaves_the_file_whole_and_the_sweep_cleans_up() {
        for step in EVERY_STEP {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("token");
            replace(&path, b"old", PRIVATE).unwrap();
            let _ = in_child("die_on_the_way", &format!("{}:{step:?}", path.display()));
            let expected: &[u8] = if step == Step::SyncDirectory {
                b"new"
            } else {
                b"old"
            };
            assert_eq!(fs::read(&path).unwrap(), expected, "{step:?}");
            let temporary = matches!(
                step,
                Step::Write | Step::Own | Step::SetMode | Step::Sync | Step::Rename
            );
            assert_eq!(
                sweep(dir.path()).unwrap(),
                usize::from(temporary),
                "{step:?}"
            );
            assert_eq!(names(dir.path()), ["token"], "{step:?}");
        }
    }

    #[test]
    fn until_the_rename_the_new_file_is_readable_by_nobody_else() {
        let dir = TempDir::new().unwrap();
        let modes = RefCell::new(Vec::new());
        let look = |step| {
            for name in names(dir.path()) {
                modes.borrow_mut().push((
                    step,
                    fs::metadata(dir.path().join(name)).unwrap().mode() & 0o7777,
                ));
            }
            Ok(())
        };
        replace_observed(
            &dir.path().join("token"),
            b"x",
            Attributes {
                mode: 0o644,
                ..PRIVATE
            },
            look,
        )
        .unwrap();
        let expected = [
            (Step::Write, 0o600),
            (Step::Own, 0o600),
            (Step::SetMode, 0o600),
            (Step::Own, 0o644),
            (Step::Sync, 0o644),
            (Step::Rename, 0o644),
            (Step::SyncDirectory, 0o644),
        ];
        assert_eq!(modes.into_inner(), expected);
    }

    #[test]
    fn a_reader_in_a_tight_loop_never_sees_it_torn_empty_or_missing() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        let contents = [vec![b'a'; 10_000], vec![b'b'; 50_000]];
        replace(&path, &contents[0], PRIVATE).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reads = 0_u32;
                while !done.load(Ordering::Relaxed) || reads < 100 {
                    assert!(contents.contains(&fs::read(&path).unwrap()), "read {reads}");
                    reads += 1;
                }
            });
            for round in 0..300 {
                replace(&path, &contents[round % 2], PRIVATE).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
        });
    }

    #[test]
    fn only_an_exact_plain_file_matches() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("token");
        let stamp = replace(&path, b"x", PRIVATE).unwrap();
        assert_eq!(
            (matching(&path, b"x", PRIVATE), self::stamp(&path)),
            (Some(stamp), Some(stamp))
        );
        for (bytes, mode) in [
            (&b"y"[..], 0o600),
            (b"xx", 0o600),
            (b"", 0o600),
            (b"x", 0o640),
        ] {
            assert_eq!(
                matching(&path, bytes, Attributes { mode, ..PRIVATE }),
                None,
                "{bytes:?} {mode:o}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_ne!(self::stamp(&path), Some(stamp));
        let again = replace(&path, b"x", PRIVATE).unwrap();
        assert_ne!(again, stamp);
        fs::hard_link(&path, dir.path().join("other")).unwrap();
        assert_eq!(matching(&path, b"x", PRIVATE), None);
        symlink(&path, dir.path().join("link")).unwrap();
        assert_eq!(matching(&dir.path().join("link"), b"x", PRIVATE), None);
        assert_eq!(matching(&dir.path().join("absent"), b"x", PRIVATE), None);
    }

    #[test]
    fn removing_takes_the_file_or_the_link_and_finds_nothing_wrong_with_nothing() {
        let dir = TempDir::new().unwrap();
        let victim = dir.path().join("victim");
        symlink(file(&victim, b"mine"), dir.path().join("link")).unwrap();
        assert!(remove(&dir.path().join("link")).unwrap());
        assert!(!remove(&dir.path().join("link")).unwrap());
        assert!(!remove(&dir.path().join("absent/token")).unwrap());
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        fs::create_dir(dir.path().join("directory")).unwrap();
        assert_eq!(
            remove(&dir.path().join("directory")).unwrap_err().step,
            Step::Remove
        );
    }

    #[test]
    fn the_sweep_takes_its_own_names_only() {
        let dir = TempDir::new().unwrap();
        for name in [
            ".keepfresh-0123456789abcdef",
            ".keepfresh-0123",
            ".keepfresh-notes-on-tokens",
            "token",
        ] {
            file(&dir.path().join(name), b"");
        }
        assert_eq!(sweep(dir.path()).unwrap(), 1);
        assert_eq!(
            names(dir.path()),
            [".keepfresh-0123", ".keepfresh-notes-on-tokens", "token"]
        );
        assert_eq!(sweep(&dir.path().join("absent")).unwrap(), 0);
    }

    #[test]
    fn directories_are_created_with_their_mode_and_existing_ones_keep_theirs() {
        let dir = TempDir::new().unwrap();
        create_directory(&dir.path().join("a/b"), 0o755).unwrap();
        create_directory(&dir.path().join("a"), 0o700).unwrap();
        for name in ["a", "a/b"] {
            assert_eq!(
                fs::metadata(dir.path().join(name)).unwrap().mode() & 0o7777,
                0o755,
                "{name}"
            );
        }
        create_directory(&file(&dir.path().join("file"), b""), 0o755).unwrap_err();
    }

    #[test]
    fn too_few_descriptors_are_no_trouble_of_the_file_system() {
        let error = io::Error::from_raw_os_error(Errno::MFILE.raw_os_error());
        assert!(remedy(Step::OpenDirectory, &error).contains("LimitNOFILE"));
    }

    #[test]
    fn an_error_names_the_path_the_step_and_the_remedy() {
        let dir = TempDir::new().unwrap();
        fs::create_dir_all(dir.path().join("taken/by")).unwrap();
        for (path, step, words) in [
            ("absent/token", Step::OpenDirectory, "create the directory"),
            ("taken", Step::Rename, "remove it or choose another name"),
        ] {
            let error = replace(&dir.path().join(path), b"x", PRIVATE).unwrap_err();
            assert_eq!(error.step, step);
            let text = error.to_string();
            assert!(
                text.contains(path) && text.contains(words) && text.starts_with(step.phrase()),
                "{text}"
            );
        }
        assert_eq!(names(dir.path()), ["taken"]);
        assert_eq!(
            replace(Path::new("/"), b"x", PRIVATE).unwrap_err().step,
            Step::OpenDirectory
        );
    }

    #[test]
    #[ignore = "a part of other tests, run by them in a process of its own"]
    fn write_under_umask() {
        let Ok(told) = std::env::var(KILL_AT) else {
            return;
        };
        let [path, umask, mode] = told.split(':').collect::<Vec<_>>().try_into().unwrap();
        rustix::process::umask(Mode::from_raw_mode(umask.parse().unwrap()));
        replace(
            Path::new(path),
            b"x",
            Attributes {
                mode: mode.parse().unwrap(),
                ..PRIVATE
            },
        )
        .unwrap();
    }

    #[test]
    #[ignore = "a part of other tests, run by them in a process of its own"]
    fn look_as_a_stranger() {
        let Ok(told) = std::env::var(KILL_AT) else {
            return;
        };
        let [path, bytes, mode, known] = told.split(':').collect::<Vec<_>>().try_into().unwrap();
        rustix::thread::set_thread_uid(Uid::from_raw(65_534)).unwrap();
        fs::read(path).unwrap_err();
        let attributes = Attributes {
            mode: mode.parse().unwrap(),
            owner: Some(12_345),
            group: None,
        };
        assert_eq!(
            matching(Path::new(path), bytes.as_bytes(), attributes).is_some(),
            known == "true"
        );
    }

    #[test]
    #[ignore = "a part of other tests, run by them in a process of its own"]
    fn die_on_the_way() {
        let Ok(told) = std::env::var(KILL_AT) else {
            return;
        };
        let (path, last) = told.split_once(':').unwrap();
        let die = |step| {
            if format!("{step:?}") == last {
                kill_this_process()
            } else {
                Ok(())
            }
        };
        replace_observed(Path::new(path), b"new", PRIVATE, die).unwrap();
    }

    fn kill_this_process() -> io::Result<()> {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
        Ok(())
    }

    fn in_child(test: &str, told: &str) -> Output {
        let name = format!("atomic_file::tests::{test}");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", &name])
            .env(KILL_AT, told)
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("running 1 test"),
            "{output:?}"
        );
        output
    }

    fn file(path: &Path, content: &[u8]) -> PathBuf {
        io::Write::write_all(&mut fs::File::create(path).unwrap(), content).unwrap();
        path.to_owned()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
