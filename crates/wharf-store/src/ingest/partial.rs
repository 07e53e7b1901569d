//! One blob on its way in: its file, and which parts of it are here.
//!
//! Connections claim what is missing, lowest first and in pieces, and write it; a reader follows behind the
//! frontier, the end of what is written without a hole. Whoever holds a [`Partial`] holds the blob's lock:
//! also a write that is still under way on another thread when its operation was given up.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wharf_core::Digest;
use xxhash_rust::xxh3::Xxh3;

use super::extents::Extents;
use super::journal::{Journal, Record};
use super::restore::{Trust, restore};
use super::{DigestLock, Ingest};
use crate::durable::{sync_data, sync_directory};
use crate::{Result, StoreError, fail, files};

/// How the blob is cut, in bytes: the unit in which connections share the work. Large enough that asking
/// for it costs nothing beside fetching it, small enough that all connections end at about the same time.
pub(super) const PIECE: u64 = 16 * 1024 * 1024;

/// After this many new bytes, in bytes, the system is asked to start writing them to the disk, so that
/// little is left to do for the sync at the end.
const WRITEBACK: u64 = 4 * 1024 * 1024;

/// A blob on its way in.
pub(crate) struct Partial {
    size: u64,
    data: File,
    path: PathBuf,
    journal: Mutex<Journal>,
    journal_path: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
    synced: Mutex<Synced>,
    _lock: Arc<DigestLock>,
}

struct State {
    here: Extents,
    /// What connections work on. A claim that is filled is no claim any more.
    claims: Vec<Claim>,
    stopped: bool,
}

/// What is durable.
#[derive(Default)]
struct Synced {
    /// The bytes of so many records.
    records: u64,
    /// The names of the two files.
    names: bool,
    /// A sync has failed. The system reports that once for an open file and may have dropped the bytes, so that
    /// a later sync that succeeds says nothing about them.
    failed: bool,
}

/// A part that one connection fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The offset of the first byte that is missing.
    pub(super) next: u64,
    /// The offset behind its last byte.
    pub(super) end: u64,
}

