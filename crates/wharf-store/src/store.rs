//! Opening the folder, reading and writing rows.
//!
//! `ROOT/` (0700) with `wharf.db`, `blobs/`, `ingest/` and, after a repair, `damaged/`.
//! Opening is part of every command's start: it makes nothing that is there already, and no thread.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use wharf_core::Digest;
use wharf_core::content::{DOCUMENT_MAX, digest_like};
use wharf_core::layer::LayerFacts;

use crate::blobs::Blobs;
use crate::catalog::{self, Catalog, DATABASE, Durability};
use crate::collect::{self, CollectOptions, Collected};
use crate::durable::{create_directory, remove};
use crate::ingest::{DigestLock, Ingest};
use crate::lease::LeaseFiles;
use crate::notes::{NoteFolder, NotesFile};
use crate::root::Root;
use crate::rows::Freed;
use crate::sink::{DiskSink, SinkOptions};
use crate::source::{BlobFile, DiskSource};
use crate::uploads::Uploads;
use crate::{Lease, Reading, Result, StoreError, Version, Work, Writing, fail, files};

/// The beginning of a file name that is there for a moment only.
pub(crate) const SPOOL: &str = "spool-";

/// The store in one folder. Cloning is cheap; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

/// What all handles of a store share.
pub(crate) struct Inner {
    pub(crate) root: Root,
    pub(crate) catalog: Catalog,
    pub(crate) blobs: Blobs,
    pub(crate) ingest: Ingest,
    pub(crate) leases: LeaseFiles,
    pub(crate) notes: NoteFolder,
}

impl Store {
    /// Opens the store in `root`, and makes it if it isn't there. One that cannot be written is opened for
    /// reading.
    ///
    /// Refuses a folder that is a symbolic link, another user's, the system's, or holds something else, and
    /// makes it private.
    pub fn open(root: &Path) -> Result<Self> {
        Self::in_folder(Root::open(root, false)?, None)
    }

    /// The same, and counts what SQLite does: for tests.
    #[doc(hidden)]
    pub fn open_counted(root: &Path) -> Result<(Self, Work)> {
        let work = Work::default();
        let store = Self::in_folder(Root::open(root, false)?, Some(work.clone()))?;
        Ok((store, work))
    }

    /// Opens the store in `root` for reading: nothing in its folder is made or changed, whoever may do so.
    pub fn open_read_only(root: &Path) -> Result<Self> {
        Self::in_folder(Root::open(root, true)?, None)
    }

    fn in_folder(root: Root, work: Option<Work>) -> Result<Self> {
        root.share()?;
        let path = root.path.clone();
        let ingest = path.join("ingest");
        let whole = files::is_folder(&ingest) && path.join(DATABASE).exists();
        if !whole && !root.read_only {
            // The blobs' folder first: by it a store is recognised that is made only half.
            Blobs::new(&path).create()?;
            create_directory(&ingest, &path)?;
        }
        let catalog = Catalog::open_counted(&path, root.read_only, work)?;
        let inner = Inner::with_catalog(root, catalog);
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Returns whether there is a store in a folder, without opening it.
    pub fn is_in(folder: &Path) -> bool {
        files::is_folder(&folder.join("blobs")) && folder.join(DATABASE).exists()
    }

    /// Returns whether the store can only be read.
    pub fn is_read_only(&self) -> bool {
        self.inner.root.read_only
    }

    /// The store's folder, for messages.
    pub fn root(&self) -> &Path {
        &self.inner.root.path
    }

    /// Fails if the store can only be read: for an operation that writes at its end, and has other work before.
    pub fn check_writable(&self) -> Result<()> {
        self.inner.writable()
    }

    /// Starts an operation that changes the store: what it puts or finds here isn't collected while the lease
    /// lives.
    pub fn lease(&self) -> Result<Lease> {
        self.inner.writable()?;
        Lease::begin(Arc::clone(&self.inner))
    }

    /// Starts an operation that only reads: what it finds here isn't collected while the lease lives. In a store
    /// that can only be read nothing says so to those who may write to it; what they remove meanwhile is
    /// missed with an error.
    pub fn read_lease(&self) -> Result<Lease> {
        if self.is_read_only() {
            return Lease::nominal(Arc::clone(&self.inner));
        }
        self.lease()
    }

    /// A place to copy to. Keep a clone of the lease until a name, a link or a kept image holds what
    /// was copied: the sink drops its own when it's dropped.
    pub fn sink(&self, lease: Arc<Lease>, options: SinkOptions) -> DiskSink {
        DiskSink::new(Arc::clone(&self.inner), lease, options)
    }

    /// A place to copy from.
    pub fn source(&self) -> DiskSource {
        DiskSource::new(Arc::clone(&self.inner))
    }

    /// Content that arrives piece by piece, under an ID.
    pub fn uploads(&self) -> Uploads {
        Uploads::new(Arc::clone(&self.inner))
    }

    /// An empty file without a name, on the store's disk, for content on its way in whose digest is
    /// not known yet. It is gone when it's closed, however this process ends.
    pub fn spool(&self) -> Result<File> {
        self.inner.writable()?;
        let name = format!("{SPOOL}{}", crate::random_id()?);
        let path = self.inner.ingest.folder.join(name);
        let file =
            files::create_new(&path).map_err(|source| StoreError::io("make", &path, source))?;
        remove(&path)?;
        Ok(file)
    }

    /// Reads rows, all of one moment.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.inner.catalog.read(read)
    }

