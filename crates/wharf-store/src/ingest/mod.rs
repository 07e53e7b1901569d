//! Downloads in progress.
//!
//! `ingest/<algorithm>-<hex>.lock`     held by whoever works on that blob; the system lets go of it
//! `ingest/<algorithm>-<hex>.data`     the bytes so far, with holes
//! `ingest/<algorithm>-<hex>.journal`  which parts are written, and which of them are durable
//! `ingest/<algorithm>-<hex>.notes`    what is in the layer, as far as it was read
//!
//! Everything here may be lost, and then is fetched again. What is left of a process that ended is
//! gone on with by the next one that wants the same blob, or removed by a collection.
//!
//! | module | what it does |
//! |---|---|
//! | `extents` | which parts of a blob are here |
//! | `journal` | reads and writes the journal |
//! | `restore` | what can be used of an earlier attempt |
//! | `partial` | one blob's file and what is here of it; pieces are claimed and written |
//! | `batch` | bytes that are gathered before they are written |
//! | `fetch` | connections that fill the pieces |
//! | `follow` | reads behind the writers, in order: digest, and what the layer says |

mod batch;
mod extents;
pub(crate) mod fetch;
pub(crate) mod follow;
mod journal;
pub(crate) mod partial;
pub(crate) mod restore;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use wharf_core::Digest;

use crate::durable::{create_directory, remove};
use crate::{Result, StoreError, files};

/// The pauses between two looks at a lock that somebody else holds. Polling, unlike a thread that
/// waits in the system, ends at once when the operation is given up.
const LOCK_PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(50));

/// The folder of downloads in progress.
#[derive(Clone, Debug)]
pub(crate) struct Ingest {
    pub(crate) folder: PathBuf,
}

/// The right to work on one blob: to put its file in place, or to remove it.
#[derive(Debug)]
pub(crate) struct DigestLock {
    path: PathBuf,
    /// Locked as long as it's open.
    _file: File,
}

impl Ingest {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            folder: root.join("ingest"),
        }
    }

    fn path(&self, digest: &Digest, kind: &str) -> PathBuf {
        self.folder.join(format!(
            "{}-{}.{kind}",
            digest.algorithm().as_str(),
            digest.hex()
        ))
    }

    /// Takes the lock of a blob; `None` if somebody else has it.
    pub(crate) fn try_lock(&self, digest: &Digest) -> Result<Option<DigestLock>> {
        let path = self.path(digest, "lock");
        let error = |source| StoreError::io("lock", &path, source);
        loop {
            let file = match files::open_or_create(&path) {
                Err(source) if source.kind() == io::ErrorKind::NotFound => {
                    create_directory(&self.folder, self.folder.parent().unwrap_or(&self.folder))?;
                    continue;
                }
                other => other.map_err(error)?,
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(error(source)),
            }
            // Its former owner may have removed the file between our open and our lock: then another
            // file has the name by now, and this lock keeps nobody out.
            if is_same_file(&file, &path) {
                return Ok(Some(DigestLock { path, _file: file }));
            }
        }
    }

    /// Waits for the lock of a blob. `waiting` is called after each look that found it taken.
    pub(crate) async fn lock(
        &self,
        digest: &Digest,
        mut waiting: impl FnMut() + Send,
    ) -> Result<DigestLock> {
        let mut pause = LOCK_PAUSE.0;
        loop {
            if let Some(lock) = self.try_lock(digest)? {
                return Ok(lock);
            }
            waiting();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOCK_PAUSE.1);
        }
    }

    /// Gives up the lock of one blob for that of another one; `None` if another process has that. Where many blobs are
    /// removed, the same file serves for all of them: to make and to remove one for each takes longer than the rest.
    pub(crate) fn pass_on(
        &self,
        mut lock: DigestLock,
        digest: &Digest,
    ) -> Result<Option<DigestLock>> {
        let path = self.path(digest, "lock");
        let flags = RenameFlags::NOREPLACE;
        if renameat_with(CWD, &lock.path, CWD, &path, flags).is_ok() {
            lock.path = path;
            return Ok(Some(lock));
        }
        // There is one, or the file system cannot do that.
        drop(lock);
        self.try_lock(digest)
    }

    /// How many bytes of a blob are here, as its journal says: for those who wait for whoever fetches it. It
    /// is a glance, without the lock; `None` if there is nothing to see.
    pub(crate) fn glance(&self, digest: &Digest, size: u64) -> Option<u64> {
        let journal = files::open(&self.path(digest, "journal")).ok()?;
        journal::total(&journal, size).ok()?
    }

    /// Returns whether a process works on a blob. A glance, for those who only report.
    pub(crate) fn is_locked(&self, digest: &Digest) -> bool {
        let lock = files::open(&self.path(digest, "lock"));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Returns how much the download of a blob takes on the disk, in bytes.
    pub(crate) fn taken(&self, digest: &Digest) -> Result<u64> {
        let mut bytes = 0;
        for path in self.files(digest) {
            match fs::symlink_metadata(&path) {
                Ok(about) => bytes += about.blocks() * 512,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::io("look at", &path, source)),
            }
        }
        Ok(bytes)
    }

    /// Returns when the download of a blob got its last bytes.
    pub(crate) fn modified(&self, digest: &Digest) -> Option<SystemTime> {
        fs::symlink_metadata(self.path(digest, "data"))
            .and_then(|about| about.modified())
            .ok()
    }

    /// Returns whether bytes of a blob have come.
    pub(crate) fn has_bytes(&self, digest: &Digest) -> bool {
        fs::symlink_metadata(self.path(digest, "data")).is_ok_and(|about| about.blocks() > 0)
    }

    /// Where a blob's bytes are gathered.
    #[cfg(test)]
    pub(crate) fn data(&self, digest: &Digest) -> PathBuf {
        self.path(digest, "data")
    }

    /// The files of a blob's download, the lock aside; the journal first, since without it the data is nothing.
    fn files(&self, digest: &Digest) -> [PathBuf; 4] {
        ["journal", restore::NEW_JOURNAL, "notes", "data"].map(|kind| self.path(digest, kind))
    }

    /// Removes what is here of a blob. The caller holds its lock. Returns how many bytes came free.
    pub(crate) fn discard(&self, digest: &Digest) -> Result<u64> {
        let bytes = self.taken(digest)?;
        for path in self.files(digest) {
            remove(&path)?;
        }
        Ok(bytes)
    }

    /// Where the notes of a layer are made while it comes. The caller holds its lock.
    pub(crate) fn notes(&self, digest: &Digest) -> PathBuf {
        self.path(digest, "notes")
    }

    /// Reads the digest out of the name of a file in this folder.
    pub(crate) fn digest_of(path: &Path) -> Option<Digest> {
        let (algorithm, hex) = path.file_stem()?.to_str()?.split_once('-')?;
        format!("{algorithm}:{hex}").parse().ok()
    }
}

impl Drop for DigestLock {
    fn drop(&mut self) {
        // First the name, then the lock: whoever locks the nameless file notices.
        if let Err(error) = remove(&self.path) {
            tracing::debug!(%error, "a lock file is left for the next collection");
        }
    }
}

/// Is the open file still the one that has the name?
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}
