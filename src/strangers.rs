//! Which users besides root and the one who runs this could change what a path leads to, judged at every step of the way: each
//! directory down from the root, each link, and what lies at the end. Access control lists are not looked at.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::users::{Kind, named, user_of_many};

/// The bits of a mode.
const BY_GROUP: u32 = 0o020;
const BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;
/// As many links as the kernel follows (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// The highest number means nobody to the kernel.
const NOBODY: u32 = u32::MAX;

/// The users who may change something.
#[derive(Clone, Debug)]
pub struct Trusted {
    users: Vec<u32>,
}

/// For whom this process looks at files besides itself, as root's check does for the daemon's user. As users belong to the
/// process, so does this.
static LOOKS_FOR: AtomicU32 = AtomicU32::new(NOBODY);

/// From now on, what belongs to `user` is good for [`Trusted::of_this_process`].
pub fn look_for(user: u32) {
    LOOKS_FOR.store(user, Ordering::Relaxed);
}

/// The user who is to read what this process looks at: the one of [`look_for`], else its own.
pub fn reader() -> u32 {
    match LOOKS_FOR.load(Ordering::Relaxed) {
        NOBODY => rustix::process::geteuid().as_raw(),
        user => user,
    }
}

impl Trusted {
    /// Root and the user of this process, and in a container whoever is outside of it: what this process may run.
    pub fn to_run() -> Self {
        let own = [0, rustix::process::geteuid().as_raw()];
        Self {
            users: own.into_iter().chain(user_of_many()).collect(),
        }
    }

    /// As [`Self::to_run`], and the user for whom this process looks: what it may read.
    pub fn of_this_process() -> Self {
        Self::to_run().and(LOOKS_FOR.load(Ordering::Relaxed))
    }

    /// `user` as well.
    #[must_use]
    pub fn and(mut self, user: u32) -> Self {
        self.users.extend(Some(user).filter(|user| *user != NOBODY));
        self
    }

    /// Whether `user` is one of them.
    pub fn has(&self, user: u32) -> bool {
        self.users.contains(&user)
    }
}

/// Who could change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Every user of the machine.
    Everybody,
    /// The members of a group.
    Group(u32),
    /// The owner.
    User(u32),
}

/// What it is that could be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    File,
    Directory,
    Link,
    /// There is nothing yet.
    Missing,
}

/// A step of the way at which somebody else could put something of theirs in the place of what a path leads to. As text it
/// fits behind the path's name: "lies in a directory in which every user can write: /srv (mode 0777)".
#[derive(Clone, Debug)]
pub struct Finding {
    /// The directory, the link or the file.
    pub place: PathBuf,
    /// Who could.
    pub who: Who,
    /// Whose the place is.
    pub owner: u32,
    what: What,
    mode: u32,
}

/// All such steps on the way to `path`; none on a read-only mount, where nobody can write whatever the modes say.
pub fn findings(path: &Path, trusted: &Trusted) -> Vec<Finding> {
    let (steps, missing) = steps(path);
    let mut found: Vec<Finding> = steps
        .iter()
        .filter_map(|step| step.finding(trusted))
        .collect();
    found.extend(
        missing
            .filter(|_| steps.last().is_some_and(Step::is_open))
            .map(|place| Finding {
                place,
                who: Who::Everybody,
                owner: 0,
                what: What::Missing,
                mode: 0,
            }),
    );
    found.retain(|finding| !is_on_read_only_mount(&finding.place));
    found
}

/// The first of [`findings`] for which what lies there must be neither obeyed nor believed nor run: every user could put
/// something else in its place, or one who is not trusted. A group is told of, and no reason to refuse.
pub fn refusal(path: &Path, trusted: &Trusted) -> Option<Finding> {
    findings(path, trusted)
        .into_iter()
        .find(Finding::is_refused)
}