    /// Says what the rows are now, without reading them: two versions are equal only if nothing was
    /// committed in between, here or in another process.
    pub fn version(&self) -> Result<Version> {
        self.inner.catalog.version()
    }

    /// Changes rows, all or nothing; durable on return. Blobs that nothing refers to any more are
    /// gone on return too, unless a lease holds them.
    pub fn write<T, E: From<StoreError>>(
        &self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
    ) -> Result<(T, Freed), E> {
        let inner = &self.inner;
        inner.writable()?;
        let (value, gone) = inner
            .catalog
            .write(&inner.leases, Durability::Full, write)?;
        if !gone.is_empty() {
            fail::point("rows-removed");
        }
        Ok((value, inner.unlink(&gone)))
    }

    /// Opens a blob; `None` if it isn't here.
    pub fn blob(&self, digest: &Digest) -> Result<Option<BlobFile>> {
        self.inner.open_blob(digest)
    }

    /// Reads a manifest or a config whole, and verifies it; `None` if it isn't here.
    pub fn document(&self, digest: &Digest) -> Result<Option<Bytes>> {
        match self.blob(digest)? {
            Some(blob) => self.inner.read_document(digest, &blob).map(Some),
            None => Ok(None),
        }
    }

    /// What was written down of a layer, by its blob; `None` if nothing was.
    pub fn notes(&self, blob: &Digest) -> Result<Option<File>> {
        self.inner.notes.open(blob)
    }

    /// Starts the notes of a layer anew: of one that was stored unread, or whose notes are damaged. A store that
    /// can only be read does not keep them.
    pub fn new_notes(&self, blob: &Digest) -> Result<NotesFile> {
        if self.is_read_only() {
            return self.inner.notes.begin_unkept(blob);
        }
        self.inner.notes.begin(blob, &self.inner.ingest.folder)
    }

    /// Records what was learned of a layer that was stored unread, and computes the sizes of the
    /// images that have it again. A store that can only be read stays as it is.
    pub fn set_layer_facts(&self, blob: &Digest, facts: &LayerFacts) -> Result<()> {
        if self.is_read_only() {
            return Ok(());
        }
        self.write(|rows| rows.set_facts(blob, facts)).map(drop)
    }

    /// Ends the lease of an operation that has failed, and removes what nothing holds of these: what it
    /// has brought, and what is unfinished of it.
    pub async fn discard(&self, lease: Arc<Lease>, what: Vec<Digest>) -> Result<()> {
        collect::discard(&self.inner, lease, what).await
    }

    /// Frees what nothing refers to, in the whole store: blobs, unfinished downloads, leases of
    /// processes that have ended.
    pub fn collect(&self, options: CollectOptions) -> Result<Collected> {
        self.inner.writable()?;
        collect::collect(&self.inner, options)
    }

    /// Says how much space it takes what downloads and uploads have brought that are not finished.
    pub fn unfinished(&self) -> Result<Freed> {
        collect::unfinished(&self.inner)
    }

    /// Starts a rehearsal: a removal that happens only on a copy of the rows.
    pub fn rehearse(&self) -> Result<Rehearsal> {
        let rows = self.inner.catalog.rehearse()?;
        Ok(Rehearsal {
            store: Arc::clone(&self.inner),
            rows,
        })
    }
}

/// A removal that happens only on a copy of the rows, to say what it would do: others are not kept waiting, and nothing
/// of the store is changed.
pub struct Rehearsal {
    store: Arc<Inner>,
    rows: catalog::Rehearsal,
}

