//! The new folder, below which everything is made, and how each kind of file is.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, Timestamps, XattrFlags, chownat,
    fchmod, fchown, fsetxattr, futimens, linkat, makedev, mkdirat, mknodat, openat2, symlinkat,
    utimensat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use wharf_archive::files::{Entry, Kind};
use wharf_archive::outside::is_abandoned;

use super::shown;

/// How many open folders a thread keeps: files come in their folders' order, mostly.
const FOLDERS_MAX: usize = 64;

/// Where everything goes, and who does it.
pub(super) struct Target {
    root: OwnedFd,
    /// May owners be set, and devices made?
    privileged: bool,
    notices: Mutex<Notices>,
}

/// What could not be made as it is: each kind is told of once, with its first example.
#[derive(Default)]
pub(super) struct Notices(BTreeMap<&'static str, (String, usize)>);

impl Target {
    /// Below a folder that is empty, and open.
    pub(super) fn below(root: OwnedFd) -> Self {
        Self {
            root,
            privileged: rustix::process::geteuid().is_root(),
            notices: Mutex::default(),
        }
    }

    /// What could not be made as it is, a line for each kind.
    pub(super) fn into_notices(self) -> Vec<String> {
        let notices = self.notices.into_inner();
        notices.unwrap_or_else(PoisonError::into_inner).lines()
    }

    /// Opens a name below a folder, without following any link.
    pub(super) fn open(
        &self,
        at: &OwnedFd,
        path: &[u8],
        flags: OFlags,
        mode: Mode,
    ) -> rustix::io::Result<OwnedFd> {
        going_on()?;
        let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(at, path, flags, mode, how) {
            // A kernel before 5.6, or a sandbox that does not know the call: the folder is ours alone, and
            // has no links in it before the last step.
            Err(Errno::NOSYS | Errno::PERM) => {
                rustix::fs::openat(at, path, flags | OFlags::NOFOLLOW, mode)
            }
            other => other,
        }
    }

    pub(super) fn folder(&self, path: &[u8]) -> rustix::io::Result<()> {
        going_on()?;
        mkdirat(&self.root, path, Mode::RWXU)
    }

    pub(super) fn finish_file(
        &self,
        file: &OwnedFd,
        path: &[u8],
        entry: &Entry<'_>,
    ) -> rustix::io::Result<()> {
        self.finish(file, path, entry)?;
        futimens(file, &times(entry))
    }

    pub(super) fn finish_folder(&self, path: &[u8], entry: &Entry<'_>) -> rustix::io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = self.open(&self.root, path, flags, Mode::empty())?;
        self.finish(&folder, path, entry)?;
        futimens(&folder, &times(entry))
    }

    pub(super) fn finish_root(&self, entry: Option<&Entry<'_>>) -> rustix::io::Result<()> {
        let Some(entry) = entry else {
            return fchmod(&self.root, Mode::from_raw_mode(0o755));
        };
        self.finish(&self.root, b"/", entry)?;
        futimens(&self.root, &times(entry))
    }

    /// Owner first: setting it takes away set-uid bits and capabilities.
    fn finish(&self, file: &OwnedFd, path: &[u8], entry: &Entry<'_>) -> rustix::io::Result<()> {
        if self.privileged
            && let Some((uid, gid)) = self.owner(path, entry)
        {
            fchown(file, Some(uid), Some(gid))?;
        }
        fchmod(file, Mode::from_raw_mode(entry.mode))?;
        for (name, value) in entry.xattrs() {
            match fsetxattr(file, name, value, XattrFlags::empty()) {
                Ok(()) => {}
                Err(error @ (Errno::IO | Errno::ROFS | Errno::BADF)) => return Err(error),
                // Which names and lengths are possible depends on the file system.
                Err(_) => self.notice("extended attributes were left out", path),
            }
        }
        Ok(())
    }

    /// A symbolic link, a device, a pipe.
    pub(super) fn other(&self, path: &[u8], entry: &Entry<'_>) -> rustix::io::Result<()> {
        let (folder, name) = split(path);
        let opened;
        let at = if folder.is_empty() {
            &self.root
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            opened = self.open(&self.root, folder, flags, Mode::empty())?;
            &opened
        };
        let kind = match entry.kind {
            Kind::Symlink => {
                symlinkat(entry.link, at, name)?;
                return self.finish_special(at, (name, path), entry, false);
            }
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        if kind != FileType::Fifo && !self.privileged {
            self.notice("devices were left out, which only root makes", path);
            return Ok(());
        }
        let device = makedev(entry.device.0, entry.device.1);
        match mknodat(at, name, kind, Mode::from_raw_mode(entry.mode), device) {
            Ok(()) => self.finish_special(at, (name, path), entry, true),
            Err(Errno::PERM) => {
                self.notice("devices were left out, which may not be made here", path);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn finish_special(
        &self,
        at: &OwnedFd,
        (name, path): (&[u8], &[u8]),
        entry: &Entry<'_>,
        mode: bool,
    ) -> rustix::io::Result<()> {
        if self.privileged
            && let Some((uid, gid)) = self.owner(path, entry)
        {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            chownat(at, name, Some(uid), Some(gid), flags)?;
        }
        if mode {
            rustix::fs::chmodat(at, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
        }
        utimensat(at, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The owner, if Linux has such numbers.
    fn owner(&self, path: &[u8], entry: &Entry<'_>) -> Option<(Uid, Gid)> {
        let number = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        let owner = number(entry.uid).zip(number(entry.gid));
        if owner.is_none() {
            self.notice("owners were left out that Linux has no numbers for", path);
        }
        owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)))
    }

    /// A further name of a file. Both lie below folders of ours, with no link above them.
    pub(super) fn link(&self, first: &[u8], path: &[u8]) -> rustix::io::Result<()> {
        match linkat(&self.root, first, &self.root, path, AtFlags::empty()) {
            // A device that was left out has no further names.
            Err(Errno::NOENT) if !self.privileged => Ok(()),
            other => other,
        }
    }

    fn notice(&self, what: &'static str, path: &[u8]) {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = notices.0.entry(what).or_insert_with(|| (shown(path), 0));
        entry.1 += 1;
    }
}

impl Notices {
    fn lines(&self) -> Vec<String> {
        let line = |(what, (first, count)): (&&str, &(String, usize))| match count {
            1 => format!("{what}: {first}"),
            _ => format!("{what}: {first} and {} more", count - 1),
        };
        self.0.iter().map(line).collect()
    }
}

/// Folders that are open, for the files in them.
pub(super) struct Folders<'a> {
    target: &'a Target,
    open: Vec<(Vec<u8>, OwnedFd)>,
}

impl<'a> Folders<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self {
            target,
            open: Vec::new(),
        }
    }

    /// Makes a file. There is none of its name yet.
    pub(super) fn create(&mut self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let (folder, name) = split(path);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        if folder.is_empty() {
            return self.target.open(&self.target.root, name, flags, mode);
        }
        if let Some(place) = self.open.iter().position(|(known, _)| known == folder) {
            let known = self.open.remove(place);
            self.open.push(known);
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = self
                .target
                .open(&self.target.root, folder, flags, Mode::empty())?;
            if self.open.len() == FOLDERS_MAX {
                self.open.remove(0);
            }
            self.open.push((folder.to_vec(), opened));
        }
        match self.open.last() {
            Some((_, folder)) => self.target.open(folder, name, flags, mode),
            None => Err(Errno::NOENT),
        }
    }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

/// Fails once a signal ends the program: what is made here goes away then.
fn going_on() -> rustix::io::Result<()> {
    if is_abandoned() {
        Err(Errno::INTR)
    } else {
        Ok(())
    }
}

fn times(entry: &Entry<'_>) -> Timestamps {
    let time = Timespec {
        tv_sec: entry.mtime,
        tv_nsec: entry.nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
