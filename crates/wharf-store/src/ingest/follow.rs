//! Reads a file in order, behind those who write it: its digest, and what the layer says.
//!
//! What is verified is what is on the disk, not what came over the network. The digest is computed on
//! this thread and the layer is inflated on another one, since inflating takes four times as long.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use wharf_core::digest::Algorithm;
use wharf_core::layer::{Inspect, LayerError, LayerFacts};
use wharf_core::{Digest, Hasher};
use wharf_os::thread::spawn_scoped;

use crate::{Result, StoreError};

/// How much is read at once, in bytes. Larger reads are not faster.
const READ: u64 = 128 * 1024;
/// How many reads may lie between the digest's thread and the inflating one: both work in bursts.
const AHEAD: usize = 4;

/// What a file's bytes have said.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) digest: Digest,
    /// `None` if nobody asked.
    pub(crate) layer: Option<Result<LayerFacts, LayerError>>,
}

/// A file to read, and how.
pub(crate) struct Follow<'a> {
    pub(crate) file: &'a File,
    /// For errors.
    pub(crate) path: &'a Path,
    pub(crate) algorithm: Algorithm,
    /// How many bytes the file has once it's complete.
    pub(crate) size: u64,
}

/// Waits until more than so many bytes are there, or all, and says how many; `None` if they won't come.
pub(crate) type Frontier<'a> = &'a dyn Fn(u64) -> Option<u64>;

impl Follow<'_> {
    /// Reads a file that is complete.
    pub(crate) fn all(&self, inspect: Option<Box<dyn Inspect>>) -> Result<Followed> {
        let followed = self.behind(inspect, &|_| Some(self.size))?;
        followed.ok_or_else(|| {
            let source = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            StoreError::io("read", self.path, source)
        })
    }

    /// Reads a file that grows; `None` if it isn't completed.
    pub(crate) fn behind(
        &self,
        inspect: Option<Box<dyn Inspect>>,
        frontier: Frontier<'_>,
    ) -> Result<Option<Followed>> {
        let Some(inspect) = inspect else {
            let digest = self.digest(frontier, &mut |buffer| buffer)?;
            return Ok(digest.map(|digest| Followed {
                digest,
                layer: None,
            }));
        };
        thread::scope(|scope| {
            let (full, to_inspect) = sync_channel(AHEAD);
            let (inspected, empty) = sync_channel(AHEAD + 2);
            let inspector = spawn_scoped(scope, "inspect", move || {
                inspect_all(inspect, &to_inspect, &inspected)
            })
            .map_err(|source| StoreError::io("read", self.path, source))?;
            let digest = self.digest(frontier, &mut |buffer| match full.send(Some(buffer)) {
                Ok(()) => empty.try_recv().unwrap_or_default(),
                // It has found something wrong. The digest says whether the bytes are to blame.
                Err(unsent) => unsent.0.unwrap_or_default(),
            })?;
            let Some(digest) = digest else {
                return Ok(None);
            };
            full.send(None).ok();
            drop(full);
            let failed = || LayerError {
                reason: "reading it failed; please report this".into(),
            };
            let layer = match inspector.join() {
                Ok(Some(result)) => result,
                Ok(None) | Err(_) => Err(failed()),
            };
            Ok(Some(Followed {
                digest,
                layer: Some(layer),
            }))
        })
    }

    /// Computes the digest; gives each buffer to `pass` and takes one back for the next read.
    fn digest(
        &self,
        frontier: Frontier<'_>,
        pass: &mut dyn FnMut(Vec<u8>) -> Vec<u8>,
    ) -> Result<Option<Digest>> {
        let mut hasher = Hasher::new(self.algorithm);
        let mut buffer = Vec::new();
        let (mut at, mut known) = (0, 0);
        while at < self.size {
            if at == known {
                let Some(next) = frontier(at) else {
                    return Ok(None);
                };
                known = next;
            }
            let len = READ.min(known - at);
            buffer.resize(usize::try_from(len).unwrap_or_default(), 0);
            self.file
                .read_exact_at(&mut buffer, at)
                .map_err(|source| StoreError::io("read", self.path, source))?;
            hasher.update(&buffer);
            at += len;
            buffer = pass(buffer);
        }
        Ok(Some(hasher.finish()))
    }
}

/// Inspects buffers until `None` says that they were all; `None` if the sender just goes away.
fn inspect_all(
    mut inspect: Box<dyn Inspect>,
    full: &Receiver<Option<Vec<u8>>>,
    empty: &SyncSender<Vec<u8>>,
) -> Option<Result<LayerFacts, LayerError>> {
    while let Ok(next) = full.recv() {
        let Some(buffer) = next else {
            return Some(inspect.finish());
        };
        if let Err(error) = inspect.write(&buffer) {
            return Some(Err(error));
        }
        // There is room for all buffers; without a taker the buffer is freed.
        empty.try_send(buffer).ok();
    }
    None
}
