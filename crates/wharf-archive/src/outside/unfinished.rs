//! Files and folders that are not finished yet. What is not finished goes away: when it is dropped, and when a
//! signal ends the program.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags, fchmod, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

use super::destination::Destination;
use super::remove::remove_tree;

/// How often a name is tried that something else has: there are 2⁴⁸ of them.
const TRIES_MAX: usize = 16;

/// How much of a place's name is in the name of what is begun for it, in bytes: a name has at most 255.
const NAME_MAX: usize = 200;

/// Everything that is not finished, by numbers.
static UNFINISHED: Mutex<BTreeMap<u64, Unfinished>> = Mutex::new(BTreeMap::new());

/// A signal ends the program: nothing is begun any more.
static ABANDONED: AtomicBool = AtomicBool::new(false);

struct Unfinished {
    folder: Arc<OwnedFd>,
    name: OsString,
    is_folder: bool,
}

impl Unfinished {
    fn remove(&self) -> io::Result<()> {
        if self.is_folder {
            return remove_tree(self.folder.as_fd(), &self.name);
        }
        Ok(unlinkat(&*self.folder, &self.name, AtFlags::empty())?)
    }
}

fn unfinished() -> MutexGuard<'static, BTreeMap<u64, Unfinished>> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes everything that is not finished, and lets nothing be begun or finished from now on. For a program that
/// a signal ends.
pub fn abandon() {
    ABANDONED.store(true, Ordering::SeqCst);
    for one in std::mem::take(&mut *unfinished()).into_values() {
        if let Err(error) = one.remove() {
            tracing::warn!(%error, name = %one.name.display(), "what is not finished stays");
        }
    }
}

/// Tells whether [`abandon`] was called. Writers of many files stop then.
pub fn is_abandoned() -> bool {
    ABANDONED.load(Ordering::SeqCst)
}

/// What the names of everything begin with that is begun for a place.
pub(super) fn prefix(name: &OsStr) -> OsString {
    let name = name.as_bytes();
    let start = &name[..name.len().min(NAME_MAX)];
    OsString::from_vec([b".", start, b".wharf-"].concat())
}

/// A registered name of something that is begun.
struct Entry {
    number: u64,
    name: OsString,
}

impl Entry {
    /// Begins something under a name that nothing has.
    fn new<T>(
        place: &Destination,
        is_folder: bool,
        make: impl Fn(&OsStr) -> rustix::io::Result<T>,
    ) -> io::Result<(Self, T)> {
        let random = RandomState::new();
        for attempt in 0..TRIES_MAX {
            let mut hasher = random.build_hasher();
            hasher.write_usize(attempt);
            let number = hasher.finish();
            let mut name = prefix(place.name());
            name.push(format!("{:012x}", number >> 16));
            // Under the lock: between making and registering it, a signal would leave it.
            let mut all = unfinished();
            if is_abandoned() {
                return Err(Errno::INTR.into());
            }
            if all.contains_key(&number) {
                continue;
            }
            match make(&name) {
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
                Ok(made) => {
                    let one = Unfinished {
                        folder: Arc::clone(place.folder()),
                        name: name.clone(),
                        is_folder,
                    };
                    all.insert(number, one);
                    return Ok((Self { number, name }, made));
                }
            }
        }
        Err(Errno::EXIST.into())
    }

    /// Renames it to the name of its place.
    fn finish(&self, place: &Destination) -> io::Result<()> {
        // Under the lock: a signal removes it before this or not at all.
        let mut all = unfinished();
        if !all.contains_key(&self.number) {
            return Err(Errno::INTR.into());
        }
        renameat(place.folder(), &self.name, place.folder(), place.name())?;
        all.remove(&self.number);
        Ok(())
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let one = unfinished().remove(&self.number);
        if let Some(Err(error)) = one.map(|one| one.remove()) {
            tracing::warn!(%error, name = %self.name.display(), "what is not finished stays");
        }
    }
}

/// A file that is not finished: it goes away with this.
pub struct NewFile {
    destination: Destination,
    entry: Entry,
    file: File,
}

impl std::fmt::Debug for NewFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewFile({})", self.destination.path().display())
    }
}

impl NewFile {
    pub(super) fn new(place: Destination) -> io::Result<Self> {
        let flags =
            OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = |name: &OsStr| openat(place.folder(), name, flags, Mode::RUSR | Mode::WUSR);
        let (entry, file) = Entry::new(&place, false, make)?;
        let file = file.into();
        Ok(Self {
            destination: place,
            entry,
            file,
        })
    }

    /// Returns where it goes.
    pub const fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Returns the open file.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Makes its bytes durable, and puts it into its place with these permissions. What is there is
    /// replaced if it is a file.
    pub fn finish_durably(self, mode: u32) -> io::Result<()> {
        self.file.sync_all()?;
        let folder = Arc::clone(self.destination.folder());
        self.finish(mode)?;
        Ok(rustix::fs::fsync(&*folder)?)
    }

    /// Puts it into its place with these permissions. What is there is replaced if it is a file.
    pub fn finish(self, mode: u32) -> io::Result<()> {
        fchmod(&self.file, Mode::from_raw_mode(mode))?;
        self.entry.finish(&self.destination)
    }
}

/// A folder that is not finished: it goes away with this, and all that is in it.
pub struct NewFolder {
    destination: Destination,
    entry: Entry,
    folder: OwnedFd,
}

impl std::fmt::Debug for NewFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewFolder({})", self.destination.path().display())
    }
}

impl AsFd for NewFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl NewFolder {
    pub(super) fn new(place: Destination) -> io::Result<Self> {
        let (entry, ()) = Entry::new(&place, true, |name| {
            mkdirat(place.folder(), name, Mode::RWXU)
        })?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(place.folder(), &entry.name, flags, Mode::empty())?;
        Ok(Self {
            destination: place,
            entry,
            folder,
        })
    }

    /// Makes a folder in it, for this user only, and opens it.
    pub fn make(&self, name: &str) -> io::Result<OwnedFd> {
        mkdirat(&self.folder, name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.folder, name, flags, Mode::empty())?)
    }

    /// Makes a file in it, with these permissions as far as the user's mask allows them.
    pub fn make_file(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.folder, name, flags, Mode::from_raw_mode(mode))?.into())
    }

    /// Sets its permissions.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.folder, Mode::from_raw_mode(mode))?)
    }

    /// Puts it into its place. An empty folder that is there makes room; nothing else does.
    pub fn finish(self) -> io::Result<()> {
        self.entry.finish(&self.destination)
    }
}
