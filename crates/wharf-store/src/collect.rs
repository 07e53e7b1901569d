//! Garbage collection.

use crate::rows::Freed;

/// What a collection has freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs that nothing referred to, and files without a row.
    pub freed: Freed,
    /// Downloads and uploads that nobody goes on with.
    pub partial: Freed,
    /// Leases of processes that have ended.
    pub leases: u64,
}