impl Partial {
    /// Opens what is here of the blob, as far as it can be trusted, or starts with nothing.
    pub(crate) fn open(
        ingest: &Ingest,
        lock: Arc<DigestLock>,
        digest: &Digest,
        size: u64,
        trust: Trust,
    ) -> Result<Self> {
        let (path, journal_path) = (ingest.path(digest, "data"), ingest.path(digest, "journal"));
        let open = |path: &Path| {
            files::open_or_create(path).map_err(|source| StoreError::io("open", path, source))
        };
        let (data, journal) = (open(&path)?, open(&journal_path)?);
        let error = |source| StoreError::io("start", &journal_path, source);
        let (here, journal) = match restore(ingest, digest, (&data, &journal), size, trust)? {
            Some(restored) => restored,
            None => {
                for file in [&data, &journal] {
                    if file.metadata().map_err(error)?.len() > 0 {
                        file.set_len(0).map_err(error)?;
                    }
                }
                let journal = Journal::create(journal, size).map_err(error)?;
                (Extents::default(), journal)
            }
        };
        let synced = Synced {
            records: journal.records,
            names: journal.records > 0,
            failed: false,
        };
        Ok(Self {
            size,
            data,
            path,
            journal: Mutex::new(journal),
            journal_path,
            state: Mutex::new(State {
                here,
                claims: Vec::new(),
                stopped: false,
            }),
            changed: Condvar::new(),
            synced: Mutex::new(synced),
            _lock: lock,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file with the bytes, and where it is.
    pub(crate) fn file(&self) -> (&File, &Path) {
        (&self.data, &self.path)
    }

    /// How many bytes are here.
    pub(crate) fn done(&self) -> u64 {
        self.state().here.total()
    }

    /// How many pieces nobody works on; counts to `max` at most.
    pub(super) fn unclaimed(&self, max: usize) -> usize {
        let state = self.state();
        let (mut count, mut at) = (0, 0);
        while count < max
            && let Some(next) = state.free(at, self.size)
        {
            (count, at) = (count + 1, next.end);
        }
        count
    }

    /// Claims the first piece that nobody works on, or what is missing of it, if `wanted` says so.
    pub(super) fn claim(&self, wanted: impl FnOnce(&Claim) -> bool) -> Option<Claim> {
        let mut state = self.state();
        let claim = state.free(0, self.size).filter(wanted)?;
        state.claims.push(claim);
        Some(claim)
    }

    /// Writes the next bytes of a claim; says how many of the blob are here now. Blocks.
    pub(super) fn write(&self, offset: u64, bytes: &[Bytes]) -> Result<u64> {
        let (mut at, mut sum) = (offset, Xxh3::new());
        for chunk in bytes {
            fail::disk(&self.path)
                .and_then(|()| self.data.write_all_at(chunk, at))
                .map_err(|source| self.cannot_write(source))?;
            sum.update(chunk);
            at += chunk.len() as u64;
        }
        fail::point("piece-written");
        self.journal()
            .append(Record::Part {
                start: offset,
                len: at - offset,
                sum: sum.digest(),
            })
            .map_err(|source| self.cannot_write(source))?;
        fail::point("piece-journaled");
        let (before, after) = (offset / WRITEBACK, at / WRITEBACK);
        if after > before {
            self.write_back(before * WRITEBACK, (after - before) * WRITEBACK);
        }
        let mut state = self.state();
        state.here.insert(offset..at);
        state.claims.retain(|claim| claim.end != at);
        let all = state.here.total();
        drop(state);
        self.changed.notify_all();
        Ok(all)
    }

    /// Writes a manifest, which is small and in memory already.
    pub(crate) fn write_document(&self, bytes: &[u8]) -> Result<()> {
        self.data
            .write_all_at(bytes, 0)
            .map_err(|source| self.cannot_write(source))
    }

    /// Makes durable what has come: first the bytes, then the journal that says so. Those who write
    /// meanwhile do not wait. Blocks.
    pub(super) fn sync(&self) -> Result<()> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(&synced)?;
        let done = self.sync_new(&mut synced);
        synced.failed = done.is_err();
        done
    }

    /// Fails if a sync has failed. Waits for one that is under way.
    pub(crate) fn check_synced(&self) -> Result<()> {
        self.check(&self.synced.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn check(&self, synced: &Synced) -> Result<()> {
        if synced.failed {
            let source = io::Error::other("the disk has failed to keep what was written before");
            return Err(StoreError::io("sync", &self.path, source));
        }
        Ok(())
    }

    fn sync_new(&self, synced: &mut Synced) -> Result<()> {
        let records = self.journal().records;
        if records == synced.records {
            return Ok(());
        }
        sync_data(&self.data, &self.path)?;
        let file = {
            let mut journal = self.journal();
            let marked = journal.append(Record::Mark { records });
            let file = marked.and_then(|()| journal.file.try_clone());
            file.map_err(|source| self.cannot_write(source))?
        };
        sync_data(&file, &self.journal_path)?;
        if !synced.names {
            self.path.parent().map_or(Ok(()), sync_directory)?;
        }
        *synced = Synced {
            // The mark is a record too, and nothing has come with it.
            records: records + 1,
            names: true,
            failed: false,
        };
        Ok(())
    }

    /// Asks the system to start writing; on Linux this advice does that, and forgets only what is on
    /// the disk already. Advice that isn't taken does no harm.
    #[cfg(target_os = "linux")]
    fn write_back(&self, offset: u64, len: u64) {
        let (len, advice) = (std::num::NonZeroU64::new(len), rustix::fs::Advice::DontNeed);
        if let Err(error) = rustix::fs::fadvise(&self.data, offset, len, advice) {
            tracing::trace!(%error, "no early writing");
        }
    }

    /// Elsewhere the system starts when it likes.
    #[cfg(not(target_os = "linux"))]
    fn write_back(&self, _: u64, _: u64) {}

    fn cannot_write(&self, source: io::Error) -> StoreError {
        match StoreError::io("write", &self.path, source) {
            StoreError::NoSpace { path, source, .. } => StoreError::NoSpace {
                path,
                source,
                needed: self.size - self.done(),
            },
            other => other,
        }
    }

    /// Waits until more than `from` bytes are here without a hole, or all of them, and says how many;
    /// `None` if nobody goes on. Blocks.
    pub(super) fn wait(&self, from: u64) -> Option<u64> {
        let mut state = self.state();
        loop {
            let frontier = state.here.end_of_part(0);
            if frontier > from || frontier == self.size {
                return Some(frontier);
            }
            if state.stopped {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Says that nobody goes on.
    pub(super) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_all();
    }
}

impl State {
    /// The first part from `at` on that is missing and that nobody works on, within one piece.
    fn free(&self, mut at: u64, size: u64) -> Option<Claim> {
        loop {
            at = self.here.end_of_part(at);
            match self.claims.iter().find(|claim| claim.range().contains(&at)) {
                Some(claim) => at = claim.end,
                None => break,
            }
        }
        let piece_end = (at / PIECE + 1).saturating_mul(PIECE);
        let claimed = self.claims.iter().map(|claim| claim.next);
        let ends = claimed
            .filter(|next| *next > at)
            .chain(self.here.next_part(at));
        let end = ends.fold(piece_end.min(size), u64::min);
        (at < end).then_some(Claim { next: at, end })
    }
}

impl Claim {
    const fn range(&self) -> Range<u64> {
        self.next..self.end
    }
}
