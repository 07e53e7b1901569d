//! One blob on its way in: its file, and how far each piece is.
//!
//! Connections claim pieces, lowest first, and write them; a reader follows behind the frontier, the
//! end of what is written without a hole. Whoever holds a [`Partial`] holds the blob's lock: also a
//! write that is still under way on another thread when its operation was given up.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use wharf_core::Digest;

use super::journal::{self, PIECE, piece_len, pieces};
use super::{DigestLock, Ingest};
use crate::{Result, StoreError, fail, files};

/// After this many new bytes of a piece, in bytes, the system is asked to start writing them to the
/// disk, so that little is left to do for the sync at the end.
const WRITEBACK: u64 = 4 * 1024 * 1024;

/// A blob on its way in.
pub(crate) struct Partial {
    size: u64,
    data: File,
    path: PathBuf,
    journal: File,
    state: Mutex<State>,
    changed: Condvar,
    _lock: Arc<DigestLock>,
}

struct State {
    pieces: Vec<Piece>,
    /// The first piece that isn't written whole.
    first_open: usize,
    done: u64,
    stopped: bool,
}

#[derive(Clone, Copy)]
struct Piece {
    done: u64,
    claimed: bool,
}

/// A piece that one connection fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) piece: usize,
    /// The offset of the first byte that is missing.
    pub(super) next: u64,
    /// The offset behind its last byte.
    pub(super) end: u64,
}

impl Partial {
    /// Opens what is here of the blob, or starts with nothing.
    pub(crate) fn open(
        ingest: &Ingest,
        lock: Arc<DigestLock>,
        digest: &Digest,
        size: u64,
    ) -> Result<Self> {
        let (path, journal_path) = (ingest.path(digest, "data"), ingest.path(digest, "journal"));
        let open = |path: &Path| {
            files::open_or_create(path).map_err(|source| StoreError::io("open", path, source))
        };
        let (data, journal) = (open(&path)?, open(&journal_path)?);
        let known = data
            .metadata()
            .and_then(|about| Ok((about.len(), journal::read(&journal, size)?)));
        let done = match known {
            Ok((len, Some(done))) if len >= reach(&done) => done,
            _ => {
                let start = data.set_len(0).and_then(|()| journal.set_len(0));
                start
                    .and_then(|()| journal::create(&journal, size))
                    .map_err(|source| StoreError::io("start", &journal_path, source))?;
                vec![0; pieces(size)]
            }
        };
        let mut state = State {
            done: done.iter().sum(),
            pieces: done
                .into_iter()
                .map(|done| Piece {
                    done,
                    claimed: false,
                })
                .collect(),
            first_open: 0,
            stopped: false,
        };
        state.advance(size);
        let state = Mutex::new(state);
        Ok(Self {
            size,
            data,
            path,
            journal,
            state,
            changed: Condvar::new(),
            _lock: lock,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file with the bytes, and where it is.
    pub(crate) fn file(&self) -> (&File, &Path) {
        (&self.data, &self.path)
    }

    /// How many bytes are here.
    pub(crate) fn done(&self) -> u64 {
        self.state().done
    }

    /// How many pieces nobody works on.
    pub(super) fn unclaimed(&self) -> usize {
        let state = self.state();
        let open = |(piece, here): &(usize, &Piece)| {
            !here.claimed && here.done < piece_len(self.size, *piece)
        };
        state.pieces.iter().enumerate().filter(open).count()
    }

    /// Claims the first piece that nobody works on, if `wanted` says so.
    pub(super) fn claim(&self, wanted: impl FnOnce(&Claim) -> bool) -> Option<Claim> {
        let mut state = self.state();
        let open = |(piece, here): &(usize, &Piece)| {
            !here.claimed && here.done < piece_len(self.size, *piece)
        };
        let (piece, here) = state.pieces.iter().enumerate().find(open)?;
        let start = piece as u64 * PIECE;
        let end = start + piece_len(self.size, piece);
        let claim = Claim {
            piece,
            next: start + here.done,
            end,
        };
        let taken = wanted(&claim);
        state.pieces[piece].claimed = taken;
        taken.then_some(claim)
    }

    /// Writes the next bytes of a claimed piece; says how many of the blob are here now. Blocks.
    pub(super) fn write(&self, piece: usize, offset: u64, bytes: &[Bytes]) -> Result<u64> {
        let mut at = offset;
        for chunk in bytes {
            fail::disk(&self.path)
                .and_then(|()| self.data.write_all_at(chunk, at))
                .map_err(|source| self.cannot_write(source))?;
            at += chunk.len() as u64;
        }
        fail::point("piece-written");
        let start = piece as u64 * PIECE;
        let done = at - start;
        journal::write(&self.journal, piece, done).map_err(|source| self.cannot_write(source))?;
        fail::point("piece-journaled");
        let (before, after) = ((offset - start) / WRITEBACK, done / WRITEBACK);
        if after > before {
            self.write_back(start + before * WRITEBACK, (after - before) * WRITEBACK);
        }
        let mut state = self.state();
        state.done += at - offset;
        state.pieces[piece].done = done;
        state.advance(self.size);
        let all = state.done;
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
            let frontier = state.frontier(self.size);
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
    fn advance(&mut self, size: u64) {
        let full = |piece: usize, here: &Piece| here.done == piece_len(size, piece);
        while self
            .pieces
            .get(self.first_open)
            .is_some_and(|here| full(self.first_open, here))
        {
            self.first_open += 1;
        }
    }

    fn frontier(&self, size: u64) -> u64 {
        match self.pieces.get(self.first_open) {
            Some(piece) => self.first_open as u64 * PIECE + piece.done,
            None => size,
        }
    }
}

/// How long the file must at least be if the journal is right.
fn reach(done: &[u64]) -> u64 {
    let ends = done.iter().enumerate().filter(|(_, done)| **done > 0);
    ends.map(|(piece, done)| piece as u64 * PIECE + done)
        .max()
        .unwrap_or(0)
}
