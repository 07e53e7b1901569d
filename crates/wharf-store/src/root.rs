//! The store's folder: made private, and trusted only if it is ours.
//!
//! Everything is decided on one open folder, not on its path, so that nobody swaps it in between
//! (security rule 10). The open folder is also a lock: each [`crate::Store`] shares it, and rebuilding the
//! database takes it alone.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::durable::sync_directory;
use crate::{Result, StoreError};

/// Only its owner looks into a store: images may hold secrets.
const PRIVATE: u32 = 0o700;

/// The open folder of a store.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    folder: File,
}

impl Root {
    /// Opens the folder, makes it if it isn't there, and corrects its permissions.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let folder = match open_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(path)?;
                open_folder(path)
            }
            other => other,
        };
        let folder = folder.map_err(|source| refusal(path, source))?;
        let about = folder
            .metadata()
            .map_err(|source| StoreError::io("look at", path, source))?;
        let user = rustix::process::geteuid().as_raw();
        if about.uid() != user {
            return Err(StoreError::Owner {
                path: path.to_owned(),
                owner: about.uid(),
                user,
            });
        }
        if about.mode() & 0o7777 != PRIVATE {
            folder
                .set_permissions(std::fs::Permissions::from_mode(PRIVATE))
                .map_err(|source| StoreError::io("make private", path, source))?;
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
        })
    }

    /// Shares the store with other processes. A repair that is under way is waited for: it ends.
    pub(crate) fn share(&self) -> Result<()> {
        self.folder
            .lock_shared()
            .map_err(|source| StoreError::io("lock", &self.path, source))
    }

    /// Keeps all other processes out, if none is in.
    pub(crate) fn seize(&self) -> Result<()> {
        self.folder.try_lock().map_err(|_| StoreError::InUse {
            path: self.path.clone(),
        })
    }
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Makes the folder private from its first moment, and those above it as they usually are.
fn create(path: &Path) -> Result<()> {
    let error = |source| StoreError::io("make the store's folder", path, source);
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        std::fs::create_dir_all(parent).map_err(error)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(error(source)),
        _ => sync_directory(parent.unwrap_or(Path::new("."))),
    }
}

/// Says why a folder could not be opened. The system answers the same for a link and for a file.
fn refusal(path: &Path, source: io::Error) -> StoreError {
    let path_buf = path.to_owned();
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_symlink() => StoreError::Symlink { path: path_buf },
        Ok(about) if !about.is_dir() => StoreError::NotAFolder { path: path_buf },
        _ => StoreError::io("open the store", path, source),
    }
}
