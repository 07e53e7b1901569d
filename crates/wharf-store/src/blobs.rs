//! The blob directory: the bytes.
//!
//! `blobs/sha256/xx/<hex>`: complete, verified, read-only, named by content; `xx` are the first two hex
//! digits, so that no folder grows large.
//! Invariant: a file under `blobs/` is complete and matches its name. Order: the bytes are verified in
//! `ingest/`, synced, renamed; then the folder is synced, and only then does a row say "here".

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use wharf_core::Digest;
use wharf_core::digest::Algorithm;

use crate::durable::{create_directory, remove, rename, sync, sync_directory, sync_names};
use crate::{Result, StoreError, fail, files, random_id};

/// Nobody writes to a blob again.
const READ_ONLY: u32 = 0o444;

/// The folders with content: complete under `blobs/`, set aside under `damaged/`.
#[derive(Clone, Debug)]
pub(crate) struct Blobs {
    root: PathBuf,
}

impl Blobs {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Makes the folders of a new store, durably.
    pub(crate) fn create(&self) -> Result<()> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            create_directory(&self.folder().join(algorithm.as_str()), &self.root)?;
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        self.root.join("blobs")
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.folder()
            .join(digest.algorithm().as_str())
            .join(&hex[..2])
            .join(hex)
    }

    /// Opens a blob; `None` if there is no file.
    pub(crate) fn open(&self, digest: &Digest) -> Result<Option<(File, u64)>> {
        let path = self.path(digest);
        let opened = files::open(&path).and_then(|file| {
            let size = file.metadata()?.len();
            Ok((file, size))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A pipe, a link, a folder: a check sets it aside, and the next pull replaces it.
            Err(error) if files::is_not_regular(&error) => Err(StoreError::Damaged(digest.clone())),
            Err(source) => Err(StoreError::io("open", &path, source)),
        }
    }

    /// The length of a blob's file, in bytes; `None` if there is no regular file.
    pub(crate) fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.path(digest);
        match files::length(&path) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if files::is_not_regular(&error) => Ok(None),
            Err(source) => Err(StoreError::io("look at", &path, source)),
        }
    }

    /// Returns when a blob's bytes came; `None` if there is no file.
    pub(crate) fn modified(&self, digest: &Digest) -> Result<Option<SystemTime>> {
        let path = self.path(digest);
        match fs::metadata(&path).and_then(|about| about.modified()) {
            Ok(time) => Ok(Some(time)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::io("look at", &path, source)),
        }
    }

    /// Puts verified bytes in place, durably. `file` is open on `from`.
    pub(crate) fn publish(&self, file: &File, from: &Path, digest: &Digest) -> Result<()> {
        let to = self.path(digest);
        file.set_permissions(Permissions::from_mode(READ_ONLY))
            .map_err(|source| StoreError::io("make read-only", from, source))?;
        sync(file, from)?;
        fail::point("blob-synced");
        // A folder with a blob in it is durable: whoever put the first one has synced it. An empty one
        // may have been made by a process that came no further.
        if let Some(folder) = to.parent().filter(|folder| is_empty(folder)) {
            create_directory(folder, &self.root)?;
        }
        if files::is_folder(&to) {
            self.set_aside(digest)?;
        }
        rename(from, &to)?;
        fail::point("blob-renamed");
        Ok(())
    }

    /// Makes a blob durable that this process did not put in place: the one that did may have been killed
    /// between the rename and the folder's sync. `file` is open on it.
    pub(crate) fn settle(&self, file: &File, digest: &Digest) -> Result<()> {
        let path = self.path(digest);
        sync(file, &path)?;
        sync_names(&path, &self.root)
    }

    /// Removes a blob's file, and returns whether it was there. A folder in its place is set aside.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<bool> {
        let path = self.path(digest);
        if files::is_folder(&path) {
            self.set_aside(digest)?;
            return Ok(false);
        }
        remove(&path)
    }

    /// Moves a blob's file out of the way, for whoever wants to look at it.
    pub(crate) fn set_aside(&self, digest: &Digest) -> Result<()> {
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        self.move_aside(&self.path(digest), &name)
    }

    /// Moves a file out of the way that is no blob's.
    pub(crate) fn set_file_aside(&self, path: &Path) -> Result<()> {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy())
            .unwrap_or_default();
        self.move_aside(path, &name)
    }

    fn move_aside(&self, from: &Path, name: &str) -> Result<()> {
        let folder = self.root.join("damaged");
        create_directory(&folder, &self.root)?;
        let mut to = folder.join(name);
        // A folder cannot take a file's place, nor a file a folder's.
        if files::is_folder(&to) || files::is_folder(from) && fs::symlink_metadata(&to).is_ok() {
            to = folder.join(format!("{name}-{}", random_id()?));
        }
        rename(from, &to)?;
        from.parent().map_or(Ok(()), sync_directory)
    }

    /// Returns whether there is any file. The first one ends the search.
    pub(crate) fn has_any(&self) -> Result<bool> {
        for algorithm in entries(&self.folder())? {
            for shard in entries(&algorithm)? {
                if !is_empty(&shard) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Calls `take` for every file: with its digest, or with its path if the name is none.
    pub(crate) fn each(
        &self,
        take: &mut dyn FnMut(std::result::Result<Digest, PathBuf>) -> Result<()>,
    ) -> Result<()> {
        for algorithm in entries(&self.folder())? {
            let name = file_name(&algorithm);
            if !files::is_folder(&algorithm) {
                take(Err(algorithm))?;
                continue;
            }
            for shard in entries(&algorithm)? {
                if !files::is_folder(&shard) {
                    take(Err(shard))?;
                    continue;
                }
                for path in entries(&shard)? {
                    let digest = format!("{name}:{}", file_name(&path))
                        .parse::<Digest>()
                        .ok();
                    // A file in a wrong folder would be looked for elsewhere.
                    take(
                        digest
                            .filter(|digest| self.path(digest) == path)
                            .ok_or(path),
                    )?;
                }
            }
        }
        Ok(())
    }
}

/// Is there nothing in the folder, or no folder?
fn is_empty(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => true,
    }
}

/// What is in a folder, sorted; nothing if it's no folder or isn't there. A link to one is not followed.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    if !files::is_folder(folder) {
        return Ok(Vec::new());
    }
    let error = |source| StoreError::io("list", folder, source);
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(source)
            if matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(source) => return Err(error(source)),
    };
    let mut all = listing
        .map(|entry| Ok(entry.map_err(error)?.path()))
        .collect::<Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

/// A file's own name. What is no text is none of ours, and matches nothing.
pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}
