//! What the inspector wrote down of a layer while it read it.
//!
//! `notes/<algorithm>-<hex>`: the notes of the layer whose blob has this digest.
//! `ingest/<algorithm>-<hex>.notes`: notes of a layer that is being stored, under that blob's lock.
//! `ingest/notes-<id>`: notes of a layer that is read again, locked. A store that can only be read has none of
//! these; the notes are then made in a temporary file without a name.
//!
//! Notes can always be made again from the blob, so nothing here is synced: after a power loss a file
//! may be empty or cut off, which their reader sees, and the store does not care. They go with the blob.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use wharf_core::Digest;

use crate::blobs::{entries, file_name};
use crate::durable::{remove, replace};
use crate::{Result, StoreError, files, random_id};

/// The beginning of the file name of notes that are made anew.
pub(crate) const PREFIX: &str = "notes-";

/// The folder of notes.
#[derive(Clone, Debug)]
pub(crate) struct NoteFolder {
    folder: PathBuf,
}

/// Notes that are being made anew: [`NotesFile::keep`] puts them in place, dropping it removes them.
#[derive(Debug)]
pub struct NotesFile {
    file: File,
    /// `None` if they are used once, and kept nowhere.
    path: Option<PathBuf>,
    folder: NoteFolder,
    digest: Digest,
}

impl NoteFolder {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            folder: root.join("notes"),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let (algorithm, hex) = (digest.algorithm().as_str(), digest.hex());
        self.folder.join(format!("{algorithm}-{hex}"))
    }

    /// Opens the notes of a layer; `None` if there are none.
    pub(crate) fn open(&self, digest: &Digest) -> Result<Option<File>> {
        let path = self.path(digest);
        match files::open(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Like notes that are damaged: they are made anew.
            Err(error) if files::is_not_regular(&error) => Ok(None),
            Err(source) => Err(StoreError::io("open", &path, source)),
        }
    }

    /// Starts notes anew, in the folder `ingest`.
    pub(crate) fn begin(&self, digest: &Digest, ingest: &Path) -> Result<NotesFile> {
        let path = ingest.join(format!("{PREFIX}{}", random_id()?));
        let file =
            files::create_new(&path).map_err(|source| StoreError::io("make", &path, source))?;
        // A collection leaves alone what is locked.
        if let Err(error) = file.try_lock() {
            tracing::debug!(%error, "the notes are made without a lock");
        }
        Ok(self.notes_file(file, Some(path), digest))
    }

    /// Starts notes that are not kept: in a temporary file, or in memory where there is no place for one.
    pub(crate) fn begin_unkept(&self, digest: &Digest) -> Result<NotesFile> {
        let in_memory = || {
            let flags = rustix::fs::MemfdFlags::CLOEXEC;
            Ok(File::from(rustix::fs::memfd_create("wharf-notes", flags)?))
        };
        let file = tempfile::tempfile()
            .or_else(|_| in_memory())
            .map_err(|source: io::Error| {
                StoreError::io("make a temporary file for", &self.path(digest), source)
            })?;
        Ok(self.notes_file(file, None, digest))
    }

    fn notes_file(&self, file: File, path: Option<PathBuf>, digest: &Digest) -> NotesFile {
        NotesFile {
            file,
            path,
            folder: self.clone(),
            digest: digest.clone(),
        }
    }

    /// Puts notes in place, if there are any. The caller holds the blob's lock.
    pub(crate) fn publish(&self, from: &Path, digest: &Digest) -> Result<()> {
        let written = files::length(from).is_ok_and(|length| length > 0);
        if !written {
            return remove(from).map(drop);
        }
        match files::create_folder(&self.folder) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(StoreError::io("make the folder", &self.folder, source));
            }
            _ => {}
        }
        replace(from, &self.path(digest))
    }

    /// Returns how much the notes of a layer take on the disk, in bytes.
    pub(crate) fn taken(&self, digest: &Digest) -> u64 {
        let about = std::fs::symlink_metadata(self.path(digest));
        about.map_or(0, |about| about.blocks() * 512)
    }

    /// Removes the notes of a layer that is gone.
    pub(crate) fn remove(&self, digest: &Digest) -> Result<()> {
        remove(&self.path(digest)).map(drop)
    }

    /// Calls `take` with every layer that has notes.
    pub(crate) fn each(&self, take: &mut dyn FnMut(Digest) -> Result<()>) -> Result<()> {
        for path in entries(&self.folder)? {
            let name = file_name(&path).replacen('-', ":", 1);
            if let Ok(digest) = name.parse() {
                take(digest)?;
            }
        }
        Ok(())
    }
}

impl NotesFile {
    /// Puts the notes in place of those that there were, and returns them for reading. If they cannot be put
    /// there, they are good for once.
    pub fn keep(self) -> Result<File> {
        if let Some(path) = &self.path
            && let Err(error) = self.folder.publish(path, &self.digest)
        {
            tracing::warn!(digest = %self.digest, %error, "the notes of a layer are not kept");
        }
        self.writer()
    }

    /// Another handle on the same file, for the inspector.
    pub fn writer(&self) -> Result<File> {
        self.file
            .try_clone()
            .map_err(|source| StoreError::io("open", &self.folder.path(&self.digest), source))
    }
}

impl Write for NotesFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for NotesFile {
    fn drop(&mut self) {
        // Nothing is there any more if they were kept.
        if let Some(path) = &self.path
            && let Err(error) = remove(path)
        {
            tracing::debug!(%error, "notes are left for the next collection");
        }
    }
}
