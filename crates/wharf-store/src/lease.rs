//! Leases.

/// Keeps what an operation in progress needs. It dies with its process, or when dropped.
pub struct Lease {}
