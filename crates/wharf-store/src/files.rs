//! The files inside the store's folder: opened only if they are regular files, and made with modes that do not
//! depend on the umask.
//!
//! Something else may stand where a file belongs: a named pipe, which a plain open waits for without an end, a
//! device, a socket, a folder, or a link that leads out of the store. An open here neither waits nor
//! follows a link, and checks the type of what it has opened.

use std::fs::{self, File, FileType, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The mode of files: a store is its owner's alone.
const FILE_MODE: u32 = 0o600;
/// The mode of folders.
pub(crate) const FOLDER_MODE: u32 = 0o700;
/// The bits of a mode that `chmod` sets.
const MODE_BITS: u32 = 0o7777;
/// How often a file is opened again after something else was removed from its place.
const ATTEMPTS: usize = 3;

/// Something that is not a regular file stands in the place of one.
#[derive(Debug, thiserror::Error)]
#[error("it is {found}, not a regular file")]
struct NotRegular {
    found: &'static str,
}

/// Returns whether an open failed because something that is not a regular file is there.
pub(crate) fn is_not_regular(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotRegular>)
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    open_regular(path, OFlags::RDONLY)
}

/// Opens a file for reading and writing.
pub(crate) fn open_writable(path: &Path) -> io::Result<File> {
    open_regular(path, OFlags::RDWR)
}

/// Opens a file of `ingest/` for reading and writing, and makes it if it is not there. What is not a regular
/// file is removed first, unless it is a folder: everything in `ingest/` may be deleted at any time.
pub(crate) fn open_or_create(path: &Path) -> io::Result<File> {
    let mut attempts = 0;
    let file = loop {
        match open_regular(path, OFlags::RDWR | OFlags::CREATE) {
            Err(error) if is_not_regular(&error) && attempts < ATTEMPTS => {
                let found = fs::symlink_metadata(path)?.file_type();
                if found.is_dir() {
                    return Err(error);
                }
                tracing::warn!(path = %path.display(), %error, "removed from the store");
                fs::remove_file(path)?;
                attempts += 1;
            }
            other => break other?,
        }
    };
    make_private(&file)?;
    Ok(file)
}

/// Makes a new file, open for reading and writing; fails if there is something at its place.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    let file = open_regular(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
    make_private(&file)?;
    Ok(file)
}

/// Returns the length of a regular file, in bytes.
pub(crate) fn length(path: &Path) -> io::Result<u64> {
    let about = fs::symlink_metadata(path)?;
    match name_of(about.file_type()) {
        None => Ok(about.len()),
        Some(found) => Err(not_regular(found)),
    }
}

/// Makes a folder that only its owner may enter; its parent is there.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    rustix::fs::mkdir(path, Mode::from_bits_retain(FOLDER_MODE))?;
    // A handle that needs no permission of the folder itself: the umask may have taken all of them.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if folder.metadata()?.permissions().mode() & MODE_BITS & FOLDER_MODE != FOLDER_MODE {
        let handle = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
        fs::set_permissions(handle, Permissions::from_mode(FOLDER_MODE))?;
    }
    Ok(())
}

/// Returns whether a folder is at a path: not a link to one.
pub(crate) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|about| about.is_dir())
}

fn open_regular(path: &Path, flags: OFlags) -> io::Result<File> {
    let safe = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = Mode::from_bits_retain(FILE_MODE);
    let file = match rustix::fs::open(path, flags | safe, mode) {
        Ok(file) => File::from(file),
        // A link, a socket or a pipe, a folder: the system's own words would be about something else.
        Err(error @ (Errno::LOOP | Errno::NXIO | Errno::ISDIR | Errno::NODEV)) => {
            let found = fs::symlink_metadata(path).ok();
            let found = found.and_then(|about| name_of(about.file_type()));
            return Err(found.map_or(error.into(), not_regular));
        }
        Err(error) => return Err(error.into()),
    };
    match name_of(file.metadata()?.file_type()) {
        None => Ok(file),
        Some(found) => Err(not_regular(found)),
    }
}

/// Corrects a mode that the umask, or an earlier version, has made another one.
fn make_private(file: &File) -> io::Result<()> {
    if file.metadata()?.permissions().mode() & MODE_BITS == FILE_MODE {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}

fn not_regular(found: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, NotRegular { found })
}

/// Names what is not a regular file.
fn name_of(kind: FileType) -> Option<&'static str> {
    if kind.is_file() {
        return None;
    }
    Some(match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_symlink() => "a symbolic link",
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "a special file",
    })
}
