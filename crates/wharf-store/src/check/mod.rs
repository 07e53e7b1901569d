//! Reads everything, says what is wrong, and repairs.
//!
//! Rows and files are compared both ways, every byte is read, and everything that was computed from a
//! manifest is computed again. A repair sets damaged files aside under `damaged/`, so that the next pull
//! brings them back; names and images stay. It runs beside other processes, except where the database
//! itself is damaged: `rebuild` then makes a new one from the blobs.

mod audit;
mod rebuild;

use std::path::Path;

use wharf_core::Digest;

use crate::{Result, Store, StoreError};

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Blobs read.
    pub blobs: u64,
    /// Blobs there are.
    pub blobs_total: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes there are.
    pub bytes_total: u64,
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many blobs were read.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Files that nothing needs: left by a process that was killed. No damage; the next prune frees
    /// them.
    pub leftovers: u64,
    /// Blobs whose content isn't what their name says.
    pub damaged: Vec<Digest>,
    /// Blobs that have a row and no file.
    pub missing: Vec<Digest>,
    /// Everything found, one line each, in an operator's words; empty for a sound store.
    pub findings: Vec<String>,
    /// What was repaired, one line each; empty without `repair`.
    pub repaired: Vec<String>,
}

impl CheckReport {
    /// Was nothing found?
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Checks the store in `root`, and repairs it if `repair` is set: also one whose database is
/// damaged, which [`crate::Store::open`] refuses.
pub fn check(root: &Path, repair: bool, progress: &dyn Fn(CheckProgress)) -> Result<CheckReport> {
    let opened = Store::open(root).and_then(|store| {
        if repair {
            store.inner.writable()?;
        }
        store.inner.catalog.verify()?;
        Ok(store)
    });
    match opened {
        Ok(store) => store.check(repair, progress),
        Err(StoreError::Corrupt { detail }) if repair => rebuild::rebuild(root, &detail, progress),
        Err(StoreError::Corrupt { detail }) => rebuild::report(root, &detail, progress),
        Err(error) => Err(error),
    }
}

impl Store {
    /// Checks this store, and repairs it if `repair` is set. A damaged database is an error here:
    /// rebuilding it is [`check`]'s business, since nobody may have it open.
    pub fn check(&self, repair: bool, progress: &dyn Fn(CheckProgress)) -> Result<CheckReport> {
        if repair {
            self.inner.writable()?;
        }
        self.inner.catalog.verify()?;
        audit::Audit::new(&self.inner, repair, progress)?.run()
    }
}
