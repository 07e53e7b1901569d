//! The store's folder: recognised, made private, and trusted only if it is ours.
//!
//! A folder becomes private (0700) only after it was recognised: it is a store, or it is empty. So a wrong
//! `--root` never closes somebody else's folder ([`recognise`]). Everything is decided on one open folder, not on
//! its path, so that nobody swaps it in between (security rules 10 and 17). The open folder is also a lock: each
//! [`crate::Store`] shares it, and rebuilding the database takes it alone.

pub(crate) mod recognise;

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, AtFlags, Mode, OFlags};

use crate::catalog::DATABASE;
use crate::durable::create_directory;
use crate::files::FOLDER_MODE;
use crate::{Result, StoreError};

use self::recognise::{Contents, contents, refuse_system};

/// What must be writable for a store to be written, if it is there.
const WRITTEN: [&str; 4] = [".", "ingest", DATABASE, "wharf.db-wal"];

/// The open folder of a store.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    /// Set if nothing in the folder may be changed, or can be.
    pub(crate) read_only: bool,
    folder: File,
}

impl Root {
    /// Opens the folder, makes it if it is not there, and makes it private. With `read_only` nothing is made
    /// or changed.
    pub(crate) fn open(path: &Path, read_only: bool) -> Result<Self> {
        let path = plain(path)?;
        let folder = match open_folder(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !read_only => {
                create(&path)?;
                open_folder(&path)
            }
            other => other,
        };
        let folder = folder.map_err(|source| refusal(&path, source))?;
        let about = folder
            .metadata()
            .map_err(|source| StoreError::io("look at", &path, source))?;
        let user = rustix::process::geteuid().as_raw();
        if about.uid() != user {
            return Err(StoreError::Owner {
                path,
                owner: about.uid(),
                user,
            });
        }
        refuse_system(&path, &folder, &about)?;
        let contents = contents(&path, &folder, &about)?;
        let mut root = Self {
            path,
            read_only,
            folder,
        };
        root.make_private(&about)?;
        root.read_only = read_only || !root.is_writable();
        if root.read_only && contents == Contents::Nothing {
            return Err(StoreError::ReadOnly { path: root.path });
        }
        Ok(root)
    }

    /// Takes the permissions away that others have. The owner's own stay: who has taken the right to write
    /// from a store wants to read it only.
    fn make_private(&self, about: &Metadata) -> Result<()> {
        let mode = about.mode() & 0o7777;
        if mode == mode & FOLDER_MODE || self.read_only {
            return Ok(());
        }
        let private = Permissions::from_mode(mode & FOLDER_MODE);
        match self.folder.set_permissions(private) {
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            other => other.map_err(|source| StoreError::io("make private", &self.path, source)),
        }
    }

    /// Returns whether this process may write to what a store's writers write to.
    fn is_writable(&self) -> bool {
        let denied = |name: &&str| {
            let access =
                rustix::fs::accessat(&self.folder, *name, Access::WRITE_OK, AtFlags::empty());
            access.is_err_and(|error| error != rustix::io::Errno::NOENT)
        };
        !WRITTEN.iter().any(denied)
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

/// Returns the path without what hides its last component: `LINK/` and `LINK/.` are `LINK`, which is looked at
/// without following it. `LINK/x/..` is refused like `LINK`.
fn plain(path: &Path) -> Result<PathBuf> {
    let plain: PathBuf = path.components().collect();
    if plain.components().next_back() == Some(Component::ParentDir) {
        let mut short = PathBuf::new();
        for component in plain.components() {
            let is_name = matches!(short.components().next_back(), Some(Component::Normal(_)));
            if component == Component::ParentDir && is_name {
                short.pop();
            } else {
                short.push(component);
            }
        }
        if std::fs::symlink_metadata(&short).is_ok_and(|about| about.is_symlink()) {
            return Err(StoreError::Symlink { path: short });
        }
    }
    Ok(plain)
}

fn open_folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Makes the folder and those above it that are missing, all of them private and durable: none of them may
/// be writable for others, or vanish in a power loss together with a store that is durable in itself.
fn create(path: &Path) -> Result<()> {
    // A folder made in some system folders means something, as in those of control groups.
    let above = path.ancestors().skip(1).find_map(|above| {
        let above = if above.as_os_str().is_empty() {
            Path::new(".")
        } else {
            above
        };
        File::open(above).ok()
    });
    if let Some(above) = above {
        recognise::refuse_pseudo(path, &above)?;
    }
    create_directory(path, Path::new(""))
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
