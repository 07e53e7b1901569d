//! Garbage collection of the whole store: what a removal leaves behind because a lease held it, and what
//! processes left behind that were killed.
//!
//! It runs beside everything else. Nothing is removed that a row, a living lease or a lock holds.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use wharf_core::Digest;

use crate::blobs::{entries, file_name};
use crate::catalog::Durability;
use crate::durable::remove;
use crate::ingest::Ingest;
use crate::lease::Lease;
use crate::rows::Freed;
use crate::store::{Inner, SPOOL};
use crate::{Result, StoreError, lease, notes, uploads};

/// What a collection has freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that nothing referred to, and files without a row.
    pub freed: Freed,
    /// Downloads and uploads that nobody goes on with.
    pub partial: Freed,
    /// Leases of operations that have ended.
    pub leases: u64,
}

/// Frees everything that nothing holds.
pub(crate) fn collect(store: &Inner) -> Result<Collected> {
    let (leases, gone) = store
        .catalog
        .write(&store.leases, Durability::Full, |rows| {
            let buried = rows.bury_leases()?;
            rows.loosen_all()?;
            Ok::<_, StoreError>(buried)
        })?;
    let mut freed = store.unlink(&gone);
    remove_orphans(store, &mut freed)?;
    remove_stale_notes(store)?;
    let partial = remove_partial(store)?;
    Ok(Collected {
        freed,
        partial,
        leases,
    })
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

/// Removes the files that have no row: left between the rename and the row, or between the row's end and
/// the file's.
fn remove_orphans(store: &Inner, freed: &mut Freed) -> Result<()> {
    store.blobs.each(&mut |file| {
        // A check names files that are none of ours; they stay.
        let Ok(digest) = file else { return Ok(()) };
        if store.catalog.read(|rows| rows.blob_row(&digest))?.is_some() {
            return Ok(());
        }
        let size = store.blobs.size(&digest)?.unwrap_or_default();
        if store.unlink_one(&digest)? {
            freed.blobs += 1;
            freed.bytes += size;
        }
        Ok(())
    })
}

/// Removes the notes of layers that are gone: a repair sets a blob aside, and its notes stay.
fn remove_stale_notes(store: &Inner) -> Result<()> {
    store.notes.each(&mut |digest| {
        let here = store.catalog.read(|rows| rows.blob_row(&digest))?;
        if here.is_none_or(|row| !row.here) {
            store.notes.remove(&digest)?;
        }
        Ok(())
    })
}

/// Removes what lies in `ingest/` and nobody works on.
fn remove_partial(store: &Inner) -> Result<Freed> {
    let mut freed = Freed::default();
    for path in entries(&store.ingest.folder)? {
        let name = file_name(&path);
        let bytes = if name.starts_with(lease::PREFIX) {
            remove_unlocked(&path)?;
            None
        } else if name.starts_with(notes::PREFIX) || name.starts_with(SPOOL) {
            remove_unlocked(&path)?
        } else if name.starts_with(uploads::PREFIX) {
            if rests(&path) {
                remove_unlocked(&path)?
            } else {
                None
            }
        } else if let Some(digest) = Ingest::digest_of(&path) {
            remove_download(store, &digest)?
        } else {
            None
        };
        if let Some(bytes) = bytes {
            freed.blobs += 1;
            freed.bytes += bytes;
        }
    }
    Ok(freed)
}

/// Removes the unfinished download of a blob, if nobody works on it; says how much it took, in bytes.
fn remove_download(store: &Inner, digest: &Digest) -> Result<Option<u64>> {
    let Some(_lock) = store.ingest.try_lock(digest)? else {
        return Ok(None);
    };
    let bytes = store.ingest.discard(digest)?;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

/// Removes a file that nobody has locked; says how much it took on the disk, in bytes.
fn remove_unlocked(path: &Path) -> Result<Option<u64>> {
    let Ok(file) = File::open(path) else {
        return Ok(None);
    };
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let bytes = file
        .metadata()
        .map(|about| about.blocks() * 512)
        .unwrap_or(0);
    Ok(remove(path)?.then_some(bytes))
}

/// Has nobody written to the file for long?
fn rests(path: &Path) -> bool {
    let age = fs::metadata(path)
        .and_then(|about| about.modified())
        .map(|modified| {
            SystemTime::now()
                .duration_since(modified)
                .unwrap_or_default()
        });
    age.is_ok_and(|age| age > uploads::RESTS_MAX)
}