/// Whether nobody can write there, whatever the modes say: so Kubernetes mounts what a pod is given. It says nothing in a
/// service of systemd's, which shows a machine's own disks like that to a service alone (`ProtectSystem=`).
pub fn is_on_read_only_mount(path: &Path) -> bool {
    // A link may lead to another mount.
    let looked_at = if path.is_symlink() {
        path.parent().unwrap_or(path)
    } else {
        path
    };
    let mount = || rustix::fs::statvfs(looked_at);
    std::env::var_os("INVOCATION_ID").is_none()
        && mount().is_ok_and(|mount| mount.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// A place on the way, without links before it.
struct Step {
    place: PathBuf,
    found: Metadata,
}

/// Every place on the way, and the first that is missing.
fn steps(path: &Path) -> (Vec<Step>, Option<PathBuf>) {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut ahead: VecDeque<OsString> = names(&path).collect();
    let mut here = PathBuf::from("/");
    let mut steps: Vec<Step> = step_at(&here).into_iter().collect();
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        let place = here.join(name);
        let step = match step_at(&place) {
            Ok(step) => step,
            Err(error) => {
                return (
                    steps,
                    Some(place).filter(|_| error.kind() == io::ErrorKind::NotFound),
                );
            }
        };
        let target = if step.found.is_symlink() {
            fs::read_link(&place).ok()
        } else {
            None
        };
        steps.push(step);
        let Some(target) = target else {
            here = place;
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            break;
        }
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        for name in names(&target).collect::<Vec<_>>().into_iter().rev() {
            ahead.push_front(name);
        }
    }
    (steps, None)
}

fn step_at(place: &Path) -> io::Result<Step> {
    Ok(Step {
        place: place.to_owned(),
        found: fs::symlink_metadata(place)?,
    })
}

/// The names in a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

impl Step {
    /// Whether everybody can make something there that is not there yet.
    fn is_open(&self) -> bool {
        self.found.is_dir() && self.found.mode() & BY_OTHERS != 0
    }

    fn finding(&self, trusted: &Trusted) -> Option<Finding> {
        let (owner, group, mode) = (self.found.uid(), self.found.gid(), self.found.mode());
        let what = match () {
            () if self.found.is_dir() => What::Directory,
            () if self.found.is_symlink() => What::Link,
            () => What::File,
        };
        // The modes of links mean nothing, and what lies in a sticky directory is its owner's matter, who is looked at next.
        let writable = if what == What::Link || self.found.is_dir() && mode & STICKY != 0 {
            0
        } else {
            mode
        };
        let who = match () {
            () if !trusted.has(owner) => Who::User(owner),
            () if writable & BY_OTHERS != 0 => Who::Everybody,
            () if writable & BY_GROUP != 0 && group != 0 => Who::Group(group),
            () => return None,
        };
        Some(Finding {
            place: self.place.clone(),
            who,
            owner,
            what,
            mode: mode & 0o7777,
        })
    }
}

impl Finding {
    /// Whether what lies there must not be used.
    pub fn is_refused(&self) -> bool {
        match self.who {
            Who::Everybody | Who::User(_) => true,
            Who::Group(_) => false,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        let place = self.place.display();
        match (self.who, self.what) {
            (Who::Everybody, What::Missing) => {
                "put it there, or name a place that only its owner can write in".to_owned()
            }
            (Who::Everybody, _) => format!("take that away with `chmod o-w {place}`"),
            (Who::Group(_), _) => format!("take that away with `chmod g-w {place}`"),
            (Who::User(_), what) => {
                let option = if what == What::Link { "-h " } else { "" };
                format!(
                    "give it to root or to the daemon's user with `chown {option}USER {place}`, or run keepfresh as the user \
                     who owns it"
                )
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, mode) = (self.place.display(), self.mode);
        let who = match self.who {
            Who::Everybody => "every user".to_owned(),
            Who::Group(number) => format!("the group {}", named(Kind::Group, number)),
            Who::User(number) => format!("the user {}", named(Kind::User, number)),
        };
        match (self.who, self.what) {
            (Who::User(_), What::Directory) => {
                write!(
                    f,
                    "lies in a directory of another user: {place} belongs to {who}"
                )
            }
            (Who::User(_), What::Link) => write!(
                f,
                "is reached by a link of another user: {place} belongs to {who}"
            ),
            (Who::User(_), What::File | What::Missing) => write!(f, "belongs to {who}"),
            (Who::Everybody | Who::Group(_), What::Directory) => {
                write!(
                    f,
                    "lies in a directory in which {who} can write: {place} (mode {mode:04o})"
                )
            }
            (Who::Everybody | Who::Group(_), What::File | What::Link) => {
                write!(f, "can be changed by {who} (mode {mode:04o})")
            }
            (Who::Everybody | Who::Group(_), What::Missing) => {
                write!(f, "is not there, and {who} could put it there: {place}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::untried::can_as_root;

    const STRANGER: u32 = 61_031;

    #[test]
    fn who_can_write_at_any_step_of_the_way_is_found_links_included() {
        let scene = Scene::new();
        assert_eq!(scene.told("a/b/file"), "");
        assert_eq!(scene.told("a/link"), "");
        for (place, mode, before, told) in [
            (
                "a",
                0o777,
                0o755,
                "lies in a directory in which every user can write",
            ),
            (
                "a/b",
                0o777,
                0o755,
                "lies in a directory in which every user can write",
            ),
            (
                "a/b",
                0o773,
                0o755,
                "lies in a directory in which every user can write",
            ),
            ("a/b", 0o1777, 0o755, ""),
            (
                "a/b/file",
                0o646,
                0o600,
                "can be changed by every user (mode 0646)",
            ),
        ] {
            scene.mode(place, mode);
            for way in ["a/b/file", "a/link", "a/b/../b/file"] {
                let found = scene.told(way);
                assert!(
                    found.contains(told) && found.is_empty() == told.is_empty(),
                    "{place} {mode:o} {way}: {found}"
                );
            }
            scene.mode(place, before);
        }
    }

    #[test]
    fn what_belongs_to_a_stranger_is_found_and_to_a_trusted_user_is_not() {
        if !can_as_root("give files away") {
            return;
        }
        let scene = Scene::new();
        for (place, told) in [
            ("a", "lies in a directory of another user"),
            ("a/link", "is reached by a link of another user"),
            ("a/b", "lies in a directory of another user"),
            ("a/b/file", "belongs to the user 61031"),
        ] {
            lchown(scene.path(place), Some(STRANGER), None).unwrap();
            assert!(
                scene.told("a/link").contains(told),
                "{place}: {}",
                scene.told("a/link")
            );
            assert!(
                refusal(&scene.path("a/link"), &Trusted::to_run().and(STRANGER)).is_none(),
                "{place}"
            );
            lchown(scene.path(place), Some(0), None).unwrap();
        }
        assert_eq!(scene.told("a/link"), "");
    }

    #[test]
    fn a_group_is_found_and_no_reason_to_refuse_and_what_everybody_could_put_there_is_one() {
        let scene = Scene::new();
        if can_as_root("give files away") {
            chown(scene.path("a/b"), None, Some(STRANGER)).unwrap();
            scene.mode("a/b", 0o775);
            let all = findings(&scene.path("a/b/file"), &Trusted::to_run());
            assert_eq!(
                all.iter().map(|found| found.who).collect::<Vec<_>>(),
                [Who::Group(STRANGER)]
            );
            assert_eq!(scene.told("a/b/file"), "");
        }
        assert_eq!(scene.told("a/b/absent/file"), "");
        scene.mode("a/b", 0o1777);
        assert!(
            scene
                .told("a/b/absent/file")
                .contains("every user could put it there")
        );
    }

    #[test]
    fn links_that_lead_in_a_circle_come_to_an_end() {
        let scene = Scene::new();
        symlink("round", scene.path("a/round")).unwrap();
        assert_eq!(scene.told("a/round/file"), "");
    }

    struct Scene(TempDir);

    impl Scene {
        fn new() -> Self {
            let scene = Self(tempfile::tempdir().unwrap());
            fs::create_dir_all(scene.path("a/b")).unwrap();
            fs::File::create(scene.path("a/b/file")).unwrap();
            for (place, mode) in [("a", 0o755), ("a/b", 0o755), ("a/b/file", 0o600)] {
                scene.mode(place, mode);
            }
            symlink("b/../b/file", scene.path("a/link")).unwrap();
            scene
        }

        fn path(&self, below: &str) -> PathBuf {
            self.0.path().join(below)
        }

        fn mode(&self, place: &str, mode: u32) {
            fs::set_permissions(self.path(place), Permissions::from_mode(mode)).unwrap();
        }

        fn told(&self, below: &str) -> String {
            refusal(&self.path(below), &Trusted::to_run())
                .map(|found| found.to_string())
                .unwrap_or_default()
        }
    }
}
