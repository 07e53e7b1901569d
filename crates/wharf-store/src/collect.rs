//! Garbage collection of the whole store: what a removal leaves behind because a lease held it, and what
//! processes left behind that were killed.
//!
//! It runs beside everything else. Nothing is removed that a row, a living lease or a lock holds.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use wharf_core::Digest;

use crate::blobs::{entries, file_name};
use crate::catalog::{Durability, Reading, Rehearsal, Writing};
use crate::durable::remove;
use crate::ingest::Ingest;
use crate::lease::Lease;
use crate::rows::Freed;
use crate::store::{Inner, SPOOL};
use crate::{Result, files, lease, notes, uploads};

/// How long what a broken download has brought is kept: the next pull goes on with it. A week is longer than an
/// outage or a holiday weekend, and short enough that what is never asked for again does not fill a disk.
pub const PARTIAL_KEPT: Duration = Duration::from_hours(7 * 24);

/// How many blobs one transaction of a collection looks at: others who want to write wait that long. Some ten
/// milliseconds, beside which the transaction's own syncs still count for little.
const BATCH: usize = 256;

/// What a collection removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectOptions {
    /// How long what a broken download has brought stays, counted from its last byte. Nothing is removed that an
    /// operation in progress holds.
    pub partial_kept: Duration,
}

impl CollectOptions {
    /// Keeps what broken downloads have brought for [`PARTIAL_KEPT`].
    pub const KEEP_PARTIAL: Self = Self {
        partial_kept: PARTIAL_KEPT,
    };
    /// Removes all that no operation in progress holds.
    pub const EVERYTHING: Self = Self {
        partial_kept: Duration::ZERO,
    };
}

/// What a collection has freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that nothing referred to, files without a row, notes of layers that are gone.
    pub freed: Freed,
    /// Downloads and uploads that nothing goes on with.
    pub partial: Freed,
    /// What broken downloads have brought, and was kept for the next pull.
    pub kept: Freed,
    /// Leases of operations that have ended.
    pub leases: u64,
}

/// Frees everything that nothing holds.
pub(crate) fn collect(store: &Inner, options: CollectOptions) -> Result<Collected> {
    Collection::new(store, None, options).run()
}

/// Says what a collection would free after what was rehearsed, and changes nothing.
pub(crate) fn rehearse(
    store: &Inner,
    rows: &mut Rehearsal,
    options: CollectOptions,
) -> Result<Collected> {
    Collection::new(store, Some(rows), options).run()
}

/// Says how much space broken and unfinished downloads and uploads take.
pub(crate) fn unfinished(store: &Inner) -> Result<Freed> {
    let mut all = Freed::default();
    // A manifest comes last: until then nothing holds what a pull has brought.
    for blob in store.catalog.read(|rows| rows.unheld())? {
        all.add(blob.size);
    }
    for part in parts(store)? {
        match part {
            Part::Download(digest) => add(&mut all, store.ingest.taken(&digest)?),
            Part::Upload(path) => add(&mut all, taken(&path)),
            Part::Lease(_) | Part::Temporary(_) => {}
        }
    }
    Ok(all)
}

fn add(all: &mut Freed, bytes: u64) {
    if bytes > 0 {
        all.add(bytes);
    }
}

/// One collection, or the rehearsal of one.
struct Collection<'a> {
    store: &'a Inner,
    /// The copy of the rows on which it is tried; without one it happens.
    rehearsal: Option<&'a mut Rehearsal>,
    options: CollectOptions,
    done: Collected,
}

impl<'a> Collection<'a> {
    fn new(
        store: &'a Inner,
        rehearsal: Option<&'a mut Rehearsal>,
        options: CollectOptions,
    ) -> Self {
        Self {
            store,
            rehearsal,
            options,
            done: Collected::default(),
        }
    }

    fn run(mut self) -> Result<Collected> {
        let (leases, gone) = self.write(|rows| rows.bury_leases())?;
        self.done.leases = leases;
        self.unlink(&gone)?;
        self.remove_unheld()?;
        self.remove_orphans()?;
        self.remove_stale_notes()?;
        self.remove_parts()?;
        Ok(self.done)
    }

    fn is_rehearsal(&self) -> bool {
        self.rehearsal.is_some()
    }

