//! Removes a folder with all that is in it, without following any link, and with few open folders however
//! deep it is.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, chmodat, openat, openat2, unlinkat,
};
use rustix::io::Errno;

/// How often a folder is read again in which another thread still makes files.
const ROUNDS_MAX: usize = 100;

/// A folder below the one that is removed.
struct Step {
    /// Where its name begins in the path.
    start: usize,
    name: CString,
}

/// Removes the folder `name` in another one.
pub(super) fn remove_tree(at: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let root = match open(at, name.as_bytes(), true) {
        Err(Errno::NOENT) => return Ok(()),
        root => root?,
    };
    for _ in 0..ROUNDS_MAX {
        empty(&root)?;
        match unlinkat(at, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => std::thread::yield_now(),
            other => return Ok(other?),
        }
    }
    Err(Errno::NOTEMPTY.into())
}

fn open(at: impl rustix::fd::AsFd, path: &[u8], first: bool) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if first {
        return openat(at, path, flags, Mode::empty());
    }
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    match openat2(&at, path, flags, Mode::empty(), how) {
        // A kernel before 5.6, or a sandbox that does not know the call: no other user writes here.
        Err(Errno::NOSYS | Errno::PERM) => openat(at, path, flags, Mode::empty()),
        other => other,
    }
}

/// Removes what is in a folder.
fn empty(root: &OwnedFd) -> io::Result<()> {
    let mut path = Vec::new();
    let mut left: Vec<Step> = files_of(root, root, &path)?
        .into_iter()
        .map(|name| Step { start: 0, name })
        .collect();
    // Steps that stand in `open` are folders whose content is under way.
    let mut open_steps: Vec<(usize, Step)> = Vec::new();
    loop {
        // Folders that have nothing under way any more are empty.
        while let Some((count, _)) = open_steps.last() {
            if left.len() > *count {
                break;
            }
            let Some((_, step)) = open_steps.pop() else {
                break;
            };
            path.truncate(step.start);
            path.extend_from_slice(step.name.as_bytes());
            match unlinkat(root, &path[..], AtFlags::REMOVEDIR) {
                // Another thread has made something there: the next round finds it.
                Ok(()) | Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some(step) = left.pop() else {
            return Ok(());
        };
        path.truncate(step.start);
        path.extend_from_slice(step.name.as_bytes());
        let inside = match open(root, &path, false) {
            // Its permissions may be the image's already.
            Err(Errno::ACCESS) => {
                chmodat(root, &path[..], Mode::RWXU, AtFlags::empty())?;
                open(root, &path, false)
            }
            other => other,
        };
        let inside = match inside {
            Err(Errno::NOENT) => continue,
            inside => inside?,
        };
        let below = files_of(root, &inside, &path)?;
        open_steps.push((left.len(), step));
        path.push(b'/');
        let start = path.len();
        left.extend(below.into_iter().map(|name| Step { start, name }));
    }
}

/// Removes the files in a folder; returns the folders in it.
fn files_of(root: &OwnedFd, folder: &OwnedFd, path: &[u8]) -> io::Result<Vec<CString>> {
    let mut folders = Vec::new();
    let mut writable = false;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            folders.push(name.to_owned());
            continue;
        }
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => folders.push(name.to_owned()),
            Err(Errno::ACCESS | Errno::PERM) if !writable && !path.is_empty() => {
                writable = true;
                chmodat(root, path, Mode::RWXU, AtFlags::empty())?;
                unlinkat(folder, name, AtFlags::empty())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !folders.is_empty() && !path.is_empty() {
        // What is in it goes only out of a folder that one may write to.
        rustix::fs::fchmod(folder, Mode::RWXU)?;
    }
    Ok(folders)
}
