//! Opens and creates directories without following a link that a stranger may have set.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// As many as the kernel follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a directory for `…at` calls and for syncing.
///
/// Symbolic links on the way are followed only if root or this process's user set them, as in `/var/run`.
pub(super) fn open(path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    match rustix::fs::openat2(
        CWD,
        path,
        DIRECTORY,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS,
    ) {
        // A link is there, or the kernel or its filter knows no openat2.
        Err(Errno::LOOP | Errno::NOSYS | Errno::PERM) => walk(path),
        opened => Ok(opened?),
    }
}

/// Creates a directory and the missing ones above it with exactly `mode`, and opens nothing up that exists.
///
/// # Errors
/// Those of the system; that it exists is none.
pub fn create_directory(path: &Path, mode: u32) -> io::Result<()> {
    match open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened.map(drop),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    create_directory(parent, mode)?;
    create_in(&open(parent)?, name, mode)
}

fn create_in(parent: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        // Somebody else was quicker: the mode is theirs.
        Err(Errno::EXIST) => return Ok(()),
        result => result?,
    }
    let created = rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    Ok(rustix::fs::fchmod(created, Mode::from_raw_mode(mode))?)
}

/// Follows `path` one component at a time, so that each link is judged before it is followed.
fn walk(path: &Path) -> io::Result<OwnedFd> {
    let mut ahead: VecDeque<OsString> = components(path).collect();
    let mut links = 0;
    let mut here = rustix::fs::openat(CWD, ".", LOOK, Mode::empty())?;
    while let Some(name) = ahead.pop_front() {
        let next = rustix::fs::openat(&here, &name, LOOK, Mode::empty())?;
        let Some(target) = trusted_link(&next)? else {
            here = next;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::LOOP.into());
        }
        for component in components(Path::new(&target))
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
        {
            ahead.push_front(component);
        }
    }
    Ok(rustix::fs::openat(&here, ".", DIRECTORY, Mode::empty())?)
}

fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components()
        .map(Component::as_os_str)
        .map(OsStr::to_owned)
}

/// Where a link points; none for anything else.
fn trusted_link(file: &OwnedFd) -> io::Result<Option<OsString>> {
    let found = rustix::fs::fstat(file)?;
    if !FileType::from_raw_mode(found.st_mode).is_symlink() {
        return Ok(None);
    }
    if found.st_uid != 0 && found.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Errno::LOOP.into());
    }
    Ok(Some(OsString::from_vec(
        rustix::fs::readlinkat(file, "", Vec::new())?.into_bytes(),
    )))
}
