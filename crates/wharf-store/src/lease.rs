//! Leases: what an operation in progress needs is not collected.
//!
//! The rows (which content, for whom, until when) lie in the catalog. Beside them
//! `ingest/lease-<token>` is a file that the owner keeps locked: the system unlocks it when the process
//! ends, however it ends, and then the rows count for nothing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wharf_core::Digest;

use crate::catalog::Durability;
use crate::ingest::is_same_file;
use crate::store::Inner;
use crate::{Result, StoreError, durable, files};

/// How long content stays leased after the owner last added to the lease, in microseconds. A layer
/// that takes longer than a day to come is given up.
pub(crate) const EXPIRES_AFTER: i64 = 24 * 60 * 60 * 1_000_000;

/// The beginning of a lease's file name.
pub(crate) const PREFIX: &str = "lease-";

/// Where the locked files are.
pub(crate) struct LeaseFiles {
    pub(crate) folder: PathBuf,
}

impl LeaseFiles {
    fn path(&self, token: &str) -> PathBuf {
        self.folder.join(format!("{PREFIX}{token}"))
    }

    /// Is the owner of `token` still there?
    pub(crate) fn is_alive(&self, token: &str) -> bool {
        let Ok(file) = files::open(&self.path(token)) else {
            return false;
        };
        // Whoever can share the lock has found nobody who holds it alone.
        file.try_lock_shared().is_err()
    }
}

/// Keeps what an operation in progress needs: what it puts or finds in the store. It dies with its
/// process, or when dropped.
pub struct Lease {
    store: Arc<Inner>,
    token: String,
    /// `None` in a store that can only be read: the lease then holds nothing.
    file: Option<LeaseFile>,
}

/// The file of a lease.
struct LeaseFile {
    path: PathBuf,
    /// Locked as long as it's open.
    _file: File,
}

impl Lease {
    pub(crate) fn begin(store: Arc<Inner>) -> Result<Self> {
        let token = crate::random_id()?;
        let path = store.leases.path(&token);
        let file = create_locked(&path)?;
        Ok(Self {
            store,
            token,
            file: Some(LeaseFile { path, _file: file }),
        })
    }

    /// A lease that holds nothing, for a store that can only be read.
    pub(crate) fn nominal(store: Arc<Inner>) -> Result<Self> {
        Ok(Self {
            store,
            token: crate::random_id()?,
            file: None,
        })
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Holds content that is here already, or that is about to come.
    pub fn hold(&self, digest: &Digest) -> Result<()> {
        if self.file.is_none() {
            return Ok(());
        }
        let hold = |writing: &mut crate::Writing<'_>| writing.hold(&self.token, digest);
        self.store
            .catalog
            .write(&self.store.leases, Durability::Process, hold)?;
        Ok(())
    }

    fn end(&self) -> Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let let_go = |writing: &mut crate::Writing<'_>| writing.let_go(&self.token);
        self.store
            .catalog
            .write(&self.store.leases, Durability::Process, let_go)?;
        durable::remove(&file.path)?;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            // The rows die with the lock, which goes now; a collection sweeps them up.
            tracing::debug!(%error, "a lease could not be ended in order");
        }
    }
}

fn create_locked(path: &Path) -> Result<File> {
    let error = |source| StoreError::io("make the lease", path, source);
    loop {
        let file = files::open_or_create(path).map_err(error)?;
        file.lock().map_err(error)?;
        // A collection may have found it before it was locked, and removed it.
        if is_same_file(&file, path) {
            return Ok(file);
        }
    }
}
