//! A place for a file or a folder: an opened folder, and a name in it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::unfinished::{NewFile, NewFolder};

/// How many links are followed: Linux's limit.
const LINKS_MAX: usize = 40;

/// A place for a file or a folder.
#[derive(Clone, Debug)]
pub struct Destination {
    folder: Arc<OwnedFd>,
    name: OsString,
    /// For messages.
    path: PathBuf,
}

/// Opens a folder. The last word of its name may be a link only with `flags` that allow it.
fn open_folder(at: impl rustix::fd::AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | flags;
    Ok(openat(at, path, flags, Mode::empty())?)
}

/// The folder that a path is in, and its last word.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let Some(name) = path.file_name() else {
        let message = format!("{} names no file or folder", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    Ok((folder.unwrap_or(Path::new(".")), name))
}

impl Destination {
    /// Opens the folder that `path` is in.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (folder, name) = split(path)?;
        Ok(Self {
            folder: Arc::new(open_folder(rustix::fs::CWD, folder, OFlags::empty())?),
            name: name.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Does the same, and follows a link as the last word. Fails if a user other than this one and root made
    /// the link.
    pub fn follow(path: &Path) -> io::Result<Self> {
        Self::open(path)?.followed()
    }

    /// Opens the folder that `path` is, for a name in it. A link to the folder is followed as in
    /// [`Destination::follow`].
    pub fn in_folder(path: &Path, name: &OsStr) -> io::Result<Self> {
        let mut found = match path.file_name() {
            Some(_) => Self::follow(path)?.within(name)?,
            // `.`, `..` and the root are never links.
            None => Self {
                folder: Arc::new(open_folder(rustix::fs::CWD, path, OFlags::empty())?),
                name: split(Path::new(name))?.1.to_owned(),
                path: PathBuf::new(),
            },
        };
        found.path = path.join(name);
        Ok(found)
    }

    /// Returns the same place, or the one that a link at this place leads to.
    pub fn followed(self) -> io::Result<Self> {
        let mut place = self;
        for _ in 0..LINKS_MAX {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let link = match openat(&place.folder, &place.name, flags, Mode::empty()) {
                Err(Errno::NOENT) => return Ok(place),
                link => link?,
            };
            let about = fstat(&link)?;
            if FileType::from_raw_mode(about.st_mode) != FileType::Symlink {
                return Ok(place);
            }
            if about.st_uid != 0 && about.st_uid != rustix::process::geteuid().as_raw() {
                let message = format!(
                    "it is a symbolic link that user {} made, and is not followed",
                    about.st_uid
                );
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
            let target = readlinkat(&link, "", Vec::new())?;
            let target = Path::new(OsStr::from_bytes(target.as_bytes()));
            let (folder, name) = match split(target) {
                Ok(split) => split,
                // `.`, `..` and the root are folders, which are opened and not written over.
                Err(_) => (target, OsStr::new(".")),
            };
            let folder = match open_folder(&place.folder, folder, OFlags::empty()) {
                // A link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(place),
                folder => folder?,
            };
            place = Self {
                folder: Arc::new(folder),
                name: name.to_owned(),
                path: place.path,
            };
        }
        Err(Errno::LOOP.into())
    }

    /// The place of a name in the folder that is here.
    fn within(&self, name: &OsStr) -> io::Result<Self> {
        let here = Path::new(&self.name);
        // The folder itself may be `.`, which is never a link.
        let folder = open_folder(self.folder.as_fd(), here, OFlags::NOFOLLOW)?;
        let (_, name) = split(Path::new(name))?;
        Ok(Self {
            folder: Arc::new(folder),
            name: name.to_owned(),
            path: self.path.join(name),
        })
    }

    /// Opens the folder that is here, and makes it before if nothing is here.
    pub fn open_or_make(&self, mode: u32) -> io::Result<OwnedFd> {
        match rustix::fs::mkdirat(&self.folder, &self.name, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        open_folder(self.folder.as_fd(), Path::new(&self.name), OFlags::NOFOLLOW)
    }

    /// Returns the path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the last word of its path.
    pub fn name(&self) -> &OsStr {
        &self.name
    }

    pub(super) const fn folder(&self) -> &Arc<OwnedFd> {
        &self.folder
    }

    /// Returns what is here, a link for itself.
    pub fn kind(&self) -> io::Result<Option<FileType>> {
        match statat(&self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(about) => Ok(Some(FileType::from_raw_mode(about.st_mode))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells whether there is a folder here.
    pub fn is_folder(&self) -> bool {
        matches!(self.kind(), Ok(Some(FileType::Directory)))
    }

    /// Tells whether there is a folder here with nothing in it.
    pub fn is_empty_folder(&self) -> io::Result<bool> {
        let here = Path::new(&self.name);
        let folder = open_folder(self.folder.as_fd(), here, OFlags::NOFOLLOW)?;
        for entry in rustix::fs::Dir::new(folder)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Begins a file, which only this user may open until it is finished.
    pub fn new_file(&self) -> io::Result<NewFile> {
        NewFile::new(self.clone())
    }

    /// Begins a folder, which only this user may open until it is finished.
    pub fn new_folder(&self) -> io::Result<NewFolder> {
        NewFolder::new(self.clone())
    }

    /// Makes a symbolic link. Fails if anything is here.
    pub fn new_link(&self, target: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, &self.folder, &self.name)?)
    }

    /// Returns the names of what an earlier process began for this place and did not finish.
    pub fn left_over(&self) -> io::Result<Vec<PathBuf>> {
        let folder = open_folder(self.folder.as_fd(), Path::new("."), OFlags::empty())?;
        let prefix = super::unfinished::prefix(&self.name);
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::new(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name.starts_with(prefix.as_bytes()) {
                let parent = self.path.parent().unwrap_or(Path::new(""));
                found.push(parent.join(OsStr::from_bytes(name)));
            }
        }
        Ok(found)
    }
}

/// Returns why a file cannot be written at a place: something other than a file is there. In Docker's words (28.5:
/// atomicwriter).
pub fn obstacle(place: &Destination) -> Option<&'static str> {
    let words = match place.kind().ok()?? {
        FileType::RegularFile => return None,
        FileType::Directory => "cannot write to a directory",
        FileType::Symlink => "cannot write to a symbolic link directly",
        FileType::Fifo => "cannot write to a named pipe (FIFO)",
        FileType::Socket => "cannot write to a socket",
        FileType::CharacterDevice => "cannot write to a character device file",
        _ => "cannot write to a block device file",
    };
    Some(words)
}