impl Rehearsal {
    /// Reads the copy.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.rows.read(read)
    }

    /// Does on the copy what [`Store::write`] does.
    pub fn write<T, E: From<StoreError>>(
        &mut self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T, E>,
    ) -> Result<(T, Freed), E> {
        let (value, gone) = self.rows.write(&self.store.leases, write)?;
        Ok((value, self.store.would_unlink(&gone)?))
    }

    /// Says what [`Store::collect`] would free after that.
    pub fn collect(mut self, options: CollectOptions) -> Result<Collected> {
        collect::rehearse(&self.store, &mut self.rows, options)
    }
}

impl Inner {
    pub(crate) fn with_catalog(root: Root, catalog: Catalog) -> Self {
        Self {
            blobs: Blobs::new(&root.path),
            ingest: Ingest::new(&root.path),
            leases: LeaseFiles {
                folder: root.path.join("ingest"),
            },
            notes: NoteFolder::new(&root.path),
            catalog,
            root,
        }
    }

    /// Refuses to go on in a store that can only be read.
    pub(crate) fn writable(&self) -> Result<()> {
        if self.root.read_only {
            return Err(StoreError::ReadOnly {
                path: self.root.path.clone(),
            });
        }
        Ok(())
    }

    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<Option<BlobFile>> {
        let size = self.catalog.read(|rows| rows.blob_size(digest))?;
        let Some(size) = size else { return Ok(None) };
        match self.blobs.open(digest)? {
            Some((file, actual)) if actual == size => Ok(Some(BlobFile { size, file })),
            _ => Err(StoreError::Damaged(digest.clone())),
        }
    }

    pub(crate) fn read_document(&self, digest: &Digest, blob: &BlobFile) -> Result<Bytes> {
        if blob.size > DOCUMENT_MAX {
            return Err(StoreError::Content(wharf_core::ContentError::TooLarge {
                what: digest.to_string(),
                size: blob.size,
                place: self.root.path.display().to_string(),
            }));
        }
        let mut bytes = vec![0; usize::try_from(blob.size).unwrap_or_default()];
        std::os::unix::fs::FileExt::read_exact_at(&blob.file, &mut bytes, 0)
            .map_err(|source| StoreError::io("read", Path::new(digest.as_str()), source))?;
        if digest_like(digest, &bytes) != *digest {
            return Err(StoreError::Damaged(digest.clone()));
        }
        Ok(bytes.into())
    }

    /// Removes the files of blobs whose rows are gone.
    ///
    /// Somebody may be fetching the same blob again: whoever puts a blob holds its lock from before
    /// the look at the rows until the row is there. So the file goes only under that lock, and only if
    /// there is still no row. What is left out here is found by a collection.
    pub(crate) fn unlink(&self, gone: &[(Digest, u64)]) -> Freed {
        let (mut freed, mut lock) = (Freed::default(), None);
        for (digest, size) in gone {
            let taken = match lock.take() {
                Some(lock) => self.ingest.pass_on(lock, digest),
                None => self.ingest.try_lock(digest),
            };
            let removed = taken.and_then(|taken| {
                lock = taken;
                lock.as_ref()
                    .map_or(Ok(false), |lock| self.unlink_locked(digest, lock))
            });
            match removed {
                Ok(true) => freed.add(*size),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%digest, %error, "a blob is left for the next collection");
                }
            }
        }
        freed
    }

    /// Says what [`Inner::unlink`] would free.
    pub(crate) fn would_unlink(&self, gone: &[(Digest, u64)]) -> Result<Freed> {
        let mut freed = Freed::default();
        for (digest, size) in gone {
            if self.blobs.size(digest)?.is_some() && !self.ingest.is_locked(digest) {
                freed.add(*size);
            }
        }
        Ok(freed)
    }

    /// Removes one file without a row, if nobody is working on it. Was it there?
    pub(crate) fn unlink_one(&self, digest: &Digest) -> Result<bool> {
        match self.ingest.try_lock(digest)? {
            Some(lock) => self.unlink_locked(digest, &lock),
            None => Ok(false),
        }
    }

    fn unlink_locked(&self, digest: &Digest, _lock: &DigestLock) -> Result<bool> {
        if self.catalog.read(|rows| rows.blob_row(digest))?.is_some() {
            return Ok(false);
        }
        // The row may be gone because of a process that was killed before it had synced that.
        self.catalog.settle()?;
        self.notes.remove(digest)?;
        self.blobs.remove(digest)
    }
}
