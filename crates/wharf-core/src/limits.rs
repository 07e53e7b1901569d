//! Limits on what documents declare, and on the documents themselves.
//!
//! A size in a document is a claim of its author. It is compared with these limits when the document
//! is read, before memory or disk space depends on it. Memory follows the bytes that have arrived.

use crate::{Descriptor, Digest};

/// Bounds a manifest, an index or an image's config, in bytes (security rule 4, CVE-2020-1702). The
/// largest that registries take is 4 MiB.
pub const DOCUMENT_MAX: u64 = 4 * 1024 * 1024;

/// Bounds a layer, or another blob that is not a document, in bytes. No registry takes blobs of
/// 1 TiB; what a layer may have unpacked is bounded by the same number.
pub const LAYER_MAX: u64 = 1 << 40;

/// Bounds the memory that is set aside for a document before its bytes arrive, in bytes. Most
/// documents are smaller; the memory for larger ones grows with what has arrived.
pub const DOCUMENT_RESERVE: u64 = 64 * 1024;

/// What a document says about the size of some content is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{role} {digest} is declared with {size} bytes; at most {max} are allowed")]
pub struct SizeError {
    /// What the content is: `config`, `layer`, `manifest`.
    pub role: &'static str,
    /// The content.
    pub digest: Digest,
    /// The size in the descriptor, in bytes.
    pub size: u64,
    /// The limit that it exceeds, in bytes.
    pub max: u64,
}

impl Descriptor {
    /// Checks that the declared size is at most `max` bytes. `role` names the content in the error.
    pub fn check_size(&self, role: &'static str, max: u64) -> Result<(), SizeError> {
        if self.size <= max {
            return Ok(());
        }
        Err(SizeError {
            role,
            digest: self.digest.clone(),
            size: self.size,
            max,
        })
    }

    /// Checks the declared size of a manifest, an index or an image's config.
    pub fn check_document_size(&self, role: &'static str) -> Result<(), SizeError> {
        self.check_size(role, DOCUMENT_MAX)
    }

    /// Checks the declared size of a layer or another blob.
    pub fn check_blob_size(&self, role: &'static str) -> Result<(), SizeError> {
        self.check_size(role, LAYER_MAX)
    }
}