    fn write<T>(
        &mut self,
        write: impl FnOnce(&mut Writing<'_>) -> Result<T>,
    ) -> Result<(T, Vec<(Digest, u64)>)> {
        let store = self.store;
        match &mut self.rehearsal {
            Some(rehearsal) => rehearsal.write(&store.leases, write),
            None => store.catalog.write(&store.leases, Durability::Full, write),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&Reading<'_>) -> Result<T>) -> Result<T> {
        match &self.rehearsal {
            Some(rehearsal) => rehearsal.read(read),
            None => self.store.catalog.read(read),
        }
    }

    /// Removes the files of blobs whose rows are gone, or counts what that would free.
    fn unlink(&mut self, gone: &[(Digest, u64)]) -> Result<()> {
        let freed = if self.is_rehearsal() {
            self.store.would_unlink(gone)?
        } else {
            self.store.unlink(gone)
        };
        self.done.freed.add_all(freed);
        Ok(())
    }

    /// Removes the blobs that nothing holds, some at a time, so that others can write in between.
    fn remove_unheld(&mut self) -> Result<()> {
        let mut old = Vec::new();
        for blob in self.read(|rows| rows.unheld())? {
            if blob.released || !self.is_recent(self.store.blobs.modified(&blob.digest)?) {
                old.push(blob);
            } else {
                self.done.kept.add(blob.size);
            }
        }
        for batch in old.chunks(BATCH) {
            let (_, gone) = self.write(|rows| rows.loosen_unheld(batch))?;
            self.unlink(&gone)?;
        }
        Ok(())
    }

    /// Returns whether what was changed then is kept, as the part of a download that broke off.
    fn is_recent(&self, modified: Option<SystemTime>) -> bool {
        // A time in the future is that of a clock that was wrong: as old as can be, or it would stay for ever.
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        age.is_some_and(|age| age < self.options.partial_kept)
    }

    /// Removes the files that have no row: left between the rename and the row, or between the row's end and
    /// the file's.
    fn remove_orphans(&mut self) -> Result<()> {
        let store = self.store;
        store.blobs.each(&mut |file| {
            // A check names files that are none of ours; they stay.
            let Ok(digest) = file else { return Ok(()) };
            let counted = |rows: &&mut Rehearsal| rows.has_removed(&digest);
            if self.rehearsal.as_ref().is_some_and(counted)
                || self.read(|rows| rows.blob_row(&digest))?.is_some()
            {
                return Ok(());
            }
            let size = store.blobs.size(&digest)?.unwrap_or_default();
            let gone = match self.is_rehearsal() {
                true => !store.ingest.is_locked(&digest),
                false => store.unlink_one(&digest)?,
            };
            if gone {
                self.done.freed.add(size);
            }
            Ok(())
        })
    }

    /// Removes the notes of layers that are gone: a repair sets a blob aside, and its notes stay.
    fn remove_stale_notes(&mut self) -> Result<()> {
        let store = self.store;
        store.notes.each(&mut |digest| {
            let counted = |rows: &&mut Rehearsal| rows.has_removed(&digest);
            let here = self.read(|rows| rows.blob_row(&digest))?;
            if here.is_some_and(|row| row.here) || self.rehearsal.as_ref().is_some_and(counted) {
                return Ok(());
            }
            let bytes = store.notes.taken(&digest);
            if !self.is_rehearsal() {
                store.notes.remove(&digest)?;
            }
            self.done.freed.add(bytes);
            Ok(())
        })
    }

    /// Removes what lies in `ingest/`, is old enough, and is not being worked on.
    fn remove_parts(&mut self) -> Result<()> {
        for part in parts(self.store)? {
            let bytes = match part {
                Part::Lease(path) => {
                    self.remove_unlocked(&path)?;
                    None
                }
                Part::Temporary(path) => self.remove_unlocked(&path)?,
                Part::Upload(path) if rests(&path) => self.remove_unlocked(&path)?,
                Part::Upload(_) => None,
                Part::Download(digest) => self.remove_download(&digest)?,
            };
            if let Some(bytes) = bytes {
                self.done.partial.add(bytes);
            }
        }
        Ok(())
    }

    /// Removes the unfinished download of a blob, if it is old enough and no process works on it; returns how much
    /// it took, in bytes.
    fn remove_download(&mut self, digest: &Digest) -> Result<Option<u64>> {
        let store = self.store;
        let lock = match self.is_rehearsal() {
            true if store.ingest.is_locked(digest) => return Ok(None),
            true => None,
            false => match store.ingest.try_lock(digest)? {
                None => return Ok(None),
                lock => lock,
            },
        };
        let bytes = store.ingest.taken(digest)?;
        // What is whole by now was left by a process that ended between two steps.
        let is_here = self.read(|rows| rows.blob_row(digest))?;
        let useful = is_here.is_none_or(|row| !row.here) && store.ingest.has_bytes(digest);
        if useful && self.is_recent(store.ingest.modified(digest)) {
            self.done.kept.add(bytes);
            return Ok(None);
        }
        if !self.is_rehearsal() {
            store.ingest.discard(digest)?;
        }
        drop(lock);
        Ok(Some(bytes).filter(|bytes| *bytes > 0))
    }

    /// Removes a file that no process has locked; returns how much it took on the disk, in bytes.
    fn remove_unlocked(&self, path: &Path) -> Result<Option<u64>> {
        let file = match files::open(path) {
            Ok(file) => file,
            // Whatever it is, no process has a lock on it.
            Err(error) if files::is_not_regular(&error) && !files::is_folder(path) => {
                if !self.is_rehearsal() {
                    remove(path)?;
                }
                return Ok(None);
            }
            Err(_) => return Ok(None),
        };
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let bytes = file
            .metadata()
            .map(|about| about.blocks() * 512)
            .unwrap_or(0);
        if self.is_rehearsal() {
            return Ok(Some(bytes));
        }
        Ok(remove(path)?.then_some(bytes))
    }
}

/// What lies in `ingest/`.
enum Part {
    /// A lease's file.
    Lease(PathBuf),
    /// A file that serves one operation.
    Temporary(PathBuf),
    /// An upload to the registry server.
    Upload(PathBuf),
    /// The files of a blob's download.
    Download(Digest),
}

/// Lists what lies in `ingest/`, each download once.
fn parts(store: &Inner) -> Result<Vec<Part>> {
    let mut downloads = BTreeSet::new();
    let mut all = Vec::new();
    for path in entries(&store.ingest.folder)? {
        let name = file_name(&path);
        if name.starts_with(lease::PREFIX) {
            all.push(Part::Lease(path));
        } else if name.starts_with(notes::PREFIX) || name.starts_with(SPOOL) {
            all.push(Part::Temporary(path));
        } else if name.starts_with(uploads::PREFIX) {
            all.push(Part::Upload(path));
        } else {
            downloads.extend(Ingest::digest_of(&path));
        }
    }
    all.extend(downloads.into_iter().map(Part::Download));
    Ok(all)
}

/// Returns how much a file takes on the disk, in bytes.
fn taken(path: &Path) -> u64 {
    path.symlink_metadata()
        .map_or(0, |about| about.blocks() * 512)
}

/// Returns whether an upload has not been written to for long.
fn rests(path: &Path) -> bool {
    let age = path
        .symlink_metadata()
        .and_then(|about| about.modified())
        .map(|modified| {
            SystemTime::now()
                .duration_since(modified)
                .unwrap_or_default()
        });
    age.is_ok_and(|age| age > uploads::RESTS_MAX)
}

/// How long a discard waits for threads that are ending. What is at work longer is somebody else's.
const ENDING_MAX: Duration = Duration::from_secs(2);

/// The pause between two looks at what is ending.
const ENDING_PAUSE: Duration = Duration::from_millis(2);

/// Removes what an operation has brought that failed, and nothing holds.
///
/// Threads of it may still be at work: each holds the lease, or the lock of its blob, to its end.
pub(crate) async fn discard(store: &Inner, lease: Arc<Lease>, what: Vec<Digest>) -> Result<()> {
    let deadline = Instant::now() + ENDING_MAX;
    let mut lease = Err(lease);
    while let Err(shared) = lease {
        if Instant::now() >= deadline {
            return Ok(());
        }
        lease = Arc::try_unwrap(shared);
        if lease.is_err() {
            tokio::time::sleep(ENDING_PAUSE).await;
        }
    }
    drop(lease);
    let (_, gone) = store
        .catalog
        .write(&store.leases, Durability::Full, |rows| {
            let mut loose = what.iter();
            loose.try_for_each(|digest| rows.loosen(digest))
        })?;
    store.unlink(&gone);
    for digest in &what {
        let lock = loop {
            match store.ingest.try_lock(digest)? {
                None if Instant::now() < deadline => tokio::time::sleep(ENDING_PAUSE).await,
                lock => break lock,
            }
        };
        if lock.is_some() {
            store.ingest.discard(digest)?;
        }
        drop(lock);
        // A file between its rename and its row.
        store.unlink_one(digest)?;
    }
    Ok(())
}
